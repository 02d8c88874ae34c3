// SPDX-License-Identifier: Apache-2.0
// The test enclave: freestanding, position-independent, does as it is told (enclave.h).
#include <shelter/sgx.h>
#include "tests/sgx/enclave.h"

void probe_main(struct probe *p);
uint64_t probe_exception(uint64_t cssa);
void probe_enclu(struct probe *p);
uint64_t probe_spin(volatile uint64_t *flag);
uint64_t probe_vector(struct probe *p);
uint64_t probe_wide(volatile uint64_t *flag, uint64_t avx512);

#define TLS ((struct probe_tls __seg_gs *)0)

static void insn(struct probe *p)
{
    uint64_t result = p->rcx, out;
    switch (p->rbx) {
    case INSN_SYSCALL:
        __asm__ volatile("syscall" : "=a"(out) : "a"(result) : "rcx", "r11", "memory");
        p->rax = out;
        break;
    case INSN_UD2:
        __asm__ volatile("ud2");
        break;
    case INSN_INT3:
        __asm__ volatile("int3");
        break;
    case INSN_DIV0:
        __asm__ volatile("div %0" : : "r"(0), "a"(1), "d"(0));
        break;
    case INSN_HLT:
        __asm__ volatile("hlt");
        break;
    case INSN_INT80:
        __asm__ volatile("int $0x80" : : "a"(20));
        break;
    case INSN_IN:
        __asm__ volatile("inb $0x80, %%al" : : : "rax");
        break;
    case INSN_OUTS:
        __asm__ volatile("rep outsw" : : "d"(0x80), "S"(p), "c"(1));
        break;
    case INSN_RDPMC:
        __asm__ volatile("rdpmc" : : "c"(0) : "rax", "rdx");
        break;
    case INSN_INT33:
        __asm__ volatile("int $0x21");
        break;
    case INSN_ALIGN:
        __asm__ volatile("pushfq; orq $0x40000, (%%rsp); popfq; mov 1(%%rsp), %%rax;"
                         "pushfq; andq $~0x40000, (%%rsp); popfq"
                         :
                         :
                         : "rax", "memory", "cc");
        break;
    case INSN_SIMD: {
        uint32_t open = 0x1d80; /* zero-divide unmasked */
        float one = 1, zero = 0;
        __asm__ volatile("ldmxcsr %0; movss %1, %%xmm0; divss %2, %%xmm0"
                         :
                         : "m"(open), "m"(one), "m"(zero)
                         : "xmm0");
        break;
    }
    }
}

void probe_main(struct probe *p)
{
    switch (p->op) {
    case PROBE_ENCLU:
        probe_enclu(p);
        break;
    case PROBE_COPY:
        for (uint64_t i = 0; i < p->rcx; i++)
            ((volatile uint8_t *)p->rax)[i] = ((volatile uint8_t *)p->rbx)[i];
        break;
    case PROBE_READ:
        p->rax = *(volatile uint64_t *)p->rbx;
        break;
    case PROBE_WRITE:
        *(volatile uint64_t *)p->rbx = p->rcx;
        break;
    case PROBE_CALL:
        p->rax = ((uint64_t(*)(void))p->rbx)();
        break;
    case PROBE_INSN:
        insn(p);
        break;
    case PROBE_SPIN:
        p->rax = probe_spin((volatile uint64_t *)p->rbx);
        break;
    case PROBE_WIDE:
        p->rax = probe_wide((volatile uint64_t *)p->rbx, p->rax);
        break;
    case PROBE_BASES:
        __asm__ volatile("rdfsbase %0" : "=r"(p->rax));
        __asm__ volatile("rdgsbase %0" : "=r"(p->rbx));
        p->rcx = TLS->rflags;
        p->rdx = TLS->rcx;
        break;
    case PROBE_VECTOR:
        p->rbx = probe_vector(p);
        break;
    }
}

/* The frame that the interrupted code left: CSSA - 1. */
static struct sgx_gprsgx *frame(uint64_t cssa)
{
    return (struct sgx_gprsgx *)(TLS->ssa + TLS->ssa_frame_size * cssa) - 1;
}

uint64_t probe_exception(uint64_t cssa)
{
    struct sgx_gprsgx *g = frame(cssa);
    unsigned vector = SGX_EXIT_VECTOR(g->exitinfo);
    if ((g->exitinfo & SGX_EXIT_VALID) == 0)
        return 0;
    if (vector == SGX_VECTOR_UD && TLS->handler != HANDLER_ACCEPT &&
        *(const uint16_t *)g->rip == 0x050f) {
        g->rip += 2;
        g->rax = 4242;
        g->exitinfo = 0;
        return TLS->handler == HANDLER_CONTINUE;
    }
    if (vector == SGX_VECTOR_PF && TLS->handler == HANDLER_ACCEPT) {
        struct sgx_secinfo info = {.flags = SGX_SECINFO_PT(SGX_PT_REG) | SGX_SECINFO_PENDING | 3};
        struct probe p = {.rax = SGX_EACCEPT,
                          .rbx = (uint64_t)&info,
                          .rcx = ((struct sgx_exinfo *)g - 1)->maddr & ~4095ull};
        probe_enclu(&p);
    }
    return 0;
}
