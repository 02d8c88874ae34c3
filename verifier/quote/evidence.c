// SPDX-License-Identifier: Apache-2.0
// Tells one kind of evidence from another and unwraps it.
#include "verifier/quote/evidence.h"
#include "verifier/quote/nitro.h"
#include "verifier/quote/snp.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"

#include <stdio.h>
#include <stdlib.h>

// Text to bytes: hex first (every hex string is also base64), else base64.
static uint8_t *decode_text(const char *text, size_t *size)
{
    uint8_t *out = strlen(text) > 64 ? sv_unhex_new(text, size) : NULL;

    return out ? out : sv_unbase64_new(text, size);
}

// Bytes of a JSON value: a string or an array of numbers.
static uint8_t *decode_value(const cJSON *item, size_t *size)
{
    const cJSON *byte;
    uint8_t *out;
    size_t used = 0;

    if (cJSON_IsString(item))
        return decode_text(item->valuestring, size);
    if (!cJSON_IsArray(item))
        return NULL;
    *size = (size_t)cJSON_GetArraySize(item);
    out = *size ? malloc(*size) : NULL;
    cJSON_ArrayForEach(byte, item)
    {
        if (!out || !cJSON_IsNumber(byte) || byte->valuedouble < 0 || byte->valuedouble > 255 ||
            used == *size) {
            free(out);
            return NULL;
        }
        out[used++] = (uint8_t)byte->valuedouble;
    }
    return out;
}

static void take_data(struct sv_evidence *ev, uint8_t *data, size_t size)
{
    free(ev->owned);
    ev->owned = data;
    ev->data = data;
    ev->size = size;
}

// {message, signature, pcrs}. 0, or -1 where it is malformed.
static int take_tpm(const cJSON *item, struct sv_evidence *ev)
{
    const cJSON *pcrs = sv_json_get(item, "pcrs"), *one;
    size_t n = 0, size;
    bool ok;

    if (!item)
        return 0;
    ev->tpm = calloc(1, sizeof(*ev->tpm));
    if (!ev->tpm || !cJSON_IsArray(pcrs) || cJSON_GetArraySize(pcrs) != SV_TPM_PCRS)
        return -1;
    ev->tpm->message.data = decode_value(sv_json_get(item, "message"), &ev->tpm->message.size);
    ev->tpm->signature.data =
        decode_value(sv_json_get(item, "signature"), &ev->tpm->signature.size);
    ok = ev->tpm->message.data && ev->tpm->signature.data;
    cJSON_ArrayForEach(one, pcrs)
    {
        uint8_t *pcr =
            cJSON_IsString(one) ? sv_unhex_new(one->valuestring, &size) : decode_value(one, &size);

        ok = ok && pcr && size == sizeof(ev->tpm->pcr[0]);
        if (ok)
            memcpy(ev->tpm->pcr[n++], pcr, size);
        free(pcr);
    }
    return ok ? 0 : -1;
}

// An SVSM's manifest beside the report, and what it was asked to bind; configfs-tsm's names. 0, or
// -1 where it is malformed.
static int take_svsm(const cJSON *root, struct sv_evidence *ev)
{
    const cJSON *manifest = sv_json_get(root, "manifestblob");
    struct sv_svsm *s = &ev->svsm;

    if (!manifest)
        return 0;
    s->manifest.data = decode_value(manifest, &s->manifest.size);
    s->nonce.data = decode_value(sv_json_get(root, "inblob"), &s->nonce.size);
    if (!s->manifest.data || s->manifest.size > SV_SVSM_MANIFEST_MAX || !s->nonce.data ||
        s->nonce.size != SV_SVSM_NONCE_SIZE)
        return -1;
    return take_tpm(sv_json_get(root, "tpm_quote"), ev);
}

static int take_measured_log(const cJSON *root, struct sv_evidence *ev)
{
    const cJSON *log = sv_json_get(root, "measured_log");

    if (!log)
        return 0;
    free(ev->measured_log);
    ev->measured_log =
        cJSON_IsString(log) ? sv_unbase64_new(log->valuestring, &ev->measured_log_size) : NULL;
    return ev->measured_log ? 0 : -1;
}

static void take_event_log(const cJSON *root, struct sv_evidence *ev)
{
    const cJSON *log = sv_json_get(root, "cc_eventlog");

    if (!log)
        log = sv_json_get(root, "event_log");
    if (cJSON_IsArray(log)) {
        ev->event_log = (uint8_t *)cJSON_PrintUnformatted(log);
        ev->event_log_size = ev->event_log ? strlen((char *)ev->event_log) : 0;
    }
    if (!cJSON_IsString(log) || !log->valuestring[0])
        return;
    ev->event_log = sv_unbase64_new(log->valuestring, &ev->event_log_size);
    if (!ev->event_log) { // dstack's array, or what the replay will refuse
        ev->event_log = (uint8_t *)strdup(log->valuestring);
        ev->event_log_size = ev->event_log ? strlen(log->valuestring) : 0;
    }
}

// CoCo: [{"cert_type": "VCEK", "data": [..]}, ..]; also plain strings (PEM or base64).
static void take_cert_chain(const cJSON *chain, struct sv_evidence *ev)
{
    const cJSON *item;

    if (cJSON_IsString(chain)) {
        sv_certs_add(&ev->certs, chain->valuestring, strlen(chain->valuestring));
        return;
    }
    cJSON_ArrayForEach(item, chain)
    {
        const cJSON *data = cJSON_IsObject(item) ? sv_json_get(item, "data") : item;
        size_t size;
        uint8_t *bytes;

        if (cJSON_IsString(data) && strstr(data->valuestring, "-----BEGIN")) {
            sv_certs_add(&ev->certs, data->valuestring, strlen(data->valuestring));
            continue;
        }
        bytes = decode_value(data, &size);
        if (bytes)
            sv_certs_add(&ev->certs, bytes, size);
        free(bytes);
    }
}

// The certificate table that comes with an extended report (GHCB, 4.1.8.1):
// { GUID 16, offset u32, size u32 } until a zero GUID.
static void take_cert_table(const uint8_t *table, size_t size, struct sv_evidence *ev)
{
    for (size_t at = 0; at + 24 <= size && at < 24 * 16; at += 24) {
        uint32_t from = sh_le32(table + at + 16), length = sh_le32(table + at + 20);

        if (sv_all_zero(table + at, 16))
            break;
        if (length && from < size && length <= size - from)
            sv_certs_add(&ev->certs, table + from, length);
    }
}

static void put_le(uint8_t *out, size_t size, double value)
{
    uint64_t n = value >= 0 && value < 18446744073709551615.0 ? (uint64_t)value : 0;

    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(n >> (8 * i));
}

// One field of a report that was serialised member by member.
static bool put_field(uint8_t *report, const cJSON *object, const char *name, size_t at,
                      size_t size)
{
    const cJSON *item = sv_json_get(object, name);
    size_t got = 0;
    uint8_t *bytes;
    bool ok;

    if (cJSON_IsNumber(item)) {
        put_le(report + at, size, item->valuedouble);
        return true;
    }
    bytes = decode_value(item, &got);
    ok = bytes && got == size;
    if (ok)
        memcpy(report + at, bytes, size);
    free(bytes);
    return ok;
}

static bool put_tcb(uint8_t *report, const cJSON *object, const char *name, size_t at, bool turin)
{
    const cJSON *tcb = sv_json_get(object, name);
    uint8_t *p = report + at;

    if (!cJSON_IsObject(tcb))
        return put_field(report, object, name, at, 8);
    turin |= cJSON_IsNumber(sv_json_get(tcb, "fmc")); // reports before version 3 name no CPU
    return (!turin || put_field(p, tcb, "fmc", 0, 1)) &&
           put_field(p, tcb, "bootloader", turin ? 1 : 0, 1) &&
           put_field(p, tcb, "tee", turin ? 2 : 1, 1) &&
           put_field(p, tcb, "snp", turin ? 3 : 6, 1) && put_field(p, tcb, "microcode", 7, 1);
}

static bool put_build(uint8_t *report, const cJSON *object, const char *prefix, size_t at)
{
    static const char *const part[] = {"build", "minor", "major"};
    const cJSON *version = sv_json_get(object, prefix);
    char name[32];

    for (size_t i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), "%s_%s", prefix, part[i]);
        if (!put_field(report, object, name, at + i, 1) &&
            !(version && put_field(report, version, part[i], at + i, 1)))
            return false;
    }
    return true;
}

// CoCo's snp evidence keeps the report as an object of members. Whether it was put together again
// as it was, the signature tells.
static uint8_t *snp_from_members(const cJSON *o)
{
    static const struct {
        const char *name;
        size_t at, size;
    } fields[] = {
        {"version", SV_SNP_VERSION, 4},
        {"guest_svn", SV_SNP_GUEST_SVN, 4},
        {"policy", SV_SNP_POLICY, 8},
        {"family_id", SV_SNP_FAMILY_ID, 16},
        {"image_id", SV_SNP_IMAGE_ID, 16},
        {"vmpl", SV_SNP_VMPL, 4},
        {"sig_algo", SV_SNP_SIG_ALGO, 4},
        {"report_data", SV_SNP_REPORT_DATA, 64},
        {"measurement", SV_SNP_MEASUREMENT, 48},
        {"host_data", SV_SNP_HOST_DATA, 32},
        {"id_key_digest", SV_SNP_ID_KEY_DIGEST, 48},
        {"author_key_digest", SV_SNP_AUTHOR_KEY_DIGEST, 48},
        {"report_id", SV_SNP_REPORT_ID, 32},
        {"report_id_ma", SV_SNP_REPORT_ID_MA, 32},
        {"chip_id", SV_SNP_CHIP_ID, 64},
    };
    uint8_t *r = calloc(1, SV_SNP_REPORT_SIZE);
    const cJSON *sig = sv_json_get(o, "signature");
    bool ok = r, turin;

    for (size_t i = 0; ok && i < sizeof(fields) / sizeof(fields[0]); i++)
        ok = put_field(r, o, fields[i].name, fields[i].at, fields[i].size) || fields[i].at == 0x34;
    if (ok && !sh_le32(r + SV_SNP_SIG_ALGO))
        put_le(r + SV_SNP_SIG_ALGO, 4, 1);
    if (ok) {
        ok = put_field(r, o, "plat_info", SV_SNP_PLATFORM_INFO, 8) ||
             put_field(r, o, "platform_info", SV_SNP_PLATFORM_INFO, 8);
        ok = ok && (put_field(r, o, "_author_key_en", SV_SNP_FLAGS, 4) ||
                    put_field(r, o, "key_info", SV_SNP_FLAGS, 4) ||
                    put_field(r, o, "author_key_en", SV_SNP_FLAGS, 4));
    }
    if (ok && sh_le32(r) >= 3) {
        put_field(r, o, "cpuid_fam_id", SV_SNP_CPUID_FAM, 1);
        put_field(r, o, "cpuid_mod_id", SV_SNP_CPUID_MOD, 1);
        put_field(r, o, "cpuid_step", SV_SNP_CPUID_STEP, 1);
    }
    turin = ok && sv_snp_product_of(r[SV_SNP_CPUID_FAM], r[SV_SNP_CPUID_MOD]) == SV_SNP_TURIN;
    ok = ok && put_tcb(r, o, "current_tcb", SV_SNP_CURRENT_TCB, turin) &&
         put_tcb(r, o, "reported_tcb", SV_SNP_REPORTED_TCB, turin) &&
         put_tcb(r, o, "committed_tcb", SV_SNP_COMMITTED_TCB, turin) &&
         put_tcb(r, o, "launch_tcb", SV_SNP_LAUNCH_TCB, turin) &&
         put_build(r, o, "current", SV_SNP_CURRENT_BUILD) &&
         put_build(r, o, "committed", SV_SNP_COMMITTED_BUILD);
    if (ok && sh_le32(r) >= 5) {
        put_field(r, o, "launch_mit_vector", SV_SNP_LAUNCH_MIT_VECTOR, 8);
        put_field(r, o, "current_mit_vector", SV_SNP_CURRENT_MIT_VECTOR, 8);
    }
    ok = ok && put_field(r, sig, "r", SV_SNP_SIG_R, 72) && put_field(r, sig, "s", SV_SNP_SIG_S, 72);
    if (!ok) {
        free(r);
        r = NULL;
    }
    return r;
}

// CSV: {"attestation_report": {"data": [4096], "magic": [16], "flags": n},
//       "cert_chain": {"hsk_cek": 2916 bytes, absent where they are fetched}}
static int open_csv_json(const cJSON *root, const cJSON *report, struct sv_evidence *ev)
{
    size_t size, magic_size = 0;
    uint8_t *data = decode_value(sv_json_get(report, "data"), &size);
    uint8_t *magic = decode_value(sv_json_get(report, "magic"), &magic_size);
    const cJSON *flags = sv_json_get(report, "flags");

    if (data)
        take_data(ev, data, size);
    ev->csv_version = magic && magic_size == 16 && !memcmp(magic, "ATTESTATION_EXT", 16) &&
                              cJSON_IsNumber(flags) && flags->valueint == 1
                          ? 2
                          : 1;
    free(magic);
    ev->hygon =
        decode_value(sv_json_get(sv_json_get(root, "cert_chain"), "hsk_cek"), &ev->hygon_size);
    ev->type = SHELTER_EVIDENCE_CSV;
    return data ? 0 : -1;
}

// deep: how many objects stand around this one; two at most.
static int open_json(const cJSON *root, struct sv_evidence *ev, int deep)
{
    const cJSON *item = sv_json_get(root, "attestation_report");
    const cJSON *inner = sv_json_get(root, "primary_evidence");
    size_t size;
    uint8_t *data;

    // Intel Trust Authority's composite requests name evidence by its TEE.
    for (size_t i = 0; !inner && i < 3; i++)
        inner = sv_json_get(root, ((const char *const[]){"tdx", "sgx", "sevsnp"})[i]);
    if (cJSON_IsObject(inner) && deep < 2)
        return open_json(inner, ev, deep + 1);
    if (sv_evidence_bound(root, ev) || take_measured_log(root, ev))
        return -1;
    take_event_log(root, ev);
    if (cJSON_IsObject(item) && sv_json_get(item, "data"))
        return open_csv_json(root, item, ev);
    if (cJSON_IsObject(item)) {
        data = snp_from_members(item);
        if (data)
            take_data(ev, data, SV_SNP_REPORT_SIZE);
        take_cert_chain(sv_json_get(root, "cert_chain"), ev);
        return data ? 0 : -1;
    }
    if (!item)
        item = sv_json_get(root, "quote");
    if (!item) // Azure's TDX has the TD's quote beside the paravisor's report
        item = sv_json_get(root, "td_quote");
    if (!item) {
        item = sv_json_get(root, "hcl_report");
        if (item && take_tpm(sv_json_get(root, "tpm_quote"), ev))
            return -1;
    }
    if (!item) {
        item = sv_json_get(root, "outblob"); // configfs-tsm
        if (item && take_svsm(root, ev))
            return -1;
    }
    if (!item)
        item = sv_json_get(root, "report"); // Trust Authority's SNP
    data = decode_value(item, &size);
    if (!data)
        return -1;
    take_data(ev, data, size);
    take_cert_chain(sv_json_get(root, "cert_chain"), ev);
    item = sv_json_get(root, "vcek");
    data = cJSON_IsString(item) ? sv_unbase64_new(item->valuestring, &size) : NULL;
    if (data)
        sv_certs_add(&ev->certs, data, size);
    free(data);
    item = sv_json_get(root, "auxblob");
    data = cJSON_IsString(item) ? sv_unbase64_new(item->valuestring, &size) : NULL;
    if (data)
        take_cert_table(data, size, ev);
    free(data);
    return 0;
}

// Azure: header 32, SNP report 1184, then { size, version, type, hash type, data size } and data.
static void open_hcl(struct sv_evidence *ev)
{
    struct sv_bytes in = {ev->data, ev->size};
    const uint8_t *head;
    size_t size;

    sv_take(&in, 32);
    ev->data = in.data;
    ev->size = in.size;
    if (!sv_take(&in, SV_SNP_REPORT_SIZE) || !(head = sv_take(&in, 20)))
        return;
    size = sh_le32(head + 16);
    ev->hcl_hash = sh_le32(head + 12);
    if (size <= in.size)
        ev->hcl_runtime = (struct sv_bytes){in.data, size};
}

static enum shelter_evidence_type tell_raw(struct sv_evidence *ev)
{
    uint16_t version;

    if (ev->type != SHELTER_EVIDENCE_CSV)
        sv_evidence_open_enclave(ev);
    if (ev->size > 32 && !memcmp(ev->data, "HCLA", 4)) {
        open_hcl(ev);
        return SHELTER_EVIDENCE_SNP;
    }
    if (ev->type == SHELTER_EVIDENCE_CSV)
        return SHELTER_EVIDENCE_CSV;
    if (sv_nitro_is(ev->data, ev->size))
        return SHELTER_EVIDENCE_NITRO;
    if (ev->size >= 16 && sh_le16(ev->data) >= 1 && sh_le16(ev->data) <= 9 &&
        sh_le16(ev->data + 2) && sh_le16(ev->data + 2) <= 16)
        // version, then the attestation key's type (an SNP report has the version's zeros there)
        return ev->size >= 8 && sh_le32(ev->data + 4) == 0x81 ? SHELTER_EVIDENCE_TDX
                                                              : SHELTER_EVIDENCE_SGX;
    version = ev->size >= 4 ? sh_le16(ev->data) : 0;
    if (ev->size >= 4 && version >= 1 && version <= 9 && !sh_le16(ev->data + 2))
        return SHELTER_EVIDENCE_SNP;
    if (ev->size == SV_CSV_PAGE_SIZE || ev->size == SV_CSV_V1_SIZE || ev->size == SV_CSV_V2_SIZE)
        return SHELTER_EVIDENCE_CSV;
    return SHELTER_EVIDENCE_AUTO;
}

int sv_evidence_open(const void *data, size_t size, enum shelter_evidence_type asked,
                     struct sv_evidence *out, struct shelter_verdict *v)
{
    static const char *const names[] = {"unknown", "SGX", "TDX", "SNP", "CSV", "NitroTPM"};
    const char *text = data;
    uint8_t *decoded;
    size_t at = 0, decoded_size;

    *out = (struct sv_evidence){.data = data, .size = size, .csv_version = 1};
    if (size > SHELTER_EVIDENCE_SIZE_MAX)
        return sv_refuse(v, SHELTER_R_TOO_LARGE, "%zu bytes", size);
    if (size == 0)
        return sv_refuse(v, SHELTER_R_TRUNCATED, "it is empty");
    while (at < size &&
           (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t'))
        at++;
    if (at < size && text[at] == '{') {
        cJSON *root = sv_json_read(text, size, SV_JSON_VALUES_MAX, NULL, 0);
        int rc = cJSON_IsObject(root) ? open_json(root, out, 0) : -1;

        cJSON_Delete(root);
        if (rc)
            return sv_refuse(v, SHELTER_R_EVIDENCE_JSON, NULL);
    } else {
        if ((decoded = sv_evidence_text(text, size, &decoded_size)))
            take_data(out, decoded, decoded_size);
        // Raw pages of the two versions look alike: the extended one has its PEK further back.
        if (asked == SHELTER_EVIDENCE_CSV) {
            out->type = SHELTER_EVIDENCE_CSV;
            if (out->size >= SV_CSV_V2_SIZE && sh_le32(out->data + 1168 + 8) == 0x1002)
                out->csv_version = 2;
        }
    }
    out->type = tell_raw(out);
    if (out->type == SHELTER_EVIDENCE_AUTO)
        return sv_refuse(v,
                         asked == SHELTER_EVIDENCE_AUTO || size >= 48 ? SHELTER_R_UNKNOWN_EVIDENCE
                                                                      : SHELTER_R_TRUNCATED,
                         NULL);
    v->type = out->type;
    if (out->svsm.manifest.data && out->type != SHELTER_EVIDENCE_SNP)
        return sv_refuse(v, SHELTER_R_EVIDENCE_JSON,
                         "an SVSM's manifest is beside SNP reports only");
    if (asked != SHELTER_EVIDENCE_AUTO && asked != out->type)
        return sv_refuse(v, SHELTER_R_TYPE_MISMATCH, "%s instead of %s", names[out->type],
                         names[asked]);
    return 0;
}

void sv_evidence_free(struct sv_evidence *ev)
{
    free(ev->owned);
    free(ev->event_log);
    free(ev->bound);
    free(ev->measured_log);
    free(ev->hygon);
    if (ev->tpm) {
        free((void *)(uintptr_t)ev->tpm->message.data);
        free((void *)(uintptr_t)ev->tpm->signature.data);
    }
    free(ev->tpm);
    free((void *)(uintptr_t)ev->svsm.manifest.data);
    free((void *)(uintptr_t)ev->svsm.nonce.data);
    sv_certs_free(&ev->certs);
}
