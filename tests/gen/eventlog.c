// SPDX-License-Identifier: Apache-2.0
// A made-up CCEL event log.
#include "tests/gen/pki.h"
#include "lib/bytes.h"
#include "lib/hex.h"

#include <stdio.h>

#include <openssl/sha.h>

static size_t event(uint8_t *at, uint32_t mr, uint32_t type, const void *data, size_t size,
                    uint8_t rtmr[4][48])
{
    uint8_t both[96];

    sh_put_le32(at, mr);
    sh_put_le32(at + 4, type);
    sh_put_le32(at + 8, 1);
    sh_put_le16(at + 12, 0x0c);
    SHA384(data, size, at + 14);
    sh_put_le32(at + 62, (uint32_t)size);
    memcpy(at + 66, data, size);
    memcpy(both, rtmr[mr - 1], 48);
    memcpy(both + 48, at + 14, 48);
    SHA384(both, sizeof(both), rtmr[mr - 1]);
    return 66 + size;
}

static size_t header(uint8_t *log, bool named)
{
    sh_put_le32(log + 4, 3);
    if (named)
        memcpy(log + 32, "Spec ID Event03", 16);
    memcpy(log + 52, "\0\2\0\2", 4);
    sh_put_le32(log + 56, 1);
    sh_put_le16(log + 60, 0x0c);
    sh_put_le16(log + 62, 48);
    sh_put_le32(log + 28, 33);
    return 65;
}

// EV_NO_ACTION: extends nothing, whatever it holds.
static size_t note(uint8_t *at, uint32_t mr, uint32_t digests)
{
    sh_put_le32(at, mr);
    sh_put_le32(at + 4, 3);
    sh_put_le32(at + 8, digests);
    at += 12;
    if (digests) {
        sh_put_le16(at, 0x0c);
        at += 50;
    }
    sh_put_le32(at, 5);
    memcpy(at + 4, "Start", 5);
    return 12 + 50 * digests + 9;
}

static struct gen_blob make_log(uint8_t rtmr[4][48], bool informed)
{
    uint8_t log[1024];
    size_t at;

    memset(rtmr, 0, 4 * 48);
    memset(log, 0, sizeof(log));
    at = header(log, true);
    if (informed) {
        at += note(log + at, 0, 1);
        at += note(log + at, 0xffffffff, 1);
    }
    at += event(log + at, 1, 0x80000001, "variable", 8, rtmr);
    if (informed)
        at += note(log + at, 0xffffffff, 0);
    at += event(log + at, 2, 4, "\0\0\0", 4, rtmr);
    at += event(log + at, 3, 0x80000007, "Exit Boot Services Invocation", 29, rtmr);
    memset(log + at, 0xff, 64);
    return gen_blob(log, at + 64);
}

struct gen_blob gen_event_log(uint8_t rtmr[4][48])
{
    return make_log(rtmr, false);
}

struct gen_blob gen_event_log_informed(uint8_t rtmr[4][48])
{
    return make_log(rtmr, true);
}

struct gen_blob gen_event_log_aael(uint8_t rtmr[4][48])
{
    static const uint8_t tagged[] = "LEAA\x11\0\0\0domain pull image";
    uint8_t log[512];
    size_t at;

    memset(rtmr, 0, 4 * 48);
    memset(log, 0, sizeof(log));
    at = header(log, false);
    at += event(log + at, 4, 6, tagged, sizeof(tagged) - 1, rtmr);
    memset(log + at, 0xff, 8);
    return gen_blob(log, at + 8);
}

struct gen_blob gen_event_log_dstack(uint8_t rtmr[4][48])
{
    static const uint8_t boot[4], run[] = "\1\0\0\x08:app-id:\x37\x63";
    uint8_t log[512];
    char text[1024], a[97], b[97];
    int n;

    memset(rtmr, 0, 4 * 48);
    event(log, 2, 4, boot, 4, rtmr);
    sh_hex(a, log + 14, 48);
    event(log, 4, 0x08000001, run, sizeof(run) - 1, rtmr);
    sh_hex(b, log + 14, 48);
    n = snprintf(text, sizeof(text),
                 " [{\"imr\":1,\"event_type\":4,\"digest\":\"%s\",\"event\":\"\","
                 "\"event_payload\":\"00000000\"},{\"imr\":3,\"event_type\":134217729,"
                 "\"digest\":\"%s\",\"event\":\"app-id\",\"event_payload\":\"3763\"}]",
                 a, b);
    return gen_blob(text, (size_t)n);
}
