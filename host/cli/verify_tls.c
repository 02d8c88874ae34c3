// SPDX-License-Identifier: Apache-2.0
// Certificates that carry evidence: of a running TLS server, or from a file.
#include "host/cli/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "host/base/util.h"

#define LIMIT_SECONDS 15

/* "HOST:PORT" or "[IPv6]:PORT", in place. */
static int split_address(char *address, char **host, char **port)
{
    *port = strrchr(address, ':');
    *host = address;
    if (!*port || !(*port)[1])
        return -EINVAL;
    *(*port)++ = 0;
    if (**host == '[') {
        size_t n = strlen(*host);
        if ((*host)[n - 1] != ']')
            return -EINVAL;
        (*host)[n - 1] = 0;
        ++*host;
    }
    return **host ? 0 : -EINVAL;
}

static int dial_one(const struct addrinfo *a)
{
    struct timeval limit = {.tv_sec = LIMIT_SECONDS};
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)); /* of connect, too */
    if (!connect(fd, a->ai_addr, a->ai_addrlen))
        return fd;
    int r = -errno;
    close(fd);
    return r;
}

static int connect_server(const char *host, const char *port, struct sh_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int fd = -ENOENT, why = getaddrinfo(host, port, &hints, &list);
    if (why)
        return sh_fail(err, -ENOENT, "cannot find %s: %s", host, gai_strerror(why));
    for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
        fd = dial_one(a);
    freeaddrinfo(list);
    return fd < 0 ? sh_fail_errno(err, fd, "cannot connect to %s port %s", host, port) : fd;
}

/* It is judged after the handshake has shown that the other side holds its key. */
static int accept_any(X509_STORE_CTX *ctx, void *arg)
{
    return 1;
}

static int shake_hands(int fd, const char *host, uint8_t **der, size_t *size, struct sh_error *err)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = NULL;
    X509 *cert = NULL;
    int r = -ENOMEM, n = -1;
    if (ctx && SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION)) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_cert_verify_callback(ctx, accept_any, NULL);
        ssl = SSL_new(ctx);
    }
    if (ssl && SSL_set_fd(ssl, fd)) {
        SSL_set_tlsext_host_name(ssl, host);
        r = SSL_connect(ssl) == 1 ? 0 : -EPROTO;
    }
    if (!r && !(cert = SSL_get1_peer_certificate(ssl)))
        r = -EPROTO;
    if (cert && (n = i2d_X509(cert, der)) > 0)
        *size = (size_t)n;
    if (r || n <= 0) {
        const char *why = ERR_reason_error_string(ERR_peek_last_error());
        r = sh_fail(err, r ? r : -EPROTO, "no TLS handshake with %s: %s", host,
                    why ? why : "the connection ended, or took too long");
    }
    if (ssl && !r)
        SSL_shutdown(ssl);
    X509_free(cert);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    return r;
}

int sh_tls_certificate(const char *address, uint8_t **der, size_t *size, struct sh_error *err)
{
    cleanup_free char *copy = sh_strdup(address);
    char *host, *port;
    *der = NULL;
    if (split_address(copy, &host, &port))
        return sh_fail(err, -EINVAL, "'%s' is not an address; give HOST:PORT", address);
    cleanup_close int fd = connect_server(host, port, err);
    return fd < 0 ? fd : shake_hands(fd, host, der, size, err);
}

int sh_file_certificate(const char *path, uint8_t **der, size_t *size, struct sh_error *err)
{
    int r = sh_read_file(AT_FDCWD, path, 1 << 20, der, size, err);
    if (r || !strstr((char *)*der, "-----BEGIN CERTIFICATE"))
        return r;
    BIO *bio = BIO_new_mem_buf(*der, (int)*size);
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    uint8_t *out = NULL;
    int n = cert ? i2d_X509(cert, &out) : -1;
    BIO_free(bio);
    X509_free(cert);
    if (n <= 0)
        return sh_fail(err, -EBADMSG, "%s holds no certificate", path);
    free(*der);
    *der = out;
    *size = (size_t)n;
    return 0;
}
