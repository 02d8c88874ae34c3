// SPDX-License-Identifier: Apache-2.0
// Frames of <shelter/channel.h> on the host side: a reader that takes bytes as they come, and
// writers. The same frames travel between the supervisor and its clients (host/run/control.h).
#ifndef HOST_RUN_FRAMES_H
#define HOST_RUN_FRAMES_H

#include <shelter/channel.h>

#include "host/run/fifo.h"

/* One whole frame; `data` points into the reader and lives until the next call. */
struct sh_frame_view {
    uint8_t type;
    uint8_t stream;
    uint16_t session;
    uint32_t size;
    const uint8_t *data;
};

struct sh_frame_reader {
    struct sh_fifo in;
    size_t used; /* bytes of the frame that was returned last */
};

/* Where the next bytes are to be read: adds them. */
void sh_frames_feed(struct sh_frame_reader *r, const void *data, size_t size);

/* The same with what a non-blocking socket has now. 0, or -errno: -EAGAIN when it had nothing,
 * -EPIPE when it was closed. */
int sh_frames_receive(struct sh_frame_reader *r, int fd);

/* Sends what a non-blocking socket takes now. 0, or -errno: -EAGAIN when something is left. */
int sh_frames_send(struct sh_fifo *out, int fd);

/* 1: *frame is the next one; 0: more bytes are needed; -EBADMSG: no such frame may be. */
int sh_frames_next(struct sh_frame_reader *r, struct sh_frame_view *frame);

void sh_frames_free(struct sh_frame_reader *r);

/* Appends one frame; size <= SH_FRAME_SIZE_MAX. */
void sh_frame_put(struct sh_fifo *out, uint8_t type, uint8_t stream, uint16_t session,
                  const void *data, size_t size);
void sh_frame_put_u32(struct sh_fifo *out, uint8_t type, uint8_t stream, uint16_t session,
                      uint32_t value);
/* u32, then text (SH_FRAME_ERROR, SH_FRAME_REFUSED). */
void sh_frame_put_text(struct sh_fifo *out, uint8_t type, uint16_t session, uint32_t value,
                       const char *text);
/* why: what is known of the end beyond these, or NULL. */
void sh_frame_put_exit(struct sh_fifo *out, uint16_t session, uint32_t code, uint32_t signal,
                       const char *why);

/* The little-endian u32 at offset, 0 where the frame is too short. */
uint32_t sh_frame_u32(const struct sh_frame_view *frame, size_t offset);

/* The text behind the u32 of ERROR or REFUSED, without control characters, cut to fit. */
void sh_frame_text(const struct sh_frame_view *frame, char *out, size_t out_size);

/* The exit status of an EXIT frame as a shell gives it: code, or 128 + signal. */
int sh_frame_exit_status(const struct sh_frame_view *frame);

#endif
