// SPDX-License-Identifier: Apache-2.0
// A source behind gzip.
#include "host/image/input/gzip.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

enum stage { UNKNOWN, PLAIN, MEMBER, BETWEEN, PADDING };

struct gzip {
    struct sh_source source;
    struct sh_source *from;
    struct sh_budget *budget;
    enum stage stage;
    bool source_ended;
    z_stream z; /* next_in, avail_in: what was read and not used */
    uint8_t buffer[1 << 17];
};

static int read_from(struct gzip *g, uint8_t *buffer, size_t size, struct sh_error *err)
{
    int n = g->from->read(g->from, buffer, size, err);
    if (n > 0 && g->from->outside && g->budget)
        g->budget->input += (uint64_t)n;
    return n;
}

/* Reads more behind what is left; notes the end. */
static int fill_buffer(struct gzip *g, struct sh_error *err)
{
    if (g->z.avail_in)
        memmove(g->buffer, g->z.next_in, g->z.avail_in);
    g->z.next_in = g->buffer;
    int n = read_from(g, g->buffer + g->z.avail_in, sizeof(g->buffer) - g->z.avail_in, err);
    if (n < 0)
        return n;
    g->source_ended |= n == 0;
    g->z.avail_in += (unsigned)n;
    return 0;
}

static int report_damage(const struct gzip *g, const char *what, struct sh_error *err)
{
    return sh_fail(err, -EBADMSG, "%s is damaged: %s", g->source.name, what);
}

/* Is there another member? At the start nothing else than gzip is another format. */
static int begin_member(struct gzip *g, struct sh_error *err)
{
    while (g->z.avail_in < 2 && !g->source_ended) {
        int r = fill_buffer(g, err);
        if (r)
            return r;
    }
    bool magic = g->z.avail_in >= 2 && g->z.next_in[0] == 0x1f && g->z.next_in[1] == 0x8b;
    if (!magic) {
        g->stage = g->stage == UNKNOWN ? PLAIN : PADDING;
        return 0;
    }
    if (g->stage == BETWEEN && inflateReset(&g->z) != Z_OK)
        return sh_fail(err, -EIO, "cannot start zlib");
    g->stage = MEMBER;
    return 0;
}

static int take_padding(struct gzip *g, struct sh_error *err)
{
    for (;;) {
        for (; g->z.avail_in; g->z.avail_in--, g->z.next_in++)
            if (*g->z.next_in)
                return report_damage(g, "something stands behind its gzip data", err);
        if (g->source_ended)
            return 0;
        int r = fill_buffer(g, err);
        if (r)
            return r;
    }
}

static int take_plain(struct gzip *g, uint8_t *buffer, size_t size, struct sh_error *err)
{
    if (!g->z.avail_in)
        return g->source_ended ? 0 : read_from(g, buffer, size, err);
    size_t n = g->z.avail_in < size ? g->z.avail_in : size;
    memcpy(buffer, g->z.next_in, n);
    g->z.next_in += n;
    g->z.avail_in -= (unsigned)n;
    return (int)n;
}

/* The bytes that came out; 0 with another stage: the member ended. */
static int inflate_some(struct gzip *g, uint8_t *buffer, size_t size, struct sh_error *err)
{
    g->z.next_out = buffer;
    g->z.avail_out = (unsigned)size;
    for (;;) {
        if (!g->z.avail_in && !g->source_ended) {
            int r = fill_buffer(g, err);
            if (r)
                return r;
        }
        int code = inflate(&g->z, Z_NO_FLUSH);
        int made = (int)(size - g->z.avail_out);
        if (code == Z_STREAM_END)
            g->stage = BETWEEN;
        else if (code == Z_BUF_ERROR && !g->z.avail_in && g->source_ended)
            return report_damage(g, "its gzip data are cut off", err);
        else if (code != Z_OK && code != Z_BUF_ERROR)
            return report_damage(g, g->z.msg ? g->z.msg : "its gzip data cannot be read", err);
        if (made || code == Z_STREAM_END)
            return made;
    }
}

static int read_gzip(struct sh_source *source, void *buffer, size_t size, struct sh_error *err)
{
    struct gzip *g = (struct gzip *)source;
    for (;;) {
        int r;
        switch (g->stage) {
        case UNKNOWN:
        case BETWEEN:
            r = begin_member(g, err);
            if (r)
                return r;
            break;
        case MEMBER:
            r = inflate_some(g, buffer, size, err);
            if (r || g->stage == MEMBER)
                return r;
            break;
        case PLAIN:
            return take_plain(g, buffer, size, err);
        case PADDING:
            return take_padding(g, err);
        }
    }
}

struct sh_source *sh_gzip_source(struct sh_source *from, struct sh_budget *budget)
{
    struct gzip *g = sh_alloc(sizeof(*g));
    g->source = (struct sh_source){.read = read_gzip, .name = from->name};
    g->from = from;
    g->budget = budget;
    g->z.next_in = g->buffer;
    /* 16: gzip, with its checksum. Fails for lack of memory only; then each read does too. */
    if (inflateInit2(&g->z, 16 + MAX_WBITS) != Z_OK)
        g->z.state = NULL;
    return &g->source;
}

bool sh_gzip_is(const struct sh_source *source)
{
    enum stage stage = ((const struct gzip *)source)->stage;
    return stage != UNKNOWN && stage != PLAIN;
}

void sh_gzip_free(struct sh_source *source)
{
    struct gzip *g = (struct gzip *)source;
    if (!g)
        return;
    inflateEnd(&g->z);
    free(g);
}
