// SPDX-License-Identifier: Apache-2.0
// The ways into and out of the simulated processor: the vDSO's function, the jump from a patched
// ENCLU slot, and the way back with every register as the leaf left it.
#include "host/sgx/sim/offsets.h"

#define EENTER 2
#define ERESUME 3
#define EEXIT 4

        .text

// The vDSO's function: (rdi, rsi, rdx, ecx = function, r8, r9, 16(%rbp) = run). Twice: for a program that
// is linked with us, whose thread pointer finds sim_self, and for a foreign one, whose thread is known
// by ES. `name`: of the function, of the AEP, of the ENCLU there, of where exceptions go.
        .macro  enter name, aep, enclu, exception, foreign
        .globl  \name
        .type   \name, @function
\name:
        push    %rbp
        mov     %rsp, %rbp
        push    %rbx
        .if     !\foreign
        mov     sim_self@gottpoff(%rip), %rax
        cmpq    $0, %fs:(%rax)
        je      .Lattach\foreign
        .endif
.Lattached\foreign:
        mov     %ecx, %eax
.Lenter\foreign:
        cmp     $EENTER, %eax
        jb      .Linvalid\foreign
        cmp     $ERESUME, %eax
        ja      .Linvalid\foreign
        mov     16(%rbp), %rbx
        xor     %ecx, %ecx
        at = 0
        .rept   27
        or      RUN_RESERVED + at(%rbx), %rcx
        at = at + 8
        .endr
        test    %rcx, %rcx
        jnz     .Linvalid\foreign
        mov     RUN_TCS(%rbx), %rbx
        lea     \aep(%rip), %rcx

// The AEP. An asynchronous exit resumes here with RAX = ERESUME, RBX = TCS, RCX = AEP.
        .globl  \aep
\aep:
        cmpb    $0, sim_strict(%rip)
        jne     \enclu
        .if     \foreign
        mov     %es, %r11d                      // R11 is nobody's here
        cmp     $7, %r11w
        jbe     \enclu                          // not yet known: the first ENCLU is #UD
        cmp     $EENTER, %eax
        jb      \enclu
        cmp     $ERESUME, %eax
        ja      \enclu
        and     $0x7ff8, %r11d
        add     sim_table(%rip), %r11
        mov     (%r11), %r11
        mov     %eax, %eax
        mov     %rax, T_RAX(%r11)
        mov     %r11, %rax
        .else
        cmp     $EENTER, %eax
        jne     1f
        mov     sim_self@gottpoff(%rip), %rax
        mov     %fs:(%rax), %rax
        movq    $EENTER, T_RAX(%rax)
        jmp     2f
1:      cmp     $ERESUME, %eax
        jne     \enclu
        mov     sim_self@gottpoff(%rip), %rax
        mov     %fs:(%rax), %rax
        movq    $ERESUME, T_RAX(%rax)
        .endif
2:      mov     %rcx, T_RCX(%rax)
        lea     \enclu(%rip), %rcx
        mov     %rcx, T_RIP(%rax)
        movq    $3, T_INSN(%rax)
        .if     \foreign
        jmp     sim_from_foreign
        .else
        jmp     sim_from_host
        .endif
        .globl  \enclu
\enclu:
        .byte   0x0f, 0x01, 0xd7                // enclu

// EEXIT comes here, unless the enclave goes elsewhere.
        cld
        mov     16(%rbp), %rbx
        movl    $EEXIT, RUN_FUNCTION(%rbx)
.Lexited\foreign:
        cmpq    $0, RUN_HANDLER(%rbx)
        jne     .Lhandler\foreign
        xor     %eax, %eax
.Lout\foreign:
        mov     -8(%rbp), %rbx
        leave
        ret
.Linvalid\foreign:
        mov     $-22, %eax                      // -EINVAL
        jmp     .Lout\foreign

// A fault of ENCLU or of the enclave: RAX = leaf, RDI = vector, RSI = error code, RDX = address.
        .globl  \exception
\exception:
        cld
        mov     16(%rbp), %rbx
        mov     %eax, RUN_FUNCTION(%rbx)
        mov     %di, RUN_VECTOR(%rbx)
        mov     %si, RUN_ERROR(%rbx)
        mov     %rdx, RUN_ADDR(%rbx)
        jmp     .Lexited\foreign

// handler(rdi, rsi, rdx, rcx = RSP at exit, r8, r9, run); its result is the next leaf, or ours.
.Lhandler\foreign:
        mov     RUN_HANDLER(%rbx), %rax
        mov     %rsp, %rcx
        and     $-16, %rsp
        push    %rcx
        push    %rbx
        call    *%rax
        mov     8(%rsp), %rsp
        test    %eax, %eax
        jle     .Lout\foreign
        jmp     .Lenter\foreign

        .if     !\foreign
.Lattach\foreign:
        push    %rdi
        push    %rsi
        push    %rdx
        push    %rcx
        push    %r8
        push    %r9
        sub     $8, %rsp
        call    sim_attach
        add     $8, %rsp
        pop     %r9
        pop     %r8
        pop     %rcx
        pop     %rdx
        pop     %rsi
        pop     %rdi
        test    %eax, %eax
        jz      .Lattached\foreign
        jmp     .Lout\foreign
        .endif
        .size   \name, . - \name
        .endm

        enter   sgxsim_enter_enclave, sim_aep, sim_aep_enclu, sim_exception, 0
        enter   sim_foreign_enter, sim_foreign_aep, sim_foreign_enclu, sim_foreign_exception, 1

// Saves what the stub or the entry has not saved, with RAX = struct sim_thread.
        .macro  save_rest
        mov     %rdx, T_RDX(%rax)
        mov     %rbx, T_RBX(%rax)
        mov     %rsp, T_RSP(%rax)
        mov     %rbp, T_RBP(%rax)
        mov     %rsi, T_RSI(%rax)
        mov     %rdi, T_RDI(%rax)
        mov     %r8, T_R8(%rax)
        mov     %r9, T_R9(%rax)
        mov     %r10, T_R10(%rax)
        mov     %r11, T_R11(%rax)
        mov     %r12, T_R12(%rax)
        mov     %r13, T_R13(%rax)
        mov     %r14, T_R14(%rax)
        mov     %r15, T_R15(%rax)
        mov     T_STACK(%rax), %rsp
        pushfq
        popq    T_RFLAGS(%rax)
        mov     %rax, %rbx
        rdfsbase %rax
        mov     %rax, T_FS(%rbx)
        rdgsbase %rcx
        mov     %rcx, T_GS(%rbx)
        .endm

// From here to sim_trans_end a signal finds registers of neither side (signal.c defers it).
        .globl  sim_trans_begin, sim_trans_end
sim_trans_begin:
sim_from_foreign:
        save_rest
        mov     %rax, T_HOST_FS(%rbx)
        mov     %rcx, T_HOST_GS(%rbx)
        mov     T_LIB_FS(%rbx), %rax
        wrfsbase %rax
        jmp     1f
sim_from_host:
        save_rest
        mov     %rax, T_HOST_FS(%rbx)
        mov     %rcx, T_HOST_GS(%rbx)
        jmp     1f
        .globl  sim_from_enclave
sim_from_enclave:
        save_rest
        mov     T_LIB_FS(%rbx), %rax
        wrfsbase %rax
        mov     T_HOST_GS(%rbx), %rax
        wrgsbase %rax
1:      testl   $0x40500, T_RFLAGS(%rbx)        // AC, DF, TF: not for our C code
        jz      2f
        pushq   $2
        popfq
2:      mov     %rbx, %rdi
        call    sim_enclu_live
        mov     T_XRSTOR(%rbx), %rcx
        test    %rcx, %rcx
        jz      sim_commit_begin
        mov     T_XMASK(%rbx), %eax
        mov     T_XMASK + 4(%rbx), %edx
        xrstor64 (%rcx)
        movq    $0, T_XRSTOR(%rbx)
// From here on the leaf has happened: a signal finds the state of its far side in struct sim_thread.
        .globl  sim_commit_begin, sim_commit_end
sim_commit_begin:
        cmpq    $0, T_PENDING(%rbx)
        jne     sim_trap
        jmp     *T_CODE(%rbx)
sim_commit_end:
        .globl  sim_trap
sim_trap:
        ud2                                     // signal.c finishes, and lets signals in again
sim_trans_end:

// Copied to a page of each thread, whose struct sim_thread starts on the next page, so that the last
// jump needs neither a register nor the stack.
        .macro  t_load field, reg
        mov     sim_code_begin + 4096 + \field(%rip), \reg
        .endm
        .globl  sim_code_begin, sim_code_end
sim_code_begin:
        t_load  T_FS, %rax
        wrfsbase %rax
        t_load  T_GS, %rax
        wrgsbase %rax
        t_load  T_STACK, %rsp
        pushq   sim_code_begin + 4096 + T_RFLAGS(%rip)
        popfq
        t_load  T_RCX, %rcx
        t_load  T_RDX, %rdx
        t_load  T_RBX, %rbx
        t_load  T_RSP, %rsp
        t_load  T_RBP, %rbp
        t_load  T_RSI, %rsi
        t_load  T_RDI, %rdi
        t_load  T_R8, %r8
        t_load  T_R9, %r9
        t_load  T_R10, %r10
        t_load  T_R11, %r11
        t_load  T_R12, %r12
        t_load  T_R13, %r13
        t_load  T_R14, %r14
        t_load  T_R15, %r15
        t_load  T_RAX, %rax
        jmp     *sim_code_begin + 4096 + T_RIP(%rip)
sim_code_end:

// What a patched slot jumps to; copied once a slot into a 64 KiB block (slots.c) that starts with the
// table of threads, indexed by the selector in ES. It runs with the enclave's registers and flags,
// and may use neither the stack nor FS: the upper half of RAX, which ENCLU ignores, holds the flags
// while the leaf is looked at, and then RAX holds the thread.
        .macro  leaf number
        shr     $32, %rax
        add     $0x7f, %al                      // OF
        sahf                                    // SF, ZF, AF, PF, CF
        lea     0(%rip), %rax
        movw    %es, %ax
        mov     -7(%rax), %rax
        movq    $\number, T_RAX(%rax)
        jmp     9f
        .endm
        .macro  is number, target
        cmp     $(\number << 24), %eax
        je      \target
        .endm
        .globl  sim_stub_begin, sim_stub_site, sim_stub_end
sim_stub_begin:
        bswap   %rax
        lahf
        seto    %al
        rol     $32, %rax
        is      4, 4f
        is      5, 5f
        is      6, 6f
        is      7, 7f
        is      9, 8f
        is      1, 1f
        is      0, 2f
        leaf    -1
1:      leaf    1
2:      leaf    0
4:      leaf    4
5:      leaf    5
6:      leaf    6
7:      leaf    7
8:      leaf    9
9:      mov     %rcx, T_RCX(%rax)
        movabs  $0x1122334455667788, %rcx       // the slot's address
sim_stub_site:
        mov     %rcx, T_RIP(%rax)
        movq    $5, T_INSN(%rax)
        jmp     *T_STUB(%rax)
sim_stub_end:

        .section .note.GNU-stack, "", @progbits
