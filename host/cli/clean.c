// SPDX-License-Identifier: Apache-2.0
// shelter clean: removes what nobody needs any more.
#include <errno.h>
#include <getopt.h>

#include "host/cli/cli.h"
#include "host/cli/instances.h"

const char sh_usage_clean[] =
    "Usage: shelter clean [--all]\n"
    "\n"
    "Removes dead instances (their supervisor was killed, or the host went down) and what killed\n"
    "commands left behind. Prints what it removed.\n"
    "\n"
    "      --all              also instances that ended by themselves\n";

int cmd_clean(int argc, char **argv)
{
    static const struct option options[] = {
        {"all", no_argument, NULL, 'a'}, {"help", no_argument, NULL, 'h'}, {0}};
    bool all = false;
    int c, status = 0;
    optind = 0;
    opterr = 0;
    while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
        if (c == 'h')
            return sh_cli_help("clean");
        if (c == '?')
            return sh_cli_usage("clean", "there is no option %s", argv[optind - 1]);
        all |= c == 'a';
    }
    if (optind < argc)
        return sh_cli_usage("clean", "'%s' is too much", argv[optind]);
    struct sh_store store;
    struct sh_error err = {0};
    struct sh_strings ids = {0};
    if (sh_store_open(&store, &err))
        return sh_error_report(&err);
    if (sh_instance_list(&store, &ids, &err))
        status = sh_error_report(&err);
    for (size_t i = 0; i < ids.count; i++) {
        struct sh_instance instance;
        struct sh_error one = {0};
        int r = sh_instance_open_id(&store, ids.v[i], &instance, &one);
        bool useless = r == -EBADMSG;
        cleanup_close int lock = -1; /* until it is gone: nobody starts it meanwhile */
        if (!r) {
            bool stopped = instance.state.state == SH_STATE_DEAD ||
                           (all && instance.state.state == SH_STATE_EXITED);
            useless = stopped && !sh_instance_lock(&instance, &lock);
            sh_instance_close(&instance);
        }
        one = (struct sh_error){0};
        if (useless && sh_instance_remove(&store, ids.v[i], &one))
            status = sh_error_report(&one);
        else if (useless)
            printf("%s\n", ids.v[i]);
    }
    size_t leftovers = sh_instance_clean_leftovers(&store);
    if (leftovers)
        printf("%zu leftover%s\n", leftovers, leftovers == 1 ? "" : "s");
    sh_strings_free(&ids);
    sh_store_close(&store);
    return status;
}
