// SPDX-License-Identifier: Apache-2.0
// Who a program runs as: "user[:group]", names or numbers, by the image's /etc/passwd and
// /etc/group.
#include "trusted/libos/fs/file.h"
#include "trusted/libos/proc/proc.h"

#define TEXT_MAX (1u << 20)

/* A number below 2^32 - 1, or -1. */
static int64_t number(const char *s)
{
    uint64_t v = 0;
    if (!*s)
        return -1;
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || v > UINT32_MAX / 10)
            return -1;
        v = v * 10 + (uint64_t)(*s - '0');
    }
    return v < UINT32_MAX ? (int64_t)v : -1;
}

/* The whole of a small text file with a NUL, or NULL. */
static char *load(const char *path)
{
    struct file *f;
    if (file_open(path, O_RDONLY, 0, &f))
        return NULL;
    uint64_t size = f->inode ? f->inode->size : 0;
    char *text = size < TEXT_MAX ? los_alloc(size + 1) : NULL;
    if (text && file_read_at(f, 0, text, size) != (long)size) {
        los_free(text);
        text = NULL;
    }
    file_put(f);
    return text;
}

/* Cuts the next line off the text and into fields at colons; how many, 0 at the end. */
static int next_line(char **text, char *fields[8])
{
    char *p = *text;
    int n = 1;
    if (!p || !*p)
        return 0;
    fields[0] = p;
    for (; *p && *p != '\n'; p++) {
        if (*p != ':' || n == 8)
            continue;
        *p = 0;
        fields[n++] = p + 1;
    }
    *text = *p ? p + 1 : p;
    *p = 0;
    return n;
}

/* uid and first group of a name or number. An unknown number is its own user with group 0. */
static int find_user(const char *user, uint32_t *uid, uint32_t *gid, char name[64])
{
    char *text = load("/etc/passwd"), *at = text, *f[8];
    int64_t id = number(user);
    int r = id >= 0 ? 0 : -ENOENT, n;
    *uid = id >= 0 ? (uint32_t)id : 0;
    *gid = 0;
    name[0] = 0;
    while ((n = next_line(&at, f))) {
        if (n < 4 || number(f[2]) < 0 || number(f[3]) < 0)
            continue;
        if (strcmp(f[0], user) && number(f[2]) != id)
            continue;
        *uid = (uint32_t)number(f[2]);
        *gid = (uint32_t)number(f[3]);
        fmt(name, 64, "%s", f[0]);
        r = 0;
        break;
    }
    los_free(text);
    return r;
}

static bool lists(const char *members, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = members; *p;) {
        const char *end = strchr(p, ',');
        size_t size = end ? (size_t)(end - p) : strlen(p);
        if (n && size == n && !strncmp(p, name, n))
            return true;
        p += size + (end != NULL);
    }
    return false;
}

/* With a group given: that one. Else also the groups that list the user. */
static int find_groups(const char *group, const char *name, uint32_t *gid)
{
    char *text = load("/etc/group"), *at = text, *f[8];
    int64_t id = group ? number(group) : -1;
    int r = !group || id >= 0 ? 0 : -ENOENT, n;
    if (id >= 0)
        *gid = (uint32_t)id;
    while ((n = next_line(&at, f))) {
        if (n < 3 || number(f[2]) < 0)
            continue;
        if (group && !strcmp(f[0], group)) {
            *gid = (uint32_t)number(f[2]);
            r = 0;
        }
        if (!group && n > 3 && lists(f[3], name) &&
            current()->group_count < ARRAY_COUNT(current()->groups))
            current()->groups[current()->group_count++] = (uint32_t)number(f[2]);
    }
    los_free(text);
    return r;
}

int user_set(const char *text)
{
    char user[256], name[64];
    uint32_t uid, gid;
    fmt(user, sizeof(user), "%s", text);
    char *group = strchr(user, ':');
    if (group)
        *group++ = 0;
    int r = find_user(user, &uid, &gid, name);
    if (!r)
        r = find_groups(group, name, &gid);
    if (r)
        return r;
    current()->uid = current()->euid = current()->suid = uid;
    current()->gid = current()->egid = current()->sgid = gid;
    return 0;
}
