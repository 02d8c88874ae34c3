// SPDX-License-Identifier: Apache-2.0
// Both ends of a terminal as files: /dev/ptmx, /dev/pts/N, /dev/tty.
#include <asm/ioctls.h>
#include <asm/poll.h>
#include <asm/signal.h>
#include <asm/termbits.h>

#include "trusted/libos/fs/tty.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/signal/signal.h"
#include "trusted/libos/time/time.h"

#define TTY_GROUP 5u /* as devpts is mounted */
#define PIECE 256u
#define TENTH (NS / 10)

struct end {
    struct tty *tty;
    uint32_t generation;
};

static struct tty *tty_of(const struct file *f)
{
    return ((const struct end *)f->data)->tty;
}

static bool is_hung(const struct file *f)
{
    const struct end *e = f->data;
    return e->generation != e->tty->generation;
}

/* ---- the slave ---- */

/* How long a read waits that finds too little: VMIN and VTIME of termios(3). */
static uint64_t read_deadline(const struct tty *t)
{
    const struct tty_modes *m = &t->modes;
    bool timed = !(m->lflag & ICANON) && m->cc[VTIME] && (!m->cc[VMIN] || t->input_count);
    return timed ? clock_now() + m->cc[VTIME] * TENTH : NO_DEADLINE;
}

/* 0: there is something; 1: there is nothing, and that is the answer; -errno. Who waited when it
 * was hung up hears of it, who comes later finds the end. */
static int wait_input(struct file *f, struct tty *t, uint32_t wanted)
{
    bool waited = false;
    for (; !is_hung(f); waited = true) {
        const struct tty_modes *m = &t->modes;
        int r = tty_check_background(t, SIGTTIN);
        if (r)
            return r;
        bool raw = !(m->lflag & ICANON);
        if (tty_is_readable(t, MIN(MAX(m->cc[VMIN], 1u), wanted)))
            return 0;
        if (raw && !m->cc[VMIN] && !m->cc[VTIME])
            return !t->input_count;
        if (f->flags & O_NONBLOCK)
            return raw && t->input_count ? 0 : -EAGAIN;
        r = wait_on(&t->slave_wait, read_deadline(t));
        if (r == -ETIMEDOUT)
            return !t->input_count;
        if (r)
            return -ERESTARTSYS;
    }
    return waited ? -EIO : 1;
}

static long slave_read(struct file *f, struct io *io, uint64_t offset)
{
    struct tty *t = tty_of(f);
    uint8_t buf[PIECE];
    bool end = false;
    long done = 0;
    if (!io->left)
        return 0;
    int r = wait_input(f, t, (uint32_t)MIN(io->left, TTY_INPUT));
    if (r)
        return MIN(r, 0);
    while (io->left && t->input_count && !end) {
        uint32_t n = tty_take_input(t, buf, (uint32_t)MIN(io->left, PIECE), &end);
        if (!n && !end) /* whole lines ran out */
            break;
        if (io_put(io, buf, n))
            return -EFAULT;
        done += n;
    }
    wait_wake_events(&t->master_wait, POLLOUT);
    return done;
}

/* There is output. */
static void show_output(struct tty *t)
{
    if (t->drain)
        t->drain(t);
    else
        wait_wake_events(&t->master_wait, POLLIN | POLLRDNORM);
}

/* Until something can be written. */
static int wait_output(struct file *f, struct tty *t)
{
    for (;;) {
        if (is_hung(f))
            return -EIO;
        int r = t->modes.lflag & TOSTOP ? tty_check_background(t, SIGTTOU) : 0;
        if (r)
            return r;
        if (tty_output_room(t))
            return 0;
        r = wait_for(&t->slave_wait, !(f->flags & O_NONBLOCK));
        if (r)
            return r;
    }
}

static long slave_write(struct file *f, struct io *io, uint64_t offset)
{
    struct tty *t = tty_of(f);
    uint8_t buf[PIECE];
    long done = 0;
    while (io->left) {
        int r = wait_output(f, t);
        if (r)
            return done ? done : r;
        tty_show_echo(t);
        uint32_t n = (uint32_t)MIN(MIN(io->left, PIECE), tty_output_room(t));
        if (io_get(io, buf, n))
            return done ? done : -EFAULT;
        for (uint32_t i = 0; i < n; i++)
            tty_output(t, buf[i]);
        done += n;
        show_output(t);
    }
    return done;
}

static uint32_t slave_poll(struct file *f)
{
    const struct tty *t = tty_of(f);
    if (is_hung(f))
        return POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLERR | POLLHUP;
    uint32_t least = t->modes.cc[VTIME] ? 1 : t->modes.cc[VMIN];
    return (tty_is_readable(t, MAX(least, 1u)) ? POLLIN | POLLRDNORM : 0) |
           (tty_output_room(t) ? POLLOUT | POLLWRNORM : 0);
}

static void slave_release(struct file *f)
{
    struct tty *t = tty_of(f);
    if (!is_hung(f) && --t->slaves == 0) {
        t->deserted = true;
        wait_wake_events(&t->master_wait, POLLIN | POLLHUP);
    }
    tty_put(t);
    los_free(f->data);
}

/* ---- the master ---- */

static long master_read(struct file *f, struct io *io, uint64_t offset)
{
    struct tty *t = tty_of(f);
    uint8_t buf[PIECE];
    long done = 0;
    while (!t->output_count && !t->news && io->left) {
        if (t->deserted)
            return -EIO;
        int r = wait_for(&t->master_wait, !(f->flags & O_NONBLOCK));
        if (r)
            return r;
    }
    if (t->packet && io->left) {
        uint8_t what = t->news; /* 0: data */
        t->news = 0;
        if (io_put(io, &what, 1))
            return -EFAULT;
        if (what)
            return 1;
        done = 1;
    }
    while (io->left && t->output_count) {
        uint32_t n = tty_take_output(t, buf, (uint32_t)MIN(io->left, PIECE));
        if (io_put(io, buf, n))
            return -EFAULT;
        done += n;
    }
    return done;
}

/* Types one byte, as soon as there is room. */
static int type_byte(struct file *f, struct tty *t, uint8_t byte)
{
    while (t->master_stopped || !tty_takes_input(t)) {
        tty_input_end(t);
        int r = wait_for(&t->master_wait, !(f->flags & O_NONBLOCK));
        if (r)
            return r;
    }
    tty_input(t, byte);
    return 0;
}

static long master_write(struct file *f, struct io *io, uint64_t offset)
{
    struct tty *t = tty_of(f);
    uint8_t buf[PIECE];
    long done = 0;
    int r = 0;
    while (io->left && !r) {
        uint32_t n = (uint32_t)MIN(io->left, PIECE), i = 0;
        if (io_get(io, buf, n))
            r = -EFAULT;
        while (!r && i < n && !(r = type_byte(f, t, buf[i])))
            i++;
        done += i;
    }
    tty_input_end(t);
    if (t->output_count) /* the echo */
        wait_wake_events(&t->master_wait, POLLIN | POLLRDNORM);
    return done ? done : r;
}

static uint32_t master_poll(struct file *f)
{
    const struct tty *t = tty_of(f);
    return (t->output_count || t->news ? POLLIN | POLLRDNORM : 0) | (t->news ? POLLPRI : 0) |
           (t->deserted ? POLLHUP : 0) |
           (!t->master_stopped && tty_takes_input(t) ? POLLOUT | POLLWRNORM : 0);
}

static void master_release(struct file *f)
{
    struct tty *t = tty_of(f);
    struct process *leader = t->sid ? process_find(t->sid) : NULL;
    struct sig_item hangup = {.signo = SIGHUP, .code = 0x80}, go_on = hangup;
    go_on.signo = SIGCONT;
    t->has_master = false;
    tty_hang_up(t);
    if (leader) {
        sig_send_item(leader, NULL, &hangup);
        sig_send_item(leader, NULL, &go_on);
    }
    tty_put(t);
    los_free(f->data);
}

/* ---- ioctl ---- */

/* The forms in which programs have modes: termios, the old termio, and termios with speeds. */
struct old_modes {
    uint16_t iflag, oflag, cflag, lflag;
    uint8_t line, cc[9]; /* the last is padding */
};
struct new_modes {
    struct tty_modes modes;
    uint32_t speeds[2];
};
#define KEPT(mode) ((mode) & ~0xffffu)

static long get_old_modes(const struct tty *t, uint64_t to)
{
    const struct tty_modes *m = &t->modes;
    struct old_modes o = {(uint16_t)m->iflag,
                          (uint16_t)m->oflag,
                          (uint16_t)m->cflag,
                          (uint16_t)m->lflag,
                          m->line,
                          {0}};
    memcpy(o.cc, m->cc, sizeof(o.cc) - 1);
    return user_write(to, &o, sizeof(o));
}

static long get_new_modes(const struct tty *t, uint64_t to)
{
    struct new_modes n = {t->modes, {t->speeds[0], t->speeds[1]}};
    return user_write(to, &n, sizeof(n));
}

static int read_modes(const struct tty *t, uint64_t request, uint64_t from, struct new_modes *n)
{
    struct tty_modes *m = &n->modes;
    struct old_modes o;
    *n = (struct new_modes){t->modes, {t->speeds[0], t->speeds[1]}};
    if (request == TCSETS2 || request == TCSETSW2 || request == TCSETSF2)
        return user_read(n, from, sizeof(*n));
    if (request != TCSETA && request != TCSETAW && request != TCSETAF)
        return user_read(m, from, sizeof(*m));
    if (user_read(&o, from, sizeof(o)))
        return -EFAULT;
    m->iflag = KEPT(m->iflag) | o.iflag;
    m->oflag = KEPT(m->oflag) | o.oflag;
    m->cflag = KEPT(m->cflag) | o.cflag;
    m->lflag = KEPT(m->lflag) | o.lflag;
    m->line = o.line;
    memcpy(m->cc, o.cc, sizeof(o.cc) - 1);
    return 0;
}

static long set_modes(struct tty *t, uint64_t request, uint64_t from)
{
    struct new_modes n;
    int r = tty_check_background(t, SIGTTOU);
    if (r)
        return r;
    if (read_modes(t, request, from, &n))
        return -EFAULT;
    if (request == TCSETSF || request == TCSETAF || request == TCSETSF2)
        tty_flush(t, true, false);
    uint32_t before = t->output_count;
    tty_set_modes(t, &n.modes, n.speeds);
    if (t->output_count != before) /* echo that was stopped */
        show_output(t);
    return 0;
}

static long set_window(struct tty *t, uint64_t from)
{
    struct tty_window w;
    if (user_read(&w, from, sizeof(w)))
        return -EFAULT;
    if (memcmp(&w, &t->window, sizeof(w)))
        tty_signal(t, SIGWINCH);
    t->window = w;
    return 0;
}

/* The queues of this end: what it reads is what the other one wrote. */
static long flush_queues(struct tty *t, bool master, uint64_t what)
{
    if (what > TCIOFLUSH)
        return -EINVAL;
    if (!master) {
        tty_flush(t, what != TCOFLUSH, what != TCIFLUSH);
    } else if (what != TCOFLUSH) {
        t->output_count = 0;
        wait_wake_events(&t->slave_wait, POLLOUT);
    }
    return 0;
}

static void send_flow_key(struct tty *t, bool master, uint8_t key)
{
    if (master) {
        tty_input(t, key);
        tty_input_end(t);
    } else if (key)
        tty_send_first(t, key);
    wait_wake_events(&t->master_wait, POLLIN | POLLRDNORM);
}

static long set_flow(struct tty *t, bool master, uint64_t what)
{
    if (what > TCION)
        return -EINVAL;
    if (what == TCIOFF || what == TCION) {
        const struct tty_modes *m = master ? &tty_first_modes : &t->modes;
        send_flow_key(t, master, m->cc[what == TCIOFF ? VSTOP : VSTART]);
    } else if (!master) {
        tty_hold_off(t, what == TCOOFF);
    } else {
        t->master_stopped = what == TCOOFF;
        wait_wake_events(&t->master_wait, POLLOUT);
    }
    return 0;
}

static long set_discipline(uint64_t from)
{
    int32_t n;
    return user_read(&n, from, sizeof(n)) ? -EFAULT : n ? -EINVAL : 0; /* only the usual one */
}

static long set_local(struct tty *t, uint64_t from)
{
    int32_t n;
    if (user_read(&n, from, sizeof(n)))
        return -EFAULT;
    t->modes.cflag = (t->modes.cflag & ~(uint32_t)CLOCAL) | (n ? CLOCAL : 0);
    return 0;
}

static uint32_t device_number(const struct tty *t)
{
    uint32_t n = (uint32_t)t->index;
    return (136u << 8) | (n & 255) | ((n & ~255u) << 12);
}

static long give_number(uint64_t to, uint32_t n)
{
    return user_write(to, &n, sizeof(n));
}

/* Who is in the background must not change it. */
static long foreground_ioctl(struct tty *t, bool master, uint64_t request, uint64_t arg)
{
    int r = master ? 0 : tty_check_background(t, SIGTTOU);
    if (r)
        return r;
    if (request == TCFLSH)
        return flush_queues(t, master, arg);
    if (request == TCXONC)
        return set_flow(t, master, arg);
    /* What was written is on its way, and a break means nothing here. */
    return request == TIOCSETD ? set_discipline(arg) : 0;
}

static long common_ioctl(struct tty *t, bool master, uint64_t request, uint64_t arg)
{
    static const uint8_t unlocked[sizeof(struct tty_modes)];
    switch (request) {
    case TCGETS:
        return user_write(arg, &t->modes, sizeof(t->modes));
    case TCGETS2:
        return get_new_modes(t, arg);
    case TCGETA:
        return get_old_modes(t, arg);
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
    case TCSETS2:
    case TCSETSW2:
    case TCSETSF2:
    case TCSETA:
    case TCSETAW:
    case TCSETAF:
        return set_modes(t, request, arg);
    case TIOCGLCKTRMIOS:
        return user_write(arg, unlocked, sizeof(unlocked));
    case TIOCGSOFTCAR:
        return give_number(arg, !!(t->modes.cflag & CLOCAL));
    case TIOCSSOFTCAR:
        return set_local(t, arg);
    case TIOCGWINSZ:
        return user_write(arg, &t->window, sizeof(t->window));
    case TIOCSWINSZ:
        return set_window(t, arg);
    case FIONREAD:
        return give_number(arg, master ? MIN(t->output_count, TTY_INPUT - 1) : tty_input_size(t));
    case TIOCOUTQ:
    case TIOCGETD:
        return give_number(arg, 0);
    case TIOCGDEV:
        return give_number(arg, device_number(t));
    case TIOCEXCL:
    case TIOCNXCL:
        t->exclusive[master] = request == TIOCEXCL;
        return 0;
    case TIOCGEXCL:
        return give_number(arg, t->exclusive[master]);
    case TCFLSH:
    case TCXONC:
    case TCSBRK:
    case TCSBRKP:
    case TIOCSBRK:
    case TIOCCBRK:
    case TIOCSETD:
        return foreground_ioctl(t, master, request, arg);
    case TIOCSTI: /* as where it is turned off: it types for others */
        return -EIO;
    case TIOCCONS:
        return master ? -EINVAL : -EPERM;
    case TIOCSLCKTRMIOS:
    case TIOCVHANGUP:
        return -EPERM;
    default:
        return tty_ioctl_session(t, master, request, arg);
    }
}

static long slave_ioctl(struct file *f, uint64_t request, uint64_t arg)
{
    if (is_hung(f))
        return request == TIOCSPGRP ? -ENOTTY : -EIO;
    if (request == TIOCGPTPEER)
        return -EIO;
    return common_ioctl(tty_of(f), false, request, arg);
}

/* The slave, without its name. */
static long open_peer(struct tty *t, uint64_t flags)
{
    static const struct file_ops none = {0};
    struct file *peer = t->name ? file_new(&none, (uint32_t)flags & ~(uint32_t)O_CLOEXEC) : NULL;
    if (!peer)
        return t->name ? -ENOMEM : -EIO;
    peer->dentry = t->name;
    peer->inode = t->name->inode;
    dentry_get(t->name);
    int r = pty_open_slave(peer);
    peer->flags &= ~(uint32_t)O_NOCTTY;
    if (!r)
        return fd_install(peer, flags & O_CLOEXEC, 0);
    file_put(peer);
    return r;
}

static long master_ioctl(struct file *f, uint64_t request, uint64_t arg)
{
    struct tty *t = tty_of(f);
    int32_t n;
    switch (request) {
    case TIOCGPTN:
        return give_number(arg, (uint32_t)t->index);
    case TIOCGPTLCK:
        return give_number(arg, t->locked);
    case TIOCSPTLCK:
        if (user_read(&n, arg, sizeof(n)))
            return -EFAULT;
        t->locked = n;
        return 0;
    case TIOCPKT:
        if (user_read(&n, arg, sizeof(n)))
            return -EFAULT;
        t->packet = n;
        t->news = 0;
        return 0;
    case TIOCGPKT:
        return give_number(arg, t->packet);
    case TIOCSIG:
        if (arg != SIGINT && arg != SIGQUIT && arg != SIGTSTP)
            return -EINVAL;
        tty_signal(t, (int)arg);
        return 0;
    case TIOCGPTPEER:
        return open_peer(t, arg);
    default:
        return common_ioctl(t, true, request, arg);
    }
}

/* ---- opening ---- */

static const struct file_ops slave_ops = {.read = slave_read,
                                          .write = slave_write,
                                          .poll = slave_poll,
                                          .ioctl = slave_ioctl,
                                          .release = slave_release,
                                          .name = "tty",
                                          .stream = true};
static const struct file_ops master_ops = {.read = master_read,
                                           .write = master_write,
                                           .poll = master_poll,
                                           .ioctl = master_ioctl,
                                           .release = master_release,
                                           .name = "ptmx",
                                           .stream = true};

static int attach_end(struct file *f, struct tty *t, const struct file_ops *ops)
{
    struct end *e = los_alloc(sizeof(*e));
    if (!e)
        return -ENOMEM;
    *e = (struct end){t, t->generation};
    t->refs++;
    f->ops = ops;
    f->data = e;
    f->wait = ops == &master_ops ? &t->master_wait : &t->slave_wait;
    return 0;
}

static int free_index(void)
{
    int index = 0;
    for (struct list *it = ttys.next; it != &ttys; it = it->next) {
        if (container_of(it, struct tty, node)->index != index)
            continue;
        index++;
        it = &ttys; /* again from the first */
    }
    return index;
}

int pty_publish(struct tty *t, uint32_t uid, uint32_t gid)
{
    struct dentry *pts;
    char name[16];
    int r = tree_mkdir("/dev/pts", 0755, &pts);
    struct inode *i = r ? NULL : inode_new(FS_TMP, S_IFCHR | 0620);
    if (!i)
        return r ? r : -ENOMEM;
    t->index = free_index();
    i->rdev = device_number(t);
    i->uid = uid;
    i->gid = gid;
    i->data = t;
    fmt(name, sizeof(name), "%d", t->index);
    r = tree_put(pts, name, i);
    if (!r)
        r = dentry_lookup(pts, name, strlen(name), &t->name);
    if (!r)
        list_append(&ttys, &t->node);
    return r;
}

int pty_open_master(struct file *f)
{
    struct tty *t = tty_new();
    if (!t)
        return -ENOMEM;
    t->locked = t->has_master = true;
    int r = pty_publish(t, current()->euid, TTY_GROUP);
    if (!r)
        r = attach_end(f, t, &master_ops);
    if (r && t->name) {
        dentry_unlink(t->name);
        dentry_put(t->name);
    }
    tty_put(t);
    return r;
}

static int open_slave(struct file *f, struct tty *t)
{
    if (t->exclusive[false] && !capable(CAP_SYS_ADMIN))
        return -EBUSY;
    int r = attach_end(f, t, &slave_ops);
    if (r)
        return r;
    t->slaves++;
    t->deserted = false;
    if (!(f->flags & O_NOCTTY) && (f->flags & O_ACCMODE) != O_WRONLY)
        tty_take_session(t);
    return 0;
}

int pty_open_slave(struct file *f)
{
    list_each(struct tty, t, &ttys, node) {
        if (!t->name || t->name->inode != f->inode)
            continue;
        return t->locked ? -EIO : open_slave(f, t);
    }
    return -EIO; /* its master is closed */
}

int pty_open_current(struct file *f)
{
    struct tty *t = tty_of_process(current());
    return t ? open_slave(f, t) : -ENXIO;
}
