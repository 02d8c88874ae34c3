// SPDX-License-Identifier: Apache-2.0
// Whole transfers over descriptors, for programs of Linux (not for the LibOS).
//
// None of them gives up at a signal. What was moved before a failure is not reported.
#ifndef LIB_IO_H
#define LIB_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Exactly size bytes: 0, -errno, or -ENODATA when there are no more. */
int sh_write_all(int fd, const void *data, size_t size);
int sh_read_all(int fd, void *data, size_t size);
int sh_pread_all(int fd, void *data, size_t size, off_t offset);
int sh_pwrite_all(int fd, const void *data, size_t size, off_t offset);

/* What there is up to the end, but at most size bytes: how many, or -errno. */
ssize_t sh_read_up_to(int fd, void *data, size_t size);

/* Reads (events POLLIN) or writes (POLLOUT) exactly size bytes, waiting for each until deadline_ms
 * (sh_now_ms): 0, -errno, -ETIMEDOUT, or -EPIPE when nobody is there. */
int sh_move_by(int fd, void *data, size_t size, short events, int64_t deadline_ms);

/* Monotonic milliseconds. */
int64_t sh_now_ms(void);

#endif
