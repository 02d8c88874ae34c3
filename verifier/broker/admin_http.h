// SPDX-License-Identifier: Apache-2.0
// The address for operators: who comes in, and the operations of admin.h over HTTP.
//
//   POST /admin/v0/OPERATION  {members}  with `Authorization: Bearer CREDENTIAL`
//
// answers the operation's object, or a problem as clients get it. An empty body is {}.
//
// Attacks expected here: whoever reaches the address, without a credential; one of a lesser role;
// a page of somebody else's in an operator's browser (console.c).
#ifndef VERIFIER_BROKER_ADMIN_HTTP_H
#define VERIFIER_BROKER_ADMIN_HTTP_H

#include "verifier/broker/admin.h"
#include "verifier/broker/answer.h"
#include "verifier/broker/routes.h"

#define SB_ADMIN_BODY_MAX (6u << 20) // a resource of 1 MiB, or a reference of 4, as JSON

// operator_routes.c
extern const struct sb_route sb_operator_routes[];

// Before a body, and the operation named by `operation`.
bool sb_admin_enter(struct sb_request *r);
void sb_admin_act(struct sb_request *r, const char *operation);

// Whose credential it is, in r->operator and r->may. False: nobody's; noted as a refusal.
bool sb_operator_enter(struct sb_request *r, const char *credential);

// Does an operation as whoever came in. As sb_admin_do.
cJSON *sb_operator_do(struct sb_request *r, const char *operation, const cJSON *args,
                      struct sb_refusal *no);

#endif
