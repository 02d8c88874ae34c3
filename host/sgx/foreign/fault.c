// SPDX-License-Identifier: Apache-2.0
// Failures that were asked for, as they happen. Runs in leaves, with the enclave's vector
// registers.
#include "host/sgx/foreign/fault.h"

#include <errno.h>

#include "host/sgx/foreign/foreign.h"

static struct sh_sim_fault faults[SH_SIM_FAULTS];
static int count;
static _Atomic uint32_t done[SH_SIM_EVENTS];
static _Atomic bool lost;

int fgn_fault(enum sh_sim_event event)
{
    uint32_t n = ++done[event];
    for (int i = 0; i < count; i++) {
        const struct sh_sim_fault *f = &faults[i];
        if (f->event != event || (f->nth != 0 && f->nth != n))
            continue;
        if (f->result == SH_SIM_KICKED)
            sim_kick(sim_self); /* waits until the leaf has happened */
        else if (f->result == SH_SIM_LOST)
            lost = true;
        else
            return f->result;
    }
    if (lost && event >= SH_SIM_CREATE && event <= SH_SIM_REMOVE)
        return -EIO;
    return lost && (event == SH_SIM_LEAF + SGX_EENTER || event == SH_SIM_LEAF + SGX_ERESUME)
               ? -(int)SGX_VECTOR_PF
               : SH_SIM_NO_FAULT;
}

static int fault_leaf(uint32_t leaf)
{
    int result = leaf < 10 ? fgn_fault(SH_SIM_LEAF + leaf) : SH_SIM_NO_FAULT;
    return result == SH_SIM_NO_FAULT ? SIM_AS_IS : result;
}

int fgn_faults_start(void)
{
    count = sh_sim_faults_read(fgn_options.faults, faults);
    if (count > 0)
        sim_leaf_fault = fault_leaf;
    return count < 0 ? count : 0;
}
