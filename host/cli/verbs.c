// SPDX-License-Identifier: Apache-2.0
// The tables of host/cli/verbs.def.
#include <string.h>

#include "host/cli/options.h"

#define VERB(id, name, plain, min, max, missing, summary) static const struct sh_row rows_##id[] = {
#define END(id)                                                                                    \
    {                                                                                              \
        .kind = SH_ROW_END                                                                         \
    }                                                                                              \
    }                                                                                              \
    ;
#define SYNOPSIS(text) {.kind = SH_ROW_SYNOPSIS, .help = text},
#define ABOUT(text) {.kind = SH_ROW_ABOUT, .help = text},
#define HEADING(text) {.kind = SH_ROW_HEADING, .help = text},
#define OPTION(verb, id, letter, value, values, help, manual)                                      \
    {SH_ROW_OPTION, letter, #id, value, values, help, manual},
#define ITEM(what, help, manual) {SH_ROW_ITEM, 0, what, "", "", help, manual},
#define NOTE(text) {.kind = SH_ROW_NOTE, .help = text},
#include "host/cli/verbs.def"

#define VERB(id, name, plain, min, max, missing, summary)                                          \
    [SH_VERB_##id] = {name, plain, min, max, missing, summary, rows_##id,
#define END(id)                                                                                    \
    -1                                                                                             \
    }                                                                                              \
    ,
#define ALSO(verb) 1 + SH_VERB_##verb +
const struct sh_verb sh_verbs[SH_VERB_COUNT] = {
#include "host/cli/verbs.def"
};

const struct sh_verb *sh_verb_find(const char *first, const char *second)
{
    size_t n = strlen(first);
    for (size_t i = 0; second && i < SH_VERB_COUNT; i++)
        if (!strncmp(sh_verbs[i].name, first, n) && sh_verbs[i].name[n] == ' ' &&
            !strcmp(sh_verbs[i].name + n + 1, second))
            return &sh_verbs[i];
    for (size_t i = 0; i < SH_VERB_COUNT; i++)
        if (!strcmp(sh_verbs[i].name, first) && !strchr(first, ' '))
            return &sh_verbs[i];
    return NULL;
}

void sh_option_name(const struct sh_row *row, char out[40])
{
    size_t n = 2;
    memcpy(out, "--", 2);
    for (const char *p = row->name; *p && n < 39; p++)
        out[n++] = *p == '_' ? '-' : *p;
    out[n] = 0;
}
