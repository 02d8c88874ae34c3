// SPDX-License-Identifier: Apache-2.0
// Keys that stay in a PKCS #11 token (an HSM): what the broker has them do (PKCS #11 2.40).
//
// A URI names a key: pkcs11:token=LABEL;object=LABEL?module-path=/FILE&pin-source=FILE (RFC 7512;
// all four, nothing else). The module is code that runs in this process, so only whoever starts the
// broker names one. It is loaded once and stays. Each call opens a session of its own and reads the
// PIN anew, so that a token that was away is found again; calls may be made by several threads.
//
// All return 0, or -errno with a sentence in why: -EINVAL for what does not fit, -ENOENT (module,
// token or key), -EACCES (PIN, or the key may not do it).
#ifndef VERIFIER_BROKER_PKCS11_H
#define VERIFIER_BROKER_PKCS11_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SB_PKCS11_SCHEME "pkcs11:"
#define SB_PKCS11_BYTES_MAX 1024 // wrapped, unwrapped, a signature

enum sb_pkcs11_use { SB_PKCS11_SIGN, SB_PKCS11_UNWRAP };

// By their names in JOSE (RFC 7518).
struct sb_pkcs11_algorithm {
    const char *name;
    enum sb_pkcs11_use use;
    size_t digest_size, signature_size; // signature_size 0: as long as the key
};

// NULL for an unknown name.
const struct sb_pkcs11_algorithm *sb_pkcs11_find(const char *name);

bool sb_pkcs11_uri_ok(const char *uri);
// Is there the key that this algorithm needs?
int sb_pkcs11_look(const char *uri, const struct sb_pkcs11_algorithm *a, char *why,
                   size_t why_size);
// HMAC-SHA256 of the text by a secret key.
int sb_pkcs11_hmac(const char *uri, const char *text, uint8_t out[32], char *why, size_t why_size);
// Signs a digest of a->digest_size. EC: r and s, as in a JWS.
int sb_pkcs11_sign(const char *uri, const struct sb_pkcs11_algorithm *a, const uint8_t *digest,
                   uint8_t out[SB_PKCS11_BYTES_MAX], size_t *size, char *why, size_t why_size);
// -EBADMSG for whatever the token says of the bytes: which of its reasons it was helps only those
// who guess.
int sb_pkcs11_unwrap(const char *uri, const struct sb_pkcs11_algorithm *a, const uint8_t *wrapped,
                     size_t wrapped_size, uint8_t out[SB_PKCS11_BYTES_MAX], size_t *size, char *why,
                     size_t why_size);

#endif
