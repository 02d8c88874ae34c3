// SPDX-License-Identifier: Apache-2.0
// shelter cp: files out of and into a running instance, where its policy allows exec.
#include <errno.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>

#include "host/cli/cli.h"
#include "host/run/allowed.h"
#include "host/run/copy_files.h"

/* Splits INSTANCE:PATH; a host's path that holds a colon is written with a slash before it. */
static char *instance_of(const char *text, const char **path)
{
    const char *colon = strchr(text, ':'), *slash = strchr(text, '/');
    if (!colon || colon == text || (slash && slash < colon))
        return NULL;
    *path = colon + 1;
    return strndup(text, (size_t)(colon - text));
}

static bool is_folder(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* The last component, without trailing slashes; owned by the caller. */
static char *last_name(const char *path)
{
    cleanup_free char *copy = sh_strdup(path);
    return sh_strdup(basename(copy));
}

static char *folder_of(const char *path)
{
    cleanup_free char *copy = sh_strdup(path);
    return sh_strdup(dirname(copy));
}

static int write_raw(struct sh_copy_stream *s, struct sh_error *err)
{
    const void *data;
    ssize_t n;
    int r = 0;
    while (!r && (n = sh_copy_read(s, &data)) > 0)
        r = sh_write_all(1, data, (size_t)n);
    return r ? sh_fail_errno(err, r, "cannot write the archive to stdout") : 0;
}

static int read_raw(struct sh_copy_stream *s, struct sh_error *err)
{
    uint8_t bytes[32768];
    ssize_t n;
    int r = 0;
    while (!r && (n = read(0, bytes, sizeof(bytes))) > 0)
        r = sh_copy_write(s, bytes, (size_t)n);
    return r == -EPIPE ? 0 : r ? sh_fail_errno(err, r, "cannot send the archive") : 0;
}

/* The guest's verdict, and what went wrong here where it has none. */
static int finish_copy(struct sh_copy_stream *s, int r, const struct sh_error *local,
                       struct sh_error *err)
{
    if (!r || s->ended)
        r = sh_copy_finish(s, err) ? -EIO : r;
    if (r)
        sh_fail(err, r, "%s", local->text);
    return r;
}

static int copy_out(struct sh_instance *i, const char *path, const char *target,
                    struct sh_error *err)
{
    struct sh_copy_stream s;
    struct sh_error local = {0}; /* a failure there is nearer to the cause than ours */
    bool raw = !strcmp(target, "-");
    cleanup_free char *name = NULL, *folder = NULL;
    if (!raw) {
        bool into = is_folder(target);
        size_t n = strlen(path);
        bool content = n >= 2 && !strcmp(path + n - 2, "/.");
        if (!into && target[strlen(target) - 1] == '/')
            return sh_fail(err, -ENOTDIR, "there is no folder %s", target);
        name = into ? (content ? NULL : last_name(path)) : last_name(target);
        folder = into ? sh_strdup(target) : folder_of(target);
        if (chdir(folder))
            return sh_fail_errno(err, -errno, "cannot copy to %s", target);
    }
    int r = sh_copy_open(&s, i, SH_EXEC_COPY_OUT, path, err);
    if (!r) {
        r = raw ? write_raw(&s, &local) : sh_copy_unpack(&s, name, &local);
        r = finish_copy(&s, r, &local, err);
    }
    sh_copy_close(&s);
    return r;
}

/* Is PATH in the instance a folder? */
static bool guest_folder(struct sh_instance *i, const char *path)
{
    struct sh_copy_stream s;
    struct sh_error ignored = {0};
    bool yes = !sh_copy_open(&s, i, SH_EXEC_COPY_OUT, path, &ignored) && sh_copy_probe(&s) == 1;
    sh_copy_close(&s);
    return yes;
}

static int copy_in(struct sh_instance *i, const char *source, const char *path,
                   struct sh_error *err)
{
    struct sh_copy_stream s;
    struct sh_error local = {0};
    struct stat st;
    bool raw = !strcmp(source, "-");
    if (!raw && lstat(source, &st))
        return sh_fail_errno(err, -errno, "cannot copy %s", source);
    size_t n = strlen(source);
    bool content = !raw && n >= 2 && !strcmp(source + n - 2, "/.");
    bool into = raw || (*path && path[strlen(path) - 1] == '/') || guest_folder(i, path);
    cleanup_free char *name = content && into ? NULL : last_name(into ? source : path);
    cleanup_free char *folder = into ? sh_strdup(path) : folder_of(path);
    int r = sh_copy_open(&s, i, SH_EXEC_COPY_IN, folder, err);
    if (!r) {
        r = raw ? read_raw(&s, &local) : sh_copy_pack(&s, source, name, &local);
        r = finish_copy(&s, r, &local, err);
    }
    sh_copy_close(&s);
    return r;
}

static int copy(const char *from, const char *to)
{
    const char *path = NULL, *other = NULL;
    cleanup_free char *source = instance_of(from, &path);
    cleanup_free char *target = instance_of(to, &other);
    if (!source == !target)
        return sh_cli_usage("cp", "one of '%s' and '%s' must be INSTANCE:PATH", from, to);
    const char *inside = source ? path : other;
    if (!*inside)
        return sh_cli_usage("cp", "the path in the instance is empty");
    struct sh_error err = {0};
    struct sh_store store;
    struct sh_instance instance;
    if (sh_store_open(&store, &err))
        return sh_error_report(&err);
    int r = sh_instance_open(&store, source ? source : target, &instance, &err);
    if (!r) {
        r = sh_request_need(instance.config.requests, SH_POLICY_EXEC, "cp", &err);
        if (r)
            err.status = SH_EXIT_NOT_RUN;
        else
            r = source ? copy_out(&instance, path, to, &err)
                       : copy_in(&instance, from, other, &err);
        sh_instance_close(&instance);
    }
    sh_store_close(&store);
    return r ? sh_error_report(&err) : 0;
}

int cmd_cp(int argc, char **argv)
{
    struct sh_cli c = sh_cli_plain(SH_VERB_cp, argc, argv);
    if (c.status >= 0)
        return c.status;
    return copy(c.args[0], c.args[1]);
}
