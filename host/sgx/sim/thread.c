// SPDX-License-Identifier: Apache-2.0
// Host threads that enter enclaves. Inside an enclave FS and GS are the enclave's and every
// register may hold anything, so a thread is known there by its selector in ES, which 64-bit code
// never uses: each thread owns one LDT entry, and the entry's number indexes the table of threads.
#include "host/sgx/sim/sim.h"

#include <asm/ldt.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif
#define DISPATCH_EXCLUSIVE 1 /* system calls inside the range are let through, all others trap */
#define DISPATCH_INCLUSIVE 2 /* system calls inside the range trap; Linux 6.17 */
#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

#define STACK_SIZE 0x40000u
#define MAX_THREADS (SIM_TABLE_SIZE / 8)

__thread struct sim_thread *sim_self;
_Atomic(struct sim_thread *) sim_threads;
uint8_t sim_strict;
bool sim_always_strict;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t exit_key;
struct sim_thread **sim_table;
static int table_fd = -1;
static unsigned used = 1; /* index 0 is nobody's */
bool sim_no_ldt;

static uint16_t read_selector(unsigned index)
{
    return (uint16_t)(index << 3 | 7); /* LDT, ring 3 */
}

/* Runs in signal handlers, on whatever FS: no TLS, no stack protector. */
__attribute__((no_stack_protector)) struct sim_thread *sim_thread_by_es(void)
{
    uint32_t es;
    if (sim_no_ldt) {
        long tid;
        __asm__ volatile("syscall" : "=a"(tid) : "a"(SYS_gettid) : "rcx", "r11", "memory");
        for (struct sim_thread *t = sim_threads; t != NULL; t = t->next) {
            if (t->tid == tid && !t->free)
                return t;
        }
        return NULL;
    }
    __asm__ volatile("mov %%es, %0" : "=r"(es));
    if ((es & 7) != 7 || es >> 3 >= MAX_THREADS || sim_table == NULL)
        return NULL;
    return sim_table[es >> 3];
}

/* Until it enters an enclave again, this thread is known by its id only. */
void sim_show_thread(const struct sim_thread *t)
{
    if (!sim_no_ldt)
        __asm__ volatile("mov %0, %%es" : : "r"((uint32_t)read_selector(t->index)));
}

static void thread_exit(void *arg)
{
    struct sim_thread *t = arg;
    stack_t none = {.ss_flags = SS_DISABLE}, now;
    if (sigaltstack(NULL, &now) == 0 && now.ss_sp == t->altstack)
        sigaltstack(&none, NULL);
    sim_self = NULL;
    pthread_mutex_lock(&lock);
    t->tid = 0;
    t->guarded = NULL;
    t->free = true;
    pthread_mutex_unlock(&lock);
}

/* Of the threads only this one is here, under another id, and nothing traps its system calls. */
void sim_after_fork(void)
{
    pthread_mutex_init(&lock, NULL); /* another thread may have had it */
    for (struct sim_thread *t = sim_threads; t != NULL; t = t->next) {
        t->guarded = NULL;
        if (t == sim_self) {
            t->tid = (int)syscall(SYS_gettid);
        } else {
            t->inside = false;
            t->free = true;
        }
    }
    sim_epc_after_fork();
}

static int table_create(void)
{
    table_fd = memfd_create("sgxsim-threads", MFD_CLOEXEC);
    if (table_fd < 0 || ftruncate(table_fd, SIM_TABLE_SIZE) != 0)
        return -errno;
    void *p = mmap(NULL, SIM_TABLE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, table_fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    int ret = pthread_key_create(&exit_key, thread_exit);
    if (ret == 0)
        ret = pthread_atfork(NULL, NULL, sim_after_fork);
    if (ret != 0)
        return -ret;
    sim_table = p;
    return 0;
}

/* In the child of a fork, which would write its threads into its parent's table. */
int sim_table_renew(void)
{
    if (sim_table == NULL)
        return 0;
    int fd = memfd_create("sgxsim-threads", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (pwrite(fd, sim_table, SIM_TABLE_SIZE, 0) != (ssize_t)SIM_TABLE_SIZE ||
        mmap(sim_table, SIM_TABLE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) !=
            sim_table) {
        close(fd);
        return -EIO;
    }
    close(table_fd);
    table_fd = fd;
    return 0;
}

int sim_table_map(uint8_t *at)
{
    if (sim_no_ldt)
        return -ENOSYS;
    return mmap(at, SIM_TABLE_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, table_fd, 0) == at ? 0
                                                                                          : -errno;
}

/* | code | struct sim_thread … | guard | stack | guard | signal stack | */
static struct sim_thread *block_create(void)
{
    size_t page = SGX_PAGE_SIZE;
    size_t self = (sizeof(struct sim_thread) + page - 1) & ~(page - 1);
    size_t fpu = (sim_xsave_size(sim_cpu.xfrm) + page - 1) & ~(page - 1);
    size_t alt = STACK_SIZE + (getauxval(AT_MINSIGSTKSZ) & ~(page - 1));
    size_t size = page + self + fpu + page + STACK_SIZE + page + alt;
    uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    memcpy(p, sim_code_begin, (size_t)(sim_code_end - sim_code_begin));
    struct sim_thread *t = (struct sim_thread *)(p + page);
    uint8_t *stack = p + page + self + fpu;
    if (mprotect(p, page, PROT_READ | PROT_EXEC) != 0 || mprotect(stack, page, PROT_NONE) != 0 ||
        mprotect(stack + page + STACK_SIZE, page, PROT_NONE) != 0) {
        munmap(p, size);
        return NULL;
    }
    t->code = p;
    t->fpu = p + page + self;
    t->stack_top = (uint64_t)(stack + page + STACK_SIZE);
    t->stub = sim_from_enclave;
    t->altstack = stack + page + STACK_SIZE + page;
    t->altstack_size = alt;
    return t;
}

static struct sim_thread *thread_get(void)
{
    for (struct sim_thread *t = sim_threads; t != NULL; t = t->next) {
        if (t->free) {
            t->free = false;
            return t;
        }
    }
    if (used == MAX_THREADS)
        return NULL;
    struct sim_thread *t = block_create();
    if (t == NULL)
        return NULL;
    t->index = used;
    struct user_desc d = {.entry_number = t->index,
                          .limit = 0xfffff,
                          .seg_32bit = 1,
                          .limit_in_pages = 1,
                          .useable = 1};
    if (!sim_no_ldt && syscall(SYS_modify_ldt, 0x11, &d, sizeof(d)) != 0) {
        if (used > 1)
            return NULL;
        sim_no_ldt = true; /* a kernel without modify_ldt: every ENCLU stays a #UD */
    }
    if (sim_no_ldt)
        sim_always_strict = true;
    used++;
    sim_table[t->index] = t;
    t->next = sim_threads;
    sim_threads = t;
    return t;
}

static void signal_stack(struct sim_thread *t)
{
    stack_t now;
    if (sigaltstack(NULL, &now) == 0 && (now.ss_flags & SS_DISABLE) == 0)
        return; /* the program's own */
    stack_t ours = {.ss_sp = t->altstack, .ss_size = t->altstack_size};
    sigaltstack(&ours, NULL);
}

int sim_attach(void)
{
    struct sim_thread *t = NULL;
    sigset_t sync;
    int ret = 0;
    if (sim_self != NULL)
        return 0;
    pthread_mutex_lock(&lock);
    if (sim_table == NULL)
        ret = table_create();
    if (ret == 0 && (t = thread_get()) == NULL)
        ret = -ENOMEM;
    pthread_mutex_unlock(&lock);
    if (ret != 0)
        return ret;
    t->tid = (int)syscall(SYS_gettid);
    uint64_t fs;
    __asm__ volatile("rdfsbase %0" : "=r"(fs));
    t->host_fs = t->lib_fs = fs;
    __asm__ volatile("rdgsbase %0" : "=r"(fs));
    t->host_gs = fs;
    t->guarded = NULL;
    sim_show_thread(t);
    signal_stack(t);
    /* These blocked would be death inside. */
    sigemptyset(&sync);
    for (size_t i = 0; i < 7; i++)
        sigaddset(&sync, ((int[]){SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIM_KICK})[i]);
    pthread_sigmask(SIG_UNBLOCK, &sync, NULL);
    sim_self = t;
    pthread_setspecific(exit_key, t);
    return 0;
}

void sim_detach(void)
{
    if (sim_self != NULL)
        thread_exit(sim_self);
}

void sgxsim_step(sgxsim_step_hook hook, void *arg)
{
    if (sim_attach() != 0)
        return;
    sim_self->step = hook;
    sim_self->step_over = NULL;
    sim_self->step_arg = arg;
}

void sgxsim_step_over(sgxsim_over_hook hook)
{
    sim_self->step_over = hook;
}

/* seccomp sees the address after the instruction; ELRANGE is a naturally aligned power of two. */
static int guard_seccomp(const struct sgxsim *dev)
{
    uint64_t mask = ~(dev->size - 1);
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, (uint32_t)(mask >> 32)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(dev->base >> 32), 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer)),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, (uint32_t)mask),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)dev->base, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) != 0)
        return -errno;
    return 0;
}

enum sim_guard_method sim_guard_method;

void sim_unguard(void)
{
    if (sim_self != NULL)
        sim_self->guarded = NULL;
    prctl(PR_SET_SYSCALL_USER_DISPATCH, 0, 0, 0, 0);
}

bool sim_can_guard(void)
{
    if (prctl(PR_SET_SYSCALL_USER_DISPATCH, DISPATCH_INCLUSIVE, SIM_LOWEST, SGX_PAGE_SIZE, 0) ==
        0) {
        sim_unguard();
        return true;
    }
    return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0;
}

int sim_guard(struct sim_thread *t)
{
    const struct sgxsim *dev = t->dev;
    int ret = -ENOSYS;
    if (dev->size >= 1ull << 47)
        return ret; /* all of user space is ELRANGE: there is nowhere to come from */
    if (sim_guard_method <= SIM_GUARD_INCLUSIVE &&
        prctl(PR_SET_SYSCALL_USER_DISPATCH, DISPATCH_INCLUSIVE, dev->base, dev->size, 0) == 0)
        ret = 0;
    if (ret != 0 && sim_guard_method <= SIM_GUARD_EXCLUSIVE && dev->base == 0 &&
        prctl(PR_SET_SYSCALL_USER_DISPATCH, DISPATCH_EXCLUSIVE, dev->size, (1ul << 47) - dev->size,
              0) == 0)
        ret = 0;
    if (ret != 0)
        ret = guard_seccomp(dev);
    if (ret == 0)
        t->guarded = t->dev;
    return ret;
}
