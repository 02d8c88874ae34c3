// SPDX-License-Identifier: Apache-2.0
// The vTPM's quote: its key, its signature, the PCRs that it is of.
#include "verifier/quote/tpm.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"
#include "verifier/base/x509.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#define MAGIC 0xff544347u // TPM_GENERATED: no TPM signs such bytes for a caller
#define ATTEST_QUOTE 0x8018u
#define ALG_SHA256 0x000bu
#define RUNTIME_VALUES_MAX 4096

uint32_t sv_tpm_number(struct sv_bytes *in, size_t size, bool *ok)
{
    const uint8_t *p = *ok ? sv_take(in, size) : NULL;
    uint32_t n = 0;

    *ok = p;
    for (size_t i = 0; p && i < size; i++)
        n = n << 8 | p[i];
    return n;
}

struct sv_bytes sv_tpm_sized(struct sv_bytes *in, bool *ok)
{
    size_t size = sv_tpm_number(in, 2, ok);
    const uint8_t *p = *ok ? sv_take(in, size) : NULL;

    *ok = p;
    return (struct sv_bytes){p, p ? size : 0};
}

struct attest {
    struct sv_bytes extra, digest;
    uint32_t selected; // PCRs of SHA-256, a bit each
};

static bool parse_attest(struct sv_bytes in, struct attest *out)
{
    bool ok = true;

    *out = (struct attest){.selected = 0};
    if (sv_tpm_number(&in, 4, &ok) != MAGIC || sv_tpm_number(&in, 2, &ok) != ATTEST_QUOTE)
        return false;
    sv_tpm_sized(&in, &ok); // the signer's name
    out->extra = sv_tpm_sized(&in, &ok);
    // clock, resets, restarts, safe; the firmware's version; one bank of PCRs
    if (!ok || !sv_take(&in, 17 + 8) || sv_tpm_number(&in, 4, &ok) != 1 ||
        sv_tpm_number(&in, 2, &ok) != ALG_SHA256 || sv_tpm_number(&in, 1, &ok) != 3)
        return false;
    for (unsigned i = 0; i < 3; i++)
        out->selected |= sv_tpm_number(&in, 1, &ok) << 8 * i;
    out->digest = sv_tpm_sized(&in, &ok);
    return ok && !in.size && out->digest.size == 32;
}

static BIGNUM *number_of(const cJSON *jwk, const char *name, size_t size_max)
{
    size_t size = 0;
    uint8_t *data =
        sv_json_string(jwk, name) ? sv_unbase64_new(sv_json_text(jwk, name), &size) : NULL;
    BIGNUM *n = data && size && size <= size_max ? BN_bin2bn(data, (int)size, NULL) : NULL;

    free(data);
    return n;
}

static EVP_PKEY *rsa_of(const cJSON *jwk)
{
    BIGNUM *n = number_of(jwk, "n", 512), *e = number_of(jwk, "e", 4);
    EVP_PKEY *key = n && e ? sv_rsa_key(n, e) : NULL;

    BN_free(n);
    BN_free(e);
    return key;
}

// The vTPM's attestation key, as the paravisor has it.
static EVP_PKEY *find_key(struct sv_bytes runtime)
{
    cJSON *root =
        sv_json_read((const char *)runtime.data, runtime.size, RUNTIME_VALUES_MAX, NULL, 0);
    const cJSON *keys = sv_json_get(root, "keys"), *jwk;
    EVP_PKEY *key = NULL;

    if (cJSON_IsArray(keys))
        cJSON_ArrayForEach(jwk, keys) if (!key && !strcmp(sv_json_text(jwk, "kid"), "HCLAkPub") &&
                                          !strcmp(sv_json_text(jwk, "kty"), "RSA")) key =
            rsa_of(jwk);
    cJSON_Delete(root);
    return key;
}

static bool signature_holds(EVP_PKEY *key, const struct sv_tpm_quote *q)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestVerify(ctx, q->signature.data, q->signature.size, q->message.data,
                               q->message.size) == 1;

    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return ok;
}

static bool pcrs_match(const struct sv_tpm_quote *q, const struct attest *a)
{
    uint8_t joined[SV_TPM_PCRS * 32], digest[32];
    size_t n = 0;

    for (unsigned i = 0; i < SV_TPM_PCRS; i++)
        if (a->selected >> i & 1)
            memcpy(joined + 32 * n++, q->pcr[i], 32);
    sv_sha256_pair(joined, 32 * n, "", 0, digest);
    return !memcmp(digest, a->digest.data, 32);
}

void sv_tpm_judge_by(const struct sv_tpm_quote *q, EVP_PKEY *key, struct shelter_verdict *v)
{
    struct attest a;
    const char *wrong = NULL;

    if (!signature_holds(key, q))
        wrong = "the vTPM's";
    else if (!parse_attest(q->message, &a) || a.extra.size > SHELTER_REPORT_DATA_SIZE)
        wrong = "what the vTPM signed is no quote of its SHA-256 registers";
    else if (!pcrs_match(q, &a))
        wrong = "the registers are not those that the vTPM signed";
    if (wrong) {
        sv_refuse(v, SHELTER_R_QUOTE_SIGNATURE, "%s", wrong);
        return;
    }
    for (unsigned i = 0; i < SV_TPM_PCRS; i++) {
        char name[16];

        snprintf(name, sizeof(name), "tpm_pcr%u", i);
        if (a.selected >> i & 1)
            sv_claim_hex(v, name, q->pcr[i], 32);
    }
    memset(v->report_data, 0, sizeof(v->report_data));
    memcpy(v->report_data, a.extra.data, a.extra.size);
    sv_claim_hex(v, "tpm_extra_data", a.extra.data, a.extra.size);
}

void sv_tpm_judge(const struct sv_tpm_quote *q, struct sv_bytes runtime, struct shelter_verdict *v)
{
    EVP_PKEY *key = find_key(runtime);

    if (key)
        sv_tpm_judge_by(q, key, v);
    else
        sv_refuse(v, SHELTER_R_QUOTE_SIGNATURE, "the vTPM's key is not in the runtime data");
    EVP_PKEY_free(key);
}
