// SPDX-License-Identifier: Apache-2.0
// What a program starts with: environment, and where it is found.
#ifndef LIBOS_PROGRAM_H
#define LIBOS_PROGRAM_H

#include "trusted/libos/libos.h"

/* The program's environment: the settings', HOME, secrets. */
struct environment {
    const char **list; /* NULL-terminated */
    size_t count, room;
};
extern char *workload_home; /* HOME=... of the workload's user */

int env_begin(struct environment *e, size_t more); /* the settings', with room for more */
int env_keep_home(const char *home);               /* makes workload_home */
/* Frees it; what was added by env_add is wiped: the program has its own copy, on its stack, and
 * secrets do not stay in ours. */
void env_wipe(struct environment *e);
/* A later NAME=VALUE replaces an earlier one. 0, -ENOMEM, -E2BIG. */
int env_put(struct environment *e, const char *text); /* which must stay */
int env_add(void *env, const char *text);             /* a copy; for agent_before_program */
const char *env_get(const struct environment *e, const char *name); /* or NULL */

/* Finds the program by PATH, as execvp does. 0 or -ENOENT. */
int program_find(const char *name, const char *path, char *out, size_t size);

#endif
