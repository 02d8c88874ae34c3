// SPDX-License-Identifier: Apache-2.0
// Starting and stopping: address, TLS, threads, limits of connections.
#include "verifier/broker/server.h"
#include "verifier/broker/admin_http.h"
#include "verifier/broker/clock.h"
#include "verifier/broker/http.h"
#include "verifier/broker/jose.h"
#include "verifier/broker/routes.h"

#include "lib/number.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <microhttpd.h>

// Of the HTTP library: threads that wait for connections, memory of each, and seconds without a
// byte (the gate is stricter).
#define EVENT_THREADS 2
#define CONNECTION_MEMORY 32768
#define IDLE_S 30
#define BACKLOG 1024
#define KEEP_MS 1000
// New connections for each request that the rate allows: who asks too often is told so first.
#define CONNECTS_PER_REQUEST 4

static bool parse_address(const char *text, struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    const char *colon = strrchr(text, ':');
    char host[64];
    uint16_t port;
    size_t n;

    memset(out, 0, sizeof(*out));
    if (!colon || colon == text || sh_parse_port(colon + 1, 0, &port))
        return false;
    n = (size_t)(colon - text);
    if (n >= sizeof(host))
        return false;
    memcpy(host, text, n);
    host[n] = 0;
    if (host[0] == '[' && host[n - 1] == ']') {
        host[n - 1] = 0;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        return inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1;
    }
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    return inet_pton(AF_INET, strcmp(host, "localhost") ? host : "127.0.0.1", &v4->sin_addr) == 1;
}

static bool is_loopback(const struct sockaddr_storage *a)
{
    if (a->ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

static void print_address(char out[80], const struct sockaddr_storage *a, uint16_t port)
{
    char host[INET6_ADDRSTRLEN] = "";

    if (a->ss_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, host, sizeof(host));
        snprintf(out, 80, "%s:%u", host, port);
    } else {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)a)->sin6_addr, host, sizeof(host));
        snprintf(out, 80, "[%s]:%u", host, port);
    }
}

static int refuse_address(const char *listen, char *why, size_t why_size)
{
    snprintf(why, why_size, "'%s' is not an address to listen on; give ADDR:PORT or [ADDR]:PORT",
             listen);
    return -EINVAL;
}

int sb_server_hold_address(const char *where, char address[80], char *why, size_t why_size)
{
    struct sockaddr_storage a;
    socklen_t size = sizeof(a);
    int fd, on = 1;

    if (!parse_address(where, &a))
        return refuse_address(where, why, why_size);
    fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
        bind(fd, (struct sockaddr *)&a,
             a.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)) ||
        listen(fd, BACKLOG) || getsockname(fd, (struct sockaddr *)&a, &size)) {
        int rc = -errno;

        snprintf(why, why_size, "cannot serve on %s: %s", where, strerror(-rc));
        if (fd >= 0)
            close(fd);
        return rc;
    }
    // The port stands at the same place in both families.
    print_address(address, &a, ntohs(((struct sockaddr_in *)&a)->sin_port));
    return fd;
}

// Paths are plain ASCII here: an escape stays one, and is then no path of ours. Decoding could cut
// a path short (%00) or give it another part (%2f).
static size_t keep_escapes(void *cls, struct MHD_Connection *c, char *text)
{
    return strlen(text);
}

static struct MHD_Daemon *start_daemon(struct sb_face *f, const struct sockaddr_storage *a,
                                       const char *key, const char *cert, int held)
{
    struct sb_server *s = f->server;
    unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
                     (a->ss_family == AF_INET6 ? MHD_USE_IPv6 : 0);
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key},
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)cert},
        // 1.2 stays: clients inside a TEE may have no 1.3. Certificate and key agreement are of
        // 128 bits; a cipher of 256 would add nothing, and its SHA-384 costs a handshake 0.4 ms.
        {MHD_OPTION_HTTPS_PRIORITIES, 0,
         (void *)(uintptr_t) "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-CIPHER-ALL:"
                             "+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:%SERVER_PRECEDENCE:"
                             "-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:"
                             "+GROUP-SECP521R1:+GROUP-X448:+GROUP-FFDHE2048:+GROUP-FFDHE3072"},
        {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem shared[] = {{MHD_OPTION_LISTEN_SOCKET, held, NULL},
                                      {MHD_OPTION_END, 0, NULL}};

    // The library's own limit is split among its threads: it is wide enough for all in each.
    return MHD_start_daemon(
        s->tls ? flags | MHD_USE_TLS : flags, 0, sb_http_admit, f, sb_http_handle, f,
        MHD_OPTION_NOTIFY_COMPLETED, sb_http_completed, f, MHD_OPTION_NOTIFY_CONNECTION,
        sb_http_connection, f, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
        MHD_OPTION_SOCK_ADDR, a, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)(EVENT_THREADS * (SB_CONNECTIONS + 64)), MHD_OPTION_THREAD_POOL_SIZE,
        (unsigned)EVENT_THREADS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)524288, MHD_OPTION_LISTEN_BACKLOG_SIZE, (unsigned)BACKLOG, MHD_OPTION_ARRAY,
        held > 0 ? shared : none, MHD_OPTION_ARRAY, s->tls ? tls : none, MHD_OPTION_END);
}

// The certificate lasts as the key does: it is made again only when it ends or we listen elsewhere.
static char *own_certificate(struct sb_server *s, const char *listen)
{
    EVP_PKEY *key = sb_store_key(s->store);
    char *cert = NULL, *where = NULL;

    sb_store_value_get(s->store, "certificate", &cert);
    sb_store_value_get(s->store, "certificate-for", &where);
    if (!cert || !where || strcmp(where, listen) || !sb_certificate_ok(cert, key)) {
        free(cert);
        cert = sb_certificate(key, listen);
        if (cert && !sb_store_value_put(s->store, "certificate", cert))
            sb_store_value_put(s->store, "certificate-for", listen);
    }
    free(where);
    return cert;
}

static char *make_jwks(struct sb_server *s)
{
    cJSON *set = cJSON_CreateObject(), *keys = cJSON_AddArrayToObject(set, "keys");
    char *text;

    cJSON_AddItemToArray(keys, sb_jwk_public(sb_store_token_key(s->store)));
    text = cJSON_PrintUnformatted(set);
    cJSON_Delete(set);
    return text;
}

// Once a second: writes refusals down, and looks for what others wait for.
static void *keep(void *arg)
{
    struct sb_server *s = arg;

    pthread_mutex_lock(&s->keeper_lock);
    while (!s->stop) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        t.tv_sec += KEEP_MS / 1000;
        pthread_cond_timedwait(&s->keeper_wake, &s->keeper_lock, &t);
        pthread_mutex_unlock(&s->keeper_lock);
        sb_log_flush(s->store);
        sb_waiting_look(s, sb_clock_ms());
        pthread_mutex_lock(&s->keeper_lock);
    }
    pthread_mutex_unlock(&s->keeper_lock);
    return NULL;
}

static int start_keeper(struct sb_server *s)
{
    pthread_condattr_t monotonic;
    int rc;

    pthread_mutex_init(&s->keeper_lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->keeper_wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    rc = -pthread_create(&s->keeper, NULL, keep, s);
    s->keeping = !rc;
    return rc;
}

static int start_parts(struct sb_server *s, const struct sb_options *o)
{
    unsigned sessions = o->session_max ? o->session_max : SB_SESSIONS;
    uint8_t key[32];
    int rc = o->shared ? sb_store_boot_key(s->store, "challenges", key) : 0;
    pthread_rwlockattr_t writer_first;

    if (!rc)
        rc = sb_challenges_init(&s->challenges, o->nonce_ms ? o->nonce_ms : 300000,
                                o->shared ? key : NULL);
    OPENSSL_cleanse(key, sizeof(key));
    s->session_max = sessions;

    s->metrics.started_ms = sb_clock_ms();
    pthread_rwlockattr_init(&writer_first);
    pthread_rwlockattr_setkind_np(&writer_first, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&s->judge.rules, &writer_first);
    pthread_rwlockattr_destroy(&writer_first);
    pthread_mutex_init(&s->judge.lock, NULL);
    sb_limit_init(&s->limit, o->rate);
    sb_sessions_init(&s->sessions, sessions, SB_SESSIONS_SIZE,
                     o->session_ms ? o->session_ms : 300000);
    sb_leases_init(&s->leases);
    sb_waiting_init(&s->waiting);
    pthread_mutex_init(&s->crl.lock, NULL);
    sb_fetches_init(&s->fetches);
    sb_fetches_bind(&s->fetches, &s->judge.fetch);
    s->judge.fetches = &s->fetches;
    s->jwks = make_jwks(s);
    s->clients.routes = sb_client_routes;
    s->clients.body_max = o->body_max ? o->body_max : SB_BODY_MAX;
    s->operators.routes = sb_operator_routes;
    s->operators.body_max = SIZE_MAX;
    s->operators.known = true;
    s->clients.server = s->operators.server = s;
    s->console = o->console;
    if (!rc)
        rc = sb_store_boot_key(s->store, "console", s->console_key);
    if (!rc)
        rc = sb_gate_start(&s->clients.gate, SB_CONNECTIONS, SB_RESERVED_CONNECTIONS,
                           SB_PEER_CONNECTIONS, SB_BODIES, CONNECTS_PER_REQUEST * o->rate,
                           &s->sessions);
    if (!rc && o->admin)
        rc = sb_gate_start(&s->operators.gate, SB_ADMIN_CONNECTIONS, 0, SB_ADMIN_PEER_CONNECTIONS,
                           SB_ADMIN_BODIES, CONNECTS_PER_REQUEST * o->rate, &s->sessions);
    if (!rc)
        rc = sb_work_start(&s->work);
    return rc ? rc : start_keeper(s);
}

// Starts to listen. 0 or -errno.
static int listen_on(struct sb_face *f, const struct sb_options *o,
                     const struct sockaddr_storage *a, int held)
{
    struct sb_server *s = f->server;
    char *key = NULL, *cert = NULL;
    int rc;

    if (s->tls && !o->tls_cert) {
        key = sb_key_pem(sb_store_key(s->store), true);
        cert = own_certificate(s, o->listen);
    }
    errno = 0;
    f->daemon =
        start_daemon(f, a, o->tls_key ? o->tls_key : key, o->tls_cert ? o->tls_cert : cert, held);
    rc = f->daemon ? 0 : errno ? -errno : -EIO;
    if (!rc && held > 0)
        snprintf(f->address, sizeof(f->address), "%s", f == &s->clients ? o->listen : o->admin);
    else if (!rc)
        print_address(f->address, a,
                      MHD_get_daemon_info(f->daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    if (key)
        OPENSSL_cleanse(key, strlen(key));
    free(key);
    free(cert);
    return rc;
}

// An address, and whether plain HTTP may be there.
static int judge_address(const char *text, const struct sb_options *o, struct sockaddr_storage *a,
                         char *why, size_t why_size)
{
    if (!parse_address(text, a))
        return refuse_address(text, why, why_size);
    if (o->insecure_http && !is_loopback(a)) {
        snprintf(why, why_size, "plain HTTP is for loopback only; %s is not", text);
        return -EPERM;
    }
    return 0;
}

int sb_server_start(struct sb_server *s, const struct sb_options *o, char *why, size_t why_size)
{
    struct sockaddr_storage a, admin;
    const char *at = o->listen;
    int rc = judge_address(o->listen, o, &a, why, why_size);

    if (!rc && o->admin)
        rc = judge_address(o->admin, o, &admin, why, why_size);
    if (rc)
        return rc;
    if (o->tls_cert && !sb_pair_ok(o->tls_cert, o->tls_key)) {
        snprintf(why, why_size,
                 "the files of --tls-cert and --tls-key are no certificate and its "
                 "private key, in PEM");
        return -EBADMSG;
    }
    s->tls = !o->insecure_http;
    s->shared = o->shared;
    s->last_now = sb_log_last_time(s->store); // a clock set back since makes nothing valid again
    rc = o->dir ? sb_log_reserve(s->store, o->dir, SB_LOG_RESERVE) : 0;
    if (rc) {
        snprintf(why, why_size, "cannot keep %u MiB of %s for the audit log: %s",
                 SB_LOG_RESERVE >> 20, o->dir, strerror(-rc));
        return rc;
    }
    rc = start_parts(s, o);
    if (rc) {
        snprintf(why, why_size, "cannot start: %s", strerror(-rc));
        sb_server_stop(s);
        return rc;
    }
    rc = listen_on(&s->clients, o, &a, o->held);
    if (!rc && o->admin) {
        at = o->admin;
        rc = listen_on(&s->operators, o, &admin, o->admin_held);
    }
    if (rc) {
        snprintf(why, why_size, "cannot serve on %s: %s", at,
                 rc == -EIO ? "certificate or key do not fit" : strerror(-rc));
        sb_server_stop(s);
    }
    return rc;
}

void sb_server_reload(struct sb_server *s, const struct sb_judge *fresh)
{
    pthread_rwlock_wrlock(&s->judge.rules);
    s->judge.ca = fresh->ca;
    s->judge.ca_size = fresh->ca_size;
    s->judge.policy_json = fresh->policy_json;
    s->judge.issuers = fresh->issuers;
    s->judge.hsm_keys = fresh->hsm_keys;
    memcpy(s->judge.collateral, fresh->collateral, sizeof(s->judge.collateral));
    pthread_rwlock_unlock(&s->judge.rules);
    atomic_fetch_add(&s->metrics.reloads, 1);
}

void sb_server_stop(struct sb_server *s)
{
    // First no new connections, then what is queued is answered, then the library ends: it must
    // find no suspended connection.
    struct sb_face *const faces[] = {&s->clients, &s->operators};
    MHD_socket listening[2];

    for (int i = 0; i < 2; i++)
        listening[i] = faces[i]->daemon ? MHD_quiesce_daemon(faces[i]->daemon) : MHD_INVALID_SOCKET;
    sb_waiting_stop(s);
    sb_work_stop(&s->work);
    for (int i = 0; i < 2; i++) {
        if (faces[i]->daemon)
            MHD_stop_daemon(faces[i]->daemon);
        if (listening[i] != MHD_INVALID_SOCKET)
            close(listening[i]);
        if (faces[i]->gate.max)
            sb_gate_stop(&faces[i]->gate);
    }
    if (s->keeping) {
        pthread_mutex_lock(&s->keeper_lock);
        s->stop = true;
        pthread_cond_signal(&s->keeper_wake);
        pthread_mutex_unlock(&s->keeper_lock);
        pthread_join(s->keeper, NULL);
    }
    sb_log_flush(s->store);
    sb_sessions_free(&s->sessions);
    sb_leases_free(&s->leases);
    sb_references_free(&s->judge.references);
    OPENSSL_cleanse(s->console_key, sizeof(s->console_key));
    free(s->jwks);
    free(s->crl.pem);
}
