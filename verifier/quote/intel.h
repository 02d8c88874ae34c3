// SPDX-License-Identifier: Apache-2.0
// Judging an Intel quote that has been parsed.
#ifndef VERIFIER_QUOTE_INTEL_H
#define VERIFIER_QUOTE_INTEL_H

#include "verifier/quote/collateral.h"

// What the policy needs to know besides the verdict.
struct sv_intel {
    struct sv_quote quote;
    struct sv_tcb_result tcb;
    enum sv_tcb_status status;
    bool tcb_judged;
};

// Certificates, CRLs, signed JSON, signatures, TCB status. Refusals go into the verdict.
//   signer  PCK chain of quotes that carry none, may be empty
//   named   the caller's roots
void sv_intel_judge(struct sv_intel *in, const struct shelter_collateral *col,
                    const struct sv_certs *signer, const struct sv_certs *named,
                    bool allow_simulated, struct shelter_verdict *v);

#endif
