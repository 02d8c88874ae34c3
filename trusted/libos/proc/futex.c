// SPDX-License-Identifier: Apache-2.0
// Futexes: all inside, the host never sees one.
#include <linux/futex.h>
#include <linux/time.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/time/time.h"

#define BUCKETS 256u
#define ROBUST_MAX 2048u

/* What a futex is: a word of a file's page, or of a space. */
struct key {
    const void *of;
    uint64_t at;
};

struct futex_waiter {
    struct waiter w;
    struct key key;
    uint32_t bits;
    bool done;
};

static struct wait_queue buckets[BUCKETS];

/* `own`: the caller vouches that no other space has it (FUTEX_PRIVATE_FLAG), and nothing that
 * threads share needs to be looked at. */
static struct key key_of(uint64_t addr, bool own)
{
    struct space *s = space();
    struct key key = {s, addr};
    if (own)
        return key;
    lock_take(&s->list, RANK_AREAS);
    const struct area *a = area_find(addr);
    if (a && a->shared)
        key = (struct key){a->file->inode, a->offset + (addr - a->start)};
    lock_give(&s->list);
    return key;
}

static bool same_key(const struct key *a, const struct key *b)
{
    return a->of == b->of && a->at == b->at;
}

static struct wait_queue *key_bucket(const struct key *k)
{
    uint64_t hash = (k->at >> 2 ^ (uint64_t)k->of >> 6) * 0x9e3779b97f4a7c15ull;
    return &buckets[hash >> 56];
}

/* With the bucket's lock, under which who waits has looked at the word. */
static struct wait_queue *take_bucket(const struct key *k)
{
    struct wait_queue *q = key_bucket(k);
    lock_take(&q->lock, RANK_QUEUE);
    if (!q->waiters.next)
        list_init(&q->waiters);
    return q;
}

static int wake_locked(struct wait_queue *q, struct key key, int64_t count, uint32_t bits)
{
    int woken = 0;
    list_each_safe(struct futex_waiter, f, &q->waiters, w.node) {
        if (!same_key(&f->key, &key) || !(f->bits & bits) || woken >= count)
            continue;
        list_remove(&f->w.node);
        __atomic_store_n(&f->done, true, __ATOMIC_SEQ_CST);
        wait_wake_thread(f->w.thread);
        woken++;
    }
    return woken;
}

static int wake_address(uint64_t addr, int64_t count, uint32_t bits, bool own)
{
    struct key key = key_of(addr, own);
    struct wait_queue *q = take_bucket(&key);
    int woken = wake_locked(q, key, count, bits);
    lock_give(&q->lock);
    return woken;
}

static int wake_at(uint64_t addr, int count)
{
    return wake_address(addr, count, FUTEX_BITSET_MATCH_ANY, false);
}

static void add_waiter(struct futex_waiter *f, struct wait_queue *q)
{
    f->w.thread = self();
    f->w.queue = q;
    list_append(&q->waiters, &f->w.node);
}

static bool is_done(const struct futex_waiter *f)
{
    return __atomic_load_n(&f->done, __ATOMIC_SEQ_CST);
}

static long futex_wait(uint64_t addr, uint32_t value, uint32_t bits, uint64_t deadline, bool own)
{
    if (!bits || addr & 3)
        return -EINVAL;
    if (mm_ready(addr, 4, PORT_R))
        return -EFAULT;
    struct futex_waiter f = {.bits = bits, .key = key_of(addr, own), .w.thread = self()};
    struct wait_queue *q = take_bucket(&f.key);
    wait_clear();
    int r = __atomic_load_n((const uint32_t *)addr, __ATOMIC_SEQ_CST) == value ? 0 : -EAGAIN;
    if (!r)
        add_waiter(&f, q);
    lock_give(&q->lock);
    while (!r && !is_done(&f)) {
        r = wait_sleep(deadline);
        wait_clear();
    }
    if (f.w.queue)
        wait_end(&f.w);
    if (is_done(&f))
        return 0;
    return r == -EINTR && deadline == NO_DEADLINE ? -ERESTARTSYS : r;
}

/* Two buckets, which may be one, by their addresses. */
static void take_both(const struct key *a, const struct key *b, struct wait_queue **q,
                      struct wait_queue **other)
{
    struct wait_queue *first = key_bucket(a), *second = key_bucket(b);
    if (first <= second)
        *q = take_bucket(a);
    if (first != second)
        *other = take_bucket(b);
    else
        *other = *q;
    if (first > second)
        *q = take_bucket(a);
}

static void give_both(struct wait_queue *q, struct wait_queue *other)
{
    struct wait_queue *second = MAX(q, other), *first = MIN(q, other);
    lock_give(&second->lock);
    if (first != second)
        lock_give(&first->lock);
}

static long requeue_waiters(uint64_t from, uint64_t to, int64_t wake_count, int64_t move_count,
                            const uint32_t *expected, bool own)
{
    if (from & 3 || to & 3 || wake_count < 0 || move_count < 0)
        return -EINVAL;
    if (expected && mm_ready(from, 4, PORT_R))
        return -EFAULT;
    struct key key = key_of(from, own), target = key_of(to, own);
    struct wait_queue *q, *other;
    take_both(&key, &target, &q, &other);
    if (expected && __atomic_load_n((const uint32_t *)from, __ATOMIC_SEQ_CST) != *expected) {
        give_both(q, other);
        return -EAGAIN;
    }
    int woken = wake_locked(q, key, wake_count, FUTEX_BITSET_MATCH_ANY);
    int64_t moved = 0;
    list_each_safe(struct futex_waiter, f, &q->waiters, w.node) {
        if (!same_key(&f->key, &key) || moved >= move_count)
            continue;
        list_remove(&f->w.node);
        f->key = target;
        __atomic_store_n(&f->w.queue, other, __ATOMIC_RELEASE);
        list_append(&other->waiters, &f->w.node);
        moved++;
    }
    give_both(q, other);
    return expected ? woken + moved : woken;
}

/* FUTEX_WAKE_OP: changes a word, wakes at the first address and perhaps at the second. */
static long wake_op(uint64_t one, uint64_t two, int64_t count, int64_t count2, uint32_t code,
                    bool own)
{
    unsigned op = code >> 28, cmp = code >> 24 & 15;
    int32_t arg = (int32_t)(code << 8) >> 20, cmp_arg = (int32_t)(code << 20) >> 20;
    uint32_t old, new;
    int r = user_read_u32(&old, two);
    if (op & 8)
        arg = (int32_t)(1u << (arg & 31));
    do {
        if (r && r != -EAGAIN)
            return r;
        switch (op & 7) {
        case FUTEX_OP_SET:
            new = (uint32_t)arg;
            break;
        case FUTEX_OP_ADD:
            new = old + (uint32_t)arg;
            break;
        case FUTEX_OP_OR:
            new = old | (uint32_t)arg;
            break;
        case FUTEX_OP_ANDN:
            new = old & ~(uint32_t)arg;
            break;
        case FUTEX_OP_XOR:
            new = old ^ (uint32_t)arg;
            break;
        default:
            return -ENOSYS;
        }
    } while ((r = user_cas_u32(two, &old, new)));
    int32_t was = (int32_t)old;
    const bool holds[] = {was == cmp_arg, was != cmp_arg, was<cmp_arg, was <= cmp_arg, was> cmp_arg,
                          was >= cmp_arg};
    if (cmp >= ARRAY_COUNT(holds))
        return -ENOSYS;
    int woken = wake_address(one, count, FUTEX_BITSET_MATCH_ANY, own);
    return holds[cmp] ? woken + wake_address(two, count2, FUTEX_BITSET_MATCH_ANY, own) : woken;
}

/* FUTEX_WAIT counts from now; FUTEX_WAIT_BITSET names an instant. */
static int read_deadline(uint64_t from, int op, uint64_t *deadline)
{
    int clock = (op & FUTEX_CMD_MASK) == FUTEX_WAIT ? CLOCK_FROM_NOW
                : op & FUTEX_CLOCK_REALTIME         ? CLOCK_REALTIME
                                                    : CLOCK_MONOTONIC;
    return deadline_from_user(from, clock, deadline);
}

/* A word that processes may share is found by what is mapped there. */
static bool is_mapped(uint64_t addr)
{
    struct space *s = space();
    lock_take(&s->list, RANK_AREAS);
    const struct area *a = area_find(addr);
    bool mapped = a && (a->prot & PORT_R);
    lock_give(&s->list);
    return mapped;
}

/* futex(addr, op, value, timeout or count, addr2, value3) */
long sys_futex(uint64_t addr, int op, uint32_t value, uint64_t timeout, uint64_t addr2,
               uint32_t value3)
{
    int64_t count = (int32_t)value, count2 = (int32_t)timeout;
    uint64_t deadline;
    int r, command = op & FUTEX_CMD_MASK;
    bool own = op & FUTEX_PRIVATE_FLAG;
    bool wakes = command == FUTEX_WAKE || command == FUTEX_WAKE_BITSET;
    bool moves = command == FUTEX_REQUEUE || command == FUTEX_CMP_REQUEUE;
    if ((op & FUTEX_CLOCK_REALTIME) && (op & FUTEX_CMD_MASK) != FUTEX_WAIT_BITSET)
        return -ENOSYS;
    if (!own && !(addr & 3) &&
        (((wakes || moves) && !is_mapped(addr)) || (moves && !(addr2 & 3) && !is_mapped(addr2))))
        return -EFAULT;
    switch (op & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
        r = read_deadline(timeout, op, &deadline);
        if (r)
            return r;
        return futex_wait(addr, value, (op & FUTEX_CMD_MASK) == FUTEX_WAIT ? UINT32_MAX : value3,
                          deadline, own);
    case FUTEX_WAKE:
        if (addr & 3)
            return -EINVAL;
        return wake_address(addr, MAX(count, 1), FUTEX_BITSET_MATCH_ANY, own);
    case FUTEX_WAKE_BITSET:
        return value3 && !(addr & 3) ? wake_address(addr, MAX(count, 1), value3, own) : -EINVAL;
    case FUTEX_REQUEUE:
        return requeue_waiters(addr, addr2, count, count2, NULL, own);
    case FUTEX_CMP_REQUEUE:
        return requeue_waiters(addr, addr2, count, count2, &value3, own);
    case FUTEX_WAKE_OP:
        if (addr & 3)
            return -EINVAL;
        return wake_op(addr, addr2, count, count2, value3, own);
    default:
        return -ENOSYS;
    }
}

#define WAITV_MAX 128u
#define WAITV_U32 2u
#define WAITV_PRIVATE 128u

static long waitv_result(const struct futex_waiter *f, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (f[i].done)
            return i;
    }
    return -1;
}

/* Reads what is waited for; all words must hold their values. */
static int waitv_check(uint64_t from, uint32_t count, struct futex_waiter *f)
{
    for (uint32_t i = 0; i < count; i++) {
        struct futex_waitv v;
        uint32_t now;
        if (user_read(&v, from + i * sizeof(v), sizeof(v)))
            return -EFAULT;
        if (v.__reserved || (v.flags & ~(WAITV_U32 | WAITV_PRIVATE)) || !(v.flags & WAITV_U32) ||
            v.val >> 32)
            return -EINVAL;
        int r = user_read_u32(&now, v.uaddr);
        if (r)
            return r;
        if (now != (uint32_t)v.val)
            return -EAGAIN;
        f[i] = (struct futex_waiter){.bits = FUTEX_BITSET_MATCH_ANY,
                                     .key = key_of(v.uaddr, v.flags & WAITV_PRIVATE)};
    }
    return 0;
}

long sys_futex_waitv(uint64_t waiters, uint32_t count, uint32_t flags, uint64_t timeout, int clock)
{
    uint64_t deadline;
    if (flags || !count || count > WAITV_MAX || !waiters)
        return -EINVAL;
    if (timeout && clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
        return -EINVAL;
    int r = deadline_from_user(timeout, clock, &deadline);
    if (r)
        return r;
    struct futex_waiter *f = los_alloc(count * sizeof(*f));
    if (!f)
        return -ENOMEM;
    r = waitv_check(waiters, count, f);
    for (uint32_t i = 0; !r && i < count; i++) {
        lock_give(&take_bucket(&f[i].key)->lock);
        wait_begin(&f[i].w, key_bucket(&f[i].key));
    }
    long result = -1;
    while (!r && (result = waitv_result(f, count)) < 0) {
        wait_clear();
        r = wait_sleep(deadline);
    }
    for (uint32_t i = 0; i < count && f[i].w.node.next; i++)
        wait_end(&f[i].w);
    if (r && f[0].w.node.next)
        result = waitv_result(f, count);
    los_free(f);
    return result >= 0 ? result : r == -EINTR && deadline == NO_DEADLINE ? -ERESTARTSYS : r;
}

/* A lock that its owner will never release: marked, and one waiter told. */
static void owner_died(uint64_t addr, int32_t tid)
{
    uint32_t word;
    if (user_read_u32(&word, addr))
        return;
    while ((int32_t)(word & FUTEX_TID_MASK) == tid) {
        uint32_t now = (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
        int r = user_cas_u32(addr, &word, now);
        if (r == -EAGAIN)
            continue;
        if (!r && (word & FUTEX_WAITERS))
            wake_at(addr, 1);
        return;
    }
}

static void robust_exit(uint64_t list, int32_t tid)
{
    uint64_t head[3]; /* first entry, offset of the word, entry being locked */
    if (!list || user_read(head, list, sizeof(head)))
        return;
    uint64_t at = head[0];
    for (unsigned i = 0; i < ROBUST_MAX && at != list; i++) {
        uint64_t next;
        if (user_read(&next, at & ~1ull, sizeof(next)))
            break;
        if ((at & ~1ull) != (head[2] & ~1ull))
            owner_died((at & ~1ull) + head[1], tid);
        at = next & ~1ull;
    }
    if (head[2])
        owner_died((head[2] & ~1ull) + head[1], tid);
}

bool futex_has_duty(struct thread *t)
{
    uint64_t first;
    return t->clear_tid || (t->robust_list && !user_read(&first, t->robust_list, sizeof(first)) &&
                            first != t->robust_list);
}

void futex_exit(struct thread *t)
{
    uint64_t list = t->robust_list, word = t->clear_tid;
    uint32_t zero = 0;
    /* Once: where memory cannot be given for it, the program ends, and comes here again. */
    t->robust_list = t->clear_tid = 0;
    robust_exit(list, t->tid);
    if (word && user_write(word, &zero, sizeof(zero)) == 0)
        wake_at(word, 1);
}
