// SPDX-License-Identifier: Apache-2.0
// A broker's passphrase from a PKCS #11 token (an HSM), in place of a file's.
#ifndef HOST_CLI_BROKER_HSM_H
#define HOST_CLI_BROKER_HSM_H

#include "host/base/util.h"
#include "verifier/broker/pkcs11.h"

#define SH_HSM_PASSPHRASE_SIZE 65 // hexadecimal, with a NUL

/* uri: as verifier/broker/pkcs11.h has it, of a secret key. The same key gives the same passphrase;
 * it is to be wiped by the caller. 0 or -errno with the sentence. */
int sh_hsm_passphrase(const char *uri, char out[SH_HSM_PASSPHRASE_SIZE], struct sh_error *err);

#endif
