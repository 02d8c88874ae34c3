// SPDX-License-Identifier: Apache-2.0
// shelter clean: removes what nobody needs any more.
#include <errno.h>

#include "host/cli/cli.h"
#include "host/cli/instances.h"
#include "host/run/pool.h"

int cmd_clean(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_clean, argc, argv);
    bool all = false;
    int status = 0;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_clean_option)o) {
        case SH_clean_all:
            all = true;
            break;
        case SH_clean_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
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
        bool damaged = r == -EBADMSG, useless = false;
        cleanup_close int lock = -1; /* until it is gone: nobody starts it meanwhile */
        if (damaged)
            r = sh_instance_open_damaged(&store, ids.v[i], &instance, &one);
        if (!r) {
            bool stopped = damaged || instance.state.state == SH_STATE_DEAD ||
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
    size_t leftovers = sh_instance_clean_leftovers(&store) + sh_pool_clean(&store);
    if (leftovers)
        printf("%zu leftover%s\n", leftovers, leftovers == 1 ? "" : "s");
    sh_strings_free(&ids);
    sh_store_close(&store);
    return status;
}
