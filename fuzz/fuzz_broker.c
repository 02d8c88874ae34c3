// SPDX-License-Identifier: Apache-2.0
// What a stranger sends to the broker: attestations of both versions, tokens, keys, requests for
// certificates; and the files that its operator writes: rules, policies, identities.
#include <stdlib.h>
#include <string.h>

#include <openssl/ec.h>

#include "verifier/broker/ca.h"
#include "verifier/broker/foreign.h"
#include "verifier/broker/hsm_keys.h"
#include "verifier/broker/jose.h"
#include "verifier/broker/judge.h"
#include "verifier/broker/launch.h"
#include "verifier/broker/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void attestation(const cJSON *body)
{
    static struct sb_judge judge; // without roots nothing is accepted, so no store is needed
    struct sb_challenge s = {.nonce = "N", .tee = SHELTER_EVIDENCE_TDX};
    struct sb_judgement out;

    for (int i = 0; i < 4; i++) {
        s.protocol = i % 2 ? SB_0_4_0 : SB_0_2_0;
        s.tee = i < 2 ? SHELTER_EVIDENCE_TDX : SHELTER_EVIDENCE_SNP;
        if (sb_judge_attestation(&judge, &s, body, 1750000000, &out))
            abort();
        cJSON_Delete(out.payload);
    }
}

// An issuers' file, and tokens for issuers that are trusted: by the fuzzer's own file, and by one
// whose key nobody signs with.
static void foreign(EVP_PKEY *key, const char *text, size_t size)
{
    static struct sb_issuers *fixed;
    struct sb_issuers *own = NULL;
    struct sb_hsm_keys *keys = NULL;
    char why[400];

    if (!fixed) {
        cJSON *public = sb_jwk_public(key);
        char whole[1024], *jwk = cJSON_PrintUnformatted(public);

        snprintf(whole, sizeof(whole),
                 "{\"issuers\":[{\"name\":\"a\",\"iss\":\"i\",\"keys\":{\"keys\":[%s]}}]}", jwk);
        if (sb_issuers_parse(whole, strlen(whole), &fixed, why, sizeof(why)))
            abort();
        free(jwk);
        cJSON_Delete(public);
    }
    if (sb_foreign_verify(fixed, text, 1750000000, why, sizeof(why)))
        abort();
    if (!sb_issuers_parse(text, size, &own, why, sizeof(why)))
        cJSON_Delete(sb_foreign_verify(own, text, 1750000000, why, sizeof(why)));
    sb_issuers_free(own);
    sb_hsm_keys_parse(text, size, &keys, why, sizeof(why));
    free(keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static EVP_PKEY *key;
    char *text = malloc(size + 1), why[200], *jwe = NULL;
    struct sb_identity identity;
    cJSON *value;

    if (!key)
        key = EVP_EC_gen("P-256");
    memcpy(text, data, size);
    text[size] = 0;
    if (sb_jws_verify(key, text))
        abort();
    EVP_PKEY_free(sb_csr_key(data, size));
    foreign(key, text, size);
    if (sb_path_ok(text) && sb_identity_ok(text))
        abort();
    sb_identity_parse(text, &identity, why, sizeof(why));
    sb_policy_once(text);
    sb_policy_check(text, size, why, sizeof(why));
    value = cJSON_ParseWithLength(text, size);
    if (value) {
        cJSON *again;
        char *once = sb_jcs(value), *twice;

        attestation(value);
        if (!sb_launch_rules_check(value, why, sizeof(why)))
            sb_launch_judge(value, NULL, SH_LAUNCH_HEAD "env A=1\n" SH_LAUNCH_TAIL,
                            strlen(SH_LAUNCH_HEAD "env A=1\n" SH_LAUNCH_TAIL), why, sizeof(why));
        sb_policy_judge(text, text, value, why, sizeof(why));
        if (!sb_jwe_encrypt(value, "x", 1, &jwe))
            free(jwe);
        // Canonical means: the same again.
        again = once ? cJSON_Parse(once) : NULL;
        twice = again ? sb_jcs(again) : NULL;
        if (once && (!twice || strcmp(once, twice)))
            abort();
        cJSON_Delete(again);
        free(once);
        free(twice);
    }
    cJSON_Delete(value);
    free(text);
    return 0;
}
