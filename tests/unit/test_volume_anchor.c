// SPDX-License-Identifier: Apache-2.0
// Freshness: what the anchor judges, and histories in which a host puts every earlier state back,
// cuts the power, and lets one who lost the volume write on.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/volume_model.h"
#include "trusted/volume/anchor.h"
#include "trusted/volume/crypt.h"

#define BLOCKS 4096u
#define IMAGE_SIZE (BLOCKS * (size_t)SIM_BLOCK)
#define SAVED 10u
#define STEPS 240u

static const uint8_t key[VOLUME_KEY_SIZE] = "a key for tests, of 32 bytes....";

/* ---- the table ---- */

static const char *judge(enum anchor_memory memory, uint64_t sequence, uint32_t log, uint8_t root,
                         uint64_t next, struct volume_state f, uint8_t found_root)
{
    struct anchor a = {memory, sequence, next, log, {0}};
    memset(a.root, root, sizeof(a.root));
    memset(f.root, found_root, sizeof(f.root));
    return anchor_judge(&a, &f);
}
#define STATE(s, l, w) ((struct volume_state){.sequence = (s), .log_count = (l), .writer = (w)})
#define ACKED(s, l, w, as, al)                                                                     \
    ((struct volume_state){.sequence = (s),                                                        \
                           .log_count = (l),                                                       \
                           .writer = (w),                                                          \
                           .anchored_sequence = (as),                                              \
                           .anchored_log = (al)})
#define SAYS(what, ...) assert_non_null(strstr(judge(__VA_ARGS__) ?: "nothing", what))

static void test_table(void **state)
{
    assert_null(judge(ANCHOR_NEVER, 0, 0, 0, 0, STATE(9, 0, 1), 5));
    SAYS("forgot", ANCHOR_NEVER, 0, 0, 0, 0, ACKED(9, 0, 1, 8, 0), 5);
    assert_null(judge(ANCHOR_RESET, 50, 0, 0, 7, ACKED(9, 0, 1, 60, 0), 5));
    for (enum anchor_memory m = ANCHOR_OPEN; m <= ANCHOR_RELEASED; m++) {
        assert_null(judge(m, 9, 3, 5, 7, STATE(9, 3, 1), 5));
        SAYS("earlier state", m, 9, 3, 5, 7, STATE(8, 0, 7), 5);
        SAYS("earlier state", m, 9, 3, 5, 7, STATE(9, 2, 7), 5);
        SAYS("earlier state", m, 9, 3, 5, 7, STATE(8, 400, 7), 4);
        SAYS("did not hold", m, 9, 3, 5, 7, STATE(9, 3, 7), 6);
        SAYS("did not hold", m, 9, 3, 5, 7, STATE(9, 4, 7), 6);
        SAYS("did not hold", m, 9, 3, 5, 7, STATE(10, 0, 1), 6);
        SAYS("did not hold", m, 9, 3, 5, 7, STATE(10, 0, 0), 6);
        SAYS("did not hold", m, 9, 3, 5, 0, STATE(10, 0, 0), 6);
        SAYS("forgot", m, 9, 3, 5, 7, ACKED(10, 0, 7, 9, 4), 6);
        SAYS("forgot", m, 9, 3, 5, 7, ACKED(9, 3, 7, 10, 0), 5);
    }
    assert_null(judge(ANCHOR_OPEN, 9, 3, 5, 7, STATE(9, 4, 1), 5)); /* its log went on */
    assert_null(judge(ANCHOR_OPEN, 9, 3, 5, 7, ACKED(10, 0, 7, 9, 3), 6));
    SAYS("forgot", ANCHOR_RELEASED, 9, 3, 5, 7, STATE(9, 4, 1), 5);
    SAYS("forgot", ANCHOR_RELEASED, 9, 3, 5, 7, STATE(10, 0, 7), 6);
    assert_null(anchor_judge(&(struct anchor){.memory = ANCHOR_NEVER}, NULL));
    for (enum anchor_memory m = ANCHOR_OPEN; m < ANCHOR_MEMORIES; m++) {
        struct anchor a = {.memory = m, .sequence = 1};
        assert_non_null(strstr(anchor_judge(&a, NULL), "reset --new"));
    }
}

static void test_watch(void **state)
{
    struct anchor_watch w = {.mode = ANCHOR_SESSION, .limit = 1000, .heard = 5000};
    struct volume_state s = STATE(3, 1, 1), later = STATE(3, 2, 1), next = STATE(4, 0, 1);
    assert_int_equal(anchor_may_change(&w, 6000), 0);
    assert_int_equal(anchor_may_change(&w, 6001), -EAGAIN); /* nobody could ask */
    w.away = true;
    assert_int_equal(anchor_may_change(&w, 6000), 0);
    assert_int_equal(anchor_may_change(&w, 6001), -EIO);
    w.pauses = true;
    assert_int_equal(anchor_may_change(&w, 6001), -EAGAIN);
    anchor_heard(&w, &s, 6500);
    assert_false(w.away);
    assert_int_equal(anchor_may_change(&w, 7500), 0);
    assert_true(anchor_has(&w, &s));
    assert_false(anchor_has(&w, &later));
    assert_false(anchor_has(&w, &next));
    anchor_heard(&w, &next, 6600);
    assert_true(anchor_has(&w, &later));
    /* A clock that was set back gives no time: at best the anchor has to be asked. */
    w.pauses = false;
    assert_int_equal(anchor_may_change(&w, 6599), -EAGAIN);
    assert_int_equal(anchor_may_change(&w, 0), -EAGAIN);
    w.away = true;
    assert_int_equal(anchor_may_change(&w, 6599), -EIO);
    w.lost = true;
    assert_int_equal(anchor_may_change(&w, 6600), -EIO);
    w.mode = ANCHOR_NONE;
    assert_int_equal(anchor_may_change(&w, UINT64_MAX), 0);
}

/* ---- histories ---- */

struct world {
    struct sim disk;
    struct anchor a;
    struct volume_state acked; /* by the anchor */
    uint64_t writer, random;
    struct volume *v;
    uint8_t *memory;
    const char *why;
};

static void take_state(struct anchor *a, const struct volume_state *s)
{
    a->memory = ANCHOR_OPEN;
    a->sequence = s->sequence;
    a->log_count = s->log_count;
    memcpy(a->root, s->root, sizeof(a->root));
}

static struct world *judged; /* by the disk's anchor */
static int judge_found(void *ctx, const struct volume_state *found)
{
    judged->why = anchor_judge(&judged->a, found);
    if (judged->why)
        return -ESTALE;
    take_state(&judged->a, found); /* begin */
    judged->a.next = judged->writer;
    judged->acked = *found;
    return 0;
}

static int open_world(struct world *w)
{
    struct volume_disk d = sim_disk(&w->disk);
    d.judge_found = judge_found;
    d.writer = w->writer = sim_next(&w->random) | 1;
    judged = w;
    return volume_open(&d, key, 0, w->memory, VOLUME_MEMORY_MIN, &w->v);
}

static void acknowledge(struct world *w)
{
    volume_state(w->v, &w->acked);
    take_state(&w->a, &w->acked);
    volume_anchored(w->v, &w->acked);
}

static void change_something(struct world *w)
{
    char name[8];
    uint64_t ino;
    struct volume_name none = {0}, n = {name, 0};
    n.size = (size_t)snprintf(name, sizeof(name), "f%u", (unsigned)(sim_next(&w->random) % 20));
    if (volume_lookup(w->v, VOLUME_ROOT, n, &ino))
        assert_int_equal(
            volume_make(w->v, VOLUME_ROOT, n, 0100644, (struct volume_owner){0, 0}, 0, none, &ino),
            0);
    assert_int_equal(volume_write(w->v, ino, sim_next(&w->random) % 9000, &w->random, 8), 0);
}

static void cut_power(struct world *w)
{
    static struct sim after;
    volume_abandon(w->v);
    if (!after.blocks)
        sim_init(&after, BLOCKS, 1);
    sim_cut(&w->disk, &after, (int)(sim_next(&w->random) % 5), &w->random);
    sim_settle(&w->disk);
    memcpy(w->disk.now, after.now, IMAGE_SIZE);
    memcpy(w->disk.durable, after.now, IMAGE_SIZE);
}

/* One history; each state that was saved on the way comes back at its end. */
static void run_history(uint64_t seed, unsigned *refused, unsigned *taken)
{
    static struct world w, other;
    static uint8_t *saved[SAVED];
    struct volume_state state_of[SAVED];
    uint64_t writer_of[SAVED];
    unsigned count = 0;
    w = (struct world){.random = seed,
                       .memory = w.memory ?: aligned_alloc(4096, VOLUME_MEMORY_MIN)};
    sim_init(&w.disk, BLOCKS, seed);
    struct volume_disk d = sim_disk(&w.disk);
    assert_null(anchor_judge(&w.a, NULL));
    assert_int_equal(volume_create(&d, key, "test", w.memory, VOLUME_MEMORY_MIN), 0);
    assert_int_equal(open_world(&w), 0);
    for (unsigned step = 0; step < STEPS; step++) {
        change_something(&w);
        uint64_t dice = sim_next(&w.random) % 100;
        if (dice < 30)
            assert_int_equal(volume_sync(w.v), 0);
        else if (dice < 36)
            assert_int_equal(volume_commit(w.v), 0);
        if (sim_next(&w.random) % 3 == 0)
            acknowledge(&w);
        if (count < SAVED && sim_next(&w.random) % (STEPS / SAVED) == 0) {
            saved[count] = saved[count] ?: malloc(IMAGE_SIZE);
            memcpy(saved[count], w.disk.durable, IMAGE_SIZE);
            volume_state(w.v, &state_of[count]);
            writer_of[count++] = w.writer;
        }
        if (dice > 96) { /* whatever the power leaves has all that was acknowledged */
            cut_power(&w);
            assert_int_equal(open_world(&w), 0);
        }
    }
    assert_int_equal(volume_sync(w.v), 0);
    acknowledge(&w);
    volume_abandon(w.v);
    for (unsigned i = 0; i < count; i++) {
        struct volume_state *s = &state_of[i];
        bool older =
            anchor_compare(s->sequence, s->log_count, w.acked.sequence, w.acked.log_count) < 0;
        other = (struct world){.random = seed + i, .memory = w.memory, .a = w.a};
        sim_init(&other.disk, BLOCKS, seed + i);
        memcpy(other.disk.now, saved[i], IMAGE_SIZE);
        memcpy(other.disk.durable, saved[i], IMAGE_SIZE);
        int r = open_world(&other);
        assert_int_equal(r, older ? -ESTALE : 0);
        *refused += r != 0;
        *taken += r == 0;
        if (!r) {
            volume_abandon(other.v);
        } else {
            assert_non_null(strstr(other.why, "earlier state"));
            assert_memory_equal(other.disk.now, saved[i],
                                64 * SIM_BLOCK); /* nothing was written
                                                  * where roots and log are */
            /* Who once held it goes on with that copy, without the anchor: further than the volume
             * itself got, and still not the volume. */
            struct volume_disk z = sim_disk(&other.disk);
            z.writer = writer_of[i];
            assert_int_equal(volume_open(&z, key, 0, w.memory, VOLUME_MEMORY_MIN, &other.v), 0);
            for (unsigned k = 0; k < STEPS; k++)
                assert_int_equal(volume_commit(other.v), 0);
            volume_abandon(other.v);
            r = open_world(&other);
            assert_int_equal(r, writer_of[i] == w.a.next ? 0 : -ESTALE);
            if (!r)
                volume_abandon(other.v);
            else
                assert_non_null(strstr(other.why, "did not hold"));
        }
        sim_end(&other.disk);
    }
    sim_end(&w.disk);
}

static void test_histories(void **state)
{
    unsigned refused = 0, taken = 0, rounds = 8;
    const char *more = getenv("SHELTER_TEST_ROUNDS");
    rounds *= more ? (unsigned)atoi(more) : 1;
    for (unsigned i = 0; i < rounds; i++)
        run_history(1000 + i, &refused, &taken);
    print_message("           %u earlier states refused, %u others taken\n", refused, taken);
    assert_true(refused > 4 * rounds);
}

/* A released volume is exactly what was released. */
static void test_released(void **state)
{
    static struct world w;
    struct volume_state last;
    w = (struct world){.random = 5, .memory = aligned_alloc(4096, VOLUME_MEMORY_MIN)};
    sim_init(&w.disk, BLOCKS, 5);
    struct volume_disk d = sim_disk(&w.disk);
    assert_int_equal(volume_create(&d, key, "test", w.memory, VOLUME_MEMORY_MIN), 0);
    assert_int_equal(open_world(&w), 0);
    change_something(&w);
    assert_int_equal(volume_close(w.v, &last), 0);
    take_state(&w.a, &last);
    w.a.memory = ANCHOR_RELEASED;
    struct anchor before = w.a;
    assert_int_equal(open_world(&w), 0);
    assert_int_equal(volume_close(w.v, &last), 0);
    /* Its broker was put back: the file knows more. */
    w.a = before;
    assert_int_equal(open_world(&w), -ESTALE);
    assert_non_null(strstr(w.why, "did not hold"));
    w.a.memory = ANCHOR_RESET;
    assert_int_equal(open_world(&w), 0);
    volume_abandon(w.v);
    sim_end(&w.disk);
    free(w.memory);
}

static int start(void **state)
{
    crypt_init(__builtin_cpu_supports("avx") && __builtin_cpu_supports("movbe"));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_watch),
                                       cmocka_unit_test(test_histories),
                                       cmocka_unit_test(test_released)};
    return cmocka_run_group_tests(tests, start, NULL);
}
