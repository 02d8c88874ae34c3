// SPDX-License-Identifier: Apache-2.0
// The clients' side of the control socket, and what both sides need of it.
#include "host/run/control.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cjson/cJSON.h>

#include "lib/bytes.h"

#define REQUEST_MS 120000
#define PING_MS 10000
#define SEND_MS 60000       /* a supervisor takes something meanwhile, or hangs */
#define STOP_SPARE_MS 20000 /* beyond the time that a stop may take */

/* A path of any length fits into sun_path by way of the folder's descriptor. */
static void address_of(int dir_fd, struct sockaddr_un *a)
{
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(a->sun_path, sizeof(a->sun_path), "/proc/self/fd/%d/" SH_CONTROL_SOCKET, dir_fd);
}

/* Does it answer? The reply is a head alone, so nothing behind it is read. */
static int ping_supervisor(int fd)
{
    struct sh_fifo out = {0};
    uint8_t head[8];
    sh_frame_put(&out, SH_CONTROL_PING, 0, 0, NULL, 0);
    int r = sh_control_send(fd, &out);
    sh_fifo_free(&out);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (!r && poll(&p, 1, PING_MS) <= 0)
        r = -ETIMEDOUT;
    return r ? r : sh_read_all(fd, head, sizeof(head));
}

int sh_control_connect(const struct sh_instance *instance, struct sh_error *err)
{
    struct sockaddr_un a;
    address_of(instance->dir_fd, &a);
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return sh_fail_errno(err, -errno, "cannot create a socket");
    for (int attempt = 0; connect(fd, (struct sockaddr *)&a, sizeof(a)); attempt++) {
        if (errno == EINTR)
            continue;
        /* Just being started: its socket is there in a moment. */
        if (attempt < 100 && sh_instance_alive(instance) && errno != EACCES) {
            usleep(10000);
            struct sh_instance now = *instance;
            now.state.measurement = NULL; /* that one stays its owner's */
            sh_instance_refresh(&now);
            cJSON_Delete(now.state.measurement);
            if (sh_instance_alive(&now))
                continue;
        }
        return sh_fail(err, -ESRCH, "instance %s is not running; 'shelter start %s' starts it",
                       instance->config.name, instance->config.name);
    }
    int r = ping_supervisor(fd);
    if (r)
        return sh_fail(err, r,
                       "the supervisor of instance %s does not answer; 'shelter rm -f %s' ends it",
                       instance->config.name, instance->config.name);
    return sh_take_fd(&fd);
}

int sh_control_listen(int dir_fd, struct sh_error *err)
{
    struct sockaddr_un a;
    address_of(dir_fd, &a);
    unlinkat(dir_fd, SH_CONTROL_SOCKET, 0);
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 64))
        return sh_fail_errno(err, -errno, "cannot create the instance's control socket");
    return sh_take_fd(&fd);
}

int sh_control_send(int fd, struct sh_fifo *out)
{
    while (out->size) {
        ssize_t n = send(fd, sh_fifo_peek(out), out->size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            sh_fifo_drop(out, (size_t)n);
        } else if (errno == EAGAIN) {
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            if (!poll(&p, 1, SEND_MS))
                return -ETIMEDOUT;
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
        *status =
            frame->type == SH_FRAME_ERROR ? (int)(sh_frame_u32(frame, 0) & 0xff) : SH_EXIT_NOT_RUN;
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

/* The answer of ANSWER or EVIDENCE. */
static int take_answer(const struct sh_frame_view *frame, char **answer, struct sh_error *err)
{
    uint32_t error = sh_frame_u32(frame, 4);
    size_t size = frame->size < 8 ? 0 : frame->size - 8;
    cleanup_free char *text = sh_alloc(size + 1);
    memcpy(text, frame->data + 8, size);
    if (error) {
        for (char *p = text; *p; p++)
            if ((unsigned char)*p < 32 || *p == 127)
                *p = '?';
        return sh_fail(err, -(int)(error & 0xfff), "%.1000s", text);
    }
    *answer = text;
    text = NULL;
    return 0;
}

/* The connection, or -errno. */
static int send_request(const struct sh_instance *instance, uint8_t type, const void *data,
                        size_t data_size, struct sh_frame_reader *in, char **answer,
                        struct sh_error *err)
{
    uint8_t payload[4 + SH_CONTROL_ASK_MAX] = {0};
    struct sh_fifo out = {0};
    struct sh_frame_view frame;
    if (data_size > SH_CONTROL_ASK_MAX)
        return sh_fail(err, -EINVAL, "a request has at most %u bytes", SH_CONTROL_ASK_MAX);
    cleanup_close int s = sh_control_connect(instance, err);
    if (s < 0)
        return s;
    if (data_size)
        memcpy(payload + 4, data, data_size);
    sh_frame_put(&out, type, 0, 0, payload, 4 + data_size);
    int r = sh_control_send(s, &out);
    sh_fifo_free(&out);
    if (!r)
        r = sh_control_receive(s, in, &frame, REQUEST_MS);
    if (r < 0)
        return sh_fail_errno(err, r, "the supervisor of instance %s does not answer",
                             instance->config.name);
    if (r == 0)
        return sh_fail(err, -ESRCH, "instance %s ended before it answered", instance->config.name);
    if (frame.type != SH_FRAME_ANSWER && frame.type != SH_FRAME_EVIDENCE)
        return sh_fail(err, -EBADMSG, "the supervisor of instance %s has another version",
                       instance->config.name);
    r = take_answer(&frame, answer, err);
    if (r)
        return r;
    r = s;
    s = -1;
    return r;
}

int sh_control_request(const struct sh_instance *instance, uint8_t type, const void *data,
                       size_t data_size, char **answer, struct sh_error *err)
{
    struct sh_frame_reader in = {0};
    int r = send_request(instance, type, data, data_size, &in, answer, err);
    sh_frames_free(&in);
    if (r < 0)
        return r;
    close(r);
    return 0;
}

int sh_control_trace(const struct sh_instance *instance, struct sh_frame_reader *in,
                     struct sh_error *err)
{
    static const uint8_t on[4] = {1};
    cleanup_free char *answer = NULL;
    return send_request(instance, SH_FRAME_TRACE, on, sizeof(on), in, &answer, err);
}

int sh_control_wait(struct sh_instance *instance, uint8_t request, uint32_t stop_ms, int *status,
                    struct sh_error *err)
{
    struct sh_error why = {0};
    int r = 0;
    struct sh_fifo out = {0};
    struct sh_frame_reader in = {0};
    struct sh_frame_view frame;
    bool ended = false;
    cleanup_close int fd = sh_control_connect(instance, &why);
    if (fd >= 0) {
        if (request == SH_CONTROL_STOP)
            sh_frame_put_u32(&out, request, 0, 0, stop_ms);
        else
            sh_frame_put(&out, request, 0, 0, NULL, 0);
        int limit = request == SH_CONTROL_STOP ? (int)stop_ms + STOP_SPARE_MS : -1;
        r = sh_control_send(fd, &out);
        while (!r && !ended && (r = sh_control_receive(fd, &in, &frame, limit)) == 1) {
            ended = sh_control_ended(&frame, status, NULL);
            r = 0;
        }
    }
    sh_fifo_free(&out);
    sh_frames_free(&in);
    if (ended)
        return 0;
    if (fd == -ETIMEDOUT)
        return sh_fail(err, fd, "%s", why.text);
    if (r == -ETIMEDOUT)
        return sh_fail(err, r, "instance %s does not end; 'shelter rm -f %s' kills it",
                       instance->config.name, instance->config.name);
    sh_instance_refresh(instance);
    *status = instance->state.exit_code;
    if (instance->state.state == SH_STATE_EXITED)
        return 0;
    return sh_fail(err, -ESRCH,
                   "instance %s is dead: its supervisor was killed, and its VM with it",
                   instance->config.name);
}
