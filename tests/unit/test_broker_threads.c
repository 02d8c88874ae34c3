// SPDX-License-Identifier: Apache-2.0
// What the broker's threads share: the certificates that were seen, and the queue of work. Built a
// second time under the thread sanitizer (verifier/module.mk).
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <unistd.h>

#include "verifier/base/seen.h"
#include "verifier/broker/work.h"

#define THREADS 4
#define ROUNDS 1000
#define CERTS (SV_SEEN + 32) // more than are kept

static void run_threads(void *(*body)(void *arg))
{
    pthread_t t[THREADS];

    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, body, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
}

static uint32_t next_random(uint32_t *seed)
{
    return (*seed = *seed * 1664525u + 1013904223u) >> 8;
}

// --- Certificates ---

static struct {
    uint8_t *der;
    int size;
} certs[CERTS];
static struct sv_seen *seen;
static atomic_int hits, wrong;

static void make_certs(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");

    for (int i = 0; i < CERTS; i++) {
        X509 *x = X509_new();

        X509_set_version(x, X509_VERSION_3);
        ASN1_INTEGER_set(X509_get_serialNumber(x), 1000 + i);
        X509_gmtime_adj(X509_getm_notBefore(x), 0);
        X509_gmtime_adj(X509_getm_notAfter(x), 60);
        X509_set_pubkey(x, key);
        X509_sign(x, key, EVP_sha256());
        certs[i].der = NULL;
        certs[i].size = i2d_X509(x, &certs[i].der);
        assert_true(certs[i].size > 0);
        X509_free(x);
    }
    EVP_PKEY_free(key);
}

static void *use_seen(void *arg)
{
    uint32_t seed = (uint32_t)(uintptr_t)arg;

    for (int i = 0; i < ROUNDS; i++) {
        unsigned n = next_random(&seed) % CERTS;
        const uint8_t *p = certs[n].der;
        X509 *x = sv_seen_find(seen, certs[n].der, (size_t)certs[n].size);

        if (x) {
            hits++;
            wrong += ASN1_INTEGER_get(X509_get0_serialNumber(x)) != 1000 + (long)n;
            sv_seen_has(seen, x);
        } else if ((x = d2i_X509(NULL, &p, certs[n].size))) {
            sv_seen_add(seen, x, certs[n].der, (size_t)certs[n].size);
        }
        X509_free(x);
    }
    return NULL;
}

static void test_seen(void **state)
{
    make_certs();
    seen = sv_seen_new();
    run_threads(use_seen);
    assert_int_equal(wrong, 0);
    assert_true(hits > ROUNDS);
    sv_seen_free(seen);
    for (int i = 0; i < CERTS; i++)
        OPENSSL_free(certs[i].der);
}

// --- Work ---

static struct sb_work work;
static atomic_int put, done, refused, large, most_large;

static void run_one(struct sb_item *item)
{
    int now = item->large ? ++large : 0, most = most_large;

    while (now > most && !atomic_compare_exchange_weak(&most_large, &most, now)) {
    }
    if (item->peer % 7 == 0)
        usleep(50);
    large -= item->large;
    free(item);
    done++;
}

static void *put_work(void *arg)
{
    uint32_t seed = 77 + (uint32_t)(uintptr_t)arg;

    for (int i = 0; i < ROUNDS; i++) {
        struct sb_item *item = calloc(1, sizeof(*item));
        uint32_t n = next_random(&seed);

        item->peer = n % 13;
        item->known = n & 32;
        item->large = n & 64;
        item->run = run_one;
        if (sb_work_put(&work, item)) {
            put++;
        } else {
            refused++;
            free(item);
        }
    }
    return NULL;
}

static void *stop_soon(void *arg)
{
    usleep(2000);
    sb_work_stop(&work);
    return NULL;
}

static void *put_or_stop(void *arg)
{
    return arg ? put_work(arg) : stop_soon(arg);
}

// What was taken runs once, whoever puts meanwhile, and when it stops; large ones as few as may.
static void test_work(void **state)
{
    assert_int_equal(sb_work_start(&work), 0);
    run_threads(put_work);
    sb_work_stop(&work);
    assert_int_equal(put, THREADS * ROUNDS);
    assert_int_equal(done, put);
    assert_in_range(most_large, 1, SB_WORK_LARGE);
    put = done = 0;
    assert_int_equal(sb_work_start(&work), 0);
    run_threads(put_or_stop);
    assert_int_equal(put + refused, (THREADS - 1) * ROUNDS);
    assert_int_equal(done, put);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_seen), cmocka_unit_test(test_work)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
