// SPDX-License-Identifier: Apache-2.0
// Reads a command line by the table of verbs and options.
#include "host/cli/options.h"

#include <getopt.h>
#include <stdarg.h>
#include <string.h>

#include "host/cli/cli.h"

#define OPTION_MAX 48u
#define LONG_VALUE 256 /* of the table's first option */

/* glibc's form of the verb's options. */
struct table {
    struct option longs[OPTION_MAX + 2];
    char names[OPTION_MAX][40];
    char letters[3 * OPTION_MAX];
    const struct sh_row *rows[OPTION_MAX];
    size_t count;
};

static void add_option(struct table *t, const struct sh_row *row)
{
    size_t at = t->count++;
    int argument = !*row->value                                 ? no_argument
                   : *row->value == '[' && row->value[1] == '=' ? optional_argument
                                                                : required_argument;
    t->rows[at] = row;
    sh_option_name(row, t->names[at]);
    t->longs[at] = (struct option){t->names[at] + 2, argument, NULL, LONG_VALUE + (int)at};
    if (!row->letter)
        return;
    size_t n = strlen(t->letters);
    t->letters[n++] = row->letter;
    if (argument == required_argument)
        t->letters[n++] = ':';
}

static void fill_table(struct table *t, const struct sh_verb *verb)
{
    *t = (struct table){0};
    /* '+': options end at the first plain argument; ':' tells a missing value from an unknown
     * option. */
    strcpy(t->letters, verb->max == REST ? "+:h" : ":h");
    for (const struct sh_row *row = verb->rows; row->kind != SH_ROW_END && t->count < OPTION_MAX;
         row++)
        if (row->kind == SH_ROW_OPTION)
            add_option(t, row);
    t->longs[t->count] = (struct option){"help", no_argument, NULL, 'h'};
}

struct sh_cli sh_cli_start(enum sh_verb_id verb, int argc, char **argv)
{
    optind = 0;
    opterr = 0;
    const struct sh_verb *v = &sh_verbs[verb];
    return (struct sh_cli){.verb = v->also < 0 ? v : &sh_verbs[v->also],
                           .shown = v->name,
                           .status = -1,
                           .argc = argc,
                           .argv = argv};
}

bool sh_is_dash_it(const char *a)
{
    return a && a[0] == '-' && a[1] && strspn(a + 1, "itd") == strlen(a + 1) && strchr(a, 'i') &&
           strchr(a, 't') && strlen(a) <= 4;
}

/* All options are read: what is left. */
static void take_plain(struct sh_cli *c)
{
    const struct sh_verb *v = c->verb;
    c->args = c->argv + optind;
    c->count = c->argc - optind;
    if (c->count < v->min)
        c->status = sh_cli_usage(c->shown, "%s", v->missing);
    else if (v->max >= 0 && c->count > v->max)
        c->status = sh_cli_usage(c->shown, "unexpected argument '%s'", c->args[v->max]);
}

/* The option that getopt stumbled over, as it was written. */
static const char *find_culprit(const struct sh_cli *c, char letter[3])
{
    const char *word = c->argv[optind > 1 ? optind - 1 : 1];
    if (optopt <= 0 || optopt >= LONG_VALUE)
        return word;
    letter[0] = '-';
    letter[1] = (char)optopt;
    letter[2] = 0;
    return letter;
}

int sh_cli_usage(const char *verb, const char *format, ...)
{
    struct sh_error err = {0};
    va_list ap;
    va_start(ap, format);
    vsnprintf(err.text, sizeof(err.text), format, ap);
    va_end(ap);
    size_t n = strlen(err.text);
    snprintf(err.text + n, sizeof(err.text) - n, "; see 'shelter %s%s'", *verb ? verb : "help",
             *verb ? " --help" : "");
    return sh_error_report(&err);
}

static int give_up(struct sh_cli *c, int status)
{
    c->status = status;
    return -1;
}

int sh_cli_next(struct sh_cli *c)
{
    struct table t;
    char letter[3];
    int at = optind ? optind : 1;
    fill_table(&t, c->verb);
    if (c->no_dash_it && at < c->argc && sh_is_dash_it(c->argv[at]))
        return give_up(c, sh_cli_usage(c->shown, "there is no %s: %s", c->argv[at], c->no_dash_it));
    int o = getopt_long(c->argc, c->argv, t.letters, t.longs, NULL);
    c->value = optarg;
    if (o < 0) {
        take_plain(c);
        return -1;
    }
    if (o == 'h')
        return give_up(c, sh_cli_help(c->shown));
    if (o == ':')
        return give_up(c, sh_cli_usage(c->shown, "%s needs a value", find_culprit(c, letter)));
    if (o == '?')
        return give_up(
            c, sh_cli_usage(c->shown,
                            optopt >= LONG_VALUE ? "%s takes no value" : "there is no option %s",
                            find_culprit(c, letter)));
    for (size_t i = 0; i < t.count; i++)
        if (o == LONG_VALUE + (int)i || o == t.rows[i]->letter)
            return (int)i;
    return give_up(c, sh_cli_usage(c->shown, "there is no option %s", find_culprit(c, letter)));
}

struct sh_cli sh_cli_plain(enum sh_verb_id verb, int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(verb, argc, argv);
    (void)sh_cli_next(&c);
    return c;
}
