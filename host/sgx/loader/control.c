// SPDX-License-Identifier: Apache-2.0
// Requests to the running enclave, one at a time: the enclave's own thread fetches them and
// answers. Until that thread is there, a thread of the program is made to look.
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "host/base/util.h"
#include "host/sgx/loader/loader.h"
#include "lib/bytes.h"

#define LOOK_AGAIN_MS 100
#define ANSWER_MS 60000 /* a quote may take its time */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t asked_for = PTHREAD_COND_INITIALIZER;
static enum { IDLE, ASKED, FETCHED } state; /* under the lock, as all that follows */
static struct sh_control_request request;
static uint8_t answer_type; /* of the frame */
static int64_t give_up_at;

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

void control_ask(uint32_t kind, uint32_t id, const void *data, size_t size, uint8_t type)
{
    const char *why = NULL;
    pthread_mutex_lock(&lock);
    if (state != IDLE) {
        why = "the enclave answers another request; try again";
    } else if (size > sizeof(request.data)) {
        why = "this request is too large";
    } else {
        request = (struct sh_control_request){.kind = kind, .id = id, .size = (uint32_t)size};
        memcpy(request.data, data, size);
        answer_type = type;
        state = ASKED;
        give_up_at = sh_now_ms() + ANSWER_MS;
        pthread_cond_signal(&asked_for);
    }
    pthread_mutex_unlock(&lock);
    if (why)
        send_failure(type, id, EBUSY, why);
}

int control_poll(void)
{
    uint32_t late = 0;
    uint8_t type = 0;
    pthread_mutex_lock(&lock);
    bool look = state == ASKED;
    int wait = state == IDLE ? -1 : LOOK_AGAIN_MS;
    if (state != IDLE && sh_now_ms() > give_up_at) {
        late = request.id;
        type = answer_type;
        state = IDLE;
    }
    pthread_mutex_unlock(&lock);
    if (late)
        send_failure(type, late, ETIMEDOUT, "the enclave does not answer");
    else if (look)
        loader_control_here();
    return wait;
}

int64_t call_control(struct loader_thread *t, struct sh_slot *s)
{
    pthread_mutex_lock(&lock);
    while (state != ASKED)
        pthread_cond_wait(&asked_for, &lock);
    state = FETCHED;
    memcpy(s->a, &request, sizeof(request));
    pthread_mutex_unlock(&lock);
    s->size_a = sizeof(request);
    return 0;
}

/* The enclave's counts, with the host's beside them. */
static size_t with_host_counts(char *out, const struct sh_slot *s, uint64_t size)
{
    static char inside[SH_CONTROL_ANSWER_MAX + 1];
    memcpy(inside, s->a, size);
    inside[size] = 0;
    int n = loader_stats_json(out, SH_CONTROL_ANSWER_MAX, inside);
    return n < 0 ? 0 : (size_t)n;
}

int64_t call_answer(struct loader_thread *t, struct sh_slot *s, uint64_t id, uint32_t error)
{
    static char counts[SH_CONTROL_ANSWER_MAX];
    uint64_t size = s->size_a < SH_CONTROL_ANSWER_MAX ? s->size_a : SH_CONTROL_ANSWER_MAX;
    const void *text = s->a;
    pthread_mutex_lock(&lock);
    if (state == FETCHED && id == request.id) {
        if (request.kind == SH_CONTROL_STATS && !error) {
            size = with_host_counts(counts, s, size);
            text = counts;
        }
        send_answer(answer_type, request.id, error, text, size);
        if (request.kind == SH_CONTROL_TRACE && !error)
            channel_traces(sh_le32(request.data));
        state = IDLE;
    }
    pthread_mutex_unlock(&lock);
    return 0;
}
