// SPDX-License-Identifier: Apache-2.0
// Evidence drivers: one line a TEE. JSON forms as in the CoCo attestation agent.
#include "trusted/agent/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

size_t agent_base64(char *out, const uint8_t *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *p = out;
    for (size_t i = 0; i < size; i += 3) {
        size_t n = size - i < 3 ? size - i : 3;
        uint32_t v = (uint32_t)data[i] << 16;
        if (n > 1)
            v |= (uint32_t)data[i + 1] << 8;
        if (n > 2)
            v |= data[i + 2];
        *p++ = digits[v >> 18];
        *p++ = digits[v >> 12 & 63];
        *p++ = n > 1 ? digits[v >> 6 & 63] : '=';
        *p++ = n > 2 ? digits[v & 63] : '=';
    }
    *p = 0;
    return (size_t)(p - out);
}

void agent_reply_error(struct agent_reply *reply, int status, const char *text)
{
    reply->status = status;
    int n = snprintf(reply->body, sizeof(reply->body), "{\"error\":\"%s\"}\n", text);
    reply->size = (size_t)n;
}

/* Asks configfs-tsm (Documentation/ABI/testing/configfs-tsm). Size of the quote, or -errno. */
static ssize_t tsm_quote(int dir, const uint8_t report_data[64], uint8_t *out, size_t out_size)
{
    size_t size = 0;
    ssize_t n = 1;
    int fd = openat(dir, "inblob", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    n = write(fd, report_data, 64);
    /* The attribute is taken when it is closed. */
    if (close(fd) || n != 64)
        return -errno;
    fd = openat(dir, "outblob", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    while (size < out_size && (n = read(fd, out + size, out_size - size)) > 0)
        size += (size_t)n;
    int code = errno;
    close(fd);
    return n < 0 ? -code : size && size < out_size ? (ssize_t)size : -EMSGSIZE;
}

static void tdx(struct agent_reply *reply, int tsm_dir, const uint8_t report_data[64])
{
    static uint8_t quote[AGENT_QUOTE_MAX];
    ssize_t size = tsm_dir < 0 ? -ENODEV : tsm_quote(tsm_dir, report_data, quote, sizeof(quote));
    if (size < 0) {
        char text[128];
        snprintf(text, sizeof(text), "the platform gave no TDX quote: %s", strerror((int)-size));
        agent_reply_error(reply, 503, text);
        return;
    }
    static const char head[] = "{\"quote\":\"";
    memcpy(reply->body, head, sizeof(head) - 1);
    size_t at = sizeof(head) - 1;
    at += agent_base64(reply->body + at, quote, (size_t)size);
    memcpy(reply->body + at, "\"}\n", 3);
    reply->size = at + 3;
    reply->status = 200;
}

static const struct {
    const char *tee;
    void (*evidence)(struct agent_reply *reply, int tsm_dir, const uint8_t report_data[64]);
} drivers[] = {
    {"tdx", tdx},
};

void agent_evidence(struct agent_reply *reply, const char *tee, int tsm_dir,
                    const uint8_t report_data[64])
{
    char text[128];
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
        if (strcmp(drivers[i].tee, tee))
            continue;
        drivers[i].evidence(reply, tsm_dir, report_data);
        return;
    }
    snprintf(text, sizeof(text), "this version gives no evidence on %s", tee);
    agent_reply_error(reply, 501, text);
}
