// SPDX-License-Identifier: Apache-2.0
// The channel's frames as bytes.
#include "trusted/guest/channel.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

_Static_assert(sizeof(struct sh_frame) == 8, "frame head as drawn in channel.h");
_Static_assert(sizeof(struct sh_exec_head) == 10, "exec head has no padding");

int guest_frame_check(const uint8_t *data, size_t have, struct sh_frame *frame)
{
    if (have < GUEST_FRAME_HEAD)
        return 0;
    *frame = (struct sh_frame){data[0], data[1], sh_le16(data + 2), sh_le32(data + 4)};
    uint32_t min = 0, max = 0;
    uint8_t first = SH_STREAM_IN, last = SH_STREAM_IN;
    switch (frame->type) {
    case SH_FRAME_DATA:
        max = SH_FRAME_SIZE_MAX;
        break;
    case SH_FRAME_CREDIT:
        min = max = 4;
        first = SH_STREAM_OUT;
        last = SH_STREAM_ERR;
        break;
    case SH_FRAME_WINSIZE:
    case SH_FRAME_SIGNAL:
    case SH_FRAME_STATS:
        min = max = 4;
        break;
    case SH_FRAME_TRACE:
        min = max = 8;
        break;
    case SH_FRAME_ATTEST:
        min = 4 + 1;
        max = 4 + SH_ATTEST_NONCE_MAX;
        break;
    case SH_FRAME_EXEC:
        min = sizeof(struct sh_exec_head);
        max = SH_FRAME_SIZE_MAX;
        break;
    case SH_FRAME_EOF:
    case SH_FRAME_BYE:
        break;
    default:
        return -EBADMSG;
    }
    if (frame->size < min || frame->size > max || frame->stream < first || frame->stream > last)
        return -EBADMSG;
    return have - GUEST_FRAME_HEAD < frame->size ? 0 : (int)(GUEST_FRAME_HEAD + frame->size);
}

size_t guest_channel_room(const struct guest_channel *c)
{
    return sizeof(c->tx) - (c->tx_end - c->tx_at);
}

uint8_t *guest_channel_reserve(struct guest_channel *c)
{
    if (sizeof(c->tx) - c->tx_end < GUEST_FRAME_HEAD + SH_FRAME_SIZE_MAX) {
        memmove(c->tx, c->tx + c->tx_at, c->tx_end - c->tx_at);
        c->tx_end -= c->tx_at;
        c->tx_at = 0;
    }
    return c->tx + c->tx_end + GUEST_FRAME_HEAD;
}

void guest_channel_commit(struct guest_channel *c, uint8_t type, uint8_t stream, uint16_t session,
                          size_t size)
{
    uint8_t *p = c->tx + c->tx_end;
    if (c->ended)
        return;
    p[0] = type;
    p[1] = stream;
    sh_put_le16(p + 2, session);
    sh_put_le32(p + 4, (uint32_t)size);
    c->tx_end += GUEST_FRAME_HEAD + size;
}

void guest_channel_send(struct guest_channel *c, uint8_t type, uint8_t stream, uint16_t session,
                        const void *data, size_t size)
{
    if (guest_channel_room(c) < GUEST_FRAME_HEAD + size)
        return; /* the callers' reserve makes this unreachable; never write past the end */
    uint8_t *p = guest_channel_reserve(c);
    if (size)
        memcpy(p, data, size);
    guest_channel_commit(c, type, stream, session, size);
}

void guest_channel_numbers(struct guest_channel *c, uint8_t type, uint16_t session, uint8_t stream,
                           const uint32_t *numbers, size_t count, const char *text)
{
    uint8_t data[8 + 4096]; /* a frame of the host is taken where twice as much is free */
    size_t size = text ? strnlen(text, sizeof(data) - 8) : 0;
    for (size_t i = 0; i < count; i++)
        sh_put_le32(data + 4 * i, numbers[i]);
    if (size)
        memcpy(data + 4 * count, text, size);
    guest_channel_send(c, type, stream, session, data, 4 * count + size);
}

void guest_channel_flush(struct guest_channel *c)
{
    while (!c->ended && c->tx_at < c->tx_end) {
        ssize_t n = write(c->fd, c->tx + c->tx_at, c->tx_end - c->tx_at);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0)
            c->ended = true;
        else
            c->tx_at += (size_t)n;
    }
    c->tx_at = c->tx_end = 0;
}

void guest_channel_fill(struct guest_channel *c)
{
    if (c->rx_at == c->rx_end)
        c->rx_at = c->rx_end = 0;
    if (c->rx_at > sizeof(c->rx) / 2) {
        memmove(c->rx, c->rx + c->rx_at, c->rx_end - c->rx_at);
        c->rx_end -= c->rx_at;
        c->rx_at = 0;
    }
    /* A virtio port gives a page at a time. */
    while (c->rx_end < sizeof(c->rx)) {
        ssize_t n = read(c->fd, c->rx + c->rx_end, sizeof(c->rx) - c->rx_end);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            c->ended = true;
            return;
        }
        c->rx_end += (size_t)n;
    }
}

int guest_channel_next(struct guest_channel *c, struct sh_frame *frame, const uint8_t **payload)
{
    int size = guest_frame_check(c->rx + c->rx_at, c->rx_end - c->rx_at, frame);
    if (size <= 0)
        return size;
    *payload = c->rx + c->rx_at + GUEST_FRAME_HEAD;
    c->rx_at += (size_t)size;
    return 1;
}
