// SPDX-License-Identifier: Apache-2.0
// Strict JSON: the text is judged first, then parsed, then its names are compared.
#include "verifier/base/json_read.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_OBJECT 8 // up to here names are compared pair by pair

struct scan {
    const uint8_t *text;
    size_t size, at;
    unsigned values, values_max, depth;
    bool end_nul;                 // a string may end in \u0000
    char open[SV_JSON_DEPTH_MAX]; // '{' or '['
    const char *wrong;            // the first thing that is wrong
};

static bool refuse_text(struct scan *s, const char *wrong)
{
    if (!s->wrong)
        s->wrong = wrong;
    return false;
}

// The byte at the reading point; 0 at the end and for a NUL, which is nowhere allowed.
static uint8_t peek_byte(const struct scan *s)
{
    return s->at < s->size ? s->text[s->at] : 0;
}

static uint8_t skip_space(struct scan *s)
{
    while (s->at < s->size && s->text[s->at] && strchr(" \t\r\n", s->text[s->at]))
        s->at++;
    return peek_byte(s);
}

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'f');
}

// "\uXXXX", at the 'u'. Whether surrogates fit is the parser's to say.
static bool scan_unicode_escape(struct scan *s)
{
    if (s->size - s->at < 5)
        return refuse_text(s, "a string is not closed");
    for (int i = 1; i <= 4; i++)
        if (!is_hex(s->text[s->at + (size_t)i]))
            return refuse_text(s, "an escape is malformed");
    if (!memcmp(s->text + s->at + 1, "0000", 4) &&
        !(s->end_nul && s->size - s->at > 5 && s->text[s->at + 5] == '"'))
        return refuse_text(s, "a string holds a NUL");
    s->at += 5;
    return true;
}

// One character of more than one byte (RFC 3629): no overlong forms, no surrogates.
static bool scan_utf8(struct scan *s)
{
    const uint8_t *t = s->text + s->at;
    size_t left = s->size - s->at, n = t[0] >= 0xf0 ? 4 : t[0] >= 0xe0 ? 3 : 2;
    bool good = t[0] >= 0xc2 && t[0] <= 0xf4 && left >= n;

    for (size_t i = 1; good && i < n; i++)
        good = (t[i] & 0xc0) == 0x80;
    if (good && n > 2)
        good = !(t[0] == 0xe0 && t[1] < 0xa0) && !(t[0] == 0xed && t[1] > 0x9f) &&
               !(t[0] == 0xf0 && t[1] < 0x90) && !(t[0] == 0xf4 && t[1] > 0x8f);
    s->at += good ? n : 0;
    return good || refuse_text(s, "a string is not UTF-8");
}

// At the opening quotation mark.
static bool scan_string(struct scan *s)
{
    for (s->at++; s->at < s->size;) {
        uint8_t c = s->text[s->at];

        if (c == '"') {
            s->at++;
            return true;
        }
        if (c < 0x20)
            return refuse_text(s, "a string holds a control character");
        if (c == '\\') {
            c = ++s->at < s->size ? s->text[s->at] : 0;
            if (!c || !strchr("\"\\/bfnrtu", c))
                return refuse_text(s, "an escape is malformed");
            if (c != 'u')
                s->at++;
            else if (!scan_unicode_escape(s))
                return false;
        } else if (c >= 0x80) {
            if (!scan_utf8(s))
                return false;
        } else {
            s->at++;
        }
    }
    return refuse_text(s, "a string is not closed");
}

static size_t skip_digits(struct scan *s)
{
    size_t from = s->at;

    while (peek_byte(s) >= '0' && peek_byte(s) <= '9')
        s->at++;
    return s->at - from;
}

static bool scan_number(struct scan *s)
{
    bool zero;

    s->at += peek_byte(s) == '-';
    zero = peek_byte(s) == '0';
    if (zero ? (s->at++, false) : !skip_digits(s))
        return refuse_text(s, "a number is malformed");
    if (peek_byte(s) == '.' && (s->at++, !skip_digits(s)))
        return refuse_text(s, "a number is malformed");
    if ((peek_byte(s) | 32) == 'e') {
        s->at++;
        s->at += peek_byte(s) == '+' || peek_byte(s) == '-';
        if (!skip_digits(s))
            return refuse_text(s, "a number is malformed");
    }
    return true;
}

static bool scan_literal(struct scan *s)
{
    static const char *const literal[] = {"true", "false", "null"};

    for (int i = 0; i < 3; i++) {
        size_t n = strlen(literal[i]);

        if (s->size - s->at >= n && !memcmp(s->text + s->at, literal[i], n)) {
            s->at += n;
            return true;
        }
    }
    return refuse_text(s, "this is not a value");
}

static bool scan_name(struct scan *s)
{
    bool end_nul = s->end_nul, good;

    if (skip_space(s) != '"')
        return refuse_text(s, "a name is missing");
    s->end_nul = false;
    good = scan_string(s);
    s->end_nul = end_nul;
    if (!good)
        return false;
    if (skip_space(s) != ':')
        return refuse_text(s, "a colon is missing");
    s->at++;
    return true;
}

// The start of a value: all of it, or an opened object or array (*opened).
static bool scan_value(struct scan *s, bool *opened)
{
    uint8_t c = skip_space(s);

    *opened = c == '{' || c == '[';
    if (++s->values > s->values_max)
        return refuse_text(s, "there are too many values");
    if (c == '"')
        return scan_string(s);
    if (c == '-' || (c >= '0' && c <= '9'))
        return scan_number(s);
    if (!*opened)
        return scan_literal(s);
    if (s->depth == SV_JSON_DEPTH_MAX)
        return refuse_text(s, "it is nested too deeply");
    s->open[s->depth++] = (char)c;
    s->at++;
    return true;
}

// Behind a value: closes what ends here. True when a further value follows (its name was read).
static bool scan_end_of_value(struct scan *s)
{
    while (s->depth) {
        char top = s->open[s->depth - 1];
        uint8_t c = skip_space(s);

        if (c == ',') {
            s->at++;
            return top == '[' || scan_name(s);
        }
        if (c != (top == '{' ? '}' : ']'))
            return refuse_text(s, "a comma or a bracket is missing");
        s->at++;
        s->depth--;
    }
    skip_space(s);
    return s->at == s->size ? false : refuse_text(s, "there is something after the value");
}

static bool scan_text(struct scan *s)
{
    bool more = true, opened;

    while (more && !s->wrong) {
        if (!scan_value(s, &opened))
            return false;
        if (opened && s->open[s->depth - 1] == '{' && skip_space(s) != '}')
            more = scan_name(s);
        else if (opened && s->open[s->depth - 1] == '[' && skip_space(s) != ']')
            more = true;
        else
            more = scan_end_of_value(s);
    }
    return !s->wrong;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// A name that stands twice in this object, or NULL. *failed: out of memory.
static const char *find_twin(const cJSON *object, bool *failed)
{
    size_t count = (size_t)cJSON_GetArraySize(object), i = 0;
    const char *few[SMALL_OBJECT], **names = count <= SMALL_OBJECT ? few : NULL, *twin = NULL;
    const cJSON *item;

    if (!names && !(names = malloc(count * sizeof(*names)))) {
        *failed = true;
        return NULL;
    }
    cJSON_ArrayForEach(item, object) names[i++] = item->string;
    qsort(names, count, sizeof(*names), compare_names);
    for (i = 1; !twin && i < count; i++)
        twin = strcmp(names[i - 1], names[i]) ? NULL : names[i];
    if (names != few)
        free(names);
    return twin;
}

// Walks the tree without recursion: its depth was judged.
static const char *find_twins(const cJSON *root, bool *failed)
{
    const cJSON *stack[SV_JSON_DEPTH_MAX + 1] = {root};
    const char *twin = NULL;
    int top = 0;

    while (top >= 0 && !twin && !*failed) {
        const cJSON *item = stack[top];

        if (cJSON_IsObject(item))
            twin = find_twin(item, failed);
        stack[top] = item->next;
        if (!item->next)
            top--;
        if (item->child)
            stack[++top] = item->child;
    }
    return twin;
}

static cJSON *read_text(const void *text, size_t size, unsigned values_max, bool end_nul, char *why,
                        size_t why_size)
{
    struct scan s = {.text = text, .size = size, .values_max = values_max, .end_nul = end_nul};
    const char *twin = NULL;
    bool failed = false;
    cJSON *root = NULL;

    if (!scan_text(&s)) {
        snprintf(why, why_size, "at byte %zu: %s", s.at, s.wrong);
        return NULL;
    }
    root = cJSON_ParseWithLength(text, size);
    if (root)
        twin = find_twins(root, &failed);
    if (root && !twin && !failed)
        return root;
    if (twin)
        snprintf(why, why_size, "the name \"%.40s\" stands twice in one object", twin);
    else
        snprintf(why, why_size, failed ? "out of memory" : "it is not JSON");
    cJSON_Delete(root);
    return NULL;
}

cJSON *sv_json_read(const void *text, size_t size, unsigned values_max, char *why, size_t why_size)
{
    return read_text(text, size, values_max, false, why, why_size);
}

cJSON *sv_json_read_c_strings(const void *text, size_t size, unsigned values_max, char *why,
                              size_t why_size)
{
    return read_text(text, size, values_max, true, why, why_size);
}

cJSON *sv_json_read_text(const char *text, char *why, size_t why_size)
{
    return text ? sv_json_read(text, strlen(text), SV_JSON_VALUES_MAX, why, why_size) : NULL;
}
