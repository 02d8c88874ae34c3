// SPDX-License-Identifier: Apache-2.0
// The verbs of the command line: one file a verb; host/cli/verbs.def lists them with their options.
#ifndef HOST_CLI_CLI_H
#define HOST_CLI_CLI_H

#include "host/base/util.h"
#include "host/cli/options.h"

/* Prints the verb's usage to stdout and returns 0. */
int sh_cli_help(const char *verb);

/* Wrong arguments: one line to stderr that says what and how to get help; returns 125. */
int sh_cli_usage(const char *verb, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* int cmd_run(int argc, char **argv), ...: a verb gets its own argv (argv[0] is the verb's last
 * word) and returns the exit status. */
#define VERB(id, name, plain, min, max, missing, summary) int cmd_##id(int argc, char **argv);
#include "host/cli/verbs.def"

#endif
