// SPDX-License-Identifier: Apache-2.0
// Intel's quoting service (AESM), played for programs on the simulated processor: its messages,
// with quotes of the simulated quoting enclave.
#ifndef HOST_ATTEST_AESM_SERVE_H
#define HOST_ATTEST_AESM_SERVE_H

#include <stddef.h>
#include <stdint.h>

#include "host/base/util.h"

/* The answer to one request, added to `out`: always one, if only "not supported". `dir`: of the
 * simulated TEE. This process's processor must have the enclaves' fuse key. */
void sh_aesm_answer(const char *dir, const uint8_t *request, size_t size, struct sh_buffer *out);

/* Answers on a listening socket until `until` is readable (a pidfd); -errno if it cannot. */
int sh_aesm_serve(int listener, int until, const char *dir);

#endif
