// SPDX-License-Identifier: Apache-2.0
// Who asks, what they may have, and the log of it.
#include "verifier/broker/admit.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"
#include "verifier/broker/foreign.h"
#include "verifier/broker/jose.h"
#include "verifier/broker/policy.h"
#include "verifier/judge/claim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

cJSON *sb_body_json(struct sb_request *r, unsigned values_max)
{
    char why[120] = "it is empty", detail[200];
    cJSON *body =
        r->body ? sv_json_read(r->body, r->body_size, values_max, why, sizeof(why)) : NULL;

    if (cJSON_IsObject(body))
        return body;
    snprintf(detail, sizeof(detail), "the body is not a JSON object%s%s", body ? "" : ": ",
             body ? "" : why);
    cJSON_Delete(body);
    sb_problem(r, 400, "malformed", detail);
    return NULL;
}

static struct sb_entry make_entry(struct sb_request *r, const char *event,
                                  const struct sb_judgement *out, const char *session,
                                  const char *resource)
{
    return (struct sb_entry){.time_ms = sb_wall_ms(r->server),
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
}

void sb_log_attempt(struct sb_request *r, const char *event, const struct sb_judgement *out,
                    const char *session, const char *resource)
{
    struct sb_entry e = make_entry(r, event, out, session, resource);

    if (out->status != 200)
        sb_log_refusal(r->server->store, &e, out->image[0]);
    else if (sb_log_add(r->server->store, &e)) // what is not in the log does not leave the house
        sb_problem(r, 500, "store", "the audit log cannot be written");
}

void sb_log_session(struct sb_request *r, const struct sb_judgement *out, const char *session,
                    const struct sb_session_row *row)
{
    struct sb_entry e = make_entry(r, "attest", out, session, NULL);
    int rc = sb_log_add_session(r->server->store, &e, row);

    if (rc == -EALREADY)
        sb_problem(r, 409, "replayed", "this session's nonce was used");
    else if (rc)
        sb_problem(r, 500, "store", "the audit log cannot be written");
}

// The payload under this cookie: of this process, or of another one that shares the store. Only
// what carries our MAC is looked up there.
static char *find_payload(struct sb_request *r)
{
    struct sb_server *s = r->server;
    char *payload = sb_session_payload(&s->sessions, r->session, sb_clock_ms());

    if (payload || !s->shared || !sb_challenge_is_ours(&s->challenges, r->session) ||
        sb_session_find(s->store, r->session, sb_clock_ms(), &payload))
        return payload;
    sb_session_put(&s->sessions, r->session, payload, r->peer_id, sb_clock_ms());
    return payload;
}

// A bearer token, ours or of an issuer that the operator trusts.
static cJSON *read_bearer(struct sb_request *r, bool foreign, int64_t now, struct sb_judgement *out)
{
    struct sb_judge *j = &r->server->judge;
    cJSON *payload = sb_jws_verify(sb_store_token_key(r->server->store), r->bearer);

    if (payload)
        return payload;
    snprintf(out->detail, sizeof(out->detail), "the token is not one of this broker's");
    if (!foreign)
        return NULL;
    pthread_rwlock_rdlock(&j->rules);
    payload = sb_foreign_verify(j->issuers, r->bearer, now, out->detail, sizeof(out->detail));
    pthread_rwlock_unlock(&j->rules);
    return payload;
}

cJSON *sb_check_token(struct sb_request *r, bool foreign, struct sb_judgement *out)
{
    int64_t now = sb_wall_ms(r->server) / 1000;
    cJSON *payload = NULL;
    char *text;

    out->status = 401;
    snprintf(out->code, sizeof(out->code), "unauthenticated");
    if (r->bearer) {
        payload = read_bearer(r, foreign, now, out);
    } else {
        text = find_payload(r);
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

void sb_describe_attested(struct sb_judgement *out, const cJSON *payload)
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

bool sb_is_permitted(struct sb_request *r, const char *path, const cJSON *payload,
                     struct sb_judgement *out)
{
    struct sb_store *st = r->server->store;
    char *own = NULL, *wide = NULL;
    int rc = sb_policy_get(st, path, &own), rc_wide = sb_policy_get(st, "*", &wide);

    out->status = 403;
    snprintf(out->code, sizeof(out->code), "policy");
    if (!sb_is_foreign(payload) && !sb_reference_known(st, out->reference, out->reference_digest)) {
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

static bool says_once(struct sb_store *st, const char *path)
{
    char *policy = NULL;
    int rc = sb_policy_get(st, path, &policy);
    bool once = rc ? rc != -ENOENT : sb_policy_once(policy);

    free(policy);
    return once;
}

bool sb_is_once(struct sb_store *st, const char *path)
{
    return says_once(st, path) || says_once(st, "*");
}

int sb_give_resource(struct sb_store *st, const char *path, uint8_t **data, size_t *size)
{
    return (sb_is_once(st, path) ? sb_resource_take : sb_resource_get)(st, path, data, size);
}
