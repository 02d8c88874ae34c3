// SPDX-License-Identifier: Apache-2.0
// What operators do, one function an operation, whoever asks: the command line beside the store
// (host/cli), or somebody over the network (admin_http.h). docs/broker.md lists operations, their
// members and who may.
//
// Attacks expected here: an operator of one role who wants what another may; members that nobody
// knows; a proposal that was changed between its reading and its approval.
#ifndef VERIFIER_BROKER_ADMIN_H
#define VERIFIER_BROKER_ADMIN_H

#include <stdbool.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "verifier/broker/store.h"

// What one may; a role is several of these.
#define SB_MAY_READ 1u    // lists, log, volumes; no secret is ever among them
#define SB_MAY_CHANGE 2u  // resources, policies, identities, volumes; propose references
#define SB_MAY_APPROVE 4u // references that somebody else proposed
#define SB_MAY_RULE 8u    // operators; references without a second person
#define SB_MAY_ALL 15u

#define SB_CREDENTIAL_SIZE 64 // "sba_", base64url of 32 bytes, NUL
#define SB_IMAGE_ID_SIZE 97   // digits of an identity, and NUL

struct sb_hsm_keys;
struct sb_server;

struct sb_asker {
    struct sb_store *store;
    struct sb_server *server;           // NULL: the command line, which knows no sessions
    const struct sb_hsm_keys *hsm_keys; // of the command line; NULL: none
    const char *who;                    // for the log
    const char *name;                   // of the operator; "" at the command line
    unsigned may;
    int64_t now_ms;
};

struct sb_refusal {
    int status; // of HTTP
    char code[48], detail[480];
};

// An object, or NULL with the reason in no. args: an object, or NULL for none. A name in
// args->images that is a reference's becomes its identity, told in the result's "bound".
cJSON *sb_admin_do(const struct sb_asker *a, const char *operation, const cJSON *args,
                   struct sb_refusal *no);

// "reader", "operator", "approver", "admin"; 0 for another word.
unsigned sb_role_may(const char *role);
// SHA-256 (hexadecimal) of a credential, as the store has it.
void sb_credential_digest(const char *credential, char out[65]);

// A reference's name: 1 to 128 bytes without control characters, and nothing that could be an
// identity (12 or more hexadecimal digits only) or the word "any".
bool sb_name_ok(const char *name);

#endif
