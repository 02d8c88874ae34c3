// SPDX-License-Identifier: Apache-2.0
// Predicts the launch digest of SEV, SEV-ES and SEV-SNP guests (AMD 56860, "SNP_LAUNCH_UPDATE";
// kernel hashes as QEMU's sev_add_kernel_loader_hashes lays them out).
#ifndef VERIFIER_MEASURE_SNP_H
#define VERIFIER_MEASURE_SNP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "verifier/measure/steps.h"

enum sv_sev_mode { SV_SEV, SV_SEV_ES, SV_SEV_SNP };
enum sv_vmm { SV_VMM_QEMU, SV_VMM_EC2, SV_VMM_GCE };

struct sv_sev_params {
    enum sv_sev_mode mode;
    enum sv_vmm vmm;
    const void *firmware;
    size_t firmware_size;
    bool have_kernel; // measured direct boot; the three hashes then count
    uint8_t kernel_sha256[32];
    uint8_t initrd_sha256[32];  // of nothing if there is none
    uint8_t cmdline_sha256[32]; // of the command line with its NUL
    uint32_t vcpu_count;
    uint32_t vcpu_sig;        // CPUID leaf 1 EAX
    uint64_t guest_features;  // SEV_FEATURES: bit 0 SNP; QEMU sets 1, newer kernels 0x21
    const uint8_t *ovmf_hash; // 48 bytes: measurement of the firmware's pages, instead of them
    cJSON *steps;             // gets what is measured, or NULL
};

// Writes 48 bytes for SNP, 32 otherwise. 0, -EBADMSG or -ENOTSUP with a line in why.
int sv_sev_measure(const struct sv_sev_params *p, uint8_t out[48], char *why, size_t why_size);
// SNP for every count up to p->vcpu_count at the cost of one: out[i] is for i + 1 vCPUs.
int sv_snp_measure_counts(const struct sv_sev_params *p, uint8_t (*out)[48], char *why,
                          size_t why_size);
// The digest after the firmware's pages alone: what ovmf_hash stands for.
int sv_snp_firmware_hash(const void *firmware, size_t size, uint8_t out[48], char *why,
                         size_t why_size);
void sv_sev_hash_cmdline(const char *cmdline, uint8_t out[32]);

// "EPYC-Milan", "EPYC-v4", ... as QEMU names them, or a CPUID signature in hex. False if unknown.
bool sv_vcpu_sig(const char *type, uint32_t *out);
// All names, NULL at the end.
extern const char *const sv_vcpu_types[];

#endif
