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

static void free_settings(struct guest_config *c)
{
    free(c->arena);
    c->arena = NULL;
}

static void test_config(void **state)
{
    struct text m, t;
    struct guest_config c;
    struct guest_error e;
    uint8_t digest[48];
    start(&m, 0, false);
    t = disk(&m, LAUNCH("hostname other\n"));
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
    assert_string_equal(c.settings.hostname, "other");
    free_settings(&c);
    assert_int_equal(guest_config_launch(&c, digest, 32, &e), 0);
    free_settings(&c);
    assert_int_equal(guest_config_launch(&c, digest, 31, &e), -EBADMSG);
    assert_int_equal(guest_config_launch(&c, digest, 0, &e), -EBADMSG);
    assert_int_equal(guest_config_launch(&c, digest, 49, &e), -EBADMSG);
    digest[31] ^= 1;
    assert_int_equal(guest_config_launch(&c, digest, 32, &e), -EBADMSG);
    /* Sizes that add up beyond any buffer. */
    sh_put_le32(t.data + 8, 0xffffffff);
    assert_int_equal(guest_config_split(&c, t.data, t.size, &e), -EBADMSG);
    sh_put_le32(t.data + 8, 16);
    sh_put_le32(t.data + 12, 0xfffffff0);
    assert_int_equal(guest_config_split(&c, t.data, t.size, &e), -EBADMSG);
}

/* The settings are made of these two and no other bytes (what they may say: test_settings). */
static void test_settings(void **state)
{
    static const struct {
        uint64_t policy;
        const char *launch;
        int code;
    } cases[] = {
        {0, LAUNCH("arg /bin/sh\nenv A=b\nworkdir /\nuser 0\n"), 0},
        {SH_POLICY_LOCK, LAUNCH("arg x\n"), -EPERM},
        {0, LAUNCH("debug 1\n"), -EPERM},
        {0, LAUNCH("mount share0 ro /x\n"), -EPERM},
        {0, "not canonical", -EBADMSG},
        {0, "", -EBADMSG},
    };
    struct guest_config c;
    struct text held;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(load(&c, &held, cases[i].policy, cases[i].launch), cases[i].code);
        free_settings(&c);
    }
    assert_int_equal(load(&c, &held, SH_POLICY_EXEC, LAUNCH("env A=host\nstdin 1\n")), 0);
    assert_string_equal(c.settings.args.items[0], "/bin/x");
    assert_string_equal(c.settings.hostname, "box");
    assert_true(c.settings.input && c.settings.requests == SH_POLICY_EXEC);
    free_settings(&c);
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

/* --- argv and environment --- */

static void test_strings(void **state)
{
    struct guest_strings env = {0}, argv = {0};
    assert_int_equal(guest_strings_add(&env, "A=image", 7), 0);
    assert_int_equal(guest_env_set(&env, "B=2", 3), 0);
    assert_int_equal(guest_env_set(&env, "A=host\n", 7), 0);
    assert_int_equal(guest_env_set(&env, "C=", 2), 0);
    assert_int_equal(env.count, 3);
    assert_null(env.items[3]);
    assert_string_equal(guest_env_get(&env, "A"), "host\n");
    assert_string_equal(guest_env_get(&env, "B"), "2");
    assert_string_equal(guest_env_get(&env, "C"), "");
    assert_null(guest_env_get(&env, "D"));
    assert_int_equal(guest_env_set(&env, "=x", 2), -EINVAL);
    assert_int_equal(guest_env_set(&env, "NOVALUE", 7), -EINVAL);
    guest_strings_free(&env);
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
        cmocka_unit_test(test_cmdline),  cmocka_unit_test(test_config),
        cmocka_unit_test(test_settings), cmocka_unit_test(test_network),
        cmocka_unit_test(test_strings),  cmocka_unit_test(test_error),
    };
    return cmocka_run_group_tests_name("guest", tests, NULL, NULL);
}
