// SPDX-License-Identifier: Apache-2.0
// The table of sessions that have attested.
#include "verifier/broker/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "lib/bytes.h"
#include "lib/hex.h"

#define SWEEP_MS 1000

void sb_sessions_init(struct sb_sessions *s, unsigned max, size_t size_max, int64_t life_ms)
{
    memset(s, 0, sizeof(*s));
    pthread_mutex_init(&s->lock, NULL);
    s->max = max;
    s->size_max = size_max;
    s->life_ms = life_ms;
    RAND_bytes((unsigned char *)&s->key, sizeof(s->key));
    s->key |= 1;
}

// Random digits of the id begin behind the 16 of time, version and TEE.
static struct sb_session **bucket_of(struct sb_sessions *s, const char *id)
{
    unsigned h = 0;

    for (int i = 16; i < 20; i++)
        h = h << 4 | (unsigned)(sh_hex_digit(id[i]) & 15);
    return &s->bucket[h % SB_SESSION_BUCKETS];
}

static unsigned *held_by(struct sb_sessions *s, uint64_t peer)
{
    return &s->held[(peer * s->key >> 40) % SB_SESSION_BUCKETS];
}

static void drop_session(struct sb_sessions *s, struct sb_session **at)
{
    struct sb_session *gone = *at;

    *at = gone->next;
    --*held_by(s, gone->peer);
    s->size -= strlen(gone->payload) + 1;
    s->count--;
    free(gone->payload);
    free(gone);
}

void sb_sessions_free(struct sb_sessions *s)
{
    for (size_t i = 0; i < SB_SESSION_BUCKETS; i++)
        while (s->bucket[i])
            drop_session(s, &s->bucket[i]);
    pthread_mutex_destroy(&s->lock);
}

// Ids are compared in constant time: they are what a thief would guess.
static struct sb_session **find_session(struct sb_sessions *s, const char *id)
{
    struct sb_session **at;

    if (strlen(id) != SB_SESSION_ID_SIZE - 1)
        return NULL;
    for (at = bucket_of(s, id); *at; at = &(*at)->next)
        if (sh_equal_ct((*at)->id, id, SB_SESSION_ID_SIZE))
            return at;
    return NULL;
}

static void drop_expired(struct sb_sessions *s, int64_t now_ms)
{
    for (size_t i = 0; i < SB_SESSION_BUCKETS; i++)
        for (struct sb_session **at = &s->bucket[i]; *at;) {
            if ((*at)->until_ms <= now_ms)
                drop_session(s, at);
            else
                at = &(*at)->next;
        }
    s->swept_ms = now_ms;
}

// The oldest one, of this peer only or of all. False where there is none.
static bool evict_session(struct sb_sessions *s, uint64_t peer, bool own)
{
    struct sb_session **oldest = NULL;

    for (size_t i = 0; i < SB_SESSION_BUCKETS; i++)
        for (struct sb_session **at = &s->bucket[i]; *at; at = &(*at)->next)
            if ((!own || (*at)->peer == peer) && (!oldest || (*at)->until_ms < (*oldest)->until_ms))
                oldest = at;
    if (oldest)
        drop_session(s, oldest);
    return oldest;
}

static void insert_session(struct sb_sessions *s, struct sb_session *n, int64_t now_ms)
{
    size_t size = strlen(n->payload) + 1;
    struct sb_session **at = find_session(s, n->id);

    if (at)
        drop_session(s, at);
    if (now_ms - s->swept_ms >= SWEEP_MS)
        drop_expired(s, now_ms);
    while (s->count >= s->max || s->size + size > s->size_max)
        if (!(*held_by(s, n->peer) > s->max / 4 && evict_session(s, n->peer, true)) &&
            !evict_session(s, 0, false))
            break;
    at = bucket_of(s, n->id);
    n->next = *at;
    *at = n;
    s->count++;
    s->size += size;
    ++*held_by(s, n->peer);
}

int sb_session_put(struct sb_sessions *s, const char *id, const char *payload, uint64_t peer,
                   int64_t now_ms)
{
    struct sb_session *n;

    if (strlen(payload) >= s->size_max || strlen(id) != SB_SESSION_ID_SIZE - 1)
        return -EFBIG;
    n = calloc(1, sizeof(*n));
    if (!n || !(n->payload = strdup(payload))) {
        free(n);
        return -ENOMEM;
    }
    memcpy(n->id, id, SB_SESSION_ID_SIZE);
    n->peer = peer;
    n->until_ms = now_ms + s->life_ms;
    pthread_mutex_lock(&s->lock);
    insert_session(s, n, now_ms);
    pthread_mutex_unlock(&s->lock);
    return 0;
}

char *sb_session_payload(struct sb_sessions *s, const char *id, int64_t now_ms)
{
    struct sb_session **at;
    char *payload = NULL;

    pthread_mutex_lock(&s->lock);
    at = find_session(s, id);
    if (at && (*at)->until_ms <= now_ms)
        drop_session(s, at);
    else if (at)
        payload = strdup((*at)->payload);
    pthread_mutex_unlock(&s->lock);
    return payload;
}

bool sb_session_of_peer(struct sb_sessions *s, uint64_t peer)
{
    bool known;

    pthread_mutex_lock(&s->lock);
    known = *held_by(s, peer) > 0;
    pthread_mutex_unlock(&s->lock);
    return known;
}

void sb_sessions_each(struct sb_sessions *s, int64_t now_ms,
                      void (*each)(const char *id, const char *payload, int64_t until_ms,
                                   void *arg),
                      void *arg)
{
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < SB_SESSION_BUCKETS; i++)
        for (struct sb_session *e = s->bucket[i]; e; e = e->next)
            if (e->until_ms > now_ms)
                each(e->id, e->payload, e->until_ms, arg);
    pthread_mutex_unlock(&s->lock);
}
