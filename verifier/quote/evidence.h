// SPDX-License-Identifier: Apache-2.0
// From bytes of any shape to a quote or report: raw, CoCo's JSON, configfs-tsm JSON, Azure's HCL,
// Open Enclave's headers, requests to Intel Trust Authority and Azure's service; all as hex or
// base64 too.
#ifndef VERIFIER_QUOTE_EVIDENCE_H
#define VERIFIER_QUOTE_EVIDENCE_H

#include "verifier/quote/csv.h"
#include "verifier/quote/svsm.h"

struct sv_evidence {
    enum shelter_evidence_type type;
    const uint8_t *data; // the raw quote or report
    size_t size;
    uint8_t *owned; // freed by sv_evidence_free, may be NULL
    uint8_t *event_log;
    size_t event_log_size;
    uint8_t *measured_log; // Shelter's, of run-time events
    size_t measured_log_size;
    struct sv_certs certs; // certificates that came along
    uint8_t *hygon;        // HSK and CEK that came along
    size_t hygon_size;
    int csv_version;
    struct sv_bytes hcl_runtime; // Azure: report data is a digest of this
    uint32_t hcl_hash;           // 1 SHA-256, 2 SHA-384, 3 SHA-512
    struct sv_tpm_quote *tpm;    // of the vTPM, beside; owned with its pieces, or NULL
    struct sv_svsm svsm;         // manifest.data NULL: none; pieces owned
    // What the request to an attestation service says that report data is a digest of; NULL:
    // nothing.
    uint8_t *bound;
    size_t bound_nonce_size, bound_size; // the service's nonce first, then the data
    bool open_enclave;                   // report data is SHA-256 of what stands behind the quote
};

// Tells what the bytes are and unwraps them. `asked` may be AUTO. 0, or -1 with a refusal.
int sv_evidence_open(const void *data, size_t size, enum shelter_evidence_type asked,
                     struct sv_evidence *out, struct shelter_verdict *v);
void sv_evidence_free(struct sv_evidence *ev);

// --- evidence_wrap.c ---

// Open Enclave's header, of either kind, is taken off where there is one.
void sv_evidence_open_enclave(struct sv_evidence *ev);
// A file of hex or base64: what it stands for, or NULL where it is none.
uint8_t *sv_evidence_text(const char *text, size_t size, size_t *out_size);
// What a request to an attestation service says was bound. 0, or -1 where it is malformed.
int sv_evidence_bound(const cJSON *root, struct sv_evidence *ev);
// Is report data the digest of what the evidence says it is? If not, a refusal is in the verdict.
void sv_evidence_judge_bound(const struct sv_evidence *ev, struct shelter_verdict *v);

#endif
