// SPDX-License-Identifier: Apache-2.0
// The JSON reader.
#include "trusted/agent/json.h"

#include <asm/errno.h>
#include <stdint.h>
#include <string.h>

#include "lib/hex.h"

struct scan {
    const char *p, *end;
    unsigned depth;
};

static bool one_value(struct scan *s);

static void skip_space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

static bool take_character(struct scan *s, char c)
{
    if (s->p >= s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

static int read_hex4(const char *p, const char *end)
{
    int high = end - p < 4 ? -1 : sh_hex_byte(p);
    int low = high < 0 ? -1 : sh_hex_byte(p + 2);
    return low < 0 ? -1 : high << 8 | low;
}

/* Bytes of one UTF-8 character (RFC 3629), 0 for what is none. */
static size_t sequence_size(const uint8_t *p, size_t size)
{
    size_t n = p[0] < 0x80   ? 1
               : p[0] < 0xc2 ? 0
               : p[0] < 0xe0 ? 2
               : p[0] < 0xf0 ? 3
               : p[0] < 0xf5 ? 4
                             : 0;
    if (!n || n > size)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

/* One character or escape behind the opening quote, as a code point; -1: not well formed. */
static int32_t read_character(struct scan *s)
{
    static const char plain[] = "\"\\/bfnrt", meaning[] = "\"\\/\b\f\n\r\t";
    uint8_t c = (uint8_t)*s->p;
    if (c < 0x20)
        return -1;
    if (c != '\\') {
        size_t n = sequence_size((const uint8_t *)s->p, (size_t)(s->end - s->p));
        int32_t v = n == 1 ? c : c & (0x7f >> n);
        for (size_t i = 1; i < n; i++)
            v = v << 6 | (s->p[i] & 0x3f);
        s->p += n;
        return n ? v : -1;
    }
    if (++s->p >= s->end)
        return -1;
    c = (uint8_t)*s->p++;
    if (c != 'u') {
        for (size_t i = 0; plain[i]; i++)
            if (plain[i] == (char)c)
                return meaning[i];
        return -1;
    }
    int v = read_hex4(s->p, s->end);
    if (v < 0 || (v >= 0xdc00 && v < 0xe000))
        return -1;
    s->p += 4;
    if (v < 0xd800 || v >= 0xdc00)
        return v;
    int low =
        s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u' ? read_hex4(s->p + 2, s->end) : -1;
    if (low < 0xdc00 || low >= 0xe000)
        return -1;
    s->p += 6;
    return 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
}

static bool skip_string(struct scan *s)
{
    if (!take_character(s, '"'))
        return false;
    while (s->p < s->end) {
        if (take_character(s, '"'))
            return true;
        if (read_character(s) < 0)
            return false;
    }
    return false;
}

static bool skip_digits(struct scan *s)
{
    const char *from = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
        s->p++;
    return s->p > from;
}

static bool scan_number(struct scan *s)
{
    take_character(s, '-');
    if (!take_character(s, '0') && !skip_digits(s))
        return false;
    if (take_character(s, '.') && !skip_digits(s))
        return false;
    if (take_character(s, 'e') || take_character(s, 'E')) {
        if (!take_character(s, '+'))
            take_character(s, '-');
        return skip_digits(s);
    }
    return true;
}

static bool take_word(struct scan *s, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, text, n))
        return false;
    s->p += n;
    return true;
}

/* A member's name and colon; the name's bytes are plain ones. */
static bool scan_name(struct scan *s, struct agent_json *found)
{
    skip_space(s);
    const char *from = s->p + 1;
    if (!skip_string(s))
        return false;
    *found = (struct agent_json){from, (size_t)(s->p - 1 - from)};
    for (size_t i = 0; i < found->size; i++)
        if (from[i] == '\\')
            return false;
    skip_space(s);
    return take_character(s, ':');
}

static bool skip_object(struct scan *s)
{
    struct agent_json names[AGENT_JSON_MEMBERS];
    size_t count = 0;
    skip_space(s);
    if (take_character(s, '}'))
        return true;
    do {
        if (count == AGENT_JSON_MEMBERS || !scan_name(s, &names[count]))
            return false;
        for (size_t i = 0; i < count; i++)
            if (names[i].size == names[count].size &&
                !memcmp(names[i].at, names[count].at, names[i].size))
                return false;
        count++;
        if (!one_value(s))
            return false;
    } while (take_character(s, ','));
    return take_character(s, '}');
}

static bool skip_array(struct scan *s)
{
    skip_space(s);
    if (take_character(s, ']'))
        return true;
    do
        if (!one_value(s))
            return false;
    while (take_character(s, ','));
    return take_character(s, ']');
}

/* A value and the space around it. */
static bool one_value(struct scan *s)
{
    bool ok = false;
    skip_space(s);
    if (s->p >= s->end || s->depth >= AGENT_JSON_DEPTH)
        return false;
    s->depth++;
    if (*s->p == '"')
        ok = skip_string(s);
    else if (take_character(s, '{'))
        ok = skip_object(s);
    else if (take_character(s, '['))
        ok = skip_array(s);
    else
        ok =
            take_word(s, "true") || take_word(s, "false") || take_word(s, "null") || scan_number(s);
    s->depth--;
    skip_space(s);
    return ok;
}

static struct agent_json trim_space(const char *from, const char *to)
{
    struct scan s = {from, to, 0};
    skip_space(&s);
    while (to > s.p && (to[-1] == ' ' || to[-1] == '\t' || to[-1] == '\n' || to[-1] == '\r'))
        to--;
    return (struct agent_json){s.p, (size_t)(to - s.p)};
}

int agent_json_check(struct agent_json *value, const char *text, size_t size)
{
    struct scan s = {text, text + size, 0};
    *value = (struct agent_json){text, 0};
    if (!size || !one_value(&s) || s.p != s.end)
        return -EBADMSG;
    *value = trim_space(text, s.end);
    return 0;
}

bool agent_json_get(struct agent_json o, const char *wanted, struct agent_json *value)
{
    struct scan s = {o.at, o.at + o.size, 0};
    size_t size = strlen(wanted);
    struct agent_json found;
    if (!take_character(&s, '{'))
        return false;
    do {
        if (!scan_name(&s, &found))
            return false;
        const char *from = s.p;
        if (!one_value(&s))
            return false;
        if (found.size == size && !memcmp(found.at, wanted, size)) {
            *value = trim_space(from, s.p);
            return true;
        }
    } while (take_character(&s, ','));
    return false;
}

static size_t put_utf8(char out[4], int32_t v)
{
    if (v < 0x80) {
        out[0] = (char)v;
        return 1;
    }
    size_t n = v < 0x800 ? 2 : v < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i; i--, v >>= 6)
        out[i] = (char)(0x80 | (v & 0x3f));
    out[0] = (char)((0xf00 >> n & 0xff) | v);
    return n;
}

long agent_json_string(struct agent_json value, char *out, size_t out_size)
{
    struct scan s = {value.at, value.at + value.size, 0};
    size_t n = 0;
    if (!take_character(&s, '"'))
        return -EBADMSG;
    while (s.p < s.end && *s.p != '"') {
        char bytes[4];
        int32_t v = read_character(&s);
        if (v <= 0)
            return -EBADMSG;
        size_t more = put_utf8(bytes, v);
        if (more >= out_size - n)
            return -E2BIG;
        memcpy(out + n, bytes, more);
        n += more;
    }
    if (n >= out_size)
        return -E2BIG;
    out[n] = 0;
    return (long)n;
}

long agent_json_member(struct agent_json o, const char *wanted, char *out, size_t out_size)
{
    struct agent_json value;
    return agent_json_get(o, wanted, &value) ? agent_json_string(value, out, out_size) : -ENOENT;
}

int agent_json_number(struct agent_json o, const char *wanted, uint64_t *out)
{
    struct agent_json value;
    if (!agent_json_get(o, wanted, &value) || value.size > 18)
        return -EBADMSG;
    *out = 0;
    for (size_t i = 0; i < value.size; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return -EBADMSG;
        *out = *out * 10 + (uint64_t)(value.at[i] - '0');
    }
    return 0;
}
