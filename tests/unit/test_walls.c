// SPDX-License-Identifier: Apache-2.0
// Shadow stacks: where there are none, asking for them changes nothing; where there are, calls,
// signals and threads go on, and a return to an overwritten address ends the process.
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/base/walls.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life_goes_on),
        cmocka_unit_test(test_overwritten_return),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
