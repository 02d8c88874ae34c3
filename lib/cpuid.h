// SPDX-License-Identifier: Apache-2.0
// Gathers what this processor says of itself, for those who cannot ask: `cpuid` is an exception in
// an enclave. For the enclave the result is a claim of its host.
#ifndef LIB_CPUID_H
#define LIB_CPUID_H

#include <stdint.h>

#include <shelter/enclave.h>

/* At most SH_CPUID_MAX answers, ascending by leaf and subleaf; their count. Leaves that a program
 * in an enclave has no use for are left out. */
uint32_t sh_cpuid_collect(struct sh_cpuid out[SH_CPUID_MAX]);

#endif
