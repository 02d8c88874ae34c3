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
// KEY is one of <shelter/launch.h>'s. What has no rule must be as the image says (lib/settings.h),
// except memory, cpus, broker, network, port and tty: those give the host nothing that it does not
// have anyway, and are free. debug is never allowed, nor what the image itself refuses.
#ifndef VERIFIER_BROKER_LAUNCH_H
#define VERIFIER_BROKER_LAUNCH_H

#include <stdbool.h>

#include <cjson/cJSON.h>

#include "lib/settings.h"

// 0, or -EINVAL with a line in why.
int sb_launch_rules_check(const cJSON *rules, char *why, size_t why_size);
// The manifest in a reference's JSON ("manifest", hexadecimal), whose digest is the JSON's "image".
// m points into *bytes, which the caller frees. 0; -ENOENT: there is none;
// -EBADMSG: it is another image's, or malformed; -ENOMEM.
int sb_launch_manifest(const char *reference, struct sh_manifest *m, uint8_t **bytes);

// What the host chose is what makes the settings other than the image's own. manifest: NULL if the
// reference has none, which then must say insecure_any (a guest that is none of ours). 0, or with a
// line in why -EBADMSG: text is no launch config in canonical form; -EPERM: the image or the rules
// refuse it; -ENOENT: no manifest; -ENOMEM.
int sb_launch_judge(const cJSON *rules, const struct sh_manifest *manifest, const char *text,
                    size_t size, char *why, size_t why_size);
bool sb_launch_any(const cJSON *rules);
// Whether init-data begins as a launch config does.
bool sb_launch_is_ours(const char *init_data);

#endif
