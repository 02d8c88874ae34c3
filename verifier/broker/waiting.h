// SPDX-License-Identifier: Apache-2.0
// Requests that wait until a resource has another version.
//
// A connection that waits holds no thread: it stays suspended, and its request is worked on again
// when the store has changed, at the latest when its time is over. Their number is bounded, of one
// peer too; where there is no place the answer comes at once, and the client asks again.
#ifndef VERIFIER_BROKER_WAITING_H
#define VERIFIER_BROKER_WAITING_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define SB_WAITING_MAX 192
#define SB_WAITING_PEER_MAX 16
#define SB_WAITING_MS 25000

struct sb_request;
struct sb_server;

struct sb_waiting {
    pthread_mutex_t lock;
    struct sb_request *of[SB_WAITING_MAX];
    int64_t version; // of the store, when it was last looked at
    bool stop;
};

void sb_waiting_init(struct sb_waiting *w);
// From now on r is looked after: the caller touches it no more. False: there is no place.
bool sb_waiting_add(struct sb_waiting *w, struct sb_request *r);
// About once a second: works on those again whose time is over, and on all where the store changed.
void sb_waiting_look(struct sb_server *s, int64_t now_ms);
// All of them are answered, and nobody waits any more.
void sb_waiting_stop(struct sb_server *s);

// GET /kbs/v0/version/REPO/TYPE/TAG[?after=N]: {"version": N} for one who may have the resource; at
// once where it is not N, else when it is not any more, or when the time is over.
void sb_version(struct sb_request *r, const char *path);

#endif
