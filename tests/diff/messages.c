// SPDX-License-Identifier: Apache-2.0
// Random sequences of sendmsg and recvmsg: messages [SEED [COUNT]]. The same seed asks the same on
// Linux and in the enclave.
#include "facts.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "dice.h"

#define PAIRS 4
#define MOST_QUEUED 24 /* messages, far below every system's limit */

static struct pair {
    int fd[2], queued[2]; /* what waits at each end, at most */
    const char *kind;
} pairs[PAIRS];

static void open_pair(struct pair *p)
{
    static const struct {
        int type;
        const char *name;
    } kinds[] = {
        {SOCK_STREAM, "stream"}, {SOCK_DGRAM, "dgram"}, {SOCK_SEQPACKET, "seqpacket"}, {0, "udp"}};
    uint32_t k = roll(COUNT(kinds));
    *p = (struct pair){.kind = kinds[k].name};
    if (kinds[k].type) {
        sys(socketpair, AF_UNIX, kinds[k].type | SOCK_NONBLOCK, 0, p->fd);
        return;
    }
    struct sockaddr_in a[2] = {{.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    a[1] = a[0];
    for (int i = 0; i < 2; i++) {
        socklen_t n = sizeof(a[i]);
        p->fd[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        bind(p->fd[i], (struct sockaddr *)&a[i], n);
        getsockname(p->fd[i], (struct sockaddr *)&a[i], &n);
    }
    connect(p->fd[0], (struct sockaddr *)&a[1], sizeof(a[1]));
    connect(p->fd[1], (struct sockaddr *)&a[0], sizeof(a[0]));
}

static char bytes[4096], control[512] __attribute__((aligned(8)));
static struct iovec parts[6];

/* A message of a few parts. */
static void shape(struct msghdr *m, uint32_t most)
{
    *m = (struct msghdr){.msg_iov = parts, .msg_iovlen = roll(COUNT(parts))};
    size_t at = 0;
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        parts[i] = (struct iovec){bytes + at, roll(8) ? roll(most) : 0};
        at += parts[i].iov_len;
    }
}

static void put_files(struct msghdr *m, int count)
{
    struct cmsghdr *c = (struct cmsghdr *)control;
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
    for (int i = 0; i < count; i++)
        memcpy(CMSG_DATA(c) + (size_t)i * sizeof(int), &(int){roll(30) ? 1 : 999}, sizeof(int));
    m->msg_control = control;
    m->msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
}

static void ask_send(long n, struct pair *p, int side)
{
    struct msghdr m;
    int files = 0, flags = MSG_NOSIGNAL;
    static unsigned char next;
    if (p->queued[!side] >= MOST_QUEUED)
        return;
    shape(&m, 200);
    for (size_t i = 0; i < m.msg_iovlen; i++)
        for (size_t k = 0; k < parts[i].iov_len; k++)
            ((char *)parts[i].iov_base)[k] = (char)next++;
    if (roll(4) == 0)
        put_files(&m, files = 1 + (int)roll(4));
    if (roll(10) == 0)
        flags |= MSG_MORE;
    if (!strcmp(p->kind, "udp"))
        flags &= ~MSG_MORE;
    long r = sys(sendmsg, p->fd[side], &m, flags);
    if (r >= 0)
        p->queued[!side]++;
    say("sendmsg", r, "%ld: %s, %d parts, %d files, flags %x", n, p->kind, (int)m.msg_iovlen, files,
        flags);
}

/* How many files came; they are closed. */
static int take_files(struct msghdr *m)
{
    int count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
        for (size_t i = 0; c->cmsg_type == SCM_RIGHTS && i + CMSG_LEN(0) + 4 <= c->cmsg_len;
             i += 4, count++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i, 4);
            close(fd);
        }
    return count;
}

static void ask_receive(long n, struct pair *p, int side)
{
    static const int all[] = {
        0, 0, 0, MSG_PEEK, MSG_TRUNC, MSG_WAITALL, MSG_PEEK | MSG_TRUNC, MSG_CMSG_CLOEXEC};
    struct msghdr m;
    int flags = all[roll(COUNT(all))];
    shape(&m, 300);
    if (roll(3)) {
        m.msg_control = control;
        m.msg_controllen = roll(4) ? sizeof(control) : roll(40);
    }
    memset(bytes, 0, sizeof(bytes));
    size_t room = m.msg_controllen;
    long r = sys(recvmsg, p->fd[side], &m, flags | MSG_DONTWAIT), sum = 0;
    say("recvmsg", r, "%ld: %s, %d parts, control %d, flags %x", n, p->kind, (int)m.msg_iovlen,
        (int)room, flags);
    if (r < 0)
        return;
    for (size_t i = 0; i < sizeof(bytes); i++)
        sum = (sum * 31 + (unsigned char)bytes[i]) & 0xffffffff;
    say("recvmsg", sum, "%ld: bytes", n);
    say("recvmsg", (long)m.msg_controllen, "%ld: control bytes", n);
    say("recvmsg", m.msg_flags & ~MSG_CMSG_CLOEXEC, "%ld: flags", n);
    say("recvmsg", take_files(&m), "%ld: files", n);
    if (strcmp(p->kind, "stream") && !(flags & MSG_PEEK) && p->queued[side])
        p->queued[side]--;
}

static void drain(struct pair *p, int side)
{
    char b[8192];
    while (recv(p->fd[side], b, sizeof(b), MSG_DONTWAIT) > 0)
        ;
    p->queued[side] = 0;
}

static void ask(long n)
{
    struct pair *p = &pairs[roll(PAIRS)];
    int side = (int)roll(2), value = 0;
    struct pollfd look = {p->fd[side], POLLIN | POLLOUT | POLLRDHUP, 0};
    switch (roll(24)) {
    case 0:
        close(p->fd[0]);
        close(p->fd[1]);
        open_pair(p);
        break;
    case 1:
        if (roll(4) || !strcmp(p->kind, "udp"))
            break;
        value = (int)roll(3);
        say("shutdown", sys(shutdown, p->fd[side], value), "%ld: %s, %d", n, p->kind, value);
        break;
    case 2:
        value = (int)roll(2);
        if (strcmp(p->kind, "udp"))
            say("setsockopt", sys(setsockopt, p->fd[side], SOL_SOCKET, SO_PASSCRED, &value, 4),
                "%ld: SO_PASSCRED", n);
        break;
    case 3:
        say("ioctl", ioctl(p->fd[side], FIONREAD, &value) ? -errno : value, "%ld: FIONREAD: %s", n,
            p->kind);
        break;
    case 4:
        sys(poll, &look, 1, 0);
        say("poll", look.revents, "%ld: %s", n, p->kind);
        break;
    case 5:
        drain(p, side);
        break;
    case 6:
    case 7:
    case 8:
    case 9:
    case 10:
    case 11:
    case 12:
    case 13:
        ask_send(n, p, side);
        break;
    default:
        ask_receive(n, p, side);
        break;
    }
}

int main(int argc, char **argv)
{
    long count = argc > 2 ? atol(argv[2]) : 3000;
    dice_seed(argc > 1 ? argv[1] : NULL);
    facts_begin();
    for (int i = 0; i < PAIRS; i++)
        open_pair(&pairs[i]);
    for (long n = 0; n < count; n++)
        ask(n);
    facts_end();
    return 0;
}
