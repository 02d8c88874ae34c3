// SPDX-License-Identifier: Apache-2.0
// A program without a C library that runs an enclave: system calls, the vDSO and ENCLU alone, two
// threads that share one (absent) thread pointer, a signal handler with its own restorer. Status 0,
// or the number of what failed.
#include <asm/sgx.h>
#include <elf.h>
#include <linux/mman.h>
#include <linux/sched.h>
#include <linux/time.h>
#include <asm/unistd.h>

#include "enclave.h"
#include "enter.h"

typedef unsigned long u64;
#define SIZE 0x10000ul

static long call(long n, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
    long ret;
    register u64 r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}
#define CALL3(n, a, b, c) call(n, (u64)(a), (u64)(b), (u64)(c), 0, 0, 0)

static void need(long truth, int number)
{
    if (!truth)
        CALL3(__NR_exit_group, number, 0, 0);
}

static int is_name(const char *a, const char *b)
{
    while (*a == *b && *a)
        a++, b++;
    return *a == *b;
}

static u64 find_function(u64 vdso)
{
    const Elf64_Ehdr *e = (const Elf64_Ehdr *)vdso;
    const Elf64_Phdr *ph = (const Elf64_Phdr *)(vdso + e->e_phoff);
    const Elf64_Dyn *d = 0;
    u64 symbols = 0, names = 0, hash = 0;
    for (int i = 0; i < e->e_phnum; i++)
        if (ph[i].p_type == PT_DYNAMIC)
            d = (const Elf64_Dyn *)(vdso + ph[i].p_offset);
    for (; d && d->d_tag; d++) {
        symbols = d->d_tag == DT_SYMTAB ? vdso + d->d_un.d_ptr : symbols;
        names = d->d_tag == DT_STRTAB ? vdso + d->d_un.d_ptr : names;
        hash = d->d_tag == DT_HASH ? vdso + d->d_un.d_ptr : hash;
    }
    for (unsigned i = 0; hash && i < ((const unsigned *)hash)[1]; i++) {
        const Elf64_Sym *s = (const Elf64_Sym *)symbols + i;
        if (is_name((const char *)names + s->st_name, "__vdso_sgx_enter_enclave"))
            return vdso + s->st_value;
    }
    return 0;
}

static u64 base;
static vdso_sgx_enter_enclave_t enter;

static u64 run_op(u64 tcs, u64 number, u64 a)
{
    struct op op = {number, a, 0};
    struct sgx_enclave_run run = {.tcs = base + tcs};
    long r = enter_by(enter, &op, 2 /* EENTER */, &run);
    return r == 0 && run.function == 4 ? op.result : ~0ul;
}

/* EENTER by this program's own instruction: 3 in RAX would be an asynchronous exit. */
static u64 run_raw(u64 tcs)
{
    struct op op = {0, 0, ~0ul};
    u64 rax = 2, rbx = base + tcs, rdi = (u64)&op;
    __asm__ volatile("lea 1f(%%rip), %%rcx\n1: enclu"
                     : "+a"(rax), "+b"(rbx), "+D"(rdi)
                     :
                     : "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "cc", "memory");
    return op.result;
}

static void make_enclave(void)
{
    static struct {
        u64 size, base;
        unsigned ssa, misc;
        char reserved[24];
        u64 attributes, xfrm;
        char rest[4032];
    } secs __attribute__((aligned(4096)));
    u64 area = (u64)call(__NR_mmap, 0, 2 * SIZE, 0, MAP_PRIVATE | MAP_ANONYMOUS, ~0ul, 0);
    base = (area + SIZE - 1) & ~(SIZE - 1);
    long fd = CALL3(__NR_open, "/dev/sgx_enclave", 2, 0);
    need(fd >= 0, 10);
    secs.size = SIZE;
    secs.base = base;
    secs.ssa = 1;
    secs.attributes = 4;
    secs.xfrm = 3;
    struct sgx_enclave_create create = {.src = (u64)&secs};
    need(CALL3(__NR_ioctl, fd, SGX_IOC_ENCLAVE_CREATE, &create) == 0, 11);
    for (u64 i = 0; i < sizeof(image) / 4096; i++) {
        u64 secinfo[8] __attribute__((aligned(64))) = {kinds[i]};
        struct sgx_enclave_add_pages add = {.src = (u64)image + i * 4096,
                                            .offset = i * 4096,
                                            .length = 4096,
                                            .secinfo = (u64)secinfo,
                                            .flags = SGX_PAGE_MEASURE};
        need(CALL3(__NR_ioctl, fd, SGX_IOC_ENCLAVE_ADD_PAGES, &add) == 0 && add.count == 4096, 12);
    }
    struct sgx_enclave_init init = {.sigstruct = (u64)sigstruct};
    need(CALL3(__NR_ioctl, fd, SGX_IOC_ENCLAVE_INIT, &init) == 0, 13);
    for (u64 i = 0; i < sizeof(image) / 4096; i++) {
        u64 prot = kinds[i] == 0x100 ? 3 : kinds[i] & 7;
        need(call(__NR_mmap, base + i * 4096, 4096, prot, MAP_SHARED | MAP_FIXED, (u64)fd, 0) ==
                 (long)(base + i * 4096),
             14);
    }
}

/* --- a thread without a thread pointer --- */

static char stack[65536] __attribute__((aligned(16)));
static volatile unsigned there = 1; /* the kernel clears it when the thread has ended */

static __attribute__((used)) void thread_main(void)
{
    for (int i = 0; i < 1000; i++)
        need(run_op(0x1000, 0, 0) < 4000, 20);
    need(run_raw(0x1000) < 4000, 21);
    CALL3(__NR_exit, 0, 0, 0);
}

static void start_thread(void)
{
    long ret;
    __asm__ volatile("mov %4, %%r10\n"
                     "syscall\n"
                     "test %%eax, %%eax\n"
                     "jnz 1f\n"
                     "xor %%ebp, %%ebp\n"
                     "call thread_main\n"
                     "1:"
                     : "=a"(ret)
                     : "a"(__NR_clone),
                       "D"(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                           CLONE_SYSVSEM | CLONE_CHILD_CLEARTID),
                       "S"(stack + sizeof(stack)), "r"(&there), "d"(0)
                     : "rcx", "r11", "r10", "r8", "memory");
    need(ret > 0, 22);
}

/* --- a signal of its own --- */

static volatile u64 caught, seen; /* signals that found the enclave further than the last one */
static struct op *volatile spinning;

static void handler(int sig, void *info, u64 *context)
{
    (void)info;
    u64 rip = context[5 + 16];
    need(sig == 14 && rip - base >= SIZE, 30);
    if (spinning->result == seen)
        return; /* it came before the thread was inside again: nothing was interrupted */
    seen = spinning->result;
    if (++caught == 5)
        spinning->a = 1;
}

__asm__("restorer: mov $15, %eax\nsyscall");
extern void restorer(void);

static void test_signals(void)
{
    struct {
        void (*handler)(int, void *, u64 *);
        u64 flags;
        void (*restorer)(void);
        u64 mask;
    } act = {handler, 4 | 0x04000000, restorer, 0};
    struct op op = {2, 0, 0};
    struct sgx_enclave_run run = {.tcs = base};
    struct {
        long s1, u1, s2, u2;
    } timer = {0, 2000, 0, 2000}, off = {0, 0, 0, 0};
    need(call(__NR_rt_sigaction, 14, (u64)&act, 0, 8, 0, 0) == 0, 31);
    spinning = &op;
    CALL3(__NR_setitimer, 0, &timer, 0);
    long r = enter_by(enter, &op, 2, &run);
    CALL3(__NR_setitimer, 0, &off, 0);
    need(r == 0 && run.function == 4 && op.result == 88 && caught >= 5, 32);
}

static __attribute__((used)) void start(u64 *sp)
{
    u64 *p = sp + 1 + sp[0] + 1;
    while (*p++)
        ;
    for (; p[0]; p += 2)
        if (p[0] == AT_SYSINFO_EHDR)
            enter = (vdso_sgx_enter_enclave_t)find_function(p[1]);
    need(enter != 0, 1);
    make_enclave();
    need(run_op(0, 0, 0) == 0 && run_op(0, 0, 0) == 1, 2);
    need(run_raw(0) == 2, 3);
    start_thread();
    for (int i = 0; i < 1000; i++)
        need(run_op(0, 0, 0) < 4000, 4);
    while (there) /* or the signals to come could go to it */
        CALL3(__NR_sched_yield, 0, 0, 0);
    need(run_op(0, 0, 0) == 2004, 5);
    test_signals();
    static const char text[] = "bare: done\n";
    CALL3(__NR_write, 1, text, sizeof(text) - 1);
    CALL3(__NR_exit_group, 0, 0, 0);
}

__asm__(".globl _start\n_start: mov %rsp, %rdi\nand $-16, %rsp\ncall start");
