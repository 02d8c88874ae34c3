// SPDX-License-Identifier: Apache-2.0
// Port `sgx`: what its parts share.
#ifndef PORT_SGX_SGX_H
#define PORT_SGX_SGX_H

#include "trusted/libos/base/processor.h"
#include "trusted/libos/entry/offsets.h"
#include "trusted/libos/libos.h"
#include "trusted/libos/port_sgx/offsets.h"
#include <shelter/enclave.h>
#include <shelter/sgx.h>

/* One a TCS; the base of FS and GS at entry. */
struct port_thread {
    struct port_thread *self;
    uint64_t canary; /* of the code that runs before the thread is known, and of exceptions */
    uint64_t state;  /* STATE_* */
    uint64_t host_rsp, host_rbp, host_ret;
    struct thread *thread; /* NULL: none yet, or ended */
    uint64_t call_rsp;
    uint64_t exc_stack;
    uint64_t exc_rsp, exc_rbp, exc_ret;
    uint64_t xfrm;
    uint8_t *xsave; /* the program's extended state during calls out */
    uint64_t fs;
    uint64_t entry_stack;

    struct sh_slot *slot; /* the host's memory; checked once to lie outside */
    uint64_t tcs;
    uint8_t *ssa;   /* frame 0 */
    uint32_t token; /* a wake-up that was not consumed */
    uint32_t sleeping;
    struct sgx_missed {
        uint64_t rip, addr, syscalls;
    } missed; /* the last fault outside the program's memory that may have been the host's alone */
    struct port_thread *next;
};
_Static_assert(offsetof(struct port_thread, canary) == CANARY, "CANARY");
_Static_assert(offsetof(struct port_thread, state) == P_STATE, "P_STATE");
_Static_assert(offsetof(struct port_thread, host_ret) == P_HOST_RET, "P_HOST_RET");
_Static_assert(offsetof(struct port_thread, thread) == P_THREAD, "P_THREAD");
_Static_assert(offsetof(struct port_thread, call_rsp) == P_CALL_RSP, "P_CALL_RSP");
_Static_assert(offsetof(struct port_thread, exc_stack) == P_EXC_STACK, "P_EXC_STACK");
_Static_assert(offsetof(struct port_thread, exc_ret) == P_EXC_RET, "P_EXC_RET");
_Static_assert(offsetof(struct port_thread, xfrm) == P_XFRM, "P_XFRM");
_Static_assert(offsetof(struct port_thread, xsave) == P_XSAVE, "P_XSAVE");
_Static_assert(offsetof(struct port_thread, entry_stack) == P_ENTRY_STACK, "P_ENTRY_STACK");

extern struct port_thread sgx_boot; /* of the measured TCS */
extern uint8_t sgx_boot_ssa[2 * SH_ENCLAVE_SSA_PAGES * PAGE_SIZE];

/* entry.S */
void sgx_entry(void);
void sgx_call_out(struct port_thread *p);
_Noreturn void sgx_thread_end(struct port_thread *p, uint32_t *gone, uint32_t out);
uint64_t sgx_enclu(uint64_t leaf, uint64_t rbx, uint64_t rcx, uint64_t rdx);
extern const char sgx_enclu_site[];
extern const char sgx_image_start[], sgx_image_end[], sgx_vdso[], sgx_vdso_end[];

/* `next` begins at los_thread_main on its own stack; *kept: where this one goes on. */
void sgx_lend(uint64_t *kept, struct thread *next, uint64_t stack_top);
_Noreturn void sgx_return(uint64_t kept, struct thread *to, uint32_t *gone);

/* Called by entry.S. */
_Noreturn void sgx_thread_start(struct port_thread *p, uint64_t slot) __attribute__((used));
uint32_t sgx_exception(struct port_thread *p) __attribute__((used));

/* check.c: whether the hashed pages are what they were when the enclave was linked. Before it
 * nothing of them may be used; it clears the SSA of the boot thread, too, which is not measured. */
bool sgx_check_image(const struct sh_slot *slot, uint8_t *ssa);

/* main.c */
_Noreturn void sgx_boot_main(struct port_thread *p);

/* thread.c: the processor tells of exits (AEX-Notify); set before the first thread is made. */
extern bool sgx_notify;
extern bool sgx_end_wakes; /* SH_START_END_WAKES */

/* trap.c */
struct sgx_gprsgx *sgx_registers(struct port_thread *p);

/* call.c: one call out. Buffers are copied; their sizes are bounded by the slot's. */
struct sgx_call {
    uint64_t nr;
    uint64_t args[6];
    const void *a, *b; /* to the host */
    uint32_t size_a, size_b;
    void *in_a, *in_b; /* from the host: at most so many bytes; in_size_b becomes what came */
    uint32_t in_size_a, in_size_b;
};
int64_t sgx_call(struct sgx_call *c);
#define SGX_CALL(...) sgx_call(&(struct sgx_call){__VA_ARGS__})

/* evidence.c: EREPORT over `data` for `target`, a TARGETINFO that need not be aligned. 0, or
 * -EINVAL for a target that the processor refuses. */
int sgx_report(const void *target, const uint8_t data[64], struct sgx_report *out);

/* clock.c: the host's clocks in the slot: at the start, and after a call that began at counter
 * value `before`. */
void sgx_clock_init(struct sh_slot *slot, uint64_t hz);
void sgx_clock_take(struct sh_slot *slot, uint64_t before);

/* pages.c: a page of our own becomes a TCS. 0 or -EAGAIN. */
int sgx_page_to_tcs(uint64_t addr);
/* Those that are to go with the next call out that takes some: how many. */
uint32_t sgx_pages_gone(struct sh_pages to[PORT_RUNS_MAX]);

/* ring.c: where the host has them (0: nowhere); false: it cannot be there. */
bool sgx_rings_init(uint64_t addr);
bool sgx_uses_init(uint64_t addr, uint64_t count); /* likewise */

/* The host's memory: whole, canonical and outside ELRANGE. */
bool sgx_outside(uint64_t addr, uint64_t size);
/* Copies by aligned words of 8 bytes on the host's side, as microcode of stale data wants it. */
void sgx_copy_in(void *to, uint64_t from, uint64_t size);
void sgx_copy_out(void *to, const void *from, uint64_t size);

static inline struct port_thread *sgx_self(void)
{
    return self()->port;
}

#endif
