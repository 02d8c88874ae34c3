// SPDX-License-Identifier: Apache-2.0
// TLS 1.2 to the broker (mbedTLS 2.28 or 3.6). Who the peer is, is decided by its public key alone:
// names and dates in its certificate say nothing that the image's owner has not pinned.
#define MBEDTLS_ALLOW_PRIVATE_ACCESS
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>

#include <asm/errno.h>
#include <string.h>

#include "trusted/agent/client.h"

struct agent_tls {
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config config;
    size_t held; /* bytes of `out` */
    uint8_t out[1024];
};

static const int suites[] = {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                             MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                             MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                             MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, 0};

static int report_failed(struct agent_client *c, long rc)
{
    c->io_error = (int)rc;
    return rc == -ETIMEDOUT ? MBEDTLS_ERR_SSL_TIMEOUT : MBEDTLS_ERR_SSL_INTERNAL_ERROR;
}

/* A flight of the handshake is several records. They go together, before we read: sent one by one,
 * the second would wait for the peer's acknowledgement of the first, 40 ms (Nagle). */
static long send_held(struct agent_client *c)
{
    struct agent_tls *t = c->tls;
    for (size_t at = 0; at < t->held;) {
        long n = agent_os_write(c->stream, t->out + at, t->held - at, c->deadline);
        if (n < 0)
            return n;
        at += (size_t)n;
    }
    t->held = 0;
    return 0;
}

static int receive_bytes(void *client, unsigned char *out, size_t size)
{
    struct agent_client *c = client;
    long n = agent_os_now_ms() >= c->deadline ? -ETIMEDOUT : send_held(c);
    if (!n)
        n = agent_os_read(c->stream, out, size, c->deadline);
    return n < 0 ? report_failed(c, n) : (int)n;
}

static int send_bytes(void *client, const unsigned char *data, size_t size)
{
    struct agent_client *c = client;
    struct agent_tls *t = c->tls;
    if (size <= sizeof(t->out) - t->held) {
        memcpy(t->out + t->held, data, size);
        t->held += size;
        return (int)size;
    }
    long n = send_held(c);
    if (!n)
        n = agent_os_write(c->stream, data, size, c->deadline);
    return n < 0 ? report_failed(c, n) : (int)n;
}

static bool is_pinned(struct agent_client *c)
{
    const mbedtls_x509_crt *crt = mbedtls_ssl_get_peer_cert(&c->tls->ssl);
    return crt && crt->pk_raw.len == c->pin.size &&
           sh_equal_ct(crt->pk_raw.p, c->pin.data, c->pin.size);
}

/* Server names are for names: an address is none (RFC 6066). */
static bool is_name(const struct agent_url *u)
{
    for (const char *p = u->host; *p; p++)
        if (!u->literal6 && *p != '.' && (*p < '0' || *p > '9'))
            return true;
    return false;
}

static int set_up(struct agent_client *c)
{
    struct agent_tls *t = c->tls;
    mbedtls_ssl_config_init(&t->config);
    mbedtls_ssl_init(&t->ssl);
    int rc = mbedtls_ssl_config_defaults(&t->config, MBEDTLS_SSL_IS_CLIENT,
                                         MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
    if (rc)
        return rc;
#if MBEDTLS_VERSION_MAJOR < 3
    mbedtls_ssl_conf_min_version(&t->config, MBEDTLS_SSL_MAJOR_VERSION_3,
                                 MBEDTLS_SSL_MINOR_VERSION_3);
#else
    mbedtls_ssl_conf_min_tls_version(&t->config, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_max_tls_version(&t->config, MBEDTLS_SSL_VERSION_TLS1_2);
#endif
    mbedtls_ssl_conf_ciphersuites(&t->config, suites);
    mbedtls_ssl_conf_session_tickets(&t->config, MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
    mbedtls_ssl_conf_rng(&t->config, agent_rng, NULL);
    /* The key exchange is still signed by the certificate's key, which is compared below. */
    mbedtls_ssl_conf_authmode(&t->config, MBEDTLS_SSL_VERIFY_NONE);
    rc = mbedtls_ssl_setup(&t->ssl, &t->config);
    if (!rc && is_name(&c->url))
        rc = mbedtls_ssl_set_hostname(&t->ssl, c->url.host);
    mbedtls_ssl_set_bio(&t->ssl, c, send_bytes, receive_bytes, NULL);
    return rc;
}

int agent_tls_open(struct agent_client *c, struct agent_error *e)
{
    char name[300], code[21];
    agent_client_name(c, name);
    c->tls = agent_os_alloc(sizeof(*c->tls));
    int rc = c->tls ? set_up(c) : MBEDTLS_ERR_SSL_ALLOC_FAILED;
    if (rc)
        return agent_fail(e, -ENOMEM, "no memory for TLS", NULL);
    while ((rc = mbedtls_ssl_handshake(&c->tls->ssl)) == MBEDTLS_ERR_SSL_WANT_READ ||
           rc == MBEDTLS_ERR_SSL_WANT_WRITE)
        ;
    if (c->io_error || rc == MBEDTLS_ERR_SSL_CONN_EOF)
        return agent_fail(e, -EAGAIN, "the key broker at ", name,
                          c->io_error == -ETIMEDOUT ? " did not finish the TLS handshake in time"
                                                    : " cut the connection in the TLS handshake",
                          NULL);
    if (rc) {
        send_held(c); /* the alert that says why */
        return agent_fail(e, -EPROTO, "no TLS with the key broker at ", name, ": error -",
                          agent_number(code, (uint64_t)-rc), " of mbedTLS; is it an https address?",
                          NULL);
    }
    if (c->pin.size && !is_pinned(c))
        return agent_fail(e, -EPERM, "the key broker at ", name,
                          " does not have the public key that the image was built with"
                          " (--broker-key)",
                          NULL);
    return 0;
}

void agent_tls_close(struct agent_client *c)
{
    if (!c->tls)
        return;
    mbedtls_ssl_free(&c->tls->ssl);
    mbedtls_ssl_config_free(&c->tls->config);
    agent_os_free(c->tls);
    c->tls = NULL;
}

static long tls_result(struct agent_client *c, int rc)
{
    if (rc >= 0)
        return rc;
    if (c->io_error)
        return c->io_error;
    if (rc == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY || rc == MBEDTLS_ERR_SSL_CONN_EOF)
        return 0;
    return -ECONNRESET;
}

long agent_tls_read(struct agent_client *c, void *out, size_t size)
{
    int rc;
    do
        rc = mbedtls_ssl_read(&c->tls->ssl, out, size);
    while (rc == MBEDTLS_ERR_SSL_WANT_READ || rc == MBEDTLS_ERR_SSL_WANT_WRITE);
    return tls_result(c, rc);
}

long agent_tls_write(struct agent_client *c, const void *data, size_t size)
{
    int rc;
    do
        rc = mbedtls_ssl_write(&c->tls->ssl, data, size);
    while (rc == MBEDTLS_ERR_SSL_WANT_READ || rc == MBEDTLS_ERR_SSL_WANT_WRITE);
    return tls_result(c, rc);
}
