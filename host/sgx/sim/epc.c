// SPDX-License-Identifier: Apache-2.0
// EPC memory of one enclave, and host page protections that follow EPCM and mappings.
#include "host/sgx/sim/sim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GROUP_SHIFT (SGX_PAGE_SHIFT + 9)
#define LAG_MAX (512 * (uint64_t)SGX_PAGE_SIZE)

#define VA_MAX (1u << 18) /* pages of versions: enough for 512 GiB */
#define CHUNK (1ull << SIM_CHUNK_SHIFT)
#define CHUNK_PAGES (CHUNK >> SGX_PAGE_SHIFT)
#define TAIL                                                                                       \
    (1ull << 20) /* of the next chunk's: an SSA frame may begin in one and end in the other */

static uint64_t chunk_count(const struct sgxsim *dev)
{
    return (dev->size >> SIM_CHUNK_SHIFT) + 1;
}

static uint64_t chunks_size(const struct sgxsim *dev)
{
    return chunk_count(dev) * sizeof(struct sim_chunk);
}

static uint64_t used_size(const struct sgxsim *dev)
{
    return (chunk_count(dev) / 64 + 1) * sizeof(uint64_t);
}

static uint64_t view_size(const struct sgxsim *dev, uint64_t chunk)
{
    uint64_t left = dev->size - (chunk << SIM_CHUNK_SHIFT);
    return left < CHUNK + TAIL ? left : CHUNK + TAIL;
}

static void *map_sparse(uint64_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

int sim_epc_create(struct sgxsim *dev)
{
    dev->fd = memfd_create("sgxsim-epc", MFD_CLOEXEC);
    if (dev->fd < 0)
        return -errno;
    if (ftruncate(dev->fd, (off_t)dev->size) != 0)
        return -errno;
    dev->chunks = map_sparse(chunks_size(dev));
    dev->used = map_sparse(used_size(dev));
    dev->va = map_sparse(VA_MAX * sizeof(struct sim_va));
    return dev->chunks != NULL && dev->used != NULL && dev->va != NULL ? 0 : -ENOMEM;
}

bool sim_epc_outside(struct sgxsim *dev, uint64_t offset)
{
    struct sim_chunk *c = &dev->chunks[offset >> SIM_CHUNK_SHIFT];
    if (c->out != NULL)
        return true;
    c->store = map_sparse(CHUNK);
    c->out = c->store != NULL ? map_sparse(CHUNK_PAGES * sizeof(struct sim_backing)) : NULL;
    if (c->out == NULL && c->store != NULL)
        munmap(c->store, CHUNK);
    return c->out != NULL;
}

/* Also in a signal handler. */
bool sim_epc_reach(struct sgxsim *dev, uint64_t offset)
{
    uint64_t i = offset >> SIM_CHUNK_SHIFT;
    struct sim_chunk *c = &dev->chunks[i];
    if (c->pages != NULL)
        return true;
    void *epc = mmap(NULL, view_size(dev, i), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                     dev->fd, (off_t)(i << SIM_CHUNK_SHIFT));
    struct sim_page *pages = map_sparse(CHUNK_PAGES * sizeof(*pages));
    void *poked = map_sparse(CHUNK_PAGES / 8);
    if (epc == MAP_FAILED || pages == NULL || poked == NULL) {
        if (epc != MAP_FAILED)
            munmap(epc, view_size(dev, i));
        if (pages != NULL)
            munmap(pages, CHUNK_PAGES * sizeof(*pages));
        if (poked != NULL)
            munmap(poked, CHUNK_PAGES / 8);
        return false;
    }
    c->poked = poked;
    __atomic_store_n(&c->epc, epc, __ATOMIC_RELEASE);
    __atomic_store_n(&c->pages, pages, __ATOMIC_RELEASE);
    dev->used[i / 64] |= 1ull << (i % 64);
    return true;
}

/* The next chunk from i on that has pages, or one past all. */
static uint64_t next_used(const struct sgxsim *dev, uint64_t i)
{
    for (; i < chunk_count(dev); i = (i / 64 + 1) * 64) {
        uint64_t bits = dev->used[i / 64] >> (i % 64);
        if (bits != 0)
            return i + (unsigned)__builtin_ctzll(bits);
    }
    return i;
}

void sim_epc_unview(struct sgxsim *dev)
{
    for (uint64_t i = next_used(dev, 0); i < chunk_count(dev); i = next_used(dev, i + 1)) {
        madvise(dev->chunks[i].epc, view_size(dev, i), MADV_DONTNEED);
    }
}

void sim_epc_destroy(struct sgxsim *dev)
{
    for (unsigned i = 0; i < dev->vma_count; i++)
        (void)mmap((void *)(dev->base + dev->vmas[i].start), dev->vmas[i].end - dev->vmas[i].start,
                   PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    bool any = dev->chunks != NULL && dev->used != NULL;
    for (uint64_t i = any ? next_used(dev, 0) : UINT64_MAX; i < chunk_count(dev);
         i = next_used(dev, i + 1)) {
        munmap(dev->chunks[i].epc, view_size(dev, i));
        munmap(dev->chunks[i].pages, CHUNK_PAGES * sizeof(struct sim_page));
        munmap(dev->chunks[i].poked, CHUNK_PAGES / 8);
        if (dev->chunks[i].out != NULL) {
            munmap(dev->chunks[i].out, CHUNK_PAGES * sizeof(struct sim_backing));
            munmap(dev->chunks[i].store, CHUNK);
        }
    }
    if (dev->va != NULL)
        munmap(dev->va, VA_MAX * sizeof(struct sim_va));
    sim_epc_return(dev, dev->stats.epc_pages);
    if (dev->chunks != NULL)
        munmap(dev->chunks, chunks_size(dev));
    if (dev->used != NULL)
        munmap(dev->used, used_size(dev));
    if (dev->fd >= 0)
        close(dev->fd);
    free(dev->vmas);
}

uint64_t sim_epc_next(struct sgxsim *dev, uint64_t offset, uint64_t end)
{
    while (offset < end) {
        uint64_t chunk = offset >> SIM_CHUNK_SHIFT, group = offset >> GROUP_SHIFT;
        uint64_t chunks = dev->used[chunk / 64] >> (chunk % 64);
        if ((chunks & 1) ==
            0) { /* what stands of a chunk that is not used costs a page to look at */
            chunk = chunks == 0 ? (chunk / 64 + 1) * 64 : chunk + (unsigned)__builtin_ctzll(chunks);
            offset = chunk << SIM_CHUNK_SHIFT;
            continue;
        }
        uint64_t bits = dev->chunks[chunk].groups[group % 512 / 64] >> (group % 64);
        if (bits == 0)
            offset = (group / 64 + 1) * 64 << GROUP_SHIFT;
        else if ((bits & 1) == 0)
            offset = (group + (unsigned)__builtin_ctzll(bits)) << GROUP_SHIFT;
        else if ((sim_page(dev, offset)->state & PAGE_VALID) != 0)
            return offset;
        else
            offset += SGX_PAGE_SIZE;
    }
    return end;
}

int sim_epc_take(struct sgxsim *dev)
{
    struct sgxsim_stats *s = &dev->stats;
    if (!sim_epc_charge(dev->epc))
        return -ENOMEM;
    uint64_t now = SIM_COUNT(dev, epc_pages) + 1;
    if (now > s->epc_peak_pages)
        s->epc_peak_pages = now;
    return 0;
}

void sim_epc_return(struct sgxsim *dev, uint64_t count)
{
    __atomic_fetch_sub(&dev->stats.epc_pages, count, __ATOMIC_RELAXED);
    sim_epc_discharge(dev->epc, count);
}

/* An entry of the EPCM becomes valid. */
void sim_epc_set(struct sgxsim *dev, uint64_t offset, struct sim_page entry)
{
    uint64_t group = offset >> GROUP_SHIFT;
    dev->chunks[offset >> SIM_CHUNK_SHIFT].groups[group % 512 / 64] |= 1ull << (group % 64);
    *sim_page(dev, offset) = entry;
}

void sim_epc_clear(struct sgxsim *dev, uint64_t offset, uint64_t size)
{
    if (size == 0 || fallocate(dev->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                               (off_t)size) == 0)
        return;
    for (uint64_t at = offset; at < offset + size; at += SGX_PAGE_SIZE) {
        if (sim_frame(dev, at) != NULL)
            memset(sim_frame(dev, at), 0, SGX_PAGE_SIZE);
    }
}

/* The pages' frames go back to the host, and their next user finds zeros. */
void sim_epc_give(struct sgxsim *dev, uint64_t offset, uint64_t size)
{
    if (size != 0)
        sim_epc_return(dev, size >> SGX_PAGE_SHIFT);
    sim_epc_clear(dev, offset, size);
}

/* By a system call: it allocates the frame, and needs no page table entry in our own view. */
void sim_epc_fill(struct sgxsim *dev, uint64_t offset, const uint8_t *from)
{
    if (pwrite(dev->fd, from, SGX_PAGE_SIZE, (off_t)offset) != SGX_PAGE_SIZE)
        memcpy(sim_frame(dev, offset), from, SGX_PAGE_SIZE);
}

uint64_t sim_epc_fill_row(struct sgxsim *dev, uint64_t offset, uint64_t from, uint64_t size)
{
    ssize_t n = pwrite(dev->fd, (const void *)from, size, (off_t)offset);
    uint64_t done = n > 0 ? (uint64_t)n & ~(uint64_t)(SGX_PAGE_SIZE - 1) : 0;
    if (n > 0 && done != (uint64_t)n)
        sim_epc_clear(dev, offset + done, SGX_PAGE_SIZE);
    return done;
}

/* --- mappings ------------------------------------------------------------------------------- */

static unsigned vma_find(const struct sgxsim *dev, uint64_t offset)
{
    unsigned low = 0, high = dev->vma_count;
    while (low < high) { /* first one that ends after offset */
        unsigned mid = (low + high) / 2;
        if (dev->vmas[mid].end <= offset)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

int sim_vma_prot(const struct sgxsim *dev, uint64_t offset)
{
    unsigned i = vma_find(dev, offset);
    if (i < dev->vma_count && dev->vmas[i].start <= offset)
        return dev->vmas[i].prot;
    return -1;
}

int sim_vma_set(struct sgxsim *dev, uint64_t start, uint64_t end, int prot)
{
    if (dev->vma_count + 3 > dev->vma_room) {
        unsigned room = dev->vma_room * 2 + 16;
        struct sim_vma *more = realloc(dev->vmas, room * sizeof(*more));
        if (more == NULL)
            return -ENOMEM;
        dev->vmas = more;
        dev->vma_room = room;
    }
    struct sim_vma *v = dev->vmas;
    unsigned first = vma_find(dev, start), last = first;
    struct sim_vma put[3];
    unsigned count = 0;
    while (last < dev->vma_count && v[last].start < end)
        last++;
    if (first < last && v[first].start < start)
        put[count++] = (struct sim_vma){v[first].start, start, v[first].prot};
    if (prot >= 0)
        put[count++] = (struct sim_vma){start, end, prot};
    if (first < last && v[last - 1].end > end)
        put[count++] = (struct sim_vma){end, v[last - 1].end, v[last - 1].prot};
    memmove(v + first + count, v + last, (dev->vma_count - last) * sizeof(*v));
    memcpy(v + first, put, count * sizeof(*v));
    dev->vma_count = dev->vma_count - (last - first) + count;
    /* Equal neighbours become one, so that growth of a heap stays one mapping. */
    for (unsigned i = first > 0 ? first - 1 : 0; i + 1 < dev->vma_count && i <= first + count;) {
        if (v[i].end == v[i + 1].start && v[i].prot == v[i + 1].prot) {
            v[i].end = v[i + 1].end;
            memmove(v + i + 1, v + i + 2, (dev->vma_count - i - 2) * sizeof(*v));
            dev->vma_count--;
        } else {
            i++;
        }
    }
    return 0;
}

/* --- protections ---------------------------------------------------------------------------- */

/* SGX_SECINFO_R/W/X and PROT_READ/WRITE/EXEC are the same bits. */
_Static_assert(PROT_READ == SGX_SECINFO_R && PROT_WRITE == SGX_SECINFO_W &&
                   PROT_EXEC == SGX_SECINFO_X,
               "RWX");

static int page_rights(struct sgxsim *dev, uint64_t offset)
{
    const struct sim_page *p = sim_page(dev, offset);
    if (p->type != SGX_PT_REG ||
        (p->state & (PAGE_PENDING | PAGE_MODIFIED | PAGE_BLOCKED | PAGE_EVICTED)) != 0 ||
        (p->state & PAGE_VALID) == 0 || !dev->initialized)
        return PROT_NONE;
    int prot = sim_vma_prot(dev, offset);
    return prot < 0 ? PROT_NONE : prot & p->perm;
}

/* --- debug enclaves -------------------------------------------------------------------------- */

/* A debugger's EDBGWR is the kernel's hand here (ptrace, /proc/PID/mem). It writes a page that may
 * not be written only if the mapping is private, and then into a copy. So what a debug enclave can
 * read and not write is a private mapping of its EPC; a copy goes into the EPC, and is forgotten,
 * before the page can be seen or changed in another way. */
static bool may_be_poked(const struct sgxsim *dev, int prot)
{
    return (dev->secs.attributes.flags & SGX_ATTR_DEBUG) != 0 &&
           (prot & (PROT_READ | PROT_WRITE)) == PROT_READ;
}

static uint64_t *poked_word(const struct sgxsim *dev, uint64_t offset)
{
    return &dev->chunks[offset >> SIM_CHUNK_SHIFT].poked[(offset & (CHUNK - 1)) >> GROUP_SHIFT]
                                                        [(offset >> SGX_PAGE_SHIFT) % 512 / 64];
}

static uint64_t poked_bit(uint64_t offset)
{
    return 1ull << ((offset >> SGX_PAGE_SHIFT) % 64);
}

/* Is it such a mapping? If it will not stay one, what a debugger wrote is taken. */
static bool is_poked(const struct sgxsim *dev, uint64_t offset, bool stays)
{
    const void *shown = (const void *)(dev->base + offset);
    if ((*poked_word(dev, offset) & poked_bit(offset)) == 0)
        return false;
    if (!stays && memcmp(sim_frame(dev, offset), shown, SGX_PAGE_SIZE) != 0)
        memcpy(sim_frame(dev, offset), shown, SGX_PAGE_SIZE);
    return true;
}

/* Pages next to each other whose host protection becomes the same. */
struct run {
    uint64_t start, end;
    int prot;
    bool poked, changes; /* to be a private mapping; which the page is not yet, or no longer */
};

static void protect_host(struct sgxsim *dev, const struct run *run)
{
    uint64_t start = dev->base + run->start < SIM_LOWEST ? SIM_LOWEST - dev->base : run->start;
    void *at = (void *)(dev->base + start);
    int flags = MAP_FIXED | MAP_NORESERVE | (run->poked ? MAP_PRIVATE : MAP_SHARED);
    if (start >= run->end)
        return;
    if (run->changes &&
        mmap(at, run->end - start, PROT_NONE, flags, dev->fd, (off_t)start) == MAP_FAILED)
        return;
    for (uint64_t p = start; run->changes && p < run->end; p += SGX_PAGE_SIZE)
        *poked_word(dev, p) ^= poked_bit(p);
    (void)mprotect(at, run->end - start, run->prot);
}

/* Only where an entry was valid or became so: the rest of a mapping is PROT_NONE since sgxsim_map.
 */
static void sync_rights(struct sgxsim *dev, uint64_t offset, uint64_t size, bool hide)
{
    uint64_t end = offset + size;
    struct run run = {end, end, 0, false, false};
    for (uint64_t at = sim_epc_next(dev, offset, end); at < end;
         at = sim_epc_next(dev, at + SGX_PAGE_SIZE, end)) {
        if (sim_vma_prot(dev, at) < 0)
            continue;
        struct run next = {at, at + SGX_PAGE_SIZE, hide ? PROT_NONE : page_rights(dev, at), 0, 0};
        next.poked = may_be_poked(dev, next.prot);
        next.changes = next.poked != is_poked(dev, at, next.poked);
        if (run.end == at && run.start < at && run.prot == next.prot && run.poked == next.poked &&
            run.changes == next.changes) {
            run.end = next.end;
            continue;
        }
        protect_host(dev, &run);
        run = next;
    }
    protect_host(dev, &run);
}

void sim_epc_sync(struct sgxsim *dev, uint64_t offset, uint64_t size)
{
    sync_rights(dev, offset, size, false);
}

void sim_epc_catch_up(struct sgxsim *dev)
{
    uint64_t start = dev->lag_start, size = dev->lag_end - start;
    if (size == 0)
        return;
    dev->lag_start = dev->lag_end = 0;
    sim_epc_sync(dev, start, size);
}

/* The page will be accepted soon. */
static bool is_awaited(struct sgxsim *dev, uint64_t offset)
{
    return offset < dev->size && (sim_page(dev, offset)->state & PAGE_PENDING) != 0;
}

void sim_epc_grant(struct sgxsim *dev, uint64_t offset)
{
    bool follows = dev->granted_end == offset;
    dev->granted_end = offset + SGX_PAGE_SIZE;
    if (!follows || dev->lag_end - dev->lag_start >= LAG_MAX)
        sim_epc_catch_up(dev);
    if (!follows && !is_awaited(dev, dev->granted_end)) { /* a fault costs more than this */
        sim_epc_sync(dev, offset, SGX_PAGE_SIZE);
        return;
    }
    if (dev->lag_end == 0)
        dev->lag_start = offset;
    dev->lag_end = offset + SGX_PAGE_SIZE;
}

void sim_epc_hide(struct sgxsim *dev, uint64_t offset, uint64_t size)
{
    sync_rights(dev, offset, size, true);
}

void sim_epc_forget(struct sgxsim *dev, uint64_t offset, uint64_t size)
{
    if (may_be_poked(dev, PROT_READ))
        sync_rights(dev, offset, size, true);
}

/* --- lock ------------------------------------------------------------------------------------ */

bool sim_try_lock(struct sgxsim *dev)
{
    uint32_t seen = 0;
    return atomic_compare_exchange_strong(&dev->lock, &seen, 1);
}

void sim_lock(struct sgxsim *dev)
{
    uint32_t seen = 0;
    if (sim_try_lock(dev))
        return;
    for (int i = 0; i < 100; i++) {
        seen = 0;
        if (atomic_compare_exchange_strong(&dev->lock, &seen, 1))
            return;
        __builtin_ia32_pause();
    }
    while (atomic_exchange(&dev->lock, 2) != 0)
        syscall(SYS_futex, &dev->lock, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
}

bool sim_lock_page(struct sgxsim *dev, uint64_t page)
{
    if (!sim_try_lock(dev)) {
        if (__atomic_load_n(&dev->leaf_page, __ATOMIC_RELAXED) == page)
            return false;
        sim_lock(dev);
    }
    dev->leaf_page = page;
    return true;
}

void sim_unlock(struct sgxsim *dev)
{
    if (atomic_exchange(&dev->lock, 0) == 2)
        syscall(SYS_futex, &dev->lock, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
