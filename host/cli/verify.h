// SPDX-License-Identifier: Apache-2.0
// Certificates for the verb that judges.
#ifndef HOST_CLI_VERIFY_H
#define HOST_CLI_VERIFY_H

#include <stddef.h>
#include <stdint.h>

#include "host/base/error.h"

// The certificate of a running TLS server that has shown to hold its key, and of a file (PEM or
// DER); as DER, the caller's to free. 0 or -errno with the sentence.
int sh_tls_certificate(const char *address, uint8_t **der, size_t *size, struct sh_error *err);
int sh_file_certificate(const char *path, uint8_t **der, size_t *size, struct sh_error *err);

#endif
