// SPDX-License-Identifier: Apache-2.0
// RA-TLS certificates: good ones, every one that is not, and the OpenSSL callback over a handshake.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <shelter/verify.h>

#include "lib/sha2.h"
#include "tests/gen/evidence.h"
#include "verifier/base/cbor.h"

static struct gen_ra_tls_options good(void)
{
    return (struct gen_ra_tls_options){.intel = {.version = 4, .tdx = true}};
}

static struct shelter_collateral *collateral_of(const struct gen_ra_tls *g)
{
    struct shelter_collateral *col;
    char *json = gen_intel_collateral(&g->intel), why[200] = "";
    assert_int_equal(shelter_collateral_parse(json, strlen(json), g->intel.root.data,
                                              g->intel.root.size, &col, why, sizeof(why)),
                     0);
    free(json);
    return col;
}

static enum shelter_reason judge_bytes(const struct gen_ra_tls *g, const uint8_t *der, size_t size,
                                       const char *nonce)
{
    struct shelter_collateral *col = collateral_of(g);
    struct shelter_verdict *v;
    struct shelter_verify_request rq = {.size = sizeof(rq),
                                        .collateral = col,
                                        .ca = g->intel.root.data,
                                        .ca_size = g->intel.root.size,
                                        .time = GEN_TIME,
                                        .nonce = nonce,
                                        .nonce_size = nonce ? strlen(nonce) : 0};
    assert_int_equal(shelter_verify_certificate(der, size, &rq, &v), 0);
    enum shelter_reason r = shelter_verdict_reason(v);
    assert_int_equal(shelter_verdict_accepted(v), r == SHELTER_R_OK);
    shelter_verdict_free(v);
    shelter_collateral_free(col);
    return r;
}

static enum shelter_reason judge(const struct gen_ra_tls_options *o, const char *nonce)
{
    struct gen_ra_tls g;
    gen_ra_tls(o, &g);
    enum shelter_reason r = judge_bytes(&g, g.cert.data, g.cert.size, nonce);
    gen_ra_tls_free(&g);
    return r;
}

static void test_good(void **state)
{
    struct gen_ra_tls_options o = good();
    assert_int_equal(judge(&o, NULL), SHELTER_R_OK);
    o.alg = 7;
    assert_int_equal(judge(&o, NULL), SHELTER_R_OK);
    o.alg = 8;
    o.unknown_claim = true;
    assert_int_equal(judge(&o, NULL), SHELTER_R_OK);
    o = (struct gen_ra_tls_options){.intel = {.version = 3}, .nonce = "of the other side"};
    assert_int_equal(judge(&o, NULL), SHELTER_R_OK);
    assert_int_equal(judge(&o, "of the other side"), SHELTER_R_OK);
    o.nonce_first = true;
    assert_int_equal(judge(&o, "of the other side"), SHELTER_R_OK);
}

static void test_wrong(void **state)
{
    struct gen_ra_tls_options o;
#define WRONG(member, reason)                                                                      \
    o = good();                                                                                    \
    o.member;                                                                                      \
    assert_int_equal(judge(&o, NULL), reason)
    WRONG(no_extension = true, SHELTER_R_RA_TLS_CERT);
    WRONG(tag = 60001, SHELTER_R_RA_TLS_CERT);
    WRONG(tag = 1733892, SHELTER_R_TYPE_MISMATCH); /* SNP's tag over a quote */
    WRONG(long_head = true, SHELTER_R_RA_TLS_CERT);
    WRONG(trailing = true, SHELTER_R_RA_TLS_CERT);
    WRONG(twice = true, SHELTER_R_RA_TLS_CLAIMS);
    WRONG(alg = 2, SHELTER_R_RA_TLS_KEY);
    WRONG(other_key = true, SHELTER_R_RA_TLS_KEY);
    WRONG(foreign_signer = true, SHELTER_R_RA_TLS_SELF);
    WRONG(claims_changed = true, SHELTER_R_RA_TLS_KEY); /* the claims' last byte is the hash's */
    WRONG(intel.debug = true, SHELTER_R_DEBUG);
    WRONG(intel.tcb_expired = true, SHELTER_R_TCB_INFO_EXPIRED);
    WRONG(intel.simulated_root = true, SHELTER_R_SIMULATED);
    o = good();
    o.nonce = "mine";
    assert_int_equal(judge(&o, "yours"), SHELTER_R_RA_TLS_NONCE);
    o.claims_changed = true; /* now the last byte is the nonce's */
    assert_int_equal(judge(&o, NULL), SHELTER_R_REPORT_DATA);
    o = good();
    assert_int_equal(judge(&o, "any"), SHELTER_R_RA_TLS_NONCE);
}

/* A GPU beside it signs what the TEE binds: the digest of the claims. */
static void test_gpu(void **state)
{
    struct gen_ra_tls_options o = good();
    uint8_t ca[8192], digest[64], other[32] = {0};
    struct shelter_collateral *col;
    struct gen_ra_tls g;

    gen_ra_tls(&o, &g);
    col = collateral_of(&g);
    struct shelter_verify_request rq = {.size = sizeof(rq),
                                        .collateral = col,
                                        .ca = ca,
                                        .time = GEN_TIME,
                                        .policy_json = "{\"nvidia\":{\"require_rim\":false}}"};
    memcpy(ca, g.intel.root.data, g.intel.root.size);
    sh_sha256(digest, g.claims.data, g.claims.size);
    for (int i = 0; i < 3; i++) {
        struct gen_gpu_options of = {.nonce = i ? other : digest};
        struct shelter_verdict *v;
        struct gen_gpu gpu;

        gen_gpu(&of, &gpu);
        assert_true(g.intel.root.size + gpu.root.size <= sizeof(ca));
        memcpy(ca + g.intel.root.size, gpu.root.data, gpu.root.size);
        rq.ca_size = g.intel.root.size + gpu.root.size;
        rq.additional = (const char *)gpu.json.data;
        rq.additional_size = gpu.json.size;
        rq.device_data = i == 2 ? other : NULL; // what the caller names is taken
        rq.device_data_size = i == 2 ? sizeof(other) : 0;
        assert_int_equal(shelter_verify_certificate(g.cert.data, g.cert.size, &rq, &v), 0);
        assert_int_equal(shelter_verdict_reason(v), i == 1 ? SHELTER_R_GPU_NONCE : SHELTER_R_OK);
        shelter_verdict_free(v);
        gen_gpu_free(&gpu);
    }
    shelter_collateral_free(col);
    gen_ra_tls_free(&g);
}

/* The evidence of one certificate in another's place: key of B, evidence of A. */
static void test_transplant(void **state)
{
    struct gen_ra_tls_options o = good();
    struct gen_ra_tls a, b;
    const void *from, *to;
    size_t size, to_size;
    o.intel.keep_pki = true;
    gen_ra_tls(&o, &a);
    gen_ra_tls(&o, &b);
    assert_int_equal(shelter_certificate_evidence(a.cert.data, a.cert.size, &from, &size), 0);
    assert_int_equal(size, a.intel.quote.size);
    assert_memory_equal(from, a.intel.quote.data, size);
    assert_int_equal(shelter_certificate_evidence(b.cert.data, b.cert.size, &to, &to_size), 0);
    assert_int_equal(size, to_size);
    memcpy((void *)(uintptr_t)to, from, size);
    assert_int_not_equal(judge_bytes(&a, b.cert.data, b.cert.size, NULL), SHELTER_R_OK);
    /* Signed anew by its own key, all but the binding holds. */
    const uint8_t *at = b.cert.data;
    X509 *cert = d2i_X509(NULL, &at, (long)b.cert.size);
    BIO *bio = BIO_new_mem_buf(b.pem.data, (int)b.pem.size);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    uint8_t *der = NULL;
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    int n = i2d_X509(cert, &der);
    assert_int_equal(judge_bytes(&a, der, (size_t)n, NULL), SHELTER_R_REPORT_DATA);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
    X509_free(cert);
    BIO_free(bio);
    gen_ra_tls_free(&a);
    gen_ra_tls_free(&b);
}

/* No bit of it may change, and no length of it is good but its own. */
static void test_flips(void **state)
{
    struct gen_ra_tls_options o = good();
    struct gen_ra_tls g;
    gen_ra_tls(&o, &g);
    for (size_t i = 0; i < g.cert.size; i += i < 400 || i + 400 > g.cert.size ? 5 : 53) {
        g.cert.data[i] ^= (uint8_t)(1u << i % 8);
        if (judge_bytes(&g, g.cert.data, g.cert.size, NULL) == SHELTER_R_OK)
            fail_msg("byte %zu of %zu may be changed", i, g.cert.size);
        g.cert.data[i] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t n = 0; n < g.cert.size; n += 97)
        assert_int_not_equal(judge_bytes(&g, g.cert.data, n, NULL), SHELTER_R_OK);
    gen_ra_tls_free(&g);
}

static void test_cbor(void **state)
{
    static const struct {
        uint8_t bytes[10];
        size_t size;
        bool ok;
        uint64_t value;
    } cases[] = {
        {{0x17}, 1, true, 23},
        {{0x18, 24}, 2, true, 24},
        {{0x18, 23}, 2, false, 0},
        {{0x19, 1, 0}, 3, true, 256},
        {{0x19, 0, 255}, 3, false, 0},
        {{0x1a, 0, 1, 0, 0}, 5, true, 65536},
        {{0x1a, 0, 0, 255, 255}, 5, false, 0},
        {{0x1b, 0, 0, 0, 1, 0, 0, 0, 0}, 9, true, 1ull << 32},
        {{0x1b, 0, 0, 0, 0, 255, 255, 255, 255}, 9, false, 0},
        {{0x1b, 255, 255, 255, 255, 255, 255, 255, 255}, 9, true, UINT64_MAX},
        {{0x1c}, 1, false, 0},
        {{0x1f}, 1, false, 0},
        {{0x37}, 1, false, 0},
        {{0x19, 1}, 2, false, 0},
        {{0}, 0, false, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sv_bytes in = {cases[i].bytes, cases[i].size};
        uint64_t value = 0;
        assert_int_equal(sv_cbor_head(&in, SV_CBOR_UINT, &value), cases[i].ok);
        if (cases[i].ok)
            assert_true(value == cases[i].value && !in.size);
    }
    static const uint8_t long_string[] = {0x5b, 255, 255, 255, 255, 255, 255, 255, 255, 0};
    struct sv_bytes in = {long_string, sizeof(long_string)}, out;
    assert_false(sv_cbor_string(&in, SV_CBOR_BYTES, &out));
}

struct seen {
    int count, answer;
    bool accepted;
};

static int decide(void *arg, const struct shelter_verdict *v)
{
    struct seen *s = arg;
    s->count++;
    s->accepted = shelter_verdict_accepted(v);
    return s->answer;
}

/* A handshake in memory; 1 when both sides are content. */
static int shake(const struct gen_ra_tls *g, struct shelter_ra_tls *ra)
{
    SSL_CTX *client = SSL_CTX_new(TLS_client_method()), *server = SSL_CTX_new(TLS_server_method());
    BIO *bio = BIO_new_mem_buf(g->pem.data, (int)g->pem.size), *a, *b;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    assert_int_equal(SSL_CTX_use_certificate(server, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server, key), 1);
    SSL_CTX_set_verify(client, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(client, shelter_ra_tls_callback, ra);
    SSL *c = SSL_new(client), *s = SSL_new(server);
    assert_int_equal(BIO_new_bio_pair(&a, 65536, &b, 65536), 1);
    SSL_set_bio(c, a, a);
    SSL_set_bio(s, b, b);
    SSL_set_connect_state(c);
    SSL_set_accept_state(s);
    int done_c = 0, done_s = 0;
    for (int i = 0; i < 20; i++) {
        done_c = SSL_do_handshake(c) == 1;
        done_s = SSL_do_handshake(s) == 1;
    }
    SSL_free(c);
    SSL_free(s);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    X509_free(cert);
    EVP_PKEY_free(key);
    BIO_free(bio);
    return done_c && done_s;
}

static time_t now;

/* libshelter-verify's clock, here. */
time_t time(time_t *t)
{
    if (t)
        *t = now;
    return now;
}

struct current {
    const struct shelter_collateral *collateral;
    const struct gen_ra_tls *of;
    int count, answer;
};

static int bring_current(void *arg, struct shelter_verify_request *request, const void *evidence,
                         size_t evidence_size)
{
    struct current *c = arg;
    c->count++;
    assert_int_equal(evidence_size, c->of->intel.quote.size);
    assert_memory_equal(evidence, c->of->intel.quote.data, evidence_size);
    request->collateral = c->collateral;
    return c->answer;
}

/* A server that runs for a year: time 0 is that of each handshake, and `prepare` brings what is
   current then. */
static void test_runs_on(void **state)
{
    struct gen_ra_tls_options o = good();
    struct gen_ra_tls g;
    gen_ra_tls(&o, &g);
    struct shelter_collateral *col = collateral_of(&g);
    struct shelter_ra_tls ra = {.request = {.size = sizeof(struct shelter_verify_request),
                                            .collateral = col,
                                            .ca = g.intel.root.data,
                                            .ca_size = g.intel.root.size}};
    now = GEN_TIME;
    assert_int_equal(shake(&g, &ra), 1);
    now = GEN_TIME + 400ll * 86400;
    assert_int_equal(shake(&g, &ra), 0);
    now = GEN_TIME;
    ra.request.collateral = NULL;
    assert_int_equal(shake(&g, &ra), 0);
    struct current current = {.collateral = col, .of = &g, .answer = 1};
    ra.prepare = bring_current;
    ra.arg = &current;
    assert_int_equal(shake(&g, &ra), 1);
    assert_int_equal(current.count, 1);
    assert_null(ra.request.collateral);
    current.answer = 0;
    assert_int_equal(shake(&g, &ra), 0);
    shelter_collateral_free(col);
    gen_ra_tls_free(&g);
}

static void test_callback(void **state)
{
    struct gen_ra_tls_options o = good();
    struct gen_ra_tls g;
    struct seen seen = {.answer = 1};
    gen_ra_tls(&o, &g);
    struct shelter_collateral *col = collateral_of(&g);
    struct shelter_ra_tls ra = {.request = {.size = sizeof(struct shelter_verify_request),
                                            .collateral = col,
                                            .ca = g.intel.root.data,
                                            .ca_size = g.intel.root.size,
                                            .time = GEN_TIME}};
    assert_int_equal(shake(&g, &ra), 1);
    ra.decide = decide;
    ra.arg = &seen;
    assert_int_equal(shake(&g, &ra), 1);
    assert_true(seen.count == 1 && seen.accepted);
    seen.answer = 0;
    assert_int_equal(shake(&g, &ra), 0);
    seen.answer = 1;
    ra.request.time = GEN_TIME + 400ll * 86400;
    assert_int_equal(shake(&g, &ra), 0);
    assert_false(seen.accepted);
    shelter_collateral_free(col);
    gen_ra_tls_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),    cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_cbor),    cmocka_unit_test(test_transplant),
        cmocka_unit_test(test_flips),   cmocka_unit_test(test_callback),
        cmocka_unit_test(test_runs_on), cmocka_unit_test(test_gpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
