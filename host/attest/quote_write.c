// SPDX-License-Identifier: Apache-2.0
// Writes Intel quotes (layout: verifier/quote/quote.h, which reads them).
#include "host/attest/intel.h"

#include <errno.h>
#include <string.h>

#include "host/attest/pki.h"
#include "lib/bytes.h"
#include "verifier/quote/quote.h"

#define KEY_TYPE_ECDSA_P256 2u
#define CERT_TYPE_QE_REPORT 6u
#define SIGNATURE_SIZE 64u
#define KEY_SIZE 64u

static const uint8_t vendor[16] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                   0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};

static size_t body_size(const struct sh_quote_parts *p)
{
    static const size_t sizes[] = {0, SV_SGX_REPORT_SIZE, SV_TD10_SIZE, SV_TD15_SIZE,
                                   SV_TD15EX_SIZE};

    return sizes[p->body_type];
}

/* QE report, its signature by the PCK, authentication data, certification data. */
static int qe_part(struct sh_quote_parts *p, const uint8_t key[KEY_SIZE], uint8_t *out)
{
    uint8_t bound[KEY_SIZE + SH_QE_AUTH_SIZE], *at = out;
    memcpy(bound, key, KEY_SIZE);
    memcpy(bound + KEY_SIZE, p->auth, SH_QE_AUTH_SIZE);
    memset(p->qe_report + SV_SGX_REPORT_DATA, 0, 64);
    if (EVP_Digest(bound, sizeof(bound), p->qe_report + SV_SGX_REPORT_DATA, NULL, EVP_sha256(),
                   NULL) != 1)
        return -EIO;
    memcpy(at, p->qe_report, SH_QE_REPORT_SIZE);
    at += SH_QE_REPORT_SIZE;
    if (sh_pki_sign_raw(p->pck, EVP_sha256(), out, SH_QE_REPORT_SIZE, at, at + 32, 32))
        return -EIO;
    at += SIGNATURE_SIZE;
    sh_put_le16(at, SH_QE_AUTH_SIZE);
    memcpy(at + 2, p->auth, SH_QE_AUTH_SIZE);
    at += 2 + SH_QE_AUTH_SIZE;
    sh_put_le16(at, p->cert_type);
    sh_put_le32(at + 2, (uint32_t)p->cert_data_size);
    memcpy(at + 6, p->cert_data, p->cert_data_size);
    return (int)(at + 6 + p->cert_data_size - out);
}

/* Header and body: what the attestation key signs. */
static uint8_t *signed_part(const struct sh_quote_parts *p, uint8_t *at)
{
    memset(at, 0, SH_QUOTE_HEADER);
    sh_put_le16(at, p->version);
    sh_put_le16(at + 2, KEY_TYPE_ECDSA_P256);
    sh_put_le32(at + 4, p->body_type == 1 ? SV_TEE_SGX : SV_TEE_TDX);
    memcpy(at + 12, vendor, sizeof(vendor));
    at += SH_QUOTE_HEADER;
    if (p->version == 5) {
        sh_put_le16(at, p->body_type);
        sh_put_le32(at + 2, (uint32_t)body_size(p));
        at += 6;
    }
    memcpy(at, p->body, body_size(p));
    return at + body_size(p);
}

int sh_quote_write(struct sh_quote_parts *p, uint8_t *out, size_t out_size)
{
    uint8_t key[KEY_SIZE], *at, *size_at;
    size_t most = SH_QUOTE_HEADER + 6 + body_size(p) + 4 + SIGNATURE_SIZE + KEY_SIZE + 6 +
                  SH_QE_REPORT_SIZE + SIGNATURE_SIZE + 2 + SH_QE_AUTH_SIZE + 6;
    if (out_size < most || out_size - most < p->cert_data_size)
        return -ENOSPC;
    size_at = signed_part(p, out);
    at = size_at + 4;
    if (sh_pki_public_xy(p->attestation_key, key, 32) ||
        sh_pki_sign_raw(p->attestation_key, EVP_sha256(), out, (size_t)(size_at - out), at, at + 32,
                        32))
        return -EIO;
    memcpy(at + SIGNATURE_SIZE, key, KEY_SIZE);
    at += SIGNATURE_SIZE + KEY_SIZE;
    uint8_t *wrapped = p->version == 3 ? NULL : at;
    int n = qe_part(p, key, wrapped ? at + 6 : at);
    if (n < 0)
        return n;
    if (wrapped) {
        sh_put_le16(wrapped, CERT_TYPE_QE_REPORT);
        sh_put_le32(wrapped + 2, (uint32_t)n);
        n += 6;
    }
    at += n;
    sh_put_le32(size_at, (uint32_t)(at - size_at - 4));
    return (int)(at - out);
}
