// SPDX-License-Identifier: Apache-2.0
// Sessions: from the challenge to the last resource. They live in memory only; after a restart a
// client attests again, and no nonce of the time before is known.
//
//   NEW --attest begins--> BUSY --accepted--> ATTESTED
//                               --refused---> gone
//
// A nonce is good for one attempt: whoever comes while it is judged, or after, is refused.
#ifndef VERIFIER_BROKER_SESSION_H
#define VERIFIER_BROKER_SESSION_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <shelter/verify.h>

#define SB_SESSION_ID_SIZE 65 // 64 hex digits and NUL
#define SB_NONCE_SIZE 48      // base64 of 32 bytes and NUL
#define SB_SESSION_BUCKETS 1024

enum sb_protocol { SB_0_2_0, SB_0_4_0 };

enum sb_session_state { SB_NEW, SB_BUSY, SB_ATTESTED };

struct sb_session {
    struct sb_session *next;
    char id[SB_SESSION_ID_SIZE], nonce[SB_NONCE_SIZE];
    enum sb_protocol protocol;
    enum shelter_evidence_type tee;
    enum sb_session_state state;
    uint64_t peer;
    int64_t until_ms; // monotonic
    char *payload;    // of the token, once attested
};

struct sb_sessions {
    pthread_mutex_t lock;
    unsigned count, max, peer_max;
    int64_t nonce_ms, session_ms, swept_ms;
    unsigned open[SB_SESSION_BUCKETS];
    struct sb_session *bucket[SB_SESSION_BUCKETS];
};

void sb_sessions_init(struct sb_sessions *s, unsigned max, unsigned peer_max, int64_t nonce_ms,
                      int64_t session_ms);
void sb_sessions_free(struct sb_sessions *s);

// A new session with a fresh nonce; when all are taken, the oldest attested one gives way. 0;
// -EAGAIN: this peer has too many; -ENOSPC: all are taken; -EIO: no random bytes.
int sb_session_new(struct sb_sessions *s, enum sb_protocol protocol, enum shelter_evidence_type tee,
                   uint64_t peer, int64_t now_ms, struct sb_session *copy);
// Claims the nonce. 0 with a copy; -ENOENT: unknown or expired; -EALREADY: used.
int sb_session_begin(struct sb_sessions *s, const char *id, int64_t now_ms,
                     struct sb_session *copy);
// Ends what sb_session_begin began; payload NULL: refused, the session is gone.
void sb_session_end(struct sb_sessions *s, const char *id, const char *payload, int64_t now_ms);
// The payload (malloc'd), or NULL with *error -ENOENT (no such session), -EAGAIN (not attested
// yet).
char *sb_session_payload(struct sb_sessions *s, const char *id, int64_t now_ms, int *error);

#endif
