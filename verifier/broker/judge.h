// SPDX-License-Identifier: Apache-2.0
// From an attestation to a token's payload: evidence, its binding, references, launch config.
#ifndef VERIFIER_BROKER_JUDGE_H
#define VERIFIER_BROKER_JUDGE_H

#include "verifier/broker/challenge.h"
#include "verifier/broker/store.h"

#include <cjson/cJSON.h>

#include "verifier/broker/fetches.h"
#include "verifier/broker/foreign.h"
#include "verifier/broker/hsm_keys.h"

#define SB_COLLATERAL_MAX 8
#define SB_DEVICES SHELTER_EVIDENCE_AUTO // in place of a TEE: RIMs of NVIDIA's GPUs

struct sb_judge {
    struct sb_store *store;
    // By TEE (and SB_DEVICES), of several platforms; those behind the last are NULL
    struct shelter_collateral *collateral[SHELTER_EVIDENCE_CSV + 1][SB_COLLATERAL_MAX];
    bool online; // fetch collateral for each evidence instead
    struct shelter_fetch_options fetch;
    struct sb_fetches *fetches; // what bounds fetching; may be NULL
    const uint8_t *ca;          // roots that the operator named, simulated or not
    size_t ca_size;
    bool allow_simulated;
    const char *policy_json;            // the verifier's; NULL: default
    const struct sb_issuers *issuers;   // whose tokens are good here too; NULL: nobody's
    const struct sb_hsm_keys *hsm_keys; // of tokens, that workloads may use; NULL: none
    pthread_rwlock_t
        rules; // of roots, collateral, policy, issuers and keys, which a reload changes
    const char *issuer;
    int64_t token_seconds;
    // References as they were last read
    pthread_mutex_t lock;
    int64_t version;
    bool have_references;
    struct sb_references references;
};

// What is known of an attempt, for the audit log and the answer.
struct sb_judgement {
    int status; // of HTTP
    char code[48], detail[320];
    char tee[8], image[104], reference[136], reference_digest[97], measurement[136], evidence[97];
    cJSON *volumes; // that the image says it has, for the token; NULL: not known
    cJSON *payload; // accepted: the token's
};

// Judges the body of /attest. `now` is wall-clock seconds. True if accepted.
bool sb_judge_attestation(struct sb_judge *j, const struct sb_challenge *challenge,
                          const cJSON *body, int64_t now, struct sb_judgement *out);
// "sgx", "tdx", "snp", "csv".
const char *sb_tee_name(enum shelter_evidence_type tee);

// The hash over the canonical form of nonce, tee-pubkey and additional-evidence (a string, bound as
// it came; NULL: none, as in 0.2.0 and for devices). Its size; 0 if it has no canonical form.
size_t sb_binding(enum sb_hash hash, const char *nonce, const cJSON *jwk, const char *additional,
                  uint8_t out[64]);

#endif
