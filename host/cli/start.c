// SPDX-License-Identifier: Apache-2.0
// shelter start: a stopped instance again, or a new one in the background.
#include <errno.h>

#include "host/cli/cli.h"
#include "host/cli/foreground.h"
#include "host/cli/instances.h"

/* Were options given that only a new instance can have? */
static bool for_new_instance(const struct sh_run_options *o)
{
    return o->command.count || o->entrypoint || o->name || o->tee || o->workdir || o->user ||
           o->hostname || o->network || o->broker || o->env.count || o->port_count ||
           o->mount_count || o->memory || o->cpus || o->remove || o->debug || o->read_only ||
           o->require_confinement || o->tty != SH_TTY_AUTO;
}

static int start_instance(struct sh_store *store, struct sh_instance *instance,
                          const struct sh_run_options *o)
{
    struct sh_error err = {0};
    struct sh_prepared p;
    if (for_new_instance(o)) {
        sh_instance_close(instance);
        return sh_cli_usage("start",
                            "'%s' is an instance, and it keeps the options it was made with; -t %s "
                            "means an image of that name",
                            o->image, o->image);
    }
    int r = sh_prepare_again(store, instance, &p, &err);
    int status = r ? sh_error_report(&err) : sh_foreground(&p, !o->attach);
    sh_prepared_free(&p);
    return status;
}

static int start_image(struct sh_run_options *o)
{
    struct sh_error err = {0};
    struct sh_store store;
    struct sh_instance instance;
    if (sh_store_open(&store, &err))
        return sh_error_report(&err);
    int r = o->image_by_tag_option ? -ENOENT : sh_instance_open(&store, o->image, &instance, &err);
    int status;
    if (!r)
        status = start_instance(&store, &instance, o);
    else if (r != -ENOENT)
        status = sh_error_report(&err);
    else if (!o->image_by_tag_option && sh_no_such_name(&store, o->image, &err))
        status = sh_error_report(&err);
    else {
        o->detach = !o->attach;
        status = sh_run_options(o);
    }
    sh_store_close(&store);
    return status;
}

int cmd_start(int argc, char **argv)
{
    struct sh_run_options o;
    int status = sh_run_options_parse(SH_VERB_start, argc, argv, &o);
    if (status < 0 && o.count)
        status = sh_cli_usage("start", "start has no -n: 'shelter pool' has it");
    else if (status < 0)
        status = start_image(&o);
    sh_run_options_free(&o);
    return status;
}
