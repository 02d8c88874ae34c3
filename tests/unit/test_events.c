// SPDX-License-Identifier: Apache-2.0
// Events of run time: the agent writes them as CoCo's specification lays them out, the verifier
// reads them, and nobody between them changes, drops or adds one unseen.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "lib/hex.h"
#include "tests/gen/evidence.h"
#include "trusted/agent/linux.h"
#include "trusted/agent/state.h"
#include "verifier/judge/policy.h"

static struct sh_settings settings = {.broker = ""};
static const struct sh_view launch = {(const uint8_t *)"launch", 6};

static struct agent *new_agent(int rtmr3)
{
    struct agent *a = agent_new(&settings, launch);

    agent_sources = (struct agent_sources){"tdx", -1, -1, -1, rtmr3};
    return a;
}

static int post(struct agent *a, const char *body, const char *says)
{
    struct agent_reply reply;
    int status;

    agent_answer(a, "POST", "/aa/aael", (struct sh_view){NULL, 0},
                 (struct sh_view){(const uint8_t *)body, strlen(body)}, AGENT_FROM_HERE, &reply);
    status = reply.status;
    assert_non_null(strstr((char *)reply.body, says));
    agent_reply_free(&reply);
    return status;
}

#define GOOD "{\"domain\":\"d\",\"operation\":\"o\",\"content\":\"c d\"}"

static void test_requests(void **state)
{
    struct agent *a = new_agent(-1);

    assert_int_equal(post(a, GOOD, "\"success\":\"true\""), 200);
    assert_int_equal(post(a, "{\"domain\":\"d\",\"operation\":\"o\",\"content\":\"\"}", "true"),
                     200);
    assert_int_equal(
        post(a, "{\"domain\":\"shelter\",\"operation\":\"o\",\"content\":\"c\"}", "own"), 403);
    static const char *const bad[] = {
        "",
        "x",
        "[]",
        "{}",
        "{\"domain\":\"d\",\"operation\":\"o\"}",
        "{\"domain\":1,\"operation\":\"o\",\"content\":\"c\"}",
        "{\"domain\":\"\",\"operation\":\"o\",\"content\":\"c\"}",
        "{\"domain\":\"shelter x\",\"operation\":\"o\",\"content\":\"c\"}", // would read as ours
        "{\"domain\":\"d\",\"operation\":\"o p\",\"content\":\"c\"}",
        "{\"domain\":\"d\",\"operation\":\"o\",\"content\":\"c\\nshelter\"}",
        "{\"domain\":\"d\",\"domain\":\"e\",\"operation\":\"o\",\"content\":\"c\"}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(post(a, bad[i], "error"), 400);
    agent_free(a);
}

// A token shows what had happened when it was given: an event that its broker would have seen ends
// it.
static void test_token(void **state)
{
    for (int takes_log = 0; takes_log < 2; takes_log++) {
        struct agent *a = new_agent(-1);

        a->takes_log = takes_log;
        agent_text_str(&a->token, "token");
        assert_int_equal(post(a, "{}", "error"), 400);
        assert_int_equal(a->token.size, 5);
        assert_int_equal(post(a, GOOD, "true"), 200);
        assert_int_equal(a->token.size, takes_log ? 0 : 5);
        agent_free(a);
    }
}

// Bounded; what does not fit is refused, what was there stays.
static void test_full(void **state)
{
    struct agent *a = new_agent(-1);
    struct agent_error e;
    char content[1001];
    size_t before;
    int rc = 0;

    memset(content, 'c', 1000);
    content[1000] = 0;
    for (int i = 0; i < 100 && !rc; i++)
        rc = agent_event(a, "d", "o", content, &e);
    assert_int_equal(rc, -ENOSPC);
    before = a->events.log.size;
    assert_true(before > 40000 && before <= AGENT_EVENTS_MAX);
    assert_int_equal(agent_event(a, "d", "o", content, &e), -ENOSPC);
    assert_int_equal(a->events.log.size, before);
    agent_free(a);
}

// The second implementation: TCG2 entries over "DOMAIN OPERATION CONTENT", as CoCo's agent writes
// them.
static size_t entry(uint8_t *out, const char *text, uint8_t mr[48])
{
    uint8_t data[256], both[96], digest[48];
    uint32_t n = (uint32_t)strlen(text);

    memcpy(data, "LEAA", 4);
    memcpy(data + 4, &n, 4);
    memcpy(data + 8, text, n);
    SHA384(data, n + 8, digest);
    memcpy(out, "\4\0\0\0\6\0\0\0\1\0\0\0\x0c\0", 14);
    memcpy(out + 14, digest, 48);
    n += 8;
    memcpy(out + 62, &n, 4);
    memcpy(out + 66, data, n);
    memcpy(both, mr, 48);
    memcpy(both + 48, digest, 48);
    SHA384(both, 96, mr);
    return 66 + n;
}

static void test_format(void **state)
{
    struct agent *a = new_agent(-1);
    uint8_t want[1024], mr[48] = {0}, digest[48], image[48];
    char text[160], hex[97];
    struct agent_error e;
    size_t at = 0;

    memset(image, 0xab, sizeof(image));
    agent_set_image(a, image);
    assert_int_equal(agent_event(a, "app", "load", "model v1", &e), 0);
    sh_hex(hex, image, 48);
    snprintf(text, sizeof(text), "shelter image %s", hex);
    at += entry(want + at, text, mr);
    SHA384((const uint8_t *)"launch", 6, digest);
    sh_hex(hex, digest, 48);
    snprintf(text, sizeof(text), "shelter launch %s", hex);
    at += entry(want + at, text, mr);
    at += entry(want + at, "app load model v1", mr);
    assert_int_equal(a->events.log.size, 65 + at);
    assert_memory_equal(a->events.log.data + 65, want, at);
    assert_memory_equal(a->events.mr, mr, 48);
    agent_free(a);
}

// Where there is a register, it gets each digest, and report data is as ever.
static void test_register(void **state)
{
    FILE *f = tmpfile();
    struct agent *a = new_agent(fileno(f));
    struct agent_error e;
    uint8_t got[48];

    assert_int_equal(agent_event(a, "d", "o", "c", &e), 0);
    assert_true(a->events.in_register);
    assert_false(agent_events_bound(&a->events));
    assert_int_equal(pread(fileno(f), got, 48, 0), 48);
    assert_memory_equal(got, a->events.log.data + a->events.log.size - 13 - 4 - 48, 48);
    agent_free(a);
    // One that cannot be extended: nothing is measured any more, rather than half of it.
    int fd = open("/dev/null", O_RDONLY);
    a = new_agent(fd);
    assert_true(agent_event(a, "d", "o", "c", &e) < 0);
    assert_int_equal(agent_event(a, "d", "o", "c", &e), -EIO);
    agent_free(a);
    close(fd);
    fclose(f);
}

// --- The verifier ---

static struct agent_text log_of(uint8_t mr[48])
{
    struct agent *a = new_agent(-1);
    struct agent_text log = {0};
    struct agent_error e;

    assert_int_equal(agent_event(a, "app", "load", "model v1", &e), 0);
    assert_int_equal(agent_event(a, "app", "serve", "", &e), 0);
    agent_text_add(&log, a->events.log.data, a->events.log.size);
    memcpy(mr, a->events.mr, 48);
    agent_free(a);
    return log;
}

static enum shelter_reason judge(const struct gen_intel *g, const void *log, size_t size,
                                 const char *nonce, const char *policy, char **events)
{
    char *quote = malloc(g->quote.size * 2), *text = malloc(size * 2 + 8), *json;
    struct shelter_verdict *v;

    EVP_EncodeBlock((uint8_t *)quote, g->quote.data, (int)g->quote.size);
    EVP_EncodeBlock((uint8_t *)text, log, (int)size);
    assert_true(size
                    ? asprintf(&json, "{\"quote\":\"%s\",\"measured_log\":\"%s\"}", quote, text) > 0
                    : asprintf(&json, "{\"quote\":\"%s\"}", quote) > 0);
    struct shelter_verify_request rq = {.size = sizeof(rq),
                                        .evidence = json,
                                        .evidence_size = strlen(json),
                                        .ca = g->root.data,
                                        .ca_size = g->root.size,
                                        .nonce = nonce,
                                        .nonce_size = nonce ? strlen(nonce) : 0,
                                        .policy_json = policy,
                                        .time = GEN_TIME};
    enum shelter_reason r = SHELTER_R_OK;

    assert_int_equal(shelter_verify(&rq, &v), 0);
    for (size_t i = 0; !r && i < shelter_verdict_refusal_count(v); i++)
        if (shelter_verdict_refusal(v, i, NULL) != SHELTER_R_NO_COLLATERAL)
            r = shelter_verdict_refusal(v, i, NULL);
    if (events)
        *events = shelter_verdict_claim(v, "runtime_events");
    shelter_verdict_free(v);
    free(json);
    free(quote);
    free(text);
    return r;
}

#define EVENT(o, c) "{\"domain\":\"app\",\"operation\":\"" o "\"" c "}"
#define OURS                                                                                       \
    "{\"domain\":\"shelter\",\"operation\":\"image\"},{\"domain\":\"shelter\",\"operation\":"      \
    "\"launch\"}"

static void test_binding(void **state)
{
    struct gen_intel_options o = {.version = 3};
    uint8_t mr[48], bound[128];
    struct agent_text log = log_of(mr);
    static const char nonce[] = "0123456789abcdef", domain[] = "shelter-attest-log-v1";
    struct gen_intel g;
    char *events = NULL;

    memcpy(bound, domain, 21);
    memcpy(bound + 21, mr, 48);
    memcpy(bound + 69, nonce, 16);
    SHA512(bound, 85, o.report_data);
    gen_intel(&o, &g);
    assert_int_equal(judge(&g, log.data, log.size, nonce, NULL, &events), SHELTER_R_OK);
    assert_non_null(strstr(events, "model v1"));
    free(events);
    // Left out, cut by an event, changed, from another instance: not what was bound.
    assert_int_equal(judge(&g, NULL, 0, nonce, NULL, NULL), SHELTER_R_REPORT_DATA);
    assert_int_equal(judge(&g, log.data, log.size - 66 - 8 - 10, nonce, NULL, NULL),
                     SHELTER_R_REPORT_DATA);
    for (size_t i = 65; i < log.size; i += 7) { // the header says nothing that counts
        log.data[i] ^= 1;
        assert_int_not_equal(judge(&g, log.data, log.size, nonce, NULL, NULL), SHELTER_R_OK);
        log.data[i] ^= 1;
    }
    // Without a nonce nothing says whose log it is: its events are no claims.
    assert_int_equal(judge(&g, log.data, log.size, NULL, NULL, &events), SHELTER_R_OK);
    assert_null(events);
    gen_intel_free(&g);
    agent_text_free(&log);
}

static void test_policy(void **state)
{
    static const struct {
        const char *policy;
        enum shelter_reason want;
    } cases[] = {
        {"{\"events\":{}}", SHELTER_R_OK},
        {"{\"events\":{\"require\":[" EVENT("load", "") "]}}", SHELTER_R_OK},
        {"{\"events\":{\"require\":[" EVENT("load", ",\"content\":\"model v1\"") "]}}",
         SHELTER_R_OK},
        {"{\"events\":{\"require\":[" EVENT("load", ",\"content\":\"model*\"") "]}}", SHELTER_R_OK},
        {"{\"events\":{\"require\":[" EVENT("load", ",\"content\":\"model v2\"") "]}}",
         SHELTER_R_EVENT},
        {"{\"events\":{\"require\":[" EVENT("stop", "") "]}}", SHELTER_R_EVENT},
        {"{\"events\":{\"allow\":[" OURS "," EVENT("load", "") "," EVENT("serve", "") "]}}",
         SHELTER_R_OK},
        {"{\"events\":{\"allow\":[" OURS "," EVENT("load", "") "]}}", SHELTER_R_EVENT},
        {"{\"events\":{\"allow\":[]}}", SHELTER_R_EVENT},
        {"{\"events\":{\"deny\":[]}}", SHELTER_R_POLICY_FILE},
        {"{\"events\":{\"require\":[{\"domain\":\"app\"}]}}", SHELTER_R_POLICY_FILE},
        {"{\"events\":{\"require\":[{\"domain\":\"app\",\"operation\":\"o\",\"contents\":\"c\"}]}}",
         SHELTER_R_POLICY_FILE},
    };
    struct gen_intel_options o = {.version = 3};
    uint8_t mr[48], bound[128] = "shelter-attest-log-v1";
    struct agent_text log = log_of(mr);
    struct gen_intel g;

    memcpy(bound + 21, mr, 48);
    bound[69] = 'n';
    SHA512(bound, 70, o.report_data);
    gen_intel(&o, &g);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (judge(&g, log.data, log.size, "n", cases[i].policy, NULL) != cases[i].want)
            fail_msg("%s", cases[i].policy);
    gen_intel_free(&g);
    agent_text_free(&log);
    // RTMR3: what CoCo's own agent measured, and a register that no log covers.
    o = (struct gen_intel_options){.version = 4, .tdx = true};
    struct gen_blob ccel = gen_event_log_aael(o.rtmr);
    struct shelter_verify_request rq = {.size = sizeof(rq),
                                        .event_log = ccel.data,
                                        .event_log_size = ccel.size,
                                        .policy_json = "{\"events\":{\"allow\":[]}}",
                                        .time = GEN_TIME};
    for (int covered = 1; covered >= 0; covered--) {
        struct shelter_verdict *v;
        bool found = false;

        gen_intel(&o, &g);
        rq.evidence = g.quote.data;
        rq.evidence_size = g.quote.size;
        rq.event_log_size = covered ? ccel.size : 0;
        rq.event_log = covered ? ccel.data : NULL;
        assert_int_equal(shelter_verify(&rq, &v), 0);
        for (size_t i = 0; i < shelter_verdict_refusal_count(v); i++)
            found |= shelter_verdict_refusal(v, i, NULL) == SHELTER_R_EVENT;
        assert_true(found);
        shelter_verdict_free(v);
        gen_intel_free(&g);
    }
    free(ccel.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests), cmocka_unit_test(test_token),
        cmocka_unit_test(test_full),     cmocka_unit_test(test_format),
        cmocka_unit_test(test_register), cmocka_unit_test(test_binding),
        cmocka_unit_test(test_policy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
