// SPDX-License-Identifier: Apache-2.0
// Which handles there are, and what the host said of each.
#include "trusted/libos/fs/outside.h"

#include "trusted/libos/base/radix.h"

static struct radix handles; /* struct outside by handle */

int outside_add(struct outside *o, int32_t handle, struct wait_queue *wait)
{
    static uint32_t next_id;
    void **slot = radix_slot(&handles, (uint32_t)handle);
    if (!slot)
        return -ENOMEM;
    if (*slot)
        return -EIO;
    *slot = o;
    *o = (struct outside){.handle = handle,
                          .id = ++next_id,
                          .unsure = POLLIN | POLLPRI | POLLOUT | POLLRDHUP,
                          .wait = wait};
    return 0;
}

void outside_close(struct outside *o)
{
    if (o->handle < 0)
        return;
    *radix_slot(&handles, (uint32_t)o->handle) = NULL; /* it was made by outside_add */
    if (o->handle > 2 && !(o->has_ring && port_ring_close(o->handle)))
        port_close(o->handle);
    o->handle = -1;
}

uint32_t outside_turn(struct outside *o)
{
    lock_take(&o->lock, RANK_OUTSIDE);
    uint32_t turn = o->turn;
    lock_give(&o->lock);
    return turn;
}

/* With its lock. */
static void use_event(struct outside *o, uint32_t event, bool last)
{
    o->turn++;
    /* The end of a stream, or an error, stays to be read. */
    if (event == POLLIN && (o->ready & (POLLRDHUP | POLLHUP | POLLERR)))
        ;
    else if (last) {
        o->ready &= ~event;
        o->unsure &= ~event;
    } else {
        o->unsure |= event;
    }
}

void outside_used(struct outside *o, uint32_t event, bool last, uint32_t turn)
{
    lock_take(&o->lock, RANK_OUTSIDE);
    use_event(o, event, last && turn == o->turn);
    lock_give(&o->lock);
}

uint32_t outside_queue(struct outside *o, const void *buf, uint32_t size, bool more)
{
    lock_take(&o->lock, RANK_OUTSIDE);
    /* Where the other end is gone the host knows what becomes of it, and at once. */
    bool gone = o->ready & (POLLRDHUP | POLLHUP | POLLERR);
    uint32_t n = o->has_ring && !gone ? port_ring_put(&o->ring, o->handle, buf, size, more) : 0;
    lock_give(&o->lock);
    return n;
}

uint32_t outside_take(struct outside *o, void *buf, uint32_t size, bool peek, bool *dry)
{
    enum port_left left = PORT_LEFT_UNKNOWN;
    lock_take(&o->lock, RANK_OUTSIDE);
    uint32_t n = o->has_ring ? port_ring_take(&o->ring, o->handle, buf, size, peek, &left) : 0;
    if (n && !peek) {
        o->dry = left == PORT_LEFT_NONE;
        if (left != PORT_LEFT_SOME)
            use_event(o, POLLIN, o->dry);
    }
    if (dry)
        *dry = left == PORT_LEFT_NONE;
    lock_give(&o->lock);
    return n;
}

bool outside_is_dry(struct outside *o)
{
    lock_take(&o->lock, RANK_OUTSIDE);
    bool dry = o->dry && !(o->ready & (POLLIN | POLLRDHUP | POLLHUP | POLLERR));
    o->dry = false;
    lock_give(&o->lock);
    return dry;
}

/* With its lock. */
static void learn_events(struct outside *o, uint32_t events, bool edge)
{
    uint32_t fresh = events & ~(o->ready & ~o->unsure);
    if (!events)
        return;
    o->ready |= events;
    o->unsure &= ~events;
    o->dry = o->dry && !(events & POLLIN);
    o->turn++;
    if (o->wait && (edge || fresh))
        wait_wake_events(o->wait, edge ? events : fresh);
}

void outside_learn(struct outside *o, uint32_t events)
{
    lock_take(&o->lock, RANK_OUTSIDE);
    learn_events(o, events & OUTSIDE_EVENTS, false);
    lock_give(&o->lock);
}

static uint32_t known_events(const struct outside *o)
{
    uint32_t r = o->ready & ~o->unsure;
    if (r & POLLIN)
        r |= POLLRDNORM;
    if (r & POLLOUT)
        r |= POLLWRNORM;
    return r;
}

uint32_t outside_known(struct outside *o)
{
    lock_take(&o->lock, RANK_OUTSIDE);
    uint32_t r = known_events(o);
    lock_give(&o->lock);
    return r;
}

bool outside_is_unsure(struct outside *o, uint32_t events)
{
    lock_take(&o->lock, RANK_OUTSIDE);
    bool r = o->unsure & outside_events(events);
    lock_give(&o->lock);
    return r;
}

uint32_t outside_events(uint32_t events)
{
    if (events & POLLRDNORM)
        events |= POLLIN;
    if (events & POLLWRNORM)
        events |= POLLOUT;
    return events & OUTSIDE_EVENTS & ~OUTSIDE_ALWAYS;
}

/* Who waits for bytes gets them at once. */
static uint16_t with_bring(const struct outside *o, uint32_t events)
{
    return (uint16_t)(events | (o->has_ring && events & POLLIN ? PORT_BRING : 0));
}

struct port_event outside_ask(struct outside *o, uint32_t events)
{
    lock_take(&o->lock, RANK_OUTSIDE);
    uint32_t open = outside_events(events) & ~known_events(o), turn = o->turn;
    lock_give(&o->lock);
    return (struct port_event){.handle = o->handle, .events = with_bring(o, open), .tag = turn};
}

struct port_event outside_interest(const struct outside *o, uint32_t events)
{
    return (struct port_event){.handle = o->handle,
                               .events = with_bring(o, outside_events(events) | OUTSIDE_ALWAYS),
                               .tag = o->id};
}

void outside_set_events(struct outside *o, uint32_t events)
{
    events = outside_events(events);
    lock_take(&o->lock, RANK_OUTSIDE);
    o->ready &= ~(events & o->unsure);
    o->unsure &= ~events;
    o->turn++;
    lock_give(&o->lock);
}

static struct outside *find_handle(int32_t handle)
{
    return handle < 0 ? NULL : radix_get(&handles, (uint32_t)handle);
}

static void apply_answer(const struct port_event *e)
{
    struct outside *o = find_handle(e->handle);
    if (!o)
        return;
    lock_take(&o->lock, RANK_OUTSIDE);
    uint32_t not = e->tag == o->turn ? e->events & ~(uint32_t)e->ready : 0;
    o->ready &= ~not ; /* nothing happened since: what is not ready is known too */
    o->unsure &= ~not ;
    learn_events(o, e->ready & OUTSIDE_EVENTS, false);
    lock_give(&o->lock);
}

static void apply_found(const struct port_event *e)
{
    struct outside *o = find_handle(e->handle);
    if (!o)
        return;
    lock_take(&o->lock, RANK_OUTSIDE);
    if (o->id == e->tag)
        learn_events(o, e->ready & OUTSIDE_EVENTS, true);
    lock_give(&o->lock);
}

void outside_apply(const struct port_wait *w)
{
    const struct port_event *e = w->items + w->changes;
    for (uint32_t i = 0; i < w->asks; i++)
        apply_answer(e++);
    for (uint32_t i = 0; i < w->count; i++)
        apply_found(e++);
}
