// SPDX-License-Identifier: Apache-2.0
// Canonical JSON (RFC 8785), for the values that this protocol has.
#include "verifier/broker/jose.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 32

static bool write_value(FILE *out, const cJSON *value, int depth);

static void write_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        static const char shorts[] = "\b\t\n\f\r\"\\", letters[] = "btnfr\"\\";
        const char *at = strchr(shorts, *p);

        if (at)
            fprintf(out, "\\%c", letters[at - shorts]);
        else if (*p < 0x20)
            fprintf(out, "\\u%04x", *p);
        else
            fputc(*p, out);
    }
    fputc('"', out);
}

static bool is_ascii(const char *text)
{
    while (*text && !(*text & 0x80))
        text++;
    return !*text;
}

static int by_name(const void *a, const void *b)
{
    const cJSON *const *x = a, *const *y = b;

    return strcmp((*x)->string, (*y)->string);
}

static bool write_object(FILE *out, const cJSON *object, int depth)
{
    int count = cJSON_GetArraySize(object), i = 0;
    const cJSON *item, **list = calloc((size_t)count + 1, sizeof(*list));
    bool ok = list != NULL;

    if (!ok)
        return false;
    cJSON_ArrayForEach(item, object)
    {
        ok &= item->string && is_ascii(item->string);
        list[i++] = item;
    }
    if (ok)
        qsort(list, (size_t)count, sizeof(*list), by_name);
    fputc('{', out);
    for (i = 0; ok && i < count; i++) {
        ok = !i || strcmp(list[i - 1]->string, list[i]->string);
        if (i)
            fputc(',', out);
        write_string(out, list[i]->string);
        fputc(':', out);
        ok = ok && write_value(out, list[i], depth + 1);
    }
    fputc('}', out);
    free(list);
    return ok;
}

static bool write_value(FILE *out, const cJSON *value, int depth)
{
    const cJSON *item;
    bool first = true;

    if (depth > DEPTH_MAX)
        return false;
    if (cJSON_IsObject(value))
        return write_object(out, value, depth);
    if (cJSON_IsArray(value)) {
        fputc('[', out);
        cJSON_ArrayForEach(item, value)
        {
            if (!first)
                fputc(',', out);
            first = false;
            if (!write_value(out, item, depth + 1))
                return false;
        }
        fputc(']', out);
    } else if (cJSON_IsString(value)) {
        write_string(out, value->valuestring);
    } else if (cJSON_IsNumber(value)) {
        double n = value->valuedouble;

        if (fabs(n) > 9007199254740991.0 || (double)(long long)n != n)
            return false;
        fprintf(out, "%lld", (long long)n);
    } else {
        fputs(cJSON_IsTrue(value) ? "true" : cJSON_IsFalse(value) ? "false" : "null", out);
    }
    return true;
}

char *sb_jcs(const cJSON *value)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = value ? open_memstream(&text, &size) : NULL;
    bool ok;

    if (!out)
        return NULL;
    ok = write_value(out, value, 0);
    if (fclose(out) || !ok) {
        free(text);
        return NULL;
    }
    return text;
}
