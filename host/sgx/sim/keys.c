// SPDX-License-Identifier: Apache-2.0
// Keys of the simulated processor: what EGETKEY derives (SDM 38.4, EGETKEY, table of key
// dependencies) and the report key behind EREPORT's MAC. Real processors keep the derivation to
// themselves; ours is AES-CMAC under the fuse key over the same dependencies.
#include "host/sgx/sim/sim.h"

#include <errno.h>
#include <string.h>

#include <openssl/aes.h>
#include <openssl/crypto.h>

/* Times x in GF(2^128). */
static void double_block(uint8_t b[16])
{
    uint8_t carry = b[0] >> 7;
    for (unsigned i = 0; i < 15; i++)
        b[i] = (uint8_t)(b[i] << 1 | b[i + 1] >> 7);
    b[15] = (uint8_t)(b[15] << 1 ^ (carry ? 0x87 : 0));
}

static void mix_block(uint8_t b[16], const uint8_t *with, size_t size)
{
    for (size_t i = 0; i < size; i++)
        b[i] ^= with[i];
}

/* AES-CMAC (NIST SP 800-38B) with a key of 16 or 32 bytes. 0 or -1. Without EVP, which would fetch
 * all its ciphers first: a tenth of a short program's start. */
static int compute_cmac(const uint8_t *key, size_t key_size, const void *data, size_t size,
                        uint8_t out[16])
{
    static const uint8_t padding = 0x80;
    const uint8_t *at = data;
    uint8_t last[16] = {0};
    AES_KEY schedule;
    if (AES_set_encrypt_key(key, (int)key_size * 8, &schedule) != 0)
        return -1;
    AES_encrypt(last, last, &schedule);
    double_block(last);
    memset(out, 0, 16);
    for (; size > 16; size -= 16, at += 16) {
        mix_block(out, at, 16);
        AES_encrypt(out, out, &schedule);
    }
    if (size < 16) {
        double_block(last);
        mix_block(last + size, &padding, 1);
    }
    mix_block(last, at, size);
    mix_block(out, last, 16);
    AES_encrypt(out, out, &schedule);
    OPENSSL_cleanse(&schedule, sizeof(schedule));
    OPENSSL_cleanse(last, sizeof(last));
    return 0;
}

/* Everything that a key depends on; absent dependencies stay zero. */
struct dependencies {
    uint16_t keyname, isv_prod_id, isv_svn, config_svn;
    uint32_t keypolicy;
    uint32_t miscselect, miscmask;
    struct sgx_attributes attributes, attribute_mask;
    uint8_t owner_epoch[16];
    uint8_t isv_family_id[16], isv_ext_prod_id[16];
    uint8_t mrenclave[32], mrsigner[32];
    uint8_t configid[64];
    uint8_t keyid[32];
    uint8_t cpusvn[16];
};

static int derive_key(const struct dependencies *d, uint8_t key[16])
{
    return compute_cmac(sim_cpu.fuse_key, sizeof(sim_cpu.fuse_key), d, sizeof(*d), key);
}

/* The key that the target of a report gets from EGETKEY(REPORT_KEY). */
static int report_key(const uint8_t mrenclave[32], const struct sgx_attributes *attributes,
                      uint32_t miscselect, const uint8_t configid[64], uint16_t config_svn,
                      const uint8_t keyid[32], uint8_t key[16])
{
    struct dependencies d;
    memset(&d, 0, sizeof(d));
    d.keyname = SGX_KEY_REPORT;
    d.attributes = *attributes;
    d.miscselect = miscselect;
    d.config_svn = config_svn;
    memcpy(d.configid, configid, 64);
    memcpy(d.mrenclave, mrenclave, 32);
    memcpy(d.keyid, keyid, 32);
    memcpy(d.cpusvn, sim_cpu.cpusvn, 16);
    return derive_key(&d, key);
}

int sgxsim_report_finish(const struct sgx_targetinfo *target, struct sgx_report *r)
{
    uint8_t key[16];
    memcpy(r->cpusvn, sim_cpu.cpusvn, 16);
    memcpy(r->keyid, sim_cpu.report_keyid, 32);
    int ret = report_key(target->mrenclave, &target->attributes, target->miscselect,
                         target->configid, target->config_svn, r->keyid, key);
    if (ret == 0)
        ret = compute_cmac(key, sizeof(key), r, SGX_REPORT_BODY_SIZE, r->mac);
    OPENSSL_cleanse(key, sizeof(key));
    return ret;
}

int sim_report(const struct sgxsim *dev, const struct sgx_targetinfo *target,
               const uint8_t data[64], struct sgx_report *r)
{
    const struct sgx_secs *s = &dev->secs;
    if (!sim_zero(&target->reserved1, 1) ||
        !sim_zero(target->reserved2, sizeof(target->reserved2)) ||
        !sim_zero(target->reserved3, sizeof(target->reserved3)) || target->cet_attributes != 0)
        return SIM_GP;
    memset(r, 0, sizeof(*r));
    r->miscselect = s->miscselect;
    memcpy(r->isv_ext_prod_id, dev->isv_ext_prod_id, 16);
    memcpy(r->isv_family_id, dev->isv_family_id, 16);
    r->attributes = s->attributes;
    memcpy(r->mrenclave, s->mrenclave, 32);
    memcpy(r->mrsigner, s->mrsigner, 32);
    memcpy(r->configid, s->configid, 64);
    r->isv_prod_id = s->isv_prod_id;
    r->isv_svn = s->isv_svn;
    r->config_svn = s->config_svn;
    memcpy(r->report_data, data, 64);
    return sgxsim_report_finish(target, r) == 0 ? SGX_SUCCESS : SIM_GP;
}

int sgxsim_report_check(const struct sgx_targetinfo *target, const struct sgx_report *report)
{
    uint8_t key[16], mac[16];
    int ret = report_key(target->mrenclave, &target->attributes, target->miscselect,
                         target->configid, target->config_svn, report->keyid, key);
    if (ret == 0)
        ret = compute_cmac(key, sizeof(key), report, SGX_REPORT_BODY_SIZE, mac);
    OPENSSL_cleanse(key, sizeof(key));
    return ret == 0 && CRYPTO_memcmp(mac, report->mac, sizeof(mac)) == 0 ? 0 : -EBADMSG;
}

/* CPUSVN is a vector: each of its 16 components must be at most the processor's. */
static bool cpusvn_above(const uint8_t asked[16])
{
    for (int i = 0; i < 16; i++) {
        if (asked[i] > sim_cpu.cpusvn[i])
            return true;
    }
    return false;
}

/* The dependencies that KEYPOLICY chooses, for seal and provisioning seal keys. */
static void follow_policy(const struct sgxsim *dev, uint16_t policy, uint16_t config_svn,
                          struct dependencies *d)
{
    const struct sgx_secs *s = &dev->secs;
    if ((policy & SGX_KEYPOLICY_NOISVPRODID) == 0)
        d->isv_prod_id = s->isv_prod_id;
    if ((policy & SGX_KEYPOLICY_ISVFAMILYID) != 0)
        memcpy(d->isv_family_id, dev->isv_family_id, 16);
    if ((policy & SGX_KEYPOLICY_ISVEXTPRODID) != 0)
        memcpy(d->isv_ext_prod_id, dev->isv_ext_prod_id, 16);
    if ((policy & SGX_KEYPOLICY_CONFIGID) != 0) {
        memcpy(d->configid, s->configid, 64);
        d->config_svn = config_svn;
    }
}

/* DEBUG and INIT are never masked out of a key's attributes (SDM 38.4, EGETKEY: TMP_ATTRIBUTES). */
static void mask_attributes(const struct sgxsim *dev, const struct sgx_keyrequest *req,
                            struct dependencies *d)
{
    const struct sgx_secs *s = &dev->secs;
    d->attributes.flags =
        s->attributes.flags & (req->attribute_mask.flags | SGX_ATTR_INIT | SGX_ATTR_DEBUG);
    d->attributes.xfrm = s->attributes.xfrm & req->attribute_mask.xfrm;
    d->attribute_mask = req->attribute_mask;
    d->miscselect = s->miscselect & req->miscmask;
    d->miscmask = req->miscmask;
}

static int seal_key(const struct sgxsim *dev, const struct sgx_keyrequest *req,
                    struct dependencies *d)
{
    const struct sgx_secs *s = &dev->secs;
    if (cpusvn_above(req->cpusvn))
        return SGX_INVALID_CPUSVN;
    if (req->isv_svn > s->isv_svn || req->config_svn > s->config_svn)
        return SGX_INVALID_ISVSVN;
    mask_attributes(dev, req, d);
    follow_policy(dev, req->keypolicy, req->config_svn, d);
    if ((req->keypolicy & SGX_KEYPOLICY_MRENCLAVE) != 0)
        memcpy(d->mrenclave, s->mrenclave, 32);
    if ((req->keypolicy & SGX_KEYPOLICY_MRSIGNER) != 0)
        memcpy(d->mrsigner, s->mrsigner, 32);
    d->keypolicy = req->keypolicy;
    d->isv_svn = req->isv_svn;
    memcpy(d->keyid, req->keyid, 32);
    memcpy(d->cpusvn, req->cpusvn, 16);
    return SGX_SUCCESS;
}

/* PROVISION_KEY, PROVISION_SEAL_KEY and EINITTOKEN_KEY: by signer, product and SVN, no KEYID of the
 * caller's (provisioning) or no owner. Only the second heeds KEYPOLICY. */
static int privileged_key(const struct sgxsim *dev, const struct sgx_keyrequest *req,
                          uint64_t attribute, struct dependencies *d)
{
    const struct sgx_secs *s = &dev->secs;
    if ((s->attributes.flags & attribute) == 0)
        return SGX_INVALID_ATTRIBUTE;
    if (cpusvn_above(req->cpusvn))
        return SGX_INVALID_CPUSVN;
    if (req->isv_svn > s->isv_svn)
        return SGX_INVALID_ISVSVN;
    mask_attributes(dev, req, d);
    d->isv_prod_id = s->isv_prod_id;
    memcpy(d->mrsigner, s->mrsigner, 32);
    d->isv_svn = req->isv_svn;
    memcpy(d->cpusvn, req->cpusvn, 16);
    if (req->keyname == SGX_KEY_PROVISION_SEAL) {
        follow_policy(dev, req->keypolicy, req->config_svn, d);
        d->keypolicy = req->keypolicy;
    } else if (req->keyname == SGX_KEY_EINITTOKEN) {
        memcpy(d->keyid, req->keyid, 32);
        d->attribute_mask = (struct sgx_attributes){0};
        d->miscmask = 0;
    }
    return SGX_SUCCESS;
}

int sim_token_check(const struct sgx_einittoken *token)
{
    uint8_t key[16], mac[16];
    struct dependencies d;
    if (cpusvn_above(token->cpusvn_le))
        return SGX_INVALID_CPUSVN;
    memset(&d, 0, sizeof(d));
    d.keyname = SGX_KEY_EINITTOKEN;
    d.isv_prod_id = token->isv_prod_id_le;
    d.isv_svn = token->isv_svn_le;
    d.attributes = token->masked_attributes_le;
    d.miscselect = token->masked_miscselect_le;
    memcpy(d.mrsigner, sim_cpu.lepubkeyhash, 32);
    memcpy(d.keyid, token->keyid, 32);
    memcpy(d.cpusvn, token->cpusvn_le, 16);
    int ret = derive_key(&d, key);
    if (ret == 0)
        ret = compute_cmac(key, sizeof(key), token, SGX_TOKEN_BODY_SIZE, mac);
    OPENSSL_cleanse(key, sizeof(key));
    return ret == 0 && CRYPTO_memcmp(mac, token->mac, sizeof(mac)) == 0 ? SGX_SUCCESS
                                                                        : SGX_INVALID_EINITTOKEN;
}

int sim_getkey(const struct sgxsim *dev, const struct sgx_keyrequest *req, uint8_t key[16])
{
    const struct sgx_secs *s = &dev->secs;
    const uint32_t known = SGX_KEYPOLICY_MRENCLAVE | SGX_KEYPOLICY_MRSIGNER | SGX_KEYPOLICY_KSS;
    struct dependencies d;
    int ret;
    if (req->reserved1 != 0 || !sim_zero(req->reserved2, sizeof(req->reserved2)) ||
        req->cet_attributes_mask != 0 || (req->keypolicy & ~known) != 0)
        return SIM_GP;
    if ((s->attributes.flags & SGX_ATTR_KSS) == 0 &&
        ((req->keypolicy & SGX_KEYPOLICY_KSS) != 0 || req->config_svn > 0))
        return SIM_GP;
    memset(&d, 0, sizeof(d));
    d.keyname = req->keyname;
    switch (req->keyname) {
    case SGX_KEY_SEAL:
        ret = seal_key(dev, req, &d);
        break;
    case SGX_KEY_REPORT:
        return report_key(s->mrenclave, &s->attributes, s->miscselect, s->configid, s->config_svn,
                          req->keyid, key) == 0
                   ? SGX_SUCCESS
                   : SIM_GP;
    case SGX_KEY_EINITTOKEN:
        ret = privileged_key(dev, req, SGX_ATTR_EINITTOKENKEY, &d);
        break;
    case SGX_KEY_PROVISION:
    case SGX_KEY_PROVISION_SEAL:
        ret = privileged_key(dev, req, SGX_ATTR_PROVISIONKEY, &d);
        break;
    default:
        return SGX_INVALID_KEYNAME;
    }
    if (ret == SGX_SUCCESS && derive_key(&d, key) != 0)
        ret = SIM_GP;
    return ret;
}
