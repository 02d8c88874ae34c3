// SPDX-License-Identifier: Apache-2.0
// The Linux device's memory: page faults, a limited EPC, mappings.
#include "host/sgx/sim/sim.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

/* The lock is held with signals blocked: a handler that faulted in an enclave would wait for us. */
void sim_enter(struct sgxsim *dev, sigset_t *mask)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, mask);
    uint64_t met = 0;
    if (!sim_try_lock(dev)) {
        met = __atomic_load_n(&dev->leaf_page, __ATOMIC_RELAXED);
        sim_lock(dev);
    }
    dev->met_page = met;
}

void sim_leave(struct sgxsim *dev, const sigset_t *mask)
{
    sim_unlock(dev);
    pthread_sigmask(SIG_SETMASK, mask, NULL);
}

/* --- faults and eviction --------------------------------------------------------------------- */

#define SCAN 16u /* SGX_NR_TO_SCAN: pages that go together, after one round of interrupts */

/* A thread that is inside needs its TCS and the frame that its next AEX is saved in. Who has left
 * is held to them again as it enters. */
static bool is_pinned(const struct sgxsim *dev, uint64_t offset)
{
    uint64_t frame = (uint64_t)dev->secs.ssa_frame_size * SGX_PAGE_SIZE;
    if (sim_page(dev, offset)->type == SGX_PT_TCS &&
        ((const struct sgx_tcs *)sim_frame(dev, offset))->state != 0)
        return true;
    for (const struct sim_thread *t = sim_threads; t != NULL; t = t->next) {
        if (t->inside && t->dev == dev && offset - (t->tcs->ossa + frame * t->tcs->cssa) < frame)
            return true;
    }
    return false;
}

/* The clock: who was not looked at for a round. */
static unsigned choose_victims(struct sgxsim *dev, uint64_t victims[SCAN])
{
    unsigned count = 0;
    for (unsigned i = 0; i < 4 && count == 0; i++) { /* two rounds of two halves */
        uint64_t at = i % 2 == 0 ? dev->clock_hand : 0;
        uint64_t end = i % 2 == 0 ? dev->size : dev->clock_hand;
        for (at = sim_epc_next(dev, at, end); at < end && count < SCAN;
             at = sim_epc_next(dev, at + SGX_PAGE_SIZE, end)) {
            struct sim_page *p = sim_page(dev, at);
            if ((p->state & (PAGE_EVICTED | PAGE_LEAVING)) != 0)
                continue;
            if ((p->state & PAGE_REFERENCED) != 0)
                p->state &= (uint8_t)~PAGE_REFERENCED;
            else if (!is_pinned(dev, at))
                victims[count++] = at;
        }
    }
    if (count != 0)
        dev->clock_hand = victims[count - 1] + SGX_PAGE_SIZE;
    return count;
}

/* A free slot: there are at least as many as pages. */
static void choose_slot(struct sgxsim *dev, struct sim_backing *b)
{
    for (b->va = 0; b->va < dev->va_count && dev->va[b->va].used == SIM_VA_SLOTS; b->va++)
        ;
    b->slot = 0;
    while (dev->va[b->va].slots[b->slot] != 0)
        b->slot++;
}

static struct sim_backing *outside_of(struct sgxsim *dev, uint64_t at, struct sgx_pageinfo *info)
{
    struct sim_chunk *c = &dev->chunks[at >> SIM_CHUNK_SHIFT];
    uint64_t in = at & ((1ull << SIM_CHUNK_SHIFT) - 1);
    struct sim_backing *b = &c->out[in >> SGX_PAGE_SHIFT];
    *info =
        (struct sgx_pageinfo){.srcpge = (uint64_t)(c->store + in), .secinfo = (uint64_t)&b->pcmd};
    return b;
}

/* sgx_encl_ewb: try, track and try, interrupt all and try. */
static int write_out(struct sgxsim *dev, uint64_t at)
{
    struct sgx_pageinfo info;
    struct sim_backing *b = outside_of(dev, at, &info);
    int code = SGX_NOT_TRACKED;
    for (int i = 0; code == SGX_NOT_TRACKED && i < 3; i++) {
        if (i == 1 && sim_etrack(dev) != SGX_SUCCESS) {
            sim_kick_out(dev);
            (void)sim_etrack(dev);
        }
        if (i == 2)
            sim_kick_out(dev);
        if (is_pinned(dev, at))
            return -EBUSY; /* of a thread that stays where it is while its fault is resolved */
        choose_slot(dev, b);
        code = sim_ewb(dev, &info, dev->base + at, &dev->va[b->va], b->slot);
    }
    if (code == SGX_SUCCESS)
        dev->va[b->va].used++;
    return code;
}

/* Puts some pages of this enclave out: EBLOCK, ETRACK, EWB. How many went. */
static unsigned put_out_pages(struct sgxsim *dev)
{
    uint64_t victims[SCAN];
    struct sim_thread *t = sim_self;
    unsigned gone = 0, count = choose_victims(dev, victims);
    for (unsigned i = 0; i < count; i++) {
        (void)sim_eblock(dev, dev->base + victims[i]);
        sim_page(dev, victims[i])->state |= PAGE_LEAVING;
        sim_epc_sync(dev, victims[i], SGX_PAGE_SIZE);
    }
    if (t != NULL)
        sim_fpu_begin(t);
    for (unsigned i = 0; i < count; i++) {
        struct sim_page *p = sim_page(dev, victims[i]), was = *p;
        if (sim_epc_outside(dev, victims[i]) && write_out(dev, victims[i]) == SGX_SUCCESS) {
            was.state = PAGE_VALID | PAGE_EVICTED;
            *p = was;
            sim_epc_give(dev, victims[i], SGX_PAGE_SIZE);
            gone++;
        } else {
            p->state &= (uint8_t) ~(PAGE_LEAVING | PAGE_BLOCKED);
            sim_epc_sync(dev, victims[i], SGX_PAGE_SIZE);
        }
    }
    if (t != NULL)
        sim_fpu_end(t);
    return gone;
}

/* The enclave of this process that has most: the first that a machine would look at. */
static struct sgxsim *find_largest(const struct sgxsim_epc *epc)
{
    struct sgxsim *most = NULL;
    for (unsigned i = 0; i < SIM_DEVICES; i++) {
        struct sgxsim *d = sim_device_number(i);
        if (d != NULL && d->created && d->epc == epc && d->chunks != NULL &&
            (most == NULL || d->stats.epc_pages > most->stats.epc_pages))
            most = d;
    }
    return most;
}

static bool reclaim_other(struct sgxsim *dev)
{
    unsigned gone = 0;
    if (!sim_devices_hold())
        return false;
    struct sgxsim *other = find_largest(dev->epc);
    if (other != NULL && other != dev && sim_try_lock(other)) {
        gone = put_out_pages(other);
        sim_unlock(other);
    }
    sim_devices_let();
    return gone != 0;
}

bool sim_reclaim_asked(struct sgxsim_epc *epc)
{
    if (!sim_devices_hold())
        return false;
    uint32_t left = sim_epc_asked(epc);
    bool busy = false;
    while (left != 0 && !busy) {
        struct sgxsim *d = find_largest(epc);
        busy = d != NULL && !sim_try_lock(d);
        if (d == NULL || busy)
            break;
        unsigned gone = put_out_pages(d);
        sim_unlock(d);
        left = gone != 0 && gone < left ? left - gone : 0;
    }
    if (busy)
        sim_epc_ask_self(epc, left);
    sim_devices_let();
    return !busy;
}

/* May let go of the lock. Who has most gives first, as with the kernel's list of all pages: another
 * process, another enclave, this one. Other processes answer in their own time. */
#define TRIES 200
int sim_take_page(struct sgxsim *dev)
{
    for (int i = 0; sim_epc_take(dev) != 0; i++) {
        bool some = false;
        if (dev->epc->shared) {
            sim_unlock(dev);
            (void)sim_reclaim_asked(dev->epc);
            some = sim_epc_ask(dev->epc, false);
            sim_lock(dev);
        }
        if (some || reclaim_other(dev) || (dev->chunks != NULL && put_out_pages(dev) != 0))
            continue;
        if (i == TRIES)
            return -ENOMEM;
        sim_unlock(dev);
        if (dev->epc->shared)
            (void)sim_epc_ask(dev->epc, true);
        else
            usleep(20); /* another thread puts them out, or its fault is just resolved */
        sim_lock(dev);
    }
    return 0;
}

int sim_grow(struct sgxsim *dev)
{
    if (dev->pages_ever % SIM_VA_SLOTS == 0) {
        if (sim_take_page(dev) != 0)
            return -ENOMEM;
        if (sim_epa(&dev->va[dev->va_count], SGX_PT_VA) != SGX_SUCCESS)
            return -EIO;
        dev->va_count++;
    }
    dev->pages_ever++;
    return 0;
}

int sim_bring_back(struct sgxsim *dev, uint64_t offset)
{
    struct sim_page *p = sim_page(dev, offset), was;
    struct sgx_pageinfo info;
    while ((p->state & PAGE_LEAVING) != 0) { /* sgx_encl_load_page: EBUSY, and again */
        sim_unlock(dev);
        usleep(20);
        sim_lock(dev);
    }
    if ((p->state & PAGE_EVICTED) == 0)
        return 0;
    if (sim_take_page(dev) != 0)
        return -ENOMEM;
    if ((p->state & PAGE_EVICTED) == 0) { /* another thread did it meanwhile */
        sim_epc_return(dev, 1);
        return 0;
    }
    was = *p;
    p->state = 0;
    struct sim_backing *b = outside_of(dev, offset, &info);
    struct sim_thread *t = sim_self;
    info.linaddr = dev->base + offset;
    if (t != NULL)
        sim_fpu_begin(t);
    int code = sim_eld(dev, &info, info.linaddr, &dev->va[b->va], b->slot, false);
    if (t != NULL)
        sim_fpu_end(t);
    if (code != SGX_SUCCESS) {
        *p = was;
        sim_epc_give(dev, offset, SGX_PAGE_SIZE);
        return -EIO;
    }
    dev->va[b->va].used--;
    madvise((void *)info.srcpge, SGX_PAGE_SIZE, MADV_DONTNEED);
    sim_epc_sync(dev, offset, SGX_PAGE_SIZE);
    return 0;
}

/* sgx_encl_eaug_page. */
static enum sim_fault_result add_page(struct sgxsim *dev, uint64_t offset)
{
    struct sgx_pageinfo info = {.linaddr = dev->base + offset};
    if (!dev->initialized || sim_grow(dev) != 0 || sim_take_page(dev) != 0)
        return SIM_FAULT_SIGNAL;
    if ((sim_page(dev, offset)->state & PAGE_VALID) != 0) { /* another thread was first */
        sim_epc_return(dev, 1);
        dev->pages_ever--;
        return SIM_FAULT_RETRY;
    }
    if (sim_eaug(dev, &info) != SGX_SUCCESS) {
        sim_epc_give(dev, offset, SGX_PAGE_SIZE);
        return SIM_FAULT_SIGNAL;
    }
    sim_page(dev, offset)->max = PROT_READ | PROT_WRITE | PROT_EXEC;
    return SIM_FAULT_RETRY;
}

/* sgx_vma_fault */
static enum sim_fault_result resolve_fault(struct sgxsim *dev, uint64_t addr, uint32_t *error)
{
    uint64_t offset = (addr - dev->base) & ~(uint64_t)(SGX_PAGE_SIZE - 1);
    uint32_t access = *error | SGX_PF_U;
    int need = (access & SGX_PF_W) != 0   ? PROT_WRITE
               : (access & SGX_PF_I) != 0 ? PROT_EXEC
                                          : PROT_READ;
    struct sim_page *p = sim_page(dev, offset);
    int prot = sim_vma_prot(dev, offset);
    *error = access;
    if (prot < 0 || addr < SIM_LOWEST)
        return SIM_FAULT_SIGNAL;
    if ((prot & need) == 0) {
        *error |= (p->state & PAGE_VALID) != 0 ? SGX_PF_P : 0;
        return SIM_FAULT_SIGNAL;
    }
    if ((p->state & PAGE_VALID) == 0)
        return add_page(dev, offset);
    if ((p->state & (PAGE_EVICTED | PAGE_LEAVING)) != 0)
        return sim_bring_back(dev, offset) == 0 ? SIM_FAULT_RETRY : SIM_FAULT_SIGNAL;
    if ((p->state & (PAGE_PENDING | PAGE_MODIFIED | PAGE_BLOCKED)) != 0 || p->type != SGX_PT_REG ||
        (p->perm & need) == 0) {
        *error |= SGX_PF_P | SGX_PF_SGX;
        return SIM_FAULT_SIGNAL;
    }
    sim_epc_sync(dev, offset, SGX_PAGE_SIZE);
    return SIM_FAULT_RETRY;
}

/* Meanwhile the thread has left, to the processor, and enters again at the end. */
enum sim_fault_result sim_page_fault(struct sgxsim *dev, uint64_t addr, uint32_t *error)
{
    struct sim_thread *t = sim_self;
    if (t == NULL || !t->inside)
        return resolve_fault(dev, addr, error);
    t->resolving = true;
    enum sim_fault_result result = resolve_fault(dev, addr, error);
    if (t->dev == dev)
        t->epoch = dev->epoch;
    t->resolving = false;
    return result;
}

/* An interrupt for every thread inside, as IPIs and TLB shoot-downs are: each leaves the enclave
 * once. One whose signals are blocked does not, and is given up after a second. */
void sim_kick_out(struct sgxsim *dev)
{
    for (const struct sim_thread *t = sim_threads; t != NULL; t = t->next) {
        uint64_t entries = t->entries;
        for (int i = 0;
             i < 5000 && t->inside && !t->resolving && t->dev == dev && t->entries == entries;
             i++) {
            sim_kick(t);
            sim_unlock(dev); /* it may be waiting for us in a leaf */
            usleep(i < 100 ? 20 : 200);
            sim_lock(dev);
        }
    }
}

/* --- mappings -------------------------------------------------------------------------------- */

/* sgx_encl_may_map: no more than each page that is there was added with. */
static int may_map(struct sgxsim *dev, uint64_t start, uint64_t end, int prot)
{
    for (uint64_t at = sim_epc_next(dev, start, end); at < end;
         at = sim_epc_next(dev, at + SGX_PAGE_SIZE, end)) {
        if ((prot & ~sim_page(dev, at)->max) != 0)
            return -EACCES;
    }
    return 0;
}

static int check_range(const struct sgxsim *dev, uint64_t addr, uint64_t size)
{
    if (!dev->created)
        return -EINVAL;
    if (addr % SGX_PAGE_SIZE != 0 || size == 0 || size % SGX_PAGE_SIZE != 0 || addr < dev->base ||
        size > dev->size || addr - dev->base > dev->size - size || addr < SIM_LOWEST)
        return -EINVAL;
    return 0;
}

int sgxsim_map(struct sgxsim *dev, uint64_t addr, uint64_t size, int prot)
{
    sigset_t mask;
    int ret = check_range(dev, addr, size);
    if (ret != 0 || (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC)) != 0)
        return -EINVAL;
    uint64_t start = addr - dev->base, end = start + size;
    sim_enter(dev, &mask);
    ret = may_map(dev, start, end, prot);
    if (ret == 0)
        sim_epc_forget(dev, start, size);
    if (ret == 0 && mmap((void *)addr, size, PROT_NONE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
                         dev->fd, (off_t)start) == MAP_FAILED)
        ret = -errno;
    if (ret == 0)
        ret = sim_vma_set(dev, start, end, prot);
    if (ret == 0)
        sim_epc_sync(dev, start, size);
    sim_leave(dev, &mask);
    return ret;
}

int sgxsim_protect(struct sgxsim *dev, uint64_t addr, uint64_t size, int prot)
{
    sigset_t mask;
    int ret = check_range(dev, addr, size);
    if (ret != 0 || (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC)) != 0)
        return -EINVAL;
    uint64_t start = addr - dev->base, end = start + size;
    sim_enter(dev, &mask);
    bool less = false;                                 /* a shoot-down follows */
    for (uint64_t at = start; ret == 0 && at < end;) { /* holes in it are -ENOMEM */
        int old = sim_vma_prot(dev, at);
        if (old < 0)
            ret = -ENOMEM;
        less |= (old & ~prot) != 0;
        unsigned i = 0;
        while (i < dev->vma_count && dev->vmas[i].end <= at)
            i++;
        at = i < dev->vma_count ? dev->vmas[i].end : end;
    }
    if (ret == 0)
        ret = may_map(dev, start, end, prot);
    if (ret == 0)
        ret = sim_vma_set(dev, start, end, prot);
    if (ret == 0)
        sim_epc_sync(dev, start, size);
    if (ret == 0 && less)
        sim_kick_out(dev);
    sim_leave(dev, &mask);
    return ret;
}

int sgxsim_unmap(struct sgxsim *dev, uint64_t addr, uint64_t size)
{
    sigset_t mask;
    int ret = check_range(dev, addr, size);
    if (ret != 0)
        return ret;
    sim_enter(dev, &mask);
    sim_epc_forget(dev, addr - dev->base, size);
    if (mmap((void *)addr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE,
             -1, 0) == MAP_FAILED)
        ret = -errno;
    if (ret == 0)
        ret = sim_vma_set(dev, addr - dev->base, addr - dev->base + size, -1);
    if (ret == 0)
        sim_kick_out(dev);
    sim_leave(dev, &mask);
    return ret;
}

int sgxsim_populate(struct sgxsim *dev, uint64_t addr, uint64_t size)
{
    sigset_t mask;
    int ret = check_range(dev, addr, size);
    if (ret != 0)
        return ret;
    sim_enter(dev, &mask);
    for (uint64_t at = addr; ret == 0 && at < addr + size; at += SGX_PAGE_SIZE) {
        uint32_t error = 0;
        if ((sim_page(dev, at - dev->base)->state & PAGE_VALID) == 0 &&
            sim_page_fault(dev, at, &error) == SIM_FAULT_SIGNAL)
            ret = -EFAULT;
    }
    sim_leave(dev, &mask);
    return ret;
}
