// SPDX-License-Identifier: Apache-2.0
// libshelter-verify: judge evidence of SGX, TDX, SEV-SNP, CSV and NitroTPM; the public library.
//
// Shape of use:
//
//     struct shelter_collateral *col;
//     struct shelter_verdict *v;
//     shelter_collateral_load("collateral/", NULL, 0, &col, why, sizeof(why));
//     struct shelter_verify_request rq = {.size = sizeof(rq), .evidence = bytes,
//                                         .evidence_size = size,
//                                         .collateral = col, .time = time(NULL)};
//     if (shelter_verify(&rq, &v) == 0 && shelter_verdict_accepted(v)) ...
//     shelter_verdict_free(v);
//     shelter_collateral_free(col);
//
// The library keeps no global state. A collateral object is read-only once loaded and may be used
// by many threads at once; its signatures are checked when it is loaded, its dates at each use.
//
// What is judged, in which order, and every reason for refusal: docs/attestation.md.
// Specifications: Intel "SGX ECDSA QuoteLib API", "TDX DCAP Quoting Library API" (quotes v3 to v5),
// Intel PCS API v4 (TCB info v3, identities v2), AMD 56860 (SNP ABI), AMD 57230 (VCEK/VLEK),
// TCG PFP and UEFI "Confidential computing event log" (CCEL).
#ifndef SHELTER_VERIFY_H
#define SHELTER_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SHELTER_API __attribute__((visibility("default")))

// Upper bounds: anything larger is refused before it is looked at.
#define SHELTER_EVIDENCE_SIZE_MAX (256u << 10)
#define SHELTER_COLLATERAL_SIZE_MAX (2u << 20)
#define SHELTER_EVENT_LOG_SIZE_MAX (1u << 20)
#define SHELTER_REPORT_DATA_SIZE 64

// A simulated root names itself by this organizational unit in its subject. Evidence under such a
// root is simulated: refused unless the root is among the request's `ca` and allow_simulated is
// set. Simulated SGX and TDX quotes carry a chain of three like real ones: root, a CA, and a leaf
// whose common name contains "SGX PCK Certificate" and that has the SGX extension.
#define SHELTER_SIMULATED_OU "Shelter simulated TEE"

enum shelter_evidence_type {
    SHELTER_EVIDENCE_AUTO, // told from the bytes
    SHELTER_EVIDENCE_SGX,
    SHELTER_EVIDENCE_TDX,
    SHELTER_EVIDENCE_SNP,
    SHELTER_EVIDENCE_CSV,
    SHELTER_EVIDENCE_NITRO, // the attestation document of an AWS instance with NitroTPM
};

// Every reason a verdict can have. The names given by shelter_reason_code() are stable: scripts may
// compare them. New reasons are added at the end of the enumeration only.
enum shelter_reason {
#define SHELTER_REASON(id, code, kind, sentence) SHELTER_R_##id,
#include <shelter/verify_reasons.h>
#undef SHELTER_REASON
    SHELTER_R_COUNT
};

// "quote-signature" and the like; never NULL.
SHELTER_API const char *shelter_reason_code(enum shelter_reason reason);
// One English sentence; never NULL.
SHELTER_API const char *shelter_reason_sentence(enum shelter_reason reason);

// --- Collateral -------------------------------------------------------------------------------

struct shelter_collateral;

// Loads Intel collateral and, for SNP and CSV, intermediate certificates.
//   path        a folder with tcb_info.json, qe_identity.json, tcb_signing_chain.pem, pck_crl.der,
//               pck_crl_issuer_chain.pem, root_ca_crl.der (each may be missing: then what needs it
//               cannot be judged), any other *.pem, *.der, *.cert, and NVIDIA's RIMs (*.swidtag);
//               or one collateral.json
//   ca, ca_size PEM or DER certificates that the caller names as roots of its own, or NULL
//   why         receives one line on failure
// Returns 0, or -errno (-ENOENT, -EBADMSG for a broken file, -EFBIG, -ENOMEM).
SHELTER_API int shelter_collateral_load(const char *path, const void *ca, size_t ca_size,
                                        struct shelter_collateral **out, char *why,
                                        size_t why_size);
// The same from the bytes of a collateral.json.
SHELTER_API int shelter_collateral_parse(const void *json, size_t size, const void *ca,
                                         size_t ca_size, struct shelter_collateral **out, char *why,
                                         size_t why_size);
SHELTER_API void shelter_collateral_free(struct shelter_collateral *col);

// Where to fetch collateral; NULL members take the vendors' own services. size: as for
// shelter_verify_request.
struct shelter_fetch_options {
    size_t size;           // sizeof(struct shelter_fetch_options)
    const char *pcs_url;   // default https://api.trustedservices.intel.com (or a PCCS)
    const char *kds_url;   // default https://kdsintf.amd.com; for CSV https://cert.hygon.cn
    const char *cache_dir; // NULL: no cache
    long timeout_ms;       // whole request; 0: 15000
    size_t reply_size_max; // 0: 1 MiB
    int64_t now;           // what the cache's expiry is judged by; 0: time(NULL)
    bool insecure_http;    // allow http:// (tests on loopback)
    // Called before each request over the network (not for what the cache has), and after it with
    // its outcome; NULL: not. `before` may refuse with -errno.
    int (*before)(void *arg, const char *url);
    void (*after)(void *arg, const char *url, int rc);
    void *arg;
};

// Fetches what this evidence needs. Returns 0 or -errno with `why`.
SHELTER_API int shelter_collateral_fetch(const void *evidence, size_t evidence_size,
                                         enum shelter_evidence_type type,
                                         const struct shelter_fetch_options *options,
                                         const void *ca, size_t ca_size,
                                         struct shelter_collateral **out, char *why,
                                         size_t why_size);

// --- Verification -----------------------------------------------------------------------------

// All pointers are borrowed for the call. Zero-initialise, then set what is wanted.
//
// `size` says which members the caller knows: later versions of the library add some at the end,
// and take those that an older caller does not have as zero. A caller that is newer than the
// library gets -EINVAL if it sets a member that the library does not know. 0 stands for the members
// up to allow_simulated, which the first version had.
struct shelter_verify_request {
    size_t size;          // sizeof(struct shelter_verify_request)
    const void *evidence; // raw quote or report, or CoCo's evidence JSON
    size_t evidence_size;
    enum shelter_evidence_type type;
    const struct shelter_collateral *collateral;
    const void *signer; // VCEK or VLEK (PEM or DER, may be followed by its chain), or HSK+CEK
    size_t signer_size;
    const void *ca; // roots that the caller trusts by name, PEM or DER; never trusted by default
    size_t ca_size;
    const void *event_log; // CCEL bytes, or NULL
    size_t event_log_size;
    const char *policy_json;    // NULL: the default policy
    const char *reference_json; // {"references":[{"tee":..., "measurement":{...}}]}, or NULL
    const void *nonce; // evidence must carry SHA-512("shelter-attest-v1" || nonce), or with a
                       // log SHA-512("shelter-attest-log-v1" || what it replays to || nonce)
    size_t nonce_size;
    const void *report_data; // or exactly these bytes, zero-padded to 64
    size_t report_data_size;
    int64_t time;         // seconds since 1970 at which certificates, CRLs and JSON are judged
    bool allow_simulated; // accept a simulated root, if it is among `ca`
    // A log of run-time events whose binding into report data is for the caller to have judged (a
    // broker's additional evidence), or NULL. That of evidence JSON ("measured_log") is bound by
    // the nonce, and that of an RA-TLS certificate by its claims: the library judges both.
    const void *measured_log;
    size_t measured_log_size;
    // Evidence of devices, as CoCo's agents send it beside that of the TEE ({"nvidia": ..}), or
    // NULL; what they were to sign (report data, whose first 32 bytes are a GPU's nonce; NULL: any,
    // and a policy that demands GPUs refuses; with an RA-TLS certificate the digest of its claims);
    // and a folder's RIMs, where they are not in `collateral`.
    const char *additional;
    size_t additional_size;
    const void *device_data;
    size_t device_data_size;
    const struct shelter_collateral *device_collateral;
};

struct shelter_verdict;

// Judges. Returns 0 with a verdict in *out (accepting or not), or without one -ENOMEM, -EINVAL (no
// evidence, too much report data, a size that fits no version).
SHELTER_API int shelter_verify(const struct shelter_verify_request *rq,
                               struct shelter_verdict **out);
SHELTER_API void shelter_verdict_free(struct shelter_verdict *v);

SHELTER_API bool shelter_verdict_accepted(const struct shelter_verdict *v);
// False when something needed for a judgement was missing; such a verdict never accepts.
SHELTER_API bool shelter_verdict_judged(const struct shelter_verdict *v);
SHELTER_API bool shelter_verdict_simulated(const struct shelter_verdict *v);
SHELTER_API bool shelter_verdict_debug(const struct shelter_verdict *v);
SHELTER_API bool shelter_verdict_signatures_valid(const struct shelter_verdict *v);
SHELTER_API enum shelter_evidence_type shelter_verdict_type(const struct shelter_verdict *v);
// "UpToDate", "OutOfDate", ... or "" where it could not be determined.
SHELTER_API const char *shelter_verdict_tcb_status(const struct shelter_verdict *v);
// The first refusal, or SHELTER_R_OK; and how many there are, in order of judgement.
SHELTER_API enum shelter_reason shelter_verdict_reason(const struct shelter_verdict *v);
SHELTER_API size_t shelter_verdict_refusal_count(const struct shelter_verdict *v);
SHELTER_API enum shelter_reason shelter_verdict_refusal(const struct shelter_verdict *v, size_t i,
                                                        const char **sentence);
// A vendor's bulletin that speaks of the platform as it is ("INTEL-SA-00960", "AMD-SB-7033"), the
// i-th from 0, or NULL when there are no more. Borrowed from the verdict.
SHELTER_API const char *shelter_verdict_advisory(const struct shelter_verdict *v, size_t i);
// The 64 bytes of report data; NULL if the evidence could not be parsed.
SHELTER_API const uint8_t *shelter_verdict_report_data(const struct shelter_verdict *v);
// One claim by its standard name ("mrenclave", "mrtd", "measurement", ...), as text, or NULL.
// The caller frees it with free().
SHELTER_API char *shelter_verdict_claim(const struct shelter_verdict *v, const char *name);
// The verdict as JSON, with an EAR-style appraisal under "ear". The caller frees it with free().
SHELTER_API char *shelter_verdict_json(const struct shelter_verdict *v);

// --- RA-TLS -----------------------------------------------------------------------------------

// Judges a certificate that carries evidence ("Interoperable RA-TLS"; the form, and what it does
// and does not protect against, stand in docs/attestation.md): its own signature, the hash of its
// key in the claims, the claims in the evidence's report data, then the evidence as
// shelter_verify() does. Names and dates of the certificate are not looked at.
//   der        one X.509 certificate
//   rq         `evidence`, `type` and `report_data` are ignored; with `nonce`, the claims must
//   carry
//              exactly that one
// Returns 0 with a verdict, or -ENOMEM, -EINVAL. That the other side holds the key is for the TLS
// handshake to show.
SHELTER_API int shelter_verify_certificate(const void *der, size_t der_size,
                                           const struct shelter_verify_request *rq,
                                           struct shelter_verdict **out);

// The evidence inside, for shelter_collateral_fetch(): a pointer into der. 0 or -EBADMSG.
SHELTER_API int shelter_certificate_evidence(const void *der, size_t der_size,
                                             const void **evidence, size_t *evidence_size);

// For OpenSSL: SSL_CTX_set_cert_verify_callback(ctx, shelter_ra_tls_callback, &ra). It takes the
// place of all other certificate checks. Set SSL_VERIFY_PEER; on a server also
// SSL_VERIFY_FAIL_IF_NO_PEER_CERT. Session tickets and resumption carry over an earlier verdict.
struct shelter_ra_tls {
    struct shelter_verify_request request; // time 0: that of each handshake
    // Called with each verdict, accepting or not, before the handshake goes on; may be NULL. The
    // verdict is gone when it returns. Return 0 to refuse what would be accepted.
    int (*decide)(void *arg, const struct shelter_verdict *v);
    void *arg;
    // Called before each judgement with a copy of the request and the other side's evidence; may be
    // NULL. For servers that run on: sets the collateral that is current, or that of the evidence's
    // platform. What it sets must last until `decide`, or else the judgement, is over. Return 0 to
    // refuse.
    int (*prepare)(void *arg, struct shelter_verify_request *request, const void *evidence,
                   size_t evidence_size);
};
struct x509_store_ctx_st;
// 1 to go on, 0 to refuse (X509_V_ERR_APPLICATION_VERIFICATION). `arg`: struct shelter_ra_tls,
// which must not change while connections use it.
SHELTER_API int shelter_ra_tls_callback(struct x509_store_ctx_st *ctx, void *arg);

// --- RTMR replay ------------------------------------------------------------------------------

// Replays an event log (CCEL, CoCo's run-time events behind it or alone, or dstack's JSON array):
// each event's digest is extended into its register; where the digest is one of the event's data,
// it is recomputed and must agree. A register that no event extends stays zero.
// Returns 0, -EBADMSG (malformed), -EKEYREJECTED (a digest is not of its event).
SHELTER_API int shelter_event_log_replay(const void *log, size_t size, uint8_t rtmr[4][48],
                                         char *why, size_t why_size);

// SHA-512("shelter-attest-v1" || nonce): what a shelter puts in report_data when its host asks.
SHELTER_API int shelter_nonce_report_data(const void *nonce, size_t nonce_size, uint8_t out[64]);

#ifdef __cplusplus
}
#endif
#endif
