// SPDX-License-Identifier: Apache-2.0
// Lays out VMSA pages: reset state, with what KVM and each VMM add.
#include "verifier/measure/snp_vmsa.h"
#include "lib/bytes.h"

enum { // offsets of the save area
    ES = 0x000,
    CS = 0x010,
    SS = 0x020,
    DS = 0x030,
    FS = 0x040,
    GS = 0x050,
    GDTR = 0x060,
    LDTR = 0x070,
    IDTR = 0x080,
    TR = 0x090,
    EFER = 0x0d0,
    CR4 = 0x148,
    CR0 = 0x158,
    DR7 = 0x160,
    DR6 = 0x168,
    RFLAGS = 0x170,
    RIP = 0x178,
    G_PAT = 0x268,
    RDX = 0x310,
    SEV_FEATURES = 0x3b0,
    XCR0 = 0x3e8,
    MXCSR = 0x408,
    X87_FCW = 0x410,
};

struct quirks {
    uint16_t cs_bsp, cs, ss, tr;
    bool sig_in_rdx;
    uint32_t rdx, mxcsr;
    uint16_t fcw;
    uint64_t g_pat;
};

static const struct quirks quirks[] = {
    [SV_VMM_QEMU] = {0x9b, 0x9b, 0x93, 0x8b, true, 0, 0x1f80, 0x37f, 0x7040600070406},
    [SV_VMM_EC2] = {0x9a, 0x9b, 0x92, 0x83, false, 0x600, 0, 0, 0x7040600070406},
    [SV_VMM_GCE] = {0x9b, 0x9b, 0x93, 0x8b, false, 0x600, 0, 0, 0x70106},
};

static void put_segment(uint8_t *at, uint16_t selector, uint16_t attributes, uint32_t base)
{
    sh_put_le16(at, selector);
    sh_put_le16(at + 2, attributes);
    sh_put_le32(at + 4, 0xffff);
    sh_put_le64(at + 8, base);
}

void sv_vmsa(uint8_t page[4096], uint32_t eip, uint64_t features, uint32_t vcpu_sig,
             enum sv_vmm vmm)
{
    const struct quirks *q = &quirks[vmm];

    memset(page, 0, 4096);
    put_segment(page + ES, 0, 0x93, 0);
    put_segment(page + CS, 0xf000, eip == 0xfffffff0 ? q->cs_bsp : q->cs, eip & 0xffff0000);
    put_segment(page + SS, 0, q->ss, 0);
    put_segment(page + DS, 0, 0x93, 0);
    put_segment(page + FS, 0, 0x93, 0);
    put_segment(page + GS, 0, 0x93, 0);
    put_segment(page + GDTR, 0, 0, 0);
    put_segment(page + LDTR, 0, 0x82, 0);
    put_segment(page + IDTR, 0, 0, 0);
    put_segment(page + TR, 0, q->tr, 0);
    sh_put_le64(page + EFER, 0x1000); // SVME
    sh_put_le64(page + CR4, 0x40);    // MCE
    sh_put_le64(page + CR0, 0x10);
    sh_put_le64(page + DR7, 0x400);
    sh_put_le64(page + DR6, 0xffff0ff0);
    sh_put_le64(page + RFLAGS, 2);
    sh_put_le64(page + RIP, eip & 0xffff);
    sh_put_le64(page + G_PAT, q->g_pat);
    sh_put_le64(page + RDX, q->sig_in_rdx ? vcpu_sig : q->rdx);
    sh_put_le64(page + SEV_FEATURES, features);
    sh_put_le64(page + XCR0, 1);
    sh_put_le32(page + MXCSR, q->mxcsr);
    sh_put_le16(page + X87_FCW, q->fcw);
}
