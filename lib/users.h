// SPDX-License-Identifier: Apache-2.0
// Users and groups of an image, by the text of its /etc/passwd and /etc/group, as docker resolves
// them.
#ifndef LIB_USERS_H
#define LIB_USERS_H

#include <stddef.h>
#include <stdint.h>

#define SH_USER_GROUPS_MAX 65u /* the first group and 64 more */

struct sh_user {
    uint32_t uid, gid;
    uint32_t groups[SH_USER_GROUPS_MAX]; /* ascending, gid among them */
    size_t group_count;
    char home[1024]; /* "/" where /etc/passwd names none */
};

/* Resolves "user[:group[:gid,...]]", names or numbers; "" is root. Without a group given: the
 * user's first one, and those that list him. Groups behind are numbers. The texts need no NUL. 0,
 * or -ENOENT: a name that is not there. */
int sh_user_resolve(struct sh_user *u, const char *spec, const char *passwd, size_t passwd_size,
                    const char *group, size_t group_size);

#endif
