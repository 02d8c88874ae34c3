// SPDX-License-Identifier: Apache-2.0
// The back ends of enclaves; not for use outside host/launch.
#ifndef HOST_LAUNCH_ENCLAVE_ENCLAVE_H
#define HOST_LAUNCH_ENCLAVE_ENCLAVE_H

#include "host/launch/launch.h"

extern const struct sh_backend sh_enclave_sgx, sh_enclave_sgx_sim;

/* The functions that both share, in files of their own (predict.c, explain.c). */
int sh_enclave_measure(struct sh_launch_spec *spec, cJSON **result, struct sh_error *err);
int sh_enclave_predict(const struct sh_backend *backend, const struct sh_image *image,
                       const struct sh_predict *what, cJSON **result, struct sh_error *err);
void sh_enclave_explain(const struct sh_death *death, char *out, size_t size);

#endif
