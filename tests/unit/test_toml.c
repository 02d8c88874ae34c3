// SPDX-License-Identifier: Apache-2.0
// The build file's TOML: what is read, what is refused and where, and nothing read past the end.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/base/split.h"
#include "host/image/input/buildfile.h"
#include "host/image/input/toml.h"

static const char good[] = "# a build file\n"
                           "tag = \"a:1\" # behind\r\n"
                           "\n"
                           "number = 1_000\nminus = -7\nyes=true\nno = false\n"
                           "literal = 'C:\\x'\n"
                           "escapes = \"\\\"\\\\\\n\\t\\u00e9\\U0001F600\"\n"
                           "list = [ \"a\", 'b', # comment\n  3,\n]\n"
                           "empty = []\n"
                           "\"quoted\" = \"\"\n"
                           "[ resources ]\n"
                           "tag = \"other\"\n";

static void test_good(void **state)
{
    struct sh_toml t;
    struct sh_error err = {0};
    assert_int_equal(sh_toml_parse(good, strlen(good), "f", &t, &err), 0);
    assert_int_equal(t.count, 11);
    assert_string_equal(t.v[0].key, "tag");
    assert_string_equal(t.v[0].text, "a:1");
    assert_int_equal(t.v[0].line, 2);
    assert_int_equal(t.v[1].number, 1000);
    assert_int_equal(t.v[2].number, -7);
    assert_int_equal(t.v[3].type, SH_TOML_BOOLEAN);
    assert_int_equal(t.v[3].number, 1);
    assert_int_equal(t.v[4].number, 0);
    assert_string_equal(t.v[5].text, "C:\\x");
    assert_string_equal(t.v[6].text, "\"\\\n\t\xc3\xa9\xf0\x9f\x98\x80");
    assert_int_equal(t.v[7].list.count, 3);
    assert_string_equal(t.v[7].list.v[2], "3");
    assert_int_equal(t.v[8].list.count, 0);
    assert_string_equal(t.v[9].key, "quoted");
    assert_string_equal(t.v[10].key, "resources.tag");
    sh_toml_free(&t);
    assert_int_equal(sh_toml_parse("", 0, "f", &t, &err), 0);
    assert_int_equal(t.count, 0);
}

static void test_bad(void **state)
{
    static const char *const bad[] = {"a",
                                      "a =",
                                      "a = \n",
                                      "= 1",
                                      "a = b",
                                      "a = \"x",
                                      "a = 'x",
                                      "a = \"x\ny\"",
                                      "a = \"\\q\"",
                                      "a = \"\\u12\"",
                                      "a = \"\\u0000\"",
                                      "a = \"\\ud800\"",
                                      "a = \"\\U00110000\"",
                                      "a = 1.5",
                                      "a = 0x10",
                                      "a = 1e5",
                                      "a = 01",
                                      "a = 1__0",
                                      "a = _1",
                                      "a = 1_",
                                      "a = 99999999999999999999",
                                      "a = 1979-05-27",
                                      "a = [1",
                                      "a = [1 2]",
                                      "a = [[1]]",
                                      "a = [true]",
                                      "a = {b = 1}",
                                      "a = \"\"\"x\"\"\"",
                                      "a.b = 1",
                                      "[a.b]\n",
                                      "[[a]]\n",
                                      "[a",
                                      "[]\n",
                                      "a = 1 b = 2",
                                      "a = 1\na = 2",
                                      "[t]\na = 1\n[t]\na = 2",
                                      "a = \"\x01\"",
                                      "a = \"\xff\"",
                                      "a = \"\xc0\x80\"",
                                      "a = 1\r",
                                      "a = \"\x7f\"",
                                      "a = tru",
                                      "a = true1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sh_toml t;
        struct sh_error err = {0};
        int r = sh_toml_parse(bad[i], strlen(bad[i]), "f", &t, &err);
        if (!r)
            fail_msg("taken for good: %s", bad[i]);
        assert_non_null(strstr(err.text, "f, line "));
    }
    struct sh_toml t;
    struct sh_error err = {0};
    assert_int_equal(sh_toml_parse("a = \"x\0y\"", 9, "f", &t, &err), -EINVAL);
}

static void test_cut(void **state)
{
    for (size_t n = 0; n < sizeof(good); n++) {
        struct sh_toml t;
        struct sh_error err = {0};
        char *copy = malloc(n ? n : 1);
        memcpy(copy, good, n);
        if (!sh_toml_parse(copy, n, "f", &t, &err))
            sh_toml_free(&t);
        free(copy);
    }
}

static void test_many(void **state)
{
    struct sh_buffer b = {0};
    struct sh_toml t;
    struct sh_error err = {0};
    sh_buffer_add(&b, "a = [", 5);
    for (int i = 0; i < 5000; i++)
        sh_buffer_add(&b, "1,", 2);
    sh_buffer_add(&b, "]", 1);
    assert_int_equal(sh_toml_parse((char *)b.data, b.size, "f", &t, &err), -EINVAL);
    sh_buffer_free(&b);
}

static void test_buildfile(void **state)
{
    static const char text[] =
        "command = \"/bin/a 'b c'\"\nfiles = [\"x\", \"/y:/z\"]\nrootfs = \"r.tar\"\n"
        "image = \"oci:dir:tag\"\npolicy = [\"exec\", \"lock\"]\nports = [80]\n"
        "hostname = \"h-1.x\"\nnetwork = \"10.0.0.2/24,10.0.0.1,fd00::1\"\n"
        "broker = \"https://[::1]:8080/\"\n"
        "secrets = [\"k.pem=kbs:///default/key/1:file\"]\n"
        "[resources]\nmemory = \"64M\"\ncpus = 4\n";
    struct sh_build b = {0};
    struct sh_error err = {0};
    assert_int_equal(sh_buildfile_parse(text, strlen(text), "f", "/d", &b, &err), 0);
    assert_int_equal(b.config.command.count, 2);
    assert_string_equal(b.config.command.v[1], "b c");
    assert_string_equal(b.files.v[0], "/d/x");
    assert_string_equal(b.files.v[1], "/y:/z");
    assert_string_equal(b.rootfs, "/d/r.tar");
    assert_string_equal(b.image, "oci:/d/dir:tag");
    assert_true(b.config.policy == (SH_POLICY_EXEC | SH_POLICY_LOCK));
    assert_int_equal(b.config.port_count, 1);
    assert_true(b.config.memory == 64u << 20);
    assert_int_equal(b.config.cpus, 4);
    sh_build_free(&b);

    static const char *const bad[] = {"nonsense = 1",
                                      "tag = 1",
                                      "tag = \"\"",
                                      "files = 1.0",
                                      "env = [\"x\"]",
                                      "policy = [\"all\"]",
                                      "ports = [0]",
                                      "ports = [\"80/sctp\"]",
                                      "limits = [\"x=1\"]",
                                      "limits = [\"nofile=5:4\"]",
                                      "mounts = [\"rel\"]",
                                      "mounts = [\"/x:size=abc\"]",
                                      "cpus = 0",
                                      "memory = \"x\"",
                                      "command = \"a 'b\"",
                                      "stop_signal = \"NOPE\"",
                                      "image = \"nocolon\"",
                                      "network = \"x\"",
                                      "network = \"10.0.0.1\"",
                                      "network = \"10.0.0.1/33\"",
                                      "network = \"10.0.0.1/24,x\"",
                                      "network = \"10.0.0.1/24,10.0.0.2/24\"",
                                      "network = \"10.0.0.1/24,\"",
                                      "hostname = \"a b\"",
                                      "hostname = \"-a\"",
                                      "broker = \"ftp://x\"",
                                      "broker = \"https://\"",
                                      "broker = \"https://a b\"",
                                      "secrets = [\"x\"]",
                                      "secrets = [\"x=kbs:///a/b\"]",
                                      "secrets = [\"x=kbs:///a/b/c/d\"]",
                                      "secrets = [\"x=kbs:///a/b/c:other\"]",
                                      "secrets = [\"../x=kbs:///a/b/c\"]",
                                      "secrets = [\"x=kbs:////b/c\"]",
                                      "[resources]\ntag = \"x\"",
                                      "broker_key = \"/nowhere\""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sh_build x = {0};
        struct sh_error e = {0};
        if (!sh_buildfile_parse(bad[i], strlen(bad[i]), "f", "/d", &x, &e))
            fail_msg("taken for good: %s", bad[i]);
        assert_non_null(strstr(e.text, "f, line "));
        sh_build_free(&x);
    }
}

static void split_is(const char *text, const char *const *want)
{
    struct sh_strings words = {0};
    struct sh_error err = {0};
    assert_int_equal(sh_split(text, &words, &err), 0);
    size_t n = 0;
    for (; want[n]; n++) {
        assert_true(n < words.count);
        assert_string_equal(words.v[n], want[n]);
    }
    assert_int_equal(words.count, n);
    sh_strings_free(&words);
}

static void test_split(void **state)
{
    split_is("", (const char *const[]){NULL});
    split_is("  a\tb\n c ", (const char *const[]){"a", "b", "c", NULL});
    split_is("'a b' \"c d\" e\\ f", (const char *const[]){"a b", "c d", "e f", NULL});
    split_is("'' \"\" x''y", (const char *const[]){"", "", "xy", NULL});
    split_is("'a\\b' \"a\\b\" \"a\\\"b\\\\\"",
             (const char *const[]){"a\\b", "a\\b", "a\"b\\", NULL});
    split_is("$HOME * ; | a=b", (const char *const[]){"$HOME", "*", ";", "|", "a=b", NULL});
    struct sh_strings words = {0};
    struct sh_error err = {0};
    assert_int_equal(sh_split("a 'b", &words, &err), -EINVAL);
    assert_non_null(strstr(err.text, "not closed"));
    sh_strings_free(&words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good), cmocka_unit_test(test_bad),       cmocka_unit_test(test_cut),
        cmocka_unit_test(test_many), cmocka_unit_test(test_buildfile), cmocka_unit_test(test_split),
    };
    return cmocka_run_group_tests_name("toml", tests, NULL, NULL);
}
