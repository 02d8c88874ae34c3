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
    sim_lock(dev);
}

void sim_leave(struct sgxsim *dev, const sigset_t *mask)
{
    sim_unlock(dev);
    pthread_sigmask(SIG_SETMASK, mask, NULL);
}

/* --- faults and eviction --------------------------------------------------------------------- */

/* Puts one page out, as ksgxd would: EBLOCK, ETRACK, EWB. Its bytes stay where they are; what is
 * modelled is that it is gone, and what coming back costs. */
static int evict_one(struct sgxsim *dev)
{
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < 2; i++) {
            uint64_t from = i == 0 ? dev->clock_hand : 0,
                     end = i == 0 ? dev->size : dev->clock_hand;
            for (uint64_t at = sim_epc_next(dev, from, end); at < end;
                 at = sim_epc_next(dev, at + SGX_PAGE_SIZE, end)) {
                struct sim_page *p = sim_page(dev, at);
                if ((p->type != SGX_PT_REG && p->type != SGX_PT_TRIM) ||
                    (p->state & PAGE_EVICTED) != 0)
                    continue;
                if ((p->state & PAGE_REFERENCED) != 0) {
                    p->state &= (uint8_t)~PAGE_REFERENCED;
                    continue;
                }
                p->state |= PAGE_EVICTED;
                sim_epc_sync(dev, at, SGX_PAGE_SIZE);
                __atomic_fetch_sub(&dev->stats.epc_pages, 1, __ATOMIC_RELAXED);
                SIM_COUNT(dev, ewb);
                dev->clock_hand = at + SGX_PAGE_SIZE;
                return 0;
            }
        }
    }
    return -ENOMEM;
}

int sim_take_page(struct sgxsim *dev)
{
    while (sim_epc_take(dev) != 0) {
        if (evict_one(dev) != 0)
            return -ENOMEM;
    }
    return 0;
}

int sim_bring_back(struct sgxsim *dev, uint64_t offset)
{
    struct sim_page *p = sim_page(dev, offset);
    if ((p->state & PAGE_EVICTED) == 0)
        return 0;
    if (sim_take_page(dev) != 0)
        return -ENOMEM;
    p->state = (uint8_t)((p->state & ~PAGE_EVICTED) | PAGE_REFERENCED);
    sim_epc_sync(dev, offset, SGX_PAGE_SIZE);
    SIM_COUNT(dev, eldu);
    return 0;
}

/* sgx_vma_fault and sgx_encl_eaug_page. */
enum sim_fault_result sim_page_fault(struct sgxsim *dev, uint64_t addr, uint32_t *error)
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
    if ((p->state & PAGE_VALID) == 0) {
        struct sgx_pageinfo info = {.linaddr = dev->base + offset};
        if (!dev->initialized || sim_take_page(dev) != 0)
            return SIM_FAULT_SIGNAL;
        if (sim_eaug(dev, &info) != SGX_SUCCESS) {
            sim_epc_give(dev, offset, SGX_PAGE_SIZE);
            return SIM_FAULT_SIGNAL;
        }
        sim_page(dev, offset)->max = PROT_READ | PROT_WRITE | PROT_EXEC;
        return SIM_FAULT_RETRY;
    }
    if ((p->state & PAGE_EVICTED) != 0)
        return sim_bring_back(dev, offset) == 0 ? SIM_FAULT_RETRY : SIM_FAULT_SIGNAL;
    if ((p->state & (PAGE_PENDING | PAGE_MODIFIED | PAGE_BLOCKED)) != 0 || p->type != SGX_PT_REG ||
        (p->perm & need) == 0) {
        *error |= SGX_PF_P | SGX_PF_SGX;
        return SIM_FAULT_SIGNAL;
    }
    sim_epc_sync(dev, offset, SGX_PAGE_SIZE);
    return SIM_FAULT_RETRY;
}

/* An interrupt for every thread inside, as IPIs and TLB shoot-downs are: each leaves the enclave
 * once. One whose signals are blocked does not, and is given up after a second. */
void sim_kick_out(struct sgxsim *dev)
{
    for (const struct sim_thread *t = sim_threads; t != NULL; t = t->next) {
        uint64_t entries = t->entries;
        for (int i = 0; i < 5000 && t->inside && t->dev == dev && t->entries == entries; i++) {
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
