// SPDX-License-Identifier: Apache-2.0
// Calls that wait, and a signal whose handler returns: which begin again with SA_RESTART, which are
// EINTR all the same, and what each says when it is done at last.
#include "facts.h"

#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

/* What a case waits on: made before, used by its call, and by who ends the wait. */
static int fd, other, id, word;
static pid_t child;
static char bytes[65536];

static void a_pipe(void)
{
    int p[2];
    pipe(p);
    fd = p[0], other = p[1];
}

static void a_full_pipe(void)
{
    a_pipe();
    write(other, bytes, sizeof(bytes));
}

static void a_pair(int type)
{
    int s[2];
    socketpair(AF_UNIX, type, 0, s);
    fd = s[0], other = s[1];
}

static void a_stream(void)
{
    a_pair(SOCK_STREAM);
}

static void a_timed_stream(void)
{
    struct timeval t = {9, 0};
    a_stream();
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
}

static void a_full_stream(void)
{
    a_stream();
    while (send(fd, bytes, 4096, MSG_DONTWAIT) > 0)
        ;
}

static void a_listener(void)
{
    struct sockaddr_un a = {AF_UNIX, "\0restart"};
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    bind(fd, (void *)&a, 11);
    listen(fd, 0);
    other = socket(AF_UNIX, SOCK_STREAM, 0);
}

static void connect_other(void)
{
    struct sockaddr_un a = {AF_UNIX, "\0restart"};
    connect(other, (void *)&a, 11);
}

static void a_full_listener(void)
{
    a_listener();
    connect_other();
}

static void an_event(void)
{
    fd = other = eventfd(0, 0);
}

static void a_full_event(void)
{
    fd = other = eventfd(0, 0);
    write(fd, &(uint64_t){UINT64_MAX - 1}, 8);
}

static void a_timer(void)
{
    fd = timerfd_create(CLOCK_MONOTONIC, 0);
}

static void a_watch(void)
{
    fd = inotify_init();
    inotify_add_watch(fd, ".", IN_CREATE);
}

static void a_signal(void)
{
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGUSR1);
    sigprocmask(SIG_BLOCK, &s, NULL);
    fd = signalfd(-1, &s, 0);
}

static void an_epoll(void)
{
    struct epoll_event v = {.events = EPOLLIN};
    a_pipe();
    id = epoll_create1(0);
    epoll_ctl(id, EPOLL_CTL_ADD, fd, &v);
}

static void a_child(void)
{
    child = fork();
    if (!child)
        _exit(pause());
}

static void a_lock_of(int kind)
{
    int p[2];
    char c;
    pipe(p);
    child = fork();
    fd = open("locked", O_CREAT | O_RDWR, 0600);
    if (child) {
        read(p[0], &c, 1);
        return;
    }
    if (kind)
        flock(fd, LOCK_EX);
    else
        fcntl(fd, F_SETLK, &(struct flock){.l_type = F_WRLCK});
    write(p[1], "x", 1);
    _exit(pause());
}

static void a_lock(void)
{
    a_lock_of(0);
}

static void a_flock(void)
{
    a_lock_of(1);
}

static void a_fifo(void)
{
    unlink("fifo");
    mkfifo("fifo", 0600);
}

static void a_queue(void)
{
    id = msgget(IPC_PRIVATE, 0600);
}

static void a_full_queue(void)
{
    struct {
        long type;
        char text[4096];
    } m = {1};
    a_queue();
    while (!msgsnd(id, &m, sizeof(m.text), IPC_NOWAIT))
        ;
}

static void a_semaphore(void)
{
    id = semget(IPC_PRIVATE, 1, 0600);
}

static void a_posix_queue(void)
{
    struct mq_attr a = {.mq_maxmsg = 1, .mq_msgsize = 8};
    mq_unlink("/restart");
    fd = mq_open("/restart", O_CREAT | O_RDWR, 0600, &a);
}

static void a_full_posix_queue(void)
{
    a_posix_queue();
    mq_send(fd, "x", 1, 0);
}

static void nothing(void)
{
}

/* ---- ends of waits: run in the handler ---- */

static void write_other(void)
{
    write(other, &(uint64_t){1}, 8);
}

static void read_fd(void)
{
    read(fd, bytes, sizeof(bytes));
}

static void read_other(void)
{
    for (int i = 0; i < 100; i++)
        recv(other, bytes, sizeof(bytes), MSG_DONTWAIT);
}

static void accept_one(void)
{
    close(accept(fd, NULL, NULL));
}

static void set_timer(void)
{
    struct itimerspec t = {{0, 0}, {0, 1}};
    timerfd_settime(fd, 0, &t, NULL);
}

static void make_name(void)
{
    close(open("made", O_CREAT | O_RDWR, 0600));
    unlink("made");
}

static void raise_usr1(void)
{
    kill(getpid(), SIGUSR1);
}

static void end_child(void)
{
    kill(child, SIGKILL);
}

static void open_reader(void)
{
    open("fifo", O_RDONLY | O_NONBLOCK);
}

static void open_writer(void)
{
    open("fifo", O_RDWR | O_NONBLOCK);
}

static void wake_word(void)
{
    word = 1;
    sys(futex, &word, FUTEX_WAKE, 1);
}

static void send_message(void)
{
    msgsnd(id, &(struct {
               long t;
               char c;
           }){1, 'x'},
           1, IPC_NOWAIT);
}

static void take_messages(void)
{
    struct {
        long type;
        char text[4096];
    } m;
    msgrcv(id, &m, sizeof(m.text), 0, IPC_NOWAIT);
}

static void post(void)
{
    semop(id, &(struct sembuf){0, 1, 0}, 1);
}

static void post_message(void)
{
    mq_timedsend(fd, "x", 1, 0, &(struct timespec){0, 0});
}

static void take_message(void)
{
    char m[8];
    mq_timedreceive(fd, m, 8, NULL, &(struct timespec){0, 0});
}

/* ---- the calls ---- */

static struct timespec soon = {0, 400000000}, late = {9, 0};
#define CALL(name, ...)                                                                            \
    static long c_##name(void)                                                                     \
    {                                                                                              \
        __VA_ARGS__;                                                                               \
    }
#define VEC struct iovec v = {bytes, 8}
#define MSG                                                                                        \
    VEC;                                                                                           \
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1}
CALL(read, return sys(read, fd, bytes, 8))
CALL(read_all, long r = sys(read, fd, bytes, sizeof(bytes)); return r > 0 ? 1 : r)
CALL(read_signal, return sys(read, fd, bytes, sizeof(struct signalfd_siginfo)))
CALL(readv, VEC; return sys(readv, fd, &v, 1))
CALL(write, return sys(write, other, bytes, 8))
CALL(writev, VEC; return sys(writev, other, &v, 1))
CALL(write_big, return sys(write, other, bytes, sizeof(bytes)))
CALL(write_event, return sys(write, fd, &(uint64_t){1}, 8))
CALL(recv, return sys(recvfrom, fd, bytes, 8, 0, 0, 0))
CALL(recvmsg, MSG; return sys(recvmsg, fd, &m, 0))
CALL(recvmmsg, VEC; struct mmsghdr m = {{.msg_iov = &v, .msg_iovlen = 1}};
     return sys(recvmmsg, fd, &m, 1, 0, 0))
CALL(recvmmsg_timed, VEC; struct mmsghdr m = {{.msg_iov = &v, .msg_iovlen = 1}};
     return sys(recvmmsg, fd, &m, 1, 0, &late))
CALL(waitall, return sys(recvfrom, fd, bytes, 16, MSG_WAITALL, 0, 0))
CALL(send, return sys(sendto, fd, bytes, 8, 0, 0, 0))
CALL(sendmsg, MSG; return sys(sendmsg, fd, &m, 0))
CALL(accept, return fd_only(sys(accept4, fd, 0, 0, 0)))
CALL(connect, struct sockaddr_un a = {AF_UNIX, "\0restart"};
     return sys(connect, socket(AF_UNIX, SOCK_STREAM, 0), &a, 11))
CALL(poll, struct pollfd p = {fd, POLLIN}; return sys(poll, &p, 1, -1))
CALL(poll_timed, struct pollfd p = {fd, POLLIN}; return sys(poll, &p, 1, 9000))
CALL(ppoll, struct pollfd p = {fd, POLLIN}; return sys(ppoll, &p, 1, 0, 0, 8))
CALL(select, fd_set s; FD_ZERO(&s); FD_SET(fd, &s); return sys(select, fd + 1, &s, 0, 0, 0))
CALL(pselect, fd_set s; FD_ZERO(&s); FD_SET(fd, &s); return sys(pselect6, fd + 1, &s, 0, 0, 0, 0))
CALL(epoll_wait, struct epoll_event e; return sys(epoll_wait, id, &e, 1, -1))
CALL(epoll_pwait, struct epoll_event e; return sys(epoll_pwait, id, &e, 1, 9000, 0, 8))
CALL(epoll_pwait2, struct epoll_event e; return sys(epoll_pwait2, id, &e, 1, &late, 0, 8))
CALL(nanosleep, return sys(nanosleep, &soon, 0))
CALL(clock_nanosleep, return sys(clock_nanosleep, CLOCK_MONOTONIC, 0, &soon, 0))
CALL(until, struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); t.tv_sec++;
     return sys(clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &t, 0))
CALL(pause, return sys(pause, 0))
CALL(sigsuspend, uint64_t none = 0; return sys(rt_sigsuspend, &none, 8))
CALL(sigtimedwait, uint64_t one = 1 << (SIGUSR1 - 1); return sys(rt_sigtimedwait, &one, 0, 0, 8))
CALL(wait4, long r = sys(wait4, child, 0, 0, 0); return r > 0 ? 1 : r)
CALL(waitid, siginfo_t i; return sys(waitid, P_PID, child, &i, WEXITED, 0))
CALL(futex, return sys(futex, &word, FUTEX_WAIT, 0, 0))
CALL(futex_timed, return sys(futex, &word, FUTEX_WAIT, 0, &late))
CALL(futex_until, struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); t.tv_sec += 9;
     return sys(futex, &word, FUTEX_WAIT_BITSET, 0, &t, 0, -1))
CALL(setlkw, struct flock l = {.l_type = F_WRLCK}; return sys(fcntl, fd, F_SETLKW, &l))
CALL(ofd_setlkw, struct flock l = {.l_type = F_WRLCK}; return sys(fcntl, fd, F_OFD_SETLKW, &l))
CALL(flock, return sys(flock, fd, LOCK_EX))
CALL(open_read, return fd_only(sys(open, "fifo", O_RDONLY)))
CALL(open_write, return fd_only(sys(open, "fifo", O_WRONLY)))
CALL(
    msgrcv,
    struct {
        long t;
        char c[8];
    } m;
    return sys(msgrcv, id, &m, 8, 0, 0))
CALL(
    msgsnd,
    struct {
        long t;
        char c[8];
    } m = {1};
    return sys(msgsnd, id, &m, 8, 0))
CALL(semop, return sys(semop, id, &((struct sembuf){0, -1, 0}), 1))
CALL(semtimedop, return sys(semtimedop, id, &((struct sembuf){0, -1, 0}), 1, &late))
CALL(mq_receive, return sys(mq_timedreceive, fd, bytes, 8, 0, 0))
CALL(mq_send, return sys(mq_timedsend, fd, "y", 1, 0, 0))
CALL(splice, int p[2]; pipe(p); return sys(splice, fd, 0, p[1], 0, 8, 0))
CALL(tee, int p[2]; pipe(p); return sys(tee, fd, p[1], 8, 0))

static const struct {
    const char *call, *what;
    void (*before)(void), (*end)(void);
    long (*ask)(void);
} cases[] = {
    {"read", "pipe", a_pipe, write_other, c_read},
    {"readv", "pipe", a_pipe, write_other, c_readv},
    {"write", "full pipe", a_full_pipe, read_fd, c_write},
    {"writev", "full pipe", a_full_pipe, read_fd, c_writev},
    {"write", "more than fits", a_pipe, read_fd, c_write_big},
    {"read", "stream", a_stream, write_other, c_read},
    {"read", "stream with a time limit", a_timed_stream, write_other, c_read},
    {"read", "eventfd", an_event, write_other, c_read},
    {"write", "full eventfd", a_full_event, read_fd, c_write_event},
    {"read", "timerfd", a_timer, set_timer, c_read},
    {"read", "signalfd", a_signal, raise_usr1, c_read_signal},
    {"recvfrom", "stream", a_stream, write_other, c_recv},
    {"recvfrom", "stream with a time limit", a_timed_stream, write_other, c_recv},
    {"recvfrom", "all of 16", a_stream, write_other, c_waitall},
    {"recvmsg", "stream", a_stream, write_other, c_recvmsg},
    {"recvmmsg", "stream", a_stream, write_other, c_recvmmsg},
    {"recvmmsg", "stream, a timeout", a_stream, write_other, c_recvmmsg_timed},
    {"sendto", "full stream", a_full_stream, read_other, c_send},
    {"sendmsg", "full stream", a_full_stream, read_other, c_sendmsg},
    {"accept4", "", a_listener, connect_other, c_accept},
    {"connect", "full listener", a_full_listener, accept_one, c_connect},
    {"poll", "", a_pipe, write_other, c_poll},
    {"poll", "9 s", a_pipe, write_other, c_poll_timed},
    {"ppoll", "", a_pipe, write_other, c_ppoll},
    {"select", "", a_pipe, write_other, c_select},
    {"pselect6", "", a_pipe, write_other, c_pselect},
    {"epoll_wait", "", an_epoll, write_other, c_epoll_wait},
    {"epoll_pwait", "9 s", an_epoll, write_other, c_epoll_pwait},
    {"epoll_pwait2", "9 s", an_epoll, write_other, c_epoll_pwait2},
    {"nanosleep", "", nothing, nothing, c_nanosleep},
    {"clock_nanosleep", "", nothing, nothing, c_clock_nanosleep},
    {"clock_nanosleep", "until", nothing, nothing, c_until},
    {"pause", "", nothing, nothing, c_pause},
    {"rt_sigsuspend", "", nothing, nothing, c_sigsuspend},
    {"rt_sigtimedwait", "", a_signal, raise_usr1, c_sigtimedwait},
    {"wait4", "", a_child, end_child, c_wait4},
    {"waitid", "", a_child, end_child, c_waitid},
    {"futex", "FUTEX_WAIT", nothing, wake_word, c_futex},
    {"futex", "FUTEX_WAIT, 9 s", nothing, wake_word, c_futex_timed},
    {"futex", "FUTEX_WAIT_BITSET, until", nothing, wake_word, c_futex_until},
    {"fcntl", "F_SETLKW", a_lock, end_child, c_setlkw},
    {"fcntl", "F_OFD_SETLKW", a_lock, end_child, c_ofd_setlkw},
    {"flock", "", a_flock, end_child, c_flock},
    {"open", "fifo to read", a_fifo, open_writer, c_open_read},
    {"open", "fifo to write", a_fifo, open_reader, c_open_write},
    {"msgrcv", "", a_queue, send_message, c_msgrcv},
    {"msgsnd", "", a_full_queue, take_messages, c_msgsnd},
    {"semop", "", a_semaphore, post, c_semop},
    {"semtimedop", "9 s", a_semaphore, post, c_semtimedop},
    {"mq_timedreceive", "", a_posix_queue, post_message, c_mq_receive},
    {"mq_timedsend", "", a_full_posix_queue, take_message, c_mq_send},
    {"splice", "from a pipe", a_pipe, write_other, c_splice},
    {"tee", "from a pipe", a_pipe, write_other, c_tee},
    {"read", "inotify", a_watch, make_name, c_read_all},
};

static long current_case;
static volatile int alarms;
static long *result;

static void handler(int signo)
{
    int kept = errno;
    if (++alarms >= 3)
        cases[current_case].end();
    if (alarms > 60) { /* nothing ends it */
        *result = 9999;
        _exit(0);
    }
    errno = kept;
}

static void ask(long n, int flags)
{
    struct sigaction a = {.sa_handler = handler, .sa_flags = flags};
    struct itimerval every = {{0, 40000}, {0, 40000}};
    current_case = n;
    cases[n].before();
    sigaction(SIGALRM, &a, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
    *result = cases[n].ask();
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    if (child)
        kill(child, SIGKILL);
    _exit(0);
}

int main(void)
{
    facts_begin();
    result = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (long n = 0; n < COUNT(cases); n++) {
        for (int restart = 0; restart < 2; restart++) {
            *result = 8888;
            pid_t pid = fork();
            if (!pid)
                ask(n, restart ? SA_RESTART : 0);
            waitpid(pid, NULL, 0);
            while (waitpid(-1, NULL, WNOHANG) > 0)
                ;
            say(cases[n].call, *result, "%s%s%s", cases[n].what, *cases[n].what ? ", " : "",
                restart ? "a handler with SA_RESTART" : "a handler");
        }
    }
    facts_end();
    return 0;
}
