// SPDX-License-Identifier: Apache-2.0
// One process that watches others: stops, registers, memory, breakpoints, events.
#include "facts.h"

#include <elf.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#define PT(request, pid, addr, data) sys(ptrace, request, pid, addr, data)

static volatile long word = 0x1122334455667788;
static volatile int handled;
static char program[4096];

static void on_signal(int s)
{
    handled = s;
}

/* What wait4 says, in words that do not change from run to run. */
static int wait_say(pid_t pid, const char *what)
{
    int status = 0;
    pid_t r = (pid_t)sys(wait4, pid, &status, __WALL, NULL);
    if (r != pid)
        say("wait4", r, "%s", what);
    else if (WIFSTOPPED(status))
        say("wait4", status >> 8, "%s: stopped, signal and event", what);
    else if (WIFEXITED(status))
        say("wait4", WEXITSTATUS(status), "%s: exited", what);
    else
        say("wait4", WTERMSIG(status), "%s: killed by", what);
    return status;
}

/* A child that is traced, stands at its first stop and then does `does`. */
static pid_t traced(void (*does)(void), const char *what)
{
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        PT(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        does();
        _exit(7);
    }
    wait_say(pid, what);
    return pid;
}

static void nothing(void)
{
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, __WALL);
}

/* ---- memory and registers ---- */

static void check_word(void)
{
    if (word == 42)
        _exit(42);
}

static void memory(void)
{
    long v = 0;
    pid_t pid = traced(check_word, "memory");
    say("ptrace", PT(PTRACE_PEEKDATA, pid, &word, &v), "PEEKDATA");
    say("ptrace", v == 0x1122334455667788, "PEEKDATA: the word");
    say("ptrace", PT(PTRACE_PEEKDATA, pid, (char *)&word + 3, &v), "PEEKDATA: not aligned");
    say("ptrace", PT(PTRACE_PEEKTEXT, pid, memory, &v), "PEEKTEXT");
    say("ptrace", v == *(long *)memory, "PEEKTEXT: the same text");
    say("ptrace", PT(PTRACE_PEEKDATA, pid, 8, &v), "PEEKDATA: nothing there");
    say("ptrace", PT(PTRACE_PEEKDATA, pid, &word, 8), "PEEKDATA: to a bad address");
    say("ptrace", PT(PTRACE_POKEDATA, pid, 8, 1), "POKEDATA: nothing there");
    say("ptrace", PT(PTRACE_POKEDATA, pid, &word, 42), "POKEDATA");
    say("ptrace", word == 0x1122334455667788, "POKEDATA: not in the tracer");
    say("ptrace", PT(PTRACE_POKETEXT, pid, memory, 0x90909090), "POKETEXT");
    say("ptrace", PT(PTRACE_PEEKTEXT, pid, memory, &v), "PEEKTEXT after it");
    say("ptrace", v, "PEEKTEXT after it: the word");
    say("ptrace", *(long *)memory != 0x90909090, "POKETEXT: not in the tracer");
    say("ptrace", PT(PTRACE_CONT, pid, 0, 0), "CONT");
    wait_say(pid, "after POKEDATA");
    pid_t other = fork();
    if (!other)
        _exit(*(long *)memory == 0x90909090);
    wait_say(other, "text of another child");
}

static void registers(void)
{
    struct user_regs_struct r = {0}, s = {0};
    struct user_fpregs_struct f;
    struct iovec v = {&s, sizeof(s)};
    long w = 0;
    pid_t pid = traced(nothing, "registers");
    say("ptrace", PT(PTRACE_GETREGS, pid, 0, &r), "GETREGS");
    say("ptrace", (long)r.cs, "GETREGS: cs");
    say("ptrace", (long)r.ss, "GETREGS: ss");
    say("ptrace", (long)(r.ds + r.es + r.fs + r.gs + r.gs_base), "GETREGS: other segments");
    say("ptrace", (long)r.orig_rax, "GETREGS: orig_rax");
    say("ptrace", (long)r.rax, "GETREGS: rax");
    say("ptrace", r.fs_base != 0, "GETREGS: fs_base");
    say("ptrace", PT(PTRACE_GETREGS, pid, 0, 8), "GETREGS: to a bad address");
    say("ptrace", PT(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v), "GETREGSET: PRSTATUS");
    say("ptrace", (long)v.iov_len, "GETREGSET: PRSTATUS: bytes");
    say("ptrace", !memcmp(&r, &s, sizeof(r)), "GETREGSET: as GETREGS");
    v.iov_len = 16;
    say("ptrace", PT(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v), "GETREGSET: 16 bytes");
    say("ptrace", (long)v.iov_len, "GETREGSET: 16 bytes: bytes");
    v.iov_len = 13;
    say("ptrace", PT(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v), "GETREGSET: 13 bytes");
    say("ptrace", PT(PTRACE_GETREGSET, pid, 0x1234, &v), "GETREGSET: unknown");
    v = (struct iovec){&f, sizeof(f)};
    say("ptrace", PT(PTRACE_GETREGSET, pid, NT_FPREGSET, &v), "GETREGSET: FPREGSET");
    say("ptrace", (long)v.iov_len, "GETREGSET: FPREGSET: bytes");
    say("ptrace", PT(PTRACE_GETFPREGS, pid, 0, &f), "GETFPREGS");
    say("ptrace", f.mxcsr, "GETFPREGS: mxcsr");
    static char xstate[8192];
    v = (struct iovec){xstate, sizeof(xstate)};
    say("ptrace", PT(PTRACE_GETREGSET, pid, 0x202, &v), "GETREGSET: XSTATE");
    say("ptrace", v.iov_len >= 576, "GETREGSET: XSTATE: bytes");
    say("ptrace", (*(long *)(xstate + 464) & 7) >= 3, "GETREGSET: XSTATE: XCR0");
    say("ptrace", PT(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, rip), &w), "PEEKUSER");
    say("ptrace", (unsigned long)w == r.rip, "PEEKUSER: rip");
    say("ptrace", PT(PTRACE_PEEKUSER, pid, 3, &w), "PEEKUSER: not aligned");
    say("ptrace", PT(PTRACE_PEEKUSER, pid, 4096, &w), "PEEKUSER: beyond");
    say("ptrace", PT(PTRACE_PEEKUSER, pid, -8, &w), "PEEKUSER: before");
    say("ptrace", PT(PTRACE_PEEKUSER, pid, offsetof(struct user, u_debugreg[7]), &w),
        "PEEKUSER: debug register");
    say("ptrace", w & 0xff, "PEEKUSER: debug register: none is on");
    say("ptrace", PT(PTRACE_POKEUSER, pid, 3, 0), "POKEUSER: not aligned");
    say("ptrace", PT(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rbx), 99), "POKEUSER");
    PT(PTRACE_GETREGS, pid, 0, &r);
    say("ptrace", (long)r.rbx, "POKEUSER: rbx");
    r.fs_base = -8;
    say("ptrace", PT(PTRACE_SETREGS, pid, 0, &r), "SETREGS: bad fs_base");
    end(pid);
}

static double floats[2] = {1.5, 2.5};

static void use_floats(void)
{
    double got[2];
    __asm__ volatile("movups %1, %%xmm5; mov $39, %%eax; syscall; mov %%eax, %%edi; mov $19, "
                     "%%esi; mov $62, %%eax;"
                     "syscall; movups %%xmm5, %0"
                     : "=m"(got)
                     : "m"(floats)
                     : "rax", "rcx", "r11", "rdi", "rsi", "xmm5", "memory");
    _exit(got[0] == 7.5 && got[1] == 8.5 ? 77 : got[0] == 1.5 ? 15 : 1);
}

static void float_registers(void)
{
    struct user_fpregs_struct f;
    for (int change = 0; change < 2; change++) {
        pid_t pid = traced(use_floats, "floats");
        PT(PTRACE_CONT, pid, 0, 0);
        wait_say(pid, "floats: in use");
        PT(PTRACE_GETFPREGS, pid, 0, &f);
        say("ptrace", !memcmp((char *)f.xmm_space + 80, floats, 16), "GETFPREGS: xmm5");
        double other[2] = {7.5, 8.5};
        memcpy((char *)f.xmm_space + 80, other, 16);
        if (change)
            say("ptrace", PT(PTRACE_SETFPREGS, pid, 0, &f), "SETFPREGS");
        PT(change ? PTRACE_DETACH : PTRACE_CONT, pid, 0, 0);
        if (change) /* SIGSTOP is not taken again */
            say("ptrace", PT(PTRACE_CONT, pid, 0, 0), "CONT of one that was left alone");
        wait_say(pid, change ? "floats: changed" : "floats: unchanged");
    }
}

/* ---- system calls ---- */

static void some_calls(void)
{
    syscall(SYS_getppid);
    long r = syscall(SYS_setpriority, 99, 0, 0);
    if (r != -1)
        _exit(r == 5 ? 55 : 56);
    syscall(SYS_exit_group, 9);
}

static void calls(void)
{
    struct user_regs_struct r;
    for (int how = 0; how < 4; how++) {
        static const char *names[] = {"plain", "good", "changed result", "another call"};
        pid_t pid = traced(some_calls, names[how]);
        say("ptrace", PT(PTRACE_SETOPTIONS, pid, 0, how ? PTRACE_O_TRACESYSGOOD : 0),
            "calls, %s: SETOPTIONS", names[how]);
        int status = 0, in = 1;
        for (int i = 0; i < 20; i++) {
            PT(PTRACE_SYSCALL, pid, 0, 0);
            if (sys(wait4, pid, &status, 0, NULL) != pid || !WIFSTOPPED(status))
                break;
            PT(PTRACE_GETREGS, pid, 0, &r);
            say("ptrace", status >> 8, "calls, %s: %d: stop", names[how], i);
            say("ptrace", (long)r.orig_rax, "calls, %s: %d: number", names[how], i);
            if (r.orig_rax != SYS_getppid || in)
                say("ptrace", (long)r.rax, "calls, %s: %d: rax", names[how], i);
            if (r.orig_rax == SYS_setpriority && how == 2 && !in) {
                r.rax = 5;
                say("ptrace", PT(PTRACE_SETREGS, pid, 0, &r), "calls: SETREGS");
            }
            if (r.orig_rax == SYS_setpriority && how == 3 && in)
                say("ptrace",
                    PT(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, orig_rax), -1),
                    "calls: POKEUSER: orig_rax");
            in = !in;
        }
        say("wait4", WIFEXITED(status) ? WEXITSTATUS(status) : -1000, "calls, %s: exit",
            names[how]);
    }
}

/* ---- signals ---- */

static void take_signals(void)
{
    signal(SIGUSR1, on_signal);
    signal(SIGUSR2, on_signal);
    signal(SIGCHLD, SIG_IGN);
    raise(SIGUSR1);
    int first = handled;
    raise(SIGCHLD);
    _exit(first);
}

static void signals(void)
{
    siginfo_t info;
    static const int give[] = {SIGUSR1, 0, SIGUSR2, SIGTERM, 99};
    for (int i = 0; i < COUNT(give); i++) {
        pid_t pid = traced(take_signals, "signals");
        PT(PTRACE_CONT, pid, 0, 0);
        wait_say(pid, "signals: SIGUSR1");
        memset(&info, 0, sizeof(info));
        say("ptrace", PT(PTRACE_GETSIGINFO, pid, 0, &info), "GETSIGINFO");
        say("ptrace", info.si_signo, "GETSIGINFO: signal");
        say("ptrace", info.si_code, "GETSIGINFO: code");
        say("ptrace", info.si_pid == pid, "GETSIGINFO: pid");
        say("ptrace", PT(PTRACE_CONT, pid, 0, give[i]), "CONT with %d", give[i]);
        if (give[i] == 99) {
            end(pid);
            continue;
        }
        if (WIFSTOPPED(wait_say(pid, "signals: next"))) {
            PT(PTRACE_CONT, pid, 0, 0);
            wait_say(pid, "signals: end");
        }
    }
    pid_t pid = traced(nothing, "mask");
    unsigned long mask = 0;
    say("ptrace", PT(PTRACE_GETSIGMASK, pid, 8, &mask), "GETSIGMASK");
    say("ptrace", (long)mask, "GETSIGMASK: the mask");
    say("ptrace", PT(PTRACE_GETSIGMASK, pid, 4, &mask), "GETSIGMASK: 4 bytes");
    mask = ~0ul;
    say("ptrace", PT(PTRACE_SETSIGMASK, pid, 8, &mask), "SETSIGMASK");
    PT(PTRACE_GETSIGMASK, pid, 8, &mask);
    say("ptrace", (long)~mask, "SETSIGMASK: what cannot be");
    end(pid);
}

static void fault(void)
{
    *(volatile int *)16 = 1;
}

static void faults(void)
{
    siginfo_t info;
    pid_t pid = traced(fault, "fault");
    PT(PTRACE_CONT, pid, 0, 0);
    wait_say(pid, "fault");
    PT(PTRACE_GETSIGINFO, pid, 0, &info);
    say("ptrace", info.si_code, "fault: code");
    say("ptrace", (long)info.si_addr, "fault: address");
    PT(PTRACE_CONT, pid, 0, SIGSEGV);
    wait_say(pid, "fault: taken");
}

/* ---- breakpoints ---- */

__attribute__((noinline, noclone, aligned(64))) static int target(int x)
{
    __asm__ volatile("" : "+r"(x));
    return x + 1;
}

static void use_target(void)
{
    _exit(target(20));
}

static void breakpoints(void)
{
    struct user_regs_struct r;
    long text;
    pid_t pid = traced(use_target, "breakpoint");
    PT(PTRACE_PEEKTEXT, pid, target, &text);
    say("ptrace", PT(PTRACE_POKETEXT, pid, target, (text & ~0xffl) | 0xcc), "breakpoint: POKETEXT");
    PT(PTRACE_CONT, pid, 0, 0);
    wait_say(pid, "breakpoint");
    PT(PTRACE_GETREGS, pid, 0, &r);
    say("ptrace", (long)(r.rip - (unsigned long)target), "breakpoint: behind it");
    say("ptrace", (long)r.rdi, "breakpoint: argument");
    PT(PTRACE_POKETEXT, pid, target, text);
    r.rip = (unsigned long)target;
    r.rdi = 30;
    say("ptrace", PT(PTRACE_SETREGS, pid, 0, &r), "breakpoint: SETREGS");
    PT(PTRACE_CONT, pid, 0, 0);
    wait_say(pid, "breakpoint: went on");
}

/* ---- events ---- */

static void *thread_body(void *p)
{
    return p;
}

static void make_children(void)
{
    pid_t pid = fork();
    if (!pid)
        _exit(3);
    waitpid(pid, NULL, 0);
    pid = vfork();
    if (!pid)
        _exit(4);
    waitpid(pid, NULL, 0);
    pthread_t t;
    pthread_create(&t, NULL, thread_body, NULL);
    pthread_join(t, NULL);
}

static void events(void)
{
    unsigned long message;
    pid_t pid = traced(make_children, "events");
    long all =
        PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEVFORKDONE;
    say("ptrace", PT(PTRACE_SETOPTIONS, pid, 0, 1 << 30), "SETOPTIONS: unknown");
    say("ptrace", PT(PTRACE_SETOPTIONS, pid, 0, all), "SETOPTIONS: events");
    for (int i = 0; i < 4; i++) {
        PT(PTRACE_CONT, pid, 0, 0);
        int status = 0;
        pid_t r;
        do { /* signals of children in between */
            r = (pid_t)sys(wait4, pid, &status, __WALL, NULL);
        } while (r == pid && WIFSTOPPED(status) && status >> 8 == SIGCHLD &&
                 !PT(PTRACE_CONT, pid, 0, SIGCHLD));
        say("wait4", status >> 8, "event %d", i);
        say("ptrace", PT(PTRACE_GETEVENTMSG, pid, 0, &message), "event %d: GETEVENTMSG", i);
        say("ptrace", message > (unsigned long)pid, "event %d: message", i);
        if (status >> 16 == PTRACE_EVENT_VFORK_DONE || r != pid)
            continue;
        wait_say((pid_t)message, "event: the new one");
        PT(PTRACE_CONT, message, 0, 0);
        wait_say((pid_t)message, "event: the new one's end");
    }
    int status = 0;
    PT(PTRACE_CONT, pid, 0, 0);
    while (sys(wait4, pid, &status, __WALL, NULL) == pid && WIFSTOPPED(status))
        PT(PTRACE_CONT, pid, 0, 0);
    say("wait4", WEXITSTATUS(status), "events: end");
    pid = traced(nothing, "exit event");
    PT(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXIT);
    PT(PTRACE_CONT, pid, 0, 0);
    wait_say(pid, "exit event");
    say("ptrace", PT(PTRACE_GETEVENTMSG, pid, 0, &message), "exit event: GETEVENTMSG");
    say("ptrace", (long)message, "exit event: message");
    PT(PTRACE_CONT, pid, 0, 0);
    wait_say(pid, "exit event: end");
    pid = traced(nothing, "exit event, killed");
    PT(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXIT);
    PT(PTRACE_CONT, pid, 0, SIGTERM);
    wait_say(pid, "exit event, by a signal");
    PT(PTRACE_GETEVENTMSG, pid, 0, &message);
    say("ptrace", (long)message, "exit event, by a signal: message");
    PT(PTRACE_CONT, pid, 0, 0);
    wait_say(pid, "exit event, by a signal: end");
}

static void run_again(void)
{
    char *args[] = {program, "child", NULL};
    execv(program, args);
    _exit(99);
}

static void execs(void)
{
    unsigned long message = 0;
    for (int how = 0; how < 2; how++) {
        pid_t pid = traced(run_again, "exec");
        if (how)
            PT(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXEC);
        PT(PTRACE_CONT, pid, 0, 0);
        wait_say(pid, how ? "exec, event" : "exec");
        if (how) {
            PT(PTRACE_GETEVENTMSG, pid, 0, &message);
            say("ptrace", message == (unsigned long)pid, "exec: message");
        }
        struct user_regs_struct r;
        PT(PTRACE_GETREGS, pid, 0, &r);
        say("ptrace", (long)r.rax, "exec: rax");
        PT(PTRACE_CONT, pid, 0, 0);
        wait_say(pid, "exec: end");
    }
}

/* ---- attaching ---- */

static pid_t waiting_child(int ready[2])
{
    (void)!pipe(ready);
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        char c = 0;
        (void)!write(ready[1], &c, 1);
        signal(SIGUSR1, on_signal);
        for (;;) {
            pause();
            if (handled)
                _exit(handled);
        }
    }
    char c;
    (void)!read(ready[0], &c, 1);
    usleep(50000);
    return pid;
}

static void tracer_pid(pid_t pid, const char *what)
{
    char path[64], text[4096] = "";
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    int fd = open(path, O_RDONLY);
    (void)!read(fd, text, sizeof(text) - 1);
    close(fd);
    char *state = strstr(text, "State:"), *at = strstr(text, "TracerPid:");
    say("read", at ? atoi(at + 10) == getpid() : -1, "TracerPid: %s", what);
    say("read", state ? state[7] : -1, "State: %s", what);
}

static void attaching(void)
{
    int ready[2], status;
    pid_t pid = waiting_child(ready);
    tracer_pid(pid, "before");
    say("ptrace", PT(PTRACE_CONT, pid, 0, 0), "CONT: not traced");
    say("ptrace", PT(PTRACE_ATTACH, 0x3fffff, 0, 0), "ATTACH: nobody");
    say("ptrace", PT(PTRACE_ATTACH, getpid(), 0, 0), "ATTACH: oneself");
    say("ptrace", PT(PTRACE_ATTACH, pid, 0, 0), "ATTACH");
    wait_say(pid, "ATTACH");
    tracer_pid(pid, "attached");
    say("ptrace", PT(PTRACE_ATTACH, pid, 0, 0), "ATTACH: twice");
    say("ptrace", PT(PTRACE_SEIZE, pid, 0, 0), "SEIZE: twice");
    say("ptrace", PT(PTRACE_INTERRUPT, pid, 0, 0), "INTERRUPT: not seized");
    say("ptrace", PT(0x7777, pid, 0, 0), "unknown request");
    say("ptrace", PT(PTRACE_CONT, pid, 0, 0), "CONT");
    say("ptrace", PT(PTRACE_CONT, pid, 0, 0), "CONT: it runs");
    say("ptrace", PT(PTRACE_DETACH, pid, 0, 0), "DETACH: it runs");
    kill(pid, SIGSTOP);
    wait_say(pid, "SIGSTOP");
    say("ptrace", PT(PTRACE_DETACH, pid, 0, SIGUSR1), "DETACH with SIGUSR1");
    wait_say(pid, "DETACH");
    close(ready[0]), close(ready[1]);
    pid = waiting_child(ready);
    say("ptrace", PT(PTRACE_SEIZE, pid, 1, 0), "SEIZE: address");
    say("ptrace", PT(PTRACE_SEIZE, pid, 0, 1 << 30), "SEIZE: unknown option");
    say("ptrace", PT(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD), "SEIZE");
    say("wait4", sys(wait4, pid, &status, WNOHANG | __WALL, NULL), "SEIZE: no stop");
    say("ptrace", PT(PTRACE_INTERRUPT, pid, 0, 0), "INTERRUPT");
    wait_say(pid, "INTERRUPT");
    struct user_regs_struct r;
    PT(PTRACE_GETREGS, pid, 0, &r);
    say("ptrace", (long)r.orig_rax, "INTERRUPT: number of the call");
    say("ptrace", (long)r.rax, "INTERRUPT: rax");
    say("ptrace", PT(PTRACE_SYSCALL, pid, 0, 0), "INTERRUPT: SYSCALL");
    wait_say(pid, "INTERRUPT: the call begins again");
    PT(PTRACE_CONT, pid, 0, 0);
    kill(pid, SIGUSR1);
    wait_say(pid, "SEIZE: SIGUSR1");
    PT(PTRACE_CONT, pid, 0, SIGUSR1);
    wait_say(pid, "SEIZE: end");
    close(ready[0]), close(ready[1]);
    /* A user may not look into root. */
    pid = waiting_child(ready);
    fflush(stdout);
    pid_t user = fork();
    if (!user) {
        setresuid(1000, 1000, 1000);
        say("ptrace", PT(PTRACE_ATTACH, pid, 0, 0), "ATTACH: a user to root");
        say("ptrace", PT(PTRACE_SEIZE, pid, 0, 0), "SEIZE: a user to root");
        _exit(0);
    }
    waitpid(user, NULL, 0);
    end(pid);
    close(ready[0]), close(ready[1]);
}

static void tracer_gone(void)
{
    for (int kills = 0; kills < 2; kills++) {
        int ready[2], status;
        pid_t pid = waiting_child(ready);
        fflush(stdout);
        pid_t tracer = fork();
        if (!tracer) {
            if (PT(PTRACE_SEIZE, pid, 0, kills ? PTRACE_O_EXITKILL : 0))
                _exit(1);
            PT(PTRACE_INTERRUPT, pid, 0, 0);
            sys(wait4, pid, &status, __WALL, NULL);
            _exit(0);
        }
        wait_say(tracer, "a tracer's end");
        if (!kills)
            kill(pid, SIGUSR1);
        wait_say(pid, kills ? "its tracee, EXITKILL" : "its tracee");
        close(ready[0]), close(ready[1]);
    }
}

static void from_elsewhere(void)
{
    siginfo_t info;
    int ready[2], status;
    pid_t pid = waiting_child(ready);
    fflush(stdout);
    pid_t tracer = fork();
    if (!tracer) { /* not its parent */
        say("ptrace", PT(PTRACE_ATTACH, pid, 0, 0), "of a brother: ATTACH");
        wait_say(pid, "of a brother");
        say("ptrace", PT(PTRACE_CONT, pid, 0, 0), "of a brother: CONT");
        kill(pid, SIGKILL);
        wait_say(pid, "of a brother: end");
        say("wait4", sys(wait4, pid, &status, __WALL, NULL), "of a brother: afterwards");
        _exit(0);
    }
    waitpid(tracer, NULL, 0);
    wait_say(pid, "traced by a brother");
    close(ready[0]), close(ready[1]);
    pid = traced(nothing, "waitid");
    PT(PTRACE_SYSCALL, pid, 0, 0);
    memset(&info, 0, sizeof(info));
    say("waitid", sys(waitid, P_PID, pid, &info, WSTOPPED, NULL), "of a stop");
    say("waitid", info.si_code, "of a stop: code");
    say("waitid", info.si_status, "of a stop: status");
    end(pid);
}

/* Who stands still is attached to at once; a stop that is listened to ends with SIGCONT. */
static void standing_still(void)
{
    siginfo_t info;
    long v = 0;
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        raise(SIGSTOP);
        _exit(9);
    }
    int status;
    waitpid(pid, &status, WUNTRACED);
    say("ptrace", PT(PTRACE_ATTACH, pid, 0, 0), "of who stands still: ATTACH");
    say("ptrace", PT(PTRACE_PEEKDATA, pid, &word, &v), "of who stands still: at once");
    wait_say(pid, "of who stands still");
    say("ptrace", PT(PTRACE_LISTEN, pid, 0, 0), "LISTEN of one that was not seized");
    PT(PTRACE_DETACH, pid, 0, 0);
    kill(pid, SIGCONT);
    wait_say(pid, "of who stood still");

    int ready[2];
    pid = waiting_child(ready);
    say("ptrace", PT(PTRACE_SEIZE, pid, 0, 0), "listening: SEIZE");
    say("ptrace", PT(PTRACE_LISTEN, pid, 0, 0), "listening: while it runs");
    kill(pid, SIGSTOP);
    wait_say(pid, "listening: the signal");
    say("ptrace", PT(PTRACE_LISTEN, pid, 0, 0), "listening: to a signal's stop");
    PT(PTRACE_CONT, pid, 0, SIGSTOP);
    wait_say(pid, "listening: the stop");
    memset(&info, 0, sizeof(info));
    say("ptrace", PT(PTRACE_GETSIGINFO, pid, 0, &info), "listening: GETSIGINFO of it");
    say("ptrace", info.si_signo, "listening: its signal");
    say("ptrace", info.si_code, "listening: its code");
    say("ptrace", PT(PTRACE_LISTEN, pid, 0, 0), "listening: LISTEN");
    say("ptrace", PT(PTRACE_PEEKDATA, pid, &word, &v), "listening: nothing else");
    say("wait4", sys(wait4, pid, &status, __WALL | WNOHANG, NULL), "listening: no news");
    kill(pid, SIGCONT);
    wait_say(pid, "listening: it goes on");
    PT(PTRACE_CONT, pid, 0, 0);
    wait_say(pid, "listening: SIGCONT");
    end(pid);
    close(ready[0]), close(ready[1]);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return 5;
    facts_begin();
    (void)!readlink("/proc/self/exe", program, sizeof(program) - 1);
    memory();
    registers();
    float_registers();
    calls();
    signals();
    faults();
    breakpoints();
    events();
    execs();
    attaching();
    tracer_gone();
    from_elsewhere();
    standing_still();
    facts_end();
    return 0;
}
