// SPDX-License-Identifier: Apache-2.0
// Between the supervisor and its clients: frames as on the guest channel, over ctl.sock.
//
// A client opens with one request and then is what it asked for:
//
//   ATTACH(u8 input)  the workload's streams. Supervisor: CREDIT(stdin) if input is 1, DATA, EOF,
//                     at last EXIT, ERROR or REFUSED. Client: CREDIT(stdout), CREDIT(stderr), and
//                     DATA, EOF for stdin within its credit; WINSIZE, SIGNAL.
//   EXEC              the same for a new session (payload as SH_FRAME_EXEC); also STARTED, or
//                     REFUSED with the reason.
//   WAIT              EXIT or ERROR when the workload ends.
//   SIGNAL(u32)       to the workload; KILL also stops the machine if the guest does not obey.
//                     DONE, or REFUSED with the reason.
//   STATS, TRACE(u32 on), ATTEST(nonce), MAPS
//                     the payload as in channel.h, its id 0. ANSWER or EVIDENCE; after that of a
//                     TRACE that began: TRACED until the client goes or the workload ends.
//   PING              DONE; then another request may follow on the same connection. On an attached
//                     one, REFUSED when the VM or loader is stopped, so that nothing inside
//                     answers.
//   STOP(u32 ms)      stop signal, after that time KILL. EXIT or ERROR when it ended.
//
// The session number in these frames is always 0: a connection serves one session. The first client
// of a supervisor is the command that started it, over a socketpair; it gets STARTED when the
// workload runs and ERROR when it never will. A connection that ends means a supervisor that died.
#ifndef HOST_RUN_CONTROL_H
#define HOST_RUN_CONTROL_H

#include <shelter/control.h>

#include "host/run/frames.h"
#include "host/run/instance.h"

#define SH_CONTROL_SOCKET "ctl.sock"
#define SH_CONTROL_CLIENT_MAX 128u
#define SH_CONTROL_CREDIT 262144u /* what a client or the supervisor buffers a stream */

enum sh_control_type {
    SH_CONTROL_ATTACH = 64,
    SH_CONTROL_WAIT = 65,
    SH_CONTROL_STOP = 66,
    SH_CONTROL_DONE = 67,
    SH_CONTROL_PING = 68,
};

/* Connects to an instance's supervisor and hears that it answers. With a sentence: -ESRCH when
 * there is none, -ETIMEDOUT when it does not answer within ten seconds (it is stopped, or the host
 * is). */
int sh_control_connect(const struct sh_instance *instance, struct sh_error *err);

/* The listening socket of the instance whose folder this is. */
int sh_control_listen(int dir_fd, struct sh_error *err);

/* Sends what `out` holds, waiting as needed; empties it. 0 or -errno; -ETIMEDOUT when nothing of it
 * was taken for a minute. */
int sh_control_send(int fd, struct sh_fifo *out);

/* Waits for the next frame. 1; 0 when the other side closed; -errno; -ETIMEDOUT (timeout_ms < 0:
 * none). */
int sh_control_receive(int fd, struct sh_frame_reader *reader, struct sh_frame_view *frame,
                       int timeout_ms);

/* One request whose answer is DONE or REFUSED. 0, or -errno with the sentence. */
int sh_control_signal(const struct sh_instance *instance, uint32_t signal, struct sh_error *err);

/* One request of channel.h (SH_FRAME_STATS, TRACE, ATTEST) with its data behind the id. The answer,
 * with a NUL behind, is the caller's to free. 0, or -errno with the guest's sentence. */
int sh_control_request(const struct sh_instance *instance, uint8_t type, const void *data,
                       size_t data_size, char **answer, struct sh_error *err);

/* The same for a TRACE that goes on: the connection, whose next frames `in` reads; or -errno. */
int sh_control_trace(const struct sh_instance *instance, struct sh_frame_reader *in,
                     struct sh_error *err);

/* Waits until the workload ended (a STOP: at most some seconds longer than it may take, else
 * -ETIMEDOUT); its exit status is in *status. A supervisor that dies while we wait
 * gives what state.json says afterwards. */
int sh_control_wait(struct sh_instance *instance, uint8_t request, uint32_t stop_ms, int *status,
                    struct sh_error *err);

/* The exit status that ends the session, when `frame` is EXIT or ERROR; the text of ERROR in err.
 */
bool sh_control_ended(const struct sh_frame_view *frame, int *status, struct sh_error *err);

#endif
