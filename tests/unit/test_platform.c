// SPDX-License-Identifier: Apache-2.0
// Which machines a policy trusts: lists by name, and kinds of CPU and TCB that it refuses for a
// time.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/gen/evidence.h"
#include <shelter/verify.h>

static struct gen_intel sgx;
static struct gen_snp snp, masked;
static char ppid[40], instance[40], chip[140], hidden[140];

static struct shelter_verdict *judge(const struct gen_blob *evidence, const struct gen_blob *root,
                                     const struct gen_snp *s, const char *policy, int64_t when)
{
    struct shelter_verify_request rq = {.size = sizeof(rq),
                                        .evidence = evidence->data,
                                        .evidence_size = evidence->size,
                                        .ca = root->data,
                                        .ca_size = root->size,
                                        .policy_json = policy,
                                        .time = when};
    struct shelter_collateral *col;
    char why[256], *json = s ? NULL : gen_intel_collateral(&sgx);
    struct shelter_verdict *v;

    if (s) {
        rq.signer = s->signer.data;
        rq.signer_size = s->signer.size;
        assert_int_equal(
            shelter_collateral_parse("{}", 2, rq.ca, rq.ca_size, &col, why, sizeof(why)), 0);
    } else {
        assert_int_equal(
            shelter_collateral_parse(json, strlen(json), rq.ca, rq.ca_size, &col, why, sizeof(why)),
            0);
    }
    rq.collateral = col;
    assert_int_equal(shelter_verify(&rq, &v), 0);
    shelter_collateral_free(col);
    free(json);
    return v;
}

// Is this reason among the verdict's, and with what sentence?
static bool refused(struct shelter_verdict *v, enum shelter_reason want, const char *words)
{
    const char *sentence;
    bool found = false;

    for (size_t i = 0; i < shelter_verdict_refusal_count(v); i++)
        found |=
            shelter_verdict_refusal(v, i, &sentence) == want && (!words || strstr(sentence, words));
    shelter_verdict_free(v);
    return found;
}

#define SGX(policy, when) judge(&sgx.quote, &sgx.root, NULL, policy, when)
#define SNP(policy) judge(&snp.report, &snp.ark, &snp, policy, GEN_TIME)
#define MASKED(policy) judge(&masked.report, &masked.ark, &masked, policy, GEN_TIME)

static void take(struct shelter_verdict *v, const char *name, char *out, size_t size)
{
    char *text = shelter_verdict_claim(v, name);

    assert_non_null(text);
    snprintf(out, size, "%s", text);
    free(text);
}

static int setup(void **state)
{
    struct gen_snp_options o = {.version = 3};
    struct shelter_verdict *v;

    gen_intel(&(struct gen_intel_options){.version = 3}, &sgx);
    gen_snp(&o, &snp);
    o.mask_chip = true;
    gen_snp(&o, &masked);
    v = SGX(NULL, GEN_TIME);
    assert_true(shelter_verdict_accepted(v));
    take(v, "ppid", ppid, sizeof(ppid));
    take(v, "platform_instance_id", instance, sizeof(instance));
    shelter_verdict_free(v);
    v = SNP(NULL);
    take(v, "chip_id", chip, sizeof(chip));
    shelter_verdict_free(v);
    v = MASKED(NULL);
    take(v, "vcek_chip_id", hidden, sizeof(hidden));
    shelter_verdict_free(v);
    return 0;
}

static int teardown(void **state)
{
    gen_intel_free(&sgx);
    gen_snp_free(&snp);
    gen_snp_free(&masked);
    return 0;
}

static void test_lists(void **state)
{
    static const char other[] = "0123456789abcdef0123456789abcdef";
    char p[600];

#define POLICY(...) (snprintf(p, sizeof(p), __VA_ARGS__), p)
    const char *allow = "{\"platforms\":{\"allow\":{\"%s\":[\"%s\",\"%s\"]}}}";
    const char *deny = "{\"platforms\":{\"deny\":{\"%s\":[\"%s\",\"%s\"]}}}";
    const char *names[][2] = {{"ppid", ppid}, {"platform_instance_id", instance}};

    for (int i = 0; i < 2; i++) {
        assert_false(refused(SGX(POLICY(allow, names[i][0], other, names[i][1]), GEN_TIME),
                             SHELTER_R_PLATFORM, NULL));
        assert_true(refused(SGX(POLICY(allow, names[i][0], other, other), GEN_TIME),
                            SHELTER_R_PLATFORM, "allow"));
        assert_true(refused(SGX(POLICY(deny, names[i][0], other, names[i][1]), GEN_TIME),
                            SHELTER_R_PLATFORM, "deny"));
        assert_false(refused(SGX(POLICY(deny, names[i][0], other, other), GEN_TIME),
                             SHELTER_R_PLATFORM, NULL));
    }
    // An empty list trusts nobody; a list of another vendor's machines does not trust this one.
    assert_true(refused(SGX("{\"platforms\":{\"allow\":{}}}", GEN_TIME), SHELTER_R_PLATFORM, NULL));
    assert_true(
        refused(SGX(POLICY(allow, "chip_id", chip, chip), GEN_TIME), SHELTER_R_PLATFORM, NULL));
    assert_false(refused(SNP(POLICY(allow, "chip_id", chip, chip)), SHELTER_R_PLATFORM, NULL));
    assert_true(refused(SNP(POLICY(deny, "chip_id", chip, chip)), SHELTER_R_PLATFORM, NULL));
    // A masked chip is the one whose VCEK signed.
    assert_true(refused(MASKED(POLICY(deny, "chip_id", hidden, hidden)), SHELTER_R_PLATFORM, NULL));
    assert_false(
        refused(MASKED(POLICY(allow, "chip_id", hidden, hidden)), SHELTER_R_PLATFORM, NULL));
}

static void test_refuse(void **state)
{
    static const struct {
        const char *policy;
        int64_t when;
        bool want;
    } cases[] = {
        {"{\"refuse\":[{\"tee\":\"sgx\",\"until\":\"2030-01-01T00:00:00Z\",\"why\":\"interposer\"}]"
         "}",
         GEN_TIME, true},
        {"{\"refuse\":[{\"tee\":\"sgx\",\"until\":\"2020-01-01T00:00:00Z\",\"why\":\"interposer\"}]"
         "}",
         GEN_TIME, false},
        {"{\"refuse\":[{\"tee\":\"tdx\",\"why\":\"interposer\"}]}", GEN_TIME, false},
        {"{\"refuse\":[{\"claims\":{\"sgx_type\":[\"Standard\",\"Scalable\"]},\"why\":"
         "\"interposer\"}]}",
         GEN_TIME, true},
        {"{\"refuse\":[{\"claims\":{\"sgx_type\":\"ScalableWithIntegrity\"},\"why\":\"interposer\"}"
         "]}",
         GEN_TIME, false},
        {"{\"refuse\":[{\"claims\":{\"sgx_type\":\"Scalable\",\"pck_pcesvn\":{\"max\":11}},\"why\":"
         "\"interposer\"}]}",
         GEN_TIME, true},
        {"{\"refuse\":[{\"claims\":{\"sgx_type\":\"Scalable\",\"pck_pcesvn\":{\"max\":10}},\"why\":"
         "\"interposer\"}]}",
         GEN_TIME, false},
        {"{\"refuse\":[{\"claims\":{\"pck_pcesvn\":{\"min\":11,\"max\":12}},\"why\":\"interposer\"}"
         "]}",
         GEN_TIME, true},
        {"{\"refuse\":[{\"claims\":{\"tcb_status\":[\"UpToDate\"]},\"why\":\"interposer\"}]}",
         GEN_TIME, true},
        {"{\"refuse\":[{\"claims\":{\"tcb_status\":\"OutOfDate\"},\"why\":\"interposer\"}]}",
         GEN_TIME, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (refused(SGX(cases[i].policy, cases[i].when), SHELTER_R_REFUSED_CPU,
                    cases[i].want ? "interposer" : NULL) != cases[i].want)
            fail_msg("%s", cases[i].policy);
    assert_true(refused(
        SNP("{\"refuse\":[{\"claims\":{\"product\":\"Milan\",\"tcb_ucode\":{\"max\":255}}}]}"),
        SHELTER_R_REFUSED_CPU, NULL));
    assert_false(refused(SNP("{\"refuse\":[{\"claims\":{\"product\":\"Genoa\"}}]}"),
                         SHELTER_R_REFUSED_CPU, NULL));
}

// What would refuse nothing because it is misspelt is an error.
static void test_malformed(void **state)
{
    static const char *const policies[] = {
        "{\"platforms\":[]}",
        "{\"platforms\":{\"permit\":{}}}",
        "{\"platforms\":{\"allow\":[]}}",
        "{\"platforms\":{\"deny\":{\"PPID\":[]}}}",
        "{\"platforms\":{\"deny\":{\"ppid\":\"00\"}}}",
        "{\"platforms\":{\"deny\":{\"ppid\":[\"0011\"]}}}",
        "{\"platforms\":{\"deny\":{\"ppid\":[1]}}}",
        "{\"platforms\":{\"allow\":{\"chip_id\":[\"0000000000000000\"]}}}",
        "{\"refuse\":{}}",
        "{\"refuse\":[1]}",
        "{\"refuse\":[{}]}",
        "{\"refuse\":[{\"why\":\"x\"}]}",
        "{\"refuse\":[{\"tee\":\"SGX\"}]}",
        "{\"refuse\":[{\"claims\":{}}]}",
        "{\"refuse\":[{\"claims\":{\"fmspcs\":\"00\"}}]}",
        "{\"refuse\":[{\"claims\":{\"fmspc\":[]}}]}",
        "{\"refuse\":[{\"claims\":{\"fmspc\":null}}]}",
        "{\"refuse\":[{\"claims\":{\"tcb_bl\":{\"most\":1}}}]}",
        "{\"refuse\":[{\"claims\":{\"tcb_bl\":{\"max\":\"1\"}}}]}",
        "{\"refuse\":[{\"tee\":\"sgx\",\"until\":\"2026\"}]}",
        "{\"refuse\":[{\"tee\":\"sgx\",\"when\":\"x\"}]}",
    };

    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++)
        if (!refused(SGX(policies[i], GEN_TIME), SHELTER_R_POLICY_FILE, NULL))
            fail_msg("%s", policies[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_refuse),
        cmocka_unit_test(test_malformed),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
