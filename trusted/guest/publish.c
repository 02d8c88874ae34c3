// SPDX-License-Identifier: Apache-2.0
// Only published ports can be reached from outside: the filter of the guest.
//
// The kernel has no packet filter. Instead every bind and listen of a program that PID 1 starts
// comes here first (seccomp user notification), and a socket that would serve an unpublished port
// gets a filter that drops what did not come by loopback: TCP at listen, UDP at bind, where it is
// to a port below the ephemeral ones (answers of the outside come to those).
//
// The workload is not held by this and may undo it: it protects the workload from the host, whose
// packets reach every socket otherwise. The host has no part in it.
#include "trusted/guest/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#define LOOPBACK_INDEX 1       /* of the first device in every network namespace */
#define FIRST_EPHEMERAL 32768  /* Linux's net.ipv4.ip_local_port_range */
#define PIDFD_OF_THREAD O_EXCL /* PIDFD_THREAD, Linux 6.9 */
/* Linux 6.6; Debian 12's headers lack them. */
#define NOTIFY_SET_FLAGS SECCOMP_IOW(4, uint64_t)
#define NOTIFY_SYNC_WAKE_UP 1ul

#define STATEMENT(code, k)                                                                         \
    {                                                                                              \
        (code), 0, 0, (k)                                                                          \
    }
#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

int guest_publish_begin(struct guest_error *e)
{
    static struct sock_filter code[] = {
        STATEMENT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 3, AUDIT_ARCH_X86_64}, /* the kernel has no other */
        STATEMENT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        {BPF_JMP | BPF_JEQ | BPF_K, 2, 0, SYS_bind},
        {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, SYS_listen},
        STATEMENT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        STATEMENT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
    };
    struct sock_fprog program = {LENGTH(code), code};
    long fd =
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    if (fd < 0)
        return guest_fail(e, -errno, "cannot set the filter of ports: %s", strerror(errno));
    /* Caller and PID 1 take turns: on one processor that is quickest. */
    if (ioctl((int)fd, NOTIFY_SET_FLAGS, NOTIFY_SYNC_WAKE_UP))
        errno = 0; /* then it takes longer */
    return (int)fd;
}

/* The caller's own descriptor, here. */
static int take_socket(pid_t thread, int fd)
{
    GUEST_AUTOCLOSE int pidfd = (int)syscall(SYS_pidfd_open, thread, PIDFD_OF_THREAD);
    int got = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
    return got < 0 ? -errno : got;
}

static int read_option(int fd, int name)
{
    int value = -1;
    socklen_t size = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, name, &value, &size) ? -1 : value;
}

static uint16_t port_of(const struct sockaddr_in6 *a)
{
    return ntohs(a->sin6_port); /* at the same place in sockaddr_in */
}

/* The address that bind is given, as far as the port. */
static uint16_t asked_port(pid_t thread, uint64_t address)
{
    struct sockaddr_in6 a = {0};
    char path[32];
    snprintf(path, sizeof(path), "/proc/%d/mem", (int)thread);
    GUEST_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pread(fd, &a, offsetof(struct sockaddr_in6, sin6_flowinfo), (off_t)address) < 0)
        return 0; /* bind itself will say what is wrong with it */
    return port_of(&a);
}

static int hear_loopback(int fd)
{
    static struct sock_filter code[] = {
        STATEMENT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_IFINDEX)),
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, LOOPBACK_INDEX},
        STATEMENT(BPF_RET | BPF_K, 0xffffffff),
        STATEMENT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {LENGTH(code), code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ? -errno : 0;
}

static int judge_call(const struct sh_settings *s, const struct seccomp_notif *n)
{
    struct sockaddr_in6 own = {0};
    socklen_t size = sizeof(own);
    uint16_t port;
    GUEST_AUTOCLOSE int fd = take_socket((pid_t)n->pid, (int)n->data.args[0]);
    if (fd == -EBADF)
        return 0; /* the call says so itself */
    if (fd < 0)
        return fd;
    int family = read_option(fd, SO_DOMAIN), type = read_option(fd, SO_TYPE);
    if ((family != AF_INET && family != AF_INET6) || (type != SOCK_STREAM && type != SOCK_DGRAM) ||
        (n->data.nr == SYS_listen) != (type == SOCK_STREAM))
        return 0;
    if (type == SOCK_STREAM) {
        if (getsockname(fd, (struct sockaddr *)&own, &size))
            return -errno;
        port = port_of(&own);
    } else {
        port = asked_port((pid_t)n->pid, n->data.args[1]);
        if (!port || port >= FIRST_EPHEMERAL)
            return 0;
    }
    return sh_settings_published(s, type == SOCK_STREAM ? SH_TCP : SH_UDP, port)
               ? 0
               : hear_loopback(fd);
}

void guest_publish_take(const struct guest *g)
{
    struct seccomp_notif n = {0};
    if (ioctl(g->notify_fd, SECCOMP_IOCTL_NOTIF_RECV, &n))
        return; /* the caller is gone */
    struct seccomp_notif_resp r = {.id = n.id};
    r.error = judge_call(&g->config.settings, &n);
    if (!r.error)
        r.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    if (ioctl(g->notify_fd, SECCOMP_IOCTL_NOTIF_SEND, &r))
        errno = 0; /* likewise */
}
