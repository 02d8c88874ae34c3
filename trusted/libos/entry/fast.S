// SPDX-License-Identifier: Apache-2.0
// Where patched call sites enter (mm/sites.h): registers as at `syscall`, but for RCX, or as at
// `cpuid`, but for RDX, which says where the program goes on. Nothing is pushed on the program's
// stack: its red zone is in use.
//
// All of this is LibOS code for whatever interrupts it: a kick that hits here is seen on the way
// back. Registers go straight to thread.regs, the place of the last one first.
#include "trusted/libos/entry/offsets.h"

#define FLAG_TF 0x100
#define FLAGS_FOREIGN 0x40500               // TF, DF, AC: not for the LibOS

    .text
    .macro enter_from_site next, handler
    mov %rsp, %gs:REGS_RSP
    mov \next, %gs:REGS_RIP
    mov %gs:0, %rsp
    lea REGS_RSP(%rsp), %rsp
    pushfq
    push %rax
    push %rcx
    push %rdx
    push %rbx
    push %rbp
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    testl $FLAGS_FOREIGN, (REGS_FLAGS - REGS)(%rsp)
    lea -REGS(%rsp), %rdi
    mov STACK(%rdi), %rsp
    jnz 2f
1:  xor %ebp, %ebp
    call \handler
    ud2
2:  andl $~FLAG_TF, REGS_FLAGS(%rdi)        // a call ends the stepping (mm/sites.h)
    pushq $2
    popfq
    jmp 1b
    .endm

    .globl los_fast, los_fast_cpuid
    .type los_fast, @function
los_fast:
    enter_from_site %rcx, los_fast_call
    .size los_fast, . - los_fast

    .type los_fast_cpuid, @function
los_fast_cpuid:
    enter_from_site %rdx, los_fast_cpuid_call
    .size los_fast_cpuid, . - los_fast_cpuid

    .section .note.GNU-stack, "", @progbits
