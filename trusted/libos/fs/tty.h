// SPDX-License-Identifier: Apache-2.0
// Terminals: line discipline, pseudo terminals, controlling terminals of sessions.
//
//   program -- slave /dev/pts/N -- struct tty -- master /dev/ptmx -- another program (sshd, script)
//                                      |
//                                      '-- the host's streams, where the settings say terminal
//
// All of a terminal is kept here (modes, editing, echo, window size, who is in the foreground); of
// the host it gets and gives bytes only. With the big lock shared it is only read: slave_poll and
// master_poll.
#ifndef LIBOS_TTY_H
#define LIBOS_TTY_H

#include "trusted/libos/fs/file.h"

#define TTY_INPUT 4096u /* bytes that wait to be read, or of a line that is being edited */
#define TTY_OUTPUT 16384u
#define TTY_ECHO 2048u

/* As the kernel's struct termios. */
struct tty_modes {
    uint32_t iflag, oflag, cflag, lflag;
    uint8_t line, cc[19];
};
struct tty_window {
    uint16_t rows, columns, x, y;
};

struct tty {
    struct list node; /* of all */
    uint32_t refs;    /* open ends, and the host's */
    int32_t index;    /* of /dev/pts */
    struct dentry *name;
    struct tty_modes modes;
    uint32_t speeds[2]; /* in and out */
    struct tty_window window;
    int32_t sid, pgid; /* whose controlling terminal it is, and who is in the foreground; 0: none */
    uint32_t generation; /* slaves opened before it grew are hung up */
    uint32_t slaves;     /* open ones of this generation */
    bool locked;         /* TIOCSPTLCK */
    bool has_master;     /* its other end is open */
    bool deserted;       /* the last slave was closed: the master reads EIO */
    bool stopped;        /* ^S, or held off */
    bool held_off;       /* TCOOFF: only TCOON ends it */
    bool master_stopped; /* the same of the master */
    bool exclusive[2];   /* TIOCEXCL of the slave and the master */
    bool packet;         /* TIOCPKT: what the master reads says first what it is */
    uint8_t news;        /* TIOCPKT_*: what it has not been told */
    bool literal;        /* ^V: the next byte means itself */
    bool erasing;        /* what is erased is being printed */
    uint16_t *input;     /* ring of TTY_INPUT; TTY_ENDS with the last byte of a line */
    uint32_t input_at, input_count;
    uint32_t input_lines; /* of it, what is in whole lines; behind them is what is being edited */
    uint32_t line_column; /* where it begins */
    uint8_t *output;      /* ring of TTY_OUTPUT */
    uint32_t output_at, output_count, column;
    uint16_t *echo; /* ring of TTY_ECHO: what is to be shown of what was typed */
    uint32_t echo_at, echo_count;
    bool echoed; /* since tty_input_end */
    struct wait_queue slave_wait, master_wait;
    void (*drain)(struct tty *t); /* the host's: takes output, may give up the lock; NULL: master */
};

#define TTY_ENDS 0x100u /* a line ends with this byte; 0: without one (^D) */

/* fs/tty.c: the line discipline. */
extern const struct tty_modes tty_first_modes;
struct tty *tty_new(void); /* counted; NULL: no memory */
void tty_put(struct tty *t);
bool tty_takes_input(const struct tty *t); /* is there room for another byte? */
void tty_input(struct tty *t, uint8_t byte);
void tty_input_end(struct tty *t);             /* of what was typed at once: it is shown */
uint32_t tty_output_room(const struct tty *t); /* bytes that certainly fit as they are written */
void tty_output(struct tty *t, uint8_t byte);
void tty_send_first(struct tty *t, uint8_t byte); /* a key of flow control */
void tty_show_echo(struct tty *t);                /* unless it is stopped */
uint32_t tty_take_output(struct tty *t, uint8_t *to, uint32_t size);
/* At most `size`, and no more than a line; *end: it is a whole one. */
uint32_t tty_take_input(struct tty *t, uint8_t *to, uint32_t size, bool *end);
bool tty_is_readable(const struct tty *t, uint32_t least); /* a line, or so many bytes */
uint32_t tty_input_size(const struct tty *t);              /* bytes that can be read */
void tty_set_modes(struct tty *t, const struct tty_modes *m, const uint32_t speeds[2]);
void tty_flush(struct tty *t, bool input, bool output);
void tty_signal(const struct tty *t, int signo); /* to the foreground */
void tty_hold_off(struct tty *t, bool hold);

/* fs/tty_session.c: sessions and groups. */
struct tty *tty_of_process(const struct process *p); /* NULL, too, if it gave its terminal up */
/* May the caller read (SIGTTIN), or write and set (SIGTTOU)? 0, -EIO, -ERESTARTSYS after that
 * signal. */
int tty_check_background(struct tty *t, int signo);
void tty_take_session(struct tty *t); /* the caller's, a leader without terminal */
long tty_ioctl_session(struct tty *t, bool master, uint64_t request, uint64_t arg); /* -ENOTTY */
/* Its name goes, and its slaves are closed, as they will see. */
void tty_hang_up(struct tty *t);
void tty_leader_ended(int32_t sid);

/* fs/pty.c: files. */
int pty_open_master(struct file *f);
int pty_open_slave(struct file *f);
int pty_open_current(struct file *f); /* /dev/tty: -ENXIO without one */
/* Gives it a name in /dev/pts, owned by these. 0 or -errno. */
int pty_publish(struct tty *t, uint32_t uid, uint32_t gid);
extern struct list ttys; /* struct tty.node */

#endif
