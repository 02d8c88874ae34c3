// SPDX-License-Identifier: Apache-2.0
// A program as many use SGX: a C library, threads, signals, children, descriptors sent to others.
// It knows nothing of a simulator, and says the same on hardware.
#include <cpuid.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ptrace.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>

#include "common.h"

static vdso_sgx_enter_enclave_t enter;
static struct sgx_enclave_run last;

static uint64_t run_op(const struct enclave *e, uint64_t tcs, uint64_t number, uint64_t a)
{
    struct op op = {number, a, 0};
    struct sgx_enclave_run run = {.tcs = e->base + tcs};
    long r = enter_by(enter, &op, 2, &run);
    if (tcs == 0)
        last = run;
    return r == 0 && run.function == 4 ? op.result : ~0ull;
}

static void test_cpuid(void)
{
    unsigned a, b, c, d;
    __cpuid(0, a, b, c, d);
    tell(b == signature_INTEL_ebx && a >= 0x12, "CPUID: the vendor, and leaf 12H");
    __cpuid_count(7, 0, a, b, c, d);
    tell((b >> 2 & 1) == 1 && (c >> 30 & 1) == 1, "CPUID.7: SGX and launch control");
    bool avx512 = b >> 16 & 1, pku = c >> 3 & 1, amx = d >> 24 & 1;
    __cpuid_count(0x12, 1, a, b, c, d);
    tell((!avx512 || (c & 0xe0) == 0xe0) && (!pku || (c >> 9 & 1) == 1) &&
             (!amx || (c >> 17 & 3) == 3),
         "CPUID.7: no feature whose state an enclave cannot have");
    __cpuid_count(0x12, 0, a, b, c, d);
    tell((a & 1) == 1, "CPUID.12H.0: SGX1");
    printf("# SGX2 %u, EDECCSSA %u, largest enclave 2^%u\n", a >> 1 & 1, a >> 11 & 1,
           d >> 8 & 0xff);
    __cpuid_count(0x12, 2, a, b, c, d);
    tell((a & 0xf) == 1, "CPUID.12H.2: a section of EPC");
    printf("# EPC %llu MiB\n", ((unsigned long long)(d & 0xfffff) << 32 | (c & 0xfffff000u)) >> 20);
}

static void test_files(void)
{
    struct stat st;
    char exe[4096], own[4096];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    exe[n > 0 ? n : 0] = 0;
    tell(stat("/dev/sgx_enclave", &st) == 0 && S_ISCHR(st.st_mode),
         "the device is a character device");
    tell(access("/dev/sgx_provision", F_OK) == 0, "there is the provisioning device");
    tell(realpath("program", own) != NULL && strcmp(exe, own) == 0,
         "/proc/self/exe is this program");
}

/* --- exceptions --- */

static void test_exceptions(const struct enclave *e)
{
    struct op op = {1, 0, 0}, fix = {4, 0, 0};
    struct sgx_enclave_run run = {.tcs = e->base};
    long r = enter_by(enter, &op, 2, &run);
    tell(r == 0 && run.function == 3 && run.exception_vector == 6,
         "#UD in the enclave: vector 6, RAX = ERESUME");
    r = enter_by(enter, &fix, 2, &run);
    tell(r == 0 && run.function == 4, "the enclave is entered at the next CSSA");
    r = enter_by(enter, &op, 3, &run);
    tell(r == 0 && run.function == 4 && op.result == 77, "ERESUME goes on behind the instruction");
    run_op(e, 0, 3, 8);
    tell(last.function == 3 && last.exception_vector == 14 && last.exception_addr == 8 &&
             last.exception_error_code == 4,
         "#PF outside ELRANGE: address and error code");
}

static volatile uint64_t seen_rip, seen_rax, seen_rbx;

static void on_fault(int sig, siginfo_t *info, void *context)
{
    const greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    (void)sig;
    (void)info;
    seen_rip = (uint64_t)r[REG_RIP];
    seen_rax = (uint64_t)r[REG_RAX];
    seen_rbx = (uint64_t)r[REG_RBX];
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 3; /* over the ENCLU at the AEP */
}

static volatile uint64_t raw_aep;

/* An asynchronous exit leaves nothing in the registers, so the AEP is noted before. */
static void run_raw(const struct enclave *e, struct op *op)
{
    uint64_t rax = 2, rbx = e->base, rdi = (uint64_t)op;
    __asm__ volatile("lea 1f(%%rip), %%rcx\n"
                     "mov %%rcx, %[aep]\n"
                     "1: enclu\n"
                     : "+a"(rax), "+b"(rbx), "+D"(rdi), [aep] "=m"(raw_aep)
                     :
                     : "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
                       "cc", "memory");
}

static void test_raw(const struct enclave *e)
{
    struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, old;
    struct op op = {0, 0, ~0ull}, bad = {3, 16, 0}, fix = {4, 0, 0};
    run_raw(e, &op);
    tell(op.result < 1000000, "ENCLU of the program's own: in and out");
    sigaction(SIGSEGV, &act, &old);
    run_raw(e, &bad);
    sigaction(SIGSEGV, &old, NULL);
    tell(seen_rip == raw_aep && seen_rax == 3 && seen_rbx == e->base,
         "a fault there: a signal at the AEP, RAX = ERESUME, RBX = TCS");
    struct sgx_enclave_run run = {.tcs = e->base};
    enter_by(enter, &fix, 2,
             &run); /* the load of two or three bytes is skipped; nobody resumes it */
}

/* --- threads and signals --- */

static const struct enclave *shared;

static void *call_often(void *tcs)
{
    for (int i = 0; i < 20000; i++)
        if (run_op(shared, (uint64_t)tcs, 0, 0) == ~0ull)
            return (void *)1;
    return NULL;
}

static void test_threads(const struct enclave *e)
{
    pthread_t a, b;
    void *ra, *rb;
    shared = e;
    uint64_t before = run_op(e, 0, 0, 0);
    pthread_create(&a, NULL, call_often, (void *)0);
    pthread_create(&b, NULL, call_often, (void *)PAGE);
    pthread_join(a, &ra);
    pthread_join(b, &rb);
    tell(ra == NULL && rb == NULL && run_op(e, 0, 0, 0) == before + 40001,
         "two threads, 40,000 calls");
}

static void *make_one(void *arg)
{
    struct enclave e;
    bool good = make_enclave(&e) == 0 && run_op(&e, 0, 0, 0) == 0;
    drop_enclave(&e);
    return good ? arg : NULL;
}

static void test_maker(void)
{
    bool good = true;
    for (int i = 0; i < 80; i++) { /* also: what is closed and unmapped is gone */
        pthread_t t;
        void *r = NULL;
        pthread_create(&t, NULL, make_one, (void *)1);
        pthread_join(t, &r);
        good &= r == (void *)1;
    }
    tell(good, "eighty threads, one after the other, make enclaves of their own");
}

static volatile int alarms;
static struct op *volatile spinning;
static volatile bool inside_seen;
static const struct enclave *spun;

static void on_alarm(int sig, siginfo_t *info, void *context)
{
    uint64_t rip = (uint64_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    (void)sig;
    (void)info;
    inside_seen |= rip - spun->base < SIZE;
    if (++alarms >= 20)
        spinning->a = 1;
}

static void test_signals(const struct enclave *e)
{
    struct op op = {2, 0, 0};
    struct sgx_enclave_run run = {.tcs = e->base};
    struct sigaction act = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct itimerval timer = {{0, 1000}, {0, 1000}}, off = {{0, 0}, {0, 0}};
    spun = e;
    spinning = &op;
    sigaction(SIGALRM, &act, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    long r = enter_by(enter, &op, 2, &run);
    setitimer(ITIMER_REAL, &off, NULL);
    tell(r == 0 && op.result == 88 && alarms >= 20, "twenty signals find a thread inside");
    tell(!inside_seen, "no handler sees the enclave's RIP");
    sigset_t set, old, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGSEGV);
    sigprocmask(SIG_BLOCK, &set, &old);
    raise(SIGUSR1);
    sigpending(&pending);
    sigprocmask(SIG_BLOCK, NULL, &set);
    tell(sigismember(&pending, SIGUSR1) && sigismember(&set, SIGSEGV) &&
             run_op(e, 0, 0, 0) != ~0ull,
         "signals that are blocked stay so, and enclaves run");
    signal(SIGUSR1, SIG_IGN);
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static void on_stack(int sig)
{
    (void)sig;
    char here;
    stack_t now;
    sigaltstack(NULL, &now);
    seen_rip =
        (uint64_t)&here - (uint64_t)now.ss_sp < now.ss_size && (now.ss_flags & SS_ONSTACK) != 0;
}

static void test_stack(void)
{
    static char room[65536];
    stack_t stack = {.ss_sp = room, .ss_size = sizeof(room)}, old;
    struct sigaction act = {.sa_handler = on_stack, .sa_flags = SA_ONSTACK | SA_RESETHAND}, now;
    seen_rip = 0;
    bool was = sigaltstack(&stack, &old) == 0 && (old.ss_flags & SS_DISABLE) != 0;
    sigaction(SIGUSR2, &act, NULL);
    raise(SIGUSR2);
    sigaction(SIGUSR2, NULL, &now);
    tell(was && seen_rip == 1 && now.sa_handler == SIG_DFL,
         "a signal stack of its own; SA_RESETHAND");
}

/* --- processes --- */

static int wait_for(pid_t pid)
{
    int status = -1;
    waitpid(pid, &status, 0);
    return status;
}

static void test_fork(const struct enclave *e, char **argv)
{
    struct enclave own;
    uint64_t before = run_op(e, 0, 0, 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(make_enclave(&own) == 0 && run_op(&own, 0, 0, 0) == 0 && run_op(&own, PAGE, 0, 0) == 1
                  ? 7
                  : 8);
    tell(wait_for(pid) == 7 << 8 && run_op(e, 0, 0, 0) == before + 1,
         "a child has an enclave of its own");
    char *child[] = {argv[0], "child", NULL};
    extern char **environ;
    bool good = posix_spawn(&pid, "/proc/self/exe", NULL, NULL, child, environ) == 0;
    tell(good && wait_for(pid) == 9 << 8, "a program that is started finds SGX, too");
    pid = fork();
    if (pid == 0)
        raise(SIGSEGV);
    int status = wait_for(pid);
    tell(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV,
         "a child without a handler dies of SIGSEGV");
    signal(SIGUSR1, on_stack);
    bool sh = system("kill -USR1 $$; exit 3") == (SIGUSR1 | 0);
    raise(SIGUSR1);
    signal(SIGUSR1, SIG_IGN);
    tell(sh, "a handler of the parent's is none of its children's");
}

static volatile int usr1;
static void count_usr1(int sig)
{
    usr1 += sig == SIGUSR1;
}

/* A child that has its parent's memory until it starts a program, or ends, has signals of its own;
 * one that wants to be traced is, by then. */
static void test_vfork(void)
{
    char *child[] = {"/bin/true", NULL};
    stack_t none, before = {.ss_flags = SS_DISABLE};
    pid_t pid;
    signal(SIGUSR1, count_usr1);
    bool good = posix_spawn(&pid, child[0], NULL, NULL, child, NULL) == 0 && wait_for(pid) == 0;
    raise(SIGUSR1);
    tell(good && usr1 == 1, "posix_spawn leaves the parent's handler alone");
    sigset_t set, old, now;
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    sigaltstack(NULL, &before);
    if ((pid = vfork()) == 0) {
        none = (stack_t){.ss_flags = SS_DISABLE};
        sigaltstack(&none, NULL);
        sigprocmask(SIG_BLOCK, &set, &old);
        signal(SIGUSR1, SIG_IGN);
        _exit(3);
    }
    good = wait_for(pid) == 3 << 8;
    raise(SIGUSR1);
    sigaltstack(NULL, &none);
    sigprocmask(SIG_BLOCK, NULL, &now);
    tell(good && usr1 == 2 && sigismember(&now, SIGSEGV) == 0 && none.ss_flags == before.ss_flags &&
             none.ss_sp == before.ss_sp,
         "vfork: what the child does to its signals is not the parent's");
    signal(SIGUSR1, SIG_IGN);
    if ((pid = vfork()) == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        signal(SIGUSR1, SIG_DFL);
        execv(child[0], child);
        _exit(4);
    }
    int status = wait_for(pid), stops = 0;
    for (; WIFSTOPPED(status) && stops < 1000; stops++) {
        int sig = WSTOPSIG(status);
        ptrace(PTRACE_CONT, pid, NULL, (void *)(long)(sig == SIGTRAP ? 0 : sig));
        status = wait_for(pid);
    }
    tell(stops > 0 && status == 0, "vfork: a child is traced from its execve on");
}

static int send_fd(int to, int fd)
{
    char byte = 0, room[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec v = {&byte, 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    return sendmsg(to, &m, 0) == 1 ? 0 : -1;
}

static int receive_fd(int from)
{
    char byte, room[CMSG_SPACE(sizeof(int))];
    struct iovec v = {&byte, 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
    int fd = -1;
    if (recvmsg(from, &m, 0) == 1 && CMSG_FIRSTHDR(&m) != NULL)
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
    return fd;
}

static void test_sent(void)
{
    int pair[2];
    struct enclave e;
    (void)!socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    pid_t pid = fork();
    if (pid == 0)
        _exit(make_enclave_of(receive_fd(pair[1]), &e) == 0 && run_op(&e, 0, 0, 0) == 0 ? 5 : 6);
    int fd = open("/dev/sgx/enclave", O_RDWR);
    if (fd < 0)
        fd = open("/dev/sgx_enclave", O_RDWR);
    tell(send_fd(pair[0], fd) == 0 && wait_for(pid) == 5 << 8,
         "a device that was sent by SCM_RIGHTS");
}

/* EPERM for getppid, and all else as before. */
static void test_filter(const struct enclave *e)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_access, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    pid_t pid = fork();
    if (pid == 0) {
        struct enclave own;
        bool good = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
        good = good && syscall(SYS_getppid) == -1 && errno == EPERM;
        good = good && access("/", F_OK) == -1 && errno == EXDEV;
        good = good && make_enclave(&own) == 0 && run_op(&own, 0, 0, 0) == 0;
        _exit(good ? 4 : 5);
    }
    tell(wait_for(pid) == 4 << 8 && run_op(e, 0, 0, 0) != ~0ull, "a filter of the program's own");
}

/* A page that the enclave gets at run time, and the kernel adds as it is touched. */
static void test_sgx2(const struct enclave *e, bool there)
{
    struct op op = {5, e->base + PAGES * PAGE, 0x20b}; /* PT_REG, PENDING, RW */
    struct sgx_enclave_run run = {.tcs = e->base};
    long r = enter_by(enter, &op, 2, &run);
    if (there)
        tell(r == 0 && run.function == 4 && op.result == 0,
             "EACCEPT of a page that the kernel adds");
    else
        tell(r == 0 && run.function == 3 && run.exception_vector == 13,
             "without SGX2 EACCEPT is #GP");
}

/* What was mapped and never written may be given back; it is there again when it is needed. */
static int forget_object(struct dl_phdr_info *object, size_t size, void *arg)
{
    for (unsigned i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &object->dlpi_phdr[i];
        uintptr_t start = (object->dlpi_addr + p->p_vaddr) & ~(PAGE - 1);
        if (p->p_type == PT_LOAD && !(p->p_flags & PF_W))
            madvise((void *)start, object->dlpi_addr + p->p_vaddr + p->p_memsz - start,
                    MADV_DONTNEED);
    }
    (void)size;
    (void)arg;
    return 0;
}

static void test_memory(const struct enclave *e)
{
    struct timespec t;
    dl_iterate_phdr(forget_object, NULL);
    tell(clock_gettime(CLOCK_MONOTONIC, &t) == 0 && run_op(e, 0, 0, 0) != ~0ull,
         "the vDSO is there after MADV_DONTNEED of all text");
}

/* Says where its code is, and runs until a debugger has changed what it answers. */
static int wait_for_debugger(struct enclave *e, bool debug)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    const uint8_t answer[] = {0x48, 0xc7, 0x47, 0x10, 88, 0, 0, 0}; /* movq $88, 16(%rdi) */
    uint64_t result = 88;
    attributes |= debug ? 2 : 0;
    if (make_enclave(e) != 0)
        return 1;
    const uint8_t *at = memmem(image, sizeof(image), answer, sizeof(answer));
    printf("0x%lx\n", (unsigned long)(e->base + (uint64_t)(at - image)));
    fflush(stdout);
    for (int i = 0; result == 88 && i < 12000; i++) {
        result = run_op(e, 0, 2, 1);
        nanosleep(&pause, NULL);
    }
    printf("%lu\n", (unsigned long)result);
    return 0;
}

int main(int argc, char **argv)
{
    struct enclave e;
    unsigned a, b, c, d;
    enter = find_enter();
    if (argc > 1 && strcmp(argv[1], "xsave") == 0)
        return make_enclave(&e) == 0 && run_op(&e, 0, 7, 0) == 0x5a5a5a5a5a5a5a5a ? 0 : 1;
    if (argc > 1 && strncmp(argv[1], "debug", 5) == 0)
        return wait_for_debugger(&e, strcmp(argv[1], "debugged") == 0);
    if (argc > 1)
        return enter != NULL && make_enclave(&e) == 0 && run_op(&e, 0, 0, 0) == 0 ? 9 : 10;
    tell(enter != NULL, "the vDSO has the function");
    test_cpuid();
    test_files();
    tell(make_enclave(&e) == 0, "an enclave is made");
    tell(run_op(&e, 0, 0, 0) == 0 && run_op(&e, PAGE, 0, 0) == 1, "it counts");
    test_exceptions(&e);
    drop_enclave(&e);
    tell(make_enclave(&e) == 0 && run_op(&e, 0, 0, 0) == 0, "another one after it");
    test_threads(&e);
    test_maker();
    test_signals(&e);
    test_stack();
    test_fork(&e, argv);
    test_vfork();
    test_sent();
    test_filter(&e);
    test_memory(&e);
    __cpuid_count(0x12, 0, a, b, c, d);
    test_sgx2(&e, (a & 2) != 0);
    test_raw(&e);
    return 0;
}
