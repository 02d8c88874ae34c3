// SPDX-License-Identifier: Apache-2.0
// What a folder does with data: sequential and random writes and reads, small fsyncs. One line
// each: name, tab, number.
//   volume DIRECTORY MIB
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint8_t buf[1 << 20];
static uint64_t state = 1;

static uint64_t roll(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(const char *what, int good)
{
    if (!good) {
        perror(what);
        exit(1);
    }
}

static void report(const char *name, double value)
{
    printf("%s\t%.1f\n", name, value);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    must("volume DIRECTORY MIB", argc == 3 && !chdir(argv[1]));
    size_t mib = (size_t)atoi(argv[2]), blocks = mib * 256;
    for (size_t i = 0; i < sizeof(buf); i++)
        buf[i] = (uint8_t)roll();
    int fd = open("bench", O_RDWR | O_CREAT | O_TRUNC, 0600);
    must("open", fd >= 0);

    double begin = now();
    for (size_t i = 0; i < mib; i++)
        must("write", write(fd, buf, sizeof(buf)) == sizeof(buf));
    must("fsync", !fsync(fd));
    report("sequential write, MiB/s", (double)mib / (now() - begin));

    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    begin = now();
    for (size_t i = 0; i < mib; i++)
        must("read", pread(fd, buf, sizeof(buf), (off_t)(i << 20)) == sizeof(buf));
    report("sequential read, MiB/s", (double)mib / (now() - begin));

    size_t count = blocks < 20000 ? blocks : 20000;
    begin = now();
    for (size_t i = 0; i < count; i++)
        must("write", pwrite(fd, buf, 4096, (off_t)(roll() % blocks * 4096)) == 4096);
    must("fsync", !fsync(fd));
    report("random writes of 4 KiB, MiB/s", (double)count / 256 / (now() - begin));

    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    begin = now();
    for (size_t i = 0; i < count; i++)
        must("read", pread(fd, buf, 4096, (off_t)(roll() % blocks * 4096)) == 4096);
    report("random reads of 4 KiB, MiB/s", (double)count / 256 / (now() - begin));

    begin = now();
    for (size_t i = 0; i < 300; i++)
        must("write and fsync", pwrite(fd, buf, 4096, (off_t)(i * 4096)) == 4096 && !fsync(fd));
    report("4 KiB and fsync, us", (now() - begin) / 300 * 1e6);

    begin = now();
    for (unsigned i = 0; i < 2000; i++) {
        char name[32];
        snprintf(name, sizeof(name), "file.%u", i);
        int f = open(name, O_WRONLY | O_CREAT, 0600);
        must("create", f >= 0 && write(f, buf, 1000) == 1000 && !close(f));
    }
    sync();
    report("files of 1000 bytes made, 1/s", 2000 / (now() - begin));
    for (unsigned i = 0; i < 2000; i++) {
        char name[32];
        snprintf(name, sizeof(name), "file.%u", i);
        unlink(name);
    }
    close(fd);
    return unlink("bench");
}
