// SPDX-License-Identifier: Apache-2.0
// Evidence for the host: PID 1 between the channel and an agent that is honest, slow, broken, dead.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <shelter/control.h>

#include "trusted/guest/serve.h"

static struct guest guest;
static int agent; /* the agent's end; -1: it cannot be started */
static long now = 1000;
static unsigned starts;

/* --- in place of the guest's own --- */

static unsigned identity_files, identity_signal, renewed;
static char identity_name[SH_AGENT_NAME_MAX + 1];

int guest_secret_renew(struct guest *g, const char *name, const uint8_t *data, size_t size)
{
    renewed += !strcmp(name, "key.pem") && size == 5 && !memcmp(data, "again", 5);
    return 0;
}

int guest_identity_put(struct guest *g, const char *name, const uint8_t *data, size_t size)
{
    snprintf(identity_name, sizeof(identity_name), "%s", name);
    identity_files += size == 5 && !memcmp(data, "bytes", 5);
    return 0;
}

void guest_identity_changed(struct guest *g, uint32_t number)
{
    identity_signal = number;
}

int64_t sh_now_ms(void)
{
    return now;
}

int guest_agent_start(struct guest *g)
{
    int pair[2];
    if (g->agent_fd >= 0)
        return 0;
    if (agent == -2)
        return -EAGAIN;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    g->agent_fd = pair[0];
    agent = pair[1];
    starts++;
    return 0;
}

int guest_agent_ask(struct guest *g, enum sh_agent_record kind, const void *data, size_t size)
{
    assert_int_equal(kind, SH_AGENT_ATTEST);
    return write(g->agent_fd, data, size) == (ssize_t)size ? 0 : -EPIPE;
}

void guest_agent_end(struct guest *g)
{
    guest_close(&g->agent_fd);
}

/* --- */

/* The next frame in the channel's queue: id and error of an EVIDENCE, and its size; false: none. */
static bool told(uint32_t *id, uint32_t *error, uint32_t *size)
{
    struct guest_channel *c = &guest.channel;
    if (c->tx_at == c->tx_end)
        return false;
    const uint8_t *p = c->tx + c->tx_at;
    assert_int_equal(p[0], SH_FRAME_EVIDENCE);
    *size = sh_le32(p + 4);
    *id = sh_le32(p + 8);
    *error = sh_le32(p + 12);
    c->tx_at += 8 + *size;
    return true;
}

static void is_told(uint32_t id, uint32_t error)
{
    uint32_t got_id, got_error, size;
    guest_attest_pump(&guest, true);
    assert_true(told(&got_id, &got_error, &size));
    assert_int_equal(got_id, id);
    assert_int_equal(got_error, error);
    assert_false(told(&got_id, &got_error, &size));
}

static void silent(void)
{
    uint32_t id, error, size;
    guest_attest_pump(&guest, true);
    assert_false(told(&id, &error, &size));
}

static void ask(uint8_t id)
{
    uint8_t payload[] = {id, 0, 0, 0, 'n'}, got[5];
    struct sh_frame frame = {SH_FRAME_ATTEST, 0, 0, sizeof(payload)};
    guest_attest(&guest, &frame, payload);
    if (agent >= 0)
        assert_true(recv(agent, got, sizeof(got), MSG_DONTWAIT) <= 5);
}

static void say(uint8_t kind, uint16_t name, uint32_t size, uint8_t id, size_t cut)
{
    static uint8_t record[100000];
    memset(record, 0, sizeof(record));
    record[0] = kind;
    sh_put_le16(record + 2, name);
    sh_put_le32(record + 4, size);
    record[8] = id;
    assert_int_equal(write(agent, record, cut), cut);
}

static void begin(void)
{
    guest.agent_fd = -1;
    guest.channel.tx_at = guest.channel.tx_end = 0;
    agent = -1;
    starts = 0;
}

static void finish(void)
{
    guest_close(&guest.agent_fd);
    guest_close(&agent);
}

static void test_good(void **state)
{
    begin();
    ask(1);
    silent();
    for (uint8_t n = 0; n < 8 + 20; n++) { /* byte by byte */
        uint8_t byte = n == 0 ? SH_AGENT_EVIDENCE : n == 4 ? 20 : n == 8 ? 1 : 0;
        silent();
        assert_int_equal(write(agent, &byte, 1), 1);
    }
    is_told(1, 0);
    ask(2);
    say(SH_AGENT_EVIDENCE, 0, 8 + SH_CONTROL_ANSWER_MAX, 2, 16 + SH_CONTROL_ANSWER_MAX);
    is_told(2, 0);
    assert_int_equal(starts, 1);
    /* One at a time. */
    ask(3);
    ask(4);
    is_told(4, EBUSY);
    say(SH_AGENT_EVIDENCE, 0, 8, 3, 16);
    is_told(3, 0);
    finish();
}

static void test_slow(void **state)
{
    begin();
    ask(1);
    now += 44999;
    silent();
    assert_int_equal(guest_attest_left(), 1);
    now++;
    assert_int_equal(guest_attest_left(), 0);
    is_told(1, ETIMEDOUT);
    assert_int_equal(guest_attest_left(), -1);
    /* Its answer comes after all, while another waits: it is nobody's. */
    ask(2);
    say(SH_AGENT_EVIDENCE, 0, 8, 1, 16);
    silent();
    say(SH_AGENT_EVIDENCE, 0, 8, 2, 16);
    is_told(2, 0);
    /* What nobody asked for is nothing. */
    say(SH_AGENT_EVIDENCE, 0, 8, 2, 16);
    silent();
    /* A host that takes nothing: the answer waits inside. */
    ask(3);
    say(SH_AGENT_EVIDENCE, 0, 8, 3, 16);
    guest.channel.tx_end = sizeof(guest.channel.tx);
    guest.channel.tx_at = 0;
    assert_false(guest_attest_waits(&guest));
    guest_attest_pump(&guest, true);
    assert_int_equal(guest.channel.tx_end, sizeof(guest.channel.tx));
    guest.channel.tx_end = 0;
    is_told(3, 0);
    finish();
}

/* What it says by itself comes between, whoever waits. */
static void test_identity(void **state)
{
    static const char file[] = "\x0a\0\7\0\5\0\0\0key.pembytes",
                      again[] = "\2\0\7\0\5\0\0\0key.pemagain", news[] = "\x0b\0\0\0\4\0\0\0\1\0\0";
    begin();
    ask(1);
    for (size_t i = 0; i < sizeof(file) - 1; i++) {
        assert_int_equal(write(agent, file + i, 1), 1);
        silent();
    }
    assert_int_equal(identity_files, 1);
    assert_string_equal(identity_name, "key.pem");
    assert_int_equal(write(agent, again, sizeof(again) - 1), sizeof(again) - 1);
    silent();
    assert_int_equal(renewed, 1);
    assert_int_equal(identity_files, 1);
    assert_int_equal(write(agent, news, sizeof(news)), sizeof(news));
    silent();
    assert_int_equal(identity_signal, 1);
    say(SH_AGENT_EVIDENCE, 0, 8, 1, 16);
    is_told(1, 0);
    finish();
}

static void test_broken(void **state)
{
    static const struct {
        uint8_t kind;
        uint16_t name;
        uint32_t size;
    } bad[] = {{SH_AGENT_DONE, 0, 8},        {0, 0, 8},
               {SH_AGENT_EVIDENCE, 1, 8},    {SH_AGENT_EVIDENCE, 0, 7},
               {SH_AGENT_EVIDENCE, 0, 0},    {SH_AGENT_EVIDENCE, 0, 9 + SH_CONTROL_ANSWER_MAX},
               {SH_AGENT_EVIDENCE, 0, ~0u},  {SH_AGENT_SECRET_ENV, 0, 8},
               {SH_AGENT_IDENTITY, 0, 5},    {SH_AGENT_IDENTITY, 7, 0},
               {SH_AGENT_IDENTITY, 65, 5},   {SH_AGENT_IDENTITY, 7, ~0u},
               {SH_AGENT_SECRET_FILE, 0, 5}, {SH_AGENT_SECRET_FILE, 7, 1u << 20},
               {SH_AGENT_CHANGED, 0, 5},     {SH_AGENT_CHANGED, 4, 4}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        begin();
        ask(9);
        say(bad[i].kind, bad[i].name, bad[i].size, 9, 16);
        is_told(9, EIO);
        assert_int_equal(guest.agent_fd, -1); /* it is ended, and started anew */
        ask(10);
        assert_int_equal(starts, 2);
        say(SH_AGENT_EVIDENCE, 0, 8, 10, 16);
        is_told(10, 0);
        finish();
    }
    /* It dies at any byte. */
    for (size_t n = 0; n < 16; n++) {
        begin();
        ask(5);
        say(SH_AGENT_EVIDENCE, 0, 8, 5, n);
        guest_close(&agent);
        is_told(5, EIO);
        finish();
    }
    begin();
    agent = -2;
    ask(6);
    is_told(6, EAGAIN);
    agent = -1;
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_slow),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_broken),
    };
    return cmocka_run_group_tests_name("guest attest", tests, NULL, NULL);
}
