// SPDX-License-Identifier: Apache-2.0
// What the launcher writes and answers: launch config, config disk, TDREPORT, firmware tables.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/sha.h>

#include <shelter/boot.h>
#include <shelter/manifest.h>
#include <shelter/simtd.h>

#include "host/launch/launch_write.h"
#include "host/launch/qemu/parts.h"
#include "tests/launch_values.h"

static void test_launch(void **state)
{
    struct sh_launch l = {0};
    struct sh_buffer out = {0};
    struct sh_error err = {0};
    uint8_t digest[48], want[48];
    assert_int_equal(sh_launch_write(&l, &out, digest, &err), 0);
    assert_int_equal(out.size, strlen(SH_LAUNCH_HEAD SH_LAUNCH_TAIL));
    assert_memory_equal(out.data, SH_LAUNCH_HEAD SH_LAUNCH_TAIL, out.size);
    sh_buffer_free(&out);

    out = (struct sh_buffer){0};
    sh_strings_add(&l.args, "/bin/sh");
    sh_strings_add(&l.args, "");
    sh_strings_add(&l.args, "100% 'quoted'\n\xc3\xa9\x7f");
    sh_strings_add(&l.env, "A=1");
    sh_strings_add(&l.mounts, "share0 ro /data");
    sh_strings_add(&l.ports, "tcp 80");
    sh_strings_add(&l.limits, "7 20 30");
    l.workdir = "/w";
    l.user = "1:2";
    l.hostname = "h";
    l.tty = l.has_stdin = l.debug = l.read_only = true;
    l.network = "dhcp";
    l.broker = "http://10.0.2.2:8080";
    l.memory = 1ull << 40;
    l.cpus = 3;
    assert_int_equal(sh_launch_write(&l, &out, digest, &err), 0);
    static const char text[] = SH_LAUNCH_HEAD "arg /bin/sh\n"
                                              "arg \n"
                                              "arg 100%25 %27quoted%27%0A%C3%A9%7F\n"
                                              "env A=1\n"
                                              "workdir /w\n"
                                              "user 1:2\n"
                                              "hostname h\n"
                                              "tty 1\n"
                                              "stdin 1\n"
                                              "mount share0 ro /data\n"
                                              "readonly 1\n"
                                              "limit 7 20 30\n"
                                              "network dhcp\n"
                                              "port tcp 80\n"
                                              "broker http://10.0.2.2:8080\n"
                                              "memory 1099511627776\n"
                                              "cpus 3\n"
                                              "debug 1\n" SH_LAUNCH_TAIL;
    assert_int_equal(out.size, sizeof(text) - 1);
    assert_memory_equal(out.data, text, out.size);
    SHA384((const uint8_t *)text, sizeof(text) - 1, want);
    assert_memory_equal(digest, want, 48);
    char value[64];
    assert_int_equal(sh_launch_get(out.data, out.size, SH_LAUNCH_ARG, 2, value, sizeof(value)), 17);
    assert_string_equal(value, l.args.v[2]);
    sh_buffer_free(&out);

    /* Too much is an error, not a cut. */
    out = (struct sh_buffer){0};
    char *large = sh_alloc(SH_LAUNCH_SIZE_MAX + 1);
    memset(large, 'x', SH_LAUNCH_SIZE_MAX);
    sh_strings_add(&l.env, large);
    assert_int_equal(sh_launch_write(&l, &out, digest, &err), -E2BIG);
    free(large);
    sh_buffer_free(&out);
    sh_launch_free(&l);
}

static void test_config_disk(void **state)
{
    struct sh_error err = {0};
    char dir[] = "/tmp/shelter-unit.XXXXXX";
    uint8_t *data, manifest[5000];
    size_t size;
    assert_non_null(mkdtemp(dir));
    cleanup_close int fd = open(dir, O_RDONLY | O_DIRECTORY);
    memset(manifest, 'm', sizeof(manifest));
    assert_int_equal(
        sh_qemu_write_config_disk(fd, "c", manifest, sizeof(manifest), "launch", 6, &err), 0);
    assert_int_equal(sh_read_file(fd, "c", 1 << 20, &data, &size, &err), 0);
    assert_int_equal(size, 8192);
    assert_memory_equal(data, SH_BOOT_CONFIG_MAGIC, 8);
    assert_int_equal(sh_le32(data + 8), 5000);
    assert_int_equal(sh_le32(data + 12), 6);
    assert_memory_equal(data + 16, manifest, 5000);
    assert_memory_equal(data + 16 + 5000, "launch", 6);
    for (size_t i = 16 + 5006; i < size; i++)
        assert_int_equal(data[i], 0);
    free(data);
    /* Filled to the last byte there is no block of padding. */
    assert_int_equal(sh_qemu_write_config_disk(fd, "c", manifest, 4096 - 16, "", 0, &err), 0);
    assert_int_equal(sh_read_file(fd, "c", 1 << 20, &data, &size, &err), 0);
    assert_int_equal(size, 4096);
    free(data);
    assert_int_equal(
        sh_qemu_write_config_disk(fd, "c", manifest, SH_MANIFEST_SIZE_MAX + 1, "", 0, &err),
        -E2BIG);
    sh_remove_tree(AT_FDCWD, dir);
}

static void test_simtd(void **state)
{
    struct sh_td_measurement m;
    struct sh_simtd_request request = {.magic = SH_SIMTD_MAGIC};
    struct sh_simtd_reply a, b;
    uint8_t hash[48], zero[1024] = {0};
    for (size_t i = 0; i < sizeof(m); i++)
        ((uint8_t *)&m)[i] = (uint8_t)(i * 3 + 1);
    for (int i = 0; i < 64; i++)
        request.report_data[i] = (uint8_t)(200 - i);
    sh_simtd_answer(&m, &request, &a);
    assert_int_equal(a.magic, SH_SIMTD_MAGIC);
    assert_int_equal(a.status, 0);
    const uint8_t *r = a.report, *td = a.report + SH_TDREPORT_TDINFO;
    assert_int_equal(r[0], 0x81);
    assert_memory_equal(r + 128, request.report_data, 64);
    assert_memory_equal(td + SH_TDINFO_MRTD, m.mrtd, 48);
    assert_memory_equal(td + SH_TDINFO_MRCONFIGID, m.mrconfigid, 48);
    assert_memory_equal(td + SH_TDINFO_MROWNER, zero, 96);
    assert_memory_equal(td + SH_TDINFO_RTMR, m.rtmr, 192);
    assert_int_equal(sh_le64(td) & 1, 0); /* not a debug TD */
    assert_true(sh_le64(td) >> 28 & 1);   /* SEPT_VE_DISABLE */
    /* The report ties its parts together: hash of TDINFO, hash of TEE_TCB_INFO, MAC over all. */
    SHA384(td, 512, hash);
    assert_memory_equal(r + 80, hash, 48);
    SHA384(r + 256, 239, hash);
    assert_memory_equal(r + 32, hash, 48);
    assert_memory_not_equal(r + 224, zero, 32);
    sh_simtd_answer(&m, &request, &b);
    assert_memory_equal(&a, &b, sizeof(a));
    request.report_data[0] ^= 1;
    sh_simtd_answer(&m, &request, &b);
    assert_memory_not_equal(a.report + 224, b.report + 224, 32);
    /* RTMR3, and nothing else, is extended. */
    struct sh_td_measurement extended = m;
    uint8_t both[96];
    memcpy(both, m.rtmr[3], 48);
    memcpy(both + 48, request.report_data, 48);
    SHA384(both, 96, hash);
    sh_simtd_extend(&extended, &request, &b);
    assert_int_equal(b.status, 0);
    assert_memory_equal(b.report + SH_TDREPORT_TDINFO + SH_TDINFO_RTMR + 144, hash, 48);
    memcpy(extended.rtmr[3], m.rtmr[3], 48);
    assert_memory_equal(&extended, &m, sizeof(m));
    /* What is no request is not answered with a report. */
    request.kind = 1;
    sh_simtd_answer(&m, &request, &b);
    assert_int_equal(b.status, EINVAL);
    assert_memory_equal(b.report, zero, 1024);
    request.kind = 0;
    request.magic ^= 1;
    sh_simtd_answer(&m, &request, &b);
    assert_int_equal(b.status, EINVAL);
}

/* --- firmware: a GUIDed table as OVMF has it --- */

static const uint8_t table[16] = {0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45,
                                  0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d};
static const uint8_t hashes[16] = {0x1f, 0x37, 0x55, 0x72, 0x3b, 0x3a, 0x04, 0x4b,
                                   0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4, 0x54};
static const uint8_t tdx[16] = {0x35, 0x65, 0x7a, 0xe4, 0x4a, 0x98, 0x98, 0x47,
                                0x86, 0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e, 0xc2};
#define FW_SIZE 4096u
#define FOOTER (FW_SIZE - 32 - 16)

/* Entries (lowest address first): hash table with 8 bytes of data, then TDX with 4. */
static void make_firmware(uint8_t *fw)
{
    memset(fw, 0xee, FW_SIZE);
    memcpy(fw + FOOTER, table, 16);
    sh_put_le16(fw + FOOTER - 2, 18 + 22 + 26);
    uint8_t *end = fw + FOOTER - 2;
    memcpy(end - 16, tdx, 16);
    sh_put_le16(end - 18, 22);
    sh_put_le32(end - 22, 64); /* offset of the metadata from the end */
    end -= 22;
    memcpy(end - 16, hashes, 16);
    sh_put_le16(end - 18, 26);
    sh_put_le32(end - 26, 0x80fc00); /* address */
    sh_put_le32(end - 22, 0x400);    /* size */
}

static int ask(const uint8_t *fw, size_t size, int (*question)(const char *, struct sh_error *))
{
    struct sh_error err = {0};
    char path[] = "/tmp/shelter-unit.XXXXXX";
    cleanup_close int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(sh_write_all(fd, fw, size), 0);
    int r = question(path, &err);
    if (r)
        assert_non_null(strstr(err.text, "use the one of ovmf-"));
    unlink(path);
    return r;
}

static void test_firmware(void **state)
{
    uint8_t fw[FW_SIZE];
    make_firmware(fw);
    assert_int_equal(ask(fw, FW_SIZE, sh_qemu_firmware_has_hash_table), 0);
    assert_int_equal(ask(fw, FW_SIZE, sh_qemu_firmware_has_tdx), 0);
    /* As OVMF builds that measure no kernel have it: the entry with address zero. */
    sh_put_le32(fw + FOOTER - 2 - 22 - 26, 0);
    assert_int_equal(ask(fw, FW_SIZE, sh_qemu_firmware_has_hash_table), -EBADMSG);
    make_firmware(fw);
    sh_put_le32(fw + FOOTER - 2 - 22, FW_SIZE + 1);
    assert_int_equal(ask(fw, FW_SIZE, sh_qemu_firmware_has_tdx), -EBADMSG);
    make_firmware(fw);
    fw[FOOTER - 2 - 22 - 16] ^= 1;
    assert_int_equal(ask(fw, FW_SIZE, sh_qemu_firmware_has_hash_table), -EBADMSG);
    assert_int_equal(ask(fw, FW_SIZE, sh_qemu_firmware_has_tdx), 0);
    /* An entry outside the table does not count: here the table ends before it. */
    make_firmware(fw);
    sh_put_le16(fw + FOOTER - 2, 18 + 22);
    assert_int_equal(ask(fw, FW_SIZE, sh_qemu_firmware_has_hash_table), -EBADMSG);
    /* Lying sizes: zero (would loop for ever), smaller than a header, beyond the table, wild table.
     */
    static const uint16_t lies[] = {0, 17, 23 + 26, 0xffff};
    for (size_t i = 0; i < 4; i++) {
        make_firmware(fw);
        sh_put_le16(fw + FOOTER - 2 - 18, lies[i]);
        assert_int_equal(ask(fw, FW_SIZE, sh_qemu_firmware_has_hash_table), -EBADMSG);
        make_firmware(fw);
        sh_put_le16(fw + FOOTER - 2, i == 2 ? 4096 : lies[i]);
        assert_int_equal(ask(fw, FW_SIZE, sh_qemu_firmware_has_hash_table), -EBADMSG);
    }
    make_firmware(fw);
    for (size_t size = 0; size < FW_SIZE; size += size < 128 ? 1 : 509)
        assert_int_equal(ask(fw + FW_SIZE - size, size, sh_qemu_firmware_has_hash_table), -EBADMSG);
    memset(fw, 0, FW_SIZE);
    assert_int_equal(ask(fw, FW_SIZE, sh_qemu_firmware_has_hash_table), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_launch),
        cmocka_unit_test(test_config_disk),
        cmocka_unit_test(test_simtd),
        cmocka_unit_test(test_firmware),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
