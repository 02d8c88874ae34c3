// SPDX-License-Identifier: Apache-2.0
// Predicts MRENCLAVE, and checks a SIGSTRUCT the way EINIT does; for the signer, the verifier and
// anyone who wants to know what an enclave will measure before it runs.
#ifndef VERIFIER_MEASURE_SGX_H
#define VERIFIER_MEASURE_SGX_H

#include <stdint.h>

#include "lib/sha2.h"
#include <shelter/sgx.h>

/* MRENCLAVE is SHA-256 over 64-byte records in the order of the build (SDM 38.3: ECREATE, EADD, and
 * EEXTEND with 256 bytes of contents after each of its records). */
struct sgx_measure {
    struct sh_sha256 hash;
    uint64_t size; /* of ELRANGE, to refuse offsets outside it */
};

/* Both return -EINVAL for what ECREATE or EADD would refuse. */
int sgx_measure_create(struct sgx_measure *m, uint64_t size, uint32_t ssa_frame_pages);
/* `offset` is page-aligned from SECS.BASEADDR; `flags` are SECINFO's. The RWX bits of a TCS are
 * measured as zero, as the processor clears them. */
int sgx_measure_add(struct sgx_measure *m, uint64_t offset, uint64_t flags);
/* Sixteen EEXTENDs: the whole page. */
void sgx_measure_extend(struct sgx_measure *m, uint64_t offset, const uint8_t page[SGX_PAGE_SIZE]);
void sgx_measure_final(struct sgx_measure *m, uint8_t mrenclave[32]);

/* MRSIGNER: SHA-256 of the modulus as it stands in SIGSTRUCT. */
void sgx_mrsigner(const struct sgx_sigstruct *css, uint8_t mrsigner[32]);

/* The 256 bytes that the signature covers. */
#define SGX_SIGNED_SIZE 256u
void sgx_sigstruct_signed(const struct sgx_sigstruct *css, uint8_t out[SGX_SIGNED_SIZE]);

/* Fixed fields and reserved bytes: SGX_SUCCESS or SGX_INVALID_SIG_STRUCT. */
enum sgx_error sgx_sigstruct_check_format(const struct sgx_sigstruct *css);
/* RSA-3072 with e=3, PKCS #1 v1.5, SHA-256, and Q1, Q2: SGX_SUCCESS or SGX_INVALID_SIGNATURE. */
enum sgx_error sgx_sigstruct_check_signature(const struct sgx_sigstruct *css);

/* Q1 = floor(S^2 / M), Q2 = floor((S^3 - Q1*S*M) / M) for the signature and modulus in `css`
 * (SDM 35.13). 0, -EINVAL if they do not fit, -ENOMEM. */
int sgx_sigstruct_quotients(const struct sgx_sigstruct *css, uint8_t q1[SGX_RSA_SIZE],
                            uint8_t q2[SGX_RSA_SIZE]);

#endif
