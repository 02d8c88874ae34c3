// SPDX-License-Identifier: Apache-2.0
// The agent: requests whole, torn and hostile; answers; a slow and a mute client beside a quick
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "trusted/agent/agent.h"

static char *held;

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
    assert_int_equal(agent_query_get(&r, "runtime_data", value, 8), 5);
    assert_memory_equal(value, "a\0b c", 5);
    assert_int_equal(agent_query_get(&r, "runtime_data", value, 5), 5);
    assert_int_equal(agent_query_get(&r, "runtime_data", value, 4), -E2BIG);
    assert_int_equal(agent_query_get(&r, "y", value, 4), -ENOENT);
    assert_int_equal(agent_query_get(&r, "runtime", value, 4), -ENOENT);
    assert_int_equal(PARSE(&r, "GET / HTTP/1.0\n\n"), 16);
    assert_int_equal(agent_query_get(&r, "x", value, 4), -ENOENT);
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
        "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\ncontent-length:00001\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(parse(&r, bad[i], strlen(bad[i])), -EBADMSG);
    assert_int_equal(PARSE(&r, "GET /\0 HTTP/1.1\r\n\r\n"), -EBADMSG);
    char big[9000];
    memset(big, 'a', sizeof(big));
    assert_int_equal(parse(&r, big, AGENT_REQUEST_MAX - 1), 0);
    assert_int_equal(parse(&r, big, AGENT_REQUEST_MAX), -E2BIG);
    assert_int_equal(parse(&r, big, sizeof(big)), -E2BIG);
    memcpy(big, "GET /", 5);
    memcpy(big + 1000, " HTTP/1.1\r\n\r\n", 13);
    assert_int_equal(parse(&r, big, 1013), -EBADMSG); /* a path longer than any of ours */
    static const char *const escapes[] = {"%", "%4", "%zz", "%4g", "a%"};
    for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {
        int n = snprintf(big, sizeof(big), "GET /?q=%s HTTP/1.1\r\n\r\n", escapes[i]);
        assert_true(parse(&r, big, (size_t)n) > 0);
        assert_int_equal(agent_query_get(&r, "q", value, 8), -EINVAL);
    }
}

static void answer_is(const char *target, const char *tee, int status, const char *text)
{
    static struct agent_reply reply;
    struct agent_request r;
    char request[512];
    int n = snprintf(request, sizeof(request), "%s HTTP/1.1\r\n\r\n", target);
    assert_true(parse(&r, request, (size_t)n) > 0);
    agent_answer(&reply, &r, tee, -1);
    assert_int_equal(reply.status, status);
    assert_true(reply.size < sizeof(reply.body));
    reply.body[reply.size] = 0;
    assert_non_null(strstr(reply.body, text));
}

static void test_answers(void **state)
{
    answer_is("GET /aa/evidence?runtime_data=x", "tdx-sim", 501, "no evidence on tdx-sim");
    answer_is("GET /aa/evidence?runtime_data=", "tdx", 503, "gave no TDX quote");
    answer_is("GET /aa/evidence", "tdx-sim", 400, "missing");
    answer_is("GET /aa/evidence?runtime_data=%", "tdx-sim", 400, "escaped");
    answer_is("GET /aa/evidence?runtime_data="
              "0123456789012345678901234567890123456789012345678901234567890123x",
              "tdx-sim", 400, "64 bytes");
    answer_is("POST /aa/evidence", "tdx-sim", 405, "GET");
    answer_is("GET /", "tdx-sim", 404, "no such");
    answer_is("GET /aa/evidence/", "tdx-sim", 404, "no such");
    answer_is("GET //aa/evidence", "tdx-sim", 404, "no such");
}

static void test_base64(void **state)
{
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    char out[16];
    for (size_t i = 0; i < 7; i++) { /* RFC 4648, section 10 */
        assert_int_equal(agent_base64(out, (const uint8_t *)pairs[i][0], strlen(pairs[i][0])),
                         strlen(pairs[i][1]));
        assert_string_equal(out, pairs[i][1]);
    }
}

/* A folder that looks like a configfs-tsm entry: what was written, and a quote of this size. */
static void test_tdx_driver(void **state)
{
    static struct agent_reply reply;
    char folder[] = "/tmp/agent-test.XXXXXX", path[64];
    uint8_t data[64], got[128];
    assert_non_null(mkdtemp(folder));
    int dir = open(folder, O_RDONLY | O_DIRECTORY);
    memset(data, 0x5a, sizeof(data));
    static const size_t sizes[] = {0, 5006, AGENT_QUOTE_MAX - 1, AGENT_QUOTE_MAX,
                                   3 * AGENT_QUOTE_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        close(openat(dir, "inblob", O_WRONLY | O_CREAT | O_TRUNC, 0600));
        int fd = openat(dir, "outblob", O_WRONLY | O_CREAT | O_TRUNC, 0600);
        assert_int_equal(ftruncate(fd, (off_t)sizes[i]), 0);
        close(fd);
        agent_evidence(&reply, "tdx", dir, data);
        bool good = sizes[i] && sizes[i] < AGENT_QUOTE_MAX;
        assert_int_equal(reply.status, good ? 200 : 503);
        assert_true(reply.size <= sizeof(reply.body));
        if (good)
            assert_int_equal(reply.size, 10 + (sizes[i] + 2) / 3 * 4 + 3);
        fd = openat(dir, "inblob", O_RDONLY);
        assert_int_equal(read(fd, got, sizeof(got)), 64);
        assert_memory_equal(got, data, 64);
        close(fd);
    }
    unlinkat(dir, "inblob", 0);
    unlinkat(dir, "outblob", 0);
    snprintf(path, sizeof(path), "%s", folder);
    assert_int_equal(rmdir(path), 0);
    close(dir);
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
        _exit(agent_serve(listen_fd, "tdx-sim", -1) ? 1 : 0);
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
        static const char request[] = "GET /aa/evidence?runtime_data=x HTTP/1.1\r\nHost: x\r\n\r\n";
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
        cmocka_unit_test(test_request), cmocka_unit_test(test_answers),
        cmocka_unit_test(test_base64),  cmocka_unit_test(test_tdx_driver),
        cmocka_unit_test(test_serve),
    };
    int rc = cmocka_run_group_tests_name("agent", tests, NULL, NULL);
    free(held);
    return rc;
}
