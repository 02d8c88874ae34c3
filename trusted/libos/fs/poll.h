// SPDX-License-Identifier: Apache-2.0
// Waiting for several files at once: those inside by their wait queues, handles by asking the host.
#ifndef LIBOS_POLL_H
#define LIBOS_POLL_H

#include "trusted/libos/fs/file.h"

struct poll_item {
    struct file *file; /* counted by the caller; NULL: skipped */
    uint32_t events;   /* asked for */
    uint32_t ready;    /* out; POLLERR and POLLHUP always */
    /* decides whether what is ready counts (epoll's edges); NULL: it does */
    bool (*wanted)(struct poll_item *item);
    void *arg;
};

/* How many are ready, or -EINTR, -ENOMEM; 0 after the deadline. extra: one more queue whose events
 * end the wait (an epoll's own list changed); may be NULL. */
int poll_wait(struct poll_item *items, size_t count, uint64_t deadline, struct wait_queue *extra);

#endif
