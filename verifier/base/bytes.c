// SPDX-License-Identifier: Apache-2.0
// Hex, base64, times and files: the text codings that evidence and collateral use.
#include "verifier/base/bytes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

uint8_t *sv_unhex_new(const char *text, size_t *size)
{
    size_t length = strlen(text);
    uint8_t *out;

    if (length == 0 || length % 2)
        return NULL;
    out = malloc(length / 2);
    if (out && sh_unhex(out, length / 2, text)) {
        free(out);
        out = NULL;
    }
    *size = length / 2;
    return out;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    if (c == '/' || c == '_')
        return 63;
    return -1;
}

uint8_t *sv_unbase64_new(const char *text, size_t *size)
{
    size_t length = strlen(text);
    uint8_t *out = malloc(length / 4 * 3 + 4);
    uint32_t bits = 0;
    size_t count = 0, used = 0;

    while (length && text[length - 1] == '=')
        length--;
    if (!out)
        return NULL;
    for (size_t i = 0; i < length; i++) {
        int digit = base64_digit(text[i]);

        if (digit < 0 && (text[i] == '\n' || text[i] == '\r'))
            continue;
        if (digit < 0) {
            free(out);
            return NULL;
        }
        bits = bits << 6 | (uint32_t)digit;
        if (++count % 4 == 0) {
            out[used++] = (uint8_t)(bits >> 16);
            out[used++] = (uint8_t)(bits >> 8);
            out[used++] = (uint8_t)bits;
        }
    }
    if (count % 4 == 1 || count == 0) {
        free(out);
        return NULL;
    }
    if (count % 4 >= 2)
        out[used++] = (uint8_t)(count % 4 == 2 ? bits >> 4 : bits >> 10);
    if (count % 4 == 3)
        out[used++] = (uint8_t)(bits >> 2);
    *size = used;
    return out;
}

bool sv_time_parse(const char *text, int64_t *out)
{
    struct tm tm = {0};
    int taken = 0, hours = 0, minutes = 0;
    char sign;

    if (strlen(text) > 40 ||
        sscanf(text, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &taken) != 6 ||
        !taken)
        return false;
    if (tm.tm_year < 1970 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
        tm.tm_hour < 0 || tm.tm_hour > 23 || tm.tm_min < 0 || tm.tm_min > 59 || tm.tm_sec < 0 ||
        tm.tm_sec > 60)
        return false;
    text += taken;
    if (*text == '.') {
        size_t digits = strspn(text + 1, "0123456789");

        if (!digits)
            return false;
        text += 1 + digits;
    }
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *out = (int64_t)timegm(&tm);
    if ((*text == 'Z' || *text == 'z') && !text[1])
        return true;
    if (strlen(text) == 6 && sscanf(text, "%c%2d:%2d", &sign, &hours, &minutes) == 3 &&
        (sign == '+' || sign == '-') && hours >= 0 && hours < 24 && minutes >= 0 && minutes < 60) {
        *out += (sign == '+' ? -60 : 60) * (60 * hours + minutes);
        return true;
    }
    return false;
}

void sv_time_format(int64_t when, char out[32])
{
    time_t t = (time_t)when;
    struct tm tm;

    if (!gmtime_r(&t, &tm) || !strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
        snprintf(out, 32, "?");
}

int sv_read_file(const char *path, size_t size_max, uint8_t **out, size_t *size)
{
    FILE *f = fopen(path, "rbe");
    uint8_t *data = NULL;
    size_t used = 0, room = 0;
    int rc = 0;

    if (!f)
        return -errno;
    for (;;) {
        if (used == room) {
            uint8_t *more;

            room = room ? room * 2 : 16384;
            more = realloc(data, room + 1);
            if (!more) {
                rc = -ENOMEM;
                break;
            }
            data = more;
        }
        size_t got = fread(data + used, 1, room - used, f);

        used += got;
        if (used > size_max) {
            rc = -EFBIG;
            break;
        }
        if (!got) {
            rc = ferror(f) ? -EIO : 0;
            break;
        }
    }
    fclose(f);
    if (rc) {
        free(data);
        return rc;
    }
    data[used] = 0;
    *out = data;
    *size = used;
    return 0;
}
