// SPDX-License-Identifier: Apache-2.0
// What must be on the disk. The flush, which takes long, is a thread's: meanwhile the volume is
// used on, and whoever asks for a sync then waits for the next, all of them together.
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/io.h"
#include "trusted/guest/volume/server.h"

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

static void begin_flush(struct server *s)
{
    int r = s->keeper.watch.lost ? -EIO : volume_sync_begin(s->v);
    memcpy(s->current, s->next, s->next_count * sizeof(s->next[0]));
    s->current_count = s->next_count;
    s->next_count = 0;
    if (r == 1) {
        s->flushing = true;
        tell_event(s->flush_fd);
        return;
    }
    keep_synced(s, s->current, s->current_count, r);
    s->current_count = 0;
}

void sync_ask(struct server *s, uint64_t unique)
{
    if (s->next_count == SERVER_WAITERS)
        sync_flushed(s);
    s->next[s->next_count++] = unique;
    if (!s->flushing)
        begin_flush(s);
}

void sync_flushed(struct server *s)
{
    take_event(s->flushed_fd);
    s->flushing = false;
    int r = volume_sync_end(s->v, s->flush_result);
    keep_synced(s, s->current, s->current_count, r);
    s->current_count = 0;
    if (s->next_count)
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
