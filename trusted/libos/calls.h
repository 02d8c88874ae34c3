// SPDX-License-Identifier: Apache-2.0
// The handlers of all system calls, declared from the table, and what families share.
#ifndef LIBOS_CALLS_H
#define LIBOS_CALLS_H

#include "trusted/libos/libos.h"

#define OR_VOID(...) OR_VOID_##__VA_OPT__(SOME)(__VA_ARGS__)
#define OR_VOID_() void
#define OR_VOID_SOME(...) __VA_ARGS__
#define CALL(name, format, ...) long sys_##name(OR_VOID(__VA_ARGS__));
#define SAME(name, format, handler)
#include "trusted/libos/entry/calls.def"
#undef CALL
#undef SAME

struct file;
struct io;
struct io_vec;

/* fs */
long fd_fcntl(int fd, int command, uint64_t arg);
int iov_read(uint64_t addr, uint64_t count, struct io_vec *vec, struct io *io); /* vec: count */

/* entry: dispatches one call as the program would, its arguments in the order of rdi, rsi, rdx,
 * r10, r8, r9; the result may be -ERESTARTSYS. */
long los_call(int64_t nr, const uint64_t a[6]);

#endif
