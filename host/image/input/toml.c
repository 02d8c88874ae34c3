// SPDX-License-Identifier: Apache-2.0
// A strict reader for a small part of TOML.
#include "host/image/input/toml.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "host/base/utf8.h"
#include "lib/hex.h"

struct parser {
    const char *p, *end;
    const char *name;
    unsigned line;
    char table[64]; /* "" or "table." */
    struct sh_toml *out;
    struct sh_error *err;
    size_t items; /* values in all, lists' too */
};

static int report_bad(struct parser *p, const char *what)
{
    return sh_fail(p->err, -EINVAL, "%s, line %u: %s", p->name, p->line, what);
}

static int peek_char(const struct parser *p)
{
    return p->p < p->end ? (unsigned char)*p->p : -1;
}

static void skip_blanks(struct parser *p)
{
    while (peek_char(p) == ' ' || peek_char(p) == '\t')
        p->p++;
}

static void skip_comment(struct parser *p)
{
    if (peek_char(p) == '#')
        while (p->p < p->end && *p->p != '\n')
            p->p++;
}

/* Blanks, comments and line ends. */
static void skip_lines(struct parser *p)
{
    for (;;) {
        skip_blanks(p);
        skip_comment(p);
        if (peek_char(p) == '\r' && p->p + 1 < p->end && p->p[1] == '\n')
            p->p++;
        if (peek_char(p) != '\n')
            return;
        p->p++;
        p->line++;
    }
}

static int end_of_line(struct parser *p)
{
    skip_blanks(p);
    skip_comment(p);
    if (peek_char(p) == '\r' && p->p + 1 < p->end && p->p[1] == '\n')
        p->p++;
    return peek_char(p) == '\n' || peek_char(p) < 0
               ? 0
               : report_bad(p, "there is more on the line than one value");
}

/* --- values --- */

static int parse_unicode(struct parser *p, size_t digits, struct sh_buffer *out)
{
    uint32_t c = 0;
    for (size_t i = 0; i < digits; i++, p->p++) {
        int d = peek_char(p) < 0 ? -1 : sh_hex_digit(peek_char(p));
        if (d < 0)
            return report_bad(p, "\\u needs 4 digits, \\U 8");
        c = c << 4 | (uint32_t)d;
    }
    char utf8[4];
    size_t n = c ? sh_utf8_encode(utf8, c) : 0;
    if (!n)
        return report_bad(p, "there is no such character");
    sh_buffer_add(out, utf8, n);
    return 0;
}

static int parse_escape(struct parser *p, struct sh_buffer *out)
{
    static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
    int c = peek_char(p);
    if (c < 0)
        return report_bad(p, "a string is not closed");
    p->p++;
    if (c == 'u' || c == 'U')
        return parse_unicode(p, c == 'u' ? 4 : 8, out);
    const char *at = strchr(from, c);
    if (!at || !c)
        return report_bad(p, "there is no such escape");
    sh_buffer_add(out, &to[at - from], 1);
    return 0;
}

static int parse_string(struct parser *p, char **text)
{
    struct sh_buffer b = {0};
    char quote = *p->p++;
    int r = 0;
    if (p->end - p->p >= 2 && p->p[0] == quote && p->p[1] == quote)
        return report_bad(p, "strings of several lines are not supported");
    for (;;) {
        int c = peek_char(p);
        if (c < 0 || c == '\n') {
            r = report_bad(p, "a string is not closed");
            break;
        }
        p->p++;
        if (c == quote)
            break;
        if (c == '\\' && quote == '"') {
            r = parse_escape(p, &b);
            if (r)
                break;
        } else {
            sh_buffer_add(&b, p->p - 1, 1);
        }
    }
    sh_buffer_add(&b, "", 1);
    if (r)
        sh_buffer_free(&b);
    *text = (char *)b.data;
    return r;
}

static int parse_integer(struct parser *p, char **text, int64_t *number)
{
    bool minus = peek_char(p) == '-';
    int64_t v = 0;
    if (minus || peek_char(p) == '+')
        p->p++;
    if (!isdigit(peek_char(p)) ||
        (*p->p == '0' && p->end - p->p > 1 && isdigit((unsigned char)p->p[1])))
        return report_bad(p, "a value is a string in quotes, an integer, true, false or a list");
    for (bool digit = true; isdigit(peek_char(p)) || peek_char(p) == '_'; p->p++) {
        if (*p->p == '_') {
            if (!digit || p->p + 1 == p->end || !isdigit((unsigned char)p->p[1]))
                return report_bad(p, "'_' stands between digits");
            digit = false;
            continue;
        }
        digit = true;
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p->p - '0', &v))
            return report_bad(p, "an integer is too large");
    }
    if (peek_char(p) == '.' || isalpha(peek_char(p)) || peek_char(p) == '-' || peek_char(p) == ':')
        return report_bad(p,
                          "only whole decimal numbers are supported; put other values into quotes");
    *number = minus ? -v : v;
    *text = sh_format("%lld", (long long)*number);
    return 0;
}

static bool match_word(struct parser *p, const char *w)
{
    size_t n = strlen(w);
    if ((size_t)(p->end - p->p) < n || memcmp(p->p, w, n))
        return false;
    p->p += n;
    return true;
}

static int parse_list(struct parser *p, struct sh_strings *list)
{
    p->p++;
    for (bool first = true;; first = false) {
        cleanup_free char *text = NULL;
        int64_t number;
        skip_lines(p);
        if (peek_char(p) == ']') {
            p->p++;
            return 0;
        }
        if (!first) {
            if (peek_char(p) != ',')
                return report_bad(p, "a list's values are parted by commas and closed by ]");
            p->p++;
            skip_lines(p);
            if (peek_char(p) == ']') {
                p->p++;
                return 0;
            }
        }
        if (peek_char(p) < 0)
            return report_bad(p, "a list is not closed");
        if (++p->items > SH_TOML_ITEMS_MAX)
            return report_bad(p, "there are too many values");
        int r = peek_char(p) == '"' || peek_char(p) == '\'' ? parse_string(p, &text)
                                                            : parse_integer(p, &text, &number);
        if (r)
            return r;
        sh_strings_add(list, text);
    }
}

static int parse_value(struct parser *p, struct sh_toml_item *item)
{
    switch (peek_char(p)) {
    case '"':
    case '\'':
        item->type = SH_TOML_STRING;
        return parse_string(p, &item->text);
    case '[':
        item->type = SH_TOML_LIST;
        return parse_list(p, &item->list);
    case '{':
        return report_bad(p, "inline tables are not supported");
    }
    item->type = SH_TOML_BOOLEAN;
    item->number = match_word(p, "true");
    if (item->number || match_word(p, "false")) {
        item->text = sh_strdup(item->number ? "true" : "false");
        return 0;
    }
    item->type = SH_TOML_INTEGER;
    return parse_integer(p, &item->text, &item->number);
}

/* --- keys --- */

static int parse_key(struct parser *p, char **key)
{
    if (peek_char(p) == '"' || peek_char(p) == '\'') {
        int r = parse_string(p, key);
        return !r && (!**key || strchr(*key, '.')) ? report_bad(p, "a key is a plain word") : r;
    }
    const char *start = p->p;
    while (isalnum(peek_char(p)) || peek_char(p) == '_' || peek_char(p) == '-')
        p->p++;
    if (p->p == start || p->p - start > 60)
        return report_bad(p, "a line is KEY = VALUE or [TABLE]");
    *key = sh_format("%.*s", (int)(p->p - start), start);
    return 0;
}

static int parse_table(struct parser *p)
{
    cleanup_free char *key = NULL;
    p->p++;
    if (peek_char(p) == '[')
        return report_bad(p, "lists of tables are not supported");
    skip_blanks(p);
    int r = parse_key(p, &key);
    if (r)
        return r;
    skip_blanks(p);
    if (peek_char(p) != ']')
        return report_bad(p, "a table's name is one word, closed by ]");
    p->p++;
    if (strlen(key) + 2 > sizeof(p->table))
        return report_bad(p, "a table's name is too long");
    snprintf(p->table, sizeof(p->table), "%s.", key);
    return end_of_line(p);
}

static int parse_item(struct parser *p)
{
    cleanup_free char *key = NULL;
    struct sh_toml_item item = {.line = p->line};
    int r = parse_key(p, &key);
    if (r)
        return r;
    skip_blanks(p);
    if (peek_char(p) != '=')
        return report_bad(p, peek_char(p) == '.' ? "dotted keys are not supported"
                                                 : "a line is KEY = VALUE or [TABLE]");
    p->p++;
    skip_blanks(p);
    if (++p->items > SH_TOML_ITEMS_MAX)
        return report_bad(p, "there are too many values");
    cleanup_free char *full = sh_format("%s%s", p->table, key);
    for (size_t i = 0; i < p->out->count; i++)
        if (!strcmp(p->out->v[i].key, full))
            return report_bad(p, "this key came before");
    r = parse_value(p, &item);
    p->out->v = sh_realloc_array(p->out->v, p->out->count + 1, sizeof(item));
    item.key = sh_take_ptr(full);
    p->out->v[p->out->count++] = item; /* also a broken one: it is freed with the rest */
    return r ? r : end_of_line(p);
}

int sh_toml_parse(const char *data, size_t size, const char *name, struct sh_toml *toml,
                  struct sh_error *err)
{
    struct parser p = {
        .p = data, .end = data + size, .name = name, .line = 1, .out = toml, .err = err};
    int r = 0;
    *toml = (struct sh_toml){0};
    if (size > SH_TOML_SIZE_MAX)
        return sh_fail(err, -EFBIG, "%s is larger than 1 MiB", name);
    for (const char *s = data; s < p.end;) {
        size_t n = sh_utf8_size(s, (size_t)(p.end - s));
        unsigned char c = (unsigned char)*s;
        bool line_end = c == '\n' || (c == '\r' && s + 1 < p.end && s[1] == '\n');
        if (!n || (c < 0x20 && c != '\t' && !line_end) || c == 0x7f)
            return report_bad(&p, "this is not plain text in UTF-8");
        p.line += c == '\n';
        s += n;
    }
    p.line = 1;
    for (skip_lines(&p); !r && p.p < p.end; skip_lines(&p))
        r = *p.p == '[' ? parse_table(&p) : parse_item(&p);
    if (r)
        sh_toml_free(toml);
    return r;
}

void sh_toml_free(struct sh_toml *toml)
{
    for (size_t i = 0; i < toml->count; i++) {
        free(toml->v[i].key);
        free(toml->v[i].text);
        sh_strings_free(&toml->v[i].list);
    }
    free(toml->v);
    *toml = (struct sh_toml){0};
}
