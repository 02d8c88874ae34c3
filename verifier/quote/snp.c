// SPDX-License-Identifier: Apache-2.0
// Judges an SNP report: VCEK or VLEK chain, AMD's certificate extensions (57230), signature, TCB.
#include "verifier/quote/snp.h"
#include "verifier/quote/amd_keys.h"
#include "verifier/base/der.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

// What the signer's certificate says: OIDs 1.3.6.1.4.1.3704.1.n.
struct amd_cert {
    enum sv_snp_product product;
    struct sv_snp_tcb tcb;
    bool have_hwid;
    uint8_t hwid[64];
    size_t hwid_size; // 64, or 8 on Turin
    char csp_id[64];
};

static bool amd_extension(X509 *cert, uint8_t a, uint8_t b, struct sv_bytes *out)
{
    const uint8_t oid[10] = {0x2b, 0x06, 0x01, 0x04, 0x01, 0x9c, 0x78, 0x01, a, b};
    const ASN1_OCTET_STRING *value = sv_extension(cert, oid, b ? 10 : 9);

    if (!value)
        return false;
    *out = (struct sv_bytes){ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value)};
    return true;
}

static bool amd_spl(X509 *cert, uint8_t n, uint8_t *out)
{
    struct sv_bytes in;
    uint32_t value;

    if (!amd_extension(cert, 3, n, &in) || !sv_der_uint(&in, &value) || value > 255)
        return false;
    *out = (uint8_t)value;
    return true;
}

static enum sv_snp_product product_named(const uint8_t *name, size_t size)
{
    for (int p = SV_SNP_MILAN; p <= SV_SNP_TURIN; p++) {
        const char *n = sv_snp_product_name((enum sv_snp_product)p);
        size_t length = strlen(n);

        // "Milan", also with a stepping: "Milan-B0"
        if (size >= length && !memcmp(name, n, length) && (size == length || name[length] == '-'))
            return (enum sv_snp_product)p;
    }
    return SV_SNP_UNKNOWN;
}

// Returns the name of the extension that is missing or malformed, or NULL.
static const char *amd_cert_parse(X509 *cert, struct amd_cert *out)
{
    struct sv_bytes in, body;

    *out = (struct amd_cert){0};
    if (!amd_extension(cert, 2, 0, &in) || !sv_der_take(&in, SV_DER_IA5, &body))
        return "productName";
    out->product = product_named(body.data, body.size);
    if (out->product == SV_SNP_UNKNOWN)
        return "productName";
    if (!amd_spl(cert, 1, &out->tcb.bl))
        return "blSPL";
    if (!amd_spl(cert, 2, &out->tcb.tee))
        return "teeSPL";
    if (!amd_spl(cert, 3, &out->tcb.snp))
        return "snpSPL";
    if (!amd_spl(cert, 8, &out->tcb.ucode))
        return "ucodeSPL";
    if (out->product == SV_SNP_TURIN && !amd_spl(cert, 9, &out->tcb.fmc))
        return "fmcSPL";
    if (amd_extension(cert, 4, 0, &in)) {
        // Either the bytes themselves or an OCTET STRING of them.
        if (in.size != 64 && in.size != 8 && !sv_der_take(&in, SV_DER_OCTETS, &in))
            return "hwID";
        if (in.size != 64 && in.size != 8)
            return "hwID";
        memcpy(out->hwid, in.data, in.size);
        out->hwid_size = in.size;
        out->have_hwid = true;
    }
    if (amd_extension(cert, 5, 0, &in) && sv_der_take(&in, SV_DER_IA5, &body))
        snprintf(out->csp_id, sizeof(out->csp_id), "%.*s", (int)body.size, body.data);
    return NULL;
}

static bool is_amd_leaf(X509 *cert)
{
    struct sv_bytes in;

    return X509_check_ca(cert) == 0 && amd_extension(cert, 2, 0, &in) &&
           sv_key_is_ec(X509_get0_pubkey(cert), "secp384r1");
}

static X509 *find_leaf(const struct sv_certs *certs)
{
    for (size_t i = 0; certs && i < certs->count; i++)
        if (is_amd_leaf(certs->cert[i]))
            return certs->cert[i];
    return NULL;
}

static void judge_dates(const char *cn, int64_t from, int64_t to, struct shelter_verdict *v)
{
    char text[32];

    if (v->time < from) {
        sv_time_format(from, text);
        sv_refuse(v, SHELTER_R_CERT_EARLY, "%s chain, valid from %s", cn, text);
    } else if (v->time > to) {
        sv_time_format(to, text);
        sv_refuse(v, SHELTER_R_CERT_EXPIRED, "%s chain, valid to %s", cn, text);
    }
}

// Without the intermediate's certificate: its key is pinned, as the root is. Where a CRL is given
// it must be judged, and the CRL names certificates: whoever left one out cannot leave that out
// too.
static int judge_by_pinned_key(X509 *leaf, const char *issuer, const struct shelter_collateral *col,
                               struct shelter_verdict *v)
{
    EVP_PKEY *key;
    int ok;

    if (col && col->amd_crl.piece.present)
        return sv_refuse(v, SHELTER_R_NO_INTERMEDIATE, "\"%s\", which the CRL is judged by",
                         issuer);
    key = sv_amd_key(issuer);
    if (!key)
        return sv_refuse(v, SHELTER_R_NO_INTERMEDIATE, "\"%s\"", issuer);
    ok = X509_verify(leaf, key) == 1;
    EVP_PKEY_free(key);
    if (!ok)
        return sv_refuse(v, SHELTER_R_SNP_CHAIN, "\"%s\" did not sign", issuer);
    snprintf(v->root, sizeof(v->root), "pinned");
    judge_dates(issuer, sv_asn1_time(X509_get0_notBefore(leaf)),
                sv_asn1_time(X509_get0_notAfter(leaf)), v);
    return 0;
}

// The ARK's CRL, where there is one: signed by this ARK, in date, and without this intermediate.
static void judge_crl(const struct sv_crl *c, const struct sv_chain *chain,
                      struct shelter_verdict *v)
{
    X509 *ark = chain->cert[2];
    X509_REVOKED *entry;
    char text[32];

    if (!c->piece.present)
        return;
    if (c->piece.fault != SHELTER_R_OK) {
        sv_refuse(v, c->piece.fault, "AMD CRL: %s", c->piece.detail);
        return;
    }
    if (X509_NAME_cmp(X509_CRL_get_issuer(c->crl), X509_get_subject_name(ark)) ||
        X509_CRL_verify(c->crl, X509_get0_pubkey(ark)) != 1) {
        sv_refuse(v, SHELTER_R_ROOT_CRL_SIGNATURE, "AMD CRL, ARK");
        return;
    }
    if (v->time < c->this_update) {
        sv_time_format(c->this_update, text);
        sv_refuse(v, SHELTER_R_CRL_EARLY, "AMD CRL, valid from %s", text);
    } else if (v->time > c->next_update) {
        sv_time_format(c->next_update, text);
        sv_refuse(v, SHELTER_R_CRL_EXPIRED, "AMD CRL, valid to %s", text);
    }
    if (X509_CRL_get0_by_cert(c->crl, &entry, chain->cert[1]) == 1)
        sv_refuse(v, SHELTER_R_CA_REVOKED, "AMD intermediate");
    else
        sv_claim_bool(v, "amd_crl_judged", true);
}

// The chain that the collateral has of this issuer.
static const struct sv_chain *known_chain(const struct shelter_collateral *col, X509 *leaf)
{
    for (size_t i = 0; col && i < col->amd_count; i++)
        if (!X509_NAME_cmp(X509_get_subject_name(col->amd[i].cert[0]), X509_get_issuer_name(leaf)))
            return &col->amd[i];
    return NULL;
}

static int judge_chain(X509 *leaf, const struct shelter_collateral *col,
                       const struct sv_certs *signer, const struct sv_certs *named, bool vlek,
                       bool allow_simulated, struct shelter_verdict *v)
{
    const struct sv_certs *from[] = {signer, col ? &col->pool : NULL, named};
    const struct sv_chain *known = known_chain(col, leaf);
    struct sv_certs pool = {0}; // borrows
    struct sv_chain chain;
    char cn[64];
    int rc;

    sv_name_cn(X509_get_issuer_name(leaf), cn, sizeof(cn));
    if (!strncmp(cn, "SEV-", 4) && (strncmp(cn, "SEV-VLEK-", 9) == 0) != vlek)
        return sv_refuse(v, SHELTER_R_SNP_SIGNER_KIND, "issued by \"%s\"", cn);
    if (known) // before another copy of the same
        pool.cert[pool.count++] = known->cert[0];
    for (size_t f = 0; f < 3; f++)
        for (size_t i = 0; from[f] && i < from[f]->count && pool.count < SV_CERTS_MAX; i++)
            pool.cert[pool.count++] = from[f]->cert[i];
    rc = sv_chain_build(leaf, &pool, named, SV_AMD, known, &chain);
    if (rc == -ENOENT)
        return judge_by_pinned_key(leaf, cn, col, v);
    if (!chain.count)
        return sv_refuse(v, SHELTER_R_SNP_CHAIN, "the signer has no proper dates");
    sv_name_cn(X509_get_issuer_name(chain.cert[chain.count - 1]), cn, sizeof(cn));
    if (rc || chain.count != 3)
        return sv_refuse(v, SHELTER_R_SNP_CHAIN, rc ? "\"%s\" did not sign" : "%s: wrong depth",
                         cn);
    v->simulated = chain.simulated;
    if (chain.root == SV_ROOT_NONE)
        return sv_refuse(v, chain.simulated ? SHELTER_R_SIMULATED : SHELTER_R_ROOT, "\"%s\"", cn);
    if (chain.simulated && !allow_simulated)
        sv_refuse(v, SHELTER_R_SIMULATED, NULL);
    snprintf(v->root, sizeof(v->root), "%s",
             chain.root == SV_ROOT_PINNED ? "pinned" : "named by the caller");
    judge_dates(cn, chain.not_before, chain.not_after, v);
    if (col)
        judge_crl(&col->amd_crl, &chain, v);
    return 0;
}

static void reverse_bytes(uint8_t *out, const uint8_t *in, size_t size)
{
    for (size_t i = 0; i < size; i++)
        out[i] = in[size - 1 - i];
}

static bool signature_holds(const uint8_t *report, X509 *leaf)
{
    uint8_t r[48], s[48];

    // 72-byte little-endian fields; a P-384 scalar leaves the upper 24 bytes zero.
    if (!sv_all_zero(report + SV_SNP_SIG_R + 48, 24) ||
        !sv_all_zero(report + SV_SNP_SIG_S + 48, 24))
        return false;
    reverse_bytes(r, report + SV_SNP_SIG_R, 48);
    reverse_bytes(s, report + SV_SNP_SIG_S, 48);
    return sv_ecdsa_verify(X509_get0_pubkey(leaf), EVP_sha384(), r, s, 48, report,
                           SV_SNP_SIGNED_SIZE);
}

static bool tcb_equal(const struct sv_snp_tcb *a, const struct sv_snp_tcb *b)
{
    return sv_snp_tcb_covers(a, b) && sv_snp_tcb_covers(b, a);
}

// One number each, so that a policy can say below which TCB it refuses.
static void tcb_claims(const struct sv_snp_tcb *tcb, enum sv_snp_product product,
                       struct shelter_verdict *v)
{
    sv_claim_number(v, "tcb_bl", tcb->bl);
    sv_claim_number(v, "tcb_tee", tcb->tee);
    sv_claim_number(v, "tcb_snp", tcb->snp);
    sv_claim_number(v, "tcb_ucode", tcb->ucode);
    if (product == SV_SNP_TURIN)
        sv_claim_number(v, "tcb_fmc", tcb->fmc);
}

// What the certificate says against what the report says.
static void judge_certificate(struct sv_snp *snp, X509 *leaf, bool vlek, struct shelter_verdict *v)
{
    const uint8_t *r = snp->report;
    uint8_t chip[64] = {0};
    struct amd_cert cert;
    const char *bad = amd_cert_parse(leaf, &cert);
    char cn[64];

    if (bad) {
        sv_refuse(v, SHELTER_R_SNP_EXTENSION, "%s", bad);
        return;
    }
    sv_name_cn(X509_get_subject_name(leaf), cn, sizeof(cn));
    if (strcmp(cn, vlek ? "SEV-VLEK" : "SEV-VCEK"))
        sv_refuse(v, SHELTER_R_SNP_SIGNER_KIND, "its subject is \"%s\"", cn);
    sv_claim_text(v, "product", sv_snp_product_name(cert.product));
    if (cert.csp_id[0])
        sv_claim_text(v, "csp_id", cert.csp_id);
    if (snp->version >= 3 && snp->product != cert.product) {
        sv_refuse(v, SHELTER_R_SNP_PRODUCT, "family 0x%x model 0x%x, certificate of %s",
                  r[SV_SNP_CPUID_FAM], r[SV_SNP_CPUID_MOD], sv_snp_product_name(cert.product));
        return;
    }
    snp->product = cert.product;
    snp->current = sv_snp_tcb(r + SV_SNP_CURRENT_TCB, cert.product);
    snp->reported = sv_snp_tcb(r + SV_SNP_REPORTED_TCB, cert.product);
    snp->committed = sv_snp_tcb(r + SV_SNP_COMMITTED_TCB, cert.product);
    snp->launch = sv_snp_tcb(r + SV_SNP_LAUNCH_TCB, cert.product);
    snp->tcb_known = true;
    tcb_claims(&snp->reported, cert.product, v);
    if (!tcb_equal(&snp->reported, &cert.tcb)) {
        snprintf(v->tcb_status, sizeof(v->tcb_status), "CertificateMismatch");
        sv_refuse(v, SHELTER_R_SNP_TCB_CERT, "bl %u/%u tee %u/%u snp %u/%u ucode %u/%u fmc %u/%u",
                  snp->reported.bl, cert.tcb.bl, snp->reported.tee, cert.tcb.tee, snp->reported.snp,
                  cert.tcb.snp, snp->reported.ucode, cert.tcb.ucode, snp->reported.fmc,
                  cert.tcb.fmc);
    } else {
        snprintf(v->tcb_status, sizeof(v->tcb_status), "CertificateMatch");
    }
    if (vlek)
        return;
    if (!cert.have_hwid) {
        sv_refuse(v, SHELTER_R_SNP_EXTENSION, "hwID");
    } else if (sv_all_zero(r + SV_SNP_CHIP_ID, 64)) {
        // MASK_CHIP_ID: the host hides it; the signature by this chip's VCEK still names the chip.
        sv_claim_bool(v, "chip_id_masked", true);
        memcpy(chip, cert.hwid, cert.hwid_size);
        sv_claim_hex(v, "vcek_chip_id", chip, sizeof(chip));
    } else if (memcmp(r + SV_SNP_CHIP_ID, cert.hwid, cert.hwid_size) ||
               !sv_all_zero(r + SV_SNP_CHIP_ID + cert.hwid_size, 64 - cert.hwid_size)) {
        sv_refuse(v, SHELTER_R_SNP_CHIP_ID, NULL);
    }
}

void sv_snp_judge(struct sv_snp *snp, const struct shelter_collateral *col,
                  const struct sv_certs *signer, const struct sv_certs *named, bool allow_simulated,
                  struct shelter_verdict *v)
{
    unsigned key = sh_le32(snp->report + SV_SNP_FLAGS) >> 2 & 7;
    bool vlek = key == 1;
    X509 *leaf = find_leaf(signer);

    if (key > 1) {
        sv_refuse(v, SHELTER_R_SNP_UNSIGNED, "signing key %u", key);
        return;
    }
    if (!leaf && col)
        leaf = find_leaf(&col->pool);
    if (!leaf) {
        sv_refuse(v, SHELTER_R_NO_SIGNER, vlek ? "VLEK" : "VCEK");
        return;
    }
    if (!signature_holds(snp->report, leaf))
        sv_refuse(v, SHELTER_R_SNP_SIGNATURE, NULL);
    judge_chain(leaf, col, signer, named, vlek, allow_simulated, v);
    judge_certificate(snp, leaf, vlek, v);
    if (!snp->tcb_known)
        return;
    if (!sv_snp_tcb_covers(&snp->current, &snp->committed) ||
        !sv_snp_tcb_covers(&snp->committed, &snp->reported))
        sv_refuse(v, SHELTER_R_SNP_TCB_ORDER, NULL);
}
