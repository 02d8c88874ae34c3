// SPDX-License-Identifier: Apache-2.0
// The log of an instance: what the workload wrote, binary safe, bounded on disk.
//
//   log, log.1:  magic (8) | record | record | ...
//
//   0        1        4        8               16
//   +--------+--------+--------+---------------+-----------------
//   | stream | zero   | size   | time          | size bytes ...        little endian
//   +--------+--------+--------+---------------+-----------------
//
// stream is enum sh_stream (1 stdout, 2 stderr); time is nanoseconds since 1970. When `log` would
// grow beyond SH_LOG_SIZE_MAX it becomes `log.1` (the older one goes) and a new one begins. A
// record that ends behind the end of the file was torn by a kill: readers stop there, the writer
// cuts it off. A full disk loses output, and a later record of stream SH_LOG_LOST says how many
// bytes.
// The last record of a life is of stream SH_LOG_END.
#ifndef HOST_RUN_INSTANCE_LOG_H
#define HOST_RUN_INSTANCE_LOG_H

#include "host/base/util.h"

#define SH_LOG_MAGIC "SHLTRLOG"
#define SH_LOG_SIZE_MAX (16u << 20)
#define SH_LOG_LOST 3 /* its bytes: u64, how many are missing here */
#define SH_LOG_END 4  /* its bytes: one line, without a newline: how the instance ended */

struct sh_log {
    int dir_fd; /* the instance's folder; not owned */
    int fd;     /* -1: logging is off for now (full disk) */
    uint64_t size;
    uint64_t size_max;
    uint64_t lost;
    int64_t retry_at; /* sh_now_ms */
};

/* Opens (or begins) the log for appending; torn bytes at its end are cut off. Never fails: a log
 * that cannot be written must not stop a workload. */
void sh_log_open(struct sh_log *log, int dir_fd);
void sh_log_add(struct sh_log *log, uint8_t stream, const void *data, size_t size);
void sh_log_close(struct sh_log *log);

/* One record as a reader gets it; data lives until the next call. */
struct sh_log_record {
    uint8_t stream;
    uint64_t time;
    uint32_t size;
    const uint8_t *data;
};

struct sh_log_reader {
    int dir_fd; /* not owned */
    int fd;
    bool old; /* reads log.1 */
    uint64_t at;
    struct sh_buffer data;
};

/* From the oldest record. 0, or -errno (-ENOENT: nothing was logged yet). */
int sh_log_read_open(struct sh_log_reader *r, int dir_fd);

/* 1: a record; 0: no more for now (call again later to follow); -EBADMSG: not a log. */
int sh_log_read_next(struct sh_log_reader *r, struct sh_log_record *record);
void sh_log_read_close(struct sh_log_reader *r);

#endif
