// SPDX-License-Identifier: Apache-2.0
// Who may do what to whom: ids of files, priorities, comparing and looking into other processes, what a process may
// stop sharing.
#include "facts.h"

#include <linux/kcmp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/personality.h>
#include <sys/wait.h>

static pid_t parent, nobody_there = 999999;
static const char *as; /* whose facts these are */

static void files_of(uint32_t uid)
{
    say("setfsuid", sys(setfsuid, -1), "%s: asked", as);
    say("setfsuid", sys(setfsuid, uid), "%s: set to %u", as, uid);
    say("setfsuid", sys(setfsuid, -1), "%s: then asked", as);
    say("setfsgid", sys(setfsgid, uid), "%s: set to %u", as, uid);
    say("setfsgid", sys(setfsgid, -1), "%s: then asked", as);
    say("open", fd_only(sys(open, "secret", O_RDONLY)), "%s: root's file as %u", as, uid);
    say("open", fd_only(sys(open, "made", O_CREAT | O_EXCL | O_WRONLY, 0600)), "%s: a new file as %u", as, uid);
    struct stat st = {0};
    say("stat", stat("made", &st) ? -errno : (long)st.st_uid, "%s: owner of what was made as %u", as, uid);
    say("stat", (long)st.st_gid, "%s: group of what was made as %u", as, uid);
    say("chown", sys(chown, "secret", 0, 0), "%s: chown as %u", as, uid);
    unlink("made");
    say("setfsuid", sys(setfsuid, 0), "%s: back to 0", as);
    say("open", fd_only(sys(open, "secret", O_RDONLY)), "%s: root's file afterwards", as);
    say("setresuid", sys(setresuid, -1, -1, -1), "%s: nothing", as);
    say("setfsuid", sys(setfsuid, -1), "%s: after setresuid", as);
    sys(setfsgid, getegid());
    sys(setfsuid, geteuid());
}

static void priorities(void)
{
    const pid_t whos[] = {0, getpid(), parent, nobody_there, 1000, -1};
    const char *const names[] = {"0", "self", "parent", "nobody", "1000", "-1"};
    static const int nices[] = {0, 5, -5, 3, 100};
    for (int which = -1; which <= 3; which++)
        for (long i = 0; i < COUNT(whos); i++) {
            if ((which == 1 && whos[i] == parent) || (which == 2 && !i))
                continue; /* there are other processes around here and there */
            for (long n = 0; n < COUNT(nices); n++)
                say("setpriority", sys(setpriority, which, whos[i], nices[n]), "%s: %d %s to %d", as, which, names[i], nices[n]);
            say("getpriority", sys(getpriority, which, whos[i]), "%s: %d %s", as, which, names[i]);
        }
    sys(setpriority, 0, 0, 0);
}

static void input_priorities(void)
{
    static const int values[] = {0, 1, 1 << 13, 1 << 13 | 7, 2 << 13, 2 << 13 | 3, 2 << 13 | 7, 3 << 13, 4 << 13, -1, 1 << 20};
    const pid_t whos[] = {0, getpid(), parent, nobody_there};
    for (int which = 0; which <= 4; which++)
        for (long w = 0; w < COUNT(whos); w++) {
            if (which == 3 || (which == 2 && w))
                continue; /* there are other processes around here and there */
            for (long v = 0; v < COUNT(values); v++)
                say("ioprio_set", sys(ioprio_set, which, whos[w], values[v]), "%s: %d %ld to %x", as, which, w, values[v]);
            if (which == 1 && w < 2)
                say("ioprio_get", sys(ioprio_get, which, whos[w]), "%s: %d %ld", as, which, w);
            else
                say("ioprio_get", sys(ioprio_get, which, whos[w]) < 0, "%s: %d %ld fails", as, which, w);
        }
}

static void scheduling(void)
{
    uint64_t mask = 1;
    int zero = 0;
    uint64_t attr[6] = {48};
    const pid_t whos[] = {0, parent, nobody_there, -1};
    for (long w = 0; w < COUNT(whos); w++) {
        say("sched_setaffinity", sys(sched_setaffinity, whos[w], 8, &mask), "%s: %ld", as, w);
        say("sched_setparam", sys(sched_setparam, whos[w], &zero), "%s: %ld", as, w);
        say("sched_setscheduler", sys(sched_setscheduler, whos[w], 3, &zero), "%s: %ld batch", as, w);
        say("sched_setscheduler", sys(sched_setscheduler, whos[w], 0, &zero), "%s: %ld other", as, w);
        say("sched_setattr", sys(sched_setattr, whos[w], attr, 0), "%s: %ld", as, w);
    }
}

static void others(void)
{
    uint64_t head, size;
    long fd = sys(pidfd_open, parent, 0);
    since(5, 6);
    say("pidfd_getfd", fd_only(sys(pidfd_getfd, fd, 0, 0)), "%s: of the parent", as);
    say("pidfd_getfd", fd_only(sys(pidfd_getfd, fd, 999, 0)), "%s: none of the parent", as);
    say("pidfd_getfd", fd_only(sys(pidfd_getfd, fd, 0, 1)), "%s: flags", as);
    since(0, 0);
    close((int)fd);
    const pid_t whos[] = {0, getpid(), parent, nobody_there};
    for (long w = 0; w < COUNT(whos); w++)
        say("get_robust_list", sys(get_robust_list, whos[w], &head, &size), "%s: %ld", as, w);
    for (int type = -1; type <= 8; type++) {
        if (type == KCMP_EPOLL_TFD)
            continue;
        say("kcmp", sys(kcmp, getpid(), getpid(), type, 0, 0), "%s: self with itself, %d", as, type);
        say("kcmp", sys(kcmp, getpid(), nobody_there, type, 0, 0), "%s: nobody, %d", as, type);
        long r = sys(kcmp, getpid(), parent, type, 1, 1);
        say("kcmp", r > 0 ? 1 : r, "%s: with the parent, %d", as, type);
    }
    int a = dup(1), b = open("/dev/null", O_RDONLY);
    say("kcmp", sys(kcmp, getpid(), getpid(), KCMP_FILE, 1, a), "%s: a dup", as);
    say("kcmp", sys(kcmp, getpid(), getpid(), KCMP_FILE, 1, b) > 0, "%s: another file", as);
    say("kcmp", sys(kcmp, getpid(), getpid(), KCMP_FILE, 1, 777), "%s: no file", as);
    say("kcmp", sys(kcmp, getpid(), getpid(), KCMP_FILE, -1, 1), "%s: no number", as);
    close(a);
    close(b);
}

static int nothing(void *arg)
{
    return 0;
}

static void stop_sharing(void)
{
    static char stack[65536];
    for (int bit = 0; bit < 32; bit++) {
        if (bit == 28)
            continue; /* user namespaces: some systems let everybody */
        pid_t pid = fork();
        if (!pid) {
            say("unshare", sys(unshare, 1ul << bit), "%s: bit %d", as, bit);
            _exit(0);
        }
        waitpid(pid, NULL, 0);
    }
    say("unshare", sys(unshare, 0), "%s: nothing", as);
    say("unshare", sys(unshare, -1), "%s: all", as);
    say("unshare", sys(unshare, CLONE_FS | CLONE_FILES | CLONE_SYSVSEM), "%s: files and folder", as);
    int r = clone(nothing, stack + sizeof(stack), CLONE_FS | CLONE_NEWNS | SIGCHLD, NULL);
    say("clone", r < 0 ? -errno : 0, "%s: a folder shared over namespaces", as);
}

static void personalities(void)
{
    static const uint32_t values[] = {0xffffffff, 0x0040000, 0x0020000, 0x0100000, 0x0200000, 0x0400000, 0x0800000, 0x4000000, 0x8000000, 8, 0};
    for (long i = 0; i < COUNT(values); i++)
        say("personality", sys(personality, values[i]), "%s: %x", as, values[i]);
}

static volatile int other_thread, told;

static void *wait_told(void *arg)
{
    other_thread = (int)syscall(SYS_gettid);
    while (!told)
        sched_yield();
    return NULL;
}

/* A thread's number means its process. */
static void thread_numbers(void)
{
    siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE, .si_pid = getpid()};
    struct timespec now = {0, 0};
    sigset_t set;
    pthread_t t;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    pthread_create(&t, NULL, wait_told, NULL);
    while (!other_thread)
        sched_yield();
    say("rt_sigqueueinfo", sys(rt_sigqueueinfo, other_thread, SIGUSR1, &info), "%s: to another thread", as);
    say("rt_sigtimedwait", sys(rt_sigtimedwait, &set, NULL, &now, 8), "%s: it came", as);
    say("kill", sys(kill, other_thread, 0), "%s: to another thread", as);
    say("unshare", sys(unshare, CLONE_SIGHAND), "%s: signals of two threads", as);
    told = 1;
    pthread_join(t, NULL);
}

static void all(uint32_t uid)
{
    files_of(uid);
    priorities();
    input_priorities();
    scheduling();
    others();
    stop_sharing();
    personalities();
    thread_numbers();
}

static void in_child(const char *name, uint32_t real, uint32_t effective)
{
    parent = getpid();
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        as = name;
        if (setresgid(real, effective, effective) || setresuid(real, effective, effective))
            _exit(1);
        all(effective == 1000 ? 0 : 1000);
        fflush(stdout);
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    say("wait4", status, "%s: it ended", name);
}

int main(void)
{
    facts_begin();
    put_file("secret", "x", 0600);
    in_child("root", 0, 0);
    in_child("user", 1000, 1000);
    in_child("setuid", 1000, 0);
    return 0;
}
