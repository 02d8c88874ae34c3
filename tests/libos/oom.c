// SPDX-License-Identifier: Apache-2.0
// Memory is all used: the process that has most of it ends, whoever asks for more; others go on.
// With oom_score_adj another one goes first.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1ul << 20)

static char *map(size_t size)
{
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                0);
}

static const char *ended(pid_t child)
{
    static char text[40];
    int s = 0;
    waitpid(child, &s, 0);
    snprintf(text, sizeof(text), WIFSIGNALED(s) ? "signal %d" : "exit %d",
             WIFSIGNALED(s) ? WTERMSIG(s) : WEXITSTATUS(s));
    return text;
}

/* Has so much, tells it, and waits for its end. */
static pid_t hog(size_t size)
{
    char x;
    int p[2];
    if (pipe(p))
        exit(1);
    pid_t c = fork();
    if (!c) {
        close(p[0]);
        char *own = map(size);
        memset(own, 1, size);
        write(p[1], "x", 1);
        for (;;)
            pause();
    }
    close(p[1]);
    if (read(p[0], &x, 1) != 1)
        puts("the first one ended too early");
    close(p[0]);
    return c;
}

/* Others take little by little, by stores and by calls, and come to their end. */
static pid_t grow(size_t size, int by_call)
{
    pid_t c = fork();
    if (!c) {
        int zero[2];
        char page[4096], *own = map(size);
        memset(page, 7, sizeof(page));
        if (pipe(zero))
            _exit(1);
        for (size_t i = 0; i < size; i += sizeof(page)) {
            if (!by_call) {
                own[i] = 7;
            } else if (write(zero[1], page, sizeof(page)) != sizeof(page) ||
                       read(zero[0], own + i, sizeof(page)) != sizeof(page)) {
                _exit(2);
            }
        }
        for (size_t i = 0; i < size; i += sizeof(page)) {
            if (own[i] != 7)
                _exit(3);
        }
        _exit(42);
    }
    return c;
}

/* For whoever is forked from now on. */
static void adjust(const char *value)
{
    FILE *f = fopen("/proc/self/oom_score_adj", "w");
    if (!f || fputs(value, f) < 0 || fclose(f))
        puts("oom_score_adj cannot be set");
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    for (int by_call = 0; by_call < 2; by_call++) { /* of 128 MiB: 70, then 50 and more */
        pid_t big = hog(70 * MIB), small = grow(64 * MIB, by_call);
        printf("the small one: %s\n", ended(small));
        printf("the big one: %s\n", ended(big));
    }
    adjust("1000"); /* a small one that is to go first: 20 of 128 MiB, beside 60 */
    pid_t first = hog(20 * MIB);
    adjust("0");
    pid_t big = hog(60 * MIB), last = grow(50 * MIB, 0);
    printf("the one that grows: %s\n", ended(last));
    printf("the one to go first: %s\n", ended(first));
    printf("the big one lives: %d\n", !kill(big, 0) && !waitpid(big, NULL, WNOHANG));
    kill(big, SIGTERM);
    ended(big);
    pid_t c = grow(400 * MIB, 0); /* who is alone too big ends, and nobody else */
    printf("too big: %s\n", ended(c));
    for (int i = 0; i < 8; i++) /* nothing of them is left */
        c = grow(40 * MIB, i & 1);
    while (wait(NULL) > 0)
        ;
    printf("at the end: %s\n", ended(grow(64 * MIB, 0)));
    return 0;
}
