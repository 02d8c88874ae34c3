// SPDX-License-Identifier: Apache-2.0
// A harness of fuzz/ for a fixed number of rounds, by a fixed seed, under sanitizers: LIBOS_SEED
// and LIBOS_ROUNDS choose others. Include it after the harness.
#ifndef LIBOS_ROUNDS_H
#define LIBOS_ROUNDS_H

#include <stdio.h>
#include <stdlib.h>

/* `first`: what the first byte of the data is, at least, and 127 more. */
static void run_rounds(uint64_t n, uint8_t first)
{
    const char *seed = getenv("LIBOS_SEED"), *rounds = getenv("LIBOS_ROUNDS");
    uint64_t rng = seed ? strtoull(seed, NULL, 0) | 1 : 1;
    static uint8_t data[2048];
    n = rounds ? strtoull(rounds, NULL, 0) : n;
    printf("# seed %llu, %llu rounds\n", (unsigned long long)rng, (unsigned long long)n);
    for (; n; n--) {
        for (size_t i = 0; i < sizeof(data); i++) {
            rng ^= rng << 13;
            rng ^= rng >> 7;
            rng ^= rng << 17;
            data[i] = (uint8_t)(rng >> 24);
        }
        data[0] = (uint8_t)(first + data[0] % 128);
        LLVMFuzzerTestOneInput(data, sizeof(data) / (1 + n % 4));
    }
}

#endif
