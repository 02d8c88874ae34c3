// SPDX-License-Identifier: Apache-2.0
// Volumes and the broker that remembers their states.
#ifndef LIBOS_AGENT_VOLUME_H
#define LIBOS_AGENT_VOLUME_H

#include "lib/settings.h"
#include "trusted/agent/core.h"

/* Mounts volume `number` of the settings with its key, and with what the broker remembers of it.
 * Inside agent_call, with the lock. 0 or -errno, having said why. */
int agent_mount_volume(uint32_t number, const struct sh_volume *v, const struct agent_secret *s);
/* From now on the broker hears of their states. With the lock, before the program. 0, -ENOMEM. */
int agent_keep_volumes(void);

#endif
