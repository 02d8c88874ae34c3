// SPDX-License-Identifier: Apache-2.0
// What SEV-SNP and CSV have in common on the host; not for use outside host/vm.
#ifndef HOST_VM_SEV_H
#define HOST_VM_SEV_H

#include "host/base/util.h"

/* Position of the C-bit and the number of address bits lost (CPUID Fn8000_001F EBX). */
int sh_sev_cbit(unsigned *position, unsigned *reduced_phys_bits, struct sh_error *err);

bool sh_sev_is_hygon(void);

/* kvm_amd's parameter (sev_es, sev_snp), /dev/sev and /dev/kvm. `what` and `needs` make the
 * sentence. */
int sh_sev_probe(const char *parameter, const char *what, const char *needs, struct sh_error *err);

#endif
