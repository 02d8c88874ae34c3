// SPDX-License-Identifier: Apache-2.0
// What the simulated processor costs: a call out and back, exceptions and page commits, at both
// speeds, beside a native system call. Minimum and median of rounds, in nanoseconds.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/sgx/harness.h"

#define ROUNDS 15

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void die(const char *what)
{
    fprintf(stderr, "bench_sgxsim: %s\n", what);
    exit(1);
}

static void nothing(struct harness *h, unsigned i)
{
    (void)h;
    (void)i;
    (void)syscall(SYS_getppid);
}

static void call(struct harness *h, unsigned i)
{
    struct probe p = {.op = PROBE_NOP};
    (void)i;
    if (harness_call(h, 0, &p) != 0 || h->run.function != SGX_EEXIT)
        die("the call failed");
}

static void emodpe(struct harness *h, unsigned i)
{
    (void)i;
    if (harness_enclu(h, SGX_EMODPE, h->e.base + H_RW, h->e.base + H_RW + 0x1000, 0) < 0)
        die("EMODPE failed");
}

static void syscall_ud(struct harness *h, unsigned i)
{
    struct probe p = {.op = PROBE_INSN, .rbx = INSN_SYSCALL, .rcx = SYS_getppid};
    (void)i;
    if (harness_call_handled(h, 0, &p, HANDLER_CONTINUE) != 0 || p.rax != 4242)
        die("the exception failed");
}

static uint64_t next_page = H_HEAP;

static void commit(struct harness *h, unsigned i)
{
    (void)i;
    if (harness_enclu(h, SGX_EACCEPT, h->e.base + H_RW + 64, h->e.base + next_page, 0) != 0)
        die("EACCEPT failed");
    next_page += SGX_PAGE_SIZE;
}

static void measure(const char *what, struct harness *h, void (*step)(struct harness *, unsigned),
                    unsigned count, const char *note)
{
    double times[ROUNDS];
    for (unsigned r = 0; r < ROUNDS; r++) {
        double begin = now();
        for (unsigned i = 0; i < count; i++)
            step(h, i);
        times[r] = (now() - begin) / count;
    }
    qsort(times, ROUNDS, sizeof(times[0]), by_value);
    printf("%-34s %9.0f %9.0f  %s\n", what, times[0], times[ROUNDS / 2], note);
}

/* `driver` NULL: linked in; else the kernel's interface. */
static void at_speed(bool strict, const struct sgx_driver *driver)
{
    struct harness h;
    struct sh_error err = {0};
    struct harness_options o = {
        .strict = strict, .attributes = SGX_ATTR_DEBUG, .size = 1ull << 30, .driver = driver};
    struct sgx_secinfo plain = {.flags = SGX_SECINFO_PT(SGX_PT_REG) | 3};
    struct sgx_secinfo pending = {.flags = SGX_SECINFO_PT(SGX_PT_REG) | SGX_SECINFO_PENDING | 3};
    if (harness_build(&h, &o, false, &err) != 0)
        die(err.text);
    harness_poke(&h, H_RW, &plain, sizeof(plain));
    harness_poke(&h, H_RW + 64, &pending, sizeof(pending));
    unsigned n = strict ? 200 : 5000;
    const char *s = strict ? "strict" : "patched";
    char name[64];
    snprintf(name, sizeof(name), "EENTER + EEXIT, %s", s);
    measure(name, &h, call, n, "a call out and back");
    snprintf(name, sizeof(name), "  + EMODPE, %s", s);
    measure(name, &h, emodpe, n, "a leaf inside");
    snprintf(name, sizeof(name), "  + EACCEPT of a new page, %s", s);
    next_page = H_HEAP;
    measure(name, &h, commit, n, "#PF, EAUG, EACCEPT");
    snprintf(name, sizeof(name), "  + syscall, %s", s);
    measure(name, &h, syscall_ud, 200, "#UD, AEX, EENTER, EDECCSSA");
    struct sgxsim_stats st;
    if (h.e.driver->stats(h.e.dev, &st) == 0)
        printf("%-34s eenter %lu eexit %lu aex %lu eaug %lu\n", "  events", st.eenter, st.eexit,
               st.aex, st.eaug);
    harness_destroy(&h);
}

static void open_file(struct harness *h, unsigned i)
{
    int fd = open("/proc/self/stat", O_RDONLY);
    (void)h;
    (void)i;
    close(fd);
}

/* With an argument, `patched` or `strict`: through the devices, as below `shelter sgx-sim`. */
int main(int argc, char **argv)
{
    if (argc > 1) {
        measure("getppid", NULL, nothing, 5000, "not trapped");
        measure("open and close", NULL, open_file, 500, "one trapped");
        at_speed(strcmp(argv[1], "strict") == 0, &sgx_driver_hw);
        return 0;
    }
    printf("%-34s %9s %9s\n", "nanoseconds", "min", "median");
    measure("native getppid", NULL, nothing, 5000, "");
    measure("native open and close", NULL, open_file, 500, "");
    at_speed(false, NULL);
    at_speed(true, NULL);
    return 0;
}
