// SPDX-License-Identifier: Apache-2.0
// The key broker as an HTTP service.
//
//   POST /kbs/v0/auth                       -> challenge and cookie
//   POST /kbs/v0/attest                     -> token
//   GET  /kbs/v0/resource/REPO/TYPE/TAG     -> JWE, for a cookie or a bearer token
//   GET  /kbs/v0/version/REPO/TYPE/TAG      -> its number; with ?after=N once it is another
//   POST /kbs/v0/volume/open/...            -> JWE with a volume's key and its last state
//   POST /kbs/v0/volume/advance/...         -> the state is another one from now on
//   POST /kbs/v0/identity                   -> a certificate for a workload's key
//   GET  /kbs/v0/identity/ca, crl           -> who signs them; what is revoked
//   POST /kbs/v0/hsm/sign/..., unwrap/...   -> what a key of the operator's token makes
//   GET  /.well-known/jwks.json             -> the key that signs tokens
//   GET  /healthz, /readyz; /metrics on loopback
//
// and, at an address of its own where it has one, for operators (admin_http.h):
//
//   POST /admin/v0/OPERATION                -> what it says, as JSON
//   GET, POST /console/...                  -> pages
//
// Errors are RFC 9457 problems (application/problem+json) with `type`, `title`, `status` and
// `detail`. Attacks expected here: anyone may connect and send anything, slowly, on many
// connections.
//
// A few threads wait for all connections (TLS, heads, bodies: gate.h bounds them); requests that
// are whole go to a pool (work.h). What a stranger can make the server hold, at most:
//
//   connections   SB_CONNECTIONS, SB_PEER_CONNECTIONS of one peer, each with one request
//   bodies        SB_BODIES bytes together; one body what its endpoint takes (routes.c)
//   JSON          SB_WORK_LARGE trees at once, of values_max values each
//   the disk      the rings of refusals (store.h)
//
// and the time of one request: one judgement, whose certificates, signatures and fetches are
// counted (verifier/base/x509.h, fetches.h).
#ifndef VERIFIER_BROKER_SERVER_H
#define VERIFIER_BROKER_SERVER_H

#include "verifier/broker/fetches.h"
#include "verifier/broker/gate.h"
#include "verifier/broker/judge.h"
#include "verifier/broker/limit.h"
#include "verifier/broker/metrics.h"
#include "verifier/broker/volume.h"
#include "verifier/broker/waiting.h"
#include "verifier/broker/work.h"

struct MHD_Daemon;

#define SB_CONNECTIONS 384
#define SB_RESERVED_CONNECTIONS 64 // of these, for peers with an attested session
#define SB_PEER_CONNECTIONS 64
#define SB_BODIES (12u << 20)
#define SB_BODY_MAX (1u << 20)
#define SB_SESSIONS 4096
#define SB_SESSIONS_SIZE (16u << 20)
#define SB_LOG_RESERVE (8u << 20)

#define SB_ADMIN_CONNECTIONS 64
#define SB_ADMIN_PEER_CONNECTIONS 16
#define SB_ADMIN_BODIES (16u << 20)

struct sb_options {
    const char *admin;  // where operators come, as `listen`; NULL: nowhere
    bool console;       // with pages for a browser there
    const char *listen; // "ADDR:PORT", "[ADDR]:PORT"; port 0 takes a free one
    bool insecure_http; // plain HTTP; only on a loopback address
    const char *tls_cert,
        *tls_key;                 // PEM texts; NULL: a self-signed certificate of the broker's key
    size_t body_max;              // bytes of a request's body; 0: SB_BODY_MAX
    unsigned session_max;         // attested ones; 0: SB_SESSIONS
    double rate;                  // requests and connections per second and peer; 0: no limit
    int64_t nonce_ms, session_ms; // 0: 5 minutes each
    bool shared;                  // other processes serve this address from this store too
    int held, admin_held;         // sb_server_hold_address, as `listen` and `admin` say; 0: neither
    const char *dir;              // of the store: space for the audit log is kept there; NULL: none
};

// One address, with what it answers. Operators have connections, memory and endpoints of their own:
// a flood at the clients' address does not keep them out.
struct sb_face {
    struct sb_server *server;
    struct sb_gate gate;
    const struct sb_route *routes; // ends with one without a method
    size_t body_max;
    bool known; // whoever has shown who they are at the door is served as one who attested
    struct MHD_Daemon *daemon;
    char address[80]; // "127.0.0.1:8080", as it listens
};

// The list of what is revoked, as it was last signed (identity.c).
#define SB_CRL_MS 1000
struct sb_kept_crl {
    pthread_mutex_t lock;
    char *pem;
    int64_t made_ms;
};

struct sb_server {
    struct sb_face clients, operators;
    struct sb_judge judge;
    struct sb_store *store;
    struct sb_challenges challenges;
    struct sb_sessions sessions;
    struct sb_limit limit;
    struct sb_work work;
    struct sb_fetches fetches;
    struct sb_metrics metrics;
    struct sb_leases leases;
    struct sb_waiting waiting;
    struct sb_kept_crl crl;
    bool tls, shared, console;
    unsigned session_max;
    char *jwks;
    uint8_t console_key[32]; // of the cookies of pages (console.c)
    int64_t last_now;
    pthread_t keeper; // writes refusals down
    pthread_mutex_t keeper_lock;
    pthread_cond_t keeper_wake;
    bool keeping, stop;
};

// A listening socket for several processes that share it (`shared`): connections wait in its one
// queue, so that those that no process has taken are lost with none. *address is what it listens
// on, with a port that is free where `where` has 0. The descriptor, or -errno with why.
int sb_server_hold_address(const char *where, char address[80], char *why, size_t why_size);

// The caller fills server->judge (but for its lock) and server->store before. 0 or -errno with why.
int sb_server_start(struct sb_server *s, const struct sb_options *o, char *why, size_t why_size);
void sb_server_stop(struct sb_server *s);
// From now on judges by these: roots, collateral, policy, issuers. When it returns nobody uses the
// old ones.
void sb_server_reload(struct sb_server *s, const struct sb_judge *fresh);

// A self-signed certificate over the key, for localhost and the listening address (PEM, malloc'd).
char *sb_certificate(EVP_PKEY *key, const char *address);
// Whether a certificate (PEM) is of this key, and good for 30 days more.
bool sb_certificate_ok(const char *pem, EVP_PKEY *key);
// Whether the first certificate of `pem` is of the private key in `key_pem`, which has no
// passphrase.
bool sb_pair_ok(const char *pem, const char *key_pem);
// The key as PEM (malloc'd); `private` as PKCS #8.
char *sb_key_pem(EVP_PKEY *key, bool private);

#endif
