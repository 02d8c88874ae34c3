// SPDX-License-Identifier: Apache-2.0
// What every socket has: references, waiting, whose it is.
#include "trusted/libos/net/sock.h"

#include "trusted/libos/time/time.h"

struct sock *sock_new(int family, int type)
{
    struct sock *s = los_alloc(sizeof(*s));
    if (!s)
        return NULL;
    s->family = (uint16_t)family;
    s->type = type;
    s->refs = 1;
    s->host.handle = -1;
    wait_queue_init(&s->wait);
    wait_queue_init(&s->room);
    options_init(s);
    s->cred = cred_own();
    s->peer_cred = (struct cred){0, UINT32_MAX, UINT32_MAX};
    list_init(&s->names);
    list_init(&s->chunks);
    list_init(&s->errors);
    list_init(&s->pending);
    list_init(&s->pend_node);
    return s;
}

struct cred cred_own(void)
{
    return (struct cred){current()->pid, current()->euid, current()->egid};
}

void sock_get(struct sock *s)
{
    s->refs++;
}

void sock_put(struct sock *s)
{
    if (--s->refs)
        return;
    los_free(s->parts);
    list_each_safe(struct chunk, c, &s->errors, node) {
        list_remove(&c->node);
        los_free(c);
    }
    los_free(s);
}

uint64_t sock_deadline(uint64_t timeout)
{
    return timeout ? deadline_in(timeout) : NO_DEADLINE;
}
