// SPDX-License-Identifier: Apache-2.0
// Reads and writes frames of <shelter/channel.h>.
#include "host/run/frames.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/bytes.h"

#define HEAD_SIZE 8u

void sh_frames_feed(struct sh_frame_reader *r, const void *data, size_t size)
{
    sh_fifo_drop(&r->in, r->used);
    r->used = 0;
    sh_fifo_add(&r->in, data, size);
}

int sh_frames_receive(struct sh_frame_reader *r, int fd)
{
    uint8_t bytes[65536];
    ssize_t n;
    do
        n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n ? -errno : -EPIPE;
    sh_frames_feed(r, bytes, (size_t)n);
    return 0;
}

int sh_frames_send(struct sh_fifo *out, int fd)
{
    while (out->size) {
        ssize_t n = send(fd, sh_fifo_peek(out), out->size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            sh_fifo_drop(out, (size_t)n);
    }
    return 0;
}

int sh_frames_next(struct sh_frame_reader *r, struct sh_frame_view *frame)
{
    if (r->used)
        sh_fifo_drop(&r->in, r->used);
    r->used = 0;
    if (r->in.size < HEAD_SIZE)
        return 0;
    const uint8_t *p = sh_fifo_peek(&r->in);
    uint32_t size = sh_le32(p + 4);
    if (size > SH_FRAME_SIZE_MAX)
        return -EBADMSG;
    if (r->in.size - HEAD_SIZE < size)
        return 0;
    *frame = (struct sh_frame_view){
        .type = p[0],
        .stream = p[1],
        .session = sh_le16(p + 2),
        .size = size,
        .data = p + HEAD_SIZE,
    };
    r->used = HEAD_SIZE + size;
    return 1;
}

void sh_frames_free(struct sh_frame_reader *r)
{
    sh_fifo_free(&r->in);
    r->used = 0;
}

void sh_frame_put(struct sh_fifo *out, uint8_t type, uint8_t stream, uint16_t session,
                  const void *data, size_t size)
{
    uint8_t head[HEAD_SIZE] = {type, stream};
    sh_put_le16(head + 2, session);
    sh_put_le32(head + 4, (uint32_t)size);
    sh_fifo_add(out, head, sizeof(head));
    sh_fifo_add(out, data, size);
}

void sh_frame_put_u32(struct sh_fifo *out, uint8_t type, uint8_t stream, uint16_t session,
                      uint32_t value)
{
    uint8_t bytes[4];
    sh_put_le32(bytes, value);
    sh_frame_put(out, type, stream, session, bytes, sizeof(bytes));
}

void sh_frame_put_text(struct sh_fifo *out, uint8_t type, uint16_t session, uint32_t value,
                       const char *text)
{
    uint8_t bytes[4 + 1024];
    size_t n = strnlen(text, sizeof(bytes) - 4);
    sh_put_le32(bytes, value);
    memcpy(bytes + 4, text, n);
    sh_frame_put(out, type, 0, session, bytes, 4 + n);
}

void sh_frame_put_exit(struct sh_fifo *out, uint16_t session, uint32_t code, uint32_t signal,
                       const char *why)
{
    uint8_t bytes[8 + 512];
    size_t n = why ? strnlen(why, sizeof(bytes) - 8) : 0;
    sh_put_le32(bytes, code);
    sh_put_le32(bytes + 4, signal);
    if (n)
        memcpy(bytes + 8, why, n);
    sh_frame_put(out, SH_FRAME_EXIT, 0, session, bytes, 8 + n);
}

uint32_t sh_frame_u32(const struct sh_frame_view *frame, size_t offset)
{
    return offset + 4 <= frame->size ? sh_le32(frame->data + offset) : 0;
}

void sh_frame_text(const struct sh_frame_view *frame, char *out, size_t out_size)
{
    size_t n = 0;
    for (size_t i = frame->type == SH_FRAME_EXIT ? 8 : 4; i < frame->size && n + 1 < out_size; i++)
        out[n++] = frame->data[i] < 0x20 || frame->data[i] == 0x7f ? '?' : (char)frame->data[i];
    out[n] = 0;
}

int sh_frame_exit_status(const struct sh_frame_view *frame)
{
    uint32_t signal = sh_frame_u32(frame, 4);
    return signal ? 128 + (int)(signal & 0x7f) : (int)(sh_frame_u32(frame, 0) & 0xff);
}
