// SPDX-License-Identifier: Apache-2.0
// What the host may ask of a running enclave, and what it gets: one request at a time, each judged
// inside by the image's policy. In <shelter/enclave.h>, SH_CALL_CONTROL fetches a request and
// SH_CALL_ANSWER gives the answer.
#ifndef SHELTER_CONTROL_H
#define SHELTER_CONTROL_H

#include <stdint.h>

enum sh_control_kind {
    SH_CONTROL_STATS = 1,  /* no data; answer: a JSON object. Needs SH_POLICY_STATS */
    SH_CONTROL_TRACE = 2,  /* u32: 1 on, 0 off; answer: empty. Needs SH_POLICY_TRACE */
    SH_CONTROL_ATTEST = 3, /* a nonce of 1 to 64 bytes; answer: evidence as JSON. Always allowed */
    SH_CONTROL_MAPS = 4, /* no data; answer: /proc/self/maps, for a debugger. Debug enclaves only */
    /* struct sh_control_exec, then the payload of SH_FRAME_EXEC; answer: empty, the program runs.
     * EPERM: refused; ENOENT, EACCES, ENOEXEC and others: it could not be started. Its end is told
     * by SH_CALL_SESSION. Needs SH_POLICY_EXEC */
    SH_CONTROL_EXEC = 5,
    SH_CONTROL_WINDOW = 6, /* u32 session, u16 rows, u16 columns; answer: empty */
    SH_CONTROL_SIGNAL = 7, /* u32 session, u32 signal, to its process group; answer: empty. As the
                              policy has it for the workload's signals */
};

#define SH_CONTROL_DATA_MAX 65520u
#define SH_CONTROL_ASK_MAX 64u       /* of a request on behalf of a client of the supervisor */
#define SH_CONTROL_ANSWER_MAX 65472u /* bytes; with its numbers it fits a frame of the channel */

/* Handles of the host's for the new program's streams; in use by nothing else. With a terminal only
 * the first two count. */
struct sh_control_exec {
    uint32_t session; /* 1 to 65535, of no other program that runs */
    int32_t handles[3];
};

struct sh_control_request {
    uint32_t kind; /* enum sh_control_kind */
    uint32_t id;   /* the host's, not 0; the answer names it */
    uint32_t size; /* bytes of data */
    uint32_t zero;
    uint8_t data[SH_CONTROL_DATA_MAX];
};

#endif
