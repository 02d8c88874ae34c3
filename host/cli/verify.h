// SPDX-License-Identifier: Apache-2.0
// The verbs that judge and predict.
#ifndef HOST_CLI_VERIFY_H
#define HOST_CLI_VERIFY_H

#include <stddef.h>
#include <stdint.h>

#include "host/base/error.h"

extern const char sh_usage_verify[];

// shelter verify. Exit status: 0 accept, 1 reject, 2 cannot judge.
int cmd_verify(int argc, char **argv);
// shelter measure --tee TEE --firmware FILE ...: for files, without an image.
int cmd_measure_files(int argc, char **argv);

// The certificate of a running TLS server that has shown to hold its key, and of a file (PEM or DER);
// as DER, the caller's to free. 0 or -errno with the sentence.
int sh_tls_certificate(const char *address, uint8_t **der, size_t *size, struct sh_error *err);
int sh_file_certificate(const char *path, uint8_t **der, size_t *size, struct sh_error *err);

#endif
