// SPDX-License-Identifier: Apache-2.0
// PID 1's readers of what the host gives: command line, config disk, policy, network, users, argv.
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/sha2.h"
#include "trusted/guest/guest.h"

#define HEX96                                                                                      \
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d" \
    "2e2f"
#define TEE "shelter.tee=tdx-sim "
#define MAN "shelter.manifest=" HEX96

static void test_cmdline(void **state)
{
    struct guest_cmdline c;
    struct guest_error e;
    assert_int_equal(guest_cmdline_parse(&c, SH_BOOT_COMMON " " TEE MAN "\n", &e), 0);
    assert_string_equal(c.tee, "tdx-sim");
    assert_int_equal(c.manifest[47], 0x2f);
    assert_false(c.has_launch || c.console || c.probe);
    /* OVMF appends this. */
    assert_int_equal(guest_cmdline_parse(&c, TEE MAN " initrd=initrd", &e), 0);
    assert_int_equal(guest_cmdline_parse(&c, TEE MAN " console=ttyS0", &e), 0);
    assert_true(c.console);
    assert_int_equal(guest_cmdline_parse(&c, TEE MAN " shelter.launch=" HEX96, &e), 0);
    assert_true(c.has_launch);
    assert_int_equal(guest_cmdline_parse(&c, "quiet shelter.probe", &e), 0);
    assert_true(c.probe);
    static const struct {
        const char *text;
        int code;
    } bad[] = {
        {"", -EINVAL},
        {TEE, -EINVAL},
        {MAN, -EINVAL},
        {TEE MAN " " MAN, -EEXIST},
        {TEE MAN " " TEE, -EEXIST},
        {TEE MAN " shelter.launch=" HEX96 " shelter.launch=" HEX96, -EEXIST},
        {TEE MAN "0", -EINVAL},
        {TEE "shelter.manifest=", -EINVAL},
        {TEE "shelter.manifest=zz", -EINVAL},
        {"shelter.tee= " MAN, -EINVAL},
        {"shelter.tee=0123456789abcdef " MAN, -EINVAL},
        {TEE MAN " shelter.other=1", -EINVAL},
        {TEE MAN " shelter.probe=1", -EINVAL},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        e.text[0] = 0;
        assert_int_equal(guest_cmdline_parse(&c, bad[i].text, &e), bad[i].code);
        assert_int_equal(e.status, 125);
        assert_true(e.text[0] && !strchr(e.text, '\n'));
    }
}

/* --- config disk --- */

struct text {
    uint8_t data[8192];
    size_t size;
};

static void put(struct text *t, uint16_t tag, const void *data, size_t size)
{
    sh_put_le16(t->data + t->size, tag);
    sh_put_le16(t->data + t->size + 2, 0);
    sh_put_le32(t->data + t->size + 4, (uint32_t)size);
    memcpy(t->data + t->size + 8, data, size);
    t->size += 8 + size;
    sh_put_le32(t->data + 12, (uint32_t)t->size);
}

static void start(struct text *t, uint64_t policy, bool with_policy)
{
    uint8_t hash[32] = {1}, size[8] = {0, 16}, bits[8];
    memcpy(t->data, SH_MANIFEST_MAGIC, 8);
    sh_put_le32(t->data + 8, SH_MANIFEST_VERSION);
    t->size = 16;
    put(t, SH_TAG_ROOT_HASH, hash, 32);
    put(t, SH_TAG_ROOT_SIZE, size, 8);
    put(t, SH_TAG_COMMAND, "/bin/x", 6);
    put(t, SH_TAG_COMMAND, "arg", 3);
    put(t, SH_TAG_ENV, "A=image", 7);
    put(t, SH_TAG_ENV, "B=image", 7);
    put(t, SH_TAG_HOSTNAME, "box", 3);
    sh_put_le64(bits, policy);
    if (with_policy)
        put(t, SH_TAG_POLICY, bits, 8);
}

static struct text disk(const struct text *manifest, const char *launch)
{
    struct text t = {.size = 16 + manifest->size + strlen(launch)};
    memcpy(t.data, SH_BOOT_CONFIG_MAGIC, 8);
    sh_put_le32(t.data + 8, (uint32_t)manifest->size);
    sh_put_le32(t.data + 12, (uint32_t)strlen(launch));
    memcpy(t.data + 16, manifest->data, manifest->size);
    memcpy(t.data + 16 + manifest->size, launch, strlen(launch));
    return t;
}

#define LAUNCH(lines) SH_LAUNCH_HEAD lines SH_LAUNCH_TAIL

/* Splits and checks with honest digests; the bytes stay in *held. */
static int load(struct guest_config *c, struct text *held, uint64_t policy, const char *launch)
{
    struct text m;
    struct guest_error e;
    uint8_t digest[48];
    start(&m, policy, true);
    *held = disk(&m, launch);
    int rc = guest_config_split(c, held->data, held->size, &e);
    sh_sha384(digest, m.data, m.size);
    if (!rc)
        rc = guest_config_manifest(c, digest, &e);
    sh_sha384(digest, launch, strlen(launch));
    return rc ? rc : guest_config_launch(c, digest, 48, &e);
}

static void test_config(void **state)
{
    struct text m, t;
    struct guest_config c;
    struct guest_error e;
    uint8_t digest[48];
    char text[32];
    start(&m, 0, false);
    t = disk(&m, LAUNCH("hostname %C3%A9\n"));
    /* Every truncation, at its exact size. */
    for (size_t size = 0; size < t.size; size++) {
        uint8_t *copy = malloc(size ? size : 1);
        memcpy(copy, t.data, size);
        assert_int_equal(guest_config_split(&c, copy, size, &e), -EBADMSG);
        free(copy);
    }
    assert_int_equal(guest_config_split(&c, t.data, t.size, &e), 0);
    sh_sha384(digest, m.data, m.size);
    /* Every flipped bit of the digest, and of the manifest. */
    for (size_t i = 0; i < 48 * 8; i++) {
        digest[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_int_equal(guest_config_manifest(&c, digest, &e), -EBADMSG);
        digest[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t i = 0; i < m.size; i++) {
        t.data[16 + i] ^= 1;
        assert_int_equal(guest_config_manifest(&c, digest, &e), -EBADMSG);
        t.data[16 + i] ^= 1;
    }
    assert_int_equal(guest_config_manifest(&c, digest, &e), 0);
    sh_sha384(digest, c.launch.data, c.launch.size);
    assert_int_equal(guest_config_launch(&c, digest, 48, &e), 0);
    assert_int_equal(guest_config_launch(&c, digest, 32, &e), 0);
    assert_int_equal(guest_config_launch(&c, digest, 31, &e), -EBADMSG);
    assert_int_equal(guest_config_launch(&c, digest, 0, &e), -EBADMSG);
    assert_int_equal(guest_config_launch(&c, digest, 49, &e), -EBADMSG);
    digest[31] ^= 1;
    assert_int_equal(guest_config_launch(&c, digest, 32, &e), -EBADMSG);
    assert_int_equal(guest_config_text(&c, SH_LAUNCH_HOSTNAME, SH_TAG_HOSTNAME, text, 32), 0);
    assert_string_equal(text, "\xc3\xa9");
    assert_int_equal(guest_config_text(&c, SH_LAUNCH_HOSTNAME, SH_TAG_HOSTNAME, text, 2),
                     -ENAMETOOLONG);
    assert_int_equal(guest_config_text(&c, SH_LAUNCH_USER, SH_TAG_USER, text, 32), 0);
    assert_string_equal(text, "");
    /* Sizes that add up beyond any buffer. */
    sh_put_le32(t.data + 8, 0xffffffff);
    assert_int_equal(guest_config_split(&c, t.data, t.size, &e), -EBADMSG);
    sh_put_le32(t.data + 8, 16);
    sh_put_le32(t.data + 12, 0xfffffff0);
    assert_int_equal(guest_config_split(&c, t.data, t.size, &e), -EBADMSG);
}

static void test_policy(void **state)
{
    static const struct {
        uint64_t policy;
        const char *launch;
        bool console;
        int code;
    } cases[] = {
        {0, LAUNCH("arg /bin/sh\nenv A=b\nworkdir /\nuser 0\n"), false, 0},
        {0, LAUNCH(""), true, -EPERM},
        {SH_POLICY_DEBUG, LAUNCH(""), true, 0},
        {0, LAUNCH("debug 1\n"), false, -EPERM},
        {SH_POLICY_DEBUG, LAUNCH("debug 1\n"), false, 0},
        {0, LAUNCH("mount share0 ro /x\n"), false, -EPERM},
        {SH_POLICY_ALL & ~SH_POLICY_MOUNT & ~SH_POLICY_LOCK, LAUNCH("mount share0 ro /x\n"), false,
         -EPERM},
        {SH_POLICY_MOUNT, LAUNCH("mount share0 ro /x\n"), false, 0},
        {SH_POLICY_LOCK, LAUNCH("arg x\n"), false, -EPERM},
        {SH_POLICY_LOCK, LAUNCH("env A=b\n"), false, -EPERM},
        {SH_POLICY_LOCK, LAUNCH("workdir /\n"), false, -EPERM},
        {SH_POLICY_LOCK, LAUNCH("user 0\n"), false, -EPERM},
        {SH_POLICY_LOCK, LAUNCH("hostname a\ntty 1\nstdin 1\nnetwork none\nmemory 1\n"), false, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct guest_config c;
        struct guest_error e;
        struct text held;
        struct guest_cmdline line = {.console = cases[i].console};
        assert_int_equal(load(&c, &held, cases[i].policy, cases[i].launch), 0);
        assert_int_equal(guest_policy_launch(&c, &line, &e), cases[i].code);
    }
    /* Secrets of an image that a host may drive. */
    struct text t;
    struct guest_config c = {.launch = {(const uint8_t *)LAUNCH(""), sizeof(LAUNCH("")) - 1}};
    struct guest_cmdline line = {0};
    struct guest_error e;
    start(&t, 0, false);
    put(&t, SH_TAG_SECRET, "key=kbs:///a/b/c", 16);
    assert_int_equal(sh_manifest_parse(&c.manifest, t.data, t.size), 0);
    assert_int_equal(guest_policy_launch(&c, &line, &e), -EPERM);
    uint8_t bits[8];
    sh_put_le64(bits, SH_POLICY_LOCK);
    put(&t, SH_TAG_POLICY, bits, 8);
    assert_int_equal(sh_manifest_parse(&c.manifest, t.data, t.size), 0);
    assert_int_equal(guest_policy_launch(&c, &line, &e), 0);
    struct sh_manifest m = {.policy = SH_POLICY_ALL & ~SH_POLICY_SIGNAL};
    for (uint32_t s = 0; s < 80; s++)
        assert_int_equal(guest_policy_signal(&m, s), s == SIGINT || s == SIGTERM || s == SIGKILL);
    m.stop_signal = SIGQUIT;
    assert_true(guest_policy_signal(&m, SIGQUIT));
    m.policy = SH_POLICY_SIGNAL;
    assert_true(guest_policy_signal(&m, 1) && guest_policy_signal(&m, 64));
    assert_false(guest_policy_signal(&m, 0) || guest_policy_signal(&m, 65) ||
                 guest_policy_signal(&m, 0xffffffff));
}

/* --- network --- */

static void test_network(void **state)
{
    struct guest_network n;
    static const char *const bad[] = {
        "",
        "dhcp ",
        "none,",
        "1.2.3.4",
        "1.2.3.4/",
        "1.2.3.4/33",
        "1.2.3.4/-1",
        "1.2.3.4/1e1",
        "1.2.3/8",
        "1.2.3.4/8,",
        "1.2.3.4/8,::1",
        "1.2.3.4/8,5.6.7.8,x",
        "/8",
        ",",
        "fe80::1/129",
        "1.2.3.4/0000000000000000001",
        "1.2.3.4/8,1.2.3.4,1.1.1.1,1.1.1.2,1.1.1.3,1.1.1.4,1.1.1.5",
        "0000000000000000000000000000000000000000000000000000000000000000000000000:1/8"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(guest_network_parse(&n, bad[i]), -EINVAL);
    assert_int_equal(guest_network_parse(&n, "none"), 0);
    assert_true(n.none);
    assert_int_equal(guest_network_parse(&n, "dhcp"), 0);
    assert_memory_equal(n.address.bytes, "\x0a\0\2\x0f", 4);
    assert_memory_equal(n.gateway.bytes, "\x0a\0\2\2", 4);
    assert_memory_equal(n.dns[0].bytes, "\x0a\0\2\3", 4);
    assert_true(n.prefix == 24 && n.dns_count == 1 && !n.none);
    assert_int_equal(guest_network_parse(&n, "10.1.2.3/24,10.1.2.1,9.9.9.9,fd00::1"), 0);
    assert_int_equal(n.prefix, 24);
    assert_memory_equal(n.address.bytes, "\x0a\1\2\3", 4);
    assert_memory_equal(n.gateway.bytes, "\x0a\1\2\1", 4);
    assert_int_equal(n.dns_count, 2);
    assert_int_equal(n.dns[1].family, AF_INET6);
    assert_int_equal(guest_network_parse(&n, "fd00::2/64,fd00::1"), 0);
    assert_int_equal(n.gateway.family, AF_INET6);

    assert_true(sh_hostname_ok("a") && sh_hostname_ok("A-b.c_9"));
    assert_false(sh_hostname_ok("") || sh_hostname_ok("-a") || sh_hostname_ok(".a") ||
                 sh_hostname_ok("a b") || sh_hostname_ok("a\n127.0.0.1 evil") ||
                 sh_hostname_ok("\xc3\xa9"));
    char name[66];
    memset(name, 'a', 65);
    name[65] = 0;
    assert_false(sh_hostname_ok(name));
    name[64] = 0;
    assert_true(sh_hostname_ok(name));
}

/* --- users --- */

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

static int resolve(struct guest_user *u, const char *spec)
{
    return guest_user_resolve(u, spec, passwd, sizeof(passwd) - 1, group, sizeof(group) - 1);
}

static void test_users(void **state)
{
    struct guest_user u;
    assert_int_equal(resolve(&u, ""), 0);
    assert_true(u.uid == 0 && u.gid == 0);
    assert_string_equal(u.home, "/root");
    assert_int_equal(resolve(&u, "app"), 0);
    assert_true(u.uid == 1000 && u.gid == 1001);
    assert_int_equal(u.group_count, 2);
    assert_true(u.groups[0] == 10 && u.groups[1] == 44);
    assert_string_equal(u.home, "/home/app");
    assert_int_equal(resolve(&u, "1000"), 0);
    assert_true(u.gid == 1001 && u.group_count == 2);
    assert_int_equal(resolve(&u, "app:media"), 0);
    assert_true(u.gid == 44 && u.group_count == 0);
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
    static const char *const missing[] = {
        "nobody", "broken", "nouid",      "big",         "app:none",       "ap",     "appx",
        "app:-1", "-1",     "4294967295", "99999999999", "app:4294967295", "app:few"};
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++)
        assert_int_equal(resolve(&u, missing[i]), -ENOENT);
    /* Torn files: whatever the size, no read past it. */
    for (size_t i = 0; i < sizeof(passwd); i++)
        for (size_t j = 0; j < 3; j++) {
            char *p = malloc(i + 1), *g = malloc(i + 1);
            size_t n = i < sizeof(group) ? i : sizeof(group) - 1;
            memcpy(p, passwd, i);
            memcpy(g, group, n);
            guest_user_resolve(&u, j ? j == 1 ? "app" : "last:media" : "9", p, i, g, n);
            free(p);
            free(g);
        }
    /* More groups than fit. */
    char many[8192];
    size_t at = 0;
    for (int i = 0; i < 100; i++)
        at += (size_t)snprintf(many + at, sizeof(many) - at, "g%d:x:%d:app\n", i, 2000 + i);
    assert_int_equal(guest_user_resolve(&u, "app", passwd, sizeof(passwd) - 1, many, at), 0);
    assert_int_equal(u.group_count, GUEST_GROUPS_MAX);
}

/* --- argv and environment --- */

static void test_program(void **state)
{
    struct guest_config c;
    struct guest_error e;
    struct text held;
    struct guest_strings argv = {0}, env = {0};
    assert_int_equal(load(&c, &held, 0, LAUNCH("env A=host%0A\nenv C=\n")), 0);
    assert_int_equal(guest_program(&c, &argv, &env, &e), 0);
    assert_int_equal(argv.count, 2);
    assert_string_equal(argv.items[0], "/bin/x");
    assert_null(argv.items[2]);
    assert_int_equal(env.count, 3);
    assert_string_equal(guest_env_get(&env, "A"), "host\n");
    assert_string_equal(guest_env_get(&env, "B"), "image");
    assert_string_equal(guest_env_get(&env, "C"), "");
    assert_null(guest_env_get(&env, "D"));
    guest_strings_free(&argv);
    guest_strings_free(&env);
    assert_int_equal(load(&c, &held, 0, LAUNCH("arg a b\narg \n")), 0);
    assert_int_equal(guest_program(&c, &argv, &env, &e), 0);
    assert_int_equal(argv.count, 2);
    assert_string_equal(argv.items[0], "a b");
    assert_string_equal(argv.items[1], "");
    guest_strings_free(&argv);
    guest_strings_free(&env);
    assert_int_equal(load(&c, &held, 0, LAUNCH("env NOVALUE\n")), 0);
    assert_int_equal(guest_program(&c, &argv, &env, &e), -EINVAL);
    guest_strings_free(&argv);
    guest_strings_free(&env);
    assert_int_equal(guest_env_set(&env, "=x", 2), -EINVAL);
    /* A list has an end. */
    int rc = 0;
    for (size_t i = 0; !rc; i++) {
        assert_true(i <= 2 * GUEST_STRINGS_MAX);
        rc = guest_strings_add(&argv, "x", 1);
    }
    assert_int_equal(rc, -E2BIG);
    guest_strings_free(&argv);
}

static void test_error(void **state)
{
    struct guest_error e;
    char big[1000];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = 0;
    assert_int_equal(guest_fail(&e, -EIO, "a\nb%s", big), -EIO);
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
    assert_null(strchr(e.text, '\n'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cmdline), cmocka_unit_test(test_config),
        cmocka_unit_test(test_policy),  cmocka_unit_test(test_network),
        cmocka_unit_test(test_users),   cmocka_unit_test(test_program),
        cmocka_unit_test(test_error),
    };
    return cmocka_run_group_tests_name("guest", tests, NULL, NULL);
}
