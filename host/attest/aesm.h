// SPDX-License-Identifier: Apache-2.0
// Asks Intel's quoting service (AESM, "aesmd") for the quoting enclave's target and for quotes.
//
// One connection a request: u32 size, then a protobuf message (proto2) of aesm.message.Request; the
// answer likewise. Messages and field numbers: Intel SGX for Linux, aesm_service, messages.proto.
// The service is the host's like everything here: sizes are bounded, and the enclave judges what it
// gets by its own report.
#ifndef HOST_ATTEST_AESM_H
#define HOST_ATTEST_AESM_H

#include <stdint.h>

#include <shelter/sgx.h>

#include "host/base/error.h"
#include "lib/bytes.h"

#define SH_AESM_SOCKET "/var/run/aesmd/aesm.socket"
#define SH_AESM_MESSAGE_MAX 65536u
#define SH_AESM_KEY_ID_SIZE 256u

/* sgx_att_key_id_t: ECDSA over P-256 of the quoting enclave that Intel signs. */
void sh_aesm_key_id(uint8_t id[SH_AESM_KEY_ID_SIZE]);

/* Both: 0 or the quote's size, or -errno; -ENODEV where no service listens. `out`: 32 KiB. */
int sh_aesm_target(const char *socket_path, struct sgx_targetinfo *target, struct sh_error *err);
int sh_aesm_quote(const char *socket_path, const struct sgx_report *report, uint8_t *out,
                  struct sh_error *err);

/* The answer of this number out of a Response: errorCode (1), and field 2 as bytes or as a number,
 * whichever it is. 0 or -EBADMSG. */
struct sh_aesm_answer {
    uint64_t error;
    struct sh_view bytes;
    uint64_t number;
};
int sh_aesm_parse(const uint8_t *data, size_t size, unsigned answer, struct sh_aesm_answer *out);

#endif
