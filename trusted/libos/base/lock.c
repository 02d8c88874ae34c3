// SPDX-License-Identifier: Apache-2.0
// Locks; see lock.h.
//
// The shared side of the big lock is a counter in one of several cache lines: threads that share it
// write nothing in common. Who wants to be alone takes `exclusive`, which keeps others out, and
// waits until all counters are zero; before it is given back, those who slept before it are let in.
#include "trusted/libos/libos.h"

#define SPINS_MAX 200u
#define LOTS 16u

/* Somebody who sleeps because of a lock. */
struct parked {
    struct parked *next;
    const void *on;
    struct thread *thread;
    uint32_t granted; /* GRANTED: it has the lock. AGAIN: it may try again */
    bool lost;        /* it was woken and came too late: it has the right to be next */
};

enum { GRANTED = 1, AGAIN };

/* Where they sleep, by the lock's address; first come, first served. */
static struct lot {
    _Alignas(64) uint32_t guard; /* spin lock, a few instructions long */
    uint32_t count;
    struct parked *first;
} lots[LOTS];

static struct {
    _Alignas(64) uint32_t count;
} shares[SHARES];

static uint16_t sharers[SHARES]; /* threads that have each; changed alone */
static struct list all_sharers = {&all_sharers, &all_sharers}; /* likewise: struct thread.sharing */
static struct {
    _Alignas(64) uint64_t now;
    uint8_t apart[56];
} moment = {.now = 1};
static struct lock
    exclusive; /* while it is held, or waited for in drain(), nobody comes to share */
static struct thread *draining; /* who sleeps until those who share have left; by its lot's guard */

static struct lot *lot_of(const void *on)
{
    return &lots[((uint64_t)on >> 2 ^ (uint64_t)on >> 7) % LOTS];
}

static void guard_lot(struct lot *l)
{
    for (unsigned spins = 0; __atomic_exchange_n(&l->guard, 1, __ATOMIC_ACQUIRE); spins++) {
        if (spins % SPINS_MAX == SPINS_MAX - 1)
            port_thread_yield(); /* its holder lost the processor */
        __builtin_ia32_pause();
    }
}

static void unguard_lot(struct lot *l)
{
    __atomic_store_n(&l->guard, 0, __ATOMIC_RELEASE);
}

static void pin_thread(struct thread *t)
{
    __atomic_fetch_add(&t->pins, 1, __ATOMIC_SEQ_CST);
}

static void wake_pinned(struct thread *t)
{
    port_wake(t);
    __atomic_fetch_sub(&t->pins, 1, __ATOMIC_SEQ_CST);
}

static void park_on(struct lot *l, struct parked *p)
{
    struct parked **at = &l->first;
    while (*at)
        at = &(*at)->next;
    *at = p;
    __atomic_fetch_add(&l->count, 1, __ATOMIC_SEQ_CST);
}

static void unpark_from(struct lot *l, struct parked *p)
{
    struct parked **at = &l->first;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    __atomic_fetch_sub(&l->count, 1, __ATOMIC_SEQ_CST);
}

static struct parked *first_on(const struct lot *l, const void *on)
{
    struct parked *p = l->first;
    while (p && p->on != on)
        p = p->next;
    return p;
}

/* ---- locks of objects ---- */

static bool try_take(struct lock *l)
{
    uint32_t free = 0;
    return __atomic_load_n(&l->state, __ATOMIC_RELAXED) == 0 &&
           __atomic_compare_exchange_n(&l->state, &free, 1, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_RELAXED);
}

static void take_asleep(struct lock *l)
{
    struct parked p = {.on = l, .thread = self()};
    struct lot *lot = lot_of(l);
    guard_lot(lot);
    park_on(lot, &p);
    unguard_lot(lot);
    for (;;) {
        if (!__atomic_exchange_n(&l->state, 2, __ATOMIC_SEQ_CST)) {
            guard_lot(lot);
            unpark_from(lot, &p);
            unguard_lot(lot);
            return;
        }
        port_wait(p.thread, NULL, NO_DEADLINE);
        if (__atomic_load_n(&p.granted, __ATOMIC_ACQUIRE))
            return;
        __atomic_store_n(&p.lost, true, __ATOMIC_RELAXED);
    }
}

static void take_lock(struct lock *l)
{
    for (unsigned spin = 0; spin < SPINS_MAX; spin++) {
        if (try_take(l))
            return;
        __builtin_ia32_pause();
    }
    take_asleep(l);
}

static void give_lock(struct lock *l)
{
    uint32_t held = 1;
    if (__atomic_compare_exchange_n(&l->state, &held, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        return;
    struct lot *lot = lot_of(l);
    guard_lot(lot);
    struct parked *p = first_on(lot, l);
    struct thread *t = p ? p->thread : NULL;
    if (p)
        pin_thread(t);
    if (p && __atomic_load_n(&p->lost, __ATOMIC_RELAXED)) {
        unpark_from(lot, p);
        __atomic_store_n(&p->granted, GRANTED, __ATOMIC_RELEASE);
    } else {
        __atomic_store_n(&l->state, 0, __ATOMIC_SEQ_CST);
    }
    unguard_lot(lot);
    if (t)
        wake_pinned(t);
}

/* ---- the order, checked in port `unit` ---- */

#ifdef LIBOS_UNIT
#define HELD_MAX 16u
static __thread struct {
    const struct lock *lock;
    enum lock_rank rank;
} held[HELD_MAX];
static __thread unsigned held_count;

static void check_take(const struct lock *l, enum lock_rank rank)
{
    enum lock_rank last = held_count ? held[held_count - 1].rank : 0;
    if (rank < last || (rank == last && rank != RANK_QUEUE))
        stop("a lock of rank %d is taken after one of rank %d", (int)rank, (int)last);
    if (rank < RANK_FRAMES && unit_self->lock_mode == MODE_NONE)
        stop("a lock of rank %d is taken without the big one", (int)rank);
    if (held_count == HELD_MAX)
        stop("too many locks are held");
    held[held_count].lock = l;
    held[held_count++].rank = rank;
}

static void check_give(const struct lock *l)
{
    if (!held_count || held[held_count - 1].lock != l)
        stop("a lock is given back out of turn");
    held_count--;
}

static void check_none(void)
{
    if (held_count)
        stop("the big lock is taken or given back with a lock of rank %d",
             (int)held[held_count - 1].rank);
}
#else
static void check_take(const struct lock *l, enum lock_rank rank)
{
}
static void check_give(const struct lock *l)
{
}
static void check_none(void)
{
}
#endif

void lock_take(struct lock *l, enum lock_rank rank)
{
    if (self()->lock_mode == MODE_EXCLUSIVE)
        return;
    check_take(l, rank);
    take_lock(l);
}

void lock_give(struct lock *l)
{
    if (self()->lock_mode == MODE_EXCLUSIVE)
        return;
    check_give(l);
    give_lock(l);
}

/* ---- the big lock ---- */

static uint32_t *share_of(const struct thread *t)
{
    return &shares[t->share % SHARES].count;
}

static void end_share(struct thread *t)
{
    if (__atomic_fetch_sub(share_of(t), 1, __ATOMIC_SEQ_CST) != 1 ||
        !__atomic_load_n(&draining, __ATOMIC_SEQ_CST))
        return;
    struct lot *lot = lot_of(&draining);
    guard_lot(lot);
    struct thread *d = draining;
    if (d)
        pin_thread(d);
    unguard_lot(lot);
    if (d)
        wake_pinned(d);
}

static void set_draining(struct thread *t)
{
    struct lot *lot = lot_of(&draining);
    guard_lot(lot);
    __atomic_store_n(&draining, t, __ATOMIC_SEQ_CST);
    unguard_lot(lot);
}

/* Until nobody shares it. */
static void drain_shares(void)
{
    for (unsigned i = 0; i < SHARES; i++) {
        const uint32_t *count = &shares[i].count;
        if (!sharers[i])
            continue;
        for (unsigned spin = 0; spin < SPINS_MAX && __atomic_load_n(count, __ATOMIC_SEQ_CST);
             spin++)
            __builtin_ia32_pause();
        if (!__atomic_load_n(count, __ATOMIC_SEQ_CST))
            continue;
        set_draining(self());
        while (__atomic_load_n(count, __ATOMIC_SEQ_CST))
            port_wait(self(), NULL, NO_DEADLINE);
        set_draining(NULL);
    }
}

/* Those who sleep because it was held exclusively: with `grant` they share it from now on. They are
 * still to be woken. */
static struct thread *let_in(bool grant)
{
    struct lot *lot = lot_of(&shares);
    struct thread *inside = NULL;
    if (!__atomic_load_n(&lot->count, __ATOMIC_SEQ_CST))
        return NULL;
    guard_lot(lot);
    for (struct parked *p; (p = first_on(lot, &shares));) {
        struct thread *t = p->thread;
        unpark_from(lot, p);
        pin_thread(t);
        t->lock_next = inside;
        __atomic_store_n(&t->listed, true, __ATOMIC_RELAXED);
        inside = t;
        if (grant)
            __atomic_fetch_add(share_of(t), 1, __ATOMIC_SEQ_CST);
        __atomic_store_n(&p->granted, grant ? GRANTED : AGAIN, __ATOMIC_RELEASE);
    }
    unguard_lot(lot);
    return inside;
}

static void wake_all(struct thread *t)
{
    for (struct thread *next; t; t = next) {
        next = t->lock_next;
        __atomic_store_n(&t->listed, false, __ATOMIC_RELEASE);
        wake_pinned(t);
    }
}

/* Who was let in may see so before it is woken, and sleep again: not before it has left the list of
 * those who are to be woken, or another one would lead astray whoever wakes them. */
static void wait_unlisted(const struct thread *t)
{
    for (unsigned spins = 1; __atomic_load_n(&t->listed, __ATOMIC_ACQUIRE); spins++) {
        if (spins % SPINS_MAX == 0)
            port_thread_yield();
        __builtin_ia32_pause();
    }
}

static bool is_closed(void)
{
    return __atomic_load_n(&exclusive.state, __ATOMIC_SEQ_CST);
}

/* True: the caller shares it now. False: it may try again. */
static bool wait_open(struct thread *t)
{
    for (unsigned spin = 0; spin < SPINS_MAX; spin++) {
        if (!is_closed())
            return false;
        __builtin_ia32_pause();
    }
    struct parked p = {.on = &shares, .thread = t};
    struct lot *lot = lot_of(&shares);
    wait_unlisted(t);
    guard_lot(lot);
    park_on(lot, &p);
    bool closed = is_closed();
    if (!closed)
        unpark_from(lot, &p);
    unguard_lot(lot);
    while (closed && !__atomic_load_n(&p.granted, __ATOMIC_ACQUIRE))
        port_wait(t, NULL, NO_DEADLINE);
    return p.granted == GRANTED;
}

/* ---- what those who share have seen ---- */

uint64_t los_time(void)
{
    return __atomic_load_n(&moment.now, __ATOMIC_SEQ_CST);
}

uint64_t los_oldest(void)
{
    uint64_t oldest = __atomic_add_fetch(&moment.now, 1, __ATOMIC_SEQ_CST);
    list_each(const struct thread, t, &all_sharers, sharing) {
        uint64_t began = __atomic_load_n(&t->began, __ATOMIC_SEQ_CST);
        if (began && began < oldest)
            oldest = began;
    }
    return oldest;
}

bool los_count_later(uint32_t *counter, int by)
{
    struct thread *t = self();
    unsigned n = 0, empty = ARRAY_COUNT(t->counts);
    if (t->lock_mode != MODE_SHARED)
        return false;
    for (; n < ARRAY_COUNT(t->counts) && t->counts[n].counter != counter; n++) {
        if (!t->counts[n].by)
            empty = n;
    }
    if (n == ARRAY_COUNT(t->counts) && (n = empty) == ARRAY_COUNT(t->counts))
        return false;
    t->counts[n].by = (t->counts[n].counter == counter ? t->counts[n].by : 0) + by;
    t->counts[n].counter = counter;
    return true;
}

static void make_counts(struct thread *t)
{
    for (unsigned n = 0; n < ARRAY_COUNT(t->counts); n++) {
        if (t->counts[n].by)
            __atomic_fetch_add(t->counts[n].counter, (uint32_t)t->counts[n].by, __ATOMIC_ACQ_REL);
        t->counts[n].counter = NULL;
        t->counts[n].by = 0;
    }
}

/* The time first, then the share, which is a barrier: who looks for the oldest and does not see it
 * here has taken away what this thread would find before it looks. */
void los_share(void)
{
    struct thread *t = self();
    check_none();
    __atomic_store_n(&t->began, __atomic_load_n(&moment.now, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
    for (;;) {
        __atomic_fetch_add(share_of(t), 1, __ATOMIC_SEQ_CST);
        if (!is_closed())
            break;
        end_share(t);
        if (wait_open(t))
            break;
    }
    t->lock_mode = MODE_SHARED;
}

void los_lock(void)
{
    check_none();
    take_lock(&exclusive);
    drain_shares();
    self()->lock_mode = MODE_EXCLUSIVE;
}

void los_new_share(struct thread *t)
{
    t->share = 0;
    for (unsigned i = 1; i < SHARES; i++) {
        if (sharers[i] < sharers[t->share])
            t->share = i;
    }
    sharers[t->share]++;
    list_append(&all_sharers, &t->sharing);
}

void los_end_share(struct thread *t)
{
    sharers[t->share]--;
    list_remove(&t->sharing);
}

void los_wake_later(struct thread *t)
{
    struct thread *me = self();
    if (__atomic_exchange_n(&t->wake_claimed, 1, __ATOMIC_SEQ_CST))
        return; /* another is about to */
    pin_thread(t);
    t->wake_next = NULL;
    if (me->wakes)
        me->wakes_last->wake_next = t;
    else
        me->wakes = t;
    me->wakes_last = t;
}

struct thread *los_wake_left(void)
{
    struct thread *me = self(), *t = me->wakes;
    if (!t)
        return NULL;
    me->wakes = t->wake_next;
    __atomic_store_n(&t->wake_claimed, 0, __ATOMIC_SEQ_CST);
    return t;
}

void los_wake_at_end(struct thread *t)
{
    port_wake_at_end(t);
    __atomic_fetch_sub(&t->pins, 1, __ATOMIC_SEQ_CST);
}

/* Wake-ups come after the lock is free: who is woken runs at once, and must find it so. */
void los_unlock(void)
{
    struct thread *me = self(), *inside = NULL, *next;
    bool alone = me->lock_mode == MODE_EXCLUSIVE;
    check_none();
    me->lock_mode = MODE_NONE;
    if (alone) {
        inside = let_in(true);
        give_lock(&exclusive);
        wake_all(inside);
        wake_all(let_in(false)); /* who came just before it was free */
    } else {
        if (me->uses_high)
            __atomic_store_n(&me->uses_high, 0, __ATOMIC_RELEASE);
        make_counts(me);
        __atomic_store_n(&me->began, 0, __ATOMIC_RELEASE);
        end_share(me);
    }
    for (struct thread *t = me->wakes; t; t = next) {
        next = t->wake_next;
        __atomic_store_n(&t->wake_claimed, 0, __ATOMIC_SEQ_CST);
        wake_pinned(t);
    }
    me->wakes = NULL;
}

void los_relock(void)
{
    if (self()->call_shared)
        los_share();
    else
        los_lock();
}

bool los_upgrade(void)
{
    if (!los_is_shared())
        return false;
    los_unlock();
    los_lock();
    return true;
}

bool los_alone(void)
{
    self()->call_shared = false;
    return los_upgrade();
}
