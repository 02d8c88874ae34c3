// SPDX-License-Identifier: Apache-2.0
// What of sockets the host sees and what it may say: no address of ours ever reaches it, whatever a
// program asks for; and what it tells of readiness is bounded, checked and remembered as it should
// be.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <asm/unistd_64.h>
#include <netinet/in.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <shelter/agent.h>

#include "lib/settings.h"
#include "tests/unit/libos_start.h"
#include "trusted/libos/mm/mm.h"

#define NONBLOCK 04000

static uint64_t scratch;
static unsigned seen, wrong;

/* Judged apart from the LibOS's own judgement: does it mean the enclave itself, or everybody? */
static bool is_own4(const uint8_t *p)
{
    return p[0] == 127 || p[0] == 0 || (p[0] == 10 && p[1] == 0 && p[2] == 2 && p[3] == 15) ||
           p[0] >= 224;
}

static bool is_own(const uint8_t *addr, uint32_t size)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}, zero[16];
    const uint8_t *p = addr + 8;
    if (size < 16 || addr[0] != AF_INET6)
        return size >= 8 && addr[0] == AF_INET && is_own4(addr + 4);
    if (size < 24)
        return false;
    if (!memcmp(p, mapped, 12) || !memcmp(p, zero, 12))
        return is_own4(p + 12);
    if (p[0] == 0x20 && p[1] == 0x02) /* 6to4 */
        return is_own4(p + 2);
    if (p[0] == 0 && p[1] == 0x64 && p[2] == 0xff && p[3] == 0x9b &&
        !memcmp(p + 4, zero, 8)) /* NAT64 */
        return is_own4(p + 12);
    return p[0] == 0xff;
}

static bool is_any(const uint8_t *addr, uint32_t size)
{
    static const uint8_t zero[16];
    return !memcmp(addr + (addr[0] == AF_INET ? 4 : 8), zero, addr[0] == AF_INET ? 4 : 16);
}

/* Of a bind the host hears the port; of everything else, addresses of others alone. */
static void on_address(const void *addr, uint32_t size, bool bind)
{
    const uint8_t *a = addr;
    if (size == 16 && a[0] == AF_UNSPEC && a[1] == 0) /* no destination any more */
        return;
    seen++;
    if (bind ? !is_any(a, size) : is_own(a, size))
        wrong++;
}

static uint32_t state = 1;
static uint32_t next(uint32_t below)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % below;
}

/* Ours in all its forms, neighbours of them, and others. */
static uint32_t some_address(uint8_t out[28], bool six)
{
    static const uint8_t list[][4] = {
        {127, 0, 0, 1}, {127, 9, 8, 7}, {0, 0, 0, 0},        {0, 0, 0, 1},   {10, 0, 2, 15},
        {10, 0, 2, 2},  {10, 0, 2, 16}, {10, 0, 2, 255},     {224, 0, 0, 1}, {255, 255, 255, 255},
        {192, 0, 2, 1}, {10, 0, 3, 15}, {239, 255, 255, 250}};
    static const uint8_t prefixes[][12] = {
        {[10] = 0xff, [11] = 0xff}, {0}, {0x00, 0x64, 0xff, 0x9b}};
    uint8_t v4[4];
    memcpy(v4, list[next(sizeof(list) / 4)], 4);
    if (next(4) == 0)
        v4[next(4)] ^= (uint8_t)(1u << next(8));
    memset(out, 0, 28);
    out[0] = six ? AF_INET6 : AF_INET;
    out[2] = 0x1f;
    out[3] = (uint8_t)next(4);
    if (!six) {
        memcpy(out + 4, v4, 4);
        return 16;
    }
    switch (next(6)) {
    case 0:
        out[23] = (uint8_t)next(3); /* ::, ::1, ::2 */
        break;
    case 1:
        out[8] = 0x20;
        out[9] = 0x02;
        memcpy(out + 10, v4, 4);
        break;
    case 2:
        out[8] = 0x20;
        out[9] = 0x01;
        out[23] = (uint8_t)next(256);
        break;
    default:
        memcpy(out + 8, prefixes[next(3)], 12);
        memcpy(out + 20, v4, 4);
    }
    return 28;
}

static void one_round(void)
{
    bool six = next(2);
    uint8_t addr[28];
    uint32_t size = some_address(addr, six);
    long s = call(__NR_socket, six ? AF_INET6 : AF_INET,
                  (next(2) ? SOCK_STREAM : SOCK_DGRAM) | NONBLOCK, 0);
    assert_true(s >= 0);
    memcpy((void *)scratch, addr, size);
    for (unsigned i = next(4) + 1; i; i--) {
        struct iovec *iov = (struct iovec *)(scratch + 256);
        struct msghdr *m = (struct msghdr *)(scratch + 512);
        *iov = (struct iovec){(void *)(scratch + 1024), 10};
        *m = (struct msghdr){
            .msg_iov = iov, .msg_iovlen = 1, .msg_name = (void *)scratch, .msg_namelen = size};
        switch (next(7)) {
        case 0:
        case 1:
            call(__NR_connect, s, scratch, size);
            break;
        case 2:
            call(__NR_sendto, s, scratch + 1024, 10, 0x4000, scratch, size);
            break;
        case 3:
            call(__NR_sendmsg, s, m, 0x4000);
            break;
        case 4:
            call(__NR_bind, s, scratch, size);
            break;
        case 5:
            call(__NR_listen, s, 5);
            break;
        default:
            call(__NR_getpeername, s, scratch + 1024, scratch + 2048);
        }
        size = some_address(addr, six);
        memcpy((void *)scratch, addr, size);
    }
    call(__NR_close, s);
}

static void test_own_addresses_stay(void **unused)
{
    static struct sh_published_port ports[] = {
        {0x1f00, 6}, {0x1f00, 17}, {0x1f01, 6}, {0x1f02, 17}};
    settings.ports = ports;
    settings.port_count = 4;
    unit_host.on_address = on_address;
    unit_host.lies = true;
    for (unsigned i = 0; i < 20000; i++) {
        static const long answers[] = {0, -EINPROGRESS, -EALREADY, -EISCONN, -ECONNREFUSED};
        unit_host.next_handle = 100 + i % 50;
        unit_host.lie = answers[next(5)];
        one_round();
    }
    unit_host.lies = false;
    unit_host.on_address = NULL;
    unit_host.next_handle = 0;
    settings.port_count = 0;
    assert_int_equal(wrong, 0);
    assert_true(seen > 1000);
}

/* A pod's loopback (SH_POLICY_POD): what the host hears of it, and what it does not. */
static uint8_t heard[28];
static bool heard_bind;
static void on_pod(const void *addr, uint32_t size, bool bind)
{
    seen++;
    heard_bind = bind;
    memcpy(heard, addr, size < sizeof(heard) ? size : sizeof(heard));
}

/* How many addresses the host heard of a new socket of that kind that does `nr` with 127.0.0.1. */
static unsigned heard_of(long nr, int type, uint16_t port)
{
    const uint8_t to[16] = {AF_INET, 0, (uint8_t)(port >> 8), (uint8_t)port, 127, 0, 0, 1};
    long s = call(__NR_socket, AF_INET, type | NONBLOCK, 0);
    memcpy((void *)scratch, to, sizeof(to));
    unit_host.next_handle++;
    seen = 0;
    if (nr == __NR_sendto)
        call(nr, s, scratch + 1024, 10, 0x4000, scratch, 16);
    else
        call(nr, s, scratch, 16);
    if (nr == __NR_bind && type == SOCK_STREAM)
        call(__NR_listen, s, 5);
    if (nr != __NR_bind)
        call(__NR_close, s);
    return seen;
}

static void test_pod(void **unused)
{
    static const uint8_t host[16] = {AF_INET, 0, 0x1f, 1, 10, 0, 2, 2};
    static struct sh_published_port all[] = {{0, 6}, {0, 17}};
    settings.ports = all;
    settings.port_count = 2;
    unit_host.on_address = on_pod;
    unit_host.next_handle = 90000;
    assert_int_equal(heard_of(__NR_connect, SOCK_STREAM, 0x1f01), 0);
    assert_int_equal(heard_of(__NR_bind, SOCK_STREAM, 0x1f02), 0);
    settings.pod = true;
    unit_host.lies = true;
    unit_host.lie = 0;
    assert_int_equal(heard_of(__NR_connect, SOCK_STREAM, 0x1f01), 1);
    assert_memory_equal(heard, host, 16);
    assert_false(heard_bind);
    assert_int_equal(heard_of(__NR_connect, SOCK_STREAM, SH_AGENT_PORT), 0);
    assert_int_equal(heard_of(__NR_sendto, SOCK_DGRAM, 0x1f01), 1);
    assert_memory_equal(heard, host, 16);
    assert_int_equal(heard_of(__NR_sendto, SOCK_DGRAM, SH_AGENT_PORT), 0);
    assert_int_equal(heard_of(__NR_bind, SOCK_DGRAM, SH_AGENT_PORT), 0);
    assert_int_equal(heard_of(__NR_bind, SOCK_DGRAM, 0x1f01), 1);
    assert_memory_equal(heard, host, 16);
    assert_true(heard_bind);
    assert_int_equal(heard_of(__NR_sendto, SOCK_DGRAM, 0x1f01), 0);
    assert_int_equal(heard_of(__NR_bind, SOCK_STREAM, SH_AGENT_PORT), 0);
    assert_int_equal(heard_of(__NR_bind, SOCK_STREAM, 0x1f01), 1);
    assert_memory_equal(heard, host, 16);
    assert_true(heard_bind);
    /* Who listens inside comes before the host. */
    assert_int_equal(heard_of(__NR_connect, SOCK_STREAM, 0x1f01), 0);
    settings.pod = unit_host.lies = false;
    unit_host.on_address = NULL;
    unit_host.next_handle = 0;
    settings.port_count = 0;
}

/* Whom a datagram that the host says came from 127.0.0.1:`port` is told to be from: the last two
 * bytes of the address, 1 for 127.0.0.1 and 0x202 for 10.0.2.2; or -errno. */
static long told_from(long s, int flags, uint16_t port)
{
    const uint8_t from[16] = {AF_INET, 0, (uint8_t)(port >> 8), (uint8_t)port, 127, 0, 0, 1};
    uint8_t *to = (uint8_t *)scratch;
    unit_host.from = from;
    *(uint32_t *)(scratch + 64) = 16;
    long n = call(__NR_recvfrom, s, scratch + 1024, 100, flags, scratch, scratch + 64);
    unit_host.from = NULL;
    if (n >= 0)
        assert_int_equal(to[2] << 8 | to[3], port);
    return n < 0 ? n : to[6] << 8 | to[7];
}

static void name_loopback(uint16_t port)
{
    const uint8_t to[16] = {AF_INET, 0, (uint8_t)(port >> 8), (uint8_t)port, 127, 0, 0, 1};
    memcpy((void *)scratch, to, sizeof(to));
}

/* Datagrams over a pod's loopback: only whom the program asked has the address that it asked; the
 * host cannot pass for another, and a socket that is connected inside hears nobody else. */
static void test_pod_datagrams(void **unused)
{
    static struct sh_published_port all[] = {{0, 6}, {0, 17}};
    settings.ports = all;
    settings.port_count = 2;
    settings.pod = unit_host.lies = true;
    unit_host.next_handle = 91000;
    unit_host.on_address = on_pod;
    long s = call(__NR_socket, AF_INET, SOCK_DGRAM | NONBLOCK, 0);
    name_loopback(0x1f09);
    unit_host.lie = 10;
    assert_int_equal(call(__NR_sendto, s, scratch + 1024, 10, 0, scratch, 16), 10);
    assert_int_equal(told_from(s, 0, 0x1f09), 1);
    assert_int_equal(told_from(s, 0, 0x1f0a), 0x202);
    name_loopback(0x1f0a);
    assert_int_equal(call(__NR_sendto, s, scratch + 1024, 10, 0, scratch, 16), 10);
    assert_int_equal(told_from(s, 0, 0x1f0a), 1);
    assert_int_equal(told_from(s, 0, 0x1f09), 0x202);
    name_loopback(0x1f0b);
    assert_int_equal(call(__NR_connect, s, scratch, 16), 0);
    assert_int_equal(told_from(s, 0, 0x1f0a), -EAGAIN);
    unit_host.lie = 0;
    seen = 0;
    call(__NR_sendto, s, scratch + 1024, 10, 0, 0, 0);
    assert_int_equal(seen, 1);
    assert_int_equal(told_from(s, 0, 0x1f0b), 1);
    assert_int_equal(told_from(s, 0, 0x1f0a), -EAGAIN);
    assert_int_equal(told_from(s, MSG_PEEK, 0x1f0a), -EAGAIN);
    /* One that talks with itself. */
    unit_host.next_handle++;
    s = call(__NR_socket, AF_INET, SOCK_DGRAM | NONBLOCK, 0);
    name_loopback(0x1f0c);
    assert_int_equal(call(__NR_bind, s, scratch, 16), 0);
    name_loopback(0x1f0c);
    assert_int_equal(call(__NR_connect, s, scratch, 16), 0);
    assert_int_equal(told_from(s, 0, 0x1f0c), -EAGAIN);
    assert_int_equal(told_from(s, 0, 0x1f0d), -EAGAIN);
    settings.pod = unit_host.lies = false;
    unit_host.on_address = NULL;
    unit_host.next_handle = 0;
    settings.port_count = 0;
}

/* ---- readiness ----------------------------------------------------------------------------------
 */

/* A connection that the host holds, as handle h. */
static long connected(int32_t h)
{
    static const uint8_t far[16] = {AF_INET, 0, 0, 9, 192, 0, 2, 1};
    unit_host.next_handle = h;
    long s = call(__NR_socket, AF_INET, SOCK_STREAM | NONBLOCK, 0);
    memcpy((void *)scratch, far, sizeof(far));
    unit_host.lies = true;
    unit_host.lie = 0;
    assert_int_equal(call(__NR_connect, s, scratch, 16), 0);
    unit_host.lies = false;
    unit_host.next_handle = 0;
    return s;
}

static long watch(long e, long s, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.u64 = 7};
    memcpy((void *)scratch, &ev, sizeof(ev));
    return call(__NR_epoll_ctl, e, EPOLL_CTL_ADD, s, scratch);
}

static uint32_t tag_of(int32_t handle)
{
    for (uint32_t i = unit_host.change_count; i--;) {
        if (unit_host.changes[i % 64].handle == handle)
            return unit_host.changes[i % 64].tag;
    }
    return 0;
}

static long told(long e, struct port_event found)
{
    unit_host.found[0] = found;
    unit_host.found_count = found.ready || found.tag;
    long n = call(__NR_epoll_wait, e, scratch + 64, 8, 0);
    if (n > 0)
        assert_int_equal(((struct epoll_event *)(scratch + 64))->data.u64, 7);
    return n;
}

static long receive(long s, long size, long host_gives)
{
    unit_host.lies = true;
    unit_host.lie = host_gives;
    long r = call(__NR_recvfrom, s, scratch + 4096, size, 0, 0, 0);
    unit_host.lies = false;
    return r;
}

static const struct port_event nothing;

static void test_edges(void **unused)
{
    unit_host.quiet = true;
    unit_host.set = 90;
    long s = connected(80), e = call(__NR_epoll_create1, 0);
    assert_int_equal(watch(e, s, EPOLLIN | EPOLLET), 0);
    assert_int_equal(told(e, nothing), 0);
    struct port_event in = {.handle = 80, .ready = POLLIN, .tag = tag_of(80)};
    assert_int_not_equal(in.tag, 0);
    /* One event is one edge. */
    assert_int_equal(told(e, in), 1);
    assert_int_equal(told(e, nothing), 0);
    assert_int_equal(told(e, in), 1);
    /* After a short read the next event is an edge again; a full read leaves it unsure, and the
     * host is asked, which says no. */
    assert_int_equal(receive(s, 100, 5), 5);
    assert_int_equal(told(e, nothing), 0);
    assert_int_equal(told(e, in), 1);
    assert_int_equal(receive(s, 100, 100), 100);
    assert_int_equal(told(e, nothing), 0);
    call(__NR_close, e);
    call(__NR_close, s);
}

static void test_levels(void **unused)
{
    unit_host.quiet = true;
    unit_host.set = 90;
    long s = connected(80), e = call(__NR_epoll_create1, 0);
    assert_int_equal(watch(e, s, EPOLLIN), 0);
    assert_int_equal(told(e, nothing), 0);
    struct port_event in = {.handle = 80, .ready = POLLIN, .tag = tag_of(80)};
    assert_int_equal(told(e, in), 1);
    assert_int_equal(told(e, nothing), 1); /* still */
    assert_int_equal(receive(s, 100, 5), 5);
    assert_int_equal(told(e, nothing), 0);
    /* A full read: more may be there, so the host is asked, and says yes. */
    assert_int_equal(told(e, in), 1);
    assert_int_equal(receive(s, 100, 100), 100);
    unit_host.quiet = false;
    assert_int_equal(told(e, nothing), 1);
    unit_host.quiet = true;
    assert_int_equal(receive(s, 100, -EAGAIN), -EAGAIN);
    assert_int_equal(told(e, nothing), 0);
    call(__NR_close, e);
    call(__NR_close, s);
}

/* The host makes up events: of handles that nobody has, of those that were closed, of our streams.
 */
static void test_made_up_events(void **unused)
{
    unit_host.quiet = true;
    unit_host.set = 90;
    long s = connected(80), e = call(__NR_epoll_create1, 0);
    assert_int_equal(watch(e, s, EPOLLIN | EPOLLOUT), 0);
    assert_int_equal(told(e, nothing), 0);
    uint32_t tag = tag_of(80);
    const struct port_event lies[] = {{.handle = 80, .ready = POLLIN, .tag = tag + 1},
                                      {.handle = 81, .ready = POLLIN, .tag = tag},
                                      {.handle = -1, .ready = 0xffff, .tag = tag},
                                      {.handle = INT32_MIN, .ready = 0xffff, .tag = 1},
                                      {.handle = INT32_MAX, .ready = 0xffff, .tag = tag},
                                      {.handle = 0, .ready = 0xffff, .tag = 0},
                                      {.handle = 90, .ready = 0xffff, .tag = tag},
                                      {.handle = 80, .ready = 0, .tag = tag},
                                      {.handle = 80, .ready = (uint16_t)~0x201f, .tag = tag}};
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
        assert_int_equal(told(e, lies[i]), 0);
    /* Closed and come again: what was said of the first means nothing for the second. */
    call(__NR_close, s);
    s = connected(80);
    assert_int_equal(watch(e, s, EPOLLIN), 0);
    assert_int_equal(told(e, (struct port_event){.handle = 80, .ready = POLLIN, .tag = tag}), 0);
    assert_int_equal(told(e, (struct port_event){.handle = 80, .ready = POLLIN, .tag = tag_of(80)}),
                     1);
    /* A handle that is given twice is a lie. */
    static const uint8_t far[16] = {AF_INET, 0, 0, 9, 192, 0, 2, 1};
    long t = call(__NR_socket, AF_INET, SOCK_STREAM, 0);
    memcpy((void *)scratch, far, sizeof(far));
    unit_host.next_handle = 80;
    unit_host.lies = true;
    unit_host.lie = 0;
    assert_int_equal(call(__NR_connect, t, scratch, 16), -EIO);
    unit_host.lies = false;
    unit_host.next_handle = 0;
    call(__NR_close, t);
    call(__NR_close, e);
    call(__NR_close, s);
}

/* A timeout of 0 asks the host, once a call. */
static void test_no_time(void **unused)
{
    unit_host.quiet = false;
    long s = connected(80);
    struct pollfd p = {.fd = (int)s, .events = POLLIN};
    memcpy((void *)scratch, &p, sizeof(p));
    uint64_t calls = unit_host.calls;
    assert_int_equal(call(__NR_poll, scratch, 1, 0), 1);
    assert_int_equal(unit_host.calls, calls + 1);
    unit_host.quiet = true;
    assert_int_equal(receive(s, 100, 5), 5);
    calls = unit_host.calls;
    assert_int_equal(call(__NR_poll, scratch, 1, 0), 0);
    assert_int_equal(unit_host.calls, calls + 1);
    call(__NR_close, s);
}

/* Ten thousand idle ones cost a turn nothing: one call out, one question at most. */
static void test_many(void **unused)
{
    enum { MANY = 10000 };
    static long fds[MANY];
    unit_host.quiet = true;
    unit_host.set = 90;
    current()->limits[7].soft = MANY + 100;
    long e = call(__NR_epoll_create1, 0);
    for (int i = 0; i < MANY; i++) {
        fds[i] = connected(1000 + i);
        assert_int_equal(watch(e, fds[i], EPOLLIN), 0);
    }
    assert_int_equal(told(e, nothing), 0);
    uint64_t calls = unit_host.calls;
    uint32_t changes = unit_host.change_count;
    assert_true(changes >= MANY);
    for (int i = 0; i < 100; i++)
        assert_int_equal(told(e, nothing), 0);
    assert_int_equal(unit_host.calls, calls + 100);
    assert_int_equal(unit_host.change_count, changes);
    for (int i = 0; i < MANY; i++)
        call(__NR_close, fds[i]);
    call(__NR_close, e);
}

/* ---- while a thread sleeps ---- */

extern __thread struct thread *unit_self;
static struct thread *others[2]; /* threads of the program, which all run on ours */
static long watched[2];          /* what they use: an epoll, a file */
static long told_first;

static long as_other(int n, long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    struct thread *own = unit_self;
    unit_self = others[n];
    long r = call(nr, a, b, c, d);
    unit_self = own;
    return r;
}

static void change_others(bool come)
{
    struct thread *own = unit_self;
    for (int i = 0; i < 2; i++) {
        if (come) {
            others[i] = unit_thread(300 + i);
            continue;
        }
        list_remove(&others[i]->node);
        current()->thread_count--;
    }
    unit_self = own;
}

static long control(int operation, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.u64 = 7};
    memcpy((void *)(scratch + 2048), &ev, sizeof(ev));
    return as_other(0, __NR_epoll_ctl, (uint64_t)watched[0], (uint64_t)operation,
                    (uint64_t)watched[1], scratch + 2048);
}

static void change_meanwhile(void)
{
    assert_int_equal(control(EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT), 0);
}

static void add_meanwhile(void)
{
    assert_int_equal(control(EPOLL_CTL_ADD, EPOLLIN), 0);
    unit_host.found[0] = (struct port_event){.handle = 80, .ready = POLLIN, .tag = tag_of(80)};
    unit_host.found_count = 1;
    unit_host.set++; /* the next epoll's */
}

static void sleep_meanwhile(void)
{
    unit_host.on_sleep = add_meanwhile;
    told_first = as_other(1, __NR_epoll_wait, (uint64_t)watched[0], scratch + 256, 8, 3000);
}

/* What one thread tells the host of a file comes after what another, who sleeps now, did. */
static void test_change_meanwhile(void **unused)
{
    unit_host.quiet = true;
    unit_host.set = 90;
    change_others(true);
    long s = watched[1] = connected(80), e = watched[0] = call(__NR_epoll_create1, 0);
    assert_int_equal(watch(e, s, EPOLLIN), 0);
    unit_host.on_sleep = change_meanwhile;
    assert_int_equal(told(e, nothing), 0);
    assert_null(unit_host.on_sleep);
    assert_int_equal(unit_host.changes[(unit_host.change_count - 1) % 64].handle, 80);
    assert_true(unit_host.changes[(unit_host.change_count - 1) % 64].events & POLLOUT);
    call(__NR_close, e);
    call(__NR_close, s);
    change_others(false);
}

static void add_ready_meanwhile(void)
{
    unit_host.always = 80;
    assert_int_equal(control(EPOLL_CTL_ADD, EPOLLIN), 0);
    unit_host.always = 0;
}

/* A file of the host's that is always ready is told of by what adds it, while another sleeps. */
static void test_always_ready(void **unused)
{
    unit_host.quiet = true;
    unit_host.set = 90;
    change_others(true);
    long s = watched[1] = connected(80), e = watched[0] = call(__NR_epoll_create1, 0);
    unit_host.on_sleep = add_ready_meanwhile;
    assert_int_equal(call(__NR_epoll_ctl, e, EPOLL_CTL_ADD, call(__NR_eventfd2, 0, 0), scratch), 0);
    assert_int_equal(call(__NR_epoll_wait, e, scratch + 64, 8, 1), 1);
    assert_int_equal(((struct epoll_event *)(scratch + 64))->data.u64, 7);
    call(__NR_close, e);
    call(__NR_close, s);
    change_others(false);
}

/* More changes than go with a wait, of one thread: what is dropped and added again stays. */
static void test_changes_in_order(void **unused)
{
    enum { MANY = 130 };
    static long fds[MANY];
    unit_host.quiet = true;
    unit_host.set = 90;
    current()->limits[7].soft = MANY + 100;
    long s = connected(80), e = call(__NR_epoll_create1, 0);
    assert_int_equal(watch(e, s, EPOLLIN), 0);
    assert_int_equal(told(e, nothing), 0);
    for (int i = 0; i < MANY; i++) {
        fds[i] = connected(1000 + i);
        assert_int_equal(watch(e, fds[i], EPOLLIN), 0);
    }
    assert_int_equal(call(__NR_epoll_ctl, e, EPOLL_CTL_DEL, s, 0), 0);
    assert_int_equal(watch(e, s, EPOLLIN), 0);
    assert_int_equal(told(e, nothing), 0);
    const struct port_event *last = &unit_host.changes[(unit_host.change_count - 1) % 64];
    assert_int_equal(last->handle, 80);
    assert_true(last->events & POLLIN);
    for (int i = 0; i < MANY; i++)
        call(__NR_close, fds[i]);
    call(__NR_close, e);
    call(__NR_close, s);
}

/* Threads that sleep at an epoll, or around it, hear of the first file of the host's in it. */
static void test_set_meanwhile(void **unused)
{
    unit_host.quiet = true;
    unit_host.set = 90;
    change_others(true);
    long s = watched[1] = connected(80), e = watched[0] = call(__NR_epoll_create1, 0);
    long f = call(__NR_eventfd2, 0, 0);
    assert_int_equal(watch(e, f, EPOLLIN), 0);
    unit_host.on_sleep = sleep_meanwhile;
    assert_int_equal(call(__NR_epoll_wait, e, scratch + 64, 8, 3000), 1);
    assert_int_equal(told_first, 1);
    call(__NR_close, e);
    long around = call(__NR_epoll_create1, 0);
    e = watched[0] = call(__NR_epoll_create1, 0);
    assert_int_equal(watch(around, e, EPOLLIN), 0);
    unit_host.quiet = false;
    unit_host.on_sleep = add_meanwhile;
    assert_int_equal(call(__NR_epoll_wait, around, scratch + 64, 8, 3000), 1);
    call(__NR_close, around);
    /* Likewise when it has some already, and is new there. */
    around = watched[0] = call(__NR_epoll_create1, 0);
    watched[1] = e;
    assert_int_equal(receive(s, 100, -EAGAIN), -EAGAIN);
    unit_host.on_sleep = add_meanwhile;
    assert_int_equal(call(__NR_epoll_wait, around, scratch + 64, 8, 3000), 1);
    call(__NR_close, around);
    call(__NR_close, e);
    call(__NR_close, f);
    call(__NR_close, s);
    change_others(false);
}

static int setup(void **unused)
{
    if (start_empty())
        return -1;
    scratch = unit_memory(1 << 16);
    los_lock(); /* there is nobody to take faults */
    int r = mm_ready(scratch, 1 << 16, PORT_W);
    los_unlock();
    return r;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_addresses_stay),
        cmocka_unit_test(test_pod),
        cmocka_unit_test(test_pod_datagrams),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_made_up_events),
        cmocka_unit_test(test_no_time),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_change_meanwhile),
        cmocka_unit_test(test_set_meanwhile),
        cmocka_unit_test(test_always_ready),
        cmocka_unit_test(test_changes_in_order),
    };
    return cmocka_run_group_tests_name("libos_net", tests, setup, NULL);
}
