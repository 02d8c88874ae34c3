// SPDX-License-Identifier: Apache-2.0
// sgx-sim: `shelter sgx-sim` starts it, and it starts itself anew for each program that the first one
// starts; it is no command for people. What to run is in the environment (foreign.h).
#include "host/sgx/foreign/foreign.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct fgn_options fgn_options;

/* Not in libc.a of a C library that has threads built in, but called from it where it is there: what
 * is linked at our address cannot call 0. */
void __pthread_initialize_minimal(void);
void __pthread_initialize_minimal(void)
{
}
void __pthread_unwind(void *arg);
void __pthread_unwind(void *arg)
{
    abort();
}

/* Fields are cpu:epc:flags:key:counts:aesm:exe, lengths first, so that any path can be written. */
static const char *take_field(const char *p, char *to, size_t size)
{
    char *end;
    unsigned long n = strtoul(p, &end, 10);
    if (end == p || *end != ':' || n >= size || strlen(end + 1) < n)
        return NULL;
    memcpy(to, end + 1, n);
    to[n] = 0;
    return end + 1 + n;
}

static int read_options(const char *p)
{
    struct fgn_options *o = &fgn_options;
    char epc[32], flags[16];
    struct {
        char *to;
        size_t size;
    } fields[] = {
        {o->cpu, sizeof(o->cpu)},       {epc, sizeof(epc)},
        {flags, sizeof(flags)},         {o->key, sizeof(o->key)},
        {o->counts, sizeof(o->counts)}, {o->aesm, sizeof(o->aesm)},
        {o->exe, sizeof(o->exe)},
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        p = take_field(p, fields[i].to, fields[i].size);
        if (p == NULL)
            return -EINVAL;
    }
    o->epc_bytes = strtoull(epc, NULL, 10);
    o->strict = strchr(flags, 's') != NULL;
    o->filtered = strchr(flags, 'f') != NULL;
    return 0;
}

int fgn_options_write(char *to, size_t size, const char *exe)
{
    const struct fgn_options *o = &fgn_options;
    char epc[32], flags[8];
    snprintf(epc, sizeof(epc), "%lu", o->epc_bytes);
    snprintf(flags, sizeof(flags), "f%s", o->strict ? "s" : "");
    int n = snprintf(to, size, FGN_ENVIRONMENT "=%zu:%s%zu:%s%zu:%s%zu:%s%zu:%s%zu:%s%zu:%s",
                     strlen(o->cpu), o->cpu, strlen(epc), epc, strlen(flags), flags,
                     strlen(o->key), o->key, strlen(o->counts), o->counts, strlen(o->aesm),
                     o->aesm, strlen(exe), exe);
    return n > 0 && (to == NULL || (size_t)n < size) ? n : -E2BIG;
}

static void *do_nothing(void *arg)
{
    return arg;
}

/* The C library leaves out its locks until there was a second thread; the program's are none to it. */
static int become_threaded(void)
{
    pthread_t t;
    int ret = pthread_create(&t, NULL, do_nothing, NULL);
    return ret == 0 ? -pthread_join(t, NULL) : -ret;
}

int main(int argc, char **argv)
{
    const char *options = getenv(FGN_ENVIRONMENT);
    if (options == NULL || read_options(options) != 0) {
        fprintf(stderr, "sgx-sim: shelter sgx-sim starts it: 'shelter sgx-sim -- PROGRAM'\n");
        return 125;
    }
    int ret = become_threaded();
    struct fgn_thread *t = ret == 0 ? fgn_thread_first() : NULL;
    if (t == NULL)
        ret = -ENOMEM;
    stack_t stack = {.ss_sp = t != NULL ? t->stack : NULL, .ss_size = 0x60000};
    if (ret == 0 && sigaltstack(&stack, NULL) != 0)
        ret = -errno;
    if (ret == 0)
        ret = fgn_signals_start();
    if (ret == 0)
        ret = fgn_cpuid_start(fgn_options.cpu);
    if (ret == 0)
        ret = fgn_start((long *)argv - 1);
    fprintf(stderr, "sgx-sim: cannot start %s: %s\n", fgn_options.exe, strerror(-ret));
    return ret == -ENOENT ? 127 : 126;
}
