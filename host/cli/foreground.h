// SPDX-License-Identifier: Apache-2.0
// What run, start, attach and exec share.
#ifndef HOST_CLI_FOREGROUND_H
#define HOST_CLI_FOREGROUND_H

#include "host/cli/options.h"
#include "host/run/attached.h"
#include "host/run/prepare.h"

/* Reads the arguments of `run` or `start`. -1 to go on, else the exit status. */
int sh_run_options_parse(enum sh_verb_id verb, int argc, char **argv, struct sh_run_options *o);

/* `run` with these options; returns the exit status. */
int sh_run_options(struct sh_run_options *o);

/* Starts what was prepared, in the foreground or detached (then prints its id). */
int sh_foreground(struct sh_prepared *p, bool detach);

/* Says what there is to say after sh_attached_run; returns the exit status. */
int sh_foreground_end(enum sh_attached_end end, int status, const char *name,
                      const struct sh_error *err);

#endif
