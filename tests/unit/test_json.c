// SPDX-License-Identifier: Apache-2.0
// The strict reader of JSON: what two readers could understand differently is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "verifier/base/json_read.h"

static bool reads(const char *text, size_t size, unsigned values)
{
    char why[120] = "";
    cJSON *root = sv_json_read(text, size, values, why, sizeof(why));
    bool good = root;

    assert_int_equal(good, !*why);
    cJSON_Delete(root);
    return good;
}

static void good_texts(void **state)
{
    static const char *const good[] = {"{}",
                                       " \t\r\n[ ] ",
                                       "0",
                                       "-0.5e+7",
                                       "\"\"",
                                       "null",
                                       "{\"a\":{\"a\":[{\"a\":1},{\"a\":2}]},\"b\":true}",
                                       "\"\\u00e9\\n\\/ \xc3\xa9 \xf0\x9f\x98\x80 \\ud83d\\ude00\"",
                                       "[1,2,3,[[]],{}]"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(reads(good[i], strlen(good[i]), 100));
    assert_true(reads("{}garbage", 2, 100)); // the size counts
}

static void bad_texts(void **state)
{
    static const char *const bad[] = {
        "", " ", "{} x", "{}{}", "[1,]", "[,1]", "{\"a\":1,}", "{a:1}", "{'a':1}", "[1 2]", "01",
        "-", "1.", ".5", "1e", "+1", "0x1", "NaN", "Infinity", "tru", "nullx", "\"", "\"\\x\"",
        "\"\\u12g4\"", "\"a\nb\"", "\"\\u0000\"", "{\"a\\u0000b\":1}", "\"\xff\"", "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"", "\"\\ud83d\"", "[1}", "{]", "]",
        "{\"a\"}", "{\"a\":}", "{:1}", "// c\n{}", "/**/1", "\xef\xbb\xbf{}",
        // The same name twice: at the top, deep, escaped, and among many
        "{\"a\":1,\"a\":1}", "{\"x\":1,\"y\":{\"a\":1,\"a\":2}}",
        "{\"x\":{},\"y\":[0,{\"z\":{\"a\":1,\"a\":2}}],\"w\":1}",
        "[{\"b\":{\"c\":1,\"d\":2,\"c\":3}}]", "{\"a\":1,\"\\u0061\":2}",
        "{\"0\":0,\"1\":0,\"2\":0,\"3\":0,\"4\":0,\"5\":0,\"6\":0,\"7\":0,\"8\":0,\"0\":0}"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (reads(bad[i], strlen(bad[i]), 100))
            fail_msg("%s was read", bad[i]);
    assert_false(reads("{}\0", 3, 100));
    assert_false(reads("{\"a\":\"b\0c\"}", 11, 100));
}

static void bounds(void **state)
{
    char deep[200];
    size_t at = 0;

    assert_true(reads("[0,0,0]", 7, 4));
    assert_false(reads("[0,0,0]", 7, 3));
    for (size_t i = 0; i < SV_JSON_DEPTH_MAX; i++)
        deep[at++] = '[';
    for (size_t i = 0; i < SV_JSON_DEPTH_MAX; i++)
        deep[at++] = ']';
    assert_true(reads(deep, at, 100));
    memmove(deep + 1, deep, at);
    deep[at + 1] = ']';
    assert_false(reads(deep, at + 2, 100));
}

static void c_strings(void **state)
{
    static const char good[] = "{\"a\":\"b\\u0000\"}", *const bad[] = {
                                                           "{\"a\\u0000\":1}",
                                                           "{\"a\":\"\\u0000b\"}",
                                                           "{\"a\":\"b\\u0000\\u0000\"}"};
    cJSON *root = sv_json_read_c_strings(good, strlen(good), 10, NULL, 0);

    assert_string_equal(cJSON_GetObjectItem(root, "a")->valuestring, "b");
    cJSON_Delete(root);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_null(sv_json_read_c_strings(bad[i], strlen(bad[i]), 10, NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(good_texts), cmocka_unit_test(bad_texts),
                                       cmocka_unit_test(bounds), cmocka_unit_test(c_strings)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
