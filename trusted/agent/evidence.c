// SPDX-License-Identifier: Apache-2.0
// Evidence in the JSON forms of CoCo's attestation agent; what is raw comes through os.h.
#include <asm/errno.h>
#include <string.h>

#include "lib/sha2.h"
#include "trusted/agent/state.h"

#define DOMAIN "shelter-attest-v1"
#define DOMAIN_LOG "shelter-attest-log-v1"
#define SNP_REPORT_SIZE 1184u
#define CSV_PAGE                                                                                   \
    4096u /* what the device gives; the report (verifier/quote/csv.h draws it) and zeros */
#define CSV_ANONCE 188u
#define CSV_SIGNER 336u /* PEK certificate, serial number */
#define CSV_PEK_SIZE 2084u
#define CSV_SERIAL_SIZE 64u
#define CSV_SIGNED 1044u   /* of a certificate, */
#define CSV_SIGNATURE 520u /* then two of these */
#define CERTIFICATES 16u

void agent_tee_word(char out[8])
{
    const char *tee = agent_os_tee();
    size_t n = 0;
    for (; n < 7 && tee[n] && tee[n] != '-'; n++)
        out[n] = tee[n];
    out[n] = 0;
}

static void write_byte_list(struct agent_text *t, const uint8_t *data, size_t size)
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

/* --- Structures member by member, in the names and the order in which others write them --- */

enum shape { NUMBER, BYTES, TCB, VERSION, OPEN, CLOSE };

struct member {
    const char *name;
    uint16_t at, size;
    uint8_t shape, since; /* the report's version that brought it */
};

/* AMD 56860, table 23, as crate sev (from 6.2 on) serialises it. */
static const struct member snp_members[] = {
    {"version", 0x00, 4, NUMBER, 0},
    {"guest_svn", 0x04, 4, NUMBER, 0},
    {"policy", 0x08, 8, NUMBER, 0},
    {"family_id", 0x10, 16, BYTES, 0},
    {"image_id", 0x20, 16, BYTES, 0},
    {"vmpl", 0x30, 4, NUMBER, 0},
    {"sig_algo", 0x34, 4, NUMBER, 0},
    {"current_tcb", 0x38, 8, TCB, 0},
    {"plat_info", 0x40, 8, NUMBER, 0},
    {"key_info", 0x48, 4, NUMBER, 0},
    {"report_data", 0x50, 64, BYTES, 0},
    {"measurement", 0x90, 48, BYTES, 0},
    {"host_data", 0xc0, 32, BYTES, 0},
    {"id_key_digest", 0xe0, 48, BYTES, 0},
    {"author_key_digest", 0x110, 48, BYTES, 0},
    {"report_id", 0x140, 32, BYTES, 0},
    {"report_id_ma", 0x160, 32, BYTES, 0},
    {"reported_tcb", 0x180, 8, TCB, 0},
    {"cpuid_fam_id", 0x188, 1, NUMBER, 3},
    {"cpuid_mod_id", 0x189, 1, NUMBER, 3},
    {"cpuid_step", 0x18a, 1, NUMBER, 3},
    {"chip_id", 0x1a0, 64, BYTES, 0},
    {"committed_tcb", 0x1e0, 8, TCB, 0},
    {"current", 0x1e8, 3, VERSION, 0},
    {"committed", 0x1ec, 3, VERSION, 0},
    {"launch_tcb", 0x1f0, 8, TCB, 0},
    {"launch_mit_vector", 0x1f8, 8, NUMBER, 5},
    {"current_mit_vector", 0x200, 8, NUMBER, 5},
    {"signature", 0, 0, OPEN, 0},
    {"r", 0x2a0, 72, BYTES, 0},
    {"s", 0x2e8, 72, BYTES, 0},
    {NULL, 0, 0, CLOSE, 0},
};

/* Hygon's certificates: what is signed, then two signatures of 520 bytes. As crate csv-rs has them.
 */
static const struct member pek_members[] = {
    {"body", 0, 0, OPEN, 0},
    {"ver", 0, 4, NUMBER, 0},
    {"data", 0, 0, OPEN, 0},
    {"firmware", 0, 0, OPEN, 0},
    {"major", 4, 1, NUMBER, 0},
    {"minor", 5, 1, NUMBER, 0},
    {NULL, 0, 0, CLOSE, 0},
    {"reserved1", 6, 2, NUMBER, 0},
    {"pubkey", 0, 0, OPEN, 0},
    {"usage", 8, 4, NUMBER, 0},
    {"algo", 12, 4, NUMBER, 0},
    {"key", 0, 0, OPEN, 0},
    {"g", 16, 4, NUMBER, 0},
    {"x", 20, 72, BYTES, 0},
    {"y", 92, 72, BYTES, 0},
    {NULL, 0, 0, CLOSE, 0},
    {NULL, 0, 0, CLOSE, 0},
    {"uid_size", 164, 2, NUMBER, 0},
    {"user_id", 166, 254, BYTES, 0},
    {"sid", 420, 16, BYTES, 0},
    {"reserved2", 436, 608, BYTES, 0},
    {NULL, 0, 0, CLOSE, 0},
    {NULL, 0, 0, CLOSE, 0},
};
static const struct member signature_members[] = {
    {"usage", 0, 4, NUMBER, 0},        {"algo", 4, 4, NUMBER, 0},
    {"signature", 0, 0, OPEN, 0},      {"r", 8, 72, BYTES, 0},
    {"s", 80, 72, BYTES, 0},           {NULL, 0, 0, CLOSE, 0},
    {"_reserved", 152, 368, BYTES, 0},
};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void write_name(struct agent_text *t, const char *text)
{
    agent_text_str(t, "\"");
    agent_text_str(t, text);
    agent_text_str(t, "\":");
}

static void write_number(struct agent_text *t, const char *text, uint64_t value, const char *end)
{
    write_name(t, text);
    agent_text_number(t, value);
    agent_text_str(t, end);
}

/* Turin (family 0x1a) has another order of components. */
static void write_tcb(struct agent_text *t, const uint8_t *p, bool turin)
{
    agent_text_str(t, "{");
    if (turin)
        write_number(t, "fmc", p[0], ",");
    write_number(t, "bootloader", p[turin], ",");
    write_number(t, "tee", p[1 + turin], ",");
    write_number(t, "snp", p[turin ? 3 : 6], ",");
    write_number(t, "microcode", p[7], "}");
}

static void write_version(struct agent_text *t, const uint8_t *p)
{
    agent_text_str(t, "{");
    write_number(t, "major", p[2], ",");
    write_number(t, "minor", p[1], ",");
    write_number(t, "build", p[0], "}");
}

struct structure {
    const uint8_t *at;
    uint32_t version; /* members since later ones are left out */
    bool turin;
};

static void write_value(struct agent_text *t, const struct member *m, const struct structure *s)
{
    const uint8_t *p = s->at + m->at;
    uint64_t v = 0;
    switch (m->shape) {
    case BYTES:
        write_byte_list(t, p, m->size);
        break;
    case TCB:
        write_tcb(t, p, s->turin);
        break;
    case VERSION:
        write_version(t, p);
        break;
    default:
        for (size_t k = m->size; k--;)
            v = v << 8 | p[k];
        agent_text_number(t, v);
    }
}

/* The members between two braces that the caller writes. */
static void write_members(struct agent_text *t, const struct member *m, size_t count,
                          const struct structure *s)
{
    bool first = true;
    for (size_t i = 0; i < count; i++) {
        if (m[i].since > s->version)
            continue;
        if (m[i].shape == CLOSE) {
            agent_text_str(t, "}");
            first = false;
            continue;
        }
        if (!first)
            agent_text_str(t, ",");
        write_name(t, m[i].name);
        first = m[i].shape == OPEN;
        if (first)
            agent_text_str(t, "{");
        else
            write_value(t, &m[i], s);
    }
}

/* The certificate table (GHCB specification, 4.1.8.1): { GUID 16, offset u32, size u32 }. */
static void write_certificates(struct agent_text *t, const uint8_t *table, size_t size)
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
            write_name(t, "cert_type");
            agent_text_str(t, "\"");
            agent_text_str(t, types[i].type);
            agent_text_str(t, "\",");
            write_name(t, "data");
            write_byte_list(t, table + from, length);
            agent_text_str(t, "}");
        }
    }
    if (any)
        agent_text_str(t, "]");
}

/* Before version 3 only the chip's id tells: Turin's has 8 bytes. */
static bool is_turin(const uint8_t *r)
{
    static const uint8_t zero[56];
    const uint8_t *chip = r + 0x1a0;
    if (sh_le32(r) >= 3)
        return r[0x188] == 0x1a;
    return !memcmp(chip + 8, zero, 56) && memcmp(chip, zero, 8);
}

static int snp_json(struct agent_text *t, const struct agent_raw *raw)
{
    const uint8_t *r = raw->quote;
    if (raw->quote_size != SNP_REPORT_SIZE)
        return -EPROTO;
    struct structure s = {r, sh_le32(r), is_turin(r)};
    agent_text_str(t, "{\"attestation_report\":{");
    write_members(t, snp_members, COUNT(snp_members), &s);
    agent_text_str(t, "}");
    write_certificates(t, raw->more, raw->more_size);
    agent_text_str(t, "}");
    return 0;
}

/* CSV: the page as the device gave it, and what stands masked in it in clear: the PEK and the
 * chip's serial number, by which the verifier fetches HSK and CEK. We ask for the older report, so
 * there is no magic. */
static int csv_json(struct agent_text *t, const struct agent_raw *raw)
{
    uint8_t signer[CSV_PEK_SIZE + CSV_SERIAL_SIZE];
    if (raw->quote_size != CSV_PAGE)
        return -EPROTO;
    for (size_t i = 0; i < sizeof(signer); i++)
        signer[i] = raw->quote[CSV_SIGNER + i] ^ raw->quote[CSV_ANONCE + i % 4];
    agent_text_str(t, "{\"attestation_report\":{\"magic\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0],"
                      "\"flags\":0,\"data\":");
    write_byte_list(t, raw->quote, CSV_PAGE);
    agent_text_str(t, "},\"cert_chain\":{\"pek\":{");
    write_members(t, pek_members, COUNT(pek_members), &(struct structure){signer, 0, false});
    agent_text_str(t, ",\"sigs\":[{");
    for (size_t i = 0; i < 2; i++) {
        if (i)
            agent_text_str(t, "},{");
        write_members(t, signature_members, COUNT(signature_members),
                      &(struct structure){signer + CSV_SIGNED + i * CSV_SIGNATURE, 0, false});
    }
    agent_text_str(t, "}]}},\"serial_number\":");
    write_byte_list(t, signer + CSV_PEK_SIZE, CSV_SERIAL_SIZE);
    agent_text_str(t, "}");
    return 0;
}

static const struct {
    const char *tee;
    int (*json)(struct agent_text *t, const struct agent_raw *raw);
} forms[] = {{"tdx", quote_json}, {"sgx", quote_json}, {"snp", snp_json}, {"csv", csv_json}};

static int form_evidence(struct agent_text *t, const struct agent_raw *raw)
{
    char tee[8];
    agent_tee_word(tee);
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        if (!strcmp(forms[i].tee, tee))
            return forms[i].json(t, raw);
    return -ENODEV;
}

/* The firmware's log ends where its events do; its table goes on with FFh or zeros. */
static size_t log_end(const uint8_t *log, size_t size)
{
    if (size < 32 || sh_le32(log + 28) > size - 32)
        return 0;
    for (size_t at = 32 + sh_le32(log + 28);;) {
        const uint8_t *p = log + at;
        size_t left = size - at;
        if (left < 12 || sh_le32(p) == 0xffffffff || !sh_le32(p + 4))
            return at;
        if (sh_le32(p + 8) > 1 || left < 12 + 54 * sh_le32(p + 8) + 4)
            return 0; /* more algorithms than SHA-384: not ours to take apart */
        size_t head = 12 + (sh_le32(p + 8) ? 50 : 0);
        if (left < head + 4 || sh_le32(p + head) > left - head - 4)
            return 0;
        at += head + 4 + sh_le32(p + head);
    }
}

/* Events of run time behind the firmware's, without their header where that has one. */
static int add_events(struct agent_raw *raw, const struct agent_events *events)
{
    size_t end = raw->more_size ? log_end(raw->more, raw->more_size) : 0;
    size_t skip = end ? 65 : 0, size = events->log.size - skip;
    if (raw->more_size && !end)
        return 0; /* a log in a form that nothing can be put behind: the register tells */
    uint8_t *all = agent_os_alloc(end + size);
    if (!all)
        return -ENOMEM;
    if (end)
        memcpy(all, raw->more, end);
    memcpy(all + end, events->log.data + skip, size);
    agent_os_free(raw->more);
    raw->more = all;
    raw->more_size = end + size;
    return 0;
}

static void add_measured_log(struct agent_text *t, const struct agent_events *events)
{
    if (t->failed || !t->size)
        return;
    t->size--; /* the object's brace */
    agent_text_str(t, ",\"measured_log\":\"");
    agent_text_base64(t, events->log.data, events->log.size);
    agent_text_str(t, "\"}");
}

int agent_evidence_text(struct agent_text *t, const uint8_t report_data[64],
                        const struct agent_events *events, bool with_log, struct agent_error *e)
{
    struct agent_raw raw = {0};
    const char *why = "";
    int rc = agent_os_evidence(report_data, &raw, &why);
    if (!rc &&
        (!raw.quote_size || raw.quote_size > AGENT_QUOTE_MAX || raw.more_size > AGENT_MORE_MAX))
        rc = -EPROTO;
    if (!rc && events && events->in_register)
        rc = add_events(&raw, events);
    if (!rc)
        rc = form_evidence(t, &raw);
    if (!rc && events && with_log && agent_events_bound(events))
        add_measured_log(t, events);
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

int agent_attest_json(struct agent *a, const uint8_t *nonce, size_t nonce_size, char **out,
                      size_t *size, struct agent_error *e)
{
    uint8_t report_data[SH_SHA512_SIZE];
    struct agent_text t = {0};
    struct sh_sha512 h;
    if (!nonce_size || nonce_size > AGENT_NONCE_MAX)
        return agent_fail(e, -EINVAL, "a nonce has 1 to 64 bytes", NULL);
    sh_sha512_init(&h);
    if (agent_events_bound(&a->events)) {
        sh_sha512_update(&h, DOMAIN_LOG, sizeof(DOMAIN_LOG) - 1);
        sh_sha512_update(&h, a->events.mr, sizeof(a->events.mr));
    } else {
        sh_sha512_update(&h, DOMAIN, sizeof(DOMAIN) - 1);
    }
    sh_sha512_update(&h, nonce, nonce_size);
    sh_sha512_final(&h, report_data);
    int rc = agent_evidence_text(&t, report_data, &a->events, true, e);
    if (rc) {
        agent_text_free(&t);
        return rc;
    }
    *out = t.data;
    *size = t.size;
    return 0;
}
