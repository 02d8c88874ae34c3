// SPDX-License-Identifier: Apache-2.0
// Calls the vDSO's function, which keeps RBP and RSP alone: the rest is as the enclave left it.
#ifndef TESTS_FOREIGN_ENTER_H
#define TESTS_FOREIGN_ENTER_H

#include <asm/sgx.h>

struct op {
    volatile unsigned long number, a, result;
};

static inline long enter_by(vdso_sgx_enter_enclave_t f, struct op *op, unsigned function,
                            struct sgx_enclave_run *run)
{
    long ret;
    unsigned long rdi = (unsigned long)op, rcx = function, rsi, rdx;
    register unsigned long r8 __asm__("r8") = 0, r9 __asm__("r9") = 0;
    __asm__ volatile("sub $128, %%rsp\n" /* the red zone */
                     "push %%rbp\n"
                     "sub $8, %%rsp\n"
                     "push %[run]\n"
                     "mov %%rax, %%r11\n"
                     "sub $8, %%rsp\n"
                     "push %[run]\n"
                     "call *%%r11\n"
                     "add $32, %%rsp\n"
                     "pop %%rbp\n"
                     "add $128, %%rsp\n"
                     : "=a"(ret), "+D"(rdi), "+c"(rcx), [run] "+b"(run), "=S"(rsi), "=d"(rdx),
                       "+r"(r8), "+r"(r9)
                     : "0"(f)
                     : "r10", "r11", "r12", "r13", "r14", "r15", "cc", "memory");
    return (int)ret;
}

#endif
