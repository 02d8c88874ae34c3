// SPDX-License-Identifier: Apache-2.0
// What an image's policy lets the host do, said early and clearly. The guest enforces it; this only
// spares the user a wait.
#ifndef HOST_RUN_ALLOWED_H
#define HOST_RUN_ALLOWED_H

#include "host/run/instance.h"

/* May this signal be sent to the workload? 0, or -EPERM with the sentence. */
int sh_signal_need(const struct sh_instance_config *config, uint32_t signal, struct sh_error *err);

/* Is this bit (SH_POLICY_EXEC, ...) set? 0, or -EPERM: "the image does not allow <what>: build it
 * with --allow <word>". */
int sh_request_need(uint64_t requests, uint64_t bit, const char *what, struct sh_error *err);

#endif
