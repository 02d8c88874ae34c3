// SPDX-License-Identifier: Apache-2.0
// Evidence in the JSON forms of CoCo's attestation agent; what is raw comes through os.h.
#include <asm/errno.h>
#include <string.h>

#include "lib/sha2.h"
#include "trusted/agent/state.h"

#define DOMAIN "shelter-attest-v1"
#define SNP_REPORT_SIZE 1184u
#define CSV_PAGE 4096u /* what the device gives: magic 16, flags u32 behind the report */
#define CERTIFICATES 16u

void agent_tee_word(char out[8])
{
    const char *tee = agent_os_tee();
    size_t n = 0;
    for (; n < 7 && tee[n] && tee[n] != '-'; n++)
        out[n] = tee[n];
    out[n] = 0;
}

static void bytes(struct agent_text *t, const uint8_t *data, size_t size)
{
    agent_text_str(t, "[");
    for (size_t i = 0; i < size; i++) {
        if (i)
            agent_text_str(t, ",");
        agent_text_number(t, data[i]);
    }
    agent_text_str(t, "]");
}

static int quote_json(struct agent_text *t, const struct agent_raw *raw)
{
    if (raw->more_size) {
        agent_text_str(t, "{\"cc_eventlog\":\"");
        agent_text_base64(t, raw->more, raw->more_size);
        agent_text_str(t, "\",\"quote\":\"");
    } else {
        agent_text_str(t, "{\"quote\":\"");
    }
    agent_text_base64(t, raw->quote, raw->quote_size);
    agent_text_str(t, "\"}");
    return 0;
}

/* --- SNP: the report member by member (AMD 56860, table 23), as the sev crate serialises it --- */

enum shape { NUMBER, BYTES, TCB };

static const struct {
    const char *name;
    uint16_t at;
    uint8_t size, shape;
} snp_members[] = {
    {"version", 0x00, 4, NUMBER},
    {"guest_svn", 0x04, 4, NUMBER},
    {"policy", 0x08, 8, NUMBER},
    {"family_id", 0x10, 16, BYTES},
    {"image_id", 0x20, 16, BYTES},
    {"vmpl", 0x30, 4, NUMBER},
    {"sig_algo", 0x34, 4, NUMBER},
    {"current_tcb", 0x38, 8, TCB},
    {"plat_info", 0x40, 8, NUMBER},
    {"_author_key_en", 0x48, 4, NUMBER},
    {"_reserved_0", 0x4c, 4, NUMBER},
    {"report_data", 0x50, 64, BYTES},
    {"measurement", 0x90, 48, BYTES},
    {"host_data", 0xc0, 32, BYTES},
    {"id_key_digest", 0xe0, 48, BYTES},
    {"author_key_digest", 0x110, 48, BYTES},
    {"report_id", 0x140, 32, BYTES},
    {"report_id_ma", 0x160, 32, BYTES},
    {"reported_tcb", 0x180, 8, TCB},
    {"cpuid_fam_id", 0x188, 1, NUMBER},
    {"cpuid_mod_id", 0x189, 1, NUMBER},
    {"cpuid_step", 0x18a, 1, NUMBER},
    {"chip_id", 0x1a0, 64, BYTES},
    {"committed_tcb", 0x1e0, 8, TCB},
    {"current_build", 0x1e8, 1, NUMBER},
    {"current_minor", 0x1e9, 1, NUMBER},
    {"current_major", 0x1ea, 1, NUMBER},
    {"committed_build", 0x1ec, 1, NUMBER},
    {"committed_minor", 0x1ed, 1, NUMBER},
    {"committed_major", 0x1ee, 1, NUMBER},
    {"launch_tcb", 0x1f0, 8, TCB},
    {"launch_mit_vector", 0x1f8, 8, NUMBER},
    {"current_mit_vector", 0x200, 8, NUMBER},
};

static void name(struct agent_text *t, const char *text)
{
    agent_text_str(t, "\"");
    agent_text_str(t, text);
    agent_text_str(t, "\":");
}

/* Turin (family 0x1a) has another order of components. */
static void tcb(struct agent_text *t, const uint8_t *p, bool turin)
{
    agent_text_str(t, "{");
    if (turin) {
        name(t, "fmc");
        agent_text_number(t, p[0]);
        agent_text_str(t, ",");
    }
    name(t, "bootloader");
    agent_text_number(t, p[turin]);
    agent_text_str(t, ",");
    name(t, "tee");
    agent_text_number(t, p[1 + turin]);
    agent_text_str(t, ",");
    name(t, "snp");
    agent_text_number(t, p[turin ? 3 : 6]);
    agent_text_str(t, ",");
    name(t, "microcode");
    agent_text_number(t, p[7]);
    agent_text_str(t, "}");
}

/* The certificate table (GHCB specification, 4.1.8.1): { GUID 16, offset u32, size u32 }. */
static void certificates(struct agent_text *t, const uint8_t *table, size_t size)
{
    static const struct {
        const char *type;
        uint8_t guid[4]; /* its first bytes, as they stand in memory */
    } types[] = {{"ARK", {0xc0, 0xb4, 0x06, 0xa4}},
                 {"ASK", {0x4a, 0xb7, 0xb3, 0x79}},
                 {"VCEK", {0x63, 0xda, 0x75, 0x8d}},
                 {"VLEK", {0xa8, 0x07, 0x4b, 0xc2}}};
    bool any = false;
    for (size_t at = 0; size >= 24 && at <= size - 24 && at < 24 * CERTIFICATES; at += 24) {
        uint32_t from = sh_le32(table + at + 16), length = sh_le32(table + at + 20);
        for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
            if (memcmp(table + at, types[i].guid, 4) || !length || from >= size ||
                length > size - from)
                continue;
            agent_text_str(t, any ? ",{" : ",\"cert_chain\":[{");
            any = true;
            name(t, "cert_type");
            agent_text_str(t, "\"");
            agent_text_str(t, types[i].type);
            agent_text_str(t, "\",");
            name(t, "data");
            bytes(t, table + from, length);
            agent_text_str(t, "}");
        }
    }
    if (any)
        agent_text_str(t, "]");
}

static int snp_json(struct agent_text *t, const struct agent_raw *raw)
{
    const uint8_t *r = raw->quote;
    if (raw->quote_size != SNP_REPORT_SIZE)
        return -EPROTO;
    agent_text_str(t, "{\"attestation_report\":{");
    for (size_t i = 0; i < sizeof(snp_members) / sizeof(snp_members[0]); i++) {
        const uint8_t *p = r + snp_members[i].at;
        uint64_t v = 0;
        for (size_t k = snp_members[i].size < 8 ? snp_members[i].size : 8; k--;)
            v = v << 8 | p[k];
        name(t, snp_members[i].name);
        if (snp_members[i].shape == NUMBER)
            agent_text_number(t, v);
        else if (snp_members[i].shape == BYTES)
            bytes(t, p, snp_members[i].size);
        else
            tcb(t, p, sh_le32(r) >= 3 && r[0x188] == 0x1a);
        agent_text_str(t, ",");
    }
    agent_text_str(t, "\"signature\":{\"r\":");
    bytes(t, r + 0x2a0, 72);
    agent_text_str(t, ",\"s\":");
    bytes(t, r + 0x2e8, 72);
    agent_text_str(t, "}}");
    certificates(t, raw->more, raw->more_size);
    agent_text_str(t, "}");
    return 0;
}

/* CSV: the page as the device gave it. The verifier fetches HSK and CEK by the serial number in it.
 */
static int csv_json(struct agent_text *t, const struct agent_raw *raw)
{
    if (raw->quote_size != CSV_PAGE)
        return -EPROTO;
    agent_text_str(t, "{\"attestation_report\":{\"data\":");
    bytes(t, raw->quote, CSV_PAGE);
    agent_text_str(t, "},\"cert_chain\":{}}");
    return 0;
}

static const struct {
    const char *tee;
    int (*json)(struct agent_text *t, const struct agent_raw *raw);
} forms[] = {{"tdx", quote_json}, {"sgx", quote_json}, {"snp", snp_json}, {"csv", csv_json}};

static int form(struct agent_text *t, const struct agent_raw *raw)
{
    char tee[8];
    agent_tee_word(tee);
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        if (!strcmp(forms[i].tee, tee))
            return forms[i].json(t, raw);
    return -ENODEV;
}

int agent_evidence_text(struct agent_text *t, const uint8_t report_data[64], struct agent_error *e)
{
    struct agent_raw raw = {0};
    const char *why = "";
    int rc = agent_os_evidence(report_data, &raw, &why);
    if (!rc &&
        (!raw.quote_size || raw.quote_size > AGENT_QUOTE_MAX || raw.more_size > AGENT_MORE_MAX))
        rc = -EPROTO;
    if (!rc)
        rc = form(t, &raw);
    agent_os_free(raw.quote);
    agent_os_free(raw.more);
    if (!rc && t->failed)
        return agent_fail(e, -ENOMEM, "no memory for evidence", NULL);
    if (!rc)
        return 0;
    return agent_fail(e, rc, "this TEE (", agent_os_tee(), ") gave no evidence: ",
                      *why            ? why
                      : rc == -ENODEV ? "it has no way to it"
                                      : "its answer is none",
                      NULL);
}

int agent_evidence_json(const uint8_t report_data[64], char **out, size_t *size,
                        struct agent_error *e)
{
    struct agent_text t = {0};
    int rc = agent_evidence_text(&t, report_data, e);
    if (rc) {
        agent_text_free(&t);
        return rc;
    }
    *out = t.data;
    *size = t.size;
    return 0;
}

int agent_attest_json(const uint8_t *nonce, size_t nonce_size, char **out, size_t *size,
                      struct agent_error *e)
{
    uint8_t report_data[SH_SHA512_SIZE];
    struct sh_sha512 h;
    if (!nonce_size || nonce_size > AGENT_NONCE_MAX)
        return agent_fail(e, -EINVAL, "a nonce has 1 to 64 bytes", NULL);
    sh_sha512_init(&h);
    sh_sha512_update(&h, DOMAIN, sizeof(DOMAIN) - 1);
    sh_sha512_update(&h, nonce, nonce_size);
    sh_sha512_final(&h, report_data);
    return agent_evidence_json(report_data, out, size, e);
}
