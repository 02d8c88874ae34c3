// SPDX-License-Identifier: Apache-2.0
// Plays the guest's side of <shelter/channel.h> on behalf of the enclave's streams, so that the
// supervisor cannot tell an enclave from a machine: pipes (or a terminal) on one side, frames and
// credit on the other.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "host/run/frames.h"
#include "host/sgx/loader/loader.h"

#define PIECE 32768u

static struct {
    pthread_mutex_t lock;
    struct sh_fifo out; /* frames for the supervisor; under the lock */
    bool ending;        /* EXIT or ERROR is to be sent once the streams are empty */
    int status;
    const char *error;
    int event; /* wakes the pump */
    pthread_cond_t flushed;
    _Atomic bool traces; /* the supervisor wants the trace */
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER, .flushed = PTHREAD_COND_INITIALIZER};

/* The pump's own. */
static struct {
    int fd;
    struct sh_frame_reader in;
    int input;              /* towards the workload's stdin; -1: closed */
    struct sh_fifo waiting; /* stdin that did not fit */
    bool input_eof;
    uint64_t granted;
    int output[2]; /* from its stdout and stderr; -1: ended */
    uint64_t credit[2];
    int tty; /* our end of the terminal, or -1 */
    bool last_sent;
} pump = {.input = -1, .output = {-1, -1}, .tty = -1};

static void poke(void)
{
    uint64_t one = 1;
    (void)!write(shared.event, &one, sizeof(one));
}

static void put_u32(uint8_t type, uint8_t stream, uint32_t value)
{
    pthread_mutex_lock(&shared.lock);
    sh_frame_put_u32(&shared.out, type, stream, 0, value);
    pthread_mutex_unlock(&shared.lock);
}

static void put(uint8_t type, uint8_t stream, const void *data, size_t size)
{
    pthread_mutex_lock(&shared.lock);
    sh_frame_put(&shared.out, type, stream, 0, data, size);
    pthread_mutex_unlock(&shared.lock);
}

void channel_send(uint8_t type, const void *data, size_t size)
{
    put(type, 0, data, size);
    poke();
}

void channel_traces(bool on)
{
    shared.traces = on;
}

bool channel_trace(const void *text, size_t size)
{
    if (!shared.traces)
        return false;
    pthread_mutex_lock(&shared.lock);
    while (shared.out.size > SH_CREDIT_WINDOW && !shared.ending)
        pthread_cond_wait(&shared.flushed, &shared.lock);
    sh_frame_put(&shared.out, SH_FRAME_TRACED, 0, 0, text, size);
    pthread_mutex_unlock(&shared.lock);
    poke();
    return true;
}

void channel_started(void)
{
    put(SH_FRAME_STARTED, 0, NULL, 0);
    poke();
}

void channel_exit(int status, const char *error)
{
    pthread_mutex_lock(&shared.lock);
    if (!shared.ending) {
        shared.ending = true;
        shared.status = status;
        shared.error = error;
    }
    pthread_mutex_unlock(&shared.lock);
    poke();
    for (;;)
        pause();
}

/* --- from the supervisor -----------------------------------------------------------------------
 */

static void grant(void)
{
    uint64_t used = pump.granted + pump.waiting.size;
    if (pump.input < 0 || used > SH_CREDIT_WINDOW / 2)
        return;
    uint32_t more = (uint32_t)(SH_CREDIT_WINDOW - used);
    pump.granted += more;
    put_u32(SH_FRAME_CREDIT, SH_STREAM_IN, more);
}

/* The terminal's signal keys: our end of it has no process group that could be signalled. */
static bool signal_key(uint8_t byte)
{
    struct termios now;
    if (pump.tty < 0 || tcgetattr(pump.tty, &now) || !(now.c_lflag & ISIG))
        return false;
    if (byte == now.c_cc[VINTR])
        loader_signal(SIGINT);
    else if (byte == now.c_cc[VQUIT])
        loader_signal(SIGQUIT);
    else
        return false;
    return true;
}

static void take_input(const struct sh_frame_view *f)
{
    if (f->size > pump.granted)
        _exit(SH_EXIT_FAILURE); /* the channel is broken */
    pump.granted -= f->size;
    for (uint32_t i = 0; i < f->size; i++) {
        if (pump.input >= 0 && !signal_key(f->data[i]))
            sh_fifo_add(&pump.waiting, f->data + i, 1);
    }
    grant();
}

static void take_signal(uint32_t sig)
{
    if (sig == SIGKILL) {
        shared.error = NULL;
        pthread_mutex_lock(&shared.lock);
        sh_frame_put_exit(&shared.out, 0, 0, SIGKILL);
        shared.ending = pump.last_sent = true;
        pthread_mutex_unlock(&shared.lock);
        return;
    }
    loader_signal((int)sig);
}

/* It needs a process of its own in the enclave. */
static void refuse_exec(const struct sh_frame_view *f)
{
    bool program = f->size < 2 || f->data[1] == SH_EXEC_PROGRAM;
    pthread_mutex_lock(&shared.lock);
    sh_frame_put_text(&shared.out, SH_FRAME_REFUSED, f->session, SH_FRAME_EXEC,
                      program ? "an enclave cannot run further programs yet; run the image with "
                                "--tee tdx-sim to exec in it"
                              : "files cannot be copied into or out of an enclave yet; run the image "
                                "with --tee tdx-sim for that");
    pthread_mutex_unlock(&shared.lock);
}

static void take_trace(const struct sh_frame_view *f)
{
    if (f->size != 8)
        return;
    if (!sh_frame_u32(f, 4) && loader.options.trace) { /* --trace goes on */
        uint8_t done[8] = {0};
        memcpy(done, f->data, 4);
        shared.traces = false;
        channel_send(SH_FRAME_ANSWER, done, sizeof(done));
        return;
    }
    control_ask(SH_CONTROL_TRACE, sh_frame_u32(f, 0), f->data + 4, 4, SH_FRAME_ANSWER);
}

static void take_frame(const struct sh_frame_view *f)
{
    switch (f->type) {
    case SH_FRAME_CREDIT:
        if (f->stream == SH_STREAM_OUT || f->stream == SH_STREAM_ERR)
            pump.credit[f->stream - SH_STREAM_OUT] += sh_frame_u32(f, 0);
        break;
    case SH_FRAME_DATA:
        if (f->session == 0 && f->stream == SH_STREAM_IN && f->size > 4096 && pump.tty < 0 &&
            f->size <= pump.granted && pump.input >= 0) {
            pump.granted -= f->size; /* the common case, in one piece */
            sh_fifo_add(&pump.waiting, f->data, f->size);
            grant();
        } else if (f->session == 0) {
            take_input(f);
        }
        break;
    case SH_FRAME_EOF:
        pump.input_eof = true;
        break;
    case SH_FRAME_WINSIZE:
        if (pump.tty >= 0 && f->size >= 4) {
            uint32_t v = sh_frame_u32(f, 0);
            struct winsize w = {.ws_row = (uint16_t)v, .ws_col = (uint16_t)(v >> 16)};
            ioctl(pump.tty, TIOCSWINSZ, &w);
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
        control_ask(SH_CONTROL_ATTEST, sh_frame_u32(f, 0), f->data + 4, f->size < 4 ? 0 : f->size - 4,
                    SH_FRAME_EVIDENCE);
        break;
    case SH_FRAME_BYE:
        _exit(0);
    default:
        break;
    }
}

static void channel_readable(void)
{
    static uint8_t buf[2 * SH_FRAME_SIZE_MAX];
    struct sh_frame_view f;
    ssize_t n = read(pump.fd, buf, sizeof(buf));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        _exit(0); /* nobody is there any more */
    sh_frames_feed(&pump.in, buf, (size_t)n);
    for (;;) {
        int r = sh_frames_next(&pump.in, &f);
        if (r < 0)
            _exit(SH_EXIT_FAILURE);
        if (r == 0)
            return;
        take_frame(&f);
    }
}

/* --- the streams -------------------------------------------------------------------------------
 */

static void output_readable(unsigned i)
{
    static uint8_t buf[PIECE];
    size_t room = pump.credit[i] < sizeof(buf) ? (size_t)pump.credit[i] : sizeof(buf);
    ssize_t n = read(pump.output[i], buf, room);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        pump.output[i] = -1;
        put(SH_FRAME_EOF, (uint8_t)(SH_STREAM_OUT + i), NULL, 0);
        return;
    }
    pump.credit[i] -= (uint64_t)n;
    put(SH_FRAME_DATA, (uint8_t)(SH_STREAM_OUT + i), buf, (size_t)n);
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
        grant();
    }
    if (pump.input_eof && pump.input >= 0 && !pump.waiting.size) {
        if (pump.tty >= 0) {
            uint8_t end = 4; /* ^D */
            (void)!write(pump.input, &end, 1);
        } else {
            close(pump.input);
        }
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

static void send_last(void)
{
    pthread_mutex_lock(&shared.lock);
    if (shared.ending && !pump.last_sent && is_drained()) {
        if (shared.error)
            sh_frame_put_text(&shared.out, SH_FRAME_ERROR, 0, (uint32_t)shared.status,
                              shared.error);
        else
            sh_frame_put_exit(&shared.out, 0, (uint32_t)shared.status, 0);
        pump.last_sent = true;
    }
    pthread_mutex_unlock(&shared.lock);
}

static bool flush(void)
{
    pthread_mutex_lock(&shared.lock);
    while (shared.out.size) {
        ssize_t n =
            send(pump.fd, sh_fifo_peek(&shared.out), shared.out.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n < 0)
            _exit(0);
        sh_fifo_drop(&shared.out, (size_t)n);
    }
    bool empty = !shared.out.size;
    pthread_cond_broadcast(&shared.flushed);
    pthread_mutex_unlock(&shared.lock);
    return empty;
}

static void *pump_main(void *arg)
{
    uint64_t drained;
    for (;;) {
        feed_input();
        send_last();
        bool empty = flush();
        bool full = shared.out.size > SH_CREDIT_WINDOW;
        struct pollfd p[] = {
            {.fd = pump.fd, .events = (short)(POLLIN | (empty ? 0 : POLLOUT))},
            {.fd = shared.event, .events = POLLIN},
            {.fd = pump.credit[0] && !full ? pump.output[0] : -1, .events = POLLIN},
            {.fd = pump.credit[1] && !full ? pump.output[1] : -1, .events = POLLIN},
            {.fd = pump.waiting.size ? pump.input : -1, .events = POLLOUT},
        };
        if (poll(p, 5, control_poll()) < 0)
            continue;
        if (p[1].revents)
            (void)!read(shared.event, &drained, sizeof(drained));
        if (p[0].revents & (POLLIN | POLLHUP | POLLERR))
            channel_readable();
        for (unsigned i = 0; i < 2; i++) {
            if (p[2 + i].revents)
                output_readable(i);
        }
    }
    return NULL;
}

/* --- start -------------------------------------------------------------------------------------
 */

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

static int open_terminal(void)
{
    char name[64];
    int ours = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (ours < 0 || grantpt(ours) || unlockpt(ours) || ptsname_r(ours, name, sizeof(name)))
        return -errno;
    int theirs = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (theirs < 0)
        return -errno;
    struct winsize w = {.ws_row = loader.options.rows, .ws_col = loader.options.columns};
    ioctl(ours, TIOCSWINSZ, &w);
    for (int i = 0; i < 3; i++)
        loader_handle_set(i, theirs);
    pump.input = pump.output[0] = pump.tty = ours;
    return 0;
}

int channel_init(struct sh_error *err)
{
    sigset_t all, before;
    pthread_t id;
    pump.fd = loader.options.channel;
    fcntl(pump.fd, F_SETFD, FD_CLOEXEC);
    shared.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = shared.event < 0 ? -errno : loader.options.tty ? open_terminal() : open_pipes();
    if (r)
        return sh_fail_errno(err, r, "cannot open the workload's streams");
    put_u32(SH_FRAME_HELLO, 0, SH_CHANNEL_VERSION);
    grant();
    /* Signals are for the threads that enter the enclave. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = -pthread_create(&id, NULL, pump_main, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r ? sh_fail_errno(err, r, "cannot start a thread") : 0;
}
