// SPDX-License-Identifier: Apache-2.0
// What every test of a verifier expects of a verdict: one reason, and no other. After <cmocka.h>.
#ifndef TESTS_UNIT_VERDICT_H
#define TESTS_UNIT_VERDICT_H

#include <shelter/verify.h>

/* Fails, with what the verdict says, unless it was reached for `want`. It stays the caller's. */
static inline void expect_reason(const struct shelter_verdict *v, const char *name,
                                 enum shelter_reason want)
{
    const char *sentence = "";
    shelter_verdict_refusal(v, 0, &sentence);
    if (shelter_verdict_reason(v) != want)
        print_message("# %s: %s\n", name, sentence);
    assert_string_equal(shelter_reason_code(shelter_verdict_reason(v)), shelter_reason_code(want));
    assert_int_equal(shelter_verdict_accepted(v), want == SHELTER_R_OK);
}

#endif
