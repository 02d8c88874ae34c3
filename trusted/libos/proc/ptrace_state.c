// SPDX-License-Identifier: Apache-2.0
// Registers of a traced thread, in the order of Linux's user_regs_struct and in XSAVE's format.
#include <linux/elf.h>
#include <sys/uio.h>

#include "trusted/libos/base/processor.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/proc/ptrace.h"

#define FXSAVE_SIZE 512u
#define SW_XFEATURES 464u /* where debuggers look for XCR0 */
#define FLAGS_MEANT 0x50dd5ul
#define FLAGS_ALWAYS 0x202ul
#define NT_X86_XSTATE_ 0x202u
enum {
    R15,
    R14,
    R13,
    R12,
    RBP,
    RBX,
    R11,
    R10,
    R9,
    R8,
    RAX,
    RCX,
    RDX,
    RSI,
    RDI,
    ORIG,
    RIP,
    CS,
    FLAGS,
    RSP,
    SS,
    FS,
    GS
};

void ptrace_registers(const struct tracee *e, uint64_t out[PTRACE_REGS])
{
    const struct regs *r = &e->thread->regs;
    const uint64_t all[PTRACE_REGS] = {r->r15,    r->r14,
                                       r->r13,    r->r12,
                                       r->rbp,    r->rbx,
                                       r->r11,    r->r10,
                                       r->r9,     r->r8,
                                       r->rax,    r->rcx,
                                       r->rdx,    r->rsi,
                                       r->rdi,    e->call,
                                       r->rip,    0x33,
                                       r->rflags, r->rsp,
                                       0x2b,      e->thread->fs_base};
    memcpy(out, all, sizeof(all));
}

int ptrace_set_registers(struct tracee *e, const uint64_t in[PTRACE_REGS])
{
    struct thread *t = e->thread;
    if (in[FS] >> 47)
        return -EIO;
    t->regs = (struct regs){.r15 = in[R15],
                            .r14 = in[R14],
                            .r13 = in[R13],
                            .r12 = in[R12],
                            .rbp = in[RBP],
                            .rbx = in[RBX],
                            .r11 = in[R11],
                            .r10 = in[R10],
                            .r9 = in[R9],
                            .r8 = in[R8],
                            .rax = in[RAX],
                            .rcx = in[RCX],
                            .rdx = in[RDX],
                            .rsi = in[RSI],
                            .rdi = in[RDI],
                            .rsp = in[RSP],
                            .rip = in[RIP],
                            .rflags = (in[FLAGS] & FLAGS_MEANT) | FLAGS_ALWAYS};
    t->rip_virtual = true;
    t->fs_base = in[FS]; /* the thread loads it */
    e->call = in[ORIG];
    t->call_nr = (int64_t)in[ORIG] >= 0 ? (int64_t)in[ORIG] : -1; /* begun again if rax says so */
    t->restart_rip = in[RIP] - 2;
    return 0;
}

static long move_state(struct tracee *e, uint64_t addr, uint64_t size, bool write)
{
    uint8_t *area = e->xsave;
    memcpy(area + SW_XFEATURES, &port_info.xfrm, sizeof(port_info.xfrm));
    if (!write)
        return user_write(addr, area, size);
    if (user_read(area, addr, size)) /* some of it came: as a torn write, but whole registers */
        return -EFAULT;
    xstate_judge(area, port_info.xfrm, size > FXSAVE_SIZE);
    return 0;
}

long ptrace_float_registers(struct tracee *e, uint64_t addr, bool write)
{
    return move_state(e, addr, FXSAVE_SIZE, write);
}

long ptrace_register_set(struct tracee *e, uint64_t type, uint64_t iov, bool write)
{
    struct iovec v;
    uint64_t regs[PTRACE_REGS];
    uint64_t size = type == NT_PRSTATUS      ? sizeof(regs)
                    : type == NT_PRFPREG     ? FXSAVE_SIZE
                    : type == NT_X86_XSTATE_ ? port_info.xsave_size
                                             : 0;
    if (!size)
        return -EINVAL;
    if (user_read(&v, iov, sizeof(v)))
        return -EFAULT;
    v.iov_len = MIN(v.iov_len, size);
    if (v.iov_len % 8 || (type == NT_X86_XSTATE_ && write && v.iov_len < size))
        return -EINVAL;
    long r = 0;
    if (type == NT_PRSTATUS) {
        ptrace_registers(e, regs);
        r = write ? user_read(regs, (uint64_t)v.iov_base, v.iov_len)
                  : user_write((uint64_t)v.iov_base, regs, v.iov_len);
        if (!r && write)
            r = ptrace_set_registers(e, regs);
    } else {
        r = move_state(e, (uint64_t)v.iov_base, v.iov_len, write);
    }
    return r ? r : user_write(iov, &v, sizeof(v));
}
