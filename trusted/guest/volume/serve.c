// SPDX-License-Identifier: Apache-2.0
// The loop: one request at a time, as one thread uses the volume.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "trusted/guest/volume/server.h"

#define COMMIT_MS 5000 /* what nobody synced is on the disk after so long */

static void take_request(struct server *s, size_t size)
{
    const struct fuse_in_header *h = (const void *)s->in;
    if (size < sizeof(*h) || h->len != size)
        return;
    struct request q = {.unique = h->unique,
                        .node = h->nodeid,
                        .uid = h->uid,
                        .gid = h->gid,
                        .arg = s->in + sizeof(*h),
                        .size = size - sizeof(*h),
                        .out = s->out + sizeof(struct fuse_out_header)};
    long r = handle_request(s, h->opcode, &q);
    if (r != NO_ANSWER)
        serve_answer(s, q.unique, r < 0 ? (int)r : 0, r < 0 ? 0 : (size_t)r);
}

/* Why the volume refuses: into the kernel's log, which only a debug console shows. */
static void tell_reason(const struct server *s)
{
    static const char *told = "";
    char line[200];
    const char *reason = volume_reason(s->v);
    if (reason == told || !*reason)
        return;
    told = reason;
    int n = snprintf(line, sizeof(line), "volume: %s\n", reason);
    if (write(2, line, (size_t)n) < 0)
        errno = 0; /* then it is not seen */
}

int serve_requests(struct server *s)
{
    while (!s->ended) {
        struct pollfd p[2] = {{.fd = s->fuse_fd, .events = POLLIN},
                              {.fd = s->flushed_fd, .events = POLLIN}};
        int ready = poll(p, 2, s->read_only ? -1 : COMMIT_MS);
        if (ready < 0 && errno != EINTR)
            return -errno;
        if (!ready)
            sync_later(s);
        if (ready > 0 && p[1].revents)
            sync_flushed(s);
        if (ready <= 0 || !p[0].revents)
            continue;
        ssize_t n = read(s->fuse_fd, s->in, SERVER_IN_SIZE);
        if (n < 0 && errno == ENODEV)
            return 0; /* unmounted */
        if (n < 0 && errno != EINTR && errno != EAGAIN && errno != ENOENT)
            return -errno;
        if (n > 0)
            take_request(s, (size_t)n);
        tell_reason(s);
    }
    return 0;
}
