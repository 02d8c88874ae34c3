// SPDX-License-Identifier: Apache-2.0
// ENCLS leaf by leaf, each fault and error code, and the Linux device in front of it with its error
// numbers. Section numbers are of the Intel SDM, volume 3D; "38.3 X" is the page of leaf X.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "host/sgx/sign.h"
#include "host/sgx/sim/sim.h"
#include "tests/sgx/harness.h"
#include "verifier/measure/sgx.h"

#define REG SGX_SECINFO_PT(SGX_PT_REG)
#define BASE (1ull << 44)
#define SIZE 0x10000ull

static uint8_t page[4096] __attribute__((aligned(4096)));

static struct sgxsim *open_device(uint64_t epc_pages)
{
    struct sgxsim_options o = {.epc_pages = epc_pages};
    struct sgxsim *dev = NULL;
    assert_int_equal(sgxsim_open(&o, &dev), 0);
    return dev;
}

static struct sgx_secs good_secs(void)
{
    return (struct sgx_secs){.size = SIZE,
                             .base = BASE,
                             .ssa_frame_size = 1,
                             .miscselect = SGX_MISC_EXINFO,
                             .attributes = {SGX_ATTR_MODE64BIT | SGX_ATTR_DEBUG, 3}};
}

static int create(struct sgxsim *dev, const struct sgx_secs *secs)
{
    struct sgx_enclave_create arg = {.src = (uint64_t)secs};
    return sgxsim_ioctl(dev, SGX_IOC_ENCLAVE_CREATE, &arg);
}

static struct sgxsim *created(void)
{
    struct sgxsim *dev = open_device(0);
    struct sgx_secs secs = good_secs();
    assert_int_equal(create(dev, &secs), 0);
    return dev;
}

static int eadd(struct sgxsim *dev, uint64_t addr, uint64_t flags)
{
    struct sgx_secinfo info = {.flags = flags};
    struct sgx_pageinfo pi = {
        .linaddr = addr, .srcpge = (uint64_t)page, .secinfo = (uint64_t)&info};
    return sim_eadd(dev, &pi);
}

static EVP_PKEY *signing_key;
static EVP_PKEY *key(void)
{
    struct sh_error err = {0};
    if (signing_key == NULL)
        assert_int_equal(sgx_key_generate(&signing_key, &err), 0);
    return signing_key;
}

static struct sgx_sigstruct sign(const uint8_t mrenclave[32], const struct sgx_secs *secs)
{
    struct sgx_sigstruct css;
    struct sh_error err = {0};
    struct sgx_sign_params p = {.attributes = secs->attributes,
                                .attribute_mask = {~0ull, ~0ull},
                                .miscselect = secs->miscselect,
                                .miscmask = ~0u,
                                .date = 0x20260101,
                                .isv_prod_id = 5,
                                .isv_svn = 6};
    memcpy(p.mrenclave, mrenclave, 32);
    assert_int_equal(sgx_sign(&css, &p, key(), &err), 0);
    return css;
}

/* MRENCLAVE of an enclave with one RW page at offset 0x1000, without EEXTEND. */
static void predict(const struct sgx_secs *secs, uint8_t mrenclave[32])
{
    struct sgx_measure m;
    assert_int_equal(sgx_measure_create(&m, secs->size, secs->ssa_frame_size), 0);
    assert_int_equal(sgx_measure_add(&m, 0x1000, REG | 3), 0);
    sgx_measure_final(&m, mrenclave);
}

static struct sgxsim *with_page(const struct sgx_secs *secs)
{
    struct sgxsim *dev = open_device(0);
    assert_int_equal(create(dev, secs), 0);
    assert_int_equal(eadd(dev, BASE + 0x1000, REG | 3), SGX_SUCCESS);
    return dev;
}

static int einit(struct sgxsim *dev, const struct sgx_sigstruct *css)
{
    struct sgx_enclave_init arg = {.sigstruct = (uint64_t)css};
    return sgxsim_ioctl(dev, SGX_IOC_ENCLAVE_INIT, &arg);
}

static struct sgxsim *running(void)
{
    struct sgx_secs secs = good_secs();
    uint8_t mrenclave[32];
    predict(&secs, mrenclave);
    struct sgx_sigstruct css = sign(mrenclave, &secs);
    struct sgxsim *dev = with_page(&secs);
    assert_int_equal(einit(dev, &css), 0);
    return dev;
}

static void close_device(struct sgxsim *dev)
{
    assert_int_equal(sgxsim_close(dev), 0);
}

/* 38.3 ECREATE: #GP for each bad field of SECS, PAGEINFO and SECINFO; #PF for a page in use. */
static void test_ecreate(void **state)
{
    struct sgx_secs secs;
    struct sgx_secinfo info = {.flags = 0};
    struct sgx_pageinfo pi = {.srcpge = (uint64_t)&secs, .secinfo = (uint64_t)&info};
    struct sgxsim *dev = open_device(0);
#define SECS_GP(change)                                                                            \
    do {                                                                                           \
        secs = good_secs();                                                                        \
        change;                                                                                    \
        assert_int_equal(sim_ecreate(dev, &pi), SIM_GP);                                           \
    } while (0)
    SECS_GP(secs.size = 0x1000);     /* one page */
    SECS_GP(secs.size = 0x3000);     /* not a power of two */
    SECS_GP(secs.size = 1ull << 47); /* above CPUID.12H:EDX[15:8] */
    SECS_GP(secs.base = BASE + SIZE / 2);
    SECS_GP(secs.base = 1ull << 60); /* not canonical */
    SECS_GP(secs.ssa_frame_size = 0);
    SECS_GP(secs.attributes.flags |= SGX_ATTR_INIT);
    SECS_GP(secs.attributes.flags |= 1ull << 3);
    SECS_GP(secs.attributes.flags |= 1ull << 63);
    SECS_GP(secs.attributes.flags |= SGX_ATTR_CET);
    SECS_GP(secs.attributes.flags &= ~SGX_ATTR_MODE64BIT);
    SECS_GP(secs.attributes.xfrm = 0);
    SECS_GP(secs.attributes.xfrm = 1);
    SECS_GP(secs.attributes.xfrm = 0x20 | 3); /* a part of AVX-512 */
    SECS_GP(secs.attributes.xfrm = 1ull << 62 | 3);
    SECS_GP(secs.miscselect = 1u << 31);
    SECS_GP(secs.configid[0] = 1); /* without KSS */
    SECS_GP(secs.config_svn = 1);
    SECS_GP(secs.cet_attributes = 1);
    SECS_GP(secs.cet_leg_bitmap_offset = 4096);
    SECS_GP(secs.reserved1[14] = 1);
    SECS_GP(secs.reserved2[31] = 1);
    SECS_GP(secs.reserved3[0] = 1);
    SECS_GP(secs.reserved4[3833] = 1);
    SECS_GP(pi.linaddr = BASE);
    pi.linaddr = 0;
    SECS_GP(pi.secs = 4096);
    pi.secs = 0;
    SECS_GP(info.flags = REG);
    SECS_GP(info.flags = 1ull << 40);
    info.flags = 0;
    SECS_GP(info.reserved[0] = 1);
    info.reserved[0] = 0;
    secs = good_secs();
    secs.attributes.flags |= SGX_ATTR_KSS;
    secs.configid[0] = 1;
    assert_int_equal(sim_ecreate(dev, &pi), SGX_SUCCESS);
    assert_int_equal(sim_ecreate(dev, &pi), SIM_PF);
    assert_int_equal(sim_epc_create(dev), 0);
    close_device(dev);
    /* A frame must hold XSAVE for XFRM, GPRSGX and EXINFO: with AVX-512 one page is enough, if
     * just. */
    struct sgxsim_caps caps;
    sgxsim_caps(&caps);
    if ((caps.attributes.xfrm & 0xe0) == 0xe0) {
        dev = open_device(0);
        secs = good_secs();
        secs.attributes.xfrm = 0xe7;
        assert_int_equal(sim_xsave_size(0xe7) + 184 + 16 <= 4096, sim_ecreate(dev, &pi) == 0);
        dev->created = false;
        close_device(dev);
    }
}

/* 38.3 EADD. */
static void test_eadd(void **state)
{
    struct sgxsim *dev = open_device(0);
    struct sgx_tcs *tcs = (struct sgx_tcs *)page;
    memset(page, 0, sizeof(page));
    assert_int_equal(eadd(dev, BASE, REG | 3), SIM_PF); /* no SECS */
    close_device(dev);
    dev = created();
    assert_int_equal(eadd(dev, BASE + 8, REG | 3), SIM_GP);
    assert_int_equal(eadd(dev, BASE - 4096, REG | 3), SIM_GP);
    assert_int_equal(eadd(dev, BASE + SIZE, REG | 3), SIM_GP);
    assert_int_equal(eadd(dev, BASE, REG | 2), SIM_GP); /* W without R */
    assert_int_equal(eadd(dev, BASE, REG | 3 | SGX_SECINFO_PENDING), SIM_GP);
    assert_int_equal(eadd(dev, BASE, REG | 3 | SGX_SECINFO_MODIFIED), SIM_GP);
    assert_int_equal(eadd(dev, BASE, REG | 3 | SGX_SECINFO_PR), SIM_GP);
    assert_int_equal(eadd(dev, BASE, REG | 3 | 1ull << 6), SIM_GP);
    assert_int_equal(eadd(dev, BASE, SGX_SECINFO_PT(SGX_PT_SECS) | 3), SIM_GP);
    assert_int_equal(eadd(dev, BASE, SGX_SECINFO_PT(SGX_PT_VA) | 3), SIM_GP);
    assert_int_equal(eadd(dev, BASE, SGX_SECINFO_PT(SGX_PT_TRIM) | 3), SIM_GP);
    assert_int_equal(eadd(dev, BASE, REG | 3), SGX_SUCCESS);
    assert_int_equal(eadd(dev, BASE, REG | 3), SIM_PF); /* there is one */
    tcs->reserved[4007] = 1;
    assert_int_equal(eadd(dev, BASE + 0x1000, SGX_SECINFO_PT(SGX_PT_TCS)), SIM_GP);
    tcs->reserved[4007] = 0;
    tcs->flags = 1ull << 2;
    assert_int_equal(eadd(dev, BASE + 0x1000, SGX_SECINFO_PT(SGX_PT_TCS)), SIM_GP);
    tcs->flags = SGX_TCS_AEXNOTIFY; /* ATTRIBUTES.AEXNOTIFY is 0 */
    assert_int_equal(eadd(dev, BASE + 0x1000, SGX_SECINFO_PT(SGX_PT_TCS)), SIM_GP);
    /* The processor clears DBGOPTIN, CSSA, AEP, STATE, and RWX. */
    tcs->flags = SGX_TCS_DBGOPTIN;
    tcs->cssa = 3;
    tcs->aep = 4;
    tcs->state = 1;
    assert_int_equal(eadd(dev, BASE + 0x1000, SGX_SECINFO_PT(SGX_PT_TCS) | 3), SGX_SUCCESS);
    const struct sgx_tcs *in = (const struct sgx_tcs *)sim_frame(dev, 0x1000);
    assert_true(in->flags == 0 && in->cssa == 0 && in->aep == 0 && in->state == 0);
    assert_int_equal(sim_page(dev, 0x1000)->perm, 0);
    memset(page, 0, sizeof(page));
    close_device(dev);
    dev = running();
    assert_int_equal(eadd(dev, BASE, REG | 3), SIM_GP); /* after EINIT */
    close_device(dev);
}

/* 38.3 EEXTEND. */
static void test_eextend(void **state)
{
    struct sgxsim *dev = created();
    assert_int_equal(sim_eextend(dev, BASE), SIM_PF); /* no page */
    assert_int_equal(sim_eextend(dev, BASE - 4096), SIM_PF);
    assert_int_equal(eadd(dev, BASE, REG | 3), SGX_SUCCESS);
    assert_int_equal(sim_eextend(dev, BASE + 8), SIM_GP);
    assert_int_equal(sim_eextend(dev, BASE + 256), SGX_SUCCESS);
    close_device(dev);
    dev = running();
    assert_int_equal(sim_eextend(dev, BASE + 0x1000), SIM_GP); /* after EINIT */
    close_device(dev);
}

/* 38.3 EINIT: each error code, in a SIGSTRUCT that is right but for one thing. */
static void test_einit(void **state)
{
    static const struct sgx_einittoken none;
    const struct sgx_einittoken token = {.valid = 1};
    struct sgx_secs secs = good_secs();
    uint8_t mrenclave[32];
    predict(&secs, mrenclave);
    struct sgx_sigstruct css = sign(mrenclave, &secs), bad;
    struct sgxsim *dev = open_device(0);
    assert_int_equal(sim_einit(dev, &css, &none), SIM_PF);
    close_device(dev);
    dev = with_page(&secs);
    sgx_mrsigner(&css, (uint8_t *)sim_cpu.lepubkeyhash);
#define EINIT_CODE(code, change)                                                                   \
    do {                                                                                           \
        bad = css;                                                                                 \
        change;                                                                                    \
        assert_int_equal(sim_einit(dev, &bad, &none), code);                                       \
        assert_false(dev->initialized);                                                            \
    } while (0)
    EINIT_CODE(SGX_INVALID_SIG_STRUCT, bad.header[0] = 7);
    EINIT_CODE(SGX_INVALID_SIG_STRUCT, bad.header2[0] = 7);
    EINIT_CODE(SGX_INVALID_SIG_STRUCT, bad.vendor = 9);
    EINIT_CODE(SGX_INVALID_SIG_STRUCT, bad.exponent = 65537);
    EINIT_CODE(SGX_INVALID_SIG_STRUCT, bad.reserved3[0] = 1);
    EINIT_CODE(SGX_INVALID_SIG_STRUCT, bad.isv_ext_prod_id[0] = 1); /* without KSS */
    EINIT_CODE(SGX_INVALID_SIGNATURE, bad.isv_svn = 7);
    EINIT_CODE(SGX_INVALID_SIGNATURE, bad.enclave_hash[0] ^= 1);
    EINIT_CODE(SGX_INVALID_SIGNATURE, bad.signature[0] ^= 1);
    EINIT_CODE(SGX_INVALID_SIGNATURE, bad.modulus[0] ^= 4);
    EINIT_CODE(SGX_INVALID_SIGNATURE, bad.q1[0] ^= 1);
    EINIT_CODE(SGX_INVALID_SIGNATURE, bad.q2[383] ^= 1);
    mrenclave[0] ^= 1;
    EINIT_CODE(SGX_INVALID_MEASUREMENT, bad = sign(mrenclave, &secs));
    mrenclave[0] ^= 1;
    struct sgx_secs other = secs;
    other.attributes.flags &= ~SGX_ATTR_DEBUG;
    EINIT_CODE(SGX_INVALID_ATTRIBUTE, bad = sign(mrenclave, &other));
    other = secs;
    other.attributes.xfrm = 7;
    EINIT_CODE(SGX_INVALID_ATTRIBUTE, bad = sign(mrenclave, &other));
    other = secs;
    other.miscselect = 0;
    EINIT_CODE(SGX_INVALID_ATTRIBUTE, bad = sign(mrenclave, &other));
    assert_int_equal(sim_einit(dev, &css, &token), SGX_INVALID_EINITTOKEN);
    sim_cpu.lepubkeyhash[0] ^= 1; /* another launch key */
    assert_int_equal(sim_einit(dev, &css, &none), SGX_INVALID_EINITTOKEN);
    sim_cpu.lepubkeyhash[0] ^= 1;
    assert_int_equal(sim_einit(dev, &css, &none), SGX_SUCCESS);
    assert_memory_equal(dev->secs.mrenclave, mrenclave, 32);
    assert_int_equal(dev->secs.isv_prod_id, 5);
    assert_int_equal(dev->secs.isv_svn, 6);
    assert_int_equal(sim_einit(dev, &css, &none), SIM_GP); /* once */
    close_device(dev);
    /* EINITTOKENKEY is for the launch enclave's signer. */
    secs.attributes.flags |= SGX_ATTR_EINITTOKENKEY;
    css = sign(mrenclave, &secs);
    dev = with_page(&secs);
    sim_cpu.lepubkeyhash[0] ^= 1;
    assert_int_equal(sim_einit(dev, &css, &none), SGX_INVALID_ATTRIBUTE);
    sim_cpu.lepubkeyhash[0] ^= 1;
    close_device(dev);
}

/* 38.3 EINIT with a token: what a launch enclave's EGETKEY gives is the key of its MAC. The launch
 * enclave's signer is `key`; the enclave is another's. */
static void test_token(void **state)
{
    struct sgx_secs le = good_secs(), secs = good_secs();
    struct sgx_keyrequest k = {.keyname = SGX_KEY_EINITTOKEN, .keyid = {7}};
    struct sgx_einittoken t, bad;
    uint8_t mrenclave[32], token_key[16];
    size_t n = 16;
    (void)state;
    predict(&le, mrenclave);
    le.attributes.flags &= ~SGX_ATTR_DEBUG;
    le.attributes.flags |= SGX_ATTR_EINITTOKENKEY;
    struct sgx_sigstruct css = sign(mrenclave, &le);
    static const struct sgx_einittoken none;
    struct sgxsim *dev = with_page(&le);
    sgx_mrsigner(&css, (uint8_t *)sim_cpu.lepubkeyhash);
    assert_int_equal(sim_einit(dev, &css, &none), SGX_SUCCESS);
    k.isv_svn = 6;
    k.attribute_mask = le.attributes;
    assert_int_equal(sim_getkey(dev, &k, token_key), SGX_SUCCESS);
    memset(&t, 0, sizeof(t));
    t.valid = 1;
    t.isv_prod_id_le = 5;
    t.isv_svn_le = 6;
    t.masked_attributes_le = dev->secs.attributes;
    memcpy(t.keyid, k.keyid, 32);
    close_device(dev);

    EVP_PKEY *launch = signing_key;
    signing_key = NULL; /* another signer */
    css = sign(mrenclave, &secs);
    dev = with_page(&secs);
    t.attributes = secs.attributes;
    memcpy(t.mrenclave, mrenclave, 32);
    sgx_mrsigner(&css, t.mrsigner);
#define MAC(token)                                                                                 \
    assert_non_null(EVP_Q_mac(NULL, "CMAC", NULL, "AES-128-CBC", NULL, token_key, 16,              \
                              (void *)&(token), SGX_TOKEN_BODY_SIZE, (token).mac, 16, &n))
#define TOKEN_CODE(code, change)                                                                   \
    do {                                                                                           \
        bad = t;                                                                                   \
        change;                                                                                    \
        MAC(bad);                                                                                  \
        assert_int_equal(sim_einit(dev, &css, &bad), code);                                        \
        assert_false(dev->initialized);                                                            \
    } while (0)
    assert_int_equal(sim_einit(dev, &css, &none), SGX_INVALID_EINITTOKEN);
    TOKEN_CODE(SGX_INVALID_EINITTOKEN, bad.valid = 3);
    TOKEN_CODE(SGX_INVALID_EINITTOKEN, bad.reserved1[43] = 1);
    TOKEN_CODE(SGX_INVALID_EINITTOKEN, bad.reserved2[0] = 1);
    TOKEN_CODE(SGX_INVALID_EINITTOKEN, bad.reserved3[31] = 1);
    TOKEN_CODE(SGX_INVALID_EINITTOKEN, bad.reserved4[22] = 1);
    TOKEN_CODE(SGX_INVALID_EINITTOKEN, bad.isv_svn_le = 5); /* another key */
    TOKEN_CODE(SGX_INVALID_EINITTOKEN, bad.keyid[31] = 1);
    TOKEN_CODE(SGX_INVALID_EINITTOKEN, bad.masked_attributes_le.xfrm = 7);
    TOKEN_CODE(SGX_INVALID_CPUSVN, memset(bad.cpusvn_le, 9, 16));
    TOKEN_CODE(SGX_INVALID_MEASUREMENT, bad.mrenclave[0] ^= 1);
    TOKEN_CODE(SGX_INVALID_MEASUREMENT, bad.mrsigner[0] ^= 1);
    TOKEN_CODE(SGX_INVALID_ATTRIBUTE, bad.attributes.xfrm = 7);
    bad = t;
    MAC(bad);
    bad.mac[15] ^= 1;
    assert_int_equal(sim_einit(dev, &css, &bad), SGX_INVALID_EINITTOKEN);
    MAC(t);
    sim_cpu.lepubkeyhash[0] ^= 1; /* another launch enclave's token */
    assert_int_equal(sim_einit(dev, &css, &t), SGX_INVALID_EINITTOKEN);
    sim_cpu.lepubkeyhash[0] ^= 1;
    assert_int_equal(sim_einit(dev, &css, &t), SGX_SUCCESS);
    close_device(dev);
    /* A launch enclave in debug mode launches none but debug enclaves. */
    secs.attributes.flags &= ~SGX_ATTR_DEBUG;
    t.attributes = secs.attributes;
    t.masked_attributes_le.flags |= SGX_ATTR_DEBUG;
    css = sign(mrenclave, &secs);
    dev = with_page(&secs);
    MAC(t);
    assert_int_equal(sim_einit(dev, &css, &t), SGX_INVALID_EINITTOKEN);
    close_device(dev);
    EVP_PKEY_free(signing_key);
    signing_key = launch;
}

/* 38.3 EAUG. */
static void test_eaug(void **state)
{
    struct sgx_pageinfo pi = {.linaddr = BASE};
    struct sgxsim *dev = open_device(0);
    assert_int_equal(sim_eaug(dev, &pi), SIM_PF);
    close_device(dev);
    dev = created();
    assert_int_equal(sim_eaug(dev, &pi), SIM_GP); /* before EINIT */
    close_device(dev);
    dev = running();
    pi.linaddr = BASE + 1;
    assert_int_equal(sim_eaug(dev, &pi), SIM_GP);
    pi.linaddr = BASE + SIZE;
    assert_int_equal(sim_eaug(dev, &pi), SIM_GP);
    pi = (struct sgx_pageinfo){.linaddr = BASE, .srcpge = 4096};
    assert_int_equal(sim_eaug(dev, &pi), SIM_GP);
    pi = (struct sgx_pageinfo){.linaddr = BASE, .secinfo = 64};
    assert_int_equal(sim_eaug(dev, &pi), SIM_GP);
    pi = (struct sgx_pageinfo){.linaddr = BASE + 0x1000};
    assert_int_equal(sim_eaug(dev, &pi), SIM_PF); /* there is one */
    pi.linaddr = BASE;
    assert_int_equal(sim_eaug(dev, &pi), SGX_SUCCESS);
    assert_int_equal(sim_page(dev, 0)->perm, 3);
    assert_true((sim_page(dev, 0)->state & PAGE_PENDING) != 0);
    close_device(dev);
}

/* 38.3 EMODPR, EMODT. */
static void test_modify(void **state)
{
    struct sgx_secinfo r = {.flags = SGX_SECINFO_R}, bad = {.flags = SGX_SECINFO_W};
    struct sgx_secinfo trim = {.flags = SGX_SECINFO_PT(SGX_PT_TRIM)};
    struct sgx_secinfo tcs = {.flags = SGX_SECINFO_PT(SGX_PT_TCS)};
    struct sgx_secinfo reg = {.flags = REG};
    struct sgxsim *dev = created();
    assert_int_equal(eadd(dev, BASE, REG | 3), SGX_SUCCESS);
    assert_int_equal(sim_emodpr(dev, &r, BASE), SIM_GP); /* before EINIT */
    assert_int_equal(sim_emodt(dev, &trim, BASE), SIM_GP);
    close_device(dev);
    dev = running();
    const uint64_t p = BASE + 0x1000;
    assert_int_equal(sim_emodpr(dev, &bad, p), SIM_GP);
    bad.flags = 1ull << 33;
    assert_int_equal(sim_emodpr(dev, &bad, p), SIM_GP);
    assert_int_equal(sim_emodpr(dev, &r, p + 1), SIM_GP);
    assert_int_equal(sim_emodpr(dev, &r, BASE + SIZE), SIM_PF);
    assert_int_equal(sim_emodpr(dev, &r, BASE), SIM_PF);
    assert_int_equal(sim_emodt(dev, &reg, p), SIM_GP);
    assert_int_equal(sim_emodt(dev, &trim, p + 8), SIM_GP);
    assert_int_equal(sim_emodt(dev, &trim, BASE), SIM_PF);
    struct sgx_pageinfo pi = {.linaddr = BASE};
    assert_int_equal(sim_eaug(dev, &pi), SGX_SUCCESS);
    assert_int_equal(sim_emodpr(dev, &r, BASE), SGX_PAGE_NOT_MODIFIABLE); /* PENDING */
    assert_int_equal(sim_emodt(dev, &trim, BASE), SGX_PAGE_NOT_MODIFIABLE);
    assert_int_equal(sim_emodpr(dev, &r, p), SGX_SUCCESS);
    assert_int_equal(sim_page(dev, 0x1000)->perm, SGX_SECINFO_R);
    assert_true((sim_page(dev, 0x1000)->state & PAGE_PR) != 0);
    struct sgx_secinfo rw = {.flags = 3};
    assert_int_equal(sim_emodpr(dev, &rw, p), SGX_SUCCESS); /* restricts only */
    assert_int_equal(sim_page(dev, 0x1000)->perm, SGX_SECINFO_R);
    assert_int_equal(sim_emodt(dev, &tcs, p), SGX_SUCCESS);
    assert_int_equal(sim_page(dev, 0x1000)->perm, 0);
    assert_int_equal(sim_emodpr(dev, &r, p), SGX_PAGE_NOT_MODIFIABLE); /* MODIFIED, PT_TCS */
    assert_int_equal(sim_emodt(dev, &trim, p), SGX_PAGE_NOT_MODIFIABLE);
    sim_page(dev, 0x1000)->state = PAGE_VALID;         /* accepted */
    assert_int_equal(sim_emodt(dev, &tcs, p), SIM_PF); /* TCS to TRIM only */
    assert_int_equal(sim_emodpr(dev, &r, p), SIM_PF);  /* PT_REG only */
    assert_int_equal(sim_emodt(dev, &trim, p), SGX_SUCCESS);
    assert_int_equal(sim_emodpr(dev, &r, p), SGX_PAGE_NOT_MODIFIABLE);
    sim_page(dev, 0x1000)->state = PAGE_VALID;
    assert_int_equal(sim_emodt(dev, &trim, p), SIM_PF);
    assert_int_equal(sim_emodpr(dev, &r, p), SIM_PF); /* how Linux sees that it was accepted */
    close_device(dev);
}

/* 38.3 EDBGRD, EDBGWR. */
static void test_debug(void **state)
{
    struct sgx_secs secs = good_secs();
    uint64_t v = 0, p = BASE + 0x1000, t = BASE + 0x2000;
    struct sgxsim *dev = open_device(0);
    (void)state;
    assert_int_equal(sim_edbgrd(dev, p, &v), SIM_PF);
    close_device(dev);
    dev = with_page(&secs);
    assert_int_equal(eadd(dev, t, SGX_SECINFO_PT(SGX_PT_TCS)), SGX_SUCCESS);
    assert_int_equal(sim_edbgwr(dev, p + 8, 0x1234), SGX_SUCCESS);
    assert_int_equal(sim_edbgrd(dev, p + 8, &v), SGX_SUCCESS);
    assert_int_equal(v, 0x1234);
    assert_int_equal(sim_edbgrd(dev, p + 4, &v), SIM_GP);
    assert_int_equal(sim_edbgwr(dev, p + 1, v), SIM_GP);
    assert_int_equal(sim_edbgrd(dev, BASE + SIZE, &v), SIM_PF);
    assert_int_equal(sim_edbgwr(dev, BASE, v), SIM_PF); /* no page */
    assert_int_equal(sim_edbgrd(dev, t + 16, &v), SGX_SUCCESS);
    assert_int_equal(sim_edbgrd(dev, t + 88, &v), SIM_GP); /* behind what a TCS has */
    assert_int_equal(sim_edbgwr(dev, t + 8, SGX_TCS_DBGOPTIN), SGX_SUCCESS);
    assert_int_equal(sim_edbgwr(dev, t + 16, 0), SIM_GP); /* FLAGS alone */
    sim_page(dev, 0x1000)->type = SGX_PT_TRIM;
    assert_int_equal(sim_edbgrd(dev, p, &v), SIM_PF);
    sim_page(dev, 0x1000)->type = SGX_PT_REG;
    sim_page(dev, 0x1000)->state |= PAGE_PENDING;
    assert_int_equal(sim_edbgrd(dev, p, &v), SGX_PAGE_NOT_DEBUGGABLE);
    assert_int_equal(sim_edbgwr(dev, p, v), SGX_PAGE_NOT_DEBUGGABLE);
    sim_page(dev, 0x1000)->state = PAGE_VALID | PAGE_MODIFIED;
    assert_int_equal(sim_edbgwr(dev, p, v), SGX_PAGE_NOT_DEBUGGABLE);
    close_device(dev);
    secs.attributes.flags &= ~SGX_ATTR_DEBUG;
    dev = with_page(&secs);
    assert_int_equal(sim_edbgrd(dev, p, &v), SIM_GP);
    assert_int_equal(sim_edbgwr(dev, p, v), SIM_GP);
    close_device(dev);
}

/* A thread as the processor sees it while it is inside; no host thread is needed for that. */
static struct sim_thread *pretend_inside(struct sgxsim *dev)
{
    assert_int_equal(sim_attach(), 0);
    sim_self->dev = dev;
    sim_self->epoch = dev->epoch;
    sim_self->inside = true;
    return sim_self;
}

/* 38.3 EREMOVE, EBLOCK, ETRACK. */
static void test_remove_block_track(void **state)
{
    struct sgxsim *dev = open_device(0);
    assert_int_equal(sim_etrack(dev), SIM_PF);
    assert_int_equal(sim_eremove(dev, BASE), SIM_PF);
    assert_int_equal(sim_eblock(dev, BASE), SIM_PF);
    close_device(dev);
    dev = running();
    const uint64_t p = BASE + 0x1000;
    assert_int_equal(sim_eremove(dev, p + 8), SIM_GP);
    assert_int_equal(sim_eremove(dev, BASE + SIZE), SIM_PF);
    assert_int_equal(sim_eremove(dev, BASE), SGX_SUCCESS); /* no page: no change */
    assert_int_equal(sim_eremove_secs(dev), SGX_CHILD_PRESENT);
    assert_int_equal(sim_eblock(dev, p + 8), SIM_GP);
    assert_int_equal(sim_eblock(dev, BASE + SIZE), SIM_PF);
    assert_int_equal(sim_eblock(dev, BASE), SGX_PG_INVLD);
    assert_int_equal(sim_eblock(dev, p), SGX_SUCCESS);
    assert_int_equal(sim_eblock(dev, p), SGX_BLKSTATE);
    sim_page(dev, 0x1000)->type = SGX_PT_VA;
    assert_int_equal(sim_eblock(dev, p), SGX_NOTBLOCKABLE);
    sim_page(dev, 0x1000)->type = SGX_PT_REG;

    uint32_t before = dev->epoch;
    assert_false(sim_tracked(dev, before));
    assert_int_equal(sim_etrack(dev), SGX_SUCCESS);
    assert_true(sim_tracked(dev, before));
    struct sim_thread *t = pretend_inside(dev);
    assert_int_equal(sim_eremove(dev, p), SGX_ENCLAVE_ACT);
    before = dev->epoch;
    assert_int_equal(sim_etrack(dev), SGX_SUCCESS);
    assert_false(sim_tracked(dev, before));                 /* it entered before */
    assert_int_equal(sim_etrack(dev), SGX_PREV_TRK_INCMPL); /* and is still inside */
    assert_int_equal(sgxsim_close(dev), -EBUSY);
    t->inside = false;
    assert_true(sim_tracked(dev, before));
    assert_int_equal(sim_etrack(dev), SGX_SUCCESS);
    assert_int_equal(sim_eremove(dev, p), SGX_SUCCESS);
    assert_int_equal(sim_eremove_secs(dev), SGX_SUCCESS);
    dev->created = true; /* for close */
    close_device(dev);
}

static int add(struct sgxsim *dev, uint64_t offset, uint64_t src, uint64_t length, uint64_t flags,
               uint64_t *count)
{
    struct sgx_secinfo info = {.flags = flags};
    struct sgx_enclave_add_pages arg = {
        .src = src, .offset = offset, .length = length, .secinfo = (uint64_t)&info};
    int ret = sgxsim_ioctl(dev, SGX_IOC_ENCLAVE_ADD_PAGES, &arg);
    *count = arg.count;
    return ret;
}

/* Linux, arch/x86/kernel/cpu/sgx/ioctl.c: the build. */
static void test_build_ioctls(void **state)
{
    static uint8_t src[3 * 4096] __attribute__((aligned(4096)));
    struct sgx_secs secs = good_secs();
    struct sgxsim *dev = open_device(0);
    uint64_t n, s = (uint64_t)src;
    struct sgx_enclave_create c = {.src = 8};
    struct sgx_sigstruct css = {0};
    assert_int_equal(sgxsim_ioctl(dev, 0x1234, src), -ENOTTY);
    assert_int_equal(sgxsim_ioctl(dev, SGX_IOC_ENCLAVE_CREATE, NULL), -EFAULT);
    assert_int_equal(sgxsim_ioctl(dev, SGX_IOC_ENCLAVE_CREATE, &c), -EFAULT);
    assert_int_equal(add(dev, 0, s, 4096, REG | 3, &n), -EINVAL); /* before CREATE */
    assert_int_equal(einit(dev, &css), -EINVAL);
    secs.size = 0x3000;
    assert_int_equal(create(dev, &secs), -EINVAL);
    secs.size = 0x1000;
    assert_int_equal(create(dev, &secs), -EIO);
    secs = good_secs();
    assert_int_equal(create(dev, &secs), 0);
    assert_int_equal(create(dev, &secs), -EINVAL);
    assert_int_equal(add(dev, 8, s, 4096, REG | 3, &n), -EINVAL);
    assert_int_equal(add(dev, 0, s + 8, 4096, REG | 3, &n), -EINVAL);
    assert_int_equal(add(dev, 0, s, 0, REG | 3, &n), -EINVAL);
    assert_int_equal(add(dev, 0, s, 100, REG | 3, &n), -EINVAL);
    assert_int_equal(add(dev, SIZE, s, 4096, REG | 3, &n), -EINVAL);
    assert_int_equal(add(dev, SIZE - 4096, s, 8192, REG | 3, &n), -EINVAL);
    assert_int_equal(add(dev, UINT64_MAX - 4095, s, 8192, REG | 3, &n), -EINVAL);
    assert_int_equal(add(dev, 0, s, 4096, REG | 2, &n), -EINVAL);
    assert_int_equal(add(dev, 0, s, 4096, SGX_SECINFO_PT(SGX_PT_TCS) | 1, &n), -EINVAL);
    assert_int_equal(add(dev, 0, s, 4096, SGX_SECINFO_PT(SGX_PT_TRIM), &n), -EINVAL);
    assert_int_equal(add(dev, 0, s, 4096, REG | 3 | SGX_SECINFO_PENDING, &n), -EINVAL);
    assert_int_equal(add(dev, 0, 4096, 4096, REG | 3, &n), -EFAULT);
    /* A partial count: the second page is there already. */
    assert_int_equal(add(dev, 0x1000, s, 4096, REG | 3, &n), 0);
    assert_int_equal(n, 4096);
    assert_int_equal(add(dev, 0, s, 3 * 4096, REG | 3, &n), -EBUSY);
    assert_int_equal(n, 4096);
    /* So is one that cannot be read; what was not added has left nothing behind. */
    uint8_t *cut = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(cut, 0xa5, 8192);
    assert_int_equal(add(dev, 0x1000, (uint64_t)cut, 8192, REG | 3, &n), -EBUSY);
    assert_int_equal(sim_frame(dev, 0x1000)[0], *(uint8_t *)s);
    munmap(cut + 4096, 4096);
    assert_int_equal(add(dev, 0x2000, (uint64_t)cut, 8192, REG | 3, &n), -EFAULT);
    assert_int_equal(n, 4096);
    assert_int_equal(sim_frame(dev, 0x2000)[4095], 0xa5);
    assert_int_equal(sim_frame(dev, 0x3000)[0], 0);
    munmap(cut, 4096);
    assert_int_equal(dev->stats.eextend, 0);
    css.vendor = 3;
    assert_int_equal(einit(dev, &css), -EINVAL);
    css.vendor = 0;
    assert_int_equal(einit(dev, &css), -EPERM);
    css.attributes.flags = css.attribute_mask.flags = SGX_ATTR_CET; /* not on this processor */
    assert_int_equal(einit(dev, &css), -EINVAL);
    css.attributes.flags = css.attribute_mask.flags = 0;
    css.miscselect = css.miscmask = 1u << 30;
    assert_int_equal(einit(dev, &css), -EINVAL);
    css.miscselect = css.miscmask = 0;
    close_device(dev);
    /* PROVISIONKEY without leave. */
    dev = open_device(0);
    secs.attributes.flags |= SGX_ATTR_PROVISIONKEY;
    assert_int_equal(create(dev, &secs), 0);
    assert_int_equal(einit(dev, &css), -EACCES);
    struct sgx_enclave_provision p = {.fd = 0};
    assert_int_equal(sgxsim_ioctl(dev, SGX_IOC_ENCLAVE_PROVISION, &p), -EINVAL);
    p.fd = 4000;
    assert_int_equal(sgxsim_ioctl(dev, SGX_IOC_ENCLAVE_PROVISION, &p), -EINVAL);
    int fd = sgxsim_open_provision();
    assert_true(fd >= 0);
    p.fd = (uint64_t)fd;
    assert_int_equal(sgxsim_ioctl(dev, SGX_IOC_ENCLAVE_PROVISION, &p), 0);
    close(fd);
    assert_int_equal(einit(dev, &css), -EPERM); /* now it is the SIGSTRUCT */
    close_device(dev);
    /* The SECS and the page of versions stay; beside them one page is enough, for one at a time. */
    secs = good_secs();
    for (uint64_t pages = 1; pages <= 3; pages++) {
        dev = open_device(pages);
        assert_int_equal(create(dev, &secs), 0);
        assert_int_equal(add(dev, 0, s, 3 * 4096, SGX_SECINFO_PT(SGX_PT_TCS), &n),
                         pages < 3 ? -ENOMEM : 0);
        assert_int_equal(n, pages < 3 ? 0 : 3 * 4096);
        assert_int_equal(dev->stats.ewb, pages < 3 ? 0 : 2);
        assert_int_equal(dev->stats.epc_pages, pages);
        close_device(dev);
    }
}

/* The three SGX2 ioctls. */
static void test_sgx2_ioctls(void **state)
{
    struct sgxsim *dev = created();
    struct sgx_enclave_restrict_permissions r = {.length = 4096, .permissions = 1};
    struct sgx_enclave_modify_types t = {.length = 4096, .page_type = SGX_PT_TRIM};
    struct sgx_enclave_remove_pages d = {.length = 4096};
    assert_int_equal(sgxsim_ioctl(dev, SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, &r), -EINVAL);
    assert_int_equal(sgxsim_ioctl(dev, SGX_IOC_ENCLAVE_MODIFY_TYPES, &t), -EINVAL);
    assert_int_equal(sgxsim_ioctl(dev, SGX_IOC_ENCLAVE_REMOVE_PAGES, &d), -EINVAL);
    close_device(dev);
    dev = running();
#define IOCTL(request, type, value, error)                                                         \
    do {                                                                                           \
        struct type a = value;                                                                     \
        assert_int_equal(sgxsim_ioctl(dev, request, &a), error);                                   \
    } while (0)
#define V(...) __VA_ARGS__
#define RESTRICT(error, ...)                                                                       \
    IOCTL(SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, sgx_enclave_restrict_permissions,                  \
          V({__VA_ARGS__}), error)
#define TYPES(error, ...)                                                                          \
    IOCTL(SGX_IOC_ENCLAVE_MODIFY_TYPES, sgx_enclave_modify_types, V({__VA_ARGS__}), error)
#define REMOVE(error, ...)                                                                         \
    IOCTL(SGX_IOC_ENCLAVE_REMOVE_PAGES, sgx_enclave_remove_pages, V({__VA_ARGS__}), error)
    RESTRICT(-EINVAL, .offset = 8, .length = 4096);
    RESTRICT(-EINVAL, .offset = 0x1000, .length = 0);
    RESTRICT(-EINVAL, .offset = SIZE, .length = 4096);
    RESTRICT(-EINVAL, .offset = 0x1000, .length = 4096, .permissions = 8);
    RESTRICT(-EINVAL, .offset = 0x1000, .length = 4096, .permissions = 2);
    RESTRICT(-EINVAL, .offset = 0x1000, .length = 4096, .result = 1);
    RESTRICT(-EINVAL, .offset = 0x1000, .length = 4096, .count = 1);
    RESTRICT(-EFAULT, .offset = 0, .length = 4096, .permissions = 1); /* no page */
    TYPES(-EINVAL, .offset = 0x1000, .length = 4096, .page_type = SGX_PT_REG);
    TYPES(-EINVAL, .offset = 0x1000, .length = 4096, .page_type = SGX_PT_TRIM, .count = 7);
    sim_page(dev, 0x1000)->max = PROT_READ;
    TYPES(-EPERM, .offset = 0x1000, .length = 4096, .page_type = SGX_PT_TCS);
    TYPES(-EFAULT, .offset = 0, .length = 4096, .page_type = SGX_PT_TRIM);
    REMOVE(-EINVAL, .offset = 0x1000, .length = 5);
    REMOVE(-EINVAL, .offset = 0x1000, .length = 4096, .count = 1);
    REMOVE(-EFAULT, .offset = 0, .length = 4096);
    REMOVE(-EPERM, .offset = 0x1000, .length = 4096);
    r = (struct sgx_enclave_restrict_permissions){
        .offset = 0x1000, .length = 0x2000, .permissions = 1};
    assert_int_equal(sgxsim_ioctl(dev, SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, &r), -EFAULT);
    assert_int_equal(r.count, 4096); /* one page was done; the next is missing */
    /* A code of the leaf comes back in `result`. */
    sim_page(dev, 0x1000)->state |= PAGE_PENDING;
    r = (struct sgx_enclave_restrict_permissions){
        .offset = 0x1000, .length = 0x1000, .permissions = 1};
    assert_int_equal(sgxsim_ioctl(dev, SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, &r), -EFAULT);
    assert_int_equal(r.result, SGX_PAGE_NOT_MODIFIABLE);
    dev->busy = true;
    RESTRICT(-EBUSY, .offset = 0x1000, .length = 4096);
    dev->busy = false;
    close_device(dev);
}

/* sgx_encl_may_map: a mapping asks for no more than SECINFO gave. */
static void test_mappings(void **state)
{
    struct sgxsim *dev = running();
    sim_page(dev, 0x1000)->max = 3; /* as the driver notes it when it adds a page */
    void *p = mmap((void *)BASE, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
                   -1, 0);
    assert_ptr_equal(p, BASE);
    assert_int_equal(sgxsim_map(dev, BASE + 1, 4096, 3), -EINVAL);
    assert_int_equal(sgxsim_map(dev, BASE, SIZE + 4096, 3), -EINVAL);
    assert_int_equal(sgxsim_map(dev, BASE - 4096, 8192, 3), -EINVAL);
    assert_int_equal(sgxsim_map(dev, BASE, SIZE, 7), -EACCES);
    assert_int_equal(sgxsim_map(dev, BASE, 0x4000, 3), 0);
    assert_int_equal(sgxsim_protect(dev, BASE, 0x4000, 7), -EACCES);
    assert_int_equal(sgxsim_protect(dev, BASE + 0x3000, 0x2000, 1), -ENOMEM); /* a hole */
    assert_int_equal(sgxsim_protect(dev, BASE + 0x2000, 0x1000, 7), 0);
    assert_int_equal(sim_vma_prot(dev, 0x1000), 3);
    assert_int_equal(sim_vma_prot(dev, 0x2fff), 7);
    assert_int_equal(sim_vma_prot(dev, 0x3000), 3);
    assert_int_equal(dev->vma_count, 3);
    assert_int_equal(sgxsim_protect(dev, BASE + 0x2000, 0x1000, 3), 0);
    assert_int_equal(dev->vma_count, 1); /* neighbours merge */
    /* Touched from outside, a page is added, pending; nothing happens to one that is there. */
    uint64_t before = dev->stats.eaug, aex = dev->stats.aex;
    assert_int_equal(sgxsim_populate(dev, BASE + 0x2001, 0x1000), -EINVAL);
    assert_int_equal(sgxsim_populate(dev, BASE + 0x1000, 0x3000), 0);
    assert_int_equal(dev->stats.eaug, before + 2);
    assert_int_equal(sgxsim_populate(dev, BASE + 0x1000, 0x3000), 0);
    assert_int_equal(dev->stats.eaug, before + 2);
    assert_int_equal(dev->stats.aex, aex);
    assert_true((sim_page(dev, 0x2000)->state & PAGE_PENDING) != 0);
    assert_int_equal(sgxsim_populate(dev, BASE + 0x3000, 0x2000), -EFAULT); /* not mapped */
    assert_int_equal(sgxsim_unmap(dev, BASE + 0x2000, 0x1000), 0);
    assert_int_equal(sim_vma_prot(dev, 0x2000), -1);
    assert_int_equal(dev->vma_count, 2);
    close_device(dev);
    munmap((void *)BASE, SIZE);
}

/* The fuse key: made once, 0600, shared by all; a torn one is refused. */
static void test_fuse_key(void **state)
{
    char path[64];
    struct sgxsim *dev;
    struct stat st;
    uint8_t first[32];
    snprintf(path, sizeof(path), "/tmp/sgxsim-fuse.%d", (int)getpid());
    struct sgxsim_options o = {.key_file = path};
    assert_int_equal(sgxsim_open(&o, &dev), 0);
    memcpy(first, sim_cpu.fuse_key, 32);
    close_device(dev);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, 32);
    assert_int_equal(sgxsim_open(&o, &dev), 0);
    assert_memory_equal(first, sim_cpu.fuse_key, 32);
    close_device(dev);
    assert_int_equal(truncate(path, 31), 0);
    assert_int_equal(sgxsim_open(&o, &dev), -EBADMSG);
    unlink(path);
    o.key_file = "/nonexistent/key";
    assert_int_equal(sgxsim_open(&o, &dev), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ecreate),
        cmocka_unit_test(test_eadd),
        cmocka_unit_test(test_eextend),
        cmocka_unit_test(test_einit),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_eaug),
        cmocka_unit_test(test_modify),
        cmocka_unit_test(test_debug),
        cmocka_unit_test(test_remove_block_track),
        cmocka_unit_test(test_build_ioctls),
        cmocka_unit_test(test_sgx2_ioctls),
        cmocka_unit_test(test_mappings),
        cmocka_unit_test(test_fuse_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
