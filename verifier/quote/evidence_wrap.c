// SPDX-License-Identifier: Apache-2.0
// What others put around a quote: Open Enclave's headers, text, and what they say that it binds.
#include "verifier/quote/evidence.h"
#include "verifier/base/json.h"

#include <stdlib.h>

#include <openssl/evp.h>

// oe_report_header_t:      version u32 = 1 | type u32 (1 local, 2 remote) | size u64 | quote
// oe_attestation_header_t: version u32 = 1 | format UUID 16 | size u64 | quote, custom claims
#define OE_REPORT_HEAD 16u
#define OE_ATTESTATION_HEAD 28u

void sv_evidence_open_enclave(struct sv_evidence *ev)
{
    // Formats whose report data is SHA-256 of the custom claims: SGX by ECDSA. (Legacy reports and
    // raw quotes hold the caller's bytes.)
    static const uint8_t ecdsa[16] = {0xa3, 0xa2, 0x1e, 0x87, 0x1b, 0x4d, 0x40, 0x14,
                                      0xb7, 0x0a, 0xa1, 0x25, 0xd2, 0xfb, 0xcd, 0x8c};
    const uint8_t *p = ev->data;
    size_t head, inner;

    if (ev->size < OE_ATTESTATION_HEAD + 48 || sh_le32(p) != 1)
        return;
    head =
        (sh_le32(p + 4) == 1 || sh_le32(p + 4) == 2) && sh_le64(p + 8) <= ev->size - OE_REPORT_HEAD
            ? OE_REPORT_HEAD
            : OE_ATTESTATION_HEAD;
    inner = sh_le64(p + head - 8);
    if (inner > ev->size - head || inner < 48)
        return;
    ev->open_enclave = head == OE_ATTESTATION_HEAD && !memcmp(p + 4, ecdsa, sizeof(ecdsa));
    ev->data = p + head;
    ev->size = inner;
}

uint8_t *sv_evidence_text(const char *text, size_t size, size_t *out_size)
{
    char *plain = malloc(size + 1);
    size_t n = 0;
    uint8_t *out = NULL;

    for (size_t i = 0; plain && i < size; i++) {
        char c = text[i];

        if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
            continue;
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              c == '+' || c == '/' || c == '-' || c == '_' || c == '=')) {
            free(plain);
            return NULL;
        }
        plain[n++] = c;
    }
    if (plain && n > 64) {
        size_t at = !strncmp(plain, "0x", 2) ? 2 : 0;

        plain[n] = 0;
        out = sv_unhex_new(plain + at, out_size); // every hex text is also base64
        if (!out && !at)
            out = sv_unbase64_new(plain, out_size);
    }
    free(plain);
    return out;
}

static bool add_text(uint8_t *out, size_t *at, size_t size, const char *base64)
{
    size_t n;
    uint8_t *data;

    if (!*base64)
        return true;
    data = sv_unbase64_new(base64, &n);
    if (!data || n > size - *at) {
        free(data);
        return false;
    }
    memcpy(out + *at, data, n);
    *at += n;
    free(data);
    return true;
}

// Intel Trust Authority: {"quote", "verifier_nonce": {"val", "iat", "signature"}, "runtime_data",
// "user_data"}, base64. Microsoft Azure Attestation: {"quote", "runtimeData": {"data",
// "dataType"}}.
int sv_evidence_bound(const cJSON *root, struct sv_evidence *ev)
{
    const cJSON *nonce = sv_json_get(root, "verifier_nonce");
    const char *val = sv_json_text(nonce, "val"), *iat = sv_json_text(nonce, "iat");
    const char *data = sv_json_text(root, "runtime_data");
    size_t size;

    if (!*data)
        data = sv_json_text(sv_json_get(root, "runtimeData"), "data");
    size = strlen(val) + strlen(iat) + strlen(data);
    if (!size)
        return 0;
    free(ev->bound);
    ev->bound_nonce_size = ev->bound_size = 0;
    ev->bound = malloc(size);
    if (!ev->bound || !add_text(ev->bound, &ev->bound_nonce_size, size, val) ||
        !add_text(ev->bound, &ev->bound_nonce_size, size, iat))
        return -1;
    ev->bound_size = ev->bound_nonce_size;
    return add_text(ev->bound, &ev->bound_size, size, data) ? 0 : -1;
}

static bool is_digest(const struct shelter_verdict *v, const EVP_MD *md, const uint8_t *data,
                      size_t size)
{
    uint8_t digest[64] = {0};

    return EVP_Digest(data, size, digest, NULL, md, NULL) == 1 &&
           !memcmp(digest, v->report_data, sizeof(digest));
}

// TDX adapters hash by SHA-512, programs in enclaves by what they like, Azure's paravisor hashes
// its own data by SHA-256, without the nonce.
static bool is_bound(const struct sv_evidence *ev, const struct shelter_verdict *v)
{
    const EVP_MD *const hashes[] = {EVP_sha512(), EVP_sha384(), EVP_sha256()};
    size_t skip = ev->bound_nonce_size;

    for (size_t i = 0; i < 3; i++)
        if (is_digest(v, hashes[i], ev->bound, ev->bound_size))
            return true;
    return ev->bound_size > skip &&
           is_digest(v, EVP_sha256(), ev->bound + skip, ev->bound_size - skip);
}

static void judge_custom_claims(const struct sv_evidence *ev, struct shelter_verdict *v)
{
    struct sv_bytes in = {ev->data, ev->size};
    const uint8_t *head = sv_take(&in, 48 + 384), *length = sv_take(&in, 4);

    if (!head || sh_le16(head) != 3 || !length || !sv_take(&in, sh_le32(length)))
        return; // another quote than the format has; its own parser judges it
    if (!in.size)
        return;
    if (!is_digest(v, EVP_sha256(), in.data, in.size))
        sv_refuse(v, SHELTER_R_REPORT_DATA, "the custom claims of Open Enclave");
    else
        sv_claim_bool(v, "oe_custom_claims_bound", true);
}

void sv_evidence_judge_bound(const struct sv_evidence *ev, struct shelter_verdict *v)
{
    if (ev->open_enclave)
        judge_custom_claims(ev, v);
    if (!ev->bound)
        return;
    if (is_bound(ev, v))
        sv_claim_bool(v, "runtime_data_bound", true);
    else
        sv_refuse(v, SHELTER_R_REPORT_DATA, "the nonce and data that the request names");
}
