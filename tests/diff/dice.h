// SPDX-License-Identifier: Apache-2.0
// Numbers for random sequences of calls: the same seed gives the same ones on every kernel.
#ifndef TESTS_DIFF_DICE_H
#define TESTS_DIFF_DICE_H

#include <stdint.h>
#include <stdlib.h>

static uint64_t dice;

/* NULL: 1. */
static void dice_seed(const char *seed)
{
    dice = (seed ? strtoull(seed, NULL, 10) : 1) * 0x9e3779b97f4a7c15ull + 1;
}

static uint32_t roll(uint32_t below)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (uint32_t)((dice * 0x2545f4914f6cdd1dull) >> 33) % below;
}

#endif
