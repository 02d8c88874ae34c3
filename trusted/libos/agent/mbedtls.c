// SPDX-License-Identifier: Apache-2.0
// What mbedTLS wants of its platform, instead of its own parts for it: locks (one thread is inside
// at a time, agent_call sees to it) and what the processor can (CPUID is no instruction of an
// enclave).
#include <mbedtls/threading.h>

int mbedtls_aesni_has_support(unsigned what);

static void init_mutex(mbedtls_threading_mutex_t *m)
{
}

static int lock_nothing(mbedtls_threading_mutex_t *m)
{
    return 0;
}

/* Not const for mbedTLS, but nobody sets them. */
#define READ_ONLY __attribute__((section(".data.rel.ro")))
READ_ONLY void (*mbedtls_mutex_init)(mbedtls_threading_mutex_t *) = init_mutex;
READ_ONLY void (*mbedtls_mutex_free)(mbedtls_threading_mutex_t *) = init_mutex;
READ_ONLY int (*mbedtls_mutex_lock)(mbedtls_threading_mutex_t *) = lock_nothing;
READ_ONLY int (*mbedtls_mutex_unlock)(mbedtls_threading_mutex_t *) = lock_nothing;
mbedtls_threading_mutex_t mbedtls_threading_gmtime_mutex;

/* AES-NI and PCLMULQDQ: every processor with SGX2 has both. Constant time, unlike its tables. */
int mbedtls_aesni_has_support(unsigned what)
{
    return 1;
}
