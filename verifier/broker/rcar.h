// SPDX-License-Identifier: Apache-2.0
// The endpoints of the protocol. Each leaves an answer or a problem in the request.
#ifndef VERIFIER_BROKER_RCAR_H
#define VERIFIER_BROKER_RCAR_H

#include "verifier/broker/answer.h"

void sb_auth(struct sb_request *r, const char *rest);
void sb_attest(struct sb_request *r, const char *rest);
void sb_resource(struct sb_request *r, const char *path); // REPOSITORY/TYPE/TAG

#endif
