// SPDX-License-Identifier: Apache-2.0
// CPUID as a processor with SGX answers it. Where the machine can refuse `cpuid` to a program
// (CPUID faulting), each one comes here as #GP. Elsewhere the instruction is replaced with UD2 in
// files that are mapped to be executed, where what surrounds it shows that it is one.
#include "host/sgx/foreign/foreign.h"

#include <asm/prctl.h>
#include <cpuid.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef ARCH_CPUID
#define ARCH_GET_CPUID 0x1011
#define ARCH_SET_CPUID 0x1012
#endif
#define SITES 4096u
#define BEFORE 96u /* bytes that are decoded before a candidate */
#define EPC_BASE 0x2000000000ull

static _Atomic uint64_t sites[SITES];
static bool faulting;

void fgn_cpuid_start(void)
{
    faulting = fgn_raw3(SYS_arch_prctl, ARCH_SET_CPUID, 0, 0) == 0;
}

/* --- answers --------------------------------------------------------------------------------- */

struct answer {
    uint32_t a, b, c, d;
};

/* Ours needs none of what is trapped: it is in our text, and that is never patched. With faulting
 * it is let through for a moment. */
static void ask_host(uint32_t leaf, uint32_t subleaf, struct answer *r)
{
    if (faulting)
        fgn_raw3(SYS_arch_prctl, ARCH_SET_CPUID, 1, 0);
    __cpuid_count(leaf, subleaf, r->a, r->b, r->c, r->d);
    if (faulting)
        fgn_raw3(SYS_arch_prctl, ARCH_SET_CPUID, 0, 0);
}

static void answer_sgx(uint32_t subleaf, struct answer *r)
{
    struct sgxsim_caps caps;
    sgxsim_caps(&caps);
    *r = (struct answer){0};
    if (subleaf == 0) {
        uint32_t log = (uint32_t)__builtin_ctzll(caps.max_enclave_size);
        r->a = 1u | (caps.sgx2 ? 2u : 0) | (caps.edeccssa ? 1u << 11 : 0);
        r->b = caps.miscselect;
        r->d = log << 8 | 31;
    } else if (subleaf == 1) {
        r->a = (uint32_t)caps.attributes.flags;
        r->b = (uint32_t)(caps.attributes.flags >> 32);
        r->c = (uint32_t)caps.attributes.xfrm;
        r->d = (uint32_t)(caps.attributes.xfrm >> 32);
    } else if (subleaf == 2) {
        r->a = 1u | (uint32_t)(EPC_BASE & 0xfffff000u);
        r->b = (uint32_t)(EPC_BASE >> 32);
        r->c = 1u | (uint32_t)(fgn_options.epc_bytes & 0xfffff000u);
        r->d = (uint32_t)(fgn_options.epc_bytes >> 32);
    }
}

/* Features whose state no enclave can have: a program that finds them puts them into XFRM. And
 * CET where this kind of processor has none. */
static void hide_features(struct answer *r)
{
    if ((fgn_offered() & FGN_AMX) == 0)
        r->d &= ~(1u << 22 | 1u << 24 | 1u << 25);
    if ((fgn_offered() & FGN_AVX512) == 0) {
        r->b &= ~(1u << 16 | 1u << 17 | 1u << 21 | 7u << 26 | 3u << 30);
        r->c &= ~(1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14);
        r->d &= ~(1u << 2 | 1u << 3 | 1u << 8 | 1u << 23);
    }
    if ((fgn_offered() & FGN_PKRU) == 0)
        r->c &= ~(1u << 3 | 1u << 4);
    if (!fgn_has_cet()) {
        r->c &= ~(1u << 7); /* shadow stacks */
        r->d &= ~(1u << 20);
    }
}

uint64_t fgn_offered(void)
{
    struct sgxsim_caps caps;
    sgxsim_caps(&caps);
    return caps.attributes.xfrm;
}

bool fgn_has_cet(void)
{
    struct sgxsim_caps caps;
    sgxsim_caps(&caps);
    return caps.cet;
}

static void answer_leaf(uint32_t leaf, uint32_t subleaf, struct answer *r)
{
    static const char brand[48] = FGN_BRAND;
    struct answer vendor;
    ask_host(0, 0, &vendor);
    bool intel = vendor.b == signature_INTEL_ebx;
    ask_host(leaf, subleaf, r);
    switch (leaf) {
    case 0:
        r->a = vendor.a < 0x1f ? 0x1f : vendor.a;
        r->b = signature_INTEL_ebx;
        r->c = signature_INTEL_ecx;
        r->d = signature_INTEL_edx;
        break;
    case 1:
        r->a = sgxsim_cpu_signature();
        break;
    case 2:
        if (!intel)
            *r = (struct answer){.a = 0x00feff01, .d = 0}; /* see leaf 4 */
        break;
    case 4:
        if (!intel)
            ask_host(0x8000001d, subleaf, r); /* in the same format */
        break;
    case 7:
        if (subleaf == 0) {
            r->b |= 1u << 2;  /* SGX */
            r->c |= 1u << 30; /* launch control */
            hide_features(r);
        } else if (subleaf == 1 && (fgn_offered() & FGN_AVX512) == 0) {
            r->a &= ~(1u << 5); /* BF16 */
        }
        break;
    case 0x12:
        answer_sgx(subleaf, r);
        break;
    case 0x14:
    case 0x15:
    case 0x16:
    case 0x17:
    case 0x18:
    case 0x19:
    case 0x1a:
    case 0x1b:
    case 0x1c:
        if (leaf > vendor.a)
            *r = (struct answer){0};
        break;
    case 0x1d: /* AMX */
    case 0x1e:
        *r = (struct answer){0};
        break;
    case 0x1f:
        if (leaf > vendor.a)
            ask_host(0xb, subleaf, r);
        break;
    case 0x80000000:
        if (!intel)
            *r = (struct answer){.a = 0x80000008};
        break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
        memcpy(r, brand + (leaf - 0x80000002) * 16, 16);
        break;
    default:
        if (!intel && leaf > 0x80000008)
            *r = (struct answer){0};
        break;
    }
}

/* --- sites ----------------------------------------------------------------------------------- */

static bool is_site(uint64_t at)
{
    uint32_t i = (uint32_t)(at ^ at >> 12) % SITES;
    for (uint32_t n = 0; n < SITES && sites[i] != 0; n++, i = (i + 1) % SITES) {
        if (sites[i] == at)
            return true;
    }
    return false;
}

static bool add_site(uint64_t at)
{
    uint32_t i = (uint32_t)(at ^ at >> 12) % SITES;
    for (uint32_t n = 0; n < SITES; n++, i = (i + 1) % SITES) {
        uint64_t none = 0;
        if (sites[i] == at || atomic_compare_exchange_strong(&sites[i], &none, at))
            return true;
    }
    return false;
}

/* Decoding falls into step after a few instructions wherever it begins, so most beginnings before a
 * real instruction come to it. */
static bool is_instruction(const uint8_t *text, size_t at, size_t size)
{
    size_t first = at > BEFORE ? at - BEFORE : 0;
    unsigned hits = 0, tries = 0;
    for (size_t begin = first; begin < at; begin++) {
        size_t p = begin;
        while (p < at) {
            unsigned n = fgn_length(text + p, size - p);
            if (n == 0)
                break;
            p += n;
        }
        if (p < at)
            continue; /* what it came upon is no code */
        tries++;
        hits += p == at;
    }
    return hits * 2 >= tries;
}

void fgn_cpuid_patch(uint64_t start, uint64_t size)
{
    uint8_t *text = (uint8_t *)start;
    bool open = false;
    if (faulting || size < 2)
        return;
    for (size_t at = 0; at + 1 < size; at++) {
        const uint8_t *p = memchr(text + at, 0x0f, size - 1 - at);
        if (p == NULL)
            break;
        at = (size_t)(p - text);
        if (p[1] != 0xa2 || !is_instruction(text, at, size))
            continue;
        if (!open && fgn_raw3(SYS_mprotect, start, size, PROT_READ | PROT_WRITE | PROT_EXEC) != 0)
            return;
        open = true;
        if (add_site(start + at))
            text[at + 1] = 0x0b;
    }
    if (open)
        fgn_raw3(SYS_mprotect, start, size, PROT_READ | PROT_EXEC);
}

/* MADV_DONTNEED brings back the file's bytes. */
long fgn_madvise(const long a[6])
{
    uint64_t start = (uint64_t)a[0], end = start + (uint64_t)a[1];
    long ret = FGN_PASS;
    for (uint32_t i = 0; i < SITES; i++) {
        uint64_t at = sites[i], page = at & ~0xfffull,
                 size = at + 2 - page > 0x1000 ? 0x2000 : 0x1000;
        if (at < start || at >= end)
            continue;
        if (ret == FGN_PASS)
            ret = fgn_raw3(SYS_madvise, a[0], a[1], a[2]);
        if (ret != 0 || fgn_raw3(SYS_mprotect, page, size, PROT_READ | PROT_WRITE | PROT_EXEC) != 0)
            continue;
        uint8_t *p = (uint8_t *)at;
        if (p[0] == 0x0f && p[1] == 0xa2)
            p[1] = 0x0b;
        fgn_raw3(SYS_mprotect, page, size, PROT_READ | PROT_EXEC);
    }
    return ret;
}

bool fgn_cpuid_trap(int sig, ucontext_t *uc)
{
    greg_t *r = uc->uc_mcontext.gregs;
    uint64_t rip = (uint64_t)r[REG_RIP];
    struct answer out;
    if (sig == SIGILL ? !is_site(rip) : sig != SIGSEGV || !faulting || r[REG_TRAPNO] != 13)
        return false;
    if (sim_self != NULL && sim_self->inside)
        return false;
    const uint8_t *p = (const uint8_t *)rip;
    if (p[0] != 0x0f || p[1] != (sig == SIGILL ? 0x0b : 0xa2))
        return false;
    answer_leaf((uint32_t)r[REG_RAX], (uint32_t)r[REG_RCX], &out);
    r[REG_RAX] = out.a;
    r[REG_RBX] = out.b;
    r[REG_RCX] = out.c;
    r[REG_RDX] = out.d;
    r[REG_RIP] += 2;
    return true;
}
