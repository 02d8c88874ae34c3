// SPDX-License-Identifier: Apache-2.0
// Frames for the supervisor: any thread puts them, the pump sends them.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/sgx/loader/loader.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t flushed = PTHREAD_COND_INITIALIZER;
static struct sh_fifo out; /* under the lock, as all that follows but `traces` */
static enum { RUNNING, ENDING, ENDED } state;
static int last_status;
static const char *last_error, *last_why;
static int event = -1;      /* wakes the pump */
static _Atomic bool traces; /* the supervisor wants the trace */

int channel_open(struct sh_error *err)
{
    event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return event < 0 ? sh_fail_errno(err, -errno, "cannot create an event") : event;
}

struct sh_fifo *channel_lock(void)
{
    pthread_mutex_lock(&lock);
    return &out;
}

void channel_unlock(void)
{
    uint64_t one = 1;
    pthread_mutex_unlock(&lock);
    (void)!write(event, &one, sizeof(one));
}

void channel_traces(bool on)
{
    traces = on;
}

bool channel_trace(const void *text, size_t size)
{
    if (!traces)
        return false;
    pthread_mutex_lock(&lock);
    while (out.size > SH_CREDIT_WINDOW && state == RUNNING)
        pthread_cond_wait(&flushed, &lock);
    sh_frame_put(&out, SH_FRAME_TRACED, 0, 0, text, size);
    channel_unlock();
    return true;
}

void channel_exit(int status, const char *error, const char *why)
{
    pthread_mutex_lock(&lock);
    if (state == RUNNING) {
        state = ENDING;
        last_status = status;
        last_error = error;
        last_why = why;
    }
    channel_unlock();
    for (;;)
        pause();
}

void channel_killed(void)
{
    pthread_mutex_lock(&lock);
    sh_frame_put_exit(&out, 0, 0, SIGKILL, NULL);
    state = ENDED;
    channel_unlock();
}

bool channel_is_ending(void)
{
    pthread_mutex_lock(&lock);
    bool ending = state == ENDING;
    pthread_mutex_unlock(&lock);
    return ending;
}

void channel_put_last(void)
{
    pthread_mutex_lock(&lock);
    if (last_error)
        sh_frame_put_text(&out, SH_FRAME_ERROR, 0, (uint32_t)last_status, last_error);
    else
        sh_frame_put_exit(&out, 0, (uint32_t)last_status, 0, last_why);
    state = ENDED;
    channel_unlock();
}

int64_t channel_flush(int fd)
{
    pthread_mutex_lock(&lock);
    int r = sh_frames_send(&out, fd);
    int64_t left = (int64_t)out.size;
    pthread_cond_broadcast(&flushed);
    pthread_mutex_unlock(&lock);
    return r && r != -EAGAIN ? r : left;
}
