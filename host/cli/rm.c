// SPDX-License-Identifier: Apache-2.0
// shelter rm: removes instances.
#include <errno.h>
#include <string.h>

#include "host/cli/cli.h"
#include "host/cli/instances.h"

static int remove_one(struct sh_store *store, struct sh_instance *instance, void *context,
                      struct sh_error *err)
{
    bool force = *(bool *)context;
    if (sh_instance_alive(instance) && !force)
        return sh_fail(err, -EBUSY, "instance %s is running; stop it first, or use rm -f",
                       instance->config.name);
    int r = sh_instance_force_end(instance, err);
    if (r)
        return r;
    cleanup_close int lock = -1;
    if (sh_instance_lock(instance, &lock) == -EBUSY)
        return sh_fail(err, -EBUSY, "instance %s is being started", instance->config.name);
    return sh_instance_remove(store, instance->config.id, err);
}

/* One whose config cannot be read any more: whoever holds its lock is ended first. */
static int remove_unreadable(struct sh_store *store, const char *id, struct sh_error *err)
{
    struct sh_instance instance;
    bool force = true;
    int r = sh_instance_open_damaged(store, id, &instance, err);
    if (r)
        return r == -ENOENT ? 0 : r;
    r = remove_one(store, &instance, &force, err);
    sh_instance_close(&instance);
    return r;
}

/* An id, or its unique beginning, of such a one. */
static int remove_damaged(struct sh_store *store, const char *name, struct sh_error *err)
{
    struct sh_strings ids = {0};
    struct sh_instance instance;
    const char *found = NULL;
    size_t count = 0;
    int r = sh_instance_list(store, &ids, err);
    for (size_t i = 0; !r && i < ids.count; i++)
        if (!strncmp(ids.v[i], name, strlen(name))) {
            found = ids.v[i];
            count++;
        }
    if (!r && count == 1) {
        struct sh_error ignored = {0};
        int code = sh_instance_open_id(store, found, &instance, &ignored);
        if (!code)
            sh_instance_close(&instance);
        else if (code == -EBADMSG)
            r = remove_unreadable(store, found, err);
    }
    sh_strings_free(&ids);
    return r;
}

static int remove_named(struct sh_store *store, const char *name, bool force)
{
    struct sh_error err = {0};
    struct sh_instance instance;
    int r = sh_instance_open(store, name, &instance, &err);
    if (!r) {
        r = remove_one(store, &instance, &force, &err);
        sh_instance_close(&instance);
    } else if (force && (r == -ENOENT || r == -EBADMSG)) {
        err = (struct sh_error){0};
        return remove_damaged(store, name, &err) ? sh_error_report(&err) : 0;
    }
    if (r)
        return sh_error_report(&err);
    puts(name);
    return 0;
}

static int remove_all(struct sh_store *store, bool force)
{
    struct sh_error err = {0};
    struct sh_strings ids = {0};
    unsigned running = 0;
    int status = 0;
    if (sh_instance_list(store, &ids, &err))
        status = sh_error_report(&err);
    for (size_t i = 0; i < ids.count; i++) {
        struct sh_instance instance;
        struct sh_error one = {0};
        int r = sh_instance_open_id(store, ids.v[i], &instance, &one);
        if (r == -EBADMSG && force) {
            one = (struct sh_error){0};
            r = remove_unreadable(store, ids.v[i], &one);
        } else if (!r) {
            if (force || !sh_instance_alive(&instance)) {
                r = remove_one(store, &instance, &force, &one);
                if (!r)
                    puts(instance.config.name);
            } else {
                running++;
            }
            sh_instance_close(&instance);
        } else if (r == -ENOENT) {
            r = 0; /* somebody else removed it meanwhile */
        }
        if (r)
            status = sh_error_report(&one);
    }
    sh_strings_free(&ids);
    if (running)
        fprintf(stderr, "shelter: %u running instance%s stay%s; 'shelter rm -f --all' ends them\n",
                running, running == 1 ? "" : "s", running == 1 ? "s" : "");
    return status;
}

int cmd_rm(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_rm, argc, argv);
    bool force = false, all = false;
    int status = 0;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_rm_option)o) {
        case SH_rm_force:
            force = true;
            break;
        case SH_rm_all:
            all = true;
            break;
        case SH_rm_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    if (all == (c.count > 0))
        return sh_cli_usage("rm", "name instances, or give --all");
    struct sh_store store;
    struct sh_error err = {0};
    if (sh_store_open(&store, &err))
        return sh_error_report(&err);
    if (all)
        status = remove_all(&store, force);
    for (int i = 0; i < c.count; i++) {
        int code = remove_named(&store, c.args[i], force);
        status = status ? status : code;
    }
    sh_store_close(&store);
    return status;
}
