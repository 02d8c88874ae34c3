// SPDX-License-Identifier: Apache-2.0
// Where the programs are that this one starts: the loader, the simulated processor.
#ifndef HOST_BASE_BESIDE_H
#define HOST_BASE_BESIDE_H

#include "host/base/error.h"

/* The path of `name`, in ../lib/shelter or build/ beside this program, or what the environment
 * variable names; owned by the caller. NULL with the reason, where `what` is said of it. */
char *sh_find_beside(const char *name, const char *variable, const char *what,
                     struct sh_error *err);

#endif
