// SPDX-License-Identifier: Apache-2.0
// What an SVSM says of its services beside an SNP report (AMD 58019, 7 and 8.3.1): the manifest,
// and the 64 bytes that were asked to be bound with it. Report data is SHA-512 of both.
//
//   services  GUID 63849ebb-3d92-4670-a1ff-58f9c94b87bb, size u32, count u32,
//             { GUID, offset u32, size u32 } .., data
//   vTPM      TPMT_PUBLIC of its endorsement key: alone, or as the data of service
//             c476f1eb-0123-45a5-9641-b4e7dde5bfe3
#ifndef VERIFIER_QUOTE_SVSM_H
#define VERIFIER_QUOTE_SVSM_H

#include "verifier/base/bytes.h"
#include "verifier/quote/tpm.h"
#include "verifier/quote/verdict.h"

#define SV_SVSM_NONCE_SIZE 64
#define SV_SVSM_MANIFEST_MAX 16384
#define SV_SVSM_SERVICES_MAX 32

// As it came; pieces owned by the evidence.
struct sv_svsm {
    struct sv_bytes nonce, manifest;
};

// Where report data is of these, and the report was asked for from VMPL 0, report data is the 64
// bytes from then on, and the vTPM's key is claimed. A quote of the vTPM (may be NULL) is judged
// where that key signs; it is a key to decrypt only, mostly, and then the quote cannot be judged.
void sv_svsm_judge(const struct sv_svsm *s, uint32_t vmpl, const struct sv_tpm_quote *q,
                   struct shelter_verdict *v);

#endif
