// SPDX-License-Identifier: Apache-2.0
// What manifest and launch config mean together: defaults as docker has them, what the host may
// choose, what --lock freezes, what is refused.
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/settings.h"

struct image {
    uint8_t data[SH_MANIFEST_SIZE_MAX];
    size_t size;
};

static void put(struct image *t, uint16_t tag, const void *data, size_t size)
{
    sh_put_le16(t->data + t->size, tag);
    sh_put_le16(t->data + t->size + 2, 0);
    sh_put_le32(t->data + t->size + 4, (uint32_t)size);
    memcpy(t->data + t->size + 8, data, size);
    t->size += 8 + size;
    sh_put_le32(t->data + 12, (uint32_t)t->size);
}

static void put_text(struct image *t, uint16_t tag, const char *text)
{
    put(t, tag, text, strlen(text));
}

static void put_policy(struct image *t, uint64_t policy)
{
    uint8_t v[8];
    sh_put_le64(v, policy);
    put(t, SH_TAG_POLICY, v, 8);
}

static void put_place(struct image *t, uint32_t flags, const char *path)
{
    uint8_t v[256];
    sh_put_le32(v, flags);
    memcpy(v + 4, path, strlen(path));
    put(t, SH_TAG_HOST_MOUNT, v, 4 + strlen(path));
}

static struct image *image(void)
{
    static struct image t;
    uint8_t hash[32] = {1}, size[8] = {0, 16};
    memcpy(t.data, SH_MANIFEST_MAGIC, 8);
    sh_put_le32(t.data + 8, SH_MANIFEST_VERSION);
    t.size = 16;
    put(&t, SH_TAG_ROOT_HASH, hash, 32);
    put(&t, SH_TAG_ROOT_SIZE, size, 8);
    return &t;
}

static struct sh_settings s;
static const char *why;
static uint8_t *arena;

/* Works `body` (NULL: no launch config) and the image out, in exactly the room that is promised to
 * be enough. */
static int make(const struct image *t, const char *body)
{
    struct sh_manifest m;
    char text[4096];
    int n =
        snprintf(text, sizeof(text), "%s%s%s", SH_LAUNCH_HEAD, body ? body : "", SH_LAUNCH_TAIL);
    uint8_t *copy = malloc(t->size);
    memcpy(copy, t->data, t->size);
    assert_int_equal(sh_manifest_parse(&m, copy, t->size), 0);
    size_t room = sh_settings_size(&m, body ? (size_t)n : 0);
    free(arena);
    arena = malloc(room);
    int r = sh_settings_make(&s, &m, body ? text : NULL, body ? (size_t)n : 0, arena, room, &why);
    free(copy);
    memset(text, 'x', sizeof(text)); /* nothing may point there */
    assert_int_equal(!r, !why);
    return r;
}

static void list_is(const struct sh_string_list *l, const char *joined)
{
    char text[1024] = "";
    size_t n = 0;
    for (; n < l->count; n++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s|", l->items[n]);
    assert_null(l->items[n]);
    assert_string_equal(text, joined);
}

#define PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin|"

static void test_defaults(void **state)
{
    assert_int_equal(make(image(), ""), 0);
    assert_int_equal(s.args.count, 0);
    list_is(&s.env, PATH "HOSTNAME=shelter|");
    assert_string_equal(s.workdir, "/");
    assert_string_equal(s.user, "");
    assert_string_equal(s.hostname, "shelter");
    assert_string_equal(s.network, "");
    assert_string_equal(s.broker, "");
    assert_string_equal(s.agent, "");
    assert_true(s.outside && s.output);
    assert_false(s.input || s.terminal || s.locked || s.debug);
    assert_int_equal(s.requests, 0);
    assert_int_equal(s.port_count + s.share_count + s.tmpfs_count + s.secrets.count, 0);
    assert_int_equal(s.stop_signal, SIGTERM);
    assert_int_equal(s.memory + s.cpus, 0);
    assert_int_equal(s.limits[7].soft, 1024);
    assert_true(s.limits[0].hard == SH_LIMIT_NONE);
}

/* Who runs an enclave or a machine without a launch config has chosen to bind nothing. */
static void test_absent(void **state)
{
    assert_int_equal(make(image(), NULL), -ENOENT);
}

static void test_image(void **state)
{
    struct image *t = image();
    uint8_t stop[4] = {SIGUSR1}, limit[24] = {7, [8] = 5, [16] = 9};
    uint8_t tmpfs[16] = {[1] = 16, [8] = 0xed, [9] = 1, [12] = '/', 't', 'm', 'p'};
    put_text(t, SH_TAG_ENTRYPOINT, "/bin/e");
    put_text(t, SH_TAG_COMMAND, "");
    put_text(t, SH_TAG_ENV, "A=1");
    put_text(t, SH_TAG_ENV, "PATH=/bin");
    put_text(t, SH_TAG_ENV, "A=2");
    put_text(t, SH_TAG_WORKDIR, "/srv");
    put_text(t, SH_TAG_USER, "www:web");
    put_text(t, SH_TAG_HOSTNAME, "box");
    put(t, SH_TAG_STOP_SIGNAL, stop, 4);
    put(t, SH_TAG_LIMIT, limit, 24);
    put(t, SH_TAG_MOUNT, tmpfs, 16);
    put_text(t, SH_TAG_NETWORK, "none");
    put_text(t, SH_TAG_AGENT, "/bin/agent");
    put_text(t, SH_TAG_BROKER, "https://b");
    put_text(t, SH_TAG_BROKER_KEY, "key");
    assert_int_equal(make(t, ""), 0);
    list_is(&s.args, "/bin/e||");
    assert_int_equal(s.entrypoint_count, 1);
    list_is(&s.env, "PATH=/bin|HOSTNAME=box|A=2|");
    assert_string_equal(s.workdir, "/srv");
    assert_string_equal(s.user, "www:web");
    assert_int_equal(s.stop_signal, SIGUSR1);
    assert_true(sh_settings_signal(&s, SIGUSR1));
    assert_int_equal(s.limits[7].soft, 5);
    assert_int_equal(s.limits[7].hard, 9);
    assert_int_equal(s.tmpfs_count, 1);
    assert_string_equal(s.tmpfs[0].path, "/tmp");
    assert_int_equal(s.tmpfs[0].size, 4096);
    assert_int_equal(s.tmpfs[0].mode, 0755);
    assert_false(s.outside);
    assert_string_equal(s.agent, "/bin/agent");
    assert_string_equal(s.broker, "https://b");
    assert_int_equal(s.broker_key.size, 3);
}

static void test_host(void **state)
{
    struct image *t = image();
    put_text(t, SH_TAG_ENTRYPOINT, "/bin/e");
    put_text(t, SH_TAG_ENV, "A=1");
    put_text(t, SH_TAG_BROKER, "https://b");
    assert_int_equal(make(t, "arg x\narg %27y%27\nenv B=2\nenv A=%C3%A9\nworkdir /w\nuser 5\n"
                             "hostname h\ntty 1\nstdin 1\nnetwork dhcp\nport tcp 80\nport udp 53\n"
                             "broker https://c\nmemory 1048576\ncpus 4\n"),
                     0);
    list_is(&s.args, "x|'y'|");
    list_is(&s.env, PATH "HOSTNAME=h|TERM=xterm|A=\xc3\xa9|B=2|");
    list_is(&s.image_env, "A=1|");
    assert_string_equal(s.workdir, "/w");
    assert_string_equal(s.user, "5");
    assert_string_equal(s.broker, "https://c");
    assert_true(s.terminal && s.input && s.outside);
    assert_int_equal(s.memory, 1048576);
    assert_int_equal(s.cpus, 4);
    assert_true(sh_settings_published(&s, 6, 80));
    assert_true(sh_settings_published(&s, 17, 53));
    assert_false(sh_settings_published(&s, 17, 80));
    assert_false(sh_settings_published(&s, 6, 53));
    assert_false(sh_settings_published(&s, 6, 8006));
}

static void test_malformed(void **state)
{
    static const char *const bad[] = {
        "tty 2\n",
        "stdin 0\n",
        "stdin \n",
        "workdir w\n",
        "user \n",
        "hostname a b\n",
        "hostname \n",
        "hostname -a\n",
        "env A\n",
        "env =a\n",
        "env \n",
        "port 80\n",
        "port tcp 0\n",
        "port tcp 080\n",
        "port tcp 65536\n",
        "port tcp 80 \n",
        "port sctp 1\n",
        "port tcp\n",
        "network \n",
        "broker \n",
        "memory 1k\n",
        "memory 18446744073709551616\n",
        "memory 010\n",
        "cpus 4294967296\n",
        "cpus -1\n",
        "network none\nport tcp 80\n",
        "arg x",
        "nonsense 1\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (make(image(), bad[i]) != -EBADMSG)
            fail_msg("%s", bad[i]);
    assert_int_equal(make(image(), "port tcp 8006\n"), -EPERM);
    assert_int_equal(make(image(), "port udp 8006\n"), 0);
}

static void test_locked(void **state)
{
    static const char *const frozen[] = {"arg x\n", "env A=b\n", "workdir /\n", "user 0\n",
                                         "hostname shelter\n"};
    struct image *t = image();
    put_text(t, SH_TAG_COMMAND, "/bin/c");
    put_policy(t, SH_POLICY_LOCK);
    for (size_t i = 0; i < sizeof(frozen) / sizeof(frozen[0]); i++)
        if (make(t, frozen[i]) != -EPERM)
            fail_msg("%s", frozen[i]);
    /* What the host may vary of any image. */
    assert_int_equal(make(t, "tty 1\nstdin 1\nport tcp 80\nbroker https://b\nmemory 1\ncpus 1\n"),
                     0);
    assert_true(s.locked);
    list_is(&s.args, "/bin/c|");
    list_is(&s.env, PATH "HOSTNAME=shelter|TERM=xterm|");
    assert_int_equal(make(t, "network dhcp\n"), 0);
    assert_int_equal(make(t, "network none\n"), 0);
    assert_false(s.outside);
    /* dhcp: the host gives the address, so it may say which. */
    assert_int_equal(make(t, "network 10.9.8.7/16,10.9.0.1\n"), 0);
    assert_memory_equal(s.own4, ((uint8_t[]){10, 9, 8, 7}), 4);
    assert_int_equal(s.prefix4, 16);

    t = image();
    put_text(t, SH_TAG_NETWORK, "10.1.1.1/24");
    put_policy(t, SH_POLICY_LOCK);
    assert_int_equal(make(t, "network 10.9.8.7/16\n"), -EPERM);
    assert_int_equal(make(t, "network 10.1.1.1/24\n"), 0);
    t = image();
    put_text(t, SH_TAG_NETWORK, "none");
    put_policy(t, SH_POLICY_LOCK);
    assert_int_equal(make(t, "network dhcp\n"), -EPERM);
    assert_int_equal(make(t, "network none\n"), 0);
    t = image();
    put_text(t, SH_TAG_NETWORK, "none");
    assert_int_equal(make(t, "network dhcp\n"), 0);
    assert_true(s.outside);
}

static void test_address(void **state)
{
    static const char *const bad[] = {
        "0.1.2.3/8",     "127.0.0.1/8",   "224.0.0.1/24", "255.255.255.255/24",
        "10.0.0.256/24", "10.0.0/24",     "10.0.0.1",     "10.0.0.1/33",
        "10.0.0.1/0",    "10.0.0.1/24x",  "10.00.0.1/24", "10.0.0.0001/24",
        "10.0.0.1/24/1", "10.0.0.1.1/24", "10.0.0.1/",    "10..0.1/24"};
    char text[64];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(text, sizeof(text), "network %s\n", bad[i]);
        if (make(image(), text) != -EBADMSG)
            fail_msg("%s", bad[i]);
    }
    assert_int_equal(make(image(), "readonly 1\n"), 0);
    assert_true(s.read_only);
    assert_int_equal(make(image(), "readonly 0\n"), -EBADMSG);
    assert_int_equal(make(image(), ""), 0);
    assert_false(s.read_only);
    assert_memory_equal(s.own4, ((uint8_t[]){10, 0, 2, 15}), 4);
    assert_int_equal(s.prefix4, 24);
    assert_int_equal(make(image(), "network fd00::1/64\n"), 0); /* of a machine */
    assert_int_equal(make(image(), "port tcp all\nport udp 53\n"), 0);
    assert_true(sh_settings_published(&s, 6, 80));
    assert_true(sh_settings_published(&s, 6, 65535));
    assert_false(sh_settings_published(&s, 6, 8006));
    assert_true(sh_settings_published(&s, 17, 53));
    assert_false(sh_settings_published(&s, 17, 54));
    assert_false(s.pod);
    /* A pod's loopback needs both: an image that allows it, and a host that publishes all. */
    struct image *t = image();
    put_policy(t, SH_POLICY_POD | SH_POLICY_LOCK);
    assert_int_equal(make(t, "port tcp all\n"), 0);
    assert_true(s.pod);
    assert_int_equal(make(t, "port tcp 80\nport udp all\n"), 0);
    assert_false(s.pod);
    assert_int_equal(make(image(), "port tcp al\n"), -EBADMSG);
    assert_int_equal(make(image(), "port tcp all1\n"), -EBADMSG);
}

static void test_limits(void **state)
{
    static const char *const bad[] = {"",
                                      "7",
                                      "7 1",
                                      "7 1 2 3",
                                      "7 2 1",
                                      "16 1 1",
                                      "-1 1 1",
                                      "7 01 1",
                                      "7 1 1 ",
                                      "nofile 1",
                                      "7 -1 9999",
                                      "7  1 1",
                                      " 7 1 1",
                                      "7 x 1",
                                      "7 1 1048577",
                                      "07 1 1",
                                      "0 1 18446744073709551616"};
    char text[64];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(text, sizeof(text), "limit %s\n", bad[i]);
        if (make(image(), text) != -EBADMSG)
            fail_msg("%s", bad[i]);
    }
    assert_int_equal(make(image(), ""), 0);
    assert_int_equal(s.limits[7].hard, 65536);
    assert_int_equal(make(image(), "limit 7 20 1048576\nlimit 4 0 18446744073709551615\n"), 0);
    assert_int_equal(s.limits[7].soft, 20);
    assert_int_equal(s.limits[7].hard, 1048576);
    assert_true(s.limits[4].soft == 0 && s.limits[4].hard == SH_LIMIT_NONE);
    struct image *t = image();
    put_policy(t, SH_POLICY_LOCK);
    assert_int_equal(make(t, "limit 7 20 30\n"), -EPERM);
}

static void test_sealed(void **state)
{
    static const char body[] = "tty 1\nstdin 1\n";
    struct image *t = image();
    put_policy(t, SH_POLICY_NO_INPUT);
    assert_int_equal(make(t, body), 0);
    assert_true(!s.input && s.output && !s.terminal && !s.input_allowed);
    t = image();
    put_policy(t, SH_POLICY_NO_OUTPUT);
    assert_int_equal(make(t, body), 0);
    assert_true(s.input && !s.output && !s.terminal && s.input_allowed);
    assert_int_equal(make(image(), "tty 1\n"), 0);
    assert_true(!s.terminal && !s.input && s.input_allowed);
}

static void test_requests(void **state)
{
    struct image *t = image();
    assert_int_equal(make(t, "debug 1\n"), -EPERM);
    put_policy(t, SH_POLICY_EXEC | SH_POLICY_TRACE | SH_POLICY_STATS | SH_POLICY_DEBUG);
    assert_int_equal(make(t, "debug 1\n"), 0);
    assert_true(s.debug);
    assert_int_equal(s.requests,
                     SH_POLICY_EXEC | SH_POLICY_TRACE | SH_POLICY_STATS | SH_POLICY_DEBUG);

    assert_int_equal(make(image(), ""), 0);
    assert_true(sh_settings_signal(&s, SIGINT) && sh_settings_signal(&s, SIGTERM) &&
                sh_settings_signal(&s, SIGKILL));
    assert_false(sh_settings_signal(&s, SIGHUP) || sh_settings_signal(&s, SIGQUIT) ||
                 sh_settings_signal(&s, SIGUSR1) || sh_settings_signal(&s, 0) ||
                 sh_settings_signal(&s, 65));
    assert_int_equal(make(image(), "tty 1\nstdin 1\n"), 0);
    assert_true(sh_settings_signal(&s, SIGQUIT) && sh_settings_signal(&s, SIGWINCH));
    assert_false(sh_settings_signal(&s, SIGUSR1) || sh_settings_signal(&s, SIGHUP));
    t = image();
    put_policy(t, SH_POLICY_SIGNAL);
    assert_int_equal(make(t, ""), 0);
    assert_true(sh_settings_signal(&s, SIGUSR1) && sh_settings_signal(&s, 64));
    assert_false(sh_settings_signal(&s, 65));
}

static void test_secrets(void **state)
{
    static const char secret[] = "A=kbs:///a/b/c";
    struct image *t = image();
    put_text(t, SH_TAG_SECRET, secret);
    assert_int_equal(make(t, ""), -EPERM);
    put_policy(t, SH_POLICY_LOCK);
    assert_int_equal(make(t, ""), 0);
    list_is(&s.secrets, "A=kbs:///a/b/c|");
    put_place(t, 0, "/data");
    assert_int_equal(make(t, ""), -EPERM);
    t = image();
    put_text(t, SH_TAG_SECRET, secret);
    put_policy(t, SH_POLICY_LOCK | SH_POLICY_EXEC);
    assert_int_equal(make(t, ""), -EPERM);
}

static void test_shares(void **state)
{
    static const char *const bad[] = {
        "mount share0 ro data\n",
        "mount share ro /data\n",
        "mount shareX ro /data\n",
        "mount share0 /data\n",
        "mount share0 rx /data\n",
        "mount share0\n",
        "mount disk0 ro /data\n",
        "mount share00000 ro /data\n",
        "mount share0 ro /data\nmount share0 ro /etc\n",
        "mount share0 ro /data\nmount share1 rw /data\n",
    };
    struct image *t = image();
    assert_int_equal(make(t, "mount share0 ro /data\n"), -EPERM);
    put_place(t, 0, "/data");
    put_place(t, SH_HOST_MOUNT_COVER, "/etc");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (make(t, bad[i]) != -EBADMSG)
            fail_msg("%s", bad[i]);
    assert_int_equal(make(t, "mount share0 ro /data\nmount share1 rw /etc\n"), 0);
    assert_int_equal(s.share_count, 2);
    assert_string_equal(s.shares[0].tag, "share0");
    assert_string_equal(s.shares[0].path, "/data");
    assert_true(s.shares[0].read_only && !s.shares[0].cover);
    assert_string_equal(s.shares[1].path, "/etc");
    assert_true(!s.shares[1].read_only && s.shares[1].cover);
    assert_int_equal(make(t, "mount share0 ro /dat\n"), -EPERM);
    assert_int_equal(make(t, "mount share0 ro /data/\n"), -EPERM);
    assert_int_equal(make(t, "mount share0 ro /data/../lib\n"), -EPERM);
}

/* Files of the host: only where the image takes them, and never where the system has its own. */
static void test_files(void **state)
{
    static const char *const bad[] = {"file x\n",           "file \n",           "file 0644 /a\n",
                                      "file 0644 /a 6\n",   "file 0644 /a 6g\n", "file 644 /a 61\n",
                                      "file 0844 /a 61\n",  "file 4755 /a 61\n", "file 0644 a 61\n",
                                      "file 0644  61\n",    "file 0644/a 61\n",  "file 0644 61\n",
                                      "file 0644 /a -161\n"};
    static const char *const places[] = {"file 0644 /dev/x 61\n",
                                         "file 0644 /proc/1/mem 61\n",
                                         "file 0644 /a/../b 61\n",
                                         "file 0644 /a//b 61\n",
                                         "file 0644 / 61\n",
                                         "file 0644 /a/ 61\n",
                                         "file 0644 /run/secrets/../x 61\n",
                                         "file 0644 /run/secrets/ 61\n",
                                         "file 0644 /run/secrets 61\n"};
    struct image *t = image();
    assert_int_equal(make(t, "file 0644 /etc/x 61\n"), -EPERM);
    put_policy(t, SH_POLICY_FILES);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (make(t, bad[i]) != -EBADMSG)
            fail_msg("%s", bad[i]);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (make(t, places[i]) != -EPERM)
            fail_msg("%s", places[i]);
    assert_int_equal(make(t, "file 0400 /etc/a b/c 610062\nfile 0777 /x \n"
                             "file 0644 /run/secrets/y 7A\n"),
                     0);
    assert_int_equal(s.file_count, 3);
    assert_string_equal(s.files[0].folder, "/etc/a b");
    assert_string_equal(s.files[0].name, "c");
    assert_int_equal(s.files[0].mode, 0400);
    assert_int_equal(s.files[0].size, 3);
    assert_memory_equal(s.files[0].data, "a\0b", 3);
    assert_string_equal(s.files[1].folder, "/");
    assert_string_equal(s.files[1].name, "x");
    assert_int_equal(s.files[1].size, 0);
    assert_string_equal(s.files[2].folder, "/run/secrets");
    /* The most of them, as badly as can be: refused, with room. */
    char many[16 * (SH_SETTINGS_FILES_MAX + 1)] = "";
    for (size_t i = 0; i < SH_SETTINGS_FILES_MAX; i++)
        strcat(many, "file 0644 /a \n");
    assert_int_equal(make(t, many), 0);
    strcat(many, "file 0644 /a \n");
    assert_int_equal(make(t, many), -E2BIG);
    /* With secrets of the broker in it, an image takes none. */
    t = image();
    put_text(t, SH_TAG_SECRET, "a=kbs:///a/b/c");
    put_policy(t, SH_POLICY_LOCK | SH_POLICY_FILES);
    assert_int_equal(make(t, ""), -EPERM);
}

static void test_places(void **state)
{
    static const char *const good[] = {"/a", "/srv/data", "/devices", "/run/x", "/...", "/a/..b"};
    static const char *const bad[] = {
        "/",      "a",    "/a/",    "//a",     "/a//b", "/.",           "/a/..",
        "/a/./b", "/dev", "/dev/x", "/proc/1", "/sys",  "/run/secrets", "/run/secrets/x",
        "/run",   ""};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(sh_host_mount_ok(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (sh_host_mount_ok(bad[i], strlen(bad[i])))
            fail_msg("%s", bad[i]);
    assert_false(sh_host_mount_ok("/a\0b", 4));
}

/* Too many, or too little room: an error, never a write outside. */
static void test_bounds(void **state)
{
    static char text[SH_LAUNCH_SIZE_MAX];
    size_t n = (size_t)sprintf(text, "%s", SH_LAUNCH_HEAD);
    struct image *t = image();
    struct sh_manifest m;
    assert_int_equal(sh_manifest_parse(&m, t->data, t->size), 0);
    for (size_t i = 0; i <= SH_SETTINGS_STRINGS_MAX; i++)
        n += (size_t)sprintf(text + n, "env A%zu=\n", i);
    n += (size_t)sprintf(text + n, "%s", SH_LAUNCH_TAIL);
    size_t room = sh_settings_size(&m, n);
    uint8_t *big = malloc(room);
    assert_int_equal(sh_settings_make(&s, &m, text, n, big, room, &why), -E2BIG);
    free(big);
    for (size_t count = SH_SETTINGS_ARGS_MAX; count <= SH_SETTINGS_ARGS_MAX + 1; count++) {
        n = (size_t)sprintf(text, "%s", SH_LAUNCH_HEAD);
        for (size_t i = 0; i < count; i++)
            n += (size_t)sprintf(text + n, "arg %zu\n", i % 10);
        n += (size_t)sprintf(text + n, "%s", SH_LAUNCH_TAIL);
        room = sh_settings_size(&m, n);
        big = malloc(room);
        assert_int_equal(sh_settings_make(&s, &m, text, n, big, room, &why),
                         count > SH_SETTINGS_ARGS_MAX ? -E2BIG : 0);
        free(big);
    }

    n = (size_t)sprintf(text, "%senv A=b\nport tcp 80\n%s", SH_LAUNCH_HEAD, SH_LAUNCH_TAIL);
    bool enough = false;
    for (size_t size = 0; size <= sh_settings_size(&m, n); size++) {
        uint8_t *exact = malloc(size ? size : 1);
        int r = sh_settings_make(&s, &m, text, n, exact, size, &why);
        assert_int_equal(r, enough || !r ? 0 : -ENOMEM);
        enough = !r;
        free(exact);
    }
    assert_true(enough);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),  cmocka_unit_test(test_absent),
        cmocka_unit_test(test_image),     cmocka_unit_test(test_host),
        cmocka_unit_test(test_malformed), cmocka_unit_test(test_locked),
        cmocka_unit_test(test_address),   cmocka_unit_test(test_limits),
        cmocka_unit_test(test_sealed),    cmocka_unit_test(test_requests),
        cmocka_unit_test(test_secrets),   cmocka_unit_test(test_shares),
        cmocka_unit_test(test_files),     cmocka_unit_test(test_places),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
