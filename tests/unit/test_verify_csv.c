// SPDX-License-Identifier: Apache-2.0
// CSV evidence under a test root: both versions, every link of the chain, every byte that counts.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/gen/evidence.h"
#include "verifier/quote/csv.h"

struct ask {
    const char *policy;
    bool no_root, no_chain;
    const char *ca; // in place of the root
};
static const struct ask plain;

static struct shelter_verdict *judge(const struct gen_csv *g, const struct ask *a)
{
    struct shelter_verify_request rq = {.size = sizeof(rq),
                                        .evidence = g->report.data,
                                        .evidence_size = g->report.size,
                                        .type = SHELTER_EVIDENCE_CSV,
                                        .time = GEN_TIME,
                                        .policy_json = a->policy};
    struct shelter_verdict *v;

    if (!a->no_chain) {
        rq.signer = g->chain.data;
        rq.signer_size = g->chain.size;
    }
    if (!a->no_root) {
        rq.ca = g->root.data;
        rq.ca_size = g->root.size;
    }
    if (a->ca) {
        rq.ca = (const uint8_t *)a->ca;
        rq.ca_size = strlen(a->ca);
    }
    assert_int_equal(shelter_verify(&rq, &v), 0);
    return v;
}

static void expect(const struct gen_csv_options *o, const struct ask *a, enum shelter_reason want)
{
    struct gen_csv g;
    struct shelter_verdict *v;

    gen_csv(o, &g);
    v = judge(&g, a);
    assert_string_equal(shelter_reason_code(shelter_verdict_reason(v)), shelter_reason_code(want));
    assert_int_equal(shelter_verdict_accepted(v), want == SHELTER_R_OK);
    shelter_verdict_free(v);
    gen_csv_free(&g);
}

static void test_good(void **state)
{
    expect(&(struct gen_csv_options){.version = 1}, &plain, SHELTER_R_OK);
    expect(&(struct gen_csv_options){.version = 2}, &plain, SHELTER_R_OK);
}

// Why the chain was refused: by the root that was judged.
static void expect_refused(const struct gen_csv *g, const struct ask *a, const char *at)
{
    struct shelter_verdict *v = judge(g, a);
    const char *sentence = "";

    assert_int_equal(shelter_verdict_refusal(v, 0, &sentence), SHELTER_R_CSV_CHAIN);
    if (!strstr(sentence, at))
        print_message("# %s: %s\n", at, sentence);
    assert_non_null(strstr(sentence, at));
    shelter_verdict_free(v);
}

// A named root counts where it has Hygon's form, and then its own signature must hold; what is none
// leaves the pinned one in its place.
static void test_root(void **state)
{
    struct gen_csv g;

    gen_csv(&(struct gen_csv_options){.version = 2}, &g);
    expect_refused(&g, &(struct ask){.no_root = true}, ": HSK");
    expect_refused(&g, &(struct ask){.ca = "-----BEGIN CERTIFICATE-----\nAAAA\n"}, ": HSK");
    for (size_t at = 40; at < SV_HYGON_ROOT_SIZE - 100; at += 9) {
        g.root.data[at] ^= 1;
        struct shelter_verdict *v = judge(&g, &plain);
        bool signature = at >= 576 && at < 720 && (at - 576) % 72 < 32; // else: padding
        if (at < 576 || signature)
            assert_false(shelter_verdict_accepted(v));
        shelter_verdict_free(v);
        g.root.data[at] ^= 1;
    }
    g.root.data[576] ^= 1;
    expect_refused(&g, &plain, ": the named HRK");
    gen_csv_free(&g);
}

static void test_reasons(void **state)
{
    static char pem[SV_HYGON_ROOT_SIZE + 1]; // as long as Hygon's own

    memset(pem, 'A', sizeof(pem) - 1);
    memcpy(pem, "-----BEGIN CERTIFICATE-----\n", 28);
    memcpy(pem + sizeof(pem) - 26, "\n-----END CERTIFICATE-----", 25);
    for (int version = 1; version <= 2; version++) {
#define EXPECT(member, reason)                                                                     \
    expect(&(struct gen_csv_options){.version = version, .member = true}, &plain,                  \
           SHELTER_R_##reason)
        EXPECT(debug, DEBUG);
        EXPECT(no_es, CSV_POLICY);
        EXPECT(foreign_hsk, CSV_CHAIN);
        EXPECT(foreign_cek, CSV_CHAIN);
        EXPECT(foreign_pek, CSV_CHAIN);
        EXPECT(usage_cek, CSV_CHAIN);
        EXPECT(foreign_report, CSV_SIGNATURE);
        EXPECT(mac, CSV_MAC);
        expect(&(struct gen_csv_options){.version = version}, &(struct ask){.no_root = true},
               SHELTER_R_CSV_CHAIN);
        // Somebody else's root beside: no root of Hygon's, and none takes its place.
        expect(&(struct gen_csv_options){.version = version}, &(struct ask){.ca = pem},
               SHELTER_R_CSV_CHAIN);
        expect(&(struct gen_csv_options){.version = version}, &(struct ask){.no_chain = true},
               SHELTER_R_NO_SIGNER);
        expect(&(struct gen_csv_options){.version = version},
               &(struct ask){.policy = "{\"csv\":{\"require_nosend\":true}}"},
               SHELTER_R_CSV_POLICY);
        expect(&(struct gen_csv_options){.version = version, .no_es = true},
               &(struct ask){.policy = "{\"csv\":{\"require_es\":false}}"}, SHELTER_R_OK);
    }
}

static void flips(int version, size_t size)
{
    struct gen_csv_options o = {.version = version};
    struct gen_csv g;
    struct shelter_verdict *v;

    gen_csv(&o, &g);
    for (size_t at = 0; at < size; at += at < 400 ? 1 : 7) {
        // The signature's usage and algorithm stand outside a version 1 signature and mean nothing;
        // so do the upper bytes of its two fields.
        if (version == 1 && at >= 180 && at < 188)
            continue;
        size_t sig = version == 1 ? 192 : 1024;

        if (at >= sig && at < sig + 144 && (at - sig) % 72 >= 32)
            continue;
        g.report.data[at] ^= (uint8_t)(1u << at % 8);
        v = judge(&g, &plain);
        if (shelter_verdict_accepted(v))
            print_message("# version %d byte %zu\n", version, at);
        assert_false(shelter_verdict_accepted(v));
        shelter_verdict_free(v);
        g.report.data[at] ^= (uint8_t)(1u << at % 8);
    }
    for (size_t torn = 1; torn < size; torn += 41) {
        struct gen_csv t = g;

        t.report.data = malloc(torn);
        t.report.size = torn;
        memcpy(t.report.data, g.report.data, torn);
        v = judge(&t, &plain);
        assert_false(shelter_verdict_accepted(v));
        shelter_verdict_free(v);
        free(t.report.data);
    }
    gen_csv_free(&g);
}

static void test_bytes(void **state)
{
    flips(1, SV_CSV_V1_SIZE);
    flips(2, SV_CSV_V2_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_root),
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
