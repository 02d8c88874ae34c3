// SPDX-License-Identifier: Apache-2.0
// SIGSTRUCT: the checks read any 1808 bytes; what is not signed is never accepted.
#include <stdlib.h>
#include <string.h>

#include "verifier/measure/sgx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sgx_sigstruct css;
    uint8_t q1[SGX_RSA_SIZE], q2[SGX_RSA_SIZE], mrsigner[32];
    memset(&css, 0, sizeof(css));
    memcpy(&css, data, size < sizeof(css) ? size : sizeof(css));
    (void)sgx_sigstruct_check_format(&css);
    sgx_mrsigner(&css, mrsigner);
    (void)sgx_sigstruct_quotients(&css, q1, q2);
    css.enclave_hash[0] ^= 1; /* seeds may be genuine */
    enum sgx_error first = sgx_sigstruct_check_signature(&css);
    css.enclave_hash[0] ^= 2;
    if (first == SGX_SUCCESS && sgx_sigstruct_check_signature(&css) == SGX_SUCCESS)
        abort();
    return 0;
}
