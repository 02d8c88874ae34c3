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

#include "trusted/volume/volume.h"

enum { SERVER_CONTROL_FD = 3, SERVER_DISK_FD, SERVER_FUSE_FD };

/* Over the control socket: PID 1 says this once, and gets one answer. */
struct server_order {
    uint8_t key[VOLUME_KEY_SIZE];
    char name[64];
    uint8_t read_only; /* else a disk of zeros becomes a new volume */
};
struct server_answer {
    int32_t error; /* 0: it is open, and served from now on; else -errno */
    char text[120];
};

#define SERVER_DATA_MAX VOLUME_WRITE_MAX
#define SERVER_WAITERS 256u

/* A directory as it was when it was opened or rewound. */
struct listing {
    struct listed {
        uint64_t ino;
        uint32_t mode, at; /* its name's place */
    } * entries;
    size_t count, room;
    char *names; /* each with its NUL */
    size_t names_size, names_room;
    uint64_t dir, parent;
    bool used;
};

/* How often the kernel has heard of an inode, less how often it forgot it. */
struct known {
    uint64_t ino, count; /* ino 0: free */
};

struct server {
    struct volume *v;
    int fuse_fd, disk_fd;
    bool read_only, ended;
    /* sync.c */
    int flush_fd, flushed_fd; /* eventfds: to the thread that flushes, and back */
    int flush_result;
    bool flushing;
    uint64_t current[SERVER_WAITERS], next[SERVER_WAITERS]; /* requests that wait */
    size_t current_count, next_count;
    /* known.c */
    struct known *known;
    size_t known_count, known_room;
    /* dir.c */
    struct listing *listings;
    size_t listing_count;
    uint8_t *in, *out; /* one request and its answer */
};

#define SERVER_IN_SIZE (SERVER_DATA_MAX + 4096u)
#define SERVER_OUT_SIZE (SERVER_DATA_MAX + sizeof(struct fuse_out_header))

struct request {
    uint64_t unique, node;
    uint32_t uid, gid;
    const uint8_t *arg; /* behind the header; aligned to 8 */
    size_t size;
    void *out; /* SERVER_DATA_MAX bytes */
};

/* disk.c */
struct volume_disk disk_of(struct server *s);
int64_t disk_now(void); /* ns since 1970 */

/* known.c: 0 or -ENOMEM; whether none is left. */
int known_add(struct server *s, uint64_t ino);
void known_forget(struct server *s, uint64_t ino, uint64_t count);

/* answer.c */
#define FOREVER (1ull << 40) /* seconds: nobody else changes the volume */
void fill_attr(const struct volume_stat *st, struct fuse_attr *a);
/* The kernel knows the inode once more. 0 or -errno. */
int fill_entry(struct server *s, uint64_t ino, struct fuse_entry_out *e);
/* Sends what stands in s->out: `size` bytes behind the header, or an error. */
void serve_answer(struct server *s, uint64_t unique, int error, size_t size);

/* sync.c */
int sync_start(struct server *s);
/* Answers the request when all that was done before it is on the disk. */
void sync_ask(struct server *s, uint64_t unique);
/* The flush has ended, as flushed_fd tells. */
void sync_flushed(struct server *s);
/* What nobody asked for. */
void sync_later(struct server *s);
void sync_wait(struct server *s);

/* dir.c, handle.c: the size of the answer in q->out, or -errno. */
long dir_open(struct server *s, const struct request *q);
long dir_read(struct server *s, const struct request *q, bool plus);
long dir_release(struct server *s, const struct request *q);

/* serve.c */
/* Until the file system is unmounted. 0 or -errno. */
int serve_requests(struct server *s);

/* handle.c */
#define NO_ANSWER (-100000L)
long handle_request(struct server *s, uint32_t opcode, const struct request *q);

#endif
