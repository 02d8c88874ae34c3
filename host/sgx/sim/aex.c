// SPDX-License-Identifier: Apache-2.0
// Asynchronous enclave exit (SDM 36.4), and the XSAVE state that it moves.
//
// The enclave's XSAVE state is either in a signal frame (t->frame) or still in the registers. Code
// that runs in the second case is compiled without vector registers (module.mk).
#include "host/sgx/sim/sim.h"

#include <string.h>

#define XSTATE_BV 512
#define LEGACY_DATA 416u /* x87 and SSE; what follows in the 512 bytes is software's */
#define MXCSR 24

static uint64_t load_u64(const uint8_t *p)
{
    uint64_t v;
    __builtin_memcpy(&v, p, 8);
    return v;
}

static void store_u64(uint8_t *p, uint64_t v)
{
    __builtin_memcpy(p, &v, 8);
}

static void copy_bytes(uint8_t *to, const uint8_t *from, size_t size)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

static void clear_bytes(uint8_t *to, size_t size)
{
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(0) : "memory");
}

void sim_xsave(struct sim_thread *t, uint8_t *area, uint64_t xfrm)
{
    clear_bytes(area + XSTATE_BV, 64);
    if (t->frame == NULL) {
        __asm__ volatile("xsave64 (%0)"
                         :
                         : "r"(area), "a"((uint32_t)xfrm), "d"((uint32_t)(xfrm >> 32))
                         : "memory");
        return;
    }
    uint64_t live = load_u64(t->frame + XSTATE_BV) & xfrm;
    copy_bytes(area, t->frame, LEGACY_DATA);
    for (unsigned i = 2; i < 63; i++) {
        uint32_t at = sim_cpu.xstate[i].offset, size = sim_cpu.xstate[i].size;
        if ((xfrm >> i & 1) == 0)
            continue;
        if ((live >> i & 1) != 0)
            copy_bytes(area + at, t->frame + at, size);
        else
            clear_bytes(area + at, size);
    }
    store_u64(area + XSTATE_BV, live);
}

/* What XRSTOR in standard form would refuse with #GP. */
bool sim_xrstor_check(const uint8_t *area, uint64_t xfrm)
{
    uint32_t mxcsr;
    uint64_t reserved = 0;
    for (unsigned at = XSTATE_BV + 8; at < XSTATE_BV + 64; at += 8)
        reserved |= load_u64(area + at);
    __builtin_memcpy(&mxcsr, area + MXCSR, 4);
    return reserved == 0 && (load_u64(area + XSTATE_BV) & ~xfrm) == 0 &&
           (mxcsr & ~sim_cpu.mxcsr_mask) == 0;
}

/* x87: all masked, double extended; SSE: all masked. XSTATE_BV of zero asks for the rest. */
static uint8_t initial[576]
    __attribute__((aligned(64))) = {[0] = 0x7f, [1] = 0x03, [MXCSR] = 0x80, [MXCSR + 1] = 0x1f};

void sim_xrstor(struct sim_thread *t, const uint8_t *area, uint64_t xfrm)
{
    if (t->frame == NULL) {
        t->xrstor = area != NULL ? area : initial;
        t->xmask = xfrm;
        return;
    }
    if (area == NULL)
        area = initial;
    uint64_t from = load_u64(area + XSTATE_BV), to = load_u64(t->frame + XSTATE_BV) & ~xfrm;
    copy_bytes(t->frame, area, LEGACY_DATA); /* MXCSR counts even if its component does not */
    for (unsigned i = 2; i < 63; i++) {
        uint32_t at = sim_cpu.xstate[i].offset, size = sim_cpu.xstate[i].size;
        if ((xfrm & from) >> i & 1)
            copy_bytes(t->frame + at, area + at, size);
    }
    store_u64(t->frame + XSTATE_BV, to | (from & xfrm));
}

void sim_fpu_begin(struct sim_thread *t)
{
    if (t->frame != NULL)
        return;
    clear_bytes((uint8_t *)t->fpu + XSTATE_BV, 64);
    __asm__ volatile("xsave64 (%0)"
                     :
                     : "r"(t->fpu), "a"((uint32_t)sim_cpu.xfrm), "d"((uint32_t)(sim_cpu.xfrm >> 32))
                     : "memory");
    __asm__ volatile("xrstor64 (%0)"
                     :
                     : "r"(initial), "a"((uint32_t)sim_cpu.xfrm),
                       "d"((uint32_t)(sim_cpu.xfrm >> 32))
                     : "memory");
}

void sim_fpu_end(struct sim_thread *t)
{
    if (t->frame != NULL)
        return;
    __asm__ volatile("xrstor64 (%0)"
                     :
                     : "r"(t->fpu), "a"((uint32_t)sim_cpu.xfrm), "d"((uint32_t)(sim_cpu.xfrm >> 32))
                     : "memory");
}

/* The registers of the host, as every AEX leaves them (SDM 36.4.1). */
static void synthetic_state(struct sim_thread *t)
{
    uint64_t rflags = t->r.rflags & ~(RFLAGS_STATUS | RFLAGS_TF | RFLAGS_RF);
    uint64_t aep = t->tcs->aep, rsp = t->gpr->ursp, rbp = t->gpr->urbp;
    clear_bytes((uint8_t *)&t->r, sizeof(t->r));
    t->r.rax = SGX_ERESUME;
    t->r.rbx = t->tcs_addr;
    t->r.rcx = aep;
    t->r.rsp = rsp;
    t->r.rbp = rbp;
    t->r.rip = aep;
    t->r.rflags = rflags;
    t->r.fs = t->host_fs;
    t->r.gs = t->host_gs;
}

void sim_aex(struct sim_thread *t, uint32_t exitinfo)
{
    struct sgxsim *dev = t->dev;
    struct sgx_gprsgx *g = t->gpr;
    uint64_t frame_size = (uint64_t)dev->secs.ssa_frame_size * SGX_PAGE_SIZE;
    uint8_t *area = (uint8_t *)(g + 1) - frame_size;
    sim_xsave(t, area, dev->secs.attributes.xfrm);
    copy_bytes((uint8_t *)g, (const uint8_t *)&t->r, offsetof(struct sgx_gprsgx, ursp));
    g->rflags &= ~RFLAGS_TF;
    g->fsbase = t->r.fs;
    g->gsbase = t->r.gs;
    g->exitinfo = exitinfo;
    if ((dev->secs.miscselect & SGX_MISC_EXINFO) != 0 && (exitinfo & SGX_EXIT_VALID) != 0 &&
        (t->vector == SGX_VECTOR_PF || t->vector == SGX_VECTOR_GP)) {
        struct sgx_exinfo *ex = (struct sgx_exinfo *)g - 1;
        ex->maddr = t->vector == SGX_VECTOR_PF ? t->addr : 0;
        ex->errcd = t->error;
        ex->reserved = 0;
    }
    t->tcs->cssa++;
    synthetic_state(t);
    sim_xrstor(t, NULL, dev->secs.attributes.xfrm);
    SIM_COUNT(dev, aex);
    t->inside = false;
    __atomic_store_n(&t->tcs->state, 0, __ATOMIC_RELEASE);
}

/* EXITINFO for a vector (SDM 35.9.1.1, table of vectors): most exceptions are told to the enclave,
 * #PF and #GP only with EXINFO. */
uint32_t sim_exitinfo(const struct sgxsim *dev, unsigned vector)
{
    bool told = false;
    switch (vector) {
    case SGX_VECTOR_DE:
    case SGX_VECTOR_DB:
    case SGX_VECTOR_BP:
    case SGX_VECTOR_BR:
    case SGX_VECTOR_UD:
    case SGX_VECTOR_MF:
    case SGX_VECTOR_AC:
    case SGX_VECTOR_XM:
        told = true;
        break;
    case SGX_VECTOR_GP:
    case SGX_VECTOR_PF:
        told = (dev->secs.miscselect & SGX_MISC_EXINFO) != 0;
        break;
    }
    uint32_t type = vector == SGX_VECTOR_BP ? SGX_EXIT_SOFTWARE : SGX_EXIT_HARDWARE;
    return told ? SGX_EXIT_VALID | type << 8 | vector : 0;
}

static int signal_of(unsigned vector)
{
    switch (vector) {
    case SGX_VECTOR_DE:
    case SGX_VECTOR_MF:
    case SGX_VECTOR_XM:
        return SIGFPE;
    case SGX_VECTOR_DB:
    case SGX_VECTOR_BP:
        return SIGTRAP;
    case SGX_VECTOR_UD:
        return SIGILL;
    case SGX_VECTOR_AC:
        return SIGBUS;
    default:
        return SIGSEGV;
    }
}

void sim_fault(struct sim_thread *t)
{
    if (t->inside) {
        SIM_COUNT(t->dev, aex_fault);
        sim_aex(t, sim_exitinfo(t->dev, t->vector));
    }
    bool vdso = t->r.rip == (uint64_t)sim_aep || t->r.rip == (uint64_t)sim_aep_enclu;
    bool foreign = t->r.rip == (uint64_t)sim_foreign_aep || t->r.rip == (uint64_t)sim_foreign_enclu;
    if (!(vdso || foreign) || t->vector == SGX_VECTOR_DB || t->vector == SGX_VECTOR_BP) {
        t->raise = signal_of(t->vector); /* as the kernel: no fix-up, a signal at the AEP */
        return;
    }
    t->r.rip = (uint64_t)(foreign ? sim_foreign_exception : sim_exception);
    t->r.rdi = t->vector;
    t->r.rsi = t->error;
    /* The kernel learns the page of a fault inside ELRANGE, never the offset (SDM 36.3). */
    t->r.rdx = t->addr;
    if (t->vector == SGX_VECTOR_PF && sim_device_at(t->addr) != NULL)
        t->r.rdx &= ~(uint64_t)(SGX_PAGE_SIZE - 1);
}
