// SPDX-License-Identifier: Apache-2.0
// The simulated processor, through the driver table, with a real enclave: entry, exit, exceptions
// and other enclaves, each at both speeds. Section numbers are of the Intel SDM, volume 3D.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "host/sgx/sim/sim.h"
#include "tests/sgx/checks.h"

/* 38.4 EENTER, EEXIT: in, out, and what the enclave finds. */
static void test_enter_exit(void **state)
{
    struct harness h;
    start(state, &h);
    for (unsigned i = 0; i < H_TCS_COUNT; i++) {
        struct probe p = {.op = PROBE_BASES};
        assert_int_equal(harness_call(&h, i, &p), 0);
        assert_int_equal(h.run.function, SGX_EEXIT);
        assert_int_equal(p.rax, h.e.base + H_TLS(i)); /* FS and GS from the TCS */
        assert_int_equal(p.rbx, h.e.base + H_TLS(i));
    }
    struct sgxsim_stats s = stats_of(&h);
    assert_int_equal(s.eenter, H_TCS_COUNT);
    assert_int_equal(s.eexit, H_TCS_COUNT);
    assert_int_equal(s.aex, 0);
    assert_int_equal(s.slots > 0, *state == PATCHED && !sim_no_ldt);
    /* Our own FS is back: TLS works. */
    errno = 5;
    assert_int_equal(errno, 5);
    finish(&h);
}

/* 36.4, table of illegal instructions: `syscall` is #UD inside; SSA, ERESUME; EDECCSSA. */
static void test_syscall_is_ud(void **state)
{
    struct harness h;
    start(state, &h);
    struct probe p = {.op = PROBE_INSN, .rbx = INSN_SYSCALL, .rcx = SYS_getpid};
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_exception(&h, SGX_ERESUME, SGX_VECTOR_UD, 0, 0);
    assert_int_equal(stats_of(&h).aex, 1);
    harness_drop(&h, 0);
    for (unsigned i = 0; i < 3; i++) {
        p = (struct probe){.op = PROBE_INSN, .rbx = INSN_SYSCALL, .rcx = SYS_getpid};
        assert_int_equal(harness_call_handled(&h, 0, &p, i < 2 ? HANDLER_SKIP : HANDLER_CONTINUE),
                         0);
        assert_int_equal(h.run.function, SGX_EEXIT);
        assert_int_equal(h.exceptions, 1);
        assert_int_equal(h.vector, SGX_VECTOR_UD);
        assert_int_equal(p.rax, 4242);
    }
    assert_int_equal(stats_of(&h).edeccssa, 1);
    finish(&h);
}

/* What the last AEX on TCS 0 left in frame 0. */
static struct sgx_gprsgx frame_of(struct harness *h, struct sgx_exinfo *ex)
{
    struct sgx_gprsgx g;
    uint64_t end = H_SSA(0) + H_FRAME_PAGES * SGX_PAGE_SIZE;
    harness_peek(h, end - sizeof(g), &g, sizeof(g));
    harness_peek(h, end - sizeof(g) - sizeof(*ex), ex, sizeof(*ex));
    return g;
}

/* 35.9.1.1, EXITINFO: which vectors the enclave is told; the vDSO tells the host of all. */
static void test_exceptions(void **state)
{
    static const struct {
        enum probe_insn insn;
        unsigned vector;
    } cases[] = {
        {INSN_UD2, SGX_VECTOR_UD},   {INSN_DIV0, SGX_VECTOR_DE},  {INSN_HLT, SGX_VECTOR_GP},
        {INSN_ALIGN, SGX_VECTOR_AC}, {INSN_SIMD, SGX_VECTOR_XM},  {INSN_IN, SGX_VECTOR_UD},
        {INSN_OUTS, SGX_VECTOR_UD},  {INSN_RDPMC, SGX_VECTOR_UD}, {INSN_INT33, SGX_VECTOR_UD},
    };
    for (int exinfo = 0; exinfo < 2; exinfo++) {
        struct harness h;
        build(&h, (struct harness_options){.strict = *state == STRICT,
                                           .attributes = SGX_ATTR_DEBUG,
                                           .no_exinfo = !exinfo});
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            struct probe p = {.op = PROBE_INSN, .rbx = cases[i].insn};
            struct sgx_exinfo ex;
            assert_int_equal(harness_call(&h, 0, &p), 0);
            assert_exception(&h, SGX_ERESUME, cases[i].vector, 0, 0);
            struct sgx_gprsgx g = frame_of(&h, &ex);
            if (cases[i].vector == SGX_VECTOR_GP && !exinfo)
                assert_int_equal(g.exitinfo, 0);
            else
                assert_int_equal(g.exitinfo,
                                 SGX_EXIT_VALID | SGX_EXIT_HARDWARE << 8 | cases[i].vector);
            assert_true(g.rip > h.e.base && g.rip < h.e.base + h.code_size);
            assert_int_equal(g.gsbase, h.e.base + H_TLS(0));
            assert_true(g.rsp > h.e.base + H_STACK(0) && g.rsp < h.e.base + H_STACK(0) + 0x3000);
            assert_false(g.ursp >= h.e.base && g.ursp < h.e.base + h.e.size);
            harness_drop(&h, 0);
        }
        finish(&h);
    }
}

/* Error codes of #PF, and EXINFO (35.9.2.1); the kernel sees pages only (36.3). */
static void test_page_faults(void **state)
{
    struct harness h;
    start(state, &h);
    const uint64_t b = h.e.base;
    const struct {
        uint64_t op, addr;
        unsigned error;
    } cases[] = {
        {PROBE_READ, b + H_TCS(0) + 0x10, 0x8005}, /* a TCS is not for software */
        {PROBE_WRITE, b + H_RX + 0x18, 7},         /* the mapping forbids */
        {PROBE_WRITE, b + H_R + 0x18, 7},          {PROBE_CALL, b + H_RW, 0x15},
        {PROBE_READ, b + H_RW + 0x4008, 4},       /* no mapping */
        {PROBE_READ, 0x7fff00000008 & ~7ull, 4},  /* outside ELRANGE */
        {PROBE_WRITE, b + H_HEAP + 0x10, 0x8007}, /* EAUG gave a page, nobody accepted it */
        {PROBE_READ, b + H_HEAP + 0x10, 0x8005},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct probe p = {.op = cases[i].op, .rbx = cases[i].addr, .rcx = 1};
        struct sgx_exinfo ex;
        assert_int_equal(harness_call(&h, 0, &p), 0);
        bool in = cases[i].addr >= b && cases[i].addr < b + h.e.size;
        assert_exception(&h, SGX_ERESUME, SGX_VECTOR_PF, cases[i].error,
                         in ? cases[i].addr & ~4095ull : cases[i].addr);
        struct sgx_gprsgx g = frame_of(&h, &ex);
        assert_int_equal(g.exitinfo, SGX_EXIT_VALID | SGX_EXIT_HARDWARE << 8 | SGX_VECTOR_PF);
        assert_int_equal(ex.maddr, cases[i].addr);
        assert_int_equal(ex.errcd, cases[i].error);
        harness_drop(&h, 0);
    }
    finish(&h);
}

/* Commit on demand: #PF, EAUG by the kernel, #PF again for PENDING, EACCEPT by the enclave. */
static void test_commit_on_demand(void **state)
{
    struct harness h;
    start(state, &h);
    uint64_t addr = h.e.base + H_HEAP + 0x7018;
    struct probe p = {.op = PROBE_WRITE, .rbx = addr, .rcx = 77};
    assert_int_equal(harness_call_handled(&h, 0, &p, HANDLER_ACCEPT), 0);
    assert_int_equal(h.run.function, SGX_EEXIT);
    assert_int_equal(h.exceptions, 1);
    struct sgxsim_stats s = stats_of(&h);
    assert_int_equal(s.eaug, 1);
    assert_int_equal(s.eaccept, 1);
    assert_int_equal(s.aex, 2);
    p = (struct probe){.op = PROBE_READ, .rbx = addr};
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_int_equal(p.rax, 77);
    finish(&h);
}

/* 38.4 EENTER and ERESUME: what makes them fault. */
static void test_entry_faults(void **state)
{
    struct harness h;
    start(state, &h);
    const uint64_t b = h.e.base;
    const struct {
        uint64_t tcs;
        unsigned vector, error;
    } bad[] = {
        {b + H_TCS(0) + 8, SGX_VECTOR_GP, 0}, /* not page-aligned */
        {b + H_RW, SGX_VECTOR_PF, 0x8005},    /* not PT_TCS */
        {b + H_HEAP, SGX_VECTOR_PF, 0x8005},  /* no page */
        {b + h.e.size, SGX_VECTOR_PF, 4},     /* no enclave */
        {0, SGX_VECTOR_PF, 4},
    };
    for (unsigned function = SGX_EENTER; function <= SGX_ERESUME; function++) {
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            h.run = (struct sgx_enclave_run){.tcs = bad[i].tcs};
            assert_int_equal(sgx_enter(h.e.driver->entry(), &h.run, function, 0, 0, 0), 0);
            assert_exception(&h, function, bad[i].vector, bad[i].error,
                             bad[i].vector == SGX_VECTOR_PF ? bad[i].tcs : 0);
        }
    }
    /* ERESUME with CSSA 0 is #GP; EENTER with CSSA = NSSA too. */
    h.run = (struct sgx_enclave_run){.tcs = b + H_TCS(0)};
    assert_int_equal(sgx_enter(h.e.driver->entry(), &h.run, SGX_ERESUME, 0, 0, 0), 0);
    assert_exception(&h, SGX_ERESUME, SGX_VECTOR_GP, 0, 0);
    struct probe p = {.op = PROBE_NOP};
    uint32_t cssa = H_NSSA;
    harness_poke(&h, H_TCS(0) + offsetof(struct sgx_tcs, cssa), &cssa, sizeof(cssa));
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_exception(&h, SGX_EENTER, SGX_VECTOR_GP, 0, 0);
    harness_drop(&h, 0);
    /* A TCS in use is #GP (TCS.STATE), and stays in use. */
    uint64_t one = 1, zero = 0;
    harness_poke(&h, H_TCS(0), &one, sizeof(one));
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_exception(&h, SGX_EENTER, SGX_VECTOR_GP, 0, 0);
    harness_poke(&h, H_TCS(0), &zero, sizeof(zero));
    /* TCS fields: OSSA outside ELRANGE, bases that are not page-aligned, unknown flags. */
    struct sgx_tcs good, tcs;
    harness_peek(&h, H_TCS(0), &good, sizeof(good));
#define TCS_FAULT(change, vector_)                                                                 \
    do {                                                                                           \
        tcs = good;                                                                                \
        change;                                                                                    \
        harness_poke(&h, H_TCS(0), &tcs, sizeof(tcs));                                             \
        assert_int_equal(harness_call(&h, 0, &p), 0);                                              \
        assert_int_equal(h.run.function, SGX_EENTER);                                              \
        assert_int_equal(h.run.exception_vector, vector_);                                         \
    } while (0)
    TCS_FAULT(tcs.ossa = h.e.size, SGX_VECTOR_PF);
    TCS_FAULT(tcs.ossa = UINT64_MAX - 4095, SGX_VECTOR_PF);
    TCS_FAULT(tcs.ossa = H_R, SGX_VECTOR_PF); /* a frame that cannot be written */
    TCS_FAULT(tcs.ossa = H_HEAP, SGX_VECTOR_PF);
    TCS_FAULT(tcs.ofsbase = 8, SGX_VECTOR_GP);
    TCS_FAULT(tcs.ogsbase = 8, SGX_VECTOR_GP);
    TCS_FAULT(tcs.oentry = 1ull << 60, SGX_VECTOR_GP);
    TCS_FAULT(tcs.flags = 1ull << 5, SGX_VECTOR_GP);
    TCS_FAULT(tcs.flags = SGX_TCS_AEXNOTIFY, SGX_VECTOR_GP); /* ATTRIBUTES does not allow it */
    harness_poke(&h, H_TCS(0), &good, sizeof(good));
    assert_int_equal(harness_call(&h, 0, &p), 0);
    assert_int_equal(h.run.function, SGX_EEXIT);
    finish(&h);
}

static int refuse(long rdi, long rsi, long rdx, long rsp, long r8, long r9,
                  struct sgx_enclave_run *run)
{
    return -(int)run->user_data;
}

/* The vDSO's contract (asm/sgx.h). */
static void test_vdso_contract(void **state)
{
    struct harness h;
    start(state, &h);
    vdso_sgx_enter_enclave_t entry = h.e.driver->entry();
    struct probe p = {.op = PROBE_NOP};
    h.run = (struct sgx_enclave_run){.tcs = h.e.base + H_TCS(0)};
    assert_int_equal(sgx_enter(entry, &h.run, SGX_EEXIT, 0, 0, 0), -EINVAL);
    assert_int_equal(sgx_enter(entry, &h.run, SGX_EREPORT, 0, 0, 0), -EINVAL);
    h.run.reserved[215] = 1;
    assert_int_equal(sgx_enter(entry, &h.run, SGX_EENTER, 0, 0, 0), -EINVAL);
    h.run.reserved[215] = 0;
    h.run.user_handler = (uint64_t)refuse;
    h.run.user_data = 77;
    assert_int_equal(sgx_enter(entry, &h.run, SGX_EENTER, (uint64_t)&p, 0, 0), -77);
    assert_int_equal(h.run.function, SGX_EEXIT);
    /* DF and AC of the caller reach the enclave: it must clear them itself. */
    p = (struct probe){.op = PROBE_BASES};
    h.run = (struct sgx_enclave_run){.tcs = h.e.base + H_TCS(0)};
    __asm__ volatile("pushfq; orq $0x400, (%%rsp); popfq" : : : "cc");
    int ret = sgx_enter(entry, &h.run, SGX_EENTER, (uint64_t)&p, 0, 0);
    __asm__ volatile("cld");
    assert_int_equal(ret, 0);
    assert_true((p.rcx & 0x400) != 0);
    finish(&h);
}

/* --- other enclaves -------------------------------------------------------------------------- */

/* Base 0 and 2^46 bytes, half of all addresses: programs at 0x400000 fit. Mapped from 64 KiB. */
static void test_base_zero(void **state)
{
    struct harness h;
    build(&h, (struct harness_options){.strict = *state == STRICT,
                                       .attributes = SGX_ATTR_DEBUG,
                                       .base = UINT64_MAX,
                                       .size = 1ull << 46,
                                       .shift = (1ull << 46) - (1ull << 30)});
    struct probe p = {.op = PROBE_INSN, .rbx = INSN_SYSCALL, .rcx = SYS_getpid};
    assert_int_equal(harness_call_handled(&h, 0, &p, HANDLER_SKIP), 0);
    assert_int_equal(p.rax, 4242);
    for (uint64_t addr = 0x400000; addr < 1ull << 45; addr = addr * 8 + 0x1000) {
        p = (struct probe){.op = PROBE_WRITE, .rbx = addr, .rcx = addr};
        assert_int_equal(harness_call_handled(&h, 0, &p, HANDLER_ACCEPT), 0);
        assert_int_equal(h.run.function, SGX_EEXIT);
        p = (struct probe){.op = PROBE_READ, .rbx = addr};
        assert_int_equal(harness_call(&h, 0, &p), 0);
        assert_int_equal(p.rax, addr);
    }
    assert_int_equal(stats_of(&h).slots > 0, *state == PATCHED && !sim_no_ldt);
    finish(&h);
}

/* A limited EPC pages out and in; contents survive, and it is counted. */
static void test_epc_limit(void **state)
{
    struct harness h;
    build(&h, (struct harness_options){
                  .strict = *state == STRICT, .attributes = SGX_ATTR_DEBUG, .epc_pages = 64});
    for (unsigned i = 0; i < 100; i++) {
        struct probe p = {.op = PROBE_WRITE, .rbx = h.e.base + H_HEAP + i * 4096, .rcx = i + 1};
        assert_int_equal(harness_call_handled(&h, 0, &p, HANDLER_ACCEPT), 0);
        assert_int_equal(h.run.function, SGX_EEXIT);
    }
    for (unsigned i = 0; i < 100; i++) {
        struct probe p = {.op = PROBE_READ, .rbx = h.e.base + H_HEAP + i * 4096};
        assert_int_equal(harness_call(&h, 0, &p), 0);
        assert_int_equal(p.rax, i + 1);
    }
    struct sgxsim_stats s = stats_of(&h);
    assert_true(s.ewb > 36 && s.eldu > 36);
    assert_true(s.epc_pages <= 64 && s.epc_peak_pages <= 64);
    finish(&h);
}

/* One byte changed in code or data after signing: EINIT refuses (-EPERM). */
static void test_changed_byte(void **state)
{
    struct harness h;
    struct sh_error err = {0};
    struct harness_options o = {.strict = *state == STRICT, .flip = 0x123};
    assert_int_equal(harness_build(&h, &o, false, &err), -EPERM);
}

/* 38.4 ERESUME: an SSA frame that software has spoilt is #GP, and the frame stays. */
static struct harness *spoilt;
static uint64_t spoil_offset, spoil_value;

static int spoil_and_resume(long rdi, long rsi, long rdx, long rsp, long r8, long r9,
                            struct sgx_enclave_run *run)
{
    if (run->function != SGX_ERESUME || run->exception_vector != SGX_VECTOR_UD)
        return -1000 - run->exception_vector;
    harness_poke(spoilt, spoil_offset, &spoil_value, sizeof(spoil_value));
    return SGX_ERESUME;
}

static void test_spoilt_frames(void **state)
{
    struct harness h;
    start(state, &h);
    uint64_t frame = H_SSA(0), gpr = frame + H_FRAME_PAGES * SGX_PAGE_SIZE - 184;
    const struct {
        uint64_t offset, value;
        unsigned vector;
    } cases[] = {
        {frame + 512, 1ull << 2, SGX_VECTOR_GP},  /* XSTATE_BV: AVX is not in XFRM */
        {frame + 520, 1ull << 63, SGX_VECTOR_GP}, /* XCOMP_BV */
        {frame + 568, 1, SGX_VECTOR_GP},          /* reserved bytes of the header */
        {frame + 24, 0xffffffff, SGX_VECTOR_GP},  /* MXCSR */
        {gpr + offsetof(struct sgx_gprsgx, rip), 1ull << 60, SGX_VECTOR_GP},
        {gpr + offsetof(struct sgx_gprsgx, fsbase), 1ull << 60, SGX_VECTOR_GP},
        {gpr + offsetof(struct sgx_gprsgx, gsbase), 1ull << 60, SGX_VECTOR_GP},
        {gpr + offsetof(struct sgx_gprsgx, rip), h.e.base + H_RW + 0x4000, SGX_VECTOR_PF},
    };
    spoilt = &h;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct probe p = {.op = PROBE_INSN, .rbx = INSN_UD2};
        spoil_offset = cases[i].offset;
        spoil_value = cases[i].value;
        h.run = (struct sgx_enclave_run){.tcs = h.e.base + H_TCS(0),
                                         .user_handler = (uint64_t)spoil_and_resume};
        int ret = sgx_enter(h.e.driver->entry(), &h.run, SGX_EENTER, (uint64_t)&p, 0, 0);
        assert_int_equal(ret, -1000 - (int)cases[i].vector);
        harness_drop(&h, 0);
    }
    /* RFLAGS: IOPL and IF do not come from the frame. */
    finish(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_enter_exit),    BOTH(test_syscall_is_ud),    BOTH(test_exceptions),
        BOTH(test_page_faults),   BOTH(test_commit_on_demand), BOTH(test_entry_faults),
        BOTH(test_vdso_contract), BOTH(test_base_zero),        BOTH(test_epc_limit),
        BOTH(test_changed_byte),  BOTH(test_spoilt_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
