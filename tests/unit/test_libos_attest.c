// SPDX-License-Identifier: Apache-2.0
// Evidence from inside the LibOS: what a quote must be, and the files under /dev/attestation.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <asm/unistd_64.h>

#include "lib/settings.h"
#include "tests/unit/libos_start.h"
#include "trusted/libos/base/quote.h"

#define FDCWD ((uint64_t)-100)
#define V3_SIZE (48 + 384 + 4)

static uint64_t scratch;

static int setup(void **state)
{
    assert_int_equal(start_empty(), 0);
    scratch = unit_memory(65536);
    return user_zero(scratch, 65536); /* there from now on */
}

/* ---- the check of a quote ---- */

static void make_v3(uint8_t *quote, const uint8_t *report)
{
    memset(quote, 0, V3_SIZE);
    quote[0] = 3;
    memcpy(quote + 48, report, 384);
}

static void test_quote_is_ours(void **state)
{
    uint8_t report[432], quote[V3_SIZE + 6];
    for (size_t i = 0; i < sizeof(report); i++)
        report[i] = (uint8_t)(i * 13 + 1);
    make_v3(quote, report);
    assert_int_equal(claim_quote(quote, V3_SIZE, V3_SIZE, report), V3_SIZE);
    /* each byte of the body speaks of us */
    for (size_t i = 0; i < 384; i++) {
        quote[48 + i] ^= 1;
        assert_int_equal(claim_quote(quote, V3_SIZE, V3_SIZE, report), -EPROTO);
        quote[48 + i] ^= 1;
    }
    quote[0] = 4;
    assert_int_equal(claim_quote(quote, V3_SIZE, V3_SIZE, report), V3_SIZE);
    quote[4] = 0x81; /* a TD's */
    assert_int_equal(claim_quote(quote, V3_SIZE, V3_SIZE, report), -EPROTO);
    quote[4] = 0;
    for (unsigned v = 0; v < 9; v++) {
        quote[0] = (uint8_t)v;
        if (v != 3 && v != 4)
            assert_int_equal(claim_quote(quote, V3_SIZE, V3_SIZE, report), -EPROTO);
    }
}

static void test_quote_v5(void **state)
{
    uint8_t report[432] = {7}, quote[V3_SIZE + 6] = {5};
    quote[48] = 1;
    quote[50] = 384 & 0xff;
    quote[51] = 384 >> 8;
    memcpy(quote + 54, report, 384);
    assert_int_equal(claim_quote(quote, sizeof(quote), sizeof(quote), report), sizeof(quote));
    quote[48] = 2;
    assert_int_equal(claim_quote(quote, sizeof(quote), sizeof(quote), report), -EPROTO);
    quote[48] = 1;
    quote[52] = 1;
    assert_int_equal(claim_quote(quote, sizeof(quote), sizeof(quote), report), -EPROTO);
}

/* Nothing is read that the host's size does not cover: the copies are exact, for the sanitizer. */
static void test_quote_sizes(void **state)
{
    static const long wrong[] = {
        0,    1,    47,    48,        432,       435,      -1,
        -133, -134, -4096, INT64_MIN, INT64_MAX, 1l << 32, (1l << 32) + V3_SIZE,
        32769};
    uint8_t report[432] = {0};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        size_t room = wrong[i] > 0 && wrong[i] < 32768 ? (size_t)wrong[i] : 1;
        uint8_t *quote = calloc(1, room);
        quote[0] = 3;
        long r = claim_quote(quote, wrong[i], (uint32_t)room, report);
        assert_true(r < 0 && r >= -133);
        free(quote);
    }
}

/* ---- the files ---- */

static void *mem(uint64_t at)
{
    return (void *)(scratch + at);
}

static long open_file(const char *path, int flags)
{
    strcpy(mem(0), path);
    return call(__NR_openat, FDCWD, scratch, flags, 0);
}

static long slurp(const char *path, void *out, size_t size)
{
    long fd = open_file(path, O_RDONLY);
    if (fd < 0)
        return fd;
    long n, at = 0;
    while ((n = call(__NR_read, fd, scratch + 4096, 1000)) > 0) {
        assert_true((size_t)(at + n) <= size);
        memcpy((uint8_t *)out + at, mem(4096), (size_t)n);
        at += n;
    }
    assert_int_equal(call(__NR_close, fd), 0);
    return n < 0 ? n : at;
}

static long put(const char *path, const void *data, size_t size)
{
    long fd = open_file(path, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    memcpy(mem(4096), data, size);
    long n = call(__NR_write, fd, scratch + 4096, size);
    assert_int_equal(call(__NR_close, fd), 0);
    return n;
}

#define DIR "/dev/attestation/"

static void test_files(void **state)
{
    static uint8_t out[32768], want[64];
    memset(want, 0x33, sizeof(want));
    assert_int_equal(put(DIR "user_report_data", want, 64), 64);
    assert_int_equal(slurp(DIR "user_report_data", out, sizeof(out)), 64);
    assert_memory_equal(out, want, 64);
    assert_int_equal(slurp(DIR "report", out, sizeof(out)), 432);
    assert_memory_equal(out + 320, want, 64);
    assert_int_equal(slurp(DIR "quote", out, sizeof(out)), V3_SIZE);
    assert_memory_equal(out + 48 + 320, want, 64);
    /* shorter data ends with zeros; longer is no data */
    assert_int_equal(put(DIR "user_report_data", "abc", 3), 3);
    memset(want, 0, sizeof(want));
    memcpy(want, "abc", 3);
    assert_int_equal(slurp(DIR "quote", out, sizeof(out)), V3_SIZE);
    assert_memory_equal(out + 48 + 320, want, 64);
    assert_int_equal(put(DIR "user_report_data", out, 65), -EINVAL);
    assert_int_equal(slurp(DIR "my_target_info", out, sizeof(out)), 512);
    assert_int_equal(out[0], 0x5e); /* MRENCLAVE */
    assert_int_equal(out[200], 0);
    assert_int_equal(put(DIR "target_info", out, 512), 512);
    assert_int_equal(put(DIR "target_info", out, 513), -EINVAL);
    assert_int_equal(slurp(DIR "attestation_type", out, sizeof(out)), 4);
    assert_memory_equal(out, "dcap", 4);
    assert_int_equal(slurp(DIR "keys", out, sizeof(out)), -EISDIR);
    assert_int_equal(slurp(DIR "keys/_sgx_mrenclave", out, sizeof(out)), 16);
    assert_int_equal(out[0], 0xc5); /* bound to the launch config: nothing here is locked */
    settings.locked = true;
    assert_int_equal(slurp(DIR "keys/_sgx_mrenclave", out, sizeof(out)), 16);
    assert_int_equal(out[15], 0x5c);
    settings.locked = false;
    assert_int_equal(slurp(DIR "keys/_sgx_mrsigner", out, sizeof(out)), -ENOENT);
    assert_int_equal(open_file(DIR "new", O_WRONLY | O_CREAT), -ENOENT);
}

static void test_files_listed(void **state)
{
    long fd = open_file("/dev/attestation", O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    long n = call(__NR_getdents64, fd, scratch + 4096, 4096);
    assert_true(n > 0);
    assert_non_null(memmem(mem(4096), (size_t)n, "user_report_data", 17));
    assert_non_null(memmem(mem(4096), (size_t)n, "quote", 6));
    call(__NR_close, fd);
}

/* Whatever the host answers: an errno, and nothing of it is shown. */
static void test_quote_lies(void **state)
{
    static const long lies[] = {0, 1, 435, 32769, 1l << 33, -1, -19, -4096, INT64_MIN, INT64_MAX};
    static uint8_t out[32768], garbage[32768];
    for (size_t i = 0; i < ARRAY_COUNT(lies); i++) {
        unit_host.lies = true;
        unit_host.lie = lies[i];
        long r = slurp(DIR "quote", out, sizeof(out));
        unit_host.lies = false;
        assert_true(r < 0 && r >= -133);
    }
    memset(garbage, 0x41, sizeof(garbage));
    for (uint32_t size = 0; size <= sizeof(garbage); size += 1024) {
        unit_host.quote = garbage;
        unit_host.quote_size = size;
        assert_int_equal(slurp(DIR "quote", out, sizeof(out)), -EPROTO);
    }
    unit_host.quote = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quote_is_ours), cmocka_unit_test(test_quote_v5),
        cmocka_unit_test(test_quote_sizes),   cmocka_unit_test(test_files),
        cmocka_unit_test(test_files_listed),  cmocka_unit_test(test_quote_lies),
    };
    return cmocka_run_group_tests_name("libos_attest", tests, setup, NULL);
}
