// SPDX-License-Identifier: Apache-2.0
// Collateral from Intel's PCS (or a PCCS), certificates from AMD's KDS, for one piece of evidence.
#include "verifier/quote/evidence.h"
#include "verifier/base/http.h"
#include "verifier/quote/snp.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PCS_URL "https://api.trustedservices.intel.com"
#define PCS_ROOT_CRL "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
#define KDS_URL "https://kdsintf.amd.com"
#define HYGON_URL "https://cert.hygon.cn"
#define DAY (24 * 3600)
// The members of the first version.
#define OPTIONS_FIRST (offsetof(struct shelter_fetch_options, insecure_http) + sizeof(bool))

struct fetch {
    const struct shelter_fetch_options *o;
    int64_t now;
    char *why;
    size_t why_size;
};

// When a reply is due again: Intel's JSON and CRLs say it; never later than in a day.
static int64_t json_expiry(const struct fetch *f, const struct sv_reply *reply, const char *member)
{
    cJSON *root = sv_json_read(reply->body, reply->size, SV_JSON_VALUES_MAX, NULL, 0);
    const cJSON *next = sv_json_get(cJSON_GetObjectItemCaseSensitive(root, member), "nextUpdate");
    int64_t expiry = 0;

    if (!cJSON_IsString(next) || !sv_time_parse(next->valuestring, &expiry))
        expiry = 0; // not even the right member: do not keep it
    cJSON_Delete(root);
    return expiry < f->now + DAY ? expiry : f->now + DAY;
}

static int64_t crl_expiry(const struct fetch *f, const struct sv_reply *reply)
{
    X509_CRL *crl = sv_crl_parse(reply->body, reply->size);
    int64_t expiry = crl ? sv_asn1_time(X509_CRL_get0_nextUpdate(crl)) : 0;

    X509_CRL_free(crl);
    return expiry < f->now + DAY ? expiry : f->now + DAY;
}

enum shape { JSON_TCB, JSON_QE, CRL, CERT };

static int get_url(const struct fetch *f, enum shape shape, const char *url, const char *header,
                   uint8_t **body, size_t *size, uint8_t **chain, size_t *chain_size)
{
    struct sv_reply reply;
    int64_t expiry;
    int rc = sv_http_get(f->o, url, header, &reply, f->why, f->why_size);

    if (rc)
        return rc;
    if (shape == CRL)
        expiry = crl_expiry(f, &reply);
    else if (shape == CERT)
        expiry = f->now + 7 * DAY;
    else
        expiry = json_expiry(f, &reply, shape == JSON_TCB ? "tcbInfo" : "enclaveIdentity");
    sv_http_keep(f->o, url, &reply, expiry);
    *body = reply.body;
    *size = reply.size;
    if (chain && reply.chain) {
        *chain = (uint8_t *)reply.chain;
        *chain_size = strlen(reply.chain);
    } else {
        free(reply.chain);
    }
    return 0;
}

// The PCK certificate of a quote says which platform and which PCK CA to ask for.
static int pck_of(const struct sv_quote *q, struct sv_pck *pck, bool *platform)
{
    struct sv_certs certs = {0};
    int rc = -ENOENT;

    sv_certs_add(&certs, q->cert_data.data, q->cert_type >= 4 ? q->cert_data.size : 0);
    for (size_t i = 0; i < certs.count && rc; i++) {
        char issuer[64];

        if (X509_check_ca(certs.cert[i]) || sv_pck_parse(certs.cert[i], pck))
            continue;
        sv_name_cn(X509_get_issuer_name(certs.cert[i]), issuer, sizeof(issuer));
        *platform = strstr(issuer, "Platform") != NULL;
        rc = 0;
    }
    sv_certs_free(&certs);
    return rc;
}

static int fetch_intel(const struct fetch *f, const struct sv_quote *q, struct sv_parts *p)
{
    const char *base = f->o->pcs_url ? f->o->pcs_url : PCS_URL;
    const char *tee = q->tee == SV_TEE_TDX ? "tdx" : "sgx";
    struct sv_pck pck;
    bool platform = true;
    char url[1024], fmspc[13];
    int rc = pck_of(q, &pck, &platform);

    if (rc) {
        snprintf(f->why, f->why_size, "the quote carries no PCK certificate");
        return rc;
    }
    if (strlen(base) > 512)
        return -ENAMETOOLONG;
    sh_hex(fmspc, pck.fmspc, 6);
    snprintf(url, sizeof(url), "%s/%s/certification/v4/tcb?fmspc=%s", base, tee, fmspc);
    rc = get_url(f, JSON_TCB, url, "TCB-Info-Issuer-Chain", &p->data[SV_PART_TCB_INFO],
                 &p->size[SV_PART_TCB_INFO], &p->data[SV_PART_TCB_CHAIN],
                 &p->size[SV_PART_TCB_CHAIN]);
    if (rc)
        return rc;
    snprintf(url, sizeof(url), "%s/%s/certification/v4/qe/identity", base, tee);
    rc = get_url(f, JSON_QE, url, "SGX-Enclave-Identity-Issuer-Chain",
                 &p->data[SV_PART_QE_IDENTITY], &p->size[SV_PART_QE_IDENTITY],
                 &p->data[SV_PART_QE_CHAIN], &p->size[SV_PART_QE_CHAIN]);
    if (rc)
        return rc;
    snprintf(url, sizeof(url), "%s/sgx/certification/v4/pckcrl?ca=%s&encoding=der", base,
             platform ? "platform" : "processor");
    rc = get_url(f, CRL, url, "SGX-PCK-CRL-Issuer-Chain", &p->data[SV_PART_PCK_CRL],
                 &p->size[SV_PART_PCK_CRL], &p->data[SV_PART_PCK_CRL_CHAIN],
                 &p->size[SV_PART_PCK_CRL_CHAIN]);
    if (rc)
        return rc;
    // A PCCS hands out the root's CRL itself.
    if (f->o->pcs_url)
        snprintf(url, sizeof(url), "%s/sgx/certification/v4/rootcacrl", base);
    else
        snprintf(url, sizeof(url), "%s", PCS_ROOT_CRL);
    return get_url(f, CRL, url, NULL, &p->data[SV_PART_ROOT_CRL], &p->size[SV_PART_ROOT_CRL], NULL,
                   NULL);
}

static void kds_vcek_url(const struct sv_snp *snp, const char *base, char *url, size_t size)
{
    const uint8_t *r = snp->report;
    struct sv_snp_tcb t = sv_snp_tcb(r + SV_SNP_REPORTED_TCB, snp->product);
    const char *product = sv_snp_product_name(snp->product);
    char chip[129];

    sh_hex(chip, r + SV_SNP_CHIP_ID, snp->product == SV_SNP_TURIN ? 8 : 64);
    if (snp->product == SV_SNP_TURIN)
        snprintf(url, size,
                 "%s/vcek/v1/%s/%s?fmcSPL=%02u&blSPL=%02u&teeSPL=%02u&snpSPL=%02u&ucodeSPL=%02u",
                 base, product, chip, t.fmc, t.bl, t.tee, t.snp, t.ucode);
    else
        snprintf(url, size, "%s/vcek/v1/%s/%s?blSPL=%02u&teeSPL=%02u&snpSPL=%02u&ucodeSPL=%02u",
                 base, product, chip, t.bl, t.tee, t.snp, t.ucode);
}

static int fetch_cert(const struct fetch *f, const char *url, struct shelter_collateral *col)
{
    uint8_t *data;
    size_t size;
    int rc = get_url(f, CERT, url, NULL, &data, &size, NULL, NULL);

    if (rc)
        return rc;
    rc = sv_certs_add(&col->pool, data, size);
    if (rc)
        snprintf(f->why, f->why_size, "%s: not a certificate", url);
    free(data);
    return rc;
}

static int fetch_amd(const struct fetch *f, const struct sv_snp *snp, struct sv_parts *parts,
                     struct shelter_collateral *col)
{
    const char *base = f->o->kds_url ? f->o->kds_url : KDS_URL;
    bool vlek = (sh_le32(snp->report + SV_SNP_FLAGS) >> 2 & 7) == 1;
    char url[1024];
    int rc;

    // Version 2 reports do not name their CPU: the chip's product must then be told by the signer.
    if (snp->product == SV_SNP_UNKNOWN) {
        snprintf(f->why, f->why_size,
                 "a version 2 report names no product: give the signer's certificate");
        return -ENOENT;
    }
    if (strlen(base) > 512)
        return -ENAMETOOLONG;
    snprintf(url, sizeof(url), "%s/%s/v1/%s/cert_chain", base, vlek ? "vlek" : "vcek",
             sv_snp_product_name(snp->product));
    rc = fetch_cert(f, url, col);
    if (rc)
        return rc;
    snprintf(url, sizeof(url), "%s/%s/v1/%s/crl", base, vlek ? "vlek" : "vcek",
             sv_snp_product_name(snp->product));
    rc = get_url(f, CRL, url, NULL, &parts->data[SV_PART_AMD_CRL], &parts->size[SV_PART_AMD_CRL],
                 NULL, NULL);
    // A VLEK lives with its cloud; only its chain is published.
    if (rc || vlek)
        return rc;
    kds_vcek_url(snp, base, url, sizeof(url));
    return fetch_cert(f, url, col);
}

static int fetch_hygon(const struct fetch *f, const struct sv_csv *csv,
                       struct shelter_collateral *col)
{
    const char *base = f->o->kds_url ? f->o->kds_url : HYGON_URL;
    char url[1024], serial[65] = "";

    // The serial number goes into the URL: letters and digits only.
    for (int i = 0; i < 64 && csv->serial[i]; i++) {
        if (!isalnum(csv->serial[i])) {
            snprintf(f->why, f->why_size, "the report's serial number is malformed");
            return -EBADMSG;
        }
        serial[i] = (char)csv->serial[i];
    }
    if (strlen(base) > 512)
        return -ENAMETOOLONG;
    snprintf(url, sizeof(url), "%s/hsk_cek?snumber=%s", base, serial);
    return get_url(f, CERT, url, NULL, &col->hygon, &col->hygon_size, NULL, NULL);
}

static int fetch_collateral(const struct fetch *f, const struct sv_evidence *ev,
                            struct shelter_verdict *scratch, struct shelter_collateral *col)
{
    struct sv_parts parts = {0};
    struct sv_quote quote;
    struct sv_snp snp;
    struct sv_csv csv;
    int rc = -EBADMSG;

    if (ev->type == SHELTER_EVIDENCE_NITRO) {
        rc = 0; // the document holds its chain
    } else if (ev->type == SHELTER_EVIDENCE_CSV) {
        rc = sv_csv_parse(ev->data, ev->size, ev->csv_version, &csv, scratch)
                 ? -EBADMSG
                 : fetch_hygon(f, &csv, col);
    } else if (ev->type == SHELTER_EVIDENCE_SNP) {
        rc = sv_snp_parse(ev->data, ev->size, &snp, scratch) ? -EBADMSG
                                                             : fetch_amd(f, &snp, &parts, col);
        if (!rc)
            rc = sv_collateral_build(col, &parts);
        sv_parts_free(&parts);
    } else if (!sv_quote_parse(ev->data, ev->size, &quote, scratch)) {
        rc = fetch_intel(f, &quote, &parts);
        if (!rc)
            rc = sv_collateral_build(col, &parts);
        sv_parts_free(&parts);
    }
    if (rc == -EBADMSG && scratch->refusal_count)
        snprintf(f->why, f->why_size, "%s", scratch->refusal[0].sentence);
    return rc;
}

int shelter_collateral_fetch(const void *evidence, size_t evidence_size,
                             enum shelter_evidence_type type,
                             const struct shelter_fetch_options *options, const void *ca,
                             size_t ca_size, struct shelter_collateral **out, char *why,
                             size_t why_size)
{
    struct shelter_fetch_options own = {0};
    struct fetch f = {.o = &own, .why = why, .why_size = why_size};
    size_t size = options->size ? options->size : OPTIONS_FIRST;
    struct shelter_verdict *scratch = calloc(1, sizeof(*scratch));
    struct shelter_collateral *col;
    struct sv_evidence ev = {0};
    int rc;

    *out = NULL;
    why[0] = 0;
    if (size < OPTIONS_FIRST || size > sizeof(own)) {
        snprintf(why, why_size, "the options are of another version of this library");
        free(scratch);
        return -EINVAL;
    }
    memcpy(&own, options, size);
    f.now = own.now ? own.now : (int64_t)time(NULL);
    col = sv_collateral_new(ca, ca_size, why, why_size, &rc);
    if (!col || !scratch) {
        free(scratch);
        shelter_collateral_free(col);
        return rc ? rc : -ENOMEM;
    }
    scratch->claims = cJSON_CreateObject();
    if (sv_evidence_open(evidence, evidence_size, type, &ev, scratch)) {
        rc = -EBADMSG;
        snprintf(why, why_size, "%s", scratch->refusal[0].sentence);
    } else {
        rc = fetch_collateral(&f, &ev, scratch, col);
    }
    sv_evidence_free(&ev);
    shelter_verdict_free(scratch);
    if (rc)
        shelter_collateral_free(col);
    else
        *out = col;
    return rc;
}
