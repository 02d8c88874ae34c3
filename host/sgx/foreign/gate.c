// SPDX-License-Identifier: Apache-2.0
// Gates: system calls that are passed on.
#include "host/sgx/foreign/foreign.h"

/* Each place that a call came from has its own; false: there are no more. */
bool fgn_pass(ucontext_t *uc)
{
    greg_t *r = uc->uc_mcontext.gregs;
    uint64_t out = (uint64_t)r[REG_RIP];
    size_t at = (out ^ out >> 12) % FGN_GATES;
    for (size_t i = 0; i < FGN_GATES; i++, at = (at + 1) % FGN_GATES) {
        uint64_t none = 0;
        if (__atomic_load_n(&fgn_gate_out[at], __ATOMIC_ACQUIRE) == out ||
            __atomic_compare_exchange_n(&fgn_gate_out[at], &none, out, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE) ||
            none == out) {
            r[REG_RIP] = (greg_t)(fgn_gates + at * FGN_GATE_SIZE);
            return true;
        }
    }
    return false;
}

uint64_t fgn_gate_outside(uint64_t rip)
{
    uint64_t in = rip - (uint64_t)fgn_gates;
    if (in >= (uint64_t)FGN_GATES * FGN_GATE_SIZE)
        return rip;
    uint64_t out = fgn_gate_out[in / FGN_GATE_SIZE];
    return in % FGN_GATE_SIZE == 0 ? out - 2 : out;
}
