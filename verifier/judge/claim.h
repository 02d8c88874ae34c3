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

// Is the claim a number of at least `min`?
bool sv_claim_at_least(const struct shelter_verdict *v, const char *name, const cJSON *min);

#endif
