// SPDX-License-Identifier: Apache-2.0
// `cpuid` of programs (SDM, volume 2A): an exception in an enclave, so the LibOS answers; also
// where it is reached without one (mm/sites.h).
//
// What features there are is the host's claim, taken once at start: a false one ends in SIGILL or
// in slower code. What memory depends on is not: leaf 0xD, by which programs size the area of
// XSAVE, comes from XFRM and from what XSAVE was seen to write.
#include "trusted/libos/entry/entry.h"
#include "trusted/libos/mm/sites.h"

#define BIT(n) (1u << (n))
#define XFRM_AVX 4u
#define XFRM_AVX512 0xe0u
#define LEAF_MAX 0x1fu
#define LEAF_EXTENDED 0x80000000u
#define XSAVE_LEGACY 576u /* x87, SSE and the header */
#define AMD_EXTENT 2432u  /* AVX-512 right behind AVX, without room for MPX */

struct answer {
    uint32_t eax, ebx, ecx, edx;
};

static bool is_indexed(uint32_t leaf)
{
    return leaf == 0x4 || leaf == 0x7 || leaf == 0xb || leaf == 0xd || leaf == 0x1f ||
           leaf == 0x8000001d;
}

static struct answer claimed_leaf(uint32_t leaf, uint32_t subleaf)
{
    for (uint32_t i = 0; i < port_info.cpuid_count; i++) {
        const struct sh_cpuid *c = &port_info.cpuid[i];
        if (c->leaf == leaf && (!is_indexed(leaf) || c->subleaf == subleaf))
            return (struct answer){c->eax, c->ebx, c->ecx, c->edx};
    }
    return (struct answer){0};
}

/* Bits of features that this XFRM does not carry. */
static uint32_t missing_features(uint32_t avx, uint32_t avx512)
{
    uint32_t bits = port_info.xfrm & XFRM_AVX ? 0 : avx | avx512;
    return (port_info.xfrm & XFRM_AVX512) == XFRM_AVX512 ? bits : bits | avx512;
}

static void mask_features(struct answer *a)
{
    a->ebx &= 0x00ffffff; /* no APIC id: threads move */
    /* MONITOR, VMX, SMX, PDCM, PCID, DCA, x2APIC, TSC deadline, hypervisor */
    a->ecx &= ~(BIT(3) | BIT(5) | BIT(6) | BIT(15) | BIT(17) | BIT(18) | BIT(21) | BIT(24));
    a->ecx &= ~BIT(31);
    a->ecx &= ~missing_features(BIT(12) | BIT(28) | BIT(29), 0); /* FMA, AVX, F16C */
    a->ecx |= BIT(26) | BIT(27);                                 /* XSAVE, OSXSAVE */
}

static void more_features(struct answer *a, uint32_t subleaf)
{
    if (subleaf == 0) {
        a->ebx |= BIT(0);                                 /* FSGSBASE */
        a->ebx &= ~(BIT(2) | BIT(4) | BIT(11) | BIT(14)); /* SGX, HLE, RTM, MPX */
        a->ebx &= ~missing_features(BIT(5), BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) |
                                                BIT(28) | BIT(30) | BIT(31));
        /* PKU, OSPKE, WAITPKG, shadow stacks, SGX launch control, PKS */
        a->ecx &= ~(BIT(3) | BIT(4) | BIT(5) | BIT(7) | BIT(30) | BIT(31));
        a->ecx &=
            ~missing_features(BIT(9) | BIT(10), BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14));
        a->edx &= ~(BIT(5) | BIT(20) | BIT(22) | BIT(24) | BIT(25)); /* UINTR, IBT, AMX */
        a->edx &= ~missing_features(0, BIT(2) | BIT(3) | BIT(8) | BIT(23));
    } else if (subleaf == 1) {
        a->eax &= ~BIT(21); /* AMX */
        a->eax &= ~missing_features(BIT(4) | BIT(23), BIT(5));
        a->edx &= ~(BIT(8) | BIT(21)); /* AMX, APX */
        a->edx &= ~missing_features(BIT(4) | BIT(5) | BIT(10), BIT(19));
    }
}

/* Place and size of an XSAVE component in the standard form; size 0: not ours. */
static struct answer xsave_component(uint32_t i)
{
    static const uint16_t sizes[] = {0, 0, 256, 64, 64, 64, 512, 1024};
    static const uint16_t intel[] = {0, 0, 576, 960, 1024, 1088, 1152, 1664};
    static const uint16_t amd[] = {0, 0, 576, 0, 0, 832, 896, 1408};
    if (i < 2 || i >= ARRAY_COUNT(sizes) || !(port_info.xfrm >> i & 1))
        return (struct answer){0};
    bool packed = (port_info.xfrm & XFRM_AVX512) && port_info.xsave_size == AMD_EXTENT;
    return (struct answer){.eax = sizes[i], .ebx = packed ? amd[i] : intel[i]};
}

static struct answer xsave_leaf(uint32_t subleaf)
{
    struct answer a = {.eax = (uint32_t)port_info.xfrm,
                       .ebx = port_info.xsave_size,
                       .ecx = port_info.xsave_size,
                       .edx = (uint32_t)(port_info.xfrm >> 32)};
    if (subleaf == 0)
        return a;
    if (subleaf > 1)
        return xsave_component(subleaf);
    a = (struct answer){.eax = claimed_leaf(0xd, 1).eax & 7, .ebx = XSAVE_LEGACY};
    for (uint32_t i = 2; i < 64; i++)
        a.ebx += xsave_component(i).eax;
    return a;
}

static struct answer answer_leaf(uint32_t leaf, uint32_t subleaf)
{
    struct answer a = leaf == 0xd ? xsave_leaf(subleaf) : claimed_leaf(leaf, subleaf);
    switch (leaf) {
    case 0x0:
        a.eax = MIN(a.eax, LEAF_MAX);
        break;
    case 0x1:
        mask_features(&a);
        break;
    case 0x7:
        more_features(&a, subleaf);
        break;
    case 0xb:
    case 0x1f:
        a.ecx = (a.ecx & ~0xffu) | (subleaf & 0xff);
        a.edx = 0; /* x2APIC id */
        break;
    case LEAF_EXTENDED + 1:
        a.ecx &= ~(BIT(2) | BIT(10) | BIT(15) | BIT(29)); /* SVM, IBS, LWP, MONITORX */
        a.ecx &= ~missing_features(BIT(11) | BIT(16), 0); /* XOP, FMA4 */
        break;
    }
    return a;
}

void cpuid_answer(struct regs *r)
{
    struct answer a = answer_leaf((uint32_t)r->rax, (uint32_t)r->rcx);
    r->rax = a.eax;
    r->rbx = a.ebx;
    r->rcx = a.ecx;
    r->rdx = a.edx;
}

bool cpuid_emulate(struct thread *t)
{
    struct regs *r = &t->regs;
    uint8_t code[2];
    if (user_read(code, r->rip, sizeof(code)) || code[0] != 0x0f ||
        !(code[1] == 0xa2 || (code[1] == 0x0b && sites_is_cpuid(r->rip))))
        return false;
    cpuid_answer(r);
    r->rip += sizeof(code);
    return true;
}
