// SPDX-License-Identifier: Apache-2.0
// A server whose connections each try one promise of a stream socket; the first byte of the client
// says which (streams.py). What it says must be the same natively and in the enclave.
//
//   streams PORT
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define BULK (8u << 20)

static char data[1 << 18];

static char pattern(size_t at)
{
    return (char)(at * 7 + (at >> 8) + (at >> 16));
}

static void say(int fd, const char *text)
{
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        perror("say");
}

static void say_number(int fd, const char *what, long n)
{
    char text[64];
    snprintf(text, sizeof(text), "%s %ld;", what, n);
    say(fd, text);
}

static int watch(int fd, unsigned events)
{
    int set = epoll_create1(0);
    struct epoll_event e = {.events = events};
    epoll_ctl(set, EPOLL_CTL_ADD, fd, &e);
    return set;
}

static unsigned next_events(int set)
{
    struct epoll_event e = {0};
    return epoll_wait(set, &e, 1, 5000) == 1 ? e.events : 0;
}

static void echo(int fd)
{
    ssize_t n;
    while ((n = recv(fd, data, 1000, 0)) > 0) {
        if (send(fd, data, (size_t)n, MSG_NOSIGNAL) != n)
            return;
    }
    say(fd, "end");
}

static void send_bulk(int fd, int flags)
{
    int set = watch(fd, EPOLLOUT | EPOLLET);
    for (size_t at = 0; at < BULK;) {
        size_t size = 1 + at % sizeof(data);
        for (size_t i = 0; i < size; i++)
            data[i] = pattern(at + i);
        size = BULK - at < size ? BULK - at : size;
        ssize_t n = send(fd, data, size, flags | MSG_NOSIGNAL);
        if (n < 0 && (errno != EAGAIN || !(next_events(set) & EPOLLOUT)))
            return;
        at += n > 0 ? (size_t)n : 0;
    }
    shutdown(fd, SHUT_WR);
    while (recv(fd, data, sizeof(data), 0) > 0)
        ;
    close(set);
}

static void take_bulk(int fd)
{
    size_t at = 0, wrong = 0;
    ssize_t n;
    for (size_t size = 1; (n = recv(fd, data, size, 0)) > 0; size = 1 + size * 5 % sizeof(data)) {
        for (ssize_t i = 0; i < n; i++)
            wrong += data[i] != pattern(at++);
    }
    say_number(fd, "took", (long)at);
    say_number(fd, "wrong", (long)wrong);
}

static void compute(int fd)
{
    struct timespec a, b;
    say(fd, "early");
    clock_gettime(CLOCK_MONOTONIC, &a);
    do
        clock_gettime(CLOCK_MONOTONIC, &b);
    while (b.tv_sec - a.tv_sec + (b.tv_nsec - a.tv_nsec) / 1e9 < 1.0);
    say(fd, "late");
}

static void peek(int fd)
{
    int n = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    poll(&p, 1, 5000);
    say_number(fd, "peek", recv(fd, data, 4, MSG_PEEK));
    while (recv(fd, data, 20, MSG_PEEK) < 20)
        usleep(1000);
    ioctl(fd, FIONREAD, &n);
    say_number(fd, "there", n);
    say_number(fd, "first", recv(fd, data, 3, 0));
    ioctl(fd, FIONREAD, &n);
    say_number(fd, "there", n);
    say_number(fd, "all", recv(fd, data, 27, MSG_WAITALL));
    data[27] = 0;
    say(fd, data);
    say_number(fd, "none", recv(fd, data, 1, MSG_DONTWAIT));
    say_number(fd, "why", errno == EAGAIN);
}

static void edges(int fd)
{
    size_t total = 0, events = 0;
    int set = watch(fd, EPOLLIN | EPOLLRDHUP | EPOLLET);
    ssize_t n = 1;
    while (n && next_events(set)) {
        events++;
        while ((n = recv(fd, data, 3, MSG_DONTWAIT)) > 0)
            total += (size_t)n;
        if (n < 0 && errno != EAGAIN)
            break;
    }
    say_number(fd, "total", (long)total);
    say_number(fd, "told", events > 0 && events <= total + 1);
    close(set);
}

/* Who reads less than he asked for waits for the next edge: of what was there nothing may be left.
 */
static void shorts(int fd)
{
    size_t at = 0, wrong = 0;
    int set = watch(fd, EPOLLIN | EPOLLRDHUP | EPOLLET);
    ssize_t n = 1;
    for (unsigned e; n && (e = next_events(set));) {
        do {
            n = recv(fd, data, 8192, MSG_DONTWAIT);
            for (ssize_t i = 0; i < n; i++)
                wrong += data[i] != pattern(at++);
        } while (n == 8192 || (n > 0 && e & EPOLLRDHUP));
        usleep(at < BULK / 2 ? 20000 : 0); /* more gathers than fits into a ring */
    }
    say_number(fd, "took", (long)at);
    say_number(fd, "wrong", (long)wrong);
    close(set);
}

/* One byte an event: it must be told of each. */
static void levels(int fd)
{
    size_t total = 0;
    int set = watch(fd, EPOLLIN);
    while (next_events(set) & EPOLLIN && recv(fd, data, 1, 0) == 1)
        total++;
    say_number(fd, "total", (long)total);
    close(set);
}

static void *watcher(void *arg)
{
    int set = *(int *)arg;
    struct epoll_event e;
    while (epoll_wait(set, &e, 1, 5000) == 1 && !(e.events & EPOLLRDHUP))
        ;
    return NULL;
}

/* One thread is told of what another reads. */
static void beside(int fd)
{
    int set = watch(fd, EPOLLIN | EPOLLRDHUP | EPOLLET);
    pthread_t id;
    pthread_create(&id, NULL, watcher, &set);
    take_bulk(fd);
    pthread_join(id, NULL);
    close(set);
}

static void *half(void *arg)
{
    int fd = *(int *)arg;
    for (int i = 0; i < 2000; i++)
        send(fd, "0123456789abcdef", 16, MSG_NOSIGNAL);
    return NULL;
}

static void together(int fd)
{
    pthread_t a, b;
    pthread_create(&a, NULL, half, &fd);
    pthread_create(&b, NULL, half, &fd);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
}

static void spin(int fd)
{
    ssize_t n;
    while ((n = recv(fd, data, 10, MSG_DONTWAIT)) < 0 && errno == EAGAIN)
        ;
    say_number(fd, "spun", n);
    fcntl(fd, F_SETFL, 0);
    shutdown(fd, SHUT_RD);
    say_number(fd, "shut", recv(fd, data, 10, 0));
    shutdown(fd, SHUT_WR);
    say_number(fd, "never", send(fd, "x", 1, MSG_NOSIGNAL));
}

/* The client resets: first nothing, then an error that is told once, then EPIPE for ever. */
static void broken(int fd)
{
    int error = 0, sent = 0, set = watch(fd, EPOLLIN | EPOLLRDHUP);
    socklen_t size = sizeof(error);
    unsigned events = next_events(set);
    printf("reset: events %x\n", events & (EPOLLIN | EPOLLERR | EPOLLHUP));
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    printf("reset: error %d\n", error);
    while (send(fd, "x", 1, MSG_NOSIGNAL) == 1 && sent++ < 1000)
        usleep(100);
    printf("reset: then %d\n", errno);
    printf("reset: read %zd\n", recv(fd, data, 10, 0));
    fflush(stdout);
    close(set);
}

/* The client closes while we send. */
static void unread(int fd)
{
    int sent = 0;
    while (send(fd, data, 1000, MSG_NOSIGNAL) == 1000 && sent++ < 100000)
        usleep(100);
    printf("closed: %s\n", errno == EPIPE || errno == ECONNRESET ? "told" : "not told");
    fflush(stdout);
}

static void small(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    for (int i = 0; i < 100; i++)
        send(fd, "abc", 3, MSG_NOSIGNAL | (i % 2 ? MSG_MORE : 0));
    char got[100];
    say_number(fd, "answer", recv(fd, got, 2, MSG_WAITALL));
}

static void *serve(void *arg)
{
    int fd = (int)(long)arg;
    char kind = 0;
    recv(fd, &kind, 1, 0);
    switch (kind) {
    case 'e':
        echo(fd);
        break;
    case 'b':
        send_bulk(fd, 0);
        break;
    case 'n':
        send_bulk(fd, MSG_DONTWAIT);
        break;
    case 't':
        take_bulk(fd);
        break;
    case 'c':
        compute(fd);
        break;
    case 'p':
        peek(fd);
        break;
    case 'E':
        edges(fd);
        break;
    case 'S':
        shorts(fd);
        break;
    case 'l':
        levels(fd);
        break;
    case '2':
        beside(fd);
        break;
    case 'w':
        together(fd);
        break;
    case 's':
        spin(fd);
        break;
    case 'R':
        broken(fd);
        break;
    case 'u':
        unread(fd);
        break;
    case 'm':
        small(fd);
        break;
    case 'r':
        recv(fd, data, 1, 0);
        break; /* and closes with something unread */
    case 'x':
        memset(data, 'x', sizeof(data));
        send(fd, data, sizeof(data), 0);
        close(fd);
        exit(3);
    }
    close(fd);
    return NULL;
}

int main(int argc, char **argv)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(s, (struct sockaddr *)&a, sizeof(a)) || listen(s, 50))
        return 1;
    for (;;) {
        long fd = accept(s, NULL, NULL);
        pthread_t id;
        pthread_create(&id, NULL, serve, (void *)fd);
        pthread_join(id, NULL);
    }
}
