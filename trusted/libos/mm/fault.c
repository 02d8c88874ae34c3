// SPDX-License-Identifier: Apache-2.0
// Brings pages in when they are touched: in batches, since each one costs the enclave an exit.
#include <asm/signal.h>
#include <asm/siginfo.h>

#include "lib/settings.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/proc.h"

#define BATCH_MIN 4u /* what allocators touch first lies a few pages apart */
#define BATCH_BUFFER                                                                               \
    16u /* a mapping of no more, used from its start: a buffer, brought at once                    \
         */
#define BATCH_MAX 256u
#define FILE_BATCH_MAX 16u
#define DATA_MAX 512u /* pages of a program's data that come together */

static int refuse_access(struct mm_fault *f, int signo, int code, int r)
{
    f->signo = signo;
    f->code = code;
    return r;
}

/* From addr on: more each time when the program walks through an area. A page of a file costs more
 * than the fault that it saves (it is copied, hashed and accepted), so others come along only for
 * who walks. What is locked on fault: this page and no other. */
static uint64_t batch_count(struct area *a, uint64_t addr)
{
    uint64_t size = a->end - a->start;
    uint32_t first = BATCH_MIN, most = a->file ? FILE_BATCH_MAX : BATCH_MAX;
    if (a->file)
        first = 1;
    else if (addr == a->start && !a->name && size <= (uint64_t)BATCH_BUFFER << PAGE_SHIFT)
        first = BATCH_BUFFER;
    a->batch = addr == a->next_fault && a->batch ? MIN(a->batch * 2, most) : first;
    uint64_t count = a->locked ? 1 : MIN(a->batch, 512 - page_slot(addr)); /* all of one lock */
    a->next_fault = addr + (count << PAGE_SHIFT);
    return count;
}

/* A program's data: its own pages of a file of the image. Nearly all of them are written to, by
 * relocations and counters, so one fault brings them, as far as one lock goes. */
bool area_is_data(const struct area *a)
{
    const struct inode *i = a->file ? a->file->inode : NULL;
    return i && (a->prot & PORT_W) && !a->shared && !a->locked && i->has_lower && !i->written &&
           a->end - a->start <= (uint64_t)DATA_MAX << PAGE_SHIFT;
}

static int populate_from(struct area *a, uint64_t addr, uint64_t count)
{
    const uint64_t size = 512ul << PAGE_SHIFT, low = addr & ~(size - 1);
    uint64_t start = MAX(a->start, low), end = MIN(a->end, low + size);
    bool whole = area_is_data(a);
    if (!whole && !a->locked)
        uses_bring(a, start, end);
    int r = whole ? page_populate(a, start, (end - start) >> PAGE_SHIFT)
                  : page_populate(a, addr, count);
    return r && !page_state(addr) ? page_populate(a, addr, 1) : r;
}

/* Wholly behind the end of its file: the one reason for a SIGBUS. */
static bool behind_end(const struct area *a, uint64_t addr)
{
    return a->file && a->file->inode &&
           a->offset + (addr - a->start) >= page_up(a->file->inode->size);
}

/* A handler must not run for what the host could bring about: a little memory, a block that is not
 * what was built. */
static _Noreturn void cannot_give(int r)
{
    if (r == -ENOMEM)
        log_line(
            "shelter: the program needs more memory than the %lu MiB that it has (-m); it is ended",
            settings.memory >> 20);
    else
        log_line("shelter: a page of the program cannot be brought (errno %d); it is ended", -r);
    process_exit(r == -ENOMEM ? SIGKILL : SIGBUS);
}

/* The area as it is now, if it can be used so beside others. Who changes it takes the page's lock,
 * which the caller has, afterwards. `count`: so many pages are to be brought in. */
static bool look_up(uint64_t addr, int access, struct area *copy, uint64_t *count)
{
    struct space *s = space();
    lock_take(&s->list, RANK_AREAS);
    struct area *a = area_find(addr);
    bool fits = a && (a->prot & access) && !a->shared && !a->changing;
    if (fits && a->file)
        fits = !(a->prot & PORT_X) && !a->file->inode->mount;
    if (fits && count)
        *count = batch_count(a, addr);
    if (fits)
        *copy = *a;
    lock_give(&s->list);
    return fits;
}

/* What concerns nobody but the caller's family: zeroed memory, the first look at or store to a
 * private page. Beside others; false: it must be done alone, or cannot be done. */
static bool fault_beside(uint64_t addr, int access)
{
    struct area a;
    uint8_t state = page_state(addr);
    uint64_t count;
    if (!look_up(addr, access, &a, state ? NULL : &count))
        return false;
    if (!state) {
        if (populate_from(&a, addr, count))
            return false;
        state = page_state(addr);
    }
    if (state && !(state & access) && !(state & (PAGE_OBJECT | PAGE_COMMON))) {
        if (page_own(&a, addr))
            return false;
        state = page_state(addr);
    }
    return state & access;
}

struct lock *page_lock(uint64_t addr)
{
    struct family *f = space()->family;
    return &f->locks[f->count > 1 ? 0 : (addr >> 21) % FAULT_LOCKS].lock;
}

static bool fault_is_done_beside(uint64_t addr, int access)
{
    struct lock *l = page_lock(addr);
    if (!los_is_shared())
        return false;
    lock_take(l, RANK_FAMILY);
    bool done = fault_beside(addr, access);
    lock_give(l);
    return done;
}

#define GROWS_GUARD (256 * PAGE_SIZE) /* left free below what grows */
#define LIMIT_STACK 3

/* MAP_GROWSDOWN: what is mapped next above is made to reach down to addr, as far as a stack may. */
static struct area *grow_down(uint64_t addr)
{
    struct space *s = space();
    size_t at = area_index(addr);
    struct area *a = at < s->count ? s->areas[at] : NULL;
    if (!a || !a->grows || a->file || a->sealed ||
        a->end - addr > current()->limits[LIMIT_STACK].soft ||
        addr < port_info.user_start + GROWS_GUARD || !area_free_range(addr - GROWS_GUARD, addr))
        return NULL;
    uint64_t start = a->start;
    if (place_take(addr, start, true))
        return NULL;
    s->mapped_size += start - addr;
    a->start = addr;
    if (!residence_settle(s, addr, start))
        return a;
    page_remove(addr, start);
    a->start = start;
    s->mapped_size -= start - addr;
    return NULL;
}

bool mm_populate_beside(uint64_t start, uint64_t end)
{
    struct lock *l = page_lock(start);
    struct area a;
    if (!los_is_shared())
        return false;
    lock_take(l, RANK_FAMILY);
    bool done = look_up(start, PORT_R | PORT_W, &a, NULL) && a.end >= end &&
                !page_populate(&a, start, (end - start) >> PAGE_SHIFT);
    lock_give(l);
    return done;
}

int mm_fault(uint64_t addr, int access, struct mm_fault *f)
{
    addr = page_down(addr);
    if (fault_is_done_beside(addr, access))
        return 0;
    call_upgrade();
    struct area *a = area_find(addr);
    if (!a)
        a = grow_down(addr);
    if (!a)
        return refuse_access(f, SIGSEGV, SEGV_MAPERR, -EFAULT);
    /* Write or execute implies read on this processor. */
    if (access == PORT_R ? !a->prot : !(a->prot & access))
        return refuse_access(f, SIGSEGV, SEGV_ACCERR, -EFAULT);
    uint8_t state = page_state(addr);
    int r;
    do {
        r = state ? 0 : populate_from(a, addr, batch_count(a, addr));
        state = page_state(addr);
        if (state && !(state & access)) { /* a first write */
            r = state & PAGE_OBJECT ? object_map(a, addr, true) : page_own(a, addr);
            state = page_state(addr);
        }
    } while (!(state & access) && r == -ENOMEM && oom_spare());
    if (state & access)
        return 0;
    if (!behind_end(a, addr))
        cannot_give(r);
    return refuse_access(f, SIGBUS, BUS_ADRERR, r ? r : -EFAULT);
}

/* The caller relies on these addresses until it gives the big lock up, and says so before it looks
 * at them (mm/beside.c): one range, as wide as all that its call touches. */
static void add_uses(uint64_t start, uint64_t end)
{
    struct thread *t = self();
    if (!los_is_shared() || (space()->refs == 1 && current()->thread_count == 1))
        return;
    if (t->uses_high) {
        if (start >= t->uses_low && end <= t->uses_high)
            return;
        start = MIN(start, t->uses_low);
        end = MAX(end, t->uses_high);
    }
    __atomic_store_n(&t->uses_low, start, __ATOMIC_RELEASE);
    __atomic_exchange_n(&t->uses_high, end, __ATOMIC_SEQ_CST);
}

int mm_ready(uint64_t addr, uint64_t size, int access)
{
    struct mm_fault f;
    if (!size)
        return 0;
    if (!residence_has())
        return -EFAULT;
    if (addr < port_info.user_start || addr >= port_info.user_end ||
        size > port_info.user_end - addr)
        return -EFAULT;
    add_uses(page_down(addr), addr + size);
    for (uint64_t at = page_down(addr); at < addr + size; at += PAGE_SIZE) {
        bool shared = los_is_shared();
        if (!(page_state(at) & access) && mm_fault(at, access, &f))
            return -EFAULT;
        if (shared && !los_is_shared()) /* others ran: from the beginning */
            at = page_down(addr) - PAGE_SIZE;
    }
    return 0;
}
