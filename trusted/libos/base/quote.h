// SPDX-License-Identifier: Apache-2.0
// What can be checked of a quote without its signer: that it is one over our own report.
#ifndef LIBOS_QUOTE_H
#define LIBOS_QUOTE_H

#include <stdint.h>

#define QUOTE_HEADER_SIZE 48u
#define QUOTE_BODY_SIZE 384u /* the first bytes of REPORT */

/* `result`: what the host said, `room` bytes of `quote` being ours. The quote's size; an errno that
 * exists; -EPROTO for what is not an SGX quote (version 3, 4 or 5) over this report's body. */
long claim_quote(const uint8_t *quote, long result, uint32_t room, const uint8_t *report);

#endif
