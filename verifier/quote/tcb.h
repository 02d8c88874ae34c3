// SPDX-License-Identifier: Apache-2.0
// Intel's signed JSON: TCB info v3 and enclave identity v2, parsed; and TCB status by Intel's rules
// (PCS API v4, "Get TCB Info"; the order of evaluation is that of the DCAP quote verification
// library's document, 4.1.2.5).
#ifndef VERIFIER_QUOTE_TCB_H
#define VERIFIER_QUOTE_TCB_H

#include "verifier/quote/pck.h"
#include "verifier/quote/quote.h"

enum sv_tcb_status {
    SV_TCB_NOT_SUPPORTED, // no level matches
    SV_TCB_UP_TO_DATE,
    SV_TCB_SW_HARDENING,
    SV_TCB_CONFIG,
    SV_TCB_CONFIG_AND_SW_HARDENING,
    SV_TCB_OUT_OF_DATE,
    SV_TCB_OUT_OF_DATE_CONFIG,
    SV_TCB_RELAUNCH,
    SV_TCB_RELAUNCH_CONFIG,
    SV_TCB_REVOKED,
};

const char *sv_tcb_status_name(enum sv_tcb_status status);
// From the names that Intel's JSON uses. False if unknown.
bool sv_tcb_status_parse(const char *name, enum sv_tcb_status *out);

struct sv_tcb_level {
    uint8_t sgx[16], tdx[16];
    uint32_t pcesvn;
    enum sv_tcb_status status;
    int64_t date;
    const cJSON *advisories; // borrowed from the parsed JSON, may be NULL
};

// Levels of an enclave identity or a TDX module: by isvsvn.
struct sv_isv_level {
    uint32_t isvsvn;
    enum sv_tcb_status status;
    int64_t date;
    const cJSON *advisories;
};

struct sv_tdx_module {
    uint8_t version; // the n of "TDX_0n"; 0 for the tdxModule member itself
    uint8_t mrsigner[48], attributes[8], attributes_mask[8];
    size_t level_count;
    struct sv_isv_level *level;
};

struct sv_tcb_info {
    cJSON *json;
    bool tdx;
    uint8_t fmspc[6], pceid[2];
    uint32_t evaluation_number;
    int64_t issue, next;
    size_t level_count, module_count;
    struct sv_tcb_level *level;
    bool have_tdx_module;
    struct sv_tdx_module tdx_module; // levels unused
    struct sv_tdx_module *module;
};

enum sv_qe_kind { SV_QE, SV_QVE, SV_TD_QE };

struct sv_qe_identity {
    cJSON *json;
    enum sv_qe_kind kind;
    uint32_t isvprodid, evaluation_number;
    uint8_t miscselect[4], miscselect_mask[4];
    uint8_t attributes[16], attributes_mask[16];
    uint8_t mrsigner[32];
    int64_t issue, next;
    size_t level_count;
    struct sv_isv_level *level;
};

// Both parse exactly `size` bytes. 0, -EBADMSG (why names the member) or -ENOMEM.
int sv_tcb_info_parse(const char *text, size_t size, struct sv_tcb_info *out, char *why,
                      size_t why_size);
int sv_qe_identity_parse(const char *text, size_t size, struct sv_qe_identity *out, char *why,
                         size_t why_size);
void sv_tcb_info_free(struct sv_tcb_info *info);
void sv_qe_identity_free(struct sv_qe_identity *id);

struct sv_tcb_result {
    enum sv_tcb_status status;   // converged
    enum sv_tcb_status platform; // the TCB level's own
    enum sv_tcb_status module;   // SV_TCB_NOT_SUPPORTED where none was judged
    enum sv_tcb_status qe;
    int64_t date;
    const cJSON *advisories[3];
};

// Status of a platform (and TDX module, and quoting enclave). tee_tcb_svn is NULL for SGX.
void sv_tcb_evaluate(const struct sv_tcb_info *info, const struct sv_qe_identity *qe,
                     const struct sv_pck *pck, uint16_t qe_isvsvn, const uint8_t *tee_tcb_svn,
                     struct sv_tcb_result *out);
// What a TD that was launched under `launch` should do now that the platform is at `current`.
enum sv_tcb_status sv_tcb_relaunch(enum sv_tcb_status launch, enum sv_tcb_status current);
const struct sv_tdx_module *sv_tdx_module_find(const struct sv_tcb_info *info, uint8_t version);

#endif
