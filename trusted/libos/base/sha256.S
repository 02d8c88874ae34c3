// SPDX-License-Identifier: Apache-2.0
// SHA-256 blocks with the processor's SHA extensions (SDM volume 1, 5.8; FIPS 180-4).
//
// void sha256_ni(uint32_t state[8], const uint8_t *data, size_t blocks)
//
// The program's vector registers are live while LibOS code runs: the eleven used here are saved on
// the stack and put back. Only legacy SSE encodings, which leave the upper halves alone.

#define S0 %xmm1
#define S1 %xmm2
#define TMP %xmm7
#define MASK %xmm8
#define OLD0 %xmm9
#define OLD1 %xmm10

// Four rounds with message words cur and constants K[4*j].
.macro first j, cur
    movdqu (16 * \j)(%rsi), \cur
    pshufb MASK, \cur
.endm
.macro add_k j, cur
    movdqa \cur, %xmm0
    paddd (16 * \j)(%rax), %xmm0
    sha256rnds2 S0, S1
.endm
.macro finish
    pshufd $0x0e, %xmm0, %xmm0
    sha256rnds2 S1, S0
.endm
// The message words four groups on: next from prev, cur.
.macro schedule prev, cur, next
    movdqa \cur, TMP
    palignr $4, \prev, TMP
    paddd TMP, \next
    sha256msg2 \cur, \next
.endm
.macro group j, prev, cur, next
    add_k \j, \cur
    schedule \prev, \cur, \next
    finish
    sha256msg1 \cur, \prev
.endm

    .text
    .globl sha256_ni
    .hidden sha256_ni
    .type sha256_ni, @function
sha256_ni:
    sub $184, %rsp
    movdqu %xmm0, (%rsp)
    movdqu %xmm1, 16(%rsp)
    movdqu %xmm2, 32(%rsp)
    movdqu %xmm3, 48(%rsp)
    movdqu %xmm4, 64(%rsp)
    movdqu %xmm5, 80(%rsp)
    movdqu %xmm6, 96(%rsp)
    movdqu %xmm7, 112(%rsp)
    movdqu %xmm8, 128(%rsp)
    movdqu %xmm9, 144(%rsp)
    movdqu %xmm10, 160(%rsp)
    lea constants(%rip), %rax
    movdqa 256(%rax), MASK
    // state: DCBA HGFE -> ABEF CDGH
    movdqu (%rdi), TMP
    movdqu 16(%rdi), S1
    pshufd $0xb1, TMP, TMP
    pshufd $0x1b, S1, S1
    movdqa TMP, S0
    palignr $8, S1, S0
    pblendw $0xf0, TMP, S1
1:  test %rdx, %rdx
    jz 2f
    movdqa S0, OLD0
    movdqa S1, OLD1
    first 0, %xmm3
    add_k 0, %xmm3
    finish
    first 1, %xmm4
    add_k 1, %xmm4
    finish
    sha256msg1 %xmm4, %xmm3
    first 2, %xmm5
    add_k 2, %xmm5
    finish
    sha256msg1 %xmm5, %xmm4
    first 3, %xmm6
    group 3, %xmm5, %xmm6, %xmm3
    group 4, %xmm6, %xmm3, %xmm4
    group 5, %xmm3, %xmm4, %xmm5
    group 6, %xmm4, %xmm5, %xmm6
    group 7, %xmm5, %xmm6, %xmm3
    group 8, %xmm6, %xmm3, %xmm4
    group 9, %xmm3, %xmm4, %xmm5
    group 10, %xmm4, %xmm5, %xmm6
    group 11, %xmm5, %xmm6, %xmm3
    group 12, %xmm6, %xmm3, %xmm4
    group 13, %xmm3, %xmm4, %xmm5
    group 14, %xmm4, %xmm5, %xmm6
    add_k 15, %xmm6
    finish
    paddd OLD0, S0
    paddd OLD1, S1
    add $64, %rsi
    dec %rdx
    jmp 1b
2:  pshufd $0x1b, S0, TMP
    pshufd $0xb1, S1, S1
    movdqa TMP, S0
    pblendw $0xf0, S1, S0
    palignr $8, TMP, S1
    movdqu S0, (%rdi)
    movdqu S1, 16(%rdi)
    movdqu (%rsp), %xmm0
    movdqu 16(%rsp), %xmm1
    movdqu 32(%rsp), %xmm2
    movdqu 48(%rsp), %xmm3
    movdqu 64(%rsp), %xmm4
    movdqu 80(%rsp), %xmm5
    movdqu 96(%rsp), %xmm6
    movdqu 112(%rsp), %xmm7
    movdqu 128(%rsp), %xmm8
    movdqu 144(%rsp), %xmm9
    movdqu 160(%rsp), %xmm10
    add $184, %rsp
    ret
    .size sha256_ni, . - sha256_ni

    .section .rodata
    .balign 16
constants:
    .long 0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5
    .long 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174
    .long 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da
    .long 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967
    .long 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85
    .long 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070
    .long 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3
    .long 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
    .byte 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12

    .section .note.GNU-stack, "", @progbits
