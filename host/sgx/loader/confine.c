// SPDX-License-Identifier: Apache-2.0
// The walls around the process that runs the enclave, as if it were the image itself: on hardware
// an enclave can write all of its process's memory, in the simulator the program can also jump
// there.
#include <asm/ioctls.h>
#include <asm/sgx.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "host/base/util.h"
#include "host/base/walls.h"
#include "host/sgx/loader/loader.h"

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

/* A system call, and what its argument must be: (args[arg] & mask) == value; without a mask,
 * anything. One row that holds lets it through. What is not here is answered EPERM. */
struct call {
    unsigned nr, arg;
    uint32_t mask, value;
};
#define ANY(name)                                                                                  \
    {                                                                                              \
        SYS_##name, 0, 0, 0                                                                        \
    }
#define ONLY(name, arg, value)                                                                     \
    {                                                                                              \
        SYS_##name, arg, UINT32_MAX, value                                                         \
    }
#define OWN UINT32_MAX /* as a value: the process's id */
#define WX (PROT_WRITE | PROT_EXEC)

/* Calls out, threads and memory of the loader. */
static const struct call common[] = {
    ANY(read),
    ANY(write),
    ANY(futex),
    ANY(ppoll),
    ANY(poll),
    ANY(recvfrom),
    ANY(close),
    ANY(clock_gettime),
    ANY(clock_nanosleep),
    ANY(nanosleep),
    ANY(sched_yield),
    ANY(pause),
    ANY(eventfd2),
    ANY(epoll_create1),
    ANY(epoll_ctl),
    ANY(epoll_wait),
    ANY(restart_syscall),
    ANY(lseek), /* dprintf asks */
    ANY(munmap),
    ANY(madvise),
    ANY(mremap),
    ANY(brk),
    ANY(getrandom),
    ANY(sched_getaffinity),
    {SYS_mmap, 2, WX, 0},
    {SYS_mmap, 2, WX, PROT_WRITE},
    {SYS_mprotect, 2, WX, 0},
    {SYS_mprotect, 2, WX, PROT_WRITE},
    {SYS_mprotect, 2, WX, PROT_EXEC},
    ANY(rt_sigaction),
    ANY(rt_sigprocmask),
    ANY(rt_sigreturn),
    ANY(sigaltstack),
    {SYS_clone, 0, CLONE_THREAD, CLONE_THREAD},
    ANY(set_robust_list),
    ANY(rseq),
    ANY(gettid),
    ANY(getpid),
    ANY(exit),
    ANY(exit_group),
    ONLY(tgkill, 0, OWN),
    ONLY(prctl, 0, PR_SET_NAME),
    ONLY(fcntl, 1, F_GETFL),
    ONLY(fcntl, 1, F_SETFL),
    ONLY(ioctl, 1, TCGETS),
    ONLY(ioctl, 1, TCSETS),
    ONLY(ioctl, 1, TCSETSW),
    ONLY(ioctl, 1, TCSETSF),
    ONLY(ioctl, 1, TIOCGWINSZ),
    ONLY(ioctl, 1, TIOCSWINSZ),
    ONLY(ioctl, 1, FIONREAD),
};

/* Sockets that the process outside made; recvmsg brings them. */
static const struct call sockets[] = {
    ANY(recvmsg),     ANY(accept4),    ANY(shutdown),   ANY(getsockname),
    ANY(getpeername), ANY(getsockopt), ANY(setsockopt),
};

/* Changing the enclave; memfd_create is how many pages are added at once. */
static const struct call hardware[] = {
    ONLY(ioctl, 1, SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS),
    ONLY(ioctl, 1, SGX_IOC_ENCLAVE_MODIFY_TYPES),
    ONLY(ioctl, 1, SGX_IOC_ENCLAVE_REMOVE_PAGES),
    ANY(memfd_create),
};

/* The simulated processor: pages of its EPC given back, each thread's dispatch of system calls and
 * LDT entry, signals to itself that it delays, arguments of ioctls read as the kernel does. */
static const struct call simulator[] = {
    ONLY(process_vm_readv, 0, OWN),
    ANY(pwrite64),
    ANY(fallocate),
    ANY(modify_ldt),
    ANY(arch_prctl),
    ONLY(rt_tgsigqueueinfo, 0, OWN),
    ONLY(prctl, 0, PR_SET_SYSCALL_USER_DISPATCH),
    ONLY(prctl, 0, PR_SET_NO_NEW_PRIVS),
    ANY(seccomp),
};

#define CODE_MAX 512u

struct filter {
    struct sock_filter code[CODE_MAX];
    unsigned short count;
};

static void put_instruction(struct filter *f, uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
    if (f->count < CODE_MAX)
        f->code[f->count++] = (struct sock_filter){code, yes, no, k};
}

static void load_word(struct filter *f, size_t at)
{
    put_instruction(f, BPF_LD | BPF_W | BPF_ABS, (uint32_t)at, 0, 0);
}

static void put_return(struct filter *f, uint32_t action)
{
    put_instruction(f, BPF_RET | BPF_K, action, 0, 0);
}

/* The number is in the accumulator before and after. */
static void put_call(struct filter *f, const struct call *c)
{
    put_instruction(f, BPF_JMP | BPF_JEQ | BPF_K, c->nr, 0, c->mask ? 5 : 1);
    if (c->mask) {
        load_word(f, offsetof(struct seccomp_data, args) + 8 * c->arg);
        put_instruction(f, BPF_ALU | BPF_AND | BPF_K, c->mask, 0, 0);
        put_instruction(f, BPF_JMP | BPF_JEQ | BPF_K,
                        c->value == OWN ? (uint32_t)getpid() : c->value, 0, 1);
    }
    put_return(f, SECCOMP_RET_ALLOW);
    if (c->mask)
        load_word(f, offsetof(struct seccomp_data, nr));
}

/* Writable code only in the enclave's addresses: the programs' business, and code of theirs anyway.
 */
static void put_enclave_rights(struct filter *f)
{
    put_instruction(f, BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 4);
    load_word(f, offsetof(struct seccomp_data, args) + 4); /* upper half of the address */
    put_instruction(f, BPF_JMP | BPF_JGE | BPF_K, (uint32_t)(SH_ENCLAVE_SIZE >> 32), 1, 0);
    put_return(f, SECCOMP_RET_ALLOW);
    load_word(f, offsetof(struct seccomp_data, nr));
}

/* send(), which is sendto() without an address: to where the socket is connected. */
static void put_send(struct filter *f)
{
    const size_t address = offsetof(struct seccomp_data, args) + 8 * 4;
    put_instruction(f, BPF_JMP | BPF_JEQ | BPF_K, SYS_sendto, 0, 6);
    load_word(f, address);
    put_instruction(f, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3);
    load_word(f, address + 4);
    put_instruction(f, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
    put_return(f, SECCOMP_RET_ALLOW);
    load_word(f, offsetof(struct seccomp_data, nr));
}

#define PUT_CALLS(f, list)                                                                         \
    for (size_t i_ = 0; i_ < sizeof(list) / sizeof((list)[0]); i_++)                               \
    put_call(f, &(list)[i_])

static int filter_calls(void)
{
    static struct filter f;
    load_word(&f, offsetof(struct seccomp_data, arch));
    put_instruction(&f, BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
    put_return(&f, SECCOMP_RET_KILL_PROCESS);
    load_word(&f, offsetof(struct seccomp_data, nr));
    PUT_CALLS(&f, common);
    if (loader.options.network != LOADER_NETWORK_NONE)
        PUT_CALLS(&f, sockets);
    if (loader.options.driver->simulated)
        PUT_CALLS(&f, simulator);
    else
        PUT_CALLS(&f, hardware);
    put_send(&f);
    put_enclave_rights(&f);
    /* glibc starts threads by clone, whose flags can be seen, where there is no clone3. */
    put_instruction(&f, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1);
    put_return(&f, SECCOMP_RET_ERRNO | ENOSYS);
    put_return(&f, SECCOMP_RET_ERRNO | EPERM);
    struct sock_fprog prog = {f.count, f.code};
    if (f.count == CODE_MAX)
        return -E2BIG;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &prog)
               ? -errno
               : 0;
}

static unsigned missing; /* bit n: wall n could not be raised */

static void note_wall(enum sh_wall wall, int r)
{
    missing |= (unsigned)(r < 0) << wall;
}

int loader_confine_begin(struct sh_error *err)
{
    bool debug = loader.options.debug;
    if (!debug)
        note_wall(SH_WALL_PIDS, sh_wall_pids());
    return loader_helper_start(!debug, err);
}

static int report_missing(struct sh_error *err)
{
    char text[256] = "";
    for (unsigned i = 0; i < SH_WALL_COUNT; i++) {
        if (missing >> i & 1)
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", text[0] ? ", " : "",
                     sh_wall_name(i));
    }
    if (!text[0])
        return 0;
    if (loader.options.require_confinement)
        return sh_fail(err, -EPERM,
                       "this host cannot confine the enclave's loader by %s, and "
                       "--require-confinement asks for it; 'shelter doctor' shows why",
                       text);
    dprintf(loader_handle_fd(2),
            "shelter: warning: the enclave's loader runs without %s; 'shelter doctor' shows why\n",
            text);
    return 0;
}

int loader_confine(struct sh_error *err)
{
    bool debug = loader.options.debug;
    if (!debug) /* a debugger looks for the program's files at their places */
        note_wall(SH_WALL_FILES, sh_wall_files(false));
    note_wall(SH_WALL_USER, sh_wall_user(loader.number));
    prctl(PR_SET_DUMPABLE, debug);
    if (debug) /* `shelter debug` is no ancestor of ours */
        prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    else if (loader_helper_follow())
        _exit(SH_EXIT_FAILURE); /* whoever started us is gone */
    note_wall(SH_WALL_LANDLOCK, sh_wall_landlock(false));
    note_wall(SH_WALL_SECCOMP, filter_calls());
    return report_missing(err);
}
