// SPDX-License-Identifier: Apache-2.0
// Volumes in the LibOS behind port `unit`: files on one, and a host that lies about its disk.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <asm/unistd_64.h>

#include "tests/unit/libos_start.h"
#include "trusted/libos/mm/mm.h"

/* fs/volume.h, which has the kernel's fcntl.h. */
struct volume_keeper;
int volume_mount(uint32_t number, const char *name, const uint8_t key[32], bool read_only,
                 struct volume_keeper *keeper, struct inode **root);
int volume_unmount_all(void);
int tree_mount(const char *path, struct inode *i); /* fs/file.h, likewise */

#define FDCWD ((uint64_t)-100)
#define DISK_SIZE (20ul << 20)

static const uint8_t key[32] = "a key for tests, of 32 bytes...";
static uint8_t *disk, *saved;
static uint64_t scratch;

static int setup(void **state)
{
    assert_int_equal(start_empty(), 0);
    scratch = unit_memory(1 << 20);
    disk = calloc(1, DISK_SIZE);
    saved = calloc(1, DISK_SIZE);
    return 0;
}

static uint64_t str(const char *s)
{
    static unsigned turn;
    uint64_t at = scratch + 0x80000 + (turn++ % 16) * 4096;
    assert_int_equal(user_write(at, s, strlen(s) + 1), 0);
    return at;
}

static int mount_at(const char *path)
{
    los_lock();
    struct inode *root;
    int r = volume_mount(0, "data", key, false, NULL, &root);
    if (!r)
        r = tree_mount(path, root);
    los_unlock();
    return r;
}

static int unmount(void)
{
    los_lock();
    int r = volume_unmount_all();
    los_unlock();
    return r;
}

static void set_disk(void)
{
    unit_host.volume = disk;
    unit_host.volume_size = DISK_SIZE;
    unit_host.lies = false;
    memset(disk, 0, DISK_SIZE);
}

static long open_at(const char *path, int flags)
{
    return call(__NR_openat, FDCWD, str(path), flags, 0644);
}

static void test_files(void **state)
{
    char back[16];
    set_disk();
    assert_int_equal(mount_at("/v1"), 0);
    long fd = open_at("/v1/file", O_RDWR | O_CREAT);
    assert_true(fd >= 0);
    assert_int_equal(user_write(scratch, "some text", 9), 0);
    assert_int_equal(call(__NR_write, fd, scratch, 9), 9);
    uint64_t flushes = unit_host.flushes;
    assert_int_equal(call(__NR_fsync, fd), 0);
    assert_int_equal(unit_host.flushes, flushes + 1);
    assert_int_equal(call(__NR_fsync, fd), 0); /* nothing is left to do */
    assert_int_equal(unit_host.flushes, flushes + 1);
    assert_int_equal(call(__NR_rename, str("/v1/file"), str("/v1/other")), 0);
    assert_int_equal(call(__NR_rename, str("/v1/other"), str("/other")), -EXDEV);
    assert_int_equal(call(__NR_mkdir, str("/v1/dir"), 0755), 0);
    assert_int_equal(call(__NR_rename, str("/v1/dir"), str("/v1/dir/below")), -EINVAL);
    assert_int_equal(call(__NR_pread64, fd, scratch + 100, 16, 5), 4);
    assert_int_equal(user_read(back, scratch + 100, 4), 0);
    assert_memory_equal(back, "text", 4);
    assert_int_equal(call(__NR_close, fd), 0);
    assert_int_equal(unmount(), 0);
    /* What is closed refuses. */
    assert_int_equal(open_at("/v1/dir/new", O_RDWR | O_CREAT), -EIO);
    assert_int_equal(mount_at("/v2"), 0);
    fd = open_at("/v2/other", O_RDONLY);
    assert_int_equal(call(__NR_read, fd, scratch + 200, 16), 9);
    assert_int_equal(call(__NR_close, fd), 0);
    assert_int_equal(unmount(), 0);
}

static void test_mapped(void **state)
{
    char back[8];
    set_disk();
    assert_int_equal(mount_at("/m1"), 0);
    long fd = open_at("/m1/file", O_RDWR | O_CREAT);
    assert_int_equal(call(__NR_ftruncate, fd, 10000), 0);
    uint64_t p = (uint64_t)call(__NR_mmap, 0, 10000, 3, 1, fd, 0);
    assert_int_equal(user_write(p + 5000, "mapped", 6), 0);
    assert_int_equal(call(__NR_pread64, fd, scratch, 6, 5000), 6);
    assert_int_equal(user_read(back, scratch, 6), 0);
    assert_memory_equal(back, "mapped", 6);
    assert_int_equal(user_write(scratch, "written", 7), 0);
    assert_int_equal(call(__NR_pwrite64, fd, scratch, 7, 4990), 7);
    assert_int_equal(user_read(back, p + 4990, 7), 0);
    assert_memory_equal(back, "written", 7);
    assert_int_equal(call(__NR_munmap, p, 10000), 0);
    assert_int_equal(call(__NR_close, fd), 0);
    assert_int_equal(unmount(), 0);
    assert_int_equal(mount_at("/m2"), 0);
    fd = open_at("/m2/file", O_RDONLY);
    assert_int_equal(call(__NR_pread64, fd, scratch, 6, 5000), 6);
    assert_int_equal(user_read(back, scratch, 6), 0);
    assert_memory_equal(back, "mapped", 6);
    assert_int_equal(call(__NR_close, fd), 0);
    assert_int_equal(unmount(), 0);
}

/* Answers that no honest host gives. */
static void test_lies(void **state)
{
    static const long lies[] = {-EIO, -ENOENT, -1, 0, 1, 4095, INT64_MAX, INT64_MIN, -4096};
    set_disk();
    assert_int_equal(mount_at("/l"), 0);
    assert_int_equal(unmount(), 0);
    for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        char path[16];
        snprintf(path, sizeof(path), "/l%u", i);
        unit_host.lies = true;
        unit_host.lie = lies[i];
        assert_true(mount_at(path) < 0);
        assert_true(mount_at(path) < 0);
        unit_host.lies = false;
    }
    /* In the middle of work: errors, and at the next open what was acknowledged. */
    assert_int_equal(mount_at("/l"), 0);
    long fd = open_at("/l/file", O_RDWR | O_CREAT);
    assert_int_equal(user_write(scratch, "kept", 4), 0);
    assert_int_equal(call(__NR_write, fd, scratch, 4), 4);
    assert_int_equal(call(__NR_fsync, fd), 0);
    assert_int_equal(call(__NR_write, fd, scratch, 4), 4);
    unit_host.lies = true;
    unit_host.lie = -EIO;
    assert_int_equal(call(__NR_fsync, fd), -EIO);
    unit_host.lies = false;
    assert_int_equal(call(__NR_fsync, fd), -EIO); /* not now either */
    assert_int_equal(call(__NR_write, fd, scratch, 4), -EIO);
    assert_int_equal(call(__NR_mkdir, str("/l/dir"), 0755), -EIO);
    assert_int_equal(call(__NR_close, fd), 0);
    assert_int_equal(unmount(), -EIO);
    assert_int_equal(mount_at("/l"), 0);
    fd = open_at("/l/file", O_RDONLY);
    assert_true(call(__NR_read, fd, scratch, 16) >= 4);
    assert_int_equal(call(__NR_close, fd), 0);
    assert_int_equal(unmount(), 0);
}

/* Each block flipped under the running system: an error or the right data. */
static void test_flipped(void **state)
{
    unsigned errors = 0;
    set_disk();
    assert_int_equal(mount_at("/f"), 0);
    for (unsigned i = 0; i < 40; i++) {
        char path[16];
        snprintf(path, sizeof(path), "/f/%u", i);
        long fd = open_at(path, O_RDWR | O_CREAT);
        assert_int_equal(user_write(scratch, path, 16), 0);
        assert_int_equal(call(__NR_write, fd, scratch, 16), 16);
        assert_int_equal(call(__NR_close, fd), 0);
    }
    assert_int_equal(unmount(), 0);
    memcpy(saved, disk, DISK_SIZE);
    for (uint64_t block = 0; block < 200; block++) {
        char path[16], back[16];
        snprintf(path, sizeof(path), "/g%u", (unsigned)block);
        disk[block * 4096 + block % 4096] ^= 1;
        if (mount_at(path)) {
            errors++;
        } else {
            for (unsigned i = 0; i < 40; i++) {
                char file[32], name[16] = {0};
                snprintf(file, sizeof(file), "%s/%u", path, i);
                snprintf(name, sizeof(name), "/f/%u", i);
                long fd = open_at(file, O_RDONLY);
                long n = fd < 0 ? fd : call(__NR_read, fd, scratch, 16);
                errors += n < 0;
                if (n >= 0) {
                    assert_int_equal(n, 16);
                    assert_int_equal(user_read(back, scratch, 16), 0);
                    assert_string_equal(back, name);
                    assert_int_equal(call(__NR_close, fd), 0);
                } else {
                    assert_int_equal(n, -EIO);
                }
            }
            unmount();
        }
        memcpy(disk, saved, DISK_SIZE);
    }
    assert_true(errors > 20);
}

/* More names than the tree keeps of a volume: those that nobody has open go, and are found again.
 */
static void test_many_names(void **state)
{
    char path[40];
    set_disk();
    assert_int_equal(mount_at("/many"), 0);
    assert_int_equal(call(__NR_mkdir, str("/many/dir"), 0755), 0);
    long held = open_at("/many/dir/held", O_CREAT | O_RDWR);
    assert_true(held >= 0);
    strcpy(path, "held");
    assert_int_equal(user_write(scratch, path, 5), 0);
    assert_int_equal(call(__NR_write, held, scratch, 4), 4);
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(path, sizeof(path), "/many/dir/name%05u", i);
        assert_int_equal(call(__NR_mknod, str(path), 0100000 | (i & 0777), 0), 0);
    }
    for (unsigned i = 0; i < 20000; i += 7) {
        snprintf(path, sizeof(path), "/many/dir/name%05u", i);
        assert_int_equal(call(__NR_access, str(path), 0), 0);
        assert_int_equal(call(__NR_mknod, str(path), 0100600, 0), -EEXIST);
    }
    assert_int_equal(call(__NR_pread64, held, scratch + 100, 16, 0), 4);
    assert_int_equal(call(__NR_rename, str("/many/dir/name00001"), str("/many/dir/held")), 0);
    assert_int_equal(call(__NR_unlink, str("/many/dir/name00002")), 0);
    assert_int_equal(call(__NR_access, str("/many/dir/name00002"), 0), -ENOENT);
    assert_int_equal(call(__NR_rmdir, str("/many/dir")), -ENOTEMPTY);
    assert_int_equal(call(__NR_pread64, held, scratch + 100, 16, 0), 4); /* it has no name now */
    assert_int_equal(call(__NR_close, held), 0);
    assert_int_equal(unmount(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),      cmocka_unit_test(test_mapped),
        cmocka_unit_test(test_many_names), cmocka_unit_test(test_lies),
        cmocka_unit_test(test_flipped),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
