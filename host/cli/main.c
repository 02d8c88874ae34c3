// SPDX-License-Identifier: Apache-2.0
// shelter: finds the verb and hands over.
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "host/cli/broker.h"
#include "host/cli/cli.h"
#include "host/cli/verify.h"

/* A verb's line appears here when its file does (one file a verb). */
const struct sh_verb sh_verbs[] = {
    {"help", cmd_help, "show this, or all options of a verb", "Usage: shelter help [VERB]\n"},
    {"version", cmd_version, "show the version", "Usage: shelter version\n"},
    {"build", cmd_build, "make an image from files, a tar or an OCI image", sh_usage_build},
    {"attest", cmd_attest, "get evidence from a running instance", sh_usage_attest},
    {"verify", cmd_verify, "judge evidence of a TEE, and say why", sh_usage_verify},
    {"broker", cmd_broker, "give secrets to programs that prove what they are", sh_usage_broker},
    {"images", cmd_images, "list images", sh_usage_images},
    {"rmi", cmd_rmi, "remove images", sh_usage_rmi},
    {"tag", cmd_tag, "give an image another tag", sh_usage_tag},
    {"save", cmd_save, "write an image to a file", sh_usage_save},
    {"load", cmd_load, "read an image from a file", sh_usage_load},
    {"run", cmd_run, "run an image", sh_usage_run},
    {"start", cmd_start, "start a stopped instance, or an image in the background", sh_usage_start},
    {"attach", cmd_attach, "join a running workload's stdio", sh_usage_attach},
    {"exec", cmd_exec, "run a further program in an instance", sh_usage_exec},
    {"stop", cmd_stop, "end instances by their stop signal", sh_usage_stop},
    {"kill", cmd_kill, "send a signal to workloads", sh_usage_kill},
    {"rm", cmd_rm, "remove instances", sh_usage_rm},
    {"ps", cmd_ps, "list instances", sh_usage_ps},
    {"logs", cmd_logs, "show what a workload wrote", sh_usage_logs},
    {"stats", cmd_stats, "show counts of running instances", sh_usage_stats},
    {"trace", cmd_trace, "show the system calls of an enclave", sh_usage_trace},
    {"debug", cmd_debug, "start gdb on an instance in a simulated enclave", sh_usage_debug},
    {"cp", cmd_cp, "copy files out of and into an instance", sh_usage_cp},
    {"wait", cmd_wait, "wait until instances end", sh_usage_wait},
    {"status", cmd_status, "tell whether instances run", sh_usage_status},
    {"inspect", cmd_inspect, "show everything about an instance or image", sh_usage_inspect},
    {"clean", cmd_clean, "remove dead instances and leftovers", sh_usage_clean},
    {"measure", cmd_measure, "predict an image's launch measurement", sh_usage_measure},
    {"doctor", cmd_doctor, "what this host has and lacks for each TEE", sh_usage_doctor},
    {"tcb", cmd_tcb, "count what an attacker must break, per TEE", sh_usage_tcb},
    {NULL, NULL, NULL, NULL},
};

static const struct sh_verb *find_verb(const char *name)
{
    for (const struct sh_verb *v = sh_verbs; v->name; v++)
        if (!strcmp(v->name, name))
            return v;
    return NULL;
}

int sh_cli_help(const char *verb)
{
    const struct sh_verb *v = find_verb(verb);
    if (v)
        fputs(v->usage, stdout);
    return 0;
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

int cmd_help(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--help")) {
        const struct sh_verb *v = find_verb(argv[1]);
        if (!v)
            return sh_cli_usage("", "there is no verb '%s'", argv[1]);
        return sh_cli_help(v->name);
    }
    puts("Usage: shelter VERB [OPTION...]\n\n"
         "Runs programs as containers that the machine's owner can neither read nor change.\n");
    for (const struct sh_verb *v = sh_verbs; v->name; v++)
        printf("  %-10s %s\n", v->name, v->summary);
    puts("\n'shelter VERB --help' shows a verb's options.");
    return 0;
}

int cmd_version(int argc, char **argv)
{
    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
        return sh_cli_help("version");
    if (argc > 1)
        return sh_cli_usage("version", "version takes no arguments");
    puts("shelter " SHELTER_VERSION);
    return 0;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        cmd_help(1, argv);
        return SH_EXIT_FAILURE;
    }
    const char *name = argv[1];
    if (!strcmp(name, "--help") || !strcmp(name, "-h"))
        name = "help";
    if (!strcmp(name, "--version") || !strcmp(name, "-V"))
        name = "version";
    const struct sh_verb *v = find_verb(name);
    if (!v)
        return sh_cli_usage("", "there is no verb '%s'", name);
    int status = v->run(argc - 1, argv + 1);
    /* A full disk or closed pipe behind stdout must not look like success. */
    if (fflush(stdout) && status == 0 && errno != EPIPE) {
        struct sh_error err = {0};
        sh_fail_errno(&err, -errno, "cannot write the output");
        return sh_error_report(&err);
    }
    return status;
}
