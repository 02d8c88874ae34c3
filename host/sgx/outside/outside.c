// SPDX-License-Identifier: Apache-2.0
// Processes beside the enclave's that stand outside its walls: how they start, and how they are
// asked.
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/base/util.h"
#include "host/sgx/outside/outside.h"

pid_t outside_fork(int *fd, struct sh_error *err)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
        return sh_fail_errno(err, -errno, "cannot create a socket");
    pid_t pid = fork();
    if (pid < 0)
        sh_fail_errno(err, -errno, "cannot start a process");
    *fd = ends[pid == 0];
    close(ends[pid != 0]);
    return pid;
}

void outside_begin(const char *name, int fd)
{
    close(0);
    close(1);
    if (fd > 3)
        syscall(SYS_close_range, 3, fd - 1, 0);
    syscall(SYS_close_range, fd + 1, ~0u, 0);
    prctl(PR_SET_NAME, name);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

int64_t outside_ask(struct outside_process *to, const struct iovec question[2], void *out,
                    size_t out_size, int *made)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr head;
    } control;
    int64_t result = 0;
    struct iovec v[] = {{&result, sizeof(result)}, {out, out_size}};
    struct msghdr m = {.msg_iov = v,
                       .msg_iovlen = 2,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof(control.bytes)};
    size_t head = question[0].iov_len, size = question[1].iov_len;
    if (made)
        *made = -1;
    if (head + size > sizeof(to->message))
        return -EINVAL;
    pthread_mutex_lock(&to->lock);
    memcpy(to->message, question[0].iov_base, head);
    if (size)
        memcpy(to->message + head, question[1].iov_base, size);
    ssize_t n = send(to->fd, to->message, head + size, MSG_NOSIGNAL);
    while (n > 0 && (out || made) && (n = recvmsg(to->fd, &m, MSG_CMSG_CLOEXEC)) < 0 &&
           errno == EINTR)
        n = 1;
    pthread_mutex_unlock(&to->lock);
    if (n < (ssize_t)sizeof(result))
        return -EIO;
    if (made && CMSG_FIRSTHDR(&m))
        memcpy(made, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(*made));
    return m.msg_flags & MSG_TRUNC ? -ENOSPC : result;
}
