// SPDX-License-Identifier: Apache-2.0
// What the host holds for us, and what it said of its readiness.
//
// A handle's readiness is remembered until it is used up, as epoll(7) has it: EAGAIN, or a stream's
// short read or write, means that nothing is left, and that the host tells of whatever comes next.
// After a use that may have been the last the bit is unsure: the host is asked before a program is
// told. All of it is the host's word. A lie costs a program an EAGAIN, or keeps it waiting; handles
// that nobody has are ignored.
//
// Handles come and go while the big lock is held exclusively; what is known of one has a lock.
#ifndef LIBOS_OUTSIDE_H
#define LIBOS_OUTSIDE_H

#include <asm/poll.h>

#include "trusted/libos/libos.h"

#define OUTSIDE_EVENTS                                                                             \
    ((uint32_t)(POLLIN | POLLPRI | POLLOUT | POLLRDHUP | POLLERR | POLLHUP)) /* the host's words   \
                                                                              */
#define OUTSIDE_ALWAYS ((uint32_t)(POLLERR | POLLHUP))

struct outside {
    int32_t handle; /* -1: none */
    uint32_t id;    /* of this use of the handle: goes out with interest, back with events */
    uint32_t turn;  /* grows with what is learnt or used up: older answers no longer count */
    uint32_t ready, unsure;  /* of OUTSIDE_EVENTS */
    struct wait_queue *wait; /* woken by what the host says; may be NULL */
    struct lock lock;        /* RANK_OUTSIDE */
    bool has_ring;           /* a stream; with the big lock held exclusively */
    bool dry;                /* the last bytes were taken from the ring, and nothing was left */
    struct port_ring ring;
};

/* o has this handle from now on: nothing is known of it. -EIO: the host gave it twice. -ENOMEM. */
int outside_add(struct outside *o, int32_t handle, struct wait_queue *wait);
/* Closes the handle, if there is one. */
void outside_close(struct outside *o);

/* Used: a call took or gave some of what `event` (POLLIN, POLLOUT) stands for; last: all of it. The
 * call out began when outside_turn was `turn`: what others learnt since is not all used up. */
uint32_t outside_turn(struct outside *o);
void outside_used(struct outside *o, uint32_t event, bool last, uint32_t turn);
/* Is the host to be asked about one of these, as in poll? */
bool outside_is_unsure(struct outside *o, uint32_t events);
/* The host said it by the way. */
void outside_learn(struct outside *o, uint32_t events);

/* By the ring, if it has one: how many bytes are queued, or were taken (buf NULL: are there), in
 * order; 0: ask the host. dry (may be NULL): the host said that nothing was left behind them. */
uint32_t outside_queue(struct outside *o, const void *buf, uint32_t size, bool more);
uint32_t outside_take(struct outside *o, void *buf, uint32_t size, bool peek, bool *dry);
/* Nothing is there, and the host need not be asked: true once after the last was taken, so that who
 * asks again and again without waiting does ask. */
bool outside_is_dry(struct outside *o);

/* What is known to be ready, with POLLRDNORM and POLLWRNORM. */
uint32_t outside_known(struct outside *o);
/* The question about what of `events` is not known to be ready. */
struct port_event outside_ask(struct outside *o, uint32_t events);
/* The interest in `events` for a set; errors and hang-ups are always meant. */
struct port_event outside_interest(const struct outside *o, uint32_t events);
/* It was told to the host, which says what of it is ready: nothing of it is unsure any more. */
void outside_set_events(struct outside *o, uint32_t events);
/* Events as the host knows them. */
uint32_t outside_events(uint32_t events);
/* Takes over what came of a wait; wakes whom it concerns. */
void outside_apply(const struct port_wait *w);

#endif
