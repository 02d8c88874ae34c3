// SPDX-License-Identifier: Apache-2.0
// The enclave's signatures, kept beside it in the image and outside its identity.
#ifndef HOST_STORE_SIGNATURE_H
#define HOST_STORE_SIGNATURE_H

#include "host/store/store.h"

struct sgx_sigstruct;

/* In an image's folder: a SIGSTRUCT each, for `run` and for `run --debug`. */
#define SH_SIGNATURE "base/enclave.sig"
#define SH_SIGNATURE_DEBUG "base/enclave-debug.sig"

/* Signs base/enclave of dir_fd for this identity, both ways; nothing where the image has no
 * enclave. `key_path` NULL: the store's own key, made when there is none. */
int sh_signature_make(const struct sh_store *store, int dir_fd, const char *key_path,
                      const char id[SH_ID_TEXT_SIZE], struct sh_error *err);

/* Reads one, and checks that it is one. */
int sh_signature_read(int dir_fd, const char *path, struct sgx_sigstruct *css,
                      struct sh_error *err);

#endif
