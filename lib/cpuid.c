// SPDX-License-Identifier: Apache-2.0
// Gathers answers of cpuid (SDM, volume 2A, CPUID).
#include "lib/cpuid.h"

#include <stddef.h>

static void ask_leaf(struct sh_cpuid *c, uint32_t leaf, uint32_t subleaf)
{
    c->leaf = leaf;
    c->subleaf = subleaf;
    __asm__ volatile("cpuid"
                     : "=a"(c->eax), "=b"(c->ebx), "=c"(c->ecx), "=d"(c->edx)
                     : "a"(leaf), "c"(subleaf));
}

uint32_t sh_cpuid_collect(struct sh_cpuid out[SH_CPUID_MAX])
{
    /* Leaf, and the last subleaf that may be of interest. */
    static const struct {
        uint32_t leaf, last;
    } wanted[] = {
        {0x0, 0},        {0x1, 0},        {0x2, 0},        {0x4, 5},        {0x6, 0},
        {0x7, 2},        {0xb, 2},        {0xd, 1},        {0x15, 0},       {0x16, 0},
        {0x1f, 3},       {0x80000000, 0}, {0x80000001, 0}, {0x80000002, 0}, {0x80000003, 0},
        {0x80000004, 0}, {0x80000005, 0}, {0x80000006, 0}, {0x80000007, 0}, {0x80000008, 0},
        {0x8000001d, 4},
    };
    struct sh_cpuid top = {0};
    uint32_t count = 0;
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (!(wanted[i].leaf & 0x7fffffff)) /* the first of its kind says which is the last */
            ask_leaf(&top, wanted[i].leaf, 0);
        for (uint32_t sub = 0; wanted[i].leaf <= top.eax && sub <= wanted[i].last; sub++) {
            if (count < SH_CPUID_MAX)
                ask_leaf(&out[count++], wanted[i].leaf, sub);
        }
    }
    return count;
}
