// SPDX-License-Identifier: Apache-2.0
// A secret that is rotated while its program runs. Shows the three ways to notice: a signal,
// inotify, and looking again.
//
//   gcc -static -o watch examples/renew/watch.c
//   shelter build -t renew -f watch:/watch -c /watch --broker-key key.pem
//       --secret password=kbs:///app/db/password:renew:HUP
//   shelter broker add-resource app/db/password --replace < new-password
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define FOLDER "/run/secrets"
#define NAME "password"

static volatile sig_atomic_t told;

static void take_signal(int number)
{
    told = number;
}

// Opened anew each time: an open file stays what it was.
static void read_secret(char out[128])
{
    int fd = open(FOLDER "/" NAME, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, out, 127);

    out[n > 0 ? n : 0] = 0;
    if (fd >= 0)
        close(fd);
}

static void show(const char *why)
{
    char now[128];

    read_secret(now);
    printf("%s: %s\n", why, now);
    fflush(stdout);
}

static void take_events(int fd)
{
    _Alignas(struct inotify_event) char events[4096];
    ssize_t n = read(fd, events, sizeof(events));

    for (ssize_t at = 0; at < n;) {
        const struct inotify_event *e = (const void *)(events + at);

        if (e->len && !strcmp(e->name, NAME))
            show("inotify");
        at += (ssize_t)(sizeof(*e) + e->len);
    }
}

int main(void)
{
    char before[128], now[128];
    struct pollfd p = {.fd = inotify_init1(IN_CLOEXEC), .events = POLLIN};

    signal(SIGHUP, take_signal);
    inotify_add_watch(p.fd, FOLDER, IN_MOVED_TO);
    read_secret(before);
    show("start");
    for (;;) {
        if (poll(&p, 1, 1000) > 0)
            take_events(p.fd);
        if (told)
            show("signal");
        told = 0;
        read_secret(now);
        if (strcmp(now, before))
            show("looked");
        memcpy(before, now, sizeof(now));
    }
}
