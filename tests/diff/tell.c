// SPDX-License-Identifier: Apache-2.0
// What is told of events: inotify, in its order; messages of both kinds; timers and signals.
#include "facts.h"

#include <arpa/inet.h>
#include <mqueue.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

static char buf[16384];

static void events(int fd, const char *when)
{
    long n = read(fd, buf, sizeof(buf));
    int i = 0;
    unsigned first_cookie = 0;
    for (char *p = buf; n > 0 && p < buf + n; i++) {
        struct inotify_event *e = (void *)p;
        if (e->cookie && !first_cookie)
            first_cookie = e->cookie;
        char text[128];
        snprintf(text, sizeof(text), "wd %d mask %x cookie %d name '%s' size %u", e->wd, e->mask,
                 e->cookie ? (int)(e->cookie - first_cookie) + 1 : 0, e->len ? e->name : "",
                 e->len);
        say_text("inotify_init1", text, "%s: event %d", when, i);
        p += sizeof(*e) + e->len;
    }
    say("inotify_init1", i, "%s: events", when);
}

static void watch(unsigned mask, const char *name)
{
    int in = inotify_init1(IN_NONBLOCK), fd;
    char when[64];
#define STEP(what)                                                                                 \
    snprintf(when, sizeof(when), "%s, %s", name, what);                                            \
    events(in, when)
    mkdir("w", 0755);
    mkdir("w2", 0755);
    put_file("w/a", "abc", 0644);
    say("inotify_add_watch", sys(inotify_add_watch, in, "w", mask), "%s: folder", name);
    say("inotify_add_watch", sys(inotify_add_watch, in, "w/a", mask), "%s: file", name);
    fd = open("w/a", O_RDWR);
    STEP("open");
    read(fd, buf, 1);
    STEP("read");
    write(fd, "x", 1);
    write(fd, "y", 1);
    STEP("write twice");
    ftruncate(fd, 1);
    STEP("ftruncate");
    fchmod(fd, 0600);
    STEP("fchmod");
    close(fd);
    STEP("close");
    close(open("w/new", O_CREAT | O_WRONLY, 0600));
    STEP("create");
    mkdir("w/dir", 0755);
    STEP("mkdir");
    symlink("a", "w/link");
    link("w/a", "w/hard");
    STEP("links");
    rename("w/new", "w/newer");
    STEP("rename");
    rename("w/newer", "w2/out");
    STEP("rename out");
    rename("w2/out", "w/in");
    STEP("rename in");
    rename("w/in", "w/hard");
    STEP("rename over");
    unlink("w/link");
    rmdir("w/dir");
    STEP("remove");
    chmod("w", 0700);
    utimensat(AT_FDCWD, "w/a", NULL, 0);
    STEP("attributes");
    truncate("w/a", 0);
    STEP("truncate");
    close(open("w/a", O_WRONLY | O_TRUNC));
    STEP("O_TRUNC");
    rename("w/a", "w/b");
    STEP("the file itself moved");
    unlink("w/hard");
    unlink("w/b");
    STEP("the file itself removed");
    rename("w", "w3");
    STEP("the folder itself moved");
    rmdir("w3");
    STEP("the folder itself removed");
    rmdir("w2");
    close(in);
}

static void inotify(void)
{
    watch(IN_ALL_EVENTS, "all");
    watch(IN_CREATE | IN_DELETE | IN_MOVE, "names");
    watch(IN_CLOSE | IN_OPEN | IN_ONESHOT, "once");
    watch(IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB, "self");
    int in = inotify_init1(IN_NONBLOCK);
    mkdir("w", 0755);
    put_file("f", "x", 0644);
    symlink("w", "l");
    for (int bit = -1; bit < 32; bit++)
        say("inotify_add_watch",
            sys(inotify_add_watch, in, "w", bit < 0 ? 0 : 1u << bit) > 0
                ? 1
                : sys(inotify_add_watch, in, "w", bit < 0 ? 0 : 1u << bit),
            "mask bit %d", bit);
    say("inotify_add_watch", sys(inotify_add_watch, in, "f", IN_ONLYDIR | IN_OPEN),
        "ONLYDIR of a file");
    say("inotify_add_watch", sys(inotify_add_watch, in, "w", IN_MASK_CREATE | IN_OPEN),
        "MASK_CREATE of one that is there");
    say("inotify_add_watch",
        sys(inotify_add_watch, in, "w", IN_MASK_CREATE | IN_MASK_ADD | IN_OPEN),
        "MASK_CREATE and MASK_ADD");
    say("inotify_add_watch", sys(inotify_add_watch, in, "l", IN_DONT_FOLLOW | IN_OPEN) > 0,
        "DONT_FOLLOW");
    say("inotify_rm_watch", sys(inotify_rm_watch, in, 99), "99");
    say("inotify_rm_watch", sys(inotify_rm_watch, in, 1), "1");
    say("read", sys(read, in, buf, 3), "a buffer too small");
    events(in, "removed");
    say("read", sys(read, in, buf, 3), "nothing there");
    close(in);
}

static void system_v(void)
{
    struct {
        long type;
        char text[9000];
    } m;
    for (int flags = 0; flags < 0x1000; flags += 0x200) {
        int id = (int)sys(msgget, 4711, flags | 0600);
        say("msgget", id < 0 ? id : 0, "flags %o", flags);
        id = (int)sys(msgget, 4711, 0);
        if (id >= 0)
            say("msgctl", sys(msgctl, id, IPC_RMID, 0), "remove");
    }
    int id = (int)sys(msgget, IPC_PRIVATE, 0600);
    for (long type = -1; type < 3; type++) {
        m.type = type;
        say("msgsnd", sys(msgsnd, id, &m, 4, IPC_NOWAIT), "type %ld", type);
    }
    for (long size = 8190; size < 8195; size++)
        say("msgsnd", sys(msgsnd, id, &m, size, IPC_NOWAIT), "size %ld", size);
    while (sys(msgrcv, id, &m, 9000, 0, IPC_NOWAIT | MSG_NOERROR) >= 0)
        ;
    unsigned seed = 7;
    for (int step = 0; step < 300; step++) {
        seed = seed * 1103515245 + 12345;
        unsigned x = seed >> 8;
        m.type = x % 5 + 1;
        if (x & 64) {
            say("msgsnd", sys(msgsnd, id, &m, (x >> 7) % 20, IPC_NOWAIT), "step %d", step);
        } else {
            long want = (long)((x >> 8) % 9) - 4;
            int flags = IPC_NOWAIT | (x & 1024 ? MSG_EXCEPT : 0) | (x & 2048 ? MSG_NOERROR : 0);
            m.type = 0;
            say("msgrcv", sys(msgrcv, id, &m, (x >> 12) % 20, want, flags), "step %d, type %ld",
                step, want);
            say("msgrcv", m.type, "step %d: the type", step);
        }
    }
    struct msqid_ds d;
    say("msgctl", sys(msgctl, id, IPC_STAT, &d), "IPC_STAT");
    say("msgctl", (long)d.msg_qnum, "messages");
    say("msgctl", (long)d.__msg_cbytes, "bytes");
    say("msgctl", (long)d.msg_qbytes, "at most");
    say("msgctl", d.msg_perm.mode, "mode");
    d.msg_qbytes = 100000;
    say("msgctl", sys(msgctl, id, IPC_SET, &d), "IPC_SET more than one may");
    d.msg_qbytes = 100;
    say("msgctl", sys(msgctl, id, IPC_SET, &d), "IPC_SET");
    for (int command = -1; command < 20; command++)
        if (command != 0 && command != 1 && command != 11 && command != 12 && command != 13 &&
            command != 3)
            say("msgctl", sys(msgctl, id, command, &d), "command %d", command);
    say("msgctl", sys(msgctl, id, IPC_RMID, 0), "IPC_RMID");
    say("msgsnd", sys(msgsnd, id, &m, 1, IPC_NOWAIT), "gone");
    say("msgrcv", sys(msgrcv, id, &m, 1, 0, IPC_NOWAIT), "gone");
}

static long use_ipc(int kind, int id, int want)
{
    static char m[16] = {1};
    struct sembuf op = {0, want == 4 ? 0 : 1, IPC_NOWAIT};
    return kind == 0   ? want == 4 ? sys(msgrcv, id, m, 1, 0, IPC_NOWAIT)
                                   : sys(msgsnd, id, m, 1, IPC_NOWAIT)
             : kind == 1 ? sys(semop, id, &op, 1)
           : sys(shmat, id, 0, want == 4 ? SHM_RDONLY : 0) < 0 ? -EACCES
                                                               : 0;
}

/* What each of a queue, a set and a segment lets root (without CAP_IPC_OWNER), its owner, his group
 * and others do, by its mode, after it was given to a user. */
static void owners(void)
{
    static const char *const names[] = {"queue", "set", "segment"};
    for (int kind = 0; kind < 3; kind++) {
        for (int mode = 0; mode < 01000; mode += 0111) {
            union {
                struct msqid_ds q;
                struct semid_ds s;
                struct shmid_ds m;
            } d;
            long control = kind == 0 ? SYS_msgctl : kind == 1 ? SYS_semctl : SYS_shmctl;
            long id = kind == 0   ? sys(msgget, IPC_PRIVATE, 0600)
                      : kind == 1 ? sys(semget, IPC_PRIVATE, 1, 0600)
                                  : sys(shmget, IPC_PRIVATE, 4096, 0600);
            memset(&d, 0, sizeof(d));
            SIX(control, id, kind == 1 ? 0 : IPC_STAT, kind == 1 ? IPC_STAT : (long)&d, &d, 0, 0);
            struct ipc_perm *p = kind == 0   ? &d.q.msg_perm
                                 : kind == 1 ? &d.s.sem_perm
                                             : &d.m.shm_perm;
            p->uid = 1000;
            p->gid = 1000;
            p->mode = (unsigned short)mode;
            say("ipc",
                SIX(control, id, kind == 1 ? 0 : IPC_SET, kind == 1 ? IPC_SET : (long)&d, &d, 0, 0),
                "%s, mode %o: given away", names[kind], mode);
            for (int who = 0; who < 3; who++) { /* its maker, its owner, somebody */
                uid_t uid = who * 1000;
                sys(setresuid, -1, uid, 0);
                for (int want = 2; want <= 4; want += 2)
                    say("ipc", use_ipc(kind, (int)id, want), "%s, mode %o: user %d, %d",
                        names[kind], mode, uid, want);
                say("ipc",
                    SIX(control, id, kind == 1 ? 0 : IPC_STAT, kind == 1 ? IPC_STAT : (long)&d, &d,
                        0, 0),
                    "%s, mode %o: user %d, IPC_STAT", names[kind], mode, uid);
                sys(setresuid, -1, 0, 0);
            }
            sys(setresuid, -1, 2000, 0);
            say("ipc",
                SIX(control, id, kind == 1 ? 0 : IPC_RMID, kind == 1 ? IPC_RMID : 0, 0, 0, 0),
                "%s, mode %o: user 2000, IPC_RMID", names[kind], mode);
            sys(setresuid, -1, 1000, 0);
            say("ipc",
                SIX(control, id, kind == 1 ? 0 : IPC_RMID, kind == 1 ? IPC_RMID : 0, 0, 0, 0),
                "%s, mode %o: user 1000, IPC_RMID", names[kind], mode);
            sys(setresuid, -1, 0, 0);
            say("ipc",
                SIX(control, id, kind == 1 ? 0 : IPC_RMID, kind == 1 ? IPC_RMID : 0, 0, 0, 0),
                "%s, mode %o: root, IPC_RMID", names[kind], mode);
        }
    }
}

static void posix_queues(void)
{
    struct mq_attr a = {.mq_maxmsg = 3, .mq_msgsize = 20};
    unsigned priority;
    for (long max = -1; max < 14; max += 2)
        for (long size = 0; size < 10000; size += 4097) {
            struct mq_attr b = {.mq_maxmsg = max, .mq_msgsize = size};
            long r = sys(mq_open, "try", O_CREAT | O_RDWR, 0600, &b);
            say("mq_open", fd_only(r), "%ld messages of %ld", max, size);
            sys(mq_unlink, "try");
        }
    say("mq_open", sys(mq_open, "none", O_RDWR, 0, 0), "not there");
    say("mq_open", sys(mq_open, "a/b", O_RDWR | O_CREAT, 0600, 0), "a slash");
    say("mq_open", sys(mq_open, "", O_RDWR | O_CREAT, 0600, 0), "no name");
    int q = (int)sys(mq_open, "q", O_CREAT | O_RDWR | O_NONBLOCK, 0600, &a);
    say("mq_open", fd_only(sys(mq_open, "q", O_CREAT | O_EXCL | O_RDWR, 0600, &a)), "O_EXCL");
    int r = (int)sys(mq_open, "q", O_RDONLY | O_NONBLOCK, 0, 0);
    say("mq_timedsend", sys(mq_timedsend, r, "x", 1, 0, 0), "of a descriptor to read");
    say("mq_timedsend", sys(mq_timedsend, q, "x", 1, 32768, 0), "priority 32768");
    say("mq_timedsend", sys(mq_timedsend, q, buf, 21, 0, 0), "too long");
    unsigned seed = 3;
    for (int step = 0; step < 200; step++) {
        seed = seed * 1103515245 + 12345;
        unsigned x = seed >> 8;
        if (x & 8) {
            snprintf(buf, 20, "m%d", step);
            say("mq_timedsend", sys(mq_timedsend, q, buf, strlen(buf), x % 4, 0), "step %d", step);
        } else {
            priority = 99;
            long n = sys(mq_timedreceive, q, buf, 20, &priority, 0);
            say("mq_timedreceive", n, "step %d", step);
            buf[n > 0 ? n : 0] = 0;
            say_text("mq_timedreceive", buf, "step %d: text", step);
            say("mq_timedreceive", priority, "step %d: priority", step);
        }
    }
    say("mq_timedreceive", sys(mq_timedreceive, q, buf, 19, 0, 0), "a buffer too small");
    struct timespec bad = {0, -1};
    say("mq_timedreceive", sys(mq_timedreceive, q, buf, 20, 0, &bad), "a time that is none");
    say("mq_getsetattr", sys(mq_getsetattr, q, 0, &a), "");
    say("mq_getsetattr", a.mq_flags, "flags");
    say("mq_getsetattr", a.mq_curmsgs, "messages");
    a.mq_flags = 1;
    say("mq_getsetattr", sys(mq_getsetattr, q, &a, 0), "unknown flags");
    say("mq_getsetattr", sys(mq_getsetattr, 0, &a, 0), "of what is none");
    while (sys(mq_timedreceive, q, buf, 20, 0, 0) >= 0)
        ;
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    signal(SIGUSR1, SIG_IGN);
    say("mq_notify", sys(mq_notify, q, &e), "");
    say("mq_notify", sys(mq_notify, q, &e), "again");
    say("mq_timedsend", sys(mq_timedsend, q, "x", 1, 0, 0), "that is told");
    say("mq_notify", sys(mq_notify, q, &e), "again, after it was told");
    say("mq_notify", sys(mq_notify, q, 0), "no more");
    e.sigev_signo = 99;
    say("mq_notify", sys(mq_notify, q, &e), "signal 99");
    say("mq_unlink", sys(mq_unlink, "q"), "");
    say("mq_unlink", sys(mq_unlink, "q"), "again");
}

static volatile int got[65];
static volatile int code, number;
static void handler(int sig, siginfo_t *info, void *context)
{
    got[sig]++;
    code = info->si_code;
    number = info->si_value.sival_int;
}

/* Until the signal has come, or so much time of the processor was spent that it should have. */
static void spin_until(int signo, int ms)
{
    struct timespec a, b;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    do {
        for (volatile int i = 0; i < 1000000; i++) /* the program's own time, not the kernel's */
            ;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
    } while (!got[signo] &&
             (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 < ms);
}

static void timers(void)
{
    struct sigaction act = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    for (int s = 1; s < 65; s++)
        if (s != 32 && s != 33 && s != SIGALRM)
            sigaction(s, &act, NULL);
    static const int signals[] = {SIGALRM, SIGVTALRM, SIGPROF};
    sigaction(SIGALRM, &act, NULL);
    for (int which = 0; which < 3; which++) {
        struct itimerval v = {{0, 0}, {0, 30000}}, left;
        got[signals[which]] = 0;
        say("setitimer", sys(setitimer, which, &v, NULL), "%d", which);
        usleep(60000);
        sys(getitimer, which, &left);
        say("setitimer", got[signals[which]], "%d: fired asleep", which);
        say("getitimer", left.it_value.tv_usec > 0, "%d: time is left asleep", which);
        spin_until(signals[which], 2000);
        say("setitimer", got[signals[which]], "%d: fired busy", which);
        v = (struct itimerval){{0}};
        sys(setitimer, which, &v, NULL);
    }
    for (int clock = 0; clock < 4; clock++) {
        struct sigevent e = {
            .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3, .sigev_value.sival_int = 77};
        struct itimerspec v = {{0, 0}, {0, 20000000}};
        int id;
        got[SIGRTMIN + 3] = code = number = 0;
        say("timer_create", sys(timer_create, clock, &e, &id), "clock %d", clock);
        say("timer_settime", sys(timer_settime, id, 0, &v, NULL), "clock %d", clock);
        spin_until(SIGRTMIN + 3, 2000);
        usleep(1000);
        say("timer_settime", got[SIGRTMIN + 3], "clock %d: fired", clock);
        say("timer_settime", code, "clock %d: si_code", clock);
        say("timer_settime", number, "clock %d: value", clock);
        say("timer_gettime", sys(timer_gettime, id, &v), "clock %d", clock);
        say("timer_gettime", v.it_value.tv_nsec, "clock %d: left", clock);
        sys(timer_delete, id);
    }
    alarm(120);
}

static void signals(void)
{
    sigset_t all, none, pending;
    sigfillset(&all);
    sigemptyset(&none);
    sigprocmask(SIG_BLOCK, &all, NULL);
    for (int s = 1; s < 65; s++) {
        if (s == 32 || s == 33 || s == SIGKILL || s == SIGSTOP)
            continue;
        for (int i = 0; i < 3; i++) {
            siginfo_t info = {.si_code = SI_QUEUE, .si_signo = s};
            info.si_value.sival_int = i;
            say("rt_sigqueueinfo", sys(rt_sigqueueinfo, getpid(), s, &info), "signal %d, %d", s, i);
        }
        sigpending(&pending);
        say("rt_sigpending", sigismember(&pending, s), "signal %d", s);
        sigset_t one;
        sigemptyset(&one);
        sigaddset(&one, s);
        struct timespec now = {0, 0};
        for (int i = 0; i < 4; i++) {
            siginfo_t info = {0};
            say("rt_sigtimedwait", sys(rt_sigtimedwait, &one, &info, &now, 8), "signal %d, %d", s,
                i);
            say("rt_sigtimedwait", info.si_code, "signal %d, %d: code", s, i);
            say("rt_sigtimedwait", info.si_value.sival_int, "signal %d, %d: value", s, i);
        }
    }
    int n = 0;
    siginfo_t info = {.si_code = SI_QUEUE, .si_signo = 40};
    while (n < 2000 && sys(rt_sigqueueinfo, getpid(), 40, &info) == 0)
        n++;
    say("rt_sigqueueinfo", n > 200 && n <= 256, "as many are queued as RLIMIT_SIGPENDING allows");
    say("rt_sigqueueinfo", sys(rt_sigqueueinfo, getpid(), 40, &info), "one more");
    say("kill", sys(kill, getpid(), SIGUSR2), "one that does not queue");
    for (int code_ = -8; code_ < 3; code_++) {
        info.si_code = code_;
        say("rt_sigqueueinfo", sys(rt_sigqueueinfo, getpid(), 0, &info), "code %d", code_);
        say("rt_tgsigqueueinfo", sys(rt_tgsigqueueinfo, getpid(), gettid(), 0, &info), "code %d",
            code_);
    }
    static char stack[65536];
    for (long size = 0; size < 20000; size += 1024)
        for (int flags = 0; flags < 4; flags++) {
            stack_t s = {stack, flags, (size_t)size};
            if (size >= 2048 && size < 8192 && !(flags & 2))
                continue; /* as large as the processor's state needs */
            say("sigaltstack", sys(sigaltstack, &s, NULL), "size %ld flags %d", size, flags);
        }
}

/* Signals of O_ASYNC: each one's code, band and descriptor. */
static void take_signals(const char *what)
{
    struct timespec none = {0, 0};
    siginfo_t info;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGIO);
    sigaddset(&set, SIGRTMIN);
    for (int n = 0;; n++) {
        memset(&info, 0, sizeof(info));
        int r = sigtimedwait(&set, &info, &none);
        if (r < 0) {
            say("fcntl", n, "O_ASYNC: %s: signals", what);
            return;
        }
        say("fcntl", info.si_code, "O_ASYNC: %s: code of signal %d", what, n);
        if (r != SIGIO)
            say("fcntl", info.si_band << 8 | (info.si_fd >= 0), "O_ASYNC: %s: band of signal %d",
                what, n);
    }
}

static void async_pair(const char *name, int p[2], int signo)
{
    char b[100], what[64];
    struct f_owner_ex owner = {F_OWNER_TID, (int)syscall(SYS_gettid)};
#define STEP(text)                                                                                 \
    (snprintf(what, sizeof(what), "%s %d: %s", name, signo != 0, text), take_signals(what))
    say("fcntl", signo ? fcntl(p[0], F_SETOWN_EX, &owner) : fcntl(p[0], F_SETOWN, getpid()),
        "%s: owner", name);
    say("fcntl", fcntl(p[0], F_SETSIG, signo), "%s: signal", name);
    say("fcntl", fcntl(p[0], F_SETFL, O_ASYNC | O_NONBLOCK), "%s: flags", name);
    say("fcntl", fcntl(p[0], F_GETFL) & (O_ASYNC | O_NONBLOCK), "%s: flags read", name);
    STEP("at first");
    write(p[1], "x", 1);
    STEP("written");
    write(p[1], "yz", 2);
    STEP("written again");
    read(p[0], b, sizeof(b));
    STEP("read");
    fcntl(p[0], F_SETFL, 0);
    write(p[1], "x", 1);
    STEP("switched off");
    fcntl(p[0], F_SETFL, O_ASYNC);
    STEP("switched on");
    fcntl(p[0], F_SETOWN, 0);
    write(p[1], "x", 1);
    STEP("no owner");
    close(p[0]);
    close(p[1]);
}

static void async(void)
{
    struct sockaddr_in a = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof(a);
    sigset_t set;
    int p[2];
    sigemptyset(&set);
    sigaddset(&set, SIGIO);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (int signo = 0; signo <= SIGRTMIN; signo += SIGRTMIN) {
        pipe(p);
        async_pair("pipe", p, signo);
        socketpair(AF_UNIX, SOCK_STREAM, 0, p);
        async_pair("stream", p, signo);
        socketpair(AF_UNIX, SOCK_DGRAM, 0, p);
        async_pair("datagrams", p, signo);
    }
    int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
    bind(l, (void *)&a, n);
    listen(l, 3);
    getsockname(l, (void *)&a, &n);
    fcntl(l, F_SETOWN, getpid());
    fcntl(l, F_SETFL, O_ASYNC);
    connect(c, (void *)&a, n);
    take_signals("a connection");
    close(c);
    close(l);
}

/* Two processes that would wait for each other's ranges. */
static void deadlock(void)
{
    struct flock first = {.l_type = F_WRLCK, .l_start = 0, .l_len = 1},
                 second = {.l_type = F_WRLCK, .l_start = 1, .l_len = 1};
    int fd = open("ranges", O_CREAT | O_RDWR, 0600), p[2], q[2];
    char c;
    pipe(p);
    pipe(q);
    say("fcntl", fcntl(fd, F_SETLK, &first), "deadlock: mine");
    pid_t pid = fork();
    if (!pid) {
        fcntl(fd, F_SETLK, &second);
        write(p[1], "x", 1);
        _exit(fcntl(fd, F_SETLKW, &first) ? 1 : 0);
    }
    read(p[0], &c, 1);
    struct flock probe;
    long r;
    do { /* until the child waits, in which case it would be for ever */
        probe = second;
        r = fcntl(fd, F_SETLKW, &probe) ? -errno : 0;
    } while (r == -EINTR);
    say("fcntl", r == -EDEADLK || r == 0, "deadlock: is seen by one of two");
    int seen = r == -EDEADLK, status = 0;
    if (seen) {
        first.l_type = F_UNLCK;
        fcntl(fd, F_SETLK, &first);
    }
    waitpid(pid, &status, 0);
    say("fcntl", seen + (status != 0), "deadlock: by just one");
    close(fd);
}

/* What /proc/self/fdinfo knows of a kind of file, without what no two systems have alike. */
static void known_of(const char *kind, int fd)
{
    static const char *const other[] = {
        "pos: ", "flags:", "mnt_id:", "ino: ", "eventfd-id", "Pid:", "NSpid:"};
    char line[512], path[64], what[64];
    sprintf(path, "/proc/self/fdinfo/%d", fd);
    FILE *f = fopen(path, "r");
    for (int n = 0; f && fgets(line, sizeof(line), f);) {
        bool told = false;
        for (char *p; (p = strchr(line, '\t'));)
            *p = ' ';
        for (int i = 0; i < COUNT(other); i++)
            told |= !strncmp(line, other[i], strlen(other[i]));
        for (char *p;
             !told && (p = strstr(line, "ino:")) || (!told && (p = strstr(line, "sdev:")));)
            memmove(p, p + strcspn(p, " \n"), strlen(p + strcspn(p, " \n")) + 1);
        line[strcspn(line, "\n")] = 0;
        if (strstr(line, "inotify"))
            strstr(line, "ignored_mask")[0] = 0;
        if (!told)
            say_text("open", line, "fdinfo of %s: %.16s", kind, line);
        else if (strstr(line, "Pid") || strstr(line, "NSpid"))
            say("open", atoi(strchr(line, ' ')), "fdinfo of %s: %.3s", kind, line);
    }
    if (f)
        fclose(f);
}

static void flags_known(void)
{
    static const int flags[] = {O_RDONLY,           O_RDONLY | O_CLOEXEC, O_RDWR | O_APPEND,
                                O_WRONLY | O_CLOEXEC, O_PATH | O_CLOEXEC,   O_RDWR | O_NONBLOCK};
    for (int i = 0; i < 2 * COUNT(flags); i++) {
        char path[64], text[256] = "", *at;
        int p[2], fd = open("flagged", O_CREAT | flags[i / 2], 0600);
        if (i & 1 && !(flags[i / 2] & O_PATH) && !pipe2(p, flags[i / 2] & (O_CLOEXEC | O_NONBLOCK)))
            close(fd), fd = p[1];
        sprintf(path, "/proc/self/fdinfo/%d", fd);
        int f = open(path, O_RDONLY);
        (void)!read(f, text, sizeof(text) - 1);
        at = strstr(text, "flags:\t");
        say("open", at ? strtol(at + 7, NULL, 8) : -1, "fdinfo: flags %x%s", flags[i / 2],
            i & 1 ? " of a pipe" : "");
        fcntl(fd, F_SETFD, 0);
        lseek(f, 0, SEEK_SET);
        (void)!read(f, text, sizeof(text) - 1);
        say("open", at ? strtol(at + 7, NULL, 8) : -1, "fdinfo: flags %x%s, without FD_CLOEXEC",
            flags[i / 2], i & 1 ? " of a pipe" : "");
        close(f), close(fd);
    }
}

static void known(void)
{
    struct epoll_event v = {EPOLLIN | EPOLLET, {.u64 = 7}};
    struct itimerspec at = {{0, 0}, {0, 0}};
    uint64_t set = 0xff;
    int in = inotify_init1(IN_NONBLOCK), ep = epoll_create1(0), ev = eventfd(3, EFD_SEMAPHORE);
    mkdir("known", 0700);
    inotify_add_watch(in, "known", IN_CREATE | IN_ONESHOT);
    inotify_add_watch(in, ".", IN_ALL_EVENTS);
    epoll_ctl(ep, EPOLL_CTL_ADD, dup2(ev, 99), &v);
    epoll_ctl(ep, EPOLL_CTL_ADD, dup2(in, 98), &v);
    known_of("inotify", in);
    known_of("epoll", ep);
    since(6, 10);
    known_of("eventfd", ev);
    since(0, 0);
    known_of("timerfd", timerfd_create(CLOCK_MONOTONIC, 0));
    known_of("signalfd", (int)sys(signalfd4, -1, &set, 8, 0));
    pid_t pid = fork();
    if (!pid)
        _exit(pause());
    int fd = (int)sys(pidfd_open, pid, 0);
    char path[64], text[512] = "";
    sprintf(path, "/proc/self/fdinfo/%d", fd);
    FILE *f = fopen(path, "r");
    while (fgets(text, sizeof(text), f) && strncmp(text, "Pid:", 4))
        ;
    say("pidfd_open", atoi(text + 4) == pid, "fdinfo: Pid");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    known_of("pidfd of one that is gone", fd);
}

int main(void)
{
    facts_begin();
    known();
    flags_known();
    inotify();
    system_v();
    owners();
    posix_queues();
    timers();
    async();
    deadlock();
    signals(); /* last: it fills the queue */
    facts_end();
    return 0;
}
