// SPDX-License-Identifier: Apache-2.0
// A workload has a key of the operator's token sign or unwrap for it.
//
//   POST /kbs/v0/hsm/sign/REPO/TYPE/TAG    {"algorithm", "digest"}  -> {"signature"}
//   POST /kbs/v0/hsm/unwrap/REPO/TYPE/TAG  {"algorithm", "wrapped"} -> JWE of what was wrapped
//
// Bytes are base64url. Attacks expected here: a workload that was broken may use the keys that its
// image may use, as often as it likes, and each time stands in the log with the digest.
#ifndef VERIFIER_BROKER_HSM_H
#define VERIFIER_BROKER_HSM_H

struct sb_request;

#define SB_HSM_BODY_MAX 4096

void sb_hsm_sign(struct sb_request *r, const char *path);
void sb_hsm_unwrap(struct sb_request *r, const char *path);

#endif
