// SPDX-License-Identifier: Apache-2.0
// Random trees of processes, PROCESSES of them: fork, exec, threads, pipes, signals, shared
// counters. Nothing is lost; free memory does not go on falling in the last half, and no descriptor
// is left.
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct counts {
    atomic_int born, reaped, bytes, programs, threads, wrong;
} * count;
static const char *own;
static unsigned random_below(unsigned *state, unsigned n)
{
    *state = *state * 1103515245 + 12345;
    return (*state >> 16) % n;
}

static void on_signal(int s)
{
}

static void *thread(void *arg)
{
    atomic_fetch_add(&count->threads, 1);
    return arg;
}

/* A process of a tree: makes its children, each of which sends a byte, and some of them a signal.
 */
static int grow(unsigned seed, int depth)
{
    static int mine; /* private, at the same address in each */
    const int first = (int)seed;
    int p[2], status, children = 0, sent = 0;
    char byte;
    mine = first;
    atomic_fetch_add(&count->born, 1);
    if (pipe(p))
        return 1;
    for (unsigned n = depth ? 1 + random_below(&seed, 3) : 0; n; n--) {
        unsigned what = random_below(&seed, 8), next = seed + n;
        pid_t c = fork();
        if (c < 0)
            return 2;
        if (!c) {
            close(p[0]);
            int r = grow(next, depth - 1);
            if (write(p[1], "x", 1) != 1 || mine != (int)next)
                r = 3;
            close(p[1]);
            if (what == 0)
                execl(own, own, "program", (char *)NULL);
            if (what == 1)
                kill(getppid(), SIGUSR1);
            if (what == 2) {
                pthread_t t;
                if (!pthread_create(&t, NULL, thread, NULL))
                    pthread_join(t, NULL);
            }
            _exit(r);
        }
        children++;
    }
    close(p[1]);
    for (long n; (n = read(p[0], &byte, 1)) != 0;)
        sent += n > 0;
    close(p[0]);
    atomic_fetch_add(&count->bytes, sent);
    int seen = 0;
    for (; waitpid(-1, &status, 0) > 0; seen++) {
        if (status && WEXITSTATUS(status) != 33)
            atomic_fetch_add(&count->wrong, 1);
        if (status)
            atomic_fetch_add(&count->programs, 1);
    }
    atomic_fetch_add(&count->reaped, seen);
    return sent == children && seen == children && mine == first ? 0 : 1;
}

static long free_memory(void)
{
    char line[100];
    long kib = 0;
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && fgets(line, sizeof(line), f) && sscanf(line, "MemFree: %ld", &kib) != 1)
        ;
    if (f)
        fclose(f);
    return kib;
}

static int descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "program"))
        return 33;
    own = argv[0];
    int most = argc > 1 ? atoi(argv[1]) : 300, grown = 0, fell = 0;
    count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    signal(SIGUSR1, on_signal);
    long last = 0, lost = 0;
    int fds = descriptors(), trees = 0;
    for (unsigned seed = 1; grown < most; seed++, trees++) {
        if (grow(seed, 4))
            count->wrong++;
        int eighth = 8 * grown / most;
        grown = count->born - trees - 1;
        if (8 * grown / most == eighth)
            continue;
        /* What is kept for the next ones grows while a tree can be larger than all before. */
        long now = free_memory(), less = last - now;
        if (eighth >= 4 && less > 0) {
            lost += less;
            fell += less > 64;
        }
        last = now;
    }
    printf("%s processes, reaped %s, bytes %s, wrong %d\n", grown >= most ? "all" : "not all",
           count->reaped == grown ? "all" : "not all", count->bytes == grown ? "all" : "not all",
           count->wrong);
    printf("descriptors left: %d\n", descriptors() - fds);
    printf("memory lost: %s\n", lost > 512 && fell > 2 ? "yes" : "no");
    fprintf(stderr, "%d processes, %d programs, %d threads; less free by %ld KiB, in %d eighths\n",
            grown, count->programs, count->threads, lost, fell);
    return 0;
}
