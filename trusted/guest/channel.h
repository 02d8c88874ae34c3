// SPDX-License-Identifier: Apache-2.0
// The channel's frames as bytes: what may come, and two bounded buffers around the port.
#ifndef GUEST_CHANNEL_H
#define GUEST_CHANNEL_H

#include <shelter/channel.h>

#include "trusted/guest/guest.h"

#define GUEST_FRAME_HEAD sizeof(struct sh_frame)
#define GUEST_RX_SIZE (2 * (SH_FRAME_SIZE_MAX + GUEST_FRAME_HEAD))
#define GUEST_TX_SIZE (3 * SH_FRAME_SIZE_MAX)
#define GUEST_TX_RESERVE 16384u /* kept free of DATA, so that answers always have room */

/* Looks at the first frame of `have` bytes from the host. Its whole size, 0 when more bytes are
 * needed, -EBADMSG when no honest host would send it. */
int guest_frame_check(const uint8_t *data, size_t have, struct sh_frame *frame);

struct guest_channel {
    int fd;
    bool ended; /* hung up, or the host broke the protocol */
    size_t rx_at, rx_end, tx_at, tx_end;
    uint8_t rx[GUEST_RX_SIZE], tx[GUEST_TX_SIZE];
};

/* Bytes that can be queued without losing any. */
size_t guest_channel_room(const struct guest_channel *c);
/* Queues a frame. The caller made sure of the room. */
void guest_channel_send(struct guest_channel *c, uint8_t type, uint8_t stream, uint16_t session,
                        const void *data, size_t size);
/* Where the payload of the next frame may be written (SH_FRAME_SIZE_MAX bytes at most); commit
 * queues it. */
uint8_t *guest_channel_reserve(struct guest_channel *c);
void guest_channel_commit(struct guest_channel *c, uint8_t type, uint8_t stream, uint16_t session,
                          size_t size);
/* Frames of u32 numbers and a text, of which 4 KiB count. */
void guest_channel_numbers(struct guest_channel *c, uint8_t type, uint16_t session, uint8_t stream,
                           const uint32_t *numbers, size_t count, const char *text);
/* Writes what the port takes now; sets `ended` when it is gone. */
void guest_channel_flush(struct guest_channel *c);
/* Reads what there is now. */
void guest_channel_fill(struct guest_channel *c);
/* The next whole frame, payload in place until the next call. 1, 0 (none), -EBADMSG. */
int guest_channel_next(struct guest_channel *c, struct sh_frame *frame, const uint8_t **payload);

#endif
