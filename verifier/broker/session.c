// SPDX-License-Identifier: Apache-2.0
// The table of sessions.
#include "verifier/broker/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "lib/bytes.h"
#include "lib/hex.h"

#define SWEEP_MS 1000

void sb_sessions_init(struct sb_sessions *s, unsigned max, unsigned peer_max, int64_t nonce_ms,
                      int64_t session_ms)
{
    memset(s, 0, sizeof(*s));
    pthread_mutex_init(&s->lock, NULL);
    s->max = max;
    s->peer_max = peer_max;
    s->nonce_ms = nonce_ms;
    s->session_ms = session_ms;
}

static struct sb_session **bucket_of(struct sb_sessions *s, const char *id)
{
    unsigned h = 0;

    for (int i = 0; i < 4 && id[i]; i++)
        h = h << 4 | (unsigned)(sh_hex_digit(id[i]) & 15);
    return &s->bucket[h % SB_SESSION_BUCKETS];
}

// Open challenges are counted by peer; peers may share a counter, which only makes them share a
// limit.
static unsigned *open_of(struct sb_sessions *s, uint64_t peer)
{
    return &s->open[(peer * 0x9e3779b97f4a7c15ull >> 40) % SB_SESSION_BUCKETS];
}

static void drop_session(struct sb_sessions *s, struct sb_session **at)
{
    struct sb_session *gone = *at;

    *at = gone->next;
    if (gone->state != SB_ATTESTED)
        --*open_of(s, gone->peer);
    free(gone->payload);
    free(gone);
    s->count--;
}

void sb_sessions_free(struct sb_sessions *s)
{
    for (size_t i = 0; i < SB_SESSION_BUCKETS; i++)
        while (s->bucket[i])
            drop_session(s, &s->bucket[i]);
    pthread_mutex_destroy(&s->lock);
}

// Ids are compared in constant time: they are what a thief would guess.
static struct sb_session **find_session(struct sb_sessions *s, const char *id, int64_t now_ms)
{
    struct sb_session **at;

    if (strlen(id) != SB_SESSION_ID_SIZE - 1)
        return NULL;
    for (at = bucket_of(s, id); *at; at = &(*at)->next)
        if (sh_equal_ct((*at)->id, id, SB_SESSION_ID_SIZE))
            break;
    if (!*at)
        return NULL;
    if ((*at)->until_ms <= now_ms && (*at)->state != SB_BUSY) {
        drop_session(s, at);
        return NULL;
    }
    return at;
}

static void drop_expired(struct sb_sessions *s, int64_t now_ms)
{
    for (size_t i = 0; i < SB_SESSION_BUCKETS; i++)
        for (struct sb_session **at = &s->bucket[i]; *at;) {
            if ((*at)->until_ms <= now_ms && (*at)->state != SB_BUSY)
                drop_session(s, at);
            else
                at = &(*at)->next;
        }
    s->swept_ms = now_ms;
}

// The oldest of those that have attested; its client can do so again. False if there is none.
static bool evict_session(struct sb_sessions *s)
{
    struct sb_session **oldest = NULL;

    for (size_t i = 0; i < SB_SESSION_BUCKETS; i++)
        for (struct sb_session **at = &s->bucket[i]; *at; at = &(*at)->next)
            if ((*at)->state == SB_ATTESTED && (!oldest || (*at)->until_ms < (*oldest)->until_ms))
                oldest = at;
    if (oldest)
        drop_session(s, oldest);
    return oldest;
}

int sb_session_new(struct sb_sessions *s, enum sb_protocol protocol, enum shelter_evidence_type tee,
                   uint64_t peer, int64_t now_ms, struct sb_session *copy)
{
    struct sb_session *n = calloc(1, sizeof(*n)), **at;
    uint8_t random[64];
    int rc = n && RAND_bytes(random, sizeof(random)) == 1 ? 0 : -EIO;

    if (!rc) {
        pthread_mutex_lock(&s->lock);
        if (now_ms - s->swept_ms >= SWEEP_MS || s->count >= s->max)
            drop_expired(s, now_ms);
        if (*open_of(s, peer) >= s->peer_max)
            rc = -EAGAIN;
        else if (s->count >= s->max && !evict_session(s))
            rc = -ENOSPC;
    }
    if (rc) {
        if (rc != -EIO)
            pthread_mutex_unlock(&s->lock);
        free(n);
        return rc;
    }
    sh_hex(n->id, random, 32);
    EVP_EncodeBlock((unsigned char *)n->nonce, random + 32, 32);
    n->protocol = protocol;
    n->tee = tee;
    n->peer = peer;
    n->until_ms = now_ms + s->nonce_ms;
    at = bucket_of(s, n->id);
    n->next = *at;
    *at = n;
    s->count++;
    ++*open_of(s, peer);
    *copy = *n;
    copy->next = NULL;
    pthread_mutex_unlock(&s->lock);
    return 0;
}

int sb_session_begin(struct sb_sessions *s, const char *id, int64_t now_ms, struct sb_session *copy)
{
    struct sb_session **at;
    int rc = -ENOENT;

    pthread_mutex_lock(&s->lock);
    at = find_session(s, id, now_ms);
    if (at) {
        rc = (*at)->state == SB_NEW ? 0 : -EALREADY;
        if (!rc) {
            (*at)->state = SB_BUSY;
            *copy = **at;
            copy->next = NULL;
            copy->payload = NULL;
        }
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

void sb_session_end(struct sb_sessions *s, const char *id, const char *payload, int64_t now_ms)
{
    struct sb_session **at;

    pthread_mutex_lock(&s->lock);
    at = find_session(s, id, now_ms);
    if (at) {
        (*at)->payload = payload ? strdup(payload) : NULL;
        if ((*at)->payload) {
            --*open_of(s, (*at)->peer);
            (*at)->state = SB_ATTESTED;
            (*at)->until_ms = now_ms + s->session_ms;
        } else {
            drop_session(s, at);
        }
    }
    pthread_mutex_unlock(&s->lock);
}

char *sb_session_payload(struct sb_sessions *s, const char *id, int64_t now_ms, int *error)
{
    struct sb_session **at;
    char *payload = NULL;

    pthread_mutex_lock(&s->lock);
    at = find_session(s, id, now_ms);
    *error = !at ? -ENOENT : (*at)->state == SB_ATTESTED ? 0 : -EAGAIN;
    if (!*error) {
        payload = strdup((*at)->payload);
        *error = payload ? 0 : -ENOMEM;
    }
    pthread_mutex_unlock(&s->lock);
    return payload;
}
