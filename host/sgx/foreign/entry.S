// SPDX-License-Identifier: Apache-2.0
// The gates, the jump into the program, the return of our handlers.

        .text
// A gate is a system call in our text, where the filter lets it through. The registers are the
// program's, also in a child that has another stack, so the way back is in a table of its own.
        .globl  fgn_gates
        .balign 16
fgn_gates:
        n = 0
        .rept   1024
        syscall
        jmp     *(fgn_gate_out + n)(%rip)
        n = n + 8
        .endr

        .globl  fgn_restore
fgn_restore:
        mov     $15, %eax                       // rt_sigreturn
        syscall

// fgn_jump(entry, stack): as execve leaves the registers.
        .globl  fgn_jump
fgn_jump:
        mov     %rsi, %rsp
        mov     %rdi, %r11
        xor     %eax, %eax
        wrfsbase %rax
        wrgsbase %rax
        xor     %ebx, %ebx
        xor     %ecx, %ecx
        xor     %edx, %edx
        xor     %esi, %esi
        xor     %edi, %edi
        xor     %ebp, %ebp
        xor     %r8d, %r8d
        xor     %r9d, %r9d
        xor     %r10d, %r10d
        xor     %r12d, %r12d
        xor     %r13d, %r13d
        xor     %r14d, %r14d
        xor     %r15d, %r15d
        jmp     *%r11

        .bss
        .balign 16
        .globl  fgn_gate_out
fgn_gate_out:
        .skip   1024 * 8

        .section .rodata
        .balign 16
        .globl  fgn_vdso_begin, fgn_vdso_end
fgn_vdso_begin:
        .incbin VDSO_IMAGE
fgn_vdso_end:
        .byte   0

        .section .note.GNU-stack, "", @progbits
