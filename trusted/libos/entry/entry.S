// SPDX-License-Identifier: Apache-2.0
// The way back to the program, and the first instructions of threads.
//
// gs points at struct thread: self, canary, stack, kicked, regs (struct regs: r15 ... rax, flags, rsp,
// rip). Anything asynchronous that hits between los_resume_start and los_resume_end must begin
// again at los_trap with TRAP_KICK: thread.regs is still whole there, the registers are not.
//
// A port whose processor tells of every exit (AEX-Notify) gives thread.notify. After an interruption
// the pages of the next instruction and of the stack are used here first, with nothing between that
// and the program that could be interrupted without beginning again: who steps the program by its
// interrupts cannot make its next instruction slow by making these pages so.

#include "trusted/libos/entry/offsets.h"

    .text

// _Noreturn void los_resume(struct thread *t): all registers from t->regs.
    .globl los_resume, los_resume_start, los_resume_end
    .type los_resume, @function
los_resume:
los_resume_start:
    cmpq $0, %gs:KICKED
    jne 1f
    mov NOTIFY(%rdi), %rax
    test %rax, %rax
    jz 2f
    movb $1, (%rax)                         // from here on every exit leads back to los_trap
    mov TOUCH_CODE(%rdi), %rax
    test %rax, %rax
    jz 2f
    testb $1, (%rax)
    mov TOUCH_STACK(%rdi), %rax
    lock orb $0, (%rax)
    movq $0, TOUCH_CODE(%rdi)
2:  lea REGS(%rdi), %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rbp
    pop %rbx
    pop %rdx
    pop %rcx
    pop %rax
    popfq
    mov %gs:REGS_RSP, %rsp
    jmp *%gs:REGS_RIP
los_resume_end:
1:  mov %gs:STACK, %rsp
    call los_kicked
    ud2
    .size los_resume, . - los_resume

// Where a port lets a thread go on that was interrupted in program code: its registers are in
// t->regs, the stack may be anything.
    .globl los_trap_entry
    .type los_trap_entry, @function
los_trap_entry:
    cld
    mov %gs:0, %rdi
    mov STACK(%rdi), %rsp
    xor %ebp, %ebp
    call los_trap
    ud2
    .size los_trap_entry, . - los_trap_entry

    .section .note.GNU-stack, "", @progbits
