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

/* Of a call of each kind: stack, above a page that is never there | state | struct agent_tcb. */
static struct {
    uint8_t *block;
    bool used;
} places[AGENT_ASKS];
static bool running; /* somebody is inside, and does not wait for the network */
static struct wait_queue idle = {.waiters = {&idle.waiters, &idle.waiters}};

static void run_alone(const bool *besides)
{
    while (running || *besides)
        wait_on(&idle, NO_DEADLINE);
    running = true;
}

static void run_no_more(void)
{
    running = false;
    wait_wake_all(&idle);
}

bool agent_leave(void)
{
    los_lock();
    bool inside = running;
    run_no_more();
    los_unlock();
    return inside;
}

void agent_return(bool inside)
{
    static const bool nobody;
    los_lock();
    if (inside)
        run_alone(&nobody);
    los_unlock();
}

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

/* Memory for calls of its kind; it stays. */
static uint8_t *take_block(enum agent_asks asks, uint64_t pages)
{
    uint8_t **block = &places[asks].block;
    if (!*block && !(*block = pages_guarded(pages)))
        log_line("shelter: no memory for the agent");
    return *block;
}

long agent_call(enum agent_asks asks, long (*run)(void *arg), void *arg)
{
    uint64_t extra = page_up(port_info.xsave_size + 64 + sizeof(struct agent_tcb)) >> PAGE_SHIFT;
    uint64_t pages = STACK_PAGES + extra;
    int r = lazy_bring();
    uint8_t *block = r ? NULL : take_block(asks, pages);
    if (!block)
        return r ? r : -ENOMEM;
    uint8_t *top = block + (STACK_PAGES << PAGE_SHIFT);
    struct agent_tcb *tcb =
        (struct agent_tcb *)(top + ((port_info.xsave_size + 63ul) & ~63ul)); /* behind the state */
    struct agent_frame frame = {(uint64_t)top, tcb, top, port_info.xfrm};
    run_alone(&places[asks].used);
    places[asks].used = true;
    tcb->self = tcb;
    if (port_random(&tcb->canary, sizeof(tcb->canary)))
        stop("the processor gives no random numbers");
    los_unlock();
    long result = agent_enter(&frame, run, arg);
    los_lock();
    memset(block, 0, pages << PAGE_SHIFT);
    places[asks].used = false;
    run_no_more();
    return result;
}
