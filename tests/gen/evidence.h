// SPDX-License-Identifier: Apache-2.0
// Makes evidence and collateral under test roots of its own, with any part wrong on purpose.
// For unit tests, fuzz corpora and benchmarks; nothing here is trusted by anybody who is not told
// to.
#ifndef TESTS_GEN_EVIDENCE_H
#define TESTS_GEN_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#define GEN_TIME 1750000000
extern int64_t gen_now; // when everything below is valid; GEN_TIME unless set otherwise

struct gen_blob {
    uint8_t *data;
    size_t size;
};

// What can be wrong, or otherwise than usual, in Intel evidence. Zero is the good case.
struct gen_intel_options {
    int version;   // 3, 4, 5
    bool tdx;      // else SGX
    int body_type; // version 5: 1 to 4; 0: by tdx
    bool simulated_root;
    // Quote
    uint16_t isvsvn_qe; // 0: 8
    bool debug, no_sept_ve, migratable, servtd, seam_attributes, wrong_mrsignerseam;
    uint8_t tee_tcb_svn[3]; // 0: {5, 1, 2} on TDX
    bool have_tee_tcb_svn;
    bool servtd_ext, init_servtd, late_servtd, icssd, unknown_attribute;
    uint64_t xfrm, attributes; // XFAM or XFRM with these bits the other way; further ATTRIBUTES
    uint8_t misc;
    uint8_t tee_tcb_svn_2[3];
    bool have_tee_tcb_svn_2;
    uint8_t report_data[64];
    uint8_t config_id[64]; // CONFIGID, or MRCONFIGID in its first 48 bytes; see have_config_id
    bool have_config_id;
    bool no_collateral; // the quote only
    bool keep_pki; // the same keys and certificates as the last time (one set for simulated roots)
    uint8_t rtmr[4][48];
    uint8_t pck_svn;                                     // first component; 0: 5
    uint16_t cert_type;                                  // 0: 5
    bool reverse_chain;                                  // root first
    bool qe_misc, qe_attributes, qe_mrsigner, qe_prodid; // QE report unlike its identity
    // Certificates
    bool pck_cn, pck_no_extension, pck_ca_not_ca, foreign_pck_ca, foreign_root;
    bool pck_expired, pck_early;
    bool tcb_signer_cn, tcb_foreign;
    bool tcb_chain_expired, tcb_chain_early;
    // CRLs
    bool pck_crl_expired, pck_crl_early, root_crl_expired, root_crl_early;
    bool pck_crl_foreign, root_crl_foreign, pck_crl_other_issuer;
    bool revoke_pck, revoke_pck_ca, revoke_tcb;
    // Signed JSON
    bool tcb_expired, tcb_early, qe_expired, qe_early;
    bool tcb_edited, qe_edited; // one byte changed after signing
    bool tcb_other_tee, qe_other_tee, tcb_other_fmspc, tcb_other_pceid;
    const char *tcb_version; // NULL: "3"
    const char *status;      // of the highest level; NULL: "UpToDate"
    const char *qe_status;   // NULL: "UpToDate"
    const char *module_status;
    unsigned qe_evaluation; // 0: as the TCB info
    bool no_modules;
};

struct gen_intel {
    struct gen_blob quote;
    struct gen_blob root;      // PEM: to be named as --ca
    struct gen_blob pck_chain; // PEM
    struct gen_blob tcb_info, tcb_sig, tcb_chain, qe_identity, qe_sig, pck_crl, pck_crl_chain,
        root_crl; // as in collateral.json: CRLs DER
};

void gen_intel(const struct gen_intel_options *o, struct gen_intel *out);
// collateral.json of what is there (malloc'd, NUL-terminated).
char *gen_intel_collateral(const struct gen_intel *g);
void gen_intel_free(struct gen_intel *g);

// An RA-TLS certificate over Intel evidence, and what can be wrong in it. Zero is the good case.
struct gen_ra_tls_options {
    struct gen_intel_options intel; // its report_data is set here
    uint8_t alg;                    // of the key's hash: 1 (0: 1), 7, 8, or one that is unknown
    const char *nonce;
    uint64_t tag;        // 0: 60000
    bool other_key;      // the claims are of another key
    bool foreign_signer; // the certificate is signed by another key
    bool claims_changed; // one byte, after the evidence was made
    bool nonce_first, twice, unknown_claim, long_head, trailing, no_extension;
};
struct gen_ra_tls {
    struct gen_intel intel;
    struct gen_blob claims, cert; // CBOR, DER
    struct gen_blob pem;          // key, then certificate
};
void gen_ra_tls(const struct gen_ra_tls_options *o, struct gen_ra_tls *out);
void gen_ra_tls_free(struct gen_ra_tls *g);

struct gen_snp_options {
    uint32_t version; // 0: 3
    int product;      // 0 Milan, 1 Genoa, 2 Turin; what certificate and report agree on
    bool vlek, bergamo;
    uint32_t vmpl;
    uint64_t policy_set; // bits set besides the usual 0x30000
    bool rsa;            // ARK and ASK as AMD's are: RSA-PSS
    bool ark_foreign, ask_foreign, other_product, tcb_unlike_cert, other_chip, mask_chip,
        cert_expired, cert_early, no_spl, signer_kind, migration_agent, committed_above_current,
        reported_above_committed, simulated_root, unsigned_report;
    bool crl_foreign, crl_expired, crl_early, crl_revokes;
    uint8_t report_data[64];
};

struct gen_snp {
    struct gen_blob report;
    struct gen_blob signer; // DER
    struct gen_blob ask;    // PEM
    struct gen_blob ark;    // PEM
    struct gen_blob crl;    // DER
};

void gen_snp(const struct gen_snp_options *o, struct gen_snp *out);
void gen_snp_free(struct gen_snp *g);

struct gen_csv_options {
    int version; // 1, 2
    bool debug, no_es, foreign_hsk, foreign_cek, foreign_pek, foreign_report, mac, usage_cek;
};

struct gen_csv {
    struct gen_blob report; // a page
    struct gen_blob chain;  // HSK, CEK
    struct gen_blob root;   // HRK
};

void gen_csv(const struct gen_csv_options *o, struct gen_csv *out);
void gen_csv_free(struct gen_csv *g);

// A NitroTPM document under a root of its own, with registers of which all bytes are their number.
struct gen_nitro_options {
    bool definite, tagged; // lengths; tag 18
    int cas;               // between root and leaf; 0: 1
    bool foreign_leaf, foreign_root, leaf_is_ca, leaf_p256, expired, early, simulated_root;
    bool not_signed; // by its certificate
    bool unprotected, algorithm, other_digest, pcr_index, pcr_size, pcr_twice, no_pcrs, no_ca,
        twice, unknown, enclave, trailing, no_break, long_data;
    const char *nonce, *user_data; // NULL: null
    int64_t made;                  // seconds; 0: gen_now
};

struct gen_nitro {
    struct gen_blob document;
    struct gen_blob root; // PEM
};

void gen_nitro(const struct gen_nitro_options *o, struct gen_nitro *out);
void gen_nitro_free(struct gen_nitro *g);

// Evidence of a GPU, as agents send it beside that of the TEE, with RIMs for it.
enum gen_rim { GEN_RIM_DRIVER, GEN_RIM_FIRMWARE };
struct gen_gpu_options {
    const char *arch;     // NULL: HOPPER
    const char *product;  // the CA below the root; NULL: Hopper's
    const uint8_t *nonce; // 32 bytes; NULL: zeros
    bool hex;             // the report as hex, as older agents have it
    bool again, another;  // a second device: the same, or one of its own
    bool simulated_root, foreign_root, no_root, leaf_is_ca, foreign_leaf, not_signed, expired;
    bool other_fwid, no_fwid;                // in the report, unlike the leaf's
    bool spdm_1_2, no_signature_asked, code; // of the messages
    bool twice, zero_number, specification, block_size, count, behind; // measurements
    bool opaque_twice, opaque_long, no_driver, odd_driver, short_vbios;
    bool not_measured, nvdec0_off, at_35; // unlike the RIMs: index 9; index 35
    // RIMs
    bool rim_value, rim_version, rim_not_signed, rim_expired, rim_simulated, rim_foreign_root;
    bool rim_conflict;    // both have index 9
    bool rim_alternative; // what is measured is the second of two
    bool rim_white;       // more white space within the tags, an XML declaration
    const char *rim_put;  // into the driver's, in front of the last resource, after it was signed
};

struct gen_gpu {
    struct gen_blob json, report, root, rim[2];
};
void gen_gpu(const struct gen_gpu_options *o, struct gen_gpu *out);
void gen_gpu_free(struct gen_gpu *g);

// A CCEL event log over three events of RTMR0..2, and the registers it replays to.
struct gen_blob gen_event_log(uint8_t rtmr[4][48]);
// The same with EV_NO_ACTION events of register 0 and -1 and without digests among them.
struct gen_blob gen_event_log_informed(uint8_t rtmr[4][48]);
// One of CoCo's run-time events in RTMR3 under CoCo's own header, no CCEL; and likewise in dstack's
// JSON, boot events first.
struct gen_blob gen_event_log_aael(uint8_t rtmr[4][48]);
struct gen_blob gen_event_log_dstack(uint8_t rtmr[4][48]);

// A file of that folder; what cannot be written ends the program.
void gen_save(const char *folder, const char *name, const void *data, size_t size);

#endif
