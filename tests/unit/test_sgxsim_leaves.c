// SPDX-License-Identifier: Apache-2.0
// The table of what each leaf refuses (tests/sgx/leaves.def), row by row: the leaves of the system
// by call, those of the user by a real enclave at both speeds.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "host/sgx/sign.h"
#include "host/sgx/sim/sim.h"
#include "tests/sgx/checks.h"
#include "verifier/measure/sgx.h"

#define REG SGX_SECINFO_PT(SGX_PT_REG)
#define BASE (1ull << 44)
#define SIZE 0x10000ull
#define P (BASE + 0x1000)
#define Q (BASE + 0x2000)
#define FREE (BASE + 0x3000)
#define OUT (BASE + SIZE)

/* --- leaves of the system -------------------------------------------------------------------- */

enum state { BARE, MADE, FULL, LIVE };
enum change { RESIGN_HASH, RESIGN_FLAGS, RESIGN_XFRM, RESIGN_MISC };

static struct sgxsim *dev;
static struct sgx_secs secs;
static struct sgx_secinfo info;
static struct sgx_pageinfo pi;
static struct sgx_sigstruct css;
static struct sgx_einittoken token;
static struct sim_va va;
static struct sgx_pcmd pcmd;
static uint64_t value;
static uint8_t source[4096] __attribute__((aligned(4096))),
    outside[2 * 4096] __attribute__((aligned(4096)));
static struct sgx_tcs *tcs;
static EVP_PKEY *signer;

static struct sim_page *page(uint64_t addr)
{
    return sim_page(dev, addr - dev->base);
}

static int ecreate(void)
{
    pi.srcpge = (uint64_t)&secs;
    pi.secinfo = (uint64_t)&info;
    return sim_ecreate(dev, &pi);
}

static int eadd(uint64_t addr, uint64_t flags)
{
    info.flags = flags;
    pi.linaddr = addr;
    pi.secinfo = (uint64_t)&info;
    return sim_eadd(dev, &pi);
}

static int eaug(uint64_t addr)
{
    struct sgx_pageinfo a = {.linaddr = addr};
    return sim_eaug(dev, &a);
}

static int emodpr(uint64_t addr, uint64_t perm)
{
    info.flags = perm;
    return sim_emodpr(dev, &info, addr);
}

static int emodt(uint64_t addr, unsigned type)
{
    info.flags = SGX_SECINFO_PT(type);
    return sim_emodt(dev, &info, addr);
}

static void sign_as(const struct sgx_secs *s, const uint8_t mrenclave[32])
{
    struct sh_error err = {0};
    struct sgx_sign_params p = {.attributes = s->attributes,
                                .attribute_mask = {~0ull, ~0ull},
                                .miscselect = s->miscselect,
                                .miscmask = ~0u,
                                .date = 0x20260101};
    memcpy(p.mrenclave, mrenclave, 32);
    if (signer == NULL)
        assert_int_equal(sgx_key_generate(&signer, &err), 0);
    assert_int_equal(sgx_sign(&css, &p, signer, &err), 0);
}

static void resign(enum change what)
{
    struct sgx_secs other = secs;
    uint8_t hash[32];
    memcpy(hash, css.enclave_hash, 32);
    hash[0] ^= what == RESIGN_HASH;
    other.attributes.flags ^= what == RESIGN_FLAGS ? SGX_ATTR_DEBUG : 0;
    other.attributes.xfrm ^= what == RESIGN_XFRM ? 4 : 0;
    other.miscselect ^= what == RESIGN_MISC;
    sign_as(&other, hash);
}

/* To the processor; no host thread is needed for that. */
static void go_inside(void)
{
    static struct sgx_tcs none;
    assert_int_equal(sim_attach(), 0);
    sim_self->tcs = &none;
    sim_self->dev = dev;
    sim_self->epoch = dev->epoch;
    sim_self->inside = true;
}

/* Everything that EWB wants of a page. */
static void ready(uint64_t addr)
{
    assert_int_equal(sim_epa(&va, SGX_PT_VA), 0);
    assert_int_equal(sim_eblock(dev, addr), 0);
    assert_int_equal(sim_etrack(dev), 0);
    pi = (struct sgx_pageinfo){.srcpge = (uint64_t)outside, .secinfo = (uint64_t)&pcmd};
}

static int ewb(uint64_t addr)
{
    return sim_ewb(dev, &pi, addr, &va, 3);
}

static void away(uint64_t addr)
{
    ready(addr);
    assert_int_equal(ewb(addr), 0);
}

static int eldu(uint64_t addr)
{
    return sim_eld(dev, &pi, addr, &va, 3, false);
}

static void set_up(enum state state)
{
    struct sgxsim_options o = {0};
    struct sgx_measure m;
    uint8_t hash[32];
    secs = (struct sgx_secs){.size = SIZE,
                             .base = BASE,
                             .ssa_frame_size = 1,
                             .miscselect = SGX_MISC_EXINFO,
                             .attributes = {SGX_ATTR_MODE64BIT | SGX_ATTR_DEBUG, 3}};
    memset(source, 0, sizeof(source));
    tcs = (struct sgx_tcs *)source;
    memset(&token, 0, sizeof(token));
    memset(&va, 0, sizeof(va));
    info = (struct sgx_secinfo){0};
    pi = (struct sgx_pageinfo){0};
    assert_int_equal(sgxsim_open(&o, &dev), 0);
    assert_int_equal(sgx_measure_create(&m, SIZE, 1), 0);
    assert_int_equal(sgx_measure_add(&m, P - BASE, REG | 3), 0);
    assert_int_equal(sgx_measure_add(&m, Q - BASE, SGX_SECINFO_PT(SGX_PT_TCS)), 0);
    sgx_measure_final(&m, hash);
    sign_as(&secs, hash);
    sgx_mrsigner(&css, (uint8_t *)sim_cpu.lepubkeyhash);
    if (state >= MADE) {
        struct sgx_enclave_create c = {.src = (uint64_t)&secs};
        assert_int_equal(sgxsim_ioctl(dev, SGX_IOC_ENCLAVE_CREATE, &c), 0);
    }
    pi.srcpge = (uint64_t)source;
    if (state >= FULL) {
        assert_int_equal(eadd(P, REG | 3), 0);
        assert_int_equal(eadd(Q, SGX_SECINFO_PT(SGX_PT_TCS)), 0);
    }
    if (state == LIVE)
        assert_int_equal(sim_einit(dev, &css, &token), 0);
    info = (struct sgx_secinfo){0};
    pi.linaddr = 0;
}

static void tear_down(void)
{
    if (sim_self != NULL)
        sim_self->inside = false;
    if (dev->chunks == NULL)
        dev->created = false;
    assert_int_equal(sgxsim_close(dev), 0);
}

static void check(const char *leaf, const char *condition, int got, int want)
{
    if (got != want)
        fail_msg("%s, %s: %d, not %d", leaf, condition, got, want);
    tear_down();
}

static void test_rows(void **state)
{
    unsigned rows = 0;
    (void)state;
#define ABSENT(leaf, condition, why)
#define ENTRY(leaf, condition, outcome, change)
#define INSIDE(leaf, condition, outcome, prepare, rbx, rcx, rdx)
#define ROW(leaf, condition, outcome, in, act)                                                     \
    set_up(in);                                                                                    \
    check(#leaf, condition, act, outcome);                                                         \
    rows++;
#include "tests/sgx/leaves.def"
#undef ABSENT
#undef ENTRY
#undef INSIDE
#undef ROW
    assert_true(rows > 150);
}

/* --- leaves of the user ---------------------------------------------------------------------- */

#define GP (1ll << 32 | SGX_VECTOR_GP)
#define PF(error) (1ll << 32 | (error) << 8 | SGX_VECTOR_PF)
#define CODE(code) ((long long)(code))
#define EXIT CODE(SGX_EEXIT)

#define B (h.e.base)
#define HOST ((uint64_t)source)
#define REPORT (B + H_RW)
#define KEY REPORT
#define INFO REPORT
#define DATA (B + H_RW + 0x400)
#define OUTPUT (B + H_RW + 0x1000)
#define NONE (B + H_RW + 0x4000)

static struct harness h;

static uint8_t *at(uint64_t offset)
{
    return sim_frame(dev, offset);
}

static long long outcome_of(const struct sgx_enclave_run *run, long long code)
{
    if (run->function == SGX_EEXIT)
        return code;
    return 1ll << 32 | (long long)run->exception_error_code << 8 | run->exception_vector;
}

static void finish_row(const char *leaf, const char *condition, long long got, long long want)
{
    if (got != want)
        fail_msg("%s, %s: %llx, not %llx", leaf, condition, got, want);
    sim_self->inside = false;
    assert_int_equal(harness_destroy(&h), 0);
}

#define page(offset) sim_page(dev, offset)

static long long enter(struct sgx_enclave_run *run, enum sgx_enclu leaf)
{
    static struct probe p;
    p = (struct probe){.op = PROBE_NOP};
    assert_int_equal(sgx_enter(h.e.driver->entry(), run, (unsigned)leaf, (uint64_t)&p, 0, 0), 0);
    return outcome_of(run, SGX_EEXIT);
}

static long long call_inside(uint64_t leaf, uint64_t rbx, uint64_t rcx, uint64_t rdx)
{
    struct probe p = {.op = PROBE_ENCLU, .rax = leaf, .rbx = rbx, .rcx = rcx, .rdx = rdx};
    assert_int_equal(harness_call(&h, 0, &p), 0);
    return outcome_of(&h.run, (long long)p.rax);
}

static void test_entry(void **state)
{
#define ABSENT(leaf, condition, why)
#define ROW(leaf, condition, outcome, in, act)
#define INSIDE(leaf, condition, outcome, prepare, rbx, rcx, rdx)
#define ENTRY(leaf, condition, outcome, change)                                                    \
    {                                                                                              \
        start(state, &h);                                                                          \
        dev = h.e.dev;                                                                             \
        tcs = (struct sgx_tcs *)at(H_TCS(0));                                                      \
        uint8_t *ssa = at(H_SSA(0));                                                               \
        struct sgx_gprsgx *gpr = (struct sgx_gprsgx *)(ssa + H_FRAME_PAGES * SGX_PAGE_SIZE) - 1;   \
        struct sgx_enclave_run run = {.tcs = B + H_TCS(0)};                                        \
        (void)gpr;                                                                                 \
        change;                                                                                    \
        finish_row(#leaf, condition, enter(&run, SGX_##leaf), outcome);                            \
    }
#include "tests/sgx/leaves.def"
#undef ABSENT
#undef ROW
#undef INSIDE
#undef ENTRY
}

static void test_inside(void **state)
{
#define ABSENT(leaf, condition, why)
#define ROW(leaf, condition, outcome, in, act)
#define ENTRY(leaf, condition, outcome, change)
#define INSIDE(leaf, condition, outcome, prepare, rbx, rcx, rdx)                                   \
    {                                                                                              \
        start(state, &h);                                                                          \
        dev = h.e.dev;                                                                             \
        struct sgx_keyrequest *key = (struct sgx_keyrequest *)at(H_RW);                            \
        struct sgx_secinfo *secinfo = (struct sgx_secinfo *)at(H_RW);                              \
        memset(at(H_RW), 0, SGX_PAGE_SIZE);                                                        \
        if (SGX_##leaf == SGX_EGETKEY)                                                             \
            key->keyname = SGX_KEY_SEAL;                                                           \
        if (SGX_##leaf == SGX_EACCEPT || SGX_##leaf == SGX_EACCEPTCOPY)                            \
            secinfo->flags = REG | 3 | SGX_SECINFO_PENDING;                                        \
        prepare;                                                                                   \
        finish_row(#leaf, condition, call_inside(SGX_##leaf, rbx, rcx, rdx), outcome);             \
    }
#include "tests/sgx/leaves.def"
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        BOTH(test_entry),
        BOTH(test_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
