// SPDX-License-Identifier: Apache-2.0
// The answers of the host to every call out of the LibOS, behind port `unit`: the first byte says
// how many of the rest choose system calls; what is left are the host's lies.
#include "fuzz/libos.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <arpa/inet.h>
#include <asm/unistd_64.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* One call. Nothing here may wait for another thread: there is none. */
static long one(const uint8_t **at, const uint8_t *end)
{
    static const uint32_t levels[] = {SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP, IPPROTO_IPV6};
    uint8_t *buf = memory + ROOM, *arg = memory + 3 * ROOM;
    struct sockaddr_in *in = (struct sockaddr_in *)arg;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)arg;
    struct pollfd *p = (struct pollfd *)arg;
    uint64_t what = pick(at, end) % 31, x = pick(at, end), fd = x % 8;
    bool six = x & 0x80;
    memset(arg, 0, 256);
    *(uint32_t *)(arg + 512) = ROOM; /* a length, in and out */
    *(uint32_t *)(arg + 516) = (uint32_t)x % 130;
    uint64_t length = (uint64_t)(arg + 512), address = (uint64_t)(arg + 516);
    if (six) {
        *in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(80)};
        in6->sin6_addr.s6_addr[0] = 0x20;
    } else {
        *in = (struct sockaddr_in){
            .sin_family = AF_INET, .sin_port = htons(80), .sin_addr = {htonl(0xc0000201)}};
    }
    uint32_t size = six ? sizeof(*in6) : sizeof(*in);
    switch (what) {
    case 0:
        return call(__NR_socket, six ? AF_INET6 : AF_INET,
                    x & 1 ? SOCK_STREAM : SOCK_DGRAM | SOCK_NONBLOCK, 0);
    case 1:
        return call(__NR_connect, fd, arg, size);
    case 2:
        memset(arg + 4, 0, 16);
        return call(__NR_bind, fd, arg, size);
    case 3:
        return call(__NR_listen, fd, 5);
    case 4:
        call(__NR_fcntl, fd, F_SETFL,
             O_NONBLOCK); /* of a port that is inside only nobody would ever hear */
        return call(__NR_accept4, fd, arg + 256, address, SOCK_NONBLOCK);
    case 5:
        return call(__NR_sendto, fd, buf, x * 16, 0x4040 /* NOSIGNAL, DONTWAIT */,
                    x & 8 ? arg : NULL, size);
    case 6:
        return call(__NR_recvfrom, fd, buf, x * 16, 0x40, x & 8 ? arg + 256 : NULL, address);
    case 7:
        return call(__NR_shutdown, fd, x & 3);
    case 8:
        return call(__NR_getsockname, fd, arg + 256, address);
    case 9:
        return call(__NR_getpeername, fd, arg + 256, address);
    case 10:
        return call(__NR_getsockopt, fd, levels[x >> 6], pick(at, end), buf, length);
    case 11:
        return call(__NR_setsockopt, fd, levels[x >> 6], pick(at, end), arg, 4);
    case 12:
        for (int i = 0; i < 4; i++)
            p[i] = (struct pollfd){.fd = i, .events = (short)x};
        return call(__NR_poll, p, 4, 0);
    case 13:
        return call(__NR_read, 0, buf, x * 16);
    case 14:
        return call(__NR_write, 1 + (x & 1), buf, x * 16);
    case 15:
        return call(__NR_ioctl, x & 3, 0x5401 + (x >> 2) % 20, buf);
    case 16:
        return call(__NR_clock_gettime, x % 8, buf);
    case 17:
        memset(arg, 0, 16);
        *(uint64_t *)(arg + 8) = 1000;
        return call(__NR_nanosleep, arg, 0);
    case 18:
        strcpy((char *)arg, x & 1 ? "/data/file" : "/dev/attestation/quote");
        return call(__NR_openat, (uint64_t)AT_FDCWD, arg, O_RDONLY);
    case 19:
        return call(__NR_pread64, fd, buf, ROOM, x * 400);
    case 20:
        return call(__NR_fcntl, fd, F_SETFL, x & 8 ? O_NONBLOCK : 0);
    case 21:
        return call(__NR_epoll_create1, 0);
    case 22:
        *(uint32_t *)arg = (uint32_t)x;
        return call(__NR_epoll_ctl, x >> 5, EPOLL_CTL_ADD, fd, arg);
    case 23:
        return call(__NR_epoll_wait, fd, buf, 16, 0);
    case 24: {
        struct iovec *iov = (struct iovec *)(arg + 1024);
        struct msghdr *m = (struct msghdr *)(arg + 2048);
        *iov = (struct iovec){buf, x * 8};
        *m = (struct msghdr){
            .msg_iov = iov, .msg_iovlen = 1, .msg_name = arg + 256, .msg_namelen = (uint32_t)x};
        return call(x & 1 ? __NR_recvmsg : __NR_sendmsg, fd, m, 0x4040);
    }
    case 25:
        return call(__NR_dup, fd);
    case 26:
        return call(__NR_mmap, 0, ROOM * (1 + x % 8), PROT_READ, MAP_PRIVATE, fd, 0);
    case 27: { /* interfaces, addresses, routes; and what is none */
        uint32_t *h = (uint32_t *)arg;
        long s = call(__NR_socket, AF_NETLINK, SOCK_RAW, 0);
        h[0] = 32 + (x & 15);
        h[1] = (18 + x % 16) | (x & 0x40 ? 0x301u : 1u) << 16;
        call(__NR_sendto, s, arg, 32 + x % 64, 0x40, NULL, 0);
        call(__NR_recvfrom, s, buf, x * 16, 0x40, NULL, 0);
        return call(__NR_close, s);
    }
    case 28:
        return call(__NR_ioctl, fd, x & 1 ? 0x541b /* FIONREAD */ : 0x8910 + x / 2 % 64, arg);
    case 29: {
        struct iovec *iov = (struct iovec *)(arg + 1024);
        struct mmsghdr *m = (struct mmsghdr *)(arg + 2048);
        *iov = (struct iovec){buf, 100};
        m[0] = m[1] = (struct mmsghdr){
            .msg_hdr = {
                .msg_iov = iov, .msg_iovlen = 1, .msg_control = arg + 1100, .msg_controllen = x}};
        return call(x & 1 ? __NR_recvmmsg : __NR_sendmmsg, fd, m, 2, 0x4040, 0);
    }
    default:
        return call(__NR_close, 3 + x % 8);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!memory)
        prepare();
    if (size < 2)
        return 0;
    const uint8_t *at = data + 1, *end = at + data[0] % size;
    memset(memory, GUARD, 3 * ROOM);
    unit_host.script = end;
    unit_host.script_end = data + size;
    while (at < end) {
        long r = one(&at, end);
        if (r < -4095 || r == -516)
            abort(); /* no errno that a program may see */
    }
    check_guards();
    unit_host.script = NULL;
    unit_host.lies = false;
    for (int fd = 3; fd < 64; fd++)
        call(__NR_close, fd);
    return 0;
}
