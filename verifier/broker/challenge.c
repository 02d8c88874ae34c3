// SPDX-License-Identifier: Apache-2.0
// Challenges: made from a key, checked by it; the list of used ones.
#include "verifier/broker/challenge.h"

#include <errno.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "lib/bytes.h"
#include "lib/hex.h"

#define ID_SIZE 32
#define CLEAR_SIZE 16 // before the MAC

int sb_challenges_init(struct sb_challenges *c, int64_t life_ms, const uint8_t key[32])
{
    memset(c, 0, sizeof(*c));
    pthread_mutex_init(&c->lock, NULL);
    c->life_ms = life_ms;
    c->floor_ms = INT64_MIN;
    if (key) {
        memcpy(c->key, key, sizeof(c->key));
        return 0;
    }
    return RAND_bytes(c->key, sizeof(c->key)) == 1 ? 0 : -EIO;
}

static bool mac_of(const struct sb_challenges *c, const char *what, const uint8_t *data,
                   size_t size, uint8_t out[32])
{
    uint8_t text[8 + ID_SIZE] = {0};

    memcpy(text, what, strlen(what));
    memcpy(text + 8, data, size);
    return HMAC(EVP_sha256(), c->key, sizeof(c->key), text, 8 + size, out, NULL);
}

static bool fill_out(const struct sb_challenges *c, const uint8_t id[ID_SIZE],
                     struct sb_challenge *out)
{
    uint8_t nonce[32];

    if (!mac_of(c, "nonce", id, ID_SIZE, nonce))
        return false;
    sh_hex(out->id, id, ID_SIZE);
    EVP_EncodeBlock((unsigned char *)out->nonce, nonce, sizeof(nonce));
    out->issued_ms = (int64_t)(sh_le64(id) & 0xffffffffffff);
    out->protocol = (enum sb_protocol)(id[6] & 15);
    out->hash = (enum sb_hash)(id[6] >> 4);
    out->tee = (enum shelter_evidence_type)id[7];
    return true;
}

int sb_challenge_new(struct sb_challenges *c, enum sb_protocol protocol, enum sb_hash hash,
                     enum shelter_evidence_type tee, int64_t now_ms, struct sb_challenge *out)
{
    uint8_t id[ID_SIZE], mac[32];

    sh_put_le64(id, (uint64_t)now_ms);
    id[6] = (uint8_t)(protocol | (unsigned)hash << 4);
    id[7] = (uint8_t)tee;
    if (RAND_bytes(id + 8, 8) != 1 || !mac_of(c, "id", id, CLEAR_SIZE, mac))
        return -EIO;
    memcpy(id + CLEAR_SIZE, mac, ID_SIZE - CLEAR_SIZE);
    return fill_out(c, id, out) ? 0 : -EIO;
}

static uint32_t *bucket_of(struct sb_challenges *c, uint64_t tag)
{
    return &c->bucket[tag % SB_USED_COUNT]; // the tag is random, and under our MAC
}

static bool is_used(struct sb_challenges *c, uint64_t tag)
{
    for (uint32_t at = *bucket_of(c, tag); at; at = c->ring[at - 1].link)
        if (c->ring[at - 1].tag == tag)
            return true;
    return false;
}

static void forget_entry(struct sb_challenges *c, struct sb_used *u)
{
    uint32_t number = (uint32_t)(u - c->ring) + 1, *at = bucket_of(c, u->tag);

    while (*at && *at != number)
        at = &c->ring[*at - 1].link;
    if (*at)
        *at = u->link;
    if (u->issued_ms > c->floor_ms)
        c->floor_ms = u->issued_ms;
}

static void mark_used(struct sb_challenges *c, uint64_t tag, int64_t issued_ms)
{
    struct sb_used *u = &c->ring[c->next];
    uint32_t *bucket = bucket_of(c, tag);

    if (u->taken)
        forget_entry(c, u);
    *u = (struct sb_used){.tag = tag, .issued_ms = issued_ms, .link = *bucket, .taken = true};
    *bucket = c->next + 1;
    c->next = (c->next + 1) % SB_USED_COUNT;
}

// The id behind the text, where its MAC is ours.
static bool open_id(const struct sb_challenges *c, const char *text, uint8_t id[ID_SIZE])
{
    uint8_t mac[32];

    return strlen(text) == SB_SESSION_ID_SIZE - 1 && !sh_unhex(id, ID_SIZE, text) &&
           mac_of(c, "id", id, CLEAR_SIZE, mac) &&
           sh_equal_ct(mac, id + CLEAR_SIZE, ID_SIZE - CLEAR_SIZE);
}

bool sb_challenge_is_ours(const struct sb_challenges *c, const char *id)
{
    uint8_t bytes[ID_SIZE];

    return open_id(c, id, bytes);
}

int sb_challenge_use(struct sb_challenges *c, const char *text, int64_t now_ms,
                     struct sb_challenge *out)
{
    uint8_t id[ID_SIZE];
    uint64_t tag;
    int rc = 0;

    if (!open_id(c, text, id) || !fill_out(c, id, out))
        return -ENOENT;
    tag = sh_le64(id + 8);
    pthread_mutex_lock(&c->lock);
    if (is_used(c, tag))
        rc = -EALREADY;
    else if (out->issued_ms <= c->floor_ms || out->issued_ms > now_ms ||
             now_ms - out->issued_ms >= c->life_ms)
        rc = -ENOENT;
    else
        mark_used(c, tag, out->issued_ms);
    pthread_mutex_unlock(&c->lock);
    return rc;
}
