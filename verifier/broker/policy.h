// SPDX-License-Identifier: Apache-2.0
// What a resource demands of a token, besides that the token is valid.
//
// A policy is a JSON object, kept for one resource or for "*" (every resource). Both must hold
// where there are both, and one of them must name images: what no policy gives to an image, nobody
// gets.
//
//   "images"      ["ID", ..]     identities (96 hex digits) of images; or "any": each that a
//                                reference lets attest. Names stand only in what an operator
//                                writes: they are looked up when the policy is kept.
//   "tee"         ["tdx", ..]    sgx, tdx, snp, csv
//   "simulated"   bool           false refuses what --allow-simulated let in (default true)
//   "launch"      "checked"|"any"  "checked" (default) refuses what came by a reference with
//                                insecure_any
//   "tcb_status"  ["UpToDate", ..]
//   "claims"      {..}           as in a verifier's policy (verifier/judge/policy.h)
//   "allow"       bool           false: nobody gets it
//
//   "once"        true           it is given one time, and is gone then
//
// Unknown members are errors. A policy that cannot be read refuses.
#ifndef VERIFIER_BROKER_POLICY_H
#define VERIFIER_BROKER_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include <cjson/cJSON.h>

// 0, or -EINVAL with a line in why. text has `size` bytes.
int sb_policy_check(const char *text, size_t size, char *why, size_t why_size);
// Whether a resource is given one time only. A policy that cannot be read: true.
bool sb_policy_once(const char *text);
// 96 lower-case hexadecimal digits.
bool sb_image_id_ok(const char *text);
// wide: the policy of "*"; own: the resource's; NULL where there is none. payload: of a token. 0,
// or -EPERM with a line in why.
int sb_policy_judge(const char *wide, const char *own, const cJSON *payload, char *why,
                    size_t why_size);
// Whether a policy (may be NULL) speaks for this identity: 1: it names the image, or any; 0: it
// names no images; -EPERM with a line in why: it names others, allows nobody or cannot be read.
int sb_policy_names(const char *text, const char *image, char *why, size_t why_size);

#endif
