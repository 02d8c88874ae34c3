// SPDX-License-Identifier: Apache-2.0
// What a vTPM signed, by a key of the harness's own, so that the parser behind the signature is
// reached: the message, the registers, and the paravisor's runtime data that names the key.
//
// Input: u8 what | bytes. what 0: the runtime data; 1: the message, registers all zero; 2: the
// message, with the digest of its registers put at its end.
#include "verifier/quote/tpm.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "verifier/judge/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static EVP_PKEY *key;
static char runtime[1024];

static void make_key(void)
{
    BIGNUM *n = NULL;
    uint8_t bytes[256];
    char text[400];
    long length;

    key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
    if (!key || !EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) ||
        BN_bn2binpad(n, bytes, sizeof(bytes)) < 0)
        abort();
    BN_free(n);
    length = EVP_EncodeBlock((unsigned char *)text, bytes, sizeof(bytes));
    text[length] = 0;
    snprintf(runtime, sizeof(runtime),
             "{\"keys\":[{\"kid\":\"HCLAkPub\",\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"%s\"}]}",
             text);
}

static void sign(const void *data, size_t size, uint8_t out[256])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t n = 256;

    if (!ctx || EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestSign(ctx, out, &n, data, size) != 1)
        abort();
    EVP_MD_CTX_free(ctx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct shelter_verdict *v = sv_verdict_new(1750000000);
    struct sv_tpm_quote q = {0};
    uint8_t message[4096], signature[256], zeros[SV_TPM_PCRS * 32] = {0};
    unsigned what = size ? data[0] % 3 : 0;
    size_t n = size ? size - 1 : 0, pcrs = 0;

    if (!key)
        make_key();
    if (n > sizeof(message))
        n = sizeof(message);
    if (n)
        memcpy(message, data + 1, n);
    if (what == 2 && n >= 37) { // the registers that the three bytes before it select
        for (int i = 0; i < 24; i++)
            pcrs += message[n - 37 + (size_t)i / 8] >> i % 8 & 1;
        SHA256(zeros, 32 * pcrs, message + n - 32);
    }
    q.message = (struct sv_bytes){message, what ? n : 0};
    q.signature = (struct sv_bytes){signature, sizeof(signature)};
    sign(message, q.message.size, signature);
    sv_tpm_judge(&q,
                 what ? (struct sv_bytes){(uint8_t *)runtime, strlen(runtime)}
                      : (struct sv_bytes){message, n},
                 v);
    free(shelter_verdict_json(v));
    shelter_verdict_free(v);
    return 0;
}
