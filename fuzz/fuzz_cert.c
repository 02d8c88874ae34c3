// SPDX-License-Identifier: Apache-2.0
// Certificates, their vendor extensions, chains among them, and CRLs.
#include "verifier/quote/pck.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv_certs certs = {0};
    struct sv_chain chain;
    struct sv_pck pck;
    char cn[64];

    sv_certs_add(&certs, data, size);
    for (size_t i = 0; i < certs.count && i < 3; i++) {
        sv_pck_parse(certs.cert[i], &pck);
        sv_name_cn(X509_get_subject_name(certs.cert[i]), cn, sizeof(cn));
        sv_chain_build(certs.cert[i], &certs, NULL, SV_INTEL, NULL, &chain);
    }
    sv_certs_free(&certs);
    X509_CRL_free(sv_crl_parse(data, size));
    return 0;
}
