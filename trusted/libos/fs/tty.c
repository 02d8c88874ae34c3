// SPDX-License-Identifier: Apache-2.0
// The line discipline of a terminal, as termios(3) has it.
#include <asm/ioctls.h>
#include <asm/poll.h>
#include <asm/signal.h>
#include <asm/termbits.h>

#include "trusted/libos/fs/tty.h"
#include "trusted/libos/signal/signal.h"

#define DELETE 127
#define TAB 8u

static const struct tty_modes first_modes = {
    .iflag = ICRNL | IXON,
    .oflag = OPOST | ONLCR,
    .cflag = B38400 | CS8 | CREAD,
    .lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
    .cc = {[VINTR] = 3,
           [VQUIT] = 28,
           [VERASE] = DELETE,
           [VKILL] = 21,
           [VEOF] = 4,
           [VMIN] = 1,
           [VSTART] = 17,
           [VSTOP] = 19,
           [VSUSP] = 26,
           [VREPRINT] = 18,
           [VDISCARD] = 15,
           [VWERASE] = 23,
           [VLNEXT] = 22},
};

#define INPUT_PAGES (TTY_INPUT * sizeof(uint16_t) / PAGE_SIZE)
#define OUTPUT_PAGES (TTY_OUTPUT / PAGE_SIZE)

struct tty *tty_new(void)
{
    struct tty *t = los_alloc(sizeof(*t));
    if (!t)
        return NULL;
    t->input = pages_alloc(INPUT_PAGES);
    t->line = page_alloc();
    t->output = pages_alloc(OUTPUT_PAGES);
    t->refs = 1;
    t->modes = first_modes;
    list_init(&t->node);
    wait_queue_init(&t->slave_wait);
    wait_queue_init(&t->master_wait);
    if (t->input && t->line && t->output)
        return t;
    tty_put(t);
    return NULL;
}

void tty_put(struct tty *t)
{
    if (--t->refs)
        return;
    list_remove(&t->node);
    if (t->input)
        pages_free(t->input, INPUT_PAGES);
    if (t->line)
        page_free(t->line);
    if (t->output)
        pages_free(t->output, OUTPUT_PAGES);
    los_free(t);
}

static bool is_set(const struct tty *t, uint32_t lflag)
{
    return t->modes.lflag & lflag;
}

/* Is it this one of the special characters? 0 stands for none. */
static bool is_special(const struct tty *t, uint8_t byte, unsigned which)
{
    return byte && t->modes.cc[which] == byte;
}

/* ---- output ---- */

uint32_t tty_output_room(const struct tty *t)
{
    uint32_t room = TTY_OUTPUT - t->output_count;
    return t->stopped ? 0 : t->modes.oflag & OPOST ? room / TAB : room;
}

static void push_output(struct tty *t, uint8_t byte)
{
    if (t->output_count == TTY_OUTPUT)
        return;
    t->output[(t->output_at + t->output_count++) % TTY_OUTPUT] = byte;
    if (byte == '\r')
        t->column = 0;
    else if (byte == '\b')
        t->column -= t->column > 0;
    else if (byte == '\t')
        t->column = (t->column / TAB + 1) * TAB;
    else if (byte >= ' ' && byte != DELETE && (byte & 0xc0) != 0x80)
        t->column++;
}

void tty_output(struct tty *t, uint8_t byte)
{
    uint32_t o = t->modes.oflag;
    if (!(o & OPOST)) {
        push_output(t, byte);
    } else if (byte == '\n') {
        if (o & ONLCR)
            push_output(t, '\r');
        push_output(t, '\n');
        if (o & ONLRET)
            t->column = 0;
    } else if (byte == '\r' && (o & ONOCR) && !t->column) {
        return;
    } else if (byte == '\r' && (o & OCRNL)) {
        push_output(t, '\n');
    } else if (byte == '\t' && (o & TABDLY) == XTABS) {
        do
            push_output(t, ' ');
        while (t->column % TAB);
    } else {
        push_output(t, o & OLCUC && byte >= 'a' && byte <= 'z' ? byte - 32 : byte);
    }
}

uint32_t tty_take_output(struct tty *t, uint8_t *to, uint32_t size)
{
    uint32_t n = 0;
    for (; n < size && t->output_count; n++, t->output_count--) {
        to[n] = t->output[t->output_at];
        t->output_at = (t->output_at + 1) % TTY_OUTPUT;
    }
    if (n)
        wait_wake_events(&t->slave_wait, POLLOUT);
    return n;
}

/* ---- echo ---- */

static bool is_control(uint8_t byte)
{
    return (byte < ' ' && byte != '\t' && byte != '\n') || byte == DELETE;
}

static void echo_byte(struct tty *t, uint8_t byte)
{
    if (byte == '\n' ? !is_set(t, ECHO) && !(is_set(t, ECHONL) && is_set(t, ICANON))
                     : !is_set(t, ECHO))
        return;
    if (is_set(t, ECHOCTL) && is_control(byte)) {
        push_output(t, '^');
        push_output(t, byte ^ 64);
    } else {
        tty_output(t, byte);
    }
}

/* The column behind a byte that was echoed at `column`. */
static uint32_t column_after(const struct tty *t, uint32_t column, uint8_t byte)
{
    if (byte == '\t')
        return (column / TAB + 1) * TAB;
    if (is_control(byte))
        return column + (is_set(t, ECHOCTL) ? 2 : 0);
    return column + !((t->modes.iflag & IUTF8) && (byte & 0xc0) == 0x80);
}

static uint32_t column_of_line(const struct tty *t)
{
    uint32_t column = t->line_column;
    for (uint32_t i = 0; i < t->line_size; i++)
        column = column_after(t, column, t->line[i]);
    return column;
}

/* ---- editing ---- */

static void erase_char(struct tty *t)
{
    uint32_t before = column_of_line(t);
    do
        t->line_size--;
    while (t->line_size && (t->modes.iflag & IUTF8) && (t->line[t->line_size] & 0xc0) == 0x80);
    if (!is_set(t, ECHO) || !is_set(t, ECHOE))
        return;
    bool tab = t->line[t->line_size] == '\t';
    for (uint32_t n = before - column_of_line(t); n; n--) {
        push_output(t, '\b');
        if (tab)
            continue;
        push_output(t, ' ');
        push_output(t, '\b');
    }
}

static bool in_word(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z') || byte == '_' || byte >= 128;
}

static void erase_word(struct tty *t)
{
    bool word = false;
    while (t->line_size && (in_word(t->line[t->line_size - 1]) || !word)) {
        word = word || in_word(t->line[t->line_size - 1]);
        erase_char(t);
    }
}

static void kill_line(struct tty *t, uint8_t byte)
{
    if (is_set(t, ECHO) && is_set(t, ECHOK) && is_set(t, ECHOKE) && is_set(t, ECHOE)) {
        while (t->line_size)
            erase_char(t);
        return;
    }
    t->line_size = 0;
    echo_byte(t, byte);
    if (is_set(t, ECHOK) && is_set(t, ECHO))
        tty_output(t, '\n');
}

static bool edit_line(struct tty *t, uint8_t byte)
{
    if (is_special(t, byte, VERASE)) {
        if (t->line_size)
            erase_char(t);
        if (is_set(t, ECHO) && !is_set(t, ECHOE))
            echo_byte(t, byte);
    } else if (is_special(t, byte, VKILL)) {
        kill_line(t, byte);
    } else if (is_set(t, IEXTEN) && is_special(t, byte, VWERASE)) {
        erase_word(t);
    } else if (is_set(t, IEXTEN) && is_special(t, byte, VREPRINT) && is_set(t, ECHO)) {
        echo_byte(t, byte);
        tty_output(t, '\n');
        for (uint32_t i = 0; i < t->line_size; i++)
            echo_byte(t, t->line[i]);
    } else {
        return false;
    }
    return true;
}

/* ---- input ---- */

bool tty_takes_input(const struct tty *t)
{
    return t->input_count + t->line_size + 1 < TTY_INPUT ||
           (is_set(t, ICANON) && !t->input_count); /* a line that is too long loses bytes */
}

static void push_input(struct tty *t, uint16_t item)
{
    if (t->input_count < TTY_INPUT)
        t->input[(t->input_at + t->input_count++) % TTY_INPUT] = item;
}

static void end_line(struct tty *t, uint16_t last)
{
    for (uint32_t i = 0; i < t->line_size; i++)
        push_input(t, t->line[i]);
    t->line_size = 0;
    if (last)
        push_input(t, last);
    wait_wake_events(&t->slave_wait, POLLIN | POLLRDNORM);
}

static void canonical_input(struct tty *t, uint8_t byte, bool literal)
{
    if (!t->line_size)
        t->line_column = t->column;
    if (!literal && edit_line(t, byte))
        return;
    if (!literal && is_special(t, byte, VEOF)) {
        end_line(t, TTY_EOF);
        return;
    }
    bool ends = !literal && (byte == '\n' || is_special(t, byte, VEOL) ||
                             (is_set(t, IEXTEN) && is_special(t, byte, VEOL2)));
    if (!ends && t->line_size + t->input_count >= TTY_LINE_MAX)
        return;
    echo_byte(t, byte);
    if (ends)
        end_line(t, byte | TTY_ENDS);
    else
        t->line[t->line_size++] = byte;
}

static void tell_packet(struct tty *t, uint8_t news, uint8_t old)
{
    if (!t->packet)
        return;
    t->news = (uint8_t)((t->news & ~old) | news);
    wait_wake_events(&t->master_wait, POLLIN | POLLRDNORM | POLLPRI);
}

void tty_set_stopped(struct tty *t, bool stopped)
{
    if (t->stopped == stopped)
        return;
    t->stopped = stopped;
    tell_packet(t, stopped ? TIOCPKT_STOP : TIOCPKT_START, TIOCPKT_STOP | TIOCPKT_START);
}

void tty_flush(struct tty *t, bool input, bool output)
{
    tell_packet(t, (input ? TIOCPKT_FLUSHREAD : 0) | (output ? TIOCPKT_FLUSHWRITE : 0), 0);
    if (input)
        t->input_count = t->line_size = 0;
    if (output)
        t->output_count = 0;
    wait_wake_events(&t->slave_wait, POLLOUT);
    wait_wake_events(&t->master_wait, POLLOUT);
}

void tty_signal(const struct tty *t, int signo)
{
    sig_send_group(t->pgid, signo);
}

static bool signal_key(struct tty *t, uint8_t byte)
{
    int signo = is_special(t, byte, VINTR)   ? SIGINT
                : is_special(t, byte, VQUIT) ? SIGQUIT
                : is_special(t, byte, VSUSP) ? SIGTSTP
                                             : 0;
    if (!signo || !is_set(t, ISIG))
        return false;
    tty_set_stopped(t, false);
    if (!is_set(t, NOFLSH))
        tty_flush(t, true, true);
    echo_byte(t, byte);
    tty_signal(t, signo);
    return true;
}

static bool flow_key(struct tty *t, uint8_t byte)
{
    bool stop = is_special(t, byte, VSTOP), start = is_special(t, byte, VSTART);
    if (!(t->modes.iflag & IXON))
        return false;
    if (t->stopped && !stop && (start || (t->modes.iflag & IXANY))) {
        tty_set_stopped(t, false);
        wait_wake_events(&t->slave_wait, POLLOUT);
    } else if (stop) {
        tty_set_stopped(t, true);
    }
    return stop || start;
}

void tty_input(struct tty *t, uint8_t byte)
{
    uint32_t i = t->modes.iflag;
    bool literal = t->literal;
    t->literal = false;
    if (i & ISTRIP)
        byte &= 127;
    if (byte == '\r' && (i & IGNCR))
        return;
    if (!literal && byte == '\r' && (i & ICRNL))
        byte = '\n';
    else if (!literal && byte == '\n' && (i & INLCR))
        byte = '\r';
    if (!literal && (flow_key(t, byte) || signal_key(t, byte)))
        return;
    if (!is_set(t, ICANON)) {
        push_input(t, byte);
        echo_byte(t, byte);
        wait_wake_events(&t->slave_wait, POLLIN | POLLRDNORM);
    } else if (!literal && is_set(t, IEXTEN) && is_special(t, byte, VLNEXT)) {
        t->literal = true;
        if (is_set(t, ECHO) && is_set(t, ECHOCTL)) {
            push_output(t, '^');
            push_output(t, '\b');
        }
    } else {
        canonical_input(t, byte, literal);
    }
}

bool tty_is_readable(const struct tty *t, uint32_t wanted)
{
    bool lines = is_set(t, ICANON);
    uint32_t least = lines ? 1 : MIN(MAX(t->modes.cc[VMIN], 1u), wanted);
    return t->input_count >= least;
}

/* Do the usual keys stop the output? */
static bool has_flow(const struct tty_modes *m)
{
    return (m->iflag & IXON) && m->cc[VSTOP] == 023 && m->cc[VSTART] == 021;
}

void tty_set_modes(struct tty *t, const struct tty_modes *m)
{
    if (has_flow(&t->modes) != has_flow(m))
        tell_packet(t, has_flow(m) ? TIOCPKT_DOSTOP : TIOCPKT_NOSTOP,
                    TIOCPKT_DOSTOP | TIOCPKT_NOSTOP);
    bool raw = !(m->lflag & ICANON) && is_set(t, ICANON);
    t->modes = *m;
    if (raw) /* what was being edited is input now */
        end_line(t, 0);
    if (!(m->iflag & IXON))
        tty_set_stopped(t, false);
    wait_wake_all(&t->slave_wait);
}
