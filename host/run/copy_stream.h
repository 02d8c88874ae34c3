// SPDX-License-Identifier: Apache-2.0
// A tar stream out of or into an instance (SH_EXEC_COPY_OUT, SH_EXEC_COPY_IN), as libarchive's
// callbacks take it.
#ifndef HOST_RUN_COPY_STREAM_H
#define HOST_RUN_COPY_STREAM_H

#include <archive.h>

#include "host/run/control.h"
#include "host/run/stream.h"

struct sh_copy_stream {
    int fd;
    struct sh_frame_reader in;
    struct sh_fifo out;
    struct sh_stream_out data;         /* to the guest */
    struct sh_stream_in answer, words; /* its stdout and stderr */
    bool ended;
    int status;              /* the guest's, when ended */
    char why[512];           /* the last line it wrote to stderr */
    struct sh_error refusal; /* ERROR or REFUSED */
};

/* Opens the session; path is the guest's. */
int sh_copy_open(struct sh_copy_stream *s, const struct sh_instance *instance,
                 enum sh_exec_kind kind, const char *path, struct sh_error *err);

/* The next bytes that the guest sends: their count, 0 at the end, -errno. *data lives until the
 * next call. */
ssize_t sh_copy_read(struct sh_copy_stream *s, const void **data);

/* Sends all of it. 0 or -errno (-EPIPE: the guest ended the session). */
int sh_copy_write(struct sh_copy_stream *s, const void *data, size_t size);

/* Sends the end, waits for the guest's verdict. 0, or -errno with the sentence. */
int sh_copy_finish(struct sh_copy_stream *s, struct sh_error *err);
void sh_copy_close(struct sh_copy_stream *s);

#endif
