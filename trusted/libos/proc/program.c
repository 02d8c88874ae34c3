// SPDX-License-Identifier: Apache-2.0
// Environments, and the search for programs by PATH.
#include "trusted/libos/proc/program.h"

#include "lib/settings.h"
#include "trusted/libos/fs/file.h"

char *workload_home;

int env_put(struct environment *e, const char *text)
{
    const char *eq = strchr(text, '=');
    size_t n = eq ? (size_t)(eq - text) + 1 : strlen(text);
    for (size_t i = 0; i < e->count; i++) {
        if (!strncmp(e->list[i], text, n)) {
            e->list[i] = text;
            return 0;
        }
    }
    if (e->count + 1 >= e->room)
        return -E2BIG;
    e->list[e->count++] = text;
    return 0;
}

static int env_set(struct environment *e, const char *text)
{
    char *copy = los_strdup(text);
    return copy ? env_put(e, copy) : -ENOMEM;
}

int env_add(void *env, const char *text)
{
    return env_set(env, text);
}

const char *env_get(const struct environment *e, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < e->count; i++) {
        if (!strncmp(e->list[i], name, n) && e->list[i][n] == '=')
            return e->list[i] + n + 1;
    }
    return NULL;
}

int env_begin(struct environment *e, size_t more)
{
    *e = (struct environment){.room = settings.env.count + more + 2, .count = settings.env.count};
    e->list = los_alloc(e->room * sizeof(*e->list));
    if (!e->list)
        return -ENOMEM;
    memcpy(e->list, settings.env.items, settings.env.count * sizeof(*e->list));
    return 0;
}

int env_keep_home(const char *home)
{
    char text[1100];
    fmt(text, sizeof(text), "HOME=%s", home);
    workload_home = los_strdup(text);
    return workload_home ? 0 : -ENOMEM;
}

void env_wipe(struct environment *e)
{
    for (size_t i = 0; i < e->count; i++) {
        if (i < settings.env.count && e->list[i] == settings.env.items[i])
            continue;
        char *text = (char *)(uintptr_t)e->list[i];
        memset(text, 0, strlen(text));
        __asm__ volatile("" : : "r"(text) : "memory");
        los_free(text);
    }
    los_free(e->list);
}

int program_find(const char *name, const char *path, char *out, size_t size)
{
    if (strchr(name, '/')) {
        fmt(out, size, "%s", name);
        return 0;
    }
    while (path && *path) {
        const char *end = strchr(path, ':');
        size_t n = end ? (size_t)(end - path) : strlen(path);
        struct walk w;
        fmt(out, size, "%.*s/%s", (int)n, n ? path : ".", name);
        if (walk_path(AT_FDCWD, out, WALK_FOLLOW, &w) == 0) {
            bool fits = w.dentry && !w.file && (w.dentry->inode->mode & S_IFMT) == S_IFREG &&
                        inode_allowed(w.dentry->inode, 1);
            walk_end(&w);
            if (fits)
                return 0;
        }
        path += n + (end != NULL);
    }
    return -ENOENT;
}
