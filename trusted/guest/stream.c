// SPDX-License-Identifier: Apache-2.0
// The credit streams of a session.
#include "trusted/guest/stream.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define PIPE_SIZE 65536u /* what a pipe holds, by default */

/* --- in --- */

int guest_in_open(struct guest_in *in)
{
    in->ring = malloc(GUEST_IN_WINDOW);
    return in->ring ? 0 : -ENOMEM;
}

void guest_in_begin(struct guest_in *in, struct guest_channel *c, uint16_t session)
{
    in->credit = GUEST_IN_WINDOW;
    guest_channel_numbers(c, SH_FRAME_CREDIT, session, SH_STREAM_IN, &in->credit, 1, NULL);
}

int guest_in_take(struct guest_in *in, const uint8_t *data, uint32_t size)
{
    if (size > in->credit)
        return -EBADMSG;
    in->credit -= size;
    if (in->fd < 0 || in->eof) { /* nobody reads: taken and dropped */
        in->freed += size;
        return 0;
    }
    uint32_t end = (in->at + in->held) % GUEST_IN_WINDOW;
    uint32_t first = GUEST_IN_WINDOW - end < size ? GUEST_IN_WINDOW - end : size;
    memcpy(in->ring + end, data, first);
    memcpy(in->ring, data + first, size - first);
    in->held += size;
    return 0;
}

static void write_held(struct guest_in *in)
{
    while (in->held && in->fd >= 0) {
        uint32_t n = GUEST_IN_WINDOW - in->at < in->held ? GUEST_IN_WINDOW - in->at : in->held;
        ssize_t done = write(in->fd, in->ring + in->at, n);
        if (done < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (done <= 0) { /* no reader is left */
            guest_close(&in->fd);
            return;
        }
        in->at = (in->at + (uint32_t)done) % GUEST_IN_WINDOW;
        in->held -= (uint32_t)done;
        in->freed += (uint32_t)done;
    }
}

/* What a user types to end the input; the terminal itself stays. False: it takes nothing now. */
static bool type_eof(int fd)
{
    struct termios t;
    return tcgetattr(fd, &t) || write(fd, &t.c_cc[VEOF], 1) >= 0 || errno != EAGAIN;
}

void guest_in_pump(struct guest_in *in, struct guest_channel *c, uint16_t session, bool tty)
{
    write_held(in);
    if (in->fd < 0) {
        in->freed += in->held;
        in->held = 0;
    } else if (in->eof && !in->held && (!tty || type_eof(in->fd))) {
        guest_close(&in->fd);
    }
    if (in->freed >= GUEST_IN_WINDOW / 4 && !in->eof && guest_channel_room(c) > GUEST_TX_RESERVE) {
        guest_channel_numbers(c, SH_FRAME_CREDIT, session, SH_STREAM_IN, &in->freed, 1, NULL);
        in->credit += in->freed;
        in->freed = 0;
    }
}

void guest_in_close(struct guest_in *in)
{
    guest_close(&in->fd);
    free(in->ring);
    in->ring = NULL;
}

/* --- out --- */

bool guest_out_has_room(const struct guest_channel *c)
{
    return guest_channel_room(c) >= SH_FRAME_SIZE_MAX + 2 * GUEST_FRAME_HEAD + GUEST_TX_RESERVE;
}

/* After its leader ended, a stream is over when nothing is in it now: children that run on have
 * lost their terminal or pipe, as they would with docker. */
static bool is_empty(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) <= 0 || !(p.revents & POLLIN);
}

/* Moves one frame's worth. True when the stream is over. */
static bool move_bytes(struct guest_out *out, struct guest_channel *c, uint16_t session,
                       uint8_t stream, enum guest_out_mode mode, bool drop)
{
    size_t max = drop || out->credit > SH_FRAME_SIZE_MAX ? SH_FRAME_SIZE_MAX : (size_t)out->credit;
    ssize_t n = read(out->fd, guest_channel_reserve(c), max);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return mode != GUEST_OUT_RUNNING && errno == EAGAIN;
    if (n <= 0)
        return true; /* a terminal without a slave reads as EIO */
    if (!drop) {
        out->credit -= (size_t)n;
        guest_channel_commit(c, SH_FRAME_DATA, stream, session, (size_t)n);
    }
    if (mode == GUEST_OUT_LEFT)
        out->taken += (size_t)n;
    return out->taken >= PIPE_SIZE;
}

void guest_out_pump(struct guest_out *out, struct guest_channel *c, uint16_t session,
                    uint8_t stream, enum guest_out_mode mode, bool ready, bool drop)
{
    bool over = false;
    if (out->fd < 0 || !guest_out_has_room(c))
        return;
    if ((out->credit || drop) && (ready || mode != GUEST_OUT_RUNNING))
        over = move_bytes(out, c, session, stream, mode, drop);
    else if (mode != GUEST_OUT_RUNNING && !out->credit)
        over = is_empty(out->fd);
    if (!over)
        return;
    guest_close(&out->fd);
    guest_channel_send(c, SH_FRAME_EOF, stream, session, NULL, 0);
}
