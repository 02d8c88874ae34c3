// SPDX-License-Identifier: Apache-2.0
// The endpoints of the protocol: request, challenge, attestation, response (RCAR).
#include "verifier/broker/rcar.h"
#include "verifier/broker/jose.h"
#include "verifier/broker/policy.h"
#include "verifier/base/json.h"
#include "verifier/judge/claim.h"
#include "verifier/base/json_read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COOKIE "kbs-session-id"

// Values in a request's body. A challenge's has five; evidence that spells out a report and its
// certificates byte by byte has about 10,000.
#define AUTH_VALUES_MAX 64
#define ATTEST_VALUES_MAX 20000

// The body as a JSON object and nothing behind it, or NULL with a problem set.
static cJSON *body_json(struct sb_request *r, unsigned values_max)
{
    char why[120] = "it is empty", detail[200];
    cJSON *body =
        r->body ? sv_json_read(r->body, r->body_size, values_max, why, sizeof(why)) : NULL;

    if (cJSON_IsObject(body))
        return body;
    snprintf(detail, sizeof(detail), "the body is no JSON object%s%s", body ? "" : ": ",
             body ? "" : why);
    cJSON_Delete(body);
    sb_problem(r, 400, "malformed", detail);
    return NULL;
}

// In the chain what was granted, in a ring what was not. session: the token's id.
static void log_attempt(struct sb_request *r, const char *event, const struct sb_judgement *out,
                        const char *session, const char *resource)
{
    struct sb_entry e = {.time_ms = sb_wall_ms(r->server),
                         .event = event,
                         .peer = r->peer,
                         .outcome = out->status == 200 ? "granted" : "refused",
                         .code = out->code,
                         .detail = out->detail,
                         .session = session,
                         .tee = out->tee,
                         .image = out->image,
                         .reference = out->reference,
                         .measurement = out->measurement,
                         .evidence = out->evidence,
                         .resource = resource};

    if (out->status != 200)
        sb_log_refusal(r->server->store, &e, out->image[0]);
    else if (sb_log_add(r->server->store, &e)) // what is not in the log does not leave the house
        sb_problem(r, 500, "store", "the audit log cannot be written");
}

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
    cJSON *body = body_json(r, AUTH_VALUES_MAX);

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
    if (r->status == 200)
        log_attempt(r, "attest", out, sv_json_text(out->payload, "jti"), NULL);
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
        log_attempt(r, "attest", &out, "", NULL);
    }
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
    body = body_json(r, ATTEST_VALUES_MAX);
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

// The payload of what the client shows: a bearer token or a session. NULL with a problem set.
static cJSON *check_token(struct sb_request *r, struct sb_judgement *out)
{
    int64_t now = sb_wall_ms(r->server) / 1000;
    cJSON *payload = NULL;
    char *text;

    out->status = 401;
    snprintf(out->code, sizeof(out->code), "unauthenticated");
    if (r->bearer) {
        payload = sb_jws_verify(sb_store_token_key(r->server->store), r->bearer);
        snprintf(out->detail, sizeof(out->detail), "the token is not one of this broker's");
    } else {
        text = sb_session_payload(&r->server->sessions, r->session, sb_clock_ms());
        payload = sv_json_read_text(text, NULL, 0);
        free(text);
        snprintf(out->detail, sizeof(out->detail),
                 "there is no valid token and no attested session");
    }
    if (payload) {
        const cJSON *exp = sv_json_get(payload, "exp");

        if (!cJSON_IsNumber(exp) || exp->valuedouble <= (double)now) {
            cJSON_Delete(payload);
            payload = NULL;
            snprintf(out->detail, sizeof(out->detail), "the token has expired");
        }
    }
    return payload;
}

static void describe_attested(struct sb_judgement *out, const cJSON *payload)
{
    snprintf(out->tee, sizeof(out->tee), "%s", sv_json_text(payload, "tee"));
    snprintf(out->image, sizeof(out->image), "%s", sv_json_text(payload, "image"));
    snprintf(out->reference, sizeof(out->reference), "%s", sv_json_text(payload, "reference"));
    snprintf(out->reference_digest, sizeof(out->reference_digest), "%s",
             sv_json_text(payload, "reference-sha384"));
    snprintf(out->evidence, sizeof(out->evidence), "%s", sv_json_text(payload, "evidence-sha384"));
    snprintf(out->measurement, sizeof(out->measurement), "%s",
             sv_measurement_of(sv_json_get(payload, "claims")));
}

// Whether this payload may have this resource. Fills out.
static bool is_permitted(struct sb_request *r, const char *path, const cJSON *payload,
                         struct sb_judgement *out)
{
    struct sb_store *st = r->server->store;
    char *own = NULL, *wide = NULL;
    int rc = sb_policy_get(st, path, &own), rc_wide = sb_policy_get(st, "*", &wide);

    out->status = 403;
    snprintf(out->code, sizeof(out->code), "policy");
    if (!sb_reference_known(st, out->reference, out->reference_digest)) {
        snprintf(out->code, sizeof(out->code), "reference-withdrawn");
        snprintf(out->detail, sizeof(out->detail), "the reference \"%s\" was withdrawn or changed",
                 out->reference);
    } else if ((rc && rc != -ENOENT) || (rc_wide && rc_wide != -ENOENT)) {
        out->status = 500;
        snprintf(out->code, sizeof(out->code), "store");
        snprintf(out->detail, sizeof(out->detail), "the resource's policy cannot be read");
    } else if (!sb_policy_judge(wide, own, payload, out->detail, sizeof(out->detail))) {
        out->status = 200;
        snprintf(out->code, sizeof(out->code), "ok");
        out->detail[0] = 0;
    }
    free(own);
    free(wide);
    return out->status == 200;
}

static void send_resource(struct sb_request *r, const char *path, const cJSON *payload,
                          struct sb_judgement *out)
{
    const cJSON *jwk = sv_json_get(payload, "tee-pubkey");
    uint8_t *data = NULL;
    size_t size = 0;
    char *jwe = NULL;
    int rc = sb_resource_get(r->server->store, path, &data, &size);

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
    payload = check_token(r, &out);
    if (payload) {
        describe_attested(&out, payload);
        if (is_permitted(r, path, payload, &out))
            send_resource(r, path, payload, &out);
    }
    if (out.status != 200)
        sb_problem(r, out.status, out.code, out.detail);
    // Strangers without any session are not worth a line on disk each.
    if (payload)
        log_attempt(r, "resource", &out, sv_json_text(payload, "jti"), path);
    cJSON_Delete(payload);
}
