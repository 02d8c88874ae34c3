// SPDX-License-Identifier: Apache-2.0
// The server of one volume in the confidential VM: FUSE on one side, the host's disk on the other.
// A process of its own, started by PID 1 (volumes.c), which gives it these descriptors and the key;
// it keeps nothing else and runs as nobody.
//
// The kernel is trusted here, but what it hands on comes from programs (names, offsets, sizes): all
// of it is checked. Every byte of the disk is the host's: trusted/volume judges it.
#ifndef GUEST_VOLUME_SERVER_H
#define GUEST_VOLUME_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/fuse.h>

#include "trusted/volume/anchor.h"

enum { SERVER_CONTROL_FD = 3, SERVER_DISK_FD, SERVER_FUSE_FD, SERVER_ANCHOR_FD, SERVER_COUNTS_FD };

/* A file in memory where the server keeps what a monitor may know: u64[VOLUME_COUNTS], at most five
 * seconds old. */
#define SERVER_COUNTS_MS 200u /* at least so long between two writes */

/* Over the control socket, a message each: PID 1 says this once, and gets one answer; later the
 * lines for the instance's log. When PID 1 ends its side, nothing waits for the anchor any more. */
struct server_order {
    uint8_t key[VOLUME_KEY_SIZE];
    char name[64];
    uint8_t read_only; /* else a disk of zeros becomes a new volume */
    uint8_t strict, pauses;
    uint32_t away; /* seconds; 0: there is no anchor (anchor.h), who is the agent */
};
#define SERVER_LINE_MAX 400u
struct server_answer {
    int32_t error; /* 0: it is open, and served from now on; else -errno */
    char text[SERVER_LINE_MAX];
};

#define SERVER_DATA_MAX VOLUME_WRITE_MAX
#define SERVER_WAITERS 512u /* requests that wait for a sync; more are not taken */
#define SERVER_HELD 32u /* changes that wait for the anchor; more are not taken from the kernel */

/* What the anchor is asked, and who waits for it (keep.c). */
struct keeper {
    int fd;       /* to who asks it for us */
    bool hurried; /* nobody is to wait for it any more */
    bool asking;
    struct anchor_watch watch;
    struct anchor_hello hello;
    struct anchor_question question;
    struct anchor_answer answer;
    char why[SERVER_LINE_MAX]; /* what was found may not be used, or how the anchor failed */
    struct held {
        uint8_t *request;
        size_t size;
    } held[SERVER_HELD];
    size_t held_count;
};

/* A request that is answered when all that was done before it is on the disk. */
struct waiter {
    uint64_t unique;
    enum { WAIT_TURN, WAIT_FLUSH, WAIT_ANCHOR } stage; /* the last where it is strict */
    struct volume_state state;                         /* that the anchor must have */
};

struct server {
    struct volume *v;
    int fuse_fd, disk_fd;
    bool read_only, ended;
    int failed;         /* -errno: why it ended, if not in order */
    uint64_t commit_at; /* ms: what nobody synced is synced then */
    uint64_t counts_at; /* ms: the counts are written again then */
    struct keeper keeper;
    int flush_fd, flushed_fd; /* eventfds: to the thread that flushes, and back */
    int flush_result;
    bool flushing, turn_wanted;
    struct waiter waiters[SERVER_WAITERS];
    size_t waiter_count;
    uint64_t *
        *known; /* how often the kernel has heard of each inode, less how often it forgot it */
    size_t known_pages;
    uint8_t *in, *out; /* one request and its answer */
};

#define SERVER_IN_SIZE (SERVER_DATA_MAX + 4096u)
#define SERVER_OUT_SIZE (SERVER_DATA_MAX + sizeof(struct fuse_out_header))

struct request {
    uint32_t opcode;
    uint64_t unique, node;
    uint32_t uid, gid;
    const uint8_t *arg; /* behind the header; aligned to 8 */
    size_t size;
    void *out; /* SERVER_DATA_MAX bytes */
};

/* disk.c */
struct volume_disk disk_of(struct server *s);
int64_t disk_now(void); /* ns since 1970 */

/* known.c: 0 or -ENOMEM. */
int known_add(struct server *s, uint64_t ino);
void known_forget(struct server *s, uint64_t ino, uint64_t count);

/* answer.c */
/* Sends what stands in s->out: `size` bytes behind the header, or an error. */
void serve_answer(struct server *s, uint64_t unique, int error, size_t size);

/* The kernel asks again for the inode's attributes: they are not as it thinks. */
void serve_changed(struct server *s, uint64_t ino);

/* A line for the instance's log. */
void serve_tell(const char *line);

/* keep.c */
int sync_start(struct server *s);
/* Answers the request when all that was done before it is on the disk. */
void sync_ask(struct server *s, uint64_t unique);
/* The flush has ended, as flushed_fd tells. */
void sync_flushed(struct server *s);
/* What nobody asked for. */
void sync_later(struct server *s);
void sync_wait(struct server *s);
/* Before the volume is opened, with what PID 1 said: 0 or -errno. */
int keep_start(struct server *s, const struct server_order *o);
/* For struct volume_disk. */
int keep_judge(void *ctx, const struct volume_state *found);
/* Asks and answers whoever is due; the milliseconds until it has to be called again, -1: never. */
long keep_round(struct server *s);
/* The anchor's answer is there. */
void keep_heard(struct server *s);
/* May a change be made now? -EAGAIN: keep_hold it. */
int keep_may_change(const struct server *s);
/* The request in s->in, of `size` bytes, is handled later. 0 or -ENOMEM. */
int keep_hold(struct server *s, size_t size);
/* The next that was held and may go on now, in s->in: its size; 0: there is none. */
size_t keep_take_held(struct server *s);
/* Closes the volume, and the anchor hears of its last state. 0 or -errno. */
int keep_close(struct server *s);
uint64_t keep_now(void);

/* serve.c */
/* Until the file system is unmounted. 0 or -errno. */
int serve_requests(struct server *s);

/* handle.c */
bool handle_changes(uint32_t opcode); /* does it change the volume? */
#define NO_ANSWER (-100000L)
long handle_request(struct server *s, const struct request *q);

#endif
