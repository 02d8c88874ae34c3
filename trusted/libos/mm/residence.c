// SPDX-License-Identifier: Apache-2.0
// Sharing addresses by time: which space of a family is resident, and what changes when another
// becomes it.
//
// Contents are swapped inside; no page is added or taken away for it, and the host is asked for
// nothing but kicks. What says that the others' threads have stopped is that each was seen to enter
// the LibOS (space.user_threads), never the host's word.
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/mm/sites.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/time/time.h"

#define RIGHTS (PORT_R | PORT_W | PORT_X)
#define SLICE_MIN 2000000ul   /* ns */
#define SLICE_COST 8u         /* a slice is at least so many times what the switch cost */
#define KICK_AGAIN 20000000ul /* a kick that is not followed is repeated */

struct residence_wait {
    struct list node;
    struct thread *thread;
    struct space *space;
};

/* ---- contents ---- */

static struct space *member_of(const struct family *f, uint16_t id)
{
    list_for(it, &f->members)
    {
        struct space *s = container_of(it, struct space, member);
        if (s->id == id)
            return s;
    }
    return NULL;
}

static struct area *area_in(const struct space *s, uint64_t addr)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (s->areas[mid]->end > addr)
            high = mid;
        else
            low = mid + 1;
    }
    return low < s->count && s->areas[low]->start <= addr ? s->areas[low] : NULL;
}

static int make_readable(uint64_t addr)
{
    return frame_rights(addr) == 0 ? frame_protect(addr, 1, PORT_R) : 0;
}

/* Copies for all that have the frame in common. */
static int copy_common(struct family *f, uint64_t addr)
{
    int r = make_readable(addr);
    list_for(it, &f->members)
    {
        struct space *o = container_of(it, struct space, member);
        uint8_t state = page_state_of(o, addr);
        if (r || !(state & PAGE_COMMON))
            continue;
        void **aside = page_aside(o, addr);
        if (!aside || !(*aside = page_alloc()))
            return -ENOMEM;
        memcpy(*aside, (const void *)addr, PAGE_SIZE);
        page_state_set(o, addr, 1, state & (uint8_t)~PAGE_COMMON);
    }
    frame_own(addr, 1, OWNER_NONE);
    return r;
}

static int home_object(struct family *f, uint64_t addr)
{
    list_for(it, &f->members)
    {
        struct space *o = container_of(it, struct space, member);
        const struct area *a = page_state_of(o, addr) & PAGE_OBJECT ? area_in(o, addr) : NULL;
        if (a)
            return object_home(a->file->inode, (a->offset + (addr - a->start)) >> PAGE_SHIFT);
    }
    return 0;
}

int residence_evict(struct family *f, uint64_t addr)
{
    uint16_t owner = frame_owner(addr);
    if (frame_rights(addr) < 0 || owner == OWNER_NONE)
        return 0;
    if (owner == OWNER_COMMON)
        return copy_common(f, addr);
    if (owner == OWNER_OBJECT)
        return home_object(f, addr);
    struct space *o = member_of(f, owner);
    void **aside = o ? page_aside(o, addr) : NULL;
    if (o && (!aside || (!*aside && !(*aside = page_alloc()))))
        return -ENOMEM;
    int r = make_readable(addr);
    if (!r && o)
        memcpy(*aside, (const void *)addr, PAGE_SIZE);
    if (!r)
        frame_own(addr, 1, OWNER_NONE);
    return r;
}

/* Both ways at once, through the registers; the buffer changes hands. */
static void swap_page(uint64_t addr, void *page)
{
    uint64_t *a = (uint64_t *)addr, *b = page;
    for (unsigned n = 0; n < PAGE_SIZE / 8; n++) {
        uint64_t t = a[n];
        a[n] = b[n];
        b[n] = t;
    }
}

/* s has a page here whose content lies aside. */
static int bring_in(struct space *s, uint64_t addr, uint8_t state)
{
    struct leaf *leaf = page_leaf(s, addr);
    void **mine = leaf && leaf->aside ? &leaf->aside[(addr >> PAGE_SHIFT) & 511] : NULL;
    if (!mine || !*mine)
        stop("a page at 0x%lx is nowhere", addr);
    uint16_t owner = frame_owner(addr);
    struct space *o = owner && owner < OWNER_MAX ? member_of(s->family, owner) : NULL;
    void **theirs = o ? page_aside(o, addr) : NULL;
    int rights = frame_rights(addr), r = 0;
    if (rights >= 0 && !(rights & PORT_W))
        r = frame_protect(addr, 1, PORT_R | PORT_W);
    if (!r && rights >= 0 && theirs && !*theirs) {
        swap_page(addr, *mine);
        *theirs = *mine;
        *mine = NULL;
        frame_own(addr, 1, s->id);
        return frame_protect(addr, 1, state & RIGHTS);
    }
    if (!r)
        r = residence_evict(s->family, addr);
    if (!r)
        r = frame_put(addr, *mine, state & RIGHTS, s->id);
    if (!r)
        page_aside_drop(s, addr);
    return r;
}

/* A frame stands where s has no page yet: it would not fault there, so it gets its page now. */
static int fill_in(struct space *s, struct area *a, uint64_t addr)
{
    int r = residence_evict(s->family, addr);
    if (r || frame_rights(addr) < 0)
        return r; /* an object went home, and the frame with it: s will fault */
    if (a->shared) {
        r = object_map(a, addr, false);
        if (r != -EIO)
            return r;
    }
    uint8_t *page = page_alloc();
    if (!page)
        return -ENOMEM;
    int prot = page_rights(a->prot);
    if (a->file && !file_read_page(a->file, a->offset + (addr - a->start), page))
        sites_patch(a, addr, page);
    r = page_state_set(s, addr, 1, 0);
    if (!r)
        r = frame_put(addr, page, prot, s->id);
    page_free(page);
    return r ? r : page_state_set(s, addr, 1, (uint8_t)(PAGE_THERE | prot));
}

static int settle_page(struct space *s, struct area *a, uint64_t addr)
{
    uint8_t state = page_state_of(s, addr);
    uint16_t owner = frame_owner(addr);
    if (!(state & PAGE_THERE))
        return fill_in(s, a, addr);
    if (!(state & (PAGE_COMMON | PAGE_OBJECT)) && owner != s->id)
        return bring_in(s, addr, state);
    return frame_rights(addr) == (state & RIGHTS) ? 0 : frame_protect(addr, 1, state & RIGHTS);
}

/* Is all in these 2 MiB as s left it? */
static bool is_settled(const struct space *s, uint64_t addr)
{
    const struct leaf *leaf = page_leaf(s, addr);
    return leaf && leaf->settled == frame_changes(addr);
}

/* `changed`: only where something did since s was resident. */
static int settle_range(struct space *s, uint64_t start, uint64_t end, bool changed)
{
    const uint64_t big = 1ul << 21;
    int r = 0;
    for (size_t i = 0; !r && i < s->count; i++) {
        struct area *a = s->areas[i];
        uint64_t to = MIN(a->end, end);
        for (uint64_t at = MAX(a->start, start); !r && (at = frame_next(at, to)) < to;) {
            if (changed && is_settled(s, at)) {
                at = (at | (big - 1)) + 1;
                continue;
            }
            r = settle_page(s, a, at);
            at += PAGE_SIZE;
        }
    }
    return r;
}

static void note_settled(struct space *s)
{
    uint64_t index;
    struct leaf *leaf;
    for (uint64_t i = 0; (leaf = radix_next(&s->leaves, i, &index)); i = index + 1)
        leaf->settled = frame_changes(index << 21);
}

int residence_settle(struct space *s, uint64_t start, uint64_t end)
{
    return s->family->count > 1 ? settle_range(s, start, end, false) : 0;
}

/* ---- turns ---- */

/* Interrupts those of the others that run program code. True: one still does. */
static bool others_run(struct family *f, const struct space *s)
{
    bool any = false;
    list_for(it, &processes)
    {
        struct process *p = container_of(it, struct process, node);
        if (!p->space || p->space->family != f || p->space == s || !p->space->user_threads)
            continue;
        list_for(jt, &p->threads)
        {
            struct thread *t = container_of(jt, struct thread, node);
            if (!t->in_user)
                continue;
            f->wanted = any = true;
            port_thread_kick(t);
        }
    }
    return any;
}

void residence_wake(struct family *f)
{
    if (!list_empty(&f->waiting))
        los_wake_later(container_of(f->waiting.next, struct residence_wait, node)->thread);
}

static int make_resident(struct family *f, struct space *s)
{
    uint64_t before = clock_now();
    f->resident = s;
    int r = settle_range(s, 0, UINT64_MAX, true);
    if (!r)
        note_settled(s);
    uint64_t now = clock_now();
    f->until = now + MAX(SLICE_MIN, SLICE_COST * (now - before));
    stats.switches++;
    return r;
}

bool residence_has(void)
{
    const struct space *s = space();
    return s && s->family->resident == s;
}

/* Whose space is resident goes on; the first of the others sees to its turn. */
static void wake_ready(const struct family *f)
{
    bool first = true;
    list_for(it, &f->waiting)
    {
        struct residence_wait *w = container_of(it, struct residence_wait, node);
        if (w->space == f->resident || first)
            los_wake_later(w->thread);
        first = first && w->space == f->resident;
    }
}

int residence_take(void)
{
    struct thread *t = self();
    struct residence_wait w = {.thread = t, .space = space()};
    int r = 0;
    if (!w.space || t->service)
        return 0;
    if (residence_has() && (!w.space->family->holder || w.space->family->holder == t))
        return 0;
    list_append(&w.space->family->waiting, &w.node);
    for (;;) {
        struct family *f = w.space->family;
        bool mine = f->resident == w.space && !f->holder;
        bool first = f->waiting.next == &w.node;
        uint64_t now = clock_now(), next = NO_DEADLINE;
        if (mine)
            break;
        if (first && !f->holder) {
            bool idle = !f->resident || !f->resident->user_threads;
            if ((idle || now >= f->until) && !others_run(f, w.space)) {
                r = make_resident(f, w.space);
                break;
            }
            next = now >= f->until ? now + KICK_AGAIN : f->until;
        }
        wait_nap(next);
    }
    list_remove(&w.node);
    wake_ready(w.space->family);
    return r;
}

void residence_enter(void)
{
    struct thread *t = self();
    if (!t->in_user)
        return;
    struct space *s = t->process->space;
    t->in_user = false;
    if (--s->user_threads || !s->family->wanted)
        return;
    s->family->wanted = false;
    if (s->family->holder)
        los_wake_later(s->family->holder);
    else
        residence_wake(s->family);
}

bool residence_leave(void)
{
    struct thread *t = self();
    struct space *s = t->process->space;
    struct family *f = s->family;
    if (f->resident != s || (f->holder && f->holder != t))
        return false;
    if (!list_empty(&f->waiting) && clock_now() >= f->until &&
        container_of(f->waiting.next, struct residence_wait, node)->space != s) {
        f->resident = NULL; /* whoever waits longest is next */
        residence_wake(f);
        return false;
    }
    t->in_user = true;
    s->user_threads++;
    return true;
}

void residence_idle(void)
{
    const struct thread *t = self();
    struct space *s = t->process ? t->process->space : NULL;
    if (s && !t->service && s->family->resident == s && !s->user_threads)
        residence_wake(s->family);
}

int residence_hold(struct space *next)
{
    int r = residence_take();
    struct family *f = space()->family;
    if (r)
        return r;
    f->holder = self();
    f->resident = next;
    while (others_run(f, NULL))
        wait_nap(clock_now() + KICK_AGAIN);
    return 0;
}

void residence_release(void)
{
    struct family *f = space()->family;
    f->holder = NULL;
    residence_wake(f);
}
