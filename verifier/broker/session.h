// SPDX-License-Identifier: Apache-2.0
// Sessions that have attested, from the token to the last resource. These live in memory only;
// after a restart a client attests again. Several processes of one broker share theirs (store.h).
// What has not attested is in no table (challenge.h), so that no stranger can push a session out.
#ifndef VERIFIER_BROKER_SESSION_H
#define VERIFIER_BROKER_SESSION_H

#include "verifier/broker/challenge.h"

#define SB_SESSION_BUCKETS 1024

struct sb_session {
    struct sb_session *next;
    char id[SB_SESSION_ID_SIZE]; // the challenge's
    uint64_t peer;
    int64_t until_ms; // monotonic
    char *payload;    // of the token
};

struct sb_sessions {
    pthread_mutex_t lock;
    uint64_t key; // of the hash over peers: nobody can aim at another's bucket
    unsigned count, max;
    size_t size, size_max; // bytes of payloads
    int64_t life_ms, swept_ms;
    unsigned held[SB_SESSION_BUCKETS]; // sessions by peer; peers may share a counter
    struct sb_session *bucket[SB_SESSION_BUCKETS];
};

void sb_sessions_init(struct sb_sessions *s, unsigned max, size_t size_max, int64_t life_ms);
void sb_sessions_free(struct sb_sessions *s);

// Keeps the payload under the challenge's id. Where all places or bytes are taken, the oldest
// session of this peer gives way if it holds a quarter of them, else the oldest of all; its client
// attests again. 0, -EFBIG (larger than all bytes), -ENOMEM.
int sb_session_put(struct sb_sessions *s, const char *id, const char *payload, uint64_t peer,
                   int64_t now_ms);
// The payload (malloc'd), or NULL: no such session, or out of memory.
char *sb_session_payload(struct sb_sessions *s, const char *id, int64_t now_ms);
// Calls `each` for those that live, with the lock held.
void sb_sessions_each(struct sb_sessions *s, int64_t now_ms,
                      void (*each)(const char *id, const char *payload, int64_t until_ms,
                                   void *arg),
                      void *arg);
// Whether a session of this peer (or one that shares its counter) is there.
bool sb_session_of_peer(struct sb_sessions *s, uint64_t peer);

#endif
