// SPDX-License-Identifier: Apache-2.0
// The one lock of the LibOS.
//
// Whether it is held stands in trusted memory; the host only helps to sleep. A host that wakes
// nobody, or everybody, costs time and nothing else.
#include "trusted/libos/libos.h"

static uint32_t held;
static uint32_t guard; /* spin lock over `queue`, a few instructions long */
static uint32_t queue_count;
static struct list queue = {&queue, &queue};
static struct list wake_list = {&wake_list, &wake_list}; /* guarded by the lock itself */

#define WAKE_MAX 64u
#define SPINS_MAX 200u

static void guard_lock(void)
{
    for (unsigned spins = 0; __atomic_exchange_n(&guard, 1, __ATOMIC_ACQUIRE); spins++) {
        if (spins % SPINS_MAX == SPINS_MAX - 1)
            port_thread_yield(); /* its holder lost the processor */
        __builtin_ia32_pause();
    }
}

static void guard_unlock(void)
{
    __atomic_store_n(&guard, 0, __ATOMIC_RELEASE);
}

static bool try_lock(void)
{
    return __atomic_load_n(&held, __ATOMIC_RELAXED) == 0 &&
           __atomic_exchange_n(&held, 1, __ATOMIC_SEQ_CST) == 0;
}

static void enqueue_thread(struct thread *t, bool in)
{
    guard_lock();
    if (in == list_empty(&t->lock_node)) {
        if (in)
            list_append(&queue, &t->lock_node);
        else
            list_remove(&t->lock_node);
        __atomic_fetch_add(&queue_count, in ? 1 : -1, __ATOMIC_SEQ_CST);
    }
    guard_unlock();
}

void los_lock(void)
{
    for (unsigned spin = 0; spin < SPINS_MAX; spin++) {
        if (try_lock())
            return;
        __builtin_ia32_pause();
    }
    struct thread *t = self();
    for (;;) {
        enqueue_thread(t, true);
        if (try_lock())
            break;
        port_wait(t, NULL, NO_DEADLINE);
    }
    enqueue_thread(t, false);
}

void los_wake_later(struct thread *t)
{
    if (list_empty(&t->wake_node))
        list_append(&wake_list, &t->wake_node);
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

static struct thread *next_waiter(void)
{
    struct thread *next = NULL;
    guard_lock();
    if (!list_empty(&queue)) {
        next = container_of(queue.next, struct thread, lock_node);
        list_remove(&next->lock_node);
        __atomic_fetch_sub(&queue_count, 1, __ATOMIC_SEQ_CST);
        pin_thread(next);
    }
    guard_unlock();
    return next;
}

/* Wake-ups come after the lock is free: who is woken runs at once, and must find it so. */
void los_unlock(void)
{
    /* Every call comes here, and few wake anybody: zeroes would be most of its work. */
    __attribute__((uninitialized)) struct thread *wake[WAKE_MAX];
    unsigned count = 0;
    while (!list_empty(&wake_list)) {
        struct thread *t = container_of(wake_list.next, struct thread, wake_node);
        list_remove(&t->wake_node);
        if (count == WAKE_MAX) {
            port_wake(t);
            continue;
        }
        pin_thread(t);
        wake[count++] = t;
    }
    __atomic_store_n(&held, 0, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&queue_count, __ATOMIC_SEQ_CST)) {
        struct thread *next = next_waiter();
        if (next)
            wake_pinned(next);
    }
    for (unsigned i = 0; i < count; i++)
        wake_pinned(wake[i]);
}
