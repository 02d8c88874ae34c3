#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A thread for each connection: 20,000 short ones leave no thread control structure, memory or descriptor.
. tests/apps/lib.sh
need gcc
cat >"$T/server.c" <<'C'
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
static void answer(int fd)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";
    char in[4096];
    if (read(fd, in, sizeof(in)) > 0 && write(fd, text, sizeof(text) - 1) < 0)
        return;
}
static void *serve(void *p)
{
    answer((int)(long)p);
    shutdown((int)(long)p, SHUT_WR);
    close((int)(long)p);
    return NULL;
}
static void end(int number)
{
    _exit(number != SIGTERM);
}
static int listen_at(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 4096))
        perror("listen");
    return fd;
}
int main(void)
{
    pthread_attr_t detached;
    pthread_t t;
    int fd = listen_at(8080);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, end);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&detached, 65536);
    for (;;) {
        int c = accept(fd, NULL, NULL);
        if (c >= 0 && pthread_create(&t, &detached, serve, (void *)(long)c)) {
            perror("pthread_create");
            close(c);
        }
    }
}
C
gcc -O1 -pthread -o "$T/server" "$T/server.c" && add "$T/server" /bin/server
BUILD_OPTIONS="--allow stats" image threads
start threads 8080 /bin/server
count() { "$SHELTER" stats --json threads | python3 -c "import json, sys; d = json.load(sys.stdin); print(d['$1'])"; }
python3 tests/apps/clients.py short "$port" 20000 >"$T/out" 2>&1
same "threads: 20,000 connections, each a thread" "$(cat "$T/out")" "20000 answered"
sleep 1
memory=$(count zone_bytes) pages=$(count eaccept) handles=$(descriptors)
python3 tests/apps/clients.py short "$port" 20000 >"$T/out" 2>&1
same "threads: 20,000 more" "$(cat "$T/out")" "20000 answered"
sleep 1
# How many run at once, and so what is kept for them, differs; what leaks is a multiple of 20,000.
check "threads: they cost no memory" [ $(($(count zone_bytes) - memory)) -le 400000 ]
check "threads: no page and no thread control structure" [ $(($(count eaccept) - pages)) -le 64 ]
check "threads: no descriptor of the host" [ "$(descriptors)" -le $((handles + 4)) ]
check "threads: no thread of the host" [ "$(find "/proc/$(loader_pid)/task" -mindepth 1 -maxdepth 1 | wc -l)" -le 4 ]
idle threads
finish_app threads 0
