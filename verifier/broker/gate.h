// SPDX-License-Identifier: Apache-2.0
// Who may hold a connection, and how long.
//
// Every connection has a deadline from the moment it is accepted (TLS included), and a new one at
// each step forward; a thread of the gate shuts down those that are late, so that bytes that drip
// in keep nothing open. A peer (an address, of IPv6 a /64) holds a bounded number. The last places
// are for peers with an attested session. Where a stranger finds the others taken, the oldest
// connection that never finished a request, of the stranger who holds most, gives way.
//
// Memory that requests' bodies take is counted here too.
#ifndef VERIFIER_BROKER_GATE_H
#define VERIFIER_BROKER_GATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "verifier/broker/limit.h"
#include "verifier/broker/session.h"

#define SB_GATE_HEAD_MS 5000  // from accept to the end of the first request's head
#define SB_GATE_BODY_MS 10000 // from there to the end of its body
#define SB_GATE_SEND_MS 10000 // for the answer to be taken
#define SB_GATE_IDLE_MS 15000 // from there to the end of the next request's head

struct sb_place {
    int fd; // -1: free
    uint64_t peer;
    int64_t since_ms, until_ms;
    bool known;    // its peer had an attested session when it came
    bool finished; // a whole request came over it
    bool shut;
};

struct sb_gate {
    unsigned max, reserve, peer_max; // connections; of max, those kept for known peers; of one peer
    size_t body_max;                 // bytes of all bodies; strangers get three quarters
    struct sb_sessions *sessions;
    struct sb_limit rate; // of new connections
    pthread_mutex_t lock; // of what follows
    struct sb_place *place;
    unsigned count, shut; // shut: those of count that are on their way out
    size_t body_size;
    pthread_cond_t wake;
    pthread_t thread;
    bool running, stop;
};

// rate: new connections per second and peer; 0: no limit. 0 or -errno.
int sb_gate_start(struct sb_gate *g, unsigned max, unsigned reserve, unsigned peer_max,
                  size_t body_max, double rate, struct sb_sessions *sessions);
void sb_gate_stop(struct sb_gate *g);

// Before a connection is taken.
bool sb_gate_admit(struct sb_gate *g, const struct sockaddr *addr, int64_t now_ms);
// Its place, or NULL where none is left: then close it. The gate never uses fd after sb_gate_close.
struct sb_place *sb_gate_open(struct sb_gate *g, int fd, const struct sockaddr *addr,
                              int64_t now_ms);
void sb_gate_close(struct sb_gate *g, struct sb_place *p);

// A new deadline; until_ms 0: none, the connection waits for us.
void sb_gate_until(struct sb_gate *g, struct sb_place *p, int64_t until_ms);
void sb_gate_finished(struct sb_gate *g, struct sb_place *p);

// Room for a body. False where there is none now.
bool sb_gate_take(struct sb_gate *g, const struct sb_place *p, size_t size);
void sb_gate_give(struct sb_gate *g, size_t size);

#endif
