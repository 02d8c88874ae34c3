// SPDX-License-Identifier: Apache-2.0
// The clients' side of the control socket, and what both sides need of it.
#include "host/run/control.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lib/bytes.h"

/* A path of any length fits into sun_path by way of the folder's descriptor. */
static void address_of(int dir_fd, struct sockaddr_un *a)
{
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(a->sun_path, sizeof(a->sun_path), "/proc/self/fd/%d/" SH_CONTROL_SOCKET, dir_fd);
}

int sh_control_connect(const struct sh_instance *instance, struct sh_error *err)
{
    struct sockaddr_un a;
    address_of(instance->dir_fd, &a);
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return sh_fail_errno(err, -errno, "cannot make a socket");
    for (int attempt = 0; connect(fd, (struct sockaddr *)&a, sizeof(a)); attempt++) {
        if (errno == EINTR)
            continue;
        /* Just being started: its socket is there in a moment. */
        if (attempt < 100 && sh_instance_alive(instance) && errno != EACCES) {
            usleep(10000);
            struct sh_instance now = *instance;
            sh_instance_refresh(&now);
            if (sh_instance_alive(&now))
                continue;
        }
        return sh_fail(err, -ESRCH, "instance %s is not running; 'shelter start %s' starts it",
                       instance->config.name, instance->config.name);
    }
    return sh_take_fd(&fd);
}

int sh_control_listen(int dir_fd, struct sh_error *err)
{
    struct sockaddr_un a;
    address_of(dir_fd, &a);
    unlinkat(dir_fd, SH_CONTROL_SOCKET, 0);
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 64))
        return sh_fail_errno(err, -errno, "cannot make the instance's control socket");
    return sh_take_fd(&fd);
}

int sh_control_send(int fd, struct sh_fifo *out)
{
    while (out->size) {
        ssize_t n = send(fd, sh_fifo_peek(out), out->size, MSG_NOSIGNAL);
        if (n >= 0) {
            sh_fifo_drop(out, (size_t)n);
        } else if (errno == EAGAIN) {
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            poll(&p, 1, -1);
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

int sh_control_receive(int fd, struct sh_frame_reader *reader, struct sh_frame_view *frame,
                       int timeout_ms)
{
    int64_t end = sh_now_ms() + timeout_ms;
    for (;;) {
        int r = sh_frames_next(reader, frame);
        if (r)
            return r;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = timeout_ms < 0 ? -1 : end - sh_now_ms();
        if (timeout_ms >= 0 && left <= 0)
            return -ETIMEDOUT;
        if (poll(&p, 1, (int)left) <= 0)
            continue;
        uint8_t bytes[65536];
        ssize_t n = read(fd, bytes, sizeof(bytes));
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            return n && errno != ECONNRESET ? -errno : 0;
        sh_frames_feed(reader, bytes, (size_t)n);
    }
}

bool sh_control_ended(const struct sh_frame_view *frame, int *status, struct sh_error *err)
{
    if (frame->type == SH_FRAME_EXIT) {
        *status = sh_frame_exit_status(frame);
        return true;
    }
    if (frame->type == SH_FRAME_ERROR || frame->type == SH_FRAME_REFUSED) {
        char text[1024];
        sh_frame_text(frame, text, sizeof(text));
        *status = frame->type == SH_FRAME_ERROR ? (int)(sh_frame_u32(frame, 0) & 0xff)
                                                : SH_EXIT_NOT_RUN;
        if (err)
            sh_fail(err, -EIO, "%s", text);
        return true;
    }
    return false;
}

int sh_control_signal(const struct sh_instance *instance, uint32_t signal, struct sh_error *err)
{
    cleanup_close int fd = sh_control_connect(instance, err);
    if (fd < 0)
        return fd;
    struct sh_fifo out = {0};
    struct sh_frame_reader in = {0};
    struct sh_frame_view frame;
    sh_frame_put_u32(&out, SH_FRAME_SIGNAL, 0, 0, signal);
    int r = sh_control_send(fd, &out);
    if (!r)
        r = sh_control_receive(fd, &in, &frame, 10000);
    if (r < 0)
        sh_fail_errno(err, r, "the supervisor of instance %s does not answer",
                      instance->config.name);
    else if (r == 1 && frame.type == SH_FRAME_REFUSED) {
        char text[1024];
        sh_frame_text(&frame, text, sizeof(text));
        r = sh_fail(err, -EPERM, "%s", text);
    } else {
        r = 0; /* DONE, or it ended while we spoke */
    }
    sh_fifo_free(&out);
    sh_frames_free(&in);
    return r;
}

int sh_control_wait(struct sh_instance *instance, uint8_t request, uint32_t stop_ms, int *status,
                    struct sh_error *err)
{
    struct sh_error ignored = {0};
    struct sh_fifo out = {0};
    struct sh_frame_reader in = {0};
    struct sh_frame_view frame;
    bool ended = false;
    cleanup_close int fd = sh_control_connect(instance, &ignored);
    if (fd >= 0) {
        if (request == SH_CONTROL_STOP)
            sh_frame_put_u32(&out, request, 0, 0, stop_ms);
        else
            sh_frame_put(&out, request, 0, 0, NULL, 0);
        if (!sh_control_send(fd, &out))
            while (!ended && sh_control_receive(fd, &in, &frame, -1) == 1)
                ended = sh_control_ended(&frame, status, NULL);
    }
    sh_fifo_free(&out);
    sh_frames_free(&in);
    if (ended)
        return 0;
    sh_instance_refresh(instance);
    *status = instance->state.exit_code;
    if (instance->state.state == SH_STATE_EXITED)
        return 0;
    return sh_fail(err, -ESRCH, "instance %s is dead: its supervisor was killed, and its VM with it",
                   instance->config.name);
}
