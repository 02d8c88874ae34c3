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
#include <shelter/manifest.h>

static char out[STATS_JSON_MAX];

static long judge(uint32_t kind, uint32_t size, uint32_t first)
{
    struct sh_control_request r = {.kind = kind, .id = 7, .size = size};
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
    assert_non_null(strstr(out, "no debug enclave"));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy_decides),         cmocka_unit_test(test_stats_allowed),
        cmocka_unit_test(test_trace_allowed),          cmocka_unit_test(test_debug_hides_nothing),
        cmocka_unit_test(test_maps_of_debug_enclaves), cmocka_unit_test(test_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
