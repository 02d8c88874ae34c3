// SPDX-License-Identifier: Apache-2.0
// Volumes and the broker that remembers their states.
#ifndef LIBOS_AGENT_VOLUME_H
#define LIBOS_AGENT_VOLUME_H

#include "lib/settings.h"
#include "trusted/agent/core.h"

/* Mounts volume `number` of the settings, which is *v, with its key, and with what the broker
 * remembers of it. *v must last; *s, with the key, is the caller's to wipe. Inside agent_call, with
 * the big lock held exclusively. 0, -ENOMEM, or another -errno, having said why. */
int agent_mount_volume(uint32_t number, const struct sh_volume *v, const struct agent_secret *s);
/* From now on the broker hears of their states, from a thread of the LibOS's own. With the big lock
 * held exclusively, once all are mounted and before the program. 0, or -ENOMEM. */
int agent_keep_volumes(void);

#endif
