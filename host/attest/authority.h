// SPDX-License-Identifier: Apache-2.0
// The simulated TEEs' authority, opened; not for use outside host/attest.
#ifndef HOST_ATTEST_AUTHORITY_H
#define HOST_ATTEST_AUTHORITY_H

#include "host/attest/pki.h"
#include "host/base/error.h"

struct sh_authority {
    EVP_PKEY *root_key, *ca_key, *tcb_key;
    X509 *root, *ca, *tcb;
};

int sh_authority_open(struct sh_authority *a, const char *dir, struct sh_error *err);
void sh_authority_free(struct sh_authority *a);

#endif
