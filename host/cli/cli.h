// SPDX-License-Identifier: Apache-2.0
// The verbs of the command line: one file a verb, one line a verb in host/cli/main.c.
#ifndef HOST_CLI_CLI_H
#define HOST_CLI_CLI_H

#include "host/base/util.h"

/* A verb gets its own argv (argv[0] is the verb) and returns the exit status. */
struct sh_verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary; /* one line for `shelter help` */
    const char *usage;   /* what `shelter VERB --help` prints, all options explained */
};

extern const struct sh_verb sh_verbs[]; /* ends with a NULL name */

/* Prints the verb's usage to stdout and returns 0. */
int sh_cli_help(const char *verb);

/* Wrong arguments: one line to stderr that says what and how to get help; returns 125. */
int sh_cli_usage(const char *verb, const char *format, ...) __attribute__((format(printf, 2, 3)));

int cmd_help(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_build(int argc, char **argv);
int cmd_images(int argc, char **argv);
int cmd_rmi(int argc, char **argv);
int cmd_tag(int argc, char **argv);
int cmd_save(int argc, char **argv);
int cmd_load(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_start(int argc, char **argv);
int cmd_exec(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_kill(int argc, char **argv);
int cmd_rm(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_logs(int argc, char **argv);
int cmd_attach(int argc, char **argv);
int cmd_attest(int argc, char **argv);
int cmd_stats(int argc, char **argv);
int cmd_trace(int argc, char **argv);
int cmd_debug(int argc, char **argv);
int cmd_wait(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_cp(int argc, char **argv);
int cmd_clean(int argc, char **argv);
int cmd_measure(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_tcb(int argc, char **argv);

extern const char sh_usage_build[], sh_usage_images[], sh_usage_rmi[], sh_usage_tag[],
    sh_usage_save[], sh_usage_load[], sh_usage_inspect[], sh_usage_run[], sh_usage_start[],
    sh_usage_exec[], sh_usage_stop[], sh_usage_kill[], sh_usage_rm[], sh_usage_ps[],
    sh_usage_logs[], sh_usage_stats[], sh_usage_debug[], sh_usage_trace[], sh_usage_attach[], sh_usage_wait[], sh_usage_status[], sh_usage_cp[],
    sh_usage_clean[], sh_usage_measure[], sh_usage_doctor[], sh_usage_tcb[],
    sh_usage_attest[];

#endif
