// SPDX-License-Identifier: Apache-2.0
// What the program sees as its vDSO: the kernel's functions, and the one for enclaves. A small
// shared object of its own; vdso.c fills in the table.
        .text
        .macro  forward name, slot
        .globl  \name
        .type   \name, @function
        .balign 16
\name:
        jmp     *(table + \slot * 8)(%rip)
        .size   \name, . - \name
        .endm
        forward __vdso_sgx_enter_enclave, 0
        forward __vdso_clock_gettime, 1
        forward __vdso_gettimeofday, 2
        forward __vdso_time, 3
        forward __vdso_getcpu, 4
        forward __vdso_clock_getres, 5
        forward __vdso_getrandom, 6

        .section .table, "a", @progbits
        .balign 4096
        .globl  shelter_table
shelter_table:
table:  .quad   0, 0, 0, 0, 0, 0, 0
        .section .note.GNU-stack, "", @progbits
