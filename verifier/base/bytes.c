// SPDX-License-Identifier: Apache-2.0
// Hex, base64, times and files: the text codings that evidence and collateral use.
#include "verifier/base/bytes.h"
#include "lib/base64.h"

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

uint8_t *sv_unbase64_new(const char *text, size_t *size)
{
    size_t length = 0;
    char *plain = strdup(text); // base64url, of both, without padding and ends of lines
    uint8_t *out = NULL;
    long n = -1;

    for (const char *p = text; plain && *p; p++)
        if (*p != '\n' && *p != '\r')
            plain[length++] = *p == '+' ? '-' : *p == '/' ? '_' : *p;
    while (length && plain[length - 1] == '=')
        length--;
    if (plain && length && (out = malloc(length)))
        n = sh_unbase64url(out, length, plain, length);
    free(plain);
    if (n <= 0) {
        free(out);
        return NULL;
    }
    *size = (size_t)n;
    return out;
}

static bool is_day(int year, int month, int day)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return month >= 1 && month <= 12 && day >= 1 &&
           day <= days[month - 1] + (month == 2 && leap ? 1 : 0);
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
    if (tm.tm_year < 1970 || !is_day(tm.tm_year, tm.tm_mon, tm.tm_mday) || tm.tm_hour < 0 ||
        tm.tm_hour > 23 || tm.tm_min < 0 || tm.tm_min > 59 || tm.tm_sec < 0 || tm.tm_sec > 60)
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
