// SPDX-License-Identifier: Apache-2.0
// shelter rmi
#include <errno.h>
#include <getopt.h>

#include "host/cli/cli.h"
#include "host/store/store.h"

const char sh_usage_rmi[] =
    "Usage: shelter rmi [-f] IMAGE...\n"
    "\n"
    "Removes images by tag or id. A tag of an image that has others only takes the tag away.\n"
    "\n"
    "  -f, --force  also an image that is in use (its instances keep running), or that has "
    "several\n"
    "               tags; one that is not there is no error\n";

int cmd_rmi(int argc, char **argv)
{
    static const struct option options[] = {
        {"force", no_argument, NULL, 'f'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    bool force = false;
    for (int o; (o = getopt_long(argc, argv, ":f", options, NULL)) != -1;) {
        if (o == 'h')
            return sh_cli_help("rmi");
        if (o == '?' || o == ':')
            return sh_cli_usage("rmi", "there is no option %s", argv[optind - 1]);
        force = true;
    }
    if (optind == argc)
        return sh_cli_usage("rmi", "which image?");
    struct sh_store store;
    struct sh_error err = {0};
    if (sh_store_open(&store, &err))
        return sh_error_report(&err);
    int status = 0;
    for (int i = optind; i < argc; i++) {
        struct sh_error one = {0};
        struct sh_strings report = {0};
        int r = sh_store_remove(&store, argv[i], force, &report, &one);
        if (r && !(force && r == -ENOENT))
            status = sh_error_report(&one);
        for (size_t k = 0; k < report.count; k++)
            puts(report.v[k]);
        sh_strings_free(&report);
    }
    sh_store_close(&store);
    return status;
}
