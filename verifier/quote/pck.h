// SPDX-License-Identifier: Apache-2.0
// The SGX extension of a PCK certificate (Intel "SGX PCK Certificate and CRL Specification", 1.3).
#ifndef VERIFIER_QUOTE_PCK_H
#define VERIFIER_QUOTE_PCK_H

#include "verifier/base/x509.h"

struct sv_pck {
    uint8_t ppid[16];
    uint8_t svn[16]; // SGX TCB components
    uint16_t pcesvn;
    uint8_t cpusvn[16];
    uint8_t pceid[2];
    uint8_t fmspc[6];
    uint8_t sgx_type; // 0 Standard, 1 Scalable, 2 ScalableWithIntegrity
    // Of platforms with several processors; certificates of one have neither.
    bool has_instance, has_configuration;
    uint8_t instance[16];
    bool dynamic_platform, cached_keys, smt_enabled;
};

// 0, or -EBADMSG when the extension is absent, malformed, incomplete or has a field twice.
int sv_pck_parse(X509 *cert, struct sv_pck *out);

#endif
