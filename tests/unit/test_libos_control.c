// SPDX-License-Identifier: Apache-2.0
// Requests of the host as the enclave judges them: by the policy, bounded, whatever they say.
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "lib/settings.h"
#include "trusted/libos/entry/entry.h"
#include "trusted/libos/port_unit/unit.h"
#include "trusted/libos/proc/proc.h"
#include <shelter/channel.h>
#include <shelter/manifest.h>

static char out[STATS_JSON_MAX];

static struct sh_control_request r;

static long judge(uint32_t kind, uint32_t size, uint32_t first)
{
    r = (struct sh_control_request){.kind = kind, .id = 7, .size = size};
    memcpy(r.data, &first, sizeof(first));
    memset(out, 'x', sizeof(out));
    return control_judge(&r, out, sizeof(out));
}

static void allow(uint64_t policy, bool debug, bool trace)
{
    struct port_start start = {.trace = trace};
    port_info.debug = debug;
    settings.requests = policy;
    control_init(&start);
}

static void test_policy_decides(void **state)
{
    allow(SH_POLICY_ALL & ~(SH_POLICY_STATS | SH_POLICY_TRACE), false, true);
    assert_int_equal(judge(SH_CONTROL_STATS, 0, 0), -EPERM);
    assert_non_null(strstr(out, "--allow stats"));
    assert_int_equal(judge(SH_CONTROL_TRACE, 4, 1), -EPERM);
    assert_non_null(strstr(out, "--allow trace"));
    assert_false(tracing);
}

static void test_stats_allowed(void **state)
{
    allow(SH_POLICY_STATS, false, true);
    long n = judge(SH_CONTROL_STATS, 0, 0);
    assert_true(n > 2);
    assert_int_equal(strlen(out), n);
    assert_int_equal(out[0], '{');
    assert_int_equal(out[n - 1], '}');
    assert_non_null(strstr(out, "\"calls_out\": "));
    assert_non_null(strstr(out, "\"committed_bytes\": "));
    assert_non_null(strstr(out, "\"peak_bytes\": "));
    assert_int_equal(judge(SH_CONTROL_STATS, 1, 0), -EINVAL);
    assert_false(tracing); /* was asked for at the start, and not allowed */
}

static void test_trace_allowed(void **state)
{
    allow(SH_POLICY_TRACE, false, false);
    assert_int_equal(judge(SH_CONTROL_TRACE, 4, 1), 0);
    assert_true(tracing);
    assert_int_equal(judge(SH_CONTROL_TRACE, 4, 2), -EINVAL);
    assert_int_equal(judge(SH_CONTROL_TRACE, 3, 0), -EINVAL);
    assert_true(tracing);
    assert_int_equal(judge(SH_CONTROL_TRACE, 4, 0), 0);
    assert_false(tracing);
}

static void test_debug_hides_nothing(void **state)
{
    allow(0, true, true);
    assert_true(tracing);
    assert_true(judge(SH_CONTROL_STATS, 0, 0) > 0);
    assert_int_equal(judge(SH_CONTROL_TRACE, 4, 0), 0);
}

static void test_maps_of_debug_enclaves(void **state)
{
    port_info.debug = false;
    allow(SH_POLICY_ALL, false, false);
    assert_int_equal(judge(SH_CONTROL_MAPS, 0, 0), -EPERM);
    assert_non_null(strstr(out, "not a debug enclave"));
    port_info.user_start = 1ul << 30; /* nothing is mapped there */
    port_info.user_end = 65ul << 30;
    assert_int_equal(process_init_first(), 0);
    caps_start(&first_process);
    unit_thread(1);
    port_info.debug = true;
    assert_true(judge(SH_CONTROL_MAPS, 0, 0) >= 0);
    port_info.debug = false;
}

static void test_nonsense(void **state)
{
    allow(SH_POLICY_ALL, false, false);
    assert_int_equal(judge(0, 0, 0), -ENOSYS);
    assert_int_equal(judge(1000, 0, 0), -ENOSYS);
    assert_int_equal(judge(UINT32_MAX, 0, 0), -ENOSYS);
    assert_int_equal(judge(SH_CONTROL_STATS, SH_CONTROL_DATA_MAX + 1, 0), -ENOSYS);
    assert_int_equal(judge(SH_CONTROL_TRACE, UINT32_MAX, 1), -ENOSYS);
    assert_false(tracing);
    assert_non_null(memchr(out, 0, sizeof(out)));
}

/* A request for a program: session 5, handles, then what SH_FRAME_EXEC carries. */
static long judge_exec(uint32_t session, const void *payload, size_t size)
{
    struct sh_control_exec head = {session, {3, 4, 5}};
    r = (struct sh_control_request){.kind = SH_CONTROL_EXEC, .id = 9};
    memcpy(r.data, &head, sizeof(head));
    memcpy(r.data + sizeof(head), payload, size);
    r.size = (uint32_t)(sizeof(head) + size);
    memset(out, 'x', sizeof(out));
    return control_judge(&r, out, sizeof(out));
}

static const uint8_t program[] = "\0\0\1\0\0\0\0\0\0\0/bin/x\0/\0root";

static void test_exec_needs_policy(void **state)
{
    allow(SH_POLICY_ALL & ~SH_POLICY_EXEC, false, false);
    assert_int_equal(judge_exec(5, program, sizeof(program)), -EPERM);
    assert_non_null(strstr(out, "--allow exec"));
    allow(0, true, false); /* a debug enclave's memory can be read, but not driven */
    assert_int_equal(judge_exec(5, program, sizeof(program)), -EPERM);
}

/* Nothing of these starts a process: all is judged before. */
static void test_exec_malformed(void **state)
{
    uint8_t bad[sizeof(program)];
    allow(SH_POLICY_EXEC, false, false);
    for (size_t n = 1; n < sizeof(program); n++)
        assert_int_equal(judge_exec(5, program, n), -EBADMSG);
    assert_int_equal(judge_exec(5, program, 0), -EBADMSG);
    memcpy(bad, program, sizeof(bad));
    bad[0] = 2; /* terminal: 0 or 1 */
    assert_int_equal(judge_exec(5, bad, sizeof(bad)), -EBADMSG);
    bad[0] = 0;
    for (int kind = 1; kind < 256; kind++) {
        bad[1] = (uint8_t)kind;
        bool copy = kind <= SH_EXEC_COPY_IN; /* well formed; session 0 is the workload's */
        assert_int_equal(judge_exec(copy ? 0 : 5, bad, sizeof(bad)), copy ? -EBUSY : -EBADMSG);
    }
    bad[1] = 0;
    for (int count = 0; count < 65536; count += 251) { /* strings that are not there */
        bad[2] = (uint8_t)count;
        bad[3] = (uint8_t)(count >> 8);
        if (count != 1)
            assert_int_equal(judge_exec(5, bad, sizeof(bad)), -EBADMSG);
    }
    assert_int_equal(judge_exec(0, program, sizeof(program)), -EBUSY); /* the workload's */
    assert_int_equal(judge_exec(65536, program, sizeof(program)), -EBUSY);
    assert_int_equal(judge_exec(UINT32_MAX, program, sizeof(program)), -EBUSY);
}

static void test_session_requests(void **state)
{
    allow(SH_POLICY_EXEC, false, false);
    settings.signals = 0;
    settings.stop_signal = 0;
    assert_int_equal(judge(SH_CONTROL_WINDOW, 7, 5), -EINVAL);
    assert_int_equal(judge(SH_CONTROL_WINDOW, 9, 5), -EINVAL);
    assert_int_equal(judge(SH_CONTROL_WINDOW, 8, 5), 0); /* of nobody: it ended meanwhile */
    assert_int_equal(judge(SH_CONTROL_SIGNAL, 4, 5), -EINVAL);
    assert_int_equal(judge(SH_CONTROL_SIGNAL, 8, 5), -EPERM);
    assert_non_null(strstr(out, "--allow signal"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy_decides),
        cmocka_unit_test(test_exec_needs_policy),
        cmocka_unit_test(test_exec_malformed),
        cmocka_unit_test(test_session_requests),
        cmocka_unit_test(test_stats_allowed),
        cmocka_unit_test(test_trace_allowed),
        cmocka_unit_test(test_debug_hides_nothing),
        cmocka_unit_test(test_maps_of_debug_enclaves),
        cmocka_unit_test(test_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
