// SPDX-License-Identifier: Apache-2.0
// CPUID signatures of QEMU's EPYC models: part of the measured initial state.
#include "verifier/measure/snp.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *family; // without "-vN" and "-IBPB"
    uint8_t fam, model, stepping;
} models[] = {
    {"EPYC", 23, 1, 2},        {"EPYC-Rome", 23, 49, 0}, {"EPYC-Milan", 25, 1, 1},
    {"EPYC-Genoa", 25, 17, 0}, {"EPYC-Turin", 26, 0, 0},
};

const char *const sv_vcpu_types[] = {
    "EPYC",          "EPYC-v1",       "EPYC-v2",      "EPYC-v3",       "EPYC-v4",
    "EPYC-v5",       "EPYC-IBPB",     "EPYC-Rome",    "EPYC-Rome-v1",  "EPYC-Rome-v2",
    "EPYC-Rome-v3",  "EPYC-Rome-v4",  "EPYC-Rome-v5", "EPYC-Milan",    "EPYC-Milan-v1",
    "EPYC-Milan-v2", "EPYC-Milan-v3", "EPYC-Genoa",   "EPYC-Genoa-v1", "EPYC-Genoa-v2",
    "EPYC-Turin",    "EPYC-Turin-v1", NULL,
};

// AMD CPUID specification, Fn0000_0001_EAX
static uint32_t cpu_signature(uint32_t family, uint32_t model, uint32_t stepping)
{
    return (family - 15) << 20 | (model >> 4) << 16 | 15u << 8 | (model & 15) << 4 | stepping;
}

bool sv_vcpu_sig(const char *type, uint32_t *out)
{
    size_t best = 0;
    char *end;

    for (size_t i = 0; sv_vcpu_types[i]; i++) {
        if (strcmp(type, sv_vcpu_types[i]))
            continue;
        for (size_t m = 0; m < sizeof(models) / sizeof(models[0]); m++) {
            size_t length = strlen(models[m].family);

            if (length > best && !strncmp(type, models[m].family, length)) {
                best = length;
                *out = cpu_signature(models[m].fam, models[m].model, models[m].stepping);
            }
        }
        return true;
    }
    if (strncmp(type, "0x", 2) || !type[2])
        return false;
    *out = (uint32_t)strtoul(type, &end, 16);
    return !*end && strlen(type) <= 10;
}
