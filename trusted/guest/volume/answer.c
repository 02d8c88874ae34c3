// SPDX-License-Identifier: Apache-2.0
// What the kernel is answered, and PID 1 hears.
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "trusted/guest/volume/server.h"

/* Without the lock of the inode, as only attributes are meant. */
void serve_changed(struct server *s, uint64_t ino)
{
    struct {
        struct fuse_out_header head;
        struct fuse_notify_inval_inode_out inode;
    } out = {{.len = sizeof(out), .error = FUSE_NOTIFY_INVAL_INODE}, {.ino = ino, .off = -1}};
    (void)!write(s->fuse_fd, &out, sizeof(out));
}

void serve_answer(struct server *s, uint64_t unique, int error, size_t size)
{
    struct fuse_out_header *h = (void *)s->out;
    *h = (struct fuse_out_header){
        .len = (uint32_t)(sizeof(*h) + size), .error = error, .unique = unique};
    while (write(s->fuse_fd, s->out, h->len) < 0 && errno == EINTR)
        ; /* another error: nobody waits for it any more */
}

void serve_tell(const char *line)
{
    (void)send(SERVER_CONTROL_FD, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT);
}
