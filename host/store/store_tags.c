// SPDX-License-Identifier: Apache-2.0
// The store: tags.
#include "host/store/store_tags.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "host/base/temp.h"

bool sh_is_id(const char *text, size_t digits_min)
{
    size_t n = strspn(text, "0123456789abcdef");
    return !text[n] && n >= digits_min && n < SH_ID_TEXT_SIZE;
}

/* One component of a repository name: lower-case letters and digits, joined by '.', '_', '__' or
 * any number of '-'. */
static bool component_ok(const char *s, size_t n)
{
    size_t i = 0;
    for (;;) {
        size_t start = i;
        while (i < n && (islower((unsigned char)s[i]) || isdigit((unsigned char)s[i])))
            i++;
        if (i == start)
            return false;
        if (i == n)
            return true;
        if (s[i] == '.')
            i++;
        else if (s[i] == '_')
            i += i + 1 < n && s[i + 1] == '_' ? 2 : 1;
        else if (s[i] == '-')
            while (i < n && s[i] == '-')
                i++;
        else
            return false;
    }
}

/* A registry's host[:port], as docker tells it from a component: it has a '.', a ':' or is
 * "localhost". */
static bool host_ok(const char *s, size_t n)
{
    const char *colon = memchr(s, ':', n);
    size_t host = colon ? (size_t)(colon - s) : n;
    if (!colon && !memchr(s, '.', n) && !(n == 9 && !memcmp(s, "localhost", 9)))
        return false;
    for (size_t i = 0; i < host; i++) {
        bool edge = !i || i + 1 == host || s[i - 1] == '.' || s[i + 1] == '.';
        if (!isalnum((unsigned char)s[i]) && (edge || (s[i] != '.' && s[i] != '-')))
            return false;
    }
    for (size_t i = host + 1; i < n; i++)
        if (!isdigit((unsigned char)s[i]))
            return false;
    return host && host + 1 != n;
}

static bool name_ok(const char *s, size_t n)
{
    const char *slash = memchr(s, '/', n);
    if (slash && host_ok(s, (size_t)(slash - s))) {
        n -= (size_t)(slash - s) + 1;
        s = slash + 1;
    }
    for (;;) {
        slash = memchr(s, '/', n);
        size_t part = slash ? (size_t)(slash - s) : n;
        if (!component_ok(s, part))
            return false;
        if (!slash)
            return true;
        n -= part + 1;
        s = slash + 1;
    }
}

static bool tag_ok(const char *s)
{
    size_t n = strlen(s);
    if (!n || n > 128 || *s == '.' || *s == '-')
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && !strchr("_.-", *s))
            return false;
    return true;
}

char *sh_tag_full(const char *text, struct sh_error *err)
{
    const char *slash = strrchr(text, '/');
    const char *colon = strchr(slash ? slash : text, ':');
    size_t n = colon ? (size_t)(colon - text) : strlen(text);
    if (n > 120 || !name_ok(text, n) || (colon && !tag_ok(colon + 1))) {
        sh_fail(err, -EINVAL,
                "'%.80s' is not a good tag: NAME[:TAG], NAME of lower-case letters, digits and "
                "single '.', '_', '-' between them, TAG of letters, digits, '_', '.', '-'",
                text);
        return NULL;
    }
    return colon ? sh_strdup(text) : sh_format("%s:latest", text);
}

static char *tag_path(const char *full_tag)
{
    char *path = sh_format("tags/%s", full_tag);
    for (char *p = path + 5; *p; p++)
        if (*p == '/')
            *p = '%';
    return path;
}

int sh_store_read_tag(struct sh_store *store, const char *full_tag, char id[SH_ID_TEXT_SIZE])
{
    cleanup_free char *path = tag_path(full_tag);
    cleanup_close int fd = openat(store->dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || sh_read_all(fd, id, SH_ID_TEXT_SIZE) || id[SH_ID_TEXT_SIZE - 1] != '\n')
        return -ENOENT;
    id[SH_ID_TEXT_SIZE - 1] = 0;
    return sh_is_id(id, SH_ID_TEXT_SIZE - 1) ? 0 : -ENOENT;
}

void sh_store_drop_tag(struct sh_store *store, const char *full_tag)
{
    cleanup_free char *path = tag_path(full_tag);
    unlinkat(store->dir_fd, path, 0);
}

int sh_store_lock(struct sh_store *store, int *fd, struct sh_error *err)
{
    *fd = openat(store->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int r = *fd < 0 ? -errno : 0;
    while (!r && flock(*fd, LOCK_EX))
        r = errno == EINTR ? 0 : -errno;
    return r ? sh_fail_errno(err, r, "cannot lock the store %s", store->path) : 0;
}

int sh_store_tag(struct sh_store *store, const char *full_tag, const char *id, struct sh_error *err)
{
    cleanup_close int lock = -1;
    cleanup_free char *path = tag_path(full_tag);
    cleanup_free char *image = sh_format("images/%s", id);
    int r = sh_store_lock(store, &lock, err);
    if (r)
        return r;
    if (faccessat(store->dir_fd, image, F_OK, 0))
        return sh_fail(err, -ENOENT, "image %.12s was removed meanwhile; build it again", id);
    cleanup_free char *line = sh_format("%s\n", id);
    return sh_write_file(store->dir_fd, path, line, strlen(line), 0644, err);
}

static int by_name(const void *a, const void *b)
{
    const struct sh_tag *x = a, *y = b;
    return strcmp(x->name, y->name);
}

int sh_store_all_tags(struct sh_store *store, struct sh_tags *tags, struct sh_error *err)
{
    *tags = (struct sh_tags){0};
    cleanup_closedir DIR *dir = sh_open_folder(store->dir_fd, "tags", 0);
    if (!dir)
        return sh_fail_errno(err, -errno, "cannot read the store %s", store->path);
    for (struct dirent *e; (e = readdir(dir));) {
        struct sh_error ignored = {0};
        char name[256], id[SH_ID_TEXT_SIZE];
        size_t n = strlen(e->d_name);
        if (!strchr(e->d_name, ':'))
            continue;
        for (size_t i = 0; i <= n; i++)
            name[i] = e->d_name[i] == '%' ? '/' : e->d_name[i];
        cleanup_free char *full = sh_tag_full(name, &ignored); /* leaves temporary files out */
        if (!full || strcmp(full, name) || sh_store_read_tag(store, full, id))
            continue;
        tags->v = sh_realloc_array(tags->v, tags->count + 1, sizeof(*tags->v));
        struct sh_tag *t = &tags->v[tags->count++];
        t->name = sh_take_ptr(full);
        memcpy(t->id, id, sizeof(id));
    }
    if (tags->count)
        qsort(tags->v, tags->count, sizeof(*tags->v), by_name);
    return 0;
}

void sh_tags_free(struct sh_tags *tags)
{
    for (size_t i = 0; i < tags->count; i++)
        free(tags->v[i].name);
    free(tags->v);
    *tags = (struct sh_tags){0};
}

int sh_store_tags(struct sh_store *store, const char *id, struct sh_strings *tags,
                  struct sh_error *err)
{
    struct sh_tags all;
    int r = sh_store_all_tags(store, &all, err);
    if (r)
        return r;
    for (size_t i = 0; i < all.count; i++)
        if (!strcmp(all.v[i].id, id))
            sh_strings_add(tags, all.v[i].name);
    sh_tags_free(&all);
    return 0;
}
