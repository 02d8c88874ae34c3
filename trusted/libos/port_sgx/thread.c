// SPDX-License-Identifier: Apache-2.0
// Port `sgx`: a thread is a TCS with its SSA, made at run time, and a thread of the host that
// enters it.
#include "trusted/libos/port_sgx/sgx.h"
#include "trusted/libos/time/tsc.h"

/* One allocation a thread, above a page that is never there: stack for exceptions | TCS |
 * struct port_thread | XSAVE area | SSA. */
#define STACK_PAGES 2u
#define AT_TCS STACK_PAGES
#define AT_SELF (AT_TCS + 1)
#define AT_XSAVE (AT_SELF + 1)
#define AT_SSA (AT_XSAVE + 1)
#define ALL_PAGES (AT_SSA + 2 * SH_ENCLAVE_SSA_PAGES)

bool sgx_notify, sgx_end_wakes;

static struct port_thread *blocks;

static uint8_t *thread_page(uint8_t *base, uint64_t i)
{
    return base + (i << PAGE_SHIFT);
}

static int make_tcs(struct port_thread *p, uint8_t *base)
{
    struct sgx_tcs *tcs = (struct sgx_tcs *)thread_page(base, AT_TCS);
    tcs->ossa = (uint64_t)p->ssa;
    tcs->nssa = 2;
    tcs->flags = sgx_notify ? SGX_TCS_AEXNOTIFY : 0;
    tcs->oentry = (uint64_t)sgx_entry;
    tcs->ofsbase = tcs->ogsbase = (uint64_t)p;
    tcs->fslimit = tcs->gslimit = UINT32_MAX;
    p->tcs = (uint64_t)tcs;
    return sgx_page_to_tcs(p->tcs);
}

/* NULL: the host did not make it a TCS. */
static struct port_thread *make_block(uint8_t *base)
{
    struct port_thread *p = (struct port_thread *)thread_page(base, AT_SELF);
    p->self = p;
    p->state = STATE_FREE;
    p->xfrm = sgx_boot.xfrm;
    p->xsave = thread_page(base, AT_XSAVE);
    p->exc_stack = (uint64_t)thread_page(base, STACK_PAGES);
    p->ssa = thread_page(base, AT_SSA);
    p->canary = canary_new();
    return make_tcs(p, base) ? NULL : p;
}

static void bind_thread(struct port_thread *p, struct thread *t)
{
    t->port = p;
    t->notify = sgx_notify ? &sgx_registers(p)->aexnotify : NULL;
    p->thread = t;
    p->entry_stack = t->stack_top;
    p->token = p->sleeping = 0;
    p->slot = NULL;
}

static struct port_thread *new_block(void)
{
    for (struct port_thread *b = blocks; b; b = b->next) {
        if (__atomic_load_n(&b->state, __ATOMIC_ACQUIRE) == STATE_FREE)
            return b;
    }
    uint8_t *base = pages_guarded(ALL_PAGES);
    struct port_thread *p = base ? make_block(base) : NULL;
    if (!p)
        return NULL;
    p->next = blocks;
    blocks = p;
    return p;
}

int port_thread_start(struct thread *t)
{
    struct port_thread *p = new_block();
    if (!p)
        return -ENOMEM;
    bind_thread(p, t);
    __atomic_store_n(&p->state, STATE_NEW, __ATOMIC_SEQ_CST);
    int64_t r = SGX_CALL(.nr = SH_CALL_THREAD, .args = {p->tcs, t->service != NULL});
    if (!r)
        return 0;
    /* If the host entered it all the same, it is running: then the answer was a lie. */
    uint64_t state = STATE_NEW;
    if (!__atomic_compare_exchange_n(&p->state, &state, STATE_FREE, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST))
        return 0;
    p->thread = NULL;
    return r == -ENOMEM ? -ENOMEM : -EAGAIN;
}

void sgx_thread_start(struct port_thread *p, uint64_t slot)
{
    if (slot % 64 || !sgx_outside(slot, sizeof(struct sh_slot)))
        __builtin_trap(); /* nowhere to say it */
    p->slot = (struct sh_slot *)slot;
    if (p == &sgx_boot) {
        uint32_t gone;
        if (!sgx_check_image(p->slot, p->ssa))
            sgx_thread_end(p, &gone, SH_OUT_CHANGED);
        sgx_boot_main(p);
    }
    __asm__ volatile("wrgsbase %0" : : "r"(p->thread) : "memory");
    los_thread_main(p->thread);
}

void port_thread_lend(struct thread *t, struct thread *next)
{
    struct port_thread *p = t->port;
    p->thread = next;
    sgx_lend(&t->kept_stack, next, next->stack_top);
}

void port_thread_return(struct thread *to, uint32_t *gone)
{
    struct port_thread *p = to->port;
    p->thread = to;
    sgx_return(to->kept_stack, to, gone);
}

void port_thread_exit(uint32_t *gone)
{
    sgx_thread_end(sgx_self(), gone, SH_OUT_END);
}

void port_thread_kick(struct thread *t)
{
    struct port_thread *p = t->port;
    __atomic_store_n(&t->kicked, 1, __ATOMIC_SEQ_CST);
    SGX_CALL(.nr = SH_CALL_KICK, .args = {p->tcs});
}

void port_thread_yield(void)
{
    SGX_CALL(.nr = SH_CALL_YIELD);
}

void port_wake(struct thread *t)
{
    struct port_thread *p = t->port;
    __atomic_store_n(&p->token, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&p->sleeping, __ATOMIC_SEQ_CST))
        SGX_CALL(.nr = SH_CALL_WAKE, .args = {p->tcs});
}

void port_wake_at_end(struct thread *t)
{
    struct port_thread *p = t->port;
    volatile struct sh_slot *s = sgx_self()->slot;
    if (!sgx_end_wakes) {
        port_wake(t);
        return;
    }
    __atomic_store_n(&p->token, 1, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&p->sleeping, __ATOMIC_SEQ_CST))
        return;
    s->call = SH_CALL_WAKE;
    s->args[0] = p->tcs;
    s->result = -ENOSYS;
}

long port_set(void)
{
    return SGX_CALL(.nr = SH_CALL_SET);
}

int port_wait(struct thread *t, struct port_wait *w, uint64_t deadline)
{
    _Static_assert(sizeof(struct port_event) == sizeof(struct sh_wait_item), "one layout");
    const uint32_t size = sizeof(struct port_event);
    struct port_thread *p = t->port;
    __atomic_store_n(&p->sleeping, 1, __ATOMIC_SEQ_CST);
    if (__atomic_exchange_n(&p->token, 0, __ATOMIC_SEQ_CST)) {
        if (!w) {
            __atomic_store_n(&p->sleeping, 0, __ATOMIC_SEQ_CST);
            return 0;
        }
        deadline = 0; /* only look */
    }
    uint64_t before = tsc_now();
    if (deadline && deadline != NO_DEADLINE)
        deadline = tsc_host_time(deadline);
    struct sgx_call c = {.nr = w ? SH_CALL_POLL : SH_CALL_WAIT, .args = {deadline}};
    struct sh_pages gone[PORT_RUNS_MAX];
    if (!w) {
        c.a = gone;
        c.size_a = sgx_pages_gone(gone) * (uint32_t)sizeof(*gone);
    } else {
        c.args[1] = (uint64_t)(int64_t)w->set;
        c.args[2] = w->changes;
        c.args[3] = w->room;
        c.a = w->items;
        c.size_a = (w->changes + w->asks) * size;
        c.in_a = w->items + w->changes;
        c.in_size_a = (w->asks + w->room) * size;
    }
    int64_t r = sgx_call(&c);
    sgx_clock_take(p->slot, before);
    __atomic_store_n(&p->sleeping, 0, __ATOMIC_SEQ_CST);
    __atomic_exchange_n(&p->token, 0, __ATOMIC_SEQ_CST);
    if (r < 0 || !w)
        return r < 0 ? (int)r : 0;
    w->count = (uint32_t)MIN((uint64_t)r, w->room);
    return c.in_size_a == (w->asks + w->count) * size ? 0 : -EIO;
}
