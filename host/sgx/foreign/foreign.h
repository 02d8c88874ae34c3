// SPDX-License-Identifier: Apache-2.0
// Runs an unmodified program that expects SGX, on the simulated processor (docs/sgx-sim.md).
//
// sgx-sim is a static program at a fixed address. It maps the program and its interpreter into its
// own process, as the kernel's execve would, and stays beneath it: a seccomp filter traps the few
// system calls that SGX, signals and processes need (its own text is exempt), and signals come here
// first. Each thread of the program has a second thread pointer here, for the C library that we are
// linked with: the program's FS is never ours.
#ifndef HOST_SGX_FOREIGN_FOREIGN_H
#define HOST_SGX_FOREIGN_FOREIGN_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <ucontext.h>

#include "host/sgx/foreign/fault.h"
#include "host/sgx/foreign/settings.h"
#include "host/sgx/sim/sim.h"

/* Where the program is linked (module.mk); the filter exempts what lies in between. */
#define FGN_BASE 0x600000000000ull
#define FGN_END 0x600001000000ull

#define FGN_BRAND "Shelter simulated SGX processor"

extern struct sh_sim_settings fgn_options;

/* The kernel's struct sigaction and ucontext, not the C library's. */
struct fgn_action {
    uint64_t handler, flags, restorer, mask;
};
#define FGN_UCONTEXT_SIZE 304u

struct fgn_thread {
    _Atomic int tid;     /* 0: free */
    _Atomic bool ending; /* free once the kernel does not know the id any more */
    bool fresh;          /* its signal stack is not installed yet */
    bool unready;        /* the C library has not seen it yet */
    bool sibling;        /* a child of vfork, which has this record on loan */
    bool to_be_traced;   /* that one asked for it, and is from its execve on */
    _Atomic int lent;    /* 1: to a child of vfork; 2: a child with its own memory will find it */
    uint64_t lib_fs;     /* our thread pointer */
    uint64_t program_fs; /* at its last signal: also when it lent itself */
    uint8_t *stack;      /* our signal stack */
    stack_t program_stack, kept_stack;
    uint64_t hidden, kept_hidden; /* signals that it believes to have blocked; kept_: when lent */
    void *exec_room;              /* for the arguments of execve */
    size_t exec_size;
};
extern int fgn_pid; /* of the process whose memory this is */

/* A system call of ours, without the C library's thread pointer. */
static inline long fgn_raw6(long n, long a, long b, long c, long d, long e, long f)
{
    long ret;
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}
#define fgn_raw3(n, a, b, c) fgn_raw6(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define fgn_raw4(n, a, b, c, d) fgn_raw6(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)

/* thread.c */
struct fgn_thread *fgn_thread_first(void);
struct fgn_thread *fgn_thread_find(int tid, uint64_t fs);
void fgn_thread_alone(struct fgn_thread *t); /* in the child of a fork */
bool fgn_thread_none_left(void);             /* but those that are ending */

/* action.c */
#define FGN_SYNC                                                                                   \
    (1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1) | 1ull << (SIGILL - 1) | 1ull << (SIGFPE - 1) |  \
     1ull << (SIGTRAP - 1) | 1ull << (SIGSYS - 1))
int fgn_signals_start(void (*handler)(int, siginfo_t *, void *));
void fgn_signal_thread(struct fgn_thread *t); /* whose signal is dealt with */
void fgn_signal_default(int sig);
void fgn_deliver(int sig, siginfo_t *info, ucontext_t *uc);
uint64_t *fgn_mask(ucontext_t *uc);
long fgn_sigaction(struct fgn_thread *t, const long a[6]);
long fgn_sigprocmask(struct fgn_thread *t, ucontext_t *uc, const long a[6]);
long fgn_sigaltstack(struct fgn_thread *t, ucontext_t *uc, const long a[6]);

/* filter.c */
int fgn_filter(void);
long fgn_own_filter(long number, const long a[6]);

/* memory.c and gate.c */
#define FGN_PASS (-100000L) /* let the kernel do it, in the program's own place */
int fgn_copy_in(void *to, uint64_t from, size_t size);
int fgn_copy_out(uint64_t to, const void *from, size_t size);
/* At most `size` - 1 characters and a zero; -EFAULT, -ENAMETOOLONG. */
int fgn_copy_path(char *to, uint64_t from, size_t size);
/* Sends the thread through a gate: its system call happens there, and it returns to its place. */
bool fgn_pass(ucontext_t *uc);
/* A program counter within a gate, as the program would see it. */
uint64_t fgn_gate_outside(uint64_t rip);
void fgn_lock(void);
void fgn_unlock(void);
/* Between the first two no fork happens; between the last two the process is copied. */
void fgn_stay_whole(void);
void fgn_may_split(void);
void fgn_split_begin(void);
void fgn_split_end(void);

/* call.c: a trapped system call. */
void fgn_call(struct fgn_thread *t, siginfo_t *info, ucontext_t *uc);

/* fault.c: SH_SIM_NO_FAULT, or the result that was asked for. */
int fgn_faults_start(void);
int fgn_fault(enum sh_sim_event event);

/* signal.c */
void fgn_handler(int sig, siginfo_t *info, void *ctx);

/* device.c */
int fgn_epc_start(void);                     /* early: what the program maps comes behind it */
long fgn_open(const char *path, long flags); /* FGN_PASS: not ours */
bool fgn_is_device_path(const char *path);
bool fgn_is_device_fd(int fd);
long fgn_ioctl(const long a[6]);
long fgn_mmap(const long a[6]);
long fgn_mprotect(const long a[6]);
long fgn_munmap(const long a[6]);
long fgn_mremap(const long a[6]);
void fgn_count_all(void);    /* writes the counts */
void fgn_count_anew(void);   /* in the child of a fork: its parent counts what was before */
extern int fgn_counts_pid;   /* whose they are: after a fork, the parent's still */
void fgn_renew_tables(void); /* in the child of a fork */

/* path.c: files that are shown otherwise. */
long fgn_path_call(long number, const long a[6]);
bool fgn_is_own_exe(const char *path); /* a name of /proc/self/exe */

/* spawn.c */
long fgn_clone(struct fgn_thread *t, ucontext_t *uc, long number, const long a[6]);
long fgn_execve(struct fgn_thread *t, ucontext_t *uc, long number, const long a[6]);

/* cpuid.c */
void fgn_cpuid_start(void);
void fgn_cpuid_patch(uint64_t start, uint64_t size);
bool fgn_cpuid_trap(int sig, ucontext_t *uc);
uint64_t fgn_offered(void); /* XFRM that enclaves may have */
bool fgn_has_cet(void);     /* where the host has it, too */
#define FGN_AVX512 (7ull << 5)
#define FGN_PKRU (1ull << 9)
#define FGN_AMX (3ull << 17)
long fgn_madvise(const long a[6]);

/* length.c: bytes of the instruction at p, of which `room` can be read; 0: none that we know. */
unsigned fgn_length(const uint8_t *p, size_t room);

/* debugger.c */
void fgn_show_auxiliary(const void *vector, size_t size); /* in /proc/PID/auxv */
bool fgn_started_by_gdb(void);                            /* by one that is below us, too */

/* load.c: maps fgn_options.exe, and starts it with what the kernel gave us. Does not return. */
int fgn_start(long *stack);

/* vdso.c: the image for AT_SYSINFO_EHDR, or 0. */
uint64_t fgn_vdso(uint64_t kernel);

/* entry.S */
#define FGN_GATES 1024
extern const uint8_t fgn_gates[];
extern uint64_t fgn_gate_out[FGN_GATES];
#define FGN_GATE_SIZE 8
extern const uint8_t fgn_vdso_begin[], fgn_vdso_end[];
_Noreturn void fgn_jump(uint64_t entry, uint64_t stack);
_Noreturn void fgn_restore(void);

#endif
