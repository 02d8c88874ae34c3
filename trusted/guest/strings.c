// SPDX-License-Identifier: Apache-2.0
// Lists of strings: argv and environments.
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
    char *copy = strndup(text, size);
    if (!copy)
        return -ENOMEM;
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
        char *copy = strndup(text, size);
        if (!copy)
            return -ENOMEM;
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
