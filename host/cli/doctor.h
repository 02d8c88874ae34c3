// SPDX-License-Identifier: Apache-2.0
// What this host has and lacks whatever the TEE; host/cli/doctor.c prints it.
#ifndef HOST_CLI_DOCTOR_H
#define HOST_CLI_DOCTOR_H

#include <cjson/cJSON.h>

/* What no TEE decides: QEMU, base files, network, store, disk; as lines of host/launch/check.h. */
cJSON *sh_doctor_host(void);

#endif
