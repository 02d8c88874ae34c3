// SPDX-License-Identifier: Apache-2.0
// Into code that was not compiled for the LibOS (Debian's mbedTLS), and back.
//
// That code uses vector registers, whose contents may be the program's, and reads its stack canary at
// %fs:0x28, where FS may be the program's too. So all extended state is put away, a clean one loaded,
// and FS and the stack are its own. On the way back nothing of it stays in any register. Calls out
// (sgx_call_out) and exceptions on the way keep its state as they keep the program's.
//
// long agent_enter(struct agent_frame *frame, long (*run)(void *), void *arg)
//      frame: stack top 0, fs 8, xsave area 16, components 24

#define F_STACK 0
#define F_FS 8
#define F_XSAVE 16
#define F_XFRM 24

        .text
        .globl  agent_enter
        .hidden agent_enter
        .type   agent_enter, @function
agent_enter:
        push    %rbp
        push    %rbx
        push    %r12
        push    %r13
        mov     %rsp, %rbp
        mov     %rdi, %rbx
        mov     %rsi, %r12
        mov     %rdx, %rdi
        mov     F_XSAVE(%rbx), %rcx
        mov     F_XFRM(%rbx), %eax
        mov     F_XFRM + 4(%rbx), %edx
        xsave64 (%rcx)
        lea     initial(%rip), %rcx
        xrstor64 (%rcx)
        rdfsbase %r13
        mov     F_FS(%rbx), %rax
        wrfsbase %rax
        mov     F_STACK(%rbx), %rsp
        call    *%r12
        mov     %rax, %r12
        cld
        wrfsbase %r13
        mov     F_XSAVE(%rbx), %rcx
        mov     F_XFRM(%rbx), %eax
        mov     F_XFRM + 4(%rbx), %edx
        xrstor64 (%rcx)
        mov     %r12, %rax
        xor     %ecx, %ecx
        xor     %edx, %edx
        xor     %esi, %esi
        xor     %edi, %edi
        xor     %r8d, %r8d
        xor     %r9d, %r9d
        xor     %r10d, %r10d
        xor     %r11d, %r11d
        mov     %rbp, %rsp
        pop     %r13
        pop     %r12
        pop     %rbx
        pop     %rbp
        ret
        .size   agent_enter, . - agent_enter

// Every component in its initial state; MXCSR masks all exceptions.
        .section .rodata.agent_initial, "a"
        .balign 64
initial:
        .fill   24, 1, 0
        .long   0x1f80
        .fill   576 - 28, 1, 0

        .section .note.GNU-stack, "", @progbits
