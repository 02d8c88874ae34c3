// SPDX-License-Identifier: Apache-2.0
// The pool of threads, and the fair choice among peers.
#include "verifier/broker/work.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include <openssl/rand.h>

#define STACK_SIZE (512u << 10)
#define REQUEST_US 100 // what a request counts at least

// While as many large ones run as may, a thread for all runs one of them: it takes the next.
_Static_assert(SB_WORK_LARGE > SB_WORK_KNOWN, "large requests could be left when it stops");

static int64_t *used_by(struct sb_work *w, uint64_t peer)
{
    return &w->used_us[(peer * w->key >> 40) % SB_WORK_PEERS];
}

// Takes the item whose peer has used least; of equals the one that came first.
static struct sb_item *take_item(struct sb_work *w, bool known_only)
{
    struct sb_item **best = NULL, *item;
    int64_t least = 0;

    for (struct sb_item **at = &w->first; *at; at = &(*at)->next) {
        int64_t used = *used_by(w, (*at)->peer);

        if ((!known_only || (*at)->known) && (!(*at)->large || w->large < SB_WORK_LARGE) &&
            (!best || used < least)) {
            best = at;
            least = used;
        }
    }
    if (!best)
        return NULL;
    item = *best;
    *best = item->next;
    if (least > w->floor_us)
        w->floor_us = least;
    w->large += item->large;
    return item;
}

// One thread for one item: what is woken for nothing costs as much as a small request. Those that
// are at work look at the queue before they wait.
static void wake_one(struct sb_idle *at)
{
    if (!at->count)
        return;
    at->count--;
    at->woken++;
    pthread_cond_signal(&at->wake);
}

// For an item of a known peer one of those that take no other: the rest is for everybody.
static void wake_for(struct sb_work *w, const struct sb_item *item)
{
    wake_one(item->known && w->idle_known.count ? &w->idle_known : &w->idle);
}

static void wait_for_item(struct sb_work *w, struct sb_idle *at)
{
    at->count++;
    while (!at->woken && !w->stop)
        pthread_cond_wait(&at->wake, &w->lock);
    if (at->woken)
        at->woken--;
}

// It is over: one that waited for its place may run, by whichever thread.
static void free_place(struct sb_work *w)
{
    w->large--;
    if (w->first) {
        wake_one(&w->idle);
        wake_one(&w->idle_known);
    }
}

static int64_t cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void *work(void *arg)
{
    struct sb_work *w = arg;
    bool known_only;

    pthread_mutex_lock(&w->lock);
    known_only = w->known_started < SB_WORK_KNOWN;
    w->known_started += known_only;
    for (;;) {
        struct sb_item *item = take_item(w, known_only);
        int64_t before;
        uint64_t peer;
        bool large;

        if (!item && w->stop)
            break;
        if (!item) {
            wait_for_item(w, known_only ? &w->idle_known : &w->idle);
            continue;
        }
        pthread_mutex_unlock(&w->lock);
        before = cpu_us();
        peer = item->peer; // once run, the item may be gone
        large = item->large;
        item->run(item);
        before = cpu_us() - before;
        pthread_mutex_lock(&w->lock);
        *used_by(w, peer) += before > REQUEST_US ? before : REQUEST_US;
        if (large)
            free_place(w);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

int sb_work_start(struct sb_work *w)
{
    pthread_attr_t attr;
    int rc = 0;

    memset(w, 0, sizeof(*w));
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->idle.wake, NULL);
    pthread_cond_init(&w->idle_known.wake, NULL);
    if (RAND_bytes((unsigned char *)&w->key, sizeof(w->key)) != 1)
        return -EIO;
    w->key |= 1;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    while (!rc && w->started < SB_WORK_THREADS) {
        rc = -pthread_create(&w->thread[w->started], &attr, work, w);
        w->started += !rc;
    }
    pthread_attr_destroy(&attr);
    if (rc)
        sb_work_stop(w);
    return rc;
}

void sb_work_stop(struct sb_work *w)
{
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->idle.wake);
    pthread_cond_broadcast(&w->idle_known.wake);
    pthread_mutex_unlock(&w->lock);
    for (; w->started; w->started--)
        pthread_join(w->thread[w->started - 1], NULL);
}

bool sb_work_put(struct sb_work *w, struct sb_item *item)
{
    int64_t *used = used_by(w, item->peer);
    struct sb_item **end;

    item->next = NULL;
    pthread_mutex_lock(&w->lock);
    if (w->stop) {
        pthread_mutex_unlock(&w->lock);
        return false;
    }
    if (*used < w->floor_us) // no credit for having been idle
        *used = w->floor_us;
    for (end = &w->first; *end; end = &(*end)->next) {
    }
    *end = item;
    wake_for(w, item);
    pthread_mutex_unlock(&w->lock);
    return true;
}
