// SPDX-License-Identifier: Apache-2.0
// Evidence in what others wrap around it: Open Enclave's headers, hex and base64 files, requests to
// Intel Trust Authority and Microsoft Azure Attestation. What they say was bound is judged.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "lib/bytes.h"
#include "lib/hex.h"
#include "tests/gen/evidence.h"
#include <shelter/verify.h>

static void judge_is(const char *name, const struct gen_intel *g, const void *data, size_t size,
                     enum shelter_reason want)
{
    char *json = gen_intel_collateral(g), why[256], *exact = malloc(size);
    struct shelter_collateral *col;
    struct shelter_verdict *v;

    memcpy(exact, data, size); // a read past the end is seen
    assert_int_equal(shelter_collateral_parse(json, strlen(json), g->root.data, g->root.size, &col,
                                              why, sizeof(why)),
                     0);
    struct shelter_verify_request rq = {.size = sizeof(rq),
                                        .evidence = exact,
                                        .evidence_size = size,
                                        .collateral = col,
                                        .ca = g->root.data,
                                        .ca_size = g->root.size,
                                        .time = GEN_TIME};
    assert_int_equal(shelter_verify(&rq, &v), 0);
    if (shelter_verdict_reason(v) != want)
        print_message("# %s\n", name);
    assert_string_equal(shelter_reason_code(shelter_verdict_reason(v)), shelter_reason_code(want));
    shelter_verdict_free(v);
    shelter_collateral_free(col);
    free(exact);
    free(json);
}

static char *base64(const void *data, size_t size)
{
    char *out = malloc(size * 4 / 3 + 8);

    EVP_EncodeBlock((uint8_t *)out, data, (int)size);
    return out;
}

static char *number_array(const uint8_t *data, size_t size)
{
    char *out = malloc(4 * size + 2);
    size_t used = 0;

    for (size_t i = 0; i < size; i++)
        used += (size_t)sprintf(out + used, "%c%u", i ? ',' : '[', data[i]);
    strcpy(out + used, "]");
    return out;
}

static void test_text(void **state)
{
    struct gen_intel_options o = {.version = 4, .tdx = true};
    struct gen_intel g;

    gen_intel(&o, &g);
    size_t n = g.quote.size;
    char *hex = malloc(2 * n + n / 16 + 8), *text = base64(g.quote.data, n);
    char *lines = malloc(2 * strlen(text));
    size_t at = 0;

    // as xxd -p prints it, 60 digits a line
    for (size_t i = 0; i < n; i++)
        at += (size_t)sprintf(hex + at, "%02X%s", g.quote.data[i], i % 30 == 29 ? "\n" : "");
    judge_is("hex", &g, hex, at, SHELTER_R_OK);
    hex[at / 2] = '*';
    judge_is("no hex", &g, hex, at, SHELTER_R_UNKNOWN_EVIDENCE);
    judge_is("base64", &g, text, strlen(text), SHELTER_R_OK);
    at = 0;
    for (size_t i = 0; text[i]; i++)
        at += (size_t)sprintf(lines + at, "%s%c", i % 76 ? "" : "\r\n", text[i]);
    judge_is("lines", &g, lines, at, SHELTER_R_OK);
    judge_is("torn", &g, text, strlen(text) / 2 & ~3ul, SHELTER_R_TRUNCATED);
    free(hex);
    free(text);
    free(lines);
    gen_intel_free(&g);
}

// Header, quote and custom claims as Open Enclave lays them out.
static void test_open_enclave(void **state)
{
    static const uint8_t ecdsa[16] = {0xa3, 0xa2, 0x1e, 0x87, 0x1b, 0x4d, 0x40, 0x14,
                                      0xb7, 0x0a, 0xa1, 0x25, 0xd2, 0xfb, 0xcd, 0x8c};
    static const char claims[] = "custom claims";
    struct gen_intel_options o = {.version = 3};
    struct gen_intel g;

    SHA256((const uint8_t *)claims, sizeof(claims), o.report_data);
    gen_intel(&o, &g);
    size_t n = g.quote.size, all = 28 + n + sizeof(claims);
    uint8_t *file = calloc(1, all);

    sh_put_le32(file, 1); // legacy report, remote
    sh_put_le32(file + 4, 2);
    sh_put_le32(file + 8, (uint32_t)n);
    memcpy(file + 16, g.quote.data, n);
    judge_is("report", &g, file, 16 + n, SHELTER_R_OK);
    sh_put_le32(file + 8, (uint32_t)n + 1);
    judge_is("longer than what is there", &g, file, 16 + n, SHELTER_R_VERSION);

    memset(file, 0, all);
    sh_put_le32(file, 1);
    memcpy(file + 4, ecdsa, 16);
    sh_put_le32(file + 20, (uint32_t)(n + sizeof(claims)));
    memcpy(file + 28, g.quote.data, n);
    memcpy(file + 28 + n, claims, sizeof(claims));
    judge_is("evidence", &g, file, all, SHELTER_R_OK);
    file[28 + n]++;
    judge_is("other claims", &g, file, all, SHELTER_R_REPORT_DATA);
    file[28 + n]--;
    sh_put_le32(file + 24, 1); // of the size's upper half
    judge_is("size of 64 bits", &g, file, all, SHELTER_R_VERSION);
    free(file);
    gen_intel_free(&g);
}

static void test_services(void **state)
{
    static const char val[] = "bm9uY2U=", iat[] = "MTIz",
                      data[] = "ZGF0YQ==", all[] = "nonce123data";
    struct gen_intel_options o = {.version = 4, .tdx = true};
    struct gen_intel g;
    char *text, *quote;

#define JSON_IS(want, ...)                                                                         \
    do {                                                                                           \
        assert_true(asprintf(&text, __VA_ARGS__) > 0);                                             \
        judge_is(text + strlen(text) - 60, &g, text, strlen(text), SHELTER_R_##want);              \
        free(text);                                                                                \
    } while (0)
    SHA512((const uint8_t *)all, strlen(all), o.report_data);
    gen_intel(&o, &g);
    quote = base64(g.quote.data, g.quote.size);
#define NONCE "\"verifier_nonce\":{\"val\":\"%s\",\"iat\":\"%s\",\"signature\":\"eA==\"}"
    JSON_IS(OK, "{\"quote\":\"%s\"," NONCE ",\"runtime_data\":\"%s\"}", quote, val, iat, data);
    JSON_IS(OK, "{\"policy_ids\":[],\"tdx\":{\"quote\":\"%s\"," NONCE ",\"runtime_data\":\"%s\"}}",
            quote, val, iat, data);
    JSON_IS(REPORT_DATA, "{\"quote\":\"%s\"," NONCE ",\"runtime_data\":\"%s\"}", quote, iat, val,
            data);
    JSON_IS(REPORT_DATA, "{\"quote\":\"%s\",\"runtime_data\":\"%s\"}", quote, data);
    JSON_IS(EVIDENCE_JSON, "{\"quote\":\"%s\",\"runtime_data\":\"*\"}", quote);
    JSON_IS(EVIDENCE_JSON, "{\"tdx\":{\"sgx\":{\"tdx\":{\"quote\":\"%s\"}}}}", quote);
    // Azure's agents, of a TD: the paravisor's report stands beside the quote, which is judged.
    JSON_IS(OK, "{\"hcl_report\":\"AAAA\",\"td_quote\":\"%s\"}", quote);
    JSON_IS(EVIDENCE_JSON, "{\"hcl_report\":\"*\"}%s", "");
    free(quote);
    quote = number_array(g.quote.data, g.quote.size);
    JSON_IS(OK, "{\"hcl_report\":[1,2,3],\"td_quote\":%s}", quote);
    free(quote);
    gen_intel_free(&g);

    o = (struct gen_intel_options){.version = 3}; // Azure's service, from an enclave
    SHA256((const uint8_t *)"data", 4, o.report_data);
    gen_intel(&o, &g);
    quote = base64(g.quote.data, g.quote.size);
    JSON_IS(OK, "{\"quote\":\"%s\",\"runtimeData\":{\"data\":\"%s\",\"dataType\":\"Binary\"}}",
            quote, data);
    JSON_IS(REPORT_DATA, "{\"quote\":\"%s\",\"runtimeData\":{\"data\":\"%s\"}}", quote, val);
    free(quote);
    gen_intel_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_open_enclave),
        cmocka_unit_test(test_services),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
