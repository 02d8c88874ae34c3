// SPDX-License-Identifier: Apache-2.0
// TDX measurements of a made-up TDVF image and kernel against a plain second computation.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "lib/bytes.h"
#include "verifier/measure/tdx.h"

#define FIRMWARE_SIZE 16384

static void put_section(uint8_t *at, uint32_t offset, uint32_t raw, uint64_t gpa, uint64_t size,
                        uint32_t type, uint32_t attributes)
{
    sh_put_le32(at, offset);
    sh_put_le32(at + 4, raw);
    sh_put_le64(at + 8, gpa);
    sh_put_le64(at + 16, size);
    sh_put_le32(at + 24, type);
    sh_put_le32(at + 28, attributes);
}

static void make_firmware(uint8_t fw[FIRMWARE_SIZE])
{
    uint8_t *d = fw + FIRMWARE_SIZE - 2048, *end = fw + FIRMWARE_SIZE - 32;

    for (size_t i = 0; i < FIRMWARE_SIZE; i++)
        fw[i] = (uint8_t)(i * 7 + i / 256);
    memcpy(d, "TDVF", 4);
    sh_put_le32(d + 4, 16 + 32 * 4);
    sh_put_le32(d + 8, 1);
    sh_put_le32(d + 12, 4);
    put_section(d + 16, 4096, 12288, 0xffffd000, 12288, 0, 1); // BFV, measured
    put_section(d + 48, 0, 4096, 0xffffc000, 4096, 1, 0);      // CFV: added, not extended
    put_section(d + 80, 0, 0, 0x809000, 8192, 2, 0);           // TD HOB
    put_section(d + 112, 0, 0, 0x810000, 4096, 3, 1);          // zeros, extended
    memcpy(end - 16, "\xde\x82\xb5\x96\xb2\x1f\xf7\x45\xba\xea\xa3\x66\xc5\x5a\x08\x2d", 16);
    sh_put_le16(end - 18, 18 + 22);
    memcpy(end - 34, "\x35\x65\x7a\xe4\x4a\x98\x98\x47\x86\x5e\x46\x85\xa7\xbf\x8e\xc2", 16);
    sh_put_le16(end - 36, 22);
    sh_put_le32(end - 40, 2048);
}

struct log {
    uint8_t *data;
    size_t size;
};

static void put(struct log *l, const void *data, size_t size)
{
    memcpy(l->data + l->size, data, size);
    l->size += size;
}

static void add(struct log *l, uint64_t gpa)
{
    uint8_t r[128] = "MEM.PAGE.ADD";

    sh_put_le64(r + 16, gpa);
    put(l, r, 128);
}

static void extend(struct log *l, uint64_t gpa, const uint8_t *page)
{
    for (int i = 0; i < 16; i++) {
        uint8_t r[128] = "MR.EXTEND";

        sh_put_le64(r + 16, gpa + 256u * (unsigned)i);
        put(l, r, 128);
        put(l, page + 256 * i, 256);
    }
}

static void test_mrtd(void **state)
{
    static uint8_t fw[FIRMWARE_SIZE], zeros[4096];
    struct sv_tdx_params p = {.firmware = fw, .firmware_size = sizeof(fw)};
    struct sv_tdx_measurement m;
    uint8_t want[48];
    char why[128];

    make_firmware(fw);
    for (int two_pass = 0; two_pass < 2; two_pass++) {
        struct log l = {malloc(1 << 17), 0};

        for (unsigned i = 0; i < 3; i++) {
            add(&l, 0xffffd000 + 4096 * i);
            if (!two_pass)
                extend(&l, 0xffffd000 + 4096 * i, fw + 4096 + 4096 * i);
        }
        for (unsigned i = 0; two_pass && i < 3; i++)
            extend(&l, 0xffffd000 + 4096 * i, fw + 4096 + 4096 * i);
        add(&l, 0xffffc000);
        add(&l, 0x809000);
        add(&l, 0x80a000);
        add(&l, 0x810000);
        extend(&l, 0x810000, zeros);
        SHA384(l.data, l.size, want);
        p.two_pass = two_pass;
        assert_int_equal(sv_tdx_measure(&p, &m, why, sizeof(why)), 0);
        assert_memory_equal(m.mrtd, want, 48);
        assert_false(m.have_rtmr);
        free(l.data);
    }
}

// The least that is a bzImage and an EFI application: header, one section.
static void make_kernel(uint8_t *k, size_t size)
{
    for (size_t i = 0; i < size; i++)
        k[i] = (uint8_t)(i * 13);
    memset(k, 0, 0x400);
    memcpy(k, "MZ", 2);
    memcpy(k + 0x202, "HdrS", 4);
    sh_put_le16(k + 0x206, 0x20f);
    k[0x211] = 1;
    sh_put_le32(k + 0x22c, 0x7fffffff);
    sh_put_le32(k + 0x3c, 0x280);
    memcpy(k + 0x280, "PE\0\0", 4);
    sh_put_le16(k + 0x286, 1);           // sections
    sh_put_le16(k + 0x294, 112 + 8 * 6); // optional header
    sh_put_le16(k + 0x298, 0x20b);
    sh_put_le32(k + 0x298 + 60, 0x400); // size of headers
    sh_put_le32(k + 0x298 + 108, 6);    // directories
    sh_put_le32(k + 0x298 + 160 + 16, (uint32_t)size - 0x400);
    sh_put_le32(k + 0x298 + 160 + 20, 0x400);
}

static void rtmr_extend(uint8_t rtmr[48], const void *digest)
{
    uint8_t both[96];

    memcpy(both, rtmr, 48);
    memcpy(both + 48, digest, 48);
    SHA384(both, 96, rtmr);
}

static void rtmr_extend_data(uint8_t rtmr[48], const void *data, size_t size)
{
    uint8_t digest[48];

    SHA384(data, size, digest);
    rtmr_extend(rtmr, digest);
}

static void test_rtmr(void **state)
{
    static uint8_t fw[FIRMWARE_SIZE], kernel[8192], patched[8192], initrd[5000];
    struct sv_tdx_params p = {.firmware = fw,
                              .firmware_size = sizeof(fw),
                              .have_kernel = true,
                              .kernel = kernel,
                              .kernel_size = sizeof(kernel),
                              .initrd = initrd,
                              .initrd_size = sizeof(initrd),
                              .cmdline = "quiet",
                              .memory_size = 512u << 20};
    struct sv_tdx_measurement m, other;
    uint8_t digest[48], rtmr1[48] = {0}, rtmr2[48] = {0}, pe[8192];
    size_t n = 0;
    char why[128];

    make_firmware(fw);
    make_kernel(kernel, sizeof(kernel));
    assert_int_equal(sv_tdx_measure(&p, &m, why, sizeof(why)), 0);
    assert_true(m.have_rtmr);
    // What QEMU writes into the header of this kernel, by hand.
    memcpy(patched, kernel, sizeof(kernel));
    patched[0x210] = 0xb0;
    patched[0x211] |= 0x80;
    sh_put_le16(patched + 0x224, 0x20000 - 0x10000 - 0x200);
    sh_put_le32(patched + 0x228, 0x20000);
    sh_put_le32(patched + 0x218, ((512u << 20) - 0x28000 - 1 - 5000) & ~4095u);
    sh_put_le32(patched + 0x21c, 5000);
    // Authenticode: all but the checksum and the certificate table's directory entry.
    memcpy(pe, patched, 0x298 + 64);
    n = 0x298 + 64;
    memcpy(pe + n, patched + 0x298 + 68, 112 + 32 - 68);
    n += 112 + 32 - 68;
    memcpy(pe + n, patched + 0x298 + 152, sizeof(patched) - 0x298 - 152);
    n += sizeof(patched) - 0x298 - 152;
    SHA384(pe, n, digest);
    rtmr_extend(rtmr1, digest);
    rtmr_extend_data(rtmr1, "Calling EFI Application from Boot Option", 40);
    rtmr_extend_data(rtmr1, "\0\0\0", 4);
    rtmr_extend_data(rtmr1, "Exit Boot Services Invocation", 29);
    rtmr_extend_data(rtmr1, "Exit Boot Services Returned with Success", 40);
    assert_memory_equal(m.rtmr1, rtmr1, 48);
    static const char wide[] = "q\0u\0i\0e\0t\0 \0i\0n\0i\0t\0r\0d\0=\0i\0n\0i\0t\0r\0d\0\0";
    rtmr_extend_data(rtmr2, wide, sizeof(wide));
    rtmr_extend_data(rtmr2, initrd, sizeof(initrd));
    assert_memory_equal(m.rtmr2, rtmr2, 48);
    // Memory moves the initrd, and with it the kernel's digest.
    p.memory_size = 1u << 30;
    assert_int_equal(sv_tdx_measure(&p, &other, why, sizeof(why)), 0);
    assert_memory_not_equal(other.rtmr1, m.rtmr1, 48);
    assert_memory_equal(other.rtmr2, m.rtmr2, 48);
    assert_memory_equal(other.mrtd, m.mrtd, 48);
    p.cmdline = "caf\xc3\xa9";
    assert_true(sv_tdx_measure(&p, &other, why, sizeof(why)) < 0);
}

static void test_lies(void **state)
{
    uint8_t *fw = malloc(FIRMWARE_SIZE);
    struct sv_tdx_params p = {.firmware = fw, .firmware_size = FIRMWARE_SIZE};
    struct sv_tdx_measurement m;
    char why[128];

    make_firmware(fw);
    for (size_t at = FIRMWARE_SIZE - 2048; at < FIRMWARE_SIZE; at++) {
        if (at == FIRMWARE_SIZE - 2048 + 150)
            at = FIRMWARE_SIZE - 80;
        for (int bit = 0; bit < 8; bit++) {
            fw[at] ^= (uint8_t)(1 << bit);
            sv_tdx_measure(&p, &m, why, sizeof(why));
            fw[at] ^= (uint8_t)(1 << bit);
        }
    }
    for (size_t size = 0; size < FIRMWARE_SIZE; size += 512) {
        p.firmware_size = size;
        assert_true(sv_tdx_measure(&p, &m, why, sizeof(why)) < 0);
    }
    free(fw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mrtd),
        cmocka_unit_test(test_rtmr),
        cmocka_unit_test(test_lies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
