// SPDX-License-Identifier: Apache-2.0
// Facts about processes and shared memory, a line each; natively and in the enclave they are the
// same. No pids, times or addresses are printed, and each child is waited for before the next line.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fact.h"

#include "status.h"

extern char **environ;
static const char *own; /* this program */

static const char *wait_for(pid_t pid)
{
    int s = 0;
    pid_t r;
    while ((r = waitpid(pid, &s, 0)) < 0 && errno == EINTR)
        ;
    return r == pid ? status(s) : "no child";
}

/* Runs `f` in a child; its result is the exit status. */
#define CHILD(...)                                                                                 \
    ({                                                                                             \
        fflush(stdout);                                                                            \
        pid_t child_ = fork();                                                                     \
        if (!child_) {                                                                             \
            __VA_ARGS__;                                                                           \
            _exit(0);                                                                              \
        }                                                                                          \
        child_;                                                                                    \
    })

static int global = 1;

static void memory_of_forks(void)
{
    char *heap = malloc(200000), *map = mmap(NULL, 8192, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *shared = mmap(NULL, 8192, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    volatile int local = 1;
    strcpy(heap, "parent");
    strcpy(map, "parent");
    strcpy(shared, "parent");
    pid_t c = CHILD({
        printf("child sees %d %d %s %s %s\n", global, local, heap, map, shared);
        global = local = 2;
        strcpy(heap, "child");
        strcpy(map, "child");
        strcpy(shared, "child");
        strcpy(map + 4096, "only child");
        printf("child wrote %d %d %s %s %s\n", global, local, heap, map, shared);
        fflush(stdout);
    });
    fact("ended: %s", wait_for(c));
    fact("parent sees %d %d %s %s %s '%s'", global, local, heap, map, shared, map + 4096);
    for (int i = 0; i < 20; i++) { /* each has its own copy of what was there */
        snprintf(map, 100, "round %d", i);
        c = CHILD({
            char was[100];
            strcpy(was, map);
            memset(map, i, 8192);
            strcat(shared, "+");
            _exit(!strncmp(was, "round ", 6) && atoi(was + 6) == i ? 7 : 8);
        });
        const char *s = wait_for(c);
        fact("round %d: %s, %s", i, s, map);
    }
    fact("shared after rounds: %s", shared);
    munmap(shared, 8192);
    munmap(map, 8192);
    free(heap);
}

static void exits_and_signals(void)
{
    static const int codes[] = {0, 1, 2, 42, 126, 127, 128, 200, 255, 256, 257, -1};
    for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        fact("exit(%d): %s", codes[i], wait_for(CHILD(_exit(codes[i]))));
    for (int s = 1; s < 32; s++) {
        if (s == SIGSTOP || s == SIGTSTP || s == SIGTTIN || s == SIGTTOU)
            continue;
        pid_t c = CHILD({
            struct rlimit none = {0, 0};
            setrlimit(RLIMIT_CORE, &none);
            signal(s, SIG_DFL);
            kill(getpid(), s);
            _exit(3);
        });
        const char *how = wait_for(c);
        fact("default of %s: %s", sigabbrev_np(s), how);
    }
    int s;
    fact("no child: %s %s", err(waitpid(-1, &s, 0)), err(waitpid(1234567, &s, WNOHANG)));
    pid_t c = CHILD(pause());
    fact("still there: %d", (int)waitpid(c, &s, WNOHANG));
    kill(c, SIGKILL);
    fact("killed: %s", wait_for(c));
    fact("gone: %s %s", err(kill(c, 0)), err(waitpid(c, &s, 0)));
}

static void stops(void)
{
    int s;
    pid_t c = CHILD(for (;;) pause());
    kill(c, SIGSTOP);
    waitpid(c, &s, WUNTRACED);
    fact("stop: %s", status(s));
    fact("told once: %d", (int)waitpid(c, &s, WUNTRACED | WNOHANG));
    kill(c, SIGTERM); /* waits until it goes on */
    fact("TERM while stopped: %d", (int)waitpid(c, &s, WNOHANG));
    kill(c, SIGCONT);
    fact("then: %s", wait_for(c));
    c = CHILD(for (;;) pause());
    kill(c, SIGSTOP);
    waitpid(c, &s, WUNTRACED);
    kill(c, SIGCONT);
    waitpid(c, &s, WCONTINUED);
    fact("cont: %s", status(s));
    siginfo_t i = {0};
    kill(c, SIGKILL);
    waitid(P_PID, (id_t)c, &i, WEXITED | WNOWAIT);
    fact("waitid: %d %d %d same %d", i.si_signo, i.si_code, i.si_status, i.si_pid == c);
    fact("and again: %s", wait_for(c));
    c = CHILD(_exit(9));
    memset(&i, 0, sizeof(i));
    fact("waitid all: %s", err(waitid(P_ALL, 0, &i, WEXITED)));
    fact("waitid: %d %d same %d", i.si_code, i.si_status, i.si_pid == c);
    fact("waitid without what: %s", err(waitid(P_ALL, 0, &i, 0)));
}

static volatile sig_atomic_t children;
static void on_child(int s)
{
    children++;
}

static void child_signals(void)
{
    struct sigaction a = {.sa_handler = on_child};
    sigaction(SIGCHLD, &a, NULL);
    pid_t c = CHILD(_exit(1));
    while (!children)
        usleep(1000);
    fact("SIGCHLD: %d, %s", (int)children, wait_for(c));
    signal(SIGCHLD, SIG_IGN);
    c = CHILD(_exit(1));
    int s;
    fact("ignored: %s", err(waitpid(c, &s, 0)));
    a = (struct sigaction){.sa_handler = on_child, .sa_flags = SA_NOCLDWAIT};
    sigaction(SIGCHLD, &a, NULL);
    c = CHILD(_exit(1));
    pid_t r;
    while ((r = waitpid(c, &s, 0)) < 0 && errno == EINTR)
        ;
    fact("no zombies: %s", err(r));
    signal(SIGCHLD, SIG_DFL);
}

static void inheritance(void)
{
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &old);
    raise(SIGUSR1);
    int fd = open("/tmp/inherit", O_RDWR | O_CREAT | O_TRUNC, 0600), x = dup(fd);
    fcntl(x, F_SETFD, FD_CLOEXEC);
    umask(027);
    chdir("/tmp");
    struct rlimit l = {100, 200};
    setrlimit(RLIMIT_NOFILE, &l);
    struct itimerval t = {{100, 0}, {100, 0}};
    setitimer(ITIMER_REAL, &t, NULL);
    write(fd, "parent", 6);
    pid_t c = CHILD({
        sigset_t mask, pending;
        sigprocmask(0, NULL, &mask);
        sigpending(&pending);
        char cwd[100];
        struct rlimit now;
        struct itimerval left;
        getrlimit(RLIMIT_NOFILE, &now);
        getitimer(ITIMER_REAL, &left);
        printf("child: mask %d pending %d cwd %s umask %o nofile %d %d timer %d offset %d cloexec "
               "%d\n",
               sigismember(&mask, SIGUSR1), sigismember(&pending, SIGUSR1), getcwd(cwd, 100),
               umask(0), (int)now.rlim_cur, (int)now.rlim_max, left.it_value.tv_sec > 0,
               (int)lseek(fd, 0, SEEK_CUR), fcntl(x, F_GETFD));
        write(fd, "child", 5);
        close(fd);
        chdir("/");
        umask(077);
        fflush(stdout);
    });
    wait_for(c);
    char cwd[100];
    fact("parent: offset %d cwd %s umask %o open %s", (int)lseek(fd, 0, SEEK_CUR), getcwd(cwd, 100),
         umask(022), err(fcntl(fd, F_GETFD)));
    struct sigaction quiet = {.sa_handler = SIG_IGN};
    sigaction(SIGUSR1, &quiet, NULL);
    memset(&t, 0, sizeof(t));
    setitimer(ITIMER_REAL, &t, NULL);
    sigprocmask(SIG_SETMASK, &old, NULL);
    signal(SIGUSR1, SIG_DFL);
    l.rlim_cur = l.rlim_max;
    setrlimit(RLIMIT_NOFILE, &l);
    close(fd);
    close(x);
}

/* What a program sees that was executed by exec_facts. */
static int executed(int argc, char **argv)
{
    sigset_t mask;
    struct sigaction a, b;
    sigprocmask(0, NULL, &mask);
    sigaction(SIGUSR1, NULL, &a);
    sigaction(SIGUSR2, NULL, &b);
    printf("exec: args %d '%s' env %s handler %s ignored %s mask %d fd %d cloexec %d\n", argc,
           argv[2], getenv("FACT") ? getenv("FACT") : "-",
           a.sa_handler == SIG_DFL ? "gone" : "kept", b.sa_handler == SIG_IGN ? "kept" : "gone",
           sigismember(&mask, SIGALRM), fcntl(20, F_GETFD) >= 0, fcntl(21, F_GETFD) >= 0);
    return 33;
}

static void write_file(const char *path, const char *text, int mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    write(fd, text, strlen(text));
    fchmod(fd, (mode_t)mode);
    close(fd);
}

static void exec_facts(void)
{
    pid_t c = CHILD({
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGALRM);
        sigprocmask(SIG_BLOCK, &set, NULL);
        signal(SIGUSR1, on_child);
        signal(SIGUSR2, SIG_IGN);
        dup2(1, 20);
        dup2(1, 21);
        fcntl(21, F_SETFD, FD_CLOEXEC);
        char *const env[] = {"FACT=told", NULL};
        execle(own, own, "executed", "an argument", (char *)NULL, env);
    });
    fact("ended: %s", wait_for(c));
    write_file("/tmp/empty", "", 0700);
    write_file("/tmp/garbage", "\1\2\3\4not a program", 0700);
    write_file("/tmp/cut", "\177ELF\2\1\1", 0700);
    write_file("/tmp/nox", "#!/bin/sh\n", 0600);
    write_file("/tmp/nointerp", "#!/nonexistent/interpreter\n", 0700);
    static const char *const bad[] = {"/nonexistent",     "/tmp",     "/tmp/empty",
                                      "/tmp/garbage",     "/tmp/cut", "/tmp/nointerp",
                                      "/tmp/empty/below", ""};
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        c = CHILD({
            char *const args[] = {"x", NULL};
            execve(bad[i], args, environ);
            printf("exec of '%s': %s\n", bad[i], strerrorname_np(errno));
            fflush(stdout);
            _exit(global);
        });
        const char *s = wait_for(c);
        fact("goes on: %s", s);
    }
    char line[300];
    snprintf(line, sizeof(line), "#!%s executed\n", own);
    write_file("/tmp/script", line, 0700);
    c = CHILD(execl("/tmp/script", "script", "one", (char *)NULL));
    fact("script: %s", wait_for(c));
    c = CHILD({
        int fd = open(own, O_RDONLY | O_CLOEXEC);
        char *const args[] = {"x", "executed", "by descriptor", NULL};
        fexecve(fd, args, environ);
        _exit(errno);
    });
    fact("fexecve: %s", wait_for(c));
}

static void spawns(void)
{
    pid_t c;
    char *const args[] = {(char *)own, "executed", "spawned", NULL};
    posix_spawn_file_actions_t fa;
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, 1, 20);
    int r = posix_spawn(&c, own, &fa, NULL, args, environ);
    const char *s = wait_for(c);
    fact("posix_spawn: %d, %s", r, s);
    char *const none[] = {"x", NULL};
    fact("of nothing: %s",
         strerrorname_np(posix_spawn(&c, "/nonexistent", NULL, NULL, none, environ)));
    volatile int seen = 0;
    c = vfork();
    if (!c) {
        seen = 5;
        _exit(4);
    }
    fact("vfork: %s, seen %d", wait_for(c), seen);
}

/* Registers that a child of vfork changed are its parent's own all the same. */
static unsigned long vector_after_vfork(unsigned long value)
{
    unsigned long out;
    __asm__ volatile("movq %1, %%xmm15\n\t"
                     "mov $58, %%eax\n\t" /* vfork */
                     "syscall\n\t"
                     "test %%eax, %%eax\n\t"
                     "jnz 1f\n\t"
                     "pxor %%xmm15, %%xmm15\n\t"
                     "mov $60, %%eax\n\t" /* exit(0) */
                     "xor %%edi, %%edi\n\t"
                     "syscall\n"
                     "1: movq %%xmm15, %0"
                     : "=r"(out)
                     : "r"(value)
                     : "rax", "rcx", "rdi", "r11", "xmm15", "memory");
    return out;
}

/* FS that the program set by itself is its child's, and its own when the child has left. */
static void fs_after_vfork(void)
{
    unsigned long other = (unsigned long)&environ, got, parent;
    volatile unsigned long child = 0;
    pid_t c;
    __asm__ volatile("rdfsbase %%rbx\n\t"
                     "wrfsbase %[other]\n\t"
                     "mov $58, %%eax\n\t" /* vfork */
                     "syscall\n\t"
                     "test %%eax, %%eax\n\t"
                     "jnz 1f\n\t"
                     "rdfsbase %%rdi\n\t"
                     "mov %%rdi, %[child]\n\t"
                     "mov $60, %%eax\n\t" /* exit(0) */
                     "xor %%edi, %%edi\n\t"
                     "syscall\n"
                     "1: rdfsbase %[parent]\n\t"
                     "wrfsbase %%rbx"
                     : "=a"(c), [parent] "=&r"(parent), [child] "=m"(child)
                     : [other] "r"(other)
                     : "rbx", "rcx", "rdi", "r11", "memory");
    fact("FS, set without a call: %d in the child of vfork, %d after", child == other,
         parent == other);
    __asm__ volatile("rdfsbase %%rbx\n\t"
                     "wrfsbase %[other]\n\t"
                     "mov $158, %%eax\n\t" /* arch_prctl(ARCH_GET_FS) */
                     "mov $0x1003, %%edi\n\t"
                     "mov %[to], %%rsi\n\t"
                     "syscall\n\t"
                     "wrfsbase %%rbx"
                     :
                     : [other] "r"(other), [to] "r"(&got)
                     : "rax", "rbx", "rcx", "rdi", "rsi", "r11", "memory");
    fact("%s, as arch_prctl sees it: %d", wait_for(c), got == other);
}

static atomic_bool hurrying;
static atomic_int hurried;

static void hurry(int sig)
{
    hurried++;
}

static void *hurry_group(void *arg)
{
    while (hurrying)
        kill(0, SIGUSR1);
    return NULL;
}

/* A signal may come for a child of vfork from its first moment on. */
static int vforks_signalled(int rounds)
{
    pthread_t other;
    int good = 0;
    setpgid(0, 0);
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = hurry, .sa_flags = SA_RESTART}, NULL);
    hurrying = true;
    pthread_create(&other, NULL, hurry_group, NULL);
    while (!hurried)
        sched_yield();
    for (int i = 0; i < rounds; i++) {
        pid_t c = vfork();
        if (!c)
            _exit(7);
        good += !strcmp(wait_for(c), "exit 7");
    }
    hurrying = false;
    pthread_join(other, NULL);
    return good == rounds ? 5 : 6;
}

static void vforks(void)
{
    char *const args[] = {(char *)own, "executed", "from a vfork", NULL};
    volatile int depth = 0;
    pid_t c = vfork();
    if (!c) {
        depth++;
        pid_t inner = vfork();
        if (!inner) {
            depth++;
            execve(own, args, environ);
            _exit(9);
        }
        int status;
        waitpid(inner, &status, 0);
        depth += 10 * WIFEXITED(status);
        execve(own, args, environ);
        _exit(9);
    }
    fact("vfork in a vfork: %s, depth %d", wait_for(c), depth);
    fact("its registers: %lx", vector_after_vfork(0x1234));
    c = vfork();
    if (!c)
        kill(getpid(), SIGKILL);
    fact("killed: %s", wait_for(c));
    c = vfork();
    if (!c)
        depth = pthread_self() != 0 ? nanosleep(&(struct timespec){0, 20000000}, NULL) : 1,
        _exit(depth);
    fact("it slept: %s, %d", wait_for(c), depth);
    fs_after_vfork();
    c = CHILD(_exit(vforks_signalled(1000)));
    fact("signalled from the first moment on: %s", wait_for(c));
}

/* A mapping that grows where the other process of a fork has something by now. */
static void grows_beside(void)
{
    int go[2];
    pipe(go);
    char *p = mmap(NULL, 16384, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(p + 4096, 12288);
    pid_t c = CHILD({
        char x;
        read(go[0], &x, 1);
        _exit(mremap(p, 4096, 8192, 0) != p ? 1 : p[4096] ? 2 : 0);
    });
    char *q = mmap(p + 4096, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    memset(q, 'q', 4096);
    write(go[1], "x", 1);
    fact("grown beside: %s, %c", wait_for(c), q[0]);
    munmap(p, 8192);
    close(go[0]);
    close(go[1]);
}

static void groups_and_sessions(void)
{
    int go[2];
    pipe(go);
    pid_t a = CHILD({
        char x;
        close(go[1]);
        read(go[0], &x, 1);
        for (;;)
            pause();
    });
    fact("setpgid: %s, own group %d", err(setpgid(a, a)), getpgid(a) == a);
    pid_t b = CHILD(for (;;) pause());
    fact("join: %s, %d", err(setpgid(b, a)), getpgid(b) == a);
    fact("no such group: %s", err(setpgid(b, 999999)));
    fact("kill group: %s", err(kill(-a, SIGTERM)));
    fact("both: %s", wait_for(a));
    fact("both: %s", wait_for(b));
    fact("empty group: %s", err(kill(-a, 0)));
    pid_t c = CHILD({
        setpgid(0, 0);
        printf("setsid of a leader: %s\n", err(setsid()));
        fflush(stdout);
    });
    wait_for(c);
    c = CHILD({
        printf("setsid: own %d group %d session %d again %s\n", setsid() == getpid(),
               getpgrp() == getpid(), getsid(0) == getpid(), err(setsid()));
        fflush(stdout);
    });
    wait_for(c);
    close(go[0]);
    close(go[1]);
}

/* What a program sees that was executed by rights_of_files, natively as root. */
static int executed_rights(const char *how)
{
    uid_t u[3];
    gid_t g[3];
    int death = -1;
    getresuid(&u[0], &u[1], &u[2]);
    getresgid(&g[0], &g[1], &g[2]);
    prctl(PR_GET_PDEATHSIG, &death);
    printf("rights: %s uid %d %d %d gid %d %d %d aux %lu %lu %lu %lu secure %lu dumpable %d death "
           "%d\n",
           strrchr(how, '-') ? strrchr(how, '-') : "plain", u[0], u[1], u[2], g[0], g[1], g[2],
           getauxval(AT_UID), getauxval(AT_EUID), getauxval(AT_GID), getauxval(AT_EGID),
           getauxval(AT_SECURE), prctl(PR_GET_DUMPABLE), death);
    return 34;
}

/* Copies of this program with the modes of rights, beside it; run by another user. */
static void rights_of_files(void)
{
    static const struct {
        const char *name;
        uid_t uid;
        bool privs, early; /* PR_SET_NO_NEW_PRIVS is not set; PR_SET_PDEATHSIG is before setuid */
    } tries[] = {{"", 1000, true, false},        {"-suid", 1000, true, false},
                 {"-sgid", 1000, true, false},   {"-both", 1000, true, false},
                 {"-both", 1000, false, false},  {"-both", 0, true, false},
                 {"-closed", 1000, true, false}, {"-script", 1000, true, false},
                 {"-none", 1000, true, false},   {"", 1000, true, true}};
    char path[4200];
    for (unsigned i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
        pid_t c = CHILD({
            if (tries[i].early)
                prctl(PR_SET_PDEATHSIG, SIGUSR2);
            setgid(tries[i].uid);
            setuid(tries[i].uid);
            printf("dumpable after setuid(%d): %d\n", tries[i].uid, prctl(PR_GET_DUMPABLE));
            if (!tries[i].early)
                prctl(PR_SET_PDEATHSIG, SIGUSR2);
            if (!tries[i].privs)
                prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            snprintf(path, sizeof(path), "%s%s", own, tries[i].name);
            fflush(stdout);
            execl(path, path, "rights", tries[i].name, (char *)NULL);
            printf("exec of %s: %s\n", tries[i].name, strerrorname_np(errno));
            fflush(stdout);
            _exit(1);
        });
        fact("its end: %s", wait_for(c));
    }
}

/* chroot, natively as root: "/" and "..", what is outside, what a child has of it. */
static void roots(void)
{
    char at[200];
    struct stat a, b;
    mkdir("/tmp/root.facts", 0755);
    mkdir("/tmp/root.facts/in", 0755);
    write_file("/tmp/root.facts/in/file", "x", 0644);
    symlink("/in/file", "/tmp/root.facts/link");
    pid_t c = CHILD({
        int outside = open("/tmp", O_RDONLY);
        printf("chroot to nothing: %s\n", err(chroot("/tmp/root.facts/none")));
        printf("chroot to a file: %s\n", err(chroot("/tmp/root.facts/in/file")));
        printf("chroot: %s\n", err(chroot("/tmp/root.facts")));
        long r = syscall(SYS_getcwd, at, sizeof(at));
        printf("where: %d %.13s\n", r > 0, at);
        chdir("/in");
        printf("inside: %s, file %s, link %s\n", getcwd(at, sizeof(at)),
               err(access("/in/file", R_OK)), err(access("/link", R_OK)));
        stat("/", &a);
        stat("/../../..", &b);
        printf("up from the root: %d, old names: %s\n", a.st_ino == b.st_ino,
               err(access("/tmp/root.facts", F_OK)));
        printf("by a descriptor: %s\n", err(faccessat(outside, "root.facts/in", F_OK, 0)));
        pid_t d = CHILD(printf("a child: %s %s\n", getcwd(at, sizeof(at)), err(chdir("/in")));
                        fflush(stdout));
        wait_for(d);
        printf("back through it: %s", err(fchdir(outside)));
        printf(" %s\n", err(chroot("..")));
        printf("old names: %s\n", err(access("/tmp/root.facts", F_OK)));
        setuid(1000);
        printf("by another user: %s\n", err(chroot("/tmp")));
        fflush(stdout);
    });
    fact("ended: %s", wait_for(c));
    fact("the parent's root: %s", err(access("/tmp/root.facts/in", F_OK)));
    unlink("/tmp/root.facts/in/file");
    unlink("/tmp/root.facts/link");
    rmdir("/tmp/root.facts/in");
    rmdir("/tmp/root.facts");
}

static void orphans(void)
{
    int p[2];
    pipe(p);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t c = CHILD({
        if (!fork()) {
            char x;
            close(p[1]);
            read(p[0], &x, 1);
            while (getppid() == 0)
                ;
            _exit(12);
        }
    });
    fact("middle: %s", wait_for(c));
    close(p[1]);
    int s;
    pid_t got = wait(&s);
    fact("grandchild is ours: %d, %s", got > 0 && got != c, status(s));
    close(p[0]);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    pipe(p);
    c = CHILD({
        char x;
        if (!fork()) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            write(p[1], "x", 1);
            for (;;)
                pause();
        }
        read(p[0], &x, 1);
    });
    fact("parent of an endless one: %s", wait_for(c));
    char x;
    close(p[1]);
    fact("which ended with it: %d", (int)read(p[0], &x, 1));
    close(p[0]);
}

static void pipes(void)
{
    int p[2], q[2];
    char buf[100];
    pipe(p);
    pipe(q);
    pid_t c = CHILD({
        close(p[1]);
        close(q[0]);
        long n, total = 0;
        while ((n = read(p[0], buf, sizeof(buf))) > 0)
            total += n;
        write(q[1], &total, sizeof(total));
    });
    close(p[0]);
    close(q[1]);
    for (int i = 0; i < 1000; i++)
        write(p[1], buf, 100);
    close(p[1]);
    long total = 0;
    read(q[0], &total, sizeof(total));
    fact("through a pipe: %ld, %s", total, wait_for(c));
    fact("end: %d", (int)read(q[0], buf, 1));
    close(q[0]);
    pipe(p);
    close(p[0]);
    c = CHILD({ write(p[1], "x", 1); });
    fact("no reader: %s", wait_for(c));
    close(p[1]);
    int came = 0; /* a partner who is gone again before the other one wakes was there */
    for (int i = 0; i < 100; i++) {
        bool writes = i % 2;
        mkfifo("/tmp/partner", 0600);
        c = CHILD({ close(open("/tmp/partner", writes ? O_WRONLY : O_RDONLY)); });
        int fd = open("/tmp/partner", writes ? O_RDONLY : O_WRONLY);
        came += fd >= 0;
        close(fd);
        wait_for(c);
        unlink("/tmp/partner");
    }
    fact("partners of a FIFO: %d", came);
}

static char *range;
#define RANGE (64ul << 20)

static void *unmap_range(void *arg)
{
    munmap(range, RANGE);
    return NULL;
}

/* Who maps where a munmap has begun keeps what it mapped. */
static void unmapping(void)
{
    int kept = 0;
    for (int i = 0; i < 5; i++) {
        pthread_t t;
        unsigned char x;
        range = mmap(NULL, RANGE, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(range, 1, RANGE);
        pthread_create(&t, NULL, unmap_range, NULL);
        while (!mincore(range, 4096, &x))
            ;
        mmap(range, RANGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        pthread_join(t, NULL);
        kept += !mincore(range + RANGE - 4096, 4096, &x);
        munmap(range, RANGE);
    }
    fact("kept beside a munmap: %d", kept);
}

static void coherence(void)
{
    char path[] = "/tmp/coherent";
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    ftruncate(fd, 3 * 4096);
    char *rw = mmap(NULL, 3 * 4096, 3, MAP_SHARED, fd, 0);
    char *ro = mmap(NULL, 3 * 4096, PROT_READ, MAP_SHARED, fd, 0);
    char *second = mmap(NULL, 4096, 3, MAP_SHARED, fd, 4096);
    char *private = mmap(NULL, 3 * 4096, 3, MAP_PRIVATE, fd, 0), buf[100] = "";
    fact("empty: '%s' '%s' '%s'", rw, ro, private);
    pwrite(fd, "by pwrite", 10, 0);
    fact("pwrite: '%s' '%s' '%s'", rw, ro, private);
    strcpy(rw, "by store");
    pread(fd, buf, 10, 0);
    fact("store: '%s' '%s' '%s'", buf, ro, private);
    strcpy(private, "by private");
    pwrite(fd, "again", 6, 0);
    fact("private: '%s' '%s' '%s'", rw, ro, private);
    strcpy(rw + 4096, "second page");
    fact("two mappings: '%s' '%s'", second, ro + 4096);
    strcpy(second, "from the second");
    pread(fd, buf, 20, 4096);
    fact("two mappings: '%s' '%s' '%s'", rw + 4096, ro + 4096, buf);
    for (int i = 0; i < 100; i++) { /* to and fro */
        rw[4096 + 100]++;
        second[100]++;
    }
    fact("to and fro: %d %d", (unsigned char)ro[4196], (unsigned char)second[100]);
    pid_t c = CHILD({
        strcpy(rw, "by a child");
        second[100]++;
        strcpy(private, "child's own");
        pwrite(fd, "third", 6, 8192);
    });
    wait_for(c);
    fact("after a child: '%s' '%s' '%s' '%s' %d", rw, ro, private, ro + 8192,
         (unsigned char)ro[4196]);
    c = CHILD({
        int other = open(path, O_RDWR);
        char *m = mmap(NULL, 4096, 3, MAP_SHARED, other, 0);
        strcpy(m, "by another mapping");
        _exit(strcmp(rw, "by another mapping") != 0);
    });
    fact("another descriptor: %s '%s'", wait_for(c), rw);
    write(fd, rw, 19); /* from its own mapping */
    lseek(fd, 0, SEEK_SET);
    read(fd, rw + 8192, 10); /* into its own mapping */
    fact("from and to itself: '%s' '%.10s'", rw, rw + 8192);
    ftruncate(fd, 4096);
    ftruncate(fd, 3 * 4096);
    fact("cut and grown: '%s' '%s' '%s'", rw, rw + 4096, ro + 8192);
    ftruncate(fd, 100);
    fact("cut within a page: %d '%s'", rw[200], rw);
    c = CHILD({
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        global = ro[8192];
    });
    fact("behind the end: %s", wait_for(c));
    munmap(rw, 3 * 4096);
    munmap(ro, 3 * 4096);
    munmap(second, 4096);
    pread(fd, buf, 19, 0);
    fact("unmapped: '%s'", buf);
    munmap(private, 3 * 4096);
    close(fd);
    fd = memfd_create("code", 0);
    ftruncate(fd, 4096);
    unsigned char *w = mmap(NULL, 4096, 3, MAP_SHARED, fd, 0);
    unsigned char *x = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    for (int i = 1; i < 6; i++) {
        memcpy(w, "\xb8\0\0\0\0\xc3", 6); /* mov $i, %eax; ret */
        w[1] = (unsigned char)i;
        fact("code written beside: %d", ((int (*)(void))x)());
    }
    munmap(w, 4096);
    munmap(x, 4096);
    close(fd);
}

struct shared {
    pthread_mutex_t mutex, robust;
    pthread_cond_t cond;
    sem_t sem;
    atomic_int count, turn;
};

static void locks_between(void)
{
    struct shared *s = mmap(NULL, sizeof(*s), 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t a;
    pthread_condattr_t ca;
    pthread_mutexattr_init(&a);
    pthread_condattr_init(&ca);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&s->mutex, &a);
    pthread_cond_init(&s->cond, &ca);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&s->robust, &a);
    sem_init(&s->sem, 1, 0);
    pid_t c[4];
    for (int i = 0; i < 4; i++) {
        c[i] = CHILD(for (int n = 0; n < 500; n++) {
            pthread_mutex_lock(&s->mutex);
            int v = s->count;
            if (n % 50 == 0)
                sched_yield();
            s->count = v + 1;
            pthread_mutex_unlock(&s->mutex);
        });
    }
    for (int i = 0; i < 4; i++)
        wait_for(c[i]);
    fact("counted under a mutex: %d", s->count);
    pid_t d = CHILD({
        pthread_mutex_lock(&s->robust);
        sem_post(&s->sem);
        _exit(0);
    });
    wait_for(d);
    sem_wait(&s->sem);
    int r = pthread_mutex_lock(&s->robust);
    fact("owner died: %s", r ? strerrorname_np(r) : "0");
    pthread_mutex_consistent(&s->robust);
    pthread_mutex_unlock(&s->robust);
    d = CHILD({
        pthread_mutex_lock(&s->mutex);
        while (s->turn != 1)
            pthread_cond_wait(&s->cond, &s->mutex);
        s->turn = 2;
        pthread_cond_broadcast(&s->cond);
        pthread_mutex_unlock(&s->mutex);
    });
    pthread_mutex_lock(&s->mutex);
    s->turn = 1;
    pthread_cond_broadcast(&s->cond);
    while (s->turn != 2)
        pthread_cond_wait(&s->cond, &s->mutex);
    pthread_mutex_unlock(&s->mutex);
    fact("turns by a condition: %d, %s", s->turn, wait_for(d));
    munmap(s, sizeof(*s));
}

static void system_v(void)
{
    int id = shmget(IPC_PRIVATE, 5000, IPC_CREAT | 0600);
    char *m = shmat(id, NULL, 0);
    strcpy(m, "shm");
    pid_t c = CHILD({
        char *other = shmat(id, NULL, 0);
        strcat(other, "+child");
        _exit(other == m);
    });
    fact("shm: %s '%s'", wait_for(c), m);
    struct shmid_ds ds;
    shmctl(id, IPC_STAT, &ds);
    fact("shm: size %d attached %d", (int)ds.shm_segsz, (int)ds.shm_nattch);
    fact("shm removed: %s", err(shmctl(id, IPC_RMID, NULL)));
    fact("shm still: '%s'", m);
    fact("shm detached: %s", err(shmdt(m)));
    fact("shm gone: %s", err(shmctl(id, IPC_STAT, &ds)));
    fact("shm no key: %s", err(shmget(0x1234567, 100, 0)));
    int sem = semget(IPC_PRIVATE, 2, IPC_CREAT | 0600);
    struct sembuf up = {0, 3, 0}, down = {0, -2, SEM_UNDO}, nowait = {0, -9, IPC_NOWAIT};
    semop(sem, &up, 1);
    c = CHILD({
        semop(sem, &down, 1);
        _exit(semctl(sem, 0, GETVAL));
    });
    fact("sem: %s, undone %d", wait_for(c), semctl(sem, 0, GETVAL));
    fact("sem: %s", err(semop(sem, &nowait, 1)));
    c = CHILD({
        struct sembuf wait = {1, -1, 0};
        semop(sem, &wait, 1);
        _exit(6);
    });
    struct sembuf wake = {1, 1, 0};
    semop(sem, &wake, 1);
    fact("sem: %s", wait_for(c));
    fact("sem removed: %s", err(semctl(sem, 0, IPC_RMID)));
    fact("sem gone: %s", err(semop(sem, &up, 1)));
}

static void descriptors(void)
{
    int s[2], p[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    pipe(p);
    pid_t c = CHILD({
        char data = 'd';
        char room[CMSG_SPACE(sizeof(int))] = {0};
        struct iovec v = {&data, 1};
        struct msghdr m = {
            .msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(h), &p[1], sizeof(int));
        sendmsg(s[1], &m, 0);
    });
    wait_for(c);
    close(p[1]);
    char data;
    char room[CMSG_SPACE(sizeof(int))];
    struct iovec v = {&data, 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
    int got = (int)recvmsg(s[0], &m, 0);
    fact("message: %d %c", got, data);
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
    write(fd, "through", 8);
    char buf[20];
    read(p[0], buf, 8);
    fact("passed descriptor: %s", buf);
    close(fd);
    fact("its end: %d", (int)read(p[0], buf, 1));
    c = CHILD(for (;;) pause());
    int pidfd = (int)syscall(SYS_pidfd_open, c, 0);
    struct pollfd pf = {pidfd, POLLIN, 0};
    fact("pidfd: %d", poll(&pf, 1, 0));
    fact("pidfd signal: %s", err(syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0)));
    fact("pidfd ended: %d %d", poll(&pf, 1, 5000), pf.revents);
    siginfo_t i = {0};
    fact("pidfd wait: %s", err(waitid(P_PIDFD, (id_t)pidfd, &i, WEXITED)));
    fact("pidfd wait: %d %d", i.si_code, i.si_status);
    close(pidfd);
    int lock = open("/tmp/lock", O_RDWR | O_CREAT, 0600);
    struct flock l = {.l_type = F_WRLCK, .l_len = 10};
    fcntl(lock, F_SETLK, &l);
    c = CHILD({
        struct flock q = {.l_type = F_WRLCK, .l_len = 10};
        int taken = fcntl(lock, F_SETLK, &q) < 0;
        fcntl(lock, F_GETLK, &q);
        _exit(taken * 10 + (q.l_pid == getppid()));
    });
    fact("lock of another: %s", wait_for(c));
    c = CHILD({
        int other = open("/tmp/lock", O_RDWR);
        _exit(flock(other, LOCK_EX | LOCK_NB) < 0 ? errno : 0);
    });
    fact("flock beside it: %s", wait_for(c));
    flock(lock, LOCK_EX);
    c = CHILD({
        int other = open("/tmp/lock", O_RDWR);
        _exit(flock(other, LOCK_EX | LOCK_NB) < 0 ? errno : 0);
    });
    fact("flock: %s", wait_for(c));
    close(lock);
}

static int fork_handlers;
static void before(void)
{
    fork_handlers += 1;
}
static void in_parent(void)
{
    fork_handlers += 10;
}
static void in_child(void)
{
    fork_handlers += 100;
}

static volatile int spinning = 1;
static void *spin(void *arg)
{
    while (spinning)
        (*(volatile long *)arg)++;
    return NULL;
}

static void threads(void)
{
    pthread_t t[3];
    long counts[3] = {0};
    for (int i = 0; i < 3; i++)
        pthread_create(&t[i], NULL, spin, &counts[i]);
    pthread_atfork(before, in_parent, in_child);
    for (int n = 0; n < 10; n++) {
        pid_t c = CHILD({
            long was = counts[0] + counts[1] + counts[2];
            usleep(3000);
            _exit(was == counts[0] + counts[1] + counts[2] ? fork_handlers % 1000 / 100 : 99);
        });
        const char *s = wait_for(c);
        if (n % 3 == 0)
            fact("fork beside threads: %s", s);
    }
    spinning = 0;
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    fact("handlers: %d, all ran %d", fork_handlers, counts[0] && counts[1] && counts[2]);
    /* exec ends the other threads; the process keeps its number */
    spinning = 1;
    pid_t c = CHILD({
        pthread_t u;
        pthread_create(&u, NULL, spin, &counts[0]);
        execl(own, own, "executed", "beside a thread", (char *)NULL);
    });
    fact("exec beside threads: %s", wait_for(c));
}

static pthread_barrier_t together;
static void *exec_at_once(void *arg)
{
    pthread_barrier_wait(&together);
    execl(own, own, "executed", "one of four", (char *)NULL);
    return NULL;
}

/* Threads that execute at the same moment: one wins, the others end. */
static void exec_race(void)
{
    for (int n = 0; n < 10; n++) {
        pid_t c = CHILD({
            pthread_t t[3];
            pthread_barrier_init(&together, NULL, 4);
            for (int i = 0; i < 3; i++)
                pthread_create(&t[i], NULL, exec_at_once, NULL);
            exec_at_once(NULL);
        });
        const char *s = wait_for(c);
        fact("four at once: %s", s);
    }
}

static int shares(void *arg)
{
    close(*(int *)arg);
    chdir("/");
    global = 77;
    return 5;
}

static void clones(void)
{
    static char stack[65536] __attribute__((aligned(16)));
    static const struct {
        const char *name;
        int flags;
    } how[] = {{"nothing", 0},
               {"files", CLONE_FILES},
               {"directory", CLONE_FS},
               {"memory", CLONE_VM},
               {"all", CLONE_FILES | CLONE_FS | CLONE_VM | CLONE_SIGHAND},
               {"vfork", CLONE_VM | CLONE_VFORK}};
    for (unsigned i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
        int fd = dup(0);
        char cwd[100];
        chdir("/tmp");
        global = 1;
        pid_t c = clone(shares, stack + sizeof(stack), how[i].flags | SIGCHLD, &fd);
        const char *s = wait_for(c);
        bool open = fcntl(fd, F_GETFD) >= 0;
        fact("shares %s: %s, descriptor %s, in %s, memory %d", how[i].name, s,
             open ? "open" : "closed", getcwd(cwd, 100), global);
        if (open)
            close(fd);
    }
    fact("threads without handlers: %s",
         err(clone(shares, stack + sizeof(stack), CLONE_THREAD, NULL)));
    fact("handlers without memory: %s",
         err(clone(shares, stack + sizeof(stack), CLONE_SIGHAND, NULL)));
    global = 1;
}

/* A tree of processes that count in shared memory; nothing may be lost. */
static void grow(atomic_int *count, int depth)
{
    pid_t c[3];
    atomic_fetch_add(count, 1);
    for (int i = 0; depth && i < 3; i++) {
        c[i] = fork();
        if (!c[i]) {
            grow(count, depth - 1);
            _exit(depth);
        }
    }
    for (int i = 0; depth && i < 3; i++)
        waitpid(c[i], NULL, 0);
}

static void tree(void)
{
    atomic_int *count = mmap(NULL, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    grow(count, 4);
    fact("a tree of processes: %d", *count);
    munmap(count, 4096);
}

int main(int argc, char **argv)
{
    if (argc > 2 && !strcmp(argv[1], "executed"))
        return executed(argc, argv);
    if (argc > 2 && !strcmp(argv[1], "rights"))
        return executed_rights(argv[2]);
    own = argv[1];
    memory_of_forks();
    exits_and_signals();
    stops();
    child_signals();
    inheritance();
    exec_facts();
    if (argc > 2) {
        rights_of_files();
        roots();
    }
    spawns();
    vforks();
    groups_and_sessions();
    orphans();
    pipes();
    unmapping();
    grows_beside();
    coherence();
    locks_between();
    system_v();
    descriptors();
    threads();
    exec_race();
    clones();
    tree();
    static const char *const made[] = {"inherit",  "empty",  "garbage",  "cut", "nox",
                                       "nointerp", "script", "coherent", "lock"};
    chdir("/tmp");
    for (unsigned i = 0; i < sizeof(made) / sizeof(made[0]); i++)
        unlink(made[i]);
    return 0;
}
