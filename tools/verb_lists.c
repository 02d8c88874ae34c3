// SPDX-License-Identifier: Apache-2.0
// Writes what the manual and Tab need of host/cli/verbs.def.
//   verb_lists manual DIR    DIR/VERB.adoc: a verb's options; DIR/others.adoc: verbs without a page
//   verb_lists completion    the tables of completions/shelter.bash, on standard output
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/cli/options.h"

#define FOR_ROWS(row, verb)                                                                        \
    for (const struct sh_row *row = (verb)->rows; row->kind != SH_ROW_END; row++)

/* --- the manual --- */

/* Help as a sentence: a capital letter, a full stop. */
static void write_sentence(FILE *f, const char *text)
{
    size_t n = strlen(text);
    fprintf(f, "%c%s%s", toupper((unsigned char)*text), text + 1,
            n && strchr(".)", text[n - 1]) && text[n - 1] == '.' ? "" : ".");
}

static void write_option(FILE *f, const struct sh_row *row)
{
    char name[40];
    if (row->kind == SH_ROW_ITEM) {
        fprintf(f, "**%s**", row->name);
    } else {
        sh_option_name(row, name);
        if (row->letter)
            fprintf(f, "*-%c*, ", row->letter);
        fprintf(f, "**%s**", name);
        if (*row->value)
            fprintf(f, "%s__%s__", !strncmp(row->value, "[=", 2) ? "" : " ", row->value);
    }
    fputs("::\n  ", f);
    if (*row->manual)
        fputs(row->manual, f);
    else
        write_sentence(f, row->help);
    fputs("\n", f);
}

static void write_options(FILE *f, const struct sh_verb *verb, bool headings)
{
    FOR_ROWS(row, verb)
    {
        if (row->kind == SH_ROW_HEADING && headings)
            fprintf(f, "\n=== %.*s\n\n",
                    (int)(strlen(row->help) - (row->help[strlen(row->help) - 1] == ':')),
                    row->help);
        if ((row->kind == SH_ROW_OPTION && *row->help) || row->kind == SH_ROW_ITEM)
            write_option(f, row);
    }
}

/* "broker serve" -> "broker-serve" */
static void file_name(const struct sh_verb *verb, char out[64])
{
    snprintf(out, 64, "%s", verb->name);
    for (char *p = out; *p; p++)
        if (*p == ' ')
            *p = '-';
}

static bool has_page(const char *name)
{
    char path[128];
    char first[64];
    snprintf(first, sizeof(first), "%.*s", (int)strcspn(name, " "), name);
    snprintf(path, sizeof(path), "man/shelter-%s.1.adoc", first);
    return !access(path, R_OK);
}

static void write_other(FILE *f, const struct sh_verb *verb)
{
    fprintf(f, "=== %s\n\n", verb->name);
    FOR_ROWS(row, verb)
    if (row->kind == SH_ROW_SYNOPSIS)
        fprintf(f, " shelter %s %s\n", verb->name, row->help);
    fputs("\n", f);
    FOR_ROWS(row, verb)
    if (row->kind == SH_ROW_ABOUT || row->kind == SH_ROW_NOTE)
        fprintf(f, "%s\n\n", row->help);
    write_options(f, verb, false);
    fputs("\n", f);
}

static int write_manual(const char *dir)
{
    char path[512], name[64];
    snprintf(path, sizeof(path), "%s/others.adoc", dir);
    FILE *others = fopen(path, "w");
    for (size_t i = 0; others && i < SH_VERB_COUNT; i++) {
        file_name(&sh_verbs[i], name);
        if (!has_page(sh_verbs[i].name) && i != SH_VERB_start) {
            write_other(others, &sh_verbs[i]);
            continue;
        }
        snprintf(path, sizeof(path), "%s/%s.adoc", dir, name);
        FILE *f = fopen(path, "w");
        if (!f)
            return 1;
        write_options(f, &sh_verbs[i], true);
        if (fclose(f))
            return 1;
    }
    return !others || fclose(others);
}

/* --- completion --- */

static void print_names(const struct sh_verb *verb)
{
    char name[40];
    FOR_ROWS(row, verb)
    {
        if (row->kind != SH_ROW_OPTION || !*row->help)
            continue;
        sh_option_name(row, name);
        if (row->letter)
            printf("-%c ", row->letter);
        printf("%s ", name);
    }
    if (verb->also >= 0)
        print_names(&sh_verbs[verb->also]);
}

static void print_values(const struct sh_verb *verb, const char *shown)
{
    char name[40];
    FOR_ROWS(row, verb)
    {
        if (row->kind != SH_ROW_OPTION || !*row->value)
            continue;
        sh_option_name(row, name);
        printf("    ");
        if (row->letter)
            printf("'%s -%c' | ", shown, row->letter);
        printf("'%s %s') echo '%s' ;;\n", shown, name, *row->values ? row->values : "-");
    }
    if (verb->also >= 0)
        print_values(&sh_verbs[verb->also], shown);
}

static int print_completion(void)
{
    puts("# SPDX-License-Identifier: Apache-2.0");
    printf("_shelter_verbs='");
    for (size_t i = 0; i < SH_VERB_COUNT; i++)
        printf("%s%s", i ? "\n" : "", sh_verbs[i].name);
    puts("'\n_shelter_options() { # VERB\n    case $1 in");
    for (size_t i = 0; i < SH_VERB_COUNT; i++) {
        printf("    '%s') echo '", sh_verbs[i].name);
        print_names(&sh_verbs[i]);
        puts("--help' ;;");
    }
    puts("    esac\n}\n_shelter_plain() { # VERB\n    case $1 in");
    for (size_t i = 0; i < SH_VERB_COUNT; i++)
        printf("    '%s') echo '%s' ;;\n", sh_verbs[i].name, sh_verbs[i].plain);
    puts("    esac\n}\n_shelter_values() { # 'VERB OPTION'; nothing where it takes no value\n    "
         "case $1 in");
    for (size_t i = 0; i < SH_VERB_COUNT; i++)
        print_values(&sh_verbs[i], sh_verbs[i].name);
    puts("    esac\n}");
    return fflush(stdout) ? 1 : 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "manual"))
        return write_manual(argv[2]);
    if (argc == 2 && !strcmp(argv[1], "completion"))
        return print_completion();
    fputs("usage: verb_lists manual DIR | completion\n", stderr);
    return 2;
}
