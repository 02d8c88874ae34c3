// SPDX-License-Identifier: Apache-2.0
// The loop: one request at a time, as one thread uses the volume.
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "trusted/guest/volume/server.h"

#define COMMIT_MS 5000 /* what nobody synced is on the disk after so long */

/* A request in s->in. */
static void serve_request(struct server *s, size_t size)
{
    const struct fuse_in_header *h = (const void *)s->in;
    if (size < sizeof(*h) || h->len != size)
        return;
    struct request q = {.opcode = h->opcode,
                        .unique = h->unique,
                        .node = h->nodeid,
                        .uid = h->uid,
                        .gid = h->gid,
                        .arg = s->in + sizeof(*h),
                        .size = size - sizeof(*h),
                        .out = s->out + sizeof(struct fuse_out_header)};
    long r = handle_changes(h->opcode) ? keep_may_change(s) : 0;
    if (r == -EAGAIN)
        r = keep_hold(s, size) ? -EIO : NO_ANSWER;
    else if (!r)
        r = handle_request(s, &q);
    if (r != NO_ANSWER)
        serve_answer(s, q.unique, r < 0 ? (int)r : 0, r < 0 ? 0 : (size_t)r);
}

/* Why the volume refuses, once. */
static void tell_reason(const struct server *s)
{
    static const char *said = "";
    const char *reason = volume_reason(s->v);
    if (reason == said || !*reason)
        return;
    said = reason;
    serve_tell(reason);
}

static void take_request(struct server *s, struct pollfd *p)
{
    ssize_t n = p->revents ? read(s->fuse_fd, s->in, SERVER_IN_SIZE) : 0;
    if (n < 0 && errno != EINTR && errno != EAGAIN && errno != ENOENT) {
        s->ended = true; /* ENODEV: unmounted */
        s->failed = errno == ENODEV ? 0 : -errno;
    }
    if (n > 0)
        serve_request(s, (size_t)n);
}

static void write_counts(struct server *s)
{
    uint64_t now = keep_now(), counts[VOLUME_COUNTS];
    if (now < s->counts_at)
        return;
    volume_count(s->v, &s->keeper.watch, now, counts);
    (void)!pwrite(SERVER_COUNTS_FD, counts, sizeof(counts), 0);
    s->counts_at = now + SERVER_COUNTS_MS;
}

/* Until something has to be done, in ms; -1: for ever. */
static int time_left(struct server *s)
{
    for (size_t size; (size = keep_take_held(s));)
        serve_request(s, size);
    long left = keep_round(s), commit = (long)(s->commit_at - keep_now());
    if (!s->read_only && commit <= 0) {
        sync_later(s);
        s->commit_at = keep_now() + COMMIT_MS;
        commit = COMMIT_MS;
    }
    write_counts(s);
    return (int)(s->read_only ? -1 : left >= 0 && left < commit ? left : commit);
}

/* For one more that has to wait. */
static bool has_room(const struct server *s)
{
    return s->keeper.held_count < SERVER_HELD && s->waiter_count < SERVER_WAITERS;
}

int serve_requests(struct server *s)
{
    struct keeper *k = &s->keeper;
    s->commit_at = keep_now() + COMMIT_MS;
    while (!s->ended) {
        struct pollfd p[] = {{.fd = has_room(s) ? s->fuse_fd : -1, .events = POLLIN},
                             {.fd = s->flushed_fd, .events = POLLIN},
                             {.fd = k->asking ? k->fd : -1, .events = POLLIN},
                             {.fd = k->hurried ? -1 : SERVER_CONTROL_FD, .events = POLLIN}};
        if (poll(p, sizeof(p) / sizeof(p[0]), time_left(s)) < 0) {
            if (errno != EINTR)
                return -errno;
            continue;
        }
        if (p[1].revents)
            sync_flushed(s);
        if (p[2].revents)
            keep_heard(s);
        k->hurried = k->hurried || p[3].revents;
        take_request(s, &p[0]);
        tell_reason(s);
    }
    return s->failed;
}
