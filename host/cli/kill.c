// SPDX-License-Identifier: Apache-2.0
// shelter kill: a signal to the workload.
#include <errno.h>
#include <getopt.h>
#include <signal.h>

#include "host/cli/cli.h"
#include "host/cli/instances.h"
#include "host/run/allowed.h"
#include "host/run/control.h"

const char sh_usage_kill[] =
    "Usage: shelter kill [-s SIGNAL] INSTANCE...\n"
    "\n"
    "Sends a signal to the workload. KILL, INT, TERM and the image's stop signal are always\n"
    "possible, others only where its policy allows it (--allow signal at build). KILL also stops a\n"
    "guest that does not answer.\n"
    "\n"
    "  -s, --signal SIGNAL    name or number; default KILL\n";

static int kill_one(struct sh_store *store, struct sh_instance *instance, void *context,
                    struct sh_error *err)
{
    uint32_t signal = *(uint32_t *)context;
    struct sh_error ignored = {0};
    int status;
    if (!sh_instance_alive(instance))
        return sh_fail(err, -ESRCH, "instance %s is not running", instance->config.name);
    int r = sh_policy_signal(&instance->config, signal, err);
    if (!r)
        r = sh_control_signal(instance, signal, err);
    /* It may be gone, and with --rm its folder, before we can ask. */
    if (!r && signal == SIGKILL && sh_control_wait(instance, SH_CONTROL_WAIT, 0, &status, &ignored) &&
        sh_instance_alive(instance))
        r = sh_fail(err, -EBUSY, "%s", ignored.text);
    if (!r)
        puts(instance->config.name);
    return r;
}

int cmd_kill(int argc, char **argv)
{
    static const struct option options[] = {
        {"signal", required_argument, NULL, 's'}, {"help", no_argument, NULL, 'h'}, {0}};
    struct sh_error err = {0};
    uint32_t signal = SIGKILL;
    int c;
    optind = 0;
    opterr = 0;
    while ((c = getopt_long(argc, argv, ":s:h", options, NULL)) >= 0) {
        if (c == 'h')
            return sh_cli_help("kill");
        if (c != 's')
            return sh_cli_usage("kill", "%s: no such option, or its value is missing",
                                argv[optind - 1]);
        if (sh_signal_parse(optarg, &signal, &err))
            return sh_cli_usage("kill", "%s", err.text);
    }
    if (optind == argc)
        return sh_cli_usage("kill", "name an instance");
    return sh_each_instance(argv + optind, (size_t)(argc - optind), kill_one, &signal);
}
