// SPDX-License-Identifier: Apache-2.0
// Challenges without a table: whoever asks for one costs no memory.
//
// A challenge's id (the client's cookie) carries what it is good for, and a MAC by a key of this
// process; the nonce comes from the id by the same key:
//
//   id     time of issue, ms (6) | version and hash, TEE (2) | random (8) | HMAC-SHA256 over these
//   (16) nonce  HMAC-SHA256 over "nonce" and the id (32)
//
// Where several processes serve one address, all have the same key: each knows the challenges of
// the others, and what was accepted stands in the database (store.h).
//
// What is kept is a list of used ones, bounded: when it is full, the oldest entry is forgotten, and
// with it every challenge that was issued no later. A flood makes challenges live shorter (from the
// issue to the forgetting 65,536 were used), never refuses new ones, and no nonce is good twice.
#ifndef VERIFIER_BROKER_CHALLENGE_H
#define VERIFIER_BROKER_CHALLENGE_H

#include <pthread.h>
#include <stdint.h>

#include <shelter/verify.h>

#define SB_SESSION_ID_SIZE 65 // 64 hex digits and NUL
#define SB_NONCE_SIZE 48      // base64 of 32 bytes and NUL
#define SB_USED_COUNT 65536

enum sb_protocol { SB_0_2_0, SB_0_4_0 };
enum sb_hash { SB_SHA384, SB_SHA512, SB_SHA256 }; // in the order in which they are preferred

struct sb_challenge {
    char id[SB_SESSION_ID_SIZE], nonce[SB_NONCE_SIZE];
    enum sb_protocol protocol;
    enum sb_hash hash; // that binds key and nonce in the evidence
    enum shelter_evidence_type tee;
    int64_t issued_ms; // monotonic
};

struct sb_challenges {
    uint8_t key[32]; // of this process: after a restart no earlier challenge is known
    int64_t life_ms;
    pthread_mutex_t lock;           // of what follows
    int64_t floor_ms;               // issued before or then: forgotten
    uint32_t next;                  // where the ring goes on
    uint32_t bucket[SB_USED_COUNT]; // first entry + 1
    struct sb_used {
        uint64_t tag;
        int64_t issued_ms;
        uint32_t link; // next entry of the bucket + 1
        bool taken;
    } ring[SB_USED_COUNT];
};

// key: one that other processes have too; NULL: one of its own. 0 or -EIO (no random bytes).
int sb_challenges_init(struct sb_challenges *c, int64_t life_ms, const uint8_t key[32]);
// 0 or -EIO.
int sb_challenge_new(struct sb_challenges *c, enum sb_protocol protocol, enum sb_hash hash,
                     enum shelter_evidence_type tee, int64_t now_ms, struct sb_challenge *out);
// Whether a challenge of this id was ever given, by whichever process has the key.
bool sb_challenge_is_ours(const struct sb_challenges *c, const char *id);
// Takes one by its id, for the one attempt that it is good for. 0; -ENOENT: none of ours, expired
// or forgotten; -EALREADY: used.
int sb_challenge_use(struct sb_challenges *c, const char *id, int64_t now_ms,
                     struct sb_challenge *out);

#endif
