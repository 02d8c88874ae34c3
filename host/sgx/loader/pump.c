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

#include "host/base/util.h"
#include "host/run/stream.h"
#include "host/sgx/loader/loader.h"
#include "lib/bytes.h"

#define SESSIONS (SH_SESSION_MAX + 1)

/* The workload, or a program that was started beside it. */
struct pump_session {
    uint16_t id;
    bool used;
    int handles[3]; /* the enclave's, until it has them; 0: none */
    int input;      /* towards its stdin; -1: closed */
    struct sh_stream_in in;
    struct sh_fifo waiting; /* stdin that did not fit */
    int output[2];          /* from its stdout and stderr; -1: ended */
    struct sh_stream_out out[2];
    bool ended; /* the enclave said so, with these; EXIT follows when all is read */
    uint32_t code, signal;
};

static struct {
    int fd;
    int event; /* of wire.c */
    struct sh_frame_reader frames;
    _Atomic uint32_t window; /* of the user's terminal: rows, columns in the upper half */
    pthread_mutex_t lock;    /* of the sessions: the enclave's threads tell of them too */
    struct pump_session sessions[SESSIONS]; /* the workload first */
} pump = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct pump_session *session_find(uint16_t id)
{
    for (unsigned i = 0; i < SESSIONS; i++)
        if (pump.sessions[i].used && pump.sessions[i].id == id)
            return &pump.sessions[i];
    return NULL;
}

/* --- from the supervisor --- */

static void grant_input(struct pump_session *s)
{
    if (s->input < 0)
        return;
    sh_stream_grant(&s->in, s->waiting.size, channel_lock());
    channel_unlock();
}

static void take_input(struct pump_session *s, const struct sh_frame_view *f)
{
    if (sh_stream_take(&s->in, f->size))
        _exit(SH_EXIT_FAILURE); /* the channel is broken */
    if (s->input >= 0)
        sh_fifo_add(&s->waiting, f->data, f->size);
    grant_input(s);
}

static void take_signal(const struct sh_frame_view *f)
{
    uint8_t data[8];
    if (f->session) {
        sh_put_le32(data, f->session);
        sh_put_le32(data + 4, sh_frame_u32(f, 0));
        control_ask(SH_CONTROL_SIGNAL, f->session, data, sizeof(data), 0);
    } else if (sh_frame_u32(f, 0) == SIGKILL) {
        channel_killed();
    } else {
        loader_signal((int)sh_frame_u32(f, 0));
    }
}

static void take_window(const struct sh_frame_view *f)
{
    uint8_t data[8];
    if (f->size < 4)
        return;
    if (f->session) {
        sh_put_le32(data, f->session);
        memcpy(data + 4, f->data, 4);
        control_ask(SH_CONTROL_WINDOW, f->session, data, sizeof(data), 0);
    } else if (loader.options.tty) {
        pump.window = sh_frame_u32(f, 0);
        loader_signal(SIGWINCH);
    }
}

/* --- programs beside the workload --- */

static void close_ours(struct pump_session *s)
{
    if (s->input >= 0)
        close(s->input);
    for (unsigned i = 0; i < 2; i++)
        if (s->output[i] >= 0)
            close(s->output[i]);
    sh_fifo_free(&s->waiting);
    s->used = false;
}

/* Its pipes, of which the enclave's ends become handles. 0 or -errno, and nothing is left. */
static int open_pipes(struct pump_session *s)
{
    int r = 0;
    for (int i = 0; !r && i < 3; i++) {
        int p[2];
        if (pipe2(p, O_CLOEXEC))
            return -errno;
        int ours = i ? p[0] : p[1], theirs = i ? p[1] : p[0];
        fcntl(ours, F_SETFL, O_NONBLOCK);
        if (i)
            s->output[i - 1] = ours;
        else
            s->input = ours;
        if (!s->id)
            loader_handle_set(i, theirs);
        else if ((r = loader_handle_add(theirs)) > 0)
            s->handles[i] = r;
        r = r < 0 ? r : 0;
    }
    return r;
}

static struct pump_session *session_new(uint16_t id)
{
    for (unsigned i = 0; i < SESSIONS; i++) {
        struct pump_session *s = &pump.sessions[i];
        if (s->used || (id && !i))
            continue;
        *s = (struct pump_session){
            .id = id,
            .used = true,
            .input = -1,
            .in = {.stream = SH_STREAM_IN, .session = id, .window = SH_CREDIT_WINDOW},
            .output = {-1, -1},
            .out = {{.stream = SH_STREAM_OUT, .session = id},
                    {.stream = SH_STREAM_ERR, .session = id}}};
        return s;
    }
    return NULL;
}

static void fail_session(struct pump_session *s, int error, const char *why)
{
    for (unsigned i = 0; i < 3; i++)
        if (s->handles[i])
            loader_handle_close((uint64_t)s->handles[i]);
    if (error == EPERM)
        sh_frame_put_text(channel_lock(), SH_FRAME_REFUSED, s->id, SH_FRAME_EXEC, why);
    else
        sh_frame_put_text(channel_lock(), SH_FRAME_ERROR, s->id,
                          error == ENOENT                       ? 127
                          : error == EACCES || error == ENOEXEC ? 126
                                                                : SH_EXIT_FAILURE,
                          why);
    channel_unlock();
    close_ours(s);
}

static void take_exec(const struct sh_frame_view *f)
{
    static uint8_t data[sizeof(struct sh_control_exec) + SH_FRAME_SIZE_MAX];
    struct pump_session *s =
        f->session && !session_find(f->session) ? session_new(f->session) : NULL;
    if (!s) {
        sh_frame_put_text(channel_lock(), SH_FRAME_REFUSED, f->session, SH_FRAME_EXEC,
                          "too many sessions are open");
        channel_unlock();
        return;
    }
    if (open_pipes(s)) {
        fail_session(s, EMFILE, "too many files are open");
        return;
    }
    struct sh_control_exec head = {s->id, {s->handles[0], s->handles[1], s->handles[2]}};
    memcpy(data, &head, sizeof(head));
    memcpy(data + sizeof(head), f->data, f->size);
    if (control_ask(SH_CONTROL_EXEC, s->id, data, sizeof(head) + f->size, 0))
        fail_session(s, E2BIG, "the command is too long, or the enclave is busy");
}

static void take_answer(uint32_t kind, uint32_t session, int error, const char *why)
{
    pthread_mutex_lock(&pump.lock);
    struct pump_session *s = session_find((uint16_t)session);
    if (s && kind == SH_CONTROL_EXEC && error) {
        fail_session(s, error, why);
    } else if (s && kind == SH_CONTROL_EXEC) {
        sh_frame_put(channel_lock(), SH_FRAME_STARTED, 0, s->id, NULL, 0);
        channel_unlock();
        grant_input(s);
    } else if (s && kind == SH_CONTROL_SIGNAL && error == EPERM) {
        sh_frame_put_text(channel_lock(), SH_FRAME_REFUSED, s->id, SH_FRAME_SIGNAL, why);
        channel_unlock();
    }
    pthread_mutex_unlock(&pump.lock);
}

int64_t call_session(struct loader_thread *t, struct sh_slot *slot, uint64_t session, uint32_t code,
                     uint32_t signal)
{
    pthread_mutex_lock(&pump.lock);
    struct pump_session *s =
        session && session <= UINT16_MAX ? session_find((uint16_t)session) : NULL;
    if (s) {
        s->ended = true;
        s->code = code;
        s->signal = signal;
    }
    pthread_mutex_unlock(&pump.lock);
    channel_lock(); /* the pump looks */
    channel_unlock();
    return s ? 0 : -ESRCH;
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
    struct pump_session *s = session_find(f->session);
    switch (f->type) {
    case SH_FRAME_CREDIT:
        if (s && (f->stream == SH_STREAM_OUT || f->stream == SH_STREAM_ERR))
            sh_stream_credit(&s->out[f->stream - SH_STREAM_OUT], f);
        break;
    case SH_FRAME_DATA:
        if (s)
            take_input(s, f);
        break;
    case SH_FRAME_EOF:
        if (s)
            s->in.ended = true;
        break;
    case SH_FRAME_WINSIZE:
        take_window(f);
        break;
    case SH_FRAME_SIGNAL:
        take_signal(f);
        break;
    case SH_FRAME_EXEC:
        take_exec(f);
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

/* --- the streams --- */

static void send_output(struct pump_session *s, unsigned i)
{
    static uint8_t buf[SH_STREAM_PIECE];
    ssize_t n = read(s->output[i], buf, sh_stream_room(&s->out[i], sizeof(buf)));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    struct sh_fifo *frames = channel_lock();
    if (n > 0) {
        sh_stream_send(&s->out[i], buf, (size_t)n, frames);
    } else {
        close(s->output[i]);
        s->output[i] = -1;
        sh_stream_end(&s->out[i], frames);
    }
    channel_unlock();
}

static void feed_input(struct pump_session *s)
{
    while (s->input >= 0 && s->waiting.size) {
        ssize_t n = write(s->input, sh_fifo_peek(&s->waiting), s->waiting.size);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0) { /* nobody reads it any more */
            sh_fifo_drop(&s->waiting, s->waiting.size);
            close(s->input);
            s->input = -1;
            return;
        }
        sh_fifo_drop(&s->waiting, (size_t)n);
        grant_input(s);
    }
    if (s->in.ended && s->input >= 0 && !s->waiting.size) {
        close(s->input);
        s->input = -1;
    }
}

/* True when what it wrote has been read; it writes no more by now. */
static bool is_drained(const struct pump_session *s)
{
    for (unsigned i = 0; i < 2; i++) {
        int n = 0;
        if (s->output[i] >= 0 && !ioctl(s->output[i], FIONREAD, &n) && n > 0)
            return false;
    }
    return true;
}

static void end_session(struct pump_session *s)
{
    struct sh_fifo *frames = channel_lock();
    for (unsigned i = 0; i < 2; i++)
        sh_stream_end(&s->out[i], frames);
    sh_frame_put_exit(frames, s->id, s->code, s->signal, NULL);
    channel_unlock();
    close_ours(s);
}

/* What poll is to look at: the channel, the event, three of each session. */
static nfds_t fill_polls(struct pollfd *p, bool full, struct pump_session **who)
{
    nfds_t n = 2;
    for (unsigned i = 0; i < SESSIONS; i++) {
        struct pump_session *s = &pump.sessions[i];
        if (!s->used)
            continue;
        for (unsigned k = 0; k < 2; k++)
            p[n + k] = (struct pollfd){.fd = s->out[k].credit && !full ? s->output[k] : -1,
                                       .events = POLLIN};
        p[n + 2] = (struct pollfd){.fd = s->waiting.size ? s->input : -1, .events = POLLOUT};
        who[(n - 2) / 3] = s;
        n += 3;
    }
    return n;
}

static void advance_sessions(void)
{
    for (unsigned i = 0; i < SESSIONS; i++) {
        struct pump_session *s = &pump.sessions[i];
        if (!s->used)
            continue;
        feed_input(s);
        if (s->ended && is_drained(s))
            end_session(s);
    }
    if (channel_is_ending() && is_drained(&pump.sessions[0]))
        channel_put_last();
}

static void *pump_main(void *arg)
{
    static struct pollfd p[2 + 3 * SESSIONS];
    struct pump_session *who[SESSIONS];
    uint64_t drained;
    for (;;) {
        pthread_mutex_lock(&pump.lock);
        advance_sessions();
        int64_t left = channel_flush(pump.fd);
        if (left < 0)
            _exit(0);
        p[0] = (struct pollfd){.fd = pump.fd, .events = (short)(POLLIN | (left ? POLLOUT : 0))};
        p[1] = (struct pollfd){.fd = pump.event, .events = POLLIN};
        nfds_t n = fill_polls(p, left > SH_CREDIT_WINDOW, who);
        pthread_mutex_unlock(&pump.lock);
        if (poll(p, n, control_poll()) < 0)
            continue;
        pthread_mutex_lock(&pump.lock);
        if (p[1].revents)
            (void)!read(pump.event, &drained, sizeof(drained));
        if (p[0].revents & (POLLIN | POLLHUP | POLLERR))
            take_frames();
        for (nfds_t i = 2; i < n; i += 3)
            for (unsigned k = 0; k < 2; k++)
                if (p[i + k].revents && who[(i - 2) / 3]->output[k] == p[i + k].fd)
                    send_output(who[(i - 2) / 3], k);
        pthread_mutex_unlock(&pump.lock);
    }
    return NULL;
}

/* --- start --- */

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
    control_open(take_answer);
    int r = open_pipes(session_new(0));
    return r ? sh_fail_errno(err, r, "cannot open the workload's streams") : 0;
}

void loader_pump_start(void)
{
    pthread_t id;
    pump.window = loader.options.rows | (uint32_t)loader.options.columns << 16;
    sh_frame_put_u32(channel_lock(), SH_FRAME_HELLO, 0, 0, SH_CHANNEL_VERSION);
    channel_unlock();
    grant_input(&pump.sessions[0]);
    if (sh_thread_start(&id, pump_main, NULL))
        _exit(SH_EXIT_FAILURE); /* nobody can be told */
}
