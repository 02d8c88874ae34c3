// SPDX-License-Identifier: Apache-2.0
// Identities of workloads (docs/broker.md): a certificate for a key of whoever attested.
#ifndef VERIFIER_BROKER_IDENTITY_H
#define VERIFIER_BROKER_IDENTITY_H

#include "verifier/broker/answer.h"

#define SB_IDENTITY_BODY_MAX 8192

// POST: {"id": SPIFFE ID, "request": PKCS #10} -> {"certificate", "ca", "crl", "seconds"}
void sb_identity_issue(struct sb_request *r, const char *rest);
// GET, for anyone: the authority's certificate; what is revoked. PEM.
void sb_identity_ca(struct sb_request *r, const char *rest);
void sb_identity_crl(struct sb_request *r, const char *rest);

#endif
