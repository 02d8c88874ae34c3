// SPDX-License-Identifier: Apache-2.0
// Compares one claim with what somebody demands, each by its kind: the report's fields as bytes,
// numbers as numbers of 64 bits, other text letter by letter.
#ifndef VERIFIER_JUDGE_CLAIM_H
#define VERIFIER_JUDGE_CLAIM_H

#include "verifier/quote/verdict.h"

// `want`: hex of a field in either case; a number, or "0x..." where JSON's numbers are not exact;
// text; or a boolean. A field of the report is compared by its bytes whatever its claim shows;
// where the verdict has claims only (those of a token), hex is compared as hex. False for anything
// else, and for a claim that is not there.
bool sv_claim_is(const struct shelter_verdict *v, const char *name, const cJSON *want);

enum sv_measurement_kind { SV_MEASUREMENT_CODE, SV_MEASUREMENT_ALIAS, SV_MEASUREMENT_PART };
struct sv_measurement {
    const char *claim;
    enum sv_measurement_kind kind;
};
// What measurements.def lists; ends with a claim that is NULL.
extern const struct sv_measurement sv_measurements[];

// The value of the claim that identifies the code; "" where claims have none.
const char *sv_measurement_of(const cJSON *claims);

// Is the claim a number of at least `min`, at most `max`?
bool sv_claim_at_least(const struct shelter_verdict *v, const char *name, const cJSON *min);
bool sv_claim_at_most(const struct shelter_verdict *v, const char *name, const cJSON *max);

#endif
