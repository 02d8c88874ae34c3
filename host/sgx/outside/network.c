// SPDX-License-Identifier: Apache-2.0
// The enclave's network as the user chose it: none, or published ports and connections outwards.
// Addresses are as in a guest of QEMU's user-mode network (<shelter/network.h>).
//
// The process that runs the enclave is behind walls and in an empty network namespace: it can make
// no socket, and send to no address. A process outside does that: it makes sockets and hands them
// over, keeps each beside its number until told to close it, and does what names an address: bind,
// connect, listen, send to. What is connected or was accepted needs it no more.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <shelter/agent.h>
#include <shelter/network.h>

#include "host/base/descriptor.h"
#include "host/base/util.h"
#include "host/base/walls.h"
#include "host/sgx/outside/outside.h"

#define ADDRESS_MAX 128u
#define SOCKETS_MAX 65536u

#define SOCKET (OUTSIDE_SEND + 1)
#define CLOSE (OUTSIDE_SEND + 2)
#define PUBLISH (OUTSIDE_SEND + 3)

struct question {
    uint32_t kind;   /* enum outside_question, or one of those above */
    uint32_t number; /* of the socket; SOCKET: family; PUBLISH: of the port */
    int32_t value;   /* SOCKET: type, LISTEN: backlog */
    uint32_t address_size;
    uint8_t address[ADDRESS_MAX];
};

static const struct outside_options *options;

/* --- what is published --- */

/* A socket a port, which holds its address until the program binds there; -1: no more. */
static int held[OUTSIDE_PORTS_MAX];
static bool was_published[OUTSIDE_PORTS_MAX]; /* by publish_later */

/* `ip`: dotted, "": any IPv4 address; NULL: any at all. */
static int bind_outside(int fd, int family, const char *ip, in_port_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = port};
    struct sockaddr_in6 b = {.sin6_family = AF_INET6, .sin6_port = port};
    int one = 1, off = 0, type = 0;
    socklen_t size = sizeof(type);
    inet_pton(AF_INET, ip && ip[0] ? ip : "0.0.0.0", &a.sin_addr);
    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
    if (type == SOCK_STREAM) /* two of datagrams could both have the port then */
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (family == AF_INET)
        return bind(fd, (const struct sockaddr *)&a, sizeof(a)) ? -errno : 0;
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (ip)
        sh_egress_map_ipv4(b.sin6_addr.s6_addr, &a.sin_addr);
    return bind(fd, (const struct sockaddr *)&b, sizeof(b)) ? -errno : 0;
}

/* What the first question is answered: 0, or -errno of the port with that number. */
struct publication {
    int result;
    unsigned port;
};

static int publish_port(unsigned i)
{
    const struct sh_port *p = &options->ports[i];
    held[i] = socket(AF_INET, (p->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    return held[i] < 0 ? -errno
                       : bind_outside(held[i], AF_INET, p->host_address, htons(p->host_port));
}

static struct publication publish_ports(void)
{
    for (unsigned i = 0; i < options->port_count; i++) {
        int r = publish_port(i);
        if (r)
            return (struct publication){r, options->ports[i].host_port};
    }
    return (struct publication){0};
}

/* One that was not known when this process began; another number on the host's side alone. */
static int64_t publish_later(const struct question *q, const void *data, size_t size)
{
    const struct outside_options *o = options;
    struct sh_port port;
    if (!o->publish_later || size != sizeof(port) || q->number >= o->port_count ||
        was_published[q->number])
        return -EINVAL;
    memcpy(&port, data, size);
    port.host_address[sizeof(port.host_address) - 1] = 0;
    was_published[q->number] = true; /* before the program runs, who may own the loader later */
    memcpy(o->ports[q->number].host_address, port.host_address, sizeof(port.host_address));
    o->ports[q->number].host_port = port.host_port;
    return publish_port(q->number);
}

/* SH_NET_HOST, in either family's form? */
static bool is_host(int family, const struct sockaddr_in *a)
{
    const struct sockaddr_in6 *b = (const void *)a;
    in_addr_t host = htonl(SH_NET_HOST);
    return family == AF_INET
               ? a->sin_addr.s_addr == host
               : IN6_IS_ADDR_V4MAPPED(&b->sin6_addr) && b->sin6_addr.s6_addr32[3] == host;
}

/* With --publish-all the address is a container's own, whose ports are nobody else's; SH_NET_HOST
 * is its loopback alone. The agent's port stays inside. */
static int bind_published(int fd, int family, int type, const struct sockaddr_in *a)
{
    unsigned port = ntohs(a->sin_port);
    if (options->publish_all && port == SH_AGENT_PORT)
        return -EACCES;
    if (options->publish_all)
        return bind_outside(fd, family, is_host(family, a) ? "127.0.0.1" : NULL, a->sin_port);
    for (unsigned i = 0; i < options->port_count; i++) {
        const struct sh_port *p = &options->ports[i];
        if (p->udp != (type == SOCK_DGRAM) || p->guest_port != port)
            continue;
        if (held[i] >= 0)
            close(held[i]);
        held[i] = -1;
        return bind_outside(fd, family, p->host_address, htons(p->host_port));
    }
    return -EACCES;
}

/* --- what addresses mean --- */

/* Whom the name server's address means: as --resolver says, else the first IPv4 one of this host,
 * else whoever listens on its loopback. */
static struct sockaddr_in resolver = {.sin_family = AF_INET};

static void find_resolver(void)
{
    const struct sh_egress_end *given = &options->resolver;
    resolver.sin_port = htons(given->port ? given->port : 53);
    if (given->port)
        memcpy(&resolver.sin_addr, given->address + 12, 4);
    else if (sh_egress_name_server("/etc/resolv.conf", &resolver.sin_addr))
        resolver.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

static void map_outside(uint8_t ip[4], in_port_t *port)
{
    uint32_t a;
    memcpy(&a, ip, 4);
    if (a == htonl(SH_NET_HOST)) {
        a = htonl(INADDR_LOOPBACK);
    } else if (a == htonl(SH_NET_RESOLVER) && *port == htons(53)) {
        a = resolver.sin_addr.s_addr;
        *port = resolver.sin_port;
    }
    memcpy(ip, &a, 4);
}

static void map_address(void *address, socklen_t size)
{
    struct sockaddr_in *a = address;
    struct sockaddr_in6 *b = address;
    if (a->sin_family == AF_INET && size >= sizeof(*a))
        map_outside((uint8_t *)&a->sin_addr, &a->sin_port);
    else if (a->sin_family == AF_INET6 && size >= sizeof(*b) && IN6_IS_ADDR_V4MAPPED(&b->sin6_addr))
        map_outside(&b->sin6_addr.s6_addr[12], &b->sin6_port);
}

void outside_seen_address(void *address, socklen_t size)
{
    struct sockaddr_in *a = address;
    if (size < sizeof(*a) || a->sin_family != AF_INET ||
        a->sin_addr.s_addr != resolver.sin_addr.s_addr || a->sin_port != resolver.sin_port)
        return;
    a->sin_addr.s_addr = htonl(SH_NET_RESOLVER);
    a->sin_port = htons(53);
}

/* --- the process outside --- */

static int sockets[SOCKETS_MAX];    /* descriptor + 1; 0: free */
static bool published[SOCKETS_MAX]; /* bound to a published port */

/* A new one goes into *made; its number, or -errno. */
static int64_t make_socket(const struct question *q, int *made)
{
    static unsigned last;
    int family = (int)q->number, type = q->value;
    if ((family != AF_INET && family != AF_INET6) || (type != SOCK_STREAM && type != SOCK_DGRAM))
        return -EAFNOSUPPORT;
    for (unsigned i = 0; i < SOCKETS_MAX; i++) {
        unsigned n = (last + i) % SOCKETS_MAX;
        if (sockets[n])
            continue;
        *made = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (*made < 0)
            return -errno;
        sockets[n] = *made + 1;
        published[n] = false;
        last = n + 1;
        return n;
    }
    return -EMFILE;
}

static int64_t do_action(struct question *q, const void *data, size_t size)
{
    struct sockaddr_in6 own;
    socklen_t own_size = sizeof(own), option_size = sizeof(int);
    int family = 0, type = 0, fd = q->number < SOCKETS_MAX ? sockets[q->number] - 1 : -1;
    struct sockaddr *to = (struct sockaddr *)q->address;
    if (fd < 0 || q->address_size > ADDRESS_MAX)
        return -EBADF;
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &option_size);
    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &option_size);
    if (q->kind == OUTSIDE_CONNECT || q->kind == OUTSIDE_SEND) {
        if (!sh_egress_allows_socket(&options->egress, to, q->address_size,
                                     type == SOCK_DGRAM && published[q->number]))
            return -EACCES;
        map_address(to, q->address_size);
    }
    switch (q->kind) {
    case OUTSIDE_BIND: {
        int r = bind_published(fd, family, type, (struct sockaddr_in *)to);
        published[q->number] = !r;
        return r;
    }
    case OUTSIDE_CONNECT:
        return connect(fd, to, q->address_size) ? -errno : 0;
    case OUTSIDE_LISTEN: /* a socket without a port would get one that was not published */
        if (getsockname(fd, (struct sockaddr *)&own, &own_size) || !own.sin6_port)
            return -EACCES;
        return listen(fd, q->value) ? -errno : 0;
    case OUTSIDE_SEND: {
        ssize_t n = sendto(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT, to, q->address_size);
        return n < 0 ? -errno : n;
    }
    default:
        return -EINVAL;
    }
}

/* One question. False: nobody will ask any more. */
static bool serve_one(int fd)
{
    static uint8_t message[sizeof(struct question) + SH_SLOT_A_SIZE];
    struct question q;
    int made = -1;
    ssize_t n = recv(fd, message, sizeof(message), 0);
    if (n < 0 && errno == EINTR)
        return true;
    if (n < (ssize_t)sizeof(q))
        return false;
    memcpy(&q, message, sizeof(q));
    if (q.kind == CLOSE) { /* no answer */
        if (q.number < SOCKETS_MAX && sockets[q.number])
            close(sockets[q.number] - 1);
        if (q.number < SOCKETS_MAX)
            sockets[q.number] = 0;
        return true;
    }
    const uint8_t *data = message + sizeof(q);
    size_t size = (size_t)n - sizeof(q);
    int64_t r = q.kind == SOCKET    ? make_socket(&q, &made)
                : q.kind == PUBLISH ? publish_later(&q, data, size)
                                    : do_action(&q, data, size);
    return !sh_send_with_fd(fd, &r, sizeof(r), made);
}

/* Sockets are all that it needs; and root's ports, where some are published. It shares the loader's
 * mount namespace. Its filter is the one for programs that nobody has listed: what leads out is
 * refused. */
static _Noreturn void serve_questions(int fd)
{
    bool root_ports = options->publish_all;
    struct publication done;
    uid_t id = SH_WALL_UID_FIRST + options->number;
    for (unsigned i = 0; i < options->port_count; i++)
        root_ports |= options->ports[i].host_port < IPPORT_RESERVED;
    outside_begin("shelter-network", fd);
    memset(held, -1, sizeof(held));
    done = options->publish_later ? (struct publication){0} : publish_ports();
    (void)!chdir("/"); /* the root of both becomes empty when the walls are up */
    (void)sh_wall_user(id, id, root_ports);
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)sh_wall_landlock(true);
    (void)sh_wall_seccomp_foreign();
    (void)send(fd, &done, sizeof(done), MSG_NOSIGNAL);
    while (!done.result && serve_one(fd))
        ;
    _exit(0);
}

/* --- the enclave's side --- */

static struct outside_process network = {.fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER};
static uint32_t numbers[SOCKETS_MAX]; /* of a descriptor's socket outside, + 1; 0: it has none */

int outside_network_open(const struct outside_options *o, struct sh_error *err)
{
    struct publication done;
    options = o;
    if (!options->network)
        return 0;
    find_resolver();
    pid_t pid = outside_fork(&network.fd, err);
    if (pid < 0)
        return pid;
    if (pid == 0)
        serve_questions(network.fd);
    if (recv(network.fd, &done, sizeof(done), 0) != sizeof(done))
        return sh_fail(err, -EIO, "the process of the enclave's network ended unexpectedly");
    return done.result ? sh_fail_errno(err, done.result, "cannot publish port %u", done.port) : 0;
}

static int64_t ask_process(struct question *q, const void *data, size_t size, int *made)
{
    const struct iovec question[] = {{q, sizeof(*q)}, {(void *)data, size}};
    return network.fd < 0 ? -ENETUNREACH : outside_ask(&network, question, NULL, 0, made);
}

int outside_network_publish(struct sh_error *err)
{
    int none;
    for (unsigned i = 0; i < options->port_count; i++) {
        const struct sh_port *p = &options->ports[i];
        struct question q = {.kind = PUBLISH, .number = i};
        int64_t r = ask_process(&q, p, sizeof(*p), &none);
        if (r)
            return sh_fail_errno(err, (int)r, "cannot publish port %u", p->host_port);
    }
    return 0;
}

int outside_socket(int family, int type)
{
    struct question q = {.kind = SOCKET, .number = (uint32_t)family, .value = type};
    int fd = -1;
    int64_t r = ask_process(&q, NULL, 0, &fd);
    if (r < 0)
        return (int)r;
    if (fd >= 0 && fd < (int)SOCKETS_MAX) {
        __atomic_store_n(&numbers[fd], (uint32_t)r + 1, __ATOMIC_RELEASE);
        return fd;
    }
    q = (struct question){.kind = CLOSE, .number = (uint32_t)r};
    ask_process(&q, NULL, 0, &fd);
    if (fd >= 0)
        close(fd);
    return -EMFILE;
}

void outside_socket_close(int fd)
{
    uint32_t number =
        (unsigned)fd < SOCKETS_MAX ? __atomic_exchange_n(&numbers[fd], 0, __ATOMIC_ACQ_REL) : 0;
    struct question q = {.kind = CLOSE, .number = number - 1};
    if (number)
        ask_process(&q, NULL, 0, NULL);
    close(fd);
}

int64_t outside_socket_ask(int fd, enum outside_question kind, int backlog,
                           const struct iovec *address, const struct iovec *bytes)
{
    struct question q = {.kind = kind, .value = backlog};
    uint32_t number =
        (unsigned)fd < SOCKETS_MAX ? __atomic_load_n(&numbers[fd], __ATOMIC_ACQUIRE) : 0;
    int none;
    if (!number || address->iov_len > ADDRESS_MAX)
        return -EINVAL; /* accepted: it is connected, and bound */
    q.number = number - 1;
    q.address_size = (uint32_t)address->iov_len;
    memcpy(q.address, address->iov_base, address->iov_len);
    return ask_process(&q, bytes->iov_base, bytes->iov_len, &none);
}
