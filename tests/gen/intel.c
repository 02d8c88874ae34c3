// SPDX-License-Identifier: Apache-2.0
// Made-up Intel evidence: PCK chain, quote, TCB info, QE identity, CRLs.
#include "host/attest/intel.h"
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

static size_t sgx_extension(uint8_t *out, uint8_t first_svn)
{
    struct sh_pck_values v = {.pcesvn = 11};

    memset(v.ppid, 0x11, sizeof(v.ppid));
    memset(v.instance, 0x22, sizeof(v.instance));
    memset(v.svn, 2, sizeof(v.svn));
    v.svn[0] = first_svn;
    memcpy(v.cpusvn, v.svn, sizeof(v.cpusvn));
    memcpy(v.fmspc, fmspc, sizeof(fmspc));
    return sh_sgx_extension(out, &v);
}

#define CRL_URL "https://localhost/IntelSGX.der" // never fetched

static void make_pki(const struct gen_intel_options *o, struct pki *p)
{
    struct sh_cert_options c = {.cn = "Intel SGX Root CA", .ca = true, .crl_url = CRL_URL};
    uint8_t ext[SH_SGX_EXTENSION_MAX];

    p->root_key = gen_key("P-256");
    p->ca_key = gen_key("P-256");
    p->pck_key = gen_key("P-256");
    p->tcb_key = gen_key("P-256");
    p->ak = gen_key("P-256");
    p->foreign_key = gen_key("P-256");
    c.ou = o->simulated_root ? "Shelter simulated TEE" : NULL;
    p->root = gen_cert(&c, p->root_key, NULL, NULL);
    p->foreign_root = gen_cert(&c, p->foreign_key, NULL, NULL);
    c = (struct sh_cert_options){
        .cn = "Intel SGX PCK Platform CA", .ca = !o->pck_ca_not_ca, .crl_url = CRL_URL};
    p->ca = gen_cert(&c, p->ca_key, p->root, o->foreign_pck_ca ? p->foreign_key : p->root_key);
    c = (struct sh_cert_options){.cn = o->pck_cn ? "Something else" : "Intel SGX PCK Certificate",
                                 .crl_url = CRL_URL};
    c.to = o->pck_expired ? gen_now - 1 : 0;
    c.from = o->pck_early ? gen_now + 1 : 0;
    if (!o->pck_no_extension) {
        c.extension[0].oid = sh_sgx_extension_oid;
        c.extension[0].oid_size = sizeof(sh_sgx_extension_oid);
        c.extension[0].value = ext;
        c.extension[0].value_size = sgx_extension(ext, o->pck_svn ? o->pck_svn : 5);
        c.extension_count = 1;
    }
    p->pck = gen_cert(&c, p->pck_key, p->ca, p->ca_key);
    c = (struct sh_cert_options){.cn = o->tcb_signer_cn ? "Other" : "Intel SGX TCB Signing",
                                 .crl_url = CRL_URL};
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

static void td_body(const struct gen_intel_options *o, uint8_t *b, int type)
{
    static const uint8_t svn[3] = {5, 1, 2};

    memcpy(b + SV_TD_TEE_TCB_SVN, o->have_tee_tcb_svn ? o->tee_tcb_svn : svn, 3);
    b[SV_TD_MRSIGNERSEAM] = o->wrong_mrsignerseam;
    b[SV_TD_SEAMATTRIBUTES] = o->seam_attributes;
    sh_put_le64(b + SV_TD_ATTRIBUTES, (o->debug ? 1 : 0) | (o->no_sept_ve ? 0 : 1ull << 28) |
                                          (o->migratable ? 1ull << 29 : 0) |
                                          (o->servtd_ext ? 1ull << 17 : 0) |
                                          (o->icssd ? 1ull << 16 : 0) |
                                          (o->unknown_attribute ? 1ull << 24 : 0) | o->attributes);
    sh_put_le64(b + SV_TD_XFAM, 0x61ae7 ^ o->xfrm);
    memset(b + SV_TD_MRTD, 0x11, 48);
    memset(b + SV_TD_MRCONFIGID, 0x22, 48);
    if (o->have_config_id)
        memcpy(b + SV_TD_MRCONFIGID, o->config_id, 48);
    memcpy(b + SV_TD_RTMR0, o->rtmr, 4 * 48);
    memcpy(b + SV_TD_REPORT_DATA, o->report_data, 64);
    if (type >= 3) {
        memcpy(b + SV_TD_TEE_TCB_SVN_2,
               o->have_tee_tcb_svn_2 ? o->tee_tcb_svn_2
                                     : (o->have_tee_tcb_svn ? o->tee_tcb_svn : svn),
               3);
        b[SV_TD_MRSERVICETD] = o->servtd;
    }
    if (type == 4) {
        b[SV_TD_VMID] = 2;
        memset(b + SV_TD_TD_ID, 0x66, 32);
        memset(b + SV_TD_DEV_INFO, 0x77, 48);
        b[SV_TD_INIT_SERVTD_HASH + 47] = o->init_servtd;
        memset(b + SV_TD_INIT_SERVTD_ATTRIBUTES, 0x88, 8);
        memset(b + SV_TD_INIT_CPU_SVN, 0x99, 16);
        memset(b + SV_TD_INIT_TEE_TCB_SVN, 0xaa, 16);
        memset(b + SV_TD_INIT_FMSPC, 0xbb, 12);
        b[SV_TD_SERVTD_HASH + 47] = o->late_servtd;
        memset(b + SV_TD_SERVTD_ATTRIBUTES, 0xcc, 8);
    }
}

static void sgx_body(const struct gen_intel_options *o, uint8_t *b)
{
    sh_put_le64(b + SV_SGX_ATTRIBUTES, (o->debug ? 7 : 5) | o->attributes);
    sh_put_le64(b + SV_SGX_ATTRIBUTES + 8, 0xe7 ^ o->xfrm);
    b[SV_SGX_MISCSELECT] = o->misc;
    memset(b + SV_SGX_MRENCLAVE, 0x33, 32);
    memset(b + SV_SGX_MRSIGNER, 0x44, 32);
    memcpy(b + SV_SGX_CONFIGID, o->config_id, 64);
    sh_put_le16(b + SV_SGX_ISVPRODID, 3);
    sh_put_le16(b + SV_SGX_ISVSVN, 4);
    memcpy(b + SV_SGX_REPORT_DATA, o->report_data, 64);
}

static void qe_report(const struct gen_intel_options *o, uint8_t *at)
{
    sh_put_le64(at + SV_SGX_ATTRIBUTES, o->qe_attributes ? 0x35 : 0x15);
    at[SV_SGX_MISCSELECT] = o->qe_misc;
    memset(at + SV_SGX_MRSIGNER, o->qe_mrsigner ? 0x56 : 0x55, 32);
    sh_put_le16(at + SV_SGX_ISVPRODID, o->qe_prodid ? 9 : 2);
    sh_put_le16(at + SV_SGX_ISVSVN, o->isvsvn_qe ? o->isvsvn_qe : 8);
}

static void make_quote(const struct gen_intel_options *o, const struct pki *p,
                       const struct gen_blob *chain, struct gen_blob *out)
{
    uint8_t body[SV_TD15EX_SIZE] = {0}, identifier[100], *q = malloc(32768);
    struct sh_quote_parts parts = {
        .version = (uint16_t)o->version,
        .body_type = (uint16_t)(o->body_type ? o->body_type
                                : o->tdx     ? 2
                                             : 1),
        .body = body,
        .attestation_key = p->ak,
        .pck = p->pck_key,
        .cert_type = o->cert_type ? o->cert_type : 5,
        .cert_data = chain->data,
        .cert_data_size = chain->size + 1, // with its NUL, as real quotes have it
    };
    int size;

    GEN_MUST(q);
    if (o->tdx)
        td_body(o, body, parts.body_type);
    else
        sgx_body(o, body);
    qe_report(o, parts.qe_report);
    for (uint8_t i = 0; i < sizeof(parts.auth); i++)
        parts.auth[i] = i;
    if (parts.cert_type < 4) { // names the PCK only
        memset(identifier, 0xab, sizeof(identifier));
        parts.cert_data = identifier;
        parts.cert_data_size = sizeof(identifier);
    }
    size = sh_quote_write(&parts, q, 32768);
    GEN_MUST(size > 0);
    *out = gen_blob(q, (size_t)size);
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
                 "\"tcbEvaluationDataNumber\":%u,\"miscselect\":\"00000000\","
                 "\"miscselectMask\":\"FFFFFFFF\",\"attributes\":"
                 "\"11000000000000000000000000000000\",\"attributesMask\":"
                 "\"FBFFFFFFFFFFFFFF0000000000000000\",\"mrsigner\":"
                 "\"5555555555555555555555555555555555555555555555555555555555555555\","
                 "\"isvprodid\":2,\"tcbLevels\":[{\"tcb\":{\"isvsvn\":8},\"tcbDate\":"
                 "\"2024-03-13T00:00:00Z\",\"tcbStatus\":\"%s\"},{\"tcb\":{\"isvsvn\":6},"
                 "\"tcbDate\":\"2021-03-13T00:00:00Z\",\"tcbStatus\":\"OutOfDate\"}]}",
                 tdx ? "TD_QE" : "QE", from, to, o->qe_evaluation ? o->qe_evaluation : 17,
                 o->qe_status ? o->qe_status : "UpToDate");
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
    if (!o->no_collateral)
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
