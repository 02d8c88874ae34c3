// SPDX-License-Identifier: Apache-2.0
// The host-guest channel: frames over one virtio-serial port (or a vsock connection).
//
//   0       1        2         4        8
//   +-------+--------+---------+--------+----------------
//   | type  | stream | session | size   | size bytes ...         little endian, size <= 64 KiB
//   +-------+--------+---------+--------+----------------
//
// Session 0 is the workload, others are exec'd programs, numbered by the host. Data flows only
// within credit that the receiver granted (SH_FRAME_CREDIT), so no stream can block another and
// nobody buffers more than SH_CREDIT_WINDOW bytes a stream. The guest treats every frame as
// hostile: a malformed one ends the channel; one that the measured policy does not allow is
// answered with SH_FRAME_REFUSED and has no other effect.
//
//   guest                          host
//   HELLO(version, abilities) ->
//                             <-   CREDIT(stdout), CREDIT(stderr)
//   CREDIT(stdin), STARTED    ->
//   DATA, EOF                <->   DATA, EOF, WINSIZE, SIGNAL
//   EXIT                      ->   after all output was sent
//                             <-   BYE (or the host just stops the machine)
#ifndef SHELTER_CHANNEL_H
#define SHELTER_CHANNEL_H

#include <stdint.h>

#define SH_CHANNEL_PORT "shelter.channel" /* virtio-serial port name */
#define SH_CHANNEL_VERSION 1u
#define SH_CHANNEL_BOUNDS 1u /* an ability: SH_EXEC_CONTAINER has bounds */
#define SH_FRAME_SIZE_MAX 65536u
#define SH_CREDIT_WINDOW 1048576u
#define SH_SESSION_MAX 64u /* sessions open at once */

/* Exit status when attestation failed, or a secret did not come: the workload was not started. */
#define SH_EXIT_ATTESTATION 123
#define SH_ATTEST_NONCE_MAX 64u

struct sh_frame {
    uint8_t type;     /* enum sh_frame_type */
    uint8_t stream;   /* enum sh_stream, where the type has one, else 0 */
    uint16_t session; /* 0: the workload */
    uint32_t size;    /* bytes that follow */
};

enum sh_stream { SH_STREAM_IN = 0, SH_STREAM_OUT = 1, SH_STREAM_ERR = 2 };

enum sh_frame_type {
    /* both ways */
    SH_FRAME_DATA = 1,   /* bytes of a stream, within credit */
    SH_FRAME_EOF = 2,    /* the stream ends */
    SH_FRAME_CREDIT = 3, /* u32: the receiver takes so many more bytes of this stream */
    /* guest to host */
    SH_FRAME_HELLO = 16,   /* u32 version, u32 SH_CHANNEL_BOUNDS or 0; older guests: version */
    SH_FRAME_STARTED = 17, /* the session's program runs */
    SH_FRAME_EXIT = 18,    /* u32 code, u32 signal: it ended (signal 0: by itself, with code); then
                              text, if more is known of the end */
    SH_FRAME_ERROR = 19,   /* u32 exit status (123, 125, 126, 127), then text: it was not started */
    SH_FRAME_REFUSED = 20, /* u32 frame type, then text: policy does not allow that request */
    /* Answer to ATTEST: u32 id, u32 error (0, or a positive errno), then evidence as CoCo's JSON
     * for this TEE ({"quote": ...}, {"attestation_report": ...}), or the error's text. */
    SH_FRAME_EVIDENCE = 21,
    SH_FRAME_ANSWER = 22, /* to STATS, TRACE, MAPS: u32 id, u32 error (0, or a positive errno), then
                             a JSON object, nothing, text; or the error's text */
    SH_FRAME_TRACED = 23, /* lines of a trace */
    /* host to guest */
    SH_FRAME_WINSIZE = 32, /* u16 rows, u16 columns */
    SH_FRAME_SIGNAL = 33,  /* u32 signal, to the session's process group */
    SH_FRAME_EXEC = 34,    /* struct sh_exec_head + strings: start a program in a new session */
    SH_FRAME_BYE = 35,     /* EXIT of session 0 was received; power off */
    /* u32 id, then a nonce of 1..SH_ATTEST_NONCE_MAX bytes: evidence of what runs here, any time
     * between HELLO and EXIT, whatever the policy (it tells nothing but the measurement). Its
     * report data is SHA-512("shelter-attest-v1" || nonce), computed inside: no nonce makes
     * evidence that a broker or an RA-TLS client would take. One request at a time; another is
     * answered EBUSY. */
    SH_FRAME_ATTEST = 36,
    SH_FRAME_STATS = 37, /* u32 id: counts, where the policy allows it */
    SH_FRAME_TRACE = 38, /* u32 id, u32: 1 on, 0 off; likewise */
    SH_FRAME_MAPS = 39,  /* u32 id: where the program is in a debug enclave; never to a VM */
};

/* Why a container is not started (SH_FRAME_REFUSED): the one before has not ended yet. */
#define SH_CONTAINER_RUNS "a container of this name is still running"

/* SH_FRAME_EXEC: this head, then arg_count + env_count strings, each with its NUL, then working
 * directory and user, each with its NUL (empty: as the workload's). */
struct sh_exec_head {
    uint8_t tty;  /* 1: a terminal, stderr goes to stdout */
    uint8_t kind; /* enum sh_exec_kind */
    uint16_t arg_count;
    uint16_t env_count;
    uint16_t rows, columns;
};

enum sh_exec_kind {
    SH_EXEC_PROGRAM = 0,
    SH_EXEC_COPY_OUT = 1, /* argv[0]: path; stdout is a ustar/pax archive of it */
    SH_EXEC_COPY_IN = 2,  /* argv[0]: directory; stdin is an archive to unpack there */
    /* Of a machine whose image has containers (SH_TAG_CONTAINER). */
    SH_EXEC_CONTAINER = 3, /* argv[0]: its name; all but terminal and bounds is as built */
    SH_EXEC_INSIDE = 4,    /* argv[0]: its name; the rest is a program's, beside it */
    SH_EXEC_COUNT = 5,     /* argv[0]: its name; stdout is what it uses, as JSON */
};

/* In place of SH_EXEC_CONTAINER's directory, what the container may not do, as words with commas
 * between: "ro" (write to its root), "memory=BYTES", "pids=COUNT" (use more). Empty: no bounds.
 * Each takes something away, so the host may choose it; a container over its memory ends as a
 * whole. */
#define SH_BOUND_READ_ONLY "ro"
#define SH_BOUND_MEMORY "memory="
#define SH_BOUND_PIDS "pids="

#endif
