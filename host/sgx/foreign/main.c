// SPDX-License-Identifier: Apache-2.0
// sgx-sim: `shelter sgx-sim` starts it, and it starts itself anew for each program that the first
// one starts; it is no command for people. What to run is in the environment (foreign.h).
#include "host/sgx/foreign/foreign.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Not in libc.a of a C library that has threads built in, but called from it where it is there:
 * what is linked at our address cannot call 0. */
void __pthread_initialize_minimal(void);
void __pthread_initialize_minimal(void)
{
}
void __pthread_unwind(void *arg);
void __pthread_unwind(void *arg)
{
    abort();
}

/* The break is the program's: the C library's heap is made of mappings. Called before there is an
 * errno. */
void *__sbrk(intptr_t size);
void *__sbrk(intptr_t size)
{
    return (void *)-1;
}

static void *do_nothing(void *arg)
{
    return arg;
}

/* The C library leaves out its locks until there was a second thread; the program's are none to it.
 */
static int become_threaded(void)
{
    pthread_t t;
    int ret = pthread_create(&t, NULL, do_nothing, NULL);
    return ret == 0 ? -pthread_join(t, NULL) : -ret;
}

int main(int argc, char **argv)
{
    const char *options = getenv(SH_SIM_ENVIRONMENT);
    if (options == NULL || sh_sim_settings_read(&fgn_options, options) != 0) {
        fprintf(stderr, "sgx-sim: shelter sgx-sim starts it: 'shelter sgx-sim -- PROGRAM'\n");
        return 125;
    }
    if (fgn_started_by_gdb()) {
        fprintf(stderr,
                "sgx-sim: gdb cannot start a program below sgx-sim: start it with 'shelter sgx-sim "
                "-- PROGRAM', and attach with 'gdb -p PID' from outside\n");
        return 125;
    }
    mallopt(M_ARENA_MAX, 1); /* one heap for all threads */
    int ret = become_threaded();
    struct fgn_thread *t = ret == 0 ? fgn_thread_first() : NULL;
    if (t == NULL)
        ret = -ENOMEM;
    stack_t stack = {.ss_sp = t != NULL ? t->stack : NULL, .ss_size = 0x60000};
    if (ret == 0 && sigaltstack(&stack, NULL) != 0)
        ret = -errno;
    if (ret == 0)
        ret = fgn_signals_start(fgn_handler);
    if (ret == 0 && sgxsim_set_cpu(fgn_options.cpu) != 0)
        ret = -EINVAL;
    struct sgxsim_caps caps;
    sgxsim_caps(&caps); /* asks the processor, which from now on asks us */
    fgn_cpuid_start();
    if (ret == 0)
        ret = fgn_epc_start();
    if (ret == 0)
        ret = fgn_faults_start();
    if (ret == 0)
        ret = fgn_start((long *)argv - 1);
    fprintf(stderr, "sgx-sim: cannot start %s: %s\n", fgn_options.exe, strerror(-ret));
    return ret == -ENOENT ? 127 : 126;
}
