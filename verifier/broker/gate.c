// SPDX-License-Identifier: Apache-2.0
// Places, deadlines, and the thread that shuts down what is late.
#include "verifier/broker/gate.h"
#include "verifier/broker/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TICK_MS 100

static void shut_place(struct sb_gate *g, struct sb_place *p)
{
    p->shut = true;
    g->shut++;
    shutdown(p->fd, SHUT_RDWR);
}

static void *watch(void *arg)
{
    struct sb_gate *g = arg;

    pthread_mutex_lock(&g->lock);
    while (!g->stop) {
        struct timespec t;
        int64_t now = sb_clock_ms();

        for (unsigned i = 0; i < g->max; i++) {
            struct sb_place *p = &g->place[i];

            if (p->fd >= 0 && !p->shut && p->until_ms && p->until_ms <= now)
                shut_place(g, p);
        }
        clock_gettime(CLOCK_MONOTONIC, &t);
        t.tv_nsec += TICK_MS * 1000000;
        t.tv_sec += t.tv_nsec / 1000000000;
        t.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&g->wake, &g->lock, &t);
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

int sb_gate_start(struct sb_gate *g, unsigned max, unsigned reserve, unsigned peer_max,
                  size_t body_max, double rate, struct sb_sessions *sessions)
{
    pthread_condattr_t monotonic;

    memset(g, 0, sizeof(*g));
    g->max = max;
    g->reserve = reserve;
    g->peer_max = peer_max;
    g->body_max = body_max;
    g->sessions = sessions;
    sb_limit_init(&g->rate, rate);
    pthread_mutex_init(&g->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&g->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    g->place = calloc(max, sizeof(*g->place));
    if (!g->place)
        return -ENOMEM;
    for (unsigned i = 0; i < max; i++)
        g->place[i].fd = -1;
    g->running = !pthread_create(&g->thread, NULL, watch, g);
    return g->running ? 0 : -EAGAIN;
}

void sb_gate_stop(struct sb_gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->stop = true;
    pthread_cond_signal(&g->wake);
    pthread_mutex_unlock(&g->lock);
    if (g->running)
        pthread_join(g->thread, NULL);
    g->running = false;
    free(g->place);
    g->place = NULL;
}

static unsigned count_of(const struct sb_gate *g, uint64_t peer)
{
    unsigned count = 0;

    for (unsigned i = 0; i < g->max; i++)
        count += g->place[i].fd >= 0 && !g->place[i].shut && g->place[i].peer == peer;
    return count;
}

// The oldest connection without a finished request, of the stranger who holds most of them.
static struct sb_place *find_victim(struct sb_gate *g, uint64_t but)
{
    struct sb_place *victim = NULL;
    unsigned most = 0;

    for (unsigned i = 0; i < g->max; i++) {
        struct sb_place *p = &g->place[i];
        unsigned n;

        if (p->fd < 0 || p->shut || p->known || p->finished || p->peer == but)
            continue;
        if (victim && p->peer == victim->peer ? p->since_ms >= victim->since_ms : false)
            continue;
        n = count_of(g, p->peer);
        if (n > most || (n == most && victim && p->since_ms < victim->since_ms)) {
            victim = p;
            most = n;
        }
    }
    return victim;
}

bool sb_gate_admit(struct sb_gate *g, const struct sockaddr *addr, int64_t now_ms)
{
    uint64_t peer = sb_peer(addr);
    bool known = sb_session_of_peer(g->sessions, peer), good;
    unsigned used, mine;

    if (!sb_limit_take(&g->rate, peer, now_ms))
        return false;
    pthread_mutex_lock(&g->lock);
    used = g->count - g->shut;
    mine = count_of(g, peer);
    good = mine < g->peer_max && g->count < g->max;
    if (good && !known && used >= g->max - g->reserve) {
        struct sb_place *victim = find_victim(g, peer);

        good = victim;
        if (victim)
            shut_place(g, victim);
    }
    pthread_mutex_unlock(&g->lock);
    return good;
}

struct sb_place *sb_gate_open(struct sb_gate *g, int fd, const struct sockaddr *addr,
                              int64_t now_ms)
{
    uint64_t peer = sb_peer(addr);
    bool known = sb_session_of_peer(g->sessions, peer);
    struct sb_place *p = NULL;

    pthread_mutex_lock(&g->lock);
    for (unsigned i = 0; !p && i < g->max; i++)
        if (g->place[i].fd < 0)
            p = &g->place[i];
    if (p) {
        *p = (struct sb_place){.fd = fd,
                               .peer = peer,
                               .since_ms = now_ms,
                               .until_ms = now_ms + SB_GATE_HEAD_MS,
                               .known = known};
        g->count++;
    }
    pthread_mutex_unlock(&g->lock);
    return p;
}

void sb_gate_close(struct sb_gate *g, struct sb_place *p)
{
    pthread_mutex_lock(&g->lock);
    g->shut -= p->shut;
    g->count--;
    p->fd = -1;
    pthread_mutex_unlock(&g->lock);
}

void sb_gate_until(struct sb_gate *g, struct sb_place *p, int64_t until_ms)
{
    pthread_mutex_lock(&g->lock);
    p->until_ms = until_ms;
    pthread_mutex_unlock(&g->lock);
}

void sb_gate_finished(struct sb_gate *g, struct sb_place *p)
{
    pthread_mutex_lock(&g->lock);
    p->finished = true;
    p->until_ms = 0;
    pthread_mutex_unlock(&g->lock);
}

bool sb_gate_take(struct sb_gate *g, const struct sb_place *p, size_t size)
{
    size_t max = p->known ? g->body_max : g->body_max / 4 * 3;
    bool good;

    pthread_mutex_lock(&g->lock);
    good = size <= max && g->body_size <= max - size;
    if (good)
        g->body_size += size;
    pthread_mutex_unlock(&g->lock);
    return good;
}

void sb_gate_give(struct sb_gate *g, size_t size)
{
    pthread_mutex_lock(&g->lock);
    g->body_size -= size;
    pthread_mutex_unlock(&g->lock);
}
