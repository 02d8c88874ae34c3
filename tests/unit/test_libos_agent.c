// SPDX-License-Identifier: Apache-2.0
// The agent's surroundings in the LibOS: addresses, streams of a host that lies, requests for
// evidence, the local API's port.
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <asm/unistd_64.h>

#include "trusted/agent/core.h"
#include "trusted/libos/agent/address.h"
#include "trusted/libos/agent/agent.h"
#include "trusted/libos/port_unit/unit.h"
#include "trusted/libos/signal/signal.h"

#include <shelter/channel.h>

/* Objects that only pages of the LibOS's zone point to look lost to the leak checker. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

/* No image: only memory, threads and sockets. */
static int setup(void **state)
{
    static const uint8_t hash[32];
    static uint8_t nothing[4096];
    unit_start(nothing, sizeof(nothing), sizeof(nothing), hash);
    return 0;
}

static void test_addresses(void **state)
{
    static const char *const texts[] = {"127.0.0.1",
                                        "255.255.255.255",
                                        "256.1.1.1",
                                        "1.2.3",
                                        "1.2.3.4.5",
                                        "01.2.3.4",
                                        "1.2.3.4 ",
                                        "",
                                        "::",
                                        "::1",
                                        "1::",
                                        "1:2:3:4:5:6:7:8",
                                        "1:2:3:4:5:6:7",
                                        "1:2:3:4:5:6:7:8:9",
                                        "1::2::3",
                                        ":::",
                                        "12345::",
                                        "::ffff:10.0.2.2",
                                        "1:2:3:4:5:6:1.2.3.4",
                                        "::1.2.3.4:5",
                                        "fe80::1%lo",
                                        "[::1]",
                                        "localhost",
                                        "g::1",
                                        "1:2:3:4:5:6:7::",
                                        "::2:3:4:5:6:7:8",
                                        "1:2:3:4:5:6:7:8::"};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        uint8_t want[16] = {0};
        struct port_address a;
        bool v4 = inet_pton(AF_INET, texts[i], want) == 1;
        bool v6 = !v4 && inet_pton(AF_INET6, texts[i], want) == 1;
        assert_int_equal(agent_literal(texts[i], &a), v4 || v6);
        if (v4 || v6)
            assert_memory_equal(a.bytes, want, v4 ? 4 : 16);
    }
    struct port_address a;
    uint8_t out[PORT_ADDR_MAX];
    assert_true(agent_literal("127.0.0.1", &a));
    assert_int_equal(agent_sockaddr(&a, 8080, out), 16);
    struct sockaddr_in in;
    memcpy(&in, out, sizeof(in));
    assert_int_equal(in.sin_family, AF_INET);
    assert_int_equal(ntohs(in.sin_port), 8080);
    a.family = 77;
    assert_int_equal(agent_sockaddr(&a, 1, out), 0);
}

/* Every answer is a count within what was asked for, or an errno, by the deadline. */
static void test_streams_of_a_liar(void **state)
{
    static const long lies[] = {0,         1,  3,   65,   65537, 1l << 31, INT64_MAX,
                                INT64_MIN, -1, -11, -115, -134,  -4096};
    for (size_t i = 0; i < ARRAY_COUNT(lies); i++) {
        uint8_t buf[64];
        unit_host.lies = true;
        unit_host.lie = lies[i];
        unit_host.lie_size = (uint32_t)lies[i];
        uint64_t soon = agent_os_now_ms() + 30;
        long c = agent_os_connect("10.0.0.1", 443, soon);
        assert_true(c >= -133 && c < 1 << 24);
        assert_true(agent_os_connect("broker.test", 443, soon) >= -133);
        long r = agent_os_read(3, buf, sizeof(buf), soon);
        long w = agent_os_write(3, buf, sizeof(buf), soon);
        assert_true(r >= -133 && r <= (long)sizeof(buf));
        assert_true(w >= -133 && w <= (long)sizeof(buf) && w != 0);
        agent_os_close(3);
        unit_host.lies = false;
        assert_true(agent_os_now_ms() < soon + 5000);
    }
}

static void test_no_quotes_from_a_liar(void **state)
{
    static const long lies[] = {0, 100, 435, 32769, INT64_MAX, INT64_MIN, -19, -4096};
    uint8_t data[64] = {1};
    const char *why;
    struct agent_raw raw;
    for (size_t i = 0; i < ARRAY_COUNT(lies); i++) {
        unit_host.lies = true;
        unit_host.lie = lies[i];
        int r = agent_os_evidence(data, &raw, &why);
        unit_host.lies = false;
        assert_true(r < 0 && r >= -133 && !raw.quote && why[0]);
    }
    assert_int_equal(agent_os_evidence(data, &raw, &why), 0);
    assert_memory_equal(raw.quote + 48 + 320, data, 64);
    agent_os_free(raw.quote);
}

/* What the host asks for is hashed apart from everything else (DESIGN section 1). */
static void test_request_for_evidence(void **state)
{
    static char out[SH_CONTROL_ANSWER_MAX];
    struct sh_control_request r = {.kind = SH_CONTROL_ATTEST, .id = 1};
    static const uint32_t wrong[] = {0, 65, UINT32_MAX};
    los_lock();
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        r.size = wrong[i];
        assert_int_equal(agent_judge_attest(&r, out, sizeof(out)), -EINVAL);
        assert_non_null(strstr(out, "nonce"));
    }
    r.size = 64;
    memset(r.data, 'n', sizeof(r.data));
    long n = agent_judge_attest(&r, out, sizeof(out));
    los_unlock();
    assert_true(n > 500);
    assert_memory_equal(out, "{\"quote\":\"", 10);
    unit_host.lies = true;
    unit_host.lie = -19;
    los_lock();
    n = agent_judge_attest(&r, out, sizeof(out));
    los_unlock();
    unit_host.lies = false;
    assert_true(n < 0);
    assert_non_null(strstr(out, "quot"));
}

static uint64_t inet(uint16_t port)
{
    static uint64_t at;
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (!at)
        at = unit_memory(4096);
    assert_int_equal(user_write(at, &a, sizeof(a)), 0);
    return at;
}

/* Port unit starts no threads: the port is then refused as any other, and stays the program's. */
static void test_port_without_thread(void **state)
{
    agent_init((struct sh_view){NULL, 0}, (struct sh_view){NULL, 0});
    long fd = call(__NR_socket, AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(call(__NR_connect, fd, inet(8006), 16), -ECONNREFUSED);
    assert_int_equal(call(__NR_connect, fd, inet(8007), 16), -ECONNREFUSED);
    long own = call(__NR_socket, AF_INET, SOCK_STREAM, 0);
    assert_int_equal(call(__NR_bind, own, inet(8006), 16), 0);
    assert_int_equal(call(__NR_listen, own, 4), 0);
    assert_int_equal(call(__NR_connect, fd, inet(8006), 16), 0);
    call(__NR_close, fd);
    call(__NR_close, own);
}

static int no_env(void *env, const char *text)
{
    return -EIO;
}

/* Nothing asked for, nothing done: not one call out. */
static void test_nothing_to_do(void **state)
{
    agent_init((struct sh_view){NULL, 0}, (struct sh_view){NULL, 0});
    los_lock();
    uint64_t calls = unit_host.calls;
    assert_int_equal(agent_before_program(no_env, NULL), 0);
    assert_int_equal(unit_host.calls, calls);
    los_unlock();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_streams_of_a_liar),
        cmocka_unit_test(test_no_quotes_from_a_liar),
        cmocka_unit_test(test_request_for_evidence),
        cmocka_unit_test(test_port_without_thread),
        cmocka_unit_test(test_nothing_to_do),
    };
    return cmocka_run_group_tests_name("libos_agent", tests, setup, NULL);
}
