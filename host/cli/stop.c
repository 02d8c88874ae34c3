// SPDX-License-Identifier: Apache-2.0
// shelter stop: the image's stop signal, and after a while a kill.
#include <getopt.h>
#include <stdlib.h>

#include "host/cli/cli.h"
#include "host/cli/instances.h"
#include "host/run/control.h"

const char sh_usage_stop[] =
    "Usage: shelter stop [-t SECONDS] INSTANCE...\n"
    "\n"
    "Sends the image's stop signal (TERM unless it says another) and kills what still runs after a\n"
    "while.\n"
    "\n"
    "  -t, --time SECONDS     how long it may take; default 10\n";

static int stop_one(struct sh_store *store, struct sh_instance *instance, void *context,
                    struct sh_error *err)
{
    int status;
    if (sh_instance_alive(instance)) {
        int r = sh_control_wait(instance, SH_CONTROL_STOP, *(uint32_t *)context, &status, err);
        if (r)
            return r;
    }
    puts(instance->config.name);
    return 0;
}

int cmd_stop(int argc, char **argv)
{
    static const struct option options[] = {
        {"time", required_argument, NULL, 't'}, {"help", no_argument, NULL, 'h'}, {0}};
    uint32_t after_ms = 10000;
    int c;
    optind = 0;
    opterr = 0;
    while ((c = getopt_long(argc, argv, ":t:h", options, NULL)) >= 0) {
        if (c == 'h')
            return sh_cli_help("stop");
        char *end = NULL;
        unsigned long seconds = c == 't' ? strtoul(optarg, &end, 10) : 0;
        if (c != 't')
            return sh_cli_usage("stop", "%s: no such option, or its value is missing",
                                argv[optind - 1]);
        if (!*optarg || *end || *optarg == '-' || seconds > 86400)
            return sh_cli_usage("stop", "-t %s: write seconds, 0 to 86400", optarg);
        after_ms = (uint32_t)seconds * 1000;
    }
    if (optind == argc)
        return sh_cli_usage("stop", "name an instance");
    return sh_each_instance(argv + optind, (size_t)(argc - optind), stop_one, &after_ms);
}
