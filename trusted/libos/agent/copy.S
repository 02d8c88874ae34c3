// SPDX-License-Identifier: Apache-2.0
// The program that `shelter cp` runs, in the lazy part: it comes when it is first asked for.
        .section .lazy.rodata, "a"
        .balign 16
        .globl  copy_program, copy_program_end
        .hidden copy_program, copy_program_end
copy_program:
        .incbin COPY_PROGRAM
copy_program_end:
        .section .note.GNU-stack, "", @progbits
