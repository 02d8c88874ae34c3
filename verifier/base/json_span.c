// SPDX-License-Identifier: Apache-2.0
// Where a member's value lies in a JSON text: signatures are over these exact bytes.
#include "verifier/base/json_span.h"

#include <string.h>

static size_t skip_space(const char *t, size_t size, size_t at)
{
    while (at < size && (t[at] == ' ' || t[at] == '\t' || t[at] == '\n' || t[at] == '\r'))
        at++;
    return at;
}

// Past the string that starts at `at`; `size` if it does not end.
static size_t skip_string(const char *t, size_t size, size_t at)
{
    for (at++; at < size; at++) {
        if (t[at] == '\\')
            at++;
        else if (t[at] == '"')
            return at + 1;
    }
    return size;
}

// Past the value that starts at `at`, by brackets and strings only: whether it is proper JSON is
// the parser's to say.
static size_t skip_value(const char *t, size_t size, size_t at)
{
    size_t depth = 0;

    while (at < size) {
        char c = t[at];

        if (c == '"') {
            at = skip_string(t, size, at);
            if (!depth)
                return at;
            continue;
        }
        if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (!depth)
                return at;
            if (!--depth)
                return at + 1;
        } else if (c == ',' && !depth) {
            return at;
        }
        at++;
    }
    return size;
}

bool sv_json_span(const char *t, size_t size, const char *name, const char **value,
                  size_t *value_size)
{
    size_t at = skip_space(t, size, 0), name_size = strlen(name);
    bool found = false;

    if (at == size || t[at] != '{')
        return false;
    at++;
    for (;;) {
        size_t key, key_end, end;

        at = skip_space(t, size, at);
        if (at >= size)
            return false;
        if (t[at] == '}')
            return found;
        if (t[at] != '"')
            return false;
        key = at + 1;
        at = skip_string(t, size, at);
        if (at >= size)
            return false;
        key_end = at - 1;
        at = skip_space(t, size, at);
        if (at >= size || t[at] != ':')
            return false;
        at = skip_space(t, size, at + 1);
        end = skip_value(t, size, at);
        if (end >= size || end == at)
            return false;
        if (key_end - key == name_size && !memcmp(t + key, name, name_size)) {
            if (found) // a name that stands twice has no one meaning
                return false;
            found = true;
            *value = t + at;
            *value_size = end - at;
        }
        at = skip_space(t, size, end);
        if (at < size && t[at] == ',')
            at++;
    }
}
