// SPDX-License-Identifier: Apache-2.0
// The operator's list of keys in tokens that workloads may have used for them (pkcs11.h).
//
// A key has a path as resources have, and whoever may have the resource of that path may use it.
// It is in a file and not in the store, since it names code to load: operators over the network do
// not.
#ifndef VERIFIER_BROKER_HSM_KEYS_H
#define VERIFIER_BROKER_HSM_KEYS_H

#include "verifier/broker/pkcs11.h"
#include "verifier/broker/store.h"

#define SB_HSM_KEYS_MAX 64
#define SB_HSM_URI_MAX 1024

struct sb_hsm_key {
    char path[SB_PATH_MAX], uri[SB_HSM_URI_MAX];
    const struct sb_pkcs11_algorithm *algorithms[8]; // ends with NULL
};

struct sb_hsm_keys {
    size_t count;
    struct sb_hsm_key key[SB_HSM_KEYS_MAX];
};

// {"keys": [{"path": "REPOSITORY/TYPE/TAG", "key": URI, "algorithms": [NAME...]}]}. 0 or -errno
// with why. free() frees it.
int sb_hsm_keys_parse(const char *text, size_t size, struct sb_hsm_keys **out, char *why,
                      size_t why_size);
// NULL: there is none. `keys` may be NULL.
const struct sb_hsm_key *sb_hsm_keys_find(const struct sb_hsm_keys *keys, const char *path);

#endif
