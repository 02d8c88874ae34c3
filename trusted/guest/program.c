// SPDX-License-Identifier: Apache-2.0
// The workload's argv and environment, from manifest and launch config.
#include "trusted/guest/guest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int guest_strings_add(struct guest_strings *s, const char *text, size_t size)
{
    if (s->count + 2 > s->room) {
        size_t room = s->room ? s->room * 2 : 16;
        char **items =
            room > 2 * GUEST_STRINGS_MAX ? NULL : realloc(s->items, room * sizeof(*items));
        if (!items)
            return -E2BIG;
        s->items = items;
        s->room = room;
    }
    char *copy = malloc(size + 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, text, size);
    copy[size] = 0;
    s->items[s->count++] = copy;
    s->items[s->count] = NULL;
    return 0;
}

int guest_env_set(struct guest_strings *env, const char *text, size_t size)
{
    const char *equals = memchr(text, '=', size);
    size_t name = equals ? (size_t)(equals - text) + 1 : 0;
    if (name < 2)
        return -EINVAL;
    for (size_t i = 0; i < env->count; i++) {
        if (strncmp(env->items[i], text, name))
            continue;
        char *copy = malloc(size + 1);
        if (!copy)
            return -ENOMEM;
        memcpy(copy, text, size);
        copy[size] = 0;
        free(env->items[i]);
        env->items[i] = copy;
        return 0;
    }
    return guest_strings_add(env, text, size);
}

const char *guest_env_get(const struct guest_strings *env, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < env->count; i++)
        if (!strncmp(env->items[i], name, size) && env->items[i][size] == '=')
            return env->items[i] + size + 1;
    return NULL;
}

void guest_strings_free(struct guest_strings *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->items[i]);
    free(s->items);
    *s = (struct guest_strings){0};
}

static int add_manifest(const struct guest_config *c, enum sh_manifest_tag tag,
                        int (*add)(struct guest_strings *, const char *, size_t),
                        struct guest_strings *s)
{
    struct sh_view v;
    int rc = 0;
    for (size_t i = 0; !rc && (v = sh_manifest_get(&c->manifest, tag, i)).data; i++)
        rc = add(s, (const char *)v.data, v.size);
    return rc;
}

static int add_launch(const struct guest_config *c, enum sh_launch_key key,
                      int (*add)(struct guest_strings *, const char *, size_t),
                      struct guest_strings *s)
{
    char *value = malloc(SH_LAUNCH_SIZE_MAX);
    int rc = value ? 0 : -ENOMEM;
    for (size_t i = 0; !rc; i++) {
        int n = sh_launch_get(c->launch.data, c->launch.size, key, i, value, SH_LAUNCH_SIZE_MAX);
        if (n == -ENOENT)
            break;
        rc = n < 0 ? n : add(s, value, (size_t)n);
    }
    free(value);
    return rc;
}

int guest_program(const struct guest_config *c, struct guest_strings *argv,
                  struct guest_strings *env, struct guest_error *e)
{
    int rc;
    if (sh_launch_count(c->launch.data, c->launch.size, SH_LAUNCH_ARG)) {
        rc = add_launch(c, SH_LAUNCH_ARG, guest_strings_add, argv);
    } else {
        rc = add_manifest(c, SH_TAG_ENTRYPOINT, guest_strings_add, argv);
        if (!rc)
            rc = add_manifest(c, SH_TAG_COMMAND, guest_strings_add, argv);
    }
    if (!rc && !argv->count)
        return guest_fail(e, -EINVAL, "the image names no command; give one");
    if (!rc)
        rc = add_manifest(c, SH_TAG_ENV, guest_env_set, env);
    if (!rc)
        rc = add_launch(c, SH_LAUNCH_ENV, guest_env_set, env);
    if (rc == -EINVAL)
        return guest_fail(e, rc, "an environment entry is not NAME=VALUE");
    return rc ? guest_fail(e, rc, "arguments and environment are too long: %s", strerror(-rc)) : 0;
}
