// SPDX-License-Identifier: Apache-2.0
// Processor time: whose it is, and timers that count it. What is printed is only which of two is
// larger, and whether a signal came at all.
#include "facts.h"

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <time.h>

#define MS 1000000l
#define BUSY (150 * MS)

static volatile sig_atomic_t alarms, virtuals, profs, others;

static void on_signal(int s)
{
    if (s == SIGALRM)
        alarms++;
    else if (s == SIGVTALRM)
        virtuals++;
    else if (s == SIGPROF)
        profs++;
    else
        others++;
}

static long now(clockid_t clock)
{
    struct timespec t = {0};
    if (sys(clock_gettime, clock, &t) < 0)
        return -1;
    return t.tv_sec * 1000000000l + t.tv_nsec;
}

/* So much processor time of this thread. */
static void work(long ns)
{
    for (long end = now(CLOCK_THREAD_CPUTIME_ID) + ns; now(CLOCK_THREAD_CPUTIME_ID) < end;)
        for (volatile int i = 0; i < 20000; i++)
            continue;
}

static int set(int which, long first, long interval)
{
    struct itimerval v = {{0, interval / 1000}, {0, first / 1000}};
    return (int)sys(setitimer, which, &v, NULL);
}

static pid_t busy_child(int ends[2])
{
    (void)!pipe(ends);
    pid_t pid = fork();
    if (!pid) {
        char c;
        work(BUSY);
        (void)!write(ends[1], "x", 1);
        close(ends[1]);
        pause();
        _exit((int)(read(ends[0], &c, 1)));
    }
    return pid;
}

static void await(int fd)
{
    char c;
    while (read(fd, &c, 1) < 0)
        continue;
}

static long child_clock(pid_t pid)
{
    return (long)(~(unsigned)pid << 3 | 2);
}

static void intervals(void)
{
    static const char *names[] = {"REAL", "VIRTUAL", "PROF"};
    int ends[2];
    struct itimerval left;
    for (int which = 1; which < 3; which++) {
        virtuals = profs = 0;
        say("setitimer", set(which, 40 * MS, 0), "%s: in 40 ms", names[which]);
        pid_t pid = busy_child(ends);
        await(ends[0]);
        say("setitimer", virtuals + profs, "%s: a child was busy: signals", names[which]);
        sys(getitimer, which, &left);
        say("getitimer", left.it_value.tv_usec > 20000, "%s: a child was busy: most is left",
            names[which]);
        work(BUSY);
        say("setitimer", virtuals, "%s: was busy: SIGVTALRM", names[which]);
        say("setitimer", profs, "%s: was busy: SIGPROF", names[which]);
        sys(getitimer, which, &left);
        say("getitimer", left.it_value.tv_usec, "%s: nothing is left", names[which]);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        close(ends[0]), close(ends[1]);
        virtuals = profs = 0;
        say("setitimer", set(which, 20 * MS, 20 * MS), "%s: each 20 ms", names[which]);
        fflush(stdout);
        pid = fork();
        if (!pid) {
            virtuals = profs = 0;
            sys(getitimer, which, &left);
            say("getitimer", left.it_value.tv_usec, "%s: a child has none", names[which]);
            work(BUSY);
            say("setitimer", virtuals + profs, "%s: a child gets none", names[which]);
            say("setitimer", set(which, 20 * MS, 0), "%s: a child's own", names[which]);
            work(BUSY);
            say("setitimer", virtuals + profs, "%s: a child gets its own", names[which]);
            _exit(0);
        }
        waitpid(pid, NULL, 0);
        for (int i = 0; i < 20 && virtuals + profs <= 3; i++)
            work(BUSY);
        say("setitimer", virtuals + profs > 3, "%s: it repeats", names[which]);
        set(which, 0, 0);
        usleep(30000);
        virtuals = profs = 0;
        work(BUSY);
        say("setitimer", virtuals + profs, "%s: disarmed", names[which]);
    }
}

static void *busy_thread(void *p)
{
    work(BUSY);
    return p;
}

static void posix_timers(void)
{
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    int ends[2], id, mine, thread, none;
    struct itimerspec v = {.it_value = {0, 40 * MS}};
    pid_t pid = busy_child(ends);
    say("timer_create", sys(timer_create, child_clock(pid), &e, &id), "of a child");
    say("timer_create", sys(timer_create, CLOCK_PROCESS_CPUTIME_ID, &e, &mine), "of the process");
    say("timer_create", sys(timer_create, CLOCK_THREAD_CPUTIME_ID, &e, &thread), "of the thread");
    say("timer_create", sys(timer_create, child_clock(1 << 20), &e, &none), "of nobody");
    say("timer_settime", sys(timer_settime, mine, 0, &v, NULL), "of the process");
    await(ends[0]);
    say("timer_settime", others, "of the process: a child was busy");
    say("clock_gettime", now(child_clock(pid)) > BUSY, "a busy child's");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    say("clock_gettime", sys(clock_gettime, child_clock(pid), &v), "a child's that is gone");
    work(BUSY);
    say("timer_settime", others, "of the process: was busy");
    others = 0;
    v.it_value.tv_nsec = 100 * MS;
    say("timer_settime", sys(timer_settime, thread, 0, &v, NULL), "of the thread");
    pthread_t t;
    pthread_create(&t, NULL, busy_thread, NULL);
    pthread_join(t, NULL);
    say("timer_settime", others, "of the thread: another was busy");
    work(BUSY);
    say("timer_settime", others, "of the thread: it was busy");
    say("timer_delete", sys(timer_delete, mine), "");
    say("timer_delete", sys(timer_delete, mine), "twice");
    close(ends[0]), close(ends[1]);
}

static long usec(const struct rusage *u)
{
    return 1000000l * (u->ru_utime.tv_sec + u->ru_stime.tv_sec) + u->ru_utime.tv_usec +
           u->ru_stime.tv_usec;
}

static void counts(void)
{
    struct rusage u;
    struct tms t;
    int ends[2];
    long process = now(CLOCK_PROCESS_CPUTIME_ID), thread = now(CLOCK_THREAD_CPUTIME_ID);
    pthread_t other;
    pthread_create(&other, NULL, busy_thread, NULL);
    pthread_join(other, NULL);
    say("clock_gettime", now(CLOCK_PROCESS_CPUTIME_ID) - process >= BUSY,
        "process: a thread was busy");
    say("clock_gettime", now(CLOCK_THREAD_CPUTIME_ID) - thread < BUSY / 2,
        "thread: another was busy");
    process = now(CLOCK_PROCESS_CPUTIME_ID);
    pid_t pid = busy_child(ends);
    await(ends[0]);
    say("clock_gettime", now(CLOCK_PROCESS_CPUTIME_ID) - process < BUSY / 2,
        "process: a child was busy");
    char path[64], text[1024] = "", *at;
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY);
    (void)!read(fd, text, sizeof(text) - 1);
    close(fd);
    long user = 0, system = 0;
    if ((at = strrchr(text, ')')))
        sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user, &system);
    say("read", user + system > 5, "stat of a busy child: ticks");
    sys(getrusage, RUSAGE_CHILDREN, &u);
    long before = usec(&u);
    kill(pid, SIGKILL);
    memset(&u, 0, sizeof(u));
    sys(wait4, pid, NULL, 0, &u);
    say("wait4", usec(&u) > 100000, "usage of a busy child");
    sys(getrusage, RUSAGE_CHILDREN, &u);
    long after = usec(&u);
    say("getrusage", after - before > 100000, "children, after the wait");
    sys(times, &t);
    say("times", t.tms_cutime + t.tms_cstime > 10, "children, after the wait");
    close(ends[0]), close(ends[1]);
}

/* RLIMIT_CPU: signals each second, then the end. */
static void limits(void)
{
    struct rlimit l = {1, 2}, none = {RLIM_INFINITY, RLIM_INFINITY}, was;
    int status, ends[2];
    fflush(stdout);
    (void)!pipe(ends);
    pid_t pid = fork();
    if (!pid) {
        struct sigaction a = {.sa_handler = on_signal};
        sigaction(SIGXCPU, &a, NULL);
        sys(setrlimit, RLIMIT_CPU, &l);
        if (fork() == 0) { /* a child has the limit, and time of its own */
            while (!others)
                work(20 * MS);
            (void)!write(ends[1], "c", 1);
            _exit(0);
        }
        wait(NULL);
        while (!others)
            work(20 * MS);
        (void)!write(ends[1], "x", 1);
        for (;;)
            work(20 * MS);
    }
    waitpid(pid, &status, 0);
    char got[8] = "";
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    say("read", read(ends[0], got, 8), "RLIMIT_CPU: SIGXCPU of the child and of the parent");
    say_text("read", got, "RLIMIT_CPU: who");
    say("wait4", WIFSIGNALED(status) ? WTERMSIG(status) : -1, "RLIMIT_CPU: the hard limit");
    close(ends[0]), close(ends[1]);
    pid = busy_child(ends);
    await(ends[0]);
    say("prlimit64", sys(prlimit64, pid, RLIMIT_CPU, NULL, &was), "of a child: get");
    say("prlimit64", was.rlim_cur == RLIM_INFINITY, "of a child: none");
    l = (struct rlimit){50, 60};
    say("prlimit64", sys(prlimit64, pid, RLIMIT_CPU, &l, &was), "of a child: set");
    sys(prlimit64, pid, RLIMIT_CPU, NULL, &was);
    say("prlimit64", (long)was.rlim_max, "of a child: it is set");
    say("prlimit64", sys(prlimit64, 1 << 21, RLIMIT_CPU, NULL, &was), "of nobody");
    fflush(stdout);
    pid_t user = fork();
    if (!user) {
        setresuid(1000, 1000, 1000);
        say("prlimit64", sys(prlimit64, pid, RLIMIT_CPU, NULL, &was), "of root, by a user: get");
        say("prlimit64", sys(prlimit64, pid, RLIMIT_CPU, &none, NULL), "of root, by a user: set");
        _exit(0);
    }
    waitpid(user, NULL, 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(ends[0]), close(ends[1]);
}

int main(void)
{
    facts_begin();
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGVTALRM, &a, NULL);
    sigaction(SIGPROF, &a, NULL);
    sigaction(SIGUSR1, &a, NULL);
    intervals();
    posix_timers();
    counts();
    limits();
    facts_end();
    return 0;
}
