// SPDX-License-Identifier: Apache-2.0
// Terminals: what each end of one answers to each ioctl, who may do what in the background, and
// random sequences of modes, keys, output and reads against the line discipline. A seed: those of
// it alone.
#include "facts.h"

#include <asm/termbits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "dice.h"

static int master = -1, slave = -1;
static volatile sig_atomic_t seen[65];

static void on_signal(int s)
{
    seen[s]++;
}

static void hear(int s, int flags)
{
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = flags};
    sigaction(s, &a, NULL);
}

static int unlocked_master(void)
{
    int zero = 0, m = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK);
    ioctl(m, TIOCSPTLCK, &zero);
    return m;
}

static int open_slave(int of, int flags)
{
    char name[32];
    int n = -1;
    ioctl(of, TIOCGPTN, &n);
    snprintf(name, sizeof(name), "/dev/pts/%d", n);
    return open(name, O_RDWR | O_NONBLOCK | flags);
}

static void open_pair(int flags)
{
    master = unlocked_master();
    slave = open_slave(master, flags);
}

static void close_pair(void)
{
    close(slave);
    close(master);
    master = slave = -1;
}

static const char *hex(const void *bytes, long n)
{
    static char text[2][520];
    static int turn;
    static const char digits[] = "0123456789abcdef";
    char *to = text[turn ^= 1];
    const unsigned char *from = bytes;
    for (long i = 0; i < n && i < 256; i++) {
        *to++ = digits[from[i] >> 4];
        *to++ = digits[from[i] & 15];
    }
    *to = 0;
    return text[turn];
}

/* ---- ioctls ---- */

#define NOTHING ((void *)0)
#define EXTENT 64

static const struct request {
    const char *name;
    unsigned long number;
    long value; /* where it is no pointer */
    int gives;  /* bytes that are the same everywhere; -1: takes a value */
} requests[] = {
    {"TCGETS", 0x5401, 0, 36},
    {"TCSETS", 0x5402, 0, 0},
    {"TCSETSW", 0x5403, 0, 0},
    {"TCSETSF", 0x5404, 0, 0},
    {"TCGETA", 0x5405, 0, 17},
    {"TCSETA", 0x5406, 0, 0},
    {"TCSETAW", 0x5407, 0, 0},
    {"TCSETAF", 0x5408, 0, 0},
    {"TCGETS2", 0x802c542a, 0, 44},
    {"TCSETS2", 0x402c542b, 0, 0},
    {"TCSETSW2", 0x402c542c, 0, 0},
    {"TCSETSF2", 0x402c542d, 0, 0},
    {"TCSBRK 0", 0x5409, 0, -1},
    {"TCSBRK 1", 0x5409, 1, -1},
    {"TCXONC 0", 0x540a, 0, -1},
    {"TCXONC 1", 0x540a, 1, -1},
    {"TCXONC 2", 0x540a, 2, -1},
    {"TCXONC 3", 0x540a, 3, -1},
    {"TCXONC 4", 0x540a, 4, -1},
    {"TCFLSH 0", 0x540b, 0, -1},
    {"TCFLSH 2", 0x540b, 2, -1},
    {"TCFLSH 3", 0x540b, 3, -1},
    {"TIOCEXCL", 0x540c, 0, -1},
    {"TIOCNXCL", 0x540d, 0, -1},
    {"TIOCGEXCL", 0x80045440, 0, 4},
    {"TIOCSCTTY 0", 0x540e, 0, -1},
    {"TIOCSCTTY 1", 0x540e, 1, -1},
    {"TIOCGPGRP", 0x540f, 0, 0},
    {"TIOCSPGRP", 0x5410, 0, 0},
    {"TIOCOUTQ", 0x5411, 0, 4},
    {"TIOCSTI", 0x5412, 0, 0},
    {"TIOCGWINSZ", 0x5413, 0, 8},
    {"TIOCSWINSZ", 0x5414, 0, 8},
    {"TIOCMGET", 0x5415, 0, 0},
    {"TIOCMBIS", 0x5416, 0, 0},
    {"TIOCMBIC", 0x5417, 0, 0},
    {"TIOCMSET", 0x5418, 0, 0},
    {"TIOCGSOFTCAR", 0x5419, 0, 4},
    {"TIOCSSOFTCAR", 0x541a, 0, 0},
    {"FIONREAD", 0x541b, 0, 4},
    {"TIOCCONS", 0x541d, 0, -1},
    {"TIOCGSERIAL", 0x541e, 0, 0},
    {"TIOCPKT", 0x5420, 0, 0},
    {"FIONBIO", 0x5421, 0, 0},
    {"TIOCNOTTY", 0x5422, 0, -1},
    {"TIOCSETD", 0x5423, 0, 0},
    {"TIOCGETD", 0x5424, 0, 4},
    {"TCSBRKP", 0x5425, 0, -1},
    {"TIOCSBRK", 0x5427, 0, -1},
    {"TIOCCBRK", 0x5428, 0, -1},
    {"TIOCGSID", 0x5429, 0, 0},
    {"TIOCGRS485", 0x542e, 0, 0},
    {"TIOCGPTN", 0x80045430, 0, 0},
    {"TIOCSPTLCK", 0x40045431, 0, 0},
    {"TIOCGDEV", 0x80045432, 0, 0},
    {"TIOCSIG INT", 0x40045436, SIGINT, -1},
    {"TIOCSIG 0", 0x40045436, 0, -1},
    {"TIOCSIG USR1", 0x40045436, SIGUSR1, -1},
    {"TIOCSIG 99", 0x40045436, 99, -1},
    {"TIOCVHANGUP", 0x5437, 0, -1},
    {"TIOCGPKT", 0x80045438, 0, 4},
    {"TIOCGPTLCK", 0x80045439, 0, 4},
    {"TIOCGPTPEER", 0x5441, O_RDWR | O_NOCTTY, -1},
    {"TIOCGPTPEER read", 0x5441, O_RDONLY | O_NOCTTY | O_CLOEXEC, -1},
    {"TIOCGICOUNT", 0x545d, 0, 0},
    {"TIOCGLCKTRMIOS", 0x5456, 0, 36},
    {"TIOCSLCKTRMIOS", 0x5457, 0, 0},
    {"TIOCMIWAIT", 0x545c, 0, -1},
    {"TIOCLINUX", 0x541c, 0, 0},
    {"KDGKBTYPE", 0x4b33, 0, 0},
    {"VT_GETSTATE", 0x5603, 0, 0},
};

static long ask(int fd, const struct request *r, bool nowhere, unsigned char *data)
{
    long arg = r->gives < 0 ? r->value : nowhere ? 16 : (long)data;
    long got = sys(ioctl, fd, r->number, arg);
    return !strncmp(r->name, "TIOCGPTPEER", 11) ? fd_only(got) : got;
}

/* A pair without session, one that is the caller's terminal, a slave whose master is closed. */
static int end_of(int kind)
{
    open_pair(O_NOCTTY);
    if (kind >= 4)
        ioctl(slave, TIOCSCTTY, 0);
    switch (kind) {
    case 0:
        return dup(master);
    case 1:
        return dup(slave);
    case 2:
        close(master);
        return dup(slave);
    case 3:
        close(slave);
        return dup(master);
    case 4:
        return dup(master);
    case 5:
        return dup(slave);
    case 6:
        return open("/dev/tty", O_RDWR | O_NONBLOCK);
    default:
        close(master);
        master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK);
        return dup(master);
    }
}

static void table(void)
{
    static const char *const ends[] = {"master",       "slave",     "hung up",  "deserted",
                                       "own's master", "own slave", "/dev/tty", "locked"};
    unsigned char data[EXTENT];
    for (int e = 0; e < COUNT(ends); e++) {
        for (long i = 0; i < COUNT(requests); i++) {
            const struct request *r = &requests[i];
            fflush(stdout);
            pid_t pid = fork(); /* in a session of its own */
            if (pid) {
                int status;
                waitpid(pid, &status, 0);
                if (!WIFEXITED(status))
                    say("ioctl", WTERMSIG(status), "%s of %s: ends by", r->name, ends[e]);
                continue;
            }
            setsid();
            for (int s = 1; s < 32; s++)
                if (s != SIGKILL && s != SIGSTOP && s != SIGALRM)
                    hear(s, SA_RESTART);
            int fd = end_of(e);
            memset(data, 0, sizeof(data));
            say("ioctl", ask(fd, r, false, data), "%s of %s", r->name, ends[e]);
            if (r->gives > 0)
                say_text("ioctl", hex(data, r->gives), "%s of %s: gives", r->name, ends[e]);
            for (int s = 1; s < 32; s++)
                if (seen[s])
                    say("ioctl", seen[s], "%s of %s: signal %d", r->name, ends[e], s);
            if (r->gives >= 0)
                say("ioctl", ask(fd, r, true, data), "%s of %s, nowhere", r->name, ends[e]);
            _exit(0);
        }
    }
}

/* Modes in all forms: what one sets, the others show. */
static void forms(void)
{
    static const unsigned get[] = {0x5401, 0x802c542a, 0x5405};
    static const unsigned set[] = {0x5402, 0x402c542b, 0x5406};
    static const int size[] = {36, 44, 17};
    static const unsigned speeds[] = {B0, B9600, B38400, B115200, B4000000, BOTHER, 0x100f};
    unsigned char data[EXTENT];
    for (int f = 0; f < 3; f++) {
        for (int g = 0; g < 3; g++) {
            open_pair(O_NOCTTY);
            memset(data, 0, sizeof(data));
            sys(ioctl, slave, get[f], data);
            data[0] ^= 0x33, data[4] ^= 4, data[9] ^= 3, data[12] ^= 8;
            data[f == 2 ? 11 : 20] = 'i';
            say("ioctl", sys(ioctl, slave, set[f], data), "set by form %d", f);
            memset(data, 0xee, sizeof(data));
            say("ioctl", sys(ioctl, master, get[g], data), "get by form %d", g);
            say_text("ioctl", hex(data, size[g]), "set by form %d, shown by form %d", f, g);
            close_pair();
        }
    }
    for (long i = 0; i < COUNT(speeds); i++) {
        struct termios2 t, u;
        open_pair(O_NOCTTY);
        sys(ioctl, slave, 0x802c542a, &t);
        t.c_cflag = (t.c_cflag & ~(CBAUD | CIBAUD)) | speeds[i] | speeds[COUNT(speeds) - 1 - i]
                                                                      << IBSHIFT;
        t.c_ispeed = 12345, t.c_ospeed = 6789;
        say("ioctl", sys(ioctl, slave, 0x402c542b, &t), "speed %x", speeds[i]);
        sys(ioctl, slave, 0x802c542a, &u);
        say("ioctl", u.c_cflag, "speed %x: cflag", speeds[i]);
        say("ioctl", u.c_ispeed, "speed %x: in", speeds[i]);
        say("ioctl", u.c_ospeed, "speed %x: out", speeds[i]);
        close_pair();
    }
}

/* TIOCEXCL, opening, flags of opening. */
static void openings(void)
{
    static const int flags[] = {O_RDONLY,         O_WRONLY,           O_RDWR,
                                O_RDWR | O_TRUNC, O_RDWR | O_APPEND,  O_RDWR | O_EXCL,
                                O_PATH,           O_RDWR | O_NONBLOCK};
    static const char *const names[] = {"/dev/ptmx", "/dev/tty", "/dev/pts"};
    char path[64];
    struct stat st;
    for (long i = 0; i < COUNT(flags); i++) {
        open_pair(O_NOCTTY);
        close(slave);
        char byte;
        int n = -1;
        ioctl(master, TIOCGPTN, &n);
        snprintf(path, sizeof(path), "/dev/pts/%d", n);
        slave = open(path, flags[i] | O_NOCTTY);
        say("open", slave < 0 ? -errno : 0, "slave, flags %x", flags[i]);
        say("fcntl", sys(fcntl, slave, F_GETFL, 0), "slave, flags %x", flags[i]);
        say("write", sys(write, slave, "x", 1), "slave, flags %x", flags[i]);
        fcntl(slave, F_SETFL, O_NONBLOCK);
        say("read", sys(read, slave, &byte, 1), "slave, flags %x", flags[i]);
        close_pair();
    }
    for (long i = 0; i < COUNT(names); i++) {
        long r = sys(stat, names[i], &st);
        say("stat", r ? r : (long)st.st_mode, "%s", names[i]);
        say("stat", r ? r : (long)st.st_rdev, "%s: device", names[i]);
    }
    open_pair(O_NOCTTY);
    sys(fstat, master, &st);
    say("fstat", st.st_mode, "master");
    say("fstat", (long)st.st_rdev, "master: device");
    sys(fstat, slave, &st);
    say("fstat", (long)st.st_rdev >> 8, "slave: major");
    say("fstat", st.st_uid, "slave: owner");
    say("fchmod", sys(fchmod, slave, 0600), "slave");
    sys(fstat, slave, &st);
    say("fstat", st.st_mode, "slave, after fchmod");
    say("fchown", sys(fchown, slave, 7, 8), "slave");
    sys(fstat, slave, &st);
    say("fstat", st.st_uid * 100 + st.st_gid, "slave, after fchown");
    int n = -1;
    ioctl(master, TIOCGPTN, &n);
    snprintf(path, sizeof(path), "/dev/pts/%d", n);
    say("ioctl", sys(ioctl, slave, TIOCEXCL), "TIOCEXCL");
    int on = -1;
    sys(ioctl, master, TIOCGEXCL, &on);
    say("ioctl", on, "TIOCGEXCL of the master");
    say("open", fd_only(open_slave(master, O_NOCTTY)), "exclusive, by root");
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        int fd;
        fchmod(slave, 0666);
        setresuid(1000, 1000, 1000);
        fd = open_slave(master, O_NOCTTY);
        say("open", fd < 0 ? -errno : 0, "exclusive, by a user");
        sys(ioctl, slave, TIOCNXCL);
        fd = open_slave(master, O_NOCTTY);
        say("open", fd < 0 ? -errno : 0, "no longer exclusive, by a user");
        fd = open("/dev/ptmx", O_RDWR | O_NOCTTY);
        sys(fstat, open_slave(unlocked_master(), O_NOCTTY), &st);
        say("fstat", st.st_uid, "a user's slave: owner");
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    say("unlink", sys(unlink, path), "slave");
    say("rename", sys(rename, path, "/dev/pts/x"), "slave");
    say("mkdir", sys(mkdir, "/dev/pts/x", 0700), "in /dev/pts");
    say("open", sys(open, "/dev/pts/x", O_CREAT | O_RDWR, 0600), "a new file in /dev/pts");
    close_pair();
}

/* ---- sessions and groups ---- */

enum { FRONT, BACK, BACK_IGNORES, BACK_BLOCKS, BACK_ORPHAN, STRANGER, STATES };
static const char *const states[] = {"foreground",           "background",
                                     "background, ignoring", "background, blocking",
                                     "background, orphan",   "another session"};
enum {
    A_READ,
    A_WRITE,
    A_WRITE_TOSTOP,
    A_GETS,
    A_SETS,
    A_SETSW,
    A_SETS_OTHER,
    A_SPGRP,
    A_GPGRP,
    A_GSID,
    A_FLUSH,
    A_FLOW,
    A_BREAK,
    A_DRAIN,
    A_WINDOW,
    A_SCTTY,
    A_STEAL,
    A_NOTTY,
    A_NREAD,
    A_LOCAL,
    A_EXCL,
    A_POLL,
    A_DISC,
    A_OPEN,
    ACTS
};

static long act(int fd, int what)
{
    struct termios t;
    struct winsize w = {3, 4, 5, 6};
    struct pollfd p = {fd, POLLIN | POLLOUT, 0};
    int n = getpgrp();
    char byte;
    long r;
    sys(ioctl, fd, TCGETS, &t);
    switch (what) {
    case A_READ:
        return sys(read, fd, &byte, 1);
    case A_WRITE:
    case A_WRITE_TOSTOP:
        return sys(write, fd, "w", 1);
    case A_GETS:
        return sys(ioctl, fd, TCGETS, &t);
    case A_SETS:
        return sys(ioctl, fd, TCSETS, &t);
    case A_SETSW:
        return sys(ioctl, fd, TCSETSW, &t);
    case A_SETS_OTHER:
        return sys(ioctl, fd, 0x5456, &t); /* TIOCGLCKTRMIOS */
    case A_SPGRP:
        return sys(ioctl, fd, TIOCSPGRP, &n);
    case A_GPGRP:
        r = sys(ioctl, fd, TIOCGPGRP, &n);
        return r ? r : n == getpgrp();
    case A_GSID:
        r = sys(ioctl, fd, TIOCGSID, &n);
        return r ? r : n == getsid(0);
    case A_FLUSH:
        return sys(ioctl, fd, TCFLSH, 2);
    case A_FLOW:
        return sys(ioctl, fd, TCXONC, 1);
    case A_BREAK:
        return sys(ioctl, fd, TCSBRK, 0);
    case A_DRAIN:
        return sys(ioctl, fd, TCSBRK, 1);
    case A_WINDOW:
        return sys(ioctl, fd, TIOCSWINSZ, &w);
    case A_SCTTY:
        return sys(ioctl, fd, TIOCSCTTY, 0);
    case A_STEAL:
        return sys(ioctl, fd, TIOCSCTTY, 1);
    case A_NOTTY:
        return sys(ioctl, fd, TIOCNOTTY);
    case A_NREAD:
        return sys(ioctl, fd, FIONREAD, &n);
    case A_LOCAL:
        t.c_lflag ^= ECHO;
        return sys(ioctl, fd, TCSETSF, &t);
    case A_EXCL:
        return sys(ioctl, fd, TIOCEXCL);
    case A_POLL:
        r = sys(poll, &p, 1, 0);
        return r < 0 ? r : p.revents;
    case A_DISC:
        n = 0;
        return sys(ioctl, fd, TIOCSETD, &n);
    default:
        return fd_only(sys(open, "/dev/tty", O_RDWR | O_NONBLOCK));
    }
}

static void one_act(int state, int what, bool by_master)
{
    static const char *const names[] = {
        "read",    "write",          "write, TOSTOP", "TCGETS",      "TCSETS",
        "TCSETSW", "TIOCGLCKTRMIOS", "TIOCSPGRP",     "TIOCGPGRP",   "TIOCGSID",
        "TCFLSH",  "TCXONC",         "TCSBRK 0",      "TCSBRK 1",    "TIOCSWINSZ",
        "TIOCSCTTY", "TIOCSCTTY 1",  "TIOCNOTTY",     "FIONREAD",    "TCSETSF",
        "TIOCEXCL", "poll",          "TIOCSETD",      "open /dev/tty"};
    struct termios t;
    int status, gate[2];
    setsid();
    open_pair(O_NOCTTY);
    ioctl(slave, TIOCSCTTY, 0);
    if (what == A_WRITE_TOSTOP) {
        sys(ioctl, slave, TCGETS, &t);
        t.c_lflag |= TOSTOP;
        sys(ioctl, slave, TCSETS, &t);
    }
    (void)!pipe(gate);
    pid_t pid = fork();
    if (!pid) {
        if (state == STRANGER)
            setsid();
        else if (state != FRONT)
            setpgid(0, 0);
        if (state == BACK_ORPHAN && fork()) /* its child's parent is of another session soon */
            _exit(0);
        for (int i = 0; state == BACK_ORPHAN && i < 10000 && getppid() != 1; i++)
            usleep(1000);
        for (int s = 1; s < 32; s++)
            if (s != SIGKILL && s != SIGSTOP && s != SIGALRM)
                hear(s, 0);
        if (state == BACK_IGNORES)
            signal(SIGTTOU, SIG_IGN), signal(SIGTTIN, SIG_IGN);
        if (state == BACK_BLOCKS) {
            sigset_t set;
            sigemptyset(&set);
            sigaddset(&set, SIGTTIN), sigaddset(&set, SIGTTOU);
            sigprocmask(SIG_BLOCK, &set, NULL);
        }
        fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK);
        long r = act(by_master ? master : slave, what);
        const char *by = by_master ? " by the master" : "";
        say("ioctl", r, "%s: %s%s", states[state], names[what], by);
        for (int s = 1; s < 32; s++) /* a call that is begun again makes more of them */
            if (seen[s])
                say("ioctl", s, "%s: %s%s: hears", states[state], names[what], by);
        if (state != STRANGER) {
            long own = sys(open, "/dev/tty", O_RDWR | O_NONBLOCK);
            say("open", fd_only(own), "%s: /dev/tty after %s%s", states[state], names[what], by);
        }
        fflush(stdout);
        _exit(0);
    }
    char c;
    close(gate[1]);
    while (read(gate[0], &c, 1) < 0) /* until the last has ended */
        continue;
    waitpid(pid, &status, WUNTRACED);
    _exit(0);
}

static void jobs(void)
{
    for (int state = 0; state < STATES; state++) {
        for (int what = 0; what < ACTS; what++) {
            for (int by_master = 0; by_master < 2; by_master++) {
                fflush(stdout);
                pid_t pid = fork();
                if (!pid)
                    one_act(state, what, by_master);
                waitpid(pid, NULL, 0);
            }
        }
    }
}

/* ---- random sequences ---- */

static const unsigned iflags[] = {IGNBRK, BRKINT, IGNPAR, PARMRK, INPCK, ISTRIP, INLCR,   IGNCR,
                                  ICRNL,  IUCLC,  IXON,   IXANY,  IXOFF, IMAXBEL, IUTF8};
static const unsigned oflags[] = {OPOST, OLCUC, ONLCR, OCRNL, ONOCR, ONLRET, OFILL, XTABS};
static const unsigned lflags[] = {ISIG,   ICANON, ECHO,   ECHOE,   ECHOK, ECHONL, NOFLSH,
                                  TOSTOP, ECHOCTL, ECHOPRT, ECHOKE, IEXTEN};

static int readable(int fd) /* what was sent has come then */
{
    struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI, 0};
    poll(&p, 1, 0);
    return p.revents;
}

static void report_read(int fd, const char *who, long size, int step)
{
    unsigned char data[256];
    long r = sys(read, fd, data, size);
    say("read", r, "%d: %s, %ld", step, who, size);
    if (r > 0)
        say_text("read", hex(data, r), "%d: %s", step, who);
}

static void drain(int fd, const char *who, int step)
{
    unsigned char all[8192];
    long n = 0, r;
    int ends = 0;
    while ((readable(fd) & POLLIN) && n + 4096 <= COUNT(all) && ends < 64) {
        r = sys(read, fd, all + n, 4096);
        if (r < 0)
            break;
        n += r;
        ends += !r; /* ^D */
    }
    say("read", n, "%d: all of %s", step, who);
    if (n)
        say_text("read", hex(all, n), "%d: all of %s: bytes", step, who);
    say("read", ends, "%d: all of %s: ends", step, who);
}

static long keys(unsigned char *to)
{
    static const char special[] = "\x03\x1c\x7f\x15\x04\x11\x13\x1a\x12\x0f\x17\x16\n\r\t\b\0\xff"
                                  "Az_ \xc3\xa9\xe2\x82\xac\x1b;e";
    long n = 1 + roll(12);
    for (long i = 0; i < n; i++) {
        unsigned which = roll(10);
        to[i] = which < 4   ? 'a' + roll(26)
                : which < 9 ? (unsigned char)special[roll(sizeof(special) - 1)]
                            : (unsigned char)roll(256);
    }
    return n;
}

/* With flow control, echo may be on its way to the master when a signal's key takes it back: such
 * a key comes first. */
static long until_signal(const unsigned char *typed, long n)
{
    struct termios t;
    sys(ioctl, slave, TCGETS, &t);
    for (long i = 1; (t.c_iflag & IXON) && i < n; i++)
        if (memchr("\x03\x1c\x1a"
                   "e;\b\x1b",
                   typed[i], 7))
            return i;
    return n;
}

static void turn_modes(int step)
{
    struct termios t;
    if (!(readable(slave) & POLLOUT)) /* what is echoed while it is stopped has the old ones */
        return;
    sys(ioctl, slave, TCGETS, &t);
    for (int i = roll(3); i >= 0; i--) {
        switch (roll(5)) {
        case 0:
            t.c_iflag ^= iflags[roll(COUNT(iflags))];
            break;
        case 1:
            t.c_oflag ^= oflags[roll(COUNT(oflags))];
            break;
        case 2:
        case 3:
            t.c_lflag ^= lflags[roll(COUNT(lflags))];
            break;
        default: {
            static const unsigned char which[] = {VINTR, VERASE, VKILL,  VEOF, VEOL, VEOL2,
                                                  VMIN,  VSTOP,  VSTART, VWERASE, VLNEXT, VREPRINT};
            unsigned char c = which[roll(sizeof(which))];
            t.c_cc[c] = (unsigned char)(c == VMIN ? roll(4) : roll(3) ? "e;\b\x1b"[roll(4)] : 0);
        }
        }
    }
    static const unsigned how[] = {TCSETS, TCSETSW, TCSETSF};
    int h = (int)roll(3);
    say("ioctl", sys(ioctl, roll(2) ? slave : master, how[h], &t), "%d: %d %x %x %x", step, h,
        t.c_iflag, t.c_oflag, t.c_lflag);
    sys(ioctl, slave, TCGETS, &t);
    say_text("ioctl", hex(&t, 36), "%d: modes", step);
}

static void sequence(uint64_t seed)
{
    unsigned char data[64];
    char text[24];
    snprintf(text, sizeof(text), "%lu", seed);
    dice_seed(text);
    open_pair(O_NOCTTY);
    ioctl(slave, TIOCSCTTY, 0);
    for (int step = 0; step < 120; step++) {
        int n;
        switch (roll(10)) {
        case 0:
        case 1:
            turn_modes(step);
            break;
        case 2:
        case 3:
        case 4:
            if (readable(slave) & POLLIN) /* what comes later, comes when it likes */
                drain(slave, "slave", step);
            drain(master, "master", step);
            n = (int)until_signal(data, keys(data));
            say("write", sys(write, master, data, n), "%d: keys %s", step, hex(data, n));
            break;
        case 5:
            drain(master, "master", step);
            n = (int)keys(data);
            say("write", sys(write, slave, data, n), "%d: output %s", step, hex(data, n));
            break;
        case 6:
            report_read(slave, "slave", 1 + roll(10), step);
            break;
        case 7:
            drain(master, "master", step);
            break;
        case 8:
            n = (int)roll(4);
            say("ioctl", sys(ioctl, slave, TCXONC, (long)n), "%d: TCXONC %d", step, n);
            break;
        default:
            drain(master, "master", step);
            n = (int)roll(6);
            say("ioctl", sys(ioctl, n % 2 ? slave : master, TCFLSH, (long)(n / 2)), "%d: TCFLSH %d",
                step, n);
        }
        int at = readable(slave), from = readable(master);
        say("poll", at, "%d: slave", step);
        say("poll", from, "%d: master", step);
        n = -1;
        sys(ioctl, slave, FIONREAD, &n);
        say("ioctl", n, "%d: FIONREAD", step);
        for (int s = 1; s < 32; s++) {
            if (seen[s])
                say("ioctl", seen[s], "%d: signal %d", step, s);
            seen[s] = 0;
        }
    }
    ioctl(slave, TIOCNOTTY);
    close_pair();
}

int main(int argc, char **argv)
{
    facts_begin();
    if (argc < 2) {
        table();
        forms();
        openings();
        jobs();
    }
    for (int s = 1; s < 32; s++)
        if (s != SIGKILL && s != SIGSTOP && s != SIGALRM)
            hear(s, SA_RESTART);
    if (argc > 1)
        sequence(strtoull(argv[1], NULL, 10));
    else
        for (uint64_t seed = 1; seed <= 12; seed++)
            sequence(seed);
    facts_end();
    return 0;
}
