// SPDX-License-Identifier: Apache-2.0
// The endpoints of the protocol: request, challenge, attestation, response (RCAR).
#include "verifier/broker/rcar.h"
#include "verifier/broker/admit.h"
#include "verifier/broker/jose.h"
#include "verifier/base/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COOKIE "kbs-session-id"

// Values in a request's body. A challenge's has five; evidence that spells out a report and its
// certificates byte by byte has about 10,000.
#define AUTH_VALUES_MAX 64
#define ATTEST_VALUES_MAX 20000

static bool tee_of(const char *name, enum shelter_evidence_type *tee)
{
    for (*tee = SHELTER_EVIDENCE_SGX; *tee <= SHELTER_EVIDENCE_CSV; (*tee)++)
        if (!strcmp(name, sb_tee_name(*tee)))
            return true;
    return false;
}

static void set_cookie(struct sb_request *r, const char *id)
{
    snprintf(r->cookie, sizeof(r->cookie), COOKIE "=%s; Path=/kbs; HttpOnly; SameSite=Strict%s", id,
             r->server->tls ? "; Secure" : "");
}

static const char *const hash_names[] = {"sha384", "sha512", "sha256"}; // by enum sb_hash

// The best hash that the client offers; sha384 where it offers none. False: none that is known.
static bool choose_hash(const cJSON *extra, enum sb_hash *hash)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(extra, "supported-hash-algorithms"), *item;

    *hash = SB_SHA384;
    if (!cJSON_IsArray(list))
        return !list;
    for (unsigned h = SB_SHA384; h <= SB_SHA256; h++)
        cJSON_ArrayForEach(item, list) if (cJSON_IsString(item) &&
                                           !strcmp(item->valuestring, hash_names[h]))
        {
            *hash = (enum sb_hash)h;
            return true;
        }
    return false;
}

// Tells the hash when the client asked which one.
static void send_challenge(struct sb_request *r, const struct sb_challenge *c, const cJSON *extra)
{
    cJSON *o = cJSON_CreateObject(), *params;

    cJSON_AddStringToObject(o, "nonce", c->nonce);
    params = cJSON_AddObjectToObject(o, "extra-params");
    if (cJSON_GetObjectItemCaseSensitive(extra, "supported-hash-algorithms"))
        cJSON_AddStringToObject(params, "selected-hash-algorithm", hash_names[c->hash]);
    if (c->protocol == SB_0_4_0) // 0.2.0 has no place for it
        cJSON_AddStringToObject(params, "measured-log", "shelter-aael");
    set_cookie(r, c->id);
    sb_answer_json(r, cJSON_PrintUnformatted(o));
    cJSON_Delete(o);
}

static void start_session(struct sb_request *r, const cJSON *body)
{
    const char *version = sv_json_text(body, "version");
    enum sb_protocol protocol = SB_0_4_0;
    enum shelter_evidence_type tee;
    const cJSON *extra = cJSON_GetObjectItemCaseSensitive(body, "extra-params");
    enum sb_hash hash;
    struct sb_challenge c;

    if (!strcmp(version, "0.2.0")) {
        protocol = SB_0_2_0;
    } else if (strcmp(version, "0.4.0")) {
        sb_problem(r, 401, "version", "this broker speaks versions 0.4.0 and 0.2.0");
        return;
    }
    if (!tee_of(sv_json_text(body, "tee"), &tee)) {
        sb_problem(r, 401, "tee", "this broker judges sgx, tdx, snp and csv");
        return;
    }
    if (!choose_hash(extra, &hash)) {
        sb_problem(r, 401, "hash", "this broker binds by sha384, sha512 or sha256");
        return;
    }
    if (sb_challenge_new(&r->server->challenges, protocol, hash, tee, sb_clock_ms(), &c))
        sb_problem(r, 503, "internal", "no random bytes");
    else
        send_challenge(r, &c, extra);
}

void sb_auth(struct sb_request *r, const char *rest)
{
    cJSON *body = sb_body_json(r, AUTH_VALUES_MAX);

    if (body)
        start_session(r, body);
    cJSON_Delete(body);
}

static void answer_token(struct sb_request *r, const struct sb_challenge *c,
                         const struct sb_judgement *out)
{
    char *payload = cJSON_PrintUnformatted(out->payload);
    char *token = payload ? sb_jws_sign(sb_store_token_key(r->server->store), payload) : NULL;
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "token", token ? token : "");
    sb_answer_json(r, token ? cJSON_PrintUnformatted(o) : NULL);
    if (r->status == 200 && r->server->shared)
        sb_log_session(
            r, out, sv_json_text(out->payload, "jti"),
            &(struct sb_session_row){.id = c->id,
                                     .payload = payload,
                                     .until_ms = sb_clock_ms() + r->server->sessions.life_ms,
                                     .max = r->server->session_max});
    else if (r->status == 200)
        sb_log_attempt(r, "attest", out, sv_json_text(out->payload, "jti"), NULL);
    if (r->status == 200 &&
        sb_session_put(&r->server->sessions, c->id, payload, r->peer_id, sb_clock_ms()))
        sb_problem(r, 503, "sessions", "the session cannot be kept");
    if (r->status == 200)
        set_cookie(r, c->id);
    cJSON_Delete(o);
    free(token);
    free(payload);
}

static void judge_attestation(struct sb_request *r, const struct sb_challenge *c, const cJSON *body)
{
    struct sb_judgement out;

    if (sb_judge_attestation(&r->server->judge, c, body, sb_wall_ms(r->server) / 1000, &out)) {
        answer_token(r, c, &out);
    } else {
        // Names of references are for the log, not for whoever asks.
        sb_problem(r, out.status, out.code,
                   strcmp(out.code, "reference-mismatch")
                       ? out.detail
                       : "the measurement is none of the reference values");
        sb_log_attempt(r, "attest", &out, "", NULL);
    }
    cJSON_Delete(out.volumes);
    cJSON_Delete(out.payload);
}

// Large (routes.c): few of these run at once.
void sb_attest(struct sb_request *r, const char *rest)
{
    struct sb_challenge c;
    cJSON *body;
    int rc;

    if (!*r->session) {
        sb_problem(r, 401, "no-session", "the cookie " COOKIE " is missing: ask for a challenge");
        return;
    }
    // Malformed bytes do not use up the nonce: anyone could send them.
    body = sb_body_json(r, ATTEST_VALUES_MAX);
    if (!body)
        return;
    rc = sb_challenge_use(&r->server->challenges, r->session, sb_clock_ms(), &c);
    if (rc == -ENOENT)
        sb_problem(r, 401, "no-session", "the session is unknown or expired");
    else if (rc)
        sb_problem(r, 409, "replayed", "this session's nonce was used");
    else
        judge_attestation(r, &c, body);
    cJSON_Delete(body);
}

// --- Resources ---

static void send_resource(struct sb_request *r, const char *path, const cJSON *payload,
                          struct sb_judgement *out)
{
    const cJSON *jwk = sv_json_get(payload, "tee-pubkey");
    uint8_t *data = NULL;
    size_t size = 0;
    int64_t version = 0;
    char *jwe = NULL;
    int rc;

    // First: what is given may be newer than its number says, never older.
    if (!sb_resource_version(r->server->store, path, &version))
        snprintf(r->version, sizeof(r->version), "%lld", (long long)version);
    rc = sb_give_resource(r->server->store, path, &data, &size);

    if (rc == -ENOENT) {
        out->status = 404;
        snprintf(out->code, sizeof(out->code), "no-such-resource");
        snprintf(out->detail, sizeof(out->detail), "there is no such resource");
    } else if (rc || sb_jwe_encrypt(jwk, data, size, &jwe)) {
        out->status = 500;
        snprintf(out->code, sizeof(out->code), "store");
        snprintf(out->detail, sizeof(out->detail), "the resource cannot be read or encrypted");
    } else {
        sb_answer_json(r, jwe);
    }
    if (data)
        OPENSSL_cleanse(data, size);
    free(data);
}

void sb_resource(struct sb_request *r, const char *path)
{
    struct sb_judgement out = {.status = 0};
    cJSON *payload;

    if (!sb_path_ok(path)) {
        sb_problem(r, 400, "malformed", "a resource is REPOSITORY/TYPE/TAG");
        return;
    }
    payload = sb_check_token(r, true, &out);
    if (payload) {
        sb_describe_attested(&out, payload);
        if (sb_is_permitted(r, path, payload, &out))
            send_resource(r, path, payload, &out);
    }
    if (out.status != 200)
        sb_problem(r, out.status, out.code, out.detail);
    // Strangers without any session are not worth a line on disk each.
    if (payload)
        sb_log_attempt(r, "resource", &out, sv_json_text(payload, "jti"), path);
    cJSON_Delete(payload);
}
