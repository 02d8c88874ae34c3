// SPDX-License-Identifier: Apache-2.0
// Measurement of the simulated TD. The long constants were computed by tests/e2e/td_measure.py, an
// implementation of its own.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/hex.h"
#include "lib/sha2.h"
#include "verifier/measure/sim.h"

#define ROM_SIZE 8192u

static void is(const uint8_t digest[48], const char *want)
{
    char text[97];
    sh_hex(text, digest, 48);
    assert_string_equal(text, want);
}

static void make_rom(uint8_t *rom)
{
    for (unsigned i = 0; i < ROM_SIZE; i++)
        rom[i] = (uint8_t)(i * 7 + (i >> 8));
}

static struct sh_view view(const void *data, size_t size)
{
    return (struct sh_view){.data = data, .size = size};
}

static void test_mrtd(void **state)
{
    uint8_t rom[ROM_SIZE], d[48];
    make_rom(rom);
    assert_int_equal(sh_sim_mrtd(d, rom, ROM_SIZE, (1ull << 32) - ROM_SIZE), 0);
    is(d, "7e71e798aeb786f4946ff37ce8a4874e6176f00006bfedec635cf3c4215b5f6c"
          "3edad5a2dcd0c147467e797e63e4302e");
    /* The same bytes elsewhere are another TD. */
    uint8_t other[48];
    assert_int_equal(sh_sim_mrtd(other, rom, ROM_SIZE, 0), 0);
    assert_memory_not_equal(d, other, 48);
    assert_int_equal(sh_sim_mrtd(d, rom, 0, 0), -EBADMSG);
    assert_int_equal(sh_sim_mrtd(d, rom, 4097, 0), -EBADMSG);
    assert_int_equal(sh_sim_mrtd(d, rom, 4096, 1), -EBADMSG);
    assert_int_equal(sh_sim_mrtd(d, rom, 8192, UINT64_MAX - 4095), -EBADMSG);
}

static void test_extend(void **state)
{
    uint8_t rtmr[48] = {0}, d[48];
    sh_sha384(d, "abc", 3);
    sh_sim_extend(rtmr, d);
    sh_sha384(d, "", 0);
    sh_sim_extend(rtmr, d);
    is(rtmr, "a4d392030aec0188324dac645cac0391f996c9a913563092cd9d7c55c3d86c0f"
             "109053c37d2974da85660814bf359bed");
}

static const char kernel[] = "kernel bytes", initramfs[] = "initramfs bytes";

static struct sh_sim_input pvh(const uint8_t *rom)
{
    return (struct sh_sim_input){
        .firmware = view(rom, ROM_SIZE),
        .kernel = view(kernel, sizeof(kernel) - 1),
        .initramfs = view(initramfs, sizeof(initramfs) - 1),
        .command_line = "console=x e",
        .memory = 0x20000000,
        .cpus = 3,
    };
}

static void test_pvh(void **state)
{
    uint8_t rom[ROM_SIZE], zero[48] = {0};
    make_rom(rom);
    struct sh_sim_input in = pvh(rom);
    struct sh_td_measurement m, again;
    assert_int_equal(sh_sim_measure(&in, &m), 0);
    is(m.mrtd, "7e71e798aeb786f4946ff37ce8a4874e6176f00006bfedec635cf3c4215b5f6c"
               "3edad5a2dcd0c147467e797e63e4302e");
    is(m.rtmr[0], "aee491aa854c81638b6ada1ef107d1e90874593995eb9d1217bf9792e49963d0"
                  "34f9166af80762834286cffb32f414dd");
    is(m.rtmr[1], "99ba75bd4a5a535ee746855ce18fdf040ceb51cd76bd67abe20ba4a518db81e5"
                  "8d5d6897c36bc193a60d67d26eb5abc0");
    is(m.rtmr[2], "d8acf104483f5ff7411fbd7772b490c22fbb0727a7b05c9652f221046d29823c"
                  "90d005244c4719365664cc98286a082f");
    assert_memory_equal(m.rtmr[3], zero, 48);
    assert_memory_equal(m.mrconfigid, zero, 48);
    assert_int_equal(sh_sim_measure(&in, &again), 0);
    assert_memory_equal(&m, &again, sizeof(m));
}

/* Each input moves its own register and no other. */
static void test_one_byte(void **state)
{
    uint8_t rom[ROM_SIZE], other_rom[ROM_SIZE];
    make_rom(rom);
    memcpy(other_rom, rom, ROM_SIZE);
    other_rom[ROM_SIZE - 1] ^= 1;
    static const char other_kernel[] = "kernel bytez", other_initramfs[] = "initramfs bytez";
    const struct sh_sim_input base = pvh(rom);
    struct sh_td_measurement a, b;
    assert_int_equal(sh_sim_measure(&base, &a), 0);
    for (int what = 0; what < 7; what++) {
        struct sh_sim_input in = base;
        int moved = -1; /* MRTD */
        if (what == 0) {
            in.firmware.data = other_rom;
        } else if (what == 1) {
            in.memory += 4096;
            moved = 0;
        } else if (what == 2) {
            in.cpus++;
            moved = 0;
        } else if (what == 3) {
            in.kernel.data = (const uint8_t *)other_kernel;
            moved = 1;
        } else if (what == 4) {
            in.command_line = "console=x f";
            moved = 2;
        } else if (what == 5) {
            in.initramfs.data = (const uint8_t *)other_initramfs;
            moved = 2;
        } else {
            in.initramfs.size--;
            moved = 2;
        }
        assert_int_equal(sh_sim_measure(&in, &b), 0);
        assert_int_equal(memcmp(a.mrtd, b.mrtd, 48) != 0, moved == -1);
        for (int i = 0; i < 4; i++)
            assert_int_equal(memcmp(a.rtmr[i], b.rtmr[i], 48) != 0, moved == i);
    }
}

#define PE_SIZE 0x2000u

/* Two sections out of order, bytes behind them, and an attribute certificate at the end. */
static void make_pe(uint8_t *pe)
{
    memset(pe, 0, PE_SIZE);
    for (unsigned n = 0x1000; n < PE_SIZE; n++)
        pe[n] = (uint8_t)(n * 13);
    memcpy(pe, "MZ", 2);
    sh_put_le32(pe + 0x3c, 0x40);
    memcpy(pe + 0x40, "PE\0\0", 4);
    sh_put_le16(pe + 0x44, 0x8664);
    sh_put_le16(pe + 0x46, 2);
    sh_put_le16(pe + 0x54, 240);
    uint8_t *o = pe + 0x58, *s = o + 240;
    sh_put_le16(o, 0x20b);
    sh_put_le32(o + 60, 0x1000);
    sh_put_le32(o + 64, 0xdeadbeef);
    sh_put_le32(o + 108, 16);
    sh_put_le32(o + 144, 0x1f00);
    sh_put_le32(o + 148, 0x100);
    sh_put_le32(s + 16, 0x800);
    sh_put_le32(s + 20, 0x1600);
    sh_put_le32(s + 56, 0x600);
    sh_put_le32(s + 60, 0x1000);
}

static void test_authenticode(void **state)
{
    uint8_t pe[PE_SIZE], d[48], other[48];
    static const char want[] = "1d3ea2909582ef87ce2eed420e70d9f3b35411d63a3cc55739e9482313812fab"
                               "c22a0e6d1ef8acb1f2fed57bddf2f9a4";
    make_pe(pe);
    assert_int_equal(sh_sim_authenticode(d, pe, PE_SIZE), 0);
    is(d, want);
    /* Checksum, certificate entry and certificate may change, nothing else. */
    static const unsigned free_bytes[] = {0x58 + 64, 0x58 + 144, 0x1f00, 0x1fff};
    for (unsigned i = 0; i < 4; i++) {
        make_pe(pe);
        pe[free_bytes[i]] ^= 1;
        assert_int_equal(sh_sim_authenticode(d, pe, PE_SIZE), 0);
        is(d, want);
    }
    static const unsigned bound[] = {2,      0x58 + 2, 0x148,  0xfff, 0x1000,
                                     0x1600, 0x1dff,   0x1e00, 0x1eff};
    sh_unhex(d, 48, want);
    for (unsigned i = 0; i < sizeof(bound) / sizeof(bound[0]); i++) {
        make_pe(pe);
        pe[bound[i]] ^= 1;
        assert_int_equal(sh_sim_authenticode(other, pe, PE_SIZE), 0);
        assert_memory_not_equal(d, other, 48);
    }
}

/* Truncated anywhere, and with every header byte turned: an error or a digest, never a wild read
 * (the sanitizer watches). */
static void test_broken_pe(void **state)
{
    uint8_t *pe = malloc(PE_SIZE), d[48];
    make_pe(pe);
    for (size_t size = 0; size < PE_SIZE; size += size < 0x200 ? 1 : 61) {
        uint8_t *exact = malloc(size + 1);
        memcpy(exact, pe, size);
        uint8_t *tight = realloc(exact, size ? size : 1);
        int r = sh_sim_authenticode(d, tight, size);
        if (size < 0x1e00)
            assert_int_equal(r, -EBADMSG);
        free(tight);
    }
    static const uint8_t flips[] = {0x01, 0x80, 0xff};
    for (unsigned at = 0; at < 0x200; at++)
        for (unsigned f = 0; f < 3; f++) {
            make_pe(pe);
            pe[at] ^= flips[f];
            int r = sh_sim_authenticode(d, pe, PE_SIZE);
            assert_true(r == 0 || r == -EBADMSG);
        }
    free(pe);
}

static void make_bzimage(uint8_t *k)
{
    make_pe(k);
    memcpy(k + 0x202, "HdrS", 4);
    sh_put_le16(k + 0x206, 0x20f);
    k[0x211] = 1;
    sh_put_le32(k + 0x22c, 0x7fffffff);
    sh_put_le16(k + 0x236, 3);
}

static void test_bzimage(void **state)
{
    uint8_t k[PE_SIZE], rom[ROM_SIZE];
    struct sh_td_measurement a, b;
    make_bzimage(k);
    assert_int_equal(sh_sim_patch_bzimage(k, PE_SIZE, 0x10000000, 0x5001), 0);
    assert_int_equal(k[0x210], 0xb0);
    assert_int_equal(k[0x211], 0x81);
    assert_int_equal(sh_le16(k + 0x224), 0xfe00);
    assert_int_equal(sh_le32(k + 0x228), 0x20000);
    assert_int_equal(sh_le32(k + 0x218), (0x10000000 - 0x28000 - 1 - 0x5001) & ~4095u);
    assert_int_equal(sh_le32(k + 0x21c), 0x5001);
    /* Above q35's hole low memory is 2 GiB, whatever the size. */
    make_bzimage(k);
    assert_int_equal(sh_sim_patch_bzimage(k, PE_SIZE, 1ull << 40, 4096), 0);
    assert_int_equal(sh_le32(k + 0x218), (0x80000000u - 0x28000 - 1 - 4096) & ~4095u);
    make_bzimage(k);
    assert_int_equal(sh_sim_patch_bzimage(k, PE_SIZE, 0x30000, 0x9000), -EBADMSG);
    k[0x202] = 0;
    assert_int_equal(sh_sim_patch_bzimage(k, PE_SIZE, 0x10000000, 1), -EBADMSG);
    make_bzimage(k);
    assert_int_equal(sh_sim_patch_bzimage(k, 0x200, 0x10000000, 1), -EBADMSG);

    make_rom(rom);
    struct sh_sim_input in = pvh(rom);
    in.bzimage = true;
    assert_int_equal(sh_sim_measure(&in, &a), -EBADMSG); /* a text is no kernel */
    make_bzimage(k);
    in.kernel = view(k, PE_SIZE);
    assert_int_equal(sh_sim_measure(&in, &a), 0);
    /* The initramfs' size and the memory reach the kernel's header, and so RTMR1. */
    in.memory *= 2;
    assert_int_equal(sh_sim_measure(&in, &b), 0);
    assert_memory_not_equal(a.rtmr[1], b.rtmr[1], 48);
    assert_memory_equal(a.rtmr[2], b.rtmr[2], 48);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mrtd),         cmocka_unit_test(test_extend),
        cmocka_unit_test(test_pvh),          cmocka_unit_test(test_one_byte),
        cmocka_unit_test(test_authenticode), cmocka_unit_test(test_broken_pe),
        cmocka_unit_test(test_bzimage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
