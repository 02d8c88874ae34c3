// SPDX-License-Identifier: Apache-2.0
// The agent: requests and responses whole, torn and hostile; JSON, base64, addresses; keys and JWEs
// by published vectors; drivers against made-up devices; a slow and a mute client beside a quick
// one.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/sev-guest.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <openssl/pem.h>

#include "lib/base64.h"
#include "lib/hex.h"
#include "tests/evidence_json.h"
#include "trusted/agent/json.h"
#include "trusted/agent/key.h"
#include "trusted/agent/linux.h"
#include "trusted/agent/query.h"
#include "trusted/agent/exchange.h"
#include "trusted/agent/response.h"
#include "trusted/agent/sm3.h"
#include "trusted/agent/state.h"

#include "verifier/quote/evidence.h"

#include <shelter/agent.h>
#include <shelter/control.h>
#include <shelter/simtd.h>

static char *held;

static const struct sh_settings no_settings = {.broker = "", .agent = ""};
static const struct sh_view nothing;

static int parse(struct agent_request *r, const char *text, size_t size)
{
    free(held);
    held = malloc(size ? size : 1);
    memcpy(held, text, size);
    return agent_request_parse(r, held, size);
}

#define PARSE(r, text) parse(r, text, sizeof(text) - 1)

static void test_request(void **state)
{
    struct agent_request r;
    static const char good[] = "GET /aa/evidence?x=1&runtime_data=a%00b+c&y HTTP/1.1\r\nHost: "
                               "localhost\r\nAccept: */*\r\n\r\n";
    uint8_t value[8];
    for (size_t n = 0; n < sizeof(good) - 1; n++)
        assert_int_equal(parse(&r, good, n), 0); /* not whole yet */
    assert_int_equal(PARSE(&r, good), (int)sizeof(good) - 1);
    assert_string_equal(r.method, "GET");
    assert_string_equal(r.path, "/aa/evidence");
    assert_int_equal(agent_query_get(r.query, "runtime_data", value, 8), 5);
    assert_memory_equal(value, "a\0b c", 5);
    assert_int_equal(agent_query_get(r.query, "runtime_data", value, 5), 5);
    assert_int_equal(agent_query_get(r.query, "runtime_data", value, 4), -E2BIG);
    assert_int_equal(agent_query_get(r.query, "y", value, 4), -ENOENT);
    assert_int_equal(agent_query_get(r.query, "runtime", value, 4), -ENOENT);
    assert_int_equal(PARSE(&r, "GET / HTTP/1.0\n\n"), 16);
    assert_int_equal(agent_query_get(r.query, "x", value, 4), -ENOENT);
    assert_true(PARSE(&r, "GET /a?b HTTP/1.1\r\nContent-Length: 0\r\n\r\n") > 0);
    static const char *const bad[] = {
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "GET / HTTP/1.2\r\n\r\n",
        "GET / HTTP/1.1 \r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "GET x HTTP/1.1\r\n\r\n",
        "GET http://x/ HTTP/1.1\r\n\r\n",
        " GET / HTTP/1.1\r\n\r\n",
        "TOOLONGMETHOD / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5x\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(parse(&r, bad[i], strlen(bad[i])), -EBADMSG);
    assert_int_equal(PARSE(&r, "GET /\0 HTTP/1.1\r\n\r\n"), -EBADMSG);
    assert_true(PARSE(&r, "POST / HTTP/1.1\r\nContent-Length:  5 \r\n\r\n") > 0);
    assert_int_equal(r.body_size, 5);
    assert_int_equal(PARSE(&r, "POST / HTTP/1.1\r\nContent-Length: 8192\r\n\r\n"), -E2BIG);
    assert_int_equal(PARSE(&r, "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"),
                     -E2BIG);
    char big[9000];
    memset(big, 'a', sizeof(big));
    assert_int_equal(parse(&r, big, AGENT_REQUEST_MAX - 1), 0);
    assert_int_equal(parse(&r, big, AGENT_REQUEST_MAX), -E2BIG);
    assert_int_equal(parse(&r, big, sizeof(big)), -E2BIG);
    memcpy(big, "GET /", 5);
    memcpy(big + 1000, " HTTP/1.1\r\n\r\n", 13);
    assert_int_equal(parse(&r, big, 1013), -EBADMSG); /* a path longer than any of ours */
    static const struct {
        const char *headers;
        unsigned who;
    } senders[] = {
        {"", 0},
        {"Host: localhost\r\n", AGENT_FROM_HERE},
        {"HOST:127.0.0.1:8006 \r\n", AGENT_FROM_HERE},
        {"Host: [::1]:1\r\n", AGENT_FROM_HERE},
        {"Host: [::1\r\n", 0},
        {"Host: localhost:\r\n", 0},
        {"Host: localhost:80x\r\n", 0},
        {"Host: :8006\r\n", 0},
        {"Host: 8006\r\n", 0},
        {"Host:\r\n", 0},
        {"Host: 127.0.0.10\r\n", 0},
        {"Host: localhost\r\nHost: localhost\r\n", 0},
        {"Host: localhost\r\nX-Forwarded-Proto: https\r\n", 0},
        {"Host: localhost\r\nSec-Fetch-Mode: cors\r\nViable: 1\r\n", AGENT_FROM_HERE},
        {"Host: localhost\r\nshelter-request: 1\r\n", AGENT_FROM_HERE | AGENT_HEADER},
        {"Shelter-Request: 1\r\n", AGENT_HEADER},
        {"Shelter-Request: 1\r\nShelter-Request: 1\r\n", 0},
        {"Shelter-Request: 11\r\n", 0},
    };
    for (size_t i = 0; i < sizeof(senders) / sizeof(senders[0]); i++) {
        int n = snprintf(big, sizeof(big), "GET / HTTP/1.1\r\n%s\r\n", senders[i].headers);
        assert_true(parse(&r, big, (size_t)n) > 0);
        assert_int_equal(r.who, senders[i].who);
    }
    static const char *const escapes[] = {"%", "%4", "%zz", "%4g", "a%"};
    for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {
        int n = snprintf(big, sizeof(big), "GET /?q=%s HTTP/1.1\r\n\r\n", escapes[i]);
        assert_true(parse(&r, big, (size_t)n) > 0);
        assert_int_equal(agent_query_get(r.query, "q", value, 8), -EINVAL);
    }
}

static void answer_is(const char *method, const char *target, const char *tee, int status,
                      const char *text)
{
    struct agent_reply reply;
    struct agent *a = agent_new(&no_settings, nothing);
    char path[128];
    snprintf(path, sizeof(path), "%s", target);
    char *query = strchr(path, '?');
    if (query)
        *query++ = 0;
    agent_sources = (struct agent_sources){tee, -1, -1, -1, -1};
    agent_answer(a, method, path, (struct sh_view){(uint8_t *)query, query ? strlen(query) : 0},
                 nothing, AGENT_FROM_HERE | AGENT_HEADER, &reply);
    assert_int_equal(reply.status, status);
    assert_non_null(strstr((char *)reply.body, text));
    agent_reply_free(&reply);
    agent_free(a);
}

static void test_answers(void **state)
{
    answer_is("GET", "/aa/evidence?runtime_data=x", "new-tee", 501, "no driver for it");
    answer_is("GET", "/aa/evidence?runtime_data=x", "tdx-sim", 501, "device is not there");
    answer_is("GET", "/aa/evidence?runtime_data=", "tdx", 501, "device is not there");
    answer_is("GET", "/aa/evidence", "tdx-sim", 400, "missing");
    answer_is("GET", "/aa/evidence?runtime_data=%", "tdx-sim", 400, "escaped");
    answer_is("GET",
              "/aa/evidence?runtime_data="
              "0123456789012345678901234567890123456789012345678901234567890123x",
              "tdx-sim", 400, "64 bytes");
    answer_is("POST", "/aa/evidence", "tdx-sim", 405, "GET");
    answer_is("GET", "/", "tdx-sim", 404, "no such");
    answer_is("GET", "/aa/evidence/", "tdx-sim", 404, "no such");
    answer_is("GET", "//aa/evidence", "tdx-sim", 404, "no such");
    answer_is("POST", "/aa/aael", "tdx", 400, "not a JSON");
    answer_is("GET", "/aa/aael", "tdx", 405, "POST");
    answer_is("GET", "/aa/token?token_type=kbs", "tdx", 501, "no key broker");
    answer_is("GET", "/aa/token?token_type=coco_as", "tdx", 400, "not kbs");
    answer_is("GET", "/aa/token", "tdx", 400, "missing");
    answer_is("GET", "/cdh/resource/a/b/c", "tdx", 501, "no key broker");
    answer_is("DELETE", "/cdh/resource/a/b/c", "tdx", 405, "GET");
    answer_is("GET", "/cdh/resource/", "tdx", 404, "no such");
    answer_is("POST", "/cdh/hsm/sign/a/b/c", "tdx", 501, "no key broker");
    answer_is("POST", "/cdh/hsm/derive/a/b/c", "tdx", 404, "signs or unwraps");
    answer_is("GET", "/cdh/hsm/sign/a/b/c", "tdx", 405, "POST");
    answer_is("POST", "/cdh/hsm/", "tdx", 404, "no such");
    answer_is("GET", "/aa/ra-tls?nonce=%4", "tdx", 400, "escaped");
    answer_is("GET", "/aa/ra-tls", "csv", 501, "CSV");
    answer_is(
        "GET", "/info", "tdx", 200,
        "{\"version\":\"shelter\",\"tee\":\"tdx\",\"additional_tees\":[],\"feature\":\"all\"}");
    answer_is("GET", "/aa/additional-evidence?runtime_data=x", "tdx", 200, "{}");
    answer_is("GET", "/aa/additional-evidence", "tdx", 400, "missing");
    // What is not looked at would make the answer that to another question.
    static const char *const unknown[] = {"/aa/evidence?runtime_data=x&y=1",
                                          "/aa/evidence?runtime_data=x&runtime_data=y",
                                          "/aa/evidence?runtime_data=x&&encoding=base64",
                                          "/aa/evidence?runtime_data",
                                          "/aa/evidence?Runtime_data=x",
                                          "/aa/token?token_type=kbs&x=",
                                          "/aa/ra-tls?nonce=1&runtime_data=x",
                                          "/info?x=1"};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        answer_is("GET", unknown[i], "tdx", 400, "parameter");
    // base64 of either alphabet, padded or not; 501: it was read, and there is no device
    static const char *const good[] = {"YQ", "YQ==", "YQ%3D%3D", "-_8", "%2B/8=", ""};
    static const char *const bad[] = {"Y", "YQ=a", "Y*", "+/8="};
    char target[256];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(target, sizeof(target), "/aa/evidence?encoding=base64&runtime_data=%s", good[i]);
        answer_is("GET", target, "tdx", 501, "device");
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(target, sizeof(target), "/aa/evidence?runtime_data=%s&encoding=base64", bad[i]);
        answer_is("GET", target, "tdx", 400, "base64");
    }
    answer_is("GET", "/aa/evidence?runtime_data=YQ&encoding=hex", "tdx", 400, "base64");
    snprintf(
        target, sizeof(target), "/aa/evidence?encoding=base64&runtime_data=%s",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    answer_is("GET", target, "tdx", 400, "64 bytes"); // 66 bytes
}

// What CoCo's and others' libraries read: PKCS #8, of both kinds of key.
static void test_key_pem(void **state)
{
    for (int rsa = 0; rsa < 2; rsa++) {
        struct agent_key *k = agent_key_new(rsa);
        struct agent_text t = {0};
        assert_non_null(k);
        assert_int_equal(agent_key_pem(k, &t), 0);
        assert_memory_equal(t.data, "-----BEGIN PRIVATE KEY-----", 27);
        BIO *bio = BIO_new_mem_buf(t.data, (int)t.size);
        PKCS8_PRIV_KEY_INFO *info = PEM_read_bio_PKCS8_PRIV_KEY_INFO(bio, NULL, NULL, NULL);
        assert_non_null(info);
        EVP_PKEY *key = EVP_PKCS82PKEY(info);
        assert_non_null(key);
        assert_int_equal(EVP_PKEY_get_bits(key), rsa ? 2048 : 256);
        EVP_PKEY_CTX *check = EVP_PKEY_CTX_new(key, NULL);
        assert_int_equal(EVP_PKEY_check(check), 1);
        EVP_PKEY_CTX_free(check);
        EVP_PKEY_free(key);
        PKCS8_PRIV_KEY_INFO_free(info);
        BIO_free(bio);
        agent_text_free(&t);
        agent_key_free(k);
    }
}

static void test_base64(void **state)
{
    static const char *const pairs[][3] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg"},
        {"fooba", "Zm9vYmE=", "Zm9vYmE"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        {"\xfb\xff", "+/8=", "-_8"},
    };
    uint8_t out[16];
    for (size_t i = 0; i < 8; i++) { /* RFC 4648, section 10 */
        struct agent_text a = {0}, b = {0};
        size_t size = strlen(pairs[i][0]);
        agent_text_base64(&a, pairs[i][0], size);
        agent_text_base64url(&b, pairs[i][0], size);
        assert_int_equal(a.size, strlen(pairs[i][1]));
        if (a.size) {
            assert_string_equal(a.data, pairs[i][1]);
            assert_string_equal(b.data, pairs[i][2]);
        }
        assert_int_equal(sh_unbase64url(out, sizeof(out), pairs[i][2], b.size), size);
        assert_memory_equal(out, pairs[i][0], size);
        if (size)
            assert_int_equal(sh_unbase64url(out, size - 1, pairs[i][2], b.size), -E2BIG);
        agent_text_free(&a);
        agent_text_free(&b);
    }
    static const char *const bad[] = {"Z", "Zg==", "Zh", "Zm9", "Z+8", "Zm 8", "ZZZZZ"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(sh_unbase64url(out, sizeof(out), bad[i], strlen(bad[i])), -EBADMSG);
}

static int json(struct agent_json *v, const char *text, size_t size)
{
    free(held);
    held = malloc(size ? size : 1); /* so that one byte too far is seen */
    memcpy(held, text, size);
    return agent_json_check(v, held, size);
}

static void test_json(void **state)
{
    static const char good[] =
        " {\"a\":\"x\\u00e9\\n\\ud83d\\ude00\" , \"b\":[1,-0.5e+3,true,null,{}],"
        "\"c\":{\"d\":\"\\/\"},\"z\":\"\"}\n";
    static const char *const bad[] = {
        "",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "[1,]",
        "01",
        "1.",
        "-",
        "\"\\x\"",
        "\"\n\"",
        "\"\\ud800\"",
        "\"\\udc00x\"",
        "{\"a\":1}x",
        "{'a':1}",
        "nul",
        "tru e",
        "\"\xff\"",
        "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"",
        "\"\\u12\"",
        "+1",
        ".5",
        "{\"a\":1,\"a\":2}",
        "{\"\\u0061\":1}",
        "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]",
        "1 2",
        "{\"a\":1 \"b\":2}",
        "\"",
        "\"\\",
    };
    struct agent_json v, inner;
    char out[32];
    for (size_t n = 1; n < sizeof(good) - 2; n++) /* torn anywhere, it is none */
        assert_int_equal(json(&v, good, n), -EBADMSG);
    assert_int_equal(json(&v, good, sizeof(good) - 1), 0);
    assert_int_equal(agent_json_member(v, "a", out, sizeof(out)), 8);
    assert_string_equal(out, "x\xc3\xa9\n\xf0\x9f\x98\x80");
    assert_int_equal(agent_json_member(v, "a", out, 8), -E2BIG);
    assert_int_equal(agent_json_member(v, "a", out, 9), 8);
    assert_int_equal(agent_json_member(v, "b", out, sizeof(out)), -EBADMSG);
    assert_int_equal(agent_json_member(v, "d", out, sizeof(out)), -ENOENT);
    assert_int_equal(agent_json_member(v, "z", out, 1), 0);
    assert_true(agent_json_get(v, "c", &inner));
    assert_int_equal(agent_json_member(inner, "d", out, sizeof(out)), 1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (json(&v, bad[i], strlen(bad[i])) != -EBADMSG)
            fail_msg("taken: %s", bad[i]);
    assert_int_equal(json(&v, "{\"a\":\"\\u0000\"}", 14), 0);
    assert_int_equal(agent_json_member(v, "a", out, sizeof(out)), -EBADMSG);
}

static void test_json_text(void **state)
{
    struct agent_text t = {0};
    agent_text_json(&t, "a\"\\\b\t\n\v\f\r\x1f/\x7f\xc3\xa9", 14);
    assert_string_equal(t.data, "\"a\\\"\\\\\\b\\t\\n\\u000b\\f\\r\\u001f/\x7f\xc3\xa9\"");
    agent_text_free(&t);
}

/* Feeds a response in pieces of every size. */
static int respond(struct agent_response *r, const char *text, size_t piece)
{
    int rc = 0;
    *r = (struct agent_response){0};
    for (size_t at = 0, size = strlen(text); !rc && at < size; at += piece)
        rc = agent_response_feed(r, text + at, size - at < piece ? size - at : piece);
    return rc;
}

static void test_response(void **state)
{
    static const char *const good[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=b\r\n"
        "Shelter-Resource-Version: 7\r\n"
        "set-cookie:kbs-session-id=x.y-z; Path=/\r\n\r\nhello",
        "HTTP/1.1 200\nTransfer-Encoding: Chunked\nSet-Cookie: kbs-session-id=x.y-z\n\n"
        "2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: x\r\n\r\n",
    };
    static const char *const bad[] = {
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nSet-Cookie: kbs-session-id=\r\n\r\n",
        "HTTP/1.1 200 OK\r\nSet-Cookie: kbs-session-id=a b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nShelter-Resource-Version: 1x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nShelter-Resource-Version: 1234567890123456789\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\001b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
        "hello\r\n\r\n",
    };
    struct agent_response r;
    for (size_t i = 0; i < 2; i++)
        for (size_t piece = 1; piece < 200; piece++) {
            assert_int_equal(respond(&r, good[i], piece), 0);
            assert_true(r.done && r.status == 200 && !r.close && r.body.size == 5);
            assert_memory_equal(r.body.data, "hello", 5);
            assert_string_equal(r.cookie, "kbs-session-id=x.y-z");
            assert_int_equal(r.version, i ? 0 : 7);
            agent_response_free(&r);
        }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        for (size_t piece = 1; piece < 100; piece += 11) {
            if (respond(&r, bad[i], piece) != -EBADMSG)
                fail_msg("taken: %s", bad[i]);
            agent_response_free(&r);
        }
    assert_int_equal(respond(&r, "HTTP/1.0 200 OK\r\n\r\nabc", 4), 0);
    assert_true(!r.done && !agent_response_end(&r) && r.done && r.close && r.body.size == 3);
    agent_response_free(&r);
    assert_int_equal(respond(&r, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", 4), 0);
    assert_int_equal(agent_response_end(&r), -EBADMSG);
    agent_response_free(&r);
    assert_int_equal(respond(&r, "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", 9), -E2BIG);
    agent_response_free(&r);
    char *endless = calloc(1, 40001);
    memset(endless, 'a', 40000);
    assert_int_equal(respond(&r, endless, 4096), -E2BIG);
    agent_response_free(&r);
    memcpy(endless, "HTTP/1.1 200 OK\r\n", 17);
    for (size_t i = 17; i + 4 < 40000; i += 4)
        memcpy(endless + i, "a:b\n", 4);
    assert_int_equal(respond(&r, endless, 4096), -E2BIG);
    agent_response_free(&r);
    free(endless);
}

static void test_url(void **state)
{
    struct agent_url u;
#define URL(text) agent_url_parse(&u, text, strlen(text))
    assert_int_equal(URL("https://kbs.example:8080/a/b/"), 0);
    assert_true(u.tls && u.port == 8080 && !strcmp(u.host, "kbs.example") &&
                !strcmp(u.path, "/a/b"));
    assert_int_equal(URL("http://10.0.2.2"), 0);
    assert_true(!u.tls && u.port == 80 && !u.path[0]);
    assert_int_equal(URL("https://[2001:db8::1]:1/"), 0);
    assert_true(u.tls && u.port == 1 && u.literal6 && !strcmp(u.host, "2001:db8::1"));
    static const char *const bad[] = {"",
                                      "https://",
                                      "ftp://x",
                                      "https://x:0",
                                      "https://x:",
                                      "https://x:65536",
                                      "https://a b",
                                      "https://x/a b",
                                      "https://[1",
                                      "https://u@x",
                                      "https://x?q",
                                      "https://x/a?q",
                                      "https://[::1]x",
                                      "https://x:80x",
                                      "https://x:123456",
                                      "https://x/\r\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (URL(bad[i]) != -EINVAL)
            fail_msg("taken: %s", bad[i]);
}

static void test_unwrap(void **state)
{
    uint8_t kek[32], in[40], out[32], want[32];
    /* RFC 3394, 4.6 */
    assert_int_equal(
        sh_unhex(kek, 32, "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"), 0);
    assert_int_equal(sh_unhex(in, 40,
                              "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326"
                              "CBC7F0E71A99F43BFB988B9B7A02DD21"),
                     0);
    assert_int_equal(
        sh_unhex(want, 32, "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F"), 0);
    assert_int_equal(agent_unwrap(kek, in, out), 0);
    assert_memory_equal(out, want, 32);
    for (unsigned bit = 0; bit < 320; bit += 7) {
        in[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(agent_unwrap(kek, in, out), -EBADMSG);
        in[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void test_sm3(void **state)
{
    uint8_t out[32], want[32], message[64];
    agent_sm3(out, (const uint8_t *)"abc", 3); /* GB/T 32905, A.1 and A.2 */
    sh_unhex(want, 32, "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0");
    assert_memory_equal(out, want, 32);
    for (int i = 0; i < 64; i++)
        message[i] = (uint8_t)("abcd"[i % 4]);
    agent_sm3(out, message, 64);
    sh_unhex(want, 32, "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732");
    assert_memory_equal(out, want, 32);
}

static int folder_file(int dir, const char *name, size_t size, const char *text)
{
    int fd = openat(dir, name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (text)
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    else
        assert_int_equal(ftruncate(fd, (off_t)size), 0);
    return close(fd);
}

static void folder_bytes(int dir, const char *name, const uint8_t *data, size_t size)
{
    int fd = openat(dir, name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, data, size), size);
    close(fd);
}

/* A folder that looks like a configfs-tsm entry: what was written, and a quote of this size. */
static void test_tsm(void **state)
{
    char folder[] = "/tmp/agent-test.XXXXXX", *out;
    struct agent_error e;
    uint8_t data[64], got[128];
    size_t size;
    assert_non_null(mkdtemp(folder));
    int dir = open(folder, O_RDONLY | O_DIRECTORY);
    memset(data, 0x5a, sizeof(data));
    folder_file(dir, "generation", 0, "7\n");
    agent_sources = (struct agent_sources){"tdx", dir, -1, -1, -1};
    static const size_t sizes[] = {0, 5006, AGENT_QUOTE_MAX, AGENT_QUOTE_MAX + 1,
                                   3 * AGENT_QUOTE_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        folder_file(dir, "inblob", 0, NULL);
        folder_file(dir, "outblob", sizes[i], NULL);
        bool good = sizes[i] && sizes[i] <= AGENT_QUOTE_MAX;
        int rc = agent_evidence_json(data, &out, &size, &e);
        assert_int_equal(!rc, good);
        if (good) {
            assert_int_equal(size, 10 + (sizes[i] + 2) / 3 * 4 + 2);
            assert_memory_equal(out, "{\"quote\":\"AAAA", 14);
            agent_os_free(out);
        }
        int fd = openat(dir, "inblob", O_RDONLY);
        assert_int_equal(read(fd, got, sizeof(got)), 64);
        assert_memory_equal(got, data, 64);
        close(fd);
    }
    folder_file(dir, "outblob", 100, NULL);
    folder_file(dir, "log", 0, "CCEL");
    agent_sources.log = openat(dir, "log", O_RDONLY);
    for (int i = 0; i < 2; i++) { /* again, from its start */
        assert_int_equal(agent_evidence_json(data, &out, &size, &e), 0);
        assert_memory_equal(out, "{\"cc_eventlog\":\"Q0NFTA==\",\"quote\":\"", 35);
        agent_os_free(out);
    }
    close(agent_sources.log);
    static const char *const names[] = {"inblob", "outblob", "generation", "log"};
    unlinkat(dir, names[2], 0);
    agent_sources.log = -1;
    assert_int_equal(agent_evidence_json(data, &out, &size, &e), -ENOENT);
    for (size_t i = 0; i < 4; i++)
        unlinkat(dir, names[i], 0);
    assert_int_equal(rmdir(folder), 0);
    close(dir);
}

/* The launcher's side of the simulated TD module, lying in one way. */
static int simulated(size_t size, uint32_t magic, uint32_t status, size_t sent)
{
    int pair[2];
    struct agent_error e;
    uint8_t data[64] = {1, 2, 3};
    char *out = NULL;
    size_t out_size;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct sh_simtd_request request;
        struct sh_simtd_quote_reply reply = {magic, status, (uint32_t)size};
        static uint8_t quote[SH_SIMTD_QUOTE_MAX * 2];
        close(pair[0]);
        if (recv(pair[1], &request, sizeof(request), MSG_WAITALL) != (ssize_t)sizeof(request) ||
            request.kind != SH_SIMTD_QUOTE || request.report_data[2] != 3)
            _exit(1);
        signal(SIGPIPE, SIG_IGN); /* who is refused does not read on */
        _exit(write(pair[1], &reply, sizeof(reply)) < 0 ||
              (write(pair[1], quote, sent) < 0 && false));
    }
    close(pair[1]);
    agent_sources = (struct agent_sources){"tdx-sim", -1, pair[0], -1, -1};
    int status_of_child, rc = agent_evidence_json(data, &out, &out_size, &e);
    if (!rc)
        agent_os_free(out);
    close(pair[0]);
    waitpid(pid, &status_of_child, 0);
    assert_int_equal(status_of_child, 0);
    return rc;
}

static void test_simulated(void **state)
{
    assert_int_equal(simulated(5000, SH_SIMTD_MAGIC, 0, 5000), 0);
    assert_int_equal(simulated(SH_SIMTD_QUOTE_MAX, SH_SIMTD_MAGIC, 0, SH_SIMTD_QUOTE_MAX), 0);
    assert_int_equal(simulated(SH_SIMTD_QUOTE_MAX + 1, SH_SIMTD_MAGIC, 0, 100), -EPROTO);
    assert_int_equal(simulated(0xffffffff, SH_SIMTD_MAGIC, 0, 100), -EPROTO);
    assert_int_equal(simulated(0, SH_SIMTD_MAGIC, 0, 0), -EPROTO);
    assert_int_equal(simulated(100, 1, 0, 100), -EPROTO);
    assert_int_equal(simulated(100, SH_SIMTD_MAGIC, ENODEV, 100), -EPROTO);
    assert_int_equal(simulated(100, SH_SIMTD_MAGIC, 0, 50), -EPIPE);
}

/* A report with something in every field that has a name, and zeros elsewhere. */
static void snp_report(uint8_t r[1184], uint8_t version, bool turin)
{
    static const struct {
        uint16_t at, size;
    } fields[] = {{0x04, 4},     {0x08, 6},   {0x10, 32}, {0x30, 4},  {0x40, 6},   {0x48, 4},
                  {0x50, 0x130}, {0x1a0, 64}, {0x1e8, 3}, {0x1ec, 3}, {0x2a0, 144}};
    static const uint16_t tcbs[] = {0x38, 0x180, 0x1e0, 0x1f0};
    memset(r, 0, 1184);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        for (size_t k = 0; k < fields[i].size; k++)
            r[fields[i].at + k] = (uint8_t)(fields[i].at * 7 + k * 13 + 1);
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < 8; k++)
            if (turin ? k < 4 || k == 7 : k < 2 || k > 5)
                r[tcbs[i] + k] = (uint8_t)(17 * i + k + 1);
    r[0] = version;
    r[0x34] = 1;
    if (turin)
        memset(r + 0x1a8, 0, 56);
    if (version >= 5)
        memset(r + 0x1f8, 0x11, 6), memset(r + 0x200, 0x12, 6);
    if (version < 3)
        return;
    r[0x188] = turin ? 0x1a : 0x19;
    r[0x189] = turin ? 0x02 : 0x11;
    r[0x18a] = 1;
}

static const uint8_t vcek_guid[16] = {0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64,
                                      0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd};

/* One certificate of 20 bytes, and three entries that lie. */
static void certificate_table(uint8_t table[256])
{
    static const uint32_t entries[4][2] = {
        {128, 20}, {250, 20}, {0xffffffff, 2}, {128, 0xffffffff}};
    memset(table, 0, 256);
    for (size_t i = 0; i < 4; i++) {
        memcpy(table + 24 * i, vcek_guid, 16);
        sh_put_le32(table + 24 * i + 16, entries[i][0]);
        sh_put_le32(table + 24 * i + 20, entries[i][1]);
    }
    memset(table + 128, 0xab, 20);
}

/* --- The published shape of evidence: types of the crates by which others read it --- */

/* "u8" to "u64": a whole number; "[N]": N bytes; objects: these members and no others. */
#define TCB "{\"bootloader\":\"u8\",\"tee\":\"u8\",\"snp\":\"u8\",\"microcode\":\"u8\"}"
#define TCB_TURIN                                                                                  \
    "{\"fmc\":\"u8\",\"bootloader\":\"u8\",\"tee\":\"u8\",\"snp\":\"u8\",\"microcode\":\"u8\"}"
#define FIRMWARE "{\"major\":\"u8\",\"minor\":\"u8\",\"build\":\"u8\"}"
/* AttestationReport of crate sev 6.2 to 6.3 (Apache-2.0, virtee/sev). */
#define SNP_SHAPE(tcb, cpuid, mit)                                                                 \
    "{\"attestation_report\":{\"version\":\"u32\",\"guest_svn\":\"u32\",\"policy\":\"u64\","       \
    "\"family_id\":\"[16]\",\"image_id\":\"[16]\",\"vmpl\":\"u32\",\"sig_algo\":\"u32\","          \
    "\"current_tcb\":" tcb ",\"plat_info\":\"u64\",\"key_info\":\"u32\",\"report_data\":\"[64]\"," \
    "\"measurement\":\"[48]\",\"host_data\":\"[32]\",\"id_key_digest\":\"[48]\","                  \
    "\"author_key_digest\":\"[48]\",\"report_id\":\"[32]\",\"report_id_ma\":\"[32]\","             \
    "\"reported_tcb\":" tcb "," cpuid "\"chip_id\":\"[64]\",\"committed_tcb\":" tcb ","            \
    "\"current\":" FIRMWARE ",\"committed\":" FIRMWARE ",\"launch_tcb\":" tcb "," mit              \
    "\"signature\":{\"r\":\"[72]\",\"s\":\"[72]\"}}"
#define SNP_CPUID "\"cpuid_fam_id\":\"u8\",\"cpuid_mod_id\":\"u8\",\"cpuid_step\":\"u8\","
#define SNP_MIT "\"launch_mit_vector\":\"u64\",\"current_mit_vector\":\"u64\","
#define SNP_CHAIN ",\"cert_chain\":[{\"cert_type\":\"text\",\"data\":\"[20]\"}]}"
/* AttestationReportWrapper and csv::Certificate of crate csv-rs 0.1 (Apache-2.0), and CoCo's frame.
 */
#define CSV_SIGNATURE                                                                              \
    "{\"usage\":\"u32\",\"algo\":\"u32\",\"signature\":{\"r\":\"[72]\",\"s\":\"[72]\"},"           \
    "\"_reserved\":\"[368]\"}"
#define CSV_SHAPE                                                                                  \
    "{\"attestation_report\":{\"magic\":\"[16]\",\"flags\":\"u32\",\"data\":\"[4096]\"},"          \
    "\"cert_chain\":{\"pek\":{\"body\":{\"ver\":\"u32\",\"data\":{\"firmware\":{\"major\":\"u8\"," \
    "\"minor\":\"u8\"},\"reserved1\":\"u16\",\"pubkey\":{\"usage\":\"u32\",\"algo\":\"u32\","      \
    "\"key\":{\"g\":\"u32\",\"x\":\"[72]\",\"y\":\"[72]\"}},\"uid_size\":\"u16\","                 \
    "\"user_id\":\"[254]\",\"sid\":\"[16]\",\"reserved2\":\"[608]\"}},"                            \
    "\"sigs\":[" CSV_SIGNATURE "," CSV_SIGNATURE "]}},\"serial_number\":\"[64]\"}"

static bool is_number(const cJSON *o, double limit)
{
    return cJSON_IsNumber(o) && o->valuedouble >= 0 && o->valuedouble < limit;
}

static bool is_shaped(const cJSON *o, const cJSON *shape)
{
    const cJSON *item;
    int i = 0;
    if (!o)
        return false;
    if (cJSON_IsString(shape)) {
        const char *word = shape->valuestring;
        if (!strcmp(word, "text"))
            return cJSON_IsString(o);
        if (word[0] == 'u')
            return is_number(o, 2.0 * (double)(1ull << (atoi(word + 1) - 1)));
        if (!cJSON_IsArray(o) || cJSON_GetArraySize(o) != atoi(word + 1))
            return false;
        cJSON_ArrayForEach(item, o) if (!is_number(item, 256)) return false;
        return true;
    }
    if (o->type != shape->type)
        return false;
    if (cJSON_IsArray(shape) && cJSON_GetArraySize(shape) == 1) { /* one or more of them */
        cJSON_ArrayForEach(item, o) if (!is_shaped(item, shape->child)) return false;
        return cJSON_GetArraySize(o) > 0;
    }
    if (cJSON_GetArraySize(o) != cJSON_GetArraySize(shape))
        return false;
    cJSON_ArrayForEach(item, shape)
    {
        const cJSON *have = cJSON_IsArray(o) ? cJSON_GetArrayItem(o, i++)
                                             : cJSON_GetObjectItemCaseSensitive(o, item->string);
        if (!is_shaped(have, item)) {
            print_message("# %s\n", item->string ? item->string : "item");
            return false;
        }
    }
    return true;
}

static void has_shape(const char *text, size_t size, const char *shape)
{
    cJSON *o = cJSON_ParseWithLength(text, size), *s = cJSON_Parse(shape);
    assert_non_null(s);
    assert_true(is_shaped(o, s));
    cJSON_Delete(o);
    cJSON_Delete(s);
}

/* What the agent writes, the verifier puts together again, byte by byte. */
static void reads_back(const uint8_t report[1184], const uint8_t data[64], const char *shape)
{
    struct agent_error e;
    struct sv_evidence ev = {0};
    struct shelter_verdict v = {0};
    char *out;
    size_t size;
    if (agent_evidence_json(data, &out, &size, &e))
        fail_msg("%s", e.text);
    has_shape(out, size, shape);
    assert_int_equal(sv_evidence_open(out, size, SHELTER_EVIDENCE_AUTO, &ev, &v), 0);
    assert_int_equal(ev.type, SHELTER_EVIDENCE_SNP);
    assert_int_equal(ev.size, 1184);
    assert_memory_equal(ev.data, report, 1184);
    char *chain = strstr(out, "\"cert_chain\":[{\"cert_type\":\"VCEK\",\"data\":[171,");
    assert_non_null(chain);
    assert_null(strstr(chain + 20, "cert_type\":\"VCEK\",\"data\":[171,171,171,171,171,171,171,171,"
                                   "171,171,171,171,171,171,171,171,171,171,171,171,171"));
    sv_evidence_free(&ev);
    agent_os_free(out);
}

static void test_snp(void **state)
{
    char folder[] = "/tmp/agent-test.XXXXXX";
    uint8_t report[1184], table[256], data[64] = {9};
    assert_non_null(mkdtemp(folder));
    int dir = open(folder, O_RDONLY | O_DIRECTORY);
    agent_sources = (struct agent_sources){"snp", dir, -1, -1, -1};
    folder_file(dir, "generation", 0, "1\n");
    certificate_table(table);
    static const char *const shapes[][2] = {
        {SNP_SHAPE(TCB, "", "") SNP_CHAIN, SNP_SHAPE(TCB_TURIN, "", "") SNP_CHAIN},
        {SNP_SHAPE(TCB, SNP_CPUID, "") SNP_CHAIN, SNP_SHAPE(TCB_TURIN, SNP_CPUID, "") SNP_CHAIN},
        {SNP_SHAPE(TCB, SNP_CPUID, SNP_MIT) SNP_CHAIN,
         SNP_SHAPE(TCB_TURIN, SNP_CPUID, SNP_MIT) SNP_CHAIN}};
    for (int turin = 0; turin < 2; turin++)
        for (uint8_t version = 2; version <= 5; version++) {
            snp_report(report, version, turin);
            folder_file(dir, "inblob", 0, NULL);
            folder_bytes(dir, "outblob", report, sizeof(report));
            folder_bytes(dir, "auxblob", table, sizeof(table));
            reads_back(report, data, shapes[(version - 1) / 2][turin]);
        }
    static const char *const names[] = {"inblob", "outblob", "auxblob", "generation"};
    for (size_t i = 0; i < 4; i++)
        unlinkat(dir, names[i], 0);
    assert_int_equal(rmdir(folder), 0);
    close(dir);
}

/* --- devices: the drivers' ioctls come here --- */

#define DEVICE 900 /* no descriptor */
static struct {
    int fail;      /* errno of the first request */
    uint32_t size; /* that the answer states */
    unsigned asked;
} device;
static bool any_data; /* the report data is a hash */

int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    va_start(args, request);
    void *p = va_arg(args, void *);
    va_end(args);
    if (fd != DEVICE || (device.asked++ == 0 && device.fail)) {
        errno = fd != DEVICE ? ENOTTY : device.fail;
        return -1;
    }
    if (request == SNP_GET_EXT_REPORT || request == SNP_GET_REPORT) {
        struct snp_guest_request_ioctl *r = p;
        struct snp_ext_report_req *ext = (void *)(uintptr_t)r->req_data;
        struct snp_report_resp *out = (void *)(uintptr_t)r->resp_data;
        assert_int_equal(ext->data.user_data[0], 9);
        sh_put_le32(out->data + 4, device.size);
        snp_report(out->data + 32, 3, false);
        if (request == SNP_GET_EXT_REPORT)
            certificate_table((uint8_t *)(uintptr_t)ext->certs_address);
        return 0;
    }
    if (request == _IOWR('D', 1, uint8_t[16])) { /* CSV: pointer and size */
        uint8_t *page = *(uint8_t **)p, digest[32];
        assert_int_equal(page[0], 9);
        agent_sm3(digest, page, 80);
        assert_memory_equal(digest, page + 80, 32);
        memset(page, 0x77, 2548);
        memset(page + 2548, 0, 4096 - 2548);
        sh_put_le32(page + 188, 0x04030201); /* masks what is behind the signature */
        page[336] ^= 9;
        page[336 + 2084] ^= 8;
        return 0;
    }
    if (request == _IOWR('T', 1, uint8_t[1088])) {
        memset((uint8_t *)p + 64, ((uint8_t *)p)[0], 1024);
        return 0;
    }
    assert_true(request == _IOWR('T', 4, uint8_t[16]));
    uint8_t *b = *(uint8_t **)p;
    assert_int_equal(sh_le32(b + 16), 1024);
    assert_true(any_data || b[24] == 9);
    sh_put_le32(b + 20, device.size);
    return 0;
}

static int ask_device(const char *tee, int fail, uint32_t size)
{
    struct agent_error e;
    uint8_t data[64] = {9};
    char *out = NULL;
    size_t out_size;
    agent_sources = (struct agent_sources){tee, -1, DEVICE, -1, -1};
    device.fail = fail;
    device.size = size;
    device.asked = 0;
    int rc = agent_evidence_json(data, &out, &out_size, &e);
    if (!rc)
        agent_os_free(out);
    return rc;
}

/* The older report, masked: the PEK and the serial number are in clear beside it. */
static void test_csv(void **state)
{
    struct agent_error e;
    struct sv_evidence ev = {0};
    struct shelter_verdict v = {0};
    uint8_t data[64] = {9};
    char *out;
    size_t size;
    agent_sources = (struct agent_sources){"csv", -1, DEVICE, -1, -1};
    device.fail = 0;
    device.asked = 0;
    assert_int_equal(agent_evidence_json(data, &out, &size, &e), 0);
    has_shape(out, size, CSV_SHAPE);
    assert_int_equal(sv_evidence_open(out, size, SHELTER_EVIDENCE_AUTO, &ev, &v), 0);
    assert_int_equal(ev.type, SHELTER_EVIDENCE_CSV);
    assert_int_equal(ev.csv_version, 1);
    assert_int_equal(ev.size, 4096);
    assert_int_equal(ev.data[2547], 0x77);
    assert_non_null(strstr(out, "\"ver\":1937012095,\"data\":{\"firmware\":{\"major\":118,"
                                "\"minor\":117},\"reserved1\":29556,"));
    assert_non_null(strstr(out, "\"serial_number\":[126,117,116,115,118,117,116,115,"));
    sv_evidence_free(&ev);
    agent_os_free(out);
}

static void test_devices(void **state)
{
    uint8_t report[1184], data[64] = {9};
    snp_report(report, 3, false);
    agent_sources = (struct agent_sources){"snp", -1, DEVICE, -1, -1};
    device.size = 1184;
    reads_back(report, data, SNP_SHAPE(TCB, SNP_CPUID, "") SNP_CHAIN);
    assert_int_equal(ask_device("snp", EIO, 1184), 0); /* without certificates */
    assert_int_equal(device.asked, 2);
    assert_int_equal(ask_device("snp", 0, 1183), -EPROTO);
    assert_int_equal(ask_device("snp", 0, 0xffffffff), -EPROTO);
    assert_int_equal(ask_device("csv", 0, 0), 0);
    assert_int_equal(ask_device("csv", EFAULT, 0), -EFAULT);
    assert_int_equal(ask_device("tdx", 0, 5000), 0);
    assert_int_equal(ask_device("tdx", 0, 0), -EPROTO);
    assert_int_equal(ask_device("tdx", 0, AGENT_QUOTE_MAX), 0);
    assert_int_equal(ask_device("tdx", 0, AGENT_QUOTE_MAX + 1), -EPROTO);
    assert_int_equal(ask_device("tdx", 0, 0xffffffff), -EPROTO);
    assert_int_equal(ask_device("tdx", ENODEV, 0), -ENODEV);
}

/* PID 1's requests. */
static int ask(const void *record, size_t size, uint8_t *out, size_t *out_size)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(write(pair[0], record, size), size);
    shutdown(pair[0], SHUT_WR);
    struct agent *a = agent_new(&no_settings, nothing);
    int bytes = 1 << 20;
    setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    int rc = agent_control(pair[1], a);
    close(pair[1]);
    *out_size = 0;
    for (ssize_t n; (n = read(pair[0], out + *out_size, 200000 - *out_size)) > 0;)
        *out_size += (size_t)n;
    close(pair[0]);
    agent_free(a);
    return rc;
}

static void test_control(void **state)
{
    static uint8_t out[200000], record[200];
    static const char path[] = "/tmp/agent-log.XXXXXX";
    char name[sizeof(path)];
    size_t size;
    memcpy(name, path, sizeof(path));
    /* Evidence over the hashed nonce, with the id in front; an event log that is too large for a
     * frame is left out, a small one is not. */
    static const struct {
        off_t size;
        bool there;
    } logs[] = {{0, false}, {4096, true}, {100000, false}};
    for (size_t i = 0; i < 3; i++) {
        uint8_t ask_it[13] = {SH_AGENT_ATTEST, 0, 0, 0, 5, 0, 0, 0, 7, 1, 0, 0, 'n'};
        int log = mkstemp(name);
        assert_int_equal(ftruncate(log, logs[i].size), 0);
        agent_sources = (struct agent_sources){"tdx", -1, DEVICE, log, -1};
        device.fail = 0;
        device.size = 5000;
        device.asked = 0;
        any_data = true;
        assert_int_equal(ask(ask_it, sizeof(ask_it), out, &size), 0);
        any_data = false;
        assert_int_equal(out[0], SH_AGENT_EVIDENCE);
        assert_int_equal(sh_le32(out + 4) + 8, size);
        assert_true(size <= 8 + 8 + SH_CONTROL_ANSWER_MAX);
        assert_int_equal(sh_le32(out + 8), 263);
        assert_int_equal(sh_le32(out + 12), 0);
        out[size] = 0;
        assert_non_null(strstr((char *)out + 16, "\"quote\":"));
        assert_int_equal(!!strstr((char *)out + 16, "cc_eventlog"), logs[i].there);
        assert_int_equal(agent_sources.log, log);
        close(log);
        unlink(name);
        memcpy(name, path, sizeof(path));
    }
    agent_sources = (struct agent_sources){"tdx-sim", -1, -1, -1, -1};
    static const uint8_t once[] = {SH_AGENT_ATTEST, 0, 0, 0, 5, 0, 0, 0, 7, 0, 0, 0, 'n'};
    assert_int_equal(ask(once, sizeof(once), out, &size), 0);
    assert_int_equal(sh_le32(out + 12), ENODEV);
    /* START without a broker: done. */
    static const uint8_t begin[] = {SH_AGENT_START, 0, 0, 0, 0, 0, 0, 0};
    assert_int_equal(ask(begin, sizeof(begin), out, &size), 0);
    assert_int_equal(size, 8);
    assert_int_equal(out[0], SH_AGENT_DONE);
    /* Torn, and what PID 1 never says. */
    for (size_t n = 0; n < sizeof(once); n++) {
        assert_int_equal(ask(once, n, out, &size), -ENODATA);
        assert_int_equal(size, 0);
    }
    static const struct {
        uint8_t kind, name, size;
    } bad[] = {{0, 0, 0},
               {SH_AGENT_DONE, 0, 0},
               {255, 0, 5},
               {SH_AGENT_START, 0, 1},
               {SH_AGENT_ATTEST, 0, 4},
               {SH_AGENT_ATTEST, 0, 69},
               {SH_AGENT_ATTEST, 1, 5}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        record[0] = bad[i].kind;
        record[2] = bad[i].name;
        record[4] = bad[i].size;
        assert_int_equal(ask(record, sizeof(record), out, &size), -EBADMSG);
        assert_int_equal(size, 0);
    }
}

static int dial(uint16_t port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval limit = {5, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static void test_serve(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(a);
    int listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(listen_fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(listen_fd, 16), 0);
    getsockname(listen_fd, (struct sockaddr *)&a, &size);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(20);
        agent_sources = (struct agent_sources){"tdx-sim", -1, -1, -1, -1};
        _exit(agent_serve(listen_fd, -1, agent_new(&no_settings, nothing)) ? 1 : 0);
    }
    /* Mute and torn clients take places; the others are answered all the same. */
    int mute[8];
    for (int i = 0; i < 8; i++)
        mute[i] = dial(a.sin_port);
    assert_true(write(mute[0], "GET /aa", 7) == 7);
    for (int i = 0; i < 40; i++) {
        char text[1024];
        size_t got = 0;
        ssize_t n;
        int fd = dial(a.sin_port);
        static const char request[] =
            "GET /aa/evidence?runtime_data=x HTTP/1.1\r\nHost: [::1]\r\n\r\n";
        for (size_t k = 0; k < sizeof(request) - 1; k += i % 7 + 1) {
            size_t left = sizeof(request) - 1 - k, piece = (size_t)(i % 7 + 1);
            assert_true(write(fd, request + k, left < piece ? left : piece) > 0);
        }
        while (got < sizeof(text) - 1 && (n = read(fd, text + got, sizeof(text) - 1 - got)) > 0)
            got += (size_t)n;
        text[got] = 0;
        assert_non_null(strstr(text, "HTTP/1.1 501 "));
        assert_non_null(strstr(text, "\r\n\r\n{\"error\":"));
        close(fd);
    }
    for (int i = 0; i < 8; i++)
        close(mute[i]);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(listen_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),   cmocka_unit_test(test_answers),
        cmocka_unit_test(test_key_pem),   cmocka_unit_test(test_base64),
        cmocka_unit_test(test_json),      cmocka_unit_test(test_json_text),
        cmocka_unit_test(test_response),  cmocka_unit_test(test_url),
        cmocka_unit_test(test_unwrap),    cmocka_unit_test(test_sm3),
        cmocka_unit_test(test_tsm),       cmocka_unit_test(test_snp),
        cmocka_unit_test(test_csv),       cmocka_unit_test(test_devices),
        cmocka_unit_test(test_simulated), cmocka_unit_test(test_control),
        cmocka_unit_test(test_serve),
    };
    int rc = cmocka_run_group_tests_name("agent", tests, NULL, NULL);
    free(held);
    return rc;
}
