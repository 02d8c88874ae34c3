// SPDX-License-Identifier: Apache-2.0
// What an image says of a secret (SH_TAG_SECRET).
#include <asm/errno.h>
#include <string.h>

#include "trusted/agent/state.h"

static bool name_byte(char c, bool env)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (!env && (c == '-' || c == '.'));
}

/* What stands behind the path. */
static bool take_words(struct agent_secret *s, const char *words)
{
    static const struct {
        const char *words;
        bool env, volume, renewed;
        int signal;
    } known[] = {{.words = ""},
                 {.words = ":file"},
                 {.words = ":env", .env = true},
                 {.words = ":volume", .volume = true},
                 {.words = ":renew", .renewed = true},
                 {.words = ":renew:HUP", .renewed = true, .signal = 1},
                 {.words = ":renew:USR1", .renewed = true, .signal = 10},
                 {.words = ":renew:USR2", .renewed = true, .signal = 12}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (!strcmp(words, known[i].words)) {
            s->env = known[i].env;
            s->volume = known[i].volume;
            s->renewed = known[i].renewed;
            s->signal = known[i].signal;
            return true;
        }
    return false;
}

int agent_secret_parse(const char *text, struct agent_secret *s, char path[257])
{
    static const char scheme[] = "=kbs:///";
    size_t n = 0, end;
    while (text[n] && text[n] != '=')
        n++;
    if (!n || n > AGENT_NAME_MAX || strncmp(text + n, scheme, sizeof(scheme) - 1))
        return -EINVAL;
    for (end = n + sizeof(scheme) - 1; text[end] && text[end] != ':';)
        end++;
    if (!take_words(s, text + end))
        return -EINVAL;
    for (size_t i = 0; i < n; i++)
        if (!name_byte(text[i], s->env))
            return -EINVAL;
    if (text[0] == '.' || (s->env && text[0] >= '0' && text[0] <= '9'))
        return -EINVAL;
    memcpy(s->name, text, n);
    s->name[n] = 0;
    n += sizeof(scheme) - 1;
    if (end <= n || end - n > 256)
        return -EINVAL;
    memcpy(path, text + n, end - n);
    path[end - n] = 0;
    return 0;
}
