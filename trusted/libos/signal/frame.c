// SPDX-License-Identifier: Apache-2.0
// The frame a handler finds on its stack, laid out as Linux lays it (arch/x86, rt_sigframe):
//
//   high  +--------------------------+
//         | XSAVE area, 64-aligned   |  then FP_XSTATE_MAGIC2
//         +--------------------------+
//         | siginfo, 128 bytes       |
//         | ucontext                 |
//   rsp-> | return address: restorer |  rsp + 8 is a multiple of 16
//         +--------------------------+
//
// The program's XSAVE state is still in the registers: LibOS code uses general registers only.
#include <asm/sigcontext.h>
#include <asm/signal.h>

#include "trusted/libos/base/processor.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/signal/signal.h"

#define RED_ZONE 128u
#define XSAVE_HEADER 512u
#define SW_RESERVED 464u
#define UC_FP_XSTATE_BIT 1u
#define UC_SS_BITS 6u
#define SS_AUTODISARM_BIT 0x80000000u
#define FLAGS_KEPT 0x50dd5ul /* what a program may set: CF PF AF ZF SF TF DF OF AC RF */

struct context {
    uint64_t flags, link;
    uint64_t stack_sp;
    int32_t stack_flags, pad;
    uint64_t stack_size;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
    uint16_t cs, gs, fs, ss;
    uint64_t err, trapno, oldmask, cr2, fpstate, reserved[8];
    uint64_t mask;
};

struct frame {
    uint64_t restorer;
    struct context uc;
    uint8_t info[128];
};

static void put_int32(uint8_t *p, int32_t v)
{
    memcpy(p, &v, 4);
}

void siginfo_build(uint8_t out[128], const struct sig_item *i)
{
    memset(out, 0, 128);
    put_int32(out, i->signo);
    put_int32(out + 4, i->error);
    put_int32(out + 8, i->code);
    bool fault = i->code > 0 && (i->signo == SIGSEGV || i->signo == SIGBUS || i->signo == SIGFPE ||
                                 i->signo == SIGILL || i->signo == SIGTRAP);
    if (fault) {
        memcpy(out + 16, &i->value, 8);
    } else if (i->code == -2) { /* SI_TIMER */
        put_int32(out + 16, i->timer_id);
        put_int32(out + 20, i->overrun);
        memcpy(out + 24, &i->value, 8);
    } else {
        put_int32(out + 16, i->pid);
        put_int32(out + 20, (int32_t)i->uid);
        memcpy(out + 24, &i->value, 8);
    }
}

void siginfo_parse(const uint8_t in[128], struct sig_item *i)
{
    memcpy(&i->signo, in, 4);
    memcpy(&i->error, in + 4, 4);
    memcpy(&i->code, in + 8, 4);
    memcpy(&i->pid, in + 16, 4);
    memcpy(&i->uid, in + 20, 4);
    memcpy(&i->value, in + 24, 8);
}

static void xsave_to(uint64_t area)
{
    uint8_t *p = (uint8_t *)area;
    struct _fpx_sw_bytes sw = {
        .magic1 = FP_XSTATE_MAGIC1,
        .extended_size = port_info.xsave_size + 4,
        .xfeatures = port_info.xfrm,
        .xstate_size = port_info.xsave_size,
    };
    memset(p, 0, port_info.xsave_size);
    __asm__ volatile("xsave64 %0"
                     : "+m"(*(uint8_t(*)[4096])p)
                     : "a"((uint32_t)port_info.xfrm), "d"((uint32_t)(port_info.xfrm >> 32)));
    memcpy(p + SW_RESERVED, &sw, sizeof(sw));
    uint32_t end = FP_XSTATE_MAGIC2;
    memcpy(p + port_info.xsave_size, &end, 4);
}

/* The program may have written anything there: only what XRSTOR takes without a fault is kept. */
static int xrstor_from(uint64_t area)
{
    uint64_t pages = (port_info.xsave_size + PAGE_SIZE - 1) >> PAGE_SHIFT;
    uint8_t *p = pages_alloc(pages);
    if (!p)
        return -ENOMEM;
    bool header = false;
    struct _fpx_sw_bytes sw;
    int r = user_read(p, area, XSAVE_HEADER);
    memcpy(&sw, p + SW_RESERVED, sizeof(sw));
    if (!r && sw.magic1 == FP_XSTATE_MAGIC1 && sw.xstate_size <= port_info.xsave_size &&
        sw.xstate_size >= XSAVE_HEADER + 64) {
        r = user_read(p, area, sw.xstate_size);
        header = true;
    }
    if (!r) {
        xstate_judge(p, port_info.xfrm, header);
        __asm__ volatile("xrstor64 %0"
                         :
                         : "m"(*(uint8_t(*)[4096])p), "a"((uint32_t)port_info.xfrm),
                           "d"((uint32_t)(port_info.xfrm >> 32)));
    }
    pages_free(p, pages);
    return r;
}

static bool on_alt(const struct thread *t, uint64_t sp)
{
    return sp > t->alt.sp && sp - t->alt.sp <= t->alt.size;
}

static void fill_frame(struct frame *f, const struct thread *t, uint64_t fpstate, uint64_t mask)
{
    const struct regs *r = &t->regs;
    f->uc = (struct context){
        .flags = UC_FP_XSTATE_BIT | UC_SS_BITS,
        .stack_sp = t->alt.sp,
        .stack_size = t->alt.size,
        .stack_flags = !t->alt.size        ? 2
                       : on_alt(t, r->rsp) ? 1
                                           : t->alt.flags,
        .r8 = r->r8,
        .r9 = r->r9,
        .r10 = r->r10,
        .r11 = r->r11,
        .r12 = r->r12,
        .r13 = r->r13,
        .r14 = r->r14,
        .r15 = r->r15,
        .rdi = r->rdi,
        .rsi = r->rsi,
        .rbp = r->rbp,
        .rbx = r->rbx,
        .rdx = r->rdx,
        .rax = r->rax,
        .rcx = r->rcx,
        .rsp = r->rsp,
        .rip = r->rip,
        .eflags = r->rflags,
        .cs = 0x33,
        .ss = 0x2b,
        .err = t->trap.error,
        .trapno = t->trap.vector,
        .cr2 = t->trap.addr,
        .fpstate = fpstate,
        .mask = mask,
    };
}

int frame_push(struct thread *t, const struct sig_action *action, const struct sig_item *item,
               uint64_t mask)
{
    struct regs *r = &t->regs;
    uint64_t sp = r->rsp - RED_ZONE;
    if ((action->flags & SA_ONSTACK) && t->alt.size && !on_alt(t, r->rsp))
        sp = t->alt.sp + t->alt.size;
    uint64_t fp = (sp - port_info.xsave_size - 4) & ~63ul;
    uint64_t at = ((fp - sizeof(struct frame)) & ~15ul) - 8;
    if (!(action->flags & 0x04000000)) /* SA_RESTORER: there is no other way back */
        return -EINVAL;
    if (mm_ready(fp, port_info.xsave_size + 4, PORT_W))
        return -EFAULT;
    xsave_to(fp);
    struct frame f = {.restorer = action->restorer};
    fill_frame(&f, t, fp, mask);
    siginfo_build(f.info, item);
    if (user_write(at, &f, sizeof(f)))
        return -EFAULT;
    if ((uint32_t)t->alt.flags & SS_AUTODISARM_BIT)
        t->alt = (struct alt_stack){0};
    r->rsp = at;
    r->rdi = (uint64_t)item->signo;
    r->rsi = at + offsetof(struct frame, info);
    r->rdx = at + offsetof(struct frame, uc);
    r->rax = 0;
    r->rip = action->handler;
    r->rflags &= ~0x500ul; /* DF, TF */
    return 0;
}

int frame_pop(struct thread *t)
{
    struct context uc;
    struct regs *r = &t->regs;
    int e = user_read(&uc, r->rsp, sizeof(uc)); /* the return address was popped */
    if (e)
        return e;
    *r = (struct regs){
        .r8 = uc.r8,
        .r9 = uc.r9,
        .r10 = uc.r10,
        .r11 = uc.r11,
        .r12 = uc.r12,
        .r13 = uc.r13,
        .r14 = uc.r14,
        .r15 = uc.r15,
        .rdi = uc.rdi,
        .rsi = uc.rsi,
        .rbp = uc.rbp,
        .rbx = uc.rbx,
        .rdx = uc.rdx,
        .rax = uc.rax,
        .rcx = uc.rcx,
        .rsp = uc.rsp,
        .rip = uc.rip,
        .rflags = (uc.eflags & FLAGS_KEPT) | 0x202,
    };
    t->rip_virtual = true;
    sig_set_mask(t, uc.mask);
    if (!on_alt(t, uc.rsp))
        t->alt = (struct alt_stack){uc.stack_sp, uc.stack_flags & 2 ? 0 : uc.stack_size,
                                    uc.stack_flags & (int32_t)SS_AUTODISARM_BIT};
    return uc.fpstate ? xrstor_from(uc.fpstate) : 0;
}
