// SPDX-License-Identifier: Apache-2.0
// Operators over the network: their credential, their role, their operations.
#include "verifier/broker/admin_http.h"
#include "verifier/broker/admit.h"

#include <stdio.h>
#include <string.h>

#define VALUES_MAX 200000

static void note_refusal(struct sb_request *r, const char *code, const char *detail)
{
    struct sb_entry e = {.time_ms = sb_wall_ms(r->server),
                         .event = "admin",
                         .outcome = "refused",
                         .code = code,
                         .detail = detail,
                         .peer = r->peer,
                         .session = r->operator.name };

    sb_log_refusal(r->server->store, &e, *r->operator.name);
}

bool sb_operator_enter(struct sb_request *r, const char *credential)
{
    char digest[65] = "";

    if (credential)
        sb_credential_digest(credential, digest);
    if (credential && !sb_operator_find(r->server->store, digest, sb_wall_ms(r->server) / 1000,
                                        &r->operator, NULL))
        r->may = sb_role_may(r->operator.role);
    else
        note_refusal(r, "unauthenticated", "no operator's credential");
    return r->may;
}

bool sb_admin_enter(struct sb_request *r)
{
    if (sb_operator_enter(r, r->bearer))
        return true;
    sb_problem(r, 401, "unauthenticated", "an operator's credential is needed");
    return false;
}

cJSON *sb_operator_do(struct sb_request *r, const char *operation, const cJSON *args,
                      struct sb_refusal *no)
{
    char who[160];
    struct sb_asker a = {.store = r->server->store,
                         .server = r->server,
                         .who = who,
                         .name = r->operator.name,
                         .may = r->may,
                         .now_ms = sb_wall_ms(r->server)};
    cJSON *o;

    snprintf(who, sizeof(who), "%s (%s) at %s", r->operator.name, r->operator.role, r->peer);
    o = sb_admin_do(&a, operation, args, no);
    if (!o)
        note_refusal(r, no->code, no->detail);
    return o;
}

void sb_admin_act(struct sb_request *r, const char *operation)
{
    struct sb_refusal no;
    cJSON *args = r->body_size ? sb_body_json(r, VALUES_MAX) : NULL, *o;

    if (r->body_size && !args)
        return;
    o = sb_operator_do(r, operation, args, &no);
    if (o)
        sb_answer_json(r, cJSON_PrintUnformatted(o));
    else
        sb_problem(r, no.status, no.code, no.detail);
    r->secret = true; // a new credential may be among it
    if (r->body)
        OPENSSL_cleanse(r->body, r->body_size);
    cJSON_Delete(o);
    cJSON_Delete(args);
}
