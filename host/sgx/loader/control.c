// SPDX-License-Identifier: Apache-2.0
// Requests to the running enclave, one after the other: the enclave's own thread fetches them and
// answers. Until that thread is there, a thread of the program is made to look.
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/util.h"
#include "host/sgx/loader/loader.h"
#include "lib/bytes.h"

#define LOOK_AGAIN_MS 100
#define ANSWER_MS 60000 /* a quote may take its time */
#define QUESTIONS_MAX 256u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t asked_for = PTHREAD_COND_INITIALIZER;
static enum { IDLE, ASKED, FETCHED } state; /* of the first; under the lock, as all that follows */
static int64_t give_up_at;

/* What was asked and not answered, first come first served. */
struct question {
    struct question *next;
    uint8_t answer_type; /* of the frame; 0: the pump is told */
    struct sh_control_request request;
};
static struct question *first;
static unsigned count;

static control_answered *tell_pump;

void control_open(control_answered *answered)
{
    tell_pump = answered;
}

static void send_answer(uint8_t type, uint32_t id, uint32_t error, const void *text, size_t size)
{
    uint8_t payload[SH_FRAME_SIZE_MAX];
    if (size > SH_CONTROL_ANSWER_MAX)
        size = SH_CONTROL_ANSWER_MAX;
    sh_put_le32(payload, id);
    sh_put_le32(payload + 4, error);
    memcpy(payload + 8, text, size);
    sh_frame_put(channel_lock(), type, 0, 0, payload, 8 + size);
    channel_unlock();
}

static void send_failure(uint8_t type, uint32_t id, uint32_t error, const char *why)
{
    send_answer(type, id, error, why, strlen(why));
}

static void send_refusal(uint8_t type, uint32_t kind, uint32_t id, uint32_t error, const char *why)
{
    if (type)
        send_failure(type, id, error, why);
    else
        tell_pump(kind, id, (int)error, why);
}

/* It is the next one's turn. The caller frees what it gets. */
static struct question *take_first(void)
{
    struct question *q = first;
    first = q->next;
    count--;
    state = first ? ASKED : IDLE;
    give_up_at = sh_now_ms() + ANSWER_MS;
    pthread_cond_signal(&asked_for);
    return q;
}

int control_ask(uint32_t kind, uint32_t id, const void *data, size_t size, uint8_t type)
{
    struct question *q = size <= SH_CONTROL_DATA_MAX ? calloc(1, sizeof(*q)) : NULL, **at = &first;
    pthread_mutex_lock(&lock);
    bool fits = q && count < QUESTIONS_MAX;
    if (fits) {
        q->answer_type = type;
        q->request = (struct sh_control_request){.kind = kind, .id = id, .size = (uint32_t)size};
        memcpy(q->request.data, data, size);
        while (*at)
            at = &(*at)->next;
        *at = q;
        count++;
        if (state == IDLE) {
            state = ASKED;
            give_up_at = sh_now_ms() + ANSWER_MS;
            pthread_cond_signal(&asked_for);
        }
    }
    pthread_mutex_unlock(&lock);
    if (fits)
        return 0;
    free(q);
    if (type)
        send_failure(type, id, EBUSY, "the enclave has too many requests to answer; try again");
    return -EBUSY;
}

int control_poll(void)
{
    struct question *late = NULL;
    pthread_mutex_lock(&lock);
    bool look = state == ASKED;
    int wait = state == IDLE ? -1 : LOOK_AGAIN_MS;
    if (state != IDLE && sh_now_ms() > give_up_at)
        late = take_first();
    pthread_mutex_unlock(&lock);
    if (late)
        send_refusal(late->answer_type, late->request.kind, late->request.id, ETIMEDOUT,
                     "the enclave does not answer");
    else if (look)
        loader_control_here();
    free(late);
    return wait;
}

int64_t call_control(struct loader_thread *t, struct sh_slot *s)
{
    pthread_mutex_lock(&lock);
    while (state != ASKED)
        pthread_cond_wait(&asked_for, &lock);
    state = FETCHED;
    memcpy(s->a, &first->request, sizeof(first->request));
    pthread_mutex_unlock(&lock);
    s->size_a = sizeof(struct sh_control_request);
    return 0;
}

static void answer_question(const struct question *q, const struct sh_slot *s, uint32_t error)
{
    uint64_t size = s->size_a < SH_CONTROL_ANSWER_MAX ? s->size_a : SH_CONTROL_ANSWER_MAX;
    const struct sh_control_request *r = &q->request;
    cleanup_free char *text = sh_alloc(size + 1), *counts = NULL;
    memcpy(text, s->a, size);
    if (!q->answer_type) {
        tell_pump(r->kind, r->id, (int)error, text);
        return;
    }
    if (r->kind == SH_CONTROL_STATS && !error && (counts = loader_stats_json(text)))
        send_answer(q->answer_type, r->id, error, counts, strlen(counts));
    else
        send_answer(q->answer_type, r->id, error, text, size);
    if (r->kind == SH_CONTROL_TRACE && !error)
        channel_traces(sh_le32(r->data));
}

int64_t call_answer(struct loader_thread *t, struct sh_slot *s, uint64_t id, uint32_t error)
{
    struct question *q = NULL;
    pthread_mutex_lock(&lock);
    if (state == FETCHED && id == first->request.id)
        q = take_first();
    pthread_mutex_unlock(&lock);
    if (q) /* without the lock: the pump asks while it holds its own */
        answer_question(q, s, error);
    free(q);
    return 0;
}
