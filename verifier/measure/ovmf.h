// SPDX-License-Identifier: Apache-2.0
// The table at the end of an OVMF image (edk2, OvmfPkg/ResetVector): GUIDed entries, backwards from
// 32 bytes below the end, closed by 96b582de-….
#ifndef VERIFIER_MEASURE_OVMF_H
#define VERIFIER_MEASURE_OVMF_H

#include "lib/bytes.h"

#define SV_OVMF_SIZE_MAX (64u << 20)
#define SV_OVMF_SECTIONS_MAX 64

// SNP metadata sections ("ASEV"), as QEMU and the firmware agree on them.
enum {
    SV_SNP_SECTION_MEMORY = 1,
    SV_SNP_SECTION_SECRETS = 2,
    SV_SNP_SECTION_CPUID = 3,
    SV_SNP_SECTION_SVSM_CAA = 4,
    SV_SNP_SECTION_KERNEL_HASHES = 0x10,
};

struct sv_ovmf_section {
    uint32_t gpa, size, type;
};

struct sv_ovmf {
    const uint8_t *data;
    size_t size;
    uint64_t gpa;            // the image ends at 4 GiB
    uint32_t hash_table_gpa; // 0: the image has no room for kernel hashes
    uint32_t reset_eip;      // SEV-ES reset vector of the other vCPUs
    size_t section_count;
    struct sv_ovmf_section section[SV_OVMF_SECTIONS_MAX];
    uint32_t tdvf_offset; // of the TDVF descriptor from the end, 0: none
};

// 0, or -EBADMSG with a line in why.
int sv_ovmf_parse(const void *data, size_t size, struct sv_ovmf *out, char *why, size_t why_size);

#endif
