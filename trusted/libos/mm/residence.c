// SPDX-License-Identifier: Apache-2.0
// Sharing addresses by time: which space of a family is resident, and what changes when another
// becomes it.
//
// Contents are swapped inside; no page is added or taken away for it, and the host is asked for
// nothing but kicks. What says that the others' threads have stopped is that each was seen to enter
// the LibOS (thread.in_user), never the host's word. Who is resident changes only while the big
// lock is held exclusively: who shares it stays so.
#include <asm/signal.h>

#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/proc.h"

#define SLICE_MIN 2000000ul /* ns */
#define SLICE_MAX 1000000000ul
#define SLICE_COST 8u         /* a slice is at least so many times what the switch cost */
#define EQUAL_ENOUGH 8u       /* switches */
#define PARTED_ENOUGH 2u      /* times */
#define KICK_AGAIN 20000000ul /* a kick that is not followed is repeated */

struct residence_wait {
    struct list node;
    struct thread *thread;
    struct space *space;
};

/* ---- contents ---- */

static struct space *member_of(const struct family *f, uint16_t id)
{
    list_each(struct space, s, &f->members, member) {
        if (s->id == id)
            return s;
    }
    return NULL;
}

static int make_readable(uint64_t addr)
{
    return frame_rights(addr) == 0 ? frame_protect(addr, 1, PORT_R) : 0;
}

/* Copies for all that have the frame in common. */
static int copy_common(struct family *f, uint64_t addr)
{
    int r = make_readable(addr);
    list_each(struct space, o, &f->members, member) {
        uint8_t state = page_state_of(o, addr);
        if (r || !(state & PAGE_COMMON))
            continue;
        void **aside = page_aside(o, addr);
        if (!aside || !(*aside = page_copy((const void *)addr)))
            return -ENOMEM;
        page_state_set(o, addr, 1, state & (uint8_t)~PAGE_COMMON);
    }
    frame_part(addr);
    frame_own(addr, 1, OWNER_NONE);
    return r;
}

static int home_object(struct family *f, uint64_t addr)
{
    list_each(struct space, o, &f->members, member) {
        const struct area *a = page_state_of(o, addr) & PAGE_OBJECT ? area_find_in(o, addr) : NULL;
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

/* Two pages change places, from the first line that differs on: the processor moves a row of bytes
 * faster than it picks lines. False: none differs. Alone. */
static bool swap_page(uint64_t addr, void *page)
{
    static _Alignas(64) uint8_t between[PAGE_SIZE];
    const uint64_t *a = (const uint64_t *)addr, *b = page;
    size_t n = 0;
    while (n < PAGE_SIZE / 8 &&
           !((a[n] ^ b[n]) | (a[n + 1] ^ b[n + 1]) | (a[n + 2] ^ b[n + 2]) | (a[n + 3] ^ b[n + 3]) |
             (a[n + 4] ^ b[n + 4]) | (a[n + 5] ^ b[n + 5]) | (a[n + 6] ^ b[n + 6]) |
             (a[n + 7] ^ b[n + 7])))
        n += 8;
    if (n == PAGE_SIZE / 8)
        return false;
    size_t size = PAGE_SIZE - n * 8;
    memcpy(between, a + n, size);
    memcpy((uint64_t *)addr + n, b + n, size);
    memcpy((uint64_t *)page + n, between, size);
    return true;
}

/* May nobody write to the frame of those whose it is, nor s to a page with this state? */
static bool is_read_only(const struct space *s, uint64_t addr, uint8_t state, struct space **owned)
{
    uint16_t owner = frame_owner(addr);
    struct space *o = owner < OWNER_MAX ? member_of(s->family, owner) : NULL;
    uint8_t theirs = o ? page_state_of(o, addr) : 0;
    bool common = owner == OWNER_COMMON || ((theirs & PAGE_THERE) && !(theirs & PORT_W));
    *owned = o;
    return common && !(state & PORT_W) && frame_rights(addr) >= PORT_R;
}

/* Does it hold this content, too? Then s has it in common with them: what is read only and equal is
 * never moved. */
static bool share_equal(struct space *s, uint64_t addr, const void *content, uint8_t state)
{
    struct space *o;
    if (!is_read_only(s, addr, state, &o) || memcmp((const void *)addr, content, PAGE_SIZE))
        return false;
    uint8_t theirs = o ? page_state_of(o, addr) : 0;
    if (page_state_set(s, addr, 1, state | PAGE_COMMON))
        return false;
    if (o)
        page_state_set(o, addr, 1, theirs | PAGE_COMMON);
    frame_own(addr, 1, OWNER_COMMON);
    return true;
}

bool residence_share(uint64_t addr, const void *content, int prot)
{
    struct space *s = space();
    return (s->family->count > 1 || s->family->leftovers) &&
           share_equal(s, addr, content, (uint8_t)(PAGE_THERE | prot)) &&
           !frame_protect(addr, 1, prot);
}

/* Two that may both write to a page, and whose contents were equal at EQUAL_ENOUGH switches in a
 * row: they have it in common until one of them writes to it, which is not let happen too often. */
static bool stays_equal(struct space *s, struct space *o, uint64_t addr, struct aside *mine)
{
    unsigned n = page_slot(addr);
    if (frame_parted(addr) >= PARTED_ENOUGH || ++mine->equal[n] < EQUAL_ENOUGH)
        return false;
    page_state_set(o, addr, 1, PAGE_THERE | PAGE_COMMON | PORT_R);
    page_state_set(s, addr, 1, PAGE_THERE | PAGE_COMMON | PORT_R);
    frame_own(addr, 1, OWNER_COMMON);
    page_aside_drop(s, addr);
    mine->equal[n] = 0;
    return true;
}

/* The frame's content to o, whose it is, and that of s to the frame. */
static int change_places(struct space *s, struct space *o, uint64_t addr, struct aside *mine)
{
    void **theirs = page_aside(o, addr), **own = &mine->page[page_slot(addr)];
    bool writable = page_state_of(o, addr) & page_state_of(s, addr) & PORT_W;
    if (!theirs || *theirs)
        return -EAGAIN;
    if (swap_page(addr, *own)) {
        mine->equal[page_slot(addr)] = 0;
        stats.moved_pages++;
    } else if (writable && stays_equal(s, o, addr, mine)) {
        return 0;
    }
    *theirs = *own;
    *own = NULL;
    frame_own(addr, 1, s->id);
    return 0;
}

/* Into a new frame, or one that settle_leaf made writable, and gives its rights. */
static int put_content(uint64_t addr, const void *content, int prot, uint16_t owner)
{
    return frame_put(addr, content, frame_rights(addr) < 0 ? prot : PORT_R | PORT_W, owner);
}

/* What a page whose content lay aside has when it comes back. */
static uint8_t state_in(const struct area *a, uint8_t state)
{
    return (state & PAGE_CLEAN) || !(state & RIGHTS) ? state
                                                     : (uint8_t)(PAGE_THERE | page_rights(a->prot));
}

/* s has a page here whose content lies aside. It may write to it at once if it ever may: to take
 * that right away again at each switch would cost more than the switch. */
static int bring_in(struct space *s, const struct area *a, uint64_t addr, uint8_t state)
{
    struct leaf *leaf = page_leaf(s, addr);
    struct aside *mine = leaf ? leaf->aside : NULL;
    unsigned n = page_slot(addr);
    if (!mine || !mine->page[n])
        stop("a page at 0x%lx is nowhere", addr);
    state = state_in(a, state);
    page_state_set(s, addr, 1, state);
    uint16_t owner = frame_owner(addr);
    struct space *o = owner && owner < OWNER_MAX ? member_of(s->family, owner) : NULL;
    int r = o && frame_rights(addr) >= 0 ? change_places(s, o, addr, mine) : -EAGAIN;
    if (!r)
        return 0;
    r = residence_evict(s->family, addr);
    if (!r)
        r = put_content(addr, mine->page[n], state & RIGHTS, s->id);
    if (!r)
        page_aside_drop(s, addr);
    return r;
}

/* A frame stands where s has no page yet: it would not fault there, so it gets its page now. Where
 * the file has none for it the frame goes, and s faults as it should. */
static int fill_shared(struct area *a, uint64_t addr)
{
    if (object_is_at(a, addr)) /* the page that others of the family use there */
        return object_map(a, addr, false);
    int r = residence_evict(a->space->family, addr);
    if (r || frame_rights(addr) < 0)
        return r; /* another file's went home, and the frame with it */
    r = object_map(a, addr, false);
    if (r != -EIO)
        return r;
    frame_remove(addr, 1);
    return 0;
}

static int fill_private(struct space *s, struct area *a, uint64_t addr, void *page)
{
    uint8_t state = a->file ? page_private_state(a) : (uint8_t)(PAGE_THERE | page_rights(a->prot));
    int found = a->file ? page_from_file(a, addr, page) : 0;
    int r = residence_evict(s->family, addr);
    if (r || frame_rights(addr) < 0)
        return r;
    if (found) {
        frame_remove(addr, 1);
        return 0;
    }
    r = page_state_set(s, addr, 1, 0);
    if (!r)
        r = put_content(addr, page, state & RIGHTS, s->id);
    return r ? r : page_state_set(s, addr, 1, state);
}

static int fill_in(struct space *s, struct area *a, uint64_t addr)
{
    if (a->shared)
        return fill_shared(a, addr);
    void *page = page_alloc();
    int r = page ? fill_private(s, a, addr, page) : -ENOMEM;
    if (page)
        page_free(page);
    return r;
}

/* What s only reads and the frame holds already becomes common: neither its rights nor its content
 * change for it. */
static void share_page(struct space *s, struct area *a, uint64_t addr)
{
    uint8_t state = page_state_of(s, addr);
    bool there = state & PAGE_THERE;
    struct space *o;
    if (a->shared || (state & (PAGE_COMMON | PAGE_OBJECT)) || frame_owner(addr) == s->id ||
        (!there && !a->file))
        return;
    state = there ? state_in(a, state) : page_private_state(a);
    if (!is_read_only(s, addr, state, &o))
        return;
    if (there) {
        void **aside = page_aside(s, addr);
        if (aside && *aside && share_equal(s, addr, *aside, state))
            page_aside_drop(s, addr);
        return;
    }
    void *page = page_alloc();
    if (page && !page_from_file(a, addr, page))
        share_equal(s, addr, page, state);
    if (page)
        page_free(page);
}

static int settle_page(struct space *s, struct area *a, uint64_t addr)
{
    uint8_t state = page_state_of(s, addr);
    uint16_t owner = frame_owner(addr);
    if (!(state & PAGE_THERE))
        return fill_in(s, a, addr);
    if (!(state & (PAGE_COMMON | PAGE_OBJECT)) && owner != s->id)
        return bring_in(s, a, addr, state);
    return 0;
}

/* Which rights the frame needs so that its content can change; -1: it has them. */
static int rights_to_change(const struct space *s, const struct area *a, uint64_t addr)
{
    uint16_t owner = frame_owner(addr);
    bool changes = !a->shared && owner != s->id && owner != OWNER_OBJECT &&
                   !(page_state_of(s, addr) & (PAGE_COMMON | PAGE_OBJECT));
    return changes && !(frame_rights(addr) & PORT_W) ? PORT_R | PORT_W : -1;
}

/* Which ones s wants. */
static int rights_wanted(const struct space *s, const struct area *a, uint64_t addr)
{
    uint8_t state = page_state_of(s, addr);
    return state & PAGE_THERE ? state & RIGHTS : -1;
}

/* Rights of what is not as s wants it. The host is asked once for all that stand in a row: a page
 * of code changes its rights twice. */
static int set_rights(const struct space *s, const struct area *a, uint64_t at, uint64_t end,
                      int (*rights_of)(const struct space *, const struct area *, uint64_t))
{
    int r = 0;
    while (!r && (at = frame_next_unlike(at, end, page_leaf(s, at), s->id)) < end) {
        uint64_t first = at;
        int rights = rights_of(s, a, at);
        do
            at += PAGE_SIZE;
        while (at < end && frame_next_unlike(at, at + PAGE_SIZE, page_leaf(s, at), s->id) == at &&
               rights_of(s, a, at) == rights);
        if (rights >= 0)
            r = frame_protect(first, (at - first) >> PAGE_SHIFT, rights);
    }
    return r;
}

/* Is all in these 2 MiB as s left it? */
static bool is_settled(const struct space *s, uint64_t addr)
{
    const struct leaf *leaf = page_leaf(s, addr);
    return leaf && leaf->settled == frame_changes(addr);
}

/* What is not as s wants it in a part of an area that lies in one leaf's 2 MiB. */
static int settle_leaf(struct space *s, struct area *a, uint64_t at, uint64_t end)
{
    uint64_t start = at;
    for (; (at = frame_next_unlike(at, end, page_leaf(s, at), s->id)) < end; at += PAGE_SIZE)
        share_page(s, a, at);
    int r = set_rights(s, a, at = start, end, rights_to_change);
    for (; !r && (at = frame_next_unlike(at, end, page_leaf(s, at), s->id)) < end; at += PAGE_SIZE)
        r = settle_page(s, a, at);
    return r ? r : set_rights(s, a, start, end, rights_wanted);
}

/* `changed`: only where something did since s was resident. */
static int settle_range(struct space *s, uint64_t start, uint64_t end, bool changed)
{
    const uint64_t big = 1ul << 21;
    int r = 0;
    for (size_t i = 0; !r && i < s->count; i++) {
        struct area *a = s->areas[i];
        uint64_t to = MIN(a->end, end), next;
        for (uint64_t at = MAX(a->start, start); !r && (at = frame_next(at, to)) < to; at = next) {
            next = MIN((at | (big - 1)) + 1, to);
            if (!changed || !is_settled(s, at))
                r = settle_leaf(s, a, at, next);
        }
    }
    return r;
}

static void note_settled(struct space *s)
{
    uint64_t index;
    struct leaf *leaf;
    for (uint64_t i = 0; (leaf = radix_next(&s->leaves, i, &index)); i = index + 1) {
        leaf->settled = frame_changes(index << 21);
        if (s->family->count == 1)
            page_aside_end(leaf);
    }
}

int residence_settle(struct space *s, uint64_t start, uint64_t end)
{
    return s->family->count > 1 || s->family->leftovers ? settle_range(s, start, end, false) : 0;
}

/* ---- turns ---- */

/* Does a thread of s run program code? Who shares the lock may hear of one that is about to. */
static bool runs_program(const struct space *s)
{
    list_each(const struct process, p, &processes, node) {
        if (p->space != s)
            continue;
        list_each(struct thread, t, &p->threads, node) {
            if (__atomic_load_n(&t->in_user, __ATOMIC_RELAXED))
                return true;
        }
    }
    return false;
}

/* Interrupts those of the others that run program code. True: one still does. */
static bool others_run(struct family *f, const struct space *s)
{
    bool any = false;
    list_each(struct process, p, &processes, node) {
        if (!p->space || p->space->family != f || p->space == s)
            continue;
        list_each(struct thread, t, &p->threads, node) {
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
    else
        f->resident = NULL; /* not all is where it should be */
    /* Where a slice is over before the program has run (a host that interrupts each step of the way
     * back), the next is longer. */
    s->slice = s->ran || !s->slice ? SLICE_MIN : MIN(2 * s->slice, SLICE_MAX);
    s->ran = false;
    uint64_t now = clock_now();
    f->until = now + MAX(s->slice, SLICE_COST * (now - before));
    stats_count(switches);
    stats.switch_ns += now - before;
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
    list_each(struct residence_wait, w, &f->waiting, node) {
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
    los_upgrade();
    list_append(&w.space->family->waiting, &w.node);
    for (;;) {
        struct family *f = w.space->family;
        bool mine = f->resident == w.space && !f->holder;
        bool first = f->waiting.next == &w.node;
        uint64_t now = clock_now(), next = NO_DEADLINE;
        if (mine)
            break;
        if (first && !f->holder) {
            bool idle = !f->resident || !runs_program(f->resident);
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

void call_residence(void)
{
    while (residence_take()) {
        if (!oom_spare())
            process_exit(SIGKILL); /* there is no memory for what it has */
    }
}

bool call_upgrade(void)
{
    if (!los_upgrade())
        return false;
    call_residence();
    return true;
}

bool call_alone(void)
{
    if (!los_alone())
        return false;
    call_residence();
    return true;
}

void call_relock(void)
{
    los_relock();
    call_residence();
}

void call_pause(void)
{
    los_unlock();
    call_relock();
}

void residence_begin(void)
{
    if (self()->in_user)
        space()->family->until = clock_now() + SLICE_MIN;
}

void residence_enter(bool ran)
{
    struct thread *t = self();
    if (!t->in_user)
        return;
    struct space *s = t->process->space;
    if (ran && !__atomic_load_n(&s->ran, __ATOMIC_RELAXED))
        __atomic_store_n(&s->ran, true, __ATOMIC_RELAXED);
    __atomic_store_n(&t->in_user, false, __ATOMIC_RELAXED);
    if (!s->family->wanted)
        return;
    los_upgrade();
    if (!s->family->wanted || runs_program(s))
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
    __atomic_store_n(&t->in_user, false, __ATOMIC_RELAXED); /* nor did a fork's begin, if not now */
    if (f->resident != s || (f->holder && f->holder != t))
        return false;
    if (!list_empty(&f->waiting) && clock_now() >= f->until &&
        container_of(f->waiting.next, struct residence_wait, node)->space != s) {
        if (los_is_shared())
            return false;
        f->resident = NULL; /* whoever waits longest is next */
        residence_wake(f);
        return false;
    }
    __atomic_store_n(&t->in_user, true, __ATOMIC_RELAXED);
    return true;
}

void residence_idle(void)
{
    struct thread *t = self();
    __atomic_store_n(&t->in_user, false, __ATOMIC_RELAXED);
    struct space *s = t->process ? t->process->space : NULL;
    if (s && !t->service && s->family->resident == s && !list_empty(&s->family->waiting) &&
        !runs_program(s))
        residence_wake(s->family);
}

#define IN_USER_WANTED 2 /* until it was in here once */

static bool await_pass(bool begin, bool registered)
{
    bool any = false;
    list_each(struct process, p, &processes, node) {
        list_each(struct thread, t, &p->threads, node) {
            if (begin && t->in_user && p->space && (p->space->global_barriers || !registered))
                t->in_user = IN_USER_WANTED;
            if (t->in_user != IN_USER_WANTED)
                continue;
            any = true;
            port_thread_kick(t);
        }
    }
    return any;
}

int residence_pass_all(bool registered)
{
    for (bool begin = true; await_pass(begin, registered); begin = false)
        wait_nap(clock_now() + KICK_AGAIN);
    call_residence();
    return 0;
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
    f->until = clock_now() + SLICE_MIN;
    residence_wake(f);
}
