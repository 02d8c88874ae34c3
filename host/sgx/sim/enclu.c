// SPDX-License-Identifier: Apache-2.0
// The leaves of ENCLU (SDM 38.4). Registers come and go in t->r; the enclave's vector registers may
// still be live, so this file is compiled without them (module.mk).
#include "host/sgx/sim/sim.h"

/* What software may have in RFLAGS: status flags, TF, DF, NT, RF, AC, ID. */
#define RFLAGS_USER (RFLAGS_STATUS | 0x400ull | 0x4000ull | 0x40000ull | 0x200000ull)
#define RFLAGS_FIXED 0x202ull

static bool is_canonical(uint64_t addr)
{
    return (uint64_t)((int64_t)(addr << 16) >> 16) == addr;
}

/* Records the fault; the caller returns the result. */
static int raise_fault(struct sim_thread *t, int vector, uint32_t error, uint64_t addr)
{
    t->vector = (unsigned)-vector;
    t->error = error;
    t->addr = addr;
    return vector;
}

static int raise_gp(struct sim_thread *t)
{
    return raise_fault(t, SIM_GP, 0, 0);
}

/* The leaf faults at `addr`; if the kernel can do something about it, it is executed again from its
 * start, as on a processor: other operands may have left meanwhile. */
static int resolve_fault(struct sim_thread *t, uint64_t addr, uint32_t access)
{
    struct sgxsim *dev = t->dev;
    if (sim_page_fault(dev, addr, &access) == SIM_FAULT_SIGNAL)
        return raise_fault(t, SIM_PF, access, addr);
    SIM_COUNT(dev, aex);
    SIM_COUNT(dev, aex_fault);
    SIM_COUNT(dev, eresume);
    return SIM_RESTART;
}

/* Makes the page at `addr` one that exists with `access` (SGX_PF_W or 0), as page walk, EPCM check
 * and the kernel's fault handler would together. 0, or the recorded #PF. Called with dev->lock
 * held. */
static int touch_page(struct sim_thread *t, uint64_t addr, uint32_t access)
{
    struct sgxsim *dev = t->dev;
    uint8_t perm = access != 0 ? SGX_SECINFO_W : SGX_SECINFO_R;
    const struct sim_page *p = sim_page(dev, addr - dev->base);
    if ((p->state & (PAGE_VALID | PAGE_PENDING | PAGE_MODIFIED | PAGE_BLOCKED | PAGE_EVICTED)) ==
            PAGE_VALID &&
        p->type == SGX_PT_REG && (p->perm & perm) != 0)
        return 0;
    return resolve_fault(t, addr, access);
}

/* The target page of EACCEPT and its kind: it must be there, whatever its state. */
static int is_present(struct sim_thread *t, uint64_t addr)
{
    struct sgxsim *dev = t->dev;
    const struct sim_page *p = sim_page(dev, addr - dev->base);
    if ((p->state & (PAGE_VALID | PAGE_EVICTED | PAGE_BLOCKED)) == PAGE_VALID)
        return 0;
    return resolve_fault(t, addr, 0);
}

static bool in_elrange(const struct sgxsim *dev, uint64_t addr, uint64_t size)
{
    return addr >= dev->base && addr - dev->base <= dev->size - size;
}

/* A memory operand inside the enclave: `align` is a power of two at least `size`, so one page. */
static int check_operand(struct sim_thread *t, uint64_t addr, uint64_t size, uint64_t align,
                         uint32_t access, void **out)
{
    if (addr % align != 0 || !in_elrange(t->dev, addr, size))
        return raise_gp(t);
    int ret = touch_page(t, addr, access);
    *out = sim_frame(t->dev, addr - t->dev->base);
    return ret;
}

/* Copies the SECINFO at RBX. */
static int secinfo_at(struct sim_thread *t, uint64_t addr, uint64_t *flags)
{
    void *p;
    int ret = check_operand(t, addr, sizeof(struct sgx_secinfo), 64, 0, &p);
    if (ret != 0)
        return ret;
    *flags = *(const volatile uint64_t *)p;
    if ((*flags & SGX_SECINFO_RESERVED) != 0 || !sim_zero(((struct sgx_secinfo *)p)->reserved, 56))
        return raise_gp(t);
    return 0;
}

static void set_result(struct sim_thread *t, int code)
{
    t->r.rax = (uint64_t)code;
    t->r.rflags &= ~RFLAGS_STATUS;
    if (code != SGX_SUCCESS)
        t->r.rflags |= RFLAGS_ZF;
}

/* --- entry ---------------------------------------------------------------------------------- */

static bool is_ssa_page(const struct sim_page *p)
{
    return (p->state & (PAGE_VALID | PAGE_PENDING | PAGE_MODIFIED | PAGE_BLOCKED | PAGE_EVICTED)) ==
               PAGE_VALID &&
           p->type == SGX_PT_REG && (p->perm & 3) == 3;
}

/* Where pages can leave, entering holds the lock until the thread is inside, which keeps its TCS
 * and its frame here; elsewhere it takes none. */
static int entry_fault(struct sim_thread *t, struct sgxsim *dev, uint64_t addr, uint32_t *error)
{
    if (t->entering == NULL)
        sim_lock(dev);
    enum sim_fault_result result = sim_page_fault(dev, addr, error);
    if (t->entering == NULL)
        sim_unlock(dev);
    return result == SIM_FAULT_RETRY ? SIM_RESTART : raise_fault(t, SIM_PF, *error, addr);
}

static int run_entry(struct sim_thread *t, int (*leaf)(struct sim_thread *))
{
    int ret = leaf(t);
    if (t->entering != NULL)
        sim_unlock(t->entering);
    t->entering = NULL;
    return ret;
}

/* One page of an SSA frame: a PT_REG page that can be read and written. */
static int ssa_page(struct sim_thread *t, struct sgxsim *dev, uint64_t offset)
{
    uint32_t error = SGX_PF_W;
    if (is_ssa_page(sim_page(dev, offset)))
        return 0;
    return entry_fault(t, dev, dev->base + offset, &error);
}

/* Frame `index` of the TCS; sets t->gpr. */
static int ssa_frame(struct sim_thread *t, struct sgxsim *dev, const struct sgx_tcs *tcs,
                     uint32_t index)
{
    uint64_t size = (uint64_t)dev->secs.ssa_frame_size * SGX_PAGE_SIZE;
    uint64_t start = tcs->ossa + size * index;
    if (tcs->ossa >= dev->size || size > dev->size || start > dev->size - size)
        return raise_fault(t, SIM_PF, SGX_PF_W | SGX_PF_U, dev->base + start);
    for (uint64_t at = 0; at < size; at += SGX_PAGE_SIZE) {
        int ret = ssa_page(t, dev, start + at);
        if (ret != 0)
            return ret;
    }
    t->gpr = (struct sgx_gprsgx *)(sim_frame(dev, start) + size) - 1;
    return 0;
}

/* Fields of the TCS that EENTER and ERESUME look at (SDM 38.4, EENTER). Each of an enclave with
 * AEX-Notify asks for it, but one that a debugger has opted in. */
static bool tcs_is_good(const struct sgxsim *dev, const struct sgx_tcs *tcs)
{
    bool notify = (dev->secs.attributes.flags & SGX_ATTR_AEXNOTIFY) != 0;
    uint64_t known = SGX_TCS_DBGOPTIN | (notify ? SGX_TCS_AEXNOTIFY : 0);
    if (notify && (tcs->flags & known) == 0)
        return false;
    return (tcs->flags & ~known) == 0 && tcs->ossa % SGX_PAGE_SIZE == 0 &&
           tcs->ofsbase % SGX_PAGE_SIZE == 0 && tcs->ogsbase % SGX_PAGE_SIZE == 0 &&
           is_canonical(dev->base + tcs->ofsbase) && is_canonical(dev->base + tcs->ogsbase) &&
           is_canonical(dev->base + tcs->oentry);
}

/* The page at RBX is a TCS of an enclave that runs; takes it. */
static int take_tcs(struct sim_thread *t, struct sgxsim **devp, struct sgx_tcs **tcsp)
{
    uint64_t addr = t->r.rbx, idle = 0;
    if (addr % SGX_PAGE_SIZE != 0 || !is_canonical(t->r.rcx))
        return raise_gp(t);
    struct sgxsim *dev = sim_device_at(addr);
    if (dev == NULL)
        return raise_fault(t, SIM_PF, SGX_PF_U, addr);
    if (dev->epc->limit != 0) {
        sim_lock(dev);
        t->entering = dev;
    }
    t->epoch = dev->epoch; /* what is found from here on holds if it is the same at the end */
    const struct sim_page *p = sim_page(dev, addr - dev->base);
    if ((p->state & (PAGE_EVICTED | PAGE_LEAVING)) != 0) {
        uint32_t error = 0;
        int ret = entry_fault(t, dev, addr, &error);
        if (ret == SIM_RESTART)
            return ret;
    }
    if ((p->state & (PAGE_VALID | PAGE_PENDING | PAGE_MODIFIED | PAGE_BLOCKED | PAGE_EVICTED)) !=
            PAGE_VALID ||
        p->type != SGX_PT_TCS)
        return raise_fault(t, SIM_PF, SGX_PF_P | SGX_PF_U | SGX_PF_SGX, addr);
    struct sgx_tcs *tcs = (struct sgx_tcs *)sim_frame(dev, addr - dev->base);
    if (!dev->initialized || !tcs_is_good(dev, tcs))
        return raise_gp(t);
    if (!__atomic_compare_exchange_n(&tcs->state, &idle, 1, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED))
        return raise_gp(t); /* in use by another logical processor */
    *devp = dev;
    *tcsp = tcs;
    return 0;
}

static int give_tcs(struct sgx_tcs *tcs, int ret)
{
    __atomic_store_n(&tcs->state, 0, __ATOMIC_RELEASE);
    return ret;
}

/* From here the thread is inside. ETRACK and we agree on the order of epoch and entry. */
static int go_inside(struct sim_thread *t, struct sgxsim *dev, struct sgx_tcs *tcs)
{
    t->dev = dev;
    t->tcs = tcs;
    t->tcs_addr = t->r.rbx;
    if (t->guarded != dev && sim_guard(t) != 0)
        return raise_gp(t); /* nothing would stop its system calls */
    if (t->r.rsp - (uint64_t)t->altstack < t->altstack_size)
        return raise_gp(
            t); /* the next signal would overwrite the handler that we are called from */
    t->gpr->ursp = t->r.rsp;
    t->gpr->urbp = t->r.rbp;
    tcs->aep = t->r.rcx;
    t->entries++;
    t->inside = true;
    if (t->epoch == dev->epoch)
        return 0;
    t->inside = false; /* what was checked may have left since */
    return SIM_RESTART;
}

static void enter_at_oentry(struct sim_thread *t)
{
    t->r.rax = t->tcs->cssa;
    t->r.rcx = t->r.rip + t->insn;
    t->r.rip = t->dev->base + t->tcs->oentry;
    t->r.fs = t->dev->base + t->tcs->ofsbase;
    t->r.gs = t->dev->base + t->tcs->ogsbase;
    t->r.rflags &= ~RFLAGS_TF;
}

static int leaf_eenter(struct sim_thread *t)
{
    struct sgxsim *dev;
    struct sgx_tcs *tcs;
    int ret = take_tcs(t, &dev, &tcs);
    if (ret != 0)
        return ret;
    if (tcs->cssa >= tcs->nssa)
        return give_tcs(tcs, raise_gp(t));
    if ((ret = ssa_frame(t, dev, tcs, tcs->cssa)) != 0 || (ret = go_inside(t, dev, tcs)) != 0)
        return give_tcs(tcs, ret);
    enter_at_oentry(t);
    SIM_COUNT(dev, eenter);
    return 0;
}

/* Restores the interrupted registers from the frame (SDM 38.4, ERESUME). */
static void restore_gprs(struct sim_thread *t, const struct sgx_gprsgx *g)
{
    const uint64_t *from = (const uint64_t *)g;
    uint64_t *to = (uint64_t *)&t->r;
    for (unsigned i = 0; i < offsetof(struct sgx_gprsgx, ursp) / 8; i++)
        to[i] = from[i];
    t->r.rflags = (g->rflags & RFLAGS_USER) | RFLAGS_FIXED;
    t->r.fs = g->fsbase;
    t->r.gs = g->gsbase;
}

static int leaf_eresume(struct sim_thread *t)
{
    struct sgxsim *dev;
    struct sgx_tcs *tcs;
    int ret = take_tcs(t, &dev, &tcs);
    if (ret != 0)
        return ret;
    if (tcs->cssa == 0)
        return give_tcs(tcs, raise_gp(t));
    if ((ret = ssa_frame(t, dev, tcs, tcs->cssa - 1)) != 0)
        return give_tcs(tcs, ret);
    const struct sgx_gprsgx *g = t->gpr;
    /* AEX-Notify (SDM 36.4.3): the enclave hears of the exit before it goes on. */
    if ((tcs->flags & SGX_TCS_AEXNOTIFY) != 0 && (g->aexnotify & 1) != 0) {
        if (tcs->cssa >= tcs->nssa)
            return give_tcs(tcs, raise_gp(t));
        if ((ret = ssa_frame(t, dev, tcs, tcs->cssa)) != 0 || (ret = go_inside(t, dev, tcs)) != 0)
            return give_tcs(tcs, ret);
        enter_at_oentry(t);
        SIM_COUNT(dev, eresume);
        return 0;
    }
    const uint8_t *area =
        (const uint8_t *)(g + 1) - (uint64_t)dev->secs.ssa_frame_size * SGX_PAGE_SIZE;
    if (!is_canonical(g->fsbase) || !is_canonical(g->gsbase) || !is_canonical(g->rip) ||
        !sim_xrstor_check(area, dev->secs.attributes.xfrm))
        return give_tcs(tcs, raise_gp(t));
    if ((ret = go_inside(t, dev, tcs)) != 0)
        return give_tcs(tcs, ret);
    restore_gprs(t, g);
    sim_xrstor(t, area, dev->secs.attributes.xfrm);
    tcs->cssa--;
    SIM_COUNT(dev, eresume);
    return 0;
}

static int leaf_eexit(struct sim_thread *t)
{
    if (!is_canonical(t->r.rbx))
        return raise_gp(t);
    t->r.rip = t->r.rbx;
    t->r.rcx = t->tcs->aep;
    t->r.fs = t->host_fs;
    t->r.gs = t->host_gs;
    t->r.rflags &= ~RFLAGS_TF;
    SIM_COUNT(t->dev, eexit);
    t->inside = false;
    __atomic_store_n(&t->tcs->state, 0, __ATOMIC_RELEASE);
    return 0;
}

/* Leaves the exception handler's level without leaving the enclave (SDM 38.4, EDECCSSA). */
static int leaf_edeccssa(struct sim_thread *t)
{
    if (t->tcs->cssa == 0)
        return raise_gp(t);
    int ret = ssa_frame(t, t->dev, t->tcs, t->tcs->cssa - 1);
    if (ret != 0)
        return ret;
    t->tcs->cssa--;
    SIM_COUNT(t->dev, edeccssa);
    return 0;
}

/* --- memory (SGX2) --------------------------------------------------------------------------- */

/* The requests that EACCEPT takes at all: a new or restricted PT_REG page, a PT_TCS or PT_TRIM one.
 */
static bool accept_is_legal(uint64_t flags)
{
    const uint64_t state = SGX_SECINFO_PENDING | SGX_SECINFO_MODIFIED | SGX_SECINFO_PR;
    switch (SGX_SECINFO_PT_OF(flags)) {
    case SGX_PT_REG:
        return (flags & (SGX_SECINFO_PENDING | SGX_SECINFO_PR)) != 0 &&
               (flags & SGX_SECINFO_MODIFIED) == 0;
    case SGX_PT_TCS:
    case SGX_PT_TRIM:
        return (flags & state) == SGX_SECINFO_MODIFIED;
    default:
        return false;
    }
}

/* EPCM as SECINFO spells it. */
static uint64_t page_flags(const struct sim_page *p)
{
    uint64_t flags = SGX_SECINFO_PT(p->type) | p->perm;
    if ((p->state & PAGE_PENDING) != 0)
        flags |= SGX_SECINFO_PENDING;
    if ((p->state & PAGE_MODIFIED) != 0)
        flags |= SGX_SECINFO_MODIFIED;
    if ((p->state & PAGE_PR) != 0)
        flags |= SGX_SECINFO_PR;
    return flags;
}

/* A page that becomes a TCS must hold one (SDM 38.4, EACCEPT). */
static bool new_tcs_is_good(const struct sgxsim *dev, const struct sgx_tcs *tcs)
{
    return sim_zero(tcs->reserved, sizeof(tcs->reserved)) && tcs_is_good(dev, tcs) &&
           (tcs->flags & SGX_TCS_DBGOPTIN) == 0 && tcs->ossa % SGX_PAGE_SIZE == 0 &&
           tcs->cssa == 0 && tcs->state == 0 && tcs->aep == 0 && tcs->ocetssa == 0 &&
           tcs->prevssp == 0;
}

static int eaccept_locked(struct sim_thread *t)
{
    struct sgxsim *dev = t->dev;
    uint64_t flags, addr = t->r.rcx;
    int ret = secinfo_at(t, t->r.rbx, &flags);
    if (ret != 0)
        return ret;
    if (addr % SGX_PAGE_SIZE != 0 || !in_elrange(dev, addr, SGX_PAGE_SIZE) ||
        !accept_is_legal(flags))
        return raise_gp(t);
    if ((ret = is_present(t, addr)) != 0)
        return ret;
    struct sim_page *p = sim_page(dev, addr - dev->base);
    if (page_flags(p) != flags)
        return SGX_PAGE_ATTRIBUTES_MISMATCH;
    if ((p->state & (PAGE_MODIFIED | PAGE_PR)) != 0 && !sim_tracked(dev, p->epoch))
        return SGX_NOT_TRACKED;
    if (p->type == SGX_PT_TCS &&
        !new_tcs_is_good(dev, (const struct sgx_tcs *)sim_frame(dev, addr - dev->base)))
        return raise_gp(t);
    bool fresh = (p->state & PAGE_PENDING) != 0;
    p->state &= (uint8_t) ~(PAGE_PENDING | PAGE_MODIFIED | PAGE_PR);
    if (fresh)
        sim_epc_grant(dev, addr - dev->base);
    SIM_COUNT(dev, eaccept);
    return SGX_SUCCESS;
}

static int eacceptcopy_locked(struct sim_thread *t)
{
    struct sgxsim *dev = t->dev;
    uint64_t flags, addr = t->r.rcx;
    void *from;
    int ret = secinfo_at(t, t->r.rbx, &flags);
    if (ret != 0)
        return ret;
    if (addr % SGX_PAGE_SIZE != 0 || !in_elrange(dev, addr, SGX_PAGE_SIZE))
        return raise_gp(t);
    /* The attributes to give: a regular page with no state bits; W needs R. */
    if ((flags & ~SGX_SECINFO_RWX) != SGX_SECINFO_PT(SGX_PT_REG) ||
        (flags & (SGX_SECINFO_R | SGX_SECINFO_W)) == SGX_SECINFO_W)
        return raise_gp(t);
    if ((ret = check_operand(t, t->r.rdx, SGX_PAGE_SIZE, SGX_PAGE_SIZE, 0, &from)) != 0)
        return ret;
    if ((ret = is_present(t, addr)) != 0)
        return ret;
    struct sim_page *p = sim_page(dev, addr - dev->base);
    if (page_flags(p) !=
        (SGX_SECINFO_PT(SGX_PT_REG) | SGX_SECINFO_PENDING | SGX_SECINFO_R | SGX_SECINFO_W))
        return SGX_PAGE_ATTRIBUTES_MISMATCH;
    sim_epc_fill(dev, addr - dev->base, from);
    p->perm = (uint8_t)(flags & SGX_SECINFO_RWX);
    p->state &= (uint8_t)~PAGE_PENDING;
    sim_epc_grant(dev, addr - dev->base);
    SIM_COUNT(dev, eacceptcopy);
    return SGX_SUCCESS;
}

static int emodpe_locked(struct sim_thread *t)
{
    struct sgxsim *dev = t->dev;
    uint64_t flags, addr = t->r.rcx;
    int ret = secinfo_at(t, t->r.rbx, &flags);
    if (ret != 0)
        return ret;
    if (addr % SGX_PAGE_SIZE != 0 || !in_elrange(dev, addr, SGX_PAGE_SIZE))
        return raise_gp(t);
    if ((flags & (SGX_SECINFO_R | SGX_SECINFO_W)) == SGX_SECINFO_W ||
        (flags & (SGX_SECINFO_PENDING | SGX_SECINFO_MODIFIED | SGX_SECINFO_PR)) != 0)
        return raise_gp(t);
    if ((ret = is_present(t, addr)) != 0)
        return ret;
    struct sim_page *p = sim_page(dev, addr - dev->base);
    if ((p->state & (PAGE_PENDING | PAGE_MODIFIED)) != 0 || p->type != SGX_PT_REG)
        return raise_fault(t, SIM_PF, SGX_PF_P | SGX_PF_U | SGX_PF_SGX, addr);
    if ((flags & SGX_SECINFO_W) != 0 && ((flags | p->perm) & SGX_SECINFO_R) == 0)
        return raise_gp(t);
    p->perm |= (uint8_t)(flags & SGX_SECINFO_RWX);
    sim_epc_grant(dev, addr - dev->base);
    SIM_COUNT(dev, emodpe);
    return SGX_SUCCESS;
}

static int run_locked(struct sim_thread *t, int (*leaf)(struct sim_thread *))
{
    struct sgxsim *dev = t->dev;
    sim_lock(dev);
    int ret = leaf(t);
    sim_unlock(dev);
    return ret;
}

/* The leaves that change a page exclude each other and EMODPR and EMODT on it (SDM 38.1.4). */
static int run_on_page(struct sim_thread *t, int (*leaf)(struct sim_thread *))
{
    struct sgxsim *dev = t->dev;
    if (!sim_lock_page(dev, (t->r.rcx & ~(uint64_t)(SGX_PAGE_SIZE - 1)) - dev->base + 1))
        return SGX_EPC_PAGE_CONFLICT;
    int ret = leaf(t);
    dev->leaf_page = 0;
    sim_unlock(dev);
    return ret;
}

/* --- keys ------------------------------------------------------------------------------------ */

static int ereport_locked(struct sim_thread *t)
{
    void *target, *data, *out;
    int ret = check_operand(t, t->r.rbx, sizeof(struct sgx_targetinfo), 512, 0, &target);
    if (ret == 0)
        ret = check_operand(t, t->r.rcx, 64, 128, 0, &data);
    if (ret == 0)
        ret = check_operand(t, t->r.rdx, SGX_REPORT_SIZE, 512, SGX_PF_W, &out);
    if (ret != 0)
        return ret;
    sim_fpu_begin(t);
    ret = sim_report(t->dev, target, data, out);
    sim_fpu_end(t);
    if (ret < 0)
        return raise_gp(t);
    SIM_COUNT(t->dev, ereport);
    return 0;
}

static int egetkey_locked(struct sim_thread *t)
{
    void *request, *out;
    uint8_t key[16];
    int ret = check_operand(t, t->r.rbx, sizeof(struct sgx_keyrequest), 512, 0, &request);
    if (ret == 0)
        ret = check_operand(t, t->r.rcx, sizeof(key), 16, SGX_PF_W, &out);
    if (ret != 0)
        return ret;
    sim_fpu_begin(t);
    ret = sim_getkey(t->dev, request, key);
    sim_fpu_end(t);
    if (ret < 0)
        return raise_gp(t);
    for (unsigned i = 0; ret == SGX_SUCCESS && i < sizeof(key); i++)
        ((volatile uint8_t *)out)[i] = key[i];
    for (unsigned i = 0; i < sizeof(key); i++)
        ((volatile uint8_t *)key)[i] = 0;
    SIM_COUNT(t->dev, egetkey);
    return ret;
}

/* --- dispatch -------------------------------------------------------------------------------- */

static int catch_up_locked(struct sim_thread *t)
{
    sim_epc_catch_up(t->dev);
    return 0;
}

static int inside_leaf(struct sim_thread *t)
{
    int ret;
    uint32_t leaf = (uint32_t)t->r.rax;
    bool rows = leaf == SGX_EACCEPT || leaf == SGX_EACCEPTCOPY || leaf == SGX_EMODPE;
    if ((sim_cpu.absent >> (leaf & 31) & 1) != 0)
        return raise_gp(t); /* CPUID.12H says so */
    if (t->dev->lag_end != 0 && !rows)
        run_locked(t, catch_up_locked);
    switch (leaf) {
    case SGX_EEXIT:
        return leaf_eexit(t);
    case SGX_EREPORT:
        ret = run_locked(t, ereport_locked);
        break;
    case SGX_EDECCSSA:
        ret = leaf_edeccssa(t);
        break;
    case SGX_EMODPE:
        ret = run_on_page(t, emodpe_locked);
        if (ret > 0)
            return raise_gp(t);
        break;
    case SGX_EGETKEY:
        ret = run_locked(t, egetkey_locked);
        goto result;
    case SGX_EACCEPT:
        ret = run_on_page(t, eaccept_locked);
        goto result;
    case SGX_EACCEPTCOPY:
        ret = run_on_page(t, eacceptcopy_locked);
    result:
        if (ret >= 0)
            set_result(t, ret);
        break;
    default:
        return raise_gp(t);
    }
    if (ret >= 0)
        t->r.rip += t->insn;
    return ret;
}

int (*sim_leaf_fault)(uint32_t leaf);

/* What was asked for instead of a leaf. */
static int fail_leaf(struct sim_thread *t, int outcome)
{
    if (outcome == SIM_PF)
        return raise_fault(t, SIM_PF, SGX_PF_P | SGX_PF_U | SGX_PF_SGX, t->r.rbx);
    if (outcome < 0)
        return raise_gp(t);
    set_result(t, outcome);
    t->r.rip += t->insn;
    return outcome;
}

static inline int run_leaf(struct sim_thread *t)
{
    if (t->inside)
        return inside_leaf(t);
    if ((uint32_t)t->r.rax == SGX_EENTER)
        return run_entry(t, leaf_eenter);
    if ((uint32_t)t->r.rax == SGX_ERESUME)
        return run_entry(t, leaf_eresume);
    return raise_gp(t);
}

void sim_enclu(struct sim_thread *t)
{
    int ret = SIM_AS_IS;
    if (sim_leaf_fault != NULL)
        ret = sim_leaf_fault((uint32_t)t->r.rax);
    if (ret != SIM_AS_IS)
        ret = fail_leaf(t, ret);
    else
    again:
        ret = run_leaf(t);
    if (ret < 0) {
        if (ret == SIM_RESTART)
            goto again;
        sim_fault(t);
    }
    if (t->inside && t->step != NULL)
        t->r.rflags |= RFLAGS_TF;
}

void sim_enclu_live(struct sim_thread *t)
{
    t->frame = NULL;
    t->xrstor = NULL;
    sim_enclu(t);
    if (t->raise != 0)
        t->trap = 1; /* by way of signal.c */
}
