// SPDX-License-Identifier: Apache-2.0
// Finding a function in the vDSO: in this machine's own, and in damaged copies of it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>
#include <cmocka.h>

#include "host/sgx/driver_hw.h"

#define SIZE 8192u

static const void *vdso(void)
{
    return (const void *)getauxval(AT_SYSINFO_EHDR);
}

static void test_own(void **state)
{
    if (vdso() == NULL)
        skip();
    int (*gettime)(clockid_t, struct timespec *) =
        (int (*)(clockid_t, struct timespec *))sgx_vdso_symbol(vdso(), SIZE,
                                                               "__vdso_clock_gettime");
    struct timespec t = {0};
    assert_non_null(gettime);
    assert_int_equal(gettime(CLOCK_MONOTONIC, &t), 0);
    assert_true(t.tv_sec != 0 || t.tv_nsec != 0);
    assert_null(sgx_vdso_symbol(vdso(), SIZE, "__vdso_no_such_function"));
    assert_null(sgx_vdso_symbol(vdso(), SIZE, ""));
}

/* No byte outside the buffer is read, whatever the headers say (AddressSanitizer watches). */
static void test_damaged(void **state)
{
    if (vdso() == NULL)
        skip();
    uint32_t seed = 12345;
    for (unsigned round = 0; round < 4000; round++) {
        size_t size = round < 400 ? round * (SIZE / 400) : SIZE;
        uint8_t *copy = malloc(size == 0 ? 1 : size);
        memcpy(copy, vdso(), size);
        for (unsigned i = 0; i < 1 + round % 8 && size != 0; i++) {
            seed = seed * 1103515245 + 12345;
            size_t at = (seed >> 8) % (round % 2 ? (size < 1024 ? size : 1024) : size);
            copy[at] = (uint8_t)(seed >> 3);
        }
        (void)sgx_vdso_symbol(copy, size, "__vdso_sgx_enter_enclave");
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
