// SPDX-License-Identifier: Apache-2.0
// Starting and stopping: address, TLS, threads, limits of connections.
#include "verifier/broker/server.h"
#include "verifier/broker/http.h"

#include "lib/number.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>

// Seconds without a byte after which a connection is closed.
#define IDLE_S 15

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

static void print_address(struct sb_server *s, const struct sockaddr_storage *a)
{
    uint16_t port = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    char host[INET6_ADDRSTRLEN] = "";

    if (a->ss_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, host, sizeof(host));
        snprintf(s->address, sizeof(s->address), "%s:%u", host, port);
    } else {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)a)->sin6_addr, host, sizeof(host));
        snprintf(s->address, sizeof(s->address), "[%s]:%u", host, port);
    }
}

// Paths are plain ASCII here: an escape stays one, and is then no path of ours. Decoding could cut
// a path short (%00) or give it another part (%2f).
static size_t keep_escapes(void *cls, struct MHD_Connection *c, char *text)
{
    return strlen(text);
}

static struct MHD_Daemon *start_daemon(struct sb_server *s, const struct sb_options *o,
                                       const struct sockaddr_storage *a, const char *key,
                                       const char *cert)
{
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
                     MHD_USE_POLL | (a->ss_family == AF_INET6 ? MHD_USE_IPv6 : 0);
    unsigned connections = o->connection_max ? o->connection_max : 512;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key},
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)cert},
        // 1.2 stays: clients inside a TEE may have no 1.3
        {MHD_OPTION_HTTPS_PRIORITIES, 0,
         (void *)(uintptr_t) "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-CIPHER-ALL:"
                             "+AES-256-GCM:+AES-128-GCM:+CHACHA20-POLY1305"},
        {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};

    return MHD_start_daemon(
        s->tls ? flags | MHD_USE_TLS : flags, 0, NULL, NULL, sb_http_handle, s,
        MHD_OPTION_NOTIFY_COMPLETED, sb_http_completed, s, MHD_OPTION_UNESCAPE_CALLBACK,
        keep_escapes, NULL, MHD_OPTION_SOCK_ADDR, a, MHD_OPTION_CONNECTION_LIMIT, connections,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, connections / 2 + 1, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)65536,
        MHD_OPTION_THREAD_STACK_SIZE, (size_t)524288, MHD_OPTION_ARRAY, s->tls ? tls : none,
        MHD_OPTION_END);
}

int sb_server_start(struct sb_server *s, const struct sb_options *o, char *why, size_t why_size)
{
    struct sockaddr_storage a;
    char *key = NULL, *cert = NULL;
    int rc;

    if (!parse_address(o->listen, &a)) {
        snprintf(why, why_size, "'%s' is no address to listen on; give ADDR:PORT or [ADDR]:PORT",
                 o->listen);
        return -EINVAL;
    }
    if (o->insecure_http && !is_loopback(&a)) {
        snprintf(why, why_size, "plain HTTP is for loopback only; %s is not", o->listen);
        return -EPERM;
    }
    s->tls = !o->insecure_http;
    s->body_max = o->body_max ? o->body_max : 2u << 20;
    s->last_now = sb_log_last_time(s->store); // a clock set back since makes nothing valid again
    pthread_mutex_init(&s->judge.lock, NULL);
    sb_limit_init(&s->limit, o->rate);
    sb_sessions_init(&s->sessions, o->session_max ? o->session_max : 8192,
                     o->session_peer_max ? o->session_peer_max : 256,
                     o->nonce_ms ? o->nonce_ms : 300000, o->session_ms ? o->session_ms : 1800000);
    if (s->tls && !o->tls_cert) {
        key = sb_key_pem(sb_store_key(s->store), true);
        cert = sb_certificate(sb_store_key(s->store), o->listen);
    }
    errno = 0;
    s->daemon =
        start_daemon(s, o, &a, o->tls_key ? o->tls_key : key, o->tls_cert ? o->tls_cert : cert);
    rc = s->daemon ? 0 : errno ? -errno : -EIO;
    if (key)
        OPENSSL_cleanse(key, strlen(key));
    free(key);
    free(cert);
    if (rc) {
        snprintf(why, why_size, "cannot serve on %s: %s", o->listen,
                 rc == -EIO ? "certificate or key do not fit" : strerror(-rc));
        return rc;
    }
    print_address(s, &a);
    return 0;
}

void sb_server_stop(struct sb_server *s)
{
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    sb_sessions_free(&s->sessions);
    sb_references_free(&s->judge.references);
}
