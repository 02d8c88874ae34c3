// SPDX-License-Identifier: Apache-2.0
// Volumes against a model: random operations, and power cuts at every moment of them.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/volume_model.h"
#include "trusted/volume/crypt.h"
#include "trusted/volume/internal.h"

#define BLOCKS 8192u
#define MEMORY VOLUME_MEMORY_MIN
#define HISTORY 4096

static const uint8_t key[VOLUME_KEY_SIZE] = "a key for tests, of 32 bytes....";

/* How many rounds: SHELTER_TEST_ROUNDS times as many. */
static unsigned rounds(unsigned n)
{
    const char *s = getenv("SHELTER_TEST_ROUNDS");
    return s ? n * (unsigned)atoi(s) : n;
}

static uint64_t seed_of(unsigned round)
{
    const char *s = getenv("SHELTER_TEST_SEED");
    return s ? strtoull(s, NULL, 0) : 0x5eed0000ull + round;
}

struct history {
    struct sim disk, cut, again; /* again: the power goes while what a cut left is opened, too */
    void *memory, *cut_memory, *again_memory;
    struct volume *v;
    uint64_t found; /* hash of the state that the cut disk shows */
    struct model m;
    uint64_t hashes[HISTORY]; /* after each operation */
    unsigned count, acked;
    uint64_t random, dice;
    unsigned every; /* one in so many events is cut */
    uint32_t aside; /* pointers that are kept aside: what a larger volume does by itself */
    unsigned long were_aside;
    unsigned long cuts, second_cuts, seed;
};

static void no_fault(void *arg, const char *text)
{
    fprintf(stderr, "check: %s\n", text);
}

/* While the cut disk is opened, looked at and closed: whenever the power goes, it shows the same.
 */
static void on_second_event(struct sim *s, void *arg)
{
    struct history *h = arg;
    struct volume_disk d = sim_disk(&h->again);
    struct volume *v;
    int error, how = (int)(sim_next(&h->dice) % 5);
    sim_cut(s, &h->again, how, &h->dice);
    h->again.random = sim_next(&h->dice);
    int r = volume_open(&d, key, 0, h->again_memory, MEMORY, &v);
    if (r)
        fail_msg("seed %#lx, operation %u, second cut %d: open says %d", h->seed, h->count, how, r);
    uint64_t have = volume_hash(v, VOLUME_ROOT, 1, &error);
    assert_int_equal(error, 0);
    if (h->second_cuts++ % 16 == 0)
        assert_int_equal(volume_check(v, no_fault, NULL), 0);
    volume_abandon(v);
    if (h->found && have != h->found)
        fail_msg("seed %#lx, operation %u, second cut %d: another state than the first showed",
                 h->seed, h->count, how);
    h->found = have;
}

/* Opens what a power cut left, and looks which moment it shows. */
static void look(struct history *h, int how)
{
    struct volume_disk d = sim_disk(&h->cut);
    struct volume *v;
    int error;
    h->found = 0;
    h->cut.event = NULL;
    sim_cut(&h->disk, &h->cut, how, &h->dice);
    if (sim_next(&h->dice) % 24 == 0)
        h->cut.event = on_second_event;
    h->cut.arg = h;
    int r = volume_open(&d, key, 0, h->cut_memory, MEMORY, &v);
    if (r)
        fail_msg("seed %#lx, operation %u, cut %d: open says %d", h->seed, h->count, how, r);
    uint64_t have = volume_hash(v, VOLUME_ROOT, 1, &error);
    assert_int_equal(error, 0);
    unsigned at = h->acked;
    while (at <= h->count && h->hashes[at] != have)
        at++;
    if (at > h->count)
        fail_msg("seed %#lx, operation %u, acknowledged %u, cut %d: a state that never was",
                 h->seed, h->count, h->acked, how);
    if (h->found && h->found != have)
        fail_msg("seed %#lx, operation %u, cut %d: not the state that a second cut showed", h->seed,
                 h->count, how);
    h->found = have;
    if (h->cuts++ % 16 == 0)
        assert_int_equal(volume_check(v, no_fault, NULL), 0);
    if (h->cuts % 2)
        volume_abandon(v);
    else
        assert_int_equal(volume_close(v, NULL), 0);
}

static void on_event(struct sim *s, void *arg)
{
    struct history *h = arg;
    if (sim_next(&h->dice) % h->every == 0)
        look(h, (int)(sim_next(&h->dice) % 5));
}

static void open_history(struct history *h)
{
    struct volume_disk d = sim_disk(&h->disk);
    assert_int_equal(volume_open(&d, key, 0, h->memory, MEMORY, &h->v), 0);
    h->v->delta_max = h->aside < h->v->delta_room ? h->aside : h->v->delta_room;
}

static void history_init(struct history *h, uint64_t seed, uint64_t blocks, uint32_t aside)
{
    memset(h, 0, sizeof(*h));
    h->seed = seed;
    h->random = seed;
    h->dice = ~seed;
    h->every = 1;
    h->aside = aside;
    h->memory = aligned_alloc(4096, MEMORY);
    h->cut_memory = aligned_alloc(4096, MEMORY);
    h->again_memory = aligned_alloc(4096, MEMORY);
    sim_init(&h->disk, blocks, seed ^ 1);
    sim_init(&h->cut, blocks, seed ^ 2);
    sim_init(&h->again, blocks, seed ^ 3);
    model_init(&h->m);
    struct volume_disk d = sim_disk(&h->disk);
    assert_int_equal(volume_create(&d, key, "test", h->memory, MEMORY), 0);
    open_history(h);
    h->hashes[0] = model_hash(&h->m, 1, 1);
}

static void history_end(struct history *h)
{
    free(h->memory);
    free(h->cut_memory);
    free(h->again_memory);
    sim_end(&h->disk);
    sim_end(&h->cut);
    sim_end(&h->again);
    model_end(&h->m);
}

static void same_as_model(struct history *h)
{
    int error;
    uint64_t have = volume_hash(h->v, VOLUME_ROOT, 1, &error);
    assert_int_equal(error, 0);
    if (have != model_hash(&h->m, 1, 1))
        fail_msg("seed %#lx: after %u operations volume and model differ", h->seed, h->count);
}

static void reopen(struct history *h)
{
    assert_int_equal(volume_close(h->v, NULL), 0);
    open_history(h);
    /* What was open is not any more. */
    for (unsigned i = 2; i < MODEL_INODES; i++) {
        h->m.inodes[i].open = false;
        if (h->m.inodes[i].ino && !h->m.inodes[i].nlink) {
            free(h->m.inodes[i].data);
            h->m.inodes[i] = (struct model_inode){0};
        }
    }
}

static void one_operation(struct history *h)
{
    int r = h->aside && sim_next(&h->random) % 3 ? both_rewrite(&h->m, h->v, &h->random)
                                                 : both_any(&h->m, h->v, &h->random);
    if (r && r != -ENOSPC)
        fail_msg("seed %#lx: operation %u: %d (%s)", h->seed, h->count, r, volume_reason(h->v));
    h->count++;
    h->were_aside += h->v->delta_live;
}

/* In every other round: nothing, a few pointers, as many as there is room for. */
static uint32_t aside_of(unsigned round)
{
    static const uint32_t some[] = {0, 6, 0, UINT32_MAX};
    return some[round % 4];
}

static void test_model(void **state)
{
    static struct history h;
    for (unsigned round = 0; round < rounds(4); round++) {
        history_init(&h, seed_of(round), BLOCKS, aside_of(round));
        for (unsigned n = 0; n < 3000; n++) {
            one_operation(&h);
            if (n % 97 == 0)
                assert_int_equal(volume_sync(h.v), 0);
            if (n % 500 == 499) {
                reopen(&h);
                same_as_model(&h);
                assert_int_equal(volume_check(h.v, no_fault, NULL), 0);
            }
        }
        assert_true(!h.aside == !h.were_aside);
        assert_int_equal(volume_close(h.v, NULL), 0);
        history_end(&h);
    }
}

static void test_power_cuts(void **state)
{
    static struct history h;
    unsigned long cuts = 0, second = 0, aside = 0;
    for (unsigned round = 0; round < rounds(13); round++) {
        history_init(&h, seed_of(round), 4096, aside_of(round));
        h.disk.event = on_event;
        h.disk.arg = &h;
        h.every = round % 3 ? 4 : 1; /* 1: every prefix of what is written */
        for (unsigned n = 0; n < 120; n++) {
            one_operation(&h);
            h.hashes[h.count] = model_hash(&h.m, 1, 1);
            uint64_t dice = sim_next(&h.random) % 12;
            if (dice < 3)
                assert_int_equal(volume_sync(h.v), 0);
            else if (dice == 3)
                assert_int_equal(volume_commit(h.v), 0);
            if (dice <= 3)
                h.acked = h.count;
            for (int how = 0; how < 5 && n % 8 == 0; how++)
                look(&h, how);
        }
        h.disk.event = NULL;
        assert_int_equal(volume_close(h.v, NULL), 0);
        cuts += h.cuts;
        second += h.second_cuts;
        aside += h.were_aside;
        history_end(&h);
    }
    print_message(
        "           %lu power cuts, %lu more while that was opened, %lu pointers aside, from seed "
        "%#lx\n",
        cuts, second, aside, (unsigned long)seed_of(0));
    assert_true(cuts > 500 && second > 100 && aside > 20);
}

/* Full to the last block, again and again: -ENOSPC, and nothing is lost. */
static void test_full(void **state)
{
    static struct history h;
    static uint8_t buf[VOLUME_WRITE_MAX];
    for (unsigned round = 0; round < rounds(4); round++) {
        unsigned full = 0;
        uint64_t ino;
        history_init(&h, seed_of(round), 4096, aside_of(round));
        assert_int_equal(volume_make(h.v, 0, vname(""), 0100600, (struct volume_owner){0, 0}, 0,
                                     (struct volume_name){0}, &ino),
                         0);
        uint64_t at = 0;
        for (size_t size = sizeof(buf); size >= 4096; size /= 2) {
            while (!volume_write(h.v, ino, at, buf, size))
                at += size;
        }
        for (unsigned n = 0; n < 1500; n++) {
            int r = both_any(&h.m, h.v, &h.random);
            if (r && r != -ENOSPC)
                fail_msg("seed %#lx: operation %u: %d (%s)", h.seed, n, r, volume_reason(h.v));
            full += r == -ENOSPC;
            if (n % 100 == 0) {
                assert_int_equal(volume_sync(h.v), 0);
                same_as_model(&h);
            }
            if (n % 300 == 200) { /* a little room, so that it fills again */
                struct volume_change c = {.what = VOLUME_SET_SIZE, .size = at -= sizeof(buf)};
                assert_int_equal(volume_set(h.v, ino, &c), 0);
            }
        }
        assert_true(full > 20);
        same_as_model(&h);
        assert_int_equal(volume_check(h.v, no_fault, NULL), 0);
        reopen(&h);
        same_as_model(&h);
        assert_int_equal(volume_check(h.v, no_fault, NULL), 0);
        assert_int_equal(volume_close(h.v, NULL), 0);
        history_end(&h);
    }
}

int main(void)
{
    crypt_init(__builtin_cpu_supports("avx") && __builtin_cpu_supports("movbe"));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_power_cuts),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
