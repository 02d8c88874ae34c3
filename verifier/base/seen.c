// SPDX-License-Identifier: Apache-2.0
// The last leaf certificates that were checked, in a ring.
#include "verifier/base/seen.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/provider.h>

struct sv_seen {
    pthread_mutex_t lock;
    struct {
        X509 *cert;
        uint8_t *der;
        size_t size;
    } ring[SV_SEEN];
    unsigned next;
    OSSL_LIB_CTX *bare;
    OSSL_PROVIDER *none;
};

struct sv_seen *sv_seen_new(void)
{
    struct sv_seen *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    pthread_mutex_init(&s->lock, NULL);
    s->bare = OSSL_LIB_CTX_new();
    // Without a provider of its own it would take the usual one.
    s->none = s->bare ? OSSL_PROVIDER_load(s->bare, "null") : NULL;
    return s;
}

OSSL_LIB_CTX *sv_seen_bare(struct sv_seen *s)
{
    return s && s->none ? s->bare : NULL;
}

void sv_seen_free(struct sv_seen *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < SV_SEEN; i++) {
        X509_free(s->ring[i].cert);
        free(s->ring[i].der);
    }
    if (s->none)
        OSSL_PROVIDER_unload(s->none);
    OSSL_LIB_CTX_free(s->bare);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

X509 *sv_seen_find(struct sv_seen *s, const uint8_t *der, size_t size)
{
    X509 *cert = NULL;

    if (!s)
        return NULL;
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; !cert && i < SV_SEEN; i++)
        if (s->ring[i].cert && s->ring[i].size == size && !memcmp(s->ring[i].der, der, size))
            cert = s->ring[i].cert;
    if (cert)
        X509_up_ref(cert);
    pthread_mutex_unlock(&s->lock);
    return cert;
}

bool sv_seen_has(struct sv_seen *s, const X509 *cert)
{
    bool has = false;

    if (!s)
        return false;
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; !has && i < SV_SEEN; i++)
        has = s->ring[i].cert == cert;
    pthread_mutex_unlock(&s->lock);
    return has;
}

void sv_seen_add(struct sv_seen *s, X509 *cert, const uint8_t *der, size_t size)
{
    uint8_t *copy = s ? malloc(size) : NULL;

    if (!copy)
        return;
    memcpy(copy, der, size);
    X509_up_ref(cert);
    pthread_mutex_lock(&s->lock);
    X509_free(s->ring[s->next].cert);
    free(s->ring[s->next].der);
    s->ring[s->next].cert = cert;
    s->ring[s->next].der = copy;
    s->ring[s->next].size = size;
    s->next = (s->next + 1) % SV_SEEN;
    pthread_mutex_unlock(&s->lock);
}
