// SPDX-License-Identifier: Apache-2.0
// Signs enclaves: fills and signs a SIGSTRUCT with an RSA-3072 key of exponent 3.
#ifndef HOST_SGX_SIGN_H
#define HOST_SGX_SIGN_H

#include <stdbool.h>

#include <openssl/evp.h>

#include "host/base/error.h"
#include <shelter/sgx.h>

/* What the signer decides; the rest of SIGSTRUCT is fixed or computed. */
struct sgx_sign_params {
    uint8_t mrenclave[32];
    struct sgx_attributes attributes, attribute_mask;
    uint32_t miscselect, miscmask;
    uint32_t date; /* BCD 0xyyyymmdd; fixed, so that signing twice gives the same bytes */
    uint16_t isv_prod_id, isv_svn;
    uint8_t isv_family_id[16], isv_ext_prod_id[16]; /* zero without KSS */
};

/* Reads a PEM private key. -EINVAL: not RSA-3072 with e=3. The caller frees it (EVP_PKEY_free). */
int sgx_key_load(const char *path, EVP_PKEY **key, struct sh_error *err);

/* Makes a new key; sgx_key_save writes it as PEM, mode 0600, refusing to replace a file (-EEXIST).
 */
int sgx_key_generate(EVP_PKEY **key, struct sh_error *err);
int sgx_key_save(const char *path, EVP_PKEY *key, struct sh_error *err);

/* Fills all of `css`. Deterministic: the same key and parameters give the same bytes. */
int sgx_sign(struct sgx_sigstruct *css, const struct sgx_sign_params *params, EVP_PKEY *key,
             struct sh_error *err);

/* The same for an enclave of ours: what sgx_image_secs and sgx_image_measure (image.h) give. The
 * key in the file key_path is made (0600) if there is none. */
int sgx_image_sign(struct sgx_sigstruct *css, const uint8_t mrenclave[32], uint64_t attributes,
                   const char *key_path, struct sh_error *err);

#endif
