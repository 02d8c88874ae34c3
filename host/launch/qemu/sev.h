// SPDX-License-Identifier: Apache-2.0
// What SEV-SNP and CSV have in common on the host; not for use outside host/launch/qemu.
#ifndef HOST_LAUNCH_QEMU_SEV_H
#define HOST_LAUNCH_QEMU_SEV_H

#include "host/base/util.h"

/* Position of the C-bit and the number of address bits lost (CPUID Fn8000_001F EBX). */
int sh_sev_cbit(unsigned *position, unsigned *reduced_phys_bits, struct sh_error *err);

bool sh_sev_is_hygon(void);

struct sh_qemu_config;

/* What a TEE of this family needs of the host. */
struct sh_sev_needs {
    const char *parameter; /* of kvm_amd: sev_es, sev_snp */
    const char *what;      /* for people */
    const char *hardware;  /* likewise: "it takes ..." */
    const char *object;    /* what QEMU must know, and from which version on it does */
    int qemu_major, qemu_minor;
};

/* The members of struct sh_backend. */
int sh_sev_firmware(struct sh_qemu_config *config, struct sh_error *err);
int sh_sev_prepare(struct sh_qemu_config *config, const struct sh_sev_needs *needs,
                   struct sh_error *err);
int sh_sev_probe(const struct sh_sev_needs *needs, struct sh_error *err);

#endif
