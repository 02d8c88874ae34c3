// SPDX-License-Identifier: Apache-2.0
// A tar stream out of or into an instance.
#include "host/run/copy_stream.h"

#include <errno.h>
#include <string.h>

#include "host/run/exec_request.h"

#define ANSWER_MS 120000 /* without a byte of the guest */

int sh_copy_open(struct sh_copy_stream *s, const struct sh_instance *instance,
                 enum sh_exec_kind kind, const char *path, struct sh_error *err)
{
    char *args[] = {(char *)(uintptr_t)path, NULL};
    struct sh_exec_request request = {
        .kind = kind, .args = args, .arg_count = 1, .workdir = "", .user = ""};
    *s = (struct sh_copy_stream){
        .fd = -1,
        .data = {.stream = SH_STREAM_IN},
        .answer = {.stream = SH_STREAM_OUT, .window = SH_CONTROL_CREDIT},
        .words = {.stream = SH_STREAM_ERR, .window = SH_CONTROL_CREDIT},
    };
    int r = sh_exec_request_put(&s->out, &request, err);
    if (r)
        return r;
    sh_stream_grant(&s->answer, 0, &s->out);
    sh_stream_grant(&s->words, 0, &s->out);
    s->fd = sh_control_connect(instance, err);
    if (s->fd < 0)
        return s->fd;
    r = sh_control_send(s->fd, &s->out);
    return r ? sh_fail_errno(err, r, "cannot talk to the supervisor") : 0;
}

static void keep_words(struct sh_copy_stream *s, const struct sh_frame_view *f)
{
    size_t n = f->size < sizeof(s->why) - 1 ? f->size : sizeof(s->why) - 1;
    memcpy(s->why, f->data, n);
    while (n && s->why[n - 1] == '\n')
        n--;
    s->why[n] = 0;
}

/* Takes one frame from the guest; DATA of stdout is given to the caller. 1, 0 at the end, -errno.
 */
static int take_frame(struct sh_copy_stream *s, struct sh_frame_view *f)
{
    int r = sh_control_receive(s->fd, &s->in, f, ANSWER_MS);
    if (r != 1)
        return r ? r : -ECONNRESET;
    if (f->type == SH_FRAME_DATA) {
        bool words = f->stream == SH_STREAM_ERR;
        r = sh_stream_take(words ? &s->words : &s->answer, f->size);
        if (r)
            return r;
        if (words)
            keep_words(s, f);
    } else if (f->type == SH_FRAME_CREDIT) {
        sh_stream_credit(&s->data, f);
    } else if (sh_control_ended(f, &s->status, &s->refusal)) {
        s->ended = true;
    }
    return s->ended ? 0 : 1;
}

ssize_t sh_copy_read(struct sh_copy_stream *s, const void **data)
{
    struct sh_frame_view f;
    while (!s->ended) {
        sh_stream_grant(&s->answer, 0, &s->out);
        sh_stream_grant(&s->words, 0, &s->out);
        /* A session that ended does not read any more; its last words still wait for us. */
        (void)sh_control_send(s->fd, &s->out);
        int r = take_frame(s, &f);
        if (r < 0)
            return r;
        if (r && f.type == SH_FRAME_DATA && f.stream == SH_STREAM_OUT && f.size) {
            *data = f.data;
            return (ssize_t)f.size;
        }
    }
    return 0;
}

int sh_copy_write(struct sh_copy_stream *s, const void *data, size_t size)
{
    const uint8_t *p = data;
    struct sh_frame_view f;
    while (size) {
        size_t n = sh_stream_room(&s->data, size);
        int r = 0;
        if (n) {
            sh_stream_send(&s->data, p, n, &s->out);
            p += n;
            size -= n;
            r = sh_control_send(s->fd, &s->out);
        } else {
            r = take_frame(s, &f);
            r = r == 1 ? 0 : r ? r : -EPIPE;
        }
        if (r)
            return r;
    }
    return 0;
}

int sh_copy_finish(struct sh_copy_stream *s, struct sh_error *err)
{
    const void *ignored;
    int r = 0;
    if (!s->ended) {
        sh_stream_end(&s->data, &s->out);
        (void)sh_control_send(s->fd, &s->out);
    }
    while (!r && !s->ended) {
        ssize_t n = sh_copy_read(s, &ignored);
        r = n < 0 ? (int)n : 0;
    }
    if (r == -ETIMEDOUT)
        return sh_fail(err, r, "the instance does not answer");
    if (r)
        return sh_fail_errno(err, r, "the instance's supervisor ended unexpectedly");
    if (s->refusal.text[0]) {
        err->status = s->status;
        return sh_fail(err, -EIO, "%s", s->refusal.text);
    }
    if (s->status)
        return sh_fail(err, -EIO, "%s", s->why[0] ? s->why : "the guest could not copy");
    return 0;
}

void sh_copy_close(struct sh_copy_stream *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    sh_frames_free(&s->in);
    sh_fifo_free(&s->out);
}
