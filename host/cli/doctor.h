// SPDX-License-Identifier: Apache-2.0
// What this host has and lacks, as a tree; host/cli/doctor.c prints it.
#ifndef HOST_CLI_DOCTOR_H
#define HOST_CLI_DOCTOR_H

#include <cjson/cJSON.h>
#include <stdbool.h>

/* Adds {"what", "ok", "detail"[, "remedy"]} to a list of checks; returns ok. */
bool sh_doctor_check(cJSON *checks, const char *what, bool ok, const char *remedy,
                     const char *detail, ...) __attribute__((format(printf, 5, 6)));

/* {"tee", "simulated", "usable", "checks": [...]} for each TEE. */
cJSON *sh_doctor_tees(void);

/* What no TEE decides: QEMU, base files, network, store, disk. */
cJSON *sh_doctor_host(void);

#endif
