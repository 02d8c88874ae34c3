// SPDX-License-Identifier: Apache-2.0
// The broker's own certificate: self-signed, since clients pin its key.
#include "verifier/broker/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <shelter/network.h>

#include "verifier/broker/ca.h"

static char *bio_text(BIO *bio)
{
    char *data = NULL, *text;
    long size = bio ? BIO_get_mem_data(bio, &data) : 0;

    text = size > 0 ? strndup(data, (size_t)size) : NULL;
    BIO_free(bio);
    return text;
}

char *sb_key_pem(EVP_PKEY *key, bool private)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int ok = 0;

    if (bio)
        ok = private ? PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)
                     : PEM_write_bio_PUBKEY(bio, key);
    if (ok)
        return bio_text(bio);
    BIO_free(bio);
    return NULL;
}

// "127.0.0.1:8080" -> "127.0.0.1", "[::1]:8080" -> "::1"
static void host_of(const char *address, char *out, size_t size)
{
    const char *end = strrchr(address, ':');
    size_t n = end ? (size_t)(end - address) : strlen(address);

    if (*address == '[' && n >= 2) {
        address++;
        n -= 2;
    }
    snprintf(out, size, "%.*s", (int)n, address);
}

bool sb_certificate_ok(const char *pem, EVP_PKEY *key)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    time_t later = time(NULL) + 30l * 86400;
    bool good = cert && EVP_PKEY_eq(X509_get0_pubkey(cert), key) == 1 &&
                X509_cmp_time(X509_get0_notAfter(cert), &later) > 0;

    X509_free(cert);
    BIO_free(bio);
    return good;
}

// Nobody is asked for a passphrase.
static int give_none(char *buf, int size, int writing, void *arg)
{
    (void)buf, (void)size, (void)writing, (void)arg;
    return -1;
}

bool sb_pair_ok(const char *pem, const char *key_pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1), *key_bio = BIO_new_mem_buf(key_pem, -1);
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key = key_bio ? PEM_read_bio_PrivateKey(key_bio, NULL, give_none, NULL) : NULL;
    bool good = cert && key && X509_check_private_key(cert, key) == 1;

    EVP_PKEY_free(key);
    X509_free(cert);
    BIO_free(key_bio);
    BIO_free(bio);
    return good;
}

char *sb_certificate(EVP_PKEY *key, const char *address)
{
    X509 *cert = X509_new();
    X509_NAME *name = X509_NAME_new();
    BIO *bio = BIO_new(BIO_s_mem());
    uint8_t serial[16];
    BIGNUM *bn = NULL;
    char host[64], names[256], *text = NULL;

    host_of(address, host, sizeof(host));
    // SH_NET_HOST_TEXT is how a guest with user-mode networking sees this machine.
    snprintf(names, sizeof(names),
             "DNS:localhost,IP:127.0.0.1,IP:::1,IP:" SH_NET_HOST_TEXT ",IP:%s", host);
    if (cert && name && bio && RAND_bytes(serial, sizeof(serial)) == 1) {
        serial[0] &= 0x7f;
        bn = BN_bin2bn(serial, sizeof(serial), NULL);
    }
    if (bn && X509_set_version(cert, 2) && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert)) &&
        X509_gmtime_adj(X509_getm_notBefore(cert), -3600) &&
        X509_gmtime_adj(X509_getm_notAfter(cert), 365l * 86400) &&
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                   (const unsigned char *)"shelter broker", -1, -1, 0) &&
        X509_set_subject_name(cert, name) && X509_set_issuer_name(cert, name) &&
        X509_set_pubkey(cert, key) && sb_add_extension(cert, cert, NID_subject_alt_name, names) &&
        sb_add_extension(cert, cert, NID_basic_constraints, "critical,CA:FALSE") &&
        sb_add_extension(cert, cert, NID_ext_key_usage, "serverAuth") &&
        X509_sign(cert, key, EVP_sha256()) && PEM_write_bio_X509(bio, cert)) {
        text = bio_text(bio);
        bio = NULL;
    }
    BIO_free(bio);
    BN_free(bn);
    X509_NAME_free(name);
    X509_free(cert);
    return text;
}
