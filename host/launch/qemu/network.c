// SPDX-License-Identifier: Apache-2.0
// A machine's network: a process beside QEMU, which itself has none. QEMU sends it the guest's
// frames over a stream socket (a length of four bytes, big-endian, and the frame, as `-netdev
// socket` has it); it judges where each goes (host/base/egress.h) and gives it to libslirp, which
// makes connections of it. Published ports are its as well.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <shelter/network.h>

#include "host/base/util.h"
#include "host/base/walls.h"
#include "host/launch/qemu/frame.h"
#include "host/launch/qemu/parts.h"
#include "host/launch/qemu/slirp.h"

#define BACKLOG 4096 /* libslirp listens with 1: of fifty clients most would wait for seconds */
#define OUT_MAX                                                                                    \
    (1u << 20) /* bytes for a guest that does not read; then nothing is taken for it               \
                */
#define FRAME_MAX 65536u

enum { GUEST_FD = 3, REPORT_FD = 4, TAP_FD = 5 };

struct network {
    struct sh_slirp_library library;
    struct Slirp *slirp;
    const struct sh_launch_spec *spec;
    struct pollfd *polled; /* [0]: QEMU's socket, the others libslirp's */
    size_t polled_count, polled_capacity;
    struct sh_buffer out; /* to QEMU; the first out_at bytes are gone */
    size_t out_at;
    uint8_t in[2 * (4 + FRAME_MAX)];
    size_t in_size;
    struct sh_frame_flows flows;
};

/* --- libslirp's callbacks --- */

static ssize_t send_frame(const void *frame, size_t size, void *opaque)
{
    struct network *n = opaque;
    uint8_t head[4];
    sh_frame_write(head, 4, (uint32_t)size);
    sh_buffer_add(&n->out, head, sizeof(head));
    sh_buffer_add(&n->out, frame, size);
    return (ssize_t)size;
}

static int64_t read_clock(void *opaque)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* Timers are for IPv6's router advertisements, and there is no IPv6. */
static void *make_timer(void (*fired)(void *), void *fired_opaque, void *opaque)
{
    return opaque;
}
static void free_timer(void *timer, void *opaque)
{
}
static void set_timer(void *timer, int64_t at_ms, void *opaque)
{
}
static void ignore_error(const char *text, void *opaque)
{
}
static void ignore_fd(int fd, void *opaque)
{
}
static void ignore_note(void *opaque)
{
}

static int add_poll(int fd, int events, void *opaque)
{
    struct network *n = opaque;
    if (n->polled_count == n->polled_capacity) {
        n->polled_capacity = 2 * n->polled_capacity + 16;
        n->polled = sh_realloc_array(n->polled, n->polled_capacity, sizeof(*n->polled));
    }
    n->polled[n->polled_count] = (struct pollfd){
        .fd = fd,
        .events = (short)((events & SLIRP_IN ? POLLIN : 0) | (events & SLIRP_OUT ? POLLOUT : 0) |
                          (events & SLIRP_PRI ? POLLPRI : 0))};
    return (int)n->polled_count++;
}

static int polled_events(int index, void *opaque)
{
    const struct network *n = opaque;
    short e = n->polled[index].revents;
    return (e & POLLIN ? SLIRP_IN : 0) | (e & POLLOUT ? SLIRP_OUT : 0) |
           (e & POLLPRI ? SLIRP_PRI : 0) | (e & (POLLERR | POLLNVAL) ? SLIRP_ERR : 0) |
           (e & POLLHUP ? SLIRP_HUP : 0);
}

static int open_slirp(struct network *n)
{
    static const struct slirp_callbacks callbacks = {
        .send_packet = send_frame,
        .guest_error = ignore_error,
        .clock_get_ns = read_clock,
        .timer_new = make_timer,
        .timer_free = free_timer,
        .timer_mod = set_timer,
        .register_poll_fd = ignore_fd,
        .unregister_poll_fd = ignore_fd,
        .notify = ignore_note,
    };
    struct slirp_config config = {
        .version = 1,
        .in_enabled = true,
        .vnetwork.s_addr = htonl(SH_NET_OWN & 0xffffff00u),
        .vnetmask.s_addr = htonl(0xffffff00u),
        .vhost.s_addr = htonl(SH_NET_HOST),
        .vdhcp_start.s_addr = htonl(SH_NET_OWN),
        .vnameserver.s_addr = htonl(SH_NET_RESOLVER),
        .vhostname = "shelter",
        .vnameserver6 = IN6ADDR_ANY_INIT,
    };
    n->slirp = n->library.slirp_new(&config, &callbacks, n);
    return n->slirp ? 0 : -ENOMEM;
}

/* --- published ports --- */

/* listen on a socket that listens already only sets its backlog (listen(2)). */
static void raise_backlogs(void)
{
    struct rlimit files = {.rlim_cur = 1024};
    getrlimit(RLIMIT_NOFILE, &files);
    for (int fd = REPORT_FD + 1; fd < (int)files.rlim_cur; fd++) {
        int listens = 0;
        socklen_t size = sizeof(listens);
        if (fcntl(fd, F_GETFD) < 0)
            break; /* they were made one after the other */
        if (!getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) && listens)
            listen(fd, BACKLOG);
    }
}

static int publish_ports(struct network *n, const struct sh_launch_spec *spec, struct sh_error *err)
{
    for (size_t i = 0; i < spec->port_count; i++) {
        const struct sh_port *p = &spec->ports[i];
        struct in_addr host = {0}, guest = {htonl(SH_NET_OWN)};
        if (p->host_address[0])
            inet_pton(AF_INET, p->host_address, &host);
        errno = EADDRINUSE;
        if (n->library.slirp_add_hostfwd(n->slirp, p->udp, host, p->host_port, guest,
                                         p->guest_port))
            return sh_fail_errno(err, -errno, "cannot publish %s port %u", p->udp ? "UDP" : "TCP",
                                 p->host_port);
    }
    raise_backlogs();
    return 0;
}

/* --- the loop --- */

static void take_frame(struct network *n, uint8_t *frame, size_t size)
{
    uint8_t answer[SH_FRAME_REFUSAL_SIZE];
    switch (sh_frame_judge(n->spec, frame, size)) {
    case SH_FRAME_PASS:
        (void)sh_frame_to_loopback(n->spec, &n->flows, frame, size);
        if (n->spec->tap_fd >= 0)
            (void)!write(TAP_FD, frame, size); /* full: lost, as on a wire */
        else
            n->library.slirp_input(n->slirp, frame, (int)size);
        break;
    case SH_FRAME_REFUSE:
        send_frame(answer, sh_frame_refusal(frame, size, answer), n);
        break;
    case SH_FRAME_DROP:
        break;
    }
}

/* What QEMU sent. False: it is gone, or breaks the rules. */
static bool take_frames(struct network *n)
{
    size_t at = 0, size;
    ssize_t got = recv(GUEST_FD, n->in + n->in_size, sizeof(n->in) - n->in_size, MSG_DONTWAIT);
    if (got <= 0)
        return got < 0 && (errno == EAGAIN || errno == EINTR);
    n->in_size += (size_t)got;
    while (n->in_size - at >= 4 && (size = sh_frame_read(n->in + at, 4)) <= n->in_size - at - 4) {
        take_frame(n, n->in + at + 4, size);
        at += 4 + size;
    }
    n->in_size -= at;
    memmove(n->in, n->in + at, n->in_size);
    return n->in_size < 4 || sh_frame_read(n->in, 4) <= FRAME_MAX;
}

static bool flush_out(struct network *n)
{
    while (n->out_at < n->out.size) {
        ssize_t sent = send(GUEST_FD, n->out.data + n->out_at, n->out.size - n->out_at,
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return errno == EAGAIN;
        n->out_at += sent > 0 ? (size_t)sent : 0;
    }
    n->out.size = n->out_at = 0;
    return true;
}

static void serve_once(struct network *n)
{
    uint32_t timeout = UINT32_MAX;
    size_t waiting = n->out.size - n->out_at;
    bool full = waiting > OUT_MAX;
    n->polled_count = 0;
    add_poll(GUEST_FD, (full ? 0 : SLIRP_IN) | (waiting ? SLIRP_OUT : 0), n);
    if (!full)
        n->library.slirp_pollfds_fill(n->slirp, &timeout, add_poll, n);
    int r = poll(n->polled, n->polled_count, timeout > INT32_MAX ? -1 : (int)timeout);
    short guest = n->polled[0].revents;
    if (r > 0 && guest & (POLLIN | POLLHUP | POLLERR) && !take_frames(n))
        _exit(0);
    if (!full)
        n->library.slirp_pollfds_poll(n->slirp, r < 0, polled_events, n);
    if (!flush_out(n))
        _exit(0);
}

/* --- a network namespace of the workload's own: what may leave goes to its interface --- */

static void take_tap(struct network *n)
{
    uint8_t frame[FRAME_MAX];
    for (int i = 0; i < 64; i++) {
        ssize_t size = read(TAP_FD, frame, sizeof(frame));
        if (size <= 0)
            return;
        (void)sh_frame_from_loopback(n->spec, &n->flows, frame, (size_t)size);
        send_frame(frame, (size_t)size, n);
    }
}

static void carry_once(struct network *n)
{
    size_t waiting = n->out.size - n->out_at;
    struct pollfd p[2] = {{.fd = GUEST_FD, .events = (short)(POLLIN | (waiting ? POLLOUT : 0))},
                          {.fd = waiting > OUT_MAX ? -1 : TAP_FD, .events = POLLIN}};
    if (poll(p, 2, -1) < 0)
        return;
    if (p[0].revents & (POLLIN | POLLHUP | POLLERR) && !take_frames(n))
        _exit(0);
    if (p[1].revents)
        take_tap(n);
    if (!flush_out(n))
        _exit(0);
}

/* --- the process --- */

/* All that is left of this machine is its network and the name servers' addresses. */
static unsigned raise_walls(unsigned missing, uid_t id)
{
    struct sh_wall_view view = {0};
    sh_wall_view_add(&view, "/etc/resolv.conf", SH_WALL_READ);
    missing |= (unsigned)(sh_wall_files_view(&view, id) < 0) << SH_WALL_FILES;
    missing |= (unsigned)(sh_wall_user(id, id, false) < 0) << SH_WALL_USER;
    missing |= (unsigned)(sh_wall_landlock_view(&view, SH_LANDLOCK_NETWORK) < 0)
               << SH_WALL_LANDLOCK;
    missing |= (unsigned)(sh_wall_seccomp_foreign() < 0) << SH_WALL_SECCOMP;
    sh_wall_view_free(&view);
    return missing;
}

static void keep_three(int guest_fd, int report_fd, int tap_fd)
{
    int guest = fcntl(guest_fd, F_DUPFD, TAP_FD + 1),
        report = fcntl(report_fd, F_DUPFD, TAP_FD + 1),
        tap = tap_fd < 0 ? -1 : fcntl(tap_fd, F_DUPFD, TAP_FD + 1);
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < GUEST_FD; fd++)
        dup2(null, fd);
    dup2(guest, GUEST_FD);
    dup2(report, REPORT_FD);
    if (tap >= 0)
        dup2(tap, TAP_FD);
    syscall(SYS_close_range, tap < 0 ? TAP_FD : TAP_FD + 1, ~0u, 0);
}

static void prepare_network(struct network *n, const struct sh_launch_spec *spec, unsigned missing,
                            uid_t id, struct sh_error *err)
{
    char text[256];
    bool tap = spec->tap_fd >= 0;
    int r = tap ? 0 : sh_slirp_load(&n->library, err);
    if (!tap && !r && (r = open_slirp(n)))
        sh_fail_errno(err, r, "cannot start the machine's network");
    if (!tap && !r)
        r = publish_ports(n, spec, err);
    if (r)
        return;
    missing = raise_walls(missing, id);
    sh_wall_names(missing, text, sizeof(text));
    if (missing && spec->require_confinement)
        sh_fail(err, -EPERM,
                "this host cannot confine the machine's network by %s, and --require-confinement "
                "asks for it; 'shelter doctor' shows why",
                text);
}

static _Noreturn void run_network(const struct sh_launch_spec *spec, int guest_fd, int report_fd,
                                  unsigned missing, uid_t id)
{
    static struct network n;
    struct sh_error err = {0};
    n.spec = spec;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    prctl(PR_SET_NAME, "shelter-network");
    setsid(); /* the parent's group is nobody's business in there */
    keep_three(guest_fd, report_fd, spec->tap_fd);
    prepare_network(&n, spec, missing, id, &err);
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)!write(REPORT_FD, err.text, strlen(err.text) + 1);
    close(REPORT_FD);
    while (!err.text[0])
        (spec->tap_fd >= 0 ? carry_once : serve_once)(&n);
    _exit(1);
}

int sh_qemu_start_network(const struct sh_launch_spec *spec, int fd, pid_t *pid,
                          struct sh_error *err)
{
    char text[sizeof(err->text)] = "";
    int report[2];
    unsigned missing = 0;
    uid_t id = SH_WALL_UID_FIRST + (uid_t)getpid();
    if (pipe2(report, O_CLOEXEC))
        return sh_fail_errno(err, -errno, "cannot create a pipe");
    *pid = sh_wall_fork(NULL, &missing);
    if (*pid == 0)
        run_network(spec, fd, report[1], missing, id);
    int r = *pid < 0 ? -errno : 0;
    close(report[1]);
    ssize_t n = r ? 0 : read(report[0], text, sizeof(text) - 1);
    close(report[0]);
    if (r)
        return sh_fail_errno(err, r, "cannot start the process of the machine's network");
    if (n < 1)
        return sh_fail(err, -ECHILD, "the process of the machine's network ended unexpectedly");
    return text[0] ? sh_fail(err, -EIO, "%s", text) : 0;
}
