// SPDX-License-Identifier: Apache-2.0
// Ends with 0 if its first instruction finds no vector register, mask of AVX, flag or FS of anybody
// else: what ran before it (the agent's crypto) must have left nothing.
        .globl  _start
_start:
        sub     $576, %rsp
        and     $-64, %rsp
        fxsave64 (%rsp)
        mov     $1, %ebx
        cmpl    $0x1f80, 24(%rsp)               // MXCSR
        jne     1f
        inc     %ebx
        lea     160(%rsp), %rsi                 // XMM0 to XMM15
        mov     $32, %ecx
2:      cmpq    $0, (%rsi)
        jne     1f
        add     $8, %rsi
        loop    2b
        inc     %ebx
        lea     32(%rsp), %rsi                  // x87 registers
        mov     $16, %ecx
3:      cmpq    $0, (%rsi)
        jne     1f
        add     $8, %rsi
        loop    3b
        inc     %ebx
        rdfsbase %rax
        test    %rax, %rax
        jnz     1f
        xor     %ebx, %ebx
1:      mov     %ebx, %edi
        mov     $231, %eax
        syscall
        .section .note.GNU-stack, "", @progbits
