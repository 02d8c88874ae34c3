// SPDX-License-Identifier: Apache-2.0
// SNP launch digests of a made-up firmware against a plain second computation; broken firmware.
// (The published digests of sev-snp-measure are compared in tests/e2e/40-vectors.sh.)
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/sha.h>

#include "lib/bytes.h"
#include "lib/hex.h"
#include "verifier/measure/ovmf.h"
#include "verifier/measure/snp.h"
#include "verifier/measure/snp_vmsa.h"

#define FIRMWARE_SIZE 8192
#define TABLE_END (FIRMWARE_SIZE - 32)

static size_t put_entry(uint8_t *fw, size_t end, const char *guid, const void *body, size_t size)
{
    memcpy(fw + end - 16, guid, 16);
    sh_put_le16(fw + end - 18, (uint16_t)(size + 18));
    memcpy(fw + end - 18 - size, body, size);
    return end - 18 - size;
}

static const char footer[] = "\xde\x82\xb5\x96\xb2\x1f\xf7\x45\xba\xea\xa3\x66\xc5\x5a\x08\x2d";
static const char hash_table[] = "\x1f\x37\x55\x72\x3b\x3a\x04\x4b\x92\x7b\x1d\xa6\xef\xa8\xd4\x54";
static const char reset[] = "\xde\x71\xf7\x00\x7e\x1a\xcb\x4f\x89\x0e\x68\xc7\x7e\x2f\xb4\x4e";
static const char metadata[] = "\x66\x65\x88\xdc\x4a\x98\x98\x47\xa7\x5e\x55\x85\xa7\xbf\x67\xcc";

static void make_firmware(uint8_t fw[FIRMWARE_SIZE], bool hashes)
{
    uint8_t body[8], *asev = fw + 1024;
    size_t end = TABLE_END - 18;

    memset(fw, 0x5a, FIRMWARE_SIZE);
    memcpy(fw + TABLE_END - 16, footer, 16);
    sh_put_le32(body, 0x800c00);
    sh_put_le32(body + 4, 0x400);
    end = put_entry(fw, end, hash_table, body, 8);
    sh_put_le32(body, 0x80b004);
    end = put_entry(fw, end, reset, body, 4);
    sh_put_le32(body, FIRMWARE_SIZE - 1024);
    end = put_entry(fw, end, metadata, body, 4);
    sh_put_le16(fw + TABLE_END - 18, (uint16_t)(TABLE_END - end));
    memcpy(asev, "ASEV", 4);
    sh_put_le32(asev + 4, 16 + 12 * 4);
    sh_put_le32(asev + 8, 1);
    sh_put_le32(asev + 12, 4);
    static const uint32_t sections[4][3] = {
        {0x806000, 8192, 1}, {0x80d000, 4096, 2}, {0x80e000, 4096, 3}, {0x800000, 4096, 16}};
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 3; k++)
            sh_put_le32(asev + 16 + 12 * i + 4 * k, sections[i][k]);
    if (!hashes)
        sh_put_le32(asev + 16 + 36 + 8, 1);
}

static void page_info(uint8_t ld[48], uint8_t type, uint64_t gpa, const uint8_t *page)
{
    uint8_t info[112] = {0};

    memcpy(info, ld, 48);
    if (page)
        SHA384(page, 4096, info + 48);
    info[96] = 0x70;
    info[98] = type;
    sh_put_le64(info + 104, gpa);
    SHA384(info, 112, ld);
}

static void test_snp(void **state)
{
    uint8_t fw[FIRMWARE_SIZE], page[4096], want[48] = {0}, got[48], pages[48];
    struct sv_sev_params p = {.mode = SV_SEV_SNP,
                              .firmware = fw,
                              .firmware_size = sizeof(fw),
                              .vcpu_count = 3,
                              .guest_features = 1};
    char why[128];

    make_firmware(fw, true);
    assert_true(sv_vcpu_sig("EPYC-Milan", &p.vcpu_sig));
    assert_int_equal(p.vcpu_sig, 0xa00f11);
    assert_int_equal(sv_sev_measure(&p, got, why, sizeof(why)), 0);
    page_info(want, 1, 0xffffe000, fw);
    page_info(want, 1, 0xfffff000, fw + 4096);
    memcpy(pages, want, 48);
    page_info(want, 3, 0x806000, NULL);
    page_info(want, 3, 0x807000, NULL);
    page_info(want, 5, 0x80d000, NULL);
    page_info(want, 6, 0x80e000, NULL);
    page_info(want, 3, 0x800000, NULL); // no kernel: the table's page is zero
    sv_vmsa(page, 0xfffffff0, 1, 0xa00f11, SV_VMM_QEMU);
    page_info(want, 2, 0xfffffffff000, page);
    sv_vmsa(page, 0x80b004, 1, 0xa00f11, SV_VMM_QEMU);
    page_info(want, 2, 0xfffffffff000, page);
    page_info(want, 2, 0xfffffffff000, page);
    assert_memory_equal(got, want, 48);
    // The digest of the firmware's pages stands in for them.
    assert_int_equal(sv_snp_firmware_hash(fw, sizeof(fw), got, why, sizeof(why)), 0);
    assert_memory_equal(got, pages, 48);
    uint8_t counts[3][48];
    assert_int_equal(sv_snp_measure_counts(&p, counts, why, sizeof(why)), 0);
    for (p.vcpu_count = 1; p.vcpu_count <= 3; p.vcpu_count++) {
        assert_int_equal(sv_sev_measure(&p, got, why, sizeof(why)), 0);
        assert_memory_equal(got, counts[p.vcpu_count - 1], 48);
    }
    p.vcpu_count = 3;
    p.ovmf_hash = pages;
    assert_int_equal(sv_sev_measure(&p, got, why, sizeof(why)), 0);
    assert_memory_equal(got, want, 48);
}

// Everything that is measured changes the digest.
static void test_depends(void **state)
{
    uint8_t fw[FIRMWARE_SIZE], base[48], got[48];
    struct sv_sev_params p = {.mode = SV_SEV_SNP,
                              .firmware = fw,
                              .firmware_size = sizeof(fw),
                              .vcpu_count = 2,
                              .guest_features = 1,
                              .vcpu_sig = 0xa00f11,
                              .have_kernel = true};
    char why[128];

    make_firmware(fw, true);
    sv_sev_hash_cmdline("", p.cmdline_sha256);
    assert_int_equal(sv_sev_measure(&p, base, why, sizeof(why)), 0);
#define CHANGES(statement)                                                                         \
    do {                                                                                           \
        struct sv_sev_params saved = p;                                                            \
        statement;                                                                                 \
        assert_int_equal(sv_sev_measure(&p, got, why, sizeof(why)), 0);                            \
        assert_memory_not_equal(got, base, 48);                                                    \
        p = saved;                                                                                 \
    } while (0)
    CHANGES(p.vcpu_count = 1);
    CHANGES(p.vcpu_sig++);
    CHANGES(p.guest_features = 0x21);
    CHANGES(p.kernel_sha256[5] ^= 1);
    CHANGES(p.initrd_sha256[5] ^= 1);
    CHANGES(sv_sev_hash_cmdline("x", p.cmdline_sha256));
    CHANGES(p.vmm = SV_VMM_EC2);
    CHANGES(p.vmm = SV_VMM_GCE);
    CHANGES(p.have_kernel = false);
    CHANGES(fw[0] ^= 1);
    fw[0] ^= 1;
    p.mode = SV_SEV;
    assert_int_equal(sv_sev_measure(&p, base, why, sizeof(why)), 0);
    p.mode = SV_SEV_ES;
    assert_int_equal(sv_sev_measure(&p, got, why, sizeof(why)), 0);
    assert_memory_not_equal(got, base, 32);
}

static void test_refuses(void **state)
{
    uint8_t fw[FIRMWARE_SIZE], out[48];
    struct sv_sev_params p = {.mode = SV_SEV_SNP,
                              .firmware = fw,
                              .firmware_size = sizeof(fw),
                              .vcpu_count = 1,
                              .have_kernel = true};
    char why[160] = "";

    make_firmware(fw, false);
    assert_true(sv_sev_measure(&p, out, why, sizeof(why)) < 0);
    assert_non_null(strstr(why, "kernel"));
    p.have_kernel = false;
    p.vcpu_count = 0;
    assert_true(sv_sev_measure(&p, out, why, sizeof(why)) < 0);
    p.vcpu_count = 5000;
    assert_true(sv_sev_measure(&p, out, why, sizeof(why)) < 0);
    p.vcpu_count = 1;
    p.firmware_size = 4095;
    assert_true(sv_sev_measure(&p, out, why, sizeof(why)) < 0);
    uint32_t sig;
    assert_false(sv_vcpu_sig("EPYC-Naples", &sig));
    assert_false(sv_vcpu_sig("EPYC-v4x", &sig));
    assert_false(sv_vcpu_sig("0x", &sig));
    assert_true(sv_vcpu_sig("0x00a00f11", &sig));
    assert_int_equal(sig, 0xa00f11);
}

// Any byte of the table and the metadata may lie: measured or refused, never out of bounds.
static void test_lies(void **state)
{
    uint8_t *fw = malloc(FIRMWARE_SIZE), out[48];
    struct sv_sev_params p = {.mode = SV_SEV_SNP,
                              .firmware = fw,
                              .firmware_size = FIRMWARE_SIZE,
                              .vcpu_count = 2,
                              .have_kernel = true};
    char why[160];

    make_firmware(fw, true);
    for (size_t at = 1024; at < FIRMWARE_SIZE; at++) {
        if (at == 1024 + 64 + 8)
            at = FIRMWARE_SIZE - 160;
        for (int bit = 0; bit < 8; bit++) {
            fw[at] ^= (uint8_t)(1 << bit);
            sv_sev_measure(&p, out, why, sizeof(why));
            fw[at] ^= (uint8_t)(1 << bit);
        }
    }
    free(fw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snp),
        cmocka_unit_test(test_depends),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_lies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
