// SPDX-License-Identifier: Apache-2.0
// NitroTPM documents under test roots: one thing wrong at a time, every byte, every length; nonce,
// policy and reference values.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/gen/evidence.h"
#include "tests/unit/verdict.h"
#include <shelter/verify.h>

#define ALLOW "{\"nitro\":{\"allow\":true}}"

struct ask {
    const char *policy, *reference, *nonce, *report_data;
    bool default_policy, no_ca, allow_simulated;
    enum shelter_evidence_type type;
};

static struct shelter_verdict *judge(const struct gen_nitro *g, const struct ask *a)
{
    struct shelter_verify_request rq = {
        .size = sizeof(rq),
        .evidence = g->document.data,
        .evidence_size = g->document.size,
        .type = a->type,
        .time = GEN_TIME,
        .policy_json = a->policy           ? a->policy
                       : a->default_policy ? NULL
                                           : ALLOW,
        .reference_json = a->reference,
        .nonce = a->nonce,
        .nonce_size = a->nonce ? strlen(a->nonce) : 0,
        .report_data = a->report_data,
        .report_data_size = a->report_data ? strlen(a->report_data) : 0,
        .ca = a->no_ca ? NULL : g->root.data,
        .ca_size = a->no_ca ? 0 : g->root.size,
        .allow_simulated = a->allow_simulated,
    };
    struct shelter_verdict *v;

    assert_int_equal(shelter_verify(&rq, &v), 0);
    return v;
}

static void expect(const char *name, const struct gen_nitro_options *o, const struct ask *a,
                   enum shelter_reason want)
{
    struct gen_nitro g;
    struct shelter_verdict *v;

    gen_nitro(o, &g);
    v = judge(&g, a);
    expect_reason(v, name, want);
    shelter_verdict_free(v);
    gen_nitro_free(&g);
}

static const struct ask plain;

static void test_good(void **state)
{
    struct gen_nitro_options o = {.nonce = "n", .user_data = "u"};
    struct shelter_verdict *v;
    struct gen_nitro g;
    char *claim;

    expect("indefinite", &o, &plain, SHELTER_R_OK);
    o.definite = true;
    expect("definite", &o, &plain, SHELTER_R_OK);
    o.tagged = true;
    expect("tagged", &o, &plain, SHELTER_R_OK);
    expect("no data", &(struct gen_nitro_options){.cas = 3}, &plain, SHELTER_R_OK);
    expect("simulated, allowed", &(struct gen_nitro_options){.simulated_root = true},
           &(struct ask){.allow_simulated = true}, SHELTER_R_OK);

    gen_nitro(&o, &g);
    v = judge(&g, &(struct ask){.type = SHELTER_EVIDENCE_NITRO});
    assert_true(shelter_verdict_accepted(v));
    assert_int_equal(shelter_verdict_type(v), SHELTER_EVIDENCE_NITRO);
    claim = shelter_verdict_claim(v, "tpm_pcr4");
    assert_int_equal(strlen(claim), 96);
    assert_int_equal(strspn(claim, "04"), 96);
    free(claim);
    claim = shelter_verdict_claim(v, "timestamp");
    assert_string_equal(claim, "1750000000007");
    free(claim);
    shelter_verdict_free(v);
    v = judge(&g, &(struct ask){.type = SHELTER_EVIDENCE_SNP});
    assert_int_equal(shelter_verdict_reason(v), SHELTER_R_TYPE_MISMATCH);
    shelter_verdict_free(v);
    gen_nitro_free(&g);
}

static void test_reasons(void **state)
{
    static const struct {
        const char *name;
        struct gen_nitro_options o;
        enum shelter_reason want;
    } cases[] = {
        {"other signer", {.not_signed = true}, SHELTER_R_NITRO_SIGNATURE},
        {"leaf of another CA", {.foreign_leaf = true}, SHELTER_R_NITRO_CHAIN},
        {"CA as leaf", {.leaf_is_ca = true}, SHELTER_R_NITRO_CHAIN},
        {"P-256", {.leaf_p256 = true}, SHELTER_R_NITRO_CHAIN},
        {"chain too long", {.cas = 4}, SHELTER_R_NITRO_CHAIN},
        {"another root named", {.foreign_root = true}, SHELTER_R_ROOT},
        {"expired", {.expired = true}, SHELTER_R_CERT_EXPIRED},
        {"early", {.early = true}, SHELTER_R_CERT_EARLY},
        {"simulated", {.simulated_root = true}, SHELTER_R_SIMULATED},
        {"unprotected header", {.unprotected = true}, SHELTER_R_NITRO_DOCUMENT},
        {"algorithm", {.algorithm = true}, SHELTER_R_NITRO_DOCUMENT},
        {"digest", {.other_digest = true}, SHELTER_R_NITRO_DOCUMENT},
        {"register 32", {.pcr_index = true}, SHELTER_R_NITRO_DOCUMENT},
        {"register of 49 bytes", {.pcr_size = true}, SHELTER_R_NITRO_DOCUMENT},
        {"register twice", {.pcr_twice = true}, SHELTER_R_NITRO_DOCUMENT},
        {"no registers", {.no_pcrs = true}, SHELTER_R_NITRO_DOCUMENT},
        {"no CA", {.no_ca = true}, SHELTER_R_NITRO_DOCUMENT},
        {"nine CAs", {.cas = 8}, SHELTER_R_NITRO_DOCUMENT},
        {"member twice", {.twice = true}, SHELTER_R_NITRO_DOCUMENT},
        {"unknown member", {.unknown = true}, SHELTER_R_NITRO_DOCUMENT},
        {"an enclave's", {.enclave = true}, SHELTER_R_NITRO_DOCUMENT},
        {"bytes behind", {.trailing = true}, SHELTER_R_NITRO_DOCUMENT},
        {"no end", {.no_break = true}, SHELTER_R_NITRO_DOCUMENT},
        {"long data", {.long_data = true}, SHELTER_R_NITRO_DOCUMENT},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect(cases[i].name, &cases[i].o, &plain, cases[i].want);
    expect("no root", &(struct gen_nitro_options){.cas = 1}, &(struct ask){.no_ca = true},
           SHELTER_R_ROOT);
}

static void test_binding(void **state)
{
    struct gen_nitro_options o = {.nonce = "nonce", .user_data = "data"}, none = {.cas = 1};

    expect("nonce", &o, &(struct ask){.nonce = "nonce"}, SHELTER_R_OK);
    expect("other nonce", &o, &(struct ask){.nonce = "noncf"}, SHELTER_R_REPORT_DATA);
    expect("part of it", &o, &(struct ask){.nonce = "nonc"}, SHELTER_R_REPORT_DATA);
    expect("no nonce", &none, &(struct ask){.nonce = "nonce"}, SHELTER_R_REPORT_DATA);
    expect("user data", &o, &(struct ask){.report_data = "data"}, SHELTER_R_OK);
    expect("other data", &o, &(struct ask){.report_data = "dat"}, SHELTER_R_REPORT_DATA);
    expect("no data", &none, &(struct ask){.report_data = ""}, SHELTER_R_REPORT_DATA);
    expect("the nonce is no user data", &o, &(struct ask){.report_data = "nonce"},
           SHELTER_R_REPORT_DATA);
    o.user_data = "0123456789012345678901234567890123456789012345678901234567890123-and-more";
    expect("long user data", &o, &plain, SHELTER_R_OK);
    expect("its beginning", &o,
           &(struct ask){.report_data =
                             "0123456789012345678901234567890123456789012345678901234567890123"},
           SHELTER_R_REPORT_DATA);
}

static void test_policy(void **state)
{
    struct gen_nitro_options o = {.made = GEN_TIME - 100}, later = {.made = GEN_TIME + 100};

    expect("default", &o, &(struct ask){.default_policy = true}, SHELTER_R_NITRO_POLICY);
    expect("not allowed", &o, &(struct ask){.policy = "{\"nitro\":{\"max_age\":200}}"},
           SHELTER_R_NITRO_POLICY);
#define AGE(n) "{\"nitro\":{\"allow\":true,\"max_age\":" n "}}"
    expect("young", &o, &(struct ask){.policy = AGE("100")}, SHELTER_R_OK);
    expect("old", &o, &(struct ask){.policy = AGE("99")}, SHELTER_R_NITRO_POLICY);
    expect("of the future", &later, &(struct ask){.policy = AGE("99")}, SHELTER_R_NITRO_POLICY);
    expect("unknown member", &o, &(struct ask){.policy = "{\"nitro\":{\"allow\":true,\"x\":1}}"},
           SHELTER_R_POLICY_FILE);
    expect("array", &o, &(struct ask){.policy = "{\"nitro\":[true]}"}, SHELTER_R_POLICY_FILE);
#define CLAIM(c) "{\"nitro\":{\"allow\":true},\"claims\":{" c "}}"
    expect(
        "claim", &o,
        &(struct ask){.policy = CLAIM("\"module_id\":\"i-00000000000000000-tpm0000000000000000\"")},
        SHELTER_R_OK);
    expect("other claim", &o, &(struct ask){.policy = CLAIM("\"tpm_pcr7\":\"00\"")},
           SHELTER_R_CLAIM);
    expect("refused kind", &o,
           &(struct ask){.policy = "{\"nitro\":{\"allow\":true},\"refuse\":[{\"tee\":\"nitro\"}]}"},
           SHELTER_R_REFUSED_CPU);
}

static void test_reference(void **state)
{
    struct gen_nitro_options o = {.cas = 1};
    char pcr[24][97], text[1024];

    for (int i = 0; i < 24; i++)
        for (int k = 0; k < 48; k++)
            sprintf(pcr[i] + 2 * k, "%02x", i);
#define REFERENCE(tee, a, b)                                                                       \
    (snprintf(text, sizeof(text),                                                                  \
              "{\"references\":[{\"tee\":\"" tee "\",\"measurement\":{\"tpm_pcr4\":\"%s\",\"" b    \
              "\":\"%s\"}}]}",                                                                     \
              pcr[a], pcr[atoi(b + 7)]),                                                           \
     text)
    expect("registers", &o, &(struct ask){.reference = REFERENCE("nitro", 4, "tpm_pcr12")},
           SHELTER_R_OK);
    expect("other register", &o, &(struct ask){.reference = REFERENCE("nitro", 5, "tpm_pcr12")},
           SHELTER_R_REFERENCE);
    expect("no command line", &o, &(struct ask){.reference = REFERENCE("nitro", 4, "tpm_pcr7")},
           SHELTER_R_REFERENCE);
    expect("other TEE", &o, &(struct ask){.reference = REFERENCE("snp", 4, "tpm_pcr12")},
           SHELTER_R_REFERENCE);
}

// No byte can be otherwise, and no length shorter, and be accepted.
static void test_every_byte(void **state)
{
    struct gen_nitro_options o = {.nonce = "nonce"};
    struct gen_nitro g;
    struct shelter_verdict *v;
    size_t size;

    gen_nitro(&o, &g);
    size = g.document.size;
    for (size_t i = 0; i < size; i += 4 + i % 5) {
        g.document.data[i] ^= 1u << i % 8;
        v = judge(&g, &plain);
        if (shelter_verdict_accepted(v))
            print_message("# byte %zu\n", i);
        assert_false(shelter_verdict_accepted(v));
        shelter_verdict_free(v);
        g.document.data[i] ^= 1u << i % 8;
    }
    for (size_t i = 1; i < size; i++) {
        struct gen_nitro cut = {.root = g.root};

        cut.document.data = malloc(i); // a read past the end is seen
        cut.document.size = i;
        memcpy(cut.document.data, g.document.data, i);
        v = judge(&cut, &plain);
        assert_false(shelter_verdict_accepted(v));
        shelter_verdict_free(v);
        free(cut.document.data);
    }
    gen_nitro_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),      cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_binding),   cmocka_unit_test(test_policy),
        cmocka_unit_test(test_reference), cmocka_unit_test(test_every_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
