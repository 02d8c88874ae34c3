// SPDX-License-Identifier: Apache-2.0
// Builds the test enclave through a driver and tells it what to do.
#ifndef TESTS_SGX_HARNESS_H
#define TESTS_SGX_HARNESS_H

#include "host/sgx/driver.h"
#include "tests/sgx/enclave.h"

/* Offsets in ELRANGE of what follows code and data; the rest, from HEAP on, is added at run time.
 */
#define H_TCS(i) (0x10000ull + (i)*0x1000ull) /* H_TCS_COUNT of them */
#define H_TLS(i) (0x18000ull + (i)*0x1000ull)
#define H_SSA(i) (0x20000ull + (i)*0x8000ull)   /* H_NSSA frames of ssa_frame_size pages */
#define H_STACK(i) (0x40000ull + (i)*0x4000ull) /* three pages, and one for exceptions */
#define H_RX 0x58000ull                         /* a page of rx, and one of r */
#define H_R 0x59000ull
#define H_RW 0x5a000ull /* four pages */
#define H_HEAP 0x80000ull
#define H_SIZE 0x200000ull
#define H_TCS_COUNT 3u
#define H_NSSA 2u
#define H_FRAME_PAGES 3u

struct harness {
    struct sgx_enclave e;
    struct sgx_sigstruct css;
    uint8_t mrenclave[32]; /* as predicted */
    struct sgx_enclave_run run;
    uint64_t image_size, code_size, entry;
    uint64_t shift;
    /* Of harness_call_handled: the last exception, and how many there were. */
    bool in_handler, continues;
    unsigned exceptions, vector, error;
    uint64_t addr;
    uint64_t handlers[H_TCS_COUNT]; /* that they were told last */
};

struct harness_options {
    const struct sgx_driver *driver; /* NULL: the simulated processor */
    bool strict;
    uint64_t base, size; /* 0: 1 << 44, H_SIZE; base UINT64_MAX: 0 */
    uint64_t shift;      /* where in ELRANGE the H_ offsets start */
    uint64_t attributes; /* beside MODE64BIT */
    uint64_t xfrm;       /* 0: 3 */
    uint32_t no_exinfo;  /* leave MISCSELECT 0 */
    uint64_t tcs_flags;
    uint64_t epc_pages;
    struct sgxsim_epc *epc; /* of several */
    uint16_t isv_svn;
    const uint8_t *configid; /* 64 bytes */
    const char *key_file;
    bool no_provision; /* leave /dev/sgx_provision out */
    uint64_t flip;     /* if not 0: change the byte at this offset after signing */
};

/* 0, or what sgx_enclave_* said. `stop_before_init` leaves EINIT to the caller. */
int harness_build(struct harness *h, const struct harness_options *o, bool stop_before_init,
                  struct sh_error *err);
int harness_destroy(struct harness *h);

/* EENTER on TCS `i`; the vDSO's result. h->run tells the rest. */
int harness_call(struct harness *h, unsigned i, struct probe *p);
/* The same, and what faults inside goes to the enclave's handler (a debug enclave's) and on. */
int harness_call_handled(struct harness *h, unsigned i, struct probe *p,
                         enum probe_handler handler);

/* One ENCLU inside, on TCS 0. RAX as the leaf left it, or -1 with the exception in h->run (the
 * frame is left behind: harness_drop). */
int64_t harness_enclu(struct harness *h, uint64_t leaf, uint64_t rbx, uint64_t rcx, uint64_t rdx);
/* Forgets what stands in the SSA of TCS `i`: CSSA becomes 0. Debug enclaves only. */
void harness_drop(struct harness *h, unsigned i);
void harness_peek(struct harness *h, uint64_t offset, void *out, uint64_t size);
void harness_poke(struct harness *h, uint64_t offset, const void *data, uint64_t size);

#endif
