// SPDX-License-Identifier: Apache-2.0
// Which step of a measurement differs, and that a verdict names it: by the event where the log
// tells, else by the register or field; never by a log that was not replayed.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/gen/evidence.h"
#include "lib/bytes.h"
#include "lib/hex.h"
#include "verifier/judge/policy.h"
#include "verifier/measure/steps.h"

static cJSON *list(const char *text)
{
    cJSON *steps = cJSON_CreateArray();

    for (; *text; text += 2) // pairs: register, letter of the digest
        sv_step_data(steps,
                     text[0] == '1'   ? "rtmr1"
                     : text[0] == '2' ? "rtmr2"
                                      : "launch_digest",
                     text[1] == 'k'   ? "kernel"
                     : text[1] == 'c' ? "command line"
                                      : "CPU, page 0x0",
                     text, 2);
    return steps;
}

static void test_steps(void **state)
{
    static const struct {
        const char *want, *have, *says; // NULL: nothing differs
    } cases[] = {
        {"1k2c", "1k2c", NULL},
        {"1k2c", "2c1k", NULL}, // fields on their own
        {"1k2c2i", "1k2c", "rtmr2, event 2 (CPU, page 0x0) is missing"},
        {"1k2c", "1k2c2i", "rtmr2, event 2 (CPU, page 0x0) is one too many"},
        {"1k2c", "1k2x", "rtmr2, event 1 (command line); probably another image"},
        {"1k2c", "1x2c", "rtmr1, event 1 (kernel); probably another kernel"},
        {"1k2c", "2c", NULL}, // nobody knows of RTMR1
        {"lalb", "lalc", "launch_digest, step 2 (CPU, page 0x0); probably another number of CPUs"},
        {"", "1k", NULL},
    };
    struct sv_difference d;
    char text[240];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cJSON *want = list(cases[i].want), *have = list(cases[i].have);
        bool differs = sv_steps_differ(want, have, &d);

        assert_int_equal(differs, cases[i].says != NULL);
        if (differs) {
            sv_difference_text(&d, text, sizeof(text));
            if (strncmp(text, cases[i].says, strlen(cases[i].says)))
                fail_msg("%s", text);
        }
        cJSON_Delete(want);
        cJSON_Delete(have);
    }
    assert_false(sv_steps_differ(NULL, NULL, &d));
    sv_step_data(NULL, "rtmr1", "kernel", "k", 1); // nobody wants to know
}

// A log, torn anywhere: what is before stands, nothing is read past the end.
static void test_log(void **state)
{
    uint8_t rtmr[4][48] = {0};
    struct gen_blob log = gen_event_log(rtmr);
    cJSON *steps = cJSON_CreateArray();

    assert_true(sv_step_log(steps, log.data, log.size));
    assert_int_equal(cJSON_GetArraySize(steps), 3);
    cJSON_Delete(steps);
    for (size_t size = 0; size < log.size; size++) {
        uint8_t *exact = malloc(size ? size : 1);

        memcpy(exact, log.data, size);
        steps = cJSON_CreateArray();
        sv_step_log(steps, exact, size);
        assert_true(cJSON_GetArraySize(steps) <= 3);
        cJSON_Delete(steps);
        free(exact);
    }
    steps = cJSON_CreateArray();
    assert_false(sv_step_log(steps, "[{\"imr\":9}]", 11));
    assert_false(sv_step_log(steps, "[{", 2));
    assert_int_equal(cJSON_GetArraySize(steps), 0);
    cJSON_Delete(steps);
    free(log.data);
}

static char *sentence_for(const struct gen_intel *g, const char *reference,
                          const struct gen_blob *log)
{
    struct shelter_verify_request rq = {.size = sizeof(rq),
                                        .evidence = g->quote.data,
                                        .evidence_size = g->quote.size,
                                        .ca = g->root.data,
                                        .ca_size = g->root.size,
                                        .event_log = log ? log->data : NULL,
                                        .event_log_size = log ? log->size : 0,
                                        .reference_json = reference,
                                        .time = GEN_TIME};
    struct shelter_verdict *v;
    const char *sentence;
    char *out = NULL;

    assert_int_equal(shelter_verify(&rq, &v), 0);
    for (size_t i = 0; i < shelter_verdict_refusal_count(v); i++)
        if (shelter_verdict_refusal(v, i, &sentence) == SHELTER_R_REFERENCE)
            out = strdup(sentence);
    shelter_verdict_free(v);
    return out;
}

static void test_verdict(void **state)
{
    struct gen_intel_options o = {.version = 4, .tdx = true};
    struct gen_blob log = gen_event_log(o.rtmr);
    struct gen_intel g;
    char mrtd[97], r1[97], other[97], *text, *says;

    gen_intel(&o, &g);
    sh_hex(mrtd, g.quote.data + 48 + 136, 48);
    sh_hex(r1, o.rtmr[1], 48);
    memset(other, '1', 96);
    other[96] = 0;
    // The nearest of three: the one of the other firmware agrees in nothing.
    assert_true(
        asprintf(
            &text,
            "{\"references\":[{\"tee\":\"tdx\",\"measurement\":{\"mrtd\":\"%s\",\"rtmr\":"
            "[null,\"%s\",\"%s\",null]}},{\"tee\":\"tdx\",\"measurement\":{\"mrtd\":\"%s\","
            "\"rtmr\":[null,\"%s\",\"%s\",null]},\"events\":[{\"field\":\"rtmr1\",\"what\":"
            "\"kernel\",\"digest\":\"%s\"},{\"field\":\"rtmr2\",\"what\":\"command line\","
            "\"digest\":\"%s\"}]},{\"tee\":\"snp\",\"measurement\":{\"measurement\":\"00\"}}]}",
            other, other, other, mrtd, r1, other, other, other) > 0);
    says = sentence_for(&g, text, &log);
    assert_non_null(says);
    assert_non_null(strstr(says, "2 reference values for this TEE; rtmr2, event 1 (command line); "
                                 "probably another image"));
    free(says);
    says = sentence_for(&g, text, NULL); // without a log: the register
    assert_non_null(strstr(says, "for this TEE; rtmr2; probably another image"));
    free(says);
    gen_intel_free(&g);
    o.rtmr[2][0] ^= 1; // a log that is not of this quote says nothing
    gen_intel(&o, &g);
    says = sentence_for(&g, text, &log);
    assert_non_null(strstr(says, "for this TEE; rtmr2; probably"));
    free(says);
    free(text);
    gen_intel_free(&g);
    free(log.data);

    o = (struct gen_intel_options){.version = 3};
    gen_intel(&o, &g);
    says = sentence_for(
        &g, "{\"references\":[{\"tee\":\"sgx\",\"measurement\":{\"mrenclave\":\"00\"}}]}", NULL);
    assert_non_null(
        strstr(says, "1 reference value for this TEE; mrenclave; probably another image"));
    free(says);
    says = sentence_for(&g, "{\"references\":[{\"tee\":\"csv\",\"measurement\":{}}]}", NULL);
    assert_null(strstr(says, "probably"));
    free(says);
    gen_intel_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_verdict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
