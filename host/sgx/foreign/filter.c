// SPDX-License-Identifier: Apache-2.0
// The system calls that come to us. Installed once; children and the programs that they start have
// it, and since we are always at the same address, it lets through what comes from there.
#include "host/sgx/foreign/foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ARGUMENT(n) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + (n)*8)
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define TRAP BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP)
#define TRAP_CALL(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), TRAP

int fgn_filter(void)
{
    static const struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FGN_BASE >> 32, 0, 3),
        LOAD(instruction_pointer),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)(FGN_END - FGN_BASE), 1, 0),
        ALLOW,
        LOAD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
        ALLOW,
        LOAD(nr),
        /* an ioctl of the type 0xa4 */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 4),
        ARGUMENT(1),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff00),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xa400, 0, 1),
        TRAP,
        LOAD(nr),
        /* mmap: of a file, or at a fixed address */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 5),
        ARGUMENT(3),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_FIXED | MAP_FIXED_NOREPLACE, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_ANONYMOUS, 0, 1),
        ALLOW,
        TRAP,
        TRAP_CALL(SYS_mprotect),
        TRAP_CALL(SYS_munmap),
        TRAP_CALL(SYS_mremap),
        TRAP_CALL(SYS_pkey_mprotect),
        TRAP_CALL(SYS_open),
        TRAP_CALL(SYS_openat),
        TRAP_CALL(SYS_openat2),
        TRAP_CALL(SYS_stat),
        TRAP_CALL(SYS_lstat),
        TRAP_CALL(SYS_newfstatat),
        TRAP_CALL(SYS_statx),
        TRAP_CALL(SYS_access),
        TRAP_CALL(SYS_faccessat),
        TRAP_CALL(SYS_faccessat2),
        TRAP_CALL(SYS_readlink),
        TRAP_CALL(SYS_readlinkat),
        TRAP_CALL(SYS_connect),
        TRAP_CALL(SYS_rt_sigaction),
        TRAP_CALL(SYS_rt_sigprocmask),
        TRAP_CALL(SYS_sigaltstack),
        TRAP_CALL(SYS_clone),
        TRAP_CALL(SYS_clone3),
        TRAP_CALL(SYS_fork),
        TRAP_CALL(SYS_vfork),
        TRAP_CALL(SYS_execve),
        TRAP_CALL(SYS_execveat),
        TRAP_CALL(SYS_exit),
        TRAP_CALL(SYS_seccomp),
        TRAP_CALL(SYS_exit_group),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 4),
        ARGUMENT(2),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MADV_DONTNEED, 0, 1),
        TRAP,
        ALLOW,
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 4),
        ARGUMENT(0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PTRACE_TRACEME, 0, 1),
        TRAP,
        ALLOW,
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
        ARGUMENT(0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_SECCOMP, 0, 1),
        TRAP,
        ALLOW,
    };
    struct sock_fprog prog = {.len = sizeof(code) / sizeof(code[0]),
                              .filter = (struct sock_filter *)code};
    if (fgn_raw3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == 0)
        return 0;
    /* Not root: then nothing that is started from here may gain rights. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -errno;
    return (int)fgn_raw3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog);
}

/* --- the program's own filters --------------------------------------------------------------- */

#define HEAD 7
#define FILTER_MAX 4096

/* What is ours passes the program's filters too, but not the gates: they are the program's calls.
 */
static void write_head(struct sock_filter head[HEAD])
{
    uint32_t low = (uint32_t)(uint64_t)fgn_gates, high = low + FGN_GATES * FGN_GATE_SIZE;
    const struct sock_filter code[HEAD] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FGN_BASE >> 32, 0, 5),
        LOAD(instruction_pointer),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)(FGN_END - FGN_BASE), 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, high, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, low, 1, 0),
        ALLOW,
    };
    memcpy(head, code, sizeof(code));
}

long fgn_own_filter(long number, const long a[6])
{
    static struct sock_filter code[FILTER_MAX];
    struct sock_fprog prog;
    long ret;
    bool filter =
        number == SYS_seccomp ? a[0] == SECCOMP_SET_MODE_FILTER : a[1] == SECCOMP_MODE_FILTER;
    if (number == SYS_prctl ? a[1] == SECCOMP_MODE_STRICT : a[0] == SECCOMP_SET_MODE_STRICT)
        return -EINVAL; /* it would be the end of us, too */
    if (!filter || fgn_copy_in(&prog, (uint64_t)a[2], sizeof(prog)) != 0 || prog.len == 0 ||
        prog.len > FILTER_MAX - HEAD)
        return FGN_PASS;
    fgn_lock();
    write_head(code);
    ret = fgn_copy_in(code + HEAD, (uint64_t)prog.filter, prog.len * sizeof(code[0]));
    prog.len += HEAD;
    prog.filter = code;
    if (ret == 0)
        ret = number == SYS_seccomp ? fgn_raw3(SYS_seccomp, a[0], a[1], &prog)
                                    : fgn_raw3(SYS_prctl, a[0], a[1], &prog);
    fgn_unlock();
    return ret;
}
