// SPDX-License-Identifier: Apache-2.0
// The vDSO's function keeps RBX, RBP and RSP only, and an exit may leave any vector state: this keeps
// the rest of what C expects.
        .text
// int sgx_enter(entry, run, function, rdi, rsi, rdx)
        .globl  sgx_enter
        .type   sgx_enter, @function
sgx_enter:
        push    %rbp
        push    %rbx
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        sub     $16, %rsp
        stmxcsr 8(%rsp)
        fnstcw  12(%rsp)
        pushq   %rsi                            // the seventh argument, RSP 16-byte aligned
        mov     %rdi, %rax
        mov     %edx, %r10d
        mov     %rcx, %rdi
        mov     %r8, %rsi
        mov     %r9, %rdx
        mov     %r10d, %ecx
        xor     %r8d, %r8d
        xor     %r9d, %r9d
        call    *%rax
        add     $8, %rsp
        cld
        pushfq                                  // an AEX leaves AC as the enclave had it
        testl   $0x40000, (%rsp)
        jz      1f
        andl    $~0x40000, (%rsp)
        popfq
        pushq   $0
1:      lea     8(%rsp), %rsp
        emms
        ldmxcsr 8(%rsp)
        fldcw   12(%rsp)
        add     $16, %rsp
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbx
        pop     %rbp
        ret
        .size   sgx_enter, . - sgx_enter
        .section .note.GNU-stack, "", @progbits
