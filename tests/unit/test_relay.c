// SPDX-License-Identifier: Apache-2.0
// The relay of IPv6 connections: bytes both ways, half-closed, many at once, and a back end that is
// not there.
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "host/run/relay.h"

#define BIG (8u << 20)

static uint16_t outer, inner;
static pid_t relay;

/* A listening socket of IPv4's loopback at a free port. */
static int serve(uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 1000), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static int dial(void)
{
    struct sockaddr_in6 a = {
        .sin6_family = AF_INET6, .sin6_port = htons(outer), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct timeval limit = {20, 0};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    for (int i = 0; i < 500 && connect(fd, (struct sockaddr *)&a, sizeof(a)); i++) {
        assert_int_equal(errno, ECONNREFUSED); /* it is still starting */
        usleep(10000);
    }
    return fd;
}

static int begin(void)
{
    struct sh_port port = {.host_address = "::1"}, in;
    size_t count;
    struct sh_error err = {0};
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t size = sizeof(a);
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)))
        skip(); /* no IPv6 on this machine */
    getsockname(fd, (struct sockaddr *)&a, &size);
    close(fd);
    port.host_port = outer = ntohs(a.sin6_port);
    assert_int_equal(sh_relay_inner(&port, 1, &in, &count, &err), 0);
    assert_string_equal(in.host_address, "127.0.0.1");
    assert_true(in.host_port);
    int server = serve(&inner);
    in.host_port = inner;
    relay = sh_relay_start(&port, 1, &in, count);
    assert_true(relay > 0);
    return server;
}

static void finish(int server)
{
    close(server);
    kill(relay, SIGKILL);
    waitpid(relay, NULL, 0);
}

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 31 + (i >> 13));
}

static void *send_big(void *fd)
{
    uint8_t data[5000];
    for (size_t at = 0; at < BIG;) {
        size_t n = BIG - at < sizeof(data) ? BIG - at : sizeof(data);
        for (size_t i = 0; i < n; i++)
            data[i] = pattern(at + i);
        ssize_t done = send(*(int *)fd, data, n, MSG_NOSIGNAL);
        if (done <= 0)
            return NULL;
        at += (size_t)done;
    }
    shutdown(*(int *)fd, SHUT_WR);
    return fd;
}

static void receive_big(int fd)
{
    static uint8_t data[65536];
    size_t at = 0;
    for (ssize_t n; (n = recv(fd, data, sizeof(data), 0)) > 0; at += (size_t)n)
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(data[i], pattern(at + (size_t)i));
    assert_int_equal(at, BIG);
}

/* Eight megabytes each way at once; each end closes its half when it has said all. */
static void test_bytes(void **state)
{
    int server = begin(), client = dial(), served = accept(server, NULL, NULL);
    pthread_t threads[2];
    pthread_create(&threads[0], NULL, send_big, &client);
    pthread_create(&threads[1], NULL, send_big, &served);
    /* Each reads what the other sends; the relay holds little, so both must be read together. */
    pid_t reader = fork();
    if (!reader) {
        receive_big(served);
        _exit(0);
    }
    receive_big(client);
    int status = -1;
    waitpid(reader, &status, 0);
    assert_int_equal(status, 0);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    close(client);
    close(served);
    finish(server);
}

/* Whoever speaks first, whoever closes first. */
static void test_ends(void **state)
{
    int server = begin();
    for (int i = 0; i < 4; i++) {
        char text[8] = "";
        int client = dial(), served = accept(server, NULL, NULL);
        int first = i & 1 ? client : served, second = i & 1 ? served : client;
        assert_int_equal(send(first, "hello", 5, 0), 5);
        assert_int_equal(recv(second, text, 5, MSG_WAITALL), 5);
        assert_string_equal(text, "hello");
        struct linger reset = {1, 0};
        if (i & 2)
            setsockopt(first, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(first);
        assert_true(recv(second, text, 5, 0) <= 0); /* the end, or a reset */
        close(second);
    }
    finish(server);
}

static void test_many(void **state)
{
    enum { MANY = 300 };
    int server = begin(), client[MANY], served[MANY];
    char byte;
    for (int i = 0; i < MANY; i++) {
        client[i] = dial();
        served[i] = accept(server, NULL, NULL);
    }
    for (int i = MANY; i-- > 0;)
        assert_int_equal(send(client[i], "x", 1, 0), 1);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(recv(served[i], &byte, 1, 0), 1);
    for (int i = 0; i < MANY; i++) {
        close(client[i]);
        close(served[i]);
    }
    finish(server);
}

/* The back end is gone: so is each connection, and the relay goes on. */
static void test_nobody(void **state)
{
    char byte;
    int server = begin(), client = dial();
    close(accept(server, NULL, NULL));
    assert_true(recv(client, &byte, 1, 0) <= 0);
    close(client);
    close(server);
    for (int i = 0; i < 3; i++) {
        client = dial();
        assert_true(recv(client, &byte, 1, 0) <= 0);
        close(client);
    }
    assert_int_equal(waitpid(relay, NULL, WNOHANG), 0);
    finish(-1);
}

/* A back end publishes each port of the inside once, whatever the user wrote. */
static void test_again(void **state)
{
    struct sh_port ports[] = {
        {.host_address = "127.0.0.1", .host_port = 1, .guest_port = 80},
        {.host_port = 2, .guest_port = 80},
        {.udp = true, .host_port = 3, .guest_port = 80},
        {.host_port = 4, .guest_port = 81},
        {.udp = true, .host_address = "::1", .host_port = 5, .guest_port = 80}};
    struct sh_port in[5];
    size_t count;
    struct sh_error err = {0};
    assert_int_equal(sh_relay_inner(ports, 5, in, &count, &err), 0);
    assert_int_equal(count, 3);
    assert_memory_equal(&in[0], &ports[0], sizeof(in[0]));
    assert_memory_equal(&in[1], &ports[2], sizeof(in[1]));
    assert_memory_equal(&in[2], &ports[3], sizeof(in[2]));
}

/* Nothing to do for these. */
static void test_none(void **state)
{
    struct sh_port ports[] = {{.host_address = "127.0.0.1", .host_port = 1},
                              {.udp = true, .host_address = "127.0.0.1", .host_port = 2}};
    struct sh_port in[2];
    size_t count;
    struct sh_error err = {0};
    assert_int_equal(sh_relay_inner(ports, 2, in, &count, &err), 0);
    assert_int_equal(count, 2);
    assert_memory_equal(in, ports, sizeof(in));
    assert_int_equal(sh_relay_start(ports, 2, in, count), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),  cmocka_unit_test(test_ends), cmocka_unit_test(test_many),
        cmocka_unit_test(test_nobody), cmocka_unit_test(test_none), cmocka_unit_test(test_again),
    };
    return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
