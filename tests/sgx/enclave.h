// SPDX-License-Identifier: Apache-2.0
// What the test enclave and its tests agree on. The enclave does whatever it is told: it is a probe
// for the processor, not an example.
#ifndef TESTS_SGX_ENCLAVE_H
#define TESTS_SGX_ENCLAVE_H

#include <stdint.h>

enum probe_op {
    PROBE_NOP,
    PROBE_ENCLU,  /* rax, rbx, rcx, rdx in; rax and rflags out */
    PROBE_COPY,   /* rcx bytes from rbx to rax */
    PROBE_READ,   /* rax = *(uint64_t *)rbx */
    PROBE_WRITE,  /* *(uint64_t *)rbx = rcx */
    PROBE_CALL,   /* rax = ((uint64_t (*)(void))rbx)() */
    PROBE_INSN,   /* one of enum probe_insn, by rbx */
    PROBE_SPIN,   /* until the uint64_t at rbx is not 0; rax = registers that changed meanwhile */
    PROBE_BASES,  /* rax = FS base, rbx = GS base, rcx = RFLAGS at entry, rdx = RCX at entry */
    PROBE_WIDE,   /* as SPIN, for YMM and, with rax, ZMM, high and mask registers */
    PROBE_VECTOR, /* ENCLU as above with patterns in vector registers; rbx = those that changed */
};

enum probe_insn {
    INSN_SYSCALL, /* with rax = rcx; gives back rax */
    INSN_UD2,
    INSN_INT3,
    INSN_DIV0,
    INSN_HLT,
    INSN_INT80,
    INSN_ALIGN, /* #AC */
    INSN_SIMD,  /* #XM */
    INSN_IN,    /* #UD, as those below */
    INSN_OUTS,
    INSN_RDPMC,
    INSN_INT33,
};

struct probe {
    uint64_t op;
    uint64_t rax, rbx, rcx, rdx, rflags;
};

/* One page a TCS: OGSBASE. */
struct probe_tls {
    uint64_t stack, rsp, rbp, rcx, exception_stack, ssa, ssa_frame_size, handler, rflags;
    uint64_t exc_rsp, exc_rbp, exc_rcx, exceptions;
};

/* What the exception entry (CSSA > 0) does, in probe_tls.handler. */
enum probe_handler {
    HANDLER_EXIT,     /* nothing: EEXIT at once */
    HANDLER_SKIP,     /* #UD of `syscall`: skip it, RAX = 4242, EEXIT for an ERESUME */
    HANDLER_ACCEPT,   /* #PF: EACCEPT the page, EEXIT for an ERESUME */
    HANDLER_CONTINUE, /* as SKIP, but EDECCSSA and on, without an exit */
};

/* Start of the image, at offset 0 of ELRANGE. */
struct probe_header {
    uint64_t magic, code_size, data, data_size, entry;
};
#define PROBE_MAGIC 0x65626f7270786773ull

#endif
