// SPDX-License-Identifier: Apache-2.0
// Rate limits. The table is small and fixed: a peer may push out another that was quiet, never grow
// it.
#include "verifier/broker/limit.h"

#include <netinet/in.h>
#include <string.h>

void sb_limit_init(struct sb_limit *l, double per_second)
{
    memset(l, 0, sizeof(*l));
    pthread_mutex_init(&l->lock, NULL);
    l->per_second = per_second;
}

uint64_t sb_peer(const struct sockaddr *addr)
{
    uint64_t peer = 0;

    if (addr && addr->sa_family == AF_INET) {
        peer = ntohl(((const struct sockaddr_in *)addr)->sin_addr.s_addr);
    } else if (addr && addr->sa_family == AF_INET6) {
        const struct in6_addr *a = &((const struct sockaddr_in6 *)addr)->sin6_addr;

        if (IN6_IS_ADDR_V4MAPPED(a)) {
            uint32_t v4;

            memcpy(&v4, a->s6_addr + 12, 4);
            peer = ntohl(v4);
        } else {
            memcpy(&peer, a->s6_addr, 8);
            peer |= 1ull << 63;
        }
    }
    return peer ? peer : 1;
}

bool sb_limit_take(struct sb_limit *l, uint64_t peer, int64_t now_ms)
{
    struct sb_bucket *set, *b = NULL;
    double burst = 2 * l->per_second;
    bool ok;

    if (l->per_second <= 0)
        return true;
    pthread_mutex_lock(&l->lock);
    // Sets of eight; the one that was quiet for longest gives way.
    set = l->slot + (peer * 0x9e3779b97f4a7c15ull >> 32) % (SB_LIMIT_SLOTS / 8) * 8;
    for (int i = 0; i < 8 && !b; i++)
        if (set[i].peer == peer)
            b = &set[i];
    if (!b) {
        b = set;
        for (int i = 1; i < 8; i++)
            if (set[i].last_ms < b->last_ms || (!set[i].peer && b->peer))
                b = &set[i];
        *b = (struct sb_bucket){.peer = peer, .last_ms = now_ms, .tokens = burst};
    }
    if (now_ms > b->last_ms) {
        b->tokens += (double)(now_ms - b->last_ms) * l->per_second / 1000;
        if (b->tokens > burst)
            b->tokens = burst;
        b->last_ms = now_ms;
    }
    ok = b->tokens >= 1;
    if (ok)
        b->tokens -= 1;
    pthread_mutex_unlock(&l->lock);
    return ok;
}
