// SPDX-License-Identifier: Apache-2.0
// The enclave's side of the rings (trusted/libos/port_sgx/ring.c) against a host's: every size at
// every place, and a host that lies about each word.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "trusted/libos/port_sgx/sgx.h"

#define HANDLE 7

static struct sh_rings *rings;
static struct sh_ring *ring;
static struct port_ring ours;
static uint8_t mine[1 << 17], there[SH_RING_IN + 64];

static int setup(void **state)
{
    if (!rings)
        rings = mmap(NULL, sizeof(*rings), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(rings, MAP_FAILED);
    ring = &rings->ring[HANDLE];
    memset(&rings->ring[HANDLE - 1], 0, 3 * sizeof(*ring));
    memset(rings, 0, 4096);
    ours = (struct port_ring){0};
    assert_true(sgx_rings_init((uint64_t)rings));
    for (size_t i = 0; i < sizeof(mine); i++)
        mine[i] = (uint8_t)(i * 7 + i / 256 + 1);
    return 0;
}

/* The host's part, as the loader does it. */
static size_t host_take(uint8_t *to, size_t most)
{
    size_t n = 0;
    for (; n < most && ring->out_taken != ring->out_put; ring->out_taken++)
        to[n++] = ring->out[(ring->out_taken - ring->out_base) % SH_RING_OUT];
    return n;
}

static void host_put(const uint8_t *from, size_t size)
{
    if (ring->in_put == ring->in_taken)
        ring->in_base = ring->in_put;
    for (size_t i = 0; i < size; i++, ring->in_put++)
        ring->in[(ring->in_put - ring->in_base) % SH_RING_IN] = from[i];
}

static void check_neighbours(void)
{
    static const struct sh_ring none;
    assert_memory_equal(&rings->ring[HANDLE - 1], &none, sizeof(none));
    assert_memory_equal(&rings->ring[HANDLE + 1], &none, sizeof(none));
}

static void test_addresses(void **state)
{
    static const uint64_t bad[] = {1,
                                   4096,
                                   SH_ENCLAVE_SIZE - 4096,
                                   1ull << 47,
                                   UINT64_MAX << 12,
                                   (1ull << 47) - sizeof(*rings) + 4096};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_false(sgx_rings_init(bad[i]));
    assert_true(sgx_rings_init(0));
    assert_int_equal(port_ring_put(&ours, HANDLE, mine, 8, false), 0); /* there are none */
    assert_true(sgx_rings_init((uint64_t)rings));
    static const int32_t none[] = {-1, INT32_MIN, INT32_MAX, SH_RINGS};
    for (size_t i = 0; i < ARRAY_COUNT(none); i++) {
        enum port_left left;
        assert_int_equal(port_ring_put(&ours, none[i], mine, 8, false), 0);
        assert_int_equal(port_ring_take(&ours, none[i], there, 8, false, &left), 0);
    }
}

/* Pieces of all sizes, taken in others: the same bytes, and none beside them. */
static void test_out(void **state)
{
    static uint8_t sent[3000 * 9973], got[SH_RING_OUT];
    size_t put = 0, taken = 0, piece = 1;
    for (unsigned round = 0; round < 3000; round++, piece = piece * 31 % 9973) {
        size_t room = SH_RING_OUT - (ours.out_put - ring->out_taken);
        /* As a pipe takes it (pipe(7), PIPE_BUF): so little goes whole or not at all. */
        size_t fits = piece <= room ? piece : piece <= 4096 ? 0 : room;
        uint32_t n = port_ring_put(&ours, HANDLE, mine + put % 251, (uint32_t)piece, round & 1);
        assert_int_equal(n, fits);
        assert_true(!n || ring->out_more == (round & 1));
        assert_true(rings->any[0] & 1 && rings->dirty[0] & 1 << HANDLE);
        memcpy(sent + put, mine + put % 251, n);
        put += n;
        size_t size = host_take(got, piece * 17 % 9973);
        assert_memory_equal(got, sent + taken, size);
        taken += size;
    }
    check_neighbours();
    /* While it is empty the next piece stands at the start again. */
    host_take(there, sizeof(there));
    assert_int_equal(port_ring_put(&ours, HANDLE, mine, 5, false), 5);
    assert_memory_equal(ring->out, mine, 5);
}

static void test_in(void **state)
{
    enum port_left left;
    size_t piece = 1, put = 0, taken = 0;
    for (unsigned round = 0; round < 3000; round++, piece = piece * 31 % 9973) {
        size_t room = SH_RING_IN - (ring->in_put - ring->in_taken), n = MIN(piece, room);
        for (size_t i = 0; i < n; i++)
            there[i] = (uint8_t)((put + i) * 11 + (put + i) / 256);
        host_put(there, n);
        put += n;
        ring->in_dry = ring->in_put;
        uint32_t size = (uint32_t)(piece * 17 % 4001);
        memset(there, 0xee, sizeof(there));
        uint32_t seen = port_ring_take(&ours, HANDLE, there, size, true, &left);
        uint32_t got = port_ring_take(&ours, HANDLE, there, size, false, &left);
        assert_int_equal(seen, got);
        assert_int_equal(got, MIN(size, put - taken));
        for (uint32_t i = 0; i < got; i++, taken++)
            assert_int_equal(there[i], (uint8_t)(taken * 11 + taken / 256));
        assert_int_equal(there[got], 0xee);
        assert_int_equal(left, taken == put ? PORT_LEFT_NONE : PORT_LEFT_SOME);
        assert_int_equal(ring->in_taken, taken);
    }
    assert_int_equal(port_ring_take(&ours, HANDLE, NULL, UINT32_MAX, true, &left), put - taken);
    ring->in_dry = ring->in_put - 1;
    port_ring_take(&ours, HANDLE, there, SH_RING_IN, false, &left);
    assert_int_equal(left, PORT_LEFT_UNKNOWN);
    check_neighbours();
}

/* Each of the host's words anything: never more than asked for, never beside the rings. */
static void test_lies(void **state)
{
    static const uint64_t lies[] = {0,
                                    1,
                                    7,
                                    8,
                                    SH_RING_IN - 1,
                                    SH_RING_IN,
                                    SH_RING_IN + 1,
                                    SH_RING_OUT - 1,
                                    SH_RING_OUT,
                                    SH_RING_OUT + 1,
                                    UINT32_MAX,
                                    1ull << 32,
                                    1ull << 63,
                                    INT64_MAX,
                                    UINT64_MAX,
                                    UINT64_MAX - 7};
    enum port_left left;
    const size_t n = ARRAY_COUNT(lies);
    for (size_t k = 0; k < n * n * n; k++) {
        ring->in_put = lies[k % n];
        ring->in_base = lies[k / n % n];
        ring->out_taken = ring->in_dry = lies[k / n / n];
        ring->error = k % 13 == 0;
        memset(there, 0xee, sizeof(there));
        uint32_t size = (uint32_t)(k * 37 % (sizeof(mine) - 1));
        uint32_t got = port_ring_take(&ours, HANDLE, there, size, k & 1, &left);
        assert_true(got <= size && got <= SH_RING_IN && left <= PORT_LEFT_SOME);
        assert_int_equal(there[got], 0xee);
        uint64_t before = ours.out_put;
        uint32_t put = port_ring_put(&ours, HANDLE, mine, size, false);
        assert_true(put <= size && put <= SH_RING_OUT);
        assert_int_equal(ours.out_put, before + put);
        if (ring->error)
            assert_int_equal(put, 0);
    }
    check_neighbours();
}

static void test_close(void **state)
{
    assert_true(port_ring_close(HANDLE));
    assert_int_equal(ring->closed, 1);
    assert_true(rings->any[0] & 1 && rings->dirty[0] & 1 << HANDLE);
    ring->error = 1;
    assert_false(port_ring_close(HANDLE));
    assert_false(port_ring_close(SH_RINGS));
    check_neighbours();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_addresses, setup), cmocka_unit_test_setup(test_out, setup),
        cmocka_unit_test_setup(test_in, setup),        cmocka_unit_test_setup(test_lies, setup),
        cmocka_unit_test_setup(test_close, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
