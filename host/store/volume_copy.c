// SPDX-License-Identifier: Apache-2.0
// Copies all of a volume, a directory at a time. Memory: 16 bytes an inode.
#include "host/store/volume_copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/base/util.h"

struct pair {
    uint64_t from, to;
};

struct copy {
    struct volume *from, *to;
    struct pair *made; /* inodes that more than one name leads to, and directories */
    size_t count, room;
    size_t done; /* of them, looked into */
    struct sh_strings names;
    uint64_t *inodes; /* of the names */
    uint8_t *buf;     /* VOLUME_WRITE_MAX */
};

static void remember_pair(struct copy *c, uint64_t from, uint64_t to)
{
    if (c->count == c->room)
        c->made = sh_realloc_array(c->made, c->room = c->room ? 2 * c->room : 64, sizeof(*c->made));
    c->made[c->count++] = (struct pair){from, to};
}

static uint64_t find_made(const struct copy *c, uint64_t from)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->made[i].from == from)
            return c->made[i].to;
    return 0;
}

static int take_name(void *arg, struct volume_name name, uint64_t ino, uint32_t mode, uint64_t next)
{
    struct copy *c = arg;
    sh_strings_addf(&c->names, "%.*s", (int)name.size, name.text);
    c->inodes = sh_realloc_array(c->inodes, c->names.count, sizeof(*c->inodes));
    c->inodes[c->names.count - 1] = ino;
    return 0;
}

static int copy_content(struct copy *c, uint64_t from, uint64_t to, uint64_t size)
{
    struct volume_change set = {.what = VOLUME_SET_SIZE, .size = size};
    int64_t at = 0;
    while ((uint64_t)at < size && (at = volume_seek(c->from, from, (uint64_t)at, false)) >= 0) {
        int64_t end = volume_seek(c->from, from, (uint64_t)at, true);
        while (end > at) {
            size_t want = end - at < VOLUME_WRITE_MAX ? (size_t)(end - at) : VOLUME_WRITE_MAX;
            long n = volume_read(c->from, from, (uint64_t)at, c->buf, want);
            int r = n <= 0 ? (n ? (int)n : -EIO)
                           : volume_write(c->to, to, (uint64_t)at, c->buf, (size_t)n);
            if (r)
                return r;
            at += n;
        }
        if (end < 0)
            return (int)end;
    }
    return at < 0 && at != -ENXIO ? (int)at : volume_set(c->to, to, &set);
}

static int copy_attributes(struct copy *c, uint64_t from, uint64_t to)
{
    char names[8192];
    long size = volume_xattr_list(c->from, from, names, sizeof(names));
    for (long at = 0; at < size;) {
        struct volume_name name = {names + at, strlen(names + at)};
        long n = volume_xattr_get(c->from, from, name, c->buf, VOLUME_WRITE_MAX);
        int r = n < 0 ? (int)n : volume_xattr_set(c->to, to, name, c->buf, (size_t)n, 0);
        if (r)
            return r;
        at += (long)name.size + 1;
    }
    return size < 0 ? (int)size : 0;
}

/* Last: what was done in it changed its times. */
static int copy_rest(struct copy *c, uint64_t to, const struct volume_stat *st)
{
    struct volume_change set = {.what = VOLUME_SET_MODE | VOLUME_SET_UID | VOLUME_SET_GID |
                                        VOLUME_SET_ATIME | VOLUME_SET_MTIME | VOLUME_SET_CTIME,
                                .mode = st->mode & 07777,
                                .uid = st->uid,
                                .gid = st->gid,
                                .atime = st->atime,
                                .mtime = st->mtime,
                                .ctime = st->ctime};
    return volume_set(c->to, to, &set);
}

static int copy_inode(struct copy *c, uint64_t from, uint64_t dir, struct volume_name name)
{
    struct volume_stat st;
    struct volume_name link = {0};
    int r = volume_stat(c->from, from, &st);
    uint64_t to = !r && !S_ISDIR(st.mode) && st.nlink > 1 ? find_made(c, from) : 0;
    if (r || to)
        return r ? r : volume_link(c->to, to, dir, name);
    if (S_ISLNK(st.mode)) {
        long n = volume_read(c->from, from, 0, c->buf, VOLUME_LINK_MAX);
        link = (struct volume_name){(char *)c->buf, n < 0 ? 0 : (size_t)n};
        r = n < 0 ? (int)n : 0;
    }
    if (!r)
        r = volume_make(c->to, dir, name, st.mode, (struct volume_owner){st.uid, st.gid}, st.rdev,
                        link, &to);
    if (!r && S_ISREG(st.mode))
        r = copy_content(c, from, to, st.size);
    if (!r)
        r = copy_attributes(c, from, to);
    if (!r && (S_ISDIR(st.mode) || st.nlink > 1))
        remember_pair(c, from, to);
    return r || S_ISDIR(st.mode) ? r : copy_rest(c, to, &st);
}

static int copy_directory(struct copy *c, struct pair dir)
{
    int r = volume_list(c->from, dir.from, 0, take_name, c);
    for (size_t i = 0; !r && i < c->names.count; i++) {
        struct volume_name name = {c->names.v[i], strlen(c->names.v[i])};
        r = copy_inode(c, c->inodes[i], dir.to, name);
    }
    sh_strings_free(&c->names);
    return r;
}

int sh_volume_copy(struct volume *from, struct volume *to, struct sh_error *err)
{
    struct copy c = {.from = from, .to = to, .buf = sh_alloc(VOLUME_WRITE_MAX)};
    struct volume_stat st;
    int r = copy_attributes(&c, VOLUME_ROOT, VOLUME_ROOT);
    remember_pair(&c, VOLUME_ROOT, VOLUME_ROOT);
    for (; !r && c.done < c.count; c.done++) {
        r = volume_stat(from, c.made[c.done].from, &st);
        if (!r && S_ISDIR(st.mode))
            r = copy_directory(&c, c.made[c.done]);
    }
    for (size_t i = 0; !r && i < c.count; i++) {
        r = volume_stat(from, c.made[i].from, &st);
        if (!r)
            r = copy_rest(&c, c.made[i].to, &st);
    }
    free(c.made);
    free(c.inodes);
    free(c.buf);
    return r ? sh_fail_errno(err, r, "cannot copy what is in the volume") : 0;
}
