// SPDX-License-Identifier: Apache-2.0
// What this host can see of a running instance, and the inside's own counts where the image's
// policy lets the host have them (--allow stats).
#ifndef HOST_RUN_OBSERVE_H
#define HOST_RUN_OBSERVE_H

#include <cjson/cJSON.h>

#include "host/run/instance.h"

/* {"instance", "id", "image", "tee", "simulated", "started" (seconds since 1970), "processes",
 * "memory_bytes" (each page's part, of the supervisor and all below it), "cpu_seconds",
 * "volumes": {NAME: bytes of its file that are used}, "stats": what SH_FRAME_STATS answers, only
 * where it is allowed and answered}. Owned by the caller. Asks the inside, so it may take as long
 * as sh_control_request. */
cJSON *sh_observe(const struct sh_instance *instance);

/* An array of those that run. 0 or -errno with the sentence. */
int sh_observe_all(struct sh_store *store, cJSON **list, struct sh_error *err);

#endif
