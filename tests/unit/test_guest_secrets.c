// SPDX-License-Identifier: Apache-2.0
// The agent's report as PID 1 reads it: secrets in their places, and every report that no honest
// agent makes.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <shelter/agent.h>

#include "tests/guest_alone.h"
#include "trusted/guest/serve.h"
#include "trusted/guest/volume/server.h"

static char folder[] = "/tmp/secrets-test.XXXXXX";
static uint8_t script[4 << 20]; /* what the agent says */
static size_t script_size;
static bool mute; /* and then waits for ever */
static enum { NOTHING, HANG_UP, ASK_TO_STOP } host_does;
static pid_t agent;

/* --- in place of the guest's own: the agent is a child that says the script --- */

int guest_agent_start(struct guest *g)
{
    int pair[2];
    uint8_t asked[SH_AGENT_HEAD_SIZE];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    agent = fork();
    if (agent) {
        close(pair[1]);
        g->agent = agent;
        g->agent_fd = pair[0];
        return 0;
    }
    int report = pair[1];
    close(pair[0]);
    signal(SIGPIPE, SIG_IGN);
    if (read(report, asked, sizeof(asked)) != sizeof(asked) || asked[0] != SH_AGENT_START)
        _exit(1);
    for (size_t at = 0; at < script_size;) {
        ssize_t n = write(report, script + at, script_size - at > 1000 ? 1000 : script_size - at);
        if (n <= 0)
            _exit(1);
        at += (size_t)n;
    }
    while (mute)
        sleep(1);
    _exit(0);
}

int guest_agent_ask(struct guest *g, enum sh_agent_record kind, const void *data, size_t size)
{
    uint8_t head[SH_AGENT_HEAD_SIZE] = {kind};
    assert_int_equal(size, 0);
    return write(g->agent_fd, head, sizeof(head)) == sizeof(head) ? 0 : -EPIPE;
}

void guest_agent_end(struct guest *g)
{
    guest_close(&g->agent_fd);
    kill(g->agent, SIGKILL);
}

int guest_spawn(struct guest *g, struct guest_session *s, const struct guest_run *run,
                struct guest_error *e)
{
    return guest_fail(e, -ENOSYS, "nothing is started here");
}

int guest_mount_files(int root, const char *path, const char *options)
{
    return open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* A server of volumes that answers as it is told. */
static struct server_answer volume_says;
static bool volume_mute;
static struct sh_volume volume;
static unsigned volumes_begun;

int guest_volume_begin(struct guest *g, size_t number, const uint8_t *key, struct guest_error *e)
{
    int pair[2];
    size_t size = volume_mute ? 5 : sizeof(volume_says);
    assert_int_equal(number, 0);
    assert_memory_equal(key, "a key of volumes, 32 bytes long.", 32);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(write(pair[1], &volume_says, size), (ssize_t)size);
    close(pair[1]);
    volumes_begun++;
    return pair[0];
}

static void record(uint8_t kind, const char *name, const void *data, size_t size)
{
    uint8_t *p = script + script_size;
    size_t name_size = strlen(name);
    p[0] = kind;
    p[1] = 0;
    sh_put_le16(p + 2, (uint16_t)name_size);
    sh_put_le32(p + 4, (uint32_t)size);
    memcpy(p + 8, name, name_size);
    if (size)
        memcpy(p + 8 + name_size, data, size);
    script_size += 8 + name_size + size;
}

static int run(struct guest *g, struct guest_error *e)
{
    int pair[2];
    memset(g, 0, sizeof(*g));
    g->config.settings.broker = "";
    g->config.settings.secrets.count = 1;
    g->config.settings.volumes = &volume;
    g->config.settings.volume_count = volume.name ? 1 : 0;
    g->config.settings.stop_signal = SIGTERM;
    g->config.settings.signals = 1ull << (SIGTERM - 1);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    g->channel.fd = pair[0];
    static const uint8_t stop[] = {SH_FRAME_SIGNAL, 0, 0, 0, 4, 0, 0, 0, SIGTERM, 0, 0, 0};
    if (host_does == ASK_TO_STOP)
        assert_int_equal(write(pair[1], stop, sizeof(stop)), sizeof(stop));
    if (host_does == HANG_UP)
        shutdown(pair[1], SHUT_RDWR);
    g->agent = g->agent_fd = g->agent_listen = g->root = -1;
    g->user.uid = getuid();
    g->user.gid = getgid();
    guest_session_new(g, 0);
    int rc = guest_secrets(g, e);
    guest_close(&g->agent_fd);
    while (waitpid(-1, NULL, 0) > 0)
        ;
    close(pair[0]);
    close(pair[1]);
    return rc;
}

static void begin(void)
{
    script_size = 0;
    mute = false;
}

static void wipe_folder(const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    unlink(path);
}

static struct guest guest;

/* Later only what was there becomes another file; whoever has it open keeps the old one. */
static void renew_some(const char *path)
{
    static const char *const names[] = {"none", "", ".db.key-1", "../db.key-1", "/etc/passwd"};
    char got[16] = "";
    int old = open(path, O_RDONLY), fd;
    assert_int_equal(guest_secret_renew(&guest, "db.key-1", (const uint8_t *)"newer", 5), 0);
    fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, got, sizeof(got)), 5);
    assert_memory_equal(got, "newer", 5);
    assert_true(read(old, got, sizeof(got)) != 5 || memcmp(got, "newer", 5));
    close(fd);
    close(old);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(guest_secret_renew(&guest, names[i], (const uint8_t *)"x", 1), -EBADMSG);
}

static void test_good(void **state)
{
    struct guest_error e;
    char path[128], got[16] = "";
    struct stat st;
    begin();
    record(SH_AGENT_LOG, "", "hello", 5);
    record(SH_AGENT_SECRET_FILE, "db.key-1", "pass\0word", 9);
    record(SH_AGENT_SECRET_ENV, "TOKEN", "abc", 3);
    record(SH_AGENT_SECRET_FILE, "empty", "", 0);
    record(SH_AGENT_DONE, "", "", 0);
    assert_int_equal(run(&guest, &e), 0);
    assert_string_equal(guest_env_get(&guest.env, "TOKEN"), "abc");
    snprintf(path, sizeof(path), "%s/db.key-1", folder);
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, got, sizeof(got)), 9);
    assert_memory_equal(got, "pass\0word", 9);
    fstat(fd, &st);
    assert_int_equal(st.st_mode & 07777, 0400);
    assert_int_equal(st.st_uid, getuid());
    close(fd);
    renew_some(path);
    wipe_folder("db.key-1");
    wipe_folder("empty");
    guest_strings_free(&guest.env);
}

/* Files of the identity replace one another, and have these names only. */
static void test_identity(void **state)
{
    static const char *const names[] = {"certificate", ".key.pem", "../key.pem", "x.pem", ""};
    struct guest_error e;
    char path[128], got[16] = "";
    struct stat st;
    begin();
    record(SH_AGENT_IDENTITY, "key.pem", "key", 3);
    record(SH_AGENT_IDENTITY, "certificate.pem", "first", 5);
    record(SH_AGENT_IDENTITY, "certificate.pem", "next", 4);
    record(SH_AGENT_DONE, "", "", 0);
    assert_int_equal(run(&guest, &e), 0);
    snprintf(path, sizeof(path), "%s/certificate.pem", folder);
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, got, sizeof(got)), 4);
    assert_memory_equal(got, "next", 4);
    fstat(fd, &st);
    assert_int_equal(st.st_mode & 07777, 0400);
    close(fd);
    wipe_folder("key.pem");
    wipe_folder("certificate.pem");
    guest_strings_free(&guest.env);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        begin();
        record(SH_AGENT_IDENTITY, names[i], "x", 1);
        assert_int_equal(run(&guest, &e), -EBADMSG);
        guest_strings_free(&guest.env);
    }
}

static void refused(const char *why)
{
    struct guest_error e = {0};
    if (!run(&guest, &e))
        fail_msg("taken: %s", why);
    assert_int_equal(e.status, SH_EXIT_ATTESTATION);
    if (!strstr(e.text, why))
        fail_msg("'%s' is not '%s'", e.text, why);
    guest_strings_free(&guest.env);
}

static void test_bad(void **state)
{
    static const char *const names[] = {"",    ".",   "..",   ".x",         "a/b",
                                        "a b", "a\n", "\xff", "/etc/passwd"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        begin();
        record(SH_AGENT_SECRET_FILE, names[i], "x", 1);
        record(SH_AGENT_DONE, "", "", 0);
        refused("malformed");
    }
    begin();
    record(SH_AGENT_SECRET_ENV, "A-B", "x", 1);
    refused("malformed");
    begin();
    record(SH_AGENT_SECRET_ENV, "A", "x\0y", 3);
    refused("secret 'A' cannot be put in place");
    begin();
    record(SH_AGENT_SECRET_FILE, "twice", "x", 1);
    record(SH_AGENT_SECRET_FILE, "twice", "y", 1);
    refused("secret 'twice' cannot be put in place");
    wipe_folder("twice");
    begin();
    record(9, "", "", 0);
    refused("malformed");
    begin();
    record(SH_AGENT_SECRET_FILE, "x", "", 0);
    sh_put_le32(script + 4, SH_AGENT_DATA_MAX + 1);
    refused("malformed");
    begin();
    record(SH_AGENT_SECRET_FILE, "x", "", 0);
    sh_put_le16(script + 2, SH_AGENT_NAME_MAX + 1);
    refused("malformed");
    begin();
    record(SH_AGENT_ERROR, "", "the broker\nsays no", 18);
    refused("says no");
}

/* The key of a volume is one of the image's, once, of 32 bytes; its server must say that it is
 * open. */
static void test_volumes(void **state)
{
    static const char key[] = "a key of volumes, 32 bytes long.";
    struct guest_error e;
    volume = (struct sh_volume){.name = "data", .path = "/data"};
    begin();
    record(SH_AGENT_SECRET_VOLUME, "data", key, 31);
    refused("has 31 bytes, not 32");
    begin();
    record(SH_AGENT_SECRET_VOLUME, "other", key, 32);
    refused("malformed");
    begin();
    record(SH_AGENT_SECRET_VOLUME, "data", key, 32);
    record(SH_AGENT_SECRET_VOLUME, "data", key, 32);
    refused("malformed");
    begin();
    record(SH_AGENT_DONE, "", "", 0);
    refused("no key for a volume");
    assert_int_equal(volumes_begun, 0);
    begin();
    record(SH_AGENT_SECRET_VOLUME, "data", key, 32);
    record(SH_AGENT_DONE, "", "", 0);
    volume_says =
        (struct server_answer){.error = -EKEYREJECTED, .text = "its key does not open it"};
    refused("volume data: its key does not open it");
    volume_mute = true;
    refused("ended without a word");
    volume_mute = false;
    volume_says.error = 0;
    assert_int_equal(run(&guest, &e), 0);
    guest_strings_free(&guest.env);
    volume.name = NULL;
}

static void test_torn(void **state)
{
    begin();
    record(SH_AGENT_SECRET_ENV, "A", "abc", 3);
    record(SH_AGENT_DONE, "", "", 0);
    size_t whole = script_size;
    for (size_t n = 0; n < whole; n++) {
        script_size = n;
        refused("ended without a word");
    }
}

static void test_many(void **state)
{
    char name[16];
    begin();
    for (int i = 0; i < 65; i++) {
        snprintf(name, sizeof(name), "S%d", i);
        record(SH_AGENT_SECRET_ENV, name, "x", 1);
    }
    record(SH_AGENT_DONE, "", "", 0);
    refused("more than 64");
}

/* While the agent says nothing the host hangs up, or asks to stop. */
static void test_stop(void **state)
{
    begin();
    mute = true;
    host_does = HANG_UP;
    refused("the host is gone");
    host_does = ASK_TO_STOP;
    refused("stopped while it waited");
    host_does = NOTHING;
}

static int set_up(void **state)
{
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good), cmocka_unit_test(test_identity),
        cmocka_unit_test(test_bad),  cmocka_unit_test(test_volumes),
        cmocka_unit_test(test_torn), cmocka_unit_test(test_many),
        cmocka_unit_test(test_stop),
    };
    return cmocka_run_group_tests_name("guest secrets", tests, set_up, tear_down);
}
