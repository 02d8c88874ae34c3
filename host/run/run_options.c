// SPDX-License-Identifier: Apache-2.0
// What `run` and `start` were asked: variables, and whose memory it is.
#include "host/run/run_options.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "host/image/input/config.h"
#include "host/run/terminal.h"
#include "lib/settings.h"

bool sh_run_tty(const struct sh_run_options *o)
{
    return o->tty == SH_TTY_YES || (o->tty == SH_TTY_AUTO && sh_terminal_here());
}

void sh_env_set(struct sh_strings *env, const char *pair)
{
    size_t name = strcspn(pair, "=") + 1;
    for (size_t i = 0; i < env->count; i++)
        if (!strncmp(env->v[i], pair, name)) {
            free(env->v[i]);
            env->v[i] = sh_strdup(pair);
            return;
        }
    sh_strings_add(env, pair);
}

int sh_env_option(struct sh_strings *env, const char *text, struct sh_error *err)
{
    if (!*text || *text == '=')
        return sh_fail(err, -EINVAL, "-e %s: write NAME=VALUE, or NAME to pass on your own value",
                       text);
    if (strchr(text, '=')) {
        sh_env_set(env, text);
        return 0;
    }
    const char *value = getenv(text);
    if (value) {
        cleanup_free char *pair = sh_format("%s=%s", text, value);
        sh_env_set(env, pair);
    }
    return 0;
}

int sh_env_file(struct sh_strings *env, const char *path, struct sh_error *err)
{
    cleanup_free uint8_t *text = NULL;
    size_t size;
    int r = sh_read_file(AT_FDCWD, path, 1 << 20, &text, &size, err);
    if (r)
        return r;
    if (memchr(text, 0, size))
        return sh_fail(err, -EINVAL, "the environment file %s holds a NUL byte", path);
    unsigned number = 0;
    for (char *line = (char *)text, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        number++;
        line[strcspn(line, "\r")] = 0;
        line += strspn(line, " \t");
        if (!*line || *line == '#')
            continue;
        size_t name = strcspn(line, "=");
        if (!name || strcspn(line, " \t") < name)
            return sh_fail(err, -EINVAL, "line %u of the environment file %s is not NAME=VALUE",
                           number, path);
        r = sh_env_option(env, line, err);
        if (r)
            return r;
    }
    return 0;
}

int sh_limit_add(struct sh_strings *limits, const char *name, const struct sh_limit_record *l,
                 struct sh_error *err)
{
    if (l->soft > l->hard)
        return sh_fail(err, -EINVAL, "limit %s: the soft limit is above the hard one", name);
    if (l->resource == SH_LIMIT_FILES && l->hard > SH_LIMIT_FILES_MAX)
        return sh_fail(err, -EINVAL, "limit %s: at most %u descriptors are possible", name,
                       SH_LIMIT_FILES_MAX);
    sh_strings_addf(limits, SH_LAUNCH_LIMIT_FORMAT, l->resource, (unsigned long long)l->soft,
                    (unsigned long long)l->hard);
    return 0;
}

int sh_limit_option(struct sh_strings *limits, const char *text, struct sh_error *err)
{
    struct sh_limit_record l;
    int r = sh_limit_parse(text, &l, err);
    return r ? r : sh_limit_add(limits, sh_limit_name(l.resource), &l, err);
}

void sh_run_options_free(struct sh_run_options *o)
{
    sh_strings_free(&o->command);
    sh_strings_free(&o->env);
    free(o->broker);
    free(o->ports);
    for (size_t i = 0; i < o->mount_count; i++) {
        free(o->mounts[i].source);
        free(o->mounts[i].target);
    }
    free(o->mounts);
    sh_strings_free(&o->limits);
    sh_strings_free(&o->files);
    sh_strings_free(&o->volumes);
    *o = (struct sh_run_options){0};
}
