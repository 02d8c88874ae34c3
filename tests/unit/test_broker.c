// SPDX-License-Identifier: Apache-2.0
// The broker's parts: canonical JSON, JOSE, rules of the launch config, sessions, limits, the
// store.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ec.h>

#include "verifier/broker/clock.h"
#include "verifier/broker/gate.h"
#include "verifier/broker/jose.h"
#include "verifier/broker/judge.h"
#include "verifier/broker/launch.h"
#include "verifier/broker/limit.h"
#include "verifier/broker/policy.h"
#include "verifier/broker/session.h"
#include "verifier/broker/store.h"

#include "lib/hex.h"
#include "lib/sha2.h"

static void jcs_is(const char *in, const char *want)
{
    cJSON *value = cJSON_Parse(in);
    char *text = sb_jcs(value);

    if (want)
        assert_string_equal(text, want);
    else
        assert_null(text);
    free(text);
    cJSON_Delete(value);
}

static void canonical_json(void **state)
{
    jcs_is("{ \"b\" : 1, \"a\":[true,false,null, \"x\"] }",
           "{\"a\":[true,false,null,\"x\"],\"b\":1}");
    jcs_is("{}", "{}");
    jcs_is("{\"Z\":0,\"a\":-5,\"_\":9007199254740991}",
           "{\"Z\":0,\"_\":9007199254740991,\"a\":-5}");
    jcs_is("\"\\u0007\\b\\n\\\"\\\\\\/\\u00e9\"", "\"\\u0007\\b\\n\\\"\\\\/\xc3\xa9\"");
    jcs_is("{\"a\":1,\"a\":2}", NULL);
    jcs_is("{\"a\":1.5}", NULL);
    jcs_is("{\"a\":1e300}", NULL);
    jcs_is("{\"\\u00e9\":1}", NULL);
    char deep[200] = "";
    memset(deep, '[', 40);
    memset(deep + 40, ']', 40);
    jcs_is(deep, NULL);
    assert_null(sb_jcs(NULL));
}

// What a client computes, by hand: SHA-384 of the text.
static void binding(void **state)
{
    cJSON *jwk = cJSON_Parse("{\"kty\":\"EC\",\"x\":\"1\",\"crv\":\"P-256\"}");
    static const char v4[] = "{\"additional-evidence\":\"{}\",\"nonce\":\"N\",\"tee-pubkey\":"
                             "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"1\"}}";
    static const char v1[] = "{\"nonce\":\"N\",\"tee-pubkey\":{\"crv\":\"P-256\",\"kty\":\"EC\","
                             "\"x\":\"1\"}}";
    uint8_t got[64], want[48];

    assert_true(sb_binding(SB_SHA384, "N", jwk, "{}", got));
    EVP_Digest(v4, strlen(v4), want, NULL, EVP_sha384(), NULL);
    assert_memory_equal(got, want, 48);
    assert_true(sb_binding(SB_SHA384, "N", jwk, NULL, got));
    EVP_Digest(v1, strlen(v1), want, NULL, EVP_sha384(), NULL);
    assert_memory_equal(got, want, 48);
    cJSON_Delete(jwk);
}

static void tokens(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
    char *token = sb_jws_sign(key, "{\"a\":1}");
    cJSON *payload = sb_jws_verify(key, token);

    assert_int_equal(cJSON_GetObjectItem(payload, "a")->valueint, 1);
    cJSON_Delete(payload);
    assert_null(sb_jws_verify(other, token));
    for (size_t i = 0; token[i]; i++) { // each letter counts
        char kept = token[i];

        // The last one carries four unused bits, which some decoders ignore.
        token[i] = kept == 'A' ? 'g' : 'A';
        if (token[i + 1])
            assert_null(sb_jws_verify(key, token));
        token[i] = kept;
    }
    for (size_t n = 0; n < strlen(token); n++) {
        char *torn = strndup(token, n);

        assert_null(sb_jws_verify(key, torn));
        free(torn);
    }
    free(token);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

// An image: /bin/x in /srv as user 5 with A=1 in its environment; folders of the host at /x, debug
// allowed.
#define RECORD(tag, size) tag, 0, 0, 0, size, 0, 0, 0
static const uint8_t image[] = {'S',
                                'H',
                                'L',
                                'T',
                                'R',
                                'M',
                                'A',
                                'N',
                                1,
                                0,
                                0,
                                0,
                                148,
                                0,
                                0,
                                0,
                                RECORD(1, 32),
                                [56] = RECORD(2, 8),
                                0,
                                16,
                                0,
                                0,
                                0,
                                0,
                                0,
                                0,
                                RECORD(17, 6),
                                '/',
                                'b',
                                'i',
                                'n',
                                '/',
                                'x',
                                RECORD(18, 3),
                                'A',
                                '=',
                                '1',
                                RECORD(19, 4),
                                '/',
                                's',
                                'r',
                                'v',
                                RECORD(20, 1),
                                '5',
                                RECORD(31, 8),
                                0x20,
                                0,
                                0,
                                0,
                                0,
                                0,
                                0,
                                0,
                                RECORD(34, 6),
                                0,
                                0,
                                0,
                                0,
                                '/',
                                'x'};

static int judge_launch(const uint8_t *manifest, const char *rules_text, const char *body)
{
    char text[512], why[200] = "";
    struct sh_manifest m;
    cJSON *rules = cJSON_Parse(rules_text);
    int r;

    snprintf(text, sizeof(text), "%s%s%s", SH_LAUNCH_HEAD, body, SH_LAUNCH_TAIL);
    assert_int_equal(sb_launch_rules_check(rules, why, sizeof(why)), 0);
    if (manifest)
        assert_int_equal(sh_manifest_parse(&m, manifest, sizeof(image)), 0);
    r = sb_launch_judge(rules, manifest ? &m : NULL, text, strlen(text), why, sizeof(why));
    assert_true(!r == !why[0]);
    cJSON_Delete(rules);
    return r;
}

static void launch_is(const char *rules_text, const char *body, int want)
{
    assert_int_equal(judge_launch(image, rules_text, body), want);
}

// A reference without its image's manifest, as of others' guests.
static void launch_without_manifest(void **state)
{
    assert_int_equal(judge_launch(NULL, "{}", ""), -ENOENT);
    assert_int_equal(judge_launch(NULL, "{\"insecure_any\":true}", "arg x\nenv A=2\nstdin 1\n"), 0);
    assert_int_equal(judge_launch(NULL, "{\"insecure_any\":true}", "debug 1\n"), -EPERM);
    assert_int_equal(judge_launch(NULL, "{\"insecure_any\":true}", "mount share0 ro /x\n"), -EPERM);
}

// The manifest in a reference is believed only if it is that of its image.
static void launch_manifest(void **state)
{
    char id[97], hex[2 * sizeof(image) + 1], text[1024];
    uint8_t digest[48], *bytes;
    struct sh_manifest m;

    sh_sha384(digest, image, sizeof(image));
    sh_hex(id, digest, sizeof(digest));
    sh_hex(hex, image, sizeof(image));
    snprintf(text, sizeof(text), "{\"manifest\": \"%s\", \"image\": \"%s\"}", hex, id);
    assert_int_equal(sb_launch_manifest(text, &m, &bytes), 0);
    assert_int_equal(m.policy, SH_POLICY_DEBUG);
    free(bytes);
    assert_int_equal(sb_launch_manifest("{}", &m, &bytes), -ENOENT);
    assert_int_equal(sb_launch_manifest("no JSON", &m, &bytes), -ENOENT);
    assert_int_equal(sb_launch_manifest("{\"manifest\": \"0g\"}", &m, &bytes), -EBADMSG);
    assert_int_equal(sb_launch_manifest("{\"manifest\": \"123\"}", &m, &bytes), -EBADMSG);
    id[0] = id[0] == '0' ? '1' : '0';
    snprintf(text, sizeof(text), "{\"manifest\": \"%s\", \"image\": \"%s\"}", hex, id);
    assert_int_equal(sb_launch_manifest(text, &m, &bytes), -EBADMSG);
    snprintf(text, sizeof(text), "{\"manifest\": \"%s\"}", hex);
    assert_int_equal(sb_launch_manifest(text, &m, &bytes), -EBADMSG);
}

static void launch_rules(void **state)
{
    static const char *const chosen[] = {
        "arg x\n",      "env B=1\n", "workdir /x\n",        "user 0\n",
        "hostname x\n", "stdin 1\n", "mount share0 rw /x\n"};
    char why[200];

    launch_is("{}", "", 0);
    launch_is("{}", "tty 1\nnetwork dhcp\nport tcp 80\nbroker http://x\nmemory 1\ncpus 2\n", 0);
    for (size_t i = 0; i < sizeof(chosen) / sizeof(chosen[0]); i++) {
        launch_is("{}", chosen[i], -EPERM);
        launch_is("{\"insecure_any\":true}", chosen[i], 0);
    }
    launch_is("{\"insecure_any\":true}", "debug 1\n", -EPERM);
    launch_is("{\"cpus\":[\"2\"]}", "cpus 4\n", -EPERM);
    launch_is("{\"cpus\":[\"2\"]}", "cpus 2\n", 0);
    launch_is("{\"port\":[\"tcp 80\"]}", "port tcp 80\n", 0);
    launch_is("{\"port\":[\"tcp 80\"]}", "port tcp all\n", -EPERM);
    launch_is("{\"port\":[\"tcp all\",\"udp 53\"]}", "port tcp all\nport udp 53\n", 0);
    launch_is("{\"arg\":[[\"a b\",\"c\"]]}", "arg a b\narg c\n", 0);
    launch_is("{\"arg\":[[\"a b\",\"c\"]]}", "arg a b\n", -EPERM);
    launch_is("{\"arg\":[[\"a b\",\"c\"]]}", "arg c\narg a b\n", -EPERM);
    launch_is("{\"arg\":[]}", "arg c\n", -EPERM);
    launch_is("{\"env\":[\"A=%\"]}", "env A=%25\n", 0);
    launch_is("{\"env\":[\"A=1\",\"B=1\"]}", "env B=1\nenv C=1\n", -EPERM);
    // What the image says anyway is nobody's choice.
    launch_is("{}", "arg /bin/x\nenv A=1\nworkdir /srv\nuser 5\nhostname shelter\n", 0);
    launch_is("{}", "env A=2\n", -EPERM);
    launch_is("{\"env\":[\"A=2\"]}", "env A=2\nenv HOSTNAME=x\n", -EPERM);
    launch_is("{\"hostname\":[\"x\"]}", "hostname x\n", 0);
    // What it refuses, no rule lets pass.
    launch_is("{\"mount\":true}", "mount share0 rw /y\n", -EPERM);
    launch_is("{\"mount\":[\"share0 ro /x\"]}", "mount share0 ro /x\n", 0);
    launch_is("{\"mount\":[\"share0 ro /x\"]}", "mount share0 rw /x\n", -EPERM);
    launch_is("{}", "port tcp 8006\n", -EPERM);
    launch_is("{}", "memory  1\nmemory 2\n", -EBADMSG);
    launch_is("{\"insecure_any\":true}", "colour red\n", -EBADMSG);
    static const char *const bad[] = {"[]",
                                      "{\"colour\":true}",
                                      "{\"debug\":true}",
                                      "{\"env\":false}",
                                      "{\"arg\":[\"x\"]}",
                                      "{\"env\":[1]}",
                                      "{\"insecure_any\":1}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cJSON *rules = cJSON_Parse(bad[i]);

        assert_int_equal(sb_launch_rules_check(rules, why, sizeof(why)), -EINVAL);
        cJSON_Delete(rules);
    }
}

static void policies(void **state)
{
    cJSON *payload =
        cJSON_Parse("{\"tee\":\"tdx\",\"image\":\"i\",\"reference\":\"r\",\"simulated\":false,"
                    "\"launch_checked\":true,\"tcb-status\":\"UpToDate\","
                    "\"volumes\":[{\"name\":\"d\",\"freshness\":\"session\"}],"
                    "\"claims\":{\"n\":5}}");
    static const struct {
        const char *wide, *own;
        int want;
    } cases[] = {// Nothing names an image: nobody
                 {NULL, NULL, -EPERM},
                 {NULL, "{}", -EPERM},
                 {"{}", "{}", -EPERM},
                 {"{\"tee\":[\"tdx\"]}", NULL, -EPERM},
                 {NULL, "{\"images\":[]}", -EPERM},
                 {NULL, "{\"images\":[\"i\"]}", 0},
                 {NULL, "{\"images\":\"any\"}", 0},
                 {NULL, "{\"images\":\"all\"}", -EPERM},
                 {"{\"images\":[\"i\"]}", NULL, 0},
                 {"{\"images\":[\"i\"]}", "{}", 0},
                 // A name of a reference is no identity
                 {NULL, "{\"images\":[\"r\"]}", -EPERM},
                 // Both hold, whichever is narrower
                 {"{\"images\":[\"j\"]}", "{\"images\":[\"i\"]}", -EPERM},
                 {"{\"images\":[\"i\"]}", "{\"images\":[\"j\"]}", -EPERM},
                 {"{\"allow\":false}", "{\"images\":[\"i\"]}", -EPERM},
                 {"{\"tee\":[\"snp\"]}", "{\"images\":[\"i\"]}", -EPERM},
                 {"{\"tee\":[\"tdx\"]}", "{\"images\":[\"i\"]}", 0},
                 {"{\"images\":[\"i\"]}", "{\"tcb_status\":[\"OutOfDate\"]}", -EPERM},
                 {"{\"images\":[\"i\"]", "{\"images\":[\"i\"]}", -EPERM},
                 {NULL, "{\"images\":[\"i\"],\"claims\":{\"n\":{\"min\":6}}}", -EPERM},
                 {NULL, "{\"images\":[\"i\"],\"claims\":{\"n\":{\"min\":5}}}", 0},
                 {NULL, "{\"images\":[\"i\"],\"claims\":{\"m\":1}}", -EPERM},
                 {NULL, "{\"images\":[\"i\"],\"freshness\":[\"strict\",\"session\"]}", 0},
                 {NULL, "{\"images\":[\"i\"],\"freshness\":[\"strict\"]}", -EPERM},
                 {NULL, "{\"images\":[\"i\"],\"freshness\":\"session\"}", -EPERM},
                 {"{\"freshness\":[\"strict\"]}", "{\"images\":[\"i\"]}", -EPERM},
                 {NULL, "{\"images\":[\"i\"]} x", -EPERM},
                 {NULL, "{\"images\":[\"i\"],\"claims\":{\"n\":{\"min\":6,\"min\":5}}}", -EPERM},
                 {NULL, "{\"tee\":\"tdx\"}", -EPERM},
                 {NULL, "", -EPERM},
                 {NULL, "[]", -EPERM},
                 {NULL, "{\"tee\":[1]}", -EPERM},
                 {NULL, "{\"images\":[\"i\"],\"allow\":true,\"allow\":false}", -EPERM},
                 {NULL, "{\"Images\":[\"i\"]}", -EPERM}};
    static const char one[] = "{\"images\":[\"i\"]}",
                      two[] = "{\"images\":[\"i\"],\"simulated\":false}",
                      any[] = "{\"images\":[\"i\"],\"launch\":\"any\"}";
    char why[240];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (sb_policy_judge(cases[i].wide, cases[i].own, payload, why, sizeof(why)) !=
            cases[i].want)
            fail_msg("case %zu", i);
    // What a token does not say is no yes.
    cJSON_DeleteItemFromObject(payload, "simulated");
    assert_int_equal(sb_policy_judge(NULL, two, payload, why, sizeof(why)), -EPERM);
    cJSON_DeleteItemFromObject(payload, "launch_checked");
    assert_int_equal(sb_policy_judge(NULL, one, payload, why, sizeof(why)), -EPERM);
    assert_int_equal(sb_policy_judge(NULL, any, payload, why, sizeof(why)), 0);
    assert_int_equal(sb_policy_judge("{\"launch\":\"any\"}", one, payload, why, sizeof(why)), 0);
    assert_int_equal(sb_policy_judge("{\"launch\":\"checked\"}", any, payload, why, sizeof(why)),
                     -EPERM);
    assert_int_equal(sb_policy_check(one, sizeof(one), why, sizeof(why)), -EINVAL); // with its NUL
    assert_int_equal(sb_policy_check(one, sizeof(one) - 1, why, sizeof(why)), 0);
    cJSON_Delete(payload);
}

static void challenges(void **state)
{
    static struct sb_challenges c, other;
    struct sb_challenge one, two, back;
    char changed[SB_SESSION_ID_SIZE];

    assert_int_equal(sb_challenges_init(&c, 1000, NULL), 0);
    assert_int_equal(sb_challenges_init(&other, 1000, NULL), 0);
    assert_int_equal(sb_challenge_new(&c, SB_0_2_0, SB_SHA384, SHELTER_EVIDENCE_SNP, 5000, &one),
                     0);
    assert_int_equal(sb_challenge_new(&c, SB_0_4_0, SB_SHA384, SHELTER_EVIDENCE_TDX, 5000, &two),
                     0);
    assert_string_not_equal(one.nonce, two.nonce);
    // Not of another process, not changed anywhere, not too late, not before it was issued.
    assert_int_equal(sb_challenge_use(&other, one.id, 5001, &back), -ENOENT);
    for (size_t i = 0; i < SB_SESSION_ID_SIZE - 1; i++) {
        memcpy(changed, one.id, sizeof(changed));
        changed[i] = changed[i] == '0' ? '1' : '0';
        assert_int_equal(sb_challenge_use(&c, changed, 5001, &back), -ENOENT);
    }
    assert_int_equal(sb_challenge_use(&c, "", 5001, &back), -ENOENT);
    assert_int_equal(sb_challenge_use(&c, one.id, 6000, &back), -ENOENT);
    assert_int_equal(sb_challenge_use(&c, one.id, 4999, &back), -ENOENT);
    assert_int_equal(sb_challenge_use(&c, one.id, 5999, &back), 0);
    assert_string_equal(back.nonce, one.nonce);
    assert_int_equal(back.protocol, SB_0_2_0);
    assert_int_equal(back.tee, SHELTER_EVIDENCE_SNP);
    assert_int_equal(sb_challenge_use(&c, one.id, 5999, &back), -EALREADY);
    assert_int_equal(sb_challenge_use(&c, two.id, 5999, &back), 0);
}

// A flood of used ones: no nonce is good twice, and what is new is good.
static void challenge_flood(void **state)
{
    static struct sb_challenges c;
    struct sb_challenge first, unused, n, back;

    sb_challenges_init(&c, 1 << 30, NULL);
    sb_challenge_new(&c, SB_0_4_0, SB_SHA384, SHELTER_EVIDENCE_TDX, 10, &first);
    sb_challenge_new(&c, SB_0_4_0, SB_SHA384, SHELTER_EVIDENCE_TDX, 10, &unused);
    for (int i = 0; i < SB_USED_COUNT + 100; i++) // asked for, not used: they take nobody's place
        sb_challenge_new(&c, SB_0_4_0, SB_SHA384, SHELTER_EVIDENCE_TDX, 11, &n);
    assert_int_equal(sb_challenge_use(&c, first.id, 11, &back), 0);
    for (int i = 0; i < SB_USED_COUNT + 100; i++) {
        sb_challenge_new(&c, SB_0_4_0, SB_SHA384, SHELTER_EVIDENCE_TDX, 20 + i, &n);
        if (sb_challenge_use(&c, n.id, 20 + i, &back))
            fail_msg("challenge %d", i);
    }
    assert_int_equal(sb_challenge_use(&c, n.id, 1 << 20, &back), -EALREADY);
    assert_int_equal(sb_challenge_use(&c, first.id, 1 << 20, &back), -ENOENT);
    assert_int_equal(sb_challenge_use(&c, unused.id, 1 << 20, &back), -ENOENT);
}

static char *session_id(int n, char out[SB_SESSION_ID_SIZE])
{
    snprintf(out, SB_SESSION_ID_SIZE, "%016x%04x%044x", 0, n, n);
    return out;
}

static void sessions(void **state)
{
    struct sb_sessions s;
    char id[SB_SESSION_ID_SIZE], *payload;

    sb_sessions_init(&s, 8, 1000, 5000);
    assert_null(sb_session_payload(&s, session_id(1, id), 0));
    assert_false(sb_session_of_peer(&s, 7));
    assert_int_equal(sb_session_put(&s, id, "{}", 7, 0), 0);
    assert_true(sb_session_of_peer(&s, 7));
    payload = sb_session_payload(&s, id, 4999);
    assert_string_equal(payload, "{}");
    free(payload);
    assert_null(sb_session_payload(&s, id, 5000));
    assert_false(sb_session_of_peer(&s, 7));
    // One who holds many pushes out its own.
    assert_int_equal(sb_session_put(&s, session_id(1, id), "{}", 7, 10000), 0);
    for (int i = 2; i < 40; i++)
        assert_int_equal(sb_session_put(&s, session_id(i, id), "{}", 9, 10000 + i), 0);
    assert_int_equal(s.count, 8);
    payload = sb_session_payload(&s, session_id(1, id), 10100);
    assert_non_null(payload);
    free(payload);
    assert_null(sb_session_payload(&s, session_id(2, id), 10100));
    // Bytes are bounded as places are.
    char large[990];

    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = 0;
    assert_int_equal(sb_session_put(&s, session_id(50, id), large, 9, 10200), 0);
    assert_true(s.size <= 1000);
    payload = sb_session_payload(&s, id, 10201);
    assert_string_equal(payload, large);
    free(payload);
    sb_sessions_free(&s);
}

// One of the hosts of a /64.
static const struct sockaddr *host_of(uint8_t net, uint8_t host)
{
    static struct sockaddr_in6 a;

    a = (struct sockaddr_in6){.sin6_family = AF_INET6,
                              .sin6_addr.s6_addr = {0x20, 1, 0xd, 0xb8, 0, 0, 0, net, [15] = host}};
    return (const struct sockaddr *)&a;
}

static struct sb_place *enter(struct sb_gate *g, uint8_t net, uint8_t host, int64_t now)
{
    int pair[2];

    if (!sb_gate_admit(g, host_of(net, host), now))
        return NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    close(pair[1]);
    return sb_gate_open(g, pair[0], host_of(net, host), now);
}

static bool is_shut(struct sb_gate *g, const struct sb_place *p)
{
    bool shut;

    pthread_mutex_lock(&g->lock);
    shut = p->shut;
    pthread_mutex_unlock(&g->lock);
    return shut;
}

// Eight connections, two of them for peers with a session, three of a /64: who gets in, and who has
// to go.
static void gate(void **state)
{
    static struct sb_sessions sessions;
    static struct sb_gate g;
    struct sb_place *of_one[3], *of_two[3], *known;
    char id[SB_SESSION_ID_SIZE] = "";
    int64_t now = sb_clock_ms() + 1000000; // no deadline ends here by itself

    sb_sessions_init(&sessions, 16, 65536, 60000);
    assert_int_equal(sb_gate_start(&g, 8, 2, 3, 100, 0, &sessions), 0);
    for (uint8_t i = 0; i < 3; i++) {
        of_one[i] = enter(&g, 1, i, now + i);
        assert_non_null(of_one[i]);
        sb_gate_finished(&g, of_one[i]);
    }
    assert_null(enter(&g, 1, 9, now)); // another host of the same /64
    for (uint8_t i = 0; i < 3; i++) {
        of_two[i] = enter(&g, 2, i, now + i);
        assert_non_null(of_two[i]);
    }
    // What is left is for those who attested; a stranger takes the place of the oldest that has
    // sent nothing whole, and of nobody else.
    assert_non_null(enter(&g, 3, 0, now));
    assert_true(is_shut(&g, of_two[0]));
    assert_false(is_shut(&g, of_two[1]) || is_shut(&g, of_one[0]));
    sb_gate_finished(&g, of_two[1]);
    sb_gate_finished(&g, of_two[2]);
    for (unsigned i = 0; i < g.max; i++)
        if (g.place[i].fd >= 0 && !is_shut(&g, &g.place[i]))
            sb_gate_finished(&g, &g.place[i]);
    assert_null(enter(&g, 4, 0, now));
    memset(id, 'a', sizeof(id) - 1);
    assert_int_equal(sb_session_put(&sessions, id, "{}", sb_peer(host_of(5, 0)), sb_clock_ms()), 0);
    known = enter(&g, 5, 1, now);
    assert_non_null(known);
    // Of the bytes of bodies strangers have three quarters.
    assert_true(sb_gate_take(&g, of_one[0], 75));
    assert_false(sb_gate_take(&g, of_one[1], 1));
    assert_true(sb_gate_take(&g, known, 25));
    assert_false(sb_gate_take(&g, known, 1));
    sb_gate_give(&g, 100);
    // A deadline that has passed.
    sb_gate_until(&g, of_one[0], sb_clock_ms());
    for (int i = 0; i < 1000 && !is_shut(&g, of_one[0]); i++)
        usleep(10000);
    assert_true(is_shut(&g, of_one[0]));
    assert_false(is_shut(&g, of_one[1]));
    for (unsigned i = 0; i < g.max; i++)
        if (g.place[i].fd >= 0)
            close(g.place[i].fd);
    sb_gate_stop(&g);
    sb_sessions_free(&sessions);
}

static void rate_limit(void **state)
{
    struct sb_limit *l = malloc(sizeof(*l));
    struct sockaddr_in6 a = {.sin6_family = AF_INET6}, b = {.sin6_family = AF_INET6};
    int taken = 0;

    sb_limit_init(l, 5);
    for (int i = 0; i < 100; i++)
        taken += sb_limit_take(l, 42, 1000);
    assert_int_equal(taken, 10);
    assert_true(sb_limit_take(l, 43, 1000));
    assert_true(sb_limit_take(l, 42, 1200));
    assert_false(sb_limit_take(l, 42, 1200));
    assert_false(sb_limit_take(l, 42, 0)); // a clock that goes back gives nothing
    for (uint64_t peer = 100; peer < 100000; peer++)
        assert_true(sb_limit_take(l, peer, 2000));
    inet_pton(AF_INET6, "2001:db8:1:2::1", &a.sin6_addr);
    inet_pton(AF_INET6, "2001:db8:1:2:ffff::", &b.sin6_addr);
    assert_int_equal(sb_peer((struct sockaddr *)&a), sb_peer((struct sockaddr *)&b));
    inet_pton(AF_INET6, "2001:db8:1:3::1", &b.sin6_addr);
    assert_int_not_equal(sb_peer((struct sockaddr *)&a), sb_peer((struct sockaddr *)&b));
    free(l);
}

static char folder[] = "/tmp/shelter-broker.XXXXXX";
static int make_folder(void **state)
{
    return mkdtemp(folder) ? 0 : -1;
}
static int remove_folder(void **state)
{
    char command[64];

    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

static void *write_log(void *arg)
{
    struct sb_entry e = {.time_ms = 1, .event = "attest", .outcome = "granted"};

    for (int i = 0; i < 25; i++)
        assert_int_equal(sb_log_add(arg, &e), 0);
    return NULL;
}

static void count_entry(const struct sb_entry *e, void *arg)
{
    int64_t *count = arg;

    assert_int_equal(e->id, ++*count);
    assert_string_equal(e->outcome, "granted");
    assert_string_equal(e->resource, "");
}

struct counts {
    int64_t entries, times;
};

static void count_refusals(const struct sb_entry *e, void *arg)
{
    struct counts *c = arg;

    assert_string_equal(e->outcome, "refused");
    c->entries++;
    c->times += e->count;
}

// Equal ones are one entry; the rings are bounded, and apart.
static void refusals(struct sb_store *st)
{
    struct sb_entry e = {.time_ms = 5, .event = "attest", .code = "debug", .peer = "p"};
    struct sb_cursor at = {INT64_MAX, 0};
    struct counts c = {0, 0};
    char peer[16], why[300];

    for (int i = 0; i < 1000; i++)
        sb_log_refusal(st, &e, false);
    assert_int_equal(sb_log_flush(st), 0);
    assert_int_equal(sb_log_read(st, &at, count_refusals, &c, why, sizeof(why)), 0);
    assert_int_equal(c.entries, 1);
    assert_int_equal(c.times, 1000);
    sb_log_refusal(st, &e, true);
    e.peer = peer;
    for (int i = 0; i < 2 * SB_REFUSALS_MAX; i++) {
        snprintf(peer, sizeof(peer), "%d", i);
        sb_log_refusal(st, &e, false);
        if (i % 50 == 0)
            assert_int_equal(sb_log_flush(st), 0);
    }
    assert_int_equal(sb_log_flush(st), 0);
    at = (struct sb_cursor){INT64_MAX, 0};
    c = (struct counts){0, 0};
    assert_int_equal(sb_log_read(st, &at, count_refusals, &c, why, sizeof(why)), 0);
    assert_int_equal(c.entries, SB_REFUSALS_MAX + 1); // of strangers, and the other's
    for (int i = 0; i < 5000; i++) {                  // within one second
        snprintf(peer, sizeof(peer), "%d", i);
        sb_log_refusal(st, &e, false);
    }
    sb_log_flush(st);
    c = (struct counts){0, 0};
    assert_int_equal(sb_log_read(st, &at, count_refusals, &c, why, sizeof(why)), 0);
    assert_in_range(c.entries, 2, 64);
    assert_int_equal(c.times, 5000);
}

// A sealed store that nobody unlocked: resources are neither read nor written.
static void locked(void)
{
    struct sb_store *st, *again;
    char dir[64], why[300] = "";
    uint8_t *data = NULL;
    size_t size;

    snprintf(dir, sizeof(dir), "%s/sealed", folder);
    assert_int_equal(sb_store_open(dir, true, &st, why, sizeof(why)), 0);
    assert_int_equal(sb_store_seal(st, "one", 3), 0);
    assert_int_equal(sb_resource_put(st, "a/b/c", "x", 1, true), 0);
    assert_int_equal(sb_store_open(dir, false, &again, why, sizeof(why)), 0);
    assert_int_equal(sb_resource_put(again, "a/b/c", "y", 1, true), -ENOKEY);
    assert_int_equal(sb_resource_get(again, "a/b/c", &data, &size), -ENOKEY);
    assert_int_equal(sb_resource_take(again, "a/b/c", &data, &size), -ENOKEY);
    assert_null(data);
    assert_int_equal(sb_store_unlock(again, "two", 3), -EACCES);
    assert_int_equal(sb_resource_get(again, "a/b/c", &data, &size), -ENOKEY);
    assert_int_equal(sb_store_unlock(again, "one", 3), 0);
    assert_int_equal(sb_resource_get(again, "a/b/c", &data, &size), 0);
    assert_int_equal(size, 1);
    assert_int_equal(*data, 'x');
    free(data);
    sb_store_close(st);
    sb_store_close(again);
}

static void store(void **state)
{
    struct sb_store *st, *again;
    struct sb_references refs;
    char digest[97], dir[64], why[300] = "", *text;
    uint8_t *data, big[5000];
    size_t size;
    int64_t count = 0;
    uint8_t hash[SB_CHAIN_SIZE] = {0}, other[SB_CHAIN_SIZE];
    struct sb_cursor at = {0, 0};
    pthread_t thread[4];

    snprintf(dir, sizeof(dir), "%s/b", folder);
    assert_int_equal(sb_store_open(dir, false, &st, why, sizeof(why)), -ENOENT);
    assert_int_equal(sb_store_open(dir, true, &st, why, sizeof(why)), 0);
    assert_int_equal(sb_store_open(dir, false, &again, why, sizeof(why)), 0);
    assert_int_equal(EVP_PKEY_eq(sb_store_key(st), sb_store_key(again)), 1);
    memset(big, 0xa5, sizeof(big));
    assert_int_equal(sb_resource_put(st, "a/b/c", big, sizeof(big), true), 0);
    assert_int_equal(sb_resource_get(again, "a/b/c", &data, &size), 0);
    assert_int_equal(size, sizeof(big));
    assert_memory_equal(data, big, size);
    free(data);
    assert_int_equal(sb_resource_put(again, "a/b/c", "", 0, false), -EEXIST);
    assert_int_equal(sb_resource_put(again, "a/b/c", "", 0, true), 0);
    assert_int_equal(sb_resource_get(st, "a/b/c", &data, &size), 0);
    assert_int_equal(size, 0);
    free(data);
    assert_int_equal(sb_resource_delete(st, "a/b/c"), 0);
    assert_int_equal(sb_resource_delete(st, "a/b/c"), -ENOENT);
    assert_int_equal(sb_resource_get(st, "a/b/c", &data, &size), -ENOENT);
    count = sb_store_version(st);
    assert_int_equal(sb_reference_put(again, "n'; --", "i", "{}", "{}", false), 0);
    assert_int_not_equal(sb_store_version(st), count);
    assert_int_equal(sb_reference_all(st, &refs), 0);
    assert_int_equal(refs.count, 1);
    assert_string_equal(refs.v[0].name, "n'; --");
    sb_reference_digest(&refs.v[0], digest);
    sb_references_free(&refs);
    assert_true(sb_reference_known(st, "n'; --", digest));
    assert_false(sb_reference_known(st, "n", digest));
    assert_int_equal(sb_reference_put(again, "n'; --", "i", "{}", "{\"env\":true}", true), 0);
    assert_false(sb_reference_known(st, "n'; --", digest));
    assert_false(sb_reference_known(st, "n'; --", ""));
    assert_int_equal(sb_reference_put(again, "n'; --", "j", "{}", "{}", false), -EEXIST);
    assert_int_equal(sb_policy_put(st, "*", "{}"), 0);
    assert_int_equal(sb_policy_get(st, "*", &text), 0);
    assert_string_equal(text, "{}");
    free(text);
    for (int i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, write_log, i % 2 ? st : again);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    count = 0;
    assert_int_equal(sb_log_read(st, &at, count_entry, &count, why, sizeof(why)), 0);
    assert_int_equal(count, 100);
    assert_int_equal(at.chain, 100);
    sb_log_tail(st, 3, &at);
    assert_int_equal(at.chain, 97);
    sb_log_tail(st, 1000, &at);
    assert_int_equal(at.chain, 0);
    assert_int_equal(sb_log_check(st, 0, hash, &count, hash, why, sizeof(why)), 0);
    assert_int_equal(count, 100);
    assert_int_equal(sb_log_check(again, 100, hash, &count, other, why, sizeof(why)), 0);
    refusals(st);
    sb_store_close(st);
    sb_store_close(again);
    locked();
}

static void paths(void **state)
{
    static const char *const good[] = {"a/b/c", "A-1/b.c/d_e", "default/key/1"};
    static const char *const bad[] = {"",       "/",       "a/b",    "a/b/c/d",     "a//c",
                                      "/b/c",   "a/b/",    "../b/c", "a/./c",       ".a/b/c",
                                      "a/b/-c", "a b/c/d", "a/b/c%", "a/b/\xc3\xa9"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(sb_path_ok(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(sb_path_ok(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_json),
        cmocka_unit_test(binding),
        cmocka_unit_test(tokens),
        cmocka_unit_test(launch_rules),
        cmocka_unit_test(launch_without_manifest),
        cmocka_unit_test(launch_manifest),
        cmocka_unit_test(policies),
        cmocka_unit_test(challenges),
        cmocka_unit_test(challenge_flood),
        cmocka_unit_test(sessions),
        cmocka_unit_test(gate),
        cmocka_unit_test(rate_limit),
        cmocka_unit_test(paths),
        cmocka_unit_test_setup_teardown(store, make_folder, remove_folder)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
