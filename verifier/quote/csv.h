// SPDX-License-Identifier: Apache-2.0
// Hygon CSV attestation reports, version 1 (legacy) and 2 (extended), and Hygon's certificates.
//
//   v1: body 180 | sig usage, sig algorithm, anonce u32 | SM2 signature r 72, s 72 | signer
//   v2: body 180 | sig usage, sig algorithm, build u32 | rtmr version u16 | 14 | rtmr[5] 32 |
//       656 | SM2 signature | signer
//   signer: PEK certificate 2084 | serial number 64 | 32 | SM3-HMAC 32 (key: mnonce)
//
// In v1 every 32-bit word but the signature is masked with `anonce`; tools that hand the report on
// may have unmasked the PEK and the serial number.
#ifndef VERIFIER_QUOTE_CSV_H
#define VERIFIER_QUOTE_CSV_H

#include "verifier/quote/collateral.h"

#define SV_CSV_V1_SIZE 2548
#define SV_CSV_V2_SIZE 3380
#define SV_CSV_PAGE_SIZE 4096
#define SV_HYGON_ROOT_SIZE 832  // HRK, HSK
#define SV_HYGON_CERT_SIZE 2084 // CEK, PEK

struct sv_csv {
    int version;
    const uint8_t *report;
    uint32_t policy;
    bool unmasked; // a v1 report whose PEK and serial number somebody unmasked
    uint8_t mnonce[16];
    uint8_t pek[SV_HYGON_CERT_SIZE]; // unmasked
    uint8_t serial[64];
};

// Whether these bytes are in the form of Hygon's root certificate (HRK).
bool sv_csv_is_root(const void *data, size_t size);

int sv_csv_parse(const uint8_t *data, size_t size, int version, struct sv_csv *csv,
                 struct shelter_verdict *v);
// chain: HSK and CEK (832 + 2084 bytes); root: the caller's own HRK (832 bytes) or NULL.
void sv_csv_judge(const struct sv_csv *csv, const uint8_t *chain, size_t chain_size,
                  const uint8_t *root, size_t root_size, struct shelter_verdict *v);
// SM2 with SM3 over P-256-sized fields; x, y, r, s little-endian, as Hygon keeps them.
bool sv_sm2_verify(const uint8_t *x, const uint8_t *y, const uint8_t *id, size_t id_size,
                   const uint8_t *r, const uint8_t *s, const void *data, size_t size);

#endif
