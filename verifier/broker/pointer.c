// SPDX-License-Identifier: Apache-2.0
// Follows JSON pointers and compares what is there.
#include "verifier/broker/pointer.h"
#include "verifier/base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool sb_pointer_ok(const char *pointer, bool many)
{
    int stars = 0;

    if (*pointer != '/' || strlen(pointer) > SB_POINTER_MAX)
        return false;
    for (const char *p = pointer; *p; p++) {
        if (*p == '~' && p[1] != '0' && p[1] != '1')
            return false;
        stars += p[0] == '/' && p[1] == '*' && (p[2] == '/' || !p[2]);
    }
    return stars <= many;
}

// The next part of *at, unescaped; *at goes behind it.
static void take_part(const char **at, char out[SB_POINTER_MAX + 1])
{
    const char *p = *at + 1;
    size_t n = 0;

    for (; *p && *p != '/' && n < SB_POINTER_MAX; p++) {
        if (*p == '~' && p[1])
            out[n++] = *++p == '1' ? '/' : '~';
        else
            out[n++] = *p;
    }
    out[n] = 0;
    *at = p;
}

static const cJSON *step(const cJSON *at, const char *part)
{
    if (cJSON_IsArray(at))
        return *part && strlen(part) < 9 && strspn(part, "0123456789") == strlen(part)
                   ? cJSON_GetArrayItem(at, atoi(part))
                   : NULL;
    return cJSON_IsObject(at) ? sv_json_get(at, part) : NULL;
}

const cJSON *sb_pointer_get(const cJSON *root, const char *pointer)
{
    char part[SB_POINTER_MAX + 1];

    while (root && *pointer == '/') {
        take_part(&pointer, part);
        root = step(root, part);
    }
    return root;
}

static bool is_scalar(const cJSON *v)
{
    return cJSON_IsString(v) || cJSON_IsNumber(v) || cJSON_IsBool(v);
}

static bool is_list(const cJSON *list)
{
    const cJSON *v;

    if (!cJSON_IsArray(list))
        return false;
    cJSON_ArrayForEach(v, list) if (!is_scalar(v)) return false;
    return true;
}

static bool condition_ok(const cJSON *c)
{
    const cJSON *item;

    if (!cJSON_IsObject(c))
        return is_list(c);
    cJSON_ArrayForEach(item, c)
    {
        bool number = !strcmp(item->string, "min") || !strcmp(item->string, "max");

        if (number ? !cJSON_IsNumber(item) : strcmp(item->string, "not") || !is_list(item))
            return false;
    }
    return c->child;
}

bool sb_where_ok(const cJSON *where)
{
    const cJSON *c;

    if (!cJSON_IsObject(where) || !where->child)
        return false;
    cJSON_ArrayForEach(c,
                       where) if (!sb_pointer_ok(c->string, true) || !condition_ok(c)) return false;
    return true;
}

static bool is_in(const cJSON *list, const cJSON *value)
{
    const cJSON *v;

    cJSON_ArrayForEach(v, list) if (cJSON_Compare(v, value, true)) return true;
    return false;
}

static bool condition_holds(const cJSON *c, const cJSON *value)
{
    const cJSON *min = sv_json_get(c, "min"), *max = sv_json_get(c, "max"),
                *unlike = sv_json_get(c, "not");

    if (!is_scalar(value))
        return false;
    if (cJSON_IsArray(c))
        return is_in(c, value);
    return (!min || (cJSON_IsNumber(value) && value->valuedouble >= min->valuedouble)) &&
           (!max || (cJSON_IsNumber(value) && value->valuedouble <= max->valuedouble)) &&
           (!unlike || !is_in(unlike, value));
}

// One pointer and its condition.
static bool one_holds(const cJSON *c, const cJSON *root)
{
    const char *star = strstr(c->string, "/*");
    const cJSON *each;
    char before[SB_POINTER_MAX + 1];

    while (star && star[2] && star[2] != '/')
        star = strstr(star + 1, "/*");
    if (!star)
        return condition_holds(c, sb_pointer_get(root, c->string));
    snprintf(before, sizeof(before), "%.*s", (int)(star - c->string), c->string);
    root = sb_pointer_get(root, before);
    if ((!cJSON_IsObject(root) && !cJSON_IsArray(root)) || !root->child)
        return false;
    cJSON_ArrayForEach(each,
                       root) if (!condition_holds(c, sb_pointer_get(each, star + 2))) return false;
    return true;
}

bool sb_where_holds(const cJSON *where, const cJSON *root, char *why, size_t why_size)
{
    const cJSON *c;

    cJSON_ArrayForEach(c, where) if (!one_holds(c, root))
    {
        snprintf(why, why_size, "the policy's condition on %.200s does not hold", c->string);
        return false;
    }
    return true;
}
