// SPDX-License-Identifier: Apache-2.0
// What the agent takes of a broker's word about a volume: each byte of it changed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* The broker is played here. */
#define agent_ask play_ask
#define agent_may_ask play_may_ask
#define agent_refused play_refused
#include "trusted/agent/volume.c"

static int status_played;
static const char *body_played;
/* A broker that compares and swaps; how many of its next answers get lost, and whether with what
 * they answer. */
static char kept[72];
static bool keeps;
static unsigned lose_questions, lose_answers;

static void member_of(const struct agent_call *call, const char *name, char out[72])
{
    struct agent_json o;
    assert_int_equal(agent_json_check(&o, call->body, call->body_size), 0);
    assert_true(agent_json_member(o, name, out, 72) >= 0);
}

static int play_swap(const struct agent_call *call)
{
    char from[72], to[72];
    member_of(call, "from", from);
    member_of(call, "to", to);
    if (strcmp(kept, from) && strcmp(kept, to))
        return 409;
    memcpy(kept, to, sizeof(kept));
    return 200;
}

int play_may_ask(struct agent *a, const char *path, struct agent_error *e)
{
    return 0;
}

int play_ask(struct agent *a, const struct agent_call *call, struct agent_response *r,
             struct agent_error *e)
{
    *r = (struct agent_response){.status = status_played};
    if (keeps && lose_questions && lose_questions--)
        return -ETIMEDOUT;
    if (keeps)
        r->status = play_swap(call);
    if (keeps && lose_answers && lose_answers--)
        return -ETIMEDOUT;
    agent_text_str(&r->body, body_played);
    return 0;
}

int play_refused(struct agent *a, const struct agent_response *r, const char *what,
                 struct agent_error *e)
{
    return agent_fail(e, -EPERM, "refused", NULL);
}

/* Trustee and the like know no volumes: the sentence says so, and what to do. Shelter's broker,
 * which does, may know no such key. */
static void test_no_anchor(void **state)
{
    static struct agent a;
    struct agent_volume v;
    struct agent_error e;
    static const struct {
        int status;
        const char *body;
        int result;
    } answers[] = {
        {404, "", -ENOSYS},
        {405, "Method Not Allowed", -ENOSYS},
        {404, "{\"type\":\"https://github.com/confidential-containers/kbs/errors/PluginNotFound\"}",
         -ENOSYS},
        {404, "{\"type\":\"urn:shelter:broker:no-such-resource\"}", -EPERM},
        {403, "", -EPERM},
        {500, "", -EPERM},
        {200, "{}", -EPROTO},
        {200, "", -EPROTO},
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        status_played = answers[i].status;
        body_played = answers[i].body;
        int r = agent_volume_open(&a, "volumes/key/a", false, &v, &e);
        assert_true(answers[i].result == -EPROTO ? r != 0 : r == answers[i].result);
        assert_int_equal(!!strstr(e.text, "keeps no states of volumes"), r == -ENOSYS);
        assert_int_equal(!!strstr(e.text, "freshness=insecure-none"), r == -ENOSYS);
    }
}

#define ROOT "00112233445566778899aabbccddeeff"

/* An answer that got lost: the next state is acknowledged all the same, whatever the broker took.
 */
static void test_lost_answers(void **state)
{
    static struct agent a;
    struct agent_error e;
    uint64_t dice = 5;
    struct agent_volume v = {.path = "volumes/key/a"};
    struct volume_state s = {.sequence = 1};
    format_state(v.state, &s);
    memcpy(kept, v.state, sizeof(kept));
    body_played = "{\"type\":\"urn:shelter:broker:moved\"}";
    keeps = true;
    for (unsigned i = 0; i < 500; i++) {
        char want[72];
        dice = dice * 6364136223846793005u + 1442695040888963407u;
        lose_questions = dice >> 60 & 1 ? dice >> 58 & 3 : 0;
        lose_answers = dice >> 56 & 3;
        do {
            s.sequence += dice >> 50 & 1;
            s.log_count++;
            format_state(want, &s);
        } while (agent_volume_advance(&a, &v, &s, ANCHOR_ADVANCE, &e) == -ETIMEDOUT);
        assert_string_equal(kept, want);
        assert_string_equal(v.state, want);
    }
    /* Released, and that answer is lost: the lease is gone, which is no loss. */
    char text[200];
    snprintf(text, sizeof(text), "{\"type\":\"urn:shelter:broker:fenced\",\"state\":\"%s\"}", kept);
    lose_questions = 1;
    assert_int_equal(agent_volume_advance(&a, &v, &s, ANCHOR_RELEASE, &e), -ETIMEDOUT);
    keeps = false;
    status_played = 409;
    body_played = text;
    assert_int_equal(agent_volume_advance(&a, &v, &s, ANCHOR_ADVANCE, &e), -ESTALE);
    assert_int_equal(agent_volume_advance(&a, &v, &s, ANCHOR_RELEASE, &e), 0);
    keeps = true;
    /* One that nobody asked for is somebody else's. */
    memcpy(kept, "9-9-" ROOT, sizeof("9-9-" ROOT));
    s.log_count++;
    assert_int_equal(agent_volume_advance(&a, &v, &s, ANCHOR_ADVANCE, &e), -ESTALE);
    keeps = false;
}

static const char good[] =
    "{\"key\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\",\"memory\":\"open\",\"state\":\"12-"
    "3-" ROOT "\",\"next\":\"0102030405060708\",\"lease\":\"" ROOT "\"}";

static bool take_text(const char *text, size_t size, struct agent_volume *v)
{
    struct agent_json o;
    *v = (struct agent_volume){.read_only = false};
    return !agent_json_check(&o, text, size) && take_opened(o, v);
}

static void test_opened(void **state)
{
    struct agent_volume v;
    assert_true(take_text(good, sizeof(good) - 1, &v));
    for (unsigned i = 0; i < sizeof(v.key); i++)
        assert_int_equal(v.key[i], i);
    assert_int_equal(v.anchor.memory, ANCHOR_OPEN);
    assert_int_equal(v.anchor.sequence, 12);
    assert_int_equal(v.anchor.log_count, 3);
    assert_int_equal(v.anchor.root[1], 0x11);
    assert_int_equal(v.anchor.next, 0x0807060504030201);
    assert_string_equal(v.lease, ROOT);
    v.read_only = true; /* a lease that was not asked for */
    struct agent_json o;
    assert_int_equal(agent_json_check(&o, good, sizeof(good) - 1), 0);
    assert_false(take_opened(o, &v));
}

/* Refused, or something that is well formed: a lease and a state that may be sent again. */
static bool is_sane(struct agent_volume *v)
{
    struct anchor a;
    uint8_t lease[16];
    return v->anchor.memory < ANCHOR_MEMORIES && !sh_unhex(lease, sizeof(lease), v->lease) &&
           (!v->state[0] || parse_state(v->state, &a));
}

static void test_changed(void **state)
{
    unsigned taken = 0, refused = 0;
    for (size_t i = 0; i < sizeof(good) - 1; i++) {
        for (int c = 0; c < 256; c++) {
            char text[sizeof(good)];
            struct agent_volume v;
            memcpy(text, good, sizeof(good));
            text[i] = (char)c;
            if (!take_text(text, sizeof(good) - 1, &v)) {
                refused++;
                continue;
            }
            taken++;
            assert_true(is_sane(&v));
        }
    }
    assert_true(taken > 1000 && refused > 10000);
    for (size_t n = 0; n < sizeof(good) - 1; n++) {
        struct agent_volume v;
        assert_false(take_text(good, n, &v));
    }
}

static void test_members(void **state)
{
    static const char *const bad[] = {
        "{}",
        "[]",
        "{\"key\":\"AAEC\",\"memory\":\"never\",\"state\":\"\",\"next\":\"\",\"lease\":\"" ROOT
        "\"}",
#define KEY "{\"key\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\","
        KEY "\"memory\":\"open\",\"state\":\"\",\"next\":\"\",\"lease\":\"" ROOT "\"}",
        KEY "\"memory\":\"released\",\"state\":\"\",\"next\":\"\",\"lease\":\"" ROOT "\"}",
        KEY "\"memory\":\"lost\",\"state\":\"\",\"next\":\"\",\"lease\":\"" ROOT "\"}",
        KEY "\"memory\":\"never\",\"state\":\"0-0-" ROOT "\",\"next\":\"\",\"lease\":\"" ROOT "\"}",
        KEY "\"memory\":\"never\",\"state\":\"1-4294967296-" ROOT
            "\",\"next\":\"\",\"lease\":\"" ROOT "\"}",
        KEY "\"memory\":\"never\",\"state\":\"1--" ROOT "\",\"next\":\"\",\"lease\":\"" ROOT "\"}",
        KEY "\"memory\":\"never\",\"state\":\"\",\"next\":\"1\",\"lease\":\"" ROOT "\"}",
        KEY "\"memory\":\"never\",\"state\":\"\",\"next\":\"\",\"lease\":\"\"}",
        KEY "\"memory\":\"never\",\"state\":\"\",\"next\":\"\"}"};
    struct agent_volume v;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (take_text(bad[i], strlen(bad[i]), &v))
            fail_msg("taken: %s", bad[i]);
    static const char new[] =
        KEY "\"memory\":\"never\",\"state\":\"\",\"next\":\"\",\"lease\":\"" ROOT "\"}";
    assert_true(take_text(new, sizeof(new) - 1, &v));
    assert_int_equal(v.anchor.memory, ANCHOR_NEVER);
}

static void test_format(void **state)
{
    struct volume_state s = {.sequence = UINT64_MAX, .log_count = UINT32_MAX};
    struct anchor a;
    char text[72];
    memset(s.root, 0xab, sizeof(s.root));
    format_state(text, &s);
    assert_true(parse_state(text, &a));
    assert_true(a.sequence == UINT64_MAX && a.log_count == UINT32_MAX);
    assert_memory_equal(a.root, s.root, sizeof(a.root));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opened),    cmocka_unit_test(test_changed),
        cmocka_unit_test(test_members),   cmocka_unit_test(test_format),
        cmocka_unit_test(test_no_anchor), cmocka_unit_test(test_lost_answers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
