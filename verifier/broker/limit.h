// SPDX-License-Identifier: Apache-2.0
// Requests per second of one peer: a token bucket an address (IPv4) or /64 (IPv6).
#ifndef VERIFIER_BROKER_LIMIT_H
#define VERIFIER_BROKER_LIMIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define SB_LIMIT_SLOTS 4096

struct sb_limit {
    pthread_mutex_t lock;
    double per_second; // 0: no limit
    struct sb_bucket {
        uint64_t peer;
        int64_t last_ms;
        double tokens;
    } slot[SB_LIMIT_SLOTS];
};

void sb_limit_init(struct sb_limit *l, double per_second);
// What an address counts as. Never 0.
uint64_t sb_peer(const struct sockaddr *addr);
// Takes one token; false if there is none. Twice the rate may come at once.
bool sb_limit_take(struct sb_limit *l, uint64_t peer, int64_t now_ms);

#endif
