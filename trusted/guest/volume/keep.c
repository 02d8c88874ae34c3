// SPDX-License-Identifier: Apache-2.0
// What must be on the disk, and what the anchor must have: the broker remembers the volume's
// states, and the agent asks it for us.
//
// A flush takes long: it is a thread's, and whoever asks for a sync meanwhile waits for the next,
// all of them together. Of the anchor one question is under way at a time. The volume is used on;
// who may not go on is kept here. Attacks expected here: none but that no answer comes (anchor.h).
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/io.h"
#include "trusted/guest/volume/server.h"

#define RELEASE_MS 10000 /* for the anchor to hear that the volume is closed */

/* --- on the disk --- */

static void tell_event(int fd)
{
    (void)sh_write_all(fd, &(uint64_t){1}, sizeof(uint64_t));
}

static void take_event(int fd)
{
    (void)sh_read_all(fd, &(uint64_t){0}, sizeof(uint64_t));
}

static void *flush_always(void *arg)
{
    struct server *s = arg;
    for (;;) {
        take_event(s->flush_fd);
        s->flush_result = fdatasync(s->disk_fd) ? -EIO : 0;
        tell_event(s->flushed_fd);
    }
    return NULL;
}

int sync_start(struct server *s)
{
    pthread_t thread;
    pthread_attr_t attr;
    s->flush_fd = eventfd(0, EFD_CLOEXEC);
    s->flushed_fd = eventfd(0, EFD_CLOEXEC);
    if (s->flush_fd < 0 || s->flushed_fd < 0 || pthread_attr_init(&attr) ||
        pthread_attr_setstacksize(&attr, 65536))
        return -ENOMEM;
    return -pthread_create(&thread, &attr, flush_always, s);
}

/* All that was done before the waiters' turn is on the disk, or is not. */
static void end_flush(struct server *s, int error)
{
    struct volume_state state;
    bool later = !error && s->keeper.watch.mode == ANCHOR_STRICT;
    size_t left = 0;
    volume_state(s->v, &state);
    for (size_t i = 0; i < s->waiter_count; i++) {
        struct waiter w = s->waiters[i];
        if (w.stage == WAIT_FLUSH && !later) {
            serve_answer(s, w.unique, error, 0);
            continue;
        }
        if (w.stage == WAIT_FLUSH)
            w = (struct waiter){w.unique, WAIT_ANCHOR, state};
        s->waiters[left++] = w;
    }
    s->keeper.watch.wanted = s->keeper.watch.wanted || (later && left);
    s->waiter_count = left;
}

static void begin_flush(struct server *s)
{
    int r = s->keeper.watch.lost ? -EIO : volume_sync_begin(s->v);
    for (size_t i = 0; i < s->waiter_count; i++) {
        if (s->waiters[i].stage == WAIT_TURN)
            s->waiters[i].stage = WAIT_FLUSH;
    }
    s->turn_wanted = false;
    s->flushing = r == 1;
    if (s->flushing)
        tell_event(s->flush_fd);
    else
        end_flush(s, r);
}

void sync_ask(struct server *s, uint64_t unique)
{
    if (s->waiter_count == SERVER_WAITERS)
        sync_flushed(s);
    s->waiters[s->waiter_count++] = (struct waiter){.unique = unique, .stage = WAIT_TURN};
    s->turn_wanted = true;
    if (!s->flushing)
        begin_flush(s);
}

void sync_flushed(struct server *s)
{
    take_event(s->flushed_fd);
    s->flushing = false;
    end_flush(s, volume_sync_end(s->v, s->flush_result));
    if (s->turn_wanted)
        begin_flush(s);
}

void sync_later(struct server *s)
{
    if (!s->flushing && volume_pending(s->v))
        begin_flush(s);
}

void sync_wait(struct server *s)
{
    while (s->flushing)
        sync_flushed(s);
}

/* --- with the anchor --- */

uint64_t keep_now(void)
{
    return (uint64_t)sh_now_ms();
}

static bool has_anchor(const struct keeper *k)
{
    return k->watch.mode != ANCHOR_NONE;
}

int keep_start(struct server *s, const struct server_order *o)
{
    struct keeper *k = &s->keeper;
    k->fd = o->away ? SERVER_ANCHOR_FD : -1;
    if (!o->away)
        return 0;
    if (recv(k->fd, &k->hello, sizeof(k->hello), 0) != sizeof(k->hello))
        return -EPIPE;
    k->hello.path[sizeof(k->hello.path) - 1] = 0;
    if (!o->read_only)
        k->watch.mode = o->strict ? ANCHOR_STRICT : ANCHOR_SESSION;
    k->watch.pauses = o->pauses;
    k->watch.limit = o->away * 1000ull;
    return 0;
}

/* 0: an answer will come. */
static int ask_anchor(struct keeper *k, const struct volume_state *state, enum anchor_step step)
{
    k->question = (struct anchor_question){.step = step, .state = *state};
    k->asking = send(k->fd, &k->question, sizeof(k->question), MSG_NOSIGNAL) == sizeof(k->question);
    return k->asking ? 0 : -EPIPE;
}

/* What was answered. Who asks for us is gone for ever if it is gone. */
static int take_answer(struct keeper *k)
{
    struct anchor_answer *a = &k->answer;
    ssize_t n = recv(k->fd, a, sizeof(*a), 0);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return -EAGAIN;
    k->asking = false;
    if (n != sizeof(*a))
        *a = (struct anchor_answer){-ESTALE, "the attestation agent ended"};
    a->text[sizeof(a->text) - 1] = 0;
    return 0;
}

int keep_judge(void *ctx, const struct volume_state *found)
{
    struct server *s = ctx;
    struct keeper *k = &s->keeper;
    int r = 0;
    if (k->fd < 0)
        return 0;
    const char *why = anchor_judge(&k->hello.anchor, found);
    if (why) {
        snprintf(k->why, sizeof(k->why), "%s (its key: %s)", why, k->hello.path);
        return -ESTALE;
    }
    if (!found || s->read_only)
        return 0;
    r = ask_anchor(k, found, ANCHOR_BEGIN);
    while (!r && k->asking)
        take_answer(k);
    if (r || k->answer.error) {
        snprintf(k->why, sizeof(k->why), "%s", k->answer.text);
        return -ESTALE;
    }
    anchor_heard(&k->watch, found, keep_now());
    return 0;
}

static void tell_news(const struct keeper *k, enum anchor_news news)
{
    char line[SERVER_LINE_MAX];
    if (!anchor_words(news))
        return;
    snprintf(line, sizeof(line), anchor_words(news), k->answer.text, k->watch.limit / 1000,
             anchor_then(&k->watch));
    serve_tell(line);
}

int keep_may_change(const struct server *s)
{
    int r = anchor_may_change(&s->keeper.watch, keep_now());
    return r == -EAGAIN && s->keeper.hurried ? -EIO : r;
}

/* Who waits for states that the anchor has, or in vain. */
static void answer_anchored(struct server *s)
{
    const struct keeper *k = &s->keeper;
    size_t left = 0;
    int r = keep_may_change(s);
    for (size_t i = 0; i < s->waiter_count; i++) {
        const struct waiter *w = &s->waiters[i];
        bool has = anchor_has(&k->watch, &w->state);
        if (w->stage == WAIT_ANCHOR && (has || r == -EIO || (k->hurried && k->watch.away)))
            serve_answer(s, w->unique, has ? 0 : -EIO, 0);
        else
            s->waiters[left++] = *w;
    }
    s->waiter_count = left;
}

size_t keep_take_held(struct server *s)
{
    struct keeper *k = &s->keeper;
    if (!k->held_count || keep_may_change(s) == -EAGAIN)
        return 0;
    struct held h = k->held[0];
    k->held_count--;
    memmove(k->held, k->held + 1, k->held_count * sizeof(h));
    memcpy(s->in, h.request, h.size);
    free(h.request);
    return h.size;
}

long keep_round(struct server *s)
{
    struct keeper *k = &s->keeper;
    struct volume_state state;
    if (!has_anchor(k))
        return -1;
    volume_state(s->v, &state);
    tell_news(k, anchor_waited(&k->watch, keep_now()));
    if (!k->asking && anchor_is_due(&k->watch, &state, keep_now())) {
        k->watch.wanted = false;
        if (ask_anchor(k, &state, ANCHOR_ADVANCE))
            keep_heard(s);
    }
    answer_anchored(s);
    long left = (long)(k->watch.due - keep_now());
    return k->watch.lost ? -1 : left < 0 || k->asking ? ANCHOR_PERIOD_MS : left;
}

void keep_heard(struct server *s)
{
    struct keeper *k = &s->keeper;
    uint64_t now = keep_now();
    if (take_answer(k))
        return;
    int r = k->answer.error;
    tell_news(k, r ? anchor_failed(&k->watch, r, now)
                   : anchor_heard(&k->watch, &k->question.state, now));
    if (!r)
        volume_anchored(s->v, &k->question.state);
}

int keep_hold(struct server *s, size_t size)
{
    struct keeper *k = &s->keeper;
    uint8_t *copy = malloc(size);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, s->in, size);
    k->held[k->held_count++] = (struct held){copy, size};
    return 0;
}

/* The last state, if it can be had in time. */
static void release_anchor(struct keeper *k, const struct volume_state *last)
{
    struct timeval limit = {.tv_sec = RELEASE_MS / 1000};
    (void)setsockopt(k->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (k->asking && take_answer(k))
        return;
    if (!ask_anchor(k, last, ANCHOR_RELEASE))
        take_answer(k);
}

int keep_close(struct server *s)
{
    struct volume_state last;
    if (s->keeper.watch.lost) {
        volume_abandon(s->v);
        return -EIO;
    }
    int r = volume_close(s->v, &last);
    if (!r && has_anchor(&s->keeper))
        release_anchor(&s->keeper, &last);
    return r;
}
