// SPDX-License-Identifier: Apache-2.0
// Who a program runs as: "user[:group]", by the image's /etc/passwd and /etc/group.
#include "trusted/libos/fs/file.h"
#include "trusted/libos/proc/proc.h"

#define TEXT_MAX (1u << 20)

/* The whole of a small text file; NULL and size 0 where there is none. */
static char *load_file(const char *path, size_t *size)
{
    struct file *f;
    *size = 0;
    if (file_open(path, O_RDONLY, 0, &f))
        return NULL;
    uint64_t all = f->inode ? f->inode->size : 0;
    char *text = all < TEXT_MAX ? los_alloc(all + 1) : NULL;
    if (text && file_read_at(f, 0, text, all) == (long)all)
        *size = all;
    file_put(f);
    return text;
}

int user_set(const char *text, struct sh_user *u)
{
    size_t passwd_size, group_size;
    char *passwd = load_file("/etc/passwd", &passwd_size),
         *group = load_file("/etc/group", &group_size);
    int r =
        sh_user_resolve(u, text, passwd ? passwd : "", passwd_size, group ? group : "", group_size);
    los_free(passwd);
    los_free(group);
    if (r)
        return r;
    current()->uid = current()->euid = current()->suid = current()->fsuid = u->uid;
    current()->gid = current()->egid = current()->sgid = current()->fsgid = u->gid;
    _Static_assert(ARRAY_COUNT(current()->groups) >= SH_USER_GROUPS_MAX, "all fit");
    memcpy(current()->groups, u->groups, u->group_count * sizeof(u->groups[0]));
    current()->group_count = (uint32_t)u->group_count;
    return 0;
}
