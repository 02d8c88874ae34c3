// SPDX-License-Identifier: Apache-2.0
// From bytes of any shape to a quote or report: raw, CoCo's JSON, configfs-tsm JSON, Azure's HCL.
#ifndef VERIFIER_QUOTE_EVIDENCE_H
#define VERIFIER_QUOTE_EVIDENCE_H

#include "verifier/quote/csv.h"

struct sv_evidence {
    enum shelter_evidence_type type;
    const uint8_t *data; // the raw quote or report
    size_t size;
    uint8_t *owned; // freed by sv_evidence_free, may be NULL
    uint8_t *event_log;
    size_t event_log_size;
    struct sv_certs certs; // certificates that came along
    uint8_t *hygon;        // HSK and CEK that came along
    size_t hygon_size;
    int csv_version;
    struct sv_bytes hcl_runtime; // Azure: report data is a digest of this
    uint32_t hcl_hash;           // 1 SHA-256, 2 SHA-384, 3 SHA-512
};

// Tells what the bytes are and unwraps them. `asked` may be AUTO. 0, or -1 with a refusal.
int sv_evidence_open(const void *data, size_t size, enum shelter_evidence_type asked,
                     struct sv_evidence *out, struct shelter_verdict *v);
void sv_evidence_free(struct sv_evidence *ev);

#endif
