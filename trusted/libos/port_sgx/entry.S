// SPDX-License-Identifier: Apache-2.0
// The enclave's only entry, and its only exits.
//
// At entry nothing but RAX (CSSA), RBX (TCS), RCX (where EEXIT goes) and the bases of FS and GS is the
// processor's; all else is the host's. GS points at struct port_thread. An asynchronous exit may
// happen between any two instructions, and the host may enter at CSSA 1 right after it: that path
// has a stack and fields of its own, and never uses a register of the code that it interrupted.
#include "trusted/libos/port_sgx/offsets.h"

#define ENCLU_EEXIT 4

        .macro  slot
        .byte   0x0f, 0x01, 0xd7, 0x66, 0x90    // enclu; xchg %ax, %ax: the simulator makes it a jump
        .endm

// DF and AC off (needs a stack of ours).
        .macro  clean_flags
        pushq   $2
        popfq
        .endm

// All extended state from (%rcx); RDI = struct port_thread.
        .macro  load_state
        mov     P_XFRM(%rdi), %eax
        mov     P_XFRM + 4(%rdi), %edx
        xrstor64 (%rcx)
        .endm

// What the host had in the registers that C does not expect anything in.
        .macro  forget registers:vararg
        .irp    r, \registers
        xor     %\r, %\r
        .endr
        .endm

        .text
        .globl  sgx_entry
        .type   sgx_entry, @function
sgx_entry:
        cld
        test    %eax, %eax
        jnz     .Lexception
        mov     $STATE_RUNNING, %eax
        xchg    %rax, %gs:P_STATE               // each state lets one entry in
        cmp     $STATE_CALLING, %rax
        je      .Lreturn
        cmp     $STATE_NEW, %rax
        jne     .Lrefused
        mov     %rsp, %gs:P_HOST_RSP
        mov     %rbp, %gs:P_HOST_RBP
        mov     %rcx, %gs:P_HOST_RET
        mov     %rdi, %rsi                      // the host's slot
        mov     %gs:P_ENTRY_STACK, %rsp
        clean_flags
        mov     %gs:P_SELF, %rdi
        lea     sgx_initial(%rip), %rcx
        load_state
        lfence
        forget  eax, ebx, ecx, edx, ebp, r8d, r9d, r10d, r11d, r12d, r13d, r14d, r15d
        call    sgx_thread_start
        ud2

// Back from a call out: the stack, then the state, then the bases, as they were.
.Lreturn:
        mov     %rsp, %gs:P_HOST_RSP
        mov     %rbp, %gs:P_HOST_RBP
        mov     %rcx, %gs:P_HOST_RET
        mov     %gs:P_CALL_RSP, %rsp
        clean_flags
        mov     %gs:P_SELF, %rdi
        mov     P_XSAVE(%rdi), %rcx
        load_state
        lfence
        forget  ecx, edx, esi, r8d, r9d, r10d, r11d
        mov     P_FS(%rdi), %rax
        wrfsbase %rax
        mov     P_THREAD(%rdi), %rax
        wrgsbase %rax
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbx
        pop     %rbp
        ret

// An exception of the program, or the host wants to be heard. No vector register is used here: the
// program's are in the SSA, and ERESUME loads them.
.Lexception:
        cmp     $1, %eax
        jne     .Lrefused
        mov     %rsp, %gs:P_EXC_RSP
        mov     %rbp, %gs:P_EXC_RBP
        mov     %rcx, %gs:P_EXC_RET
        mov     %gs:P_EXC_STACK, %rsp
        clean_flags
        lfence
        mov     %gs:P_SELF, %rdi
        forget  eax, ebx, ecx, edx, esi, ebp, r8d, r9d, r10d, r11d, r12d, r13d, r14d, r15d
        call    sgx_exception                   // enum sh_out
        mov     %eax, %edi
        mov     %gs:P_EXC_RSP, %rsp
        mov     %gs:P_EXC_RBP, %rbp
        mov     %gs:P_EXC_RET, %rbx
        jmp     .Lexit
.Lrefused:
        mov     %rcx, %rbx
        mov     $OUT_REFUSED, %edi
.Lexit:
        xor     %ecx, %ecx
        xor     %edx, %edx
        xor     %esi, %esi
        xor     %r8d, %r8d
        xor     %r9d, %r9d
        xor     %r10d, %r10d
        xor     %r11d, %r11d
        xor     %r12d, %r12d
        xor     %r13d, %r13d
        xor     %r14d, %r14d
        xor     %r15d, %r15d
        mov     $ENCLU_EEXIT, %eax
        slot
        ud2
        .size   sgx_entry, . - sgx_entry

// void sgx_call_out(struct port_thread *p): the slot says what; returns after the answer.
        .globl  sgx_call_out
        .type   sgx_call_out, @function
sgx_call_out:
        push    %rbp
        push    %rbx
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        mov     P_XFRM(%rdi), %eax
        mov     P_XFRM + 4(%rdi), %edx
        mov     P_XSAVE(%rdi), %rcx
        xsave64 (%rcx)
        lea     sgx_initial(%rip), %rcx
        xrstor64 (%rcx)                         // nothing of the program's leaves
        rdfsbase %rax
        mov     %rax, P_FS(%rdi)
        mov     %rsp, P_CALL_RSP(%rdi)
        mov     P_HOST_RSP(%rdi), %rsp
        mov     P_HOST_RBP(%rdi), %rbp
        mov     P_HOST_RET(%rdi), %rbx
        movq    $STATE_CALLING, P_STATE(%rdi)
        mov     $OUT_CALL, %edi
        jmp     .Lexit
        .size   sgx_call_out, . - sgx_call_out

// void sgx_lend(uint64_t *kept, struct thread *next, uint64_t stack_top): the stack of the caller is kept; returns
// by sgx_return.
        .globl  sgx_lend
        .type   sgx_lend, @function
sgx_lend:
        push    %rbp
        push    %rbx
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        mov     %rsp, (%rdi)
        mov     %rdx, %rsp
        wrgsbase %rsi
        mov     %rsi, %rdi
        xor     %ebp, %ebp
        call    los_thread_main
        ud2
        .size   sgx_lend, . - sgx_lend

// _Noreturn void sgx_return(uint64_t kept, struct thread *to, uint32_t *gone): after *gone is set, if it is given, the
// caller has no stack.
        .globl  sgx_return
        .type   sgx_return, @function
sgx_return:
        mov     %rdi, %rsp
        wrgsbase %rsi
        test    %rdx, %rdx
        jz      1f
        movl    $1, (%rdx)
1:      pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbx
        pop     %rbp
        ret
        .size   sgx_return, . - sgx_return

// _Noreturn void sgx_thread_end(struct port_thread *p, uint32_t *gone, uint32_t out): after *gone is set the
// thread has no stack and no struct thread. `out`: enum sh_out.
        .globl  sgx_thread_end
        .type   sgx_thread_end, @function
sgx_thread_end:
        mov     %rsi, %r8
        mov     %edx, %esi
        mov     P_XFRM(%rdi), %eax
        mov     P_XFRM + 4(%rdi), %edx
        lea     sgx_initial(%rip), %rcx
        xrstor64 (%rcx)
        wrgsbase %rdi
        mov     P_HOST_RSP(%rdi), %rsp
        mov     P_HOST_RBP(%rdi), %rbp
        mov     P_HOST_RET(%rdi), %rbx
        movq    $0, P_THREAD(%rdi)
        movq    $STATE_FREE, P_STATE(%rdi)
        movl    $1, (%r8)
        mov     %esi, %edi
        jmp     .Lexit
        .size   sgx_thread_end, . - sgx_thread_end

// uint64_t sgx_enclu(uint64_t leaf, uint64_t rbx, uint64_t rcx, uint64_t rdx). A fault of the leaf (the
// host gave no page) comes back as UINT64_MAX: sgx_exception knows the place.
        .section .text.sgx_enclu, "ax", @progbits
        .globl  sgx_enclu, sgx_enclu_site
        .type   sgx_enclu, @function
sgx_enclu:
        push    %rbx
        mov     %rdi, %rax
        mov     %rsi, %rbx
        xchg    %rdx, %rcx
sgx_enclu_site:
        slot
        pop     %rbx
        ret
        .size   sgx_enclu, . - sgx_enclu

// What XRSTOR loads to have every component in its initial state: legacy area and header, which names none
// (SDM volume 1, 13.8.1: then nothing behind the header is read).
        .section .rodata, "a"
        .balign 64
        .globl  sgx_initial
sgx_initial:
        .fill   24, 1, 0
        .long   0x1f80                          // MXCSR
        .fill   576 - 28, 1, 0

// The TCS that starts the enclave. ELRANGE starts at 0, so that addresses are offsets.
        .section .tcs, "aw"
        .balign 4096
        .globl  sgx_boot_tcs
sgx_boot_tcs:
        .quad   0, 0, sgx_boot_ssa
        .long   0, 2                            // CSSA, NSSA
        .quad   sgx_entry, 0, sgx_boot, sgx_boot
        .long   0xffffffff, 0xffffffff          // limits: of 32-bit enclaves
        .balign 4096

        .section .note.GNU-stack, "", @progbits
