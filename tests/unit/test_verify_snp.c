// SPDX-License-Identifier: Apache-2.0
// SNP evidence under test roots: every product, VCEK and VLEK, one thing wrong at a time, every
// byte.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/pem.h>

#include "tests/gen/evidence.h"
#include "tests/unit/verdict.h"
#include "verifier/judge/policy.h"
#include "verifier/quote/snp.h"

struct ask {
    const char *policy, *reference;
    bool no_ca, no_ask, no_signer, allow_simulated;
    int64_t time;
};
static const struct ask plain;

static struct shelter_verdict *judge(const struct gen_snp *g, const struct ask *a)
{
    struct shelter_verify_request rq = {.size = sizeof(rq),
                                        .evidence = g->report.data,
                                        .evidence_size = g->report.size,
                                        .time = a->time ? a->time : GEN_TIME,
                                        .policy_json = a->policy,
                                        .reference_json = a->reference,
                                        .allow_simulated = a->allow_simulated};
    size_t ask_size = a->no_ask ? 0 : g->ask.size;
    char *ca = malloc(ask_size + g->ark.size + 1);
    struct shelter_verdict *v;

    memcpy(ca, g->ask.data, ask_size);
    memcpy(ca + ask_size, g->ark.data, g->ark.size);
    if (!a->no_signer) {
        rq.signer = g->signer.data;
        rq.signer_size = g->signer.size;
    }
    if (!a->no_ca) {
        rq.ca = ca;
        rq.ca_size = ask_size + g->ark.size;
    }
    assert_int_equal(shelter_verify(&rq, &v), 0);
    free(ca);
    return v;
}

static void expect(const char *name, const struct gen_snp_options *o, const struct ask *a,
                   enum shelter_reason want)
{
    struct gen_snp g;
    struct shelter_verdict *v;

    gen_snp(o, &g);
    v = judge(&g, a);
    expect_reason(v, name, want);
    shelter_verdict_free(v);
    gen_snp_free(&g);
}

static void test_good(void **state)
{
    for (uint32_t version = 2; version <= 5; version++)
        for (int product = 0; product < 3; product++)
            for (int vlek = 0; vlek < 2; vlek++) {
                struct gen_snp_options o = {.version = version, .product = product, .vlek = vlek};

                expect("good", &o, &plain, SHELTER_R_OK);
            }
    expect("bergamo", &(struct gen_snp_options){.product = 1, .bergamo = true}, &plain,
           SHELTER_R_OK);
    expect("chip masked", &(struct gen_snp_options){.mask_chip = true}, &plain, SHELTER_R_OK);
    expect("RSA-PSS, as AMD signs", &(struct gen_snp_options){.rsa = true}, &plain, SHELTER_R_OK);
}

static void test_reasons(void **state)
{
    static const struct {
        const char *name;
        struct gen_snp_options o;
        enum shelter_reason want;
    } cases[] = {
        {"version 1", {.version = 1}, SHELTER_R_VERSION},
        {"version 6", {.version = 6}, SHELTER_R_VERSION},
        {"debug", {.policy_set = 1 << 19}, SHELTER_R_DEBUG},
        {"migration allowed", {.policy_set = 1 << 18}, SHELTER_R_SNP_MIGRATION},
        {"migration agent", {.migration_agent = true}, SHELTER_R_SNP_MIGRATION},
        {"VMPL", {.vmpl = 1}, SHELTER_R_SNP_VMPL},
        {"no such VMPL", {.vmpl = 4}, SHELTER_R_RESERVED},
        {"foreign ARK", {.ark_foreign = true}, SHELTER_R_SNP_CHAIN},
        {"foreign ASK", {.ask_foreign = true}, SHELTER_R_SNP_CHAIN},
        {"other product", {.other_product = true}, SHELTER_R_SNP_PRODUCT},
        {"TCB", {.tcb_unlike_cert = true}, SHELTER_R_SNP_TCB_CERT},
        {"chip", {.other_chip = true}, SHELTER_R_SNP_CHIP_ID},
        {"expired", {.cert_expired = true}, SHELTER_R_CERT_EXPIRED},
        {"early", {.cert_early = true}, SHELTER_R_CERT_EARLY},
        {"no SPL", {.no_spl = true}, SHELTER_R_SNP_EXTENSION},
        {"VLEK for VCEK", {.signer_kind = true}, SHELTER_R_SNP_SIGNER_KIND},
        {"VCEK for VLEK", {.signer_kind = true, .vlek = true}, SHELTER_R_SNP_SIGNER_KIND},
        {"unsigned", {.unsigned_report = true}, SHELTER_R_SNP_UNSIGNED},
        {"committed above current", {.committed_above_current = true}, SHELTER_R_SNP_TCB_ORDER},
        {"reported above committed", {.reported_above_committed = true}, SHELTER_R_SNP_TCB_ORDER},
        {"simulated", {.simulated_root = true}, SHELTER_R_SIMULATED},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect(cases[i].name, &cases[i].o, &plain, cases[i].want);
}

static void test_missing(void **state)
{
    struct gen_snp_options o = {.product = 1};

    expect("no signer", &o, &(struct ask){.no_signer = true}, SHELTER_R_NO_SIGNER);
    // AMD's own intermediate key is pinned, and did not sign this.
    expect("no chain", &o, &(struct ask){.no_ca = true}, SHELTER_R_SNP_CHAIN);
    expect("simulated, allowed", &(struct gen_snp_options){.simulated_root = true},
           &(struct ask){.allow_simulated = true}, SHELTER_R_OK);
}

// A whole chain that comes along with the signer, its root named by nobody.
static void test_unnamed_root(void **state)
{
    struct gen_snp_options o = {.rsa = true};
    struct shelter_verdict *v;
    struct gen_snp g;
    char chain[8192];
    X509 *leaf;
    const uint8_t *p;
    BIO *bio = BIO_new(BIO_s_mem());
    int n;

    gen_snp(&o, &g);
    p = g.signer.data;
    leaf = d2i_X509(NULL, &p, (long)g.signer.size);
    PEM_write_bio_X509(bio, leaf);
    n = BIO_read(bio, chain, sizeof(chain));
    n += sprintf(chain + n, "%s%s", g.ask.data, g.ark.data);
    free(g.signer.data);
    g.signer.data = calloc(1, (size_t)n + 1);
    g.signer.size = (size_t)n;
    memcpy(g.signer.data, chain, (size_t)n);
    v = judge(&g, &(struct ask){.no_ca = true});
    assert_string_equal(shelter_reason_code(shelter_verdict_reason(v)), "untrusted-root");
    shelter_verdict_free(v);
    v = judge(&g, &(struct ask){.no_ask = true});
    assert_true(shelter_verdict_accepted(v));
    shelter_verdict_free(v);
    // The intermediate without its root: it falls to AMD's pinned key, which did not sign.
    g.signer.data[strstr((char *)g.signer.data, (char *)g.ark.data) - (char *)g.signer.data] = 0;
    g.signer.size = strlen((char *)g.signer.data);
    v = judge(&g, &(struct ask){.no_ca = true});
    assert_string_equal(shelter_reason_code(shelter_verdict_reason(v)), "snp-chain");
    shelter_verdict_free(v);
    X509_free(leaf);
    BIO_free(bio);
    gen_snp_free(&g);
}

// The ARK's CRL from a collateral.json.
static void test_crl(void **state)
{
    static const struct {
        struct gen_snp_options o;
        enum shelter_reason want;
    } cases[] = {
        {{.version = 3}, SHELTER_R_OK},
        {{.crl_foreign = true}, SHELTER_R_ROOT_CRL_SIGNATURE},
        {{.crl_expired = true}, SHELTER_R_CRL_EXPIRED},
        {{.crl_early = true}, SHELTER_R_CRL_EARLY},
        {{.crl_revokes = true}, SHELTER_R_CA_REVOKED},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct shelter_collateral *col;
        struct shelter_verdict *v;
        struct gen_snp g;
        char json[16384] = "{\"amd_crl\":\"", chain[8192], why[256];

        gen_snp(&cases[i].o, &g);
        sh_hex(json + strlen(json), g.crl.data, g.crl.size);
        strcat(json, "\"}");
        snprintf(chain, sizeof(chain), "%s%s", g.ask.data, g.ark.data);
        assert_int_equal(
            shelter_collateral_parse(json, strlen(json), NULL, 0, &col, why, sizeof(why)), 0);
        struct shelter_verify_request rq = {.size = sizeof(rq),
                                            .evidence = g.report.data,
                                            .evidence_size = g.report.size,
                                            .signer = g.signer.data,
                                            .signer_size = g.signer.size,
                                            .ca = chain,
                                            .ca_size = strlen(chain),
                                            .collateral = col,
                                            .time = GEN_TIME};
        assert_int_equal(shelter_verify(&rq, &v), 0);
        assert_string_equal(shelter_reason_code(shelter_verdict_reason(v)),
                            shelter_reason_code(cases[i].want));
        shelter_verdict_free(v);
        shelter_collateral_free(col);
        gen_snp_free(&g);
    }
}

// A CRL that is given is judged, also where the evidence left out the certificate that it is about.
static void test_crl_without_intermediate(void **state)
{
    struct gen_snp_options o = {.version = 3};
    struct shelter_collateral *col;
    struct shelter_verdict *v;
    struct gen_snp g;
    char json[16384] = "{\"amd_crl\":\"", why[256];

    gen_snp(&o, &g);
    sh_hex(json + strlen(json), g.crl.data, g.crl.size);
    strcat(json, "\"}");
    assert_int_equal(shelter_collateral_parse(json, strlen(json), NULL, 0, &col, why, sizeof(why)),
                     0);
    struct shelter_verify_request rq = {.size = sizeof(rq),
                                        .evidence = g.report.data,
                                        .evidence_size = g.report.size,
                                        .signer = g.signer.data,
                                        .signer_size = g.signer.size,
                                        .collateral = col,
                                        .time = GEN_TIME};
    assert_int_equal(shelter_verify(&rq, &v), 0);
    assert_false(shelter_verdict_judged(v));
    assert_string_equal(shelter_reason_code(shelter_verdict_reason(v)), "no-intermediate");
    shelter_verdict_free(v);
    shelter_collateral_free(col);
    gen_snp_free(&g);
}

static bool has_advisory(const struct shelter_verdict *v, const char *name)
{
    const char *id;

    for (size_t i = 0; (id = shelter_verdict_advisory(v, i)); i++)
        if (!strcmp(id, name))
            return true;
    return false;
}

// Microcode that takes forged patches, by the CPU's stepping: told always, refused by policy.
static void test_entrysign(void **state)
{
    struct sv_policy p;
    struct shelter_verdict *v;
    uint8_t report[SV_SNP_REPORT_SIZE] = {0};
    static const struct {
        int version;
        uint8_t family, model, step, ucode, committed;
        bool refused;
    } cases[] = {{3, 0x19, 1, 1, 0xdb, 0xdb, false}, {3, 0x19, 1, 1, 0xda, 0xda, true},
                 {3, 0x19, 1, 1, 0xdb, 0xda, true},  {3, 0x19, 1, 2, 0x44, 0x44, false},
                 {3, 0x19, 1, 2, 0x43, 0x43, true},  {5, 0x1a, 2, 1, 0x46, 0x46, true},
                 {5, 0x1a, 2, 1, 0x47, 0x47, false}, {2, 0, 0, 0, 0x43, 0x43, true},
                 {2, 0, 0, 0, 0x44, 0x44, false}};

    sv_policy_default(&p);
    p.allow_entrysign = false;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sv_snp snp = {.report = report,
                             .version = (uint32_t)cases[i].version,
                             .product = SV_SNP_MILAN,
                             .tcb_known = true};

        report[SV_SNP_CPUID_FAM] = cases[i].family;
        report[SV_SNP_CPUID_MOD] = cases[i].model;
        report[SV_SNP_CPUID_STEP] = cases[i].step;
        snp.reported.ucode = cases[i].ucode;
        snp.committed.ucode = cases[i].committed;
        v = sv_verdict_new(GEN_TIME);
        sv_policy_snp(&p, &snp, v);
        if ((shelter_verdict_reason(v) == SHELTER_R_SNP_ENTRYSIGN) != cases[i].refused)
            fail_msg("case %zu", i);
        assert_int_equal(has_advisory(v, "AMD-SB-7033"), cases[i].refused);
        shelter_verdict_free(v);
        p.allow_entrysign = true;
        v = sv_verdict_new(GEN_TIME);
        sv_policy_snp(&p, &snp, v);
        assert_int_equal(shelter_verdict_reason(v), SHELTER_R_OK);
        assert_int_equal(has_advisory(v, "AMD-SB-7033"), cases[i].refused);
        shelter_verdict_free(v);
        p.allow_entrysign = false;
    }
}

// Firmware that believes a memory module's claims, by its product; only where that is not allowed.
static void test_badram(void **state)
{
    uint8_t report[SV_SNP_REPORT_SIZE] = {0};
    static const struct {
        enum sv_snp_product product;
        uint8_t svn, committed;
        bool checked, refused;
    } cases[] = {{SV_SNP_MILAN, 23, 23, true, false}, {SV_SNP_MILAN, 22, 22, true, true},
                 {SV_SNP_MILAN, 23, 22, true, true},  {SV_SNP_MILAN, 23, 23, false, true},
                 {SV_SNP_GENOA, 22, 22, true, false}, {SV_SNP_GENOA, 21, 21, true, true},
                 {SV_SNP_GENOA, 22, 22, false, true}, {SV_SNP_TURIN, 1, 1, false, false}};

    for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        bool allowed = i & 1, refused = cases[i / 2].refused && !allowed;
        struct sv_snp snp = {.report = report,
                             .version = 3,
                             .product = cases[i / 2].product,
                             .tcb_known = true,
                             .reported.snp = cases[i / 2].svn,
                             .committed.snp = cases[i / 2].committed};
        struct shelter_verdict *v = sv_verdict_new(GEN_TIME);
        struct sv_policy p;

        report[SV_SNP_PLATFORM_INFO] = cases[i / 2].checked ? SV_SNP_ALIAS_CHECK_COMPLETE : 0;
        sv_policy_default(&p);
        p.allow_badram = allowed;
        sv_policy_snp(&p, &snp, v);
        if (shelter_verdict_reason(v) != (refused ? SHELTER_R_SNP_BADRAM : SHELTER_R_OK))
            fail_msg("case %zu", i);
        assert_int_equal(has_advisory(v, "AMD-SB-3015"), cases[i / 2].refused);
        shelter_verdict_free(v);
    }
}

static void test_policy(void **state)
{
    struct gen_snp_options o = {.version = 5};
    static const struct {
        const char *policy;
        enum shelter_reason want;
    } cases[] = {
        {"{\"snp\":{\"min_tcb\":{\"Milan\":{\"bl\":4,\"tee\":1,\"snp\":24,\"ucode\":219}}}}",
         SHELTER_R_OK},
        {"{\"snp\":{\"min_tcb\":{\"Milan\":{\"snp\":25}}}}", SHELTER_R_SNP_TCB_FLOOR},
        {"{\"snp\":{\"min_tcb\":{\"Milan\":{\"ucode\":220}}}}", SHELTER_R_SNP_TCB_FLOOR},
        {"{\"snp\":{\"min_tcb\":{\"Genoa\":{\"ucode\":220}}}}", SHELTER_R_OK},
        {"{\"snp\":{\"min_firmware\":\"1.55.29\"}}", SHELTER_R_OK},
        {"{\"snp\":{\"min_firmware\":\"1.55.30\"}}", SHELTER_R_SNP_ABI},
        {"{\"snp\":{\"min_abi\":\"0.1\"}}", SHELTER_R_SNP_ABI},
        {"{\"snp\":{\"allow_smt\":false}}", SHELTER_R_SNP_SMT},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect(cases[i].policy, &o, &(struct ask){.policy = cases[i].policy}, cases[i].want);
    o.vmpl = 1;
    expect("VMPL 1 allowed", &o, &(struct ask){.policy = "{\"snp\":{\"vmpl_max\":1}}"},
           SHELTER_R_OK);
}

static void test_bytes(void **state)
{
    struct gen_snp_options o = {.version = 3};
    struct gen_snp g;

    gen_snp(&o, &g);
    for (size_t at = 0; at < SV_SNP_SIG_S + 72; at++) {
        struct shelter_verdict *v;

        g.report.data[at] ^= (uint8_t)(1u << at % 8);
        v = judge(&g, &plain);
        assert_false(shelter_verdict_accepted(v));
        shelter_verdict_free(v);
        g.report.data[at] ^= (uint8_t)(1u << at % 8);
    }
    for (size_t at = 0; at < g.signer.size; at += 3) { // the certificate
        struct shelter_verdict *v;

        g.signer.data[at] ^= (uint8_t)(1u << at % 8);
        v = judge(&g, &plain);
        assert_false(shelter_verdict_accepted(v));
        shelter_verdict_free(v);
        g.signer.data[at] ^= (uint8_t)(1u << at % 8);
    }
    for (size_t size = 1; size < SV_SNP_REPORT_SIZE; size += 5) {
        struct gen_snp torn = g;
        struct shelter_verdict *v;

        torn.report.data = malloc(size);
        torn.report.size = size;
        memcpy(torn.report.data, g.report.data, size);
        v = judge(&torn, &plain);
        assert_false(shelter_verdict_accepted(v));
        shelter_verdict_free(v);
        free(torn.report.data);
    }
    gen_snp_free(&g);
}

// A report as CoCo's JSON hands it on: base64, and member by member.
static void test_json(void **state)
{
    struct gen_snp_options o = {.version = 3};
    struct shelter_verdict *v;
    struct gen_snp g;
    char text[16384];
    int n;

    gen_snp(&o, &g);
    const uint8_t *r = g.report.data;
    struct gen_snp json = g;

    n = snprintf(text, sizeof(text), "{\"attestation_report\":\"");
    sh_hex(text + n, r, SV_SNP_REPORT_SIZE);
    strcat(text, "\",\"cert_chain\":[]}");
    json.report.data = (uint8_t *)text;
    json.report.size = strlen(text);
    v = judge(&json, &plain);
    assert_true(shelter_verdict_accepted(v));
    shelter_verdict_free(v);

    static const struct {
        const char *name;
        size_t at, size;
    } arrays[] = {
        {"family_id", 0x10, 16},          {"image_id", 0x20, 16},   {"report_data", 0x50, 64},
        {"measurement", 0x90, 48},        {"host_data", 0xc0, 32},  {"id_key_digest", 0xe0, 48},
        {"author_key_digest", 0x110, 48}, {"report_id", 0x140, 32}, {"report_id_ma", 0x160, 32},
        {"chip_id", 0x1a0, 64},
    };
    static const char *const tcbs[] = {"current_tcb", "reported_tcb", "committed_tcb",
                                       "launch_tcb"};
    static const size_t tcb_at[] = {0x38, 0x180, 0x1e0, 0x1f0};

    n = snprintf(text, sizeof(text),
                 "{\"attestation_report\":{\"version\":3,\"guest_svn\":0,\"policy\":%u,\"vmpl\":0,"
                 "\"sig_algo\":1,\"plat_info\":0,\"_author_key_en\":0,\"cpuid_fam_id\":%u,"
                 "\"cpuid_mod_id\":%u,\"cpuid_step\":%u",
                 0x30000, r[0x188], r[0x189], r[0x18a]);
    for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++) {
        n += sprintf(text + n, ",\"%s\":[", arrays[i].name);
        for (size_t k = 0; k < arrays[i].size; k++)
            n += sprintf(text + n, "%s%u", k ? "," : "", r[arrays[i].at + k]);
        n += sprintf(text + n, "]");
    }
    for (size_t i = 0; i < 4; i++)
        n += sprintf(text + n, ",\"%s\":{\"bootloader\":%u,\"tee\":%u,\"snp\":%u,\"microcode\":%u}",
                     tcbs[i], r[tcb_at[i]], r[tcb_at[i] + 1], r[tcb_at[i] + 6], r[tcb_at[i] + 7]);
    n += sprintf(text + n, ",\"current_build\":29,\"current_minor\":55,\"current_major\":1,"
                           "\"committed_build\":29,\"committed_minor\":55,\"committed_major\":1,"
                           "\"signature\":{\"r\":[");
    for (int k = 0; k < 144; k++)
        n += sprintf(text + n, "%s%u%s", k % 72 ? "," : "", r[0x2a0 + k],
                     k == 71 ? "],\"s\":[" : "");
    sprintf(text + n, "]}}}");
    json.report.size = strlen(text);
    v = judge(&json, &plain);
    assert_string_equal(shelter_reason_code(shelter_verdict_reason(v)), "ok");
    shelter_verdict_free(v);
    for (size_t size = 1; size < json.report.size; size += 61) { // torn JSON
        struct gen_snp torn = json;

        torn.report.size = size;
        v = judge(&torn, &plain);
        assert_false(shelter_verdict_accepted(v));
        shelter_verdict_free(v);
    }
    gen_snp_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_unnamed_root),
        cmocka_unit_test(test_crl),
        cmocka_unit_test(test_crl_without_intermediate),
        cmocka_unit_test(test_entrysign),
        cmocka_unit_test(test_badram),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
