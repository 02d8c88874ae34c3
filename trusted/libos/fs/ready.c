// SPDX-License-Identifier: Apache-2.0
// What poll and epoll share: what a file is ready for, what the host is asked, how long to wait.
#include <asm/poll.h>

#include "trusted/libos/fs/poll.h"
#include "trusted/libos/signal/signal.h"
#include "trusted/libos/time/time.h"

uint32_t file_poll(struct file *f)
{
    uint32_t r = 0;
    if (f->ops->poll)
        r = f->ops->poll(f);
    else if (!f->outside)
        r = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
    return f->outside ? r | outside_known(f->outside) : r;
}

void poll_ask(struct questions *q, struct port_event question)
{
    if (q->needed < q->room)
        q->items[q->needed] = question;
    q->needed++;
}

uint64_t poll_deadline(int ms)
{
    return ms < 0 ? NO_DEADLINE : ms == 0 ? 0 : deadline_in((uint64_t)ms * 1000000);
}

int poll_mask(uint64_t addr, uint64_t size)
{
    uint64_t mask;
    if (!addr)
        return 0;
    if (size != 8)
        return -EINVAL;
    if (user_read(&mask, addr, sizeof(mask)))
        return -EFAULT;
    sig_temporary_mask(self(), mask);
    return 0;
}
