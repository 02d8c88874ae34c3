// SPDX-License-Identifier: Apache-2.0
#include "host/sgx/foreign/fault.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <shelter/sgx.h>

static const struct word {
    const char *name;
    int value;
} events[] =
    {
        {"open", SH_SIM_OPEN},
        {"create", SH_SIM_CREATE},
        {"add", SH_SIM_ADD},
        {"init", SH_SIM_INIT},
        {"provision", SH_SIM_PROVISION},
        {"restrict", SH_SIM_RESTRICT},
        {"types", SH_SIM_TYPES},
        {"remove", SH_SIM_REMOVE},
        {"eenter", SH_SIM_LEAF + SGX_EENTER},
        {"eresume", SH_SIM_LEAF + SGX_ERESUME},
        {"eaccept", SH_SIM_LEAF + SGX_EACCEPT},
        {"eacceptcopy", SH_SIM_LEAF + SGX_EACCEPTCOPY},
        {"emodpe", SH_SIM_LEAF + SGX_EMODPE},
        {"ereport", SH_SIM_LEAF + SGX_EREPORT},
        {"egetkey", SH_SIM_LEAF + SGX_EGETKEY},
        {NULL, 0},
},
  errors[] = {
      {"EACCES", EACCES}, {"EAGAIN", EAGAIN}, {"EBUSY", EBUSY},   {"EFAULT", EFAULT},
      {"EINTR", EINTR},   {"EINVAL", EINVAL}, {"EIO", EIO},       {"EMFILE", EMFILE},
      {"ENODEV", ENODEV}, {"ENOENT", ENOENT}, {"ENOMEM", ENOMEM}, {"ENOTTY", ENOTTY},
      {"EPERM", EPERM},   {NULL, 0},
};

static const struct word *find_word(const struct word *list, const char *name, size_t size)
{
    for (; list->name != NULL; list++)
        if (strlen(list->name) == size && memcmp(list->name, name, size) == 0)
            return list;
    return NULL;
}

static bool is_word(const char *text, size_t size, const char *word)
{
    return strlen(word) == size && memcmp(text, word, size) == 0;
}

static bool read_result(const char *p, size_t size, struct sh_sim_fault *f)
{
    int leaf = (int)f->event - SH_SIM_LEAF;
    char *end;
    if (leaf < 0) {
        const struct word *w = find_word(errors, p, size);
        f->result = w != NULL ? -w->value : 0;
        return w != NULL;
    }
    if (is_word(p, size, "GP") || is_word(p, size, "PF")) {
        f->result = *p == 'G' ? -(int)SGX_VECTOR_GP : -(int)SGX_VECTOR_PF;
        return true;
    }
    if (is_word(p, size, "lost")) {
        f->result = SH_SIM_LOST;
        return leaf == SGX_EENTER || leaf == SGX_ERESUME;
    }
    if (is_word(p, size, "kick")) {
        f->result = SH_SIM_KICKED;
        return true;
    }
    unsigned long code = strtoul(p, &end, 10);
    f->result = (int)code;
    return *p >= '0' && *p <= '9' && (size_t)(end - p) == size && code > 0 && code < 0x8000 &&
           (leaf == SGX_EACCEPT || leaf == SGX_EACCEPTCOPY || leaf == SGX_EGETKEY);
}

int sh_sim_faults_read(const char *p, struct sh_sim_fault out[SH_SIM_FAULTS])
{
    int count = 0;
    while (*p != 0) {
        struct sh_sim_fault *f = &out[count];
        size_t size = strcspn(p, ",="), name = strcspn(p, ":=");
        const struct word *w = find_word(events, p, name < size ? name : size);
        if ((unsigned)count == SH_SIM_FAULTS || p[size] != '=' || w == NULL)
            return -EINVAL;
        *f = (struct sh_sim_fault){.event = (enum sh_sim_event)w->value, .nth = 1};
        if (name < size) {
            char *end;
            unsigned long n = strtoul(p + name + 1, &end, 10);
            if (p[name + 1] < '0' || p[name + 1] > '9' || end != p + size || n > UINT32_MAX)
                return -EINVAL;
            f->nth = (uint32_t)n;
        }
        p += size + 1;
        size = strcspn(p, ",");
        if (!read_result(p, size, f))
            return -EINVAL;
        p += size + (p[size] == ',');
        count++;
    }
    return count;
}
