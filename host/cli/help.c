// SPDX-License-Identifier: Apache-2.0
// shelter help
#include <string.h>

#include "host/cli/cli.h"

static int list_verbs(void)
{
    puts("Usage: shelter VERB [OPTION...]\n\n"
         "Runs programs as containers that the machine's owner can neither read nor change.\n");
    for (const struct sh_verb *v = sh_verbs; v < sh_verbs + SH_VERB_COUNT; v++)
        if (!strchr(v->name, ' '))
            printf("  %-10s %s\n", v->name, v->summary);
    puts("\n'shelter VERB --help' shows a verb's options.");
    return 0;
}

int cmd_help(int argc, char **argv)
{
    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
        return list_verbs();
    struct sh_cli c = sh_cli_plain(SH_VERB_help, argc, argv);
    if (c.status >= 0)
        return c.status;
    if (!c.count)
        return list_verbs();
    const struct sh_verb *verb = sh_verb_find(c.args[0], c.count > 1 ? c.args[1] : NULL);
    if (!verb || (c.count > 1 && !strchr(verb->name, ' ')))
        return sh_cli_usage("", "there is no verb '%s%s%s'", c.args[0], c.count > 1 ? " " : "",
                            c.count > 1 ? c.args[1] : "");
    sh_verb_help(verb);
    return 0;
}
