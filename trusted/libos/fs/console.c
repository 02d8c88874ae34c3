// SPDX-License-Identifier: Apache-2.0
// Terminals of the host: a thread takes what is typed, since ^C must work while nobody reads;
// whoever writes hands out what is shown.
#include "trusted/libos/fs/console.h"

#include <asm/poll.h>
#include <asm/termbits.h>

#include "trusted/libos/base/claim.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/proc.h"

#define TTY_GROUP 5u

struct console {
    struct list node;
    struct tty *tty;
    struct outside input, shows; /* where what is shown goes: only written to */
    struct wait_queue wait;
    uint8_t *typed, *shown; /* a page each */
    bool busy;              /* somebody is outside with `shown` */
    bool broken, closed;
    struct thread *thread;
};

static struct list consoles = {&consoles, &consoles};

static struct console *console_of(const struct tty *t)
{
    list_each(struct console, c, &consoles, node) {
        if (c->tty == t)
            return c;
    }
    return NULL;
}

static void nap_on(struct wait_queue *q)
{
    struct waiter w = {0};
    wait_begin(&w, q);
    wait_nap(NO_DEADLINE);
    wait_end(&w);
}

/* What is queued before it must go first. */
static void wait_shown(struct console *c)
{
    struct port_event ask = outside_ask(&c->shows, POLLOUT);
    struct port_wait p = {.set = -1, .asks = 1, .items = &ask};
    wait_nap_outside(&p, NO_DEADLINE);
}

static void show_piece(struct console *c)
{
    uint32_t n = tty_take_output(c->tty, c->shown, PAGE_SIZE), at = 0;
    c->busy = true;
    while (at < n && !c->broken) {
        uint32_t queued = outside_queue(&c->shows, c->shown + at, n - at, false);
        at += queued;
        if (queued)
            continue;
        uint32_t turn = outside_turn(&c->shows);
        los_unlock();
        long r = claim_count(port_write(c->shows.handle, c->shown + at, n - at), n - at);
        los_lock();
        outside_used(&c->shows, POLLOUT, r == -EAGAIN, turn);
        if (r == -EAGAIN)
            wait_shown(c);
        c->broken = r == 0 || (r < 0 && r != -EAGAIN && r != -EINTR);
        at += r > 0 ? (uint32_t)r : 0;
    }
    c->busy = false;
    wait_wake_all(&c->tty->slave_wait);
}

void console_show(struct tty *t)
{
    struct console *c = console_of(t);
    while (c && t->output_count) {
        if (c->busy)
            nap_on(&t->slave_wait);
        else
            show_piece(c);
        c = console_of(t);
    }
    residence_take();
}

/* Waits until the host has something, and reads it: a count, or 0 at the end. */
static long read_typed(struct console *c)
{
    struct outside *o = &c->input;
    while (!c->closed) {
        if (!(outside_known(o) & (POLLIN | OUTSIDE_ALWAYS))) {
            struct waiter w = {0};
            struct port_event ask = outside_ask(o, POLLIN);
            struct port_wait p = {.set = -1, .asks = 1, .items = &ask};
            wait_begin(&w, &c->wait);
            wait_sleep_outside(&p, NO_DEADLINE);
            wait_end(&w);
            continue;
        }
        uint32_t turn = outside_turn(o);
        los_unlock();
        long n = claim_count(port_read(o->handle, c->typed, PAGE_SIZE), PAGE_SIZE);
        los_lock();
        outside_used(o, POLLIN, n == -EAGAIN, turn);
        if (n != -EAGAIN && n != -EINTR)
            return n;
    }
    return 0;
}

static void console_free(struct console *c)
{
    list_remove(&c->node);
    stdio_bar(c->input.handle, false);
    stdio_bar(c->shows.handle, true);
    outside_close(&c->input);
    outside_close(&c->shows);
    tty_put(c->tty);
    if (c->typed)
        page_free(c->typed);
    if (c->shown)
        page_free(c->shown);
    los_free(c);
}

static void type_byte(struct console *c, uint8_t byte)
{
    while (!tty_takes_input(c->tty) && !c->closed) {
        tty_input_end(c->tty);
        nap_on(&c->tty->master_wait);
    }
    tty_input(c->tty, byte);
}

static void serve_console(struct thread *thread)
{
    struct console *c = NULL;
    list_each(struct console, one, &consoles, node) {
        c = one->thread == thread ? one : c;
    }
    for (long n = 1; n > 0;) {
        n = read_typed(c);
        for (long i = 0; i < n; i++)
            type_byte(c, c->typed[i]);
        if (n <= 0) /* the end of input is an end of file for who reads lines */
            type_byte(c, c->tty->modes.cc[VEOF]);
        tty_input_end(c->tty);
        console_show(c->tty);
    }
    while (!c->closed || c->busy)
        nap_on(&c->tty->slave_wait);
    console_free(c);
    thread_bury(thread);
}

struct tty *console_new(int32_t input, int32_t output, uint32_t uid)
{
    struct console *c = los_alloc(sizeof(*c));
    struct tty *t = c ? tty_new() : NULL;
    if (!t) {
        los_free(c);
        return NULL;
    }
    *c = (struct console){.tty = t, .typed = page_alloc(), .shown = page_alloc()};
    wait_queue_init(&c->wait);
    list_append(&consoles, &c->node);
    t->drain = console_show;
    c->input.handle = c->shows.handle = -1;
    bool ok = c->typed && c->shown && input >= 0 && output >= 0 &&
              !outside_add(&c->input, input, &c->wait) && !outside_add(&c->shows, output, NULL) &&
              (input < 3 || stdio_let_pass(input, false)) &&
              (output < 3 || stdio_let_pass(output, true)) && !pty_publish(t, uid, TTY_GROUP);
    c->shows.has_ring = ok && output == 1 && port_ring_exists(output);
    if (ok && (c->thread = thread_service(serve_console)))
        return t;
    console_free(c);
    return NULL;
}

void console_close(struct tty *t)
{
    struct console *c = console_of(t);
    tty_hang_up(t);
    console_show(t);
    c->closed = true;
    wait_wake_all(&c->wait);
    wait_wake_all(&t->slave_wait);
    wait_wake_all(&t->master_wait);
}
