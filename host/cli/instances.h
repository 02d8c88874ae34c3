// SPDX-License-Identifier: Apache-2.0
// What the verbs that name instances share.
#ifndef HOST_CLI_INSTANCES_H
#define HOST_CLI_INSTANCES_H

#include "host/run/instance.h"

/* Calls `each` for every name, whatever became of the one before; an error is reported as one line.
 * Returns 0, or the status of the first that failed. `each` returns 0 or -errno with the sentence.
 */
int sh_each_instance(char **names, size_t count,
                     int (*each)(struct sh_store *store, struct sh_instance *instance,
                                 void *context, struct sh_error *err),
                     void *context);

/* For a name that is no instance: is it no image either? Then with the sentence. */
bool sh_no_such_name(struct sh_store *store, const char *name, struct sh_error *err);

/* Ends a running instance at once, if need be by killing its supervisor. 0, or -errno with the
 * sentence. */
int sh_instance_force_end(struct sh_instance *instance, struct sh_error *err);

/* "2 minutes" between two times in nanoseconds; out holds at least 32 bytes. */
void sh_format_span(char *out, size_t out_size, int64_t from, int64_t to);

/* "running", "exited (3) 2 minutes ago", ... owned by the caller. */
char *sh_instance_status_text(const struct sh_instance *instance);

/* "8080->80/tcp, ...", owned by the caller. */
char *sh_instance_ports_text(const struct sh_instance_config *config);

/* The command as one line. Owned by the caller. */
char *sh_instance_command_text(const struct sh_instance_config *config);

/* Everything about an instance as `inspect --json` and `ps --json` show it. */
cJSON *sh_instance_json(struct sh_store *store, const struct sh_instance *instance);

#endif
