// SPDX-License-Identifier: Apache-2.0
// Reads the launch config. The host wrote it; nothing is used before its digest was compared.
#include "lib/launch.h"

#include <errno.h>

#include "lib/hex.h"

const char *const sh_launch_words[SH_LAUNCH_KEY_COUNT] = {
    "arg",      "env",   "workdir", "user", "hostname", "tty",    "stdin", "mount", "file",
    "readonly", "limit", "network", "port", "broker",   "memory", "cpus",  "debug",
};

#define LISTS                                                                                      \
    (1u << SH_LAUNCH_ARG | 1u << SH_LAUNCH_ENV | 1u << SH_LAUNCH_MOUNT | 1u << SH_LAUNCH_FILE |    \
     1u << SH_LAUNCH_LIMIT | 1u << SH_LAUNCH_PORT)

static const char head[] = SH_LAUNCH_HEAD;
static const char tail[] = SH_LAUNCH_TAIL;
#define HEAD_SIZE (sizeof(head) - 1)
#define TAIL_SIZE (sizeof(tail) - 1)

/* Takes the next line of the body; key is -1 for a word that is none. False at the end. */
static bool next_line(const uint8_t **at, const uint8_t *end, struct sh_launch_line *line)
{
    if (*at >= end)
        return false;
    const uint8_t *stop = memchr(*at, '\n', (size_t)(end - *at));
    if (!stop)
        stop = end;
    line->key = -1;
    for (int k = 0; k < SH_LAUNCH_KEY_COUNT; k++) {
        size_t n = strlen(sh_launch_words[k]);
        if ((size_t)(stop - *at) > n && !memcmp(*at, sh_launch_words[k], n) && (*at)[n] == ' ') {
            line->key = k;
            line->value = *at + n + 1;
            line->size = (size_t)(stop - line->value);
            break;
        }
    }
    *at = stop == end ? end : stop + 1;
    return true;
}

static bool is_plain(int c)
{
    return c >= 0x20 && c <= 0x7e && c != '%' && c != '\'';
}

static bool value_canonical(const uint8_t *p, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (is_plain(p[i]))
            continue;
        if (p[i] != '%' || size - i < 3)
            return false;
        int byte = sh_hex_byte(p + i + 1);
        /* Upper case only, only where needed, and never a NUL. */
        if (byte <= 0 || p[i + 1] >= 'a' || p[i + 2] >= 'a' || is_plain(byte))
            return false;
        i += 2;
    }
    return true;
}

int sh_launch_check(const void *text, size_t size)
{
    const uint8_t *p = text;
    if (size < HEAD_SIZE + TAIL_SIZE || size > SH_LAUNCH_SIZE_MAX || memcmp(p, head, HEAD_SIZE) ||
        memcmp(p + size - TAIL_SIZE, tail, TAIL_SIZE))
        return -EBADMSG;
    const uint8_t *at = p + HEAD_SIZE, *end = p + size - TAIL_SIZE;
    if (at < end && end[-1] != '\n')
        return -EBADMSG;
    int last = -1;
    struct sh_launch_line line;
    while (next_line(&at, end, &line)) {
        if (line.key < last || line.key < 0 || !value_canonical(line.value, line.size))
            return -EBADMSG;
        if (line.key == last && !(LISTS >> line.key & 1))
            return -EBADMSG;
        last = line.key;
    }
    return 0;
}

bool sh_launch_next(const void *text, size_t size, size_t *offset, struct sh_launch_line *line)
{
    const uint8_t *p = text, *at = p + (*offset ? *offset : HEAD_SIZE), *end = p + size - TAIL_SIZE;
    bool more = next_line(&at, end, line);
    *offset = (size_t)(at - p);
    return more;
}

size_t sh_launch_unescape(const struct sh_launch_line *line, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < line->size; i++) {
        int c = line->value[i];
        if (c == '%') {
            c = sh_hex_byte(line->value + i + 1);
            i += 2;
        }
        out[n++] = (char)c;
    }
    out[n] = 0;
    return n;
}

bool sh_hostname_ok(const char *name)
{
    size_t size = 0;
    for (; name[size]; size++) {
        char c = name[size];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '.' || c == '_'))
            return false;
    }
    return size >= 1 && size <= 64 && name[0] != '-' && name[0] != '.';
}
