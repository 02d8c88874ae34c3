// SPDX-License-Identifier: Apache-2.0
// Judges an Intel quote: PCK chain, CRLs, signed JSON, three signatures, identities, TCB status.
#include "verifier/quote/intel.h"

#include <errno.h>
#include <stdio.h>

struct judge {
    struct sv_intel *in;
    const struct shelter_collateral *col;
    const struct sv_certs *signer, *named;
    struct shelter_verdict *v;
    struct sv_certs quoted; // certificates of the quote
    struct sv_chain chain;
    struct sv_pck pck;
    EVP_PKEY *pck_key;
    bool simulated;
};

static void judge_dates(struct judge *j, const char *what, int64_t from, int64_t to,
                        enum shelter_reason early, enum shelter_reason late)
{
    char text[32];

    if (j->v->time < from) {
        sv_time_format(from, text);
        sv_refuse(j->v, early, "%s, valid from %s", what, text);
    } else if (j->v->time > to) {
        sv_time_format(to, text);
        sv_refuse(j->v, late, "%s, valid to %s", what, text);
    }
}

// The PCK certificate: the one that carries the SGX extension.
static X509 *find_pck(const struct sv_certs *certs, struct sv_pck *pck)
{
    for (size_t i = 0; i < certs->count; i++)
        if (X509_check_ca(certs->cert[i]) == 0 && !sv_pck_parse(certs->cert[i], pck))
            return certs->cert[i];
    return NULL;
}

// Platforms share their PCK CA: its chain was checked when the collateral was loaded. NULL: it was
// not, or ends in no root that counts.
static const struct sv_chain *trusted_ca(const struct judge *j)
{
    const struct sv_chain *chain = j->col ? &j->col->crl_chain : NULL;

    return chain && chain->count && chain->root != SV_ROOT_NONE ? chain : NULL;
}

static X509 *load_pck(struct judge *j)
{
    const struct sv_quote *q = &j->in->quote;
    X509 *leaf;

    if (q->cert_type == 5) {
        if (trusted_ca(j))
            sv_certs_learn(j->col->seen, j->col->crl_chain.cert[0], q->cert_data.data,
                           q->cert_data.size);
        if (sv_certs_add_known(&j->quoted, q->cert_data.data, q->cert_data.size,
                               j->col ? &j->col->pool : NULL, j->col ? j->col->seen : NULL)) {
            sv_refuse(j->v, SHELTER_R_CERT_PARSE, "PCK chain of the quote");
            return NULL;
        }
        leaf = find_pck(&j->quoted, &j->pck);
        if (!leaf)
            sv_refuse(j->v, SHELTER_R_PCK_EXTENSION, NULL);
        return leaf;
    }
    if (q->cert_type == 4 && sv_certs_add(&j->quoted, q->cert_data.data, q->cert_data.size)) {
        sv_refuse(j->v, SHELTER_R_CERT_PARSE, "PCK certificate of the quote");
        return NULL;
    }
    leaf = find_pck(&j->quoted, &j->pck);
    if (!leaf)
        leaf = find_pck(j->signer, &j->pck);
    if (!leaf && j->col)
        leaf = find_pck(&j->col->pool, &j->pck);
    if (!leaf)
        sv_refuse(j->v, SHELTER_R_NO_PCK_CHAIN, "certification data type %u", q->cert_type);
    return leaf;
}

// The bytes of a certificate that came with the quote, NULL if it was known.
static const uint8_t *bytes_of(const struct sv_certs *certs, const X509 *cert, size_t *size)
{
    for (size_t i = 0; i < certs->count; i++)
        if (certs->cert[i] == cert) {
            *size = certs->der_size[i];
            return certs->der[i];
        }
    return NULL;
}

static int build_chain(struct judge *j, X509 *leaf)
{
    const struct sv_chain *verified = j->col ? &j->col->crl_chain : NULL;
    bool trusted = trusted_ca(j);
    struct sv_certs pool = {0};
    const uint8_t *der;
    size_t size;
    int rc;

    if (trusted && sv_seen_has(j->col->seen, leaf))
        return sv_chain_over(leaf, j->named, SV_INTEL, verified, &j->chain);
    // Borrowed: pool is never freed.
    const struct sv_certs *from[] = {&j->quoted, j->signer, j->col ? &j->col->pool : NULL};

    for (size_t f = 0; f < 3; f++)
        for (size_t i = 0; from[f] && i < from[f]->count && pool.count < SV_CERTS_MAX; i++)
            pool.cert[pool.count++] = from[f]->cert[i];
    rc = sv_chain_build(leaf, &pool, j->named, SV_INTEL, verified, &j->chain);
    der = bytes_of(&j->quoted, leaf, &size);
    if (!rc && trusted && der && j->chain.cert[1] == verified->cert[0])
        sv_seen_add(j->col->seen, leaf, der, size);
    return rc;
}

static int judge_pck_chain(struct judge *j)
{
    X509 *leaf = load_pck(j);
    char cn[64];
    int rc;

    if (!leaf)
        return -1;
    rc = build_chain(j, leaf);
    if (rc)
        return sv_refuse(j->v, SHELTER_R_PCK_CHAIN, "%s",
                         rc == -ENOENT ? "an issuer is missing" : "a signature does not hold");
    if (j->chain.count != 3)
        return sv_refuse(j->v, SHELTER_R_PCK_CHAIN, "%zu certificates instead of 3",
                         j->chain.count);
    sv_name_cn(X509_get_subject_name(leaf), cn, sizeof(cn));
    if (!strstr(cn, "SGX PCK Certificate"))
        return sv_refuse(j->v, SHELTER_R_PCK_CERT, "its subject is \"%s\"", cn);
    j->pck_key = sv_leaf_key(leaf);
    if (!sv_key_is_ec(j->pck_key, "prime256v1"))
        return sv_refuse(j->v, SHELTER_R_PCK_CERT, "its key is not over P-256");
    j->v->simulated = j->chain.simulated;
    if (j->chain.root == SV_ROOT_NONE)
        return sv_refuse(j->v, j->chain.simulated ? SHELTER_R_SIMULATED : SHELTER_R_ROOT,
                         j->chain.simulated ? "its root was not named (--ca FILE; 'shelter attest "
                                              "--simulated-root' writes a machine's own)"
                                            : NULL);
    judge_dates(j, "PCK chain", j->chain.not_before, j->chain.not_after, SHELTER_R_CERT_EARLY,
                SHELTER_R_CERT_EXPIRED);
    return 0;
}

static bool is_revoked(const struct sv_crl *crl, X509 *cert)
{
    X509_REVOKED *entry;

    return crl->crl && X509_CRL_get0_by_cert(crl->crl, &entry, cert) == 1;
}

static void judge_crls(struct judge *j)
{
    const struct shelter_collateral *col = j->col;
    const struct sv_crl *pck = &col->pck_crl, *root = &col->root_crl;

    if (!pck->piece.present || !root->piece.present) {
        sv_refuse(j->v, SHELTER_R_NO_COLLATERAL, "%s is missing",
                  pck->piece.present ? "root_ca_crl" : "pck_crl");
        return;
    }
    if (root->piece.fault != SHELTER_R_OK)
        sv_refuse(j->v, root->piece.fault, "%s", root->piece.detail);
    else
        judge_dates(j, "root CA CRL", root->this_update, root->next_update, SHELTER_R_CRL_EARLY,
                    SHELTER_R_CRL_EXPIRED);
    if (pck->piece.fault != SHELTER_R_OK) {
        sv_refuse(j->v, pck->piece.fault, "%s", pck->piece.detail);
    } else {
        judge_dates(j, "PCK CRL", pck->this_update, pck->next_update, SHELTER_R_CRL_EARLY,
                    SHELTER_R_CRL_EXPIRED);
        judge_dates(j, "PCK CRL issuer chain", col->crl_chain.not_before, col->crl_chain.not_after,
                    SHELTER_R_CERT_EARLY, SHELTER_R_CERT_EXPIRED);
    }
    if (pck->piece.fault == SHELTER_R_OK) {
        // The CRL must be of the very CA that issued this PCK certificate.
        if (X509_NAME_cmp(X509_CRL_get_issuer(pck->crl), X509_get_issuer_name(j->chain.cert[0])) ||
            EVP_PKEY_eq(X509_get0_pubkey(col->crl_issuer), X509_get0_pubkey(j->chain.cert[1])) != 1)
            sv_refuse(j->v, SHELTER_R_CRL_ISSUER, NULL);
        else if (is_revoked(pck, j->chain.cert[0]))
            sv_refuse(j->v, SHELTER_R_PCK_REVOKED, NULL);
    }
    if (root->piece.fault == SHELTER_R_OK &&
        (is_revoked(root, j->chain.cert[1]) ||
         (col->crl_issuer && is_revoked(root, col->crl_issuer))))
        sv_refuse(j->v, SHELTER_R_CA_REVOKED, "PCK CA");
    if (root->piece.fault == SHELTER_R_OK &&
        ((col->tcb_signer && is_revoked(root, col->tcb_signer)) ||
         (col->qe_signer && is_revoked(root, col->qe_signer))))
        sv_refuse(j->v, SHELTER_R_CA_REVOKED, "TCB signing");
}

// Whether the root of a piece of collateral is the root of the quote: a caller's own root must
// not vouch for the TCB of real hardware, nor the other way round.
static bool same_root(const struct judge *j, const struct sv_chain *chain)
{
    return chain->count && EVP_PKEY_eq(X509_get0_pubkey(chain->cert[chain->count - 1]),
                                       X509_get0_pubkey(j->chain.cert[j->chain.count - 1])) == 1;
}

static bool judge_tcb_info(struct judge *j)
{
    const struct shelter_collateral *col = j->col;
    const struct sv_tcb_info *info = &col->tcb;
    bool tdx = j->in->quote.tee == SV_TEE_TDX;

    if (!col->tcb_piece.present) {
        sv_refuse(j->v, SHELTER_R_NO_COLLATERAL, "tcb_info is missing");
        return false;
    }
    if (col->tcb_piece.fault != SHELTER_R_OK) {
        sv_refuse(j->v, col->tcb_piece.fault, "%s", col->tcb_piece.detail);
        return false;
    }
    if (!same_root(j, &col->tcb_chain)) {
        sv_refuse(j->v, SHELTER_R_TCB_CHAIN, "it ends in another root than the quote");
        return false;
    }
    judge_dates(j, "TCB info", info->issue, info->next, SHELTER_R_TCB_INFO_EARLY,
                SHELTER_R_TCB_INFO_EXPIRED);
    judge_dates(j, "TCB signing chain", col->tcb_chain.not_before, col->tcb_chain.not_after,
                SHELTER_R_CERT_EARLY, SHELTER_R_CERT_EXPIRED);
    if (info->tdx != tdx) {
        sv_refuse(j->v, SHELTER_R_TCB_INFO_MISMATCH, "it is for %s", info->tdx ? "TDX" : "SGX");
        return false;
    }
    if (memcmp(info->fmspc, j->pck.fmspc, 6) || memcmp(info->pceid, j->pck.pceid, 2)) {
        sv_refuse(j->v, SHELTER_R_TCB_INFO_MISMATCH, "FMSPC or PCE-ID differ");
        return false;
    }
    return true;
}

static bool masked_equal(const uint8_t *have, const uint8_t *mask, const uint8_t *want, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((have[i] & mask[i]) != want[i])
            return false;
    return true;
}

static bool judge_qe_identity(struct judge *j)
{
    const struct shelter_collateral *col = j->col;
    const struct sv_qe_identity *id = &col->qe;
    const uint8_t *qe = j->in->quote.qe_report;
    enum sv_qe_kind kind = j->in->quote.tee == SV_TEE_TDX ? SV_TD_QE : SV_QE;
    const char *what = NULL;

    if (!col->qe_piece.present) {
        sv_refuse(j->v, SHELTER_R_NO_COLLATERAL, "qe_identity is missing");
        return false;
    }
    if (col->qe_piece.fault != SHELTER_R_OK) {
        sv_refuse(j->v, col->qe_piece.fault, "%s", col->qe_piece.detail);
        return false;
    }
    if (!same_root(j, &col->qe_chain)) {
        sv_refuse(j->v, SHELTER_R_TCB_CHAIN, "the QE identity ends in another root than the quote");
        return false;
    }
    judge_dates(j, "QE identity", id->issue, id->next, SHELTER_R_QE_ID_EARLY,
                SHELTER_R_QE_ID_EXPIRED);
    if (col->qe_signer != col->tcb_signer)
        judge_dates(j, "QE identity signing chain", col->qe_chain.not_before,
                    col->qe_chain.not_after, SHELTER_R_CERT_EARLY, SHELTER_R_CERT_EXPIRED);
    if (id->kind != kind)
        what = "the identity is for another enclave";
    else if (!masked_equal(qe + SV_SGX_MISCSELECT, id->miscselect_mask, id->miscselect, 4))
        what = "MISCSELECT";
    else if (!masked_equal(qe + SV_SGX_ATTRIBUTES, id->attributes_mask, id->attributes, 16))
        what = "ATTRIBUTES";
    else if (memcmp(qe + SV_SGX_MRSIGNER, id->mrsigner, 32))
        what = "MRSIGNER";
    else if (sh_le16(qe + SV_SGX_ISVPRODID) != id->isvprodid)
        what = "ISVPRODID";
    if (what)
        sv_refuse(j->v, SHELTER_R_QE_ID_MISMATCH, "%s", what);
    return !what;
}

static bool judge_tdx_module(struct judge *j)
{
    const struct sv_tcb_info *info = &j->col->tcb;
    const uint8_t *b = j->in->quote.body;
    uint8_t version = b[SV_TD_TEE_TCB_SVN + 1];
    const struct sv_tdx_module *m = version ? sv_tdx_module_find(info, version) : &info->tdx_module;

    if (version ? !m : !info->have_tdx_module) {
        sv_refuse(j->v, SHELTER_R_TDX_MODULE, "no identity TDX_%02x", version);
        return false;
    }
    if (memcmp(b + SV_TD_MRSIGNERSEAM, m->mrsigner, 48)) {
        sv_refuse(j->v, SHELTER_R_TDX_MODULE, "MRSIGNERSEAM");
        return false;
    }
    if (!sv_all_zero(b + SV_TD_SEAMATTRIBUTES, 8) ||
        !masked_equal(b + SV_TD_SEAMATTRIBUTES, m->attributes_mask, m->attributes, 8)) {
        sv_refuse(j->v, SHELTER_R_TDX_MODULE, "SEAMATTRIBUTES");
        return false;
    }
    return true;
}

// The chain of three signatures: PCK over the QE report, its hash over the key, the key over the
// quote. All are judged, so that the verdict names each that fails.
static void judge_signatures(struct judge *j)
{
    const struct sv_quote *q = &j->in->quote;
    uint8_t digest[32];
    EVP_PKEY *key;

    if (!sv_ecdsa_verify(j->pck_key, EVP_sha256(), q->qe_sig, q->qe_sig + 32, 32, q->qe_report,
                         SV_SGX_REPORT_SIZE))
        sv_refuse(j->v, SHELTER_R_QE_REPORT_SIGNATURE, NULL);
    sv_sha256_pair(q->key, 64, q->auth_data.data, q->auth_data.size, digest);
    if (memcmp(digest, q->qe_report + SV_SGX_REPORT_DATA, 32) ||
        !sv_all_zero(q->qe_report + SV_SGX_REPORT_DATA + 32, 32))
        sv_refuse(j->v, SHELTER_R_QE_REPORT_DATA, NULL);
    key = sv_p256_key(q->key);
    if (!key || !sv_ecdsa_verify(key, EVP_sha256(), q->signature, q->signature + 32, 32, q->header,
                                 q->signed_size))
        sv_refuse(j->v, SHELTER_R_QUOTE_SIGNATURE, key ? NULL : "the key is not a point on P-256");
    EVP_PKEY_free(key);
}

static void judge_status(struct judge *j)
{
    struct sv_intel *in = j->in;
    const struct sv_quote *q = &in->quote;
    const uint8_t *svn = q->tee == SV_TEE_TDX ? q->body + SV_TD_TEE_TCB_SVN : NULL;
    uint16_t qe_isvsvn = sh_le16(q->qe_report + SV_SGX_ISVSVN);
    char text[32];

    sv_tcb_evaluate(&j->col->tcb, &j->col->qe, &j->pck, qe_isvsvn, svn, &in->tcb);
    in->status = in->tcb.status;
    if (q->body_type >= 3 && in->status != SV_TCB_NOT_SUPPORTED) {
        struct sv_tcb_result now;

        sv_tcb_evaluate(&j->col->tcb, &j->col->qe, &j->pck, qe_isvsvn,
                        q->body + SV_TD_TEE_TCB_SVN_2, &now);
        sv_claim_text(j->v, "tcb_status_current", sv_tcb_status_name(now.status));
        in->status = now.status == SV_TCB_NOT_SUPPORTED
                         ? SV_TCB_NOT_SUPPORTED
                         : sv_tcb_relaunch(in->tcb.status, now.status);
    }
    in->tcb_judged = true;
    snprintf(j->v->tcb_status, sizeof(j->v->tcb_status), "%s", sv_tcb_status_name(in->status));
    for (int i = 0; i < 3; i++)
        sv_advisory_add_all(j->v, in->tcb.advisories[i]);
    if (in->tcb.date) {
        sv_time_format(in->tcb.date, text);
        sv_claim_text(j->v, "tcb_date", text);
    }
    sv_claim_text(j->v, "tcb_level_status", sv_tcb_status_name(in->tcb.platform));
    sv_claim_text(j->v, "qe_status", sv_tcb_status_name(in->tcb.qe));
    if (in->tcb.module != SV_TCB_NOT_SUPPORTED)
        sv_claim_text(j->v, "tdx_module_status", sv_tcb_status_name(in->tcb.module));
    sv_claim_number(j->v, "tcb_evaluation_number", j->col->tcb.evaluation_number);
}

static void pck_claims(struct judge *j)
{
    static const char *const types[] = {"Standard", "Scalable", "ScalableWithIntegrity"};

    sv_claim_hex(j->v, "fmspc", j->pck.fmspc, 6);
    sv_claim_hex(j->v, "pceid", j->pck.pceid, 2);
    sv_claim_hex(j->v, "ppid", j->pck.ppid, 16);
    sv_claim_text(j->v, "sgx_type", types[j->pck.sgx_type]);
    if (j->pck.has_instance)
        sv_claim_hex(j->v, "platform_instance_id", j->pck.instance, 16);
    if (j->pck.has_configuration) {
        sv_claim_bool(j->v, "dynamic_platform", j->pck.dynamic_platform);
        sv_claim_bool(j->v, "cached_keys", j->pck.cached_keys);
        sv_claim_bool(j->v, "smt_enabled", j->pck.smt_enabled);
    }
    sv_claim_hex(j->v, "pck_tcb_components", j->pck.svn, 16);
    sv_claim_number(j->v, "pck_pcesvn", j->pck.pcesvn);
    snprintf(j->v->root, sizeof(j->v->root), "%s",
             j->chain.root == SV_ROOT_PINNED ? "pinned" : "named by the caller");
}

void sv_intel_judge(struct sv_intel *in, const struct shelter_collateral *col,
                    const struct sv_certs *signer, const struct sv_certs *named,
                    bool allow_simulated, struct shelter_verdict *v)
{
    struct judge j = {.in = in, .col = col, .signer = signer, .named = named, .v = v};
    bool tdx = in->quote.tee == SV_TEE_TDX;

    if (judge_pck_chain(&j) == 0) {
        pck_claims(&j);
        judge_signatures(&j);
        if (v->simulated && !allow_simulated)
            sv_refuse(v, SHELTER_R_SIMULATED, NULL);
        if (!col && v->simulated && allow_simulated) {
            // A simulated TCB has nothing to be out of date.
            snprintf(v->tcb_status, sizeof(v->tcb_status), "Simulated");
        } else if (!col) {
            sv_refuse(v, SHELTER_R_NO_COLLATERAL, NULL);
        } else {
            bool info, qe;

            judge_crls(&j);
            info = judge_tcb_info(&j);
            qe = judge_qe_identity(&j);
            if (info && qe && (!tdx || judge_tdx_module(&j)))
                judge_status(&j);
        }
    }
    EVP_PKEY_free(j.pck_key);
    sv_certs_free(&j.quoted);
}
