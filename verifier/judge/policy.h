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
//   "snp"  { "vmpl_max" n (0), "allow_smt" bool (true), "allow_entrysign" and "allow_badram"
//            bool (true; the broker: false),
//            "min_abi" "major.minor",
//            "min_firmware" "major.minor.build",
//            "min_tcb" { "Milan"|"Genoa"|"Turin": { "bl", "tee", "snp", "ucode", "fmc": n } } }
//   "csv"  { "require_es" bool (true), "require_nosend" bool (false) }
//   "nitro" { "allow" bool (false): a NitroTPM document, whose root is the operator's and no CPU's,
//            "max_age" n: seconds between its timestamp and the time of judgement }
//   "nvidia" { "min_devices" n (1), "require_rim" bool (true) }   GPUs, in the additional evidence
//   "platforms" { "allow", "deny": { "ppid", "platform_instance_id", "chip_id": [hex ..] } }
//            machines; with "allow" no others
//   "refuse" [ { "tee" "sgx"|"tdx"|"snp"|"csv"|"nitro", "claims" { name: as below }, "until" time,
//            "why" text } ]   whatever holds all claims of an entry, at times before "until"
//   "events" { "require", "allow": [ { "domain", "operation", "content" } ] }   what is measured at
//            run time: every required one there, and with "allow" no other; "content" may be left
//            out or end in "*". Evidence that shows no events has none
//   "claims" { name: value | [values] | { "min": n, "max": n } }   every one must hold
#ifndef VERIFIER_JUDGE_POLICY_H
#define VERIFIER_JUDGE_POLICY_H

#include "verifier/quote/csv.h"
#include "verifier/quote/intel.h"
#include "verifier/quote/nitro.h"
#include "verifier/quote/snp.h"
#include "verifier/measure/steps.h"

struct sv_policy {
    cJSON *json;          // NULL for the default policy
    uint32_t status_mask; // 1 << enum sv_tcb_status
    uint32_t min_evaluation_number;
    bool allow_debug, require_sept_ve, allow_migration;
    uint32_t vmpl_max;
    bool allow_smt, allow_entrysign, allow_badram;
    uint32_t min_abi, min_firmware; // major << 16 | minor << 8 | build
    bool have_floor[4];
    struct sv_snp_tcb floor[4]; // by enum sv_snp_product
    bool csv_require_es, csv_require_nosend;
    bool demand_gpu, need_rim;
    uint32_t min_gpus;
    bool allow_nitro, have_nitro_age;
    uint32_t nitro_age; // seconds
    const cJSON *claims;
    const cJSON *platforms, *refuse; // of known form (platform.c)
    const cJSON *events;             // likewise (events.c)
};

void sv_policy_default(struct sv_policy *p);
// 0, or -EBADMSG with a line in why. The policy keeps its own copy of what it needs.
int sv_policy_parse(const char *text, struct sv_policy *p, char *why, size_t why_size);
void sv_policy_free(struct sv_policy *p);

void sv_policy_intel(const struct sv_policy *p, const struct sv_intel *in,
                     struct shelter_verdict *v);
void sv_policy_snp(const struct sv_policy *p, const struct sv_snp *snp, struct shelter_verdict *v);
void sv_policy_csv(const struct sv_policy *p, const struct sv_csv *csv, struct shelter_verdict *v);
void sv_policy_nitro(const struct sv_policy *p, const struct sv_nitro *nitro,
                     struct shelter_verdict *v);
// Which machines, and which kinds of them, are trusted (platform.c). The two readers check the
// form: 0 or -EBADMSG.
int sv_policy_read_platforms(const cJSON *item);
int sv_policy_read_refuse(const cJSON *item);
void sv_policy_platform(const struct sv_policy *p, struct shelter_verdict *v);
// Run-time events (events.c). Reads a measured log: each event as a claim, what it replays to into
// mr. 0 or -EBADMSG, then with a refusal.
int sv_events_read(const void *log, size_t size, const char *where, struct shelter_verdict *v,
                   uint8_t mr[48]);
// Those of a TDX event log that was replayed.
void sv_events_tdx(struct shelter_verdict *v);
int sv_policy_read_events(const cJSON *item);
void sv_policy_events(const struct sv_policy *p, struct shelter_verdict *v);
// Is the claim as demanded: a value, [values], {"min", "max"}?
bool sv_policy_claim_holds(const struct shelter_verdict *v, const cJSON *want);
void sv_policy_claims(const struct sv_policy *p, struct shelter_verdict *v);

// A caller's request in this version's form. 0 or -EINVAL.
int sv_request_take(const struct shelter_verify_request *rq, struct shelter_verify_request *own);

// shelter_verify() in two steps, for judgements that begin with something else.
struct shelter_verdict *sv_verdict_new(int64_t when);
void sv_verify(const struct shelter_verify_request *rq, struct shelter_verdict *v);

// What a reference's entry ("tee", "measurement") lacks to be one, as a sentence; NULL: nothing.
const char *sv_reference_lack(const cJSON *entry);

// Compares with {"references": [..]}: the measurement of one entry for this TEE must be all there,
// and say enough (sv_reference_lack). True if one matched; otherwise a refusal is in the verdict,
// and the claim "reference_differs" says in what the nearest entry differs.
bool sv_reference_judge(const char *text, struct shelter_verdict *v);
// The same without a word in the verdict.
bool sv_reference_matches(const char *text, const struct shelter_verdict *v);

// The nearest of these entries and the first thing in which the evidence differs from it; where the
// verdict's event log was replayed, the event. How near: 0 where no entry is for this TEE.
int sv_reference_nearest(const cJSON *references, const struct shelter_verdict *v,
                         struct sv_difference *out);
// In how many registers and fields the evidence holds what `measurement` says; *first is the name
// of the first that does not, or NULL.
int sv_reference_holds(const cJSON *measurement, const struct shelter_verdict *v, char first[24],
                       const cJSON **want);
bool sv_reference_is_for(const cJSON *entry, const struct shelter_verdict *v);

#endif
