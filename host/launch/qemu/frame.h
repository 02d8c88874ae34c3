// SPDX-License-Identifier: Apache-2.0
// The guest's Ethernet frames: where they go, and the answer to those that may not.
#ifndef HOST_LAUNCH_QEMU_FRAME_H
#define HOST_LAUNCH_QEMU_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include <shelter/network.h>

#include "host/launch/launch.h"

/* Numbers of 1 to 4 bytes in the order of networks. */
static inline uint32_t sh_frame_read(const uint8_t *p, unsigned bytes)
{
    uint32_t value = 0;
    while (bytes--)
        value = value << 8 | *p++;
    return value;
}

static inline void sh_frame_write(uint8_t *p, unsigned bytes, uint32_t value)
{
    while (bytes--) {
        p[bytes] = (uint8_t)value;
        value >>= 8;
    }
}

enum sh_frame_verdict {
    SH_FRAME_PASS,
    SH_FRAME_REFUSE, /* and say so */
    SH_FRAME_DROP,   /* no IPv4, broken, or to many at once: nobody is told */
};

/* RFC 791. `frame` may hold anything; of the spec, egress and ports are read. A packet of a TCP
 * connection that another one opened may pass wherever it goes: it opens none. None has a source
 * of 127.0.0.0/8: such a one would be taken for the namespace's own. */
enum sh_frame_verdict sh_frame_judge(const struct sh_launch_spec *spec, const uint8_t *frame,
                                     size_t size);

/* ICMP "communication administratively prohibited" (RFC 792, RFC 1812 5.2.7.1) about a frame that
 * was judged SH_FRAME_REFUSE, as a frame; its size. */
#define SH_FRAME_REFUSAL_SIZE (14u + 20u + 8u + 60u + 8u)
size_t sh_frame_refusal(const uint8_t *frame, size_t size, uint8_t answer[SH_FRAME_REFUSAL_SIZE]);

/* Which pairs of ports were last used by the loopback, not by a SH_NET_HOST on the wire: of those
 * that share a place the last one; the next frame from there brings another one back. */
struct sh_frame_flows {
    uint16_t server[65536]; /* 0: none */
};

/* TCP between the loopback of the machine's network namespace and the machine: 127.0.0.1 on both
 * sides there, SH_NET_HOST and the machine's own address here. Each rewrites a frame of its
 * direction in place, and is false of all others: there, too, of what answers none of the
 * loopback's. The first one sees all that comes to the machine. */
bool sh_frame_from_loopback(const struct sh_launch_spec *spec, struct sh_frame_flows *flows,
                            uint8_t *frame, size_t size);
bool sh_frame_to_loopback(const struct sh_launch_spec *spec, struct sh_frame_flows *flows,
                          uint8_t *frame, size_t size);
/* The MAC address of SH_NET_HOST, as libslirp has it. */
#define SH_FRAME_HOST_MAC 0x52, 0x55, SH_NET_HOST_BYTES

#endif
