// SPDX-License-Identifier: Apache-2.0
// The vDSO's ELF file, as AT_SYSINFO_EHDR shows it: what of one a dynamic linker reads, at the addresses
// where it stands (enclave.lds; time/vdso.c has the functions). Nobody writes to it.

#define VERSION_HASH 0x03ae75f6             // of LINUX_2.6, as the ELF specification hashes

        .macro  function name, target
        .long   \name - .Lstrings
        .byte   0x12, 0                     // global, a function
        .word   1                           // of some section
        .quad   \target, 0
        .endm

        .section .vdso, "ax", @progbits
        .globl  sgx_vdso
sgx_vdso:
        .byte   0x7f, 'E', 'L', 'F', 2, 1, 1, 0
        .quad   0
        .word   3, 62                       // a shared object for x86-64
        .long   1
        .quad   0, .Lheaders - sgx_vdso, 0
        .long   0
        .word   64, 56, 2, 64, 0, 0
.Lheaders:
        .long   1, 5                        // PT_LOAD
        .quad   0, sgx_vdso, sgx_vdso, sgx_vdso_size, sgx_vdso_size, 4096
        .long   2, 4                        // PT_DYNAMIC
        .quad   .Ldynamic - sgx_vdso, .Ldynamic, .Ldynamic, .Ldynamic_end - .Ldynamic, .Ldynamic_end - .Ldynamic, 8
.Ldynamic:
        .quad   14, .Lsoname - .Lstrings        // DT_SONAME
        .quad   4, .Lhash
        .quad   5, .Lstrings
        .quad   6, .Lsymbols
        .quad   10, .Lstrings_end - .Lstrings
        .quad   11, 24
        .quad   0x6ffffff0, .Lversions
        .quad   0x6ffffffc, .Ldefinitions
        .quad   0x6ffffffd, 2
        .quad   0, 0
.Ldynamic_end:
.Lsymbols:
        .quad   0, 0, 0
        function .Lclock_gettime, vdso_clock_gettime
        function .Lgettimeofday, vdso_gettimeofday
        function .Ltime, vdso_time
.Lhash:                                       // one chain
        .long   1, 4, 1, 0, 2, 3, 0
.Lversions:
        .word   0, 2, 2, 2
        .balign 4
.Ldefinitions:
        .word   1, 1, 1, 1                  // the file's own
        .long   0x0deebfa1, 20, 28          // of the name
        .long   .Lsoname - .Lstrings, 0
        .word   1, 0, 2, 1
        .long   VERSION_HASH, 20, 0
        .long   .Lversion - .Lstrings, 0
.Lstrings:
        .byte   0
.Lsoname: .string "linux-vdso.so.1"
.Lversion:
        .string "LINUX_2.6"
.Lclock_gettime:
        .string "__vdso_clock_gettime"
.Lgettimeofday:
        .string "__vdso_gettimeofday"
.Ltime:   .string "__vdso_time"
.Lstrings_end:
        .balign 16

        .section .note.GNU-stack, "", @progbits
