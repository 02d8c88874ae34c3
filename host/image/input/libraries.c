// SPDX-License-Identifier: Apache-2.0
// Library search as ld.so does it, for an image instead of a process.
#include "host/image/input/libraries.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <string.h>

#define MULTIARCH "lib/x86_64-linux-gnu"
#define CONF_DEPTH 8

/* Compiled into Debian's ld.so: a library there needs no ld.so.cache to be found. */
static const char *const standard[] = {"/" MULTIARCH, "/usr/" MULTIARCH, "/lib64", "/usr/lib64",
                                       "/lib",        "/usr/lib",        NULL};
static const char *const musl_standard[] = {
    "/lib", "/usr/local/lib", "/usr/lib", "/lib/x86_64-linux-musl", "/usr/lib/x86_64-linux-musl",
    NULL};

void sh_library_free(struct sh_library *l)
{
    free(l->host_path);
    free(l->image_path);
    free(l->link);
    *l = (struct sh_library){0};
}

/* Can this be the library: an ELF file for this machine? Others are passed over, as ld.so does. */
static bool is_usable(const char *path)
{
    struct sh_elf elf;
    struct sh_error ignored = {0};
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || sh_elf_read(fd, path, &elf, &ignored))
        return false;
    sh_elf_free(&elf);
    return true;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == path ? sh_strdup("/") : sh_format("%.*s", (int)(slash - path), path);
}

/* One element of a search path with its $ORIGIN and $LIB replaced; NULL: not to be used. */
static char *expand_origin(const char *element, size_t n, const char *origin)
{
    struct sh_buffer b = {0};
    for (size_t i = 0; i < n;) {
        static const struct {
            const char *token;
            bool origin;
        } tokens[] = {{"$ORIGIN", true}, {"${ORIGIN}", true}, {"$LIB", false}, {"${LIB}", false}};
        size_t t = 0, count = sizeof(tokens) / sizeof(tokens[0]);
        while (t < count && (strlen(tokens[t].token) > n - i ||
                             strncmp(element + i, tokens[t].token, strlen(tokens[t].token))))
            t++;
        if (t < count) {
            const char *value = tokens[t].origin ? origin : MULTIARCH;
            sh_buffer_add(&b, value, strlen(value));
            i += strlen(tokens[t].token);
        } else {
            sh_buffer_add(&b, element + i, 1);
            i++;
        }
    }
    sh_buffer_add(&b, "", 1);
    if (b.data[0] != '/' || strchr((char *)b.data, '$'))
        sh_buffer_free(&b);
    return (char *)b.data;
}

/* "/a/b/../c" -> "/a/c", textually: inside the image the folders need not exist yet. */
static char *tidy_path(const char *path)
{
    char *out = sh_alloc(strlen(path) + 2);
    size_t n = 0;
    for (const char *p = path; *p;) {
        while (*p == '/')
            p++;
        size_t part = strcspn(p, "/");
        if (part == 2 && !strncmp(p, "..", 2)) {
            while (n && out[--n] != '/')
                ;
        } else if (part && !(part == 1 && *p == '.')) {
            out[n++] = '/';
            memcpy(out + n, p, part);
            n += part;
        }
        p += part;
    }
    if (!n)
        out[n++] = '/';
    out[n] = 0;
    return out;
}

static bool try_folder(const char *host_folder, const char *image_folder, const char *needed,
                       struct sh_library *found)
{
    cleanup_free char *path = sh_format("%s/%s", host_folder, needed);
    if (!is_usable(path))
        return false;
    cleanup_free char *image = sh_format("%s/%s", image_folder, needed);
    found->host_path = sh_take_ptr(path);
    found->image_path = tidy_path(image);
    return true;
}

static bool try_path(const char *list, const struct sh_object *of, const char *needed,
                     struct sh_library *found)
{
    cleanup_free char *host_origin = folder_of(of->host_path);
    cleanup_free char *image_origin = folder_of(of->image_path);
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, ":");
        cleanup_free char *host = expand_origin(p, n, host_origin);
        cleanup_free char *image = expand_origin(p, n, image_origin);
        if (host && image && try_folder(host, image, needed, found))
            return true;
        p += n + (p[n] == ':');
    }
    return false;
}

/* Tries the folders that a file in ld.so.conf's form names. */
static bool try_conf(const char *file, const char *needed, int depth, struct sh_library *found)
{
    cleanup_free uint8_t *data = NULL;
    size_t size;
    struct sh_error ignored = {0};
    if (depth > CONF_DEPTH || sh_read_file(AT_FDCWD, file, 1 << 20, &data, &size, &ignored))
        return false;
    char *save = NULL;
    for (char *line = strtok_r((char *)data, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        line[strcspn(line, "#")] = 0;
        line += strspn(line, " \t");
        line[strcspn(line, " \t=")] = *line == '/' ? 0 : line[strcspn(line, " \t=")];
        if (*line == '/' && try_folder(line, line, needed, found))
            return true;
        if (strncmp(line, "include", 7) || !strchr(" \t", line[7]))
            continue;
        glob_t g;
        char *pattern = line + 7 + strspn(line + 7, " \t");
        pattern[strcspn(pattern, " \t\r")] = 0;
        bool done = false;
        if (*pattern == '/' && !glob(pattern, 0, NULL, &g)) {
            for (size_t i = 0; i < g.gl_pathc && !done; i++)
                done = try_conf(g.gl_pathv[i], needed, depth + 1, found);
            globfree(&g);
        }
        if (done)
            return true;
    }
    return false;
}

int sh_library_find(const struct sh_object *by, const char *needed, const char *interpreter,
                    struct sh_library *found, struct sh_error *err)
{
    *found = (struct sh_library){0};
    bool musl = interpreter && strstr(interpreter, "ld-musl");
    if (strchr(needed, '/')) {
        if (*needed != '/' || !is_usable(needed))
            return sh_fail(err, -ENOENT, "%s needs %s, which is not there", by->host_path, needed);
        found->host_path = sh_strdup(needed);
        found->image_path = tidy_path(needed);
        return 0;
    }
    /* RPATHs of the whole chain count only where the object itself has no RUNPATH. */
    if (!by->elf->runpath)
        for (const struct sh_object *o = by; o; o = o->loader)
            if (o->elf->rpath && !o->elf->runpath && try_path(o->elf->rpath, o, needed, found))
                return 0;
    if (by->elf->runpath && try_path(by->elf->runpath, by, needed, found))
        return 0;
    for (const char *const *d = musl ? musl_standard : standard; *d; d++)
        if (try_folder(*d, *d, needed, found))
            return 0;
    if (!musl && try_conf("/etc/ld.so.conf", needed, 0, found)) {
        found->link = sh_format("/" MULTIARCH "/%s", needed);
        return 0;
    }
    return sh_fail(err, -ENOENT,
                   "%s needs the library %s, which is not on this machine; install it or link "
                   "statically",
                   by->host_path, needed);
}
