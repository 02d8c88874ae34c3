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
#define MOST_ECHO 256u /* that waits for more */
#define SPEED 38400u   /* of B38400 */

const struct tty_modes tty_first_modes = {
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
    t->output = pages_alloc(OUTPUT_PAGES);
    t->echo = page_alloc();
    t->refs = 1;
    t->modes = tty_first_modes;
    t->speeds[0] = t->speeds[1] = SPEED;
    list_init(&t->node);
    wait_queue_init(&t->slave_wait);
    wait_queue_init(&t->master_wait);
    if (t->input && t->output && t->echo)
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
    if (t->output)
        pages_free(t->output, OUTPUT_PAGES);
    if (t->echo)
        page_free(t->echo);
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

/* ---- letters, as the kernel counts them: ISO 8859-1 ---- */

static bool is_control(uint8_t byte)
{
    return byte < ' ' || byte == DELETE;
}

static bool is_lower(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 0xdf && byte != 0xf7);
}

static bool is_upper(uint8_t byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 0xc0 && byte < 0xdf && byte != 0xd7);
}

static bool in_word(uint8_t byte)
{
    return is_lower(byte) || is_upper(byte) || (byte >= '0' && byte <= '9') || byte == '_';
}

/* A byte of UTF-8 that takes no column. */
static bool goes_on(const struct tty *t, uint8_t byte)
{
    return (t->modes.iflag & IUTF8) && (byte & 0xc0) == 0x80;
}

/* ---- output ---- */

uint32_t tty_output_room(const struct tty *t)
{
    uint32_t room = TTY_OUTPUT - t->output_count;
    return t->stopped ? 0 : t->modes.oflag & OPOST ? room / TAB : room;
}

static void push_output(struct tty *t, uint8_t byte)
{
    if (t->output_count < TTY_OUTPUT)
        t->output[(t->output_at + t->output_count++) % TTY_OUTPUT] = byte;
}

/* Although ^S stopped it; where it was held off, it is lost. */
void tty_send_first(struct tty *t, uint8_t byte)
{
    if (!t->held_off)
        push_output(t, byte);
}

static uint32_t next_stop(uint32_t column)
{
    return TAB - column % TAB;
}

static void output_newline(struct tty *t)
{
    uint32_t o = t->modes.oflag;
    if (o & (ONLRET | ONLCR))
        t->column = 0;
    if (o & ONLCR)
        push_output(t, '\r');
    push_output(t, '\n');
    t->line_column = t->column;
}

static void output_return(struct tty *t)
{
    uint32_t o = t->modes.oflag;
    if ((o & ONOCR) && !t->column)
        return;
    push_output(t, o & OCRNL ? '\n' : '\r');
    if (!(o & OCRNL) || (o & ONLRET))
        t->column = t->line_column = 0;
}

void tty_output(struct tty *t, uint8_t byte)
{
    uint32_t o = t->modes.oflag;
    if (!(o & OPOST)) {
        push_output(t, byte);
    } else if (byte == '\n') {
        output_newline(t);
    } else if (byte == '\r') {
        output_return(t);
    } else if (byte == '\t') {
        uint32_t n = next_stop(t->column);
        t->column += n;
        if ((o & TABDLY) == XTABS)
            while (n--)
                push_output(t, ' ');
        else
            push_output(t, '\t');
    } else {
        if (byte == '\b')
            t->column -= t->column > 0;
        else if (!is_control(byte) && !goes_on(t, byte))
            t->column++;
        push_output(t, (o & OLCUC) && is_lower(byte) ? byte - 32 : byte);
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

/* ---- echo ----
 * It waits until all that was typed at once is taken, and longer while output is stopped. */

#define AS_IT_IS 0x100u  /* this byte, which takes a column */
#define CONTROL 0x200u   /* ^ and the letter of this byte */
#define OVER_TAB 0x300u  /* back over a tab behind so many columns of the line */
#define FROM_TAB 0x400u  /* back over a tab behind so many columns after another */
#define STEP_BACK 0x500u /* the byte before this one took no column */
#define LINE_HERE 0x600u /* a line begins in this column */

static void back_over_tab(struct tty *t, uint32_t columns)
{
    for (uint32_t n = next_stop(columns); n; n--) {
        push_output(t, '\b');
        t->column -= t->column > 0;
    }
}

static void show_echo(struct tty *t, uint16_t item)
{
    uint8_t byte = (uint8_t)item;
    switch (item - byte) {
    case 0:
        tty_output(t, byte);
        break;
    case AS_IT_IS:
        push_output(t, byte);
        t->column++;
        break;
    case CONTROL:
        push_output(t, '^');
        push_output(t, byte ^ 64);
        t->column += 2;
        break;
    case OVER_TAB:
    case FROM_TAB:
        back_over_tab(t, byte + (item < FROM_TAB ? t->line_column : 0));
        break;
    case STEP_BACK:
        t->column -= t->column > 0;
        break;
    default:
        t->line_column = t->column;
    }
}

void tty_show_echo(struct tty *t)
{
    while (t->echo_count && tty_output_room(t)) {
        uint16_t item = t->echo[t->echo_at];
        t->echo_at = (t->echo_at + 1) % TTY_ECHO;
        t->echo_count--;
        show_echo(t, item);
    }
}

static void add_echo(struct tty *t, uint32_t item)
{
    if (t->echo_count == TTY_ECHO) { /* the first is lost */
        t->echo_at = (t->echo_at + 1) % TTY_ECHO;
        t->echo_count--;
    }
    t->echo[(t->echo_at + t->echo_count++) % TTY_ECHO] = (uint16_t)item;
    t->echoed = true;
}

static void echo_byte(struct tty *t, uint8_t byte)
{
    bool control = is_set(t, ECHOCTL) && is_control(byte) && byte != '\t';
    add_echo(t, byte | (control ? CONTROL : byte == 255 ? AS_IT_IS : 0));
}

/* What was erased and printed (ECHOPRT) ends. */
static void end_erased(struct tty *t)
{
    if (t->erasing)
        add_echo(t, '/');
    t->erasing = false;
}

/* As a byte of a line. */
static void echo_typed(struct tty *t, uint8_t byte)
{
    if (!is_set(t, ECHO))
        return;
    if (t->input_count == t->input_lines)
        add_echo(t, LINE_HERE);
    echo_byte(t, byte);
}

/* ---- editing ---- */

static uint8_t typed_byte(const struct tty *t, uint32_t i)
{
    return (uint8_t)t->input[(t->input_at + i) % TTY_INPUT];
}

/* Goes back over a tab that stood at the end of the line. */
static void erase_tab(struct tty *t)
{
    uint32_t columns = 0, i = t->input_count;
    while (i > t->input_lines && typed_byte(t, i - 1) != '\t') {
        uint8_t byte = typed_byte(t, --i);
        columns += is_control(byte) ? (is_set(t, ECHOCTL) ? 2 : 0) : !goes_on(t, byte);
    }
    add_echo(t, columns % TAB | (i == t->input_lines ? OVER_TAB : FROM_TAB));
}

static void erase_shown(struct tty *t, uint8_t byte)
{
    if (is_control(byte) && !is_set(t, ECHOCTL))
        return;
    for (int i = is_control(byte) ? 2 : 1; i; i--) {
        add_echo(t, '\b');
        add_echo(t, ' ');
        add_echo(t, '\b');
    }
}

/* ECHOPRT: what is erased is printed, from the last character to the first. */
static void print_erased(struct tty *t, uint32_t size)
{
    if (!t->erasing)
        add_echo(t, '\\');
    t->erasing = true;
    echo_byte(t, typed_byte(t, t->input_count));
    for (uint32_t i = 1; i < size; i++) {
        add_echo(t, typed_byte(t, t->input_count + i));
        add_echo(t, STEP_BACK);
    }
}

/* The last character of the line, which may be of several bytes; 0: it is not a whole one. */
static uint32_t last_size(const struct tty *t)
{
    uint32_t n = 1, most = t->input_count - t->input_lines;
    while (n < most && goes_on(t, typed_byte(t, t->input_count - n)))
        n++;
    return goes_on(t, typed_byte(t, t->input_count - n)) ? 0 : n;
}

static void erase_typed(struct tty *t, uint8_t byte, bool word, bool all)
{
    bool in = false;
    uint32_t size;
    while (t->input_count > t->input_lines && (size = last_size(t))) {
        uint8_t first = typed_byte(t, t->input_count - size);
        if (word && !in_word(first) && in)
            break;
        in = in || in_word(first);
        t->input_count -= size;
        if (is_set(t, ECHO)) {
            if (is_set(t, ECHOPRT))
                print_erased(t, size);
            else if (!word && !all && !is_set(t, ECHOE))
                echo_byte(t, byte);
            else if (first == '\t')
                erase_tab(t);
            else
                erase_shown(t, first);
        }
        if (!word && !all)
            break;
    }
    if (t->input_count == t->input_lines && is_set(t, ECHO))
        end_erased(t);
}

static void kill_line(struct tty *t, uint8_t byte)
{
    bool each = is_set(t, ECHOK) && is_set(t, ECHOKE) && is_set(t, ECHOE);
    if (t->input_count == t->input_lines)
        return;
    if (is_set(t, ECHO) && each) {
        erase_typed(t, byte, false, true);
        return;
    }
    t->input_count = t->input_lines;
    if (!is_set(t, ECHO))
        return;
    end_erased(t);
    echo_byte(t, byte);
    if (is_set(t, ECHOK))
        add_echo(t, '\n');
}

static void print_again(struct tty *t, uint8_t byte)
{
    end_erased(t);
    echo_byte(t, byte);
    add_echo(t, '\n');
    for (uint32_t i = t->input_lines; i < t->input_count; i++)
        echo_byte(t, typed_byte(t, i));
}

static bool edit_line(struct tty *t, uint8_t byte)
{
    bool more = is_set(t, IEXTEN);
    if (is_special(t, byte, VERASE)) {
        erase_typed(t, byte, false, false);
    } else if (is_special(t, byte, VWERASE) && (more || is_special(t, byte, VKILL))) {
        erase_typed(t, byte, true, false);
    } else if (is_special(t, byte, VKILL)) {
        kill_line(t, byte);
    } else if (more && is_special(t, byte, VLNEXT)) {
        t->literal = true;
        if (is_set(t, ECHO)) {
            end_erased(t);
            if (is_set(t, ECHOCTL)) {
                add_echo(t, '^');
                add_echo(t, '\b');
            }
        }
    } else if (more && is_set(t, ECHO) && is_special(t, byte, VREPRINT)) {
        print_again(t, byte);
    } else {
        return false;
    }
    return true;
}

/* ---- input ---- */

bool tty_takes_input(const struct tty *t)
{
    uint32_t each = t->modes.iflag & PARMRK ? 3 : 1;
    return t->input_count * each + 1 < TTY_INPUT ||
           (is_set(t, ICANON) && !t->input_lines); /* a line that is too long loses bytes */
}

/* False: there is no room for it. */
static bool push_input(struct tty *t, uint16_t item)
{
    if ((uint8_t)item == 255 && (t->modes.iflag & PARMRK) && t->input_count < TTY_INPUT)
        t->input[(t->input_at + t->input_count++) % TTY_INPUT] = 255;
    if (t->input_count == TTY_INPUT)
        return false;
    t->input[(t->input_at + t->input_count++) % TTY_INPUT] = item;
    return true;
}

static void end_line(struct tty *t, uint8_t last)
{
    if (!push_input(t, last | TTY_ENDS)) /* what is there ends */
        t->input[(t->input_at + TTY_INPUT - 1) % TTY_INPUT] |= TTY_ENDS;
    t->input_lines = t->input_count;
    wait_wake_events(&t->slave_wait, POLLIN | POLLRDNORM);
}

static bool ends_line(struct tty *t, uint8_t byte)
{
    if (byte == '\n') {
        if (is_set(t, ECHO | ECHONL))
            add_echo(t, '\n');
        end_line(t, byte);
    } else if (is_special(t, byte, VEOF)) {
        end_line(t, 0);
    } else if (is_special(t, byte, VEOL) || (is_set(t, IEXTEN) && is_special(t, byte, VEOL2))) {
        echo_typed(t, byte);
        end_line(t, byte);
    } else {
        return false;
    }
    return true;
}

static void tell_packet(struct tty *t, uint8_t news, uint8_t old)
{
    if (!t->packet)
        return;
    t->news = (uint8_t)((t->news & ~old) | news);
    wait_wake_events(&t->master_wait, POLLIN | POLLRDNORM | POLLPRI);
}

static void set_stopped(struct tty *t, bool stopped)
{
    if (t->stopped == stopped || (!stopped && t->held_off))
        return;
    t->stopped = stopped;
    tell_packet(t, stopped ? TIOCPKT_STOP : TIOCPKT_START, TIOCPKT_STOP | TIOCPKT_START);
    wait_wake_events(&t->slave_wait, POLLOUT);
}

void tty_hold_off(struct tty *t, bool hold)
{
    if (t->held_off == hold)
        return;
    t->held_off = hold;
    set_stopped(t, hold);
}

/* What is left of the output is what has come to the master. */
void tty_flush(struct tty *t, bool input, bool output)
{
    tell_packet(t, (input ? TIOCPKT_FLUSHREAD : 0) | (output ? TIOCPKT_FLUSHWRITE : 0), 0);
    if (input) {
        t->input_count = t->input_lines = 0;
        t->erasing = false;
    }
    if (output)
        t->output_count = MIN(t->output_count, TTY_INPUT - 1);
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
    if (!is_set(t, NOFLSH)) {
        t->echo_count = 0;
        tty_flush(t, true, true);
    }
    tty_signal(t, signo);
    if (t->modes.iflag & IXON)
        set_stopped(t, false);
    if (is_set(t, ECHO))
        echo_byte(t, byte);
    else
        tty_show_echo(t);
    return true;
}

static bool flow_key(struct tty *t, uint8_t byte)
{
    bool start = is_special(t, byte, VSTART);
    if (!(t->modes.iflag & IXON) || (!start && !is_special(t, byte, VSTOP)))
        return false;
    set_stopped(t, !start);
    tty_show_echo(t);
    return true;
}

static uint8_t map_byte(const struct tty *t, uint8_t byte)
{
    if (t->modes.iflag & ISTRIP)
        byte &= 127;
    if ((t->modes.iflag & IUCLC) && is_set(t, IEXTEN) && is_upper(byte))
        byte += 32;
    return byte;
}

static void add_input(struct tty *t, uint8_t byte, bool raw_newline)
{
    if (is_set(t, ECHO)) {
        end_erased(t);
        if (raw_newline && byte == '\n')
            add_echo(t, '\n');
        else
            echo_typed(t, byte);
    }
    push_input(t, byte);
    if (!is_set(t, ICANON))
        wait_wake_events(&t->slave_wait, POLLIN | POLLRDNORM);
}

static void take_byte(struct tty *t, uint8_t byte)
{
    uint32_t i = t->modes.iflag;
    bool literal = t->literal;
    t->literal = false;
    byte = map_byte(t, byte);
    if (!literal && (flow_key(t, byte) || signal_key(t, byte)))
        return;
    if (t->stopped && !t->held_off && (i & IXON) && (i & IXANY)) {
        set_stopped(t, false);
        tty_show_echo(t);
    }
    if (literal) {
        add_input(t, byte, false);
        return;
    }
    /* A newline that nothing makes special is shown as any other control character. */
    bool newline = is_set(t, ICANON) || (i & INLCR) || byte == '\r';
    if (byte == '\r' && (i & IGNCR))
        return;
    if (byte == '\r' && (i & ICRNL))
        byte = '\n';
    else if (byte == '\n' && (i & INLCR))
        byte = '\r';
    if (!is_set(t, ICANON) || (!edit_line(t, byte) && !ends_line(t, byte)))
        add_input(t, byte, newline);
}

void tty_input(struct tty *t, uint8_t byte)
{
    if (is_set(t, ICANON) && !t->input_lines && t->input_count == TTY_INPUT)
        t->input_count--; /* the last one of a line that is too long is lost */
    take_byte(t, byte);
    if (t->echo_count >= MOST_ECHO)
        tty_show_echo(t);
}

void tty_input_end(struct tty *t)
{
    if (t->echoed && is_set(t, ECHO | ECHONL))
        tty_show_echo(t);
    t->echoed = false;
}

bool tty_is_readable(const struct tty *t, uint32_t least)
{
    return is_set(t, ICANON) ? t->input_lines : t->input_count >= least;
}

/* Of a line, its end is taken along where it is no byte (^D). */
uint32_t tty_take_input(struct tty *t, uint8_t *to, uint32_t size, bool *end)
{
    bool lines = is_set(t, ICANON);
    uint32_t n = 0, left;
    while (!*end && (left = lines ? t->input_lines : t->input_count)) {
        uint16_t item = t->input[t->input_at];
        bool eof = lines && item == TTY_ENDS;
        if (n == size && !eof)
            break;
        t->input_at = (t->input_at + 1) % TTY_INPUT;
        t->input_count--;
        t->input_lines -= lines;
        *end = lines && (item & TTY_ENDS);
        if (!eof)
            to[n++] = (uint8_t)item;
    }
    return n;
}

uint32_t tty_input_size(const struct tty *t)
{
    uint32_t n = t->input_lines;
    if (!is_set(t, ICANON))
        return t->input_count;
    for (uint32_t i = 0; i < t->input_lines; i++)
        n -= t->input[(t->input_at + i) % TTY_INPUT] == TTY_ENDS;
    return n;
}

/* ---- modes ---- */

/* Do the usual keys stop the output? */
static bool has_flow(const struct tty_modes *m)
{
    return (m->iflag & IXON) && m->cc[VSTOP] == 023 && m->cc[VSTART] == 021;
}

static uint32_t speed_of(uint32_t bits, uint32_t other)
{
    static const uint32_t speeds[] = {0,       50,      75,      110,     134,     150,     200,
                                      300,     600,     1200,    1800,    2400,    4800,    9600,
                                      19200,   38400,   57600,   115200,  230400,  460800,  500000,
                                      576000,  921600,  1000000, 1152000, 1500000, 2000000, 2500000,
                                      3000000, 3500000, 4000000};
    bits &= CBAUD;
    if (bits == BOTHER)
        return other;
    if (bits & CBAUDEX)
        bits = (bits & ~(uint32_t)CBAUDEX) + 15;
    return bits < sizeof(speeds) / sizeof(*speeds) ? speeds[bits] : 0;
}

/* What waits becomes one line, or is no longer in lines. */
static void join_lines(struct tty *t, bool lines)
{
    for (uint32_t i = 0; i < t->input_count; i++)
        t->input[(t->input_at + i) % TTY_INPUT] &= 0xff;
    if (t->input_count)
        t->input[(t->input_at + t->input_count - 1) % TTY_INPUT] |= TTY_ENDS;
    t->input_lines = lines ? t->input_count : 0;
    t->literal = t->erasing = false;
}

void tty_set_modes(struct tty *t, const struct tty_modes *m, const uint32_t speeds[2])
{
    struct tty_modes old = t->modes;
    if (has_flow(&old) != has_flow(m))
        tell_packet(t, has_flow(m) ? TIOCPKT_DOSTOP : TIOCPKT_NOSTOP,
                    TIOCPKT_DOSTOP | TIOCPKT_NOSTOP);
    t->modes = *m;
    t->modes.cflag = (m->cflag & ~(uint32_t)(CSIZE | PARENB)) | CS8 | CREAD;
    uint32_t in = m->cflag >> IBSHIFT;
    t->speeds[1] = speed_of(m->cflag, speeds[1]);
    t->speeds[0] = in & CBAUD ? speed_of(in, speeds[0]) : t->speeds[1];
    if ((old.lflag ^ m->lflag) & ICANON)
        join_lines(t, m->lflag & ICANON);
    if ((old.iflag & IXON) && !(m->iflag & IXON)) {
        set_stopped(t, false);
        tty_show_echo(t);
    }
    wait_wake_all(&t->slave_wait);
    wait_wake_events(&t->master_wait, POLLOUT); /* PARMRK and ICANON say how much has room */
}
