// SPDX-License-Identifier: Apache-2.0
// What the host answers to the enclave's calls for a volume's file: whole, or an error; a full disk
// and a quota that is used up are want of room, all else is the disk's fault.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "trusted/libos/port_sgx/volume.c"

static int64_t answer;
static uint32_t arrived;

int64_t sgx_call(struct sgx_call *c)
{
    c->in_size_a = arrived;
    return answer;
}

static int answer_write(int64_t r)
{
    uint8_t block[4096] = {0};
    answer = r;
    return port_volume_write(0, 0, block, sizeof(block));
}

static void test_writes(void **state)
{
    assert_int_equal(answer_write(4096), 0);
    assert_int_equal(answer_write(-ENOSPC), -ENOSPC);
    assert_int_equal(answer_write(-EDQUOT), -ENOSPC);
    for (int64_t r = -4095; r < 10000; r++) {
        if (r != 4096 && r != -ENOSPC && r != -EDQUOT)
            assert_int_equal(answer_write(r), -EIO);
    }
}

static void test_reads(void **state)
{
    uint8_t block[4096];
    static const struct {
        int64_t answer;
        uint32_t arrived;
        int want;
    } cases[] = {{4096, 4096, 0},    {4096, 4095, -EIO}, {4095, 4096, -EIO},
                 {4095, 4095, -EIO}, {0, 0, -EIO},       {-EIO, 0, -EIO},
                 {-EIO, 4096, -EIO}, {4097, 4096, -EIO}, {INT64_MAX, 0, -EIO}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        answer = cases[i].answer;
        arrived = cases[i].arrived;
        assert_int_equal(port_volume_read(0, 0, block, sizeof(block)), cases[i].want);
    }
    for (answer = -1; answer < 2; answer++)
        assert_int_equal(port_volume_flush(0), answer ? -EIO : 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_writes), cmocka_unit_test(test_reads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
