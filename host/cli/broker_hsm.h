// SPDX-License-Identifier: Apache-2.0
// A broker's passphrase from a PKCS #11 token (an HSM), in place of a file's.
#ifndef HOST_CLI_BROKER_HSM_H
#define HOST_CLI_BROKER_HSM_H

#include "host/base/util.h"

#define SH_HSM_URI "pkcs11:"
#define SH_HSM_PASSPHRASE_SIZE 65 // hexadecimal, with a NUL

/* uri: pkcs11:token=LABEL;object=LABEL?module-path=/FILE&pin-source=FILE (RFC 7512; no other
 * attribute). The same key gives the same passphrase; it is to be wiped by the caller. The module
 * is code that runs here: the operator names it by its whole path. 0 or -errno with the sentence.
 */
int sh_hsm_passphrase(const char *uri, char out[SH_HSM_PASSPHRASE_SIZE], struct sh_error *err);

#endif
