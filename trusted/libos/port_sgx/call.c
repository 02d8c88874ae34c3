// SPDX-License-Identifier: Apache-2.0
// One call out: arguments into the slot, EEXIT, EENTER, the answer back, each field copied once.
#include "trusted/libos/port_sgx/sgx.h"

/* What the host sent meanwhile: that it has a request, and signals; los_host_signal lets only some
 * in. */
static void collect_signals(struct port_thread *p)
{
    if (*(volatile uint64_t *)&p->slot->control) {
        *(volatile uint64_t *)&p->slot->control = 0;
        los_host_control();
    }
    if (!*(volatile uint64_t *)&p->slot->signals)
        return;
    uint64_t set = __atomic_exchange_n(&p->slot->signals, 0, __ATOMIC_SEQ_CST);
    for (int sig = 1; sig <= SIG_COUNT; sig++) {
        if (set >> (sig - 1) & 1)
            los_host_signal(sig);
    }
}

int64_t sgx_call(struct sgx_call *c)
{
    struct port_thread *p = sgx_self();
    volatile struct sh_slot *s = p->slot;
    c->size_a = MIN(c->size_a, SH_SLOT_A_SIZE);
    c->size_b = MIN(c->size_b, SH_SLOT_B_SIZE);
    s->call = c->nr;
    for (unsigned i = 0; i < 6; i++)
        s->args[i] = c->args[i];
    s->result = -ENOSYS;
    s->size_a = c->size_a;
    s->size_b = c->size_b;
    if (c->size_a)
        sgx_copy_out(p->slot->a, c->a, c->size_a);
    if (c->size_b)
        sgx_copy_out(p->slot->b, c->b, c->size_b);
    stats_count(calls_out);
    sgx_call_out(p);
    int64_t result = s->result;
    uint64_t size_a = s->size_a, size_b = s->size_b;
    collect_signals(p);
    if (result < 0)
        return result < -4095 ? -EIO : result;
    /* Never more than was asked for; the slot holds no more either. */
    size_a = MIN(MIN(size_a, c->in_size_a), SH_SLOT_A_SIZE);
    size_b = MIN(MIN(size_b, c->in_size_b), SH_SLOT_B_SIZE);
    if (size_a)
        sgx_copy_in(c->in_a, (uint64_t)p->slot->a, size_a);
    if (size_b)
        sgx_copy_in(c->in_b, (uint64_t)p->slot->b, size_b);
    c->in_size_a = (uint32_t)size_a;
    c->in_size_b = (uint32_t)size_b;
    return result;
}
