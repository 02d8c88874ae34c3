// SPDX-License-Identifier: Apache-2.0
// Blocks sealed and opened, written in runs.
#include "trusted/volume/internal.h"

int volume_fail(struct volume *v, int error, const char *reason)
{
    if (!v->failed) {
        v->failed = error;
        v->reason = reason;
    }
    return error;
}

static void expand_key(struct volume *v, struct session_key *k, uint64_t session)
{
    crypt_expand_derived(&k->key, v->master, "block", session);
    k->session = session;
}

int block_new_session(struct volume *v)
{
    uint64_t session = 0;
    for (unsigned tries = 0; !session && tries < 4; tries++) {
        if (v->disk.random_bytes(v->disk.ctx, &session, sizeof(session)))
            break;
    }
    if (!session)
        return volume_fail(v, -EIO, "there are no random numbers");
    expand_key(v, &v->keys[0], session);
    v->counter = 0;
    return 0;
}

/* The key of a session: one of those kept, or derived in place of the one not used for longest. */
static struct crypt_key *key_of(struct volume *v, uint64_t session)
{
    struct session_key *oldest = &v->keys[1];
    for (unsigned i = 0; i < OLD_KEYS; i++) {
        if (v->keys[i].session == session) {
            v->keys[i].used = ++v->key_clock;
            return &v->keys[i].key;
        }
        if (i && v->keys[i].used < oldest->used)
            oldest = &v->keys[i];
    }
    expand_key(v, oldest, session);
    oldest->used = ++v->key_clock;
    return &oldest->key;
}

static void nonce_of(const struct ptr *p, uint8_t nonce[CRYPT_NONCE_SIZE])
{
    crypt_nonce(nonce, p->counter | (uint64_t)p->place << 32, 0);
}

int volume_write_failed(struct volume *v, int error)
{
    return error == -ENOSPC ? volume_fail(v, error, "the host has no room for the volume's file")
                            : volume_fail(v, -EIO, "the disk cannot be written");
}

int block_write_out(struct volume *v)
{
    uint32_t count = v->io_count;
    v->io_count = 0;
    if (!count)
        return 0;
    int r = v->disk.write_blocks(v->disk.ctx, v->io_place, v->io, count);
    return r ? volume_write_failed(v, r) : 0;
}

int block_put(struct volume *v, struct ptr *p, const void *data)
{
    uint8_t nonce[CRYPT_NONCE_SIZE];
    int r = 0;
    if (v->counter == UINT32_MAX)
        r = block_new_session(v);
    if (!r && (v->io_count == IO_BLOCKS || p->place != v->io_place + v->io_count))
        r = block_write_out(v);
    if (r)
        return r;
    if (!v->io_count)
        v->io_place = p->place;
    p->session = v->keys[0].session;
    p->counter = v->counter++;
    nonce_of(p, nonce);
    crypt_seal(&v->keys[0].key, nonce, NULL, 0, data, v->io + (size_t)v->io_count++ * BLOCK_SIZE,
               BLOCK_SIZE, p->tag);
    return 0;
}

int block_get_run(struct volume *v, const struct ptr *p, uint32_t count, void *data)
{
    uint8_t *to = data;
    for (uint32_t i = 0; i < count; i++) {
        if (p[i].place >= v->super.blocks)
            return -EIO;
    }
    if (v->disk.read_blocks(v->disk.ctx, p->place, v->io, count))
        return -EIO;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t nonce[CRYPT_NONCE_SIZE];
        nonce_of(&p[i], nonce);
        if (!crypt_open(key_of(v, p[i].session), nonce, NULL, 0, v->io + (size_t)i * BLOCK_SIZE,
                        to + (size_t)i * BLOCK_SIZE, BLOCK_SIZE, p[i].tag))
            return -EIO;
    }
    return 0;
}

int block_get(struct volume *v, const struct ptr *p, void *data)
{
    return block_get_run(v, p, 1, data);
}
