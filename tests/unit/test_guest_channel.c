// SPDX-License-Identifier: Apache-2.0
// The guest's end of the channel: every frame a host may send, whole, torn, wrong and out of place.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/exec.h"
#include "trusted/guest/serve.h"

static void put_frame(uint8_t *out, uint8_t type, uint8_t stream, uint16_t session, uint32_t size)
{
    out[0] = type;
    out[1] = stream;
    sh_put_le16(out + 2, session);
    sh_put_le32(out + 4, size);
}

static int check(uint8_t type, uint8_t stream, uint32_t size, size_t have)
{
    uint8_t head[8];
    struct sh_frame frame;
    put_frame(head, type, stream, 0, size);
    uint8_t *copy = malloc(have ? have : 1);
    memcpy(copy, head, have < 8 ? have : 8);
    int rc = guest_frame_check(copy, have, &frame);
    free(copy);
    return rc;
}

static void test_frames(void **state)
{
    for (size_t have = 0; have < 8; have++)
        assert_int_equal(check(255, 255, ~0u, have), 0);
    /* All 256 types, three streams and more, sizes around each bound. */
    static const uint32_t sizes[] = {
        0, 1, 3, 4, 5, 9, 10, 8, 68, 69, 65535, 65536, 65537, 0x7fffffff, 0x80000000, 0xffffffff};
    for (unsigned type = 0; type < 256; type++)
        for (unsigned stream = 0; stream < 5; stream++)
            for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                uint32_t size = sizes[i];
                bool in = stream == SH_STREAM_IN, good = false;
                if (type == SH_FRAME_DATA)
                    good = in && size <= 65536;
                else if (type == SH_FRAME_EOF || type == SH_FRAME_BYE)
                    good = in && size == 0;
                else if (type == SH_FRAME_CREDIT)
                    good = (stream == SH_STREAM_OUT || stream == SH_STREAM_ERR) && size == 4;
                else if (type == SH_FRAME_WINSIZE || type == SH_FRAME_SIGNAL ||
                         type == SH_FRAME_STATS)
                    good = in && size == 4;
                else if (type == SH_FRAME_TRACE)
                    good = in && size == 8;
                else if (type == SH_FRAME_ATTEST)
                    good = in && size >= 5 && size <= 68;
                else if (type == SH_FRAME_EXEC)
                    good = in && size >= 10 && size <= 65536;
                int rc = check((uint8_t)type, (uint8_t)stream, size, 8);
                if (good)
                    assert_int_equal(rc, size ? 0 : 8);
                else
                    assert_int_equal(rc, -EBADMSG);
            }
    assert_int_equal(check(SH_FRAME_DATA, 0, 5, 13), 13);
    assert_int_equal(check(SH_FRAME_DATA, 0, 5, 12), 0);
    assert_int_equal(check(SH_FRAME_DATA, 0, 5, 100), 13);
}

static size_t exec_payload(uint8_t *out, uint8_t tty, uint8_t kind, uint16_t args, uint16_t envs,
                           const char *text, size_t size)
{
    memset(out, 0, 10);
    out[0] = tty;
    out[1] = kind;
    sh_put_le16(out + 2, args);
    sh_put_le16(out + 4, envs);
    sh_put_le16(out + 6, 24);
    sh_put_le16(out + 8, 80);
    memcpy(out + 10, text, size);
    return 10 + size;
}

static void test_exec_parse(void **state)
{
    uint8_t data[128];
    struct sh_exec x;
    static const char good[] = "ls\0-l\0A=b\0/dir\0user"; /* its own NUL ends it */
    size_t size = exec_payload(data, 1, 0, 2, 1, good, sizeof(good));
    assert_int_equal(sh_exec_parse(&x, data, size), 0);
    assert_string_equal(x.args, "ls");
    assert_string_equal(x.env, "A=b");
    assert_string_equal(x.workdir, "/dir");
    assert_string_equal(x.user, "user");
    assert_true(x.head.tty == 1 && x.head.rows == 24 && x.head.columns == 80);
    for (size_t n = 0; n < size; n++) { /* torn at every byte */
        uint8_t *copy = malloc(n ? n : 1);
        memcpy(copy, data, n);
        assert_int_equal(sh_exec_parse(&x, copy, n), -EBADMSG);
        free(copy);
    }
    assert_int_equal(sh_exec_parse(&x, data, size + 1), -EBADMSG);
    static const struct {
        uint8_t tty, kind;
        uint16_t args, envs;
    } bad[] = {{2, 0, 2, 1},   {0, 3, 2, 1}, {0, 4, 1, 2},         {0, 5, 2, 1},
               {0, 255, 2, 1}, {0, 0, 0, 3}, {0, 0, 65535, 65535}, {0, 1, 2, 1},
               {0, 2, 2, 1},   {0, 0, 3, 1}, {0, 0, 1, 1},         {0, 6, 1, 2}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        size = exec_payload(data, bad[i].tty, bad[i].kind, bad[i].args, bad[i].envs, good,
                            sizeof(good));
        assert_int_equal(sh_exec_parse(&x, data, size), -EBADMSG);
    }
}

/* --- a guest without processes: one workload session over pipes, the host at a socket --- */

struct host {
    struct guest *g;
    int fd;      /* the host's end */
    int program; /* the workload's stdin, read end */
    int out;     /* its stdout, write end */
};

static struct host begin(uint64_t policy)
{
    struct host h = {.g = calloc(1, sizeof(*h.g))};
    int s[2], p[2];
    h.g->root = h.g->signal_fd = h.g->agent_listen = h.g->notify_fd = h.g->agent_fd = h.g->agent =
        -1;
    struct sh_settings *set = &h.g->config.settings;
    set->requests = policy & SH_POLICY_ALL;
    set->input_allowed = !(policy & SH_POLICY_NO_INPUT);
    set->output = !(policy & SH_POLICY_NO_OUTPUT);
    set->signals = 1ull << (SIGINT - 1) | 1ull << (SIGTERM - 1) | 1ull << (SIGKILL - 1);
    set->stop_signal = SIGTERM;
    set->workdir = "/";
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s), 0);
    h.g->channel.fd = s[0];
    h.fd = s[1];
    struct guest_session *w = guest_session_new(h.g, 0);
    assert_int_equal(pipe2(p, O_NONBLOCK), 0);
    h.program = p[0];
    w->in.fd = p[1];
    guest_in_open(&w->in);
    w->in.credit = GUEST_IN_WINDOW;
    assert_int_equal(pipe2(p, O_NONBLOCK), 0);
    w->out[0].fd = p[0];
    h.out = p[1];
    w->state = GUEST_RUNNING;
    w->pid = -1;
    return h;
}

static void finish(struct host *h)
{
    for (size_t i = 0; i < SH_SESSION_MAX; i++)
        if (h->g->sessions[i].state != GUEST_UNUSED)
            guest_session_free(&h->g->sessions[i]);
    close(h->fd);
    close(h->g->channel.fd);
    close(h->program);
    close(h->out);
    free(h->g);
}

/* The host sends these bytes, in pieces of `step`; true while the channel lives. */
static bool send_bytes(struct host *h, const void *data, size_t size, size_t step)
{
    const uint8_t *p = data;
    while (size && !h->g->channel.ended) {
        size_t n = size < step ? size : step;
        ssize_t done = write(h->fd, p, n);
        assert_true(done > 0 || errno == EAGAIN);
        if (done > 0) {
            p += done;
            size -= (size_t)done;
        }
        guest_channel_fill(&h->g->channel);
        guest_take_frames(h->g);
    }
    return !h->g->channel.ended;
}

static bool send_frame(struct host *h, uint8_t type, uint8_t stream, uint16_t session,
                       const void *data, uint32_t size)
{
    uint8_t *frame = malloc(8 + size);
    put_frame(frame, type, stream, session, size);
    if (size)
        memcpy(frame + 8, data, size);
    bool alive = send_bytes(h, frame, 8 + size, 8 + size);
    free(frame);
    return alive;
}

/* The next frame from the guest: its type, or 0. */
static int receive(struct host *h, uint8_t *payload, uint32_t *size)
{
    uint8_t head[8];
    guest_channel_flush(&h->g->channel);
    if (read(h->fd, head, 8) != 8)
        return 0;
    *size = sh_le32(head + 4);
    assert_true(*size <= SH_FRAME_SIZE_MAX);
    for (uint32_t at = 0; at < *size;) {
        ssize_t n = read(h->fd, payload + at, *size - at);
        if (n < 0)
            guest_channel_flush(&h->g->channel);
        else
            at += (uint32_t)n;
    }
    return head[0];
}

static void pump(struct host *h)
{
    bool ready[2] = {true, true};
    guest_session_pump(h->g, guest_session_find(h->g, 0), true, ready);
}

static void test_stdin(void **state)
{
    struct host h = begin(0);
    static uint8_t data[SH_FRAME_SIZE_MAX], got[SH_FRAME_SIZE_MAX];
    uint32_t size, regranted = 0;
    uint8_t next = 0, want = 0;
    size_t sent = 0, received = 0;
    /* Three windows through the ring, in frames of odd sizes; credit comes back as it drains. */
    while (received < 3 * GUEST_IN_WINDOW) {
        struct guest_session *w = guest_session_find(h.g, 0);
        uint32_t n = 1 + (uint32_t)(sent * 7 % 60000);
        if (n <= w->in.credit) {
            for (uint32_t i = 0; i < n; i++)
                data[i] = next++;
            assert_true(send_frame(&h, SH_FRAME_DATA, 0, 0, data, n));
            sent += n;
        }
        pump(&h);
        assert_int_equal(w->in.credit + w->in.held + w->in.freed, GUEST_IN_WINDOW);
        ssize_t r = read(h.program, got, sizeof(got));
        for (ssize_t i = 0; i < r; i++)
            assert_int_equal(got[i], want++);
        received += r > 0 ? (size_t)r : 0;
        while (receive(&h, got, &size) == SH_FRAME_CREDIT)
            regranted += sh_le32(got);
    }
    assert_true(regranted >= GUEST_IN_WINDOW);
    /* EOF: what is held still arrives, then the pipe ends. */
    assert_true(send_frame(&h, SH_FRAME_DATA, 0, 0, "tail", 4));
    assert_true(send_frame(&h, SH_FRAME_EOF, 0, 0, NULL, 0));
    for (int i = 0; i < 8; i++) {
        pump(&h);
        while (read(h.program, got, sizeof(got)) > 0)
            ;
    }
    assert_int_equal(read(h.program, got, 1), 0);
    finish(&h);
}

static void test_stdin_lies(void **state)
{
    static uint8_t data[SH_FRAME_SIZE_MAX];
    struct host h = begin(0);
    /* The whole window is fine, one byte more is the end. */
    for (size_t i = 0; i < GUEST_IN_WINDOW / SH_FRAME_SIZE_MAX; i++)
        assert_true(send_frame(&h, SH_FRAME_DATA, 0, 0, data, sizeof(data)));
    assert_false(send_frame(&h, SH_FRAME_DATA, 0, 0, data, 1));
    finish(&h);
    /* Nobody reads: bytes are dropped, but credit still counts. */
    h = begin(0);
    close(h.program);
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < 40; i++) {
        struct guest_session *w = guest_session_find(h.g, 0);
        assert_true(send_frame(&h, SH_FRAME_DATA, 0, 0, data, 20000));
        pump(&h);
        assert_int_equal(w->in.credit + w->in.held + w->in.freed, GUEST_IN_WINDOW);
        assert_int_equal(w->in.held, 0);
    }
    h.program = open("/dev/null", O_RDONLY);
    finish(&h);
    /* No input by policy: refused, without effect. */
    h = begin(SH_POLICY_NO_INPUT);
    uint32_t size;
    assert_true(send_frame(&h, SH_FRAME_DATA, 0, 0, "evil", 4));
    assert_int_equal(receive(&h, data, &size), SH_FRAME_REFUSED);
    assert_int_equal(sh_le32(data), SH_FRAME_DATA);
    pump(&h);
    assert_int_equal(read(h.program, data, 1), -1);
    finish(&h);
}

static void test_stdout(void **state)
{
    struct host h = begin(0);
    static uint8_t data[SH_FRAME_SIZE_MAX], got[SH_FRAME_SIZE_MAX];
    uint32_t size;
    uint8_t credit[4];
    assert_true(write(h.out, data, 5000) == 5000);
    pump(&h);
    assert_int_equal(receive(&h, got, &size), 0); /* nothing without credit */
    sh_put_le32(credit, 3000);
    assert_true(send_frame(&h, SH_FRAME_CREDIT, SH_STREAM_OUT, 0, credit, 4));
    pump(&h);
    assert_int_equal(receive(&h, got, &size), SH_FRAME_DATA);
    assert_int_equal(size, 3000);
    pump(&h);
    assert_int_equal(receive(&h, got, &size), 0);
    /* As much credit as can be said, again and again, is still only a number. */
    sh_put_le32(credit, 0xffffffff);
    for (int i = 0; i < 100; i++)
        assert_true(send_frame(&h, SH_FRAME_CREDIT, SH_STREAM_OUT, 0, credit, 4));
    pump(&h);
    assert_int_equal(receive(&h, got, &size), SH_FRAME_DATA);
    assert_int_equal(size, 2000);
    finish(&h);
    /* A host that takes nothing: the queue is bounded, the pipe fills, nothing is lost. */
    h = begin(0);
    assert_true(send_frame(&h, SH_FRAME_CREDIT, SH_STREAM_OUT, 0, credit, 4));
    size_t written = 0;
    for (int i = 0; i < 100; i++) {
        ssize_t n = write(h.out, data, sizeof(data));
        written += n > 0 ? (size_t)n : 0;
        pump(&h);
        guest_channel_flush(&h.g->channel);
        assert_true(guest_channel_room(&h.g->channel) >= GUEST_TX_RESERVE);
    }
    assert_true(written > 0 && written < 100 * sizeof(data));
    size_t total = 0;
    for (int idle = 0; idle < 3; pump(&h))
        if (receive(&h, got, &size) == SH_FRAME_DATA)
            total += size;
        else
            idle++;
    assert_int_equal(total, written);
    finish(&h);
}

static void test_sessions(void **state)
{
    uint8_t data[128], got[512];
    uint32_t size;
    struct host h = begin(0);
    /* Exec without policy: refused, and its number is used up. */
    size_t n = exec_payload(data, 0, 0, 1, 0, "sh\0\0", 5);
    assert_true(send_frame(&h, SH_FRAME_EXEC, 0, 9, data, (uint32_t)n));
    assert_int_equal(receive(&h, got, &size), SH_FRAME_REFUSED);
    assert_null(guest_session_find(h.g, 9));
    /* What follows for that number is passed over; a number never used is a lie. */
    assert_true(send_frame(&h, SH_FRAME_EOF, 0, 9, NULL, 0));
    assert_true(send_frame(&h, SH_FRAME_DATA, 0, 9, "x", 1));
    assert_false(send_frame(&h, SH_FRAME_EOF, 0, 10, NULL, 0));
    finish(&h);
    static const struct {
        uint8_t type;
        uint16_t session;
    } lies[] = {{SH_FRAME_BYE, 0}, {SH_FRAME_BYE, 1}, {SH_FRAME_DATA, 1}, {SH_FRAME_EOF, 65535}};
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        h = begin(SH_POLICY_EXEC);
        assert_false(send_frame(&h, lies[i].type, 0, lies[i].session, NULL, 0));
        finish(&h);
    }
    h = begin(SH_POLICY_EXEC);
    assert_false(
        send_frame(&h, SH_FRAME_EXEC, 0, 0, data, (uint32_t)n)); /* the workload's number */
    finish(&h);
    h = begin(SH_POLICY_EXEC);
    assert_false(send_frame(&h, SH_FRAME_EXEC, 0, 3, data, (uint32_t)n - 1)); /* torn strings */
    finish(&h);
    /* Signals that policy does not allow: refused, one by one. */
    h = begin(0);
    for (uint32_t s = 0; s < 70; s++) {
        uint8_t number[4];
        sh_put_le32(number, s);
        bool allowed = s == SIGINT || s == SIGTERM || s == SIGKILL;
        assert_true(send_frame(&h, SH_FRAME_SIGNAL, 0, 0, number, 4));
        assert_int_equal(receive(&h, got, &size), allowed ? 0 : SH_FRAME_REFUSED);
    }
    finish(&h);
    /* A host that asks and never listens: the guest stops reading before it runs out of room. */
    h = begin(0);
    uint8_t flood[12];
    put_frame(flood, SH_FRAME_SIGNAL, 0, 0, 4);
    sh_put_le32(flood + 8, SIGUSR1);
    for (int i = 0; i < 100000 && write(h.fd, flood, 12) == 12; i++) {
        guest_channel_fill(&h.g->channel);
        guest_take_frames(h.g);
    }
    assert_false(h.g->channel.ended);
    assert_true(guest_channel_room(&h.g->channel) > GUEST_TX_RESERVE / 4);
    finish(&h);
}

/* A whole conversation, cut into pieces of every size: the result is the same. */
static void test_fragments(void **state)
{
    uint8_t talk[512];
    size_t size = 0;
    for (int i = 0; i < 10; i++) {
        put_frame(talk + size, SH_FRAME_DATA, 0, 0, 7);
        memcpy(talk + size + 8, "abcdefg", 7);
        size += 15;
        put_frame(talk + size, SH_FRAME_WINSIZE, 0, 0, 4);
        sh_put_le16(talk + size + 8, (uint16_t)i);
        sh_put_le16(talk + size + 10, 80);
        size += 12;
    }
    put_frame(talk + size, SH_FRAME_EOF, 0, 0, 0);
    size += 8;
    for (size_t step = 1; step <= size; step++) {
        struct host h = begin(0);
        assert_true(send_bytes(&h, talk, size, step));
        struct guest_session *w = guest_session_find(h.g, 0);
        assert_int_equal(w->in.held, 70);
        assert_true(w->in.eof && w->rows == 9 && w->columns == 80);
        finish(&h);
    }
}

/* Counts only where the policy allows them; a trace never; the id comes back. */
static void test_stats(void **state)
{
    uint8_t ask[8] = {7, 1}, got[512];
    uint32_t size;
    for (unsigned allowed = 0; allowed < 2; allowed++) {
        struct host h = begin(allowed ? SH_POLICY_STATS : SH_POLICY_ALL & ~SH_POLICY_STATS);
        assert_true(send_frame(&h, SH_FRAME_STATS, 0, 0, ask, 4));
        assert_int_equal(receive(&h, got, &size), SH_FRAME_ANSWER);
        assert_true(size > 10);
        assert_int_equal(sh_le32(got), 263);
        assert_int_equal(sh_le32(got + 4), allowed ? 0 : EPERM);
        assert_int_equal(got[8] == '{', allowed);
        assert_true(send_frame(&h, SH_FRAME_TRACE, 0, 0, ask, 8));
        assert_int_equal(receive(&h, got, &size), SH_FRAME_ANSWER);
        assert_int_equal(sh_le32(got + 4), ENOTSUP);
        finish(&h);
    }
}

/* The end of the host's side is seen. */
static void test_hangup(void **state)
{
    struct host h = begin(0);
    shutdown(h.fd, SHUT_WR);
    guest_channel_fill(&h.g->channel);
    assert_true(h.g->channel.ended);
    finish(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames),    cmocka_unit_test(test_exec_parse),
        cmocka_unit_test(test_stdin),     cmocka_unit_test(test_stdin_lies),
        cmocka_unit_test(test_stdout),    cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_fragments), cmocka_unit_test(test_hangup),
        cmocka_unit_test(test_stats),
    };
    return cmocka_run_group_tests_name("guest channel", tests, NULL, NULL);
}
