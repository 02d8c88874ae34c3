// SPDX-License-Identifier: Apache-2.0
// Intel quotes: header, body, signature data; every length checked, trailing bytes allowed.
#include "verifier/quote/quote.h"

// Intel's quoting enclaves, in the header's vendor field.
static const uint8_t qe_vendor_intel[16] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                            0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};

static int parse_header(const uint8_t *h, struct sv_quote *q, struct shelter_verdict *v)
{
    q->header = h;
    q->version = sh_le16(h);
    q->tee = sh_le32(h + 4);
    if (q->version < 3 || q->version > 5)
        return sv_refuse(v, SHELTER_R_VERSION, "quote version %u", q->version);
    if (sh_le16(h + 2) != 2)
        return sv_refuse(v, SHELTER_R_KEY_TYPE, "type %u", sh_le16(h + 2));
    if (q->version == 3 && q->tee != SV_TEE_SGX)
        // In version 3 these four bytes are reserved.
        return sv_refuse(v, SHELTER_R_RESERVED, "quote header of version 3");
    if (q->tee != SV_TEE_SGX && q->tee != SV_TEE_TDX)
        return sv_refuse(v, SHELTER_R_UNKNOWN_EVIDENCE, "TEE type 0x%x", q->tee);
    if (memcmp(h + 12, qe_vendor_intel, sizeof(qe_vendor_intel)))
        return sv_refuse(v, SHELTER_R_QE_VENDOR, NULL);
    return 0;
}

static int parse_body(struct sv_bytes *in, struct sv_quote *q, struct shelter_verdict *v)
{
    static const size_t sizes[] = {0, SV_SGX_REPORT_SIZE, SV_TD10_SIZE, SV_TD15_SIZE,
                                   SV_TD15EX_SIZE};

    q->body_type = q->tee == SV_TEE_SGX ? 1 : 2;
    q->body_size = sizes[q->body_type];
    if (q->version == 5) {
        const uint8_t *d = sv_take(in, 6);

        if (!d)
            return sv_refuse(v, SHELTER_R_TRUNCATED, "in the body's descriptor");
        q->body_type = sh_le16(d);
        q->body_size = sh_le32(d + 2);
        if (q->body_type < 1 || q->body_type > 4 || q->body_size != sizes[q->body_type] ||
            (q->body_type == 1) != (q->tee == SV_TEE_SGX))
            return sv_refuse(v, SHELTER_R_BODY_TYPE, "type %u, %zu bytes", q->body_type,
                             q->body_size);
    }
    q->body = sv_take(in, q->body_size);
    if (!q->body)
        return sv_refuse(v, SHELTER_R_TRUNCATED, "in the report body");
    q->signed_size = (size_t)(q->body + q->body_size - q->header);
    return 0;
}

// QE report, its signature, authentication data, certification data.
static int parse_qe(struct sv_bytes in, struct sv_quote *q, struct shelter_verdict *v)
{
    const uint8_t *p;

    q->qe_report = sv_take(&in, SV_SGX_REPORT_SIZE);
    q->qe_sig = sv_take(&in, 64);
    p = sv_take(&in, 2);
    if (!q->qe_report || !q->qe_sig || !p)
        return sv_refuse(v, SHELTER_R_SIG_LENGTH, "no room for the QE report");
    q->auth_data.size = sh_le16(p);
    q->auth_data.data = sv_take(&in, q->auth_data.size);
    p = sv_take(&in, 6);
    if (!q->auth_data.data || !p)
        return sv_refuse(v, SHELTER_R_SIG_LENGTH, "no room for the QE authentication data");
    q->cert_type = sh_le16(p);
    q->cert_data.size = sh_le32(p + 2);
    q->cert_data.data = sv_take(&in, q->cert_data.size);
    if (!q->cert_data.data)
        return sv_refuse(v, SHELTER_R_CERT_DATA, "%zu bytes announced, %zu there",
                         q->cert_data.size, in.size);
    if (q->cert_type < 1 || q->cert_type > 5)
        return sv_refuse(v, SHELTER_R_CERT_DATA, "type %u", q->cert_type);
    return 0;
}

int sv_quote_parse(const uint8_t *data, size_t size, struct sv_quote *q, struct shelter_verdict *v)
{
    struct sv_bytes in = {data, size}, sig;
    const uint8_t *p = sv_take(&in, SV_QUOTE_HEADER_SIZE);

    *q = (struct sv_quote){0};
    if (!p)
        return sv_refuse(v, SHELTER_R_TRUNCATED, "in the quote header");
    if (parse_header(p, q, v) || parse_body(&in, q, v))
        return -1;
    p = sv_take(&in, 4);
    if (!p)
        return sv_refuse(v, SHELTER_R_TRUNCATED, "before the signature data");
    sig.size = sh_le32(p);
    sig.data = sv_take(&in, sig.size);
    if (!sig.data) {
        // A length that no quote has is a lie; one that a longer file would satisfy, a torn file.
        if (sig.size > SHELTER_EVIDENCE_SIZE_MAX)
            return sv_refuse(v, SHELTER_R_SIG_LENGTH, "%zu bytes announced", sig.size);
        return sv_refuse(v, SHELTER_R_TRUNCATED, "%zu bytes of signature data announced, %zu there",
                         sig.size, in.size);
    }
    q->signature = sv_take(&sig, 64);
    q->key = sv_take(&sig, 64);
    if (!q->signature || !q->key)
        return sv_refuse(v, SHELTER_R_SIG_LENGTH, "no room for the quote's signature");
    if (q->version == 3)
        return parse_qe(sig, q, v);
    p = sv_take(&sig, 6);
    if (!p || sh_le16(p) != 6)
        return sv_refuse(v, SHELTER_R_CERT_DATA, "not a QE report (type 6)");
    if (sh_le32(p + 2) > sig.size)
        return sv_refuse(v, SHELTER_R_CERT_DATA, "%u bytes announced, %zu there", sh_le32(p + 2),
                         sig.size);
    return parse_qe((struct sv_bytes){sig.data, sh_le32(p + 2)}, q, v);
}

static void sgx_claims(const uint8_t *b, struct shelter_verdict *v)
{
    sv_claim_hex(v, "mrenclave", b + SV_SGX_MRENCLAVE, 32);
    sv_claim_hex(v, "mrsigner", b + SV_SGX_MRSIGNER, 32);
    sv_claim_number(v, "isvprodid", sh_le16(b + SV_SGX_ISVPRODID));
    sv_claim_number(v, "isvsvn", sh_le16(b + SV_SGX_ISVSVN));
    sv_claim_hex(v, "attributes", b + SV_SGX_ATTRIBUTES, 16);
    sv_claim_hex(v, "miscselect", b + SV_SGX_MISCSELECT, 4);
    sv_claim_hex(v, "cpusvn", b + SV_SGX_CPUSVN, 16);
    sv_claim_hex(v, "configid", b + SV_SGX_CONFIGID, 64);
    sv_claim_number(v, "configsvn", sh_le16(b + SV_SGX_CONFIGSVN));
    sv_claim_hex(v, "isvextprodid", b + SV_SGX_ISVEXTPRODID, 16);
    sv_claim_hex(v, "isvfamilyid", b + SV_SGX_ISVFAMILYID, 16);
    memcpy(v->report_data, b + SV_SGX_REPORT_DATA, 64);
    v->debug = b[SV_SGX_ATTRIBUTES] & 0x02;
}

static void td15ex_claims(const uint8_t *b, struct shelter_verdict *v)
{
    sv_claim_number(v, "vmid", b[SV_TD_VMID]);
    sv_claim_hex(v, "td_id", b + SV_TD_TD_ID, 32);
    sv_claim_hex(v, "dev_info", b + SV_TD_DEV_INFO, 48);
    sv_claim_hex(v, "init_servtd_hash", b + SV_TD_INIT_SERVTD_HASH, 48);
    sv_claim_hex(v, "init_servtd_attributes", b + SV_TD_INIT_SERVTD_ATTRIBUTES, 8);
    sv_claim_hex(v, "init_cpu_svn", b + SV_TD_INIT_CPU_SVN, 16);
    sv_claim_hex(v, "init_tee_tcb_svn", b + SV_TD_INIT_TEE_TCB_SVN, 16);
    sv_claim_hex(v, "init_fmspc", b + SV_TD_INIT_FMSPC, 12);
    sv_claim_hex(v, "servtd_hash", b + SV_TD_SERVTD_HASH, 48);
    sv_claim_hex(v, "servtd_attributes", b + SV_TD_SERVTD_ATTRIBUTES, 8);
}

static void tdx_claims(const struct sv_quote *q, struct shelter_verdict *v)
{
    const uint8_t *b = q->body;
    cJSON *rtmr = cJSON_AddArrayToObject(v->claims, "rtmr");

    sv_claim_hex(v, "mrtd", b + SV_TD_MRTD, 48);
    for (int i = 0; i < 4; i++) {
        char name[8] = "rtmr0", hex[97];

        name[4] = (char)('0' + i);
        sh_hex(hex, b + SV_TD_RTMR0 + 48 * i, 48);
        sv_claim_hex(v, name, b + SV_TD_RTMR0 + 48 * i, 48);
        cJSON_AddItemToArray(rtmr, cJSON_CreateString(hex));
    }
    sv_claim_hex(v, "mrconfigid", b + SV_TD_MRCONFIGID, 48);
    sv_claim_hex(v, "mrowner", b + SV_TD_MROWNER, 48);
    sv_claim_hex(v, "mrownerconfig", b + SV_TD_MROWNERCONFIG, 48);
    sv_claim_hex(v, "tdattributes", b + SV_TD_ATTRIBUTES, 8);
    sv_claim_hex(v, "xfam", b + SV_TD_XFAM, 8);
    sv_claim_hex(v, "tee_tcb_svn", b + SV_TD_TEE_TCB_SVN, 16);
    sv_claim_hex(v, "mrseam", b + SV_TD_MRSEAM, 48);
    sv_claim_hex(v, "mrsignerseam", b + SV_TD_MRSIGNERSEAM, 48);
    sv_claim_hex(v, "seamattributes", b + SV_TD_SEAMATTRIBUTES, 8);
    if (q->body_type >= 3) {
        sv_claim_hex(v, "tee_tcb_svn_2", b + SV_TD_TEE_TCB_SVN_2, 16);
        sv_claim_hex(v, "mrservicetd", b + SV_TD_MRSERVICETD, 48);
    }
    if (q->body_type == 4)
        td15ex_claims(b, v);
    memcpy(v->report_data, b + SV_TD_REPORT_DATA, 64);
    v->debug = b[SV_TD_ATTRIBUTES] & 0x01;
}

void sv_quote_claims(const struct sv_quote *q, struct shelter_verdict *v)
{
    sv_claim_number(v, "quote_version", q->version);
    sv_claim_number(v, "qe_svn", sh_le16(q->header + 8));
    sv_claim_number(v, "pce_svn", sh_le16(q->header + 10));
    sv_claim_hex(v, "user_data", q->header + 28, 20);
    if (q->tee == SV_TEE_SGX)
        sgx_claims(q->body, v);
    else
        tdx_claims(q, v);
    sv_claim_hex(v, "report_data", v->report_data, 64);
    v->have_report_data = true;
}
