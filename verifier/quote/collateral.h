// SPDX-License-Identifier: Apache-2.0
// Collateral as it is kept in memory: parsed, signatures judged once, dates judged at each use.
#ifndef VERIFIER_QUOTE_COLLATERAL_H
#define VERIFIER_QUOTE_COLLATERAL_H

#include "verifier/quote/rim.h"
#include "verifier/quote/tcb.h"
#include "verifier/base/x509.h"

// What loading found out about one piece: absent, or judged with its first fault (0: none).
struct sv_piece {
    bool present;
    enum shelter_reason fault; // SHELTER_R_OK when its signature holds
    char detail[120];
};

struct sv_crl {
    struct sv_piece piece;
    X509_CRL *crl;
    int64_t this_update, next_update;
};

#define SV_AMD_CHAINS 8 // three products, for VCEKs and VLEKs

struct shelter_collateral {
    struct sv_certs pool;  // every certificate that came along, trusted by none of this
    struct sv_certs named; // the caller's roots
    uint8_t *named_data;   // the bytes they came as
    size_t named_size;
    struct sv_piece tcb_piece, qe_piece;
    struct sv_tcb_info tcb;
    struct sv_qe_identity qe;
    struct sv_chain tcb_chain, qe_chain, crl_chain; // signers, leaf first
    X509 *tcb_signer, *qe_signer, *crl_issuer;      // borrowed from pool
    struct sv_seen *seen; // PCK certificates that cert[0] of crl_chain signed; NULL: none are kept
    struct sv_crl pck_crl, root_crl;
    struct sv_crl amd_crl; // of the ARK; its signature is judged with the chain it belongs to
    uint8_t *hygon;        // HSK and CEK (hsk_cek.cert), NULL if absent
    size_t hygon_size;
    struct sv_chain amd[SV_AMD_CHAINS]; // of AMD's intermediates, whose signatures hold
    size_t amd_count;
    struct sv_rim *rim; // *.swidtag of the folder, each judged
    size_t rim_count;
};

// The raw pieces, as they come from a folder, a collateral.json or a service. Absent: size 0.
enum sv_part {
    SV_PART_TCB_INFO, // {"tcbInfo":…,"signature":…}, or the inner object with SV_PART_TCB_SIG
    SV_PART_TCB_SIG,  // hex
    SV_PART_TCB_CHAIN,
    SV_PART_QE_IDENTITY,
    SV_PART_QE_SIG,
    SV_PART_QE_CHAIN,
    SV_PART_PCK_CRL,
    SV_PART_PCK_CRL_CHAIN,
    SV_PART_ROOT_CRL,
    SV_PART_AMD_CRL,
    SV_PART_PCK_CHAIN, // for quotes that only name their PCK
    SV_PART_COUNT
};

struct sv_parts {
    uint8_t *data[SV_PART_COUNT];
    size_t size[SV_PART_COUNT];
};

void sv_parts_free(struct sv_parts *parts);
// Judges the parts and adds them to the collateral. 0 or -ENOMEM: bad parts are recorded.
int sv_collateral_build(struct shelter_collateral *col, const struct sv_parts *parts);
// When all certificates are there: those of AMD's intermediates are checked once.
void sv_collateral_chain_amd(struct shelter_collateral *col);
struct shelter_collateral *sv_collateral_new(const void *ca, size_t ca_size, char *why,
                                             size_t why_size, int *rc);

#endif
