// SPDX-License-Identifier: Apache-2.0
// Users and groups by the text of /etc/passwd and /etc/group: as docker resolves them; torn files.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/users.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "\n"
                             "broken\n"
                             "nouid:x::5::/:/bin/sh\n"
                             "big:x:99999999999:1::/:/bin/sh\n"
                             "app:x:1000:1001:,,,:/home/app:/bin/sh\n"
                             "42:x:7:7::/seven:/bin/sh\n"
                             "relhome:x:8:8::home:/bin/sh\n"
                             "last:x:9:9::/last";
static const char group[] = "root:x:0:\nwheel:x:10:other,app\napp:x:1001:app\nmedia:x:44:app,x\n"
                            "prefix:x:50:application\nbad:x:nan:app\nfew:x\n";

static int resolve(struct sh_user *u, const char *spec)
{
    return sh_user_resolve(u, spec, passwd, sizeof(passwd) - 1, group, sizeof(group) - 1);
}

static void test_users(void **state)
{
    struct sh_user u;
    assert_int_equal(resolve(&u, ""), 0);
    assert_true(u.uid == 0 && u.gid == 0);
    assert_string_equal(u.home, "/root");
    assert_int_equal(resolve(&u, "app"), 0);
    assert_true(u.uid == 1000 && u.gid == 1001);
    assert_int_equal(u.group_count, 3);
    assert_true(u.groups[0] == 10 && u.groups[1] == 44 && u.groups[2] == 1001);
    assert_string_equal(u.home, "/home/app");
    assert_int_equal(resolve(&u, "1000"), 0);
    assert_true(u.gid == 1001 && u.group_count == 3);
    assert_int_equal(resolve(&u, "app:media"), 0);
    assert_true(u.gid == 44 && u.group_count == 1 && u.groups[0] == 44);
    assert_int_equal(resolve(&u, "app:777"), 0);
    assert_true(u.gid == 777);
    assert_int_equal(resolve(&u, "4294967294:0"), 0);
    assert_true(u.uid == 4294967294u && u.gid == 0);
    assert_string_equal(u.home, "/");
    assert_int_equal(resolve(&u, "42"), 0); /* a name of digits is a name first */
    assert_true(u.uid == 7);
    assert_int_equal(resolve(&u, "relhome"), 0);
    assert_string_equal(u.home, "/");
    assert_int_equal(resolve(&u, "last"), 0);
    assert_string_equal(u.home, "/last");
    assert_int_equal(resolve(&u, "app:media:7,3000,44"), 0);
    assert_true(u.gid == 44 && u.group_count == 3);
    assert_true(u.groups[0] == 7 && u.groups[1] == 44 && u.groups[2] == 3000);
    assert_int_equal(resolve(&u, "app::7"), 0);
    assert_true(u.gid == 1001 && u.group_count == 4);
    static const char *const missing[] = {
        "app:1:",           "app:1:media", "app:1:2,",       "app:1:,2", "app:1:2:3",
        "app:1:4294967295", "nobody",      "broken",         "nouid",    "big",
        "app:none",         "ap",          "appx",           "app:-1",   "-1",
        "4294967295",       "99999999999", "app:4294967295", "app:few"};
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++)
        assert_int_equal(resolve(&u, missing[i]), -ENOENT);
    /* Torn files: whatever the size, no read past it. */
    for (size_t i = 0; i < sizeof(passwd); i++)
        for (size_t j = 0; j < 3; j++) {
            char *p = malloc(i + 1), *g = malloc(i + 1);
            size_t n = i < sizeof(group) ? i : sizeof(group) - 1;
            memcpy(p, passwd, i);
            memcpy(g, group, n);
            sh_user_resolve(&u, j ? j == 1 ? "app" : "last:media" : "9", p, i, g, n);
            free(p);
            free(g);
        }
    /* More groups than fit. */
    char many[8192];
    size_t at = 0;
    for (int i = 0; i < 100; i++)
        at += (size_t)snprintf(many + at, sizeof(many) - at, "g%d:x:%d:app\n", i, 2000 + i);
    assert_int_equal(sh_user_resolve(&u, "app", passwd, sizeof(passwd) - 1, many, at), 0);
    assert_int_equal(u.group_count, SH_USER_GROUPS_MAX);
    assert_int_equal(u.groups[0], 1001); /* the user's own is never the one left out */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_users)};
    return cmocka_run_group_tests_name("users", tests, NULL, NULL);
}
