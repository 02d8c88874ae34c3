// SPDX-License-Identifier: Apache-2.0
// Resolves a user and groups. The files are the image's own, the name may be the host's.
#include "lib/users.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

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

static bool field_equals(struct field f, const char *text, size_t size)
{
    return f.size == size && !memcmp(f.text, text, size);
}

/* A decimal id below 2^32 - 1 (which means "no change" to the kernel). */
static bool read_id(struct field f, uint32_t *out)
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

static bool has_member(struct field list, struct field name)
{
    for (const char *p = list.text, *end = p + list.size; p < end;) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        if (!comma)
            comma = end;
        if (name.size && field_equals(name, p, (size_t)(comma - p)))
            return true;
        p = comma + 1;
    }
    return false;
}

static int find_user(struct sh_user *u, struct field want, struct field *name, const char *passwd,
                     size_t size)
{
    struct field f[FIELDS_MAX];
    size_t count;
    uint32_t id = 0, uid, gid;
    bool numeric = read_id(want, &id);
    for (const char *at = passwd, *end = passwd + size; next_entry(&at, end, f, &count);) {
        if (count < 4 || !f[0].size || !read_id(f[2], &uid) || !read_id(f[3], &gid))
            continue;
        if (!field_equals(f[0], want.text, want.size) && !(numeric && uid == id))
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

/* Once, in ascending order. The last place is kept for the user's own group, which comes last. */
static void add_group(struct sh_user *u, uint32_t gid)
{
    size_t at = 0;
    while (at < u->group_count && u->groups[at] < gid)
        at++;
    if (at < u->group_count && u->groups[at] == gid)
        return;
    if (u->group_count == SH_USER_GROUPS_MAX - (gid != u->gid))
        return;
    memmove(&u->groups[at + 1], &u->groups[at], (u->group_count - at) * sizeof(u->groups[0]));
    u->groups[at] = gid;
    u->group_count++;
}

static int add_numbers(struct sh_user *u, const char *list)
{
    for (const char *p = list, *comma; p; p = comma ? comma + 1 : NULL) {
        uint32_t gid;
        comma = strchr(p, ',');
        if (!read_id((struct field){p, comma ? (size_t)(comma - p) : strlen(p)}, &gid))
            return -ENOENT;
        add_group(u, gid);
    }
    return 0;
}

int sh_user_resolve(struct sh_user *u, const char *spec, const char *passwd, size_t passwd_size,
                    const char *group, size_t group_size)
{
    struct field f[FIELDS_MAX], name = {"", 0};
    size_t count;
    const char *colon = strchr(spec, ':');
    struct field want = {spec, colon ? (size_t)(colon - spec) : strlen(spec)};
    const char *named = colon ? colon + 1 : "", *more = strchr(named, ':');
    struct field want_group = {named, more ? (size_t)(more - named) : strlen(named)};
    *u = (struct sh_user){.home = "/"};
    if (!want.size)
        want = (struct field){"0", 1};
    int rc = find_user(u, want, &name, passwd, passwd_size);
    if (rc)
        return rc;
    uint32_t gid, id = 0;
    bool numeric = read_id(want_group, &id), found = false;
    for (const char *at = group, *end = group + group_size; next_entry(&at, end, f, &count);) {
        if (count < 3 || !f[0].size || !read_id(f[2], &gid))
            continue;
        if (want_group.size) {
            if (!found &&
                (field_equals(f[0], want_group.text, want_group.size) || (numeric && gid == id))) {
                u->gid = gid;
                found = true;
            }
        } else if (count >= 4 && has_member(f[3], name)) {
            add_group(u, gid);
        }
    }
    if (want_group.size && !found) {
        if (!numeric)
            return -ENOENT;
        u->gid = id;
    }
    add_group(u, u->gid);
    return more ? add_numbers(u, more + 1) : 0;
}
