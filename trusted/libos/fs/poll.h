// SPDX-License-Identifier: Apache-2.0
// Waiting for several files at once: those inside by their wait queues, those that the host holds
// by asking it, at least once, in one call out.
#ifndef LIBOS_POLL_H
#define LIBOS_POLL_H

#include "trusted/libos/fs/file.h"

struct poll_item {
    struct file *file; /* counted by the caller; NULL: skipped */
    uint32_t events;   /* asked for */
    uint32_t ready;    /* out; POLLERR and POLLHUP always */
};

/* Questions to the host. `needed` may exceed `room`: then some were left out. */
struct questions {
    struct port_event *items;
    uint32_t room, needed;
};
void poll_ask(struct questions *q, struct port_event question);

/* Until ms from now; a negative number: for ever; 0: no time at all. */
uint64_t poll_deadline(int ms);
/* The mask of ppoll and its kin, until the call has returned. 0, -EINVAL, -EFAULT. */
int poll_mask(uint64_t addr, uint64_t size);

#endif
