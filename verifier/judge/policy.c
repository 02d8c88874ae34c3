// SPDX-License-Identifier: Apache-2.0
// Applies a policy: debug, migration, VMPL, TCB status and floors, demanded claims.
#include "verifier/judge/policy.h"
#include "verifier/judge/claim.h"

#define TD_DEBUG_BITS 0xffull // "TUD" byte: any bit makes the TD untrusted
#define TD_SEPT_VE_DISABLE (1ull << 28)
#define TD_MIGRATABLE (1ull << 29)
#define TD_SERVTD_EXT (1ull << 17)
// Also ICSSD, LASS, PKS, KL, TPA, PERFMON
#define TD_KNOWN (TD_DEBUG_BITS | 3ull << 16 | 0x1full << 27 | 3ull << 62)

static void judge_debug(const struct sv_policy *p, struct shelter_verdict *v)
{
    if (v->debug && !p->allow_debug)
        sv_refuse(v, SHELTER_R_DEBUG, NULL);
}

// Bound when the TD was built (MRSERVICETD) or, which only the extended body shows, since.
static bool has_service_td(const struct sv_quote *q)
{
    if (sh_le64(q->body + SV_TD_ATTRIBUTES) & TD_SERVTD_EXT)
        return true;
    if (q->body_type >= 3 && !sv_all_zero(q->body + SV_TD_MRSERVICETD, 48))
        return true;
    return q->body_type == 4 && !(sv_all_zero(q->body + SV_TD_INIT_SERVTD_HASH, 48) &&
                                  sv_all_zero(q->body + SV_TD_SERVTD_HASH, 48));
}

static void judge_td(const struct sv_policy *p, const struct sv_quote *q, struct shelter_verdict *v)
{
    uint64_t attributes = sh_le64(q->body + SV_TD_ATTRIBUTES);

    if (attributes & TD_DEBUG_BITS & ~1ull)
        sv_refuse(v, SHELTER_R_TD_ATTRIBUTES, "reserved debug bits");
    if (attributes & ~TD_KNOWN)
        sv_refuse(v, SHELTER_R_TD_ATTRIBUTES, "reserved bits");
    if (p->require_sept_ve && !(attributes & TD_SEPT_VE_DISABLE))
        sv_refuse(v, SHELTER_R_SEPT_VE, NULL);
    if (!p->allow_migration && attributes & TD_MIGRATABLE)
        sv_refuse(v, SHELTER_R_TD_ATTRIBUTES, "MIGRATABLE");
    if (!p->allow_migration && has_service_td(q))
        sv_refuse(v, SHELTER_R_SERVTD, NULL);
}

// Bits of XFAM that a TDX module lets a TD have, and that it must have (TDX module ABI, XFAM).
#define TD_XFAM_ALLOWED 0x6dbe7ull
#define XFRM_NEEDED 3ull // x87 and SSE

static void judge_xfam(const struct sv_quote *q, struct shelter_verdict *v)
{
    uint64_t xfam = sh_le64(q->body + SV_TD_XFAM);

    if (xfam & ~TD_XFAM_ALLOWED || (xfam & XFRM_NEEDED) != XFRM_NEEDED)
        sv_refuse(v, SHELTER_R_TD_XFAM, "0x%llx", (unsigned long long)xfam);
}

// SDM volume 3, 38.7: INIT, DEBUG, MODE64BIT, PROVISIONKEY, EINITTOKEN_KEY, CET, KSS, AEXNOTIFY.
#define SGX_ATTRIBUTES_KNOWN 0x4f7ull
#define SGX_INIT 1ull
#define SGX_MODE64BIT 4ull
#define SGX_MISC_KNOWN 3u     // EXINFO, CPINFO
#define XFRM_KNOWN 0x602ffull // x87, SSE, AVX, MPX, AVX-512, PKRU, AMX

static void judge_enclave(const struct sv_quote *q, struct shelter_verdict *v)
{
    uint64_t flags = sh_le64(q->body + SV_SGX_ATTRIBUTES);
    uint64_t xfrm = sh_le64(q->body + SV_SGX_ATTRIBUTES + 8);
    uint32_t misc = sh_le32(q->body + SV_SGX_MISCSELECT);

    if (flags & ~SGX_ATTRIBUTES_KNOWN || !(flags & SGX_INIT) || !(flags & SGX_MODE64BIT))
        sv_refuse(v, SHELTER_R_SGX_ATTRIBUTES, "ATTRIBUTES 0x%llx", (unsigned long long)flags);
    if (xfrm & ~XFRM_KNOWN || (xfrm & XFRM_NEEDED) != XFRM_NEEDED)
        sv_refuse(v, SHELTER_R_SGX_ATTRIBUTES, "XFRM 0x%llx", (unsigned long long)xfrm);
    if (misc & ~SGX_MISC_KNOWN)
        sv_refuse(v, SHELTER_R_SGX_ATTRIBUTES, "MISCSELECT 0x%x", misc);
}

static void judge_status(const struct sv_policy *p, const struct sv_intel *in,
                         struct shelter_verdict *v)
{
    if (in->status == SV_TCB_REVOKED)
        sv_refuse(v, SHELTER_R_TCB_REVOKED, NULL);
    else if (in->status == SV_TCB_NOT_SUPPORTED)
        sv_refuse(v, SHELTER_R_TCB_NOT_SUPPORTED, NULL);
    else if (!(p->status_mask & 1u << in->status))
        sv_refuse(v, SHELTER_R_TCB_STATUS, "%s", sv_tcb_status_name(in->status));
}

void sv_policy_intel(const struct sv_policy *p, const struct sv_intel *in,
                     struct shelter_verdict *v)
{
    if (in->tcb_judged)
        judge_status(p, in, v);
    judge_debug(p, v);
    if (in->quote.tee == SV_TEE_TDX) {
        judge_td(p, &in->quote, v);
        judge_xfam(&in->quote, v);
    } else {
        judge_enclave(&in->quote, v);
    }
}

static uint32_t build_number(const uint8_t *p)
{
    return (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

// The lowest microcode that takes only AMD's patches, by the CPU's family, model and stepping: with
// an earlier one the host can change what the processor does, under a report that holds.
// AMD-SB-7033; the revisions are those from which Linux stops checking patches itself.
static const struct {
    uint8_t family, model, stepping, least;
} entrysign[] = {
    {0x19, 0x01, 1, 0xdb}, {0x19, 0x01, 2, 0x44}, // Milan, Milan-X
    {0x19, 0x11, 1, 0x54}, {0x19, 0x11, 2, 0x4f}, // Genoa, Genoa-X
    {0x19, 0xa0, 1, 0x17}, {0x19, 0xa0, 2, 0x19}, // Bergamo, Siena
    {0x1a, 0x02, 1, 0x47}, {0x1a, 0x11, 0, 0x47}, // Turin
};

// A report of version 2 names no CPU: then the lowest of its product counts.
static bool takes_forged_patches(const struct sv_snp *snp)
{
    const uint8_t *r = snp->report;
    bool named = snp->version >= 3, listed = false, below = false;

    for (size_t i = 0; i < sizeof(entrysign) / sizeof(entrysign[0]); i++) {
        bool low =
            snp->reported.ucode < entrysign[i].least || snp->committed.ucode < entrysign[i].least;

        if (named ? r[SV_SNP_CPUID_FAM] != entrysign[i].family ||
                        r[SV_SNP_CPUID_MOD] != entrysign[i].model ||
                        r[SV_SNP_CPUID_STEP] != entrysign[i].stepping
                  : sv_snp_product_of(entrysign[i].family, entrysign[i].model) != snp->product)
            continue;
        below = listed ? below && low : low;
        listed = true;
    }
    return below;
}

// AMD-SB-3015: from these on, firmware looks at boot for memory that shows at two addresses, and
// says in the report that it found none. Turin does from the start.
static bool takes_aliased_memory(const struct sv_snp *snp)
{
    static const uint8_t least[4] = {[SV_SNP_MILAN] = 0x17, [SV_SNP_GENOA] = 0x16};
    uint8_t svn = least[snp->product];

    return svn && (snp->reported.snp < svn || snp->committed.snp < svn ||
                   !(snp->report[SV_SNP_PLATFORM_INFO] & SV_SNP_ALIAS_CHECK_COMPLETE));
}

// AMD signs no list of what is too old: its bulletins are always told as advisories, and refuse
// where the policy says so.
static void judge_bulletins(const struct sv_policy *p, const struct sv_snp *snp,
                            struct shelter_verdict *v)
{
    bool checked = snp->report[SV_SNP_PLATFORM_INFO] & SV_SNP_ALIAS_CHECK_COMPLETE;

    if (takes_forged_patches(snp)) {
        sv_advisory_add(v, "AMD-SB-7033");
        if (!p->allow_entrysign)
            sv_refuse(v, SHELTER_R_SNP_ENTRYSIGN, "microcode 0x%x, committed 0x%x",
                      snp->reported.ucode, snp->committed.ucode);
    }
    if (takes_aliased_memory(snp)) {
        sv_advisory_add(v, "AMD-SB-3015");
        if (!p->allow_badram)
            sv_refuse(v, SHELTER_R_SNP_BADRAM, "SNP SVN %u, committed %u, alias check %s",
                      snp->reported.snp, snp->committed.snp, checked ? "done" : "not done");
    }
}

void sv_policy_snp(const struct sv_policy *p, const struct sv_snp *snp, struct shelter_verdict *v)
{
    const uint8_t *r = snp->report;
    uint64_t policy = sh_le64(r + SV_SNP_POLICY);
    const struct sv_snp_tcb *floor = &p->floor[snp->product];

    judge_debug(p, v);
    if (sh_le32(r + SV_SNP_VMPL) > p->vmpl_max)
        sv_refuse(v, SHELTER_R_SNP_VMPL, "VMPL %u", sh_le32(r + SV_SNP_VMPL));
    if (!p->allow_migration && policy & SV_SNP_POLICY_MIGRATE_MA)
        sv_refuse(v, SHELTER_R_SNP_MIGRATION, "the guest policy allows it");
    // Without an agent the field is all ones.
    if (!p->allow_migration)
        for (int i = 0; i < 32; i++)
            if (r[SV_SNP_REPORT_ID_MA + i] != 0xff && !sv_all_zero(r + SV_SNP_REPORT_ID_MA, 32)) {
                sv_refuse(v, SHELTER_R_SNP_MIGRATION, "an agent is bound");
                break;
            }
    if (!p->allow_smt && (policy & SV_SNP_POLICY_SMT || r[SV_SNP_PLATFORM_INFO] & 1))
        sv_refuse(v, SHELTER_R_SNP_SMT, NULL);
    if (p->min_abi > ((uint32_t)(policy >> 8 & 0xff) << 16 | (uint32_t)(policy & 0xff) << 8))
        sv_refuse(v, SHELTER_R_SNP_ABI, "guest policy");
    if (p->min_firmware > build_number(r + SV_SNP_COMMITTED_BUILD))
        sv_refuse(v, SHELTER_R_SNP_ABI, "committed firmware");
    if (snp->tcb_known && !v->simulated)
        judge_bulletins(p, snp, v);
    // Judged on the TCB that the platform cannot go back below, and on what it claims to run.
    if (snp->tcb_known && p->have_floor[snp->product] &&
        !(sv_snp_tcb_covers(&snp->reported, floor) && sv_snp_tcb_covers(&snp->committed, floor)))
        sv_refuse(v, SHELTER_R_SNP_TCB_FLOOR, "%s", sv_snp_product_name(snp->product));
}

void sv_policy_csv(const struct sv_policy *p, const struct sv_csv *csv, struct shelter_verdict *v)
{
    judge_debug(p, v);
    if (p->csv_require_es && !(csv->policy & 4))
        sv_refuse(v, SHELTER_R_CSV_POLICY, "ES");
    if (p->csv_require_nosend && !(csv->policy & 8))
        sv_refuse(v, SHELTER_R_CSV_POLICY, "NOSEND");
}

void sv_policy_nitro(const struct sv_policy *p, const struct sv_nitro *nitro,
                     struct shelter_verdict *v)
{
    uint64_t made = nitro->timestamp / 1000, now = v->time > 0 ? (uint64_t)v->time : 0;
    uint64_t age = made > now ? made - now : now - made;

    if (!p->allow_nitro)
        sv_refuse(v, SHELTER_R_NITRO_POLICY, "\"nitro\": {\"allow\": true} would");
    if (p->have_nitro_age && age > p->nitro_age)
        sv_refuse(v, SHELTER_R_NITRO_POLICY, "it was made %llu seconds %s", (unsigned long long)age,
                  made > now ? "later" : "ago");
}

bool sv_policy_claim_holds(const struct shelter_verdict *v, const cJSON *want)
{
    const char *name = want->string;
    const cJSON *item;

    if (cJSON_IsObject(want)) {
        const cJSON *min = cJSON_GetObjectItemCaseSensitive(want, "min");
        const cJSON *max = cJSON_GetObjectItemCaseSensitive(want, "max");

        return (min || max) && cJSON_GetArraySize(want) == !!min + !!max &&
               (!min || sv_claim_at_least(v, name, min)) &&
               (!max || sv_claim_at_most(v, name, max));
    }
    if (!cJSON_IsArray(want))
        return sv_claim_is(v, name, want);
    cJSON_ArrayForEach(item, want) if (sv_claim_is(v, name, item)) return true;
    return false;
}

void sv_policy_claims(const struct sv_policy *p, struct shelter_verdict *v)
{
    const cJSON *want;

    cJSON_ArrayForEach(want, p->claims) if (!sv_policy_claim_holds(v, want))
        sv_refuse(v, SHELTER_R_CLAIM, "%s", want->string);
}
