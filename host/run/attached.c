// SPDX-License-Identifier: Apache-2.0
// The foreground: this process's stdio, terminal and signals, joined to a session.
#include "host/run/attached.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "host/base/rest.h"
#include "host/run/allowed.h"
#include "host/run/stream.h"
#include "host/run/terminal.h"
#include "lib/bytes.h"

#define FORCE_COUNT 3        /* so many ^C ... */
#define FORCE_WITHIN_MS 5000 /* ... within this time kill */
#define ANSWER_MS 10000      /* a supervisor that says nothing about a signal hangs */
#define ASK_EACH_MS 2000     /* after a signal, ... */
#define ASK_FOR_MS 60000     /* ... so long */
#define TYPED_INTERRUPT 0x03 /* ^C: the workload's, but nobody may be there to take it */
#define DETACH_FIRST 0x10    /* ^P */
#define DETACH_SECOND 0x11   /* ^Q */

struct output {
    int fd;
    struct sh_stream_in stream;
    struct sh_fifo waiting;
    size_t piece; /* what one write may take without blocking after POLLOUT */
    bool broken;  /* nobody reads it; what comes is dropped */
};

struct pump {
    const struct sh_attached *a;
    struct sh_frame_reader in;
    struct sh_fifo out;
    struct output output[2];
    struct sh_stream_out input;
    bool detach_half, started, ended, detached, lost;
    int signal_fd;
    int force_count;
    int64_t force_since;
    int64_t answer_by; /* sh_now_ms; 0: nothing was asked */
    int64_t ask_at;    /* ask again; 0: not */
    int64_t ask_until;
    int asked_by; /* the signal for which it was */
    bool silent;  /* no answer came, or one that nobody inside can answer */
    int *status;
    struct sh_error *err;
};

static const int taken[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT};

static void signal_set(sigset_t *set)
{
    sigemptyset(set);
    for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++)
        sigaddset(set, taken[i]);
}

bool sh_attached_passes(int number)
{
    for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++)
        if (taken[i] == number)
            return number != SIGWINCH && number != SIGCONT;
    return false;
}

void sh_attached_block_signals(void)
{
    sigset_t set;
    signal_set(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    /* A background job that touches its terminal shall get an error, not be stopped. */
    signal(SIGTTIN, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
}

static void send_size(struct pump *p)
{
    uint16_t rows, columns;
    uint8_t bytes[4];
    sh_terminal_size(&rows, &columns);
    if (!p->a->tty || !rows || !columns)
        return;
    sh_put_le16(bytes, rows);
    sh_put_le16(bytes + 2, columns);
    sh_frame_put(&p->out, SH_FRAME_WINSIZE, 0, 0, bytes, sizeof(bytes));
}

static void session_started(struct pump *p)
{
    p->started = true;
    if (p->a->tty)
        sh_terminal_raw();
    send_size(p);
}

/* --- signals --- */

static void send_ping(struct pump *p)
{
    p->ask_at = 0;
    if (p->answer_by)
        return;
    sh_frame_put(&p->out, SH_CONTROL_PING, 0, 0, NULL, 0);
    p->answer_by = sh_now_ms() + ANSWER_MS;
}

/* Who wants to be rid of us by this signal shall not wait for somebody who hangs, or soon will. */
static void ask_life(struct pump *p, int number)
{
    p->asked_by = number;
    p->ask_until = sh_now_ms() + ASK_FOR_MS;
    send_ping(p);
}

static void take_life(struct pump *p)
{
    int64_t now = sh_now_ms();
    p->answer_by = 0;
    p->ask_at = now < p->ask_until ? now + ASK_EACH_MS : 0;
}

/* Milliseconds until something is due; -1: nothing is. */
static int life_due(const struct pump *p)
{
    int64_t at = p->answer_by ? p->answer_by : p->ask_at, left = at - sh_now_ms();
    return !at ? -1 : left < 0 ? 0 : (int)left;
}

/* The third INT or TERM within a few seconds kills, a fourth lets go of a supervisor that hangs. */
static void forward_signal(struct pump *p, int number)
{
    if (p->a->person && (number == SIGINT || number == SIGTERM)) {
        int64_t now = sh_now_ms();
        if (!p->force_count || now - p->force_since > FORCE_WITHIN_MS) {
            p->force_count = 0;
            p->force_since = now;
        }
        if (++p->force_count == FORCE_COUNT)
            number = SIGKILL;
        if (p->force_count > FORCE_COUNT) {
            *p->status = 128 + number;
            p->detached = true;
            return;
        }
    }
    struct sh_error ignored = {0};
    if (number == SIGHUP && p->a->person && sh_signal_need(p->a->config, SIGHUP, &ignored)) {
        /* Our terminal is gone, and the workload may not be told so: it runs on without us. */
        *p->status = 128 + SIGHUP;
        p->detached = true;
        return;
    }
    sh_frame_put_u32(&p->out, SH_FRAME_SIGNAL, 0, 0, (uint32_t)number);
    if (number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT)
        ask_life(p, number);
}

static void give_up(struct pump *p, const char *text)
{
    const char *name = p->a->config->name;
    p->silent = true;
    p->err->status = 128 + p->asked_by;
    if (text)
        sh_fail(p->err, -ETIMEDOUT, "%s", text);
    else
        sh_fail(p->err, -ETIMEDOUT,
                "the supervisor of instance %s does not answer; 'shelter rm -f %s' ends it", name,
                name);
}

static void take_signals(struct pump *p)
{
    struct signalfd_siginfo info;
    while (read(p->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        int number = (int)info.ssi_signo;
        if (number == SIGWINCH) {
            send_size(p);
        } else if (number == SIGCONT) {
            if (p->started && p->a->tty)
                sh_terminal_raw();
            send_size(p);
        } else if (p->a->signals) {
            forward_signal(p, number);
        }
    }
}

/* --- output --- */

static void grant_output(struct pump *p, unsigned i)
{
    sh_stream_grant(&p->output[i].stream, p->output[i].waiting.size, &p->out);
}

static void output_failed(struct pump *p, struct output *o, int code)
{
    o->broken = true;
    sh_fifo_free(&o->waiting);
    grant_output(
        p, (unsigned)(o - p->output)); /* what still comes is dropped, but the end is behind it */
    if (o != &p->output[0])
        return;
    if (code != EPIPE)
        sh_fail_errno(p->err, -code, "cannot write the output");
    if (!p->a->person)
        return;
    if (p->a->end_with_output) {
        sh_frame_put_u32(&p->out, SH_CONTROL_STOP, 0, 0, 2000);
    } else {
        *p->status = code == EPIPE ? 128 + SIGPIPE : SH_EXIT_FAILURE;
        p->detached = true;
    }
}

static void write_output(struct pump *p, unsigned i)
{
    struct output *o = &p->output[i];
    size_t n = o->waiting.size < o->piece ? o->waiting.size : o->piece;
    ssize_t done = write(o->fd, sh_fifo_peek(&o->waiting), n);
    if (done > 0)
        sh_fifo_drop(&o->waiting, (size_t)done);
    else if (done < 0 && errno != EAGAIN && errno != EINTR)
        output_failed(p, o, errno);
    grant_output(p, i);
}

static void open_output(struct output *o, uint8_t stream, int fd)
{
    struct stat st;
    *o = (struct output){.fd = fd, .stream = {.stream = stream, .window = SH_CONTROL_CREDIT}};
    o->broken = fstat(fd, &st) != 0; /* closed by whoever started us */
    o->piece = !o->broken && S_ISREG(st.st_mode) ? 65536 : PIPE_BUF;
}

/* What came before the end, written whatever it takes. */
static void flush_output(struct pump *p)
{
    for (unsigned i = 0; i < 2; i++)
        while (p->output[i].waiting.size && !p->output[i].broken) {
            struct pollfd f[2] = {{.fd = p->output[i].fd, .events = POLLOUT},
                                  {.fd = p->signal_fd, .events = POLLIN}};
            if (poll(f, 2, -1) < 0)
                continue;
            struct signalfd_siginfo info;
            while (read(p->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
                if (info.ssi_signo != SIGWINCH && info.ssi_signo != SIGCONT)
                    return; /* asked to stop while a reader does not read */
            if (f[0].revents)
                write_output(p, i);
        }
}

/* --- frames --- */

static void take_refusal(struct pump *p, const struct sh_frame_view *f)
{
    struct sh_error line = {0};
    uint32_t request = sh_frame_u32(f, 0);
    sh_frame_text(f, line.text, sizeof(line.text));
    if (request == SH_CONTROL_PING) {
        give_up(p, line.text);
        return;
    }
    if (request != SH_FRAME_SIGNAL) {
        p->ended = sh_control_ended(f, p->status, p->err);
        return;
    }
    sh_terminal_restore();
    sh_error_report(&line);
    if (p->a->tty)
        sh_terminal_raw();
}

static void take_frame(struct pump *p, const struct sh_frame_view *f)
{
    unsigned i = f->stream - SH_STREAM_OUT;
    switch (f->type) {
    case SH_FRAME_DATA:
        if (i > 1 || sh_stream_take(&p->output[i].stream, f->size)) {
            p->lost = true;
            return;
        }
        if (!p->output[i].broken)
            sh_fifo_add(&p->output[i].waiting, f->data, f->size);
        grant_output(p, i);
        return;
    case SH_FRAME_CREDIT:
        sh_stream_credit(&p->input, f);
        return;
    case SH_FRAME_STARTED:
        session_started(p);
        return;
    case SH_FRAME_REFUSED:
        take_refusal(p, f);
        return;
    case SH_CONTROL_DONE:
        take_life(p);
        return;
    case SH_FRAME_EXIT:
    case SH_FRAME_ERROR:
        p->ended = sh_control_ended(f, p->status, p->err);
        return;
    default:
        return; /* EOF of a stream: the end tells */
    }
}

static void socket_readable(struct pump *p)
{
    struct sh_frame_view f;
    int r = sh_frames_receive(&p->in, p->a->fd);
    if (r == -EAGAIN)
        return;
    while (r >= 0 && !p->ended && !p->lost && (r = sh_frames_next(&p->in, &f)) == 1)
        take_frame(p, &f);
    p->lost |= r < 0;
}

/* --- input --- */

/* Adds typed bytes without the detach keys; true when both were pressed. */
static bool filter_keys(struct pump *p, const uint8_t *bytes, size_t size, struct sh_fifo *kept)
{
    for (size_t i = 0; i < size; i++) {
        if (p->detach_half && bytes[i] == DETACH_SECOND)
            return true;
        if (p->detach_half)
            sh_fifo_add(kept, (const uint8_t[]){DETACH_FIRST}, 1);
        p->detach_half = bytes[i] == DETACH_FIRST;
        if (!p->detach_half)
            sh_fifo_add(kept, bytes + i, 1);
    }
    return false;
}

static void input_readable(struct pump *p)
{
    uint8_t bytes[SH_STREAM_PIECE];
    size_t max = sh_stream_room(&p->input, sizeof(bytes));
    /* One byte of credit is kept for a ^P that turns out to be none. */
    ssize_t n = read(0, bytes, p->a->tty && max > 1 ? max - 1 : max);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0 && errno == EIO && !sh_terminal_foreground())
        return;
    if (n <= 0) {
        sh_stream_end(&p->input, &p->out);
        return;
    }
    struct sh_fifo kept = {0};
    bool keys = p->a->tty && p->a->person;
    if (keys && memchr(bytes, TYPED_INTERRUPT, (size_t)n))
        ask_life(p, SIGINT);
    if (keys)
        p->detached = filter_keys(p, bytes, (size_t)n, &kept);
    else
        sh_fifo_add(&kept, bytes, (size_t)n);
    sh_stream_send(&p->input, sh_fifo_peek(&kept), kept.size, &p->out);
    sh_fifo_free(&kept);
}

/* --- the loop --- */

enum { AT_SOCKET, AT_SIGNAL, AT_IN, AT_OUT, AT_ERR, AT_COUNT };

static void poll_once(struct pump *p)
{
    bool want_input = p->a->input && !p->input.ended && p->input.credit > 1 && p->out.size < 65536;
    bool background = want_input && !sh_terminal_foreground();
    struct pollfd f[AT_COUNT] = {
        [AT_SOCKET] = {.fd = p->a->fd, .events = (short)(POLLIN | (p->out.size ? POLLOUT : 0))},
        [AT_SIGNAL] = {.fd = p->signal_fd, .events = POLLIN},
        [AT_IN] = {.fd = want_input && !background ? 0 : -1, .events = POLLIN},
        [AT_OUT] = {.fd = p->output[0].waiting.size ? 1 : -1, .events = POLLOUT},
        [AT_ERR] = {.fd = p->output[1].waiting.size ? 2 : -1, .events = POLLOUT},
    };
    /* A pipe that nobody reads any more: told also while there is nothing to write. */
    if (f[AT_OUT].fd < 0 && !p->output[0].broken)
        f[AT_OUT] = (struct pollfd){.fd = 1, .events = 0};
    int wait = life_due(p);
    if (background && (wait < 0 || wait > 500))
        wait = 500;
    int found = poll(f, AT_COUNT, sh_rest_wait(wait));
    if (found < 0)
        return;
    if (!found)
        sh_rest();
    if (!life_due(p) && !f[AT_SOCKET].revents) {
        if (p->answer_by)
            give_up(p, NULL);
        else
            send_ping(p);
    }
    if (f[AT_SIGNAL].revents)
        take_signals(p);
    if (p->detached)
        return;
    if (f[AT_OUT].revents & POLLOUT)
        write_output(p, 0);
    else if (f[AT_OUT].revents & POLLNVAL)
        p->output[0].broken = true;
    else if (f[AT_OUT].revents)
        output_failed(p, &p->output[0], EPIPE);
    if (f[AT_ERR].revents)
        write_output(p, 1);
    if (f[AT_IN].revents)
        input_readable(p);
    if (f[AT_SOCKET].revents & (POLLIN | POLLHUP | POLLERR))
        socket_readable(p);
}

enum sh_attached_end sh_attached_run(const struct sh_attached *a, int *status, struct sh_error *err)
{
    struct pump p = {.a = a,
                     .status = status,
                     .err = err,
                     .started = a->started,
                     .input = {.stream = SH_STREAM_IN}};
    sigset_t set;
    signal_set(&set);
    p.signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    open_output(&p.output[0], SH_STREAM_OUT, 1);
    open_output(&p.output[1], SH_STREAM_ERR, 2);
    *status = 0;
    if (p.started)
        session_started(&p);
    else
        send_size(&p); /* so that the program finds it when it starts */
    grant_output(&p, 0);
    grant_output(&p, 1);
    while (!p.ended && !p.detached && !p.lost && !p.silent) {
        (void)sh_frames_send(&p.out, p.a->fd); /* full, or gone, which reading will tell */
        poll_once(&p);
    }
    if (!p.detached && !p.silent)
        flush_output(&p);
    else
        (void)sh_frames_send(&p.out, p.a->fd);
    sh_terminal_restore();
    sh_frames_free(&p.in);
    sh_fifo_free(&p.out);
    sh_fifo_free(&p.output[0].waiting);
    sh_fifo_free(&p.output[1].waiting);
    if (p.signal_fd >= 0)
        close(p.signal_fd);
    if (p.ended)
        return SH_ATTACHED_ENDED;
    if (p.detached)
        return SH_ATTACHED_DETACHED;
    if (p.silent)
        return SH_ATTACHED_LOST;
    sh_fail(err, -EIO, "the supervisor of instance %s died, and its VM with it", a->config->name);
    return SH_ATTACHED_LOST;
}
