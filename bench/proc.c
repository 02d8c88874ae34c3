// SPDX-License-Identifier: Apache-2.0
// What processes cost: one figure a line, "name<TAB>microseconds". Run by bench/bench-proc natively
// and inside.
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* The first one alone, too: it takes the memory that the others find. */
static void fork_touched(const char *name, size_t size, int rounds)
{
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(p, 1, size);
    double start = now_us();
    for (int i = 0; i < rounds; i++) {
        pid_t child = fork();
        if (!child)
            _exit(0);
        waitpid(child, NULL, 0);
        if (i)
            continue;
        printf("%s, the first\t%.1f\n", name, now_us() - start);
        start = now_us();
    }
    printf("%s\t%.1f\n", name, (now_us() - start) / (rounds - 1));
    munmap(p, size);
}

static void spawn_self(const char *own, int rounds)
{
    char *const args[] = {(char *)own, "nothing", NULL};
    double start = now_us();
    for (int i = 0; i < rounds; i++) {
        pid_t child;
        if (posix_spawn(&child, own, NULL, NULL, args, environ))
            exit(1);
        waitpid(child, NULL, 0);
    }
    printf("posix_spawn + exit + wait\t%.1f\n", (now_us() - start) / rounds);
}

/* A byte to and fro between parent and child, each of which changed `size` bytes: two changes of
 * residence. */
static void ping_pong(const char *name, size_t size, int rounds)
{
    int there[2], back[2];
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
         byte = 0;
    memset(p, 1, size);
    if (pipe(there) || pipe(back))
        exit(1);
    pid_t child = fork();
    if (!child) {
        memset(p, 2, size);
        for (int i = 0; i < rounds; i++) {
            if (read(there[0], &byte, 1) != 1 || write(back[1], &byte, 1) != 1)
                _exit(1);
        }
        _exit(0);
    }
    double start = now_us();
    for (int i = 0; i < rounds; i++) {
        if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
            exit(1);
    }
    printf("%s\t%.1f\n", name, (now_us() - start) / rounds);
    waitpid(child, NULL, 0);
    munmap(p, size);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return 0;
    fork_touched("fork + exit + wait, 1 MiB touched", 1ul << 20, 100);
    fork_touched("fork + exit + wait, 10 MiB", 10ul << 20, 30);
    fork_touched("fork + exit + wait, 100 MiB", 100ul << 20, 11);
    spawn_self(argv[0], 50);
    ping_pong("pipe to a fork and back, 4 KiB differ", 4096, 500);
    ping_pong("pipe to a fork and back, 1 MiB differs", 1ul << 20, 200);
    ping_pong("pipe to a fork and back, 16 MiB differ", 16ul << 20, 20);
    return 0;
}
