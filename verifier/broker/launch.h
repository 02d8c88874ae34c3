// SPDX-License-Identifier: Apache-2.0
// Which launch configs a reference allows.
//
// Rules are a JSON object kept beside the reference:
//
//   {"insecure_any": true}            whatever the host chose, but never debug
//   {KEY: true}                       any value
//   {KEY: ["VALUE", ..]}              every value of that key must be one of these
//   {"arg": [["ARGV0", ..], ..]}      the whole command must be one of these
//
// KEY is one of <shelter/launch.h>'s. What has no rule must be absent (then the measured manifest
// decides), except memory, cpus, broker, network, port and tty: those give the host nothing that it
// does not have anyway, and are free. debug is never allowed.
#ifndef VERIFIER_BROKER_LAUNCH_H
#define VERIFIER_BROKER_LAUNCH_H

#include <stdbool.h>

#include <cjson/cJSON.h>

#include "lib/launch.h"

// 0, or -EINVAL with a line in why.
int sb_launch_rules_check(const cJSON *rules, char *why, size_t why_size);
// 0; -EBADMSG if text is no launch config in canonical form; -EPERM with a line in why.
int sb_launch_judge(const cJSON *rules, const char *text, size_t size, char *why, size_t why_size);
bool sb_launch_any(const cJSON *rules);

#endif
