// SPDX-License-Identifier: Apache-2.0
// SNP reports: layout, TCB versions, claims.
#include "verifier/quote/snp.h"

#include <stdio.h>

const char *sv_snp_product_name(enum sv_snp_product product)
{
    static const char *const names[] = {"unknown", "Milan", "Genoa", "Turin"};

    return names[product];
}

// Bergamo and Siena (family 19h, models A0h..AFh) have Genoa's keys.
enum sv_snp_product sv_snp_product_of(uint8_t family, uint8_t model)
{
    if (family == 0x19 && model <= 0x0f)
        return SV_SNP_MILAN;
    if (family == 0x19 && ((model >= 0x10 && model <= 0x1f) || (model >= 0xa0 && model <= 0xaf)))
        return SV_SNP_GENOA;
    if (family == 0x1a && model <= 0x1f)
        return SV_SNP_TURIN;
    return SV_SNP_UNKNOWN;
}

struct sv_snp_tcb sv_snp_tcb(const uint8_t raw[8], enum sv_snp_product product)
{
    if (product == SV_SNP_TURIN)
        return (struct sv_snp_tcb){
            .fmc = raw[0], .bl = raw[1], .tee = raw[2], .snp = raw[3], .ucode = raw[7]};
    return (struct sv_snp_tcb){.bl = raw[0], .tee = raw[1], .snp = raw[6], .ucode = raw[7]};
}

bool sv_snp_tcb_covers(const struct sv_snp_tcb *a, const struct sv_snp_tcb *b)
{
    return a->fmc >= b->fmc && a->bl >= b->bl && a->tee >= b->tee && a->snp >= b->snp &&
           a->ucode >= b->ucode;
}

static void version_claim(struct shelter_verdict *v, const char *name, const uint8_t *p)
{
    char text[16];

    snprintf(text, sizeof(text), "%u.%u.%u", p[2], p[1], p[0]);
    sv_claim_text(v, name, text);
}

static void add_claims(const struct sv_snp *snp, struct shelter_verdict *v)
{
    static const char *const signing_keys[] = {"VCEK", "VLEK", "?", "?", "?", "?", "?", "none"};
    const uint8_t *r = snp->report;
    uint32_t flags = sh_le32(r + SV_SNP_FLAGS);
    uint64_t policy = sh_le64(r + SV_SNP_POLICY);

    sv_claim_number(v, "version", snp->version);
    sv_claim_hex(v, "measurement", r + SV_SNP_MEASUREMENT, 48);
    sv_claim_hex(v, "launch_digest", r + SV_SNP_MEASUREMENT, 48);
    sv_claim_hex(v, "report_data", r + SV_SNP_REPORT_DATA, 64);
    sv_claim_hex(v, "host_data", r + SV_SNP_HOST_DATA, 32);
    sv_claim_number(v, "guest_svn", sh_le32(r + SV_SNP_GUEST_SVN));
    sv_claim_number(v, "policy", policy);
    sv_claim_number(v, "policy_abi_minor", policy & 0xff);
    sv_claim_number(v, "policy_abi_major", policy >> 8 & 0xff);
    sv_claim_bool(v, "policy_smt_allowed", policy & SV_SNP_POLICY_SMT);
    sv_claim_bool(v, "policy_migrate_ma", policy & SV_SNP_POLICY_MIGRATE_MA);
    sv_claim_bool(v, "policy_debug_allowed", policy & SV_SNP_POLICY_DEBUG);
    sv_claim_bool(v, "policy_single_socket", policy >> 20 & 1);
    sv_claim_hex(v, "family_id", r + SV_SNP_FAMILY_ID, 16);
    sv_claim_hex(v, "image_id", r + SV_SNP_IMAGE_ID, 16);
    sv_claim_number(v, "vmpl", sh_le32(r + SV_SNP_VMPL));
    sv_claim_number(v, "signature_algo", sh_le32(r + SV_SNP_SIG_ALGO));
    sv_claim_number(v, "platform_info", sh_le64(r + SV_SNP_PLATFORM_INFO));
    sv_claim_bool(v, "author_key_en", flags & 1);
    sv_claim_bool(v, "mask_chip_key", flags & 2);
    sv_claim_text(v, "signing_key", signing_keys[flags >> 2 & 7]);
    sv_claim_hex(v, "id_key_digest", r + SV_SNP_ID_KEY_DIGEST, 48);
    sv_claim_hex(v, "author_key_digest", r + SV_SNP_AUTHOR_KEY_DIGEST, 48);
    sv_claim_hex(v, "report_id", r + SV_SNP_REPORT_ID, 32);
    sv_claim_hex(v, "report_id_ma", r + SV_SNP_REPORT_ID_MA, 32);
    sv_claim_hex(v, "chip_id", r + SV_SNP_CHIP_ID, 64);
    sv_claim_hex(v, "current_tcb", r + SV_SNP_CURRENT_TCB, 8);
    sv_claim_hex(v, "reported_tcb", r + SV_SNP_REPORTED_TCB, 8);
    sv_claim_hex(v, "committed_tcb", r + SV_SNP_COMMITTED_TCB, 8);
    sv_claim_hex(v, "launch_tcb", r + SV_SNP_LAUNCH_TCB, 8);
    version_claim(v, "current_version", r + SV_SNP_CURRENT_BUILD);
    version_claim(v, "committed_version", r + SV_SNP_COMMITTED_BUILD);
    if (snp->version >= 3) {
        sv_claim_number(v, "cpuid_fam_id", r[SV_SNP_CPUID_FAM]);
        sv_claim_number(v, "cpuid_mod_id", r[SV_SNP_CPUID_MOD]);
        sv_claim_number(v, "cpuid_step", r[SV_SNP_CPUID_STEP]);
    }
    if (snp->version >= 5) {
        sv_claim_number(v, "launch_mit_vector", sh_le64(r + SV_SNP_LAUNCH_MIT_VECTOR));
        sv_claim_number(v, "current_mit_vector", sh_le64(r + SV_SNP_CURRENT_MIT_VECTOR));
    }
    memcpy(v->report_data, r + SV_SNP_REPORT_DATA, 64);
    v->have_report_data = true;
    v->debug = policy & SV_SNP_POLICY_DEBUG;
}

int sv_snp_parse(const uint8_t *data, size_t size, struct sv_snp *snp, struct shelter_verdict *v)
{
    *snp = (struct sv_snp){.report = data};
    if (size < SV_SNP_REPORT_SIZE)
        return sv_refuse(v, SHELTER_R_TRUNCATED, "%zu of %d bytes of an SNP report", size,
                         SV_SNP_REPORT_SIZE);
    snp->version = sh_le32(data + SV_SNP_VERSION);
    if (snp->version < 2 || snp->version > 5)
        return sv_refuse(v, SHELTER_R_VERSION, "SNP report version %u", snp->version);
    if (sh_le32(data + SV_SNP_SIG_ALGO) != 1)
        return sv_refuse(v, SHELTER_R_SNP_SIG_ALGO, "algorithm %u",
                         sh_le32(data + SV_SNP_SIG_ALGO));
    if (sh_le32(data + SV_SNP_VMPL) > 3)
        return sv_refuse(v, SHELTER_R_RESERVED, "VMPL %u", sh_le32(data + SV_SNP_VMPL));
    if (snp->version >= 3)
        snp->product = sv_snp_product_of(data[SV_SNP_CPUID_FAM], data[SV_SNP_CPUID_MOD]);
    add_claims(snp, v);
    return 0;
}
