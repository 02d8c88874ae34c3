// SPDX-License-Identifier: Apache-2.0
// The harness of fuzz/fuzz_messages.c for a fixed number of rounds.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fuzz/fuzz_messages.c"
#include "tests/unit/libos_rounds.h"

static void test_rounds(void **state)
{
    run_rounds(1000, 0);
    printf("# %llu sent, %llu received, %llu answers of netlink\n",
           (unsigned long long)messages_sent, (unsigned long long)messages_received,
           (unsigned long long)answers);
    assert_true(messages_sent > 300);
    assert_true(messages_received > 60);
    assert_true(answers > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rounds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
