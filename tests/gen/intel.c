// SPDX-License-Identifier: Apache-2.0
// Made-up Intel evidence: PCK chain, quote, TCB info, QE identity, CRLs.
#include "tests/gen/pki.h"
#include "verifier/quote/quote.h"

#include <stdio.h>
#include <stdlib.h>

#define HOUR 3600

static const uint8_t fmspc[6] = {0x00, 0x80, 0x6f, 0x05, 0x00, 0x00};

struct pki {
    EVP_PKEY *root_key, *ca_key, *pck_key, *tcb_key, *ak, *foreign_key;
    X509 *root, *ca, *pck, *tcb, *foreign_root;
};

static size_t der_head(uint8_t *out, uint8_t tag, size_t size)
{
    out[0] = tag;
    if (size < 128) {
        out[1] = (uint8_t)size;
        return 2;
    }
    out[1] = 0x82;
    out[2] = (uint8_t)(size >> 8);
    out[3] = (uint8_t)size;
    return 4;
}

// SEQUENCE { OID 1.2.840.113741.1.13.1.arc[.sub], value }
static size_t der_item(uint8_t *out, const uint8_t *arcs, size_t arc_count, const uint8_t *value,
                       size_t value_size)
{
    static const uint8_t base[] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};
    uint8_t body[1024];
    size_t at = der_head(body, 0x06, sizeof(base) + arc_count), head;

    memcpy(body + at, base, sizeof(base));
    memcpy(body + at + sizeof(base), arcs, arc_count);
    at += sizeof(base) + arc_count;
    memcpy(body + at, value, value_size);
    at += value_size;
    head = der_head(out, 0x30, at);
    memcpy(out + head, body, at);
    return head + at;
}

static size_t der_octets(uint8_t *out, const void *data, size_t size)
{
    size_t head = der_head(out, 0x04, size);

    memcpy(out + head, data, size);
    return head + size;
}

static size_t sgx_extension(uint8_t *out, uint8_t first_svn)
{
    uint8_t tcb[1024], list[2048], value[512], zeros[16] = {0};
    size_t tcb_size = 0, list_size = 0, head;

    for (uint8_t i = 1; i <= 18; i++) {
        const uint8_t arcs[] = {2, i};
        uint8_t v[64];
        size_t n = 3;

        v[0] = 0x02;
        v[1] = 1;
        v[2] = i == 1 ? first_svn : i == 17 ? 11 : 2;
        if (i == 18)
            n = der_octets(v, zeros, 16);
        tcb_size += der_item(tcb + tcb_size, arcs, 2, v, n);
    }
    list_size += der_item(list, (const uint8_t[]){1}, 1, value, der_octets(value, zeros, 16));
    head = der_head(value, 0x30, tcb_size);
    memcpy(value + head, tcb, tcb_size);
    list_size += der_item(list + list_size, (const uint8_t[]){2}, 1, value, head + tcb_size);
    list_size +=
        der_item(list + list_size, (const uint8_t[]){3}, 1, value, der_octets(value, zeros, 2));
    list_size +=
        der_item(list + list_size, (const uint8_t[]){4}, 1, value, der_octets(value, fmspc, 6));
    head = der_head(out, 0x30, list_size);
    memcpy(out + head, list, list_size);
    return head + list_size;
}

static void make_pki(const struct gen_intel_options *o, struct pki *p)
{
    static const uint8_t oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};
    struct gen_cert_options c = {.cn = "Test SGX Root CA", .ca = true};
    uint8_t ext[2600];

    p->root_key = gen_key("P-256");
    p->ca_key = gen_key("P-256");
    p->pck_key = gen_key("P-256");
    p->tcb_key = gen_key("P-256");
    p->ak = gen_key("P-256");
    p->foreign_key = gen_key("P-256");
    c.ou = o->simulated_root ? "Shelter simulated TEE" : NULL;
    p->root = gen_cert(&c, p->root_key, NULL, NULL);
    p->foreign_root = gen_cert(&c, p->foreign_key, NULL, NULL);
    c = (struct gen_cert_options){.cn = "Test SGX PCK Platform CA", .ca = !o->pck_ca_not_ca};
    p->ca = gen_cert(&c, p->ca_key, p->root, o->foreign_pck_ca ? p->foreign_key : p->root_key);
    c = (struct gen_cert_options){.cn = o->pck_cn ? "Something else" : "Test SGX PCK Certificate"};
    c.to = o->pck_expired ? gen_now - 1 : 0;
    c.from = o->pck_early ? gen_now + 1 : 0;
    if (!o->pck_no_extension) {
        c.extension[0].oid = oid;
        c.extension[0].oid_size = sizeof(oid);
        c.extension[0].value = ext;
        c.extension[0].value_size = sgx_extension(ext, o->pck_svn ? o->pck_svn : 5);
        c.extension_count = 1;
    }
    p->pck = gen_cert(&c, p->pck_key, p->ca, p->ca_key);
    c = (struct gen_cert_options){.cn = o->tcb_signer_cn ? "Other" : "Test SGX TCB Signing"};
    c.to = o->tcb_chain_expired ? gen_now - 1 : 0;
    c.from = o->tcb_chain_early ? gen_now + 1 : 0;
    p->tcb = gen_cert(&c, p->tcb_key, p->root, o->tcb_foreign ? p->foreign_key : p->root_key);
}

static void free_pki(struct pki *p)
{
    EVP_PKEY *keys[] = {p->root_key, p->ca_key, p->pck_key, p->tcb_key, p->ak, p->foreign_key};
    X509 *certs[] = {p->root, p->ca, p->pck, p->tcb, p->foreign_root};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        EVP_PKEY_free(keys[i]);
    for (size_t i = 0; i < sizeof(certs) / sizeof(certs[0]); i++)
        X509_free(certs[i]);
}

static void td_body(const struct gen_intel_options *o, uint8_t *b, bool td15)
{
    static const uint8_t svn[3] = {5, 1, 2};

    memcpy(b + SV_TD_TEE_TCB_SVN, o->have_tee_tcb_svn ? o->tee_tcb_svn : svn, 3);
    b[SV_TD_MRSIGNERSEAM] = o->wrong_mrsignerseam;
    b[SV_TD_SEAMATTRIBUTES] = o->seam_attributes;
    sh_put_le64(b + SV_TD_ATTRIBUTES, (o->debug ? 1 : 0) | (o->no_sept_ve ? 0 : 1ull << 28) |
                                          (o->migratable ? 1ull << 29 : 0));
    sh_put_le64(b + SV_TD_XFAM, 0x61ae7);
    memset(b + SV_TD_MRTD, 0x11, 48);
    memset(b + SV_TD_MRCONFIGID, 0x22, 48);
    if (o->have_config_id)
        memcpy(b + SV_TD_MRCONFIGID, o->config_id, 48);
    memcpy(b + SV_TD_RTMR0, o->rtmr, 4 * 48);
    memcpy(b + SV_TD_REPORT_DATA, o->report_data, 64);
    if (td15) {
        memcpy(b + SV_TD_TEE_TCB_SVN_2,
               o->have_tee_tcb_svn_2 ? o->tee_tcb_svn_2
                                     : (o->have_tee_tcb_svn ? o->tee_tcb_svn : svn),
               3);
        b[SV_TD_MRSERVICETD] = o->servtd;
    }
}

static void sgx_body(const struct gen_intel_options *o, uint8_t *b)
{
    sh_put_le64(b + SV_SGX_ATTRIBUTES, o->debug ? 7 : 5);
    memset(b + SV_SGX_MRENCLAVE, 0x33, 32);
    memset(b + SV_SGX_MRSIGNER, 0x44, 32);
    memcpy(b + SV_SGX_CONFIGID, o->config_id, 64);
    sh_put_le16(b + SV_SGX_ISVPRODID, 3);
    sh_put_le16(b + SV_SGX_ISVSVN, 4);
    memcpy(b + SV_SGX_REPORT_DATA, o->report_data, 64);
}

// 432 bytes and more: QE report, its signature, authentication data, PCK chain.
static size_t qe_part(const struct gen_intel_options *o, const struct pki *p,
                      const struct gen_blob *chain, const uint8_t ak[64], uint8_t *out)
{
    uint8_t auth[32], hashed[96], *at = out;
    unsigned n;

    for (int i = 0; i < 32; i++)
        auth[i] = (uint8_t)i;
    memset(at, 0, SV_SGX_REPORT_SIZE);
    sh_put_le64(at + SV_SGX_ATTRIBUTES, o->qe_attributes ? 0x35 : 0x15);
    at[SV_SGX_MISCSELECT] = o->qe_misc;
    memset(at + SV_SGX_MRSIGNER, o->qe_mrsigner ? 0x56 : 0x55, 32);
    sh_put_le16(at + SV_SGX_ISVPRODID, o->qe_prodid ? 9 : 2);
    sh_put_le16(at + SV_SGX_ISVSVN, o->isvsvn_qe ? o->isvsvn_qe : 8);
    memcpy(hashed, ak, 64);
    memcpy(hashed + 64, auth, 32);
    GEN_MUST(EVP_Digest(hashed, 96, at + SV_SGX_REPORT_DATA, &n, EVP_sha256(), NULL) == 1);
    gen_sign_raw(p->pck_key, EVP_sha256(), at, SV_SGX_REPORT_SIZE, at + 384, at + 416, 32);
    at += 448;
    sh_put_le16(at, 32);
    memcpy(at + 2, auth, 32);
    at += 34;
    sh_put_le16(at, o->cert_type ? o->cert_type : 5);
    if (o->cert_type && o->cert_type < 4) {
        sh_put_le32(at + 2, 100);
        memset(at + 6, 0xab, 100);
        return (size_t)(at + 106 - out);
    }
    sh_put_le32(at + 2, (uint32_t)chain->size + 1);
    memcpy(at + 6, chain->data, chain->size + 1); // with its NUL, as real quotes have it
    return (size_t)(at + 6 + chain->size + 1 - out);
}

static void make_quote(const struct gen_intel_options *o, const struct pki *p,
                       const struct gen_blob *chain, struct gen_blob *out)
{
    static const uint8_t vendor[16] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                       0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};
    int type = o->body_type ? o->body_type : o->tdx ? 2 : 1;
    static const size_t sizes[] = {0, SV_SGX_REPORT_SIZE, SV_TD10_SIZE, SV_TD15_SIZE};
    uint8_t *q = calloc(1, 32768), *at = q, *size_at, ak[64];
    size_t signed_size, n;

    GEN_MUST(q);
    gen_public_xy(p->ak, ak, 32);
    sh_put_le16(at, (uint16_t)o->version);
    sh_put_le16(at + 2, 2);
    sh_put_le32(at + 4, o->tdx ? 0x81 : 0);
    memcpy(at + 12, vendor, 16);
    at += SV_QUOTE_HEADER_SIZE;
    if (o->version == 5) {
        sh_put_le16(at, (uint16_t)type);
        sh_put_le32(at + 2, (uint32_t)sizes[type]);
        at += 6;
    }
    if (o->tdx)
        td_body(o, at, type == 3);
    else
        sgx_body(o, at);
    at += sizes[type];
    signed_size = (size_t)(at - q);
    size_at = at;
    at += 4;
    gen_sign_raw(p->ak, EVP_sha256(), q, signed_size, at, at + 32, 32);
    memcpy(at + 64, ak, 64);
    at += 128;
    if (o->version == 3) {
        n = qe_part(o, p, chain, ak, at);
    } else {
        n = qe_part(o, p, chain, ak, at + 6);
        sh_put_le16(at, 6);
        sh_put_le32(at + 2, (uint32_t)n);
        n += 6;
    }
    at += n;
    sh_put_le32(size_at, (uint32_t)(128 + n));
    *out = gen_blob(q, (size_t)(at - q));
    free(q);
}

static struct gen_blob sign_json(EVP_PKEY *key, struct gen_blob *text, bool edited)
{
    uint8_t sig[64];
    char hex[129];

    gen_sign_raw(key, EVP_sha256(), text->data, text->size, sig, sig + 32, 32);
    sh_hex(hex, sig, 64);
    if (edited) { // an evaluation number, which parses as well as the signed one
        char *at = strstr((char *)text->data, "tcbEvaluationDataNumber\":17");

        GEN_MUST(at);
        at[strlen("tcbEvaluationDataNumber\":1")] = '8';
    }
    return gen_blob(hex, 128);
}

static void stamp(char *out, int64_t when)
{
    sv_time_format(when, out);
}

static int level(char *out, size_t size, uint8_t sgx, const uint8_t tdx[3], bool is_tdx,
                 const char *status, const char *advisory)
{
    char text[1200];
    int n = snprintf(text, sizeof(text), "{\"tcb\":{\"sgxtcbcomponents\":[{\"svn\":%u}", sgx);

    for (int i = 1; i < 16; i++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, ",{\"svn\":2}");
    n += snprintf(text + n, sizeof(text) - (size_t)n, "],\"pcesvn\":11");
    if (is_tdx) {
        n += snprintf(text + n, sizeof(text) - (size_t)n, ",\"tdxtcbcomponents\":[{\"svn\":%u}",
                      tdx[0]);
        for (int i = 1; i < 16; i++)
            n += snprintf(text + n, sizeof(text) - (size_t)n, ",{\"svn\":%u}", i < 3 ? tdx[i] : 0);
        n += snprintf(text + n, sizeof(text) - (size_t)n, "]");
    }
    return snprintf(out, size,
                    "%s},\"tcbDate\":\"2024-03-13T00:00:00Z\",\"tcbStatus\":\"%s\","
                    "\"advisoryIDs\":[\"%s\"]}",
                    text, status, advisory);
}

static struct gen_blob tcb_info(const struct gen_intel_options *o)
{
    static char text[16384], from[32], to[32];
    const char *zeros = "000000000000000000000000000000000000000000000000"
                        "000000000000000000000000000000000000000000000000";
    bool tdx = o->tcb_other_tee ? !o->tdx : o->tdx;
    size_t room = sizeof(text);
    int n;

    stamp(from, o->tcb_early ? gen_now + 1 : gen_now - HOUR);
    stamp(to, o->tcb_expired ? gen_now - 1 : gen_now + HOUR);
    n = snprintf(text, room,
                 "{\"id\":\"%s\",\"version\":%s,\"issueDate\":\"%s\",\"nextUpdate\":\"%s\","
                 "\"fmspc\":\"%s\",\"pceId\":\"%s\",\"tcbType\":0,\"tcbEvaluationDataNumber\":17",
                 tdx ? "TDX" : "SGX", o->tcb_version ? o->tcb_version : "3", from, to,
                 o->tcb_other_fmspc ? "00906ED50000" : "00806f050000",
                 o->tcb_other_pceid ? "0001" : "0000");
    if (tdx) {
        n += snprintf(text + n, room - (size_t)n,
                      ",\"tdxModule\":{\"mrsigner\":\"%s\",\"attributes\":\"0000000000000000\","
                      "\"attributesMask\":\"FFFFFFFFFFFFFFFF\"}",
                      zeros);
        if (!o->no_modules)
            n += snprintf(text + n, room - (size_t)n,
                          ",\"tdxModuleIdentities\":[{\"id\":\"TDX_01\",\"mrsigner\":\"%s\","
                          "\"attributes\":\"0000000000000000\",\"attributesMask\":"
                          "\"FFFFFFFFFFFFFFFF\",\"tcbLevels\":[{\"tcb\":{\"isvsvn\":5},"
                          "\"tcbDate\":\"2024-03-13T00:00:00Z\",\"tcbStatus\":\"%s\"},"
                          "{\"tcb\":{\"isvsvn\":2},\"tcbDate\":\"2023-08-09T00:00:00Z\","
                          "\"tcbStatus\":\"OutOfDate\",\"advisoryIDs\":[\"TEST-MODULE\"]}]}]",
                          zeros, o->module_status ? o->module_status : "UpToDate");
    }
    n += snprintf(text + n, room - (size_t)n, ",\"tcbLevels\":[");
    // The module's bytes of the level are above every quote's: only its identity may judge them.
    n += level(text + n, room - (size_t)n, 5, (const uint8_t[]){9, 0, 2}, tdx,
               o->status ? o->status : "UpToDate", "TEST-TOP");
    n += snprintf(text + n, room - (size_t)n, ",");
    n += level(text + n, room - (size_t)n, 3, (const uint8_t[]){9, 0, 1}, tdx, "OutOfDate",
               "TEST-OLD");
    n += snprintf(text + n, room - (size_t)n, ",");
    n += level(text + n, room - (size_t)n, 2, (const uint8_t[]){3, 0, 1}, tdx,
               "OutOfDateConfigurationNeeded", "TEST-OLDER");
    n += snprintf(text + n, room - (size_t)n, "]}");
    return gen_blob(text, (size_t)n);
}

static struct gen_blob qe_identity(const struct gen_intel_options *o)
{
    char text[2048], from[32], to[32];
    bool tdx = o->qe_other_tee ? !o->tdx : o->tdx;
    int n;

    stamp(from, o->qe_early ? gen_now + 1 : gen_now - HOUR);
    stamp(to, o->qe_expired ? gen_now - 1 : gen_now + HOUR);
    n = snprintf(text, sizeof(text),
                 "{\"id\":\"%s\",\"version\":2,\"issueDate\":\"%s\",\"nextUpdate\":\"%s\","
                 "\"tcbEvaluationDataNumber\":17,\"miscselect\":\"00000000\","
                 "\"miscselectMask\":\"FFFFFFFF\",\"attributes\":"
                 "\"11000000000000000000000000000000\",\"attributesMask\":"
                 "\"FBFFFFFFFFFFFFFF0000000000000000\",\"mrsigner\":"
                 "\"5555555555555555555555555555555555555555555555555555555555555555\","
                 "\"isvprodid\":2,\"tcbLevels\":[{\"tcb\":{\"isvsvn\":8},\"tcbDate\":"
                 "\"2024-03-13T00:00:00Z\",\"tcbStatus\":\"%s\"},{\"tcb\":{\"isvsvn\":6},"
                 "\"tcbDate\":\"2021-03-13T00:00:00Z\",\"tcbStatus\":\"OutOfDate\"}]}",
                 tdx ? "TD_QE" : "QE", from, to, o->qe_status ? o->qe_status : "UpToDate");
    return gen_blob(text, (size_t)n);
}

static void make_collateral(const struct gen_intel_options *o, const struct pki *p,
                            struct gen_intel *g)
{
    X509 *tcb_chain[] = {p->tcb, p->root}, *ca_chain[] = {p->ca, p->root};
    X509_CRL *crl;

    g->tcb_info = tcb_info(o);
    g->tcb_sig = sign_json(p->tcb_key, &g->tcb_info, o->tcb_edited);
    g->tcb_chain = gen_pem(tcb_chain, 2);
    g->qe_identity = qe_identity(o);
    g->qe_sig = sign_json(p->tcb_key, &g->qe_identity, o->qe_edited);
    g->pck_crl_chain = gen_pem(ca_chain, 2);
    crl =
        gen_crl(o->pck_crl_other_issuer ? p->root : p->ca,
                o->pck_crl_foreign ? p->foreign_key : p->ca_key, o->pck_crl_early ? gen_now + 1 : 0,
                o->pck_crl_expired ? gen_now - 1 : 0, o->revoke_pck ? p->pck : NULL);
    g->pck_crl = gen_crl_der(crl);
    X509_CRL_free(crl);
    crl = gen_crl(p->root, o->root_crl_foreign ? p->foreign_key : p->root_key,
                  o->root_crl_early ? gen_now + 1 : 0, o->root_crl_expired ? gen_now - 1 : 0,
                  o->revoke_pck_ca ? p->ca
                  : o->revoke_tcb  ? p->tcb
                                   : NULL);
    g->root_crl = gen_crl_der(crl);
    X509_CRL_free(crl);
}

void gen_intel(const struct gen_intel_options *o, struct gen_intel *out)
{
    static struct pki kept[2];
    struct pki p;
    X509 *chain[3];

    *out = (struct gen_intel){0};
    if (!o->keep_pki || !kept[o->simulated_root].root)
        make_pki(o, &p);
    if (o->keep_pki) {
        if (!kept[o->simulated_root].root)
            kept[o->simulated_root] = p;
        p = kept[o->simulated_root];
    }
    chain[0] = o->reverse_chain ? p.root : p.pck;
    chain[1] = p.ca;
    chain[2] = o->reverse_chain ? p.pck : p.root;
    out->pck_chain = gen_pem(chain, 3);
    out->root = gen_pem(o->foreign_root ? &p.foreign_root : &p.root, 1);
    make_quote(o, &p, &out->pck_chain, &out->quote);
    make_collateral(o, &p, out);
    if (!o->keep_pki)
        free_pki(&p);
}

static char *append(char *at, const char *name, const struct gen_blob *b, bool hex)
{
    at += sprintf(at, "%s\"%s\":\"", at[-1] == '{' ? "" : ",", name);
    if (hex) {
        sh_hex(at, b->data, b->size);
        at += 2 * b->size;
    } else {
        for (size_t i = 0; i < b->size; i++) {
            if (b->data[i] == '"' || b->data[i] == '\\')
                *at++ = '\\';
            if (b->data[i] == '\n') {
                *at++ = '\\';
                *at++ = 'n';
            } else {
                *at++ = (char)b->data[i];
            }
        }
    }
    *at++ = '"';
    return at;
}

char *gen_intel_collateral(const struct gen_intel *g)
{
    char *text = malloc(65536), *at = text;

    GEN_MUST(text);
    *at++ = '{';
    if (g->tcb_info.size)
        at = append(at, "tcb_info", &g->tcb_info, false);
    at = append(at, "tcb_info_signature", &g->tcb_sig, false);
    at = append(at, "tcb_info_issuer_chain", &g->tcb_chain, false);
    if (g->qe_identity.size)
        at = append(at, "qe_identity", &g->qe_identity, false);
    at = append(at, "qe_identity_signature", &g->qe_sig, false);
    at = append(at, "qe_identity_issuer_chain", &g->tcb_chain, false);
    if (g->pck_crl.size)
        at = append(at, "pck_crl", &g->pck_crl, true);
    at = append(at, "pck_crl_issuer_chain", &g->pck_crl_chain, false);
    if (g->root_crl.size)
        at = append(at, "root_ca_crl", &g->root_crl, true);
    strcpy(at, "}");
    return text;
}

void gen_intel_free(struct gen_intel *g)
{
    struct gen_blob *b[] = {&g->quote,   &g->root,          &g->pck_chain,   &g->tcb_info,
                            &g->tcb_sig, &g->tcb_chain,     &g->qe_identity, &g->qe_sig,
                            &g->pck_crl, &g->pck_crl_chain, &g->root_crl};

    for (size_t i = 0; i < sizeof(b) / sizeof(b[0]); i++)
        free(b[i]->data);
    *g = (struct gen_intel){0};
}
