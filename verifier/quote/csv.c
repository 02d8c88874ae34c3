// SPDX-License-Identifier: Apache-2.0
// Judges a CSV report: HRK -> HSK -> CEK -> PEK -> report, all SM2.
#include "verifier/quote/csv.h"

#include <stdio.h>

#include <openssl/hmac.h>

enum { // offsets in the report
    USER_PUBKEY_DIGEST = 0,
    VM_ID = 32,
    VM_VERSION = 48,
    REPORT_DATA = 64,
    MNONCE = 128,
    MEASURE = 144,
    POLICY = 176,
    BODY_SIZE = 180,
    ANONCE = 188, // v1
    SIG_V1 = 192,
    SIGNER_V1 = 336,
    RTMR_V2 = 208,
    SIG_V2 = 1024,
    SIGNER_V2 = 1168,
};

enum { // offsets in a PEK or CEK certificate
    CERT_USAGE = 8,
    CERT_CURVE = 16,
    CERT_QX = 20,
    CERT_QY = 92,
    CERT_UID_SIZE = 164,
    CERT_UID = 166,
    CERT_SIGNED_SIZE = 1044,
    CERT_SIG1_USAGE = 1044,
    CERT_SIG1 = 1052,
};

enum { // offsets in a root certificate (HRK, HSK)
    ROOT_USAGE = 36,
    ROOT_QX = 68,
    ROOT_QY = 140,
    ROOT_UID_SIZE = 212,
    ROOT_UID = 214,
    ROOT_SIGNED_SIZE = 576,
    ROOT_SIG = 576,
};

enum { USAGE_HRK = 0x0, USAGE_HSK = 0x13, USAGE_PEK = 0x1002, USAGE_CEK = 0x1004 };

// Hygon root key: the pinned public key, little-endian.
static const uint8_t hrk_x[32] = {0x2d, 0xf6, 0xc2, 0x92, 0x1d, 0xf2, 0xf5, 0x2a, 0x50, 0x1f, 0xcd,
                                  0x85, 0xe7, 0x35, 0x09, 0xc8, 0x75, 0x3a, 0x56, 0x09, 0xdb, 0x02,
                                  0xd7, 0xf3, 0x4c, 0xf1, 0xa4, 0x62, 0x4d, 0xe1, 0x62, 0xbe};
static const uint8_t hrk_y[32] = {0x46, 0xb9, 0x1e, 0xb4, 0x68, 0x4d, 0x74, 0x38, 0x47, 0x88, 0xbe,
                                  0xb9, 0x10, 0x0c, 0x64, 0x4a, 0x38, 0x95, 0x4e, 0x16, 0x97, 0x8b,
                                  0x4f, 0x58, 0x15, 0x70, 0xbb, 0x57, 0x3a, 0x12, 0xab, 0x3b};
static const char hrk_id[] = "HYGON-SSD-HRK";

struct key {
    const uint8_t *x, *y, *id;
    size_t id_size;
};

static bool key_of_cert(const uint8_t *cert, size_t qx, size_t qy, size_t uid_size, size_t uid,
                        struct key *key)
{
    key->x = cert + qx;
    key->y = cert + qy;
    key->id = cert + uid;
    key->id_size = sh_le16(cert + uid_size);
    return key->id_size <= 254;
}

static bool signed_by(const struct key *key, const uint8_t *sig, const void *data, size_t size)
{
    return sv_sm2_verify(key->x, key->y, key->id, key->id_size, sig, sig + 72, data, size);
}

static void unmask_field(uint8_t *out, const uint8_t *in, size_t size, const uint8_t anonce[4])
{
    for (size_t i = 0; i < size; i++)
        out[i] = in[i] ^ anonce[i % 4];
}

int sv_csv_parse(const uint8_t *data, size_t size, int version, struct sv_csv *csv,
                 struct shelter_verdict *v)
{
    static const uint8_t none[4];
    const uint8_t *anonce = version == 1 ? data + ANONCE : none, *signer;
    uint8_t body[BODY_SIZE];
    size_t need = version == 1 ? SV_CSV_V1_SIZE : SV_CSV_V2_SIZE;

    *csv = (struct sv_csv){.version = version, .report = data};
    if (size < need)
        return sv_refuse(v, SHELTER_R_TRUNCATED, "%zu of %zu bytes of a CSV report", size, need);
    unmask_field(body, data, sizeof(body), anonce);
    memcpy(csv->mnonce, body + MNONCE, 16);
    csv->policy = sh_le32(body + POLICY);
    signer = data + (version == 1 ? SIGNER_V1 : SIGNER_V2);
    // A PEK certificate says "usage PEK" where it is not masked.
    csv->unmasked =
        version == 1 && sh_le32(signer + CERT_USAGE) == USAGE_PEK && !sv_all_zero(anonce, 4);
    if (csv->unmasked)
        anonce = none;
    unmask_field(csv->pek, signer, SV_HYGON_CERT_SIZE, anonce);
    unmask_field(csv->serial, signer + SV_HYGON_CERT_SIZE, 64, anonce);
    sv_claim_number(v, "version", (uint64_t)version);
    sv_claim_hex(v, "measure", body + MEASURE, 32);
    sv_claim_hex(v, "launch_digest", body + MEASURE, 32);
    sv_claim_hex(v, "report_data", body + REPORT_DATA, 64);
    sv_claim_hex(v, "user_pubkey_digest", body + USER_PUBKEY_DIGEST, 32);
    sv_claim_hex(v, "vm_id", body + VM_ID, 16);
    sv_claim_hex(v, "vm_version", body + VM_VERSION, 16);
    sv_claim_hex(v, "mnonce", body + MNONCE, 16);
    sv_claim_number(v, "policy", csv->policy);
    sv_claim_bool(v, "policy_nodbg", csv->policy & 1);
    sv_claim_bool(v, "policy_noks", csv->policy & 2);
    sv_claim_bool(v, "policy_es", csv->policy & 4);
    sv_claim_bool(v, "policy_nosend", csv->policy & 8);
    if (version == 2)
        for (int i = 0; i < 5; i++) {
            char name[8] = "rtmr0";

            name[4] = (char)('0' + i);
            sv_claim_hex(v, name, data + RTMR_V2 + 32 * i, 32);
        }
    memcpy(v->report_data, body + REPORT_DATA, 64);
    v->have_report_data = true;
    v->debug = !(csv->policy & 1);
    return 0;
}

// The HMAC ties the PEK and serial number to the guest's own nonce; over the masked form.
static bool mac_holds(const struct sv_csv *csv)
{
    const uint8_t *signer = csv->report + (csv->version == 1 ? SIGNER_V1 : SIGNER_V2);
    size_t covered = SV_HYGON_CERT_SIZE + 64 + 32;
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    return HMAC(EVP_sm3(), csv->mnonce, 16, signer, covered, digest, &size) && size == 32 &&
           !memcmp(digest, signer + covered, 32);
}

static int judge_chain(const struct sv_csv *csv, const uint8_t *chain, size_t chain_size,
                       const uint8_t *root, size_t root_size, struct shelter_verdict *v)
{
    struct key hrk = {hrk_x, hrk_y, (const uint8_t *)hrk_id, strlen(hrk_id)}, hsk, cek;
    const uint8_t *cek_cert;

    if (chain_size != SV_HYGON_ROOT_SIZE + SV_HYGON_CERT_SIZE)
        return sv_refuse(v, SHELTER_R_NO_SIGNER, "HSK and CEK, 2916 bytes");
    cek_cert = chain + SV_HYGON_ROOT_SIZE;
    if (root) {
        if (root_size != SV_HYGON_ROOT_SIZE || sh_le32(root + ROOT_USAGE) != USAGE_HRK ||
            !key_of_cert(root, ROOT_QX, ROOT_QY, ROOT_UID_SIZE, ROOT_UID, &hrk) ||
            !signed_by(&hrk, root + ROOT_SIG, root, ROOT_SIGNED_SIZE))
            return sv_refuse(v, SHELTER_R_CSV_CHAIN, "the named HRK");
    }
    snprintf(v->root, sizeof(v->root), root ? "named by the caller" : "pinned");
    if (sh_le32(chain + ROOT_USAGE) != USAGE_HSK ||
        !key_of_cert(chain, ROOT_QX, ROOT_QY, ROOT_UID_SIZE, ROOT_UID, &hsk) ||
        !signed_by(&hrk, chain + ROOT_SIG, chain, ROOT_SIGNED_SIZE))
        return sv_refuse(v, SHELTER_R_CSV_CHAIN, "HSK");
    if (sh_le32(cek_cert + CERT_USAGE) != USAGE_CEK ||
        sh_le32(cek_cert + CERT_SIG1_USAGE) != USAGE_HSK ||
        !key_of_cert(cek_cert, CERT_QX, CERT_QY, CERT_UID_SIZE, CERT_UID, &cek) ||
        !signed_by(&hsk, cek_cert + CERT_SIG1, cek_cert, CERT_SIGNED_SIZE))
        return sv_refuse(v, SHELTER_R_CSV_CHAIN, "CEK");
    if (sh_le32(csv->pek + CERT_SIG1_USAGE) != USAGE_CEK ||
        !signed_by(&cek, csv->pek + CERT_SIG1, csv->pek, CERT_SIGNED_SIZE))
        return sv_refuse(v, SHELTER_R_CSV_CHAIN, "PEK");
    return 0;
}

bool sv_csv_is_root(const void *data, size_t size)
{
    return size == SV_HYGON_ROOT_SIZE && sh_le32((const uint8_t *)data + ROOT_USAGE) == USAGE_HRK;
}

void sv_csv_judge(const struct sv_csv *csv, const uint8_t *chain, size_t chain_size,
                  const uint8_t *root, size_t root_size, struct shelter_verdict *v)
{
    const uint8_t *sig = csv->report + (csv->version == 1 ? SIG_V1 : SIG_V2);
    char serial[65] = "";
    struct key pek;

    for (int i = 0; i < 64 && csv->serial[i] >= 0x20 && csv->serial[i] < 0x7f; i++)
        serial[i] = (char)csv->serial[i];
    sv_claim_text(v, "serial_number", serial);
    if (sh_le32(csv->pek + CERT_USAGE) != USAGE_PEK ||
        !key_of_cert(csv->pek, CERT_QX, CERT_QY, CERT_UID_SIZE, CERT_UID, &pek)) {
        sv_refuse(v, SHELTER_R_CSV_CHAIN, "the report's PEK");
        return;
    }
    if (!signed_by(&pek, sig, csv->report, csv->version == 1 ? BODY_SIZE : SIG_V2))
        sv_refuse(v, SHELTER_R_CSV_SIGNATURE, NULL);
    // A report that was unmasked on its way has lost the bytes that the MAC covers: its PEK stands
    // on the chain alone, and its serial number on nothing.
    if (csv->unmasked)
        sv_claim_bool(v, "serial_number_verified", false);
    else if (!mac_holds(csv))
        sv_refuse(v, SHELTER_R_CSV_MAC, NULL);
    else
        sv_claim_bool(v, "serial_number_verified", true);
    judge_chain(csv, chain, chain_size, root, root_size, v);
}
