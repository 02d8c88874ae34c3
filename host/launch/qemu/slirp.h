// SPDX-License-Identifier: Apache-2.0
// libslirp, the user-mode network that QEMU itself uses: the binary interface of its version 4 as
// far as it is needed here (configuration version 1, which later ones keep). It is loaded where a
// machine has a network: QEMU's package brings it, and no other command needs it.
// https://gitlab.freedesktop.org/slirp/libslirp, src/libslirp.h
#ifndef HOST_LAUNCH_QEMU_SLIRP_H
#define HOST_LAUNCH_QEMU_SLIRP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "host/base/error.h"

struct Slirp; /* opaque */

enum { SLIRP_IN = 1, SLIRP_OUT = 2, SLIRP_PRI = 4, SLIRP_ERR = 8, SLIRP_HUP = 16 };

struct slirp_callbacks {
    ssize_t (*send_packet)(const void *frame, size_t size, void *opaque);
    void (*guest_error)(const char *text, void *opaque);
    int64_t (*clock_get_ns)(void *opaque);
    void *(*timer_new)(void (*fired)(void *), void *fired_opaque, void *opaque);
    void (*timer_free)(void *timer, void *opaque);
    void (*timer_mod)(void *timer, int64_t at_ms, void *opaque);
    void (*register_poll_fd)(int fd, void *opaque);
    void (*unregister_poll_fd)(int fd, void *opaque);
    void (*notify)(void *opaque);
};

struct slirp_config {
    uint32_t version; /* 1 */
    int restricted;
    bool in_enabled;
    struct in_addr vnetwork, vnetmask, vhost;
    bool in6_enabled;
    struct in6_addr vprefix_addr6;
    uint8_t vprefix_len;
    struct in6_addr vhost6;
    const char *vhostname, *tftp_server_name, *tftp_path, *bootfile;
    struct in_addr vdhcp_start, vnameserver;
    struct in6_addr vnameserver6;
    const char **vdnssearch;
    const char *vdomainname;
    size_t if_mtu, if_mru; /* 0: its defaults */
    bool disable_host_loopback, enable_emu;
};

/* Its functions, by name. */
struct sh_slirp_library {
    struct Slirp *(*slirp_new)(const struct slirp_config *config,
                               const struct slirp_callbacks *callbacks, void *opaque);
    void (*slirp_pollfds_fill)(struct Slirp *s, uint32_t *timeout_ms,
                               int (*add)(int fd, int events, void *opaque), void *opaque);
    void (*slirp_pollfds_poll)(struct Slirp *s, int failed, int (*events)(int index, void *opaque),
                               void *opaque);
    void (*slirp_input)(struct Slirp *s, const uint8_t *frame, int size);
    int (*slirp_add_hostfwd)(struct Slirp *s, int udp, struct in_addr host, int host_port,
                             struct in_addr guest, int guest_port);
};

/* 0, or -ENOENT with what to install. */
int sh_slirp_load(struct sh_slirp_library *library, struct sh_error *err);

#endif
