// SPDX-License-Identifier: Apache-2.0
// CoRIM: what is written is read, bytes as the draft draws them, torn and changed ones.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "verifier/judge/corim.h"

#define R "%096d"
static const char text[] =
    "{\"image\":\"%048d%048d\",\"manifest\":\"53484c54\",\"references\":["
    "{\"tee\":\"sgx\",\"measurement\":{\"mrenclave\":\"%064d\",\"isvsvn\":7}},"
    "{\"tee\":\"tdx\",\"measurement\":{\"mrtd\":\"" R "\",\"rtmr\":[null,\"" R "\",\"" R
    "\",null]}},"
    "{\"tee\":\"snp\",\"measurement\":{\"measurement\":\"" R "\"}}]}";

static cJSON *example(void)
{
    char json[2048];

    snprintf(json, sizeof(json), text, 1, 2, 3, 4, 5, 6, 7);
    return cJSON_Parse(json);
}

static uint8_t *written(const cJSON *top, size_t *size)
{
    char why[120] = "";
    uint8_t *out;

    assert_int_equal(sv_corim_write(top, &out, size, why, sizeof(why)), 0);
    return out;
}

static void test_both_ways(void **state)
{
    cJSON *top = example(), *again;
    size_t size;
    uint8_t *out = written(top, &size);
    char why[120] = "";

    assert_true(sv_corim_is(out, size));
    assert_memory_equal(out, "\xd9\x01\xf5\xa2\x00\x78\x60", 7); // 501({0: a text of 96 bytes
    again = sv_corim_read(out, size, 1, why, sizeof(why));
    assert_non_null(again);
    assert_true(cJSON_Compare(top, again, true));
    cJSON_Delete(again);
    cJSON_Delete(top);
    free(out);
}

// No part of one is one, nor is one with a byte behind it.
static void test_torn(void **state)
{
    cJSON *top = example(), *got;
    size_t size;
    uint8_t *out = written(top, &size), *cut;
    char why[120];

    for (size_t n = 0; n < size; n++) {
        cut = malloc(n ? n : 1); // its own end, for the sanitizer
        memcpy(cut, out, n);
        assert_null(sv_corim_read(cut, n, 1, why, sizeof(why)));
        free(cut);
    }
    cut = malloc(size + 1);
    memcpy(cut, out, size);
    cut[size] = 0;
    assert_null(sv_corim_read(cut, size + 1, 1, why, sizeof(why)));
    // One bit of each byte: never what it was, unless the text of an id, which is not read.
    for (size_t i = 0; i < size; i++) {
        memcpy(cut, out, size);
        cut[i] ^= 0x10;
        got = sv_corim_read(cut, size, 1, why, sizeof(why));
        if (got && cJSON_Compare(got, top, true))
            assert_true(i < 0x80 || memchr(out + i, '0', 96) != NULL);
        cJSON_Delete(got);
    }
    free(cut);
    free(out);
    cJSON_Delete(top);
}

// One triple for each alternative.
static void test_alternatives(void **state)
{
    char json[1024], why[120] = "";
    size_t size;
    uint8_t *out;
    cJSON *top, *again, *list;

    snprintf(json, sizeof(json),
             "{\"references\":[{\"tee\":\"snp\",\"measurement\":{\"launch_digest\":[\"" R "\",\"" R
             "\",\"" R "\"]}}]}",
             1, 2, 3);
    top = cJSON_Parse(json);
    out = written(top, &size);
    again = sv_corim_read(out, size, 1, why, sizeof(why));
    list = cJSON_GetObjectItem(again, "references");
    assert_int_equal(cJSON_GetArraySize(list), 3);
    assert_string_equal(
        cJSON_GetObjectItem(cJSON_GetObjectItem(cJSON_GetArrayItem(list, 2), "measurement"),
                            "launch_digest")
                ->valuestring +
            95,
        "3");
    cJSON_Delete(again);
    cJSON_Delete(top);
    free(out);
}

static void refuse_json(const char *json, const char *want)
{
    cJSON *top = cJSON_Parse(json);
    char why[120] = "";
    uint8_t *out;
    size_t size;

    assert_non_null(top);
    assert_int_not_equal(sv_corim_write(top, &out, &size, why, sizeof(why)), 0);
    if (!strstr(why, want))
        fail_msg("'%s' does not say '%s'", why, want);
    cJSON_Delete(top);
}

static void test_no_form(void **state)
{
    refuse_json("{}", "no \"references\"");
    refuse_json("{\"references\":[{\"tee\":\"zx\",\"measurement\":{}}]}", "no TEE");
    refuse_json("{\"references\":[{\"tee\":\"sgx\",\"measurement\":{\"mrenclave\":\"12\"}}]}",
                "\"mrenclave\"");
    refuse_json("{\"references\":[{\"tee\":\"snp\",\"measurement\":{\"measurement\":[\"a\"]}}]}",
                "\"measurement\"");
    refuse_json("{\"references\":[{\"tee\":\"sgx\",\"measurement\":{\"isvsvn\":-1}}]}", "isvsvn");
    refuse_json("{\"image\":\"x\",\"manifest\":\"0\",\"references\":[]}", "hexadecimal");
}

static void refuse_bytes(const char *bytes, size_t size, const char *want)
{
    char why[120] = "";

    assert_null(sv_corim_read(bytes, size, 1000, why, sizeof(why)));
    if (!strstr(why, want))
        fail_msg("'%s' does not say '%s'", why, want);
}
#define BYTES(text) text, sizeof(text) - 1

// {0: "x", 1: [506(<<{4: {0: []}}>>)], 4: {0: 1(FROM), 1: 1(UNTIL)}}
#define NO_TRIPLES "\xd9\x01\xf5\xa3\x00\x61x\x01\x81\xd9\x01\xfa\x45\xa1\x04\xa1\x00\x80\x04"
static void test_others(void **state)
{
    char why[120] = "";
    cJSON *top;

    refuse_bytes(BYTES("\xd2\x84"), "signed");
    refuse_bytes(BYTES("{}"), "not a CoRIM");
    refuse_bytes(BYTES(NO_TRIPLES "\xa2\x00\xc1\x10\x01\xc1\x18\x20"), "not valid now");
    refuse_bytes(BYTES(NO_TRIPLES "\xa1\x01\x61x"), "not valid now");
    top = sv_corim_read(BYTES(NO_TRIPLES "\xa2\x00\xc1\x10\x01\xc1\x19\x04\x00"), 1000, why,
                        sizeof(why));
    assert_non_null(top);
    cJSON_Delete(top);
    // The key 1 twice; a triple kind that is none of ours; nesting without end.
    refuse_bytes(BYTES("\xd9\x01\xf5\xa2\x01\x80\x01\x80"), "understood");
    refuse_bytes(BYTES("\xd9\x01\xf5\xa1\x01\x81\xd9\x01\xfa\x45\xa1\x04\xa1\x01\x80"),
                 "understood");
    refuse_bytes(BYTES("\xd9\x01\xf5\xa2\x05\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81"
                       "\x81\x81\x81\x81\x81\x81\x81\x80\x01\x80"),
                 "understood");
    refuse_bytes(BYTES("\xd9\x01\xf5\xbb\xff\xff\xff\xff\xff\xff\xff\xff"), "understood");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),    cmocka_unit_test(test_torn),
        cmocka_unit_test(test_alternatives), cmocka_unit_test(test_no_form),
        cmocka_unit_test(test_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
