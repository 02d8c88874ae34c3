// SPDX-License-Identifier: Apache-2.0
// Predicts MRTD, RTMR1 and RTMR2 of a TD that QEMU boots directly (TDVF design guide; Intel TDX
// module specification, TDH.MEM.PAGE.ADD and TDH.MR.EXTEND). RTMR0 depends on memory size, devices
// and firmware version: it is judged by its event log.
#ifndef VERIFIER_MEASURE_TDX_H
#define VERIFIER_MEASURE_TDX_H

#include "lib/bytes.h"
#include "verifier/measure/steps.h"

struct sv_tdx_params {
    const void *firmware;
    size_t firmware_size;
    bool two_pass;         // KVM before Linux 6.16 added all pages of a section, then extended them
    bool kernel_unpatched; // a QEMU and firmware that hand the kernel on as it is in its file
    bool have_kernel;      // direct boot; kernel, initrd, command line and memory then count
    const void *kernel;
    size_t kernel_size;
    const void *initrd; // may be NULL
    size_t initrd_size;
    const char *cmdline;
    uint64_t memory_size; // bytes: QEMU puts the initrd's address into the kernel's header
    cJSON *steps;         // gets what is measured, or NULL
};

struct sv_tdx_measurement {
    uint8_t mrtd[48];
    bool have_rtmr;
    uint8_t rtmr1[48], rtmr2[48];
};

// 0, -EBADMSG or -ENOMEM with a line in why.
int sv_tdx_measure(const struct sv_tdx_params *p, struct sv_tdx_measurement *out, char *why,
                   size_t why_size);

#endif
