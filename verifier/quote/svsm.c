// SPDX-License-Identifier: Apache-2.0
// Reads and judges an SVSM's manifest: which services, and which key its vTPM has.
#include "verifier/quote/svsm.h"
#include "verifier/base/x509.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#define HEAD_SIZE 24u // of the table and of each of its entries
#define ALG_RSA 0x0001u
#define ALG_SHA256 0x000bu
#define ALG_SHA384 0x000cu
#define ALG_NULL 0x0010u
#define ALG_ECC 0x0023u
#define CURVE_P256 0x0003u
#define ATTRIBUTE_SIGN (1u << 18)
#define PUBLIC_MAX 1024 // bytes of a TPMT_PUBLIC

// As the bytes of a GUID lie: three numbers little-endian, the rest as it is written.
static const uint8_t services_guid[] = {0xbb, 0x9e, 0x84, 0x63, 0x92, 0x3d, 0x70, 0x46,
                                        0xa1, 0xff, 0x58, 0xf9, 0xc9, 0x4b, 0x87, 0xbb};
static const uint8_t vtpm_guid[] = {0xeb, 0xf1, 0x76, 0xc4, 0x23, 0x01, 0xa5, 0x45,
                                    0x96, 0x41, 0xb4, 0xe7, 0xdd, 0xe5, 0xbf, 0xe3};

// The table's one vTPM in *out, or nothing there. Returns what is wrong, or NULL.
static const char *find_vtpm(struct sv_bytes all, struct sv_bytes *out)
{
    uint32_t count = sh_le32(all.data + 20);

    if (sh_le32(all.data + 16) != all.size)
        return "its size";
    if (count > SV_SVSM_SERVICES_MAX || HEAD_SIZE * (count + 1) > all.size)
        return "the number of services";
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *entry = all.data + (size_t)HEAD_SIZE * (i + 1);
        uint32_t from = sh_le32(entry + 16), size = sh_le32(entry + 20);

        if (from < HEAD_SIZE * (count + 1) || from > all.size || size > all.size - from)
            return "a service's data";
        if (memcmp(entry, vtpm_guid, sizeof(vtpm_guid)))
            continue;
        if (out->data)
            return "two vTPMs";
        *out = (struct sv_bytes){all.data + from, size};
    }
    return NULL;
}

// --- TPMT_PUBLIC (TPM 2.0 library, part 2, 12.2.4) ---

struct key {
    uint32_t type, name_alg, attributes, curve, exponent;
    struct sv_bytes x, y; // of RSA the modulus alone
};

// An algorithm that may be none, with `more` numbers of 16 bits behind it otherwise.
static void take_algorithm(struct sv_bytes *in, unsigned more, bool *ok)
{
    if (sv_tpm_number(in, 2, ok) != ALG_NULL && *ok)
        *ok = sv_take(in, (size_t)2 * more) != NULL;
}

static bool parse_public(struct sv_bytes in, struct key *out)
{
    bool ok = in.size <= PUBLIC_MAX;

    *out = (struct key){.type = sv_tpm_number(&in, 2, &ok)};
    out->name_alg = sv_tpm_number(&in, 2, &ok);
    out->attributes = sv_tpm_number(&in, 4, &ok);
    sv_tpm_sized(&in, &ok);      // policy
    take_algorithm(&in, 2, &ok); // symmetric: bits, mode
    take_algorithm(&in, 1, &ok); // scheme: hash
    if (out->type == ALG_RSA) {
        sv_tpm_number(&in, 2, &ok); // bits; the modulus tells
        out->exponent = sv_tpm_number(&in, 4, &ok);
    } else if (out->type == ALG_ECC) {
        out->curve = sv_tpm_number(&in, 2, &ok);
        take_algorithm(&in, 1, &ok); // key derivation: hash
    } else {
        return false;
    }
    out->x = sv_tpm_sized(&in, &ok);
    if (out->type == ALG_ECC)
        out->y = sv_tpm_sized(&in, &ok);
    return ok && !in.size && out->x.size >= 32 && out->x.size <= 512 && out->y.size <= 66 &&
           (out->name_alg == ALG_SHA256 || out->name_alg == ALG_SHA384);
}

static EVP_PKEY *rsa_key(const struct key *k)
{
    BIGNUM *n = BN_bin2bn(k->x.data, (int)k->x.size, NULL), *e = BN_new();
    EVP_PKEY *key = NULL;

    if (n && e && BN_set_word(e, k->exponent ? k->exponent : 65537))
        key = sv_rsa_key(n, e);
    BN_free(n);
    BN_free(e);
    return key;
}

// The key, where it may sign; NULL otherwise.
static EVP_PKEY *signing_key(const struct key *k)
{
    uint8_t xy[64];

    if (!(k->attributes & ATTRIBUTE_SIGN))
        return NULL;
    if (k->type == ALG_RSA)
        return rsa_key(k);
    if (k->curve != CURVE_P256 || k->x.size != 32 || k->y.size != 32)
        return NULL;
    memcpy(xy, k->x.data, 32);
    memcpy(xy + 32, k->y.data, 32);
    return sv_p256_key(xy);
}

// The key as it is, and its name as TPMs have it: the algorithm's number, then the hash.
static void claim_key(const struct key *k, struct sv_bytes bytes, struct shelter_verdict *v)
{
    uint8_t name[2 + 48] = {0, (uint8_t)k->name_alg};
    bool sha384 = k->name_alg == ALG_SHA384;
    char text[2 * PUBLIC_MAX + 1];

    sh_hex(text, bytes.data, bytes.size);
    sv_claim_text(v, "svsm_vtpm_ek", text);
    if (EVP_Digest(bytes.data, bytes.size, name + 2, NULL, sha384 ? EVP_sha384() : EVP_sha256(),
                   NULL) == 1)
        sv_claim_hex(v, "svsm_vtpm_ek_name", name, sha384 ? 50 : 34);
}

static void judge_quote(const struct key *k, const struct sv_tpm_quote *q,
                        struct shelter_verdict *v)
{
    EVP_PKEY *key = k ? signing_key(k) : NULL;

    if (key)
        sv_tpm_judge_by(q, key, v);
    else
        sv_refuse(v, SHELTER_R_NO_SIGNER, "the SVSM's manifest has no key that signs for its vTPM");
    EVP_PKEY_free(key);
}

static bool is_bound(const struct sv_svsm *s, const struct shelter_verdict *v)
{
    uint8_t digest[SHA512_DIGEST_LENGTH];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha512(), NULL) == 1 &&
              EVP_DigestUpdate(ctx, s->nonce.data, s->nonce.size) == 1 &&
              EVP_DigestUpdate(ctx, s->manifest.data, s->manifest.size) == 1 &&
              EVP_DigestFinal_ex(ctx, digest, NULL) == 1;

    EVP_MD_CTX_free(ctx);
    return ok && !memcmp(digest, v->report_data, sizeof(digest));
}

void sv_svsm_judge(const struct sv_svsm *s, uint32_t vmpl, const struct sv_tpm_quote *q,
                   struct shelter_verdict *v)
{
    struct sv_bytes vtpm = {NULL, 0};
    const char *wrong = NULL;
    struct key key;

    // Whoever runs at a higher VMPL may ask for a report over a manifest of his own.
    if (vmpl)
        sv_refuse(v, SHELTER_R_SNP_VMPL, "VMPL %u, where an SVSM's manifest must be of VMPL 0",
                  vmpl);
    if (!is_bound(s, v)) {
        sv_refuse(v, SHELTER_R_REPORT_DATA, "the SVSM's manifest, with \"inblob\" before it");
        return;
    }
    memcpy(v->report_data, s->nonce.data, sizeof(v->report_data));
    if (s->manifest.size < HEAD_SIZE || memcmp(s->manifest.data, services_guid, 16))
        vtpm = s->manifest;
    else
        wrong = find_vtpm(s->manifest, &vtpm);
    if (!wrong && vtpm.data && !parse_public(vtpm, &key))
        wrong = "the vTPM's key";
    if (wrong) {
        sv_refuse(v, SHELTER_R_SVSM_MANIFEST, "%s", wrong);
        return;
    }
    sv_claim_bool(v, "svsm_manifest_bound", true);
    if (vtpm.data)
        claim_key(&key, vtpm, v);
    if (q)
        judge_quote(vtpm.data ? &key : NULL, q, v);
}
