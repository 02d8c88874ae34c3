// SPDX-License-Identifier: Apache-2.0
// Reads and judges the attestation document of an AWS instance with NitroTPM.
#include "verifier/quote/nitro.h"
#include "verifier/base/cbor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAG_SIGN1 0xd2u  // tag 18
#define ARRAY_OF_4 0x84u // COSE_Sign1
#define BYTES_OF_4 0x44u // its protected header
#define INDEFINITE 31u   // a length that a break ends
#define BREAK 0xffu
#define NIL 0xf6u
#define MEMBERS_MAX 16
#define MODULE_ID_MAX 128
#define CERTIFICATE_MAX 4096
#define DOCUMENT_MIN 256 // then its length in the signed bytes takes two
#define DOCUMENT_MAX 65535
#define SIGNATURE_SIZE 96

static const uint8_t es384[] = {0xa1, 0x01, 0x38, 0x22}; // {1: -35}

bool sv_nitro_is(const uint8_t *data, size_t size)
{
    size_t at = size && data[0] == TAG_SIGN1;

    return size >= at + 2 && data[at] == ARRAY_OF_4 && data[at + 1] == BYTES_OF_4;
}

// An array or map that is read item by item.
struct items {
    uint64_t left; // where the length is definite
    bool indefinite;
};

static bool open_items(struct sv_bytes *in, enum sv_cbor_major major, struct items *out)
{
    out->indefinite = in->size && in->data[0] == (major << 5 | INDEFINITE);
    return out->indefinite ? sv_take(in, 1) != NULL : sv_cbor_head(in, major, &out->left);
}

// Does another item stand there? A break is taken.
static bool has_more(struct sv_bytes *in, struct items *items)
{
    if (!items->indefinite)
        return items->left && items->left--;
    if (!in->size || in->data[0] != BREAK)
        return in->size;
    sv_take(in, 1);
    items->indefinite = false;
    items->left = 0;
    return false;
}

// Whether the items ended as announced, and not with the bytes.
static bool is_closed(const struct items *items)
{
    return !items->indefinite && !items->left;
}

static bool read_pcrs(struct sv_bytes *in, struct sv_nitro *out)
{
    struct items items;
    size_t count = 0;
    uint64_t index;

    if (!open_items(in, SV_CBOR_MAP, &items))
        return false;
    while (has_more(in, &items)) {
        if (!sv_cbor_head(in, SV_CBOR_UINT, &index) || index >= SV_NITRO_PCRS ||
            out->pcr[index].data || !sv_cbor_string(in, SV_CBOR_BYTES, &out->pcr[index]) ||
            out->pcr[index].size != SV_NITRO_PCR_SIZE)
            return false;
        count++;
    }
    return count && is_closed(&items);
}

static bool read_certificate(struct sv_bytes *in, struct sv_bytes *out)
{
    return sv_cbor_string(in, SV_CBOR_BYTES, out) && out->size && out->size <= CERTIFICATE_MAX;
}

static bool read_cas(struct sv_bytes *in, struct sv_nitro *out)
{
    struct items items;

    if (!open_items(in, SV_CBOR_ARRAY, &items))
        return false;
    while (has_more(in, &items))
        if (out->ca_count == SV_NITRO_CAS_MAX || !read_certificate(in, &out->ca[out->ca_count++]))
            return false;
    return out->ca_count && is_closed(&items);
}

// Bytes, or null for nothing.
static bool read_data(struct sv_bytes *in, struct sv_bytes *out)
{
    if (in->size && in->data[0] == NIL)
        return sv_take(in, 1) != NULL;
    return sv_cbor_string(in, SV_CBOR_BYTES, out) && out->size <= SV_NITRO_DATA_MAX;
}

static bool read_module(struct sv_bytes *in, struct sv_bytes *out)
{
    if (!sv_cbor_string(in, SV_CBOR_TEXT, out) || !out->size || out->size > MODULE_ID_MAX)
        return false;
    for (size_t i = 0; i < out->size; i++)
        if (out->data[i] <= ' ' || out->data[i] > '~')
            return false;
    return true;
}

static bool read_digest(struct sv_bytes *in)
{
    struct sv_bytes name;

    return sv_cbor_string(in, SV_CBOR_TEXT, &name) && name.size == 6 &&
           !memcmp(name.data, "SHA384", 6);
}

enum member {
    MODULE,
    DIGEST,
    TIMESTAMP,
    PCRS,
    CERTIFICATE,
    CAS,
    REQUIRED,
    KEY = REQUIRED,
    USER_DATA,
    NONCE,
    MEMBERS
};

static const char *const members[] = {"module_id",     "digest",      "timestamp",
                                      "nitrotpm_pcrs", "certificate", "cabundle",
                                      "public_key",    "user_data",   "nonce"};

static bool read_member(struct sv_bytes *in, enum member member, struct sv_nitro *out)
{
    switch (member) {
    case MODULE:
        return read_module(in, &out->module_id);
    case DIGEST:
        return read_digest(in);
    case TIMESTAMP:
        return sv_cbor_head(in, SV_CBOR_UINT, &out->timestamp);
    case PCRS:
        return read_pcrs(in, out);
    case CERTIFICATE:
        return read_certificate(in, &out->certificate);
    case CAS:
        return read_cas(in, out);
    case KEY:
        return read_data(in, &out->public_key);
    case USER_DATA:
        return read_data(in, &out->user_data);
    case NONCE:
        return read_data(in, &out->nonce);
    default:
        return false;
    }
}

static enum member member_of(const struct sv_bytes *name)
{
    int i = 0;

    while (i < MEMBERS &&
           (strlen(members[i]) != name->size || memcmp(members[i], name->data, name->size)))
        i++;
    return (enum member)i;
}

// Returns what is wrong, or NULL.
static const char *read_document(struct sv_bytes in, struct sv_nitro *out)
{
    struct items items;
    struct sv_bytes name;
    unsigned have = 0;

    if (!open_items(&in, SV_CBOR_MAP, &items))
        return "the document is no map";
    while (has_more(&in, &items)) {
        enum member member;

        if (!sv_cbor_string(&in, SV_CBOR_TEXT, &name))
            return "the document is cut off, or a name in it is no text";
        member = member_of(&name);
        if (member == MEMBERS)
            return name.size == 4 && !memcmp(name.data, "pcrs", 4)
                       ? "it is of an enclave of Nitro, not of NitroTPM"
                       : "the document has a member of unknown name";
        if (have & 1u << member)
            return "the document has a member twice";
        have |= 1u << member;
        if (!read_member(&in, member, out))
            return members[member];
    }
    if (!is_closed(&items) || in.size)
        return "the document does not end where it should";
    for (int i = 0; i < REQUIRED; i++)
        if (!(have & 1u << i))
            return members[i];
    return NULL;
}

static const char *read_sign1(struct sv_bytes in, struct sv_nitro *out)
{
    struct sv_bytes header;
    uint64_t count;

    if (in.size && in.data[0] == TAG_SIGN1)
        sv_take(&in, 1);
    if (!sv_cbor_head(&in, SV_CBOR_ARRAY, &count) || count != 4)
        return "it is no COSE_Sign1";
    if (!sv_cbor_string(&in, SV_CBOR_BYTES, &header) || header.size != sizeof(es384) ||
        memcmp(header.data, es384, sizeof(es384)))
        return "its algorithm is not ES384 alone";
    if (!sv_cbor_head(&in, SV_CBOR_MAP, &count) || count)
        return "it has an unprotected header";
    if (!sv_cbor_string(&in, SV_CBOR_BYTES, &out->document) || out->document.size < DOCUMENT_MIN ||
        out->document.size > DOCUMENT_MAX)
        return "the document's length";
    if (!sv_cbor_string(&in, SV_CBOR_BYTES, &out->signature) ||
        out->signature.size != SIGNATURE_SIZE)
        return "the signature's length";
    return NULL;
}

// Of any length up to SV_NITRO_DATA_MAX.
static void claim_data(struct shelter_verdict *v, const char *name, const struct sv_bytes *data)
{
    char text[2 * SV_NITRO_DATA_MAX + 1];

    if (!data->data)
        return;
    if (data->size <= sizeof(v->field[0].data)) {
        sv_claim_hex(v, name, data->data, data->size);
        return;
    }
    sh_hex(text, data->data, data->size);
    sv_claim_text(v, name, text);
}

static void make_claims(const struct sv_nitro *n, struct shelter_verdict *v)
{
    char name[16], module[MODULE_ID_MAX + 1];

    snprintf(module, sizeof(module), "%.*s", (int)n->module_id.size,
             (const char *)n->module_id.data);
    sv_claim_text(v, "module_id", module);
    sv_claim_number(v, "timestamp", n->timestamp);
    for (unsigned i = 0; i < SV_NITRO_PCRS; i++) {
        snprintf(name, sizeof(name), "tpm_pcr%u", i);
        if (n->pcr[i].data)
            sv_claim_hex(v, name, n->pcr[i].data, n->pcr[i].size);
    }
    claim_data(v, "public_key", &n->public_key);
    claim_data(v, "user_data", &n->user_data);
    claim_data(v, "nonce", &n->nonce);
}

int sv_nitro_parse(const uint8_t *data, size_t size, struct sv_nitro *out,
                   struct shelter_verdict *v)
{
    const char *wrong;

    *out = (struct sv_nitro){.ca_count = 0};
    wrong = read_sign1((struct sv_bytes){data, size}, out);
    if (!wrong)
        wrong = read_document(out->document, out);
    if (wrong)
        return sv_refuse(v, SHELTER_R_NITRO_DOCUMENT, "%s", wrong);
    make_claims(out, v);
    if (out->user_data.size <= sizeof(v->report_data) && out->user_data.size)
        memcpy(v->report_data, out->user_data.data, out->user_data.size);
    v->have_report_data = true;
    return 0;
}

// RFC 9052, 4.4: [ "Signature1", protected, external (none), payload ]
static bool signature_holds(const struct sv_nitro *n, EVP_PKEY *key)
{
    static const uint8_t head[] = {ARRAY_OF_4, 0x6a, 'S', 'i',        'g',  'n',  'a',  't',  'u',
                                   'r',        'e',  '1', BYTES_OF_4, 0xa1, 0x01, 0x38, 0x22, 0x40};
    size_t size = sizeof(head) + 3 + n->document.size;
    uint8_t *all = malloc(size), *at = all;
    bool ok;

    if (!all)
        return false;
    memcpy(at, head, sizeof(head));
    at += sizeof(head);
    *at++ = 0x59; // bytes, their length in two
    *at++ = (uint8_t)(n->document.size >> 8);
    *at++ = (uint8_t)n->document.size;
    memcpy(at, n->document.data, n->document.size);
    ok = sv_ecdsa_verify(key, EVP_sha384(), n->signature.data, n->signature.data + 48, 48, all,
                         size);
    free(all);
    return ok;
}

static bool may_sign(X509 *leaf)
{
    return X509_check_ca(leaf) == 0 && X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE &&
           sv_key_is_ec(X509_get0_pubkey(leaf), "secp384r1");
}

static void judge_dates(const struct sv_chain *chain, struct shelter_verdict *v)
{
    char text[32];

    if (v->time < chain->not_before) {
        sv_time_format(chain->not_before, text);
        sv_refuse(v, SHELTER_R_CERT_EARLY, "Nitro's chain, valid from %s", text);
    } else if (v->time > chain->not_after) {
        sv_time_format(chain->not_after, text);
        sv_refuse(v, SHELTER_R_CERT_EXPIRED, "Nitro's chain, valid to %s", text);
    }
}

static void judge_chain(X509 *leaf, const struct sv_certs *pool, const struct sv_certs *named,
                        bool allow_simulated, struct shelter_verdict *v)
{
    struct sv_chain chain;
    char cn[64] = "";
    int rc = sv_chain_build(leaf, pool, named, SV_AWS, NULL, &chain);

    if (chain.count)
        sv_name_cn(X509_get_issuer_name(chain.cert[chain.count - 1]), cn, sizeof(cn));
    if (rc) {
        sv_refuse(v, SHELTER_R_NITRO_CHAIN, "\"%s\" did not sign, or is missing", cn);
        return;
    }
    v->simulated = chain.simulated;
    if (chain.root == SV_ROOT_NONE) {
        sv_refuse(v, chain.simulated ? SHELTER_R_SIMULATED : SHELTER_R_ROOT, "\"%s\"", cn);
        return;
    }
    if (chain.simulated && !allow_simulated)
        sv_refuse(v, SHELTER_R_SIMULATED, NULL);
    snprintf(v->root, sizeof(v->root), "%s",
             chain.root == SV_ROOT_PINNED ? "pinned" : "named by the caller");
    judge_dates(&chain, v);
}

void sv_nitro_judge(const struct sv_nitro *nitro, const struct sv_certs *named,
                    bool allow_simulated, struct shelter_verdict *v)
{
    struct sv_certs leaf = {0}, pool = {0};
    bool ok =
        !sv_certs_add(&leaf, nitro->certificate.data, nitro->certificate.size) && leaf.count == 1;

    for (size_t i = 0; ok && i < nitro->ca_count; i++)
        ok = !sv_certs_add(&pool, nitro->ca[i].data, nitro->ca[i].size);
    if (!ok) {
        sv_refuse(v, SHELTER_R_CERT_PARSE, "in Nitro's document");
    } else if (!may_sign(leaf.cert[0])) {
        sv_refuse(v, SHELTER_R_NITRO_CHAIN, "the certificate is not for signing with P-384");
    } else {
        if (!signature_holds(nitro, X509_get0_pubkey(leaf.cert[0])))
            sv_refuse(v, SHELTER_R_NITRO_SIGNATURE, NULL);
        judge_chain(leaf.cert[0], &pool, named, allow_simulated, v);
    }
    sv_certs_free(&leaf);
    sv_certs_free(&pool);
}
