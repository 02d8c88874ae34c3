// SPDX-License-Identifier: Apache-2.0
// One line of what this host has or lacks; `shelter doctor` prints them.
#ifndef HOST_LAUNCH_CHECK_H
#define HOST_LAUNCH_CHECK_H

#include <cjson/cJSON.h>
#include <stdbool.h>

/* Adds {"what", "ok", "detail"[, "remedy"]} to a list of checks; returns ok. `remedy` is shown
 * where it is not ok; NULL: the detail says it. */
bool sh_check_add(cJSON *checks, const char *what, bool ok, const char *remedy, const char *detail,
                  ...) __attribute__((format(printf, 5, 6)));

/* A device that must be opened for reading and writing. */
bool sh_check_device(cJSON *checks, const char *path, const char *remedy);

#endif
