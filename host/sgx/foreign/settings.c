// SPDX-License-Identifier: Apache-2.0
#include "host/sgx/foreign/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Each field is LENGTH:TEXT, so that any path can be written. */
static const char *take_field(const char *p, char *to, size_t size)
{
    char *end;
    unsigned long n = strtoul(p, &end, 10);
    if (end == p || *end != ':' || n >= size || strlen(end + 1) < n)
        return NULL;
    memcpy(to, end + 1, n);
    to[n] = 0;
    return end + 1 + n;
}

int sh_sim_settings_read(struct sh_sim_settings *s, const char *value)
{
    char pages[32], flags[16];
    const struct {
        char *to;
        size_t size;
    } fields[] = {
        {s->cpu, sizeof(s->cpu)}, {pages, sizeof(pages)},         {flags, sizeof(flags)},
        {s->key, sizeof(s->key)}, {s->counts, sizeof(s->counts)}, {s->aesm, sizeof(s->aesm)},
        {s->epc, sizeof(s->epc)}, {s->faults, sizeof(s->faults)}, {s->exe, sizeof(s->exe)},
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        value = take_field(value, fields[i].to, fields[i].size);
        if (value == NULL)
            return -EINVAL;
    }
    s->epc_bytes = strtoull(pages, NULL, 10);
    s->strict = strchr(flags, 's') != NULL;
    s->filtered = strchr(flags, 'f') != NULL;
    return 0;
}

int sh_sim_settings_write(const struct sh_sim_settings *s, char *to, size_t size)
{
    char bytes[32], flags[8];
    snprintf(bytes, sizeof(bytes), "%lu", (unsigned long)s->epc_bytes);
    snprintf(flags, sizeof(flags), "%s%s", s->filtered ? "f" : "", s->strict ? "s" : "");
    const char *const fields[] = {s->cpu,  bytes,  flags,     s->key, s->counts,
                                  s->aesm, s->epc, s->faults, s->exe};
    size_t at = strlen(SH_SIM_ENVIRONMENT "=");
    if (size > at)
        memcpy(to, SH_SIM_ENVIRONMENT "=", at + 1);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        size_t room = at < size ? size - at : 0;
        at += (size_t)snprintf(room != 0 ? to + at : NULL, room, "%zu:%s", strlen(fields[i]),
                               fields[i]);
    }
    return to == NULL || at < size ? (int)at : -E2BIG;
}
