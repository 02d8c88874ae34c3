// SPDX-License-Identifier: Apache-2.0
// An enclave of two threads, written against the SDM alone. Flat: two TCS pages, two SSA frames each, code, data; what
// follows in its 64 KiB is not there at first. RDI: struct op { number, a, result } outside.
        .macro  tcs ssa
        .quad   0, 0                            // state, flags
        .quad   \ssa                            // OSSA
        .long   0, 2                            // CSSA, NSSA
        .quad   entry - base                    // OENTRY
        .quad   0, 0, 0                         // AEP, OFSBASE, OGSBASE
        .long   0xfff, 0xfff                    // limits
        .balign 4096, 0
        .endm
        .text
base:   tcs     0x2000
        tcs     0x4000
        .skip   0x4000
entry:  mov     %rcx, %r12
        mov     (%rdi), %rax
        lea     base(%rip), %r13
        cmp     $1, %rax
        je      undefined
        cmp     $2, %rax
        je      spin
        cmp     $3, %rax
        je      read
        cmp     $4, %rax
        je      skip_instruction
        cmp     $5, %rax
        je      accept
        cmp     $6, %rax
        je      call_system
        cmp     $7, %rax
        je      save_all
        mov     $1, %eax
        lock xadd %eax, counter(%rip)
        mov     %rax, 16(%rdi)
leave:  mov     %r12, %rbx
        mov     $4, %eax
        enclu
undefined:
        ud2
        movq    $77, 16(%rdi)
        jmp     leave
spin:   pause
        incq    16(%rdi)                        // shows that it runs
        cmpq    $0, 8(%rdi)
        je      spin
        movq    $88, 16(%rdi)
        jmp     leave
read:   mov     8(%rdi), %rax
        mov     (%rax), %rax
        mov     %rax, 16(%rdi)
        jmp     leave
skip_instruction:                               // of the frame below: RIP += 2
        mov     %rbx, %rax
        sub     %r13, %rax
        lea     0x2000 + 0x1000 - 184 + 136(%r13, %rax, 2), %rax
        addq    $2, (%rax)
        jmp     leave
accept: mov     16(%rdi), %rax
        mov     %rax, secinfo(%rip)
        mov     8(%rdi), %rcx
        lea     secinfo(%rip), %rbx
        mov     $5, %eax
        enclu
        mov     %rax, 16(%rdi)
        jmp     leave
call_system:
        mov     $39, %eax                       // getpid, anywhere else
        syscall
        movq    $99, 16(%rdi)
        jmp     leave
save_all:                                       // behind it nothing may be written: XFRM is x87 and SSE
        mov     %rdi, %r8
        lea     area(%rip), %rdi
        mov     $0xffffffff, %eax
        mov     %eax, %edx
        xsave64 (%rdi)
        mov     576(%rdi), %rax
        mov     %rax, 16(%r8)
        mov     %r8, %rdi
        jmp     leave
        .balign 4096, 0
counter:
        .quad   0
        .balign 64
secinfo:
        .skip   64
area:   .skip   576
        .fill   256, 1, 0x5a
        .balign 4096, 0
