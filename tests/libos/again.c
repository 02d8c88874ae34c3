// SPDX-License-Identifier: Apache-2.0
// Programs that run one after the other, each started by posix_spawn: "ROUNDS good, N places". Each
// finds its memory as its file has it, whatever the one before did to it, and does the same. With
// "light" they do nothing; with "killed" a signal ends each of them, which nobody's place survives.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int data[2000] = {7, 8, 9}, zeros[3000];
static int five(void)
{
    return 5;
}
static int (*const table[2])(void) = {five, five}; /* relocated, then read-only */
static const char text[] = "what is only read";
static sigjmp_buf back;

#ifdef LARGE
/* Calls that nobody makes. What they jump to when they are patched is more than one page, which is
 * kept; their own pages stand behind all that is. */
__attribute__((used)) static void call_often(void)
{
    __asm__ volatile(".skip 1 << 20, 0x90\n"
                     ".rept 1200\n"
                     "nop; nop; nop; mov $39, %%eax; syscall; nop; nop; nop\n"
                     ".endr" ::
                         : "rax", "rcx", "r11");
}
#endif

static void on_fault(int sig)
{
    siglongjmp(back, sig);
}

static int faults(volatile char *at)
{
    signal(SIGSEGV, on_fault);
    if (sigsetjmp(back, 1))
        return 1;
    *at = *at;
    return 0;
}

static int all_zero(const char *p, size_t size)
{
    while (size && !*p)
        p++, size--;
    return !size;
}

/* Behind the heap nothing is mapped; what can be read there all the same holds nothing. */
static int nothing_behind_heap(void)
{
    char *end = (char *)(((unsigned long)sbrk(0) + 4095) & -4096ul);
    signal(SIGSEGV, on_fault);
    for (volatile size_t at = 0; at < 1 << 17; at += 4096) {
        if (!sigsetjmp(back, 1) && !all_zero(end + at, 4096))
            return 0;
    }
    return 1;
}

__attribute__((noinline)) static int deep_stack(void)
{
    volatile char room[48 << 10];
    int zero = 1;
    __asm__("" : "=m"(room)); /* whatever stands there */
    for (size_t i = 0; i < sizeof(room) / 2; i++)
        zero &= !room[i];
    memset((void *)room, 0x55, sizeof(room));
    return zero;
}

static void spoil_page(const void *at)
{
    char *page = (char *)((unsigned long)at & -4096ul);
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
    for (char *p = (char *)at; p < (char *)at + 4; p++)
        *p ^= 0x40;
    mprotect(page, 4096, PROT_READ);
}

/* Which of these is not as it should be; 0: all are. */
static int child(void)
{
    if (!deep_stack())
        return 1;
    if (data[0] != 7 || data[2] != 9 || !all_zero((char *)(data + 3), sizeof(data) - 12))
        return 2;
    if (!all_zero((char *)zeros, sizeof(zeros)))
        return 3;
    if (strcmp(*(const char *volatile *)&(const char *){text}, "what is only read"))
        return 4;
    if (table[0]() != 5 || table[1] != five || !faults((char *)table) || !faults((char *)text))
        return 5;
#ifdef LARGE
    if (mlockall(MCL_CURRENT)) /* every page, before the heap is as large as the last one */
        return 9;
#endif
    if (!nothing_behind_heap())
        return 8;
    char *heap = sbrk(1 << 16);
    if (!all_zero(heap, 1 << 16) || !faults((char *)sbrk(0) + (1 << 20)))
        return 6;
    char *more = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!all_zero(more, 1 << 16))
        return 7;
    memset(heap, 0x11, 1 << 16);
    mprotect((char *)(((unsigned long)heap + 4095) & -4096ul) + 8192, 4096, PROT_READ);
    memset(more, 0x22, 1 << 16);
    memset(data, 0x33, sizeof(data));
    memset(zeros, 0x44, sizeof(zeros));
    spoil_page(text);
    spoil_page(table);
    return 0;
}

static int light(char *own, int rounds)
{
    char *const args[] = {own, "light", NULL};
    for (int i = 0; i < rounds; i++) {
        pid_t c;
        int status;
        if (posix_spawn(&c, own, NULL, NULL, args, environ) || waitpid(c, &status, 0) != c ||
            status)
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 2 && !strcmp(argv[2], "light"))
        return light(argv[0], atoi(argv[1]));
    int wanted = argc > 2 && !strcmp(argv[2], "killed") ? SIGKILL : 0;
    if (argc > 2 && !atoi(argv[1])) {
        unsigned long at = (unsigned long)data;
        if (write(3, &at, sizeof(at)) != sizeof(at))
            return 9;
        return !strcmp(argv[1], "killed") ? raise(SIGKILL) : child();
    }
    if (!strcmp(argv[1], "light"))
        return 0;
    int rounds = atoi(argv[1]), good = 0, places = 0, ends[2];
    unsigned long *seen = calloc((size_t)rounds, sizeof(*seen));
    char *const args[] = {argv[0], wanted ? "killed" : "as", "child", NULL};
    pipe(ends);
    posix_spawn_file_actions_t fa;
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, ends[1], 3);
    for (int i = 0; i < rounds; i++) {
        pid_t c;
        int status, n = 0;
        if (posix_spawn(&c, argv[0], &fa, NULL, args, environ) || waitpid(c, &status, 0) != c)
            return 1;
        if (status != wanted)
            printf("round %d: status 0x%x\n", i, status);
        good += status == wanted;
        if (read(ends[0], &seen[i], sizeof(seen[i])) != sizeof(seen[i]))
            return 2;
        while (n < i && seen[n] != seen[i])
            n++;
        places += n == i;
    }
    printf("%d good, %d places\n", good, places);
    return 0;
}
