// SPDX-License-Identifier: Apache-2.0
// A vTPM's quote beside an SNP report (Azure): the paravisor's runtime data, whose digest is the
// report's data, names the key that signs it. TPM 2.0 library, part 2: TPMS_ATTEST.
#ifndef VERIFIER_QUOTE_TPM_H
#define VERIFIER_QUOTE_TPM_H

#include <openssl/evp.h>

#include "verifier/base/bytes.h"
#include "verifier/quote/verdict.h"

#define SV_TPM_PCRS 24

// As it came; pieces owned by the evidence.
struct sv_tpm_quote {
    struct sv_bytes message, signature; // TPMS_ATTEST; RSASSA-PKCS1-v1_5 with SHA-256
    uint8_t pcr[SV_TPM_PCRS][32];       // SHA-256 bank, all of them, signed or not
};

// A number, big-endian; a TPM2B (size of 16 bits, bytes). *ok becomes false where there are fewer
// bytes, and nothing is taken from then on.
uint32_t sv_tpm_number(struct sv_bytes *in, size_t size, bool *ok);
struct sv_bytes sv_tpm_sized(struct sv_bytes *in, bool *ok);

// Judges it by this key: RSASSA, or ECDSA in DER, with SHA-256. Then as below.
void sv_tpm_judge_by(const struct sv_tpm_quote *q, EVP_PKEY *key, struct shelter_verdict *v);
// Judges it by the key "HCLAkPub" of the runtime data, whose digest was found right before. Where
// it holds, PCRs that it signs become claims, and report data is what the quote was asked to bind
// (extraData): a refusal otherwise.
void sv_tpm_judge(const struct sv_tpm_quote *q, struct sv_bytes runtime, struct shelter_verdict *v);

#endif
