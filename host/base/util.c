// SPDX-License-Identifier: Apache-2.0
// Files, strings and buffers for the host side.
#include "host/base/util.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static void *check_memory(void *p)
{
    if (!p) {
        fputs("shelter: out of memory: the host has none left, free some and try again\n", stderr);
        _exit(SH_EXIT_FAILURE);
    }
    return p;
}

void *sh_alloc(size_t size)
{
    return check_memory(calloc(1, size ? size : 1));
}

void *sh_realloc_array(void *p, size_t count, size_t size)
{
    return check_memory(reallocarray(p, count ? count : 1, size));
}

char *sh_strdup(const char *s)
{
    return check_memory(strdup(s));
}

static char *format_list(const char *format, va_list ap)
{
    char *text = NULL;
    if (vasprintf(&text, format, ap) < 0)
        check_memory(NULL);
    return text;
}

char *sh_format(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    char *text = format_list(format, ap);
    va_end(ap);
    return text;
}

static void add_owned(struct sh_strings *l, char *s)
{
    l->v = sh_realloc_array(l->v, l->count + 2, sizeof(*l->v));
    l->v[l->count++] = s;
    l->v[l->count] = NULL;
}

void sh_strings_add(struct sh_strings *l, const char *s)
{
    add_owned(l, sh_strdup(s));
}

void sh_strings_addf(struct sh_strings *l, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    add_owned(l, format_list(format, ap));
    va_end(ap);
}

void sh_strings_free(struct sh_strings *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->v[i]);
    free(l->v);
    *l = (struct sh_strings){0};
}

void sh_buffer_add(struct sh_buffer *b, const void *data, size_t size)
{
    if (size > b->capacity - b->size) {
        size_t want = b->capacity ? b->capacity : 256;
        while (want - b->size < size)
            want *= 2;
        b->data = sh_realloc_array(b->data, want, 1);
        b->capacity = want;
    }
    if (size)
        memcpy(b->data + b->size, data, size);
    b->size += size;
}

void sh_buffer_free(struct sh_buffer *b)
{
    free(b->data);
    *b = (struct sh_buffer){0};
}

int sh_read_file(int dir_fd, const char *path, size_t max, uint8_t **data, size_t *size,
                 struct sh_error *err)
{
    cleanup_close int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return sh_fail_errno(err, -errno, "cannot open %s", path);
    struct sh_buffer b = {0};
    for (;;) {
        uint8_t chunk[16384];
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || b.size + (size_t)n > max) {
            int code = n < 0 ? -errno : -EFBIG;
            sh_buffer_free(&b);
            return sh_fail_errno(err, code, "cannot read %s", path);
        }
        if (!n)
            break;
        sh_buffer_add(&b, chunk, (size_t)n);
    }
    sh_buffer_add(&b, "", 1);
    *data = b.data;
    *size = b.size - 1;
    return 0;
}

DIR *sh_open_folder(int dir_fd, const char *name, int flags)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (fd >= 0 && !dir) {
        int code = errno;
        close(fd);
        errno = code;
    }
    return dir;
}

int sh_make_dirs(const char *path, mode_t mode, struct sh_error *err)
{
    cleanup_free char *copy = sh_strdup(path);
    for (char *p = copy + 1;; p++) {
        if (*p && *p != '/')
            continue;
        char c = *p;
        *p = 0;
        if (mkdir(copy, mode) && errno != EEXIST)
            return sh_fail_errno(err, -errno, "cannot create the folder %s", copy);
        *p = c;
        if (!c)
            return 0;
    }
}

int sh_remove_tree(int dir_fd, const char *name)
{
    if (!unlinkat(dir_fd, name, 0) || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -errno;
    cleanup_closedir DIR *dir = sh_open_folder(dir_fd, name, O_NOFOLLOW);
    if (!dir)
        return -errno;
    for (struct dirent *e; (e = readdir(dir));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        int r = sh_remove_tree(dirfd(dir), e->d_name);
        if (r)
            return r;
    }
    return unlinkat(dir_fd, name, AT_REMOVEDIR) && errno != ENOENT ? -errno : 0;
}

int sh_thread_start(pthread_t *id, void *(*run)(void *), void *arg)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(id, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -r;
}

int sh_parse_size(const char *text, uint64_t *bytes)
{
    char *end;
    if (!isdigit((unsigned char)text[0]))
        return -EINVAL;
    errno = 0;
    double value = strtod(text, &end);
    if (errno || !(value >= 0) || strpbrk(text, "xXpP"))
        return -EINVAL;
    static const char units[] = "kmgt";
    double factor = 1;
    if (*end) {
        const char *unit = strchr(units, tolower((unsigned char)*end));
        if (unit) {
            for (const char *u = units; u <= unit; u++)
                factor *= 1024;
            end++;
            if (tolower((unsigned char)*end) == 'i' && tolower((unsigned char)end[1]) == 'b')
                end += 2;
            else if (tolower((unsigned char)*end) == 'b')
                end++;
        } else if (tolower((unsigned char)*end) == 'b') {
            end++;
        }
    }
    if (*end || value * factor >= 9e18)
        return -EINVAL;
    *bytes = (uint64_t)(value * factor);
    return 0;
}

void sh_format_size(char *out, size_t out_size, uint64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double value = (double)bytes;
    size_t u = 0;
    while (value >= 999.5 && u + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1000;
        u++;
    }
    snprintf(out, out_size, value < 10 && u ? "%.1f %s" : "%.0f %s", value, units[u]);
}
