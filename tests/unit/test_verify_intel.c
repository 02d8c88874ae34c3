// SPDX-License-Identifier: Apache-2.0
// Intel evidence under test roots: accepted when good; refused for the right reason when any one
// part is wrong; never believed, and never a crash, when bytes are flipped or torn off.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "tests/gen/evidence.h"
#include "lib/bytes.h"
#include "verifier/base/seen.h"
#include "verifier/base/x509.h"
#include "verifier/quote/quote.h"
#include <shelter/verify.h>

struct judged {
    struct shelter_verdict *v;
    struct shelter_collateral *col;
};

struct ask {
    const char *policy, *reference;
    bool no_ca, allow_simulated, no_collateral;
    const void *log, *nonce, *signer;
    size_t log_size, nonce_size, signer_size;
    int64_t time;
};

static struct judged judge_with(const struct gen_intel *g, const struct ask *a)
{
    struct judged j = {0};
    char why[256] = "", *json = gen_intel_collateral(g);
    struct shelter_verify_request rq = {.size = sizeof(rq),
                                        .evidence = g->quote.data,
                                        .evidence_size = g->quote.size,
                                        .time = a->time ? a->time : GEN_TIME,
                                        .policy_json = a->policy,
                                        .reference_json = a->reference,
                                        .allow_simulated = a->allow_simulated,
                                        .event_log = a->log,
                                        .event_log_size = a->log_size,
                                        .nonce = a->nonce,
                                        .nonce_size = a->nonce_size,
                                        .signer = a->signer,
                                        .signer_size = a->signer_size};

    if (!a->no_ca) {
        rq.ca = g->root.data;
        rq.ca_size = g->root.size;
    }
    if (!a->no_collateral) {
        assert_int_equal(shelter_collateral_parse(json, strlen(json), rq.ca, rq.ca_size, &j.col,
                                                  why, sizeof(why)),
                         0);
        rq.collateral = j.col;
    }
    free(json);
    assert_int_equal(shelter_verify(&rq, &j.v), 0);
    return j;
}

static void done(struct judged *j)
{
    shelter_verdict_free(j->v);
    shelter_collateral_free(j->col);
}

static void expect(const char *name, const struct gen_intel_options *o, const struct ask *a,
                   enum shelter_reason want, const char *status)
{
    struct gen_intel g;
    struct judged j;
    const char *sentence = "";

    gen_intel(o, &g);
    j = judge_with(&g, a);
    shelter_verdict_refusal(j.v, 0, &sentence);
    if (shelter_verdict_reason(j.v) != want)
        print_message("# %s: %s: %s\n", name, shelter_reason_code(shelter_verdict_reason(j.v)),
                      sentence);
    assert_string_equal(shelter_reason_code(shelter_verdict_reason(j.v)),
                        shelter_reason_code(want));
    assert_int_equal(shelter_verdict_accepted(j.v), want == SHELTER_R_OK);
    if (status)
        assert_string_equal(shelter_verdict_tcb_status(j.v), status);
    done(&j);
    gen_intel_free(&g);
}

static const struct ask plain;

// Every shape of quote.
static const struct gen_intel_options shapes[] = {
    {.version = 3},
    {.version = 4},
    {.version = 5},
    {.version = 4, .tdx = true},
    {.version = 5, .tdx = true},
    {.version = 5, .tdx = true, .body_type = 3},
    {.version = 5, .tdx = true, .body_type = 4},
    {.version = 4, .tdx = true, .reverse_chain = true},
    {.version = 4, .tdx = true, .cert_type = 4},
};
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static void test_good(void **state)
{
    for (size_t i = 0; i < SHAPES; i++)
        expect("good", &shapes[i], &plain, SHELTER_R_OK, "UpToDate");
}

// One thing wrong at a time, in SGX v3, TDX v4 and both longer bodies of TDX v5.
static void test_reasons(void **state)
{
#define CASE(member, reason)                                                                       \
    {                                                                                              \
#member, {.member = true }, SHELTER_R_##reason                                             \
    }
    static const struct {
        const char *name;
        struct gen_intel_options o;
        enum shelter_reason want;
    } cases[] = {
        CASE(debug, DEBUG),
        CASE(pck_cn, PCK_CERT),
        CASE(pck_no_extension, PCK_EXTENSION),
        CASE(pck_ca_not_ca, PCK_CHAIN),
        CASE(foreign_pck_ca, PCK_CHAIN),
        CASE(foreign_root, ROOT),
        CASE(pck_expired, CERT_EXPIRED),
        CASE(pck_early, CERT_EARLY),
        CASE(tcb_signer_cn, TCB_CHAIN),
        CASE(tcb_foreign, TCB_CHAIN),
        CASE(tcb_chain_expired, CERT_EXPIRED),
        CASE(tcb_chain_early, CERT_EARLY),
        CASE(pck_crl_expired, CRL_EXPIRED),
        CASE(pck_crl_early, CRL_EARLY),
        CASE(root_crl_expired, CRL_EXPIRED),
        CASE(root_crl_early, CRL_EARLY),
        CASE(pck_crl_foreign, PCK_CRL_SIGNATURE),
        CASE(pck_crl_other_issuer, PCK_CRL_SIGNATURE),
        CASE(root_crl_foreign, ROOT_CRL_SIGNATURE),
        CASE(revoke_pck, PCK_REVOKED),
        CASE(revoke_pck_ca, CA_REVOKED),
        CASE(revoke_tcb, CA_REVOKED),
        CASE(tcb_expired, TCB_INFO_EXPIRED),
        CASE(tcb_early, TCB_INFO_EARLY),
        CASE(qe_expired, QE_ID_EXPIRED),
        CASE(qe_early, QE_ID_EARLY),
        CASE(tcb_edited, TCB_INFO_SIGNATURE),
        CASE(qe_edited, QE_ID_SIGNATURE),
        CASE(tcb_other_tee, TCB_INFO_MISMATCH),
        CASE(qe_other_tee, QE_ID_MISMATCH),
        CASE(tcb_other_fmspc, TCB_INFO_MISMATCH),
        CASE(tcb_other_pceid, TCB_INFO_MISMATCH),
        CASE(qe_misc, QE_ID_MISMATCH),
        CASE(qe_attributes, QE_ID_MISMATCH),
        CASE(qe_mrsigner, QE_ID_MISMATCH),
        CASE(qe_prodid, QE_ID_MISMATCH),
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (int kind = 0; kind < 4; kind++) {
            struct gen_intel_options o = cases[i].o;

            o.version = kind < 2 ? 3 + kind : 5;
            o.tdx = kind > 0;
            o.body_type = kind < 2 ? 0 : kind + 1;
            expect(cases[i].name, &o, &plain, cases[i].want, NULL);
        }
}

static void test_td(void **state)
{
    static const struct {
        struct gen_intel_options o;
        enum shelter_reason want;
    } cases[] = {
        {{.no_sept_ve = true}, SHELTER_R_SEPT_VE},
        {{.migratable = true}, SHELTER_R_TD_ATTRIBUTES},
        {{.servtd = true}, SHELTER_R_SERVTD},
        {{.servtd_ext = true}, SHELTER_R_SERVTD},
        {{.unknown_attribute = true}, SHELTER_R_TD_ATTRIBUTES},
        {{.icssd = true}, SHELTER_R_OK},
        {{.wrong_mrsignerseam = true}, SHELTER_R_TDX_MODULE},
        {{.seam_attributes = true}, SHELTER_R_TDX_MODULE},
        {{.no_modules = true}, SHELTER_R_TDX_MODULE},
    };
    static const struct ask lax = {
        .policy = "{\"allow_migration\":true,\"require_sept_ve_disable\":false,"
                  "\"allow_debug\":true}"};
    struct gen_intel_options all = {.version = 5,
                                    .tdx = true,
                                    .body_type = 3,
                                    .no_sept_ve = true,
                                    .migratable = true,
                                    .servtd = true,
                                    .debug = true};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gen_intel_options o = cases[i].o;

        o.version = 5;
        o.tdx = true;
        o.body_type = 3;
        expect("td", &o, &plain, cases[i].want, NULL);
        o.body_type = 4;
        expect("td, extended", &o, &plain, cases[i].want, NULL);
    }
    expect("lax", &all, &lax, SHELTER_R_OK, "UpToDate");
    for (int bit = 1; bit < 8; bit++) { // of the byte that says debug: nobody knows what they do
        all.attributes = 1ull << bit;
        expect("another bit beside debug", &all, &lax, SHELTER_R_TD_ATTRIBUTES, NULL);
    }
    all.attributes = 0;
    all.body_type = 4;
    all.servtd_ext = all.init_servtd = all.late_servtd = true;
    expect("lax, extended", &all, &lax, SHELTER_R_OK, "UpToDate");
}

static void expect_field(const struct shelter_verdict *v, const char *name, uint8_t byte,
                         size_t size)
{
    uint8_t want[48];

    memset(want, byte, size);
    if (!sv_field_is(v, name, want, size))
        print_message("# %s\n", name);
    assert_true(sv_field_is(v, name, want, size));
}

// The extended body: every field at its place, a service TD that was bound later, wrong sizes.
static void test_td15ex(void **state)
{
    struct gen_intel_options o = {.version = 5, .tdx = true, .body_type = 4, .late_servtd = true};
    struct gen_intel g;
    struct judged j;

    expect("bound later", &o, &plain, SHELTER_R_SERVTD, "UpToDate");
    o.late_servtd = false;
    o.init_servtd = true;
    expect("bound at first", &o, &plain, SHELTER_R_SERVTD, "UpToDate");
    o.init_servtd = false;
    gen_intel(&o, &g);
    j = judge_with(&g, &plain);
    expect_field(j.v, "td_id", 0x66, 32);
    expect_field(j.v, "dev_info", 0x77, 48);
    expect_field(j.v, "init_servtd_hash", 0, 48);
    expect_field(j.v, "init_servtd_attributes", 0x88, 8);
    expect_field(j.v, "init_cpu_svn", 0x99, 16);
    expect_field(j.v, "init_tee_tcb_svn", 0xaa, 16);
    expect_field(j.v, "init_fmspc", 0xbb, 12);
    expect_field(j.v, "servtd_hash", 0, 48);
    expect_field(j.v, "servtd_attributes", 0xcc, 8);
    expect_field(j.v, "mrservicetd", 0, 48);
    done(&j);
    for (int i = 0; i < 3; i++) {
        static const uint8_t wrong[][6] = {
            {4, 0, 0x74, 3, 0, 0}, {4, 0, 0x88, 2, 0, 0}, {5, 0, 0x75, 3, 0, 0}};

        memcpy(g.quote.data + SV_QUOTE_HEADER_SIZE, wrong[i], 6);
        j = judge_with(&g, &plain);
        assert_int_equal(shelter_verdict_reason(j.v), SHELTER_R_BODY_TYPE);
        done(&j);
    }
    gen_intel_free(&g);
}

// Every status Intel's JSON can say, alone and with a quoting enclave or module that is behind.
static void test_status(void **state)
{
    static const struct {
        const char *status, *qe, *module, *want;
        bool accepted;
    } cases[] = {
        {"UpToDate", NULL, NULL, "UpToDate", true},
        {"SWHardeningNeeded", NULL, NULL, "SWHardeningNeeded", true},
        {"ConfigurationNeeded", NULL, NULL, "ConfigurationNeeded", false},
        {"ConfigurationAndSWHardeningNeeded", NULL, NULL, "ConfigurationAndSWHardeningNeeded",
         false},
        {"OutOfDate", NULL, NULL, "OutOfDate", false},
        {"OutOfDateConfigurationNeeded", NULL, NULL, "OutOfDateConfigurationNeeded", false},
        {"Revoked", NULL, NULL, "Revoked", false},
        {"UpToDate", "OutOfDate", NULL, "OutOfDate", false},
        {"SWHardeningNeeded", "OutOfDate", NULL, "OutOfDate", false},
        {"ConfigurationNeeded", "OutOfDate", NULL, "OutOfDateConfigurationNeeded", false},
        {"ConfigurationAndSWHardeningNeeded", "OutOfDate", NULL, "OutOfDateConfigurationNeeded",
         false},
        {"UpToDate", "Revoked", NULL, "Revoked", false},
        {"UpToDate", NULL, "OutOfDate", "OutOfDate", false},
        {"ConfigurationNeeded", NULL, "OutOfDate", "OutOfDateConfigurationNeeded", false},
        {"UpToDate", NULL, "Revoked", "Revoked", false},
        {"UpToDate", "OutOfDate", "Revoked", "Revoked", false},
    };
    static const struct ask wide = {
        .policy = "{\"tcb_status\":[\"UpToDate\",\"SWHardeningNeeded\",\"ConfigurationNeeded\","
                  "\"ConfigurationAndSWHardeningNeeded\",\"OutOfDate\","
                  "\"OutOfDateConfigurationNeeded\",\"TDRelaunchAdvised\","
                  "\"TDRelaunchAdvisedConfigurationNeeded\"]}"};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gen_intel_options o = {.version = 4,
                                      .tdx = true,
                                      .status = cases[i].status,
                                      .qe_status = cases[i].qe,
                                      .module_status = cases[i].module};
        bool revoked = !strcmp(cases[i].want, "Revoked");

        expect(cases[i].status, &o, &plain,
               cases[i].accepted ? SHELTER_R_OK
               : revoked         ? SHELTER_R_TCB_REVOKED
                                 : SHELTER_R_TCB_STATUS,
               cases[i].want);
        // A policy may widen everything but revocation.
        expect(cases[i].status, &o, &wide, revoked ? SHELTER_R_TCB_REVOKED : SHELTER_R_OK,
               cases[i].want);
        if (cases[i].module)
            continue;
        o.version = 3;
        o.tdx = false;
        expect(cases[i].status, &o, &wide, revoked ? SHELTER_R_TCB_REVOKED : SHELTER_R_OK,
               cases[i].want);
    }
}

static void test_levels(void **state)
{
    struct gen_intel_options o = {.version = 3, .pck_svn = 4};

    expect("second level", &o, &plain, SHELTER_R_TCB_STATUS, "OutOfDate");
    o.pck_svn = 2;
    expect("third level", &o, &plain, SHELTER_R_TCB_STATUS, "OutOfDateConfigurationNeeded");
    o.pck_svn = 1;
    expect("no level", &o, &plain, SHELTER_R_TCB_NOT_SUPPORTED, "NOT-SUPPORTED");
    o = (struct gen_intel_options){.version = 3, .isvsvn_qe = 5};
    expect("QE below all levels", &o, &plain, SHELTER_R_TCB_NOT_SUPPORTED, "NOT-SUPPORTED");
    o.isvsvn_qe = 7;
    expect("old QE", &o, &plain, SHELTER_R_TCB_STATUS, "OutOfDate");
    // Version 0 of the module: bytes 0 and 1 are judged by the level, the identities play no part.
    o = (struct gen_intel_options){.version = 4,
                                   .tdx = true,
                                   .have_tee_tcb_svn = true,
                                   .tee_tcb_svn = {9, 0, 2},
                                   .no_modules = true};
    expect("module version 0", &o, &plain, SHELTER_R_OK, "UpToDate");
    o.tee_tcb_svn[0] = 8;
    expect("module version 0, old", &o, &plain, SHELTER_R_TCB_STATUS,
           "OutOfDateConfigurationNeeded");
    o.tee_tcb_svn[0] = 2;
    expect("module version 0, too old", &o, &plain, SHELTER_R_TCB_NOT_SUPPORTED, "NOT-SUPPORTED");
    o = (struct gen_intel_options){
        .version = 4, .tdx = true, .have_tee_tcb_svn = true, .tee_tcb_svn = {1, 1, 2}};
    expect("module below all its levels", &o, &plain, SHELTER_R_TCB_NOT_SUPPORTED, "NOT-SUPPORTED");
    o.tee_tcb_svn[0] = 9;
    o.tee_tcb_svn[1] = 2;
    expect("module of unknown version", &o, &plain, SHELTER_R_TDX_MODULE, NULL);
}

static void relaunch(int body_type)
{
    struct gen_intel_options o = {.version = 5,
                                  .tdx = true,
                                  .body_type = body_type,
                                  .have_tee_tcb_svn = true,
                                  .tee_tcb_svn = {2, 1, 2},
                                  .have_tee_tcb_svn_2 = true,
                                  .tee_tcb_svn_2 = {5, 1, 2}};

    expect("relaunch", &o, &plain, SHELTER_R_TCB_STATUS, "TDRelaunchAdvised");
    o.status = "SWHardeningNeeded";
    expect("relaunch", &o, &plain, SHELTER_R_TCB_STATUS, "TDRelaunchAdvised");
    o.status = "ConfigurationNeeded";
    expect("relaunch", &o, &plain, SHELTER_R_TCB_STATUS, "TDRelaunchAdvisedConfigurationNeeded");
    o.status = NULL;
    o.tee_tcb_svn_2[0] = 2;
    expect("still old", &o, &plain, SHELTER_R_TCB_STATUS, "OutOfDate");
    o.tee_tcb_svn_2[0] = 1;
    expect("current is below all", &o, &plain, SHELTER_R_TCB_NOT_SUPPORTED, "NOT-SUPPORTED");
    // What the platform runs now is revoked: no launch under better times mends that.
    o.module_status = "Revoked";
    o.tee_tcb_svn_2[0] = 5;
    expect("revoked since", &o, &plain, SHELTER_R_TCB_REVOKED, "Revoked");
    o.module_status = NULL;
    // A TD launched well stays well, whatever the platform did since.
    o.tee_tcb_svn[0] = 5;
    o.tee_tcb_svn_2[0] = 2;
    expect("launched well", &o, &plain, SHELTER_R_OK, "UpToDate");
}

static void test_relaunch(void **state)
{
    relaunch(3);
    relaunch(4);
}

// A root that nobody named is never trusted; a simulated one needs the flag too.
static void test_roots(void **state)
{
    struct gen_intel_options o = {.version = 4, .tdx = true};
    struct ask a = {.no_ca = true};

    expect("not named", &o, &a, SHELTER_R_ROOT, NULL);
    o.simulated_root = true;
    expect("simulated, not named", &o, &a, SHELTER_R_SIMULATED, NULL);
    a.allow_simulated = true;
    expect("simulated, allowed, not named", &o, &a, SHELTER_R_SIMULATED, NULL);
    a = (struct ask){0};
    expect("simulated, named", &o, &a, SHELTER_R_SIMULATED, NULL);
    a.allow_simulated = true;
    expect("simulated, named, allowed", &o, &a, SHELTER_R_OK, "UpToDate");
    a.no_collateral = true;
    expect("simulated without collateral", &o, &a, SHELTER_R_OK, "Simulated");
    o.debug = true;
    expect("simulated debug", &o, &a, SHELTER_R_DEBUG, NULL);
    o = (struct gen_intel_options){.version = 4, .tdx = true};
    expect("real without collateral", &o, &a, SHELTER_R_NO_COLLATERAL, NULL);
}

static void test_missing(void **state)
{
    struct gen_intel_options o = {.version = 4, .tdx = true};
    struct gen_intel g;

    gen_intel(&o, &g);
    size_t *sizes[] = {&g.tcb_info.size, &g.qe_identity.size, &g.pck_crl.size, &g.root_crl.size};

    for (size_t i = 0; i < 4; i++) {
        size_t size = *sizes[i];
        struct judged j;

        *sizes[i] = 0;
        j = judge_with(&g, &plain);
        assert_string_equal(shelter_reason_code(shelter_verdict_reason(j.v)), "no-collateral");
        assert_false(shelter_verdict_judged(j.v));
        assert_false(shelter_verdict_accepted(j.v));
        done(&j);
        *sizes[i] = size;
    }
    gen_intel_free(&g);
}

// Quotes that only name their PCK certificate need its chain from outside.
static void test_named_pck(void **state)
{
    struct gen_intel_options o = {.version = 3, .cert_type = 3};
    struct gen_intel g;
    struct judged j;
    struct ask a = {0};

    gen_intel(&o, &g);
    j = judge_with(&g, &plain);
    assert_string_equal(shelter_reason_code(shelter_verdict_reason(j.v)), "no-pck-chain");
    assert_false(shelter_verdict_judged(j.v));
    done(&j);
    a.signer = g.pck_chain.data;
    a.signer_size = g.pck_chain.size;
    j = judge_with(&g, &a);
    assert_true(shelter_verdict_accepted(j.v));
    done(&j);
    gen_intel_free(&g);
}

static void test_nonce(void **state)
{
    struct gen_intel_options o = {.version = 4, .tdx = true};
    struct ask a = {.nonce = "0123456789abcdef", .nonce_size = 16};

    expect("no nonce in it", &o, &a, SHELTER_R_REPORT_DATA, NULL);
    // The nonce itself is not what a shelter attests: it is domain-separated.
    memcpy(o.report_data, a.nonce, 16);
    expect("raw nonce", &o, &a, SHELTER_R_REPORT_DATA, NULL);
    assert_int_equal(shelter_nonce_report_data(a.nonce, 16, o.report_data), 0);
    expect("nonce", &o, &a, SHELTER_R_OK, NULL);
    a.nonce = "0123456789abcdeg";
    expect("old nonce", &o, &a, SHELTER_R_REPORT_DATA, NULL);
}

// What was left out cannot be judged; it is no broken signature.
static void test_missing_chain(void **state)
{
    struct gen_intel_options o = {.version = 3};
    struct shelter_collateral *col;
    struct shelter_verdict *v;
    struct gen_intel g;
    char why[256], *text;

    gen_intel(&o, &g);
    text = gen_intel_collateral(&g);
    cJSON *json = cJSON_Parse(text);
    free(text);
    cJSON_DeleteItemFromObject(json, "tcb_info_issuer_chain");
    cJSON_DeleteItemFromObject(json, "qe_identity_issuer_chain");
    text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    assert_int_equal(shelter_collateral_parse(text, strlen(text), g.root.data, g.root.size, &col,
                                              why, sizeof(why)),
                     0);
    struct shelter_verify_request rq = {.size = sizeof(rq),
                                        .evidence = g.quote.data,
                                        .evidence_size = g.quote.size,
                                        .collateral = col,
                                        .ca = g.root.data,
                                        .ca_size = g.root.size,
                                        .time = GEN_TIME};
    assert_int_equal(shelter_verify(&rq, &v), 0);
    assert_false(shelter_verdict_judged(v));
    assert_true(shelter_verdict_signatures_valid(v));
    assert_int_equal(shelter_verdict_reason(v), SHELTER_R_NO_COLLATERAL);
    shelter_verdict_free(v);
    shelter_collateral_free(col);
    free(text);
    gen_intel_free(&g);
}

static void test_policy(void **state)
{
    struct gen_intel_options o = {.version = 3};
    static const struct {
        const char *policy;
        enum shelter_reason want;
    } cases[] = {
        {"{}", SHELTER_R_OK},
        {"{\"min_tcb_evaluation_number\":17}", SHELTER_R_OK},
        {"{\"min_tcb_evaluation_number\":18}", SHELTER_R_TCB_EVAL_NUMBER},
        {"{\"tcb_status\":[]}", SHELTER_R_TCB_STATUS},
        {"{\"tcb_status\":[\"SWHardeningNeeded\"]}", SHELTER_R_TCB_STATUS},
        {"{\"claims\":{\"isvsvn\":{\"min\":4}}}", SHELTER_R_OK},
        {"{\"claims\":{\"isvsvn\":{\"min\":5}}}", SHELTER_R_CLAIM},
        {"{\"claims\":{\"isvprodid\":[1,3]}}", SHELTER_R_OK},
        {"{\"claims\":{\"isvprodid\":4}}", SHELTER_R_CLAIM},
        {"{\"claims\":{\"nothing\":4}}", SHELTER_R_CLAIM},
        {"{\"tcb_status\":[\"Revoked\"]}", SHELTER_R_POLICY_FILE},
        {"{\"tcb_status\":[\"uptodate\"]}", SHELTER_R_POLICY_FILE},
        {"{\"alow_debug\":true}", SHELTER_R_POLICY_FILE},
        {"{\"allow_debug\":1}", SHELTER_R_POLICY_FILE},
        {"{\"snp\":{\"vmpl\":1}}", SHELTER_R_POLICY_FILE},
        {"{\"snp\":{\"min_abi\":\"1.\"}}", SHELTER_R_POLICY_FILE},
        {"{\"snp\":{\"min_tcb\":{\"Naples\":{}}}}", SHELTER_R_POLICY_FILE},
        {"{\"snp\":[1]}", SHELTER_R_POLICY_FILE},
        {"{\"csv\":[1]}", SHELTER_R_POLICY_FILE},
        {"{\"claims\":[1]}", SHELTER_R_POLICY_FILE},
        {"{\"snp\":{\"min_tcb\":[1]}}", SHELTER_R_POLICY_FILE},
        {"{\"snp\":{\"min_tcb\":{\"Milan\":[1]}}}", SHELTER_R_POLICY_FILE},
        {"[]", SHELTER_R_POLICY_FILE},
        {"", SHELTER_R_POLICY_FILE},
        {"{} {}", SHELTER_R_POLICY_FILE},
        {"{\"claims\":{\"isvsvn\":{\"min\":5,\"min\":1}}}", SHELTER_R_POLICY_FILE},
    };
    struct gen_intel_options old = {.version = 3, .qe_evaluation = 16};
    struct ask seventeen = {.policy = "{\"min_tcb_evaluation_number\":17}"};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ask a = {.policy = cases[i].policy};

        expect(a.policy, &o, &a, cases[i].want, NULL);
    }
    expect("an older QE identity", &old, &seventeen, SHELTER_R_TCB_EVAL_NUMBER, NULL);
    expect("an older QE identity, no floor", &old, &plain, SHELTER_R_OK, NULL);
    static const struct {
        struct gen_intel_options o;
        enum shelter_reason want;
    } bits[] = {{{.version = 3, .xfrm = 1}, SHELTER_R_SGX_ATTRIBUTES}, // without x87
                {{.version = 3, .xfrm = 1 << 8}, SHELTER_R_SGX_ATTRIBUTES},
                {{.version = 3, .xfrm = 1 << 9}, SHELTER_R_OK}, // PKRU
                {{.version = 3, .misc = 1}, SHELTER_R_OK},
                {{.version = 3, .misc = 8}, SHELTER_R_SGX_ATTRIBUTES},
                {{.version = 3, .attributes = 1 << 8}, SHELTER_R_SGX_ATTRIBUTES},
                {{.version = 3, .attributes = 1 << 10}, SHELTER_R_OK}, // AEX notify
                {{.version = 4, .tdx = true, .xfrm = 2}, SHELTER_R_TD_XFAM},
                {{.version = 4, .tdx = true, .xfrm = 1 << 3}, SHELTER_R_TD_XFAM},
                {{.version = 4, .tdx = true, .xfrm = 1 << 8}, SHELTER_R_OK}}; // PT

    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
        expect("bits", &bits[i].o, &plain, bits[i].want, NULL);
}

static void test_reference(void **state)
{
#define M32 "3333333333333333333333333333333333333333333333333333333333333333"
#define S32 "4444444444444444444444444444444444444444444444444444444444444444"
    struct gen_intel_options o = {.version = 3};
    static const struct {
        const char *text;
        enum shelter_reason want;
    } cases[] = {
        {"{\"references\":[{\"tee\":\"sgx\",\"measurement\":{\"mrenclave\":\"" M32 "\"}}]}",
         SHELTER_R_OK},
        {"{\"references\":[{\"tee\":\"sgx-sim\",\"measurement\":{\"mrenclave\":\"" M32
         "\",\"mrsigner\":\"" S32 "\"}}]}",
         SHELTER_R_OK},
        {"{\"references\":[{\"tee\":\"sgx\",\"measurement\":{\"mrenclave\":\"" M32
         "\",\"mrsigner\":\"" M32 "\"}}]}",
         SHELTER_R_REFERENCE},
        {"{\"references\":[{\"tee\":\"tdx\",\"measurement\":{\"mrenclave\":\"" M32 "\"}}]}",
         SHELTER_R_REFERENCE},
        // A signer alone names no code; neither does nothing at all.
        {"{\"references\":[{\"tee\":\"sgx\",\"measurement\":{\"mrsigner\":\"" S32 "\"}}]}",
         SHELTER_R_REFERENCE},
        {"{\"references\":[{\"tee\":\"sgx\",\"measurement\":{\"mrenclave\":\"" M32
         "\",\"isv_prod_id\":3,\"isv_svn\":4}}]}",
         SHELTER_R_OK},
        {"{\"references\":[{\"tee\":\"sgx\",\"measurement\":{\"mrenclave\":\"" M32
         "\",\"isv_prod_id\":4}}]}",
         SHELTER_R_REFERENCE},
        {"{\"references\":[{\"tee\":\"sgx\",\"measurement\":{\"mrenclave\":[\"" S32 "\",\"" M32
         "\"]}}]}",
         SHELTER_R_OK},
        {"{\"references\":[{\"tee\":\"sgx\",\"measurement\":{\"mrenclave\":[\"" S32 "\"]}}]}",
         SHELTER_R_REFERENCE},
        {"{\"references\":[{\"tee\":\"sgx\",\"measurement\":{}}]}", SHELTER_R_REFERENCE},
        {"{\"references\":[]}", SHELTER_R_REFERENCE},
        {"{\"references\":[{\"tee\":\"sgx\",\"measurement\":{\"mrenclave\":null}}]}",
         SHELTER_R_REFERENCE},
        {"{\"references\":[{\"tee\":\"sgx\",\"measurement\":{\"mrenclave\":\"\"}}]}",
         SHELTER_R_REFERENCE},
        {"{}", SHELTER_R_REFERENCE_FILE},
        {"x", SHELTER_R_REFERENCE_FILE},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ask a = {.reference = cases[i].text};

        expect(a.reference, &o, &a, cases[i].want, NULL);
    }
}

// The firmware is every image's: without kernel and command line a reference is none of an image.
static void test_reference_td(void **state)
{
#define TWELVE(digits) digits digits digits digits digits digits digits digits
#define FIRMWARE "\"mrtd\":\"" TWELVE("111111111111") "\""
#define REGISTER TWELVE("000000000000")
#define OTHER TWELVE("000000000001")
    struct gen_intel_options o = {.version = 4, .tdx = true};
    static const struct {
        const char *measurement;
        enum shelter_reason want;
    } cases[] = {
        {FIRMWARE, SHELTER_R_REFERENCE},
        {FIRMWARE ",\"rtmr0\":\"" REGISTER "\"", SHELTER_R_REFERENCE},
        {FIRMWARE ",\"rtmr1\":\"" REGISTER "\"", SHELTER_R_REFERENCE},
        {FIRMWARE ",\"rtmr2\":\"" REGISTER "\"", SHELTER_R_REFERENCE},
        {FIRMWARE ",\"rtmr1\":null,\"rtmr2\":null", SHELTER_R_REFERENCE},
        {FIRMWARE ",\"rtmr1\":\"" REGISTER "\",\"rtmr2\":\"" REGISTER "\"", SHELTER_R_OK},
        {FIRMWARE ",\"rtmr1\":\"" REGISTER "\",\"rtmr2\":\"" OTHER "\"", SHELTER_R_REFERENCE},
        {FIRMWARE ",\"rtmr1\":\"" OTHER "\",\"rtmr2\":\"" REGISTER "\"", SHELTER_R_REFERENCE},
        {"\"rtmr1\":\"" REGISTER "\",\"rtmr2\":\"" REGISTER "\"", SHELTER_R_REFERENCE},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[1024];
        struct ask a = {.reference = text};

        snprintf(text, sizeof(text), "{\"references\":[{\"tee\":\"tdx\",\"measurement\":{%s}}]}",
                 cases[i].measurement);
        expect(text, &o, &a, cases[i].want, NULL);
    }
}

static void test_event_log(void **state)
{
    struct gen_intel_options o = {.version = 4, .tdx = true};
    struct gen_blob log = gen_event_log(o.rtmr);
    struct ask a = {.log = log.data, .log_size = log.size};
    uint8_t out[4][48];
    char why[128];

    expect("event log", &o, &a, SHELTER_R_OK, NULL);
    for (size_t size = 0; size < log.size; size++) // torn anywhere: no crash, no full replay
        if (!shelter_event_log_replay(log.data, size, out, why, sizeof(why)) &&
            size < log.size - 64)
            assert_memory_not_equal(out, o.rtmr, sizeof(out));
    log.data[65 + 66 + 3] ^= 1; // the first event's data
    expect("data changed", &o, &a, SHELTER_R_EVENT_LOG_DIGEST, NULL);
    log.data[65 + 66 + 3] ^= 1;
    o.rtmr[2][0] ^= 1;
    expect("other register", &o, &a, SHELTER_R_EVENT_LOG_MISMATCH, NULL);
    a.log_size = 40;
    expect("torn", &o, &a, SHELTER_R_EVENT_LOG_PARSE, NULL);
    free(log.data);
}

// A register that the log extends is enforced, another one only reported.
static void expect_log(struct gen_blob log, struct gen_intel_options *o, const char *rtmr3,
                       bool verified)
{
    static const char format[] = "{\"claims\":{\"rtmr3_event_log\":\"%s\","
                                 "\"event_log_verified\":%s}}";
    struct ask a = {.log = log.data, .log_size = log.size};
    char policy[128];

    snprintf(policy, sizeof(policy), format, rtmr3, verified ? "true" : "false");
    a.policy = policy;
    expect(rtmr3, o, &a, SHELTER_R_OK, NULL);
    snprintf(policy, sizeof(policy), format, rtmr3, verified ? "false" : "true");
    expect(rtmr3, o, &a, SHELTER_R_CLAIM, NULL);
}

static void test_runtime_events(void **state)
{
    struct gen_intel_options o = {.version = 4, .tdx = true};
    struct gen_blob log = gen_event_log(o.rtmr);
    struct ask a = {.log = log.data, .log_size = log.size};

    expect_log(log, &o, "unused", true);
    o.rtmr[3][7] = 1;
    expect_log(log, &o, "not covered", false);
    free(log.data);
    log = gen_event_log_informed(o.rtmr);
    expect_log(log, &o, "unused", true);
    free(log.data);
    log = gen_event_log_aael(o.rtmr);
    expect_log(log, &o, "replayed", true);
    a = (struct ask){.log = log.data, .log_size = log.size};
    o.rtmr[0][0] = 1; // a boot log that nobody handed on
    expect_log(log, &o, "replayed", false);
    o.rtmr[3][0] ^= 1;
    expect("other RTMR3", &o, &a, SHELTER_R_EVENT_LOG_MISMATCH, NULL);
    log.data[log.size - 9] ^= 1; // the event's last letter
    expect("AAEL changed", &o, &a, SHELTER_R_EVENT_LOG_DIGEST, NULL);
    free(log.data);
}

static void test_dstack_log(void **state)
{
    struct gen_intel_options o = {.version = 4, .tdx = true};
    struct gen_blob log = gen_event_log_dstack(o.rtmr);
    struct ask a = {.log = log.data, .log_size = log.size};
    static const char *const bad[] = {"[1]",
                                      "[",
                                      "[{}]",
                                      "[{\"imr\":4,\"event_type\":4}]",
                                      "[{\"imr\":0,\"event_type\":4,\"digest\":\"00\"}]",
                                      "[{\"imr\":-1,\"event_type\":4}]",
                                      "{}",
                                      "text"};
    char *at;

    expect_log(log, &o, "replayed", true);
    at = strstr((char *)log.data, "app-id");
    assert_non_null(at);
    at[0] = 'A';
    expect("name changed", &o, &a, SHELTER_R_EVENT_LOG_DIGEST, NULL);
    at[0] = 'a';
    at = strstr((char *)log.data, "00000000\"");
    at[0] = '1';
    expect("boot data changed", &o, &a, SHELTER_R_EVENT_LOG_DIGEST, NULL);
    at[0] = '0';
    o.rtmr[3][0] ^= 1;
    expect("other RTMR3", &o, &a, SHELTER_R_EVENT_LOG_MISMATCH, NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        a = (struct ask){.log = bad[i], .log_size = strlen(bad[i])};
        expect(bad[i], &o, &a, SHELTER_R_EVENT_LOG_PARSE, NULL);
    }
    free(log.data);
}

// One bit of every byte, from the header to the end of the certification data's header: no flip
// may be accepted. (In the PEM text that follows, line ends carry no meaning.)
static void flip(const struct gen_intel_options *o)
{
    struct gen_intel g;
    struct judged j;
    struct shelter_verify_request rq = {.size = sizeof(rq), .time = GEN_TIME};
    size_t end;
    uint8_t *copy;

    gen_intel(o, &g);
    end = g.quote.size - g.pck_chain.size - 1;
    j = judge_with(&g, &plain);
    assert_true(shelter_verdict_accepted(j.v));
    copy = malloc(g.quote.size);
    rq.collateral = j.col;
    rq.ca = g.root.data;
    rq.ca_size = g.root.size;
    rq.evidence = copy;
    rq.evidence_size = g.quote.size;
    for (size_t at = 0; at < end; at++) {
        struct shelter_verdict *v;

        memcpy(copy, g.quote.data, g.quote.size);
        copy[at] ^= (uint8_t)(1u << at % 8);
        // The size of the chain's text is not signed: one less drops the NUL behind it, no more.
        if (at == end - 4 && g.quote.data[at] - copy[at] == 1)
            continue;
        assert_int_equal(shelter_verify(&rq, &v), 0);
        if (shelter_verdict_accepted(v))
            print_message("# byte %zu of version %d\n", at, o->version);
        assert_false(shelter_verdict_accepted(v));
        shelter_verdict_free(v);
    }
    for (size_t size = 1; size < g.quote.size; size += size < end ? 1 : 37) {
        uint8_t *torn = malloc(size); // so that a read past the end is seen
        struct shelter_verdict *v;

        memcpy(torn, g.quote.data, size);
        rq.evidence = torn;
        rq.evidence_size = size;
        assert_int_equal(shelter_verify(&rq, &v), 0);
        assert_false(shelter_verdict_accepted(v));
        assert_false(shelter_verdict_signatures_valid(v));
        shelter_verdict_free(v);
        free(torn);
    }
    free(copy);
    done(&j);
    gen_intel_free(&g);
}

static void test_flips(void **state)
{
    flip(&shapes[0]);
    flip(&shapes[3]);
    flip(&shapes[5]);
}

// Bits of the collateral: CRLs, chains, JSON. What is still accepted must say the same.
static void test_collateral_flips(void **state)
{
    struct gen_intel_options o = {.version = 4, .tdx = true};
    struct gen_intel g;

    gen_intel(&o, &g);
    struct gen_blob *parts[] = {&g.tcb_info, &g.qe_identity, &g.tcb_sig,
                                &g.qe_sig,   &g.pck_crl,     &g.root_crl};

    for (size_t p = 0; p < sizeof(parts) / sizeof(parts[0]); p++)
        for (size_t at = 0; at<parts[p]->size; at += parts[p]->size> 600 ? 23 : 5) {
            struct judged j;
            uint8_t old = parts[p]->data[at];

            parts[p]->data[at] ^= (uint8_t)(1u << at % 7);
            if (parts[p]->data[at] < 0x20) // would break the file's JSON, not the part
                parts[p]->data[at] = 'x';
            if (p >= 4)
                parts[p]->data[at] = old ^ (uint8_t)(1u << at % 8);
            if (!((p == 2 || p == 3) && (parts[p]->data[at] ^ old) == 0x20)) { // hex of either case
                char *json = gen_intel_collateral(&g), why[256];
                struct shelter_collateral *col = NULL;

                if (!shelter_collateral_parse(json, strlen(json), g.root.data, g.root.size, &col,
                                              why, sizeof(why))) {
                    shelter_collateral_free(col);
                    j = judge_with(&g, &plain);
                    assert_false(shelter_verdict_accepted(j.v));
                    done(&j);
                }
                free(json);
            }
            parts[p]->data[at] = old;
        }
    gen_intel_free(&g);
}

// A platform's second quote by the same collateral: its certificate is not read again, and judged
// all the same.
static void test_seen(void **state)
{
    static const struct {
        struct gen_intel_options o;
        int64_t later;
        enum shelter_reason first, second;
    } cases[] = {
        {{.version = 4, .tdx = true}, 0, SHELTER_R_OK, SHELTER_R_OK},
        {{.version = 4, .tdx = true}, 400 * 86400, SHELTER_R_OK, SHELTER_R_CERT_EXPIRED},
        {{.version = 3, .revoke_pck = true}, 0, SHELTER_R_PCK_REVOKED, SHELTER_R_PCK_REVOKED},
        {{.version = 3, .revoke_pck_ca = true}, 0, SHELTER_R_CA_REVOKED, SHELTER_R_CA_REVOKED},
        {{.version = 4, .tdx = true, .foreign_pck_ca = true},
         0,
         SHELTER_R_PCK_CHAIN,
         SHELTER_R_PCK_CHAIN},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gen_intel g;

        gen_intel(&cases[i].o, &g);
        struct judged j = judge_with(&g, &plain);
        struct shelter_verify_request rq = {.size = sizeof(rq),
                                            .evidence = g.quote.data,
                                            .evidence_size = g.quote.size,
                                            .ca = g.root.data,
                                            .ca_size = g.root.size,
                                            .collateral = j.col,
                                            .time = GEN_TIME + cases[i].later};

        assert_int_equal(shelter_verdict_reason(j.v), cases[i].first);
        for (int again = 0; again < 2; again++) {
            struct shelter_verdict *v;

            assert_int_equal(shelter_verify(&rq, &v), 0);
            assert_int_equal(shelter_verdict_reason(v), cases[i].second);
            shelter_verdict_free(v);
        }
        // Without the root's name nobody vouches for it.
        rq.ca_size = 0;
        rq.ca = NULL;
        struct shelter_verdict *v;

        assert_int_equal(shelter_verify(&rq, &v), 0);
        assert_false(shelter_verdict_accepted(v));
        shelter_verdict_free(v);
        done(&j);
        gen_intel_free(&g);
    }
}

// As many as there is room for; the first ones go.
static void test_seen_bound(void **state)
{
    struct sv_seen *s = sv_seen_new();
    X509 *cert[SV_SEEN + 1], *found;

    for (int i = 0; i <= SV_SEEN; i++) {
        cert[i] = X509_new();
        sv_seen_add(s, cert[i], (const uint8_t *)&i, sizeof(i));
    }
    for (int i = 0; i <= SV_SEEN; i++) {
        found = sv_seen_find(s, (const uint8_t *)&i, sizeof(i));
        assert_ptr_equal(found, i ? cert[i] : NULL);
        assert_int_equal(sv_seen_has(s, cert[i]), i > 0);
        assert_null(sv_seen_find(s, (const uint8_t *)&i, sizeof(i) - 1));
        X509_free(found);
        X509_free(cert[i]);
    }
    sv_seen_free(s);
}

static X509 *learnt(struct sv_seen *s, X509 *issuer, const uint8_t *der, size_t size)
{
    struct gen_blob pem = {malloc(2 * size + 100), 0};
    char *text = malloc(2 * size + 8);
    X509 *found;

    EVP_EncodeBlock((uint8_t *)text, der, (int)size);
    pem.size = (size_t)sprintf(
        (char *)pem.data, "-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n", text);
    sv_certs_learn(s, issuer, pem.data, pem.size);
    found = sv_seen_find(s, der, size);
    free(text);
    free(pem.data);
    return found;
}

// A leaf that the CA signed is read without its key, and nothing else is.
static void test_learn(void **state)
{
    struct gen_intel_options o = {.version = 4, .tdx = true};
    struct sv_certs certs = {0}, foreign = {0};
    struct sv_seen *s = sv_seen_new();
    struct gen_intel g, other;
    EVP_PKEY *key;
    X509 *leaf;

    gen_intel(&o, &g);
    gen_intel(&o, &other);
    assert_int_equal(sv_certs_add(&certs, g.pck_chain.data, g.pck_chain.size), 0);
    assert_int_equal(sv_certs_add(&foreign, other.pck_chain.data, other.pck_chain.size), 0);
    assert_null(learnt(s, foreign.cert[1], certs.der[0], certs.der_size[0]));
    assert_null(learnt(s, certs.cert[2], certs.der[1], certs.der_size[1])); // a CA is no leaf
    assert_null(learnt(s, certs.cert[0], certs.der[0], certs.der_size[0]));
    assert_null(learnt(NULL, certs.cert[1], certs.der[0], certs.der_size[0]));
    for (size_t i = 0; i < certs.der_size[0]; i++) {
        certs.der[0][i] ^= (uint8_t)(1 + i % 255);
        if ((leaf = learnt(s, certs.cert[1], certs.der[0], certs.der_size[0])))
            fail_msg("byte %zu", i);
        certs.der[0][i] ^= (uint8_t)(1 + i % 255);
    }
    leaf = learnt(s, certs.cert[1], certs.der[0], certs.der_size[0]);
    assert_non_null(leaf);
    assert_true(sv_seen_has(s, leaf));
    assert_null(X509_get0_pubkey(leaf));
    key = sv_leaf_key(leaf);
    assert_int_equal(EVP_PKEY_eq(key, X509_get0_pubkey(certs.cert[0])), 1);
    EVP_PKEY_free(key);
    X509_free(leaf);
    sv_certs_free(&certs);
    sv_certs_free(&foreign);
    sv_seen_free(s);
    gen_intel_free(&g);
    gen_intel_free(&other);
}

// Lengths that lie.
static void test_lengths(void **state)
{
    struct gen_intel_options o = {.version = 4, .tdx = true};
    static const uint32_t lies[] = {0, 1, 63, 127, 128, 200, 0x7fffffff, 0x80000000, 0xffffffff};
    static const size_t fields[] = {632, 636 + 128 + 2, 636 + 134 + 448, 636 + 134 + 448 + 34 + 2};
    struct gen_intel g;

    gen_intel(&o, &g);
    for (size_t f = 0; f < 4; f++)
        for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
            uint8_t old[4];
            struct judged j;

            memcpy(old, g.quote.data + fields[f], 4);
            sh_put_le32(g.quote.data + fields[f], lies[i]);
            j = judge_with(&g, &plain);
            assert_false(shelter_verdict_accepted(j.v));
            done(&j);
            memcpy(g.quote.data + fields[f], old, 4);
        }
    gen_intel_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_td),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_relaunch),
        cmocka_unit_test(test_td15ex),
        cmocka_unit_test(test_roots),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_named_pck),
        cmocka_unit_test(test_nonce),
        cmocka_unit_test(test_missing_chain),
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_reference_td),
        cmocka_unit_test(test_event_log),
        cmocka_unit_test(test_runtime_events),
        cmocka_unit_test(test_dstack_log),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_seen),
        cmocka_unit_test(test_seen_bound),
        cmocka_unit_test(test_learn),
        cmocka_unit_test(test_flips),
        cmocka_unit_test(test_collateral_flips),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
