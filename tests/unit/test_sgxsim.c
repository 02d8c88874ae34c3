// SPDX-License-Identifier: Apache-2.0
// The simulated processor, through the driver table, with a real enclave: entry, exit, exceptions and
// interrupts, each at both speeds. Section numbers are of the Intel SDM, volume 3D.
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
#include <unistd.h>
#include <cmocka.h>

#include "tests/sgx/harness.h"

#define STRICT ((void *)1)
#define PATCHED ((void *)0)

static void build(struct harness *h, struct harness_options o)
{
    struct sh_error err = {0};
    int ret = harness_build(h, &o, false, &err);
    if (ret != 0)
        fail_msg("%d: %s", ret, err.text);
}

static struct sgxsim_stats stats_of(struct harness *h)
{
    struct sgxsim_stats s;
    assert_int_equal(h->e.driver->stats(h->e.dev, &s), 0);
    return s;
}

static void start(void **state, struct harness *h)
{
    build(h, (struct harness_options){.strict = *state == STRICT, .attributes = SGX_ATTR_DEBUG});
}

static void finish(struct harness *h)
{
    assert_int_equal(harness_destroy(h), 0);
}

static void assert_exception(struct harness *h, unsigned function, unsigned vector, unsigned error,
                             uint64_t addr)
{
    assert_int_equal(h->run.function, function);
    assert_int_equal(h->run.exception_vector, vector);
    assert_int_equal(h->run.exception_error_code, error);
    assert_int_equal(h->run.exception_addr, addr);
}

/* 38.4 EENTER, EEXIT: in, out, and what the enclave finds. */
static void test_enter_exit(void **state)
{
    struct harness h;
    start(state, &h);
    for (unsigned i = 0; i < H_TCS_COUNT; i++) {
        struct probe p = {.op = PROBE_BASES};
        assert_int_equal(harness_call(&h, i, &p), 0);
        assert_int_equal(h.run.function, SGX_EEXIT);
        assert_int_equal(p.rax, h.e.base + H_TLS(i)); /* FS and GS from the TCS */
        assert_int_equal(p.rbx, h.e.base + H_TLS(i));
    }
    struct sgxsim_stats s = stats_of(&h);
    assert_int_equal(s.eenter, H_TCS_COUNT);
    assert_int_equal(s.eexit, H_TCS_COUNT);
    assert_int_equal(s.aex, 0);
    assert_int_equal(s.slots > 0, *state == PATCHED);
    /* Our own FS is back: TLS works. */
    errno = 5;
    assert_int_equal(errno, 5);
    finish(&h);
}

/* 36.4, table of illegal instructions: `syscall` is #UD inside; SSA, ERESUME; EDECCSSA. */
static void test_syscall_is_ud(void **state)
{
    struct harness h;
    start(state, &h);
    struct probe p = {.op = PROBE_INSN, .rbx = INSN_SYSCALL, .rcx = SYS_getpid};
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_exception(&h, SGX_ERESUME, SGX_VECTOR_UD, 0, 0);
    assert_int_equal(stats_of(&h).aex, 1);
    harness_drop(&h, 0);
    for (unsigned i = 0; i < 3; i++) {
        p = (struct probe){.op = PROBE_INSN, .rbx = INSN_SYSCALL, .rcx = SYS_getpid};
        assert_int_equal(harness_call_handled(&h, 0, &p, i < 2 ? HANDLER_SKIP : HANDLER_CONTINUE),
                         0);
        assert_int_equal(h.run.function, SGX_EEXIT);
        assert_int_equal(h.exceptions, 1);
        assert_int_equal(h.vector, SGX_VECTOR_UD);
        assert_int_equal(p.rax, 4242);
    }
    assert_int_equal(stats_of(&h).edeccssa, 1);
    finish(&h);
}

#define BOTH(test)                                                                                 \
    {#test " (patched)", test, NULL, NULL, PATCHED}, {#test " (strict)", test, NULL, NULL, STRICT}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_enter_exit),
        BOTH(test_syscall_is_ud),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
