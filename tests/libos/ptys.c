// SPDX-License-Identifier: Apache-2.0
// Facts about pseudo terminals, line discipline, controlling terminals and job control, a line
// each; natively and in the enclave they are the same.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "fact.h"

#include "status.h"

/* Bytes as they can be compared. */
static const char *shown(const char *bytes, ssize_t n)
{
    static char text[1024];
    size_t at = 0;
    if (n < 0)
        return strerrorname_np(errno);
    text[0] = 0;
    for (ssize_t i = 0; i < n && at < sizeof(text) - 8; i++)
        at += (size_t)sprintf(text + at, bytes[i] >= ' ' && bytes[i] < 127 ? "%c" : "<%02x>",
                              (unsigned char)bytes[i]);
    return text;
}

/* What can be read from fd within 2 s, until `want` bytes are there. */
static const char *got(int fd, size_t want)
{
    static char buf[512];
    size_t n = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (n < want && poll(&p, 1, 2000) > 0) {
        ssize_t r = read(fd, buf + n, sizeof(buf) - n);
        if (r <= 0)
            return n ? shown(buf, (ssize_t)n) : shown(buf, r);
        n += (size_t)r;
    }
    return shown(buf, (ssize_t)n);
}

static short ready(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
    poll(&p, 1, 0);
    return p.revents;
}

static int master, slave;

static void open_pair(void)
{
    master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    grantpt(master);
    unlockpt(master);
    slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_NONBLOCK);
}

static void close_pair(void)
{
    close(slave);
    close(master);
}

static void set_flags(tcflag_t clear_local, tcflag_t set_local)
{
    struct termios t;
    tcgetattr(slave, &t);
    t.c_lflag = (t.c_lflag & ~clear_local) | set_local;
    tcsetattr(slave, TCSANOW, &t);
}

static void type(const char *text)
{
    if (write(master, text, strlen(text)) != (ssize_t)strlen(text))
        fact("typing %s: %s", shown(text, (ssize_t)strlen(text)), strerrorname_np(errno));
}

/* Until the slave can be written to, or cannot. */
static void await_output(bool can)
{
    for (int i = 0; i < 1000 && !(ready(slave) & POLLOUT) == can; i++)
        poll(NULL, 0, 1);
}

/* Until what was typed has come. */
static void await_input(void)
{
    struct pollfd p = {.fd = slave, .events = POLLIN};
    poll(&p, 1, 200);
}

static void names(void)
{
    struct stat st;
    char name[64];
    int n = -1, locked = -1;
    int m = posix_openpt(O_RDWR | O_NOCTTY);
    fact("openpt %s", err(m));
    int r = ioctl(m, TIOCGPTLCK, &locked);
    fact("locked %s %d", err(r), locked);
    r = ioctl(m, TIOCGPTN, &n);
    fact("ptn %s %d", err(r), n >= 0);
    fact("ptsname %d", ptsname_r(m, name, sizeof(name)));
    fact("open while locked %s", err(open(name, O_RDWR | O_NOCTTY)));
    fact("grantpt %s unlockpt %s", err(grantpt(m)), err(unlockpt(m)));
    int found = stat(name, &st);
    fact("stat %s type %o major %u minor as named %d", err(found), st.st_mode & S_IFMT,
         major(st.st_rdev), minor(st.st_rdev) == (unsigned)n);
    int s = open(name, O_RDWR | O_NOCTTY);
    fact("open %s isatty %d %d", err(s), isatty(s), isatty(m));
    fact("ttyname as named %d", !strcmp(ttyname(s) ? ttyname(s) : "", name));
    int peer = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    fact("peer %s cloexec %d", err(peer), fcntl(peer, F_GETFD));
    close(peer);
    stat("/dev/ptmx", &st);
    fact("ptmx type %o major %u minor %u", st.st_mode & S_IFMT, major(st.st_rdev),
         minor(st.st_rdev));
    close(m);
    fact("name gone %s", err(stat(name, &st)));
    fact("read after hangup %zd %s", read(s, name, 1), "");
    fact("write after hangup %s", err(write(s, "x", 1)));
    fact("poll after hangup %x", ready(s));
    struct termios t;
    fact("tcgetattr after hangup %s", err(tcgetattr(s, &t)));
    close(s);
    fact("lseek %s", err(lseek(posix_openpt(O_RDWR), 0, SEEK_SET)));
}

static void modes(void)
{
    struct termios t;
    struct winsize w = {1, 2, 3, 4};
    open_pair();
    tcgetattr(slave, &t);
    fact("iflag %x oflag %x cflag %x lflag %x", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag);
    for (int i = 0; i < 17; i++)
        printf("%d ", t.c_cc[i]);
    fact("cc");
    fact("speed %d", cfgetospeed(&t) == B38400);
    int r = ioctl(slave, TIOCGWINSZ, &w);
    fact("window %s %d %d", err(r), w.ws_row, w.ws_col);
    w = (struct winsize){24, 80, 0, 0};
    fact("set window by the master %s", err(ioctl(master, TIOCSWINSZ, &w)));
    w = (struct winsize){0};
    ioctl(slave, TIOCGWINSZ, &w);
    fact("window %d %d", w.ws_row, w.ws_col);
    t.c_lflag &= ~(tcflag_t)ECHO;
    fact("set by the master %s", err(tcsetattr(master, TCSADRAIN, &t)));
    tcgetattr(slave, &t);
    fact("seen by the slave %d", !(t.c_lflag & ECHO));
    cfmakeraw(&t);
    tcsetattr(slave, TCSAFLUSH, &t);
    tcgetattr(slave, &t);
    fact("raw iflag %x oflag %x lflag %x", t.c_iflag, t.c_oflag, t.c_lflag);
    fact("sendbreak %s drain %s", err(tcsendbreak(slave, 0)), err(tcdrain(slave)));
    fact("flow %s flush %s", err(tcflow(slave, TCOON)), err(tcflush(slave, TCIOFLUSH)));
    fact("pgrp %s", err(tcgetpgrp(slave)));
    fact("sid %s", err(tcgetsid(slave)));
    close_pair();
}

static void lines(void)
{
    static const char *const inputs[] = {
        "hello\n",
        "hex\x7flo\n",
        "one two\x17three\n",
        "gone\x15here\n",
        "a\tb\x7f\x7f\n",
        "x\x16\x03y\n",
        "\x01\x02z\n",
        "\r",
        "tab\there\n",
        "q\x12r\n",
        "abc\x04",
        "\x04",
        "two\nlines\n",
        "back\x7f\x7f\x7f\x7f\x7f\x7f\n",
    };
    open_pair();
    for (size_t i = 0; i < sizeof(inputs) / sizeof(*inputs); i++) {
        char buf[256];
        type(inputs[i]);
        await_input();
        ssize_t n = read(slave, buf, sizeof(buf));
        printf("line %zu: read %zd %s", i, n, shown(buf, n));
        n = read(master, buf, sizeof(buf));
        fact(" echo %s", shown(buf, n));
        while (read(slave, buf, sizeof(buf)) > 0)
            ;
    }
    type("partial");
    fact("a part of a line: poll %x %s", ready(slave), err(read(slave, (char[9]){0}, 9)));
    char small[3];
    type("ly\n");
    await_input();
    ssize_t n = read(slave, small, 3);
    fact("first %s", shown(small, n));
    n = read(slave, small, 3);
    fact("then %s", shown(small, n));
    int left;
    ioctl(slave, FIONREAD, &left);
    fact("left %d", left);
    tcflush(slave, TCIFLUSH);
    fact("flushed %s", err(read(slave, small, 3)));
    close_pair();
    open_pair();
    set_flags(ECHO, ECHONL);
    type("secret\n");
    fact("no echo but newline: %s", got(master, 2));
    fact("read %s", got(slave, 7));
    set_flags(ECHOCTL | ECHOE | ECHOKE, ECHO);
    type("ab\x7f"
         "c\x02\x15"
         "d\n");
    fact("plain echo %s", got(master, 6));
    fact("read %s", got(slave, 2));
    close_pair();
}

static void raw_reads(void)
{
    struct termios t;
    char buf[16];
    open_pair();
    tcgetattr(slave, &t);
    cfmakeraw(&t);
    for (int min = 0; min < 4; min += 3) {
        for (int time = 0; time < 3; time += 2) {
            t.c_cc[VMIN] = (cc_t)min;
            t.c_cc[VTIME] = (cc_t)time;
            tcsetattr(slave, TCSANOW, &t);
            fcntl(slave, F_SETFL, O_RDWR);
            ssize_t n = min ? -2 : read(slave, buf, 9);
            type("ab");
            poll(NULL, 0, 20); /* it may be too little to be told of */
            fact("min %d time %d: empty %zd poll %x", min, time, n, ready(slave));
            if (min && !time)
                type("c");
            n = read(slave, buf, 9);
            fact("  %zd %s", n, shown(buf, n));
            fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK);
            n = read(slave, buf, 9);
            fact("  not blocking %zd %s", n, n < 0 ? strerrorname_np(errno) : "");
        }
    }
    type("\x03\x1c\r\n\x04\x7f");
    fact("keys mean themselves: %s", got(slave, 6));
    ssize_t w = write(slave, "a\nb\tc", 5);
    fact("out %zd %s", w, got(master, 5));
    close_pair();
    open_pair();
    w = write(slave, "a\nb\tc\r\n", 7);
    fact("cooked out %zd %s", w, got(master, 9));
    type("\x13");
    await_output(false);
    w = write(slave, "held", 4);
    fact("stopped: write %zd %s, poll %x", w, w < 0 ? strerrorname_np(errno) : "",
         ready(slave) & POLLOUT);
    type("\x11");
    await_output(true);
    w = write(slave, "free", 4);
    fact("goes on: %zd %s", w, got(master, 4));
    /* before the edit: what was typed in a line becomes input */
    type("half");
    got(master, 4);
    t.c_cc[VMIN] = 1;
    t.c_cc[VTIME] = 0;
    tcsetattr(slave, TCSANOW, &t);
    fact("half a line in raw mode: %s", got(slave, 4));
    close_pair();
}

static void ends(void)
{
    char buf[16];
    open_pair();
    fact("master poll %x slave poll %x", ready(master), ready(slave));
    fact("nothing: %s %s", err(read(master, buf, 1)), err(read(slave, buf, 1)));
    ssize_t done = write(slave, "bye", 3);
    close(slave);
    fact("wrote %zd, slave closed: poll %x", done, ready(master));
    ssize_t n = read(master, buf, 16);
    fact("rest %s", shown(buf, n));
    fact("then %s poll %x", err(read(master, buf, 16)), ready(master));
    slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_NONBLOCK);
    fact("open again %s poll %x %s", err(slave), ready(master), err(read(master, buf, 1)));
    close_pair();
    open_pair();
    int e = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN}, seen;
    epoll_ctl(e, EPOLL_CTL_ADD, master, &ev);
    fact("epoll %d", epoll_wait(e, &seen, 1, 0));
    (void)!write(slave, "x", 1);
    fact("epoll %d %x", epoll_wait(e, &seen, 1, 1000), seen.events);
    close(e);
    close_pair();
}

static volatile sig_atomic_t seen_signal;
static void on_signal(int n)
{
    seen_signal = n;
}

/* In a session of its own, whose terminal is the slave; the parent has the master. */
static int session(int (*body)(void), const char *keys, const char *expect)
{
    int m, s;
    char line[64];
    size_t at = 0;
    pid_t pid = forkpty(&m, NULL, NULL, NULL);
    if (!pid)
        _exit(body());
    struct pollfd p = {.fd = m, .events = POLLIN};
    bool typed = false;
    while (poll(&p, 1, 3000) > 0 && at < sizeof(line) - 1) {
        ssize_t n = read(m, line + at, sizeof(line) - 1 - at);
        if (n <= 0)
            break;
        at += (size_t)n;
        line[at] = 0;
        if (!typed && keys && strstr(line, "go")) {
            (void)!write(m, keys, strlen(keys));
            typed = true;
        }
        if (expect && strstr(line, expect))
            break;
    }
    if (expect) {
        poll(NULL, 0, 50);
        kill(pid, waitpid(pid, &s, WUNTRACED | WNOHANG) == pid ? 0 : SIGTERM);
    }
    if (waitpid(pid, &s, WUNTRACED) != pid)
        s = 0;
    if (WIFSTOPPED(s)) {
        fact("  %s", status(s));
        kill(pid, SIGKILL);
        waitpid(pid, &s, 0);
    }
    fact("  said %s, %s", shown(line, (ssize_t)at), status(s));
    close(m);
    return s;
}

static int body_plain(void)
{
    pid_t own = getpid();
    printf("%d%d%d%d", getsid(0) == own, tcgetpgrp(0) == own, tcgetsid(0) == own,
           open("/dev/tty", O_RDWR) >= 0);
    fflush(stdout);
    return 3;
}

static int body_wait(void)
{
    (void)!write(1, "go", 2);
    pause();
    return 4;
}

static int body_handler(void)
{
    struct sigaction a = {.sa_handler = on_signal};
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGQUIT, &a, NULL);
    sigaction(SIGWINCH, &a, NULL);
    (void)!write(1, "go", 2);
    while (!seen_signal)
        poll(NULL, 0, 10);
    dprintf(1, "[%d]", (int)seen_signal);
    return 5;
}

/* A background child reads, writes, and sets modes. */
static int body_background(void)
{
    int s, gate[2];
    if (pipe(gate))
        return 9;
    for (int what = 0; what < 6; what++) {
        pid_t pid = fork();
        if (!pid) {
            struct termios t;
            char c;
            setpgid(0, 0);
            if (what == 3 || what == 5)
                signal(what == 3 ? SIGTTIN : SIGTTOU, SIG_IGN);
            (void)!read(gate[0], &c, 1);
            tcgetattr(0, &t);
            long r = what == 0 || what == 3 ? read(0, &c, 1)
                     : what == 1            ? write(1, "w", 1)
                     : what == 2            ? tcsetattr(0, TCSANOW, &t)
                     : what == 4            ? tcsetpgrp(0, getpid())
                                            : tcsetpgrp(0, getpid());
            _exit(r < 0 ? errno == EIO ? 50 : 51 : 0);
        }
        setpgid(pid, pid);
        (void)!write(gate[1], "x", 1);
        waitpid(pid, &s, WUNTRACED);
        dprintf(1, "%d:%s;", what, status(s));
        if (WIFSTOPPED(s)) {
            kill(pid, SIGKILL);
            waitpid(pid, &s, 0);
        }
        signal(SIGTTOU, SIG_IGN);
        tcsetpgrp(0, getpid());
        signal(SIGTTOU, SIG_DFL);
    }
    return 6;
}

/* As a shell does it: a job in the foreground is stopped by ^Z and goes on in the foreground. */
static int body_job(void)
{
    int s;
    signal(SIGTTOU, SIG_IGN);
    pid_t pid = fork();
    if (!pid) {
        setpgid(0, 0);
        tcsetpgrp(0, getpid());
        signal(SIGTTOU, SIG_DFL);
        (void)!write(1, "go", 2);
        char c;
        _exit(read(0, &c, 1) == 1 ? c : 99);
    }
    setpgid(pid, pid);
    waitpid(pid, &s, WUNTRACED);
    tcsetpgrp(0, getpid());
    dprintf(1, "(%s)", status(s));
    tcsetpgrp(0, pid);
    kill(-pid, SIGCONT);
    waitpid(pid, &s, WUNTRACED);
    tcsetpgrp(0, getpid());
    dprintf(1, "(%s)", status(s));
    return 7;
}

static int body_hangup(void)
{
    struct sigaction a = {.sa_handler = on_signal};
    sigaction(SIGHUP, &a, NULL);
    (void)!write(1, "go", 2);
    while (!seen_signal)
        poll(NULL, 0, 10);
    char c;
    return (int)seen_signal * 10 + (int)read(0, &c, 1);
}

/* The leader ends: its foreground group hears of it, and the terminal is nobody's. */
static int body_leaves(void)
{
    int p[2];
    char c;
    if (pipe(p))
        return 9;
    pid_t pid = fork();
    if (!pid) {
        struct sigaction a = {.sa_handler = on_signal};
        sigaction(SIGHUP, &a, NULL);
        (void)!write(p[1], "r", 1);
        for (int i = 0; i < 300 && !seen_signal; i++)
            poll(NULL, 0, 10);
        int fd = open("/tmp/ptys.hup", O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dprintf(fd, "%d %d %s %s\n", (int)seen_signal, (int)read(0, &c, 1), err(write(1, "x", 1)),
                err(open("/dev/tty", O_RDWR)));
        rename("/tmp/ptys.hup", "/tmp/ptys.hup.done");
        _exit(0);
    }
    (void)!read(p[0], &c, 1);
    return 8;
}

static void packet(const char *what, size_t size)
{
    struct pollfd p = {.fd = master, .events = POLLIN | POLLPRI};
    poll(&p, 1, 2000);
    fact("%s: ready %x %s", what, p.revents & ~POLLOUT, got(master, size));
}

/* TIOCPKT: what the master reads begins with what it is. */
static void packets(void)
{
    int on = 1, is = -1;
    struct termios m;
    open_pair();
    const char *e = err(ioctl(master, TIOCGPKT, &is));
    fact("packet mode: %s %d", e, is);
    fact("turned on: %s", err(ioctl(master, TIOCPKT, &on)));
    ioctl(master, TIOCGPKT, &is);
    fact("it is: %d", is);
    fact("on the slave: %s", err(ioctl(slave, TIOCPKT, &on)));
    set_flags(ECHO, 0);
    write(slave, "abc", 3);
    packet("data", 4);
    tcflush(slave, TCIFLUSH);
    packet("flush of input", 1);
    tcflush(slave, TCOFLUSH);
    packet("flush of output", 1);
    tcflow(slave, TCOOFF);
    packet("stopped", 1);
    tcflow(slave, TCOON);
    packet("started", 1);
    tcgetattr(slave, &m);
    m.c_iflag ^= IXON;
    tcsetattr(slave, TCSANOW, &m);
    packet("flow keys changed", 1);
    m.c_iflag ^= IXON;
    tcsetattr(slave, TCSANOW, &m);
    packet("and back", 1);
    on = 0;
    ioctl(master, TIOCPKT, &on);
    write(slave, "abc", 3);
    fact("turned off: %s", got(master, 3));
    close_pair();
}

static void sessions(void)
{
    struct winsize w = {7, 8, 0, 0};
    int m, s;
    fact("plain");
    session(body_plain, NULL, NULL);
    fact("^C");
    session(body_wait, "\x03", NULL);
    fact("^\\ with a handler");
    session(body_handler, "\x1c", NULL);
    fact("^Z");
    session(body_wait, "\x1a", "^Z");
    fact("background");
    session(body_background, NULL, NULL);
    fact("a job");
    session(body_job,
            "\x1a"
            "A\n",
            NULL);
    fact("hangup");
    pid_t pid = forkpty(&m, NULL, NULL, NULL);
    if (!pid)
        _exit(body_hangup());
    fact("  %s", got(m, 2));
    close(m);
    waitpid(pid, &s, 0);
    fact("  %s", status(s));
    fact("window");
    pid = forkpty(&m, NULL, NULL, NULL);
    if (!pid)
        _exit(body_handler());
    fact("  %s", got(m, 2));
    ioctl(m, TIOCSWINSZ, &w);
    waitpid(pid, &s, 0);
    fact("  %s %s", got(m, 4), status(s));
    close(m);
    fact("the leader ends");
    unlink("/tmp/ptys.hup.done");
    session(body_leaves, NULL, NULL);
    char text[64] = "";
    for (int i = 0; i < 500 && access("/tmp/ptys.hup.done", R_OK); i++)
        poll(NULL, 0, 10);
    int fd = open("/tmp/ptys.hup.done", O_RDONLY);
    ssize_t n = read(fd, text, sizeof(text));
    fact("  %s", shown(text, n));
    close(fd);
    /* without a terminal */
    pid = fork();
    if (!pid) {
        signal(SIGHUP, SIG_IGN);
        setsid();
        fact("no terminal: %s", err(open("/dev/tty", O_RDWR)));
        open_pair();
        fact("taken %s again %s", err(ioctl(slave, TIOCSCTTY, 0)), err(ioctl(slave, TIOCSCTTY, 0)));
        fact("dev tty %s pgrp %d", err(open("/dev/tty", O_RDWR)), tcgetpgrp(slave) == getpid());
        fact("given up %s", err(ioctl(slave, TIOCNOTTY)));
        fact("dev tty %s", err(open("/dev/tty", O_RDWR)));
        int other = open(ptsname(master), O_RDWR);
        fact("by opening %s pgrp %d", err(other), tcgetpgrp(slave) == getpid());
        fact("a group that is not there %s", err(tcsetpgrp(slave, 99999)));
        _exit(0);
    }
    waitpid(pid, &s, 0);
    fact("  %s", status(s));
}

int main(void)
{
    signal(SIGHUP, SIG_IGN);
    names();
    modes();
    lines();
    raw_reads();
    ends();
    packets();
    signal(SIGHUP, SIG_DFL);
    sessions();
    return 0;
}
