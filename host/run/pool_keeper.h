// SPDX-License-Identifier: Apache-2.0
// The process of `shelter pool`: keeps so many enclaves waiting (host/run/pool.h) until a signal.
#ifndef HOST_RUN_POOL_KEEPER_H
#define HOST_RUN_POOL_KEEPER_H

#include "host/run/run_options.h"

#define SH_POOL_COUNT_MAX 256u

/* Keeps o->count of o->image waiting for a `run` with these options. Prints one line when all of
 * them wait for the first time, and one for each that was taken: its id. 0 when INT, TERM or HUP
 * ended it: then those that waited are gone, and those that were taken run on. Else -errno with the
 * sentence, likewise: one could not be made, the image was changed, or such a pool is kept already.
 */
int sh_pool_keep(struct sh_store *store, const struct sh_run_options *o, struct sh_error *err);

#endif
