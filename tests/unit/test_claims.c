// SPDX-License-Identifier: Apache-2.0
// What a verdict's claims are compared by: bytes as bytes, numbers as numbers, text as text.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "verifier/judge/claim.h"
#include "verifier/judge/policy.h"

static const uint8_t bytes[32] = {0xab, 0xcd, 0xef};
#define HEX "abcdef0000000000000000000000000000000000000000000000000000000000"

static struct shelter_verdict *verdict(void)
{
    struct shelter_verdict *v = sv_verdict_new(0);
    assert_non_null(v);
    v->type = SHELTER_EVIDENCE_SGX;
    sv_claim_hex(v, "mrenclave", bytes, sizeof(bytes));
    sv_claim_number(v, "isvsvn", 7);
    sv_claim_number(v, "small", 1ull << 53);
    sv_claim_number(v, "large", 0x8000000000030001);
    sv_claim_text(v, "product", "Milan");
    sv_claim_bool(v, "flag", true);
    return v;
}

static bool is(const struct shelter_verdict *v, const char *name, const char *want)
{
    cJSON *o = cJSON_Parse(want);
    assert_non_null(o);
    bool r = sv_claim_is(v, name, o);
    cJSON_Delete(o);
    return r;
}

static bool at_least(const struct shelter_verdict *v, const char *name, const char *min)
{
    cJSON *o = cJSON_Parse(min);
    assert_non_null(o);
    bool r = sv_claim_at_least(v, name, o);
    cJSON_Delete(o);
    return r;
}

static void test_bytes(void **state)
{
    struct shelter_verdict *v = verdict();
    assert_true(is(v, "mrenclave", "\"" HEX "\""));
    assert_true(
        is(v, "mrenclave", "\"ABCDEF0000000000000000000000000000000000000000000000000000000000\""));
    static const char *const not [] = {
        "\"\"",
        "\"" HEX "00\"",
        "\"abcdef\"",
        "\" " HEX "\"",
        "\"" HEX " \"",
        "null",
        "11259375",
        "\"0x" HEX "\"",
        "[\"" HEX "\"]",
        "true",
        "{}",
        "\"abcdef0000000000000000000000000000000000000000000000000000000001\""};
    for (size_t i = 0; i < sizeof(not ) / sizeof(*not ); i++)
        assert_false(is(v, "mrenclave", not [i]));
    assert_false(is(v, "mrsigner", "\"" HEX "\""));
    assert_true(sv_field_is(v, "mrenclave", bytes, 32));
    assert_false(sv_field_is(v, "mrenclave", bytes, 31));
    assert_false(sv_field_is(v, "mrsigner", bytes, 32));
    shelter_verdict_free(v);
}

/* What is shown decides nothing: the report's bytes do. */
static void test_shown_text_decides_nothing(void **state)
{
    static const char other[] = "1100000000000000000000000000000000000000000000000000000000000000";
    struct shelter_verdict *v = verdict();
    cJSON_ReplaceItemInObjectCaseSensitive(v->claims, "mrenclave", cJSON_CreateString(other));
    assert_false(
        is(v, "mrenclave", "\"1100000000000000000000000000000000000000000000000000000000000000\""));
    assert_true(sv_reference_judge(
        "{\"references\":[{\"tee\":\"sgx\",\"measurement\":{\"mrenclave\":\"" HEX "\"}}]}", v));
    cJSON_DeleteItemFromObjectCaseSensitive(v->claims, "mrenclave");
    assert_true(sv_reference_judge(
        "{\"references\":[{\"tee\":\"sgx\",\"measurement\":{\"mrenclave\":[\"11\",\"" HEX "\"]}}]}",
        v));
    shelter_verdict_free(v);
}

static void test_numbers(void **state)
{
    struct shelter_verdict *v = verdict();
    assert_true(is(v, "isvsvn", "7") && is(v, "isvsvn", "7.0") && is(v, "isvsvn", "\"0x7\""));
    assert_false(is(v, "isvsvn", "7.5") || is(v, "isvsvn", "\"7\"") || is(v, "isvsvn", "-7") ||
                 is(v, "isvsvn", "null") || is(v, "isvsvn", "\"0x\"") || is(v, "isvsvn", "true"));
    assert_true(is(v, "small", "9007199254740992"));
    /* Beyond 2^53 to the last bit. */
    assert_true(is(v, "large", "\"0x8000000000030001\""));
    assert_false(is(v, "large", "\"0x8000000000030000\"") ||
                 is(v, "large", "\"0x18000000000030001\""));
    assert_true(at_least(v, "large", "\"0x8000000000030001\"") && at_least(v, "large", "7") &&
                at_least(v, "large", "9223372036854972416"));
    assert_false(at_least(v, "large", "\"0x8000000000030002\""));
    assert_true(at_least(v, "isvsvn", "7") && !at_least(v, "isvsvn", "8"));
    assert_false(at_least(v, "mrenclave", "0") || at_least(v, "product", "0") ||
                 at_least(v, "none", "0") || at_least(v, "isvsvn", "\"x\""));
    shelter_verdict_free(v);
}

static void test_text(void **state)
{
    struct shelter_verdict *v = verdict();
    assert_true(is(v, "product", "\"Milan\""));
    assert_false(is(v, "product", "\"MILAN\"") || is(v, "product", "\"Milan \"") ||
                 is(v, "product", "\"\""));
    assert_true(is(v, "flag", "true"));
    assert_false(is(v, "flag", "false") || is(v, "flag", "1"));
    /* Claims alone, as in a token: hex in either case. */
    struct shelter_verdict token = {.claims = v->claims};
    assert_true(is(&token, "mrenclave",
                   "\"ABCDEF0000000000000000000000000000000000000000000000000000000000\""));
    assert_false(is(&token, "mrenclave", "\"abcdef\""));
    assert_false(is(&token, "product", "\"MILAN\""));
    shelter_verdict_free(v);
}

static void test_bounds(void **state)
{
    struct shelter_verdict *v = sv_verdict_new(0);
    uint8_t data[65] = {0};
    char name[16];
    sv_claim_hex(v, "toolarge", data, 65);
    assert_null(sv_field_find(v, "toolarge"));
    for (int i = 0; i < 2 * SV_FIELD_MAX; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        sv_claim_hex(v, name, data, 64);
    }
    assert_int_equal(v->field_count, SV_FIELD_MAX);
    assert_null(cJSON_GetObjectItem(v->claims, name));
    shelter_verdict_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),   cmocka_unit_test(test_shown_text_decides_nothing),
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_text),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
