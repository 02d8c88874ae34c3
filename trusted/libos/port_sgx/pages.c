// SPDX-License-Identifier: Apache-2.0
// Port `sgx`: pages come by EAUG (the fault of EACCEPT asks for it) and are accepted one by one;
// what the host says it did to a page counts only once EACCEPT has confirmed it.
#include "trusted/libos/port_sgx/sgx.h"

#define REG SGX_SECINFO_PT(SGX_PT_REG)
#define TRIES_MAX 5000u
#define GONE UINT64_MAX /* the leaf faulted: the host gave no page */

static uint64_t run_leaf(uint64_t nr, uint64_t flags, uint64_t addr, uint64_t source)
{
    struct sgx_secinfo info = {.flags = flags};
    uint64_t r = sgx_enclu(nr, (uint64_t)&info, addr, source);
    if (nr == SGX_EMODPE && r != GONE) /* it has no result */
        stats_count(emodpe);
    else if (!r && nr == SGX_EACCEPT)
        stats_count(eaccept);
    else if (!r && nr != SGX_EMODPE)
        stats_count(eacceptcopy);
    return r;
}

/* Threads that entered before the change may still use the page as it was: they must leave first.
 * The host may keep them inside, and gains nothing by it. */
static uint64_t accept_page(uint64_t flags, uint64_t addr)
{
    uint64_t r = run_leaf(SGX_EACCEPT, flags, addr, 0);
    for (unsigned tries = 0; r == SGX_NOT_TRACKED && tries < TRIES_MAX; tries++) {
        SGX_CALL(.nr = SH_CALL_FLUSH, .args = {tries});
        r = run_leaf(SGX_EACCEPT, flags, addr, 0);
    }
    return r;
}

/* The zone's beginning is there from the start (enclave.lds), with what the host put into it. */
static bool is_bare(uint64_t addr)
{
    extern const char sgx_zone[], sgx_zone_meta_end[], sgx_zone_pages[], sgx_zone_pages_end[];
    return (addr >= (uint64_t)sgx_zone && addr < (uint64_t)sgx_zone_meta_end) ||
           (addr >= (uint64_t)sgx_zone_pages && addr < (uint64_t)sgx_zone_pages_end);
}

/* What was trimmed and accepted is nobody's; it goes back with the next request for pages or the
 * next sleep, which is a call out less. What is in nobody's way may stay for ever, so it is not
 * much. */
#define LATER_PAGES 128u
static struct {
    uint32_t guard; /* spin lock, a few instructions long */
    uint32_t count;
    uint64_t size; /* of all, bytes */
    struct sh_pages runs[PORT_RUNS_MAX];
} later;

static void guard_later(void)
{
    while (__atomic_exchange_n(&later.guard, 1, __ATOMIC_ACQUIRE))
        port_thread_yield();
}

static void unguard_later(void)
{
    __atomic_store_n(&later.guard, 0, __ATOMIC_RELEASE);
}

/* False: not all of them have room. */
static bool keep_later(const struct sh_pages *runs, uint32_t count)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < count; i++)
        size += runs[i].size;
    guard_later();
    bool fits = later.count + count <= PORT_RUNS_MAX && later.size + size <= LATER_PAGES
                                                                                 << PAGE_SHIFT;
    if (fits) {
        memcpy(later.runs + later.count, runs, count * sizeof(*runs));
        later.count += count;
        later.size += size;
    }
    unguard_later();
    return fits;
}

uint32_t sgx_pages_gone(struct sh_pages to[PORT_RUNS_MAX])
{
    if (!__atomic_load_n(&later.count, __ATOMIC_RELAXED))
        return 0;
    guard_later();
    uint32_t count = later.count;
    memcpy(to, later.runs, count * sizeof(*to));
    later.count = 0;
    later.size = 0;
    unguard_later();
    return count;
}

/* A new page. What stands in its way was left for later, or the host did not take it. */
static void accept_new(uint64_t nr, uint64_t flags, uint64_t addr, const void *source)
{
    uint64_t r = run_leaf(nr, flags, addr, (uint64_t)source);
    if (r) {
        SGX_CALL(.nr = SH_CALL_REMOVE, .args = {addr, PAGE_SIZE});
        r = run_leaf(nr, flags, addr, (uint64_t)source);
    }
    if (r) /* an error that a program would see is one that the host could choose */
        stop("the host gave no fresh page at 0x%lx (%lu)", addr, r);
}

int port_pages_add(uint64_t addr, uint64_t count, int prot)
{
    const uint64_t fresh = REG | SGX_SECINFO_PENDING | SGX_SECINFO_R | SGX_SECINFO_W;
    for (; count && is_bare(addr); count--, addr += PAGE_SIZE)
        memset((void *)addr, 0, PAGE_SIZE);
    for (uint64_t at = addr; at < addr + (count << PAGE_SHIFT); at += PAGE_SIZE)
        accept_new(SGX_EACCEPT, fresh, at, NULL);
    return prot == (PORT_R | PORT_W) ? 0 : port_pages_protect(addr, count, PORT_R | PORT_W, prot);
}

/* Each page that EACCEPT does not find is an exit and a resume. From some number on it is cheaper
 * to ask for all at once; the host need not do it. */
#define COMMIT_MIN 3u

void port_pages_expect(const struct sh_pages *runs, unsigned count)
{
    uint64_t size = 0;
    for (unsigned i = 0; i < count; i++)
        size += is_bare(runs[i].addr) ? 0 : runs[i].size;
    if (size < COMMIT_MIN << PAGE_SHIFT)
        return;
    struct sh_pages all[2 * PORT_RUNS_MAX];
    uint32_t gone = sgx_pages_gone(all);
    memcpy(all + gone, runs + 1, (count - 1) * sizeof(*runs));
    SGX_CALL(.nr = SH_CALL_COMMIT, .args = {runs->addr, runs->size, gone}, .a = all,
             .size_a = (gone + count - 1) * (uint32_t)sizeof(*runs));
}

int port_pages_fill(uint64_t addr, const void *const *sources, uint64_t count, int prot)
{
    for (uint64_t i = 0; i < count; i++)
        accept_new(SGX_EACCEPTCOPY, REG | (uint64_t)prot, addr + (i << PAGE_SHIFT), sources[i]);
    return 0;
}

/* What goes is taken first: no page is ever writable and executable on its way. A host that does
 * not do it, or says that it cannot, ends the enclave: which rights a page has is no error that a
 * program could handle. */
static void restrict_pages(uint64_t addr, uint64_t end, int prot)
{
    SGX_CALL(.nr = SH_CALL_RESTRICT, .args = {addr, end - addr, (uint64_t)prot});
    for (uint64_t at = addr; at < end; at += PAGE_SIZE) {
        /* Whatever the host says of it: EACCEPT knows whether it was done. */
        uint64_t e = accept_page(REG | SGX_SECINFO_PR | (uint64_t)prot, at);
        if (e)
            stop("the host did not restrict page 0x%lx (%lu)", at, e);
    }
}

int port_pages_protect(uint64_t addr, uint64_t count, int old, int prot)
{
    uint64_t end = addr + (count << PAGE_SHIFT);
    int kept = old & prot;
    if (kept != old)
        restrict_pages(addr, end, kept);
    for (uint64_t at = addr; kept != prot && at < end; at += PAGE_SIZE) {
        /* EMODPE wants to see R with W; it only ever adds. */
        if (run_leaf(SGX_EMODPE, REG | (uint64_t)prot, at, 0) == GONE)
            stop("page 0x%lx is not there any more", at);
    }
    return 0;
}

static void accept_trim(uint64_t addr, uint64_t size)
{
    for (uint64_t at = addr; at < addr + size; at += PAGE_SIZE) {
        uint64_t e = accept_page(SGX_SECINFO_PT(SGX_PT_TRIM) | SGX_SECINFO_MODIFIED, at);
        if (e)
            stop("the host did not trim page 0x%lx (%lu)", at, e);
    }
}

void port_pages_remove(const struct sh_pages *runs, unsigned count)
{
    uint32_t more = (count - 1) * (uint32_t)sizeof(*runs);
    int64_t r = SGX_CALL(.nr = SH_CALL_SET_TYPE, .args = {runs->addr, runs->size, SGX_PT_TRIM},
                         .a = runs + 1, .size_a = more);
    if (r)
        stop("the host does not take %lu pages back at 0x%lx (errno %ld)", runs->size >> PAGE_SHIFT,
             runs->addr, -r);
    for (unsigned i = 0; i < count; i++)
        accept_trim(runs[i].addr, runs[i].size);
    /* A page that it keeps all the same is no use to it. */
    if (!keep_later(runs, count))
        SGX_CALL(.nr = SH_CALL_REMOVE, .args = {runs->addr, runs->size}, .a = runs + 1,
                 .size_a = more);
}

int sgx_page_to_tcs(uint64_t addr)
{
    int64_t r = SGX_CALL(.nr = SH_CALL_SET_TYPE, .args = {addr, PAGE_SIZE, SGX_PT_TCS});
    uint64_t e = accept_page(SGX_SECINFO_PT(SGX_PT_TCS) | SGX_SECINFO_MODIFIED, addr);
    if (e && r)
        return -EAGAIN;
    if (e)
        stop("the host did not turn a page into a TCS (%lu)", e);
    return 0;
}
