// SPDX-License-Identifier: Apache-2.0
// The key broker as an HTTP service.
//
//   POST /kbs/v0/auth                       -> challenge and cookie
//   POST /kbs/v0/attest                     -> token
//   GET  /kbs/v0/resource/REPO/TYPE/TAG     -> JWE, for a cookie or a bearer token
//   GET  /.well-known/jwks.json             -> the key that signs tokens
//   GET  /healthz
//
// Errors are RFC 9457 problems (application/problem+json) with `type`, `title`, `status` and
// `detail`. Attacks expected here: anyone may connect and send anything, slowly, on many
// connections.
#ifndef VERIFIER_BROKER_SERVER_H
#define VERIFIER_BROKER_SERVER_H

#include "verifier/broker/judge.h"
#include "verifier/broker/limit.h"

struct MHD_Daemon;

struct sb_options {
    const char *listen; // "ADDR:PORT", "[ADDR]:PORT"; port 0 takes a free one
    bool insecure_http; // plain HTTP; only on a loopback address
    const char *tls_cert,
        *tls_key;    // PEM texts; NULL: a self-signed certificate of the broker's key
    size_t body_max; // bytes of a request's body; 0: 2 MiB
    unsigned session_max, session_peer_max, connection_max; // 0: 8192, 256, 512
    double rate;                                            // per second and peer; 0: no limit
    int64_t nonce_ms, session_ms;                           // 0: 5 minutes, 30 minutes
};

struct sb_server {
    struct sb_judge judge;
    struct sb_store *store;
    struct sb_sessions sessions;
    struct sb_limit limit;
    struct MHD_Daemon *daemon;
    bool tls;
    size_t body_max;
    char address[80]; // "127.0.0.1:8080", as it listens
    int64_t last_now;
};

// The caller fills server->judge (but for its lock) and server->store before. 0 or -errno with why.
int sb_server_start(struct sb_server *s, const struct sb_options *o, char *why, size_t why_size);
void sb_server_stop(struct sb_server *s);

// A self-signed certificate over the key, for localhost and the listening address (PEM, malloc'd).
char *sb_certificate(EVP_PKEY *key, const char *address);
// The key as PEM (malloc'd); `private` as PKCS #8.
char *sb_key_pem(EVP_PKEY *key, bool private);

#endif
