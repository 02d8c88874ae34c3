// SPDX-License-Identifier: Apache-2.0
// The threads that work on requests: a fixed number, and who is served next.
//
// Peers share the processor: next is a request of the peer that has used the least of it, so that
// one who asks for much waits behind those who ask for little. Some of the threads serve only peers
// with an attested session. Of those that take much memory only some run at once; the others stay
// queued, and keep no thread from a request that takes little. The queue holds one request a
// connection, and is bounded by those.
#ifndef VERIFIER_BROKER_WORK_H
#define VERIFIER_BROKER_WORK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define SB_WORK_THREADS 12
#define SB_WORK_KNOWN 2 // of these, for known peers only
#define SB_WORK_LARGE 4 // requests at once that take much memory
#define SB_WORK_PEERS 1024

struct sb_item {
    struct sb_item *next;
    uint64_t peer;
    bool known; // its peer has an attested session
    bool large; // takes much memory
    void (*run)(struct sb_item *item);
};

// Threads that wait for an item.
struct sb_idle {
    pthread_cond_t wake;
    unsigned count; // that nobody has woken
    unsigned woken; // and that have not run since
};

struct sb_work {
    pthread_mutex_t lock;
    struct sb_idle idle, idle_known; // of the threads for all, and for known peers only
    struct sb_item *first;
    uint64_t key;
    int64_t used_us[SB_WORK_PEERS]; // time of the processor by peer; peers may share a counter
    int64_t floor_us;               // what a peer that was idle begins with
    pthread_t thread[SB_WORK_THREADS];
    unsigned started, known_started;
    unsigned large; // that run now
    bool stop;
};

// 0 or -errno.
int sb_work_start(struct sb_work *w);
// Runs what is queued, then ends the threads. Nothing can be queued any more.
void sb_work_stop(struct sb_work *w);
// False when it stops: then nobody runs the item.
bool sb_work_put(struct sb_work *w, struct sb_item *item);

#endif
