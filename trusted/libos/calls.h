// SPDX-License-Identifier: Apache-2.0
// The handlers of all system calls, declared from the table, and what families share.
#ifndef LIBOS_CALLS_H
#define LIBOS_CALLS_H

#include "trusted/libos/libos.h"

#define OR_VOID(...) OR_VOID_##__VA_OPT__(SOME)(__VA_ARGS__)
#define OR_VOID_() void
#define OR_VOID_SOME(...) __VA_ARGS__
#define CALL(name, format, ...) long sys_##name(OR_VOID(__VA_ARGS__));
#define SAME(name, format, answer)
#include "trusted/libos/entry/calls.def"
#undef CALL
#undef SAME

#define RW_MAX 0x7ffff000u /* bytes of a call; what is more is not moved */
#define IOV_MAX 1024u

struct file;
struct io;
struct io_vec;

/* What several rows of the table come to. offset NULL: the file's own, which moves. */
long transfer_once(int fd, uint64_t buf, uint64_t size, const int64_t *offset, bool write);
long transfer_vector(int fd, uint64_t iov, uint64_t count, const int64_t *offset, bool write);
long transfer_flagged(int fd, uint64_t iov, uint64_t count, const int64_t *offset, uint32_t flags,
                      bool write);
long dir_tell_names(int fd, uint64_t to, uint32_t size, bool old); /* old: struct linux_dirent */
struct xattr_request {
    enum { XATTR_SET, XATTR_GET, XATTR_LIST, XATTR_REMOVE } kind;
    uint64_t name, value, size;
    int flags;
};
long xattr_of_path(uint64_t path, int follow, const struct xattr_request *q);
long xattr_of_fd(int fd, const struct xattr_request *q);
/* range: iovec and count here, iovec and count there. out: from here to there. */
long process_vm_move(int pid, const uint64_t range[4], uint64_t flags, bool out);

/* fs */
long fd_fcntl(int fd, int command, uint64_t arg);
int iov_read(uint64_t addr, uint64_t count, struct io_vec *vec, struct io *io); /* vec: count */

#endif
