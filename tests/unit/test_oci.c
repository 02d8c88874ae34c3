// SPDX-License-Identifier: Apache-2.0
// OCI configuration, digests and manifests that lie. Whole layouts are in tests/e2e/10-build.sh.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "host/base/temp.h"
#include "host/image/input/blobs.h"
#include "host/image/input/oci.h"
#include "host/image/input/oci_config.h"

static int config_of(const char *json, struct sh_config *c, struct sh_error *err)
{
    cJSON *o = cJSON_Parse(json);
    assert_non_null(o);
    *c = (struct sh_config){0};
    int r = sh_oci_config(o, "image", c, err);
    cJSON_Delete(o);
    return r;
}

static void test_config(void **state)
{
    struct sh_config c;
    struct sh_error err = {0};
    assert_int_equal(
        config_of(
            "{\"os\":\"linux\",\"architecture\":\"amd64\",\"config\":{\"Entrypoint\":[\"/a\"],"
            "\"Cmd\":null,\"Env\":[\"A=1\",\"A=2\",\"novalue\"],\"WorkingDir\":\"rel\",\"User\":"
            "\"\","
            "\"ExposedPorts\":{\"80/tcp\":{},\"5-9/tcp\":{},\"7/sctp\":{},\"9/udp\":{}},"
            "\"StopSignal\":\"SIGRTMIN+3\"}}",
            &c, &err),
        0);
    assert_int_equal(c.entrypoint.count, 1);
    assert_int_equal(c.command.count, 0);
    assert_int_equal(c.env.count, 1);
    assert_string_equal(c.env.v[0], "A=2");
    assert_string_equal(c.workdir, "/rel");
    assert_null(c.user);
    assert_int_equal(c.port_count, 2);
    assert_int_equal(c.stop_signal, 37);
    sh_config_free(&c);
    /* Empty ones and missing parts are fine. */
    static const char *const good[] = {"{}", "{\"config\":null}", "{\"config\":{}}",
                                       "{\"config\":7}", "{\"config\":{\"Env\":[],\"Cmd\":[]}}"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(config_of(good[i], &c, &err), 0);
        sh_config_free(&c);
    }
    static const char *const bad[] = {"{\"os\":\"windows\"}",
                                      "{\"architecture\":\"arm64\"}",
                                      "{\"config\":{\"Cmd\":\"sh\"}}",
                                      "{\"config\":{\"Cmd\":[1]}}",
                                      "{\"config\":{\"Env\":{}}}",
                                      "{\"config\":{\"Entrypoint\":[[\"a\"]]}}",
                                      "{\"config\":{\"StopSignal\":\"SIGNOPE\"}}",
                                      "{\"config\":{\"Env\":[\"=x\"]}}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sh_error e = {0};
        if (!config_of(bad[i], &c, &e))
            fail_msg("taken for good: %s", bad[i]);
        assert_true(e.text[0]);
        sh_config_free(&c);
    }
}

static void test_digests(void **state)
{
    char text[160] = "sha256:";
    memset(text + 7, 'a', 64);
    assert_true(sh_digest_ok(text));
    text[70] = 'A';
    assert_false(sh_digest_ok(text));
    text[70] = 0;
    assert_false(sh_digest_ok(text));
    assert_false(
        sh_digest_ok("sha256:../../../../../../../../../../../../../../../../../../../../../etc/"));
    assert_false(sh_digest_ok("md5:d41d8cd98f00b204e9800998ecf8427e"));
    memcpy(text, "sha512:", 7);
    memset(text + 7, '0', 128);
    text[135] = 0;
    assert_true(sh_digest_ok(text));
}

/* Index files that must be refused, each in its own layout folder. */
static void test_indexes(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "not json",
        "{\"manifests\":[]}",
        "{\"manifests\":{}}",
        "{\"manifests\":[{}]}",
        "{\"manifests\":[{\"digest\":\"sha256:xyz\"}]}",
        "{\"manifests\":[{\"digest\":7}]}",
        "{\"layers\":[]}",
        "{\"layers\":[],\"config\":{\"digest\":\"../../x\"}}",
        "{\"manifests\":[{\"digest\":"
        "\"sha256:0000000000000000000000000000000000000000000000000000000000000000\"}]}"};
    char folder[] = "/tmp/oci-test.XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    int dir = open(folder, O_RDONLY | O_DIRECTORY);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sh_tree t;
        struct sh_config c = {0};
        struct sh_error err = {0};
        cleanup_free char *reference = sh_format("oci:%s", folder);
        assert_int_equal(sh_write_file(dir, "index.json", bad[i], strlen(bad[i]), 0644, &err), 0);
        assert_int_equal(sh_tree_init(&t, dir, &err), 0);
        if (!sh_oci_read(reference, &t, &c, dir, NULL, &err))
            fail_msg("taken for good: %s", bad[i]);
        assert_true(err.text[0]);
        sh_tree_free(&t);
        sh_config_free(&c);
    }
    /* A fifo in a blob's place must not hold us up. */
    struct sh_tree t;
    struct sh_config c = {0};
    struct sh_error err = {0};
    cleanup_free char *reference = sh_format("oci:%s", folder);
    unlinkat(dir, "index.json", 0);
    snprintf(path, sizeof(path), "%s/index.json", folder);
    assert_int_equal(mkfifo(path, 0644), 0);
    assert_int_equal(sh_tree_init(&t, dir, &err), 0);
    assert_int_not_equal(sh_oci_read(reference, &t, &c, dir, NULL, &err), 0);
    sh_tree_free(&t);
    close(dir);
    sh_remove_tree(AT_FDCWD, folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_digests),
        cmocka_unit_test(test_indexes),
    };
    return cmocka_run_group_tests_name("oci", tests, NULL, NULL);
}
