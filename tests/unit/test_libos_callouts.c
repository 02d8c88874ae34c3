// SPDX-License-Identifier: Apache-2.0
// The harness of fuzz/fuzz_callouts.c for a fixed number of rounds.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fuzz/fuzz_callouts.c"
#include "tests/unit/libos_rounds.h"

static void test_rounds(void **state)
{
    run_rounds(10000, 64);
    assert_true(unit_host.calls > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rounds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
