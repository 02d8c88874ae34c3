// SPDX-License-Identifier: Apache-2.0
// The VM's server of volumes: requests as no kernel sends them, names that no longer lead to a
// file, directories read from anywhere.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/volume_sim.h"
#include "trusted/guest/volume/server.h"
#include "trusted/volume/crypt.h"

#define BLOCKS 8192u

static const uint8_t key[VOLUME_KEY_SIZE] = "a key for tests, of 32 bytes....";
static struct sim sim;
static struct server s;
static void *memory;
static _Alignas(8) uint8_t in[SERVER_IN_SIZE], out[SERVER_OUT_SIZE];

static int setup(void **state)
{
    sim_init(&sim, BLOCKS, 5);
    struct volume_disk d = sim_disk(&sim);
    s = (struct server){.in = in, .out = out};
    memory = aligned_alloc(4096, VOLUME_MEMORY_MIN);
    s.fuse_fd = memfd_create("fuse", MFD_CLOEXEC);
    s.disk_fd = memfd_create("disk", MFD_CLOEXEC);
    assert_int_equal(volume_start(&d, key, "test", 0, memory, VOLUME_MEMORY_MIN, &s.v), 0);
    return 0;
}

static int teardown(void **state)
{
    if (s.v)
        assert_int_equal(volume_close(s.v, NULL), 0);
    for (size_t i = 0; i < s.known_pages; i++)
        free(s.known[i]);
    free(s.known);
    free(memory);
    close(s.fuse_fd);
    close(s.disk_fd);
    sim_end(&sim);
    return 0;
}

#define OUT (out + sizeof(struct fuse_out_header))

static long ask(uint32_t opcode, uint64_t node, const void *head, size_t head_size,
                const char *text, size_t text_size)
{
    memcpy(in, head, head_size);
    memcpy(in + head_size, text, text_size);
    struct request q = {.opcode = opcode,
                        .unique = 7,
                        .node = node,
                        .arg = in,
                        .size = head_size + text_size,
                        .out = OUT};
    return handle_request(&s, &q);
}

static uint64_t make(uint64_t dir, const char *name, uint32_t mode)
{
    struct fuse_mknod_in m = {.mode = mode};
    long r = ask(FUSE_MKNOD, dir, &m, sizeof(m), name, strlen(name) + 1);
    assert_int_equal(r, sizeof(struct fuse_entry_out));
    return ((struct fuse_entry_out *)OUT)->nodeid;
}

static uint64_t files(void)
{
    struct volume_info i;
    volume_info(s.v, &i);
    return i.files;
}

/* Every request, shorter than it is, with bytes of all kinds: an answer that fits, or an error. */
static void test_any_request(void **state)
{
    uint64_t random = 3;
    make(1, "file", S_IFREG | 0600);
    make(1, "dir", S_IFDIR | 0700);
    for (unsigned round = 0; round < 40; round++) {
        for (uint32_t opcode = 0; opcode < 70; opcode++) {
            for (size_t size = 0; size < 140; size += size < 60 ? 1 : 7) {
                int fill = (int)(sim_next(&random) % 4);
                for (size_t i = 0; i < size; i++)
                    in[i] = fill == 0   ? 0
                            : fill == 1 ? 0xff
                            : fill == 2 ? (uint8_t)(sim_next(&random) % 3)
                                        : (uint8_t)sim_next(&random);
                uint8_t *copy = malloc(size + 1); /* so that a sanitizer sees its end */
                memcpy(copy, in, size);
                struct request q = {.opcode = opcode,
                                    .node = sim_next(&random) % 6,
                                    .arg = copy,
                                    .size = size,
                                    .out = OUT};
                long r = opcode == FUSE_FSYNC || opcode == FUSE_FSYNCDIR || opcode == FUSE_SYNCFS
                             ? 0
                             : handle_request(&s, &q);
                assert_true(r <= (long)SERVER_DATA_MAX && (r >= -4095 || r == NO_ANSWER));
                free(copy);
            }
        }
    }
}

static void test_names(void **state)
{
    struct fuse_mknod_in m = {.mode = S_IFREG | 0600};
    struct fuse_rename2_in r = {.newdir = 1};
    char text[300];
    memset(text, 'n', sizeof(text));
    assert_int_equal(ask(FUSE_MKNOD, 1, &m, sizeof(m), "no end", 6), -EINVAL);
    assert_int_equal(ask(FUSE_MKNOD, 1, &m, sizeof(m), "a/b", 4), -EINVAL);
    assert_int_equal(ask(FUSE_MKNOD, 1, &m, sizeof(m), "..", 3), -EINVAL);
    assert_int_equal(ask(FUSE_MKNOD, 1, &m, sizeof(m), "", 1), -EINVAL);
    text[256] = 0;
    assert_int_equal(ask(FUSE_MKNOD, 1, &m, sizeof(m), text, 257), -ENAMETOOLONG);
    text[255] = 0;
    assert_int_equal(ask(FUSE_MKNOD, 1, &m, sizeof(m), text, 256), sizeof(struct fuse_entry_out));
    make(1, "a", S_IFREG | 0600);
    make(1, "b", S_IFREG | 0600);
    assert_int_equal(ask(FUSE_RENAME2, 1, &r, sizeof(r), "a\0b", 3), -EINVAL); /* no end */
    r.flags = 4;
    assert_int_equal(ask(FUSE_RENAME2, 1, &r, sizeof(r), "a\0b", 4), -EINVAL);
    r.flags = 0;
    assert_int_equal(ask(FUSE_RENAME2, 1, &r, sizeof(r), "a\0b", 4), 0);
    assert_int_equal(ask(FUSE_LOOKUP, 1, "", 0, "a", 2), sizeof(struct fuse_entry_out));
    assert_int_equal(((struct fuse_entry_out *)OUT)->nodeid, 0); /* there is none: remember that */
}

/* Unlinked and known: it stays until the kernel has forgotten all of it. */
static void test_forget(void **state)
{
    uint64_t ino = make(1, "file", S_IFREG | 0600);
    struct fuse_forget_in one = {.nlookup = 1}, many = {.nlookup = UINT64_MAX};
    struct {
        struct fuse_batch_forget_in in;
        struct fuse_forget_one one[2];
    } batch = {{.count = 1000000}, {{99, 1}, {ino, 1}}};
    assert_int_equal(ask(FUSE_LOOKUP, 1, "", 0, "file", 5), sizeof(struct fuse_entry_out));
    assert_int_equal(ask(FUSE_UNLINK, 1, "", 0, "file", 5), 0);
    assert_int_equal(files(), 1);
    assert_int_equal(ask(FUSE_FORGET, ino, &one, sizeof(one), "", 0), NO_ANSWER);
    assert_int_equal(ask(FUSE_GETATTR, ino, "", 0, "", 0), sizeof(struct fuse_attr_out));
    assert_int_equal(ask(FUSE_BATCH_FORGET, 0, &batch, sizeof(batch), "", 0), NO_ANSWER);
    assert_int_equal(ask(FUSE_GETATTR, ino, "", 0, "", 0), -ENOENT);
    assert_int_equal(files(), 0);
    assert_int_equal(ask(FUSE_FORGET, ino, &many, sizeof(many), "", 0), NO_ANSWER);
    /* Many at once: every count is its own. */
    for (uint64_t n = 1; n <= 2000; n++)
        assert_int_equal(known_add(&s, n * 97), 0);
    for (uint64_t n = 1; n <= 2000; n += 2)
        known_forget(&s, n * 97, 1);
    for (uint64_t n = 1; n <= 2000; n++)
        assert_int_equal(s.known[n * 97 / 512][n * 97 % 512], n % 2 == 0);
    for (uint64_t n = 1; n <= 2000; n++)
        known_forget(&s, n * 97, 5);
    for (uint64_t n = 1; n <= 2000; n++)
        assert_int_equal(s.known[n * 97 / 512][n * 97 % 512], 0);
}

/* One list of `dir`, in pieces of r.size: how often each of `count` names is in it, and in between
 * what `meanwhile` does. */
static void read_directory(uint64_t dir, uint8_t *seen, void (*meanwhile)(uint64_t dir))
{
    struct fuse_read_in r = {.size = 700};
    memset(seen, 0, 300);
    for (long n; (n = ask(FUSE_READDIR, dir, &r, sizeof(r), "", 0));) {
        assert_true(n > 0 && n <= 700);
        for (long at = 0; at < n;) {
            struct fuse_dirent *d = (struct fuse_dirent *)(OUT + at);
            if (d->name[0] == 'n')
                seen[atoi(d->name + 4)]++;
            assert_true(d->off > r.offset);
            r.offset = d->off;
            at += (long)FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + d->namelen);
        }
        if (meanwhile)
            meanwhile(dir);
    }
}

/* Names with an even number go, in turn; as many others come, so that blocks are split. */
static void change_directory(uint64_t dir)
{
    static unsigned turn;
    char name[16];
    snprintf(name, sizeof(name), "name%03u", turn * 2 % 300);
    ask(FUSE_UNLINK, dir, "", 0, name, 8);
    for (unsigned i = 0; i < 20 && turn < 100; i++) {
        snprintf(name, sizeof(name), "other%u", turn * 20 + i);
        make(dir, name, S_IFREG | 0600);
    }
    turn++;
}

/* All names once, in pieces of any size, while names come and go. */
static void test_directories(void **state)
{
    uint8_t seen[300];
    struct fuse_read_in r = {.size = 700};
    char name[16];
    uint64_t dir = make(1, "dir", S_IFDIR | 0700);
    for (unsigned i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "name%03u", i);
        make(dir, name, S_IFREG | 0600);
    }
    read_directory(dir, seen, NULL);
    for (unsigned i = 0; i < 300; i++)
        assert_int_equal(seen[i], 1);
    for (unsigned round = 0; round < 4; round++) {
        read_directory(dir, seen, change_directory);
        for (unsigned i = 0; i < 300; i++)
            assert_true(seen[i] <= 1 && (seen[i] || i % 2 == 0));
    }
    r.offset = UINT64_MAX;
    assert_int_equal(ask(FUSE_READDIR, dir, &r, sizeof(r), "", 0), 0);
    r.offset = 2;
    r.size = 0;
    assert_int_equal(ask(FUSE_READDIR, dir, &r, sizeof(r), "", 0), 0);
    uint64_t file = make(1, "file", S_IFREG | 0600);
    r.size = 700;
    assert_int_equal(ask(FUSE_READDIR, file, &r, sizeof(r), "", 0), -ENOTDIR);
}

static void test_sizes(void **state)
{
    uint64_t ino = make(1, "file", S_IFREG | 0600);
    struct fuse_read_in r = {.size = UINT32_MAX};
    struct fuse_write_in w = {.size = 100};
    struct fuse_fallocate_in a = {.offset = UINT64_MAX, .length = 2};
    struct fuse_setattr_in t = {.valid = FATTR_SIZE, .size = UINT64_MAX};
    assert_int_equal(ask(FUSE_READ, ino, &r, sizeof(r), "", 0), -EINVAL);
    assert_int_equal(ask(FUSE_WRITE, ino, &w, sizeof(w), "short", 5), -EINVAL);
    assert_int_equal(ask(FUSE_FALLOCATE, ino, &a, sizeof(a), "", 0), -EFBIG);
    assert_true(ask(FUSE_SETATTR, ino, &t, sizeof(t), "", 0) < 0);
    w = (struct fuse_write_in){.size = 5, .offset = UINT64_MAX - 2};
    assert_true(ask(FUSE_WRITE, ino, &w, sizeof(w), "bytes", 5) < 0);
    a = (struct fuse_fallocate_in){.length = 1ull << 40};
    assert_int_equal(ask(FUSE_FALLOCATE, ino, &a, sizeof(a), "", 0), -ENOSPC);
    /* A write by somebody without the right takes the bits away. */
    t = (struct fuse_setattr_in){.valid = FATTR_MODE, .mode = 06711};
    assert_int_equal(ask(FUSE_SETATTR, ino, &t, sizeof(t), "", 0), sizeof(struct fuse_attr_out));
    w = (struct fuse_write_in){.size = 5, .write_flags = FUSE_WRITE_KILL_SUIDGID};
    assert_int_equal(ask(FUSE_WRITE, ino, &w, sizeof(w), "bytes", 5),
                     sizeof(struct fuse_write_out));
    assert_int_equal(ask(FUSE_GETATTR, ino, "", 0, "", 0), sizeof(struct fuse_attr_out));
    assert_int_equal(((struct fuse_attr_out *)OUT)->attr.mode, S_IFREG | 0711);
}

static void test_read_only(void **state)
{
    struct fuse_mknod_in m = {.mode = S_IFREG | 0600};
    struct request q = {.opcode = FUSE_FSYNC, .unique = 1, .node = 1, .arg = in, .out = OUT};
    s.read_only = true;
    assert_int_equal(ask(FUSE_MKNOD, 1, &m, sizeof(m), "a", 2), -EROFS);
    assert_int_equal(ask(FUSE_UNLINK, 1, "", 0, "a", 2), -EROFS);
    assert_int_equal(handle_request(&s, &q), 0);
    s.read_only = false;
}

/* Whoever asks for a sync is answered once, after the flush that follows what was done before. */
static void test_syncs(void **state)
{
    struct fuse_out_header h;
    uint64_t ino = make(1, "file", S_IFREG | 0600);
    struct fuse_write_in w = {.size = 5};
    assert_int_equal(sync_start(&s), 0);
    for (uint64_t n = 1; n <= 600; n++) {
        w.offset = n;
        assert_int_equal(ask(FUSE_WRITE, ino, &w, sizeof(w), "bytes", 5),
                         sizeof(struct fuse_write_out));
        sync_ask(&s, n);
    }
    sync_wait(&s);
    static bool seen[601];
    unsigned answers = 0;
    while (pread(s.fuse_fd, &h, sizeof(h), answers * (off_t)sizeof(h)) == sizeof(h)) {
        assert_true(h.unique && h.unique <= 600 && !seen[h.unique] && !h.error);
        seen[h.unique] = true;
        answers++;
    }
    assert_int_equal(answers, 600);
    assert_int_equal(volume_pending(s.v), 0);
}

/* --- the anchor --- */

static int agent; /* its side */

static void anchor_begin(enum anchor_mode mode, bool pauses)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    agent = pair[1];
    s.keeper.fd = pair[0];
    s.keeper.watch =
        (struct anchor_watch){.mode = mode, .pauses = pauses, .limit = 1000, .heard = keep_now()};
    assert_int_equal(sync_start(&s), 0);
}

static void anchor_end(void)
{
    close(agent);
    close(s.keeper.fd);
    s.keeper.watch.mode = ANCHOR_NONE;
}

/* The question that is asked now; answered with `error`. */
static enum anchor_step answer_question(int error)
{
    struct anchor_question q = {.step = 77};
    struct anchor_answer a = {.error = error, .text = "why"};
    keep_round(&s);
    if (recv(agent, &q, sizeof(q), MSG_DONTWAIT) != sizeof(q))
        return q.step;
    struct volume_state now;
    volume_state(s.v, &now);
    assert_int_equal(q.state.sequence, now.sequence);
    assert_int_equal(send(agent, &a, sizeof(a), 0), sizeof(a));
    keep_heard(&s);
    keep_round(&s);
    return q.step;
}

/* The error of the n-th answer to the kernel; 1: there is none. */
static int answer_of(unsigned n)
{
    struct fuse_out_header h;
    return pread(s.fuse_fd, &h, sizeof(h), n * (off_t)sizeof(h)) == sizeof(h) ? h.error : 1;
}

static void change_and_sync(void)
{
    static unsigned count;
    char name[16];
    snprintf(name, sizeof(name), "n%u", count++);
    make(1, name, S_IFREG | 0600);
    sync_ask(&s, 1);
    sync_wait(&s);
}

static void test_strict(void **state)
{
    anchor_begin(ANCHOR_STRICT, false);
    change_and_sync();
    assert_int_equal(answer_of(0), 1); /* on the disk, but the anchor has it not */
    assert_int_equal(answer_question(0), ANCHOR_ADVANCE);
    assert_int_equal(answer_of(0), 0);
    sync_ask(&s, 1); /* nothing new, and known */
    keep_round(&s);
    assert_int_equal(answer_of(1), 0);
    change_and_sync();
    assert_int_equal(answer_question(-EAGAIN), ANCHOR_ADVANCE);
    assert_int_equal(answer_of(2), 1); /* away: it waits */
    assert_int_equal(keep_may_change(&s), 0);
    s.keeper.watch.heard -= 2000;
    assert_int_equal(keep_may_change(&s), -EIO); /* the limit is over */
    keep_round(&s);
    assert_int_equal(answer_of(2), -EIO);
    s.keeper.watch.due = 0;
    assert_int_equal(answer_question(0), ANCHOR_ADVANCE);
    assert_int_equal(keep_may_change(&s), 0);
    anchor_end();
}

static void test_session(void **state)
{
    anchor_begin(ANCHOR_SESSION, false);
    change_and_sync();
    assert_int_equal(answer_of(0), 0); /* before the anchor hears of it */
    assert_int_equal(answer_question(0), ANCHOR_ADVANCE);
    change_and_sync();
    assert_int_equal(answer_question(0), 77); /* not sooner than after a second */
    assert_true(keep_round(&s) > 0 && keep_round(&s) <= 1000);
    s.keeper.watch.due = 0;
    assert_int_equal(answer_question(0), ANCHOR_ADVANCE);
    anchor_end();
}

/* What may not go on is kept, and done when the anchor is heard; or fails when all is to end. */
static void test_pause(void **state)
{
    anchor_begin(ANCHOR_STRICT, true);
    change_and_sync();
    s.keeper.watch.heard -= 2000;
    assert_int_equal(keep_may_change(&s), -EAGAIN);
    memset(in, 'q', 100);
    assert_int_equal(keep_hold(&s, 100), 0);
    assert_int_equal(answer_question(-EAGAIN), ANCHOR_ADVANCE);
    assert_int_equal(answer_of(0), 1);
    assert_int_equal(keep_take_held(&s), 0);
    s.keeper.watch.due = 0;
    assert_int_equal(answer_question(0), ANCHOR_ADVANCE);
    assert_int_equal(answer_of(0), 0);
    memset(in, 0, 100);
    assert_int_equal(keep_take_held(&s), 100);
    assert_int_equal(in[99], 'q');
    assert_int_equal(keep_take_held(&s), 0);
    change_and_sync();
    assert_int_equal(keep_hold(&s, 50), 0);
    s.keeper.watch.heard -= 2000;
    assert_int_equal(answer_question(-EAGAIN), ANCHOR_ADVANCE);
    s.keeper.hurried = true;
    keep_round(&s);
    assert_int_equal(answer_of(1), -EIO);
    assert_int_equal(keep_may_change(&s), -EIO);
    assert_int_equal(keep_take_held(&s), 50);
    anchor_end();
}

/* Who lost the volume, or the agent, writes nothing more. */
static void test_lost(void **state)
{
    for (int how = 0; how < 2; how++) {
        anchor_begin(ANCHOR_STRICT, true);
        change_and_sync();
        make(1, how ? "later" : "earlier", S_IFREG | 0600);
        if (how) {
            close(agent);
            keep_round(&s);
            assert_true(s.keeper.watch.lost || s.keeper.asking);
            keep_heard(&s);
        } else {
            assert_int_equal(answer_question(-ESTALE), ANCHOR_ADVANCE);
        }
        assert_true(s.keeper.watch.lost);
        keep_round(&s);
        assert_int_equal(answer_of((unsigned)how * 2), -EIO);
        assert_int_equal(keep_may_change(&s), -EIO);
        uint64_t pending = volume_pending(s.v);
        sync_later(&s);
        sync_ask(&s, 1);
        assert_int_equal(answer_of((unsigned)how * 2 + 1), -EIO);
        assert_true(pending && volume_pending(s.v) == pending);
        if (!how)
            anchor_end();
    }
    assert_int_equal(keep_close(&s), -EIO);
    s.v = NULL;
    anchor_end();
}

/* What is found is held against what the anchor remembers, before the first byte is written. */
static void test_judge(void **state)
{
    struct volume_state found;
    volume_state(s.v, &found);
    anchor_begin(ANCHOR_STRICT, false);
    s.keeper.hello = (struct anchor_hello){.path = "a/b/c"};
    s.keeper.hello.anchor =
        (struct anchor){.memory = ANCHOR_RELEASED, .sequence = found.sequence + 1};
    assert_int_equal(keep_judge(&s, &found), -ESTALE);
    assert_non_null(strstr(s.keeper.why, "an earlier state of its file was put back"));
    assert_non_null(strstr(s.keeper.why, "its key: a/b/c"));
    assert_int_equal(keep_judge(&s, NULL), -ESTALE);
    assert_non_null(strstr(s.keeper.why, "its file is empty"));
    s.keeper.hello.anchor = (struct anchor){.memory = ANCHOR_NEVER};
    assert_int_equal(keep_judge(&s, NULL), 0);
    struct anchor_answer a = {.error = -ESTALE, .text = "somebody else"};
    assert_int_equal(send(agent, &a, sizeof(a), 0), sizeof(a));
    assert_int_equal(keep_judge(&s, &found), -ESTALE);
    assert_string_equal(s.keeper.why, "somebody else");
    a.error = 0;
    assert_int_equal(send(agent, &a, sizeof(a), 0), sizeof(a));
    assert_int_equal(keep_judge(&s, &found), 0);
    struct anchor_question q;
    assert_int_equal(recv(agent, &q, sizeof(q), MSG_DONTWAIT), sizeof(q));
    assert_int_equal(q.step, ANCHOR_BEGIN);
    s.read_only = true; /* judged, and not begun */
    assert_int_equal(recv(agent, &q, sizeof(q), MSG_DONTWAIT), sizeof(q));
    assert_int_equal(keep_judge(&s, &found), 0);
    assert_int_equal(recv(agent, &q, sizeof(q), MSG_DONTWAIT), -1);
    s.read_only = false;
    anchor_end();
}

int main(void)
{
    crypt_init(__builtin_cpu_supports("avx") && __builtin_cpu_supports("movbe"));
#define ONE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        ONE(test_any_request), ONE(test_names), ONE(test_forget),    ONE(test_directories),
        ONE(test_sizes),       ONE(test_syncs), ONE(test_read_only), ONE(test_strict),
        ONE(test_session),     ONE(test_pause), ONE(test_lost),      ONE(test_judge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
