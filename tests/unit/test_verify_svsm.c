// SPDX-License-Identifier: Apache-2.0
// An SVSM's manifest beside an SNP report under test roots: what binds it, which key its vTPM has,
// a quote by that key; one thing wrong at a time, every byte, every length.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/sha.h>

#include "lib/base64.h"
#include "lib/bytes.h"
#include "lib/hex.h"
#include "tests/gen/pki.h"
#include "tests/unit/verdict.h"
#include <shelter/verify.h>

#define SIZE_MAX_TEST 2048

static void be(struct gen_bytes *b, size_t size, uint32_t n)
{
    for (size_t i = size; i--;)
        gen_put(b, &(uint8_t){(uint8_t)(n >> 8 * i)}, 1);
}

static void sized(struct gen_bytes *b, int byte, size_t size)
{
    uint8_t data[512];

    memset(data, byte, size);
    be(b, 2, (uint32_t)size);
    gen_put(b, data, size);
}

// As vTPMs have it: RSA of 2048 bits, to decrypt, under a policy.
static struct gen_bytes decrypting_key(void)
{
    struct gen_bytes b = {.size = 0};

    be(&b, 2, 0x0001);
    be(&b, 2, 0x000b);
    be(&b, 4, 0x000300b2);
    sized(&b, 0x5a, 32);
    be(&b, 2, 0x0006); // AES-128-CFB
    be(&b, 2, 128);
    be(&b, 2, 0x0043);
    be(&b, 2, 0x0010); // no scheme
    be(&b, 2, 2048);
    be(&b, 4, 0);
    sized(&b, 0xc3, 256);
    return b;
}

static struct gen_bytes signing_key(EVP_PKEY *key)
{
    struct gen_bytes b = {.size = 0};
    uint8_t xy[64];

    gen_public_xy(key, xy, 32);
    be(&b, 2, 0x0023);
    be(&b, 2, 0x000c); // named by SHA-384
    be(&b, 4, 0x00050072);
    sized(&b, 0, 0);
    be(&b, 2, 0x0010);
    be(&b, 2, 0x0018); // ECDSA with SHA-256
    be(&b, 2, 0x000b);
    be(&b, 2, 0x0003); // P-256
    be(&b, 2, 0x0010);
    be(&b, 2, 32);
    gen_put(&b, xy, 32);
    be(&b, 2, 32);
    gen_put(&b, xy + 32, 32);
    return b;
}

static struct gen_bytes rsa_signing_key(EVP_PKEY *key)
{
    struct gen_bytes b = {.size = 0};
    uint8_t modulus[256];
    BIGNUM *n = NULL;

    assert_int_equal(EVP_PKEY_get_bn_param(key, "n", &n), 1);
    assert_int_equal(BN_bn2binpad(n, modulus, sizeof(modulus)), 256);
    BN_free(n);
    be(&b, 2, 0x0001);
    be(&b, 2, 0x000b);
    be(&b, 4, 0x00050072);
    sized(&b, 0, 0);
    be(&b, 2, 0x0010);
    be(&b, 2, 0x0014); // RSASSA with SHA-256
    be(&b, 2, 0x000b);
    be(&b, 2, 2048);
    be(&b, 4, 0); // 65537
    be(&b, 2, 256);
    gen_put(&b, modulus, 256);
    return b;
}

// A table of these services: the second is the vTPM, the first has no manifest of its own.
static struct gen_bytes table(const struct gen_bytes *key, uint32_t vtpms)
{
    static const uint8_t head[] = {0xbb, 0x9e, 0x84, 0x63, 0x92, 0x3d, 0x70, 0x46,
                                   0xa1, 0xff, 0x58, 0xf9, 0xc9, 0x4b, 0x87, 0xbb};
    static const uint8_t vtpm[] = {0xeb, 0xf1, 0x76, 0xc4, 0x23, 0x01, 0xa5, 0x45,
                                   0x96, 0x41, 0xb4, 0xe7, 0xdd, 0xe5, 0xbf, 0xe3};
    uint32_t count = 1 + vtpms, from = 24 * (count + 1);
    struct gen_bytes b = {.size = 0};
    uint8_t le[8] = {0};

    gen_put(&b, head, 16);
    sh_put_le32(le, from + (uint32_t)key->size);
    sh_put_le32(le + 4, count);
    gen_put(&b, le, 8);
    sh_put_le32(le, from);
    for (uint32_t i = 0; i < count; i++) {
        sh_put_le32(le + 4, i ? (uint32_t)key->size : 0);
        gen_put(&b, i ? vtpm : head, 16);
        gen_put(&b, le, 8);
    }
    gen_put(&b, key->data, key->size);
    return b;
}

struct ask {
    uint32_t vmpl;
    const char *quote;                // JSON, or NULL
    bool other_nonce, no_nonce, half; // in the JSON; a nonce of 32 bytes
    const uint8_t *report_data;       // demanded, or NULL
    size_t cut;                       // bytes that the JSON's manifest lacks
    const char *policy;
};

static char *base64(const void *data, size_t size)
{
    char *out = malloc(size * 4 / 3 + 8);

    EVP_EncodeBlock((uint8_t *)out, data, (int)size);
    return out;
}

static char *evidence_of(const struct gen_snp *g, const struct gen_bytes *manifest,
                         const uint8_t nonce[64], const struct ask *a)
{
    char *report = base64(g->report.data, g->report.size), *in = base64(nonce, a->half ? 32 : 64);
    char *blob = base64(manifest->data, manifest->size - a->cut), *text;

    assert_true(asprintf(&text, "{\"outblob\":\"%s\",\"manifestblob\":\"%s\"%s%s%s%s%s}", report,
                         blob, a->no_nonce ? "" : ",\"inblob\":\"", a->no_nonce ? "" : in,
                         a->no_nonce ? "" : "\"", a->quote ? ",\"tpm_quote\":" : "",
                         a->quote ? a->quote : "") > 0);
    free(report);
    free(in);
    free(blob);
    return text;
}

static struct shelter_verdict *judge(const struct gen_bytes *manifest, const struct ask *a)
{
    struct gen_snp_options o = {.vmpl = a->vmpl};
    uint8_t nonce[64];
    struct gen_bytes all = {.size = 0};
    struct shelter_verdict *v;
    struct gen_snp g;
    char ca[8192], *text;

    memset(nonce, 0x17, sizeof(nonce));
    gen_put(&all, nonce, sizeof(nonce));
    gen_put(&all, manifest->data, manifest->size);
    SHA512(all.data, all.size, o.report_data);
    gen_snp(&o, &g);
    snprintf(ca, sizeof(ca), "%s%s", g.ask.data, g.ark.data);
    nonce[63] ^= a->other_nonce;
    text = evidence_of(&g, manifest, nonce, a);
    struct shelter_verify_request rq = {.size = sizeof(rq),
                                        .evidence = text,
                                        .evidence_size = strlen(text),
                                        .signer = g.signer.data,
                                        .signer_size = g.signer.size,
                                        .ca = ca,
                                        .ca_size = strlen(ca),
                                        .policy_json = a->policy,
                                        .report_data = a->report_data,
                                        .report_data_size = a->report_data ? 64 : 0,
                                        .time = GEN_TIME};
    assert_int_equal(shelter_verify(&rq, &v), 0);
    free(text);
    gen_snp_free(&g);
    return v;
}

static void expect(const char *name, const struct gen_bytes *manifest, const struct ask *a,
                   enum shelter_reason want)
{
    struct shelter_verdict *v = judge(manifest, a);

    expect_reason(v, name, want);
    shelter_verdict_free(v);
}

static const struct ask plain;

static void test_key(void **state)
{
    struct gen_bytes key = decrypting_key(), whole = table(&key, 1);
    uint8_t name[34] = {0, 0x0b}, other[64];
    char want[69], *claim;
    struct shelter_verdict *v;

    memset(other, 0x17, sizeof(other));
    expect("alone, as asked", &key, &(struct ask){.report_data = other}, SHELTER_R_OK);
    other[0]++;
    expect("other report data", &key, &(struct ask){.report_data = other}, SHELTER_R_REPORT_DATA);
    expect("table", &whole, &plain, SHELTER_R_OK);
    v = judge(&whole, &plain);
    claim = shelter_verdict_claim(v, "svsm_vtpm_ek_name");
    SHA256(key.data, key.size, name + 2);
    sh_hex(want, name, sizeof(name));
    assert_string_equal(claim, want);
    free(claim);
    shelter_verdict_free(v);
    key.size = 0;
    whole = table(&key, 0);
    expect("no vTPM", &whole, &plain, SHELTER_R_OK);
}

static void test_binding(void **state)
{
    struct gen_bytes key = decrypting_key();

    expect("other nonce", &key, &(struct ask){.other_nonce = true}, SHELTER_R_REPORT_DATA);
    expect("no nonce", &key, &(struct ask){.no_nonce = true}, SHELTER_R_EVIDENCE_JSON);
    expect("a nonce of 32 bytes", &key, &(struct ask){.half = true}, SHELTER_R_EVIDENCE_JSON);
    expect("cut", &key, &(struct ask){.cut = 1}, SHELTER_R_REPORT_DATA);
    expect("no manifest", &key, &(struct ask){.cut = key.size}, SHELTER_R_EVIDENCE_JSON);
    expect("from another VMPL", &key, &(struct ask){.vmpl = 2}, SHELTER_R_SNP_VMPL);
    expect("and whatever the policy says", &key,
           &(struct ask){.vmpl = 2, .policy = "{\"snp\":{\"vmpl_max\":3}}"}, SHELTER_R_SNP_VMPL);
}

static void test_manifest(void **state)
{
    struct gen_bytes key = decrypting_key(), whole, bad;
    size_t at;

    whole = table(&key, 2);
    expect("two vTPMs", &whole, &plain, SHELTER_R_SVSM_MANIFEST);
    whole = table(&key, 1);
    bad = whole;
    bad.data[16]++;
    expect("size", &bad, &plain, SHELTER_R_SVSM_MANIFEST);
    bad = whole;
    bad.data[20] = 33;
    expect("many services", &bad, &plain, SHELTER_R_SVSM_MANIFEST);
    bad = whole;
    bad.data[23] = 0x80;
    expect("too many services", &bad, &plain, SHELTER_R_SVSM_MANIFEST);
    bad = whole;
    sh_put_le32(bad.data + 24 + 16, 71);
    expect("data within the table", &bad, &plain, SHELTER_R_SVSM_MANIFEST);
    bad = whole;
    sh_put_le32(bad.data + 48 + 20, (uint32_t)key.size + 1);
    expect("data past the end", &bad, &plain, SHELTER_R_SVSM_MANIFEST);
    bad = whole;
    sh_put_le32(bad.data + 48 + 16, 0xffffffff);
    expect("data that wraps", &bad, &plain, SHELTER_R_SVSM_MANIFEST);
    bad = whole;
    bad.size--;
    sh_put_le32(bad.data + 16, (uint32_t)bad.size);
    sh_put_le32(bad.data + 48 + 20, (uint32_t)key.size - 1);
    expect("a key cut off", &bad, &plain, SHELTER_R_SVSM_MANIFEST);
    for (at = 1; at < 24; at++) {
        bad = whole;
        bad.size = at;
        expect("head cut off", &bad, &plain, SHELTER_R_SVSM_MANIFEST);
    }
    bad = key;
    be(&bad, 1, 0);
    expect("a byte behind the key", &bad, &plain, SHELTER_R_SVSM_MANIFEST);
    bad = key;
    bad.data[1] = 8;
    expect("a kind of key that is none", &bad, &plain, SHELTER_R_SVSM_MANIFEST);
    bad = key;
    bad.data[3] = 4;
    expect("named by SHA-1", &bad, &plain, SHELTER_R_SVSM_MANIFEST);
}

// TPMS_ATTEST over 24 registers of zeros, signed.
// change: of its last byte, after it was signed; first: the last digit of register 0, as it is said
// beside.
static char *quote_by(EVP_PKEY *key, const char *extra, int change, int first)
{
    static const uint8_t zeros[24 * 32];
    struct gen_bytes m = {.size = 0};
    uint8_t digest[32], sig[256];
    size_t sig_size = sizeof(sig);
    char hex[2 * SIZE_MAX_TEST + 1], sig_hex[513], pcrs[24 * 67 + 1] = "", *text;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    be(&m, 4, 0xff544347);
    be(&m, 2, 0x8018);
    sized(&m, 0, 34);
    be(&m, 2, (uint32_t)strlen(extra));
    gen_put(&m, extra, strlen(extra));
    gen_put(&m, zeros, 25);
    be(&m, 4, 1);
    be(&m, 2, 0x000b);
    be(&m, 4, 0x03ffffff);
    SHA256(zeros, sizeof(zeros), digest);
    be(&m, 2, 32);
    gen_put(&m, digest, 32);
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestSign(ctx, sig, &sig_size, m.data, m.size), 1);
    EVP_MD_CTX_free(ctx);
    m.data[m.size - 1] ^= (uint8_t)change;
    sh_hex(hex, m.data, m.size);
    sh_hex(sig_hex, sig, sig_size);
    for (int i = 0; i < 24; i++)
        sprintf(pcrs + strlen(pcrs), "%s\"%064d\"", i ? "," : "", i ? 0 : first);
    assert_true(asprintf(&text, "{\"message\":\"%s\",\"signature\":\"%s\",\"pcrs\":[%s]}", hex,
                         sig_hex, pcrs) > 0);
    return text;
}

static void test_quote(void **state)
{
    EVP_PKEY *key = gen_key("P-256"), *other = gen_key("P-256"), *rsa = gen_key("RSA");
    struct gen_bytes signs = signing_key(key), decrypts = decrypting_key(), none = {.size = 0},
                     whole;
    char *good = quote_by(key, "what it binds", 0, 0);
    char *bad = quote_by(key, "what it binds", 1, 0);
    char *foreign = quote_by(other, "what it binds", 0, 0);
    char *registers = quote_by(key, "what it binds", 0, 1);
    uint8_t data[64] = "what it binds";

    expect("quote", &signs, &(struct ask){.quote = good, .report_data = data}, SHELTER_R_OK);
    data[13] = '!';
    expect("other data", &signs, &(struct ask){.quote = good, .report_data = data},
           SHELTER_R_REPORT_DATA);
    expect("changed", &signs, &(struct ask){.quote = bad}, SHELTER_R_QUOTE_SIGNATURE);
    expect("of another key", &signs, &(struct ask){.quote = foreign}, SHELTER_R_QUOTE_SIGNATURE);
    expect("other registers", &signs, &(struct ask){.quote = registers}, SHELTER_R_QUOTE_SIGNATURE);
    expect("torn", &signs, &(struct ask){.quote = "{}"}, SHELTER_R_EVIDENCE_JSON);
    expect("a key to decrypt", &decrypts, &(struct ask){.quote = good}, SHELTER_R_NO_SIGNER);
    whole = table(&none, 0);
    expect("no vTPM", &whole, &(struct ask){.quote = good}, SHELTER_R_NO_SIGNER);
    signs.data[5] &= (uint8_t)~0x04u; // attribute "sign"
    expect("that may not sign", &signs, &(struct ask){.quote = good}, SHELTER_R_NO_SIGNER);
    free(good);
    good = quote_by(rsa, "what it binds", 0, 0);
    signs = rsa_signing_key(rsa);
    expect("RSA", &signs, &(struct ask){.quote = good}, SHELTER_R_OK);
    expect("RSA, of another key", &signs, &(struct ask){.quote = foreign},
           SHELTER_R_QUOTE_SIGNATURE);
    free(good);
    free(bad);
    free(foreign);
    free(registers);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key),
        cmocka_unit_test(test_binding),
        cmocka_unit_test(test_manifest),
        cmocka_unit_test(test_quote),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
