// SPDX-License-Identifier: Apache-2.0
// What a resource demands of a token, besides that the token is valid.
//
// A policy is a JSON object, kept for one resource or for "*" (all that have none of their own):
//
//   "images"      ["NAME", ..]   names of references or image identities; any known one otherwise
//   "tee"         ["tdx", ..]    sgx, tdx, snp, csv
//   "simulated"   bool           false refuses what --allow-simulated let in (default true)
//   "launch"      "checked"|"any"  "checked" (default) refuses what came by a reference with
//                                insecure_any
//   "tcb_status"  ["UpToDate", ..]
//   "claims"      {..}           as in a verifier's policy (verifier/judge/policy.h)
//   "allow"       bool           false: nobody gets it
//
// Unknown members are errors. A policy that cannot be read refuses.
#ifndef VERIFIER_BROKER_POLICY_H
#define VERIFIER_BROKER_POLICY_H

#include <stddef.h>

#include <cjson/cJSON.h>

// 0, or -EINVAL with a line in why.
int sb_policy_check(const char *text, char *why, size_t why_size);
// payload: of a token. text NULL: the default. 0, or -EPERM with a line in why.
int sb_policy_judge(const char *text, const cJSON *payload, char *why, size_t why_size);

#endif
