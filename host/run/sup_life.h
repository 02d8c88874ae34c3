// SPDX-License-Identifier: Apache-2.0
// What is written down of an instance while it runs: its state, its log, and how it ended. The
// lowest of the supervisor's parts; each uses only those before it:
//
//   sup_life      state.json, log, the end
//   sup_clients   connections of clients: what waits for them, what they feed
//   sup_requests  questions to the guest on behalf of clients
//   sup_guest     the guest channel and its sessions
//   sup_commands  what a client asks for
//   supervisor    start, poll loop, end
//
// All of it is one process with one thread; a struct belongs to the supervisor, which outlives it.
#ifndef HOST_RUN_SUP_LIFE_H
#define HOST_RUN_SUP_LIFE_H

#include "host/run/instance.h"
#include "host/run/instance_log.h"

struct sup_life {
    struct sh_instance *instance;
    struct sh_instance_state state;
    struct sh_log log;
    bool ended; /* state.exit_code is decided */
    bool ended_by_error;
    uint32_t exit_code, exit_signal; /* as told to clients */
    uint32_t asked;                  /* the last signal that a client asked for; 0: none */
};

/* The workload runs: once. */
void sup_life_started(struct sup_life *l);

/* The instance's end: the workload's own, or an error with the exit status for it. The first call
 * decides. */
void sup_life_exit(struct sup_life *l, uint32_t code, uint32_t signal,
                   const char *why); /* NULL: no more is known */
void sup_life_error(struct sup_life *l, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Writes state.json and the log's last line, and closes it; after the end was decided. */
void sup_life_finish(struct sup_life *l);

#endif
