// SPDX-License-Identifier: Apache-2.0
// AMD's ASK and ASVK public keys by the common name of their certificates.
#ifndef VERIFIER_QUOTE_AMD_KEYS_H
#define VERIFIER_QUOTE_AMD_KEYS_H

#include <openssl/evp.h>

// "SEV-Milan", "SEV-VLEK-Genoa", ...; NULL if there is no such key. The caller frees it.
EVP_PKEY *sv_amd_key(const char *cn);

#endif
