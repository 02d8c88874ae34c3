// SPDX-License-Identifier: Apache-2.0
// The table of verbs and options (host/cli/verbs.def) as data, and the parser that reads a command
// line by it.
#ifndef HOST_CLI_OPTIONS_H
#define HOST_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#define MANY (-1)
#define REST (-2)

enum sh_row_kind {
    SH_ROW_END,
    SH_ROW_SYNOPSIS,
    SH_ROW_ABOUT,
    SH_ROW_HEADING,
    SH_ROW_OPTION,
    SH_ROW_ITEM,
    SH_ROW_NOTE,
};

struct sh_row {
    enum sh_row_kind kind;
    char letter;        /* OPTION: 0 where it has none */
    const char *name;   /* OPTION: with _ for -; ITEM: what it looks like */
    const char *value;  /* OPTION: "" takes none, "[=X]" may take one */
    const char *values; /* OPTION: what Tab offers */
    const char *help;   /* OPTION: "" is not shown */
    const char *manual; /* "": help will do */
};

struct sh_verb {
    const char *name; /* "run", "broker serve" */
    const char *plain;
    int min, max;
    const char *missing, *summary;
    const struct sh_row *rows; /* ends with SH_ROW_END */
    int also;                  /* enum sh_verb_id of a verb whose options it takes too; -1: none */
};

/* enum sh_verb_id: SH_VERB_run, ... */
#define VERB(id, name, plain, min, max, missing, summary) SH_VERB_##id,
enum sh_verb_id {
#include "host/cli/verbs.def"
    SH_VERB_COUNT
};

/* One enum a verb, enum sh_run_option: SH_run_tag, ... A switch over it without `default` makes the
 * compiler find an option that nobody honours. SH_run_end: there is none any more. */
#define VERB(id, name, plain, min, max, missing, summary)                                          \
    enum sh_##id##_option                                                                          \
    {                                                                                              \
        SH_##id##_end = -1,
#define END(id)                                                                                    \
    }                                                                                              \
    ;
#define OPTION(verb, id, letter, value, values, help, manual) SH_##verb##_##id,
#include "host/cli/verbs.def"

extern const struct sh_verb sh_verbs[SH_VERB_COUNT];

/* The verb of that name, or NULL; the name of two words is looked for first. */
const struct sh_verb *sh_verb_find(const char *first, const char *second);

/* "--no-trunc" of a row; the buffer is the caller's. */
void sh_option_name(const struct sh_row *row, char out[40]);

/* A command line while it is read. */
struct sh_cli {
    const struct sh_verb *verb;
    const char *shown; /* the verb's name in messages */
    /* When set, an attempt at docker's -it is answered by this sentence. */
    const char *no_dash_it;
    const char *value; /* of the option that sh_cli_next returned; NULL: none */
    char **args;       /* the plain arguments, once all options were read */
    int count;
    int status; /* -1: go on; else the exit status: help was given, or the arguments are wrong */
    int argc;
    char **argv;
};

struct sh_cli sh_cli_start(enum sh_verb_id verb, int argc, char **argv);

/* The next option, by its enum; its end is -1 (then look at `status`). Help, unknown
 * options, missing values and a wrong number of plain arguments are dealt with here. Not reentrant.
 */
int sh_cli_next(struct sh_cli *c);

/* Both at once, for a verb without options of its own. */
struct sh_cli sh_cli_plain(enum sh_verb_id verb, int argc, char **argv);

/* Is it an attempt at docker's -it? */
bool sh_is_dash_it(const char *argument);

/* What `VERB --help` prints. */
void sh_verb_help(const struct sh_verb *verb);

#endif
