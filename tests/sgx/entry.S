// SPDX-License-Identifier: Apache-2.0
// Entry, exit and ENCLU of the test enclave.
        .macro  slot
        .byte   0x0f, 0x01, 0xd7, 0x66, 0x90    // enclu; xchg %ax, %ax
        .endm

        .section .header, "a"
        .quad   0x65626f7270786773, __code_size, __data, __data_size, enclave_entry

        .text
        .globl  enclave_entry
enclave_entry:
        cmp     $0, %rax
        jne     1f
        mov     %rsp, %gs:8
        mov     %rbp, %gs:16
        mov     %rcx, %gs:24
        mov     %gs:0, %rsp
        pushfq
        popq    %gs:64
        cld
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        call    probe_main
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        mov     %gs:8, %rsp
        mov     %gs:16, %rbp
        mov     %gs:24, %rbx
        mov     $4, %eax
        slot
        ud2
1:      mov     %rsp, %gs:72
        mov     %rbp, %gs:80
        mov     %rcx, %gs:88
        incq    %gs:96
        cmpq    $0, %gs:56
        je      2f
        mov     %gs:32, %rsp
        cld
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        mov     %rax, %rdi
        call    probe_exception
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        test    %eax, %eax
        jnz     3f
        mov     %gs:72, %rsp
        mov     %gs:80, %rbp
2:      mov     %gs:88, %rbx
        mov     $4, %eax
        slot
        ud2
// HANDLER_CONTINUE: back into the frame of the SSA, without leaving.
3:      mov     $9, %eax
        slot
        mov     %gs:40, %rax                    // SSA frame 0
        add     %gs:48, %rax
        sub     $184, %rax
        mov     32(%rax), %rsp
        pushq   136(%rax)                       // RIP (a test: the red zone is not in use)
        pushq   128(%rax)
        mov     8(%rax), %rcx
        mov     16(%rax), %rdx
        mov     24(%rax), %rbx
        mov     40(%rax), %rbp
        mov     48(%rax), %rsi
        mov     56(%rax), %rdi
        mov     64(%rax), %r8
        mov     72(%rax), %r9
        mov     80(%rax), %r10
        mov     88(%rax), %r11
        mov     96(%rax), %r12
        mov     104(%rax), %r13
        mov     112(%rax), %r14
        mov     120(%rax), %r15
        mov     (%rax), %rax
        popfq
        ret

// void probe_enclu(struct probe *p)
        .globl  probe_enclu
probe_enclu:
        push    %rbx
        push    %rdi
        mov     8(%rdi), %rax
        mov     16(%rdi), %rbx
        mov     24(%rdi), %rcx
        mov     32(%rdi), %rdx
        stc
        slot
        mov     (%rsp), %rdi
        mov     %rax, 8(%rdi)
        mov     %rcx, 24(%rdi)
        pushfq
        popq    40(%rdi)
        pop     %rdi
        pop     %rbx
        ret

// uint64_t probe_spin(volatile uint64_t *flag): patterns in every register we can spare.
        .globl  probe_spin
probe_spin:
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        movabs  $0x0123456789abcdef, %rbx
        lea     1(%rbx), %rbp
        lea     2(%rbx), %r8
        lea     3(%rbx), %r9
        lea     4(%rbx), %r10
        lea     5(%rbx), %r11
        lea     6(%rbx), %r12
        lea     7(%rbx), %r13
        lea     8(%rbx), %r14
        lea     9(%rbx), %r15
        lea     10(%rbx), %rsi
        movq    %rbx, %xmm0
        movq    %rsi, %xmm15
        std
1:      pause
        cmpq    $0, (%rdi)
        je      1b
        pushfq
        pop     %rdx
        cld
        xor     %eax, %eax
        .macro  check reg, add
        lea     \add(%rbx), %rcx
        sub     \reg, %rcx
        or      %rcx, %rax
        .endm
        check   %rbp, 1
        check   %r8, 2
        check   %r9, 3
        check   %r10, 4
        check   %r11, 5
        check   %r12, 6
        check   %r13, 7
        check   %r14, 8
        check   %r15, 9
        check   %rsi, 10
        movq    %xmm0, %rcx
        sub     %rbx, %rcx
        or      %rcx, %rax
        movq    %xmm15, %rcx
        sub     %rsi, %rcx
        or      %rcx, %rax
        movabs  $0x0123456789abcdef, %rcx
        sub     %rbx, %rcx
        or      %rcx, %rax
        not     %rdx
        and     $0x400, %rdx                    // DF stays set
        or      %rdx, %rax
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        ret

// uint64_t probe_vector(struct probe *p): ENCLU between vector patterns.
        .globl  probe_vector
probe_vector:
        push    %r12
        mov     $0x5a5a5a5a, %r12d
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        lea     \n(%r12), %rax
        movq    %rax, %xmm\n
        .endr
        call    probe_enclu
        xor     %ecx, %ecx
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        movq    %xmm\n, %rax
        sub     $\n, %rax
        sub     %r12, %rax
        or      %rax, %rcx
        .endr
        mov     %rcx, %rax
        pop     %r12
        ret
// uint64_t probe_wide(volatile uint64_t *flag, uint64_t avx512)
        .globl  probe_wide
probe_wide:
        push    %rbp
        mov     %rsp, %rbp
        sub     $128, %rsp
        and     $-64, %rsp
        movabs  $0x1122334455667788, %rax
        .irp    n, 0,1,2,3,4,5,6,7
        mov     %rax, 8*\n(%rsp)
        add     %rax, %rax
        .endr
        vmovdqu (%rsp), %ymm7
        vmovdqu 32(%rsp), %ymm15
        test    %rsi, %rsi
        jz      1f
        vmovdqu64 (%rsp), %zmm5
        vmovdqu64 (%rsp), %zmm29
        kmovq   (%rsp), %k3
1:      pause
        cmpq    $0, (%rdi)
        je      1b
        xor     %eax, %eax
        vmovdqu %ymm7, 64(%rsp)
        call    2f
        vextracti128 $1, %ymm15, 64(%rsp)
        mov     64(%rsp), %rcx
        sub     48(%rsp), %rcx
        or      %rcx, %rax
        test    %rsi, %rsi
        jz      3f
        vextracti64x4 $1, %zmm29, 64(%rsp)
        mov     88(%rsp), %rcx
        sub     56(%rsp), %rcx
        or      %rcx, %rax
        vextracti64x4 $1, %zmm5, 64(%rsp)
        mov     64(%rsp), %rcx
        sub     32(%rsp), %rcx
        or      %rcx, %rax
        kmovq   %k3, %rcx
        sub     (%rsp), %rcx
        or      %rcx, %rax
3:      vzeroall
        leave
        ret
2:      .irp    n, 0,1,2,3                      // 64(%rsp) against (%rsp), one call deeper
        mov     72+8*\n(%rsp), %rcx
        sub     8+8*\n(%rsp), %rcx
        or      %rcx, %rax
        .endr
        ret
        .section .note.GNU-stack, "", @progbits
