// SPDX-License-Identifier: Apache-2.0
// What System V's shared memory, semaphores and queues have in common: keys, ids, owners,
// permission.
#ifndef LIBOS_IPC_H
#define LIBOS_IPC_H

#include <linux/ipc.h>

#include "trusted/libos/libos.h"

#define IPC_IDS_MAX 4096u /* of a kind */

struct ipc {
    int key, id;
    uint32_t uid, gid, cuid, cgid, mode;
};

/* Objects of one kind; an id is never that of an object that is gone. */
struct ipc_table {
    struct ipc *
        *items; /* IPC_IDS_MAX, made with the first; a table in the image would be measured */
    unsigned generation;
};

static inline struct ipc *ipc_at(const struct ipc_table *t, unsigned index)
{
    return t->items && index < IPC_IDS_MAX ? t->items[index] : NULL;
}
/* The table's object of this id, or NULL. */
struct ipc *ipc_find(const struct ipc_table *t, int id);
/* What ...get does with a key that exists: its object in *out, or NULL there: make one. 0, -EEXIST,
 * -EACCES, -ENOENT. */
int ipc_get(const struct ipc_table *t, int key, int flags, struct ipc **out);
int ipc_add(struct ipc_table *t, struct ipc *i, int key, int flags); /* the id, -ENOSPC, -ENOMEM */
void ipc_remove(struct ipc_table *t, struct ipc *i);
bool ipc_allowed(const struct ipc *i, uint32_t want); /* 4 read, 2 write */
bool ipc_is_owner(const struct ipc *i);
/* struct ipc64_perm, 48 bytes, as Linux gives it; and IPC_SET's part of it. */
void ipc_put(uint8_t out[48], const struct ipc *i);
int ipc_set(struct ipc *i, uint64_t from); /* 0, -EFAULT, -EPERM */

/* Lines of /proc/sysvipc; nothing is written where there is none (index < IPC_IDS_MAX). */
void msg_line(unsigned index, char *out, size_t size);
void sem_line(unsigned index, char *out, size_t size);
void shm_line(unsigned index, char *out, size_t size);

#endif
