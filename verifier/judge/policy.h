// SPDX-License-Identifier: Apache-2.0
// What a relying party demands of evidence whose signatures hold.
//
// A policy file is a JSON object; absent members keep the default, unknown members are an error:
//
//   "tcb_status"                 [..]   accepted statuses; ["UpToDate", "SWHardeningNeeded"]
//   "min_tcb_evaluation_number"  n      0      of TCB info and QE identity
//   "allow_debug"                bool   false
//   "require_sept_ve_disable"    bool   true
//   "allow_migration"            bool   false  TDX MIGRATABLE or a service TD; SNP migration agent
//   "snp"  { "vmpl_max" n (0), "allow_smt" bool (true), "allow_entrysign" bool (true; the
//            broker: false),
//            "min_abi" "major.minor",
//            "min_firmware" "major.minor.build",
//            "min_tcb" { "Milan"|"Genoa"|"Turin": { "bl", "tee", "snp", "ucode", "fmc": n } } }
//   "csv"  { "require_es" bool (true), "require_nosend" bool (false) }
//   "claims" { name: value | [values] | { "min": n } }   every one must hold
#ifndef VERIFIER_JUDGE_POLICY_H
#define VERIFIER_JUDGE_POLICY_H

#include "verifier/quote/csv.h"
#include "verifier/quote/intel.h"
#include "verifier/quote/snp.h"

struct sv_policy {
    cJSON *json;          // NULL for the default policy
    uint32_t status_mask; // 1 << enum sv_tcb_status
    uint32_t min_evaluation_number;
    bool allow_debug, require_sept_ve, allow_migration;
    uint32_t vmpl_max;
    bool allow_smt, allow_entrysign;
    uint32_t min_abi, min_firmware; // major << 16 | minor << 8 | build
    bool have_floor[4];
    struct sv_snp_tcb floor[4]; // by enum sv_snp_product
    bool csv_require_es, csv_require_nosend;
    const cJSON *claims;
};

void sv_policy_default(struct sv_policy *p);
// 0, or -EBADMSG with a line in why. The policy keeps its own copy of what it needs.
int sv_policy_parse(const char *text, struct sv_policy *p, char *why, size_t why_size);
void sv_policy_free(struct sv_policy *p);

void sv_policy_intel(const struct sv_policy *p, const struct sv_intel *in,
                     struct shelter_verdict *v);
void sv_policy_snp(const struct sv_policy *p, const struct sv_snp *snp, struct shelter_verdict *v);
void sv_policy_csv(const struct sv_policy *p, const struct sv_csv *csv, struct shelter_verdict *v);
void sv_policy_claims(const struct sv_policy *p, struct shelter_verdict *v);

// A caller's request in this version's form. 0 or -EINVAL.
int sv_request_take(const struct shelter_verify_request *rq, struct shelter_verify_request *own);

// shelter_verify() in two steps, for judgements that begin with something else.
struct shelter_verdict *sv_verdict_new(int64_t when);
void sv_verify(const struct shelter_verify_request *rq, struct shelter_verdict *v);

// What a reference's entry ("tee", "measurement") lacks to be one, as a sentence; NULL: nothing.
const char *sv_reference_lack(const cJSON *entry);

// Compares with {"references": [..]}: the measurement of one entry for this TEE must be all there,
// and say enough (sv_reference_lack). True if one matched; otherwise a refusal is in the verdict.
bool sv_reference_judge(const char *text, struct shelter_verdict *v);

#endif
