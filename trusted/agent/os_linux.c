// SPDX-License-Identifier: Apache-2.0
// trusted/agent/os.h on Linux: streams, randomness, time, memory.
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/io.h"
#include "trusted/agent/linux.h"

uint64_t agent_os_now_ms(void)
{
    return (uint64_t)sh_now_ms();
}

void agent_os_sleep_ms(uint32_t ms)
{
    struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

int64_t agent_os_time(void)
{
    return time(NULL);
}

static int poll_one(int fd, short events, int limit_ms)
{
    struct pollfd p = {.fd = fd, .events = events};
    return poll(&p, 1, limit_ms);
}

int (*agent_wait)(int fd, short events, int limit_ms) = poll_one;

/* 0 when ready, -ETIMEDOUT, -errno. */
static int wait_for(int fd, short events, uint64_t deadline)
{
    for (;;) {
        uint64_t now = agent_os_now_ms();
        if (now >= deadline)
            return -ETIMEDOUT;
        uint64_t left = deadline - now;
        int rc = agent_wait(fd, events, left > 60000 ? 60000 : (int)left);
        if (rc > 0)
            return 0;
        if (rc < 0 && errno != EINTR)
            return -errno;
    }
}

static int connect_one(const struct addrinfo *a, uint64_t deadline)
{
    int error = 0;
    socklen_t size = sizeof(error);
    struct sockaddr_storage any = {.ss_family = (sa_family_t)a->ai_family};
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    /* The first connect that has to choose a port draws 256 KiB of random numbers; bind none. */
    (void)bind(fd, (struct sockaddr *)&any, a->ai_addrlen);
    int rc = connect(fd, a->ai_addr, a->ai_addrlen) ? -errno : 0;
    if (rc == -EINPROGRESS) {
        rc = wait_for(fd, POLLOUT, deadline);
        if (!rc && !getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size))
            rc = -error;
    }
    if (!rc)
        return fd;
    close(fd);
    return rc;
}

int agent_os_connect(const char *host, uint16_t port, uint64_t deadline_ms)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
    char text[8];
    int rc = -ENOENT;
    snprintf(text, sizeof(text), "%u", port);
    int why = getaddrinfo(host, text, &hints, &list);
    if (why)
        return why == EAI_AGAIN ? -ETIMEDOUT : -ENOENT;
    for (const struct addrinfo *a = list; a; a = a->ai_next)
        if ((rc = connect_one(a, deadline_ms)) >= 0)
            break;
    freeaddrinfo(list);
    return rc;
}

long agent_os_read(int stream, void *out, size_t size, uint64_t deadline_ms)
{
    for (;;) {
        ssize_t n = recv(stream, out, size, MSG_DONTWAIT);
        if (n >= 0)
            return n;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        int rc = wait_for(stream, POLLIN, deadline_ms);
        if (rc)
            return rc;
    }
}

long agent_os_write(int stream, const void *data, size_t size, uint64_t deadline_ms)
{
    for (;;) {
        ssize_t n = send(stream, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0)
            return n;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        int rc = wait_for(stream, POLLOUT, deadline_ms);
        if (rc)
            return rc;
    }
}

void agent_os_close(int stream)
{
    close(stream);
}

int agent_os_random(void *out, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t n = getrandom((char *)out + at, size - at, 0);
        if (n < 0 && errno != EINTR)
            return -errno;
        at += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

void *agent_os_alloc(size_t size)
{
    return calloc(1, size ? size : 1);
}

void agent_os_free(void *p)
{
    free(p);
}
