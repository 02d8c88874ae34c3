// SPDX-License-Identifier: Apache-2.0
// One stream of <shelter/channel.h> with its credit: the receiver says how much it takes, the
// sender sends no more. Frames go into the caller's queue `out`.
//
// Locks: none; whoever shares a stream or the queue `out` locks it for the call. Nothing waits.
// Ownership: each half is one struct, the caller's; what waits to be sent, and what was received,
// is the caller's too. `data` is copied into the queue. Nothing here allocates but the queue, which
// ends the process where there is no memory (host/run/frames.h).
// Units: sizes, windows and credit are bytes of the stream, without heads of frames.
// Errors: nothing fails but sh_stream_take. Wire form: <shelter/channel.h>, SH_FRAME_CREDIT.
#ifndef HOST_RUN_STREAM_H
#define HOST_RUN_STREAM_H

#include "host/run/frames.h"

#define SH_STREAM_PIECE 32768u /* bytes of a stream in one frame, at most */

/* What we receive. Set the first three; the rest starts as zero. */
struct sh_stream_in {
    uint8_t stream; /* enum sh_stream */
    uint16_t session;
    uint32_t window;  /* bytes that we buffer at most */
    uint64_t granted; /* what the sender may still send */
    bool ended;       /* EOF came */
};

/* What we send. Set the first two. */
struct sh_stream_out {
    uint8_t stream;
    uint16_t session;
    uint64_t credit; /* what the receiver still takes */
    bool ended;      /* EOF was sent */
};

/* Grants what the window has left beside `held` bytes that wait here, once at least half of it is
 * free: CREDIT into `out`. Never behind EOF. Call it at the start and whenever `held` falls. */
void sh_stream_grant(struct sh_stream_in *s, size_t held, struct sh_fifo *out);

/* DATA of `size` bytes came. 0, or -EBADMSG beyond its credit or its end: the sender is broken, and
 * the caller ends the channel. What to do with the bytes is the caller's. */
int sh_stream_take(struct sh_stream_in *s, size_t size);

/* CREDIT came: adds the number in *frame (a short frame: nothing). A receiver that
 * grants too much gets too much, and nothing else. */
void sh_stream_credit(struct sh_stream_out *s, const struct sh_frame_view *frame);

/* How many of `size` bytes may go into the next frame: credit, and SH_STREAM_PIECE at most. */
size_t sh_stream_room(const struct sh_stream_out *s, size_t size);

/* DATA into `out`; `size` bytes are at most what sh_stream_room said. Nothing for a size of 0. */
void sh_stream_send(struct sh_stream_out *s, const void *data, size_t size, struct sh_fifo *out);

/* Sends from the front of `waiting` what credit allows while `out` holds less than out_max bytes,
 * and drops it there. True when nothing waits any more. */
bool sh_stream_pump(struct sh_stream_out *s, struct sh_fifo *waiting, struct sh_fifo *out,
                    size_t out_max);

/* EOF into `out`, the first time; what waits is to be sent before. */
void sh_stream_end(struct sh_stream_out *s, struct sh_fifo *out);

#endif
