// SPDX-License-Identifier: Apache-2.0
// The endpoints of keys in tokens.
#include "verifier/broker/hsm.h"
#include "verifier/base/json.h"
#include "verifier/broker/admit.h"
#include "verifier/broker/hsm_keys.h"
#include "verifier/broker/jose.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "lib/base64.h"
#include "lib/hex.h"
#include "lib/sha2.h"

#define VALUES_MAX 8
// At most so many threads wait for tokens, which may be slow or hang.
#define CALLS_MAX 4

struct deed {
    struct sb_request *r;
    struct sb_judgement *out;
    struct sb_hsm_key key;
    const struct sb_pkcs11_algorithm *algorithm;
    uint8_t in[SB_PKCS11_BYTES_MAX], result[SB_PKCS11_BYTES_MAX];
    size_t in_size, result_size;
};

static bool refuse(struct deed *d, int status, const char *code, const char *detail)
{
    d->out->status = status;
    snprintf(d->out->code, sizeof(d->out->code), "%s", code);
    snprintf(d->out->detail, sizeof(d->out->detail), "%s", detail);
    return false;
}

// A copy: a reload may change the list while the token is asked.
static bool find_key(struct deed *d, const char *path)
{
    struct sb_judge *j = &d->r->server->judge;
    const struct sb_hsm_key *k;

    pthread_rwlock_rdlock(&j->rules);
    k = sb_hsm_keys_find(j->hsm_keys, path);
    if (k)
        d->key = *k;
    pthread_rwlock_unlock(&j->rules);
    return k ? true : refuse(d, 404, "no-such-key", "there is no such key");
}

static bool take_algorithm(struct deed *d, const char *name, enum sb_pkcs11_use use)
{
    for (size_t i = 0; d->key.algorithms[i]; i++)
        if (d->key.algorithms[i]->use == use && !strcmp(d->key.algorithms[i]->name, name)) {
            d->algorithm = d->key.algorithms[i];
            return true;
        }
    return refuse(d, 403, "algorithm", "the key is not for this, or not by this algorithm");
}

static bool take_bytes(struct deed *d, const char *text)
{
    long n = sh_unbase64url(d->in, sizeof(d->in), text, strlen(text));
    size_t want = d->algorithm->digest_size;

    d->in_size = n > 0 ? (size_t)n : 0;
    return n > 0 && (!want || d->in_size == want)
               ? true
               : refuse(d, 400, "malformed",
                        want ? "\"digest\" is not a digest of the algorithm's size, base64url"
                             : "\"wrapped\" is not 1 to 1024 bytes, base64url");
}

// What was done, for the log: of what is signed the digest, of what is unwrapped its SHA-256.
static void describe(struct deed *d)
{
    uint8_t hash[SH_SHA256_SIZE];
    char hex[2 * 64 + 1];

    if (d->algorithm->use == SB_PKCS11_SIGN) {
        sh_hex(hex, d->in, d->in_size);
    } else {
        sh_sha256(hash, d->in, d->in_size);
        sh_hex(hex, hash, sizeof(hash));
    }
    snprintf(d->out->detail, sizeof(d->out->detail), "%s %s", d->algorithm->name, hex);
}

static bool use_key(struct deed *d)
{
    static atomic_int calls;
    char why[256] = "";
    int rc = -EBUSY;

    if (atomic_fetch_add(&calls, 1) < CALLS_MAX)
        rc = d->algorithm->use == SB_PKCS11_SIGN
                 ? sb_pkcs11_sign(d->key.uri, d->algorithm, d->in, d->result, &d->result_size, why,
                                  sizeof(why))
                 : sb_pkcs11_unwrap(d->key.uri, d->algorithm, d->in, d->in_size, d->result,
                                    &d->result_size, why, sizeof(why));
    atomic_fetch_sub(&calls, 1);
    if (!rc)
        return true;
    d->r->retry_after = rc == -EBUSY;
    if (rc == -EBUSY)
        return refuse(d, 503, "busy", "the token is asked by others");
    return rc == -EBADMSG ? refuse(d, 400, "wrapped", why) : refuse(d, 503, "token", why);
}

static void send_signature(struct deed *d)
{
    cJSON *o = cJSON_CreateObject();
    char *text = sb_base64url(d->result, d->result_size);

    cJSON_AddStringToObject(o, "signature", text ? text : "");
    sb_answer_json(d->r, text ? cJSON_PrintUnformatted(o) : NULL);
    cJSON_Delete(o);
    free(text);
}

static void send_unwrapped(struct deed *d, const cJSON *payload)
{
    char *jwe = NULL;

    if (sb_jwe_encrypt(sv_json_get(payload, "tee-pubkey"), d->result, d->result_size, &jwe))
        refuse(d, 500, "internal", "the answer cannot be encrypted");
    else
        sb_answer_json(d->r, jwe);
}

static void answer_permitted(struct deed *d, const char *path, const cJSON *payload,
                             const cJSON *body, enum sb_pkcs11_use use)
{
    const char *bytes = sv_json_text(body, use == SB_PKCS11_SIGN ? "digest" : "wrapped");

    if (sb_is_once(d->r->server->store, path)) {
        refuse(d, 403, "policy", "a policy says \"once\", which holds for no key");
        return;
    }
    if (!find_key(d, path) || !take_algorithm(d, sv_json_text(body, "algorithm"), use) ||
        !take_bytes(d, bytes) || !use_key(d))
        return;
    if (use == SB_PKCS11_SIGN)
        send_signature(d);
    else
        send_unwrapped(d, payload);
    if (d->out->status == 200)
        describe(d);
}

static void serve(struct sb_request *r, const char *path, enum sb_pkcs11_use use)
{
    struct sb_judgement out = {.status = 0};
    struct deed d = {.r = r, .out = &out};
    cJSON *body = sb_path_ok(path) ? sb_body_json(r, VALUES_MAX) : NULL, *payload;

    if (!body) {
        if (!r->status)
            sb_problem(r, 400, "malformed", "a key is REPOSITORY/TYPE/TAG");
        return;
    }
    payload = sb_check_token(r, false, &out);
    if (payload) {
        sb_describe_attested(&out, payload);
        if (sb_is_permitted(r, path, payload, &out))
            answer_permitted(&d, path, payload, body, use);
    }
    // What the token said of itself is for the log.
    if (out.status != 200)
        sb_problem(r, out.status, out.code,
                   !strcmp(out.code, "token")
                       ? "the token cannot be used; the broker's log says why"
                   : !strcmp(out.code, "wrapped") ? "the token does not unwrap this"
                                                  : out.detail);
    if (payload)
        sb_log_attempt(r, use == SB_PKCS11_SIGN ? "sign" : "unwrap", &out,
                       sv_json_text(payload, "jti"), path);
    OPENSSL_cleanse(d.result, sizeof(d.result));
    cJSON_Delete(payload);
    cJSON_Delete(body);
}

void sb_hsm_sign(struct sb_request *r, const char *path)
{
    serve(r, path, SB_PKCS11_SIGN);
}

void sb_hsm_unwrap(struct sb_request *r, const char *path)
{
    serve(r, path, SB_PKCS11_UNWRAP);
}
