// SPDX-License-Identifier: Apache-2.0
// Signed JSON: the span of a member, TCB info, enclave identity, and a TCB evaluated by them.
#include "verifier/base/json_span.h"
#include "verifier/quote/tcb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    static const uint8_t svn[16] = {5, 1, 2};
    struct sv_qe_identity id;
    struct sv_tcb_result result;
    struct sv_tcb_info info;
    struct sv_pck pck = {.pcesvn = 11};
    size_t n = size;
    char why[128];
    int bad;

    if (!sv_json_span((const char *)data, size, "tcbInfo", &text, &n)) {
        text = (const char *)data;
        n = size;
        sv_json_span((const char *)data, size, "enclaveIdentity", &text, &n);
    }
    bad = sv_tcb_info_parse(text, n, &info, why, sizeof(why));
    sv_qe_identity_parse(text, n, &id, why, sizeof(why));
    if (!bad) { // levels of an identity that was refused are as good as any others here
        sv_tcb_evaluate(&info, &id, &pck, 8, svn, &result);
        sv_tcb_evaluate(&info, &id, &pck, 8, NULL, &result);
    }
    sv_tcb_info_free(&info);
    sv_qe_identity_free(&id);
    return 0;
}
