// SPDX-License-Identifier: Apache-2.0
// What crypto code needs around it: that it is there, a stack, a thread block with a canary, a
// place for the state of whoever was there before. Made for the call, wiped after it.
#include <asm/signal.h>

#include "trusted/libos/agent/agent.h"
#include "trusted/libos/signal/signal.h"

#define STACK_PAGES 32ul

/* As %fs points to it (the x86-64 psABI's thread control block): self 0, canary 0x28. */
struct agent_tcb {
    struct agent_tcb *self;
    uint64_t pad[4];
    uint64_t canary;
    uint64_t more[10];
};
_Static_assert(offsetof(struct agent_tcb, canary) == 0x28, "where the psABI wants it");

/* enter.S knows it. */
struct agent_frame {
    uint64_t stack_top;
    struct agent_tcb *fs;
    uint8_t *xsave;
    uint64_t xfrm;
};

#ifdef LIBOS_UNIT
/* An ordinary thread, whose libc and compiler agree with the library. */
static long agent_enter(struct agent_frame *frame, long (*run)(void *), void *arg)
{
    return run(arg);
}
#else
long agent_enter(struct agent_frame *frame, long (*run)(void *), void *arg);
#endif

uint64_t agent_stop_signals(void)
{
    sig_collect();
    return (current()->pending.set | self()->pending.set) &
           (SIG_BIT(SIGHUP) | SIG_BIT(SIGINT) | SIG_BIT(SIGQUIT) | SIG_BIT(SIGTERM));
}

static bool busy;
static struct wait_queue idle = {.waiters = {&idle.waiters, &idle.waiters}};

int lazy_bring(void)
{
    static bool there;
    int r = there ? 0 : port_lazy_load();
    if (r)
        log_line("shelter: the enclave's further code %s",
                 r == -EBADMSG  ? "that the host gives is not this enclave's; build the image again"
                 : r == -ENOMEM ? "does not fit in the memory of -m"
                                : "was not given by the host");
    there = !r;
    return r;
}

long agent_call(long (*run)(void *arg), void *arg)
{
    static uint8_t *block; /* stack, above a page that is never there | state | struct agent_tcb */
    uint64_t extra = page_up(port_info.xsave_size + 64 + sizeof(struct agent_tcb)) >> PAGE_SHIFT;
    uint64_t pages = STACK_PAGES + extra;
    while (busy)
        wait_on(&idle, NO_DEADLINE);
    int r = lazy_bring();
    if (r)
        return r;
    if (!block && !(block = pages_guarded(pages))) {
        log_line("shelter: no memory for the agent");
        return -ENOMEM;
    }
    uint8_t *top = block + (STACK_PAGES << PAGE_SHIFT);
    struct agent_tcb *tcb =
        (struct agent_tcb *)(top + ((port_info.xsave_size + 63ul) & ~63ul)); /* behind the state */
    struct agent_frame frame = {(uint64_t)top, tcb, top, port_info.xfrm};
    tcb->self = tcb;
    if (port_random(&tcb->canary, sizeof(tcb->canary)))
        stop("the processor gives no random numbers");
    busy = true;
    los_unlock();
    long result = agent_enter(&frame, run, arg);
    los_lock();
    memset(block, 0, pages << PAGE_SHIFT);
    busy = false;
    wait_wake_all(&idle);
    return result;
}
