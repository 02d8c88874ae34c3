// SPDX-License-Identifier: Apache-2.0
// One stream of a session between the channel and a pipe or terminal, within credit
// (<shelter/channel.h>). Both kinds read and write what goes without waiting.
//
// Attacks expected here: the host sends beyond its credit (the channel ends), takes nothing (the
// pipe fills, and the program waits), grants as much as can be said (a number, no memory).
//
// Locks: none: all of it runs in PID 1's one thread. Nothing waits.
// Ownership: ring and descriptor belong to the struct, from open to close; a descriptor that fails
// is closed, and -1 from then on. The struct is its session's (trusted/guest/serve.h).
// Units: sizes and credit are bytes of the stream.
// Errors: only those that are named; an error of the descriptor is its end.
// Wire form: <shelter/channel.h>, SH_FRAME_CREDIT.
#ifndef GUEST_STREAM_H
#define GUEST_STREAM_H

#include "trusted/guest/channel.h"

#define GUEST_IN_WINDOW 131072u /* credit for a session's stdin; SH_CREDIT_WINDOW at most */

/* From the host: a ring. credit + held + freed = the window, always. */
struct guest_in {
    int fd;        /* -1: nobody reads; what comes is dropped */
    uint8_t *ring; /* GUEST_IN_WINDOW bytes */
    uint32_t at, held, credit, freed;
    bool eof; /* the host said so */
};

/* To the host. */
struct guest_out {
    int fd; /* -1: over */
    uint64_t credit;
    size_t taken; /* since the leader ended */
};

enum guest_out_mode {
    GUEST_OUT_RUNNING,
    GUEST_OUT_LAST, /* the leader ended: over when nothing is in it now */
    GUEST_OUT_LEFT  /* likewise, and who was left behind may write for ever: a pipe's worth is sent
                     */
};

/* Makes the ring; the other members are the caller's to set before. 0 or -ENOMEM. */
int guest_in_open(struct guest_in *in);
/* Grants the window, once: the program runs. */
void guest_in_begin(struct guest_in *in, struct guest_channel *c, uint16_t session);
/* `size` bytes of the host, copied into the ring; dropped where nobody reads. 0, or -EBADMSG beyond
 * the credit: the caller ends the channel. */
int guest_in_take(struct guest_in *in, const uint8_t *data, uint32_t size);
/* Writes what the program takes now; at the end closes, or types the EOF character (tty) and then
 * closes; grants again what was taken, by the quarter of a window, once the channel has room. */
void guest_in_pump(struct guest_in *in, struct guest_channel *c, uint16_t session, bool tty);
/* Closes the descriptor and frees the ring, with what is in it; harmless twice. */
void guest_in_close(struct guest_in *in);

/* Reads what there is, one frame's worth, to the channel within its credit or (drop: sealed, or
 * nobody is there) to nowhere. `ready`: poll said that it can be read. At the end sends EOF and
 * closes. Does nothing while the channel has no room, or once it is closed. */
void guest_out_pump(struct guest_out *out, struct guest_channel *c, uint16_t session,
                    uint8_t stream, enum guest_out_mode mode, bool ready, bool drop);
/* Would one more frame of any size, and an EOF, fit into the channel's queue? */
bool guest_out_has_room(const struct guest_channel *c);

#endif
