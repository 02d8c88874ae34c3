// SPDX-License-Identifier: Apache-2.0
// Intel quotes, versions 3 (SGX), 4 and 5 (SGX and TDX), taken apart but not yet believed.
//
//  v3, v4:  header 48 | body 384 (SGX) or 584 (TD 1.0) | u32 size | signature data
//  v5:      header 48 | u16 body type | u32 body size | body | u32 size | signature data
//           body types 1 SGX (384), 2 TD 1.0 (584), 3 TD 1.5 (648), 4 TD 1.5 extended (885)
//
//  signature data, v3:      sig 64 | attestation key 64 | QE report 384 | QE report sig 64 |
//                           u16 size, authentication data | u16 type, u32 size, certification data
//  signature data, v4, v5:  sig 64 | attestation key 64 | u16 type 6, u32 size, { QE report 384 |
//                           QE report sig 64 | u16 size, authentication data |
//                           u16 type, u32 size, certification data }
#ifndef VERIFIER_QUOTE_QUOTE_H
#define VERIFIER_QUOTE_QUOTE_H

#include "verifier/base/bytes.h"
#include "verifier/quote/verdict.h"

#define SV_QUOTE_HEADER_SIZE 48
#define SV_SGX_REPORT_SIZE 384
#define SV_TD10_SIZE 584
#define SV_TD15_SIZE 648
#define SV_TD15EX_SIZE 885

#define SV_TEE_SGX 0x00u
#define SV_TEE_TDX 0x81u

// All pointers lie inside the evidence.
struct sv_quote {
    uint16_t version;
    uint32_t tee;
    uint16_t body_type; // 1 SGX, 2 TD 1.0, 3 TD 1.5, 4 TD 1.5 extended
    const uint8_t *header;
    const uint8_t *body;
    size_t body_size;
    size_t signed_size;        // from the header's start
    const uint8_t *signature;  // 64
    const uint8_t *key;        // 64
    const uint8_t *qe_report;  // 384
    const uint8_t *qe_sig;     // 64
    struct sv_bytes auth_data; // QE authentication data
    uint16_t cert_type;        // 1..5
    struct sv_bytes cert_data;
};

// Offsets in a 384-byte enclave report (SDM, REPORT structure).
enum {
    SV_SGX_CPUSVN = 0,
    SV_SGX_MISCSELECT = 16,
    SV_SGX_ISVEXTPRODID = 32,
    SV_SGX_ATTRIBUTES = 48,
    SV_SGX_MRENCLAVE = 64,
    SV_SGX_MRSIGNER = 128,
    SV_SGX_CONFIGID = 192,
    SV_SGX_ISVPRODID = 256,
    SV_SGX_ISVSVN = 258,
    SV_SGX_CONFIGSVN = 260,
    SV_SGX_ISVFAMILYID = 304,
    SV_SGX_REPORT_DATA = 320,
};

// Offsets in a TD report body; each longer body begins with the shorter one.
enum {
    SV_TD_TEE_TCB_SVN = 0,
    SV_TD_MRSEAM = 16,
    SV_TD_MRSIGNERSEAM = 64,
    SV_TD_SEAMATTRIBUTES = 112,
    SV_TD_ATTRIBUTES = 120,
    SV_TD_XFAM = 128,
    SV_TD_MRTD = 136,
    SV_TD_MRCONFIGID = 184,
    SV_TD_MROWNER = 232,
    SV_TD_MROWNERCONFIG = 280,
    SV_TD_RTMR0 = 328,
    SV_TD_REPORT_DATA = 520,
    SV_TD_TEE_TCB_SVN_2 = 584,
    SV_TD_MRSERVICETD = 600,
    SV_TD_VMID = 648,
    SV_TD_TD_ID = 649,
    SV_TD_DEV_INFO = 681,
    SV_TD_INIT_SERVTD_HASH = 729,
    SV_TD_INIT_SERVTD_ATTRIBUTES = 777,
    SV_TD_INIT_CPU_SVN = 785,
    SV_TD_INIT_TEE_TCB_SVN = 801,
    SV_TD_INIT_FMSPC = 817,
    SV_TD_SERVTD_HASH = 829,
    SV_TD_SERVTD_ATTRIBUTES = 877,
};

// Parses. On failure a refusal is in the verdict and -1 is returned.
int sv_quote_parse(const uint8_t *data, size_t size, struct sv_quote *q, struct shelter_verdict *v);
// Adds the body's fields to the claims.
void sv_quote_claims(const struct sv_quote *q, struct shelter_verdict *v);

#endif
