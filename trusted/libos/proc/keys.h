// SPDX-License-Identifier: Apache-2.0
// Keyrings of threads, processes and sessions, under the big lock alone.
#ifndef LIBOS_KEYS_H
#define LIBOS_KEYS_H

#include "trusted/libos/libos.h"

struct key;
void keys_fork(struct process *p);  /* a copy of its parent: the session's ring is shared */
void keys_drop(struct key **place); /* the ring there is nobody's from now on */

#endif
