// SPDX-License-Identifier: Apache-2.0
// What a broker has of PKCS #11 tokens (HSMs): its passphrase, in place of a file's, and keys that
// workloads may use.
#ifndef HOST_CLI_BROKER_HSM_H
#define HOST_CLI_BROKER_HSM_H

#include "host/base/util.h"
#include "verifier/broker/hsm_keys.h"

#define SH_HSM_PASSPHRASE_SIZE 65 // hexadecimal, with a NUL

/* uri: as verifier/broker/pkcs11.h has it, of a secret key. The same key gives the same passphrase;
 * it is to be wiped by the caller. 0 or -errno with the sentence. */
int sh_hsm_passphrase(const char *uri, char out[SH_HSM_PASSPHRASE_SIZE], struct sh_error *err);

/* Reads the list of `--hsm-keys`, the caller's; path NULL: nothing. 0 or -errno with the sentence.
 */
int sh_hsm_keys(const char *path, struct sb_hsm_keys **out, struct sh_error *err);

#endif
