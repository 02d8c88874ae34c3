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

static void guard_lock(void)
{
    while (__atomic_exchange_n(&guard, 1, __ATOMIC_ACQUIRE))
        __builtin_ia32_pause();
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

static void enqueue(struct thread *t, bool in)
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
    for (int spin = 0; spin < 200; spin++) {
        if (try_lock())
            return;
        __builtin_ia32_pause();
    }
    struct thread *t = self();
    for (;;) {
        enqueue(t, true);
        if (try_lock())
            break;
        port_wait(t, NULL, 0, NO_DEADLINE);
    }
    enqueue(t, false);
}

void los_unlock(void)
{
    __atomic_store_n(&held, 0, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&queue_count, __ATOMIC_SEQ_CST) == 0)
        return;
    struct thread *next = NULL;
    guard_lock();
    if (!list_empty(&queue)) {
        next = container_of(queue.next, struct thread, lock_node);
        list_remove(&next->lock_node);
        __atomic_fetch_sub(&queue_count, 1, __ATOMIC_SEQ_CST);
        /* Under the guard: it cannot take the lock, run and vanish before it is woken. */
        port_wake(next);
    }
    guard_unlock();
}
