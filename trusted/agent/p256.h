// SPDX-License-Identifier: Apache-2.0
// Multiples of points of P-256, in a time that does not depend on the multiple.
#ifndef AGENT_P256_H
#define AGENT_P256_H

#include <mbedtls/ecp.h>

#include "trusted/agent/client.h"

/* r = k * q; q is affine and checked, 0 <= k < 2^256. 0 or an error of mbedTLS. r's Z is 1, or 0 of
 * the point at infinity. */
int agent_p256_multiply(mbedtls_ecp_point *r, const mbedtls_mpi *k, const mbedtls_ecp_point *q);
/* A new key. */
int agent_p256_key(mbedtls_ecp_keypair *k);
/* r = k * q + l * s; nothing of it is secret. */
int agent_p256_sum(mbedtls_ecp_point *r, const mbedtls_mpi *k, const mbedtls_ecp_point *q,
                   const mbedtls_mpi *l, const mbedtls_ecp_point *s);

/* In mbedTLS's place, for all that its other objects call; __real is mbedTLS's own. */
int __wrap_mbedtls_ecp_mul_restartable(mbedtls_ecp_group *grp, mbedtls_ecp_point *r,
                                       const mbedtls_mpi *m, const mbedtls_ecp_point *q,
                                       int (*f_rng)(void *, unsigned char *, size_t), void *p_rng,
                                       mbedtls_ecp_restart_ctx *rs);
int __wrap_mbedtls_ecp_muladd_restartable(mbedtls_ecp_group *grp, mbedtls_ecp_point *r,
                                          const mbedtls_mpi *m, const mbedtls_ecp_point *q,
                                          const mbedtls_mpi *n, const mbedtls_ecp_point *s,
                                          mbedtls_ecp_restart_ctx *rs);
__attribute__((weak)) int __real_mbedtls_ecp_mul_restartable(
    mbedtls_ecp_group *grp, mbedtls_ecp_point *r, const mbedtls_mpi *m, const mbedtls_ecp_point *q,
    int (*f_rng)(void *, unsigned char *, size_t), void *p_rng, mbedtls_ecp_restart_ctx *rs);
__attribute__((weak)) int __real_mbedtls_ecp_muladd_restartable(
    mbedtls_ecp_group *grp, mbedtls_ecp_point *r, const mbedtls_mpi *m, const mbedtls_ecp_point *q,
    const mbedtls_mpi *n, const mbedtls_ecp_point *s, mbedtls_ecp_restart_ctx *rs);

#endif
