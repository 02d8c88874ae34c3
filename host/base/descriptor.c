// SPDX-License-Identifier: Apache-2.0
#include "host/base/descriptor.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int sh_send_with_fd(int socket, const void *data, size_t size, int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr head;
    } control = {.head = {.cmsg_len = CMSG_LEN(sizeof(int)),
                          .cmsg_level = SOL_SOCKET,
                          .cmsg_type = SCM_RIGHTS}};
    struct iovec v = {(void *)data, size};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
    if (fd >= 0)
        m.msg_control = control.bytes, m.msg_controllen = sizeof(control.bytes);
    return sendmsg(socket, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int sh_receive_with_fd(int socket, void *data, size_t size, int *fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr head;
    } control;
    struct iovec v = {data, size};
    struct msghdr m = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof(control.bytes)};
    ssize_t n;
    while ((n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
        ;
    *fd = -1;
    if (n < 0)
        return -errno;
    if (CMSG_FIRSTHDR(&m))
        memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(*fd));
    return n == (ssize_t)size ? 0 : -EPROTO;
}
