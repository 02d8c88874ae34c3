// SPDX-License-Identifier: Apache-2.0
// Judges collateral once: signing chains, signatures over exact bytes, CRL signatures.
#include "verifier/base/json_span.h"
#include "verifier/quote/collateral.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void set_piece_fault(struct sv_piece *piece, enum shelter_reason reason, const char *fmt,
                            ...) __attribute__((format(printf, 3, 4)));

static void set_piece_fault(struct sv_piece *piece, enum shelter_reason reason, const char *fmt,
                            ...)
{
    va_list ap;

    if (piece->fault != SHELTER_R_OK)
        return;
    piece->fault = reason;
    va_start(ap, fmt);
    vsnprintf(piece->detail, sizeof(piece->detail), fmt, ap);
    va_end(ap);
}

// The certificate that a bundle is about: the one that is no CA, else the first that issued none.
static X509 *bundle_leaf(const struct sv_certs *pool, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (X509_check_ca(pool->cert[i]) == 0)
            return pool->cert[i];
    for (size_t i = from; i < to; i++)
        if (X509_NAME_cmp(X509_get_subject_name(pool->cert[i]),
                          X509_get_issuer_name(pool->cert[i])))
            return pool->cert[i];
    return NULL;
}

// Adds a bundle to the pool and returns its leaf, or NULL.
static X509 *add_bundle(struct shelter_collateral *col, const uint8_t *data, size_t size)
{
    size_t from = col->pool.count;

    if (!size || sv_certs_add(&col->pool, data, size))
        return NULL;
    return bundle_leaf(&col->pool, from, col->pool.count);
}

static const char *chain_fault(int rc)
{
    return rc == -ENOENT ? "an issuer is missing" : "a signature does not hold";
}

// given: the chain was there, whatever it held. What was left out is a lack, and no fault.
static void judge_signer(struct shelter_collateral *col, struct sv_piece *piece, X509 *signer,
                         bool given, struct sv_chain *chain)
{
    char cn[64] = "";
    int rc;

    if (!signer) {
        set_piece_fault(piece, given ? SHELTER_R_TCB_CHAIN : SHELTER_R_NO_COLLATERAL,
                        given ? "no signing certificate" : "the signing chain is missing");
        return;
    }
    rc = sv_chain_build(signer, &col->pool, &col->named, SV_INTEL, NULL, chain);
    if (rc)
        set_piece_fault(piece, SHELTER_R_TCB_CHAIN, "%s", chain_fault(rc));
    else if (chain->root == SV_ROOT_NONE)
        set_piece_fault(piece, SHELTER_R_ROOT, "TCB signing chain");
    // A PCK key must not pass for a TCB signing key: both chains end in the same root.
    sv_name_cn(X509_get_subject_name(signer), cn, sizeof(cn));
    if (!strstr(cn, "TCB Signing"))
        set_piece_fault(piece, SHELTER_R_TCB_CHAIN, "the signer is \"%s\"", cn);
}

// The signed bytes and the signature of a piece of JSON, out of its wrapper if it has one.
static bool signed_span(const struct sv_parts *parts, enum sv_part body, const char *name,
                        const char **text, size_t *size, uint8_t sig[64])
{
    const char *t = (const char *)parts->data[body], *hex;
    size_t n = parts->size[body], hex_size;
    char buf[131];

    if (sv_json_span(t, n, name, text, size)) {
        if (!sv_json_span(t, n, "signature", &hex, &hex_size) || hex_size != 130 || hex[0] != '"')
            return false;
        memcpy(buf, hex + 1, 128);
        buf[128] = 0;
        return !sh_unhex(sig, 64, buf);
    }
    if (parts->size[body + 1] < 128)
        return false;
    *text = t;
    *size = n;
    memcpy(buf, parts->data[body + 1], 128);
    buf[128] = 0;
    return !sh_unhex(sig, 64, buf);
}

static bool signature_holds(X509 *signer, const uint8_t sig[64], const char *text, size_t size)
{
    EVP_PKEY *key = X509_get0_pubkey(signer);

    return sv_key_is_ec(key, "prime256v1") &&
           sv_ecdsa_verify(key, EVP_sha256(), sig, sig + 32, 32, text, size);
}

static void judge_tcb_info(struct shelter_collateral *col, const struct sv_parts *parts)
{
    struct sv_piece *piece = &col->tcb_piece;
    const char *text;
    size_t size;
    uint8_t sig[64];
    char why[100] = "";

    piece->present = parts->size[SV_PART_TCB_INFO] > 0;
    if (!piece->present)
        return;
    if (!signed_span(parts, SV_PART_TCB_INFO, "tcbInfo", &text, &size, sig)) {
        set_piece_fault(piece, SHELTER_R_TCB_INFO_PARSE, "no signature, or no signed object");
        return;
    }
    judge_signer(col, piece, col->tcb_signer, parts->size[SV_PART_TCB_CHAIN], &col->tcb_chain);
    if (col->tcb_signer && !signature_holds(col->tcb_signer, sig, text, size))
        set_piece_fault(piece, SHELTER_R_TCB_INFO_SIGNATURE, "over its exact bytes");
    if (sv_tcb_info_parse(text, size, &col->tcb, why, sizeof(why)))
        set_piece_fault(piece, SHELTER_R_TCB_INFO_PARSE, "%s", why);
}

static void judge_qe_identity(struct shelter_collateral *col, const struct sv_parts *parts)
{
    struct sv_piece *piece = &col->qe_piece;
    const char *text;
    size_t size;
    uint8_t sig[64];
    char why[100] = "";

    piece->present = parts->size[SV_PART_QE_IDENTITY] > 0;
    if (!piece->present)
        return;
    if (!signed_span(parts, SV_PART_QE_IDENTITY, "enclaveIdentity", &text, &size, sig)) {
        set_piece_fault(piece, SHELTER_R_QE_ID_PARSE, "no signature, or no signed object");
        return;
    }
    judge_signer(col, piece, col->qe_signer,
                 parts->size[SV_PART_QE_CHAIN] || parts->size[SV_PART_TCB_CHAIN], &col->qe_chain);
    if (col->qe_signer && !signature_holds(col->qe_signer, sig, text, size))
        set_piece_fault(piece, SHELTER_R_QE_ID_SIGNATURE, "over its exact bytes");
    if (sv_qe_identity_parse(text, size, &col->qe, why, sizeof(why)))
        set_piece_fault(piece, SHELTER_R_QE_ID_PARSE, "%s", why);
}

static void judge_crl(struct sv_crl *c, const uint8_t *data, size_t size)
{
    c->piece.present = size > 0;
    if (!size)
        return;
    c->crl = sv_crl_parse(data, size);
    if (!c->crl) {
        set_piece_fault(&c->piece, SHELTER_R_CRL_PARSE, "%zu bytes", size);
        return;
    }
    c->this_update = sv_asn1_time(X509_CRL_get0_lastUpdate(c->crl));
    c->next_update = sv_asn1_time(X509_CRL_get0_nextUpdate(c->crl));
    if (c->this_update == INT64_MIN || c->next_update == INT64_MIN)
        set_piece_fault(&c->piece, SHELTER_R_CRL_PARSE, "it has no dates");
}

static bool crl_signed_by(X509_CRL *crl, X509 *issuer)
{
    return !X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(issuer)) &&
           X509_CRL_verify(crl, X509_get0_pubkey(issuer)) == 1;
}

static void judge_pck_crl(struct shelter_collateral *col)
{
    struct sv_crl *c = &col->pck_crl;
    int rc;

    if (!c->crl || c->piece.fault != SHELTER_R_OK)
        return;
    if (!col->crl_issuer) {
        set_piece_fault(&c->piece, SHELTER_R_CRL_CHAIN, "no issuer certificate");
        return;
    }
    rc = sv_chain_build(col->crl_issuer, &col->pool, &col->named, SV_INTEL, NULL, &col->crl_chain);
    if (rc)
        set_piece_fault(&c->piece, SHELTER_R_CRL_CHAIN, "%s", chain_fault(rc));
    else if (col->crl_chain.root == SV_ROOT_NONE)
        set_piece_fault(&c->piece, SHELTER_R_ROOT, "PCK CRL issuer chain");
    else if (col->crl_chain.count != 2 || X509_check_ca(col->crl_issuer) != 1)
        set_piece_fault(&c->piece, SHELTER_R_CRL_CHAIN, "the issuer is not a CA under the root");
    if (!crl_signed_by(c->crl, col->crl_issuer))
        set_piece_fault(&c->piece, SHELTER_R_PCK_CRL_SIGNATURE, "issuer key");
}

static void judge_root_crl(struct shelter_collateral *col)
{
    struct sv_crl *c = &col->root_crl;
    const struct sv_chain *chain = NULL;

    if (!c->crl || c->piece.fault != SHELTER_R_OK)
        return;
    if (col->crl_chain.root != SV_ROOT_NONE)
        chain = &col->crl_chain;
    else if (col->tcb_chain.root != SV_ROOT_NONE)
        chain = &col->tcb_chain;
    if (!chain)
        set_piece_fault(&c->piece, SHELTER_R_ROOT, "no trusted root to check the root CRL with");
    else if (!crl_signed_by(c->crl, chain->cert[chain->count - 1]))
        set_piece_fault(&c->piece, SHELTER_R_ROOT_CRL_SIGNATURE, "root key");
}

int sv_collateral_build(struct shelter_collateral *col, const struct sv_parts *parts)
{
    col->tcb_signer =
        add_bundle(col, parts->data[SV_PART_TCB_CHAIN], parts->size[SV_PART_TCB_CHAIN]);
    col->qe_signer = add_bundle(col, parts->data[SV_PART_QE_CHAIN], parts->size[SV_PART_QE_CHAIN]);
    if (!col->qe_signer)
        col->qe_signer = col->tcb_signer;
    col->crl_issuer =
        add_bundle(col, parts->data[SV_PART_PCK_CRL_CHAIN], parts->size[SV_PART_PCK_CRL_CHAIN]);
    add_bundle(col, parts->data[SV_PART_PCK_CHAIN], parts->size[SV_PART_PCK_CHAIN]);
    judge_tcb_info(col, parts);
    judge_qe_identity(col, parts);
    judge_crl(&col->pck_crl, parts->data[SV_PART_PCK_CRL], parts->size[SV_PART_PCK_CRL]);
    judge_crl(&col->root_crl, parts->data[SV_PART_ROOT_CRL], parts->size[SV_PART_ROOT_CRL]);
    judge_crl(&col->amd_crl, parts->data[SV_PART_AMD_CRL], parts->size[SV_PART_AMD_CRL]);
    judge_pck_crl(col);
    judge_root_crl(col);
    return 0;
}

void sv_collateral_chain_amd(struct shelter_collateral *col)
{
    const struct sv_certs *from[] = {&col->pool, &col->named};

    for (size_t f = 0; f < 2; f++)
        for (size_t i = 0; i < from[f]->count && col->amd_count < SV_AMD_CHAINS; i++) {
            struct sv_chain *chain = &col->amd[col->amd_count];
            char cn[64];

            sv_name_cn(X509_get_subject_name(from[f]->cert[i]), cn, sizeof(cn));
            if (!strncmp(cn, "SEV-", 4) && X509_check_ca(from[f]->cert[i]) == 1 &&
                !sv_chain_build(from[f]->cert[i], &col->pool, &col->named, SV_AMD, NULL, chain) &&
                chain->count == 2 && chain->root != SV_ROOT_NONE)
                col->amd_count++;
        }
}

struct shelter_collateral *sv_collateral_new(const void *ca, size_t ca_size, char *why,
                                             size_t why_size, int *rc)
{
    struct shelter_collateral *col = calloc(1, sizeof(*col));

    *rc = col ? 0 : -ENOMEM;
    if (col)
        col->seen = sv_seen_new();
    if (col && ca_size && (*rc = sv_certs_add(&col->named, ca, ca_size))) {
        snprintf(why, why_size, "the CA file holds no readable certificate");
        shelter_collateral_free(col);
        col = NULL;
    }
    if (col && ca_size && (col->named_data = malloc(ca_size))) {
        memcpy(col->named_data, ca, ca_size);
        col->named_size = ca_size;
    }
    return col;
}

void shelter_collateral_free(struct shelter_collateral *col)
{
    if (!col)
        return;
    sv_certs_free(&col->pool);
    sv_certs_free(&col->named);
    sv_seen_free(col->seen);
    sv_tcb_info_free(&col->tcb);
    sv_qe_identity_free(&col->qe);
    X509_CRL_free(col->pck_crl.crl);
    X509_CRL_free(col->root_crl.crl);
    X509_CRL_free(col->amd_crl.crl);
    free(col->named_data);
    free(col->hygon);
    for (size_t i = 0; i < col->rim_count; i++)
        free(col->rim[i].value);
    free(col->rim);
    free(col);
}

void sv_parts_free(struct sv_parts *parts)
{
    for (int i = 0; i < SV_PART_COUNT; i++)
        free(parts->data[i]);
    *parts = (struct sv_parts){0};
}
