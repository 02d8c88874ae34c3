// SPDX-License-Identifier: Apache-2.0
// ENCLU leaf by leaf, run by a real enclave at both speeds: each fault, each error code. Section
// numbers are of the Intel SDM, volume 3D; "38.4 X" is the page of leaf X.
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "host/sgx/sim/sim.h"
#include "tests/sgx/checks.h"
#include "verifier/measure/sgx.h"

#define REG SGX_SECINFO_PT(SGX_PT_REG)
#define STATUS 0x8d5u /* CF PF AF ZF SF OF */
#define ZF 0x40u

/* Where operands are put. */
#define OP_A (H_RW)
#define OP_B (H_RW + 0x400)
#define OP_OUT (H_RW + 0x1000)

static void assert_fault(struct harness *h, uint64_t leaf, uint64_t rbx, uint64_t rcx, uint64_t rdx,
                         unsigned vector, unsigned error, int line)
{
    if (harness_enclu(h, leaf, rbx, rcx, rdx) != -1 || h->run.exception_vector != vector ||
        h->run.exception_error_code != error)
        fail_msg("line %d: function %u, vector %u, error %x", line, h->run.function,
                 h->run.exception_vector, h->run.exception_error_code);
    harness_drop(h, 0);
}
#define GP(leaf, rbx, rcx, rdx) assert_fault(&h, leaf, rbx, rcx, rdx, SGX_VECTOR_GP, 0, __LINE__)
#define PF(error, leaf, rbx, rcx, rdx)                                                             \
    assert_fault(&h, leaf, rbx, rcx, rdx, SGX_VECTOR_PF, error, __LINE__)

static void put_secinfo(struct harness *h, uint64_t flags)
{
    struct sgx_secinfo info = {.flags = flags};
    harness_poke(h, OP_A, &info, sizeof(info));
}

/* A leaf that returns a code: RAX, and RFLAGS as 38.4 says (ZF on error, the others 0). */
static void assert_code(struct harness *h, uint64_t leaf, uint64_t rbx, uint64_t rcx, uint64_t rdx,
                        uint64_t code, int line)
{
    struct probe p = {.op = PROBE_ENCLU, .rax = leaf, .rbx = rbx, .rcx = rcx, .rdx = rdx};
    if (harness_call(h, 0, &p) != 0 || h->run.function != SGX_EEXIT)
        fail_msg("line %d: vector %u, error %x", line, h->run.exception_vector,
                 h->run.exception_error_code);
    if (p.rax != code || (p.rflags & STATUS) != (code != 0 ? ZF : 0))
        fail_msg("line %d: code %lu, flags %lx", line, p.rax, p.rflags & STATUS);
}
#define CODE(code, leaf, rbx, rcx, rdx) assert_code(&h, leaf, rbx, rcx, rdx, code, __LINE__)

/* 38.4: leaves that do not exist, or not inside. */
static void test_wrong_leaves(void **state)
{
    struct harness h;
    start(state, &h);
    uint64_t tcs = h.e.base + H_TCS(1);
    GP(SGX_EENTER, tcs, 0x1000, 0);
    GP(SGX_ERESUME, tcs, 0x1000, 0);
    GP(SGX_EVERIFYREPORT2, 0, 0, 0); /* not enumerated */
    GP(0x0a, 0, 0, 0);
    GP(0x104, 0, 0, 0); /* all of EAX counts */
    GP(0xffffffff, 0, 0, 0);
    GP(SGX_EEXIT, 1ull << 60, 0, 0); /* 38.4 EEXIT: target not canonical */
    GP(SGX_EDECCSSA, 0, 0, 0);       /* 38.4 EDECCSSA: CSSA is 0 */
    finish(&h);
}

static void cmac(const uint8_t key[16], const void *data, size_t size, uint8_t out[16])
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "CMAC", NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, "AES-128-CBC", 0),
        OSSL_PARAM_construct_end()};
    size_t n = 0;
    assert_int_equal(EVP_MAC_init(ctx, key, 16, params), 1);
    assert_int_equal(EVP_MAC_update(ctx, data, size), 1);
    assert_int_equal(EVP_MAC_final(ctx, out, &n, 16), 1);
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
}

static struct sgx_report report(struct harness *h, const struct sgx_targetinfo *target)
{
    uint8_t data[64];
    struct sgx_report r;
    memset(data, 0x77, sizeof(data));
    harness_poke(h, OP_A, target, sizeof(*target));
    harness_poke(h, OP_B, data, sizeof(data));
    uint64_t b = h->e.base;
    /* EREPORT leaves RAX and the flags alone: the probe had set CF. */
    struct probe p = {
        .op = PROBE_VECTOR, .rax = 0, .rbx = b + OP_A, .rcx = b + OP_B, .rdx = b + OP_OUT};
    assert_int_equal(harness_call(h, 0, &p), 0);
    assert_int_equal(h->run.function, SGX_EEXIT);
    assert_int_equal(p.rbx, 0); /* and the vector registers */
    assert_int_equal(p.rflags & 1, 1);
    harness_peek(h, OP_OUT, &r, sizeof(r));
    return r;
}

static uint64_t get_key(struct harness *h, const struct sgx_keyrequest *req, uint8_t key[16])
{
    harness_poke(h, OP_A, req, sizeof(*req));
    int64_t code = harness_enclu(h, SGX_EGETKEY, h->e.base + OP_A, h->e.base + OP_OUT, 0);
    assert_true(code >= 0);
    harness_peek(h, OP_OUT, key, 16);
    return (uint64_t)code;
}

static struct sgx_targetinfo target_of(const struct sgx_report *r)
{
    struct sgx_targetinfo t = {
        .attributes = r->attributes, .miscselect = r->miscselect, .config_svn = r->config_svn};
    memcpy(t.mrenclave, r->mrenclave, 32);
    memcpy(t.configid, r->configid, 64);
    return t;
}

/* 38.4 EREPORT, 35.15: contents; the MAC, which only the target can check. */
static void test_report(void **state)
{
    struct harness h, other;
    uint8_t configid[64], mrsigner[32], key[16], mac[16];
    memset(configid, 0xc1, sizeof(configid));
    build(&h, (struct harness_options){.strict = *state == STRICT,
                                       .attributes = SGX_ATTR_DEBUG | SGX_ATTR_KSS,
                                       .configid = configid,
                                       .isv_svn = 3});
    build(&other, (struct harness_options){.strict = *state == STRICT,
                                           .attributes = SGX_ATTR_DEBUG,
                                           .base = 1ull << 43});
    struct sgx_targetinfo zero = {0};
    struct sgx_report theirs = report(&other, &zero);
    struct sgx_targetinfo target = target_of(&theirs);
    struct sgx_report r = report(&h, &target);
    sgx_mrsigner(&h.css, mrsigner);
    assert_memory_equal(r.mrenclave, h.mrenclave, 32);
    assert_memory_equal(r.mrsigner, mrsigner, 32);
    assert_memory_equal(r.configid, configid, 64);
    assert_int_equal(r.isv_prod_id, 9);
    assert_int_equal(r.isv_svn, 3);
    assert_int_equal(r.miscselect, SGX_MISC_EXINFO);
    assert_int_equal(r.attributes.flags,
                     SGX_ATTR_INIT | SGX_ATTR_DEBUG | SGX_ATTR_MODE64BIT | SGX_ATTR_KSS);
    assert_int_equal(r.attributes.xfrm, 3);
    assert_int_equal(r.report_data[63], 0x77);
    assert_memory_not_equal(r.mrenclave, theirs.mrenclave, 32);
    struct sgx_keyrequest req = {.keyname = SGX_KEY_REPORT};
    memcpy(req.keyid, r.keyid, 32);
    assert_int_equal(get_key(&other, &req, key), 0);
    cmac(key, &r, SGX_REPORT_BODY_SIZE, mac);
    assert_memory_equal(mac, r.mac, 16);
    /* Not for the enclave that made it, and not with one byte changed. */
    assert_int_equal(get_key(&h, &req, key), 0);
    cmac(key, &r, SGX_REPORT_BODY_SIZE, mac);
    assert_memory_not_equal(mac, r.mac, 16);
    assert_int_equal(get_key(&other, &req, key), 0);
    r.report_data[0] ^= 1;
    cmac(key, &r, SGX_REPORT_BODY_SIZE, mac);
    assert_memory_not_equal(mac, r.mac, 16);
    finish(&other);
    finish(&h);
}

/* 38.4 EREPORT, EGETKEY: #GP and #PF of the operands. */
static void test_key_operands(void **state)
{
    struct harness h;
    start(state, &h);
    const uint64_t b = h.e.base, a = b + OP_A, d = b + OP_B, out = b + OP_OUT;
    const uint64_t host = (uint64_t)&h & ~511ull, none = b + H_RW + 0x4000;
    struct sgx_targetinfo t = {0};
    harness_poke(&h, OP_A, &t, sizeof(t));
    GP(SGX_EREPORT, a + 256, d, out);
    GP(SGX_EREPORT, a, d + 64, out);
    GP(SGX_EREPORT, a, d, out + 256);
    GP(SGX_EREPORT, host, d, out);
    GP(SGX_EREPORT, a, host, out);
    GP(SGX_EREPORT, a, d, host);
    PF(4, SGX_EREPORT, none, d, out);
    PF(4, SGX_EREPORT, a, none, out);
    PF(6, SGX_EREPORT, a, d, none);
    PF(7, SGX_EREPORT, a, d, b + H_R); /* output not writable */
    PF(0x8005, SGX_EREPORT, b + H_TCS(0), d, out);
    t.reserved3[5] = 1;
    harness_poke(&h, OP_A, &t, sizeof(t));
    GP(SGX_EREPORT, a, d, out);

    struct sgx_keyrequest k = {.keyname = SGX_KEY_SEAL};
    harness_poke(&h, OP_A, &k, sizeof(k));
    GP(SGX_EGETKEY, a + 128, out, 0);
    GP(SGX_EGETKEY, a, out + 8, 0);
    GP(SGX_EGETKEY, host, out, 0);
    GP(SGX_EGETKEY, a, host, 0);
    PF(4, SGX_EGETKEY, none, out, 0);
    PF(6, SGX_EGETKEY, a, none, 0);
    PF(7, SGX_EGETKEY, a, b + H_R, 0);
#define KEY_GP(change)                                                                             \
    do {                                                                                           \
        struct sgx_keyrequest bad = k;                                                             \
        change;                                                                                    \
        harness_poke(&h, OP_A, &bad, sizeof(bad));                                                 \
        GP(SGX_EGETKEY, a, out, 0);                                                                \
    } while (0)
    KEY_GP(bad.reserved1 = 1);
    KEY_GP(bad.reserved2[433] = 1);
    KEY_GP(bad.keypolicy = 0x40);
    KEY_GP(bad.keypolicy = SGX_KEYPOLICY_CONFIGID); /* KSS is not set */
    KEY_GP(bad.keypolicy = SGX_KEYPOLICY_NOISVPRODID);
    KEY_GP(bad.config_svn = 1);
    finish(&h);
}

/* 38.4 EGETKEY: each error code. */
static void test_key_errors(void **state)
{
    struct harness h;
    uint8_t key[16];
    build(&h, (struct harness_options){
                  .strict = *state == STRICT, .attributes = SGX_ATTR_DEBUG, .isv_svn = 2});
    struct sgx_keyrequest k = {.keyname = SGX_KEY_SEAL, .keypolicy = SGX_KEYPOLICY_MRENCLAVE};
    const uint64_t a = h.e.base + OP_A, out = h.e.base + OP_OUT;
#define KEY_CODE(code, change)                                                                     \
    do {                                                                                           \
        struct sgx_keyrequest bad = k;                                                             \
        change;                                                                                    \
        harness_poke(&h, OP_A, &bad, sizeof(bad));                                                 \
        CODE(code, SGX_EGETKEY, a, out, 0);                                                        \
    } while (0)
    memset(key, 0xee, sizeof(key));
    harness_poke(&h, OP_OUT, key, sizeof(key));
    KEY_CODE(SGX_INVALID_KEYNAME, bad.keyname = 5);
    KEY_CODE(SGX_INVALID_KEYNAME, bad.keyname = 0xffff);
    KEY_CODE(SGX_INVALID_ATTRIBUTE, bad.keyname = SGX_KEY_PROVISION);
    KEY_CODE(SGX_INVALID_ATTRIBUTE, bad.keyname = SGX_KEY_PROVISION_SEAL);
    KEY_CODE(SGX_INVALID_ATTRIBUTE, bad.keyname = SGX_KEY_EINITTOKEN);
    KEY_CODE(SGX_INVALID_CPUSVN, bad.cpusvn[15] = 1);
    KEY_CODE(SGX_INVALID_CPUSVN, memset(bad.cpusvn, 0xff, 16));
    KEY_CODE(SGX_INVALID_ISVSVN, bad.isv_svn = 3);
    harness_peek(&h, OP_OUT, key, sizeof(key));
    for (int i = 0; i < 16; i++)
        assert_int_equal(key[i], 0xee); /* nothing was written */
    KEY_CODE(SGX_SUCCESS, bad.isv_svn = 2);
    KEY_CODE(SGX_SUCCESS, bad.cpusvn[0] = 1);
    finish(&h);
}

static void seal_key(void **state, struct harness_options o, const struct sgx_keyrequest *request,
                     uint8_t key[16])
{
    struct harness h;
    struct sgx_keyrequest k = *request;
    o.strict = *state == STRICT;
    build(&h, o);
    k.keyname = SGX_KEY_SEAL;
    assert_int_equal(get_key(&h, &k, key), 0);
    finish(&h);
}

/* 38.4 EGETKEY, table of key dependencies. */
static void test_seal_keys(void **state)
{
    char file[64], file2[64];
    uint8_t first[16], key[16], config[64] = {1}, config2[64] = {2};
    snprintf(file, sizeof(file), "/tmp/sgxsim-key.%d", (int)getpid());
    snprintf(file2, sizeof(file2), "/tmp/sgxsim-key2.%d", (int)getpid());
    struct harness_options o = {.key_file = file, .isv_svn = 2, .attributes = SGX_ATTR_KSS};
    struct sgx_keyrequest k = {.keypolicy = SGX_KEYPOLICY_MRENCLAVE, .isv_svn = 1};
    seal_key(state, o, &k, first);
#define SAME(what)                                                                                 \
    do {                                                                                           \
        what;                                                                                      \
        seal_key(state, o2, &k2, key);                                                             \
        assert_memory_equal(key, first, 16);                                                       \
    } while (0)
#define OTHER(what)                                                                                \
    do {                                                                                           \
        o2 = o;                                                                                    \
        k2 = k;                                                                                    \
        what;                                                                                      \
        seal_key(state, o2, &k2, key);                                                             \
        assert_memory_not_equal(key, first, 16);                                                   \
    } while (0)
    struct harness_options o2 = o;
    struct sgx_keyrequest k2 = k;
    SAME((void)0);
    SAME(o2.configid = config); /* not in the policy */
    OTHER(k2.keyid[31] = 1);
    OTHER(k2.isv_svn = 2);
    OTHER(k2.cpusvn[0] = 1);
    OTHER(k2.keypolicy = SGX_KEYPOLICY_MRSIGNER);
    OTHER(k2.keypolicy |= SGX_KEYPOLICY_NOISVPRODID);
    OTHER(k2.attribute_mask.flags = SGX_ATTR_KSS);
    OTHER(k2.miscmask = ~0u);
    OTHER(o2.base = 1ull << 42);                          /* another MRENCLAVE */
    OTHER(o2.attributes = SGX_ATTR_KSS | SGX_ATTR_DEBUG); /* DEBUG is never masked out */
    OTHER(o2.key_file = file2);                           /* another machine */
    k.keypolicy = SGX_KEYPOLICY_MRSIGNER | SGX_KEYPOLICY_CONFIGID;
    o.configid = config;
    k.isv_svn = 1;
    seal_key(state, o, &k, first);
    o2 = o;
    k2 = k;
    SAME((o2.base = 1ull << 42, o2.isv_svn = 1)); /* same signer, other enclave, older SVN */
    OTHER(o2.configid = config2);
    unlink(file);
    unlink(file2);
}

/* PROVISIONKEY needs the other device, and opens two more keys. */
static void test_provision_keys(void **state)
{
    struct harness h;
    struct sh_error err = {0};
    uint8_t key[16], key2[16];
    struct harness_options o = {.strict = *state == STRICT,
                                .attributes = SGX_ATTR_DEBUG | SGX_ATTR_PROVISIONKEY};
    build(&h, o);
    struct sgx_keyrequest k = {.keyname = SGX_KEY_PROVISION};
    assert_int_equal(get_key(&h, &k, key), 0);
    k.keyid[0] = 1; /* KEYID does not count */
    assert_int_equal(get_key(&h, &k, key2), 0);
    assert_memory_equal(key, key2, 16);
    k.keyname = SGX_KEY_PROVISION_SEAL;
    assert_int_equal(get_key(&h, &k, key2), 0);
    assert_memory_not_equal(key, key2, 16);
    finish(&h);
    o.no_provision = true;
    assert_int_equal(harness_build(&h, &o, false, &err), -EACCES);
}

/* 38.4 EACCEPT: operands and requests that fault. */
static void test_eaccept_faults(void **state)
{
    struct harness h;
    start(state, &h);
    const uint64_t b = h.e.base, a = b + OP_A, page = b + H_HEAP;
    const uint64_t host = (uint64_t)&h & ~4095ull;
    put_secinfo(&h, REG | 3 | SGX_SECINFO_PENDING);
    GP(SGX_EACCEPT, a + 8, page, 0);
    GP(SGX_EACCEPT, host, page, 0);
    GP(SGX_EACCEPT, a, page + 8, 0);
    GP(SGX_EACCEPT, a, host, 0);
    GP(SGX_EACCEPT, a, b + h.e.size, 0);
    PF(4, SGX_EACCEPT, b + H_RW + 0x4000, page, 0);
    PF(4, SGX_EACCEPT, a, b + H_RW + 0x4000, 0); /* no mapping there: no EAUG */
    static const uint64_t illegal[] = {
        REG | 3, /* neither PENDING nor PR */
        REG | 3 | SGX_SECINFO_MODIFIED,
        REG | 3 | SGX_SECINFO_PENDING | SGX_SECINFO_MODIFIED,
        SGX_SECINFO_PT(SGX_PT_TRIM), /* without MODIFIED */
        SGX_SECINFO_PT(SGX_PT_TRIM) | SGX_SECINFO_MODIFIED | SGX_SECINFO_PENDING,
        SGX_SECINFO_PT(SGX_PT_TCS) | SGX_SECINFO_MODIFIED | SGX_SECINFO_PR,
        SGX_SECINFO_PT(SGX_PT_SECS) | SGX_SECINFO_MODIFIED,
        SGX_SECINFO_PT(SGX_PT_VA) | SGX_SECINFO_PENDING,
        REG | 3 | SGX_SECINFO_PENDING | 1ull << 6, /* reserved */
        REG | 3 | SGX_SECINFO_PENDING | 1ull << 63,
    };
    for (size_t i = 0; i < sizeof(illegal) / sizeof(illegal[0]); i++) {
        put_secinfo(&h, illegal[i]);
        GP(SGX_EACCEPT, a, page, 0);
    }
    struct sgx_secinfo info = {.flags = REG | 3 | SGX_SECINFO_PENDING};
    info.reserved[55] = 1;
    harness_poke(&h, OP_A, &info, sizeof(info));
    GP(SGX_EACCEPT, a, page, 0);
    assert_int_equal(sim_page(h.e.dev, H_HEAP)->state, 0); /* nothing came of all that */
    finish(&h);
}

/* 38.4 EACCEPT: success, SGX_PAGE_ATTRIBUTES_MISMATCH, SGX_NOT_TRACKED. */
static void test_eaccept(void **state)
{
    struct harness h;
    struct sh_error err = {0};
    start(state, &h);
    const uint64_t b = h.e.base, a = b + OP_A, page = b + H_HEAP;
    struct sgxsim *dev = h.e.dev;
    put_secinfo(&h, REG | 1 | SGX_SECINFO_PENDING);
    CODE(SGX_PAGE_ATTRIBUTES_MISMATCH, SGX_EACCEPT, a, page, 0); /* EAUG gives R and W */
    put_secinfo(&h, REG | 3 | SGX_SECINFO_PR);
    CODE(SGX_PAGE_ATTRIBUTES_MISMATCH, SGX_EACCEPT, a, page, 0);
    put_secinfo(&h, SGX_SECINFO_PT(SGX_PT_TRIM) | SGX_SECINFO_MODIFIED);
    CODE(SGX_PAGE_ATTRIBUTES_MISMATCH, SGX_EACCEPT, a, page, 0);
    put_secinfo(&h, REG | 3 | SGX_SECINFO_PENDING);
    CODE(SGX_SUCCESS, SGX_EACCEPT, a, page, 0);
    CODE(SGX_PAGE_ATTRIBUTES_MISMATCH, SGX_EACCEPT, a, page, 0); /* once */
    struct probe p = {.op = PROBE_READ, .rbx = page + 4088};
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_int_equal(h.run.function, SGX_EEXIT);
    assert_int_equal(p.rax, 0);

    /* EMODPR without ETRACK: not tracked; one ETRACK with nobody inside suffices. */
    struct sgx_secinfo r = {.flags = SGX_SECINFO_R};
    assert_int_equal(sim_emodpr(dev, &r, page), SGX_SUCCESS);
    put_secinfo(&h, REG | 1 | SGX_SECINFO_PR);
    CODE(SGX_NOT_TRACKED, SGX_EACCEPT, a, page, 0);
    assert_int_equal(sim_etrack(dev), SGX_SUCCESS);
    CODE(SGX_SUCCESS, SGX_EACCEPT, a, page, 0);
    /* By way of the driver: reading goes on, writing is refused by the EPCM. */
    assert_int_equal(sgx_enclave_restrict(&h.e, H_RW + 0x3000, 0x1000, SGX_SECINFO_R, &err), 0);
    CODE(SGX_SUCCESS, SGX_EACCEPT, a, b + H_RW + 0x3000, 0);
    p = (struct probe){.op = PROBE_WRITE, .rbx = b + H_RW + 0x3000};
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_int_equal(h.run.exception_vector, SGX_VECTOR_PF);
    assert_int_equal(h.run.exception_error_code, 0x8007);
    harness_drop(&h, 0);
    p.op = PROBE_READ;
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_int_equal(h.run.function, SGX_EEXIT);
    finish(&h);
}

/* Trimming: EMODT, EACCEPT, EREMOVE; the address can be used again, and is zero. */
static void test_trim(void **state)
{
    struct harness h;
    struct sh_error err = {0};
    start(state, &h);
    const uint64_t b = h.e.base, a = b + OP_A, page = b + H_HEAP;
    put_secinfo(&h, REG | 3 | SGX_SECINFO_PENDING);
    CODE(SGX_SUCCESS, SGX_EACCEPT, a, page, 0);
    struct probe p = {.op = PROBE_WRITE, .rbx = page, .rcx = 99};
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_int_equal(sgx_enclave_remove(&h.e, H_HEAP, 0x1000, &err), -EPERM); /* not trimmed */
    assert_int_equal(sgx_enclave_set_type(&h.e, H_HEAP, 0x1000, SGX_PT_TRIM, &err), 0);
    assert_int_equal(sgx_enclave_remove(&h.e, H_HEAP, 0x1000, &err), -EPERM); /* not accepted */
    p.op = PROBE_READ;
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_int_equal(h.run.exception_error_code, 0x8005);
    harness_drop(&h, 0);
    put_secinfo(&h, SGX_SECINFO_PT(SGX_PT_TRIM) | SGX_SECINFO_MODIFIED);
    CODE(SGX_SUCCESS, SGX_EACCEPT, a, page, 0);
    assert_int_equal(sgx_enclave_remove(&h.e, H_HEAP, 0x1000, &err), 0);
    put_secinfo(&h, REG | 3 | SGX_SECINFO_PENDING);
    CODE(SGX_SUCCESS, SGX_EACCEPT, a, page, 0);
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_int_equal(h.run.function, SGX_EEXIT);
    assert_int_equal(p.rax, 0);
    finish(&h);
}

/* A TCS made at run time: EAUG, EACCEPT, contents, EMODT, EACCEPT (which checks it), EENTER. */
static void test_new_tcs(void **state)
{
    struct harness h;
    struct sh_error err = {0};
    start(state, &h);
    const uint64_t b = h.e.base, a = b + OP_A, page = b + H_HEAP;
    struct sgx_tcs tcs;
    harness_peek(&h, H_TCS(2), &tcs, sizeof(tcs));
    put_secinfo(&h, REG | 3 | SGX_SECINFO_PENDING);
    CODE(SGX_SUCCESS, SGX_EACCEPT, a, page, 0);
    struct sgx_tcs bad = tcs;
    bad.reserved[7] = 1;
    harness_poke(&h, H_HEAP, &bad, sizeof(bad));
    assert_int_equal(sgx_enclave_set_type(&h.e, H_HEAP, 0x1000, SGX_PT_TCS, &err), 0);
    put_secinfo(&h, SGX_SECINFO_PT(SGX_PT_TCS) | SGX_SECINFO_MODIFIED);
    GP(SGX_EACCEPT, a, page, 0); /* 38.4 EACCEPT: TCS.RESERVED */
    struct probe p = {.op = PROBE_NOP};
    h.run = (struct sgx_enclave_run){.tcs = page};
    assert_int_equal(sgx_enter(h.e.driver->entry(), &h.run, SGX_EENTER, (uint64_t)&p, 0, 0), 0);
    assert_int_equal(h.run.exception_vector, SGX_VECTOR_PF); /* MODIFIED: not yet a TCS */
    *(struct sgx_tcs *)sim_frame((struct sgxsim *)h.e.dev, H_HEAP) = tcs;
    CODE(SGX_SUCCESS, SGX_EACCEPT, a, page, 0);
    h.run = (struct sgx_enclave_run){.tcs = page};
    assert_int_equal(sgx_enter(h.e.driver->entry(), &h.run, SGX_EENTER, (uint64_t)&p, 0, 0), 0);
    assert_int_equal(h.run.function, SGX_EEXIT);
    p = (struct probe){.op = PROBE_READ, .rbx = page};
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_int_equal(h.run.exception_error_code, 0x8005);
    harness_drop(&h, 0);
    finish(&h);
}

/* 38.4 EACCEPTCOPY. */
static void test_eacceptcopy(void **state)
{
    struct harness h;
    start(state, &h);
    const uint64_t b = h.e.base, a = b + OP_A, from = b + H_RX, page = b + H_HEAP;
    const uint64_t host = (uint64_t)&h & ~4095ull;
    put_secinfo(&h, REG | 5);
    GP(SGX_EACCEPTCOPY, a + 8, page, from);
    GP(SGX_EACCEPTCOPY, a, page + 8, from);
    GP(SGX_EACCEPTCOPY, a, page, from + 8);
    GP(SGX_EACCEPTCOPY, a, host, from);
    GP(SGX_EACCEPTCOPY, a, page, host);
    PF(0x8005, SGX_EACCEPTCOPY, a, page, b + H_TCS(0));
    static const uint64_t illegal[] = {REG | 2, REG | 3 | SGX_SECINFO_PENDING,
                                       REG | 3 | SGX_SECINFO_PR, SGX_SECINFO_PT(SGX_PT_TCS) | 3,
                                       REG | 3 | 1ull << 20};
    for (size_t i = 0; i < sizeof(illegal) / sizeof(illegal[0]); i++) {
        put_secinfo(&h, illegal[i]);
        GP(SGX_EACCEPTCOPY, a, page, from);
    }
    put_secinfo(&h, REG | 5);
    CODE(SGX_PAGE_ATTRIBUTES_MISMATCH, SGX_EACCEPTCOPY, a, b + H_RW + 0x1000, from);
    CODE(SGX_SUCCESS, SGX_EACCEPTCOPY, a, page, from);
    CODE(SGX_PAGE_ATTRIBUTES_MISMATCH, SGX_EACCEPTCOPY, a, page, from);
    struct probe p = {.op = PROBE_CALL, .rbx = page + 0x10};
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_int_equal(h.run.function, SGX_EEXIT); /* the copied `ret` ran */
    p = (struct probe){.op = PROBE_WRITE, .rbx = page};
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_int_equal(h.run.exception_error_code, 0x8007);
    harness_drop(&h, 0);
    finish(&h);
}

/* 38.4 EMODPE. */
static void test_emodpe(void **state)
{
    struct harness h;
    start(state, &h);
    const uint64_t b = h.e.base, a = b + OP_A, page = b + H_HEAP;
    put_secinfo(&h, REG | 7);
    GP(SGX_EMODPE, a + 8, page, 0);
    GP(SGX_EMODPE, a, page + 8, 0);
    GP(SGX_EMODPE, a, (uint64_t)&h & ~4095ull, 0);
    PF(0x8005, SGX_EMODPE, a, page, 0); /* PENDING */
    PF(0x8005, SGX_EMODPE, a, b + H_TCS(0), 0);
    put_secinfo(&h, REG | 2);
    GP(SGX_EMODPE, a, page, 0);
    put_secinfo(&h, REG | 3 | SGX_SECINFO_PENDING);
    GP(SGX_EMODPE, a, page, 0);
    CODE(SGX_SUCCESS, SGX_EACCEPT, a, page, 0);
    struct probe p = {.op = PROBE_WRITE, .rbx = page, .rcx = 0xc3};
    assert_int_equal(harness_call(&h, 0, &p), 0);
    p = (struct probe){.op = PROBE_CALL, .rbx = page};
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_int_equal(h.run.exception_error_code, 0x8015); /* EPCM.X is 0 */
    harness_drop(&h, 0);
    put_secinfo(&h, REG | 5);
    assert_int_equal(harness_enclu(&h, SGX_EMODPE, a, page, 0), SGX_EMODPE); /* RAX stays */
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_int_equal(h.run.function, SGX_EEXIT);
    p = (struct probe){.op = PROBE_WRITE, .rbx = page, .rcx = 0xc3};
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_int_equal(h.run.function, SGX_EEXIT); /* it extends only */
    /* What the mapping forbids stays forbidden. */
    assert_int_equal(harness_enclu(&h, SGX_EMODPE, a, b + H_RW + 0x2000, 0), SGX_EMODPE);
    p = (struct probe){.op = PROBE_CALL, .rbx = b + H_RW + 0x2000};
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_int_equal(h.run.exception_error_code, 0x15);
    harness_drop(&h, 0);
    finish(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_wrong_leaves),   BOTH(test_report),      BOTH(test_key_operands),
        BOTH(test_key_errors),     BOTH(test_seal_keys),   BOTH(test_provision_keys),
        BOTH(test_eaccept_faults), BOTH(test_eaccept),     BOTH(test_trim),
        BOTH(test_new_tcs),        BOTH(test_eacceptcopy), BOTH(test_emodpe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
