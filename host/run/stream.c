// SPDX-License-Identifier: Apache-2.0
// One stream with its credit, from both ends.
#include "host/run/stream.h"

#include <errno.h>

void sh_stream_grant(struct sh_stream_in *s, size_t held, struct sh_fifo *out)
{
    uint64_t used = s->granted + held;
    if (s->ended || used > s->window / 2)
        return;
    uint32_t more = (uint32_t)(s->window - used);
    s->granted += more;
    sh_frame_put_u32(out, SH_FRAME_CREDIT, s->stream, s->session, more);
}

int sh_stream_take(struct sh_stream_in *s, size_t size)
{
    if (s->ended || size > s->granted)
        return -EBADMSG;
    s->granted -= size;
    return 0;
}

void sh_stream_credit(struct sh_stream_out *s, const struct sh_frame_view *frame)
{
    s->credit += sh_frame_u32(frame, 0);
}

size_t sh_stream_room(const struct sh_stream_out *s, size_t size)
{
    if (size > SH_STREAM_PIECE)
        size = SH_STREAM_PIECE;
    return size < s->credit ? size : (size_t)s->credit;
}

void sh_stream_send(struct sh_stream_out *s, const void *data, size_t size, struct sh_fifo *out)
{
    if (!size)
        return;
    sh_frame_put(out, SH_FRAME_DATA, s->stream, s->session, data, size);
    s->credit -= size;
}

bool sh_stream_pump(struct sh_stream_out *s, struct sh_fifo *waiting, struct sh_fifo *out,
                    size_t out_max)
{
    size_t n;
    while (out->size < out_max && (n = sh_stream_room(s, waiting->size))) {
        sh_stream_send(s, sh_fifo_peek(waiting), n, out);
        sh_fifo_drop(waiting, n);
    }
    return !waiting->size;
}

void sh_stream_end(struct sh_stream_out *s, struct sh_fifo *out)
{
    if (!s->ended)
        sh_frame_put(out, SH_FRAME_EOF, s->stream, s->session, NULL, 0);
    s->ended = true;
}
