// SPDX-License-Identifier: Apache-2.0
// A disk for tests of volumes: in memory, remembers what was written since the last flush, and can
// show what a power cut would leave.
#ifndef TESTS_VOLUME_SIM_H
#define TESTS_VOLUME_SIM_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trusted/volume/volume.h"

#define SIM_BLOCK 4096u
#define SIM_SECTOR 512u

struct sim_write {
    uint64_t block;
    uint8_t *data; /* one block */
};

struct sim {
    uint8_t *durable; /* as of the last flush */
    uint8_t *now;     /* with all that was written */
    bool *touched;    /* blocks that were ever written; the others are zeros */
    uint64_t blocks;
    struct sim_write *writes; /* since the flush */
    size_t count, room;
    uint64_t random, write_calls, flush_calls, read_calls, written;
    int64_t clock;
    void (*event)(struct sim *s, void *arg); /* before each write and flush */
    void *arg;
    uint64_t fail_write_at, fail_read_at, fail_flush_at; /* call number; 0: never */
};

static inline uint64_t sim_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static inline int sim_read(void *ctx, uint64_t block, void *buf, uint32_t count)
{
    struct sim *s = ctx;
    if (++s->read_calls == s->fail_read_at || block + count > s->blocks)
        return -EIO;
    memcpy(buf, s->now + block * SIM_BLOCK, (size_t)count * SIM_BLOCK);
    return 0;
}

static inline int sim_write(void *ctx, uint64_t block, const void *buf, uint32_t count)
{
    struct sim *s = ctx;
    if (s->event)
        s->event(s, s->arg);
    if (++s->write_calls == s->fail_write_at || block + count > s->blocks)
        return -EIO;
    for (uint32_t i = 0; i < count; i++) {
        if (s->count == s->room) {
            s->room = s->room ? 2 * s->room : 64;
            s->writes = realloc(s->writes, s->room * sizeof(*s->writes));
        }
        uint8_t *copy = malloc(SIM_BLOCK);
        memcpy(copy, (const uint8_t *)buf + (size_t)i * SIM_BLOCK, SIM_BLOCK);
        s->writes[s->count++] = (struct sim_write){block + i, copy};
        s->touched[block + i] = true;
    }
    memcpy(s->now + block * SIM_BLOCK, buf, (size_t)count * SIM_BLOCK);
    s->written += count;
    return 0;
}

static inline void sim_settle(struct sim *s)
{
    for (size_t i = 0; i < s->count; i++) {
        memcpy(s->durable + s->writes[i].block * SIM_BLOCK, s->writes[i].data, SIM_BLOCK);
        free(s->writes[i].data);
    }
    s->count = 0;
}

static inline int sim_flush(void *ctx)
{
    struct sim *s = ctx;
    if (s->event)
        s->event(s, s->arg);
    if (++s->flush_calls == s->fail_flush_at)
        return -EIO;
    sim_settle(s);
    return 0;
}

static inline int sim_random(void *ctx, void *buf, size_t size)
{
    struct sim *s = ctx;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)buf)[i] = (uint8_t)sim_next(&s->random);
    return 0;
}

static inline int64_t sim_clock(void *ctx)
{
    struct sim *s = ctx;
    return s->clock += 1000;
}

/* Freed room reads as zeros afterwards, as a hole in the host's file does. */
static inline void sim_discard(void *ctx, uint64_t block, uint64_t count)
{
    struct sim *s = ctx;
    memset(s->now + block * SIM_BLOCK, 0, count * SIM_BLOCK);
    memset(s->durable + block * SIM_BLOCK, 0, count * SIM_BLOCK);
}

static inline struct volume_disk sim_disk(struct sim *s)
{
    return (struct volume_disk){.read_blocks = sim_read,
                                .write_blocks = sim_write,
                                .flush_blocks = sim_flush,
                                .discard_blocks = sim_discard,
                                .random_bytes = sim_random,
                                .now_ns = sim_clock,
                                .ctx = s,
                                .blocks = s->blocks};
}

static inline void sim_init(struct sim *s, uint64_t blocks, uint64_t seed)
{
    *s = (struct sim){.blocks = blocks, .random = seed};
    s->durable = calloc(blocks, SIM_BLOCK);
    s->now = calloc(blocks, SIM_BLOCK);
    s->touched = calloc(blocks, sizeof(*s->touched));
}

static inline void sim_end(struct sim *s)
{
    sim_settle(s);
    free(s->durable);
    free(s->now);
    free(s->touched);
    free(s->writes);
}

/* What is on a disk whose power went now: of the unflushed writes each is there, is not, or some
 * of its sectors are; how: 0 none, 1 all, 2 a prefix of them, 3 any, 4 any with torn ones. `to` is
 * a disk of the same size. */
static inline void sim_cut(const struct sim *s, struct sim *to, int how, uint64_t *random)
{
    size_t prefix = s->count ? sim_next(random) % (s->count + 1) : 0;
    sim_settle(to);
    for (uint64_t b = 0; b < s->blocks; b++) {
        if (s->touched[b] || to->touched[b])
            memcpy(to->now + b * SIM_BLOCK, s->durable + b * SIM_BLOCK, SIM_BLOCK);
        to->touched[b] = s->touched[b] || to->touched[b];
    }
    for (size_t i = 0; i < s->count; i++) {
        const struct sim_write *w = &s->writes[i];
        uint64_t dice = sim_next(random);
        uint8_t sectors = how == 0                    ? 0
                          : how == 1                  ? 0xff
                          : how == 2                  ? (i < prefix ? 0xff : 0)
                          : how == 3 || dice % 4 != 0 ? (dice >> 8 & 1 ? 0xff : 0)
                                                      : (uint8_t)(dice >> 16);
        for (unsigned k = 0; k < 8; k++) {
            if (sectors >> k & 1)
                memcpy(to->now + w->block * SIM_BLOCK + k * SIM_SECTOR, w->data + k * SIM_SECTOR,
                       SIM_SECTOR);
        }
    }
    for (uint64_t b = 0; b < s->blocks; b++) {
        if (to->touched[b])
            memcpy(to->durable + b * SIM_BLOCK, to->now + b * SIM_BLOCK, SIM_BLOCK);
    }
}

/* A new volume, closed. */
static inline int volume_create(const struct volume_disk *d, const uint8_t *key, const char *name,
                                void *memory, size_t size)
{
    struct volume *v;
    int r = volume_start(d, key, name, 0, memory, size, &v);
    return r ? r : volume_close(v, NULL);
}

#endif
