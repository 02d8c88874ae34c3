// SPDX-License-Identifier: Apache-2.0
// Made-up SNP evidence: ARK, ASK or ASVK, VCEK or VLEK, report.
#include "tests/gen/pki.h"
#include "verifier/quote/snp.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const products[] = {"Milan", "Genoa", "Turin"};
static const char *const crl_urls[] = {"https://kdsintf.amd.com/vcek/v1/Milan/crl",
                                       "https://kdsintf.amd.com/vcek/v1/Genoa/crl",
                                       "https://kdsintf.amd.com/vcek/v1/Turin/crl"};
// As AMD names itself: others' verifiers look at it.
#define AMD_NAME                                                                                   \
    .o = "Advanced Micro Devices", .ou = "Engineering", .l = "Santa Clara", .st = "CA", .c = "US"

// bl, tee, snp, ucode, fmc
static const uint8_t tcb[5] = {4, 1, 24, 219, 1};

static void put_tcb(uint8_t *at, int product, int change)
{
    if (product == 2) {
        at[0] = tcb[4];
        at[1] = tcb[0];
        at[2] = tcb[1];
        at[3] = (uint8_t)(tcb[2] + change);
    } else {
        at[0] = tcb[0];
        at[1] = tcb[1];
        at[6] = (uint8_t)(tcb[2] + change);
    }
    at[7] = tcb[3];
}

struct amd_oids {
    uint8_t oid[13][10], value[13][80];
    size_t count;
};

static void add(struct sh_cert_options *c, struct amd_oids *x, uint8_t a, uint8_t b,
                const void *value, size_t size)
{
    const uint8_t oid[10] = {0x2b, 0x06, 0x01, 0x04, 0x01, 0x9c, 0x78, 0x01, a, b};
    size_t i = x->count++;

    memcpy(x->oid[i], oid, 10);
    memcpy(x->value[i], value, size);
    c->extension[i].oid = x->oid[i];
    c->extension[i].oid_size = b ? 10 : 9;
    c->extension[i].value = x->value[i];
    c->extension[i].value_size = size;
    c->extension_count = x->count;
}

static void add_int(struct sh_cert_options *c, struct amd_oids *x, uint8_t n, uint8_t value)
{
    const uint8_t der[4] = {0x02, value < 128 ? 1 : 2, value < 128 ? value : 0, value};

    add(c, x, 3, n, der, value < 128 ? 3 : 4);
}

static X509 *make_leaf(const struct gen_snp_options *o, EVP_PKEY *key, X509 *ask, EVP_PKEY *ask_key)
{
    bool vlek = o->signer_kind ? !o->vlek : o->vlek;
    struct sh_cert_options c = {.cn = vlek ? "SEV-VLEK" : "SEV-VCEK", .bare = true, AMD_NAME};
    struct amd_oids x = {.count = 0};
    uint8_t name[16] = {0x16}, chip[64];
    int product = o->other_product ? (o->product + 1) % 3 : o->product;

    c.pss = o->rsa;
    c.to = o->cert_expired ? gen_now - 1 : 0;
    c.from = o->cert_early ? gen_now + 1 : 0;
    name[1] = (uint8_t)strlen(products[product]);
    memcpy(name + 2, products[product], name[1]);
    add(&c, &x, 1, 0, "\x02\x01", 3); // version 0 of this structure
    add(&c, &x, 2, 0, name, 2u + name[1]);
    add_int(&c, &x, 1, tcb[0]);
    add_int(&c, &x, 2, tcb[1]);
    if (!o->no_spl)
        add_int(&c, &x, 3, (uint8_t)(tcb[2] + o->tcb_unlike_cert));
    for (uint8_t n = 4; n < 8; n++)
        add_int(&c, &x, n, 0);
    add_int(&c, &x, 8, tcb[3]);
    if (product == 2)
        add_int(&c, &x, 9, tcb[4]);
    memset(chip, o->other_chip ? 0x78 : 0x77, sizeof(chip));
    if (!vlek)
        add(&c, &x, 4, 0, chip, product == 2 ? 8 : 64);
    return gen_cert(&c, key, ask, ask_key);
}

static void make_report(const struct gen_snp_options *o, EVP_PKEY *key, uint8_t *r)
{
    static const uint8_t family[] = {0x19, 0x19, 0x1a}, model[] = {0x01, 0x11, 0x02};
    uint8_t be[96];
    uint32_t version = o->version ? o->version : 3;

    sh_put_le32(r + SV_SNP_VERSION, version);
    sh_put_le64(r + SV_SNP_POLICY, 0x30000 | o->policy_set);
    sh_put_le32(r + SV_SNP_VMPL, o->vmpl);
    sh_put_le32(r + SV_SNP_SIG_ALGO, 1);
    sh_put_le32(r + SV_SNP_FLAGS, o->unsigned_report ? 7u << 2 : o->vlek ? 1u << 2 : 0);
    memcpy(r + SV_SNP_REPORT_DATA, o->report_data, 64);
    memset(r + SV_SNP_MEASUREMENT, 0x66, 48);
    memset(r + SV_SNP_HOST_DATA, 0x67, 32);
    memset(r + SV_SNP_REPORT_ID_MA, o->migration_agent ? 0x12 : 0xff, 32);
    put_tcb(r + SV_SNP_CURRENT_TCB, o->product, 1);
    put_tcb(r + SV_SNP_COMMITTED_TCB, o->product, o->committed_above_current ? 2 : 1);
    put_tcb(r + SV_SNP_REPORTED_TCB, o->product, 0);
    put_tcb(r + SV_SNP_LAUNCH_TCB, o->product, 0);
    if (o->reported_above_committed)
        put_tcb(r + SV_SNP_COMMITTED_TCB, o->product, -1);
    if (version >= 3) {
        r[SV_SNP_CPUID_FAM] = family[o->product];
        r[SV_SNP_CPUID_MOD] = o->bergamo ? 0xa0 : model[o->product];
        r[SV_SNP_CPUID_STEP] = 1;
    }
    if (!o->vlek && !o->mask_chip)
        memset(r + SV_SNP_CHIP_ID, 0x77, o->product == 2 ? 8 : 64);
    memcpy(r + SV_SNP_COMMITTED_BUILD, "\x1d\x37\x01", 3);
    memcpy(r + SV_SNP_CURRENT_BUILD, "\x1d\x37\x01", 3);
    gen_sign_raw(key, EVP_sha384(), r, SV_SNP_SIGNED_SIZE, be, be + 48, 48);
    for (int i = 0; i < 48; i++) {
        r[SV_SNP_SIG_R + i] = be[47 - i];
        r[SV_SNP_SIG_S + i] = be[95 - i];
    }
}

void gen_snp(const struct gen_snp_options *o, struct gen_snp *out)
{
    uint8_t report[SV_SNP_REPORT_SIZE] = {0}, *der = NULL;
    char ark_cn[32], ask_cn[32];
    struct sh_cert_options c = {
        .cn = ark_cn, .ca = true, .pss = o->rsa, .crl_url = crl_urls[o->product], AMD_NAME};
    EVP_PKEY *ark_key = gen_key(o->rsa ? "RSA" : "P-384"),
             *ask_key = gen_key(o->rsa ? "RSA" : "P-384");
    EVP_PKEY *key = gen_key("P-384"), *foreign = gen_key("P-384");
    X509 *ark, *ask, *leaf, *named;
    X509_CRL *crl;
    int size;

    snprintf(ark_cn, sizeof(ark_cn), "ARK-%s", products[o->product]);
    snprintf(ask_cn, sizeof(ask_cn), "SEV-%s%s", o->vlek ? "VLEK-" : "", products[o->product]);
    if (o->simulated_root)
        c.ou = "Shelter simulated TEE";
    ark = gen_cert(&c, ark_key, NULL, NULL);
    c.pss = false;
    named = o->ark_foreign ? gen_cert(&c, foreign, NULL, NULL) : NULL;
    c = (struct sh_cert_options){.cn = ask_cn,
                                 .ca = true,
                                 .pss = o->rsa && !o->ask_foreign,
                                 .crl_url = crl_urls[o->product],
                                 AMD_NAME};
    ask = gen_cert(&c, ask_key, ark, o->ask_foreign ? foreign : ark_key);
    leaf = make_leaf(o, key, ask, ask_key);
    make_report(o, key, report);
    *out = (struct gen_snp){.report = gen_blob(report, sizeof(report)), .ask = gen_pem(&ask, 1)};
    out->ark = gen_pem(named ? &named : &ark, 1);
    crl = gen_crl(ark, o->crl_foreign ? foreign : ark_key, o->crl_early ? gen_now + 1 : 0,
                  o->crl_expired ? gen_now - 1 : 0, o->crl_revokes ? ask : NULL);
    out->crl = gen_crl_der(crl);
    X509_CRL_free(crl);
    size = i2d_X509(leaf, &der);
    GEN_MUST(size > 0);
    out->signer = gen_blob(der, (size_t)size);
    OPENSSL_free(der);
    X509_free(ark);
    X509_free(ask);
    X509_free(leaf);
    X509_free(named);
    EVP_PKEY_free(ark_key);
    EVP_PKEY_free(ask_key);
    EVP_PKEY_free(key);
    EVP_PKEY_free(foreign);
}

void gen_snp_free(struct gen_snp *g)
{
    free(g->report.data);
    free(g->signer.data);
    free(g->ask.data);
    free(g->ark.data);
    free(g->crl.data);
}
