// SPDX-License-Identifier: Apache-2.0
// Programs that the host starts beside the workload (`shelter exec`), where the image's policy lets
// it: <shelter/control.h>. Each is a process without a parent, in a session of its own.
#ifndef LIBOS_SESSION_H
#define LIBOS_SESSION_H

#include "trusted/libos/libos.h"

struct session;

/* entry/control.c asks: 0, or -errno with a sentence in out. With the lock held, which is given up
 * while the program is loaded. */
long session_judge_exec(const struct sh_control_request *r, char *out, size_t size);
long session_judge_window(const struct sh_control_request *r, char *out, size_t size);
long session_judge_signal(const struct sh_control_request *r, char *out, size_t size);

/* The image's own server of the local API, which stands beside the workload as a session does. It
 * begins to run when the caller gives up the lock. 0, or -errno, having said why. */
int session_start_api(void);

/* The first thread of its process: loads the program. Returns when it can run, with registers set;
 * else ends the process. */
void session_begin(struct thread *t);

/* Its process p has ended: the host hears of it. */
void session_ended(struct process *p);

#endif
