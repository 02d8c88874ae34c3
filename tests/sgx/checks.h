// SPDX-License-Identifier: Apache-2.0
// What the tests of the simulated processor share: both speeds, and short names for the harness.
#ifndef TESTS_SGX_CHECKS_H
#define TESTS_SGX_CHECKS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/sgx/harness.h"

#define STRICT ((void *)1)
#define PATCHED ((void *)0)

static inline void build(struct harness *h, struct harness_options o)
{
    struct sh_error err = {0};
    int ret = harness_build(h, &o, false, &err);
    if (ret != 0)
        fail_msg("%d: %s", ret, err.text);
}

static inline struct sgxsim_stats stats_of(struct harness *h)
{
    struct sgxsim_stats s;
    assert_int_equal(h->e.driver->stats(h->e.dev, &s), 0);
    return s;
}

static inline void start(void **state, struct harness *h)
{
    build(h, (struct harness_options){.strict = *state == STRICT, .attributes = SGX_ATTR_DEBUG});
}

static inline void finish(struct harness *h)
{
    assert_int_equal(harness_destroy(h), 0);
}

static inline void assert_exception(struct harness *h, unsigned function, unsigned vector,
                                    unsigned error, uint64_t addr)
{
    assert_int_equal(h->run.function, function);
    assert_int_equal(h->run.exception_vector, vector);
    assert_int_equal(h->run.exception_error_code, error);
    assert_int_equal(h->run.exception_addr, addr);
}

#define BOTH(test)                                                                                 \
    {#test " (patched)", test, NULL, NULL, PATCHED},                                               \
    {                                                                                              \
#test " (strict)", test, NULL, NULL, STRICT                                                \
    }

#endif
