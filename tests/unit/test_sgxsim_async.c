// SPDX-License-Identifier: Apache-2.0
// What comes from outside while an enclave runs: interrupts, single steps, threads, signals, and
// the ways of older kernels; each at both speeds. Section numbers are of the Intel SDM, volume 3D.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "host/sgx/sim/sim.h"
#include "tests/sgx/checks.h"

static volatile sig_atomic_t traps;
static volatile uint64_t trap_rip, trap_rax, trap_rbx, trap_xmm, trap_mxcsr, trap_other;

static void on_signal(int sig, siginfo_t *info, void *ctx)
{
    const ucontext_t *uc = ctx;
    const greg_t *r = uc->uc_mcontext.gregs;
    traps++;
    trap_rip = (uint64_t)r[REG_RIP];
    trap_rax = (uint64_t)r[REG_RAX];
    trap_rbx = (uint64_t)r[REG_RBX];
    trap_other = (uint64_t)(r[REG_RDX] | r[REG_RSI] | r[REG_RDI] | r[REG_R8] | r[REG_R15]);
    trap_mxcsr = uc->uc_mcontext.fpregs->mxcsr;
    const struct _libc_fpstate *fp = uc->uc_mcontext.fpregs;
    trap_xmm = fp->_xmm[15].element[0] | fp->_xmm[0].element[0];
    errno = sig; /* TLS works in handlers */
}

/* #BP and #DB are never fixed up: a signal at the AEP (asm/sgx.h; 36.4). */
static void test_breakpoint(void **state)
{
    struct harness h;
    start(state, &h);
    struct sigaction act = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO}, old;
    assert_int_equal(h.e.driver->sigaction(SIGTRAP, &act, &old), 0);
    traps = 0;
    struct probe p = {.op = PROBE_INSN, .rbx = INSN_INT3};
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_int_equal(h.run.function, SGX_EEXIT); /* ERESUME went on behind the breakpoint */
    assert_int_equal(traps, 1);
    assert_int_equal(trap_rax, SGX_ERESUME);
    assert_int_equal(trap_rbx, h.e.base + H_TCS(0));
    assert_int_equal(h.e.driver->sigaction(SIGTRAP, &old, NULL), 0);
    finish(&h);
}

/* --- interrupts ------------------------------------------------------------------------------ */

static volatile uint64_t stop_flag;
static volatile unsigned alarms, alarms_inside;
static unsigned alarms_wanted;

static void on_alarm(int sig, siginfo_t *info, void *ctx)
{
    const ucontext_t *uc = ctx;
    alarms++;
    if ((uint64_t)uc->uc_mcontext.gregs[REG_RAX] == SGX_ERESUME &&
        (uint64_t)uc->uc_mcontext.gregs[REG_RBX] == (1ull << 44) + H_TCS(0)) {
        alarms_inside++;
        on_signal(sig, info, ctx);
    }
    if (alarms_inside >= alarms_wanted)
        stop_flag = 1;
}

static void set_alarm(struct harness *h, unsigned wanted, long usec)
{
    struct sigaction act = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | SA_RESTART};
    assert_int_equal(h->e.driver->sigaction(SIGALRM, &act, NULL), 0);
    stop_flag = alarms = alarms_inside = 0;
    alarms_wanted = wanted;
    struct itimerval t = {{0, usec}, {0, usec}};
    setitimer(ITIMER_REAL, &t, NULL);
}

static void stop_alarm(struct harness *h)
{
    struct itimerval t = {{0, 0}, {0, 0}};
    struct sigaction act = {.sa_handler = SIG_IGN};
    setitimer(ITIMER_REAL, &t, NULL);
    assert_int_equal(h->e.driver->sigaction(SIGALRM, &act, NULL), 0);
}

/* 36.2: an interrupt is an AEX; synthetic state outside (36.4.1), all state back after ERESUME. */
static void test_interrupts(void **state)
{
    struct harness h;
    start(state, &h);
    set_alarm(&h, 200, 300);
    struct probe p = {.op = PROBE_SPIN, .rbx = (uint64_t)&stop_flag};
    int ret = harness_call(&h, 0, &p);
    stop_alarm(&h);
    assert_int_equal(ret, 0);
    assert_int_equal(h.run.function, SGX_EEXIT);
    assert_int_equal(p.rax, 0); /* no register changed */
    assert_true(alarms_inside >= 200);
    assert_int_equal(trap_rax, SGX_ERESUME);
    assert_int_equal(trap_other, 0);
    assert_int_equal(trap_xmm, 0);
    assert_int_equal(trap_mxcsr, 0x1f80);
    assert_false(trap_rip >= h.e.base && trap_rip < h.e.base + h.e.size);
    struct sgxsim_stats s = stats_of(&h);
    assert_true(s.aex_interrupt >= 50); /* the others found the thread at the AEP */
    assert_int_equal(s.aex, s.eresume);
    finish(&h);
}

/* Interrupts that fall on ENCLU itself, in slots and in the simulator, are neither lost nor seen.
 */
static void test_interrupts_everywhere(void **state)
{
    struct harness h;
    start(state, &h);
    struct sgx_secinfo plain = {.flags = SGX_SECINFO_PT(SGX_PT_REG) | 3};
    harness_poke(&h, H_RW, &plain, sizeof(plain));
    set_alarm(&h, 1u << 30, 150);
    unsigned calls = 0;
    while (alarms < 1500) {
        struct probe p = {.op = PROBE_VECTOR,
                          .rax = SGX_EMODPE,
                          .rbx = h.e.base + H_RW,
                          .rcx = h.e.base + H_RW + 0x1000};
        int ret = harness_call(&h, 0, &p);
        if (ret != 0 || h.run.function != SGX_EEXIT || p.rbx != 0 || p.rax != SGX_EMODPE) {
            stop_alarm(&h);
            fail_msg("call %u: %d, function %u vector %u rax %lu rbx %lx", calls, ret,
                     h.run.function, h.run.exception_vector, p.rax, p.rbx);
        }
        calls++;
    }
    stop_alarm(&h);
    sigset_t mask;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    assert_int_equal(sigismember(&mask, SIGALRM), 0); /* none left blocked */
    struct sgxsim_stats s = stats_of(&h);
    assert_int_equal(s.eenter, calls);
    assert_int_equal(s.eexit, calls);
    assert_int_equal(s.aex, s.eresume);
    assert_int_equal(s.emodpe, calls);
    finish(&h);
}

/* --- single steps ---------------------------------------------------------------------------- */

struct steps {
    struct harness *h;
    unsigned count, reentries;
};

static enum sgx_enclu on_step(void *arg, uint64_t tcs, uint64_t rip)
{
    struct steps *s = arg;
    s->count++;
    if (tcs != s->h->e.base + H_TCS(0))
        abort();
    return SGX_ERESUME;
}

/* An AEX after every instruction of a whole call changes nothing. */
static void test_single_steps(void **state)
{
    struct harness h;
    start(state, &h);
    struct steps s = {.h = &h};
    struct probe p = {.op = PROBE_VECTOR, .rax = SGX_EDECCSSA + 100};
    sgxsim_step(on_step, &s);
    p = (struct probe){.op = PROBE_BASES};
    assert_int_equal(harness_call(&h, 0, &p), 0);
    sgxsim_step(NULL, NULL);
    assert_int_equal(h.run.function, SGX_EEXIT);
    assert_int_equal(p.rbx, h.e.base + H_TLS(0));
    assert_true(s.count > 30);
    struct sgxsim_stats st = stats_of(&h);
    assert_int_equal(st.aex, s.count);
    assert_int_equal(st.eresume, s.count);
    /* Vector registers and an EMODPE in between. */
    struct sgx_secinfo plain = {.flags = SGX_SECINFO_PT(SGX_PT_REG) | 3};
    harness_poke(&h, H_RW, &plain, sizeof(plain));
    sgxsim_step(on_step, &s);
    p = (struct probe){.op = PROBE_VECTOR,
                       .rax = SGX_EMODPE,
                       .rbx = h.e.base + H_RW,
                       .rcx = h.e.base + H_RW + 0x1000};
    assert_int_equal(harness_call(&h, 0, &p), 0);
    sgxsim_step(NULL, NULL);
    assert_int_equal(h.run.function, SGX_EEXIT);
    assert_int_equal(p.rbx, 0);
    /* And without: nothing is stepped any more. */
    unsigned before = s.count;
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_int_equal(s.count, before);
    finish(&h);
}

/* The attack on every instruction: AEX, then EENTER with CSSA 1 at once (the exception entry), then
 * ERESUME. Not stepped inside the exception entry: there is no third frame. */
static enum sgx_enclu attack(void *arg, uint64_t tcs, uint64_t rip)
{
    struct steps *s = arg;
    s->count++;
    s->reentries++;
    sgxsim_step(NULL, NULL);
    return SGX_EENTER;
}

static int after_attack(long rdi, long rsi, long rdx, long rsp, long r8, long r9,
                        struct sgx_enclave_run *run)
{
    struct steps *s = (struct steps *)run->user_data;
    if (run->function != SGX_EEXIT)
        return -1;
    if (s->reentries == 0)
        return 0;
    s->reentries--;
    sgxsim_step(attack, s);
    return SGX_ERESUME;
}

static void test_reentry_at_every_instruction(void **state)
{
    struct harness h;
    start(state, &h);
    struct steps s = {.h = &h};
    struct probe p = {.op = PROBE_BASES};
    h.run = (struct sgx_enclave_run){.tcs = h.e.base + H_TCS(0),
                                     .user_handler = (uint64_t)after_attack,
                                     .user_data = (uint64_t)&s};
    sgxsim_step(attack, &s);
    int ret = sgx_enter(h.e.driver->entry(), &h.run, SGX_EENTER, (uint64_t)&p, 0, 0);
    sgxsim_step(NULL, NULL);
    assert_int_equal(ret, 0);
    assert_int_equal(h.run.function, SGX_EEXIT);
    assert_int_equal(p.rbx, h.e.base + H_TLS(0));
    struct probe_tls tls;
    harness_peek(&h, H_TLS(0), &tls, sizeof(tls));
    assert_int_equal(tls.exceptions, s.count);
    assert_true(s.count > 30);
    finish(&h);
}

/* --- threads --------------------------------------------------------------------------------- */

struct worker {
    struct harness *h;
    unsigned tcs, calls, failures;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    struct harness mine = *w->h;
    for (unsigned i = 0; i < w->calls; i++) {
        uint64_t addr = mine.e.base + H_RW + 0x1000 + w->tcs * 8, value = i ^ w->tcs;
        struct probe p = {.op = PROBE_WRITE, .rbx = addr, .rcx = value};
        if (harness_call(&mine, w->tcs, &p) != 0 || mine.run.function != SGX_EEXIT)
            w->failures++;
        p = (struct probe){.op = PROBE_READ, .rbx = addr};
        if (harness_call(&mine, w->tcs, &p) != 0 || p.rax != value)
            w->failures++;
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct harness h;
    start(state, &h);
    for (unsigned round = 0; round < 3;
         round++) { /* threads end, and their places are used again */
        pthread_t threads[H_TCS_COUNT];
        struct worker w[H_TCS_COUNT];
        for (unsigned i = 0; i < H_TCS_COUNT; i++) {
            w[i] = (struct worker){.h = &h, .tcs = i, .calls = *state == STRICT ? 200 : 5000};
            assert_int_equal(pthread_create(&threads[i], NULL, work, &w[i]), 0);
        }
        for (unsigned i = 0; i < H_TCS_COUNT; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(w[i].failures, 0);
        }
    }
    finish(&h);
}

static void *spin(void *arg)
{
    struct worker *w = arg;
    struct harness mine = *w->h;
    struct probe p = {.op = PROBE_SPIN, .rbx = (uint64_t)&stop_flag};
    if (harness_call(&mine, w->tcs, &p) != 0 || mine.run.function != SGX_EEXIT || p.rax != 0)
        w->failures++;
    return NULL;
}

/* A TCS belongs to one thread at a time; an enclave with a thread inside cannot be closed; changes
 * of pages interrupt whoever is inside (ETRACK and IPI). */
static void test_inside_others(void **state)
{
    struct harness h;
    struct sh_error err = {0};
    start(state, &h);
    stop_flag = 0;
    struct worker w = {.h = &h, .tcs = 1};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, spin, &w), 0);
    while (stats_of(&h).eenter == 0)
        usleep(100);
    usleep(1000);
    struct probe p = {.op = PROBE_NOP};
    assert_int_equal(harness_call(&h, 1, &p), 0);
    assert_exception(&h, SGX_EENTER, SGX_VECTOR_GP, 0, 0);
    assert_int_equal(harness_destroy(&h), -EBUSY);
    /* One page: EMODPR and ETRACK, and no IPI, so who is inside keeps it untracked. */
    uint64_t aex = stats_of(&h).aex, page = h.e.base + H_RW + 0x1000;
    struct sgx_secinfo accepted = {.flags = SGX_SECINFO_PT(SGX_PT_REG) | 1 | SGX_SECINFO_PR};
    harness_poke(&h, H_RW, &accepted, sizeof(accepted));
    assert_int_equal(sgx_enclave_restrict(&h.e, H_RW + 0x1000, 0x1000, SGX_SECINFO_R, &err), 0);
    assert_int_equal(stats_of(&h).aex, aex);
    assert_int_equal(harness_enclu(&h, SGX_EACCEPT, h.e.base + H_RW, page, 0), SGX_NOT_TRACKED);
    /* The mapping follows, and its shoot-down interrupts everybody. */
    assert_int_equal(h.e.driver->protect(h.e.dev, page, 0x1000, PROT_READ), 0);
    assert_true(stats_of(&h).aex > aex);
    assert_int_equal(harness_enclu(&h, SGX_EACCEPT, h.e.base + H_RW, page, 0), SGX_SUCCESS);
    /* Two pages: the second ETRACK finds the first incomplete, and Linux sends IPIs. */
    aex = stats_of(&h).aex;
    assert_int_equal(sgx_enclave_restrict(&h.e, H_RW + 0x2000, 0x2000, SGX_SECINFO_R, &err), 0);
    assert_true(stats_of(&h).aex > aex);
    assert_int_equal(harness_enclu(&h, SGX_EACCEPT, h.e.base + H_RW, page + 0x1000, 0),
                     SGX_SUCCESS);
    stop_flag = 1;
    pthread_join(thread, NULL);
    assert_int_equal(w.failures, 0);
    finish(&h);
}

/* What an enclave looks like to a kernel without this or that: in a child, for a seccomp filter
 * stays. */
static int child_run(bool strict, uint64_t base)
{
    struct harness h;
    struct sh_error err = {0};
    struct harness_options o = {.strict = strict,
                                .attributes = SGX_ATTR_DEBUG,
                                .base = base,
                                .size = base == UINT64_MAX ? 1ull << 46 : 0,
                                .shift = base == UINT64_MAX ? 1ull << 39 : 0};
    if (harness_build(&h, &o, false, &err) != 0)
        return 2;
    struct probe p = {.op = PROBE_INSN, .rbx = INSN_SYSCALL, .rcx = SYS_getpid};
    if (harness_call_handled(&h, 0, &p, HANDLER_SKIP) != 0 || p.rax != 4242)
        return 3;
    if (getpid() != syscall(SYS_getpid)) /* ours still work */
        return 4;
    set_alarm(&h, 20, 500);
    p = (struct probe){.op = PROBE_SPIN, .rbx = (uint64_t)&stop_flag};
    alarms_inside = 1000; /* any alarm ends it: the hook looks for another base */
    int ret = harness_call(&h, 0, &p);
    stop_alarm(&h);
    return ret == 0 && p.rax == 0 ? 0 : 5;
}

static void in_child(enum sim_guard_method method, bool no_ldt, bool strict, uint64_t base)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(20);
        sim_guard_method = method;
        if (no_ldt)
            sim_no_ldt = sim_always_strict = true;
        _exit(child_run(strict, base));
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_older_kernels(void **state)
{
    bool strict = *state == STRICT;
    in_child(SIM_GUARD_ANY, false, strict, 0); /* a child of fork enters its own enclave */
    in_child(SIM_GUARD_EXCLUSIVE, false, strict, UINT64_MAX);
    in_child(SIM_GUARD_SECCOMP, false, strict, UINT64_MAX);
    in_child(SIM_GUARD_SECCOMP, false, strict, 0);
    in_child(SIM_GUARD_ANY, true, strict, 0);
}

/* A thread that has entered no enclave carries the ES of the one that made it. Its signals are its
 * own, even while its maker is inside. */
static volatile uint64_t hits, wrong;

static void on_usr1(int sig)
{
    hits++;
    if (errno == 12345) /* TLS of the thread that is inside */
        wrong++;
}

static void *bombard(void *arg)
{
    pthread_t *self = arg;
    *self = pthread_self();
    errno = 54321;
    for (int i = 0; i < 300; i++)
        pthread_kill(pthread_self(), SIGUSR1);
    if (errno != 54321)
        wrong++;
    stop_flag = 1;
    return NULL;
}

static void test_thread_with_borrowed_es(void **state)
{
    struct harness h;
    start(state, &h);
    struct probe p = {.op = PROBE_NOP};
    assert_int_equal(harness_call(&h, 0, &p), 0); /* ES is ours from here on */
    struct sigaction act = {.sa_handler = on_usr1}, old;
    assert_int_equal(h.e.driver->sigaction(SIGUSR1, &act, &old), 0);
    hits = wrong = stop_flag = 0;
    pthread_t thread, self;
    errno = 12345;
    assert_int_equal(pthread_create(&thread, NULL, bombard, &self), 0);
    p = (struct probe){.op = PROBE_SPIN, .rbx = (uint64_t)&stop_flag};
    assert_int_equal(harness_call(&h, 0, &p), 0);
    pthread_join(thread, NULL);
    assert_int_equal(h.run.function, SGX_EEXIT);
    assert_int_equal(p.rax, 0);
    assert_int_equal(hits, 300);
    assert_int_equal(wrong, 0);
    assert_int_equal(h.e.driver->sigaction(SIGUSR1, &old, NULL), 0);
    finish(&h);
}

/* XFRM with AVX and AVX-512: upper halves, mask and high registers survive AEX and ERESUME, and the
 * host finds them clear. */
static void test_wide_registers(void **state)
{
    struct sgx_driver_caps caps;
    struct sh_error err = {0};
    assert_int_equal(sgx_driver_sim.caps(&caps, &err), 0);
    static const uint64_t masks[] = {7, 0xe7};
    for (size_t i = 0; i < 2; i++) {
        if ((caps.attributes.xfrm & masks[i]) != masks[i])
            continue;
        struct harness h;
        build(&h, (struct harness_options){
                      .strict = *state == STRICT, .attributes = SGX_ATTR_DEBUG, .xfrm = masks[i]});
        set_alarm(&h, 30, 400);
        struct probe p = {.op = PROBE_WIDE, .rax = masks[i] == 0xe7, .rbx = (uint64_t)&stop_flag};
        int ret = harness_call(&h, 0, &p);
        stop_alarm(&h);
        assert_int_equal(ret, 0);
        assert_int_equal(h.run.function, SGX_EEXIT);
        assert_int_equal(p.rax, 0);
        uint64_t bv;
        harness_peek(&h, H_SSA(0) + 512, &bv, sizeof(bv));
        assert_int_equal(bv & ~masks[i], 0);
        assert_int_equal(bv & 4, 4);
        finish(&h);
    }
}

/* 36.4.3, AEX-Notify: ERESUME tells the enclave, EDECCSSA takes it back. */
static void test_aex_notify(void **state)
{
    struct harness h;
    build(&h, (struct harness_options){.strict = *state == STRICT,
                                       .attributes = SGX_ATTR_DEBUG | SGX_ATTR_AEXNOTIFY,
                                       .tcs_flags = SGX_TCS_AEXNOTIFY});
    uint8_t on = 1;
    uint64_t gpr = H_SSA(0) + H_FRAME_PAGES * SGX_PAGE_SIZE - sizeof(struct sgx_gprsgx);
    harness_poke(&h, gpr + offsetof(struct sgx_gprsgx, aexnotify), &on, 1);
    /* The notification is an entry with CSSA 1; this enclave's handler leaves by EEXIT, and the
     * next ERESUME notifies again: so the host sees EEXIT, not the end of the call. */
    set_alarm(&h, 1, 500);
    struct probe p = {.op = PROBE_SPIN, .rbx = (uint64_t)&stop_flag};
    int ret = harness_call(&h, 0, &p);
    stop_alarm(&h);
    assert_int_equal(ret, 0);
    assert_int_equal(h.run.function, SGX_EEXIT);
    struct probe_tls tls;
    harness_peek(&h, H_TLS(0), &tls, sizeof(tls));
    assert_int_equal(tls.exceptions, 1);
    uint32_t cssa;
    harness_peek(&h, H_TCS(0) + offsetof(struct sgx_tcs, cssa), &cssa, sizeof(cssa));
    assert_int_equal(cssa, 1); /* the interrupted frame is still there */
    harness_drop(&h, 0);
    /* A fault that the kernel resolves (EAUG) is told as any other: the processor cannot know. */
    p = (struct probe){.op = PROBE_WRITE, .rbx = h.e.base + H_HEAP + 0x3008, .rcx = 1};
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_int_equal(h.run.function, SGX_EEXIT);
    struct sgx_gprsgx g;
    struct sgx_exinfo ex;
    harness_peek(&h, gpr, &g, sizeof(g));
    harness_peek(&h, gpr - sizeof(ex), &ex, sizeof(ex));
    assert_int_equal(SGX_EXIT_VECTOR(g.exitinfo), SGX_VECTOR_PF);
    assert_int_equal(ex.maddr, h.e.base + H_HEAP + 0x3008);
    assert_int_equal(ex.errcd & (SGX_PF_W | SGX_PF_I), SGX_PF_W);
    harness_drop(&h, 0);
    finish(&h);
}

/* A program with an ENCLU of its own, which is its AEP too (Intel's own runtimes once did so). */
static __attribute__((noinline)) void own_enclu(uint64_t tcs, struct probe *p)
{
    __asm__ volatile("lea 1f(%%rip), %%rcx\n"
                     "mov $2, %%eax\n"
                     "1: .byte 0x0f, 0x01, 0xd7\n"
                     : "+D"(p), "+b"(tcs)
                     :
                     : "rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                       "r15", "xmm0", "xmm1", "xmm15", "memory", "cc");
}

static void *own_enclu_thread(void *arg)
{
    struct harness *h = arg;
    struct probe p = {.op = PROBE_BASES};
    own_enclu(h->e.base + H_TCS(1), &p); /* this thread has not met the simulator before */
    return (void *)(uintptr_t)(p.rbx == h->e.base + H_TLS(1));
}

static void test_own_enclu(void **state)
{
    struct harness h;
    start(state, &h);
    struct probe p = {.op = PROBE_BASES};
    own_enclu(h.e.base + H_TCS(0), &p);
    assert_int_equal(p.rbx, h.e.base + H_TLS(0));
    set_alarm(&h, 20, 400);
    p = (struct probe){.op = PROBE_SPIN, .rbx = (uint64_t)&stop_flag};
    own_enclu(h.e.base + H_TCS(0), &p);
    stop_alarm(&h);
    assert_int_equal(p.rax, 0);
    pthread_t thread;
    void *good = NULL;
    assert_int_equal(pthread_create(&thread, NULL, own_enclu_thread, &h), 0);
    pthread_join(thread, &good);
    assert_non_null(good);
    finish(&h);
}

static void *send_usr2(void *arg)
{
    pthread_t *to = arg;
    for (int i = 0; i < 50; i++) {
        pthread_kill(*to, SIGUSR2);
        usleep(200);
    }
    stop_flag = 1;
    return NULL;
}

/* A handler from before the device was opened, set by sigaction(2): it too runs with the host's FS.
 */
static void test_earlier_handler(void **state)
{
    struct harness h;
    struct sigaction act = {.sa_handler = on_usr1}, none = {.sa_handler = SIG_DFL};
    assert_int_equal(sigaction(SIGUSR2, &act, NULL), 0);
    start(state, &h);
    hits = wrong = stop_flag = 0;
    errno = 0;
    pthread_t thread, self = pthread_self();
    assert_int_equal(pthread_create(&thread, NULL, send_usr2, &self), 0);
    struct probe p = {.op = PROBE_SPIN, .rbx = (uint64_t)&stop_flag};
    assert_int_equal(harness_call(&h, 0, &p), 0);
    pthread_join(thread, NULL);
    assert_int_equal(p.rax, 0);
    assert_true(hits > 0);
    assert_int_equal(h.e.driver->sigaction(SIGUSR2, &none, NULL), 0);
    finish(&h);
}

struct leftover {
    struct harness *h;
    pthread_barrier_t left, gone;
    long result;
};

static void *call_leftover(void *arg)
{
    struct leftover *l = arg;
    struct harness mine = *l->h;
    struct probe p = {.op = PROBE_NOP};
    (void)harness_call(&mine, 1, &p); /* from here on this thread's system calls there would trap */
    pthread_barrier_wait(&l->left);
    pthread_barrier_wait(&l->gone);
    l->result = ((long (*)(void))mine.e.base)();
    return NULL;
}

/* Once the enclave is gone its addresses are like any others, in all threads. */
static void test_addresses_after_close(void **state)
{
    static const uint8_t code[] = {0xb8, SYS_getpid, 0, 0, 0, 0x0f, 0x05, 0xc3};
    struct harness h;
    start(state, &h);
    struct leftover l = {.h = &h};
    pthread_t thread;
    uint64_t base = h.e.base;
    pthread_barrier_init(&l.left, NULL, 2);
    pthread_barrier_init(&l.gone, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, call_leftover, &l), 0);
    pthread_barrier_wait(&l.left);
    finish(&h);
    void *p = mmap((void *)base, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    assert_ptr_equal(p, base);
    memcpy(p, code, sizeof(code));
    pthread_barrier_wait(&l.gone);
    pthread_join(thread, NULL);
    assert_int_equal(l.result, getpid());
    munmap(p, 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_breakpoint),
        BOTH(test_interrupts),
        BOTH(test_interrupts_everywhere),
        BOTH(test_single_steps),
        BOTH(test_reentry_at_every_instruction),
        BOTH(test_threads),
        BOTH(test_inside_others),
        BOTH(test_older_kernels),
        BOTH(test_thread_with_borrowed_es),
        BOTH(test_wide_registers),
        BOTH(test_aex_notify),
        BOTH(test_own_enclu),
        BOTH(test_earlier_handler),
        BOTH(test_addresses_after_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
