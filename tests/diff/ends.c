// SPDX-License-Identifier: Apache-2.0
// How programs end, one case a run: ends NUMBER. What is printed and the status must be Linux's.
#include "facts.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <ucontext.h>

static char *self_;
static char alternate[65536] __attribute__((aligned(4096)));

static void on_segv(int sig, siginfo_t *info, void *context)
{
    printf("SIGSEGV, code %d, address %s\n", info->si_code, info->si_addr ? "told" : "none");
    fflush(stdout);
    _exit(3);
}

static void on_hup(int sig) {}

static void to_nowhere(int sig, siginfo_t *info, void *context)
{
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] = 0x800000000000;
}

static void stack_to_nowhere(int sig, siginfo_t *info, void *context)
{
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RSP] = 0x1234567890000000;
}

static void action(int sig, void *handler, int flags)
{
    struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
    sigaction(sig, &a, NULL);
}

static int deep(int n)
{
    volatile char room[4096];
    room[0] = (char)n;
    return n ? deep(n - 1) + room[0] : 0;
}

static void run_file(const char *text, size_t size, int mode)
{
    char *args[] = {"x", NULL};
    int fd = open("prog", O_CREAT | O_WRONLY | O_TRUNC, 0755);
    if (write(fd, text, size) < 0 || fchmod(fd, (mode_t)mode))
        return;
    close(fd);
    execv("./prog", args);
    printf("execv: %s\n", strerror(errno));
}

static void head_of_self(size_t size, int at, int value)
{
    static char text[1 << 20];
    int fd = open(self_, O_RDONLY);
    long n = read(fd, text, size);
    close(fd);
    if (at >= 0)
        text[at] = (char)value;
    run_file(text, (size_t)n, 0755);
}

static void many_args(int count, size_t size)
{
    char *one = malloc(size + 1), **args = calloc((size_t)count + 1, sizeof(*args));
    memset(one, 'q', size);
    one[size] = 0;
    for (int i = 0; i < count; i++)
        args[i] = one;
    execv("/nothing", args);
    printf("execv: %s\n", strerror(errno));
}

static void file_faults(int shared, int behind)
{
    int fd = open("map", O_CREAT | O_RDWR | O_TRUNC, 0600);
    if (ftruncate(fd, 100))
        return;
    volatile char *p = mmap(NULL, 8192, 3, shared ? MAP_SHARED : MAP_PRIVATE, fd, 0);
    printf("%d\n", p[0]);
    fflush(stdout);
    p[behind] = 1;
    printf("went on\n");
}

/* PID 1 does not hear what it does not handle, so the cases run in a child there; its end is told as a shell
 * tells it. */
static void leave_first_process(void)
{
    int status;
    pid_t child = getpid() == 1 ? fork() : 0;
    if (child <= 0)
        return;
    waitpid(child, &status, 0);
    exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

int main(int argc, char **argv)
{
    leave_first_process();
    int n = argc > 1 ? atoi(argv[1]) : 0;
    struct rlimit small = {1 << 20, 1 << 20}, tiny = {4096, 4096};
    stack_t alt = {.ss_sp = alternate, .ss_size = sizeof(alternate)};
    self_ = "/proc/self/exe";
    facts_begin();
    signal(SIGALRM, SIG_DFL);
    switch (n) {
    case 0: return 0;
    case 1: run_file("", 0, 0755); break;
    case 2: run_file("#!/no/such\n", 11, 0755); break;
    case 3: run_file("echo hi\n", 8, 0755); break;
    case 4: head_of_self(100, -1, 0); break;
    case 5: head_of_self(1 << 20, 18, 3); break;     /* another processor */
    case 6: head_of_self(1 << 20, 54, 1); break;     /* headers of another size */
    case 7: head_of_self(200, -1, 0); break;
    case 8: run_file("#!prog\n", 7, 0755); break;    /* itself */
    case 9: run_file("#! \n", 4, 0755); break;
    case 10: run_file("x", 1, 0644); break;
    case 11: many_args(3, 200000); break;            /* a string too long */
    case 12: many_args(40000, 100); break;           /* all together too much */
    case 13: setrlimit(RLIMIT_STACK, &small); many_args(3000, 100); break;
    case 14: { char *args[] = {"x", NULL}; execv(".", args); printf("execv: %s\n", strerror(errno)); break; }
    case 15: { char *args[] = {"x", NULL}; execv("/proc/self/status", args); printf("execv: %s\n", strerror(errno)); break; }
    case 20: action(SIGSEGV, on_segv, 0); sigaltstack(&alt, NULL); signal(SIGHUP, on_hup); action(SIGHUP, on_hup, SA_ONSTACK); mprotect(alternate, sizeof(alternate), PROT_READ); raise(SIGHUP); break;
    case 21: action(SIGUSR1, to_nowhere, 0); raise(SIGUSR1); break;
    case 22: action(SIGSEGV, on_segv, 0); action(SIGUSR1, to_nowhere, 0); raise(SIGUSR1); break;
    case 23: action(SIGUSR1, (void *)0x800000000000, 0); raise(SIGUSR1); break;
    case 24: action(SIGSEGV, on_segv, 0); action(SIGUSR1, (void *)0x800000000000, 0); raise(SIGUSR1); break;
    case 25: action(SIGUSR1, stack_to_nowhere, 0); action(SIGSEGV, on_segv, SA_ONSTACK); sigaltstack(&alt, NULL); raise(SIGUSR1); break;
    case 26: action(SIGSEGV, on_segv, SA_ONSTACK); sigaltstack(&alt, NULL); printf("%d\n", deep(1 << 20)); break;
    case 27: printf("%d\n", deep(1 << 20)); break;
    case 28: action(SIGSEGV, on_segv, 0); *(volatile int *)8 = 1; break;
    case 29: action(SIGSEGV, on_segv, 0); *(volatile int *)0x800000000000 = 1; break;
    case 30: *(volatile int *)8 = 1; break;
    case 31: action(SIGBUS, on_segv, 0); file_faults(1, 5000); break;
    case 32: action(SIGBUS, on_segv, 0); file_faults(0, 5000); break;
    case 33: file_faults(1, 5000); break;
    case 34: file_faults(1, 200); break;
    case 40: setrlimit(RLIMIT_FSIZE, &tiny); { int fd = open("big", O_CREAT | O_RDWR, 0600); long r = pwrite(fd, "x", 1, 5000); printf("%ld\n", r); } break;
    case 41: signal(SIGXFSZ, SIG_IGN); setrlimit(RLIMIT_FSIZE, &tiny); { int fd = open("big", O_CREAT | O_RDWR, 0600); long r = pwrite(fd, "x", 1, 5000); printf("%ld %d\n", r, errno); printf("%d %d\n", ftruncate(fd, 5000), errno); printf("%ld\n", (long)pwrite(fd, "0123456789", 10, 4090)); } break;
    case 42: { int p[2]; if (pipe(p)) return 1; close(p[0]); printf("%ld\n", (long)write(p[1], "x", 1)); } break;
    case 43: raise(SIGABRT); break;
    case 44: raise(SIGKILL); break;
    case 45: raise(SIGCHLD); raise(SIGURG); raise(SIGWINCH); printf("ignored\n"); break;
    case 46: __asm__ volatile("ud2"); break;
    case 47: { volatile int zero = 0; printf("%d\n", 1 / zero); } break;
    case 48: syscall(SYS_rt_sigreturn); break;
    case 49: __asm__ volatile("int3"); break;
    case 53: action(SIGSEGV, on_segv, 0); __asm__ volatile("inb $0x80, %%al" : : : "rax"); break;
    case 54: __asm__ volatile("rep outsw" : : "d"(0x80), "S"(0x1000), "c"(1)); break;
    case 55: __asm__ volatile("rdpmc" : : "c"(0) : "rax", "rdx"); break;
    case 56: __asm__ volatile("int $0x21"); break;
    case 57: __asm__ volatile("hlt"); break;
    case 58: __asm__ volatile(".byte 0xf0, 0x90" : : : "memory"); break;
    case 50: _exit(300); break;
    case 51: sigset_t all; sigfillset(&all); sigprocmask(SIG_BLOCK, &all, NULL); *(volatile int *)8 = 1; break;
    case 52: signal(SIGSEGV, SIG_IGN); *(volatile int *)8 = 1; break;
    /* No case: a push while rsp is no address. SGX does not report #SS; the thread then runs for ever, as if busy. */
    default: return 100;
    }
    printf("end\n");
    return 0;
}
