// SPDX-License-Identifier: Apache-2.0
// What the judging code writes while it judges.
#ifndef VERIFIER_QUOTE_VERDICT_H
#define VERIFIER_QUOTE_VERDICT_H

#include <shelter/verify.h>

#include <cjson/cJSON.h>

#define SV_REFUSAL_MAX 16

struct sv_refusal {
    enum shelter_reason reason;
    char sentence[240];
};

// A field of the report as it stands there; what is compared are these bytes.
#define SV_FIELD_MAX 48
struct sv_field {
    char name[24];
    uint8_t size, data[64];
};

struct shelter_verdict {
    enum shelter_evidence_type type;
    bool judged;           // everything needed was there
    bool signatures_valid; // every signature that was there holds
    bool debug;
    bool simulated;     // anything that was judged
    bool tee_simulated; // the TEE itself: a device beside it may be what is simulated
    bool have_report_data;
    bool truncated_list; // more refusals than fit
    uint8_t report_data[SHELTER_REPORT_DATA_SIZE];
    char tcb_status[48];
    char root[24]; // "pinned", "named by the caller"
    int64_t time;
    cJSON *claims; // object: every field of the report, to be shown
    size_t field_count;
    struct sv_field field[SV_FIELD_MAX]; // those of them that are bytes
    cJSON *advisories;                   // array of strings
    uint8_t *event_log;                  // a copy, or NULL: what "rtmrN_event_log" speaks of
    size_t event_log_size;
    size_t refusal_count;
    struct sv_refusal refusal[SV_REFUSAL_MAX];
};

// Adds a refusal: the reason's sentence, then ": " and the detail if there is one (fmt may be
// NULL). Returns -1, so that `return sv_refuse(...)` reads as what it is.
int sv_refuse(struct shelter_verdict *v, enum shelter_reason reason, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// Claims. Out of memory shows as a missing claim; what is compared with references, and is missing,
// refuses. sv_claim_hex also keeps the bytes (64 at most).
void sv_claim_hex(struct shelter_verdict *v, const char *name, const void *data, size_t size);
void sv_claim_number(struct shelter_verdict *v, const char *name, uint64_t value);
void sv_claim_text(struct shelter_verdict *v, const char *name, const char *value);
void sv_claim_bool(struct shelter_verdict *v, const char *name, bool value);
// Is this field of the report these bytes? False where the report has no such field.
bool sv_field_is(const struct shelter_verdict *v, const char *name, const void *data, size_t size);
const struct sv_field *sv_field_find(const struct shelter_verdict *v, const char *name); // or NULL
// A bulletin that speaks of the platform as it is; each once.
void sv_advisory_add(struct shelter_verdict *v, const char *name);
void sv_advisory_add_all(struct shelter_verdict *v, const cJSON *ids);

#endif
