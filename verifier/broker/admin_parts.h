// SPDX-License-Identifier: Apache-2.0
// What the operations' own files share: one function an operation (admin.c lists them).
#ifndef VERIFIER_BROKER_ADMIN_PARTS_H
#define VERIFIER_BROKER_ADMIN_PARTS_H

#include "verifier/broker/admin.h"

// Fills no. NULL always.
cJSON *sb_refuse(struct sb_refusal *no, int status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
// For what the store said: rc is a negative errno. NULL always.
cJSON *sb_refuse_store(struct sb_refusal *no, int rc, const char *what, const char *name);
// The operation's own answer, once the change stands in the log: o, or NULL with no filled.
cJSON *sb_changed(const struct sb_asker *a, const char *code, const char *resource,
                  const char *reference, const char *image, cJSON *o, struct sb_refusal *no);
// A text of JSON (takes it) under a name in a new object. NULL with no filled.
cJSON *sb_wrap_json(const char *name, char *json, struct sb_refusal *no);

// The identity of an image: given whole, by its first 12 digits or more, or by its reference's
// name. False with no filled.
bool sb_find_identity(struct sb_store *st, const char *image, char id[SB_IMAGE_ID_SIZE],
                      struct sb_refusal *no);

#define SB_OPERATION(name)                                                                         \
    cJSON *sb_do_##name(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no);
// admin_resource.c
SB_OPERATION(resource_set)
SB_OPERATION(resource_remove)
SB_OPERATION(policy_get)
SB_OPERATION(policy_set)
SB_OPERATION(policy_remove)
SB_OPERATION(identity_set)
SB_OPERATION(identity_revoke)
SB_OPERATION(volume_set)
SB_OPERATION(volume_reset)
// admin_reference.c
SB_OPERATION(reference_set)
SB_OPERATION(reference_remove)
SB_OPERATION(reference_approve)
SB_OPERATION(reference_reject)
SB_OPERATION(proposal)
// admin_read.c
SB_OPERATION(list)
SB_OPERATION(attested)
SB_OPERATION(certificates)
SB_OPERATION(authority)
SB_OPERATION(volumes)
SB_OPERATION(explain)
SB_OPERATION(log)
SB_OPERATION(log_check)
// admin_operator.c
SB_OPERATION(whoami)
SB_OPERATION(operators)
SB_OPERATION(operator_add)
SB_OPERATION(operator_remove)
#undef SB_OPERATION

#endif
