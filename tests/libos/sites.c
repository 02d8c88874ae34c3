// SPDX-License-Identifier: Apache-2.0
// Calls by sites of every form, each with known values in what a call must keep: registers, red
// zone, vector registers. A handler (SIGINT, SIGALRM) checks that what it is shown of the program
// lies in the program's text, and moves on; so do restarted calls. Says which sites were patched.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/ucontext.h>
#include <time.h>
#include <unistd.h>

static volatile long handled, strange;
static struct {
    uint64_t start, end;
} slots[16];
static int slot_count;

static void find_slots(void)
{
    char line[256];
    FILE *f = fopen("/proc/self/maps", "r");
    slot_count = 0;
    while (f && fgets(line, sizeof(line), f)) {
        unsigned long a, b;
        if (strstr(line, "[sites]") && slot_count < 16 && sscanf(line, "%lx-%lx", &a, &b) == 2) {
            slots[slot_count].start = a;
            slots[slot_count++].end = b;
        }
    }
    if (f)
        fclose(f);
}

static void handler(int sig, siginfo_t *info, void *context)
{
    uint64_t rip = (uint64_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    for (int i = 0; i < slot_count; i++)
        strange += rip >= slots[i].start && rip < slots[i].end;
    char clobber[256];
    memset(clobber, sig, sizeof(clobber));
    __asm__ volatile("pcmpeqd %%xmm0, %%xmm0" : : "r"(clobber) : "xmm0");
    handled++;
    syscall(SYS_getppid);
}

/* The code of one form, between values that are set before and held against after. */
#define FORM(name, code)                                                                           \
    extern const uint8_t site_##name[];                                                            \
    static __attribute__((noinline)) long call_##name(long nr, long a)                             \
    {                                                                                              \
        uint64_t bad;                                                                              \
        long result;                                                                               \
        __asm__ volatile(                                                                          \
            "movq $0x1111, %%rbx\n\tmovq $0x2222, %%r12\n\tmovq $0x3333, %%r13\n\t"                \
            "movq $0x4444, %%r14\n\tmovq $0x5555, %%r15\n\tmovq $0x6666, %%r8\n\t"                 \
            "movq $0x7777, %%r9\n\tmovq $0x8888, %%r10\n\tmovq %%rbx, %%xmm0\n\t"                  \
            "movq $0x9999, -64(%%rsp)\n\tjmp 7f\n\t"                                               \
            "7: .globl site_" #name "\nsite_" #name ":\n\t" code "\n\t"                            \
            "xor $0x1111, %%rbx\n\txor $0x2222, %%r12\n\txor $0x3333, %%r13\n\t"                   \
            "xor $0x4444, %%r14\n\txor $0x5555, %%r15\n\txor $0x6666, %%r8\n\t"                    \
            "xor $0x7777, %%r9\n\txor $0x8888, %%r10\n\tor %%r12, %%rbx\n\tor %%r13, %%rbx\n\t"    \
            "or %%r14, %%rbx\n\tor %%r15, %%rbx\n\tor %%r8, %%rbx\n\tor %%r9, %%rbx\n\t"           \
            "or %%r10, %%rbx\n\tmovq %%xmm0, %%r12\n\txor $0x1111, %%r12\n\tor %%r12, %%rbx\n\t"   \
            "movq -64(%%rsp), %%r12\n\txor $0x9999, %%r12\n\tor %%r12, %%rbx\n\tmovq %%rbx, %1"    \
            : "=a"(result), "=r"(bad)                                                              \
            : "a"(nr), "D"(a), "S"(0), "d"(0)                                                      \
            : "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0",          \
              "memory", "cc");                                                                     \
        strange += bad != 0;                                                                       \
        return result;                                                                             \
    }

FORM(seven, "mov $110, %%eax\n\tsyscall") /* getppid */
FORM(nine, "movq $39, %%rax\n\tsyscall")  /* getpid, as Go writes it */
FORM(leading, "xor %%esi, %%esi\n\txor %%edx, %%edx\n\tsyscall")
FORM(trailing, "syscall\n\tcmp $-4096, %%rax")
FORM(both, "xor %%eax, %%eax\n\tsyscall\n\tcmp $-4096, %%rax") /* read */
FORM(cpuid, "mov %%rbx, %%r11\n\txor %%ecx, %%ecx\n\tcpuid\n\tmov %%r11, %%rbx")
FORM(short_cpuid,
     "mov %%rbx, %%r11\n\tjmp 8f\n8:\tcpuid\n\tjmp 9f\n9:\tmov %%r11, %%rbx") /* an exception */
FORM(short, "xor %%esi, %%esi\n\tsyscall\n\tjmp 8f\n8:") /* no room: stays as it is */

static void expect(long got, long want)
{
    if (got != want) {
        strange++;
        printf("%ld instead of %ld\n", got, want);
    }
}

static int pipes[2];

static void *write_later(void *arg)
{
    usleep(60000);
    if (write(pipes[1], "x", 1) != 1)
        abort();
    return NULL;
}

/* A signal interrupts a read by a site with trailing code: it begins again, or is EINTR. */
static void restarts(void)
{
    struct itimerval t = {{0, 0}, {0, 20000}};
    struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
    pthread_t thread;
    char c = 0;
    sigaction(SIGALRM, &a, NULL);
    pthread_create(&thread, NULL, write_later, NULL);
    setitimer(ITIMER_REAL, &t, NULL);
    expect(read(pipes[0], &c, 1), 1);
    expect(c, 'x');
    pthread_join(thread, NULL);
    a.sa_flags = SA_SIGINFO;
    sigaction(SIGALRM, &a, NULL);
    setitimer(ITIMER_REAL, &t, NULL);
    expect(read(pipes[0], &c, 1) < 0 && errno == EINTR, 1);
}

static volatile long steps;

static void stepped(int sig, siginfo_t *info, void *context)
{
    handler(sig, info, context);
    steps++;
}

static void trap_flag(long flag)
{
    __asm__ volatile("sub $128, %%rsp\n\tpushfq\n\tandq $~0x100, (%%rsp)\n\torq %0, (%%rsp)\n\t"
                     "popfq\n\tadd $128, %%rsp"
                     :
                     : "r"(flag)
                     : "memory", "cc");
}

/* The program steps into its own calls; the LibOS lets no step trap out of a call. */
static int step_self(void)
{
    struct sigaction a = {.sa_sigaction = stepped, .sa_flags = SA_SIGINFO};
    long parent = getppid(), leaves = call_short_cpuid(0, 0);
    sigaction(SIGTRAP, &a, NULL);
    find_slots();
    for (int i = 0; i < 200; i++) {
        trap_flag(0x100);
        expect(i & 1 ? call_seven(0, 0) : call_both(0, 12345), i & 1 ? parent : -EBADF);
        trap_flag(0x100);
        expect(call_cpuid(0, 0), leaves);
        trap_flag(0);
    }
    printf("%ld strange in %s\n", strange, steps >= 200 ? "steps" : "too few steps");
    return strange != 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "steps"))
        return step_self();
    int rounds = argc > 1 ? atoi(argv[1]) : 20000;
    long pid = getpid(), parent = getppid(), leaves = call_short_cpuid(0, 0);
    struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
    const uint8_t *sites[] = {site_seven, site_nine,  site_leading, site_trailing,
                              site_both,  site_cpuid, site_short};
    struct itimerval t = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGALRM, &a, NULL);
    call_seven(0, 0);
    find_slots();
    if (argc <= 2)
        setitimer(ITIMER_REAL, &t, NULL);
    for (int i = 0; i < rounds || (argc <= 2 && handled <= 5 && i < 10000000); i++) {
        expect(call_seven(0, 0), parent);
        expect(call_nine(0, 0), pid);
        expect(call_leading(SYS_getpid, 0), pid);
        expect(call_trailing(SYS_close, 12345), -EBADF);
        expect(call_both(0, 12345), -EBADF);
        expect(call_cpuid(0, 0), leaves);
        expect(call_short(SYS_getppid, 0), parent);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    if (pipe(pipes))
        return 1;
    if (argc <= 2)
        restarts();
    for (unsigned i = 0; i < sizeof(sites) / sizeof(sites[0]); i++)
        putchar(sites[i][0] == 0xe9 ? 'j' : '-');
    printf(" %ld strange, %s\n", strange, handled > 5 ? "interrupted" : "not interrupted");
    return strange != 0;
}
