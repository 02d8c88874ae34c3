// SPDX-License-Identifier: Apache-2.0
// The counters of enclave, loader and simulated processor as JSON.
#include <stdio.h>
#include <string.h>

#include "host/sgx/loader/loader.h"

/* An object in one line. What it says is the enclave's word; that it is one is not. */
static bool is_object(const char *text)
{
    size_t n = text ? strlen(text) : 0;
    if (n < 2 || text[0] != '{' || text[n - 1] != '}')
        return false;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < ' ' || text[i] > '~')
            return false;
    }
    return true;
}

static uint64_t calls_out(void)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < SH_CALL_COUNT; i++)
        total += loader.counts.calls[i];
    return total;
}

static void put_calls(FILE *t)
{
    static const char *const names[SH_CALL_COUNT] = {
        [0] = "unknown",
#define CALL_OUT(number, NAME, name, ...) [number] = #name,
#include <shelter/calls_out.def>
#undef CALL_OUT
    };
    const char *comma = "";
    fprintf(t, ", \"by_call_out\": {");
    for (unsigned i = 0; i < SH_CALL_COUNT; i++) {
        unsigned long long n = loader.counts.calls[i];
        if (!n)
            continue;
        if (names[i])
            fprintf(t, "%s\"%s\": %llu", comma, names[i], n);
        else
            fprintf(t, "%s\"call_%u\": %llu", comma, i, n);
        comma = ", ";
    }
    fprintf(t, "}");
}

static void put_processor(FILE *t, const struct sgxsim_stats *s)
{
    const uint64_t *values = (const uint64_t *)s;
    fprintf(t, ", \"processor\": {");
    for (size_t i = 0; i < SGXSIM_COUNTERS; i++)
        fprintf(t, "%s\"%s\": %llu", i ? ", " : "", sgxsim_counters[i],
                (unsigned long long)values[i]);
    fprintf(t, "}");
}

char *loader_stats_json(const char *inside)
{
    char *out = NULL;
    size_t size;
    FILE *t = open_memstream(&out, &size);
    struct sgxsim_stats s = {0};
    if (!t)
        return NULL;
    bool counted = loader.enclave.dev && !loader.enclave.driver->stats(loader.enclave.dev, &s);
    if (is_object(inside))
        fprintf(t, "%.*s", (int)strlen(inside) - 1, inside);
    else
        fprintf(t, "{\"calls_out\": %llu", (unsigned long long)calls_out());
    fprintf(t, ", \"aex\": %llu, \"aex_complete\": %s, \"exceptions\": %llu, \"kicked\": %llu",
            (unsigned long long)(counted ? s.aex : loader.counts.exceptions + loader.counts.kicks),
            counted ? "true" : "false", (unsigned long long)loader.counts.exceptions,
            (unsigned long long)loader.counts.kicks);
    put_calls(t);
    if (counted)
        put_processor(t, &s);
    fprintf(t, "}");
    fclose(t);
    return out;
}
