// SPDX-License-Identifier: Apache-2.0
// A made-up CCEL event log.
#include "tests/gen/pki.h"
#include "lib/bytes.h"

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

struct gen_blob gen_event_log(uint8_t rtmr[4][48])
{
    uint8_t log[1024];
    size_t at = 32;

    memset(rtmr, 0, 4 * 48);
    memset(log, 0, sizeof(log));
    sh_put_le32(log + 4, 3);
    memcpy(log + at, "Spec ID Event03", 16);
    memcpy(log + at + 20, "\0\2\0\2", 4);
    sh_put_le32(log + at + 24, 1);
    sh_put_le16(log + at + 28, 0x0c);
    sh_put_le16(log + at + 30, 48);
    sh_put_le32(log + 28, 33);
    at += 33;
    at += event(log + at, 1, 0x80000001, "variable", 8, rtmr);
    at += event(log + at, 2, 4, "\0\0\0", 4, rtmr);
    at += event(log + at, 3, 0x80000007, "Exit Boot Services Invocation", 29, rtmr);
    memset(log + at, 0xff, 64);
    return gen_blob(log, at + 64);
}
