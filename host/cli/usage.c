// SPDX-License-Identifier: Apache-2.0
// A verb's help, printed from the table of verbs and options.
#include <stdio.h>
#include <string.h>

#include "host/cli/cli.h"

#define WIDTH 95
#define COLUMN_MAX 26 /* where the text of options begins, at most */

/* Writes words from column `at` on, further lines indented. */
static void print_wrapped(const char *text, int at, int indent)
{
    while (*text) {
        int word = (int)strcspn(text, " ");
        if (at > indent && at + 1 + word > WIDTH) {
            printf("\n%*s", indent, "");
            at = indent;
        } else if (at > indent) {
            putchar(' ');
            at++;
        }
        printf("%.*s", word, text);
        at += word;
        text += word;
        text += strspn(text, " ");
    }
    putchar('\n');
}

/* "  -t, --tag IMAGE" */
static void label_of(const struct sh_row *row, char out[128])
{
    char name[40];
    if (row->kind == SH_ROW_ITEM) {
        snprintf(out, 128, "  %s", row->name);
        return;
    }
    sh_option_name(row, name);
    int n = row->letter ? snprintf(out, 128, "  -%c, %s", row->letter, name)
                        : snprintf(out, 128, "      %s", name);
    snprintf(out + n, 128 - (size_t)n, "%s%s", *row->value && *row->value != '[' ? " " : "",
             row->value);
    if (*row->value == '[' && row->value[1] != '=')
        snprintf(out + n, 128 - (size_t)n, " %s", row->value);
}

static bool is_shown(const struct sh_row *row)
{
    return (row->kind == SH_ROW_OPTION && *row->help) || row->kind == SH_ROW_ITEM;
}

static int column_of(const struct sh_verb *verb)
{
    char label[128];
    int column = 0;
    for (const struct sh_row *row = verb->rows; row->kind != SH_ROW_END; row++) {
        if (!is_shown(row))
            continue;
        label_of(row, label);
        int n = (int)strlen(label) + 1;
        if (n > column && n <= COLUMN_MAX)
            column = n;
    }
    return column ? column : COLUMN_MAX;
}

static void print_option(const struct sh_row *row, int column)
{
    char label[128];
    label_of(row, label);
    int n = printf("%s", label);
    if (n + 1 > column)
        n = printf("\n") - 1;
    printf("%*s", column - n, "");
    print_wrapped(row->help, column, column);
}

static void print_usage(const struct sh_verb *verb, bool *first)
{
    for (const struct sh_row *row = verb->rows; row->kind != SH_ROW_END; row++)
        if (row->kind == SH_ROW_SYNOPSIS) {
            printf("%s shelter %s%s%s\n", *first ? "Usage:" : "      ", verb->name,
                   *row->help ? " " : "", row->help);
            *first = false;
        }
}

/* The verbs below this one: "broker serve" of "broker". */
static void print_family(const struct sh_verb *verb)
{
    size_t n = strlen(verb->name);
    bool any = false;
    for (const struct sh_verb *v = sh_verbs; v < sh_verbs + SH_VERB_COUNT; v++) {
        if (strncmp(v->name, verb->name, n) || v->name[n] != ' ')
            continue;
        printf("%s  %-18s %s\n", any ? "" : "\n", v->name + n + 1, v->summary);
        any = true;
    }
    if (any)
        printf("\n'shelter %s VERB --help' shows its options.\n", verb->name);
}

void sh_verb_help(const struct sh_verb *verb)
{
    bool first = true, options = false;
    int column = column_of(verb);
    print_usage(verb, &first);
    for (const struct sh_row *row = verb->rows; row->kind != SH_ROW_END; row++) {
        bool text =
            row->kind == SH_ROW_ABOUT || row->kind == SH_ROW_NOTE || row->kind == SH_ROW_HEADING;
        if (text || (is_shown(row) && !options))
            putchar('\n');
        if (text)
            print_wrapped(row->help, 0, 0);
        else if (is_shown(row))
            print_option(row, column);
        options = is_shown(row) || row->kind == SH_ROW_HEADING || (options && !text);
    }
    print_family(verb);
}

int sh_cli_help(const char *name)
{
    const char *space = strchr(name, ' ');
    char first[32];
    snprintf(first, sizeof(first), "%.*s", (int)strcspn(name, " "), name);
    const struct sh_verb *verb = sh_verb_find(first, space ? space + 1 : NULL);
    if (verb)
        sh_verb_help(verb);
    return 0;
}
