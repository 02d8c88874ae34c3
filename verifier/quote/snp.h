// SPDX-License-Identifier: Apache-2.0
// SEV-SNP attestation reports, versions 2 to 5 (AMD 56860, table "ATTESTATION_REPORT").
#ifndef VERIFIER_QUOTE_SNP_H
#define VERIFIER_QUOTE_SNP_H

#include "verifier/quote/collateral.h"

#define SV_SNP_REPORT_SIZE 1184
#define SV_SNP_SIGNED_SIZE 0x2a0

enum {
    SV_SNP_VERSION = 0x00,
    SV_SNP_GUEST_SVN = 0x04,
    SV_SNP_POLICY = 0x08,
    SV_SNP_FAMILY_ID = 0x10,
    SV_SNP_IMAGE_ID = 0x20,
    SV_SNP_VMPL = 0x30,
    SV_SNP_SIG_ALGO = 0x34,
    SV_SNP_CURRENT_TCB = 0x38,
    SV_SNP_PLATFORM_INFO = 0x40,
    SV_SNP_FLAGS = 0x48,
    SV_SNP_REPORT_DATA = 0x50,
    SV_SNP_MEASUREMENT = 0x90,
    SV_SNP_HOST_DATA = 0xc0,
    SV_SNP_ID_KEY_DIGEST = 0xe0,
    SV_SNP_AUTHOR_KEY_DIGEST = 0x110,
    SV_SNP_REPORT_ID = 0x140,
    SV_SNP_REPORT_ID_MA = 0x160,
    SV_SNP_REPORTED_TCB = 0x180,
    SV_SNP_CPUID_FAM = 0x188, // version 3 on
    SV_SNP_CPUID_MOD = 0x189,
    SV_SNP_CPUID_STEP = 0x18a,
    SV_SNP_CHIP_ID = 0x1a0,
    SV_SNP_COMMITTED_TCB = 0x1e0,
    SV_SNP_CURRENT_BUILD = 0x1e8,
    SV_SNP_COMMITTED_BUILD = 0x1ec,
    SV_SNP_LAUNCH_TCB = 0x1f0,
    SV_SNP_LAUNCH_MIT_VECTOR = 0x1f8, // version 5 on
    SV_SNP_CURRENT_MIT_VECTOR = 0x200,
    SV_SNP_SIG_R = 0x2a0, // 72 bytes, little-endian
    SV_SNP_SIG_S = 0x2e8,
};

#define SV_SNP_ALIAS_CHECK_COMPLETE (1u << 5) // in PLATFORM_INFO
#define SV_SNP_POLICY_SMT (1ull << 16)
#define SV_SNP_POLICY_MIGRATE_MA (1ull << 18)
#define SV_SNP_POLICY_DEBUG (1ull << 19)

enum sv_snp_product { SV_SNP_UNKNOWN, SV_SNP_MILAN, SV_SNP_GENOA, SV_SNP_TURIN };
const char *sv_snp_product_name(enum sv_snp_product product);

// One TCB version, whatever its layout.
struct sv_snp_tcb {
    uint8_t fmc, bl, tee, snp, ucode;
};

struct sv_snp {
    const uint8_t *report;
    uint32_t version;
    enum sv_snp_product product;
    struct sv_snp_tcb current, reported, committed, launch;
    bool tcb_known;
};

int sv_snp_parse(const uint8_t *data, size_t size, struct sv_snp *snp, struct shelter_verdict *v);
enum sv_snp_product sv_snp_product_of(uint8_t family, uint8_t model);
struct sv_snp_tcb sv_snp_tcb(const uint8_t raw[8], enum sv_snp_product product);
// True if every component of a is at least b's.
bool sv_snp_tcb_covers(const struct sv_snp_tcb *a, const struct sv_snp_tcb *b);

// Chain, certificate extensions, signature, TCB against the certificate.
void sv_snp_judge(struct sv_snp *snp, const struct shelter_collateral *col,
                  const struct sv_certs *signer, const struct sv_certs *named, bool allow_simulated,
                  struct shelter_verdict *v);

#endif
