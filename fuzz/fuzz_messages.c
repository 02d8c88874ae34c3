// SPDX-License-Identifier: Apache-2.0
// sendmsg, recvmsg and their kin between sockets that are inside, and netlink: vectors, control
// messages, flags and requests by the bytes of the fuzzer. What a call may write is known, and all
// else must stay as it was.
#include "fuzz/libos.h"

#include <arpa/inet.h>
#include <asm/unistd_64.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define FDS 12u /* descriptors that calls are about */
#define PIECES 12u
#define PLACE(addr) ((uint64_t)(addr) - (uint64_t)memory)

static uint8_t before[4 * ROOM];
static bool may_change[4 * ROOM];
static uint64_t messages_sent, messages_received,
    answers; /* for who wants to know whether it did anything */

/* The program's structures, behind the second guard. */
struct arguments {
    struct mmsghdr messages[4];
    struct iovec vectors[4][PIECES];
    struct sockaddr_storage name;
    uint32_t size, number;
    struct timespec none;
};
static struct arguments *arguments(void)
{
    return (struct arguments *)(memory + 3 * ROOM);
}

static uint64_t pick2(const uint8_t **at, const uint8_t *end)
{
    uint64_t low = pick(at, end);
    return low | pick(at, end) << 8;
}

static int pick_fd(const uint8_t **at, const uint8_t *end)
{
    return 3 + (int)(pick(at, end) % FDS);
}

static void allow(const void *addr, uint64_t size)
{
    uint64_t place = PLACE(addr);
    if (place < 4 * ROOM && size <= 4 * ROOM - place)
        memset(may_change + place, 1, size);
}

static void watch(void)
{
    memset(may_change, 0, sizeof(may_change));
    memcpy(before, memory, 4 * ROOM);
}

static void judge(void)
{
    for (unsigned i = 0; i < 4 * ROOM; i++) {
        if (memory[i] != before[i] && !may_change[i])
            abort();
    }
}

static socklen_t put_name(struct sockaddr_storage *to, uint64_t what)
{
    struct sockaddr_in *in = (struct sockaddr_in *)to;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;
    uint16_t port = htons((uint16_t)(5000 + what % 4));
    memset(to, 0, sizeof(*to));
    if (what & 0x40) { /* an abstract name */
        to->ss_family = AF_UNIX;
        ((uint8_t *)to)[3] = (uint8_t)(what % 4);
        return (socklen_t)(4 + what % 3);
    }
    if (what & 0x80) {
        *in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
        in6->sin6_addr.s6_addr[15] = 1;
        return sizeof(*in6);
    }
    *in = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = port, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    return sizeof(*in);
}

/* Control messages in the first quarter of the buffer: well formed but for one in eight. */
static uint64_t put_control(const uint8_t **at, const uint8_t *end)
{
    static const int levels[] = {SOL_SOCKET, SOL_SOCKET,   SOL_SOCKET,
                                 IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP};
    uint8_t *to = memory + ROOM;
    uint64_t used = 0, count = pick(at, end) % 4;
    while (count-- && used < 768) {
        struct cmsghdr h = {.cmsg_level = levels[pick(at, end) % 6],
                            .cmsg_type = 1 + (int)(pick(at, end) % 3)};
        uint64_t odd = pick(at, end), files = pick(at, end) % 40;
        h.cmsg_len = odd % 8 ? sizeof(h) + files * 4 : odd * 7;
        if (h.cmsg_type == SCM_CREDENTIALS && odd % 8)
            h.cmsg_len = sizeof(h) + sizeof(struct ucred);
        memcpy(to + used, &h, sizeof(h));
        for (uint64_t i = 0; i < files; i++) {
            int fd = pick_fd(at, end);
            memcpy(to + used + sizeof(h) + i * 4, &fd, 4);
        }
        used += (sizeof(h) + files * 4 + 7) & ~7ull;
    }
    return used;
}

/* A message whose pieces lie in the rest of the buffer, or, few of them, nowhere. Returns how many
 * bytes they have. */
static uint64_t put_message(struct msghdr *m, struct iovec *v, const uint8_t **at,
                            const uint8_t *end)
{
    uint64_t total = 0, what = pick(at, end);
    *m = (struct msghdr){.msg_iov = v, .msg_iovlen = what % PIECES};
    for (uint64_t i = 0; i < m->msg_iovlen; i++) {
        uint64_t place = pick2(at, end) % (ROOM - 1024), size = pick2(at, end) % 512;
        v[i] = (struct iovec){memory + ROOM + 1024 + place,
                              size < ROOM - 1024 - place ? size : ROOM - 1024 - place};
        if (pick(at, end) == 255)
            v[i].iov_base = (void *)8;
        total += v[i].iov_len;
    }
    if ((what & 0x30) == 0x30) {
        m->msg_name = &arguments()->name;
        m->msg_namelen = put_name(m->msg_name, pick(at, end));
    }
    if (what & 0x40)
        m->msg_iovlen = pick(at, end) == 0 ? 1025 : m->msg_iovlen;
    return total;
}

static long send_some(const uint8_t **at, const uint8_t *end)
{
    struct arguments *a = arguments();
    uint64_t count = 1 + pick(at, end) % 3, control = put_control(at, end);
    int fd = pick_fd(at, end),
        flags = MSG_DONTWAIT | MSG_NOSIGNAL | (int)(pick(at, end) & ~(uint64_t)MSG_OOB);
    for (uint64_t i = 0; i < count; i++) {
        put_message(&a->messages[i].msg_hdr, a->vectors[i], at, end);
        if (pick(at, end) % 4 == 0) {
            a->messages[i].msg_hdr.msg_control = memory + ROOM;
            a->messages[i].msg_hdr.msg_controllen = control;
        }
    }
    watch();
    allow(a->messages, count * sizeof(*a->messages));
    long r = count == 1 ? call(__NR_sendmsg, fd, &a->messages[0].msg_hdr, flags)
                        : call(__NR_sendmmsg, fd, a->messages, count, flags);
    messages_sent += r >= 0;
    return r;
}

/* What came beside the bytes: whole messages in the room that was given; files that are open. */
static void check_control(const struct msghdr *m, uint64_t room)
{
    uint64_t at = 0;
    if (m->msg_controllen > room)
        abort();
    while (m->msg_controllen - at >= sizeof(struct cmsghdr)) {
        struct cmsghdr h;
        memcpy(&h, (uint8_t *)m->msg_control + at, sizeof(h));
        if (h.cmsg_len < sizeof(h) || h.cmsg_len > m->msg_controllen - at)
            abort();
        for (uint64_t i = sizeof(h);
             h.cmsg_level == SOL_SOCKET && h.cmsg_type == SCM_RIGHTS && i + 4 <= h.cmsg_len;
             i += 4) {
            int fd;
            memcpy(&fd, (uint8_t *)m->msg_control + at + i, 4);
            if (call(__NR_fcntl, fd, F_GETFD) < 0)
                abort();
        }
        uint64_t step = (h.cmsg_len + 7) & ~7ull;
        at += step < m->msg_controllen - at ? step : m->msg_controllen - at;
    }
}

static long receive_some(const uint8_t **at, const uint8_t *end)
{
    struct arguments *a = arguments();
    uint64_t count = 1 + pick(at, end) % 3, total[4], room[4];
    int fd = pick_fd(at, end);
    int flags = MSG_DONTWAIT | (int)(pick(at, end) & (MSG_PEEK | MSG_TRUNC | MSG_WAITALL)) |
                (pick(at, end) & 1 ? MSG_CMSG_CLOEXEC : 0) |
                (pick(at, end) % 8 == 0 ? MSG_ERRQUEUE : 0);
    for (uint64_t i = 0; i < count; i++) {
        struct msghdr *m = &a->messages[i].msg_hdr;
        total[i] = put_message(m, a->vectors[i], at, end);
        room[i] = pick(at, end);
        if (room[i] & 1) {
            m->msg_control = memory + ROOM + 256 * i;
            m->msg_controllen = room[i] = room[i] < 256 - 8 ? room[i] : 248;
        } else {
            room[i] = 0;
        }
    }
    watch();
    allow(a->messages, count * sizeof(*a->messages));
    allow(&a->none, sizeof(a->none));
    for (uint64_t i = 0; i < count; i++) {
        const struct msghdr *m = &a->messages[i].msg_hdr;
        allow(memory + ROOM + 256 * i, room[i]);
        if (m->msg_name)
            allow(m->msg_name, m->msg_namelen);
        for (uint64_t k = 0; k < m->msg_iovlen && m->msg_iovlen <= PIECES; k++)
            allow(m->msg_iov[k].iov_base, m->msg_iov[k].iov_len);
    }
    long r = count == 1 ? call(__NR_recvmsg, fd, &a->messages[0].msg_hdr, flags)
                        : call(__NR_recvmmsg, fd, a->messages, count, flags, &a->none);
    bool cut = flags & MSG_TRUNC; /* then it is the message's length */
    if (count == 1 && r >= 0 && (uint64_t)r > total[0] && !cut)
        abort();
    if (r > (long)count && count > 1)
        abort();
    for (long i = 0; i < (count == 1 ? r >= 0 : r); i++) {
        if (count > 1 && a->messages[i].msg_len > total[i] && !cut)
            abort();
        check_control(&a->messages[i].msg_hdr, room[i]);
    }
    messages_received += r > 0;
    return r;
}

/* A request as it comes; its answers are whole messages. */
static long ask_netlink(const uint8_t **at, const uint8_t *end)
{
    uint8_t *request = memory + ROOM, *answer = memory + ROOM + 1024;
    long fd = call(__NR_socket, AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, 0), r;
    uint64_t size = pick2(at, end) % 768, used = 0;
    for (uint64_t i = 0; i < size; i++)
        request[i] = (uint8_t)pick(at, end);
    for (uint64_t shape = pick(at, end); shape && used + sizeof(struct nlmsghdr) + 16 < size;
         shape >>= 2) {
        struct nlmsghdr *h =
            (struct nlmsghdr *)(request + used); /* most have a head that makes sense */
        h->nlmsg_len = (uint32_t)(sizeof(*h) + 16 + h->nlmsg_len % 64);
        h->nlmsg_type = (uint16_t)(16 + h->nlmsg_type % 80);
        h->nlmsg_flags |= NLM_F_REQUEST;
        used += NLMSG_ALIGN(h->nlmsg_len);
    }
    watch();
    r = call(__NR_sendto, fd, request, size, MSG_DONTWAIT, NULL, 0);
    judge();
    for (int i = 0; i < 64; i++) {
        uint64_t room = 16 + pick(at, end) * 8;
        watch();
        allow(answer, room);
        long n = call(__NR_recvfrom, fd, answer, room, MSG_DONTWAIT | MSG_TRUNC, NULL, 0);
        judge();
        if (n < 0)
            break;
        answers++;
        for (uint64_t k = 0; k + sizeof(struct nlmsghdr) <= (uint64_t)n && (uint64_t)n <= room;) {
            const struct nlmsghdr *h = (const void *)(answer + k);
            if (h->nlmsg_len < sizeof(*h) || h->nlmsg_len > (uint64_t)n - k)
                abort();
            k += NLMSG_ALIGN(h->nlmsg_len);
        }
    }
    call(__NR_close, fd);
    return r;
}

static long one(const uint8_t **at, const uint8_t *end)
{
    static const int options[][2] = {{SOL_SOCKET, SO_PASSCRED},        {SOL_SOCKET, SO_TIMESTAMP},
                                     {IPPROTO_IP, IP_PKTINFO},         {IPPROTO_IP, IP_RECVERR},
                                     {IPPROTO_IPV6, IPV6_RECVPKTINFO}, {IPPROTO_IP, IP_RECVTTL},
                                     {SOL_SOCKET, SO_RCVBUF},          {SOL_SOCKET, SO_OOBINLINE}};
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    struct arguments *a = arguments();
    uint64_t what = pick(at, end) % 16, x = pick(at, end);
    int type = types[x % 3] | SOCK_NONBLOCK;
    switch (what) {
    case 0:
    case 1:
        return call(__NR_socketpair, AF_UNIX, type, 0, &a->number);
    case 2:
        return call(__NR_socket,
                    x & 0x40   ? AF_UNIX
                    : x & 0x80 ? AF_INET6
                               : AF_INET,
                    x & 0x40 ? type : SOCK_DGRAM | SOCK_NONBLOCK, 0);
    case 3:
        return call(__NR_bind, pick_fd(at, end), &a->name, put_name(&a->name, x));
    case 4:
        return call(__NR_connect, pick_fd(at, end), &a->name, put_name(&a->name, x));
    case 5:
        a->number = 1 + x / 8 * 100;
        return call(__NR_setsockopt, pick_fd(at, end), options[x % 8][0], options[x % 8][1],
                    &a->number, 4);
    case 6:
        return call(__NR_shutdown, pick_fd(at, end), x % 4);
    case 7:
        return call(__NR_close, 3 + x % FDS);
    case 8:
        return ask_netlink(at, end);
    case 9:
        return call(__NR_dup, 3 + x % FDS);
    case 10:
    case 11:
    case 12:
        return send_some(at, end);
    default:
        return receive_some(at, end);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!memory)
        prepare();
    memset(memory, GUARD, 3 * ROOM);
    memset(memory + 3 * ROOM, 0, ROOM);
    for (const uint8_t *at = data, *end = data + size; at < end;) {
        watch();
        memset(may_change + 3 * ROOM, 1, ROOM);
        long r = one(&at, end);
        judge();
        if (r < -4095 || r == -516)
            abort(); /* no errno that a program may see */
    }
    check_guards();
    for (int fd = 3; fd < 256; fd++)
        call(__NR_close, fd);
    return 0;
}
