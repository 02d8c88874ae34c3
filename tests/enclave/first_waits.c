// SPDX-License-Identifier: Apache-2.0
// Some threads wait at an epoll for the first time, all at once, round after round with a new one.
// Another makes calls that are alone, so that they are let in together. What comes afterwards on
// the standard input must be told.
//
//   first_waits ROUNDS    "go" for each, then a line of the input is awaited; "told ROUNDS" at last
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define WAITERS 4

static atomic_int begun, done; /* waits of all */
static int ep;

static void wait_once(int round)
{
    struct epoll_event e;
    atomic_fetch_add(&begun, 1);
    while (atomic_load(&begun) < WAITERS * round)
        sched_yield();
    if (epoll_wait(ep, &e, 1, 0) != 0)
        exit(2); /* nothing came yet */
    atomic_fetch_add(&done, 1);
    while (atomic_load(&done) < WAITERS * round)
        sched_yield();
}

static void *other(void *rounds)
{
    for (int i = 1; i <= *(int *)rounds; i++)
        wait_once(i);
    return NULL;
}

static void *be_alone(void *none)
{
    for (;;)
        unlink("/tmp/none");
    return none;
}

static void make_epoll(void)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLET};
    ep = epoll_create1(0);
    if (epoll_ctl(ep, EPOLL_CTL_ADD, 0, &e))
        exit(3);
}

int main(int argc, char **argv)
{
    int rounds = atoi(argv[argc - 1]);
    struct epoll_event e;
    pthread_t id;
    char line[16];
    make_epoll();
    pthread_create(&id, NULL, be_alone, NULL);
    for (int i = 1; i < WAITERS; i++)
        pthread_create(&id, NULL, other, &rounds);
    for (int i = 1; i <= rounds; i++) {
        wait_once(i);
        puts("go");
        fflush(stdout);
        if (epoll_wait(ep, &e, 1, 5000) != 1) {
            printf("round %d was not told\n", i);
            return 1;
        }
        if (read(0, line, sizeof(line)) <= 0)
            return 4;
        close(ep);
        make_epoll();
    }
    printf("told %d\n", rounds);
    return 0;
}
