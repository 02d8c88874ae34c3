// SPDX-License-Identifier: Apache-2.0
// Descriptors handed over a Unix socket: unix(7), SCM_RIGHTS.
#ifndef HOST_BASE_DESCRIPTOR_H
#define HOST_BASE_DESCRIPTOR_H

#include <stddef.h>

/* One message of `size` bytes (at least one) and `fd`, which stays the caller's; -1: without one. 0
 * or -errno; a reader that is gone is -EPIPE, not a signal. */
int sh_send_with_fd(int socket, const void *data, size_t size, int fd);

/* One such message of exactly `size` bytes. *fd: what came along, the caller's, close-on-exec, or
 * -1. 0 or -errno; -EPROTO: of another size, or its end. */
int sh_receive_with_fd(int socket, void *data, size_t size, int *fd);

#endif
