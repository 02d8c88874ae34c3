// SPDX-License-Identifier: Apache-2.0
// A large volume in a sparse file, by trusted/volume itself: how long and how many calls it takes
// to open after a close and after a kill, what random writes cost on the disk, and what the file
// takes.
//   volume-large FILE GIB USED_MIB RANDOM_WRITES
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host/store/volume_owner.h"
#include "trusted/volume/crypt.h"
#include "trusted/volume/volume.h"

#define FILE_SIZE (1ull << 30)

static int fd;
static uint64_t reads, writes, flushes, read_calls;
static uint64_t state = 1;
static uint8_t buf[VOLUME_WRITE_MAX];
static const uint8_t key[VOLUME_KEY_SIZE] = "a key for benchmarks, 32 bytes..";

static uint64_t roll(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static void must(const char *what, int good)
{
    if (!good) {
        perror(what);
        exit(1);
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int read_blocks(void *ctx, uint64_t block, void *to, uint32_t count)
{
    read_calls++;
    reads += count;
    return pread(fd, to, count * 4096ul, (off_t)(block * 4096)) == count * 4096l ? 0 : -EIO;
}

static int write_blocks(void *ctx, uint64_t block, const void *from, uint32_t count)
{
    writes += count;
    return pwrite(fd, from, count * 4096ul, (off_t)(block * 4096)) == count * 4096l ? 0 : -EIO;
}

static int flush_blocks(void *ctx)
{
    flushes++;
    return fdatasync(fd) ? -EIO : 0;
}

static void discard_blocks(void *ctx, uint64_t block, uint64_t count)
{
    (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(block * 4096),
                    (off_t)(count * 4096));
}

static int random_bytes(void *ctx, void *to, size_t size)
{
    return getrandom(to, size, 0) == (ssize_t)size ? 0 : -EIO;
}

static int64_t now_ns(void *ctx)
{
    return (int64_t)time(NULL) * 1000000000;
}

static void *memory;
static struct volume_disk disk = {.read_blocks = read_blocks,
                                  .write_blocks = write_blocks,
                                  .flush_blocks = flush_blocks,
                                  .discard_blocks = discard_blocks,
                                  .random_bytes = random_bytes,
                                  .now_ns = now_ns};

static struct volume *open_timed(const char *when)
{
    struct volume *v;
    reads = writes = flushes = read_calls = 0;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    double begin = now();
    must("volume_open", !volume_open(&disk, key, 0, memory, VOLUME_MEMORY, &v));
    printf("opened after %s: %.1f ms, %lu blocks read in %lu calls, %lu written, %lu flushes\n",
           when, now() - begin, reads, read_calls, writes, flushes);
    return v;
}

static uint64_t pick_file(uint64_t files, uint64_t *at)
{
    *at = roll() % (FILE_SIZE / 4096) * 4096;
    return 3 + roll() % files; /* inode numbers */
}

int main(int argc, char **argv)
{
    must("volume-large FILE GIB USED_MIB RANDOM_WRITES", argc == 5);
    uint64_t gib = strtoull(argv[2], NULL, 0), used = strtoull(argv[3], NULL, 0) << 20, ino, at;
    uint64_t count = strtoull(argv[4], NULL, 0);
    uint64_t files = (used + FILE_SIZE - 1) / FILE_SIZE;
    struct volume *v;
    struct stat st;
    fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
    must(argv[1], fd >= 0 && !ftruncate(fd, (off_t)(gib << 30)));
    disk.blocks = gib << 18;
    memory = mmap(NULL, VOLUME_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    crypt_init(__builtin_cpu_supports("avx") && __builtin_cpu_supports("movbe"));
    must("memory", memory != MAP_FAILED);
    must("volume_start", !volume_start(&disk, key, "large", 0, memory, VOLUME_MEMORY, &v));
    for (size_t i = 0; i < sizeof(buf); i++)
        buf[i] = (uint8_t)roll();
    writes = 0;
    for (uint64_t f = 0; f < files; f++) {
        char name[20];
        snprintf(name, sizeof(name), "file%lu", f);
        must("volume_make",
             !volume_make(v, VOLUME_ROOT, (struct volume_name){name, strlen(name)}, 0100600,
                          (struct volume_owner){0, 0}, 0, (struct volume_name){NULL, 0}, &ino));
        for (at = 0; at < FILE_SIZE && f * FILE_SIZE + at < used; at += sizeof(buf))
            must("volume_write", !volume_write(v, ino, at, buf, sizeof(buf)));
    }
    must("volume_close", !volume_close(v, NULL));
    printf("%lu GiB, %lu MiB used, with %u MiB of memory: %.3f blocks written for one of data\n",
           gib, used >> 20, VOLUME_MEMORY >> 20, (double)writes / (double)(used / 4096));

    v = open_timed("a close");
    writes = 0;
    double begin = now();
    for (uint64_t i = 0; i < count; i++) {
        ino = pick_file(files, &at);
        must("volume_write", !volume_write(v, ino, at % used, buf, 4096));
        if (i % 16384 == 0) /* as after five seconds */
            must("volume_commit", !volume_commit(v));
    }
    must("volume_sync", !volume_sync(v));
    must("volume_commit", !volume_commit(v));
    printf(
        "random writes of 4 KiB, synced at the end: %.0f a second, %.3f blocks written for one\n",
        (double)count / (now() - begin) * 1e3, (double)writes / (double)count);
    must("fstat", !fstat(fd, &st));
    printf("the file takes %.3f times what is in it\n", (double)st.st_blocks * 512 / (double)used);

    /* As much in the log as it holds, then as if killed. */
    struct volume_state before, after;
    volume_state(v, &before);
    unsigned synced = 0;
    for (;;) {
        ino = pick_file(files, &at);
        must("volume_write", !volume_write(v, ino, at % used, buf, 4000) && !volume_sync(v));
        volume_state(v, &after);
        if (after.sequence != before.sequence && synced > 100)
            break;
        if (after.sequence != before.sequence || after.log_count > 2000) {
            if (after.log_count > 2000)
                break;
            before = after;
        }
        synced++;
    }
    printf("killed with %u blocks in the log\n", after.log_count);
    volume_abandon(v);
    v = open_timed("a kill");
    must("volume_close", !volume_close(v, NULL));
    v = open_timed("a close again");
    printf("volume check: %ld faults\n", used >> 20 < 2048 ? volume_check(v, NULL, NULL) : 0);
    must("volume_close", !volume_close(v, NULL));
    return unlink(argv[1]) ? 1 : 0;
}
