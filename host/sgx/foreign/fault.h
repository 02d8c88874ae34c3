// SPDX-License-Identifier: Apache-2.0
// Failures that are asked for (`shelter sgx-sim --fault`): what a runtime must live with, but
// hardware seldom shows.
//
//   WHAT[:N]=RESULT, ...  the N-th time (the first; N of 0: each time) that a process does WHAT
//   WHAT     of the device: open create add init provision restrict types remove
//            leaves: eenter eresume eaccept eacceptcopy emodpe ereport egetkey
//   RESULT   of the device: EIO and other names of errno
//            of leaves: GP, PF; the error code, from 1 on, of those that have codes in RAX
//            of eenter and eresume: lost: as after a suspend, all EPC is gone from then on
//            of leaves: kick: it happens, and the thread is interrupted right behind it
#ifndef HOST_SGX_FOREIGN_FAULT_H
#define HOST_SGX_FOREIGN_FAULT_H

#include <stdint.h>

#define SH_SIM_FAULTS 16u

enum sh_sim_event {
    SH_SIM_OPEN,
    SH_SIM_CREATE, /* to REMOVE: in the order of the ioctls' numbers */
    SH_SIM_ADD,
    SH_SIM_INIT,
    SH_SIM_PROVISION,
    SH_SIM_RESTRICT,
    SH_SIM_TYPES,
    SH_SIM_REMOVE,
    SH_SIM_LEAF, /* + number of the leaf, below 10 */
    SH_SIM_EVENTS = SH_SIM_LEAF + 10,
};

#define SH_SIM_NO_FAULT 0x10000
#define SH_SIM_LOST 0x10001
#define SH_SIM_KICKED 0x10002

struct sh_sim_fault {
    enum sh_sim_event event;
    uint32_t nth; /* 0: each time */
    int result;   /* -errno; or a code, or -vector, or SH_SIM_LOST or _KICKED */
};

/* The number of faults, or -EINVAL. */
int sh_sim_faults_read(const char *text, struct sh_sim_fault out[SH_SIM_FAULTS]);

#endif
