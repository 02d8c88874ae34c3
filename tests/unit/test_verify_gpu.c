// SPDX-License-Identifier: Apache-2.0
// Evidence of GPUs beside that of a TEE, under test roots: one thing wrong at a time, bytes and
// lengths; RIMs, nonce and policy.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/gen/evidence.h"
#include "tests/unit/verdict.h"
#include "verifier/base/bytes.h"
#include "verifier/quote/rim.h"
#include <shelter/verify.h>

#define TEE "\"nitro\":{\"allow\":true}"
#define DEMAND "{" TEE ",\"nvidia\":{}}"

static struct gen_nitro tee;
static char folder[] = "/tmp/shelter-gpu.XXXXXX";

struct ask {
    const char *policy, *device_data;
    size_t device_data_size;
    bool no_rims, allow_simulated, no_nonce;
    const struct gen_gpu *more; // whose RIMs are there too
};

static void write_rims(const struct gen_gpu *g)
{
    gen_save(folder, "driver.swidtag", g->rim[0].data, g->rim[0].size);
    gen_save(folder, "firmware.swidtag", g->rim[1].data, g->rim[1].size);
}

// Eight times each, so that in whatever order a folder is read some are in front; NULL: removed.
static void write_more(const struct gen_gpu *more)
{
    char name[40], path[80];

    for (int i = 0; i < 16; i++) {
        snprintf(name, sizeof(name), "%d.swidtag", i);
        snprintf(path, sizeof(path), "%s/%s", folder, name);
        if (more)
            gen_save(folder, name, more->rim[i % 2].data, more->rim[i % 2].size);
        else
            unlink(path);
    }
}

static struct shelter_verdict *judge(const struct gen_gpu *g, const struct ask *a)
{
    size_t size = tee.root.size + g->root.size, more = a->more ? a->more->root.size : 0;
    char *ca = malloc(size + more), why[200] = "";
    static const uint8_t zeros[64];
    struct shelter_verdict *v;
    struct shelter_collateral *col = NULL;
    struct shelter_verify_request rq = {
        .size = sizeof(rq),
        .evidence = tee.document.data,
        .evidence_size = tee.document.size,
        .time = GEN_TIME,
        .policy_json = a->policy ? a->policy : "{" TEE "}",
        .ca = ca,
        .ca_size = size + more,
        .allow_simulated = a->allow_simulated,
        .additional = (const char *)g->json.data,
        .additional_size = g->json.size,
        .device_data = a->device_data || a->no_nonce ? (const void *)a->device_data : zeros,
        .device_data_size = a->device_data ? a->device_data_size : sizeof(zeros),
    };

    assert_non_null(ca);
    memcpy(ca, tee.root.data, tee.root.size);
    memcpy(ca + tee.root.size, g->root.data, g->root.size);
    if (more) {
        memcpy(ca + size, a->more->root.data, more);
        write_more(a->more);
    }
    if (!a->no_rims) {
        write_rims(g);
        assert_int_equal(shelter_collateral_load(folder, ca, size + more, &col, why, sizeof(why)),
                         0);
        rq.device_collateral = col;
    }
    assert_int_equal(shelter_verify(&rq, &v), 0);
    shelter_collateral_free(col);
    free(ca);
    write_more(NULL);
    return v;
}

static void expect(const char *name, const struct gen_gpu_options *o, const struct ask *a,
                   enum shelter_reason want)
{
    struct shelter_verdict *v;
    struct gen_gpu g;

    gen_gpu(o, &g);
    v = judge(&g, a);
    expect_reason(v, name, want);
    assert_int_equal(shelter_verdict_judged(v),
                     want != SHELTER_R_NO_RIM && want != SHELTER_R_POLICY_FILE);
    shelter_verdict_free(v);
    gen_gpu_free(&g);
}

static const struct ask plain, demand = {.policy = DEMAND};

// What the verdict says of the devices, as JSON.
static void says(const struct gen_gpu_options *o, const struct ask *a, const char *want)
{
    struct shelter_verdict *v;
    struct gen_gpu g;
    char *claim;

    gen_gpu(o, &g);
    v = judge(&g, a);
    claim = shelter_verdict_claim(v, "nvidia");
    assert_non_null(claim);
    if (!strstr(claim, want))
        print_message("# %s\n", claim);
    assert_non_null(strstr(claim, want));
    free(claim);
    shelter_verdict_free(v);
    gen_gpu_free(&g);
}

static void test_good(void **state)
{
    struct gen_gpu_options o = {.hex = true};

    expect("as agents send it", &(struct gen_gpu_options){0}, &demand, SHELTER_R_OK);
    expect("hex", &o, &demand, SHELTER_R_OK);
    says(&o, &demand, "\"driver\":\"545.00\"");
    says(&o, &demand, "\"firmware\":\"96.00.5E.00.01\"");
    says(&o, &demand, "\"measurements\":\"as in the RIMs\"");
    says(&o, &demand, "\"root\":\"named by the caller\"");
    says(&o, &demand, "\"nonce\":\"as expected\"");
    says(&o, &demand, "\"verdict\":\"holds\"");
    expect("the root is not in the chain", &(struct gen_gpu_options){.no_root = true}, &demand,
           SHELTER_R_OK);
    expect("no firmware id", &(struct gen_gpu_options){.no_fwid = true}, &demand, SHELTER_R_OK);
    expect("white space", &(struct gen_gpu_options){.rim_white = true}, &demand, SHELTER_R_OK);
    expect("alternatives", &(struct gen_gpu_options){.rim_alternative = true}, &demand,
           SHELTER_R_OK);
    expect("no NVDEC0", &(struct gen_gpu_options){.nvdec0_off = true, .at_35 = true}, &demand,
           SHELTER_R_OK);
    expect("simulated", &(struct gen_gpu_options){.simulated_root = true, .rim_simulated = true},
           &(struct ask){.policy = DEMAND, .allow_simulated = true}, SHELTER_R_OK);
}

static void test_reasons(void **state)
{
    static const struct {
        const char *name;
        struct gen_gpu_options o;
        enum shelter_reason want;
    } cases[] = {
        {"other signer", {.not_signed = true}, SHELTER_R_GPU_SIGNATURE},
        {"other firmware", {.other_fwid = true}, SHELTER_R_GPU_SIGNATURE},
        {"leaf of another CA", {.foreign_leaf = true}, SHELTER_R_GPU_CHAIN},
        {"CA as leaf", {.leaf_is_ca = true}, SHELTER_R_GPU_CHAIN},
        {"another product", {.product = "NVIDIA GB100 Identity"}, SHELTER_R_GPU_CHAIN},
        {"another root named", {.foreign_root = true}, SHELTER_R_ROOT},
        {"expired", {.expired = true}, SHELTER_R_CERT_EXPIRED},
        {"simulated", {.simulated_root = true}, SHELTER_R_SIMULATED},
        {"twice", {.again = true}, SHELTER_R_GPU_EVIDENCE},
        {"no signature asked for", {.no_signature_asked = true}, SHELTER_R_GPU_EVIDENCE},
        {"another message", {.code = true}, SHELTER_R_GPU_EVIDENCE},
        {"a number twice", {.twice = true}, SHELTER_R_GPU_EVIDENCE},
        {"number 0", {.zero_number = true}, SHELTER_R_GPU_EVIDENCE},
        {"specification", {.specification = true}, SHELTER_R_GPU_EVIDENCE},
        {"a block's size", {.block_size = true}, SHELTER_R_GPU_EVIDENCE},
        {"the number of blocks", {.count = true}, SHELTER_R_GPU_EVIDENCE},
        {"bytes behind the blocks", {.behind = true}, SHELTER_R_GPU_EVIDENCE},
        {"opaque data twice", {.opaque_twice = true}, SHELTER_R_GPU_EVIDENCE},
        {"opaque data too long", {.opaque_long = true}, SHELTER_R_GPU_EVIDENCE},
        {"no driver", {.no_driver = true}, SHELTER_R_GPU_EVIDENCE},
        {"odd driver", {.odd_driver = true}, SHELTER_R_GPU_EVIDENCE},
        {"firmware's version", {.short_vbios = true}, SHELTER_R_GPU_EVIDENCE},
        {"not as in the RIM", {.not_measured = true}, SHELTER_R_GPU_MEASUREMENT},
        {"the RIM has another", {.rim_value = true}, SHELTER_R_GPU_MEASUREMENT},
        {"index 35", {.at_35 = true}, SHELTER_R_GPU_MEASUREMENT},
        {"an index in both RIMs", {.rim_conflict = true}, SHELTER_R_GPU_MEASUREMENT},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect(cases[i].name, &cases[i].o, &plain, cases[i].want);
        expect(cases[i].name, &cases[i].o, &demand, cases[i].want);
    }
}

// Without a RIM that may be believed nothing is wrong; a policy that demands one cannot be judged.
static void test_rims(void **state)
{
    static const struct {
        const char *why;
        struct gen_gpu_options o;
    } cases[] = {
        {"none was given", {.rim_version = true}},
        {"its signature does not hold", {.rim_not_signed = true}},
        {"its root is not trusted", {.rim_foreign_root = true}},
        {"its root is a simulated one", {.rim_simulated = true}},
        {"its certificates have expired", {.rim_expired = true}},
        {"its signature does not hold",
         {.rim_put = "<ns0:Resource a=\"1\" active=\"False\" "
                     "index=\"60\" alternatives=\"1\" size=\"48\"/>"}},
        // What is no RIM in this form is left aside.
        {"none was given", {.rim_put = "<!-- a comment -->"}},
        {"none was given", {.rim_put = "<?pi x?>"}},
        {"none was given", {.rim_put = "&#32;"}},
        {"none was given", {.rim_put = "<a b=\"&lt;\"/>"}},
        {"none was given", {.rim_put = "<a b='c'/>"}},
        {"none was given", {.rim_put = "<a b=\"c\" b=\"c\"/>"}},
        {"none was given", {.rim_put = "<a xmlns:ns0=\"urn:x\"/>"}},
        {"none was given", {.rim_put = "<a ns0:b=\"c\" ns2:b=\"c\"/>"}},
        {"none was given", {.rim_put = "<![CDATA[x]]>"}},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        says(&cases[i].o, &plain, cases[i].why);
        says(&cases[i].o, &plain, "\"measurements\":\"not judged\"");
        expect(cases[i].why, &cases[i].o, &plain, SHELTER_R_OK);
        expect(cases[i].why, &cases[i].o, &demand, SHELTER_R_NO_RIM);
        expect(cases[i].why, &cases[i].o,
               &(struct ask){.policy = "{" TEE ",\"nvidia\":{\"require_rim\":false}}"},
               SHELTER_R_OK);
    }
    expect("no collateral", &(struct gen_gpu_options){0},
           &(struct ask){.policy = DEMAND, .no_rims = true}, SHELTER_R_NO_RIM);
}

// What a RIM of a simulated root says marks the verdict as what such a GPU says; one that is not
// simulated is taken where both hold.
static void test_simulated(void **state)
{
    static const struct {
        struct gen_gpu_options o;
        bool more, want;
    } cases[] = {
        {{.hex = true}, false, false},
        {{.simulated_root = true}, false, true},
        {{.rim_simulated = true}, false, true},
        {{.rim_simulated = true}, true, false},
    };
    struct shelter_verdict *v;
    struct gen_gpu g, real;

    gen_gpu(&(struct gen_gpu_options){0}, &real);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        gen_gpu(&cases[i].o, &g);
        v = judge(&g, &(struct ask){.policy = DEMAND,
                                    .allow_simulated = true,
                                    .more = cases[i].more ? &real : NULL});
        assert_true(shelter_verdict_accepted(v));
        assert_int_equal(shelter_verdict_simulated(v), cases[i].want);
        shelter_verdict_free(v);
        gen_gpu_free(&g);
    }
    gen_gpu_free(&real);
}

// RIMs of several products have the same version: one that was measured will do.
static void test_rims_of_others(void **state)
{
    struct gen_gpu_options wrong = {.rim_value = true}, good = {.hex = true};
    struct gen_gpu g;

    gen_gpu(&wrong, &g);
    expect("another product's beside it", &good, &(struct ask){.policy = DEMAND, .more = &g},
           SHELTER_R_OK);
    expect("only those of others", &wrong, &(struct ask){.policy = DEMAND, .more = &g},
           SHELTER_R_GPU_MEASUREMENT);
    gen_gpu_free(&g);
}

// What does not fit is not left out in silence.
static void test_rims_fit(void **state)
{
    static char large[SV_RIM_FILE_MAX + 1];
    struct shelter_collateral *col;
    char path[80], name[40], why[200] = "";
    struct gen_gpu g;

    gen_gpu(&(struct gen_gpu_options){0}, &g);
    for (int i = 0; i <= SV_RIM_MAX; i++) {
        snprintf(name, sizeof(name), "fit%d.swidtag", i);
        gen_save(folder, name, g.rim[0].data, g.rim[0].size);
    }
    assert_int_equal(shelter_collateral_load(folder, NULL, 0, &col, why, sizeof(why)), -E2BIG);
    assert_non_null(strstr(why, "64 RIMs"));
    for (int i = 0; i <= SV_RIM_MAX; i++) {
        snprintf(path, sizeof(path), "%s/fit%d.swidtag", folder, i);
        unlink(path);
    }
    gen_save(folder, "large.swidtag", large, sizeof(large));
    assert_int_equal(shelter_collateral_load(folder, NULL, 0, &col, why, sizeof(why)), -E2BIG);
    snprintf(path, sizeof(path), "%s/large.swidtag", folder);
    unlink(path);
    gen_gpu_free(&g);
}

static void test_nonce(void **state)
{
    uint8_t nonce[64];
    struct gen_gpu_options o = {.nonce = nonce};
    struct ask a = {.policy = DEMAND, .device_data = (const char *)nonce, .device_data_size = 64};

    for (size_t i = 0; i < sizeof(nonce); i++)
        nonce[i] = (uint8_t)(i + 1);
    expect("nonce", &o, &a, SHELTER_R_OK);
    says(&o, &a, "\"nonce\":\"as expected\"");
    o.nonce = nonce + 1;
    expect("another nonce", &o, &a, SHELTER_R_GPU_NONCE);
    // Fewer bytes are filled up with zeros.
    memset(nonce + 8, 0, sizeof(nonce) - 8);
    o.nonce = nonce;
    a.device_data_size = 8;
    expect("a short one", &o, &a, SHELTER_R_OK);
    a.device_data_size = 7;
    expect("a shorter one", &o, &a, SHELTER_R_GPU_NONCE);
    // Without one that was expected, nobody knows when the GPU signed: no policy can rely on it.
    a = (struct ask){.no_nonce = true};
    expect("none", &o, &a, SHELTER_R_OK);
    says(&o, &a, "\"nonce\":\"not judged\"");
    a.policy = DEMAND;
    expect("none, and GPUs are demanded", &o, &a, SHELTER_R_GPU_NONCE);
}

static void test_policy(void **state)
{
    struct gen_gpu_options two = {.another = true}, one = {.hex = true},
                           later = {.arch = "BLACKWELL"}, other = {.arch = "LS10"},
                           spdm = {.spdm_1_2 = true},
                           longer = {.arch = "BLACKWELL and words that no GPU has as its name"};
    struct ask both = {.policy = "{" TEE ",\"nvidia\":{\"min_devices\":2}}"};
    struct gen_gpu g;
    struct shelter_verdict *v;

    expect("two of two", &two, &both, SHELTER_R_OK);
    expect("one of two", &one, &both, SHELTER_R_GPU_POLICY);
    // What is of another form is accepted where nobody asked for GPUs, and counts for nothing.
    expect("later GPUs", &later, &plain, SHELTER_R_OK);
    says(&later, &plain, "\"verdict\":\"not judged\"");
    says(&later, &plain, "\"arch\":\"BLACKWELL\"");
    says(&longer, &plain, "[{\"verdict\":\"not judged\"}]"); // and what was written stays away
    expect("later GPUs", &later, &demand, SHELTER_R_GPU_POLICY);
    expect("a switch", &other, &demand, SHELTER_R_GPU_POLICY);
    expect("SPDM 1.2", &spdm, &demand, SHELTER_R_GPU_POLICY);
    gen_gpu(&one, &g);
    g.json.size = 0;
    v = judge(&g, &demand);
    assert_int_equal(shelter_verdict_reason(v), SHELTER_R_GPU_POLICY);
    shelter_verdict_free(v);
    gen_gpu_free(&g);
    expect("no policy", &one, &(struct ask){.policy = "{" TEE ",\"nvidia\":{\"x\":1}}"},
           SHELTER_R_POLICY_FILE);
    expect("no policy", &one, &(struct ask){.policy = "{" TEE ",\"nvidia\":[]}"},
           SHELTER_R_POLICY_FILE);
    expect("no policy", &one, &(struct ask){.policy = "{" TEE ",\"nvidia\":{\"min_devices\":99}}"},
           SHELTER_R_POLICY_FILE);
}

// Beside a TEE that is refused nothing of a device is judged, and behind a device that is refused
// no other one.
static void test_no_more_than_needed(void **state)
{
    struct gen_gpu_options both_wrong = {.not_signed = true, .another = true};
    struct shelter_verdict *v;
    struct gen_gpu g;
    char *claim;

    gen_gpu(&both_wrong, &g);
    v = judge(&g, &(struct ask){.policy = "{}"});
    assert_int_equal(shelter_verdict_reason(v), SHELTER_R_NITRO_POLICY);
    assert_int_equal(shelter_verdict_refusal_count(v), 1);
    assert_null(shelter_verdict_claim(v, "nvidia"));
    shelter_verdict_free(v);
    v = judge(&g, &plain);
    assert_int_equal(shelter_verdict_reason(v), SHELTER_R_GPU_SIGNATURE);
    assert_int_equal(shelter_verdict_refusal_count(v), 1);
    claim = shelter_verdict_claim(v, "nvidia");
    assert_non_null(claim);
    assert_null(strstr(claim + 2, "{"));
    free(claim);
    shelter_verdict_free(v);
    gen_gpu_free(&g);
}

static struct shelter_verdict *judge_text(const struct gen_gpu *g, const char *text)
{
    struct gen_gpu changed = *g;

    changed.json = (struct gen_blob){(uint8_t *)(uintptr_t)text, strlen(text)};
    return judge(&changed, &(struct ask){.no_rims = true});
}

static void test_forms(void **state)
{
    static const char *const bad[] = {
        "{\"nvidia\":{}}",
        "{\"nvidia\":[]}",
        "{\"nvidia\":{\"device_evidence_list\":{}}}",
        "{\"nvidia\":{\"device_evidence_list\":[{\"arch\":\"HOPPER\"}]}}",
        "{\"nvidia\":{\"device_evidence_list\":[{\"arch\":\"HOPPER\",\"evidence\":\"\","
        "\"certificate\":\"\"}]}}",
        "{\"nvidia\":{\"device_evidence_list\":[{\"arch\":\"HOPPER\",\"evidence\":1,"
        "\"certificate\":2}]}}",
        "{\"nvidia\":{\"device_evidence_list\":[{\"arch\":\"HOPPER\",\"evidence\":\"11e0\","
        "\"certificate\":\"AAAA\"}]}}",
        "{\"nvidia\":{\"device_evidence_list\":[{\"arch\":\"HOPPER\",\"evidence\":\"no!base64\","
        "\"certificate\":\"AAAA\"}]}}",
    };
    static const char *const others[] = {
        "", "{}", "[]", "x", "{\"other\":{}}", "{\"shelter-aael\":\"\"}"};
    struct shelter_verdict *v;
    struct gen_gpu g;

    gen_gpu(&(struct gen_gpu_options){0}, &g);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        v = judge_text(&g, bad[i]);
        assert_false(shelter_verdict_accepted(v));
        assert_false(shelter_verdict_signatures_valid(v));
        shelter_verdict_free(v);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        v = judge_text(&g, others[i]);
        assert_true(shelter_verdict_accepted(v));
        assert_null(shelter_verdict_claim(v, "nvidia"));
        shelter_verdict_free(v);
    }
    gen_gpu_free(&g);
}

// Bytes of the report changed, and its length: never accepted.
static void test_bytes(void **state)
{
    struct shelter_verdict *v;
    struct gen_gpu g;
    char *hex, *evidence;

    gen_gpu(&(struct gen_gpu_options){.hex = true}, &g);
    g.json.data = realloc(g.json.data, g.json.size + 1);
    assert_non_null(g.json.data);
    g.json.data[g.json.size] = 0;
    evidence = strstr((char *)g.json.data, "\"evidence\":\"");
    assert_non_null(evidence);
    hex = evidence + strlen("\"evidence\":\"");
    for (size_t i = 0; i < g.report.size; i += i < 400 ? 1 : 7) {
        char was = hex[2 * i];

        hex[2 * i] = was == 'a' ? 'b' : 'a';
        v = judge(&g, &(struct ask){.policy = "{" TEE ",\"nvidia\":{\"require_rim\":false}}",
                                    .no_rims = true});
        assert_false(shelter_verdict_accepted(v));
        shelter_verdict_free(v);
        hex[2 * i] = was;
    }
    for (size_t size = 0; size < g.report.size; size += size < 64 ? 1 : 29) {
        struct gen_gpu shorter = g;
        char *text;

        assert_true(asprintf(&text, "%.*s%.*s%s", (int)(hex - (char *)g.json.data), g.json.data,
                             (int)(2 * size), hex, hex + 2 * g.report.size) > 0);
        shorter.json = (struct gen_blob){(uint8_t *)text, strlen(text)};
        v = judge(&shorter, &(struct ask){.no_rims = true});
        assert_false(shelter_verdict_accepted(v));
        shelter_verdict_free(v);
        free(text);
    }
    gen_gpu_free(&g);
}

// Bytes of a RIM changed: never one to be believed that says something else.
static void test_rim_bytes(void **state)
{
    struct sv_certs named = {0};
    struct sv_rim good, rim;
    struct gen_gpu g;
    struct gen_blob *b;
    size_t believed = 0;

    gen_gpu(&(struct gen_gpu_options){0}, &g);
    assert_int_equal(sv_certs_add(&named, g.root.data, g.root.size), 0);
    b = &g.rim[GEN_RIM_DRIVER];
    assert_int_equal(sv_rim_read(b->data, b->size, &named, &good), 0);
    assert_null(good.fault);
    assert_int_equal(good.count, 17);
    for (size_t i = 0; i < b->size; i += i < 600 ? 1 : 5) {
        b->data[i] ^= 1;
        if (!sv_rim_read(b->data, b->size, &named, &rim)) {
            if (!rim.fault) {
                believed++;
                assert_string_equal(rim.version, good.version);
                assert_int_equal(rim.count, good.count);
                assert_memory_equal(rim.value, good.value, good.count * sizeof(*good.value));
            }
            free(rim.value);
        }
        b->data[i] ^= 1;
        if (i < b->size - 1) { // without its last line end it is whole
            if (!sv_rim_read(b->data, i, &named, &rim)) {
                assert_non_null(rim.fault);
                free(rim.value);
            }
        }
    }
    // White space within a tag and what nobody reads of the signature; nothing of what is signed.
    assert_true(believed < b->size / 4);
    free(good.value);
    sv_certs_free(&named);
    gen_gpu_free(&g);
}

static int setup(void **state)
{
    gen_nitro(&(struct gen_nitro_options){.nonce = "n"}, &tee);
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    char path[80];

    snprintf(path, sizeof(path), "%s/driver.swidtag", folder);
    unlink(path);
    snprintf(path, sizeof(path), "%s/firmware.swidtag", folder);
    unlink(path);
    gen_nitro_free(&tee);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_rims),
        cmocka_unit_test(test_nonce),
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_rim_bytes),
        cmocka_unit_test(test_no_more_than_needed),
        cmocka_unit_test(test_rims_of_others),
        cmocka_unit_test(test_simulated),
        cmocka_unit_test(test_rims_fit),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
