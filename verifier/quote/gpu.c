// SPDX-License-Identifier: Apache-2.0
// GPUs: their report, its signer's chain, what was measured against NVIDIA's RIMs.
#include "verifier/quote/gpu.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#define REQUEST_SIZE 37u
#define SIGNATURE_SIZE 96u
#define SPDM_1_1 0x11
#define GET_MEASUREMENTS 0xe0
#define MEASUREMENTS 0x60
#define WITH_SIGNATURE 0x01
#define DMTF 0x01
#define MEASURED_MAX 256

// What the opaque data tells, by its numbers.
enum { DRIVER_VERSION = 3, VBIOS_VERSION = 6, NVDEC0_STATUS = 11, FWID = 20, OPAQUE_MAX = 64 };
#define NVDEC0_DISABLED 0x55
#define PRODUCT "NVIDIA GH100 Identity" // the CA below the root that all Hopper GPUs are under
#define ARCH_MAX 16
#define NVDEC0_INDEX 35 // measures nothing while NVDEC0 is disabled

struct report {
    struct sv_bytes signed_part, signature, nonce;
    struct sv_bytes measured[MEASURED_MAX]; // by number, from 1
    struct sv_bytes opaque[OPAQUE_MAX];
    char driver[32], vbios[32];
};

static bool take_number(struct sv_bytes *in, size_t size, uint32_t *out)
{
    const uint8_t *p = sv_take(in, size);

    *out = 0;
    for (size_t i = size; p && i--;)
        *out = *out << 8 | p[i];
    return p;
}

static bool take_part(struct sv_bytes *in, size_t size, struct sv_bytes *out)
{
    *out = (struct sv_bytes){sv_take(in, size), size};
    return out->data;
}

// Blocks of { number, 1 (DMTF), size u16, { type, size u16, value } }.
static bool parse_record(struct sv_bytes in, uint32_t count, struct report *out)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number, specification, size, value_size, type;
        struct sv_bytes block;

        if (!take_number(&in, 1, &number) || !take_number(&in, 1, &specification) ||
            !take_number(&in, 2, &size) || !take_part(&in, size, &block) || !number ||
            specification != DMTF || out->measured[number].data || !take_number(&block, 1, &type) ||
            !take_number(&block, 2, &value_size) ||
            !take_part(&block, value_size, &out->measured[number]) || block.size)
            return false;
    }
    return count && !in.size;
}

static bool parse_opaque(struct sv_bytes in, struct report *out)
{
    while (in.size) {
        uint32_t type, size;
        struct sv_bytes data;

        if (!take_number(&in, 2, &type) || !take_number(&in, 2, &size) ||
            !take_part(&in, size, &data))
            return false;
        if (type >= OPAQUE_MAX)
            continue;
        if (out->opaque[type].data)
            return false;
        out->opaque[type] = data;
    }
    return true;
}

// The driver's is text; the firmware's four bytes, the last first, and one of the next four.
static bool read_versions(struct report *r)
{
    const struct sv_bytes *driver = &r->opaque[DRIVER_VERSION], *vbios = &r->opaque[VBIOS_VERSION];
    size_t n = driver->data ? strnlen((const char *)driver->data, driver->size) : 0;

    if (!n || n >= sizeof(r->driver) || !vbios->data || vbios->size != 8)
        return false;
    memcpy(r->driver, driver->data, n);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)r->driver[i]) && r->driver[i] != '.')
            return false;
    snprintf(r->vbios, sizeof(r->vbios), "%02X.%02X.%02X.%02X.%02X", vbios->data[3], vbios->data[2],
             vbios->data[1], vbios->data[0], vbios->data[4]);
    return true;
}

static bool parse_report(struct sv_bytes all, struct report *out)
{
    const uint8_t *request = all.data;
    uint32_t version, code, param, count, size;
    struct sv_bytes in = all, part;

    *out = (struct report){.driver = ""};
    if (!sv_take(&in, REQUEST_SIZE) || request[1] != GET_MEASUREMENTS ||
        !(request[2] & WITH_SIGNATURE) || !take_number(&in, 1, &version) || version != request[0] ||
        !take_number(&in, 1, &code) || code != MEASUREMENTS || !take_number(&in, 2, &param) ||
        !take_number(&in, 1, &count) || !take_number(&in, 3, &size) ||
        !take_part(&in, size, &part) || !parse_record(part, count, out) ||
        !sv_take(&in, SV_GPU_NONCE_SIZE) || // the GPU's own
        !take_number(&in, 2, &size) || !take_part(&in, size, &part) || !parse_opaque(part, out) ||
        in.size != SIGNATURE_SIZE)
        return false;
    out->nonce = (struct sv_bytes){request + 4, SV_GPU_NONCE_SIZE};
    out->signature = in;
    out->signed_part = (struct sv_bytes){all.data, all.size - SIGNATURE_SIZE};
    return read_versions(out);
}

// --- One device ---

struct device {
    const struct sv_gpu_request *rq;
    struct shelter_verdict *v;
    cJSON *claims;
    unsigned at; // in the list
    struct sv_certs certs;
    struct report report;
};

static bool refuse(const struct device *d, enum shelter_reason reason, const char *why)
{
    sv_refuse(d->v, reason, "device %u%s%s", d->at, *why ? ": " : "", why);
    return false;
}

static bool judge_chain(const struct device *d)
{
    X509 *leaf = d->certs.cert[0];
    struct sv_chain chain;
    char text[80];

    if (!sv_key_is_ec(X509_get0_pubkey(leaf), "secp384r1") || X509_check_ca(leaf) ||
        sv_chain_build(leaf, &d->certs, d->rq->named, SV_NVIDIA, NULL, &chain))
        return refuse(d, SHELTER_R_GPU_CHAIN, "");
    sv_name_cn(X509_get_issuer_name(chain.cert[chain.count - 1]), text, sizeof(text));
    if (chain.root == SV_ROOT_NONE)
        return refuse(d, chain.simulated ? SHELTER_R_SIMULATED : SHELTER_R_ROOT, text);
    d->v->simulated |= chain.simulated;
    if (chain.simulated && !d->rq->allow_simulated)
        return refuse(d, SHELTER_R_SIMULATED, "");
    if (d->v->time < chain.not_before)
        return refuse(d, SHELTER_R_CERT_EARLY, "");
    if (d->v->time > chain.not_after)
        return refuse(d, SHELTER_R_CERT_EXPIRED, "");
    // What product it is, its issuers say; "arch" is whatever the sender wrote.
    if (chain.count > 1)
        sv_name_cn(X509_get_subject_name(chain.cert[chain.count - 2]), text, sizeof(text));
    if (chain.count < 2 || strcmp(text, PRODUCT))
        return refuse(d, SHELTER_R_GPU_CHAIN, "it is not one of " PRODUCT);
    sv_name_cn(X509_get_subject_name(leaf), text, sizeof(text));
    cJSON_AddStringToObject(d->claims, "signer", text);
    cJSON_AddStringToObject(d->claims, "root",
                            chain.root == SV_ROOT_PINNED ? "pinned" : "named by the caller");
    return true;
}

// The firmware that signs, as the report has it, stands in the leaf (TCG DICE TcbInfo), whose
// issuer measured it.
static bool is_firmware_of(const struct device *d)
{
    static const uint8_t tcb_info[] = {0x67, 0x81, 0x05, 0x05, 0x04, 0x01};
    const ASN1_OCTET_STRING *ext = sv_extension(d->certs.cert[0], tcb_info, sizeof(tcb_info));
    const struct sv_bytes *fwid = &d->report.opaque[FWID];
    uint8_t octets[2 + 48] = {0x04, 48};

    if (!fwid->data)
        return true;
    if (!ext || fwid->size != 48)
        return false;
    memcpy(octets + 2, fwid->data, 48);
    return memmem(ASN1_STRING_get0_data(ext), (size_t)ASN1_STRING_length(ext), octets,
                  sizeof(octets));
}

// --- RIMs ---

// The first index at which nothing of the RIM is measured, or -1. An index is of one RIM alone.
static int differs_at(const struct report *r, const struct sv_rim *rim, const struct sv_rim *other)
{
    const struct sv_bytes *nvdec0 = &r->opaque[NVDEC0_STATUS];
    bool disabled = nvdec0->data && nvdec0->size && nvdec0->data[0] == NVDEC0_DISABLED;

    for (size_t i = 0, next; i < rim->count; i = next) {
        unsigned index = rim->value[i].index;
        const struct sv_bytes *have = &r->measured[index + 1];
        bool same = false;

        for (next = i; next < rim->count && rim->value[next].index == index; next++)
            same |= have->data && have->size == SV_RIM_HASH_SIZE &&
                    !memcmp(have->data, rim->value[next].hash, SV_RIM_HASH_SIZE);
        for (size_t k = 0; other && k < other->count; k++)
            if (other->value[k].index == index)
                return (int)index;
        if (!same && !(index == NVDEC0_INDEX && disabled))
            return (int)index;
    }
    return -1;
}

// One of this version that may be believed now and that was measured, or where the last that may be
// believed differs (*at), or why none may be (*why; *at is -1). RIMs of several products have the
// same version.
static const struct sv_rim *find_rim(const struct device *d, const char *version, const char **why,
                                     int *at)
{
    const struct shelter_collateral *col = d->rq->collateral;
    const struct sv_rim *found = NULL;
    int differs;

    *at = -1;
    *why = "none was given";
    for (size_t i = 0; col && i < col->rim_count; i++) {
        const struct sv_rim *rim = &col->rim[i];

        if (strcasecmp(rim->version, version))
            continue;
        if (rim->fault)
            *why = rim->fault;
        else if (rim->simulated && !d->rq->allow_simulated)
            *why = "its root is a simulated one";
        else if (d->v->time < rim->not_before)
            *why = "its certificates are not yet valid";
        else if (d->v->time > rim->not_after)
            *why = "its certificates have expired";
        else if ((differs = differs_at(&d->report, rim, NULL)) >= 0)
            *at = differs;
        else if (!found || found->simulated)
            found = rim;
    }
    return found;
}

static bool judge_measured(const struct device *d)
{
    const char *versions[] = {d->report.driver, d->report.vbios}, *names[] = {"driver", "firmware"},
               *why;
    const struct sv_rim *rim[2];
    char text[160];
    int at[2];

    for (int i = 0; i < 2; i++) {
        rim[i] = find_rim(d, versions[i], &why, &at[i]);
        if (rim[i] || at[i] >= 0)
            continue;
        snprintf(text, sizeof(text), "%s %s: %s", names[i], versions[i], why);
        cJSON_AddStringToObject(d->claims, "measurements", "not judged");
        cJSON_AddStringToObject(d->claims, "why", text);
        return d->rq->need_rim ? refuse(d, SHELTER_R_NO_RIM, text) : true;
    }
    for (int i = 0; i < 2; i++) {
        d->v->simulated |= rim[i] && rim[i]->simulated;
        if (rim[i])
            at[i] = differs_at(&d->report, rim[i], rim[!i]);
        if (at[i] < 0)
            continue;
        snprintf(text, sizeof(text), "index %d of the %s %s", at[i], names[i], versions[i]);
        return refuse(d, SHELTER_R_GPU_MEASUREMENT, text);
    }
    cJSON_AddStringToObject(d->claims, "measurements", "as in the RIMs");
    return true;
}

// --- The list ---

static bool is_other_form(const cJSON *item, const uint8_t *report, size_t size)
{
    const char *arch = sv_json_text(item, "arch");

    return strcasecmp(arch, "hopper") || (report && size && report[0] != SPDM_1_1);
}

static bool is_counted(const struct device *d, const struct sv_certs *seen)
{
    for (size_t i = 0; i < seen->count; i++)
        if (EVP_PKEY_eq(X509_get0_pubkey(seen->cert[i]), X509_get0_pubkey(d->certs.cert[0])) == 1)
            return true;
    return false;
}

static bool judge_report(struct device *d)
{
    const struct report *r = &d->report;

    if (!judge_chain(d))
        return false;
    if (!sv_ecdsa_verify(X509_get0_pubkey(d->certs.cert[0]), EVP_sha384(), r->signature.data,
                         r->signature.data + SIGNATURE_SIZE / 2, SIGNATURE_SIZE / 2,
                         r->signed_part.data, r->signed_part.size))
        return refuse(d, SHELTER_R_GPU_SIGNATURE, "");
    if (!is_firmware_of(d))
        return refuse(d, SHELTER_R_GPU_SIGNATURE, "another firmware's");
    if (d->rq->nonce && CRYPTO_memcmp(r->nonce.data, d->rq->nonce, SV_GPU_NONCE_SIZE))
        return refuse(d, SHELTER_R_GPU_NONCE, "");
    cJSON_AddStringToObject(d->claims, "nonce", d->rq->nonce ? "as expected" : "not judged");
    cJSON_AddStringToObject(d->claims, "driver", r->driver);
    cJSON_AddStringToObject(d->claims, "firmware", r->vbios);
    return judge_measured(d);
}

// True where it counts: a device of its own whose evidence holds.
static bool judge_device(struct device *d, const cJSON *item, struct sv_certs *seen)
{
    const char *evidence = sv_json_string(item, "evidence");
    size_t size = 0, chain_size = 0;
    uint8_t *report = evidence ? sv_unhex_new(evidence, &size) : NULL, *chain;
    bool counts = false;

    if (evidence && !report)
        report = sv_unbase64_new(evidence, &size);
    chain = sv_json_string(item, "certificate")
                ? sv_unbase64_new(sv_json_text(item, "certificate"), &chain_size)
                : NULL;
    if (strlen(sv_json_text(item, "arch")) <= ARCH_MAX)
        cJSON_AddStringToObject(d->claims, "arch", sv_json_text(item, "arch"));
    if (is_other_form(item, report, size)) {
        cJSON_AddStringToObject(d->claims, "verdict", "not judged");
    } else if (!report || !chain) {
        refuse(d, SHELTER_R_GPU_EVIDENCE, "its members");
    } else if (!parse_report((struct sv_bytes){report, size}, &d->report)) {
        refuse(d, SHELTER_R_GPU_EVIDENCE, "the report");
    } else if (sv_certs_add(&d->certs, chain, chain_size)) {
        refuse(d, SHELTER_R_CERT_PARSE, "");
    } else if (is_counted(d, seen)) {
        refuse(d, SHELTER_R_GPU_EVIDENCE, "it is in the list twice");
    } else if (judge_report(d)) {
        cJSON_AddStringToObject(d->claims, "verdict", "holds");
        X509_up_ref(d->certs.cert[0]);
        seen->cert[seen->count++] = d->certs.cert[0];
        counts = true;
    }
    sv_certs_free(&d->certs);
    free(report);
    free(chain);
    return counts;
}

static unsigned judge_list(const struct sv_gpu_request *rq, const cJSON *list,
                           struct shelter_verdict *v)
{
    cJSON *claims = cJSON_AddArrayToObject(v->claims, "nvidia");
    struct sv_certs seen = {0};
    unsigned at = 0, count = 0;
    const cJSON *item;
    struct device *d = malloc(sizeof(*d));

    cJSON_ArrayForEach(item, list)
    {
        if (!d || at == SV_GPUS_MAX) {
            sv_refuse(v, d ? SHELTER_R_GPU_EVIDENCE : SHELTER_R_INTERNAL, "too many devices");
            break;
        }
        *d = (struct device){.rq = rq, .v = v, .claims = cJSON_CreateObject(), .at = at++};
        cJSON_AddItemToArray(claims, d->claims);
        count += judge_device(d, item, &seen);
        if (v->refusal_count)
            break;
    }
    free(d);
    sv_certs_free(&seen);
    return count;
}

void sv_gpu_judge(const struct sv_gpu_request *rq, struct shelter_verdict *v)
{
    cJSON *root = rq->size ? sv_json_read(rq->json, rq->size, SV_JSON_VALUES_MAX, NULL, 0) : NULL;
    const cJSON *nvidia = sv_json_get(root, "nvidia"),
                *list = sv_json_get(nvidia, "device_evidence_list");
    unsigned count = 0;

    if (rq->demanded && !rq->nonce)
        sv_refuse(v, SHELTER_R_GPU_NONCE, "none was given, and the policy demands GPUs");
    else if (nvidia && !cJSON_IsArray(list))
        sv_refuse(v, SHELTER_R_GPU_EVIDENCE, "there is no list of devices");
    else if (nvidia)
        count = judge_list(rq, list, v);
    if (rq->demanded && rq->nonce && count < rq->min_devices)
        sv_refuse(v, SHELTER_R_GPU_POLICY, "%u of %u", count, rq->min_devices);
    cJSON_Delete(root);
}
