// SPDX-License-Identifier: Apache-2.0
// The harness of fuzz/fuzz_callouts.c for a fixed number of rounds, by a fixed seed, under
// sanitizers: LIBOS_SEED and LIBOS_ROUNDS choose others.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fuzz/fuzz_callouts.c"

static void test_rounds(void **state)
{
    const char *seed = getenv("LIBOS_SEED"), *rounds = getenv("LIBOS_ROUNDS");
    uint64_t rng = seed ? strtoull(seed, NULL, 0) | 1 : 1,
             n = rounds ? strtoull(rounds, NULL, 0) : 10000;
    static uint8_t data[2048];
    printf("# seed %llu, %llu rounds\n", (unsigned long long)rng, (unsigned long long)n);
    for (; n; n--) {
        for (size_t i = 0; i < sizeof(data); i++) {
            rng ^= rng << 13;
            rng ^= rng >> 7;
            rng ^= rng << 17;
            data[i] = (uint8_t)(rng >> 24);
        }
        data[0] = (uint8_t)(64 + data[0] % 128);
        LLVMFuzzerTestOneInput(data, sizeof(data) / (1 + n % 4));
    }
    assert_true(unit_host.calls > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rounds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
