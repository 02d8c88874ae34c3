// SPDX-License-Identifier: Apache-2.0
// Filters: what their rows say, whatever their order.
// Shadow stacks: where there are none, asking for them changes nothing; where there are, calls,
// signals and threads go on, and a return to an overwritten address ends the process.
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/audit.h>

#include "host/base/filter.h"
#include "host/base/walls.h"

/* As the kernel runs it. */
static uint32_t run_filter(const struct sh_filter *f, const struct seccomp_data *d)
{
    uint32_t a = 0;
    for (unsigned at = 0; at < f->count; at++) {
        const struct sock_filter *i = &f->code[at];
        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            memcpy(&a, (const uint8_t *)d + i->k, 4);
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= i->k;
            break;
        case BPF_JMP | BPF_JA:
            at += i->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            at += a == i->k ? i->jt : i->jf;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            at += a > i->k ? i->jt : i->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            at += a >= i->k ? i->jt : i->jf;
            break;
        case BPF_RET | BPF_K:
            return i->k;
        default:
            fail();
        }
    }
    fail();
    return 0;
}

static bool row_fits(const struct sh_filter_call *c, const struct seccomp_data *d)
{
    uint32_t masked = (uint32_t)d->args[c->arg] & c->mask;
    if (c->nr != (unsigned)d->nr)
        return false;
    return !c->mask || (c->value == SH_FILTER_SOME ? masked : masked == c->value);
}

#define ROWS 70u

static void test_filter(void **state)
{
    static struct sh_filter f;
    struct sh_filter_call rows[ROWS];
    srand(1);
    for (unsigned round = 0; round < 200; round++) {
        unsigned count = (unsigned)rand() % ROWS;
        for (unsigned i = 0; i < count; i++)
            rows[i] = (struct sh_filter_call){(unsigned)rand() % 60, (unsigned)rand() % 6,
                                              (uint32_t)rand() % 4,
                                              rand() % 5 ? (uint32_t)rand() % 4 : SH_FILTER_SOME};
        sh_filter_begin(&f);
        sh_filter_calls(&f, rows, count / 2, SECCOMP_RET_ALLOW);
        sh_filter_calls(&f, rows + count / 2, count - count / 2, SECCOMP_RET_TRAP);
        sh_filter_return(&f, SECCOMP_RET_ERRNO);
        for (int nr = 0; nr < 64; nr++) {
            struct seccomp_data d = {.nr = nr, .arch = AUDIT_ARCH_X86_64};
            uint32_t want = SECCOMP_RET_ERRNO;
            for (unsigned i = 0; i < 6; i++)
                d.args[i] = (uint64_t)rand() % 4;
            for (unsigned i = count; i--;)
                if (row_fits(&rows[i], &d))
                    want = i < count / 2 ? SECCOMP_RET_ALLOW : SECCOMP_RET_TRAP;
            assert_int_equal(run_filter(&f, &d), want);
        }
    }
    for (unsigned i = 0; i < ROWS; i++)
        rows[i] = (struct sh_filter_call){1, 0, 1, 1};
    sh_filter_begin(&f);
    sh_filter_calls(&f, rows, ROWS, SECCOMP_RET_ALLOW);
    assert_int_equal(f.count, SH_FILTER_MAX); /* does not fit: it will not be raised */
}

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
    signals++;
}

static void *run_thread(void *unused)
{
    raise(SIGUSR1);
    return NULL;
}

static void land(void)
{
    _exit(100);
}

/* Returns to land(), where nothing keeps it from that. */
static __attribute__((noinline, optimize("no-omit-frame-pointer"))) void overwrite_return(void)
{
    void *volatile *frame = __builtin_frame_address(0);
    frame[1] = (void *)land;
}

/* Bits: 1: there is a shadow stack; 2: a thread and its signal came back. */
static _Noreturn void use_it(bool overwrite)
{
    pthread_t thread;
    int had = !sh_wall_shadow_stack();
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    bool ran = !pthread_create(&thread, NULL, run_thread, NULL) && !pthread_join(thread, NULL);
    if (overwrite)
        overwrite_return();
    _exit(had | (ran && signals == 2) << 1);
}

static int run_child(bool overwrite)
{
    int status = -1;
    pid_t pid = fork();
    if (!pid)
        use_it(overwrite);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void test_life_goes_on(void **state)
{
    int have = sh_walls_have_shadow_stack(), status = run_child(false);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), have | 2);
}

static void test_overwritten_return(void **state)
{
    int status = run_child(true);
    if (!sh_walls_have_shadow_stack())
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 100);
    else
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

/* In place of a kernel that has them: yes to what Linux's ABI says (ARCH_SHSTK_ENABLE,
 * ARCH_SHSTK_SHSTK), another error to any other words. */
static void answer_for_kernel(uint32_t answer)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_arch_prctl, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x5001, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 1, 2),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | answer),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDOM),
    };
    const struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &program))
        _exit(99);
}

/* No machine here has one: what is asked of the kernel, and what is made of its answers. */
static void test_asked_for(void **state)
{
    static const uint32_t answers[] = {0, EOPNOTSUPP, EPERM};
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        int status;
        pid_t pid = fork();
        if (!pid) {
            answer_for_kernel(answers[i]);
            int r = sh_wall_shadow_stack();
            _exit(r == -(int)answers[i] && sh_walls_have_shadow_stack() == !answers[i]);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_asked_for),
        cmocka_unit_test(test_life_goes_on),
        cmocka_unit_test(test_overwritten_return),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
