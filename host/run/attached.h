// SPDX-License-Identifier: Apache-2.0
// The foreground: this process's stdio, terminal and signals, joined to a session.
#ifndef HOST_RUN_ATTACHED_H
#define HOST_RUN_ATTACHED_H

#include "host/run/control.h"

struct sh_attached {
    int fd; /* connection of an attached client; not owned */
    const struct sh_instance_config *config;
    bool input;   /* forward stdin */
    bool tty;     /* raw terminal, window size, a person's detach keys */
    bool started; /* runs already: attach */
    bool person;  /* somebody sits there, who may leave or lose patience; else an engine:
                   * we stay until the session ends */
    bool signals; /* pass on INT, TERM, HUP, QUIT, USR1, USR2; else they are nothing to us */
    bool end_with_output; /* a closed stdout ends the workload, as SIGPIPE ends a program */
    const char *what;     /* "the workload", for messages */
};

/* Is this signal passed on (where `signals` is set)? */
bool sh_attached_passes(int number);

enum sh_attached_end { SH_ATTACHED_ENDED, SH_ATTACHED_DETACHED, SH_ATTACHED_LOST };

/* Blocks the signals that sh_attached_run will take, so that none is lost before. */
void sh_attached_block_signals(void);

/* Runs until the session ends (its exit status in *status; the text of an ERROR in err), the user
 * detaches, or the supervisor dies or does not answer a signal (LOST, with the sentence). The
 * terminal is as before afterwards. */
enum sh_attached_end sh_attached_run(const struct sh_attached *a, int *status,
                                     struct sh_error *err);

#endif
