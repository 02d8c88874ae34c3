// SPDX-License-Identifier: Apache-2.0
// Users and groups of the image, by its /etc/passwd and /etc/group.
#include "trusted/guest/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIELDS_MAX 7

struct field {
    const char *text;
    size_t size;
};

/* Takes the next line apart at its colons. False at the end. */
static bool next_entry(const char **at, const char *end, struct field f[FIELDS_MAX], size_t *count)
{
    if (*at >= end)
        return false;
    const char *stop = memchr(*at, '\n', (size_t)(end - *at));
    const char *next = stop ? stop + 1 : end;
    if (!stop)
        stop = end;
    *count = 0;
    for (const char *p = *at; *count < FIELDS_MAX;) {
        const char *colon = *count + 1 < FIELDS_MAX ? memchr(p, ':', (size_t)(stop - p)) : NULL;
        f[(*count)++] = (struct field){p, (size_t)((colon ? colon : stop) - p)};
        if (!colon)
            break;
        p = colon + 1;
    }
    *at = next;
    return true;
}

static bool is(struct field f, const char *text, size_t size)
{
    return f.size == size && !memcmp(f.text, text, size);
}

/* A decimal id below 2^32 - 1 (which means "no change" to the kernel). */
static bool number(struct field f, uint32_t *out)
{
    uint64_t v = 0;
    if (!f.size || f.size > 10)
        return false;
    for (size_t i = 0; i < f.size; i++) {
        if (f.text[i] < '0' || f.text[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(f.text[i] - '0');
    }
    *out = (uint32_t)v;
    return v < UINT32_MAX;
}

static bool member(struct field list, struct field name)
{
    for (const char *p = list.text, *end = p + list.size; p < end;) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        if (!comma)
            comma = end;
        if (name.size && is(name, p, (size_t)(comma - p)))
            return true;
        p = comma + 1;
    }
    return false;
}

static int find_user(struct guest_user *u, struct field want, struct field *name,
                     const char *passwd, size_t size)
{
    struct field f[FIELDS_MAX];
    size_t count;
    uint32_t id = 0, uid, gid;
    bool numeric = number(want, &id);
    for (const char *at = passwd, *end = passwd + size; next_entry(&at, end, f, &count);) {
        if (count < 4 || !f[0].size || !number(f[2], &uid) || !number(f[3], &gid))
            continue;
        if (!is(f[0], want.text, want.size) && !(numeric && uid == id))
            continue;
        u->uid = uid;
        u->gid = gid;
        *name = f[0];
        if (count >= 6 && f[5].size && f[5].size < sizeof(u->home) && f[5].text[0] == '/' &&
            !memchr(f[5].text, 0, f[5].size)) {
            memcpy(u->home, f[5].text, f[5].size);
            u->home[f[5].size] = 0;
        }
        return 0;
    }
    if (!numeric)
        return -ENOENT;
    u->uid = id;
    return 0;
}

int guest_user_resolve(struct guest_user *u, const char *spec, const char *passwd,
                       size_t passwd_size, const char *group, size_t group_size)
{
    struct field f[FIELDS_MAX], name = {"", 0};
    size_t count;
    const char *colon = strchr(spec, ':');
    struct field want = {spec, colon ? (size_t)(colon - spec) : strlen(spec)};
    struct field want_group = {colon ? colon + 1 : "", colon ? strlen(colon + 1) : 0};
    *u = (struct guest_user){.home = "/"};
    if (!want.size)
        want = (struct field){"0", 1};
    int rc = find_user(u, want, &name, passwd, passwd_size);
    if (rc)
        return rc;
    uint32_t gid, id = 0;
    bool numeric = number(want_group, &id), found = false;
    for (const char *at = group, *end = group + group_size; next_entry(&at, end, f, &count);) {
        if (count < 3 || !f[0].size || !number(f[2], &gid))
            continue;
        if (want_group.size) {
            if (!found && (is(f[0], want_group.text, want_group.size) || (numeric && gid == id))) {
                u->gid = gid;
                found = true;
            }
        } else if (count >= 4 && member(f[3], name) && gid != u->gid &&
                   u->group_count < GUEST_GROUPS_MAX) {
            u->groups[u->group_count++] = gid;
        }
    }
    if (want_group.size && !found) {
        if (!numeric)
            return -ENOENT;
        u->gid = id;
    }
    return 0;
}

/* A file of the image, or nothing where it has none. */
static char *read_etc(int root, const char *path, size_t *size)
{
    *size = 0;
    GUEST_AUTOCLOSE int fd = guest_open_in(root, path, O_RDONLY | O_NONBLOCK);
    char *text = fd < 0 ? NULL : malloc(GUEST_ETC_SIZE_MAX);
    while (text && *size < GUEST_ETC_SIZE_MAX) {
        ssize_t n = read(fd, text + *size, GUEST_ETC_SIZE_MAX - *size);
        if (n <= 0)
            break;
        *size += (size_t)n;
    }
    return text;
}

int guest_user_find(struct guest_user *u, int root, const char *spec, struct guest_error *e)
{
    size_t passwd_size, group_size;
    char *passwd = read_etc(root, "/etc/passwd", &passwd_size);
    char *group = read_etc(root, "/etc/group", &group_size);
    int rc = guest_user_resolve(u, spec, passwd ? passwd : "", passwd_size, group ? group : "",
                                group_size);
    free(passwd);
    free(group);
    if (rc)
        return guest_fail(e, rc, "user '%.64s' is not in the image's /etc/passwd and /etc/group",
                          spec);
    return 0;
}
