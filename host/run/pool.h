// SPDX-License-Identifier: Apache-2.0
// Warm pools: enclaves that are made and measured, and wait before their first entry. `shelter
// pool` keeps them (host/run/pool_keeper.h), `run` takes one where it would start the same.
//
//   $STORE/pool/<key>/     locked (flock) by the pool's process; key: 64 hex digits, of all that
//                          the child is started with
//     launch               launch config, as hashed
//     <id>                 socket of one that waits: the id that its instance will have
//     .<id>                the same before it waits, or once somebody has taken it
//
// Whoever renames <id> to .<id> has it, and nobody else. Then he connects; it sends one byte, and
// wants one message: struct sh_pool_take with the instance's lock. From then on the connection is
// the first client's (host/run/control.h), and the one that waited is the instance's supervisor.
// One that was connected to and hears nothing more ends: none waits twice.
#ifndef HOST_RUN_POOL_H
#define HOST_RUN_POOL_H

#include "host/run/instance.h"

#define SH_POOL_FOLDER "pool"
#define SH_POOL_KEY_SIZE 65u /* with the NUL */

struct sh_pool_take {
    uint8_t attach, input; /* as sh_supervisor_start has them */
    uint16_t rows, columns;
};

/* What decides whether a child that waits is the one that this spec starts: its command line but
 * for ports and the terminal's size on this host's side, launch config, image, the files that it
 * opens as they are now, this program, and the namespaces and user of the caller. Prepared, with
 * the digests. False: such a child cannot wait (-ENOTSUP, with the sentence). */
int sh_pool_key(const struct sh_launch_spec *spec, char key[SH_POOL_KEY_SIZE],
                struct sh_error *err);

/* The same ports without what is this host's own: for a child that waits. `out`: of `count`. */
void sh_pool_ports(const struct sh_port *ports, size_t count, struct sh_port *out);

/* Takes one that waits: a connection, the caller's, and the id that its instance must have; or -1:
 * none waits. At most a second for each that does not answer. */
int sh_pool_claim(struct sh_store *store, const struct sh_launch_spec *spec,
                  char id[SH_INSTANCE_ID_SIZE]);

/* Its socket under `name`, in the pool's folder. -errno. */
int sh_pool_listen(int folder_fd, const char *name);

/* Removes what one with that id left in the folder. */
void sh_pool_forget(int folder_fd, const char *id);

/* Removes the folder, if nobody is in it any more. Whoever calls it has the lock. */
void sh_pool_remove(int store_fd, int folder_fd, const char *key);

/* Removes folders of pools that nobody keeps any more; how many. */
size_t sh_pool_clean(struct sh_store *store);

#endif
