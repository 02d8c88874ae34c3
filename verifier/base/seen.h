// SPDX-License-Identifier: Apache-2.0
// Leaf certificates whose signature was checked, kept parsed: a platform that attests again shows
// the same one, and reading it costs more than checking a signature. Kept are the last SV_SEEN, by
// their exact bytes, each for one issuer; dates, revocation and the chain above are judged anew by
// whoever uses it. Any thread may use one.
#ifndef VERIFIER_BASE_SEEN_H
#define VERIFIER_BASE_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#define SV_SEEN 64

struct sv_seen;

struct sv_seen *sv_seen_new(void); // NULL when out of memory
void sv_seen_free(struct sv_seen *s);
// The certificate of these bytes, with a reference for the caller; NULL: it was not seen. s may be
// NULL, as in each of these.
X509 *sv_seen_find(struct sv_seen *s, const uint8_t *der, size_t size);
// Whether it is one of them.
bool sv_seen_has(struct sv_seen *s, const X509 *cert);
// Its issuer's signature holds.
void sv_seen_add(struct sv_seen *s, X509 *cert, const uint8_t *der, size_t size);
// A library context that knows no algorithms: a certificate that is read in it has no key, which
// costs the library more to read than all the rest. NULL: there is none.
OSSL_LIB_CTX *sv_seen_bare(struct sv_seen *s);

#endif
