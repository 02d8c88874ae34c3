// SPDX-License-Identifier: Apache-2.0
// A signal at every single instruction of a call into an enclave and out: in the caller, in the way
// in, in the simulator's C code, in slots, in the enclave, on the way back. A tracer steps to the
// n-th instruction and injects it there, for each n. The handler must run once, the call must not
// notice.
#include "tests/sgx/checks.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/sgx/sim/sim.h"

#define BASE (1ull << 44)
#define MAX_STEPS 20000u

static volatile unsigned hits;
static volatile uint64_t strange;
static void **code_page; /* of the tracee's thread */

static void on_signal(int sig, siginfo_t *info, void *ctx)
{
    const ucontext_t *uc = ctx;
    uint64_t rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
    hits++;
    errno = 0; /* TLS is the host's */
    if (rip >= BASE && rip < BASE + H_SIZE)
        strange++; /* never a RIP inside */
}

/* Stops for the tracer, then makes one call; each check that fails has its own exit status. */
static void tracee(bool keys)
{
    struct harness h;
    struct sh_error err = {0};
    struct harness_options o = {.attributes = SGX_ATTR_DEBUG};
    struct sgx_secinfo plain = {.flags = SGX_SECINFO_PT(SGX_PT_REG) | 3};
    struct sigaction act = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    if (harness_build(&h, &o, false, &err) != 0 || h.e.driver->sigaction(SIGUSR1, &act, NULL) != 0)
        _exit(10);
    harness_poke(&h, H_RW, &plain, sizeof(plain));
    *code_page = sim_self->code;
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    for (;;) {
        struct probe p = {.op = keys ? PROBE_BASES : PROBE_VECTOR,
                          .rax = SGX_EMODPE,
                          .rbx = h.e.base + H_RW,
                          .rcx = h.e.base + H_RW + 0x1000};
        hits = 0;
        syscall(SYS_kill, getpid(), SIGSTOP);
        int ret = harness_call(&h, 0, &p);
        sigset_t mask;
        if (ret != 0 || h.run.function != SGX_EEXIT)
            _exit(11);
        if (!keys && (p.rax != SGX_EMODPE || p.rbx != 0))
            _exit(12);
        if (keys && p.rbx != h.e.base + H_TLS(0))
            _exit(13);
        pthread_sigmask(SIG_SETMASK, NULL, &mask);
        if (sigismember(&mask, SIGUSR1) || sigismember(&mask, SIGALRM))
            _exit(14); /* a deferred signal's mask was left behind */
        if (hits != 1)
            _exit(15);
        if (strange != 0)
            _exit(16);
    }
}

/* `pushf` under a tracer stores the tracer's TF. */
static void step(pid_t pid)
{
    struct user_regs_struct r;
    int status;
    ptrace(PTRACE_GETREGS, pid, 0, &r);
    bool pushf = (ptrace(PTRACE_PEEKTEXT, pid, r.rip, 0) & 0xff) == 0x9c;
    assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, 0, 0), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSTOPPED(status));
    if (pushf) {
        long flags = ptrace(PTRACE_PEEKDATA, pid, r.rsp - 8, 0);
        ptrace(PTRACE_POKEDATA, pid, r.rsp - 8, flags & ~0x100l);
    }
}

/* The kernel forgets at times that TF was the tracer's. */
static void clear_tf(pid_t pid)
{
    struct user_regs_struct r;
    ptrace(PTRACE_GETREGS, pid, 0, &r);
    if ((r.eflags & 0x100) != 0) {
        r.eflags &= ~0x100ull;
        ptrace(PTRACE_SETREGS, pid, 0, &r);
    }
}

/* Lets it run, with `sig`, to its next stop of its own; other signals are its business. */
static void run_to_stop(pid_t pid, int sig, unsigned n)
{
    for (;;) {
        int status;
        assert_int_equal(ptrace(PTRACE_CONT, pid, 0, sig), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFSTOPPED(status))
            fail_msg("signal at instruction %u: status %x", n, (unsigned)status);
        sig = WSTOPSIG(status);
        if (sig == SIGSTOP)
            return;
    }
}

static bool at_stop(pid_t pid)
{
    struct user_regs_struct r;
    ptrace(PTRACE_GETREGS, pid, 0, &r);
    return (ptrace(PTRACE_PEEKTEXT, pid, r.rip, 0) & 0xffff) == 0x050f &&
           r.rax == SYS_rt_sigprocmask;
}

extern const uint8_t sgx_entry_begin[] __asm__("sgxsim_enter_enclave");

/* The assembly of both sides: where a thread is on neither. C code is interrupted here and there.
 */
static bool delicate(uint64_t rip)
{
    uint64_t code = (uint64_t)*code_page;
    return (rip >= (uint64_t)sgx_entry_begin && rip < (uint64_t)sim_stub_end) ||
           (rip >= BASE && rip < BASE + H_SIZE + 0x10000) || (rip >= code && rip < code + 4096);
}

/* One call in single steps: which of its instructions to interrupt. */
static unsigned choose(pid_t pid, unsigned stride, bool *chosen)
{
    unsigned n = 0, count = (unsigned)getpid();
    while (n < MAX_STEPS && !at_stop(pid)) {
        struct user_regs_struct r;
        ptrace(PTRACE_GETREGS, pid, 0, &r);
        bool d = delicate(r.rip);
        chosen[n] = d ? count++ % stride == 0 : n % 97 == 0;
        step(pid);
        n++;
    }
    assert_true(count > (unsigned)getpid() + 150);
    clear_tf(pid);
    run_to_stop(pid, SIGUSR1, n);
    return n;
}

/* From the first instruction after the stop to the first system call behind the enclave's EEXIT. */
static void everywhere(bool keys, unsigned stride)
{
    static bool chosen[MAX_STEPS];
    code_page =
        mmap(NULL, sizeof(*code_page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(code_page != MAP_FAILED);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(300);
        tracee(keys);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    run_to_stop(pid, SIGUSR1, 0); /* the first call binds symbols */
    unsigned steps = choose(pid, stride, chosen), done = 0;
    for (unsigned n = 0; n < steps; n++) {
        if (!chosen[n])
            continue;
        for (unsigned i = 0; i < n; i++)
            step(pid);
        clear_tf(pid);
        run_to_stop(pid, SIGUSR1, n);
        done++;
    }
    print_message("# %u of %u instructions\n", done, steps);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    munmap(code_page, sizeof(*code_page));
}

/* SGXSIM_THOROUGH=1: each instruction of the assembly, in a minute or two. Else a part of them,
 * another one each time. */
static bool thorough(void)
{
    return getenv("SGXSIM_THOROUGH") != NULL;
}

static void test_plain_call(void **state)
{
    everywhere(true, thorough() ? 1 : 3);
}

static void test_call_with_leaf(void **state)
{
    everywhere(false, thorough() ? 1 : 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_call),
        cmocka_unit_test(test_call_with_leaf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
