// SPDX-License-Identifier: Apache-2.0
// Rights of pages in the enclave, between a model of the processor and a host that does what it is
// asked, part of it, or nothing: no page is ever writable and executable on its way, what the
// processor has is what was asked for, or the enclave has ended.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>

#include "tests/unit/libos_start.h"

/* Port `unit` has these names too. */
int enclave_pages_add(uint64_t addr, uint64_t count, int prot);
int enclave_pages_fill(uint64_t addr, const void *const *sources, uint64_t count, int prot);
int enclave_pages_protect(uint64_t addr, uint64_t count, int old, int prot);
void enclave_pages_remove(const struct sh_pages *runs, unsigned count);
void enclave_pages_expect(const struct sh_pages *runs, unsigned count);
#define port_pages_add enclave_pages_add
#define port_pages_fill enclave_pages_fill
#define port_pages_protect enclave_pages_protect
#define port_pages_remove enclave_pages_remove
#define port_pages_expect enclave_pages_expect
#include "trusted/libos/port_sgx/pages.c"

#define PAGES 8u
#define AT(n) ((uint64_t)area_of_pages + (n)*4096ul)

static _Alignas(4096) uint8_t area_of_pages[PAGES * 4096];
const char sgx_zone[1], sgx_zone_meta_end[1], sgx_zone_pages[1], sgx_zone_pages_end[1];

static struct page {
    bool there, pending, changing; /* changing: EACCEPT must follow EMODPR or EMODT */
    uint8_t type;
    unsigned rights;
} pages[PAGES];
static int wanted;    /* rights that this step asks for */
static unsigned lies; /* a bit a call out of the step: it is not done */
static bool halfway;  /* it is done for the first page only */

static struct page *page_at(uint64_t addr)
{
    assert_true(addr >= AT(0) && addr < AT(PAGES));
    return &pages[(addr - AT(0)) >> 12];
}

/* What the processor does; all that is not right is a fault. */
uint64_t sgx_enclu(uint64_t leaf, uint64_t rbx, uint64_t addr, uint64_t source)
{
    const struct sgx_secinfo *info = (const struct sgx_secinfo *)rbx;
    struct page *p = page_at(addr);
    unsigned rights = info->flags & SGX_SECINFO_RWX;
    if (leaf == SGX_EMODPE) {
        if (!p->there || p->pending || p->changing)
            return UINT64_MAX;
        p->rights |= rights;
    } else if (leaf == SGX_EACCEPTCOPY) {
        if (p->there)
            return UINT64_MAX;
        *p = (struct page){.there = true, .type = SGX_PT_REG, .rights = rights};
    } else if (info->flags & SGX_SECINFO_PENDING) {
        if (p->there) /* EAUG comes by the fault of EACCEPT */
            return UINT64_MAX;
        *p = (struct page){.there = true, .type = SGX_PT_REG, .rights = rights};
    } else {
        bool trims = info->flags & SGX_SECINFO_MODIFIED;
        if (!p->there || !p->changing || p->type != SGX_SECINFO_PT_OF(info->flags) ||
            (!trims && p->rights != rights))
            return SGX_PAGE_ATTRIBUTES_MISMATCH;
        p->changing = false;
    }
    assert_true((wanted & 6) == 6 || (p->rights & 6) != 6);
    return 0;
}

static bool keeps[SH_CALL_COUNT]; /* the host does not take pages back at these calls */
static unsigned calls[SH_CALL_COUNT];

static void take_back(uint64_t nr, uint64_t addr, uint64_t size)
{
    for (uint64_t at = addr; !keeps[nr] && at < addr + size; at += 4096) {
        struct page *p = page_at(at);
        if (p->there && p->type == SGX_PT_TRIM && !p->changing)
            *p = (struct page){0};
    }
}

int64_t sgx_call(struct sgx_call *c)
{
    uint64_t count = halfway ? 1 : c->args[1] >> 12;
    bool does = !(lies & 1);
    const struct sh_pages *runs = c->a;
    calls[c->nr]++;
    if (c->nr == SH_CALL_REMOVE)
        take_back(c->nr, c->args[0], c->args[1]);
    for (uint64_t i = 0; c->nr == SH_CALL_COMMIT && i < c->args[2]; i++)
        take_back(c->nr, runs[i].addr, runs[i].size);
    if (c->nr != SH_CALL_RESTRICT && c->nr != SH_CALL_SET_TYPE)
        return 0;
    lies >>= 1;
    for (uint64_t i = 0; does && i < count; i++) {
        struct page *p = page_at(c->args[0] + (i << 12));
        p->changing = true;
        if (c->nr == SH_CALL_SET_TYPE)
            p->type = (uint8_t)c->args[2];
        else
            p->rights &= (unsigned)c->args[2];
        assert_true((wanted & 6) == 6 || (p->rights & 6) != 6);
    }
    return does ? 0 : -12;
}

/* From each right to each other one, with every lie. True: the enclave went on. */
static bool goes_on(int from, int to, uint64_t count)
{
    memset(pages, 0, sizeof(pages));
    wanted = from;
    pid_t child = fork();
    if (!child) {
        close(2); /* why it ended */
        unsigned kept = lies;
        lies = 0;
        enclave_pages_add(AT(0), count, from);
        lies = kept;
        wanted = to;
        enclave_pages_protect(AT(0), count, from, to);
        for (uint64_t i = 0; i < count; i++)
            assert_int_equal(pages[i].rights, to);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static const int rights[] = {0, 1, 3, 5, 7};

static void test_rights(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(rights); i++) {
        for (size_t j = 0; j < ARRAY_COUNT(rights); j++) {
            int from = rights[i], to = rights[j];
            bool takes = from & ~to;
            lies = 0;
            halfway = false;
            assert_true(goes_on(from, to, 3));
            lies = 1;
            assert_int_equal(goes_on(from, to, 3), !takes);
            lies = 0;
            halfway = true;
            assert_int_equal(goes_on(from, to, 1), true);
        }
    }
    halfway = false;
}

/* What is given back goes with the next request, or when it is in the way; where the host keeps it
 * all the same, the enclave ends. */
static void give_and_take(uint64_t count, bool expects)
{
    struct sh_pages run = {AT(0), count << 12};
    memset(calls, 0, sizeof(calls));
    enclave_pages_remove(&run, 1);
    assert_int_equal(calls[SH_CALL_SET_TYPE], 1);
    assert_int_equal(calls[SH_CALL_REMOVE], 0);
    if (expects)
        enclave_pages_expect(&run, 1);
    enclave_pages_add(AT(0), count, 3);
}

static void test_later(void **state)
{
    memset(pages, 0, sizeof(pages));
    lies = 0;
    wanted = 3;
    enclave_pages_add(AT(0), 4, 3);
    give_and_take(4, true);
    assert_int_equal(calls[SH_CALL_COMMIT], 1);
    assert_int_equal(calls[SH_CALL_REMOVE], 0);
    give_and_take(4, false);
    assert_int_equal(calls[SH_CALL_REMOVE], 4);
    keeps[SH_CALL_COMMIT] = true;
    give_and_take(4, true);
    assert_int_equal(calls[SH_CALL_REMOVE], 4);
    keeps[SH_CALL_REMOVE] = true;
    pid_t child = fork();
    if (!child) {
        close(2);
        give_and_take(4, true);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rights), cmocka_unit_test(test_later)};
    if (start_empty())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
