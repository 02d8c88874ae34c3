// SPDX-License-Identifier: Apache-2.0
// From options, or from a stopped instance, to a supervisor that runs it.
#ifndef HOST_RUN_PREPARE_H
#define HOST_RUN_PREPARE_H

#include "host/run/run_options.h"
#include "host/run/supervisor.h"

/* An instance on its way to a supervisor. */
struct sh_prepared {
    struct sh_store *store;
    struct sh_image image;
    struct sh_instance instance;
    bool image_open, instance_open;
    int lock_fd;
    bool is_new;
    int pool_fd; /* of one that was taken from a pool; -1: none */
    struct sh_launch_spec spec;
    struct sh_port *inner_ports; /* what the spec publishes (host/run/relay.h); owned */
    char *instance_path, *stats_file, *trace_file; /* what the spec's strings point to; owned */
};

/* Makes a new instance of options->image: checks everything that can be checked first, so that an
 * error leaves nothing behind. */
int sh_prepare_new(struct sh_store *store, const struct sh_run_options *options,
                   struct sh_prepared *p, struct sh_error *err);

/* The same up to where the instance would be made: its config without an id, and the launch config.
 */
int sh_prepare_pool(struct sh_store *store, const struct sh_run_options *options,
                    struct sh_prepared *p, struct sh_buffer *launch, struct sh_error *err);

/* What was prepared so, in one of a pool: the instance `id` was made meanwhile, and `lock_fd` is
 * its lock, owned from now on. */
int sh_prepared_adopt(struct sh_prepared *p, const char *id, int lock_fd, uint16_t rows,
                      uint16_t columns, struct sh_error *err);

/* What a supervisor of it needs. */
struct sh_launch_plan sh_prepared_plan(struct sh_prepared *p);

/* Takes a stopped instance (p->instance becomes its owner). */
int sh_prepare_again(struct sh_store *store, struct sh_instance *instance, struct sh_prepared *p,
                     struct sh_error *err);

/* Starts it; see sh_supervisor_start. */
int sh_prepared_start(struct sh_prepared *p, bool attach, bool input, int *client_fd,
                      struct sh_error *err);

/* The calling process becomes its supervisor; see sh_supervisor_become. */
int sh_prepared_become(struct sh_prepared *p, int first_fd, bool attach, bool input);

/* Frees; an instance that was made and never started is removed. */
void sh_prepared_free(struct sh_prepared *p);

/* "A simulated TEE protects nothing", once a command. */
void sh_warn_simulated(const struct sh_instance_config *config);

#endif
