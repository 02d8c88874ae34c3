// SPDX-License-Identifier: Apache-2.0
// Locks: those of objects, and the one of the whole LibOS with its two sides.
//
// A call takes the big lock for itself (exclusive), or shares it (CALLS marked ~ in
// entry/calls.def). Who has it exclusively is alone: nobody else is inside, and no other lock is
// held. Who shares it writes to nothing that another thread reads, except under the object's own
// lock, and takes locks in ascending order of their rank. docs/libos.md, Locks, has the picture.
//
// Whether a lock is held stands in trusted memory; the host only helps to sleep. A host that wakes
// nobody, or everybody, costs time and nothing else.
#ifndef LIBOS_LOCK_H
#define LIBOS_LOCK_H

#include <stdbool.h>
#include <stdint.h>

struct thread;

/* Zero is free. Who is alone needs none: taking and giving back then do nothing. Held for a bounded
 * time only: nobody sleeps, or touches memory of the program that may fault, while it has one. Who
 * waits longer than a moment sleeps; who was woken and found it taken again gets it next (lock_give
 * hands it over), so that nobody waits for ever. */
struct lock {
    uint32_t state; /* 0 free, 1 held, 2 held and perhaps waited for */
};

/* The order. Those of one rank are not held together, except RANK_QUEUE: the queue of an epoll
 * after that of a file in it, of two futex buckets the one with the lower address first. */
enum lock_rank {
    RANK_EPOLL = 1, /* an epoll: its changes, who looks */
    RANK_NAMES,     /* which socket has which port; connections as they are made */
    RANK_OBJECT,    /* pipe, event, what a socket has received; places of descriptors; handlers */
    RANK_INODE,     /* an inode's times */
    RANK_FAMILY,    /* struct family.locks: pages that come and go */
    RANK_AREAS,     /* struct space.list: which areas there are */
    RANK_IMAGE,     /* the cache of checked blocks: new ones */
    RANK_OUTSIDE,   /* what the host said of a handle */
    RANK_QUEUE,     /* struct wait_queue.lock */
    RANK_READY,     /* an epoll's list of what may be ready */
    RANK_FRAMES,    /* the table of committed pages: new parts of it */
    RANK_CACHE,     /* free objects that some threads keep */
    RANK_ALLOC,     /* memory of the LibOS */
};

/* Waits until the caller has l. It has the big lock, or rank is RANK_FRAMES or above, and it has no
 * lock of this rank or of one above (but two of RANK_QUEUE). Not from a port, nor before self(). */
void lock_take(struct lock *l, enum lock_rank rank);
/* What the caller took last goes first. Does not wait. */
void lock_give(struct lock *l);

/* The big lock. Threads count their shares in so many places (struct thread.share); who keeps
 * something by thread may do as well. */
#define SHARES 16u
/* Waits until the caller has it exclusively. No lock at all is held, neither side of this one. */
void los_lock(void);
/* Waits until the caller shares it. Likewise. */
void los_share(void);
/* Gives up either side, and wakes whom los_wake_later named. No lock of an object is held. */
void los_unlock(void);
/* Takes it again as the running call began: shared, unless the call is an exclusive one. */
void los_relock(void);
/* Makes the caller, who has either side and no lock of an object, alone. False: it was. True:
 * others ran in between, and what was looked up without being counted must be looked up again. */
bool los_upgrade(void);
enum lock_mode { MODE_NONE, MODE_SHARED, MODE_EXCLUSIVE };
/* Likewise, and so to the call's end, also after a sleep. */
bool los_alone(void);
/* Time, as those who share know it: each share has the time at which it began. Any thread. */
uint64_t los_time(void);
/* Moves that time on, and says when the oldest share began that lasts. What nobody could find any
 * more at a los_time() before that is not in use: all who may have found it have left. The caller
 * has the big lock, either side: who shares is added and removed by those who are alone. */
uint64_t los_oldest(void);
/* Adds to a counter of references of something that cannot go while the big lock is shared; seen
 * when the caller's share ends, and not at all if it comes to 0 by then: so threads that pass by do
 * not write where others do. False: nothing was done. */
bool los_count_later(uint32_t *counter, int by);
/* Gives a new thread the share that fewest have. The caller is alone. */
void los_new_share(struct thread *t);
/* Of one that is gone. The caller is alone. */
void los_end_share(struct thread *t);

#endif
