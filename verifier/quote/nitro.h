// SPDX-License-Identifier: Apache-2.0
// The attestation document of an AWS instance with NitroTPM: COSE_Sign1 (RFC 9052) with ES384 over
// a map of CBOR.
//
//   [ << {1: -35} >>, {}, << document >>, r 48 || s 48 ]      may stand behind tag 18
//   document: module_id, digest ("SHA384"), timestamp (ms), nitrotpm_pcrs { 0..31: 48 bytes },
//             certificate (DER), cabundle [ DER .. ], public_key, user_data, nonce (bytes or null)
//
// The document and what it is made of may have indefinite lengths, as Nitro writes them.
#ifndef VERIFIER_QUOTE_NITRO_H
#define VERIFIER_QUOTE_NITRO_H

#include "verifier/base/bytes.h"
#include "verifier/base/x509.h"
#include "verifier/quote/verdict.h"

#define SV_NITRO_PCRS 32
#define SV_NITRO_CAS_MAX 8
#define SV_NITRO_DATA_MAX 1024 // each of public_key, user_data, nonce
#define SV_NITRO_PCR_SIZE 48

// All pieces lie in the evidence.
struct sv_nitro {
    struct sv_bytes document, signature;
    struct sv_bytes module_id; // printable
    uint64_t timestamp;        // milliseconds since 1970
    struct sv_bytes pcr[SV_NITRO_PCRS], certificate, ca[SV_NITRO_CAS_MAX];
    size_t ca_count;
    struct sv_bytes public_key, user_data, nonce; // data NULL: not there
};

// Whether the bytes begin as such a document does.
bool sv_nitro_is(const uint8_t *data, size_t size);
// 0, or -1 with a refusal. The members become claims.
int sv_nitro_parse(const uint8_t *data, size_t size, struct sv_nitro *out,
                   struct shelter_verdict *v);
// The signature, and the chain to AWS's root or one that the caller names.
void sv_nitro_judge(const struct sv_nitro *nitro, const struct sv_certs *named,
                    bool allow_simulated, struct shelter_verdict *v);

#endif
