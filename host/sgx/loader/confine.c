// SPDX-License-Identifier: Apache-2.0
// The walls around the process that runs the enclave, as if it were the image itself: on hardware
// an enclave can write all of its process's memory, in the simulator the program can also jump
// there.
#include <asm/ioctls.h>
#include <asm/sgx.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "host/base/filter.h"
#include "host/base/util.h"
#include "host/base/walls.h"
#include "host/sgx/loader/loader.h"

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

/* What is not in these lists is answered EPERM. */
#define ANY SH_FILTER_ANY
#define ONLY SH_FILTER_ONLY
#define OWN SH_FILTER_OWN
#define WX (PROT_WRITE | PROT_EXEC)

/* Calls out, threads and memory of the loader. */
static const struct sh_filter_call common[] = {
    ANY(read),
    ANY(write),
    ANY(futex),
    ANY(ppoll),
    ANY(poll),
    ANY(recvfrom),
    ANY(recvmsg), /* answers of the processes outside */
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
    ANY(exit_group), /* not exit: others would go on without the thread */
    ONLY(tgkill, 0, OWN),
    ONLY(prctl, 0, PR_SET_NAME),
    ANY(pipe2),
    ONLY(fcntl, 1, F_GETFL),
    ONLY(fcntl, 1, F_SETFL),
    ONLY(ioctl, 1, FIONREAD),
};

/* Sockets that the process outside made. */
static const struct sh_filter_call sockets[] = {
    ANY(accept4),
    ANY(shutdown),
    ANY(getsockname),
    ANY(getpeername),
};

/* Options that calls out set. Filters of packets, protocols above TCP and groups of multicast are
 * not for a loader that somebody has taken. */
#define OPTION(level, name) ((uint32_t)(level) << 16 | (name))
#define SOCKET_OPTION(NAME, level, number, flags, initial) OPTION(level, number),
static const uint32_t options_set[] = {
#include <shelter/socket_options.def>
    OPTION(SOL_SOCKET, SO_LINGER),
};
#undef SOCKET_OPTION
static const uint32_t options_read[] = {
    OPTION(SOL_SOCKET, SO_ERROR),
    OPTION(SOL_SOCKET, SO_LINGER),
    OPTION(IPPROTO_TCP, TCP_INFO),
};

/* The files of volumes, open before. */
static const struct sh_filter_call volumes[] = {
    ANY(pread64),
    ANY(pwrite64),
    ANY(fdatasync),
    ANY(fallocate),
};

/* Changing the enclave; memfd_create is how many pages are added at once. */
static const struct sh_filter_call hardware[] = {
    ONLY(ioctl, 1, SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS),
    ONLY(ioctl, 1, SGX_IOC_ENCLAVE_MODIFY_TYPES),
    ONLY(ioctl, 1, SGX_IOC_ENCLAVE_REMOVE_PAGES),
    ANY(memfd_create),
};

/* The simulated processor: pages of its EPC given back, each thread's dispatch of system calls and
 * LDT entry, signals to itself that it delays, arguments of ioctls read and answered as the kernel
 * does. */
static const struct sh_filter_call simulator[] = {
    ONLY(process_vm_readv, 0, OWN),
    ONLY(process_vm_writev, 0, OWN),
    ANY(pwrite64),
    ANY(fallocate),
    ANY(modify_ldt),
    ANY(arch_prctl),
    ONLY(rt_tgsigqueueinfo, 0, OWN),
    ONLY(prctl, 0, PR_SET_SYSCALL_USER_DISPATCH),
    ONLY(prctl, 0, PR_SET_NO_NEW_PRIVS),
    ANY(seccomp),
};

/* Writable code only in the enclave's addresses: the programs' business, and code of theirs anyway.
 */
static void put_enclave_rights(struct sh_filter *f)
{
    sh_filter_put(f, BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 4);
    sh_filter_load(f, offsetof(struct seccomp_data, args) + 4); /* upper half of the address */
    sh_filter_put(f, BPF_JMP | BPF_JGE | BPF_K, (uint32_t)(SH_ENCLAVE_SIZE >> 32), 1, 0);
    sh_filter_return(f, SECCOMP_RET_ALLOW);
    sh_filter_load(f, offsetof(struct seccomp_data, nr));
}

/* send(), which is sendto() without an address: to where the socket is connected. */
static void put_send(struct sh_filter *f)
{
    const size_t address = offsetof(struct seccomp_data, args) + 8 * 4;
    sh_filter_put(f, BPF_JMP | BPF_JEQ | BPF_K, SYS_sendto, 0, 6);
    sh_filter_load(f, address);
    sh_filter_put(f, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3);
    sh_filter_load(f, address + 4);
    sh_filter_put(f, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
    sh_filter_return(f, SECCOMP_RET_ALLOW);
    sh_filter_load(f, offsetof(struct seccomp_data, nr));
}

/* `nr` with one of these options. What is wider than 16 bits is no option of the kernel's either.
 */
static void put_options(struct sh_filter *f, uint32_t nr, const uint32_t *list, size_t count)
{
    const size_t args = offsetof(struct seccomp_data, args);
    sh_filter_put(f, BPF_JMP | BPF_JEQ | BPF_K, nr, 0, (uint8_t)(2 * count + 6));
    sh_filter_load(f, args + 8);
    sh_filter_put(f, BPF_ALU | BPF_LSH | BPF_K, 16, 0, 0);
    sh_filter_put(f, BPF_MISC | BPF_TAX, 0, 0, 0);
    sh_filter_load(f, args + 16);
    sh_filter_put(f, BPF_ALU | BPF_OR | BPF_X, 0, 0, 0);
    for (size_t i = 0; i < count; i++) {
        sh_filter_put(f, BPF_JMP | BPF_JEQ | BPF_K, list[i], 0, 1);
        sh_filter_return(f, SECCOMP_RET_ALLOW);
    }
    sh_filter_load(f, offsetof(struct seccomp_data, nr));
}
#define PUT_OPTIONS(f, nr, list) put_options(f, nr, list, sizeof(list) / sizeof((list)[0]))

static int filter_calls(void)
{
    static struct sh_filter f;
    sh_filter_begin(&f);
    SH_FILTER_CALLS(&f, common, SECCOMP_RET_ALLOW);
    if (loader.options.outside.network) {
        SH_FILTER_CALLS(&f, sockets, SECCOMP_RET_ALLOW);
        PUT_OPTIONS(&f, SYS_setsockopt, options_set);
        PUT_OPTIONS(&f, SYS_getsockopt, options_read);
    }
    if (loader.options.volume_count)
        SH_FILTER_CALLS(&f, volumes, SECCOMP_RET_ALLOW);
    if (loader.options.driver->simulated)
        SH_FILTER_CALLS(&f, simulator, SECCOMP_RET_ALLOW);
    else
        SH_FILTER_CALLS(&f, hardware, SECCOMP_RET_ALLOW);
    put_send(&f);
    put_enclave_rights(&f);
    /* glibc starts threads by clone, whose flags can be seen, where there is no clone3. */
    static const struct sh_filter_call newer[] = {ANY(clone3)};
    SH_FILTER_CALLS(&f, newer, SECCOMP_RET_ERRNO | ENOSYS);
    return sh_filter_raise(&f, SECCOMP_RET_ERRNO | EPERM);
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
    int r = outside_helper_start(&loader.options.outside, !debug, err);
    if (!r && !debug)
        note_wall(SH_WALL_FILES, sh_wall_files_begin());
    return r;
}

static int report_missing(struct sh_error *err)
{
    char text[256];
    sh_wall_names(missing, text, sizeof(text));
    if (!missing)
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
    uid_t id = SH_WALL_UID_FIRST + loader.options.outside.number;
    if (!debug) { /* a debugger looks for the program's files at their places */
        note_wall(SH_WALL_NETWORK, sh_wall_network());
        if (!(missing & 1u << SH_WALL_FILES))
            note_wall(SH_WALL_FILES, sh_wall_files());
    }
    note_wall(SH_WALL_USER, sh_wall_user(id, id, false));
    prctl(PR_SET_DUMPABLE, debug);
    if (debug) /* `shelter debug` is no ancestor of ours */
        prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    else if (outside_helper_follow())
        _exit(SH_EXIT_FAILURE); /* whoever started us is gone */
    note_wall(SH_WALL_LANDLOCK, sh_wall_landlock(false));
    note_wall(SH_WALL_SECCOMP, filter_calls());
    return report_missing(err);
}
