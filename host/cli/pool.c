// SPDX-License-Identifier: Apache-2.0
// shelter pool: enclaves that wait for a run.
#include <errno.h>
#include <netinet/in.h>

#include "host/cli/cli.h"
#include "host/cli/foreground.h"
#include "host/run/pool_keeper.h"

static int keep_pool(struct sh_run_options *o)
{
    struct sh_error err = {0};
    struct sh_store store;
    if (sh_store_open(&store, &err))
        return sh_error_report(&err);
    int r = sh_pool_keep(&store, o, &err);
    sh_store_close(&store);
    return r ? sh_error_report(&err) : 0;
}

/* What belongs to one run; NULL: nothing of it was given. */
static const char *find_single(const struct sh_run_options *o)
{
    return o->attach                   ? "-a"
           : o->name                   ? "--name"
           : o->remove                 ? "--rm"
           : o->stats                  ? "--stats"
           : o->trace || o->trace_file ? "--trace"
                                       : NULL;
}

int cmd_pool(int argc, char **argv)
{
    struct sh_run_options o;
    int status = sh_run_options_parse(SH_VERB_pool, argc, argv, &o);
    if (status < 0 && find_single(&o))
        status = sh_cli_usage("pool", "%s is for one run, not for a pool", find_single(&o));
    o.count = o.count ? o.count : 1;
    /* Which free port it will be is the run's choice. */
    for (size_t i = 0; i < o.port_count; i++)
        if (!o.ports[i].host_port)
            o.ports[i].host_port = IPPORT_RESERVED;
    if (status < 0)
        status = keep_pool(&o);
    sh_run_options_free(&o);
    return status;
}
