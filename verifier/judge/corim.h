// SPDX-License-Identifier: Apache-2.0
// Reference values as CoRIM (draft-ietf-rats-corim), unsigned, in and out.
//
//   501({0: id, 1: [506(<< {1: {0: id}, 4: {0: [TRIPLE, ..]}} >>)]})
//   TRIPLE   [{0: {1: "shelter", 2: TEE}}, [MEASUREMENT, ..]]   one an entry of "references"
//   MEASUREMENT  {0: CLAIM, 1: {2: [[ALGORITHM, DIGEST]]}}      a hash, by its size
//                {0: CLAIM, 1: {1: NUMBER}}                     a number, as svn
//                {0: "rtmr", 1: {14: {REGISTER: [[7, DIGEST]]}}}
//
// (a claim with alternatives: one triple for each) and a triple of TEE "image" with the image's
// identity ("image", a digest) and its manifest
// ("manifest", raw value). What else a reference.json says (CPUs, boot, firmware) is not judged and
// left out.
//
// Attacks expected here: a file of somebody else's. What it says that is not understood within a
// triple is refused, since leaving it out would let more in; elsewhere it is skipped.
#ifndef VERIFIER_JUDGE_CORIM_H
#define VERIFIER_JUDGE_CORIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#define SV_CORIM_MAX (4u << 20)

// Whether bytes begin as one does, signed or not.
bool sv_corim_is(const void *data, size_t size);
// From a reference.json. *out is malloc'd. 0; -EINVAL with a line in why; -ENOMEM.
int sv_corim_write(const cJSON *reference, uint8_t **out, size_t *size, char *why, size_t why_size);
// In place of *data, what was read from a file: a CoRIM becomes a reference.json (malloc'd, NUL
// behind its end), everything else stays as it is. 0, or -EINVAL with a line in why.
int sv_corim_to_json(uint8_t **data, size_t *size, int64_t now, char *why, size_t why_size);
// To a reference.json, or NULL with a line in why. now: seconds, for its validity.
cJSON *sv_corim_read(const void *data, size_t size, int64_t now, char *why, size_t why_size);

#endif
