// SPDX-License-Identifier: Apache-2.0
// Times, base64, DER elements and the span of a JSON member: what the verifier's parsers stand on.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "verifier/base/json_span.h"
#include "verifier/base/der.h"
#include "verifier/quote/tcb.h"

static void test_time(void **state)
{
    static const struct {
        const char *text;
        int64_t want; // -1: malformed
    } cases[] = {
        {"2025-02-28T03:44:50Z", 1740714290},
        {"2025-02-28 03:44:50Z", 1740714290},
        {"2025-02-28T03:44:50.5Z", 1740714290},
        {"2025-02-28T05:44:50+02:00", 1740714290},
        {"2025-02-27T22:14:50-05:30", 1740714290},
        {"1970-01-01T00:00:00Z", 0},
        {"2025-02-28T03:44:50", -1},
        {"2025-02-28T03:44:50.Z", -1},
        {"2025-02-28T03:44:50Zx", -1},
        {"2025-13-28T03:44:50Z", -1},
        {"2025-02-28T24:44:50Z", -1},
        {"2025-02-28", -1},
        {"1969-02-28T03:44:50Z", -1},
        {"2025-02-28T03:44:50+25:00", -1},
        {"", -1},
        {"2025-02-28T03:44:50Z2025-02-28T03:44:50Z2025-02-28", -1},
    };
    char text[32];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t got = -1;

        if (!sv_time_parse(cases[i].text, &got))
            got = -1;
        assert_int_equal(got, cases[i].want);
    }
    sv_time_format(1740714290, text);
    assert_string_equal(text, "2025-02-28T03:44:50Z");
}

static void test_base64(void **state)
{
    static const struct {
        const char *text, *want; // NULL: malformed
    } cases[] = {
        {"Zg==", "f"},
        {"Zg", "f"},
        {"Zm8=", "fo"},
        {"Zm9v", "foo"},
        {"Zm9v\nYg==", "foob"},
        {"Zm8", "fo"},
        {"Zm9", NULL}, // stray bits
        {"-_-_", "\xfb\xff\xbf"},
        {"+/+/", "\xfb\xff\xbf"},
        {"Z", NULL},
        {"", NULL},
        {"Zm9v*", NULL},
        {"Zg==Zg==", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t size = 0;
        uint8_t *got = sv_unbase64_new(cases[i].text, &size);

        assert_int_equal(got != NULL, cases[i].want != NULL);
        if (got) {
            assert_int_equal(size, strlen(cases[i].want));
            assert_memory_equal(got, cases[i].want, size);
        }
        free(got);
    }
}

static void test_der(void **state)
{
    static const struct {
        uint8_t bytes[10];
        size_t size;
        bool ok;
    } sequences[] = {
        {{0x30, 0x00}, 2, true},
        {{0x30, 0x02, 1, 2}, 4, true},
        {{0x30, 0x03, 1, 2}, 4, false},       // longer than what is there
        {{0x31, 0x02, 1, 2}, 4, false},       // another tag
        {{0x30, 0x80, 1, 2}, 4, false},       // indefinite
        {{0x30, 0x81, 0x02, 1, 2}, 5, false}, // not the shortest length
        {{0x30, 0x84, 0xff, 0xff, 0xff, 0xff}, 6, false},
        {{0x30, 0x85, 0, 0, 0, 0, 1, 1}, 8, false}, // five bytes of length
        {{0x30}, 1, false},
        {{0}, 0, false},
    };
    static const struct {
        uint8_t bytes[8];
        size_t size;
        int64_t want;
    } numbers[] = {
        {{0x02, 1, 0}, 3, 0},
        {{0x02, 1, 127}, 3, 127},
        {{0x02, 2, 0, 219}, 4, 219},
        {{0x02, 1, 0x80}, 3, -1},
        {{0x02, 0}, 2, -1},
        {{0x02, 2, 1, 0}, 4, 256},
        {{0x02, 5, 0, 0xff, 0xff, 0xff, 0xff}, 7, 0xffffffff},
        {{0x02, 5, 1, 0, 0, 0, 0}, 7, -1},
        {{0x02, 6, 0, 0, 0, 0, 0, 1}, 8, -1},
    };

    for (size_t i = 0; i < sizeof(sequences) / sizeof(sequences[0]); i++) {
        struct sv_bytes in = {sequences[i].bytes, sequences[i].size}, body;

        assert_int_equal(sv_der_take(&in, SV_DER_SEQUENCE, &body), sequences[i].ok);
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct sv_bytes in = {numbers[i].bytes, numbers[i].size};
        uint32_t value = 0;
        bool ok = sv_der_uint(&in, &value);

        assert_int_equal(ok ? (int64_t)value : -1, numbers[i].want);
    }
}

static void test_span(void **state)
{
    static const struct {
        const char *text, *want; // NULL: not found
    } cases[] = {
        {"{\"a\":1,\"x\":{\"y\":[1,\"}\"]},\"b\":2}", "{\"y\":[1,\"}\"]}"},
        {" { \"x\" : \"v\" , \"b\":2}", "\"v\""},
        {"{\"x\":12}", "12"},
        {"{\"q\":{\"x\":1}}", NULL},       // deeper only
        {"{\"q\":\"\\\"x\\\":1\"}", NULL}, // in a string
        {"{\"x\":1,\"x\":2}", NULL},       // twice
        {"{\"x\":1", NULL},
        {"{\"x\":", NULL},
        {"{\"x\"", NULL},
        {"{", NULL},
        {"", NULL},
        {"[{\"x\":1}]", NULL},
        {"{\"x\":\"abc", NULL},
        {"{\"x\":\"\\", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t size = strlen(cases[i].text), n = 0;
        char *exact = malloc(size ? size : 1); // no NUL behind it: a read past the end is seen
        const char *value = NULL;
        bool found;

        memcpy(exact, cases[i].text, size);
        found = sv_json_span(exact, size, "x", &value, &n);
        assert_int_equal(found, cases[i].want != NULL);
        if (found) {
            assert_int_equal(n, strlen(cases[i].want));
            assert_memory_equal(value, cases[i].want, n);
        }
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_der),
        cmocka_unit_test(test_span),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
