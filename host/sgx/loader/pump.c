// SPDX-License-Identifier: Apache-2.0
// Plays the guest's side of <shelter/channel.h> on behalf of the enclave's streams, so that the
// supervisor cannot tell an enclave from a machine: pipes on one side, frames and credit on the
// other. A terminal is the enclave's own: it gets the bytes and the size of the user's.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "host/run/stream.h"
#include "host/sgx/loader/loader.h"

static struct {
    int fd;
    int event; /* of wire.c */
    struct sh_frame_reader frames;
    int input; /* towards the workload's stdin; -1: closed */
    struct sh_stream_in in;
    struct sh_fifo waiting; /* stdin that did not fit */
    int output[2];          /* from its stdout and stderr; -1: ended */
    struct sh_stream_out out[2];
    _Atomic uint32_t window; /* of the user's terminal: rows, columns in the upper half */
} pump = {.input = -1,
          .in = {.stream = SH_STREAM_IN, .window = SH_CREDIT_WINDOW},
          .output = {-1, -1},
          .out = {{.stream = SH_STREAM_OUT}, {.stream = SH_STREAM_ERR}}};

/* --- from the supervisor ---------------------------------------------------------------------- */

static void grant_input(void)
{
    if (pump.input < 0)
        return;
    sh_stream_grant(&pump.in, pump.waiting.size, channel_lock());
    channel_unlock();
}

static void take_input(const struct sh_frame_view *f)
{
    if (sh_stream_take(&pump.in, f->size))
        _exit(SH_EXIT_FAILURE); /* the channel is broken */
    if (pump.input >= 0)
        sh_fifo_add(&pump.waiting, f->data, f->size);
    grant_input();
}

static void take_signal(uint32_t sig)
{
    if (sig == SIGKILL)
        channel_killed();
    else
        loader_signal((int)sig);
}

/* It needs a process of its own in the enclave. */
static void refuse_exec(const struct sh_frame_view *f)
{
    bool program = f->size < 2 || f->data[1] == SH_EXEC_PROGRAM;
    sh_frame_put_text(channel_lock(), SH_FRAME_REFUSED, f->session, SH_FRAME_EXEC,
                      program
                          ? "an enclave cannot run further programs yet; run the image with "
                            "--tee tdx-sim to exec in it"
                          : "files cannot be copied into or out of an enclave yet; run the image "
                            "with --tee tdx-sim for that");
    channel_unlock();
}

static void take_trace(const struct sh_frame_view *f)
{
    if (f->size != 8)
        return;
    if (!sh_frame_u32(f, 4) && loader.options.trace) { /* --trace goes on */
        uint8_t done[8] = {0};
        memcpy(done, f->data, 4);
        channel_traces(false);
        sh_frame_put(channel_lock(), SH_FRAME_ANSWER, 0, 0, done, sizeof(done));
        channel_unlock();
        return;
    }
    control_ask(SH_CONTROL_TRACE, sh_frame_u32(f, 0), f->data + 4, 4, SH_FRAME_ANSWER);
}

static void take_frame(const struct sh_frame_view *f)
{
    switch (f->type) {
    case SH_FRAME_CREDIT:
        if (f->stream == SH_STREAM_OUT || f->stream == SH_STREAM_ERR)
            sh_stream_credit(&pump.out[f->stream - SH_STREAM_OUT], f);
        break;
    case SH_FRAME_DATA:
        if (f->session == 0)
            take_input(f);
        break;
    case SH_FRAME_EOF:
        pump.in.ended = true;
        break;
    case SH_FRAME_WINSIZE:
        if (loader.options.tty && f->size >= 4) {
            pump.window = sh_frame_u32(f, 0);
            loader_signal(SIGWINCH);
        }
        break;
    case SH_FRAME_SIGNAL:
        take_signal(sh_frame_u32(f, 0));
        break;
    case SH_FRAME_EXEC:
        refuse_exec(f);
        break;
    case SH_FRAME_STATS:
        control_ask(SH_CONTROL_STATS, sh_frame_u32(f, 0), NULL, 0, SH_FRAME_ANSWER);
        break;
    case SH_FRAME_MAPS:
        control_ask(SH_CONTROL_MAPS, sh_frame_u32(f, 0), NULL, 0, SH_FRAME_ANSWER);
        break;
    case SH_FRAME_TRACE:
        take_trace(f);
        break;
    case SH_FRAME_ATTEST:
        control_ask(SH_CONTROL_ATTEST, sh_frame_u32(f, 0), f->data + 4,
                    f->size < 4 ? 0 : f->size - 4, SH_FRAME_EVIDENCE);
        break;
    case SH_FRAME_BYE:
        _exit(0);
    default:
        break;
    }
}

static void take_frames(void)
{
    struct sh_frame_view f;
    int r = sh_frames_receive(&pump.frames, pump.fd);
    if (r == -EAGAIN)
        return;
    if (r)
        _exit(0); /* nobody is there any more */
    while ((r = sh_frames_next(&pump.frames, &f)) > 0)
        take_frame(&f);
    if (r < 0)
        _exit(SH_EXIT_FAILURE);
}

/* --- the streams ------------------------------------------------------------------------------ */

static void send_output(unsigned i)
{
    static uint8_t buf[SH_STREAM_PIECE];
    ssize_t n = read(pump.output[i], buf, sh_stream_room(&pump.out[i], sizeof(buf)));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    struct sh_fifo *frames = channel_lock();
    if (n > 0) {
        sh_stream_send(&pump.out[i], buf, (size_t)n, frames);
    } else {
        pump.output[i] = -1;
        sh_stream_end(&pump.out[i], frames);
    }
    channel_unlock();
}

static void feed_input(void)
{
    while (pump.input >= 0 && pump.waiting.size) {
        ssize_t n = write(pump.input, sh_fifo_peek(&pump.waiting), pump.waiting.size);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0) { /* nobody reads it any more */
            sh_fifo_drop(&pump.waiting, pump.waiting.size);
            close(pump.input);
            pump.input = -1;
            return;
        }
        sh_fifo_drop(&pump.waiting, (size_t)n);
        grant_input();
    }
    if (pump.in.ended && pump.input >= 0 && !pump.waiting.size) {
        close(pump.input);
        pump.input = -1;
    }
}

/* True when what the workload wrote has been read; it writes no more by now. */
static bool is_drained(void)
{
    for (unsigned i = 0; i < 2; i++) {
        int n = 0;
        if (pump.output[i] >= 0 && !ioctl(pump.output[i], FIONREAD, &n) && n > 0)
            return false;
    }
    return true;
}

static void *pump_main(void *arg)
{
    uint64_t drained;
    for (;;) {
        feed_input();
        if (channel_is_ending() && is_drained())
            channel_put_last();
        int64_t left = channel_flush(pump.fd);
        if (left < 0)
            _exit(0);
        bool full = left > SH_CREDIT_WINDOW;
        struct pollfd p[] = {
            {.fd = pump.fd, .events = (short)(POLLIN | (left ? POLLOUT : 0))},
            {.fd = pump.event, .events = POLLIN},
            {.fd = pump.out[0].credit && !full ? pump.output[0] : -1, .events = POLLIN},
            {.fd = pump.out[1].credit && !full ? pump.output[1] : -1, .events = POLLIN},
            {.fd = pump.waiting.size ? pump.input : -1, .events = POLLOUT},
        };
        if (poll(p, 5, control_poll()) < 0)
            continue;
        if (p[1].revents)
            (void)!read(pump.event, &drained, sizeof(drained));
        if (p[0].revents & (POLLIN | POLLHUP | POLLERR))
            take_frames();
        for (unsigned i = 0; i < 2; i++) {
            if (p[2 + i].revents)
                send_output(i);
        }
    }
    return NULL;
}

/* --- start ------------------------------------------------------------------------------------ */

static int open_pipes(void)
{
    int p[3][2];
    for (int i = 0; i < 3; i++) {
        if (pipe2(p[i], O_CLOEXEC))
            return -errno;
        int ours = i ? p[i][0] : p[i][1];
        fcntl(ours, F_SETFL, O_NONBLOCK);
        loader_handle_set(i, i ? p[i][1] : p[i][0]);
    }
    pump.input = p[0][1];
    pump.output[0] = p[1][0];
    pump.output[1] = p[2][0];
    return 0;
}

bool loader_pump_window(uint16_t size[4])
{
    uint32_t window = pump.window;
    size[0] = (uint16_t)window;
    size[1] = (uint16_t)(window >> 16);
    size[2] = size[3] = 0;
    return loader.options.tty;
}

int loader_pump_open(struct sh_error *err)
{
    pump.fd = loader.options.channel;
    fcntl(pump.fd, F_SETFD, FD_CLOEXEC);
    pump.event = channel_open(err);
    if (pump.event < 0)
        return pump.event;
    pump.window = loader.options.rows | (uint32_t)loader.options.columns << 16;
    int r = open_pipes();
    return r ? sh_fail_errno(err, r, "cannot open the workload's streams") : 0;
}

void loader_pump_start(void)
{
    sigset_t all, before;
    pthread_t id;
    sh_frame_put_u32(channel_lock(), SH_FRAME_HELLO, 0, 0, SH_CHANNEL_VERSION);
    channel_unlock();
    grant_input();
    /* Signals are for the threads that enter the enclave. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&id, NULL, pump_main, NULL))
        _exit(SH_EXIT_FAILURE); /* nobody can be told */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}
