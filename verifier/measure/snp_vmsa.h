// SPDX-License-Identifier: Apache-2.0
// The initial register state of a vCPU as it is measured (APM volume 2, table B-4).
#ifndef VERIFIER_MEASURE_SNP_VMSA_H
#define VERIFIER_MEASURE_SNP_VMSA_H

#include "verifier/measure/snp.h"

// The state of a vCPU that starts at `eip`, as this VMM sets it up.
void sv_vmsa(uint8_t page[4096], uint32_t eip, uint64_t features, uint32_t vcpu_sig,
             enum sv_vmm vmm);

#endif
