// SPDX-License-Identifier: Apache-2.0
// The intent log: operations between two commits, for fsync.
#include "trusted/volume/internal.h"

void log_remember(struct volume *v)
{
    const struct super *s = &v->super;
    v->now = (struct volume_state){.sequence = s->sequence,
                                   .session = s->session,
                                   .writer = s->writer,
                                   .anchored_sequence = s->anchored_sequence,
                                   .anchored_log = s->anchored_log,
                                   .log_count = v->log_at};
    memcpy(v->now.root, v->root.tag, sizeof(v->now.root));
}

void log_start(struct volume *v)
{
    if (v->now.session != v->super.session || !v->log_key.aes.rounds)
        crypt_expand_derived(&v->log_key, v->master, "log", v->super.session);
    v->log_at = v->log_record = v->pending_size = 0;
    v->need_commit = false;
    log_remember(v);
}

static uint32_t blocks_for(size_t size)
{
    return (uint32_t)((size + LOG_DATA - 1) / LOG_DATA);
}

void log_append(struct volume *v, struct op *op)
{
    size_t size = op_size(op);
    if (v->replaying || v->need_commit)
        return;
    if (size > PENDING_MAX - v->pending_size ||
        v->log_at + blocks_for(v->pending_size + size) > v->super.log_blocks) {
        v->need_commit = true;
        v->pending_size = 0;
        return;
    }
    op_encode(op, v->pending + v->pending_size);
    v->pending_size += (uint32_t)size;
}

int log_write(struct volume *v)
{
    uint32_t count = blocks_for(v->pending_size), at = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct log_block *b = (struct log_block *)v->io + i;
        uint8_t nonce[CRYPT_NONCE_SIZE];
        uint32_t used = v->pending_size - at < LOG_DATA ? v->pending_size - at : LOG_DATA;
        memset(b, 0, sizeof(*b));
        b->used = (uint16_t)used;
        b->flags = (uint16_t)((i ? 0 : LOG_FIRST) | (i + 1 == count ? LOG_LAST : 0));
        b->record = v->log_record;
        memcpy(b->data, v->pending + at, used);
        at += used;
        crypt_nonce(nonce, v->super.sequence, v->log_at + i);
        crypt_seal(&v->log_key, nonce, NULL, 0, b, b, BLOCK_SIZE - CRYPT_TAG_SIZE, b->tag);
    }
    int r = v->disk.write_blocks(v->disk.ctx, LOG_START + v->log_at, v->io, count);
    if (r)
        return volume_write_failed(v, r);
    v->log_at += count;
    v->log_record++;
    v->pending_size = 0;
    v->flushing = v->now;
    v->flushing.log_count = v->log_at;
    return 0;
}

int log_written(struct volume *v, int flushed)
{
    if (v->flushing.sequence != v->super.sequence)
        return 0; /* a commit came between, with flushes of its own */
    if (flushed)
        return volume_fail(v, -EIO, "the disk cannot be flushed");
    v->now = v->flushing;
    return 0;
}

/* One block of the log: 0, -ENOENT if it does not belong to this root record, -EIO. */
static int read_block(struct volume *v, uint32_t at, struct log_block *b)
{
    uint8_t nonce[CRYPT_NONCE_SIZE];
    if (v->disk.read_blocks(v->disk.ctx, LOG_START + at, b, 1))
        return -EIO;
    crypt_nonce(nonce, v->super.sequence, at);
    if (!crypt_open(&v->log_key, nonce, NULL, 0, b, b, BLOCK_SIZE - CRYPT_TAG_SIZE, b->tag))
        return -ENOENT;
    return b->used <= LOG_DATA ? 0 : -EIO;
}

int log_read(struct volume *v, uint32_t at, uint32_t *end)
{
    struct log_block *b = (struct log_block *)v->io;
    v->pending_size = 0;
    for (uint32_t i = at; i < v->super.log_blocks; i++) {
        int r = read_block(v, i, b);
        if (r)
            return r;
        if (b->record != v->log_record || (i == at) != !!(b->flags & LOG_FIRST) ||
            b->used > PENDING_MAX - v->pending_size)
            return -EIO;
        memcpy(v->pending + v->pending_size, b->data, b->used);
        v->pending_size += b->used;
        *end = i + 1;
        if (b->flags & LOG_LAST)
            return 0;
    }
    return -ENOENT;
}

/* A record is written when the one before it has been flushed. So a block of a later record
 * proves that this one was there, and acknowledged. */
int log_look_behind(struct volume *v, uint32_t at)
{
    struct log_block *b = (struct log_block *)v->io;
    for (; at < v->super.log_blocks; at++) {
        int r = read_block(v, at, b);
        if (!r && b->record > v->log_record)
            return -EUCLEAN;
        if (r == -EIO)
            return r;
    }
    return 0;
}
