// SPDX-License-Identifier: Apache-2.0
// The LibOS behind port `unit`: memory, files, pipes, sockets, signals; and hosts that lie.
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <asm/unistd_64.h>

#include "lib/settings.h"
#include "tests/unit/libos_start.h"
#include "trusted/libos/base/radix.h"
#include "trusted/libos/entry/entry.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/signal/signal.h"
#include "trusted/libos/time/tsc.h"

int stdio_init(void); /* fs/file.h, which has the kernel's fcntl.h */

#define FDCWD ((uint64_t)-100)

static uint8_t *root;
static struct sh_erofs_result built;
static uint64_t scratch; /* program memory for buffers */

static uint64_t rng = 88172645463325252ull;
static uint64_t next(uint64_t below)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng % below;
}

/* ---- an image: /d/a (5,000 bytes of pattern), /d/b (10), /big (300 KiB), /l -> d/a, /e/ ---- */

static uint8_t pattern(uint64_t i)
{
    return (uint8_t)(i * 7 + (i >> 8));
}

static struct sh_inode *add(struct sh_tree *t, const char *path, uint32_t mode, uint64_t size)
{
    struct sh_inode *folder, *i;
    struct sh_error err = {0};
    char *name;
    assert_int_equal(sh_tree_parent(t, path, true, &folder, &name, &err), 0);
    if (S_ISDIR(mode)) {
        assert_int_equal(sh_tree_add_folder(t, folder, name, &i, &err), 0);
        i->mode = mode;
    } else {
        i = sh_tree_inode(t, mode);
        i->size = size;
        if (S_ISREG(mode)) {
            assert_int_equal(sh_tree_reserve(t, size, &i->spool, &err), 0);
            for (uint64_t at = 0; at < size; at++) {
                uint8_t b = pattern(at);
                assert_int_equal(pwrite(t->spool_fd, &b, 1, (off_t)(i->spool + at)), 1);
            }
        }
        assert_int_equal(sh_tree_link(t, folder, name, i, &err), 0);
    }
    free(name);
    return i;
}

static int setup(void **state)
{
    struct sh_error err = {0};
    struct sh_tree t;
    int dir = open("/tmp", O_RDONLY | O_DIRECTORY);
    assert_int_equal(sh_tree_init(&t, dir, &err), 0);
    add(&t, "d/a", S_IFREG | 0644, 5000);
    add(&t, "d/b", S_IFREG | 0644, 10);
    add(&t, "big", S_IFREG | 0644, 300 << 10);
    add(&t, "e", S_IFDIR | 0755, 0);
    struct sh_inode *l = add(&t, "l", S_IFLNK | 0777, 3);
    l->target = strdup("d/a");
    /* LIBOS_SEED=N: other random choices than the fixed ones. */
    if (getenv("LIBOS_SEED"))
        rng ^= strtoull(getenv("LIBOS_SEED"), NULL, 10) * 0x9e3779b97f4a7c15ull;
    root = start_tree(&t, &built);
    sh_tree_free(&t);
    close(dir);
    scratch = unit_memory(1 << 20);
    return 0;
}

/* A string in program memory; a few at a time. */
static uint64_t str(const char *s)
{
    static unsigned turn;
    uint64_t at = scratch + 0x80000 + (turn++ % 16) * 4096;
    assert_int_equal(user_write(at, s, strlen(s) + 1), 0);
    return at;
}

static long open_at(const char *path, int flags)
{
    return call(__NR_openat, FDCWD, str(path), flags, 0644);
}

/* ---- base ---- */

static void test_fmt(void **state)
{
    char b[64];
    assert_int_equal(fmt(b, sizeof(b), "%d|%5u|%-5d|%05x|%lx|%s|%.2s|%c", -7, 42u, -3, 0xabu,
                         0x123456789abul, "txt", "abc", 'z'),
                     41);
    assert_string_equal(b, "-7|   42|-3   |000ab|123456789ab|txt|ab|z");
    assert_int_equal(fmt(b, 4, "%s", "too long"), 8);
    assert_string_equal(b, "too");
}

static unsigned freed;
static void count_free(void *p)
{
    freed++;
}

static void test_radix(void **state)
{
    static const uint64_t keys[] = {0, 1, 63, 64, 4095, 4096, 1ull << 30, 1ull << 52, UINT64_MAX};
    struct radix r = {0};
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
        *radix_slot(&r, keys[i]) = (void *)(i + 1);
    uint64_t at = 0, found = 0;
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        assert_ptr_equal(radix_get(&r, keys[i]), (void *)(i + 1));
        assert_ptr_equal(radix_next(&r, at, &found), (void *)(i + 1));
        assert_int_equal(found, keys[i]);
        at = found + 1;
    }
    assert_null(radix_get(&r, 65));
    radix_clear(&r, 4096, count_free);
    assert_int_equal(freed, 4);
    assert_non_null(radix_get(&r, 4095));
    radix_remove(&r, 64);
    assert_null(radix_get(&r, 64));
    assert_ptr_equal(radix_get(&r, 63), (void *)3);
    radix_remove(&r, 65); /* was never there */
    radix_remove(&r, 1ull << 40);
    assert_ptr_equal(radix_next(&r, 64, &found), (void *)5);
    assert_int_equal(found, 4095);
    radix_clear(&r, 0, count_free);
    assert_null(r.root);
}

static void test_digest(void **state)
{
    /* FIPS 180-4 vectors and all lengths around the padding, both ways of computing. */
    static uint8_t data[300];
    uint8_t a[32], b[32];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = pattern(i);
    bool can = __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3");
    unsigned r[4];
    __asm__("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(7), "c"(0));
    if (!can || !(r[1] >> 29 & 1))
        skip();
    for (size_t n = 0; n <= sizeof(data); n++) {
        digest_init(false);
        digest_sha256(a, data, n);
        digest_init(true);
        digest_sha256(b, data, n);
        assert_memory_equal(a, b, 32);
    }
    digest_sha256(b, "abc", 3);
    static const uint8_t abc[4] = {0xba, 0x78, 0x16, 0xbf};
    assert_memory_equal(b, abc, 4);
}

static void test_pages(void **state)
{
    enum { N = 200 };
    void *p[N] = {0};
    uint64_t size[N];
    for (int round = 0; round < 4000; round++) {
        size_t i = next(N);
        if (p[i]) {
            uint8_t *b = p[i];
            for (uint64_t at = 0; at < size[i] << 12; at += 4096)
                assert_int_equal(b[at], (uint8_t)i);
            pages_free(p[i], size[i]);
            p[i] = NULL;
        } else {
            size[i] = 1 + next(20);
            p[i] = pages_alloc(size[i]);
            assert_non_null(p[i]);
            assert_int_equal(*(uint8_t *)p[i], 0);
            memset(p[i], (int)i, size[i] << 12);
        }
    }
    for (int i = 0; i < N; i++) {
        if (p[i])
            pages_free(p[i], size[i]);
    }
}

/* ---- memory ---- */

#define MODEL_PAGES 64u
struct model {
    bool mapped[MODEL_PAGES];
    int prot[MODEL_PAGES];
    uint8_t byte[MODEL_PAGES];
};

static void check_areas(const struct model *m, uint64_t base)
{
    uint64_t end = 0;
    for (size_t i = 0; i < space()->count; i++) {
        assert_true(space()->areas[i]->start >= end &&
                    space()->areas[i]->start < space()->areas[i]->end);
        end = space()->areas[i]->end;
    }
    for (unsigned p = 0; p < MODEL_PAGES; p++) {
        struct area *a = area_find(base + p * 4096ul);
        assert_int_equal(a != NULL, m->mapped[p]);
        if (!a)
            assert_int_equal(page_state(base + p * 4096ul), 0);
        else
            assert_int_equal(a->prot, m->prot[p]);
    }
}

/* Random mmap, munmap, mprotect, madvise and stores against a page-by-page model. */
static void test_memory_model(void **state)
{
    static struct model m;
    uint64_t base = unit_memory(MODEL_PAGES * 4096);
    for (unsigned p = 0; p < MODEL_PAGES; p++) {
        m.mapped[p] = true;
        m.prot[p] = 3;
    }
    for (int round = 0; round < 4000; round++) {
        unsigned first = (unsigned)next(MODEL_PAGES), n = 1 + (unsigned)next(MODEL_PAGES - first);
        uint64_t at = base + first * 4096ul, size = n * 4096ul;
        bool all = true;
        for (unsigned p = first; p < first + n; p++)
            all = all && m.mapped[p];
        int prot = (int)next(2) ? 3 : 1;
        switch (next(5)) {
        case 0:
            assert_int_equal(call(__NR_mmap, at, size, prot, 0x32, -1, 0), at);
            for (unsigned p = first; p < first + n; p++) {
                m.mapped[p] = true;
                m.prot[p] = prot;
                m.byte[p] = 0;
            }
            break;
        case 1:
            assert_int_equal(call(__NR_munmap, at, size), 0);
            for (unsigned p = first; p < first + n; p++)
                m.mapped[p] = false;
            break;
        case 2:
            assert_int_equal(call(__NR_mprotect, at, size, prot), all ? 0 : -ENOMEM);
            for (unsigned p = first; p < first + n && m.mapped[p]; p++) /* to a hole */
                m.prot[p] = prot;
            break;
        case 3:
            assert_int_equal(call(__NR_madvise, at, size, 4), all ? 0 : -ENOMEM);
            for (unsigned p = first; p < first + n; p++)
                m.byte[p] = m.mapped[p] ? 0 : m.byte[p];
            break;
        default: {
            uint8_t v = (uint8_t)next(256), got = 0;
            int want = m.mapped[first] && m.prot[first] & 2 ? 0 : -EFAULT;
            assert_int_equal(user_write(at, &v, 1), want);
            if (!want)
                m.byte[first] = v;
            want = m.mapped[first] ? 0 : -EFAULT;
            assert_int_equal(user_read(&got, at, 1), want);
            if (!want)
                assert_int_equal(got, m.byte[first]);
        }
        }
        check_areas(&m, base);
    }
    call(__NR_munmap, base, MODEL_PAGES * 4096ul);
}

static void test_memory_edges(void **state)
{
    uint64_t p = unit_memory(4 * 4096);
    assert_int_equal(call(__NR_mmap, 0, 0, 3, 0x22, -1, 0), -EINVAL);
    assert_int_equal(call(__NR_mmap, 0, UINT64_MAX - 4096, 3, 0x22, -1, 0), -ENOMEM);
    assert_int_equal(call(__NR_mmap, p + 1, 4096, 3, 0x32, -1, 0), -EINVAL);
    assert_int_equal(call(__NR_mmap, p, 4096, 3, 0x100022, -1, 0), -EEXIST);
    assert_int_equal(call(__NR_mmap, port_info.user_end, 4096, 3, 0x32, -1, 0), -ENOMEM);
    assert_int_equal(call(__NR_mmap, port_info.zone_start, 4096, 3, 0x32, -1, 0) < 0, 1);
    assert_int_equal(call(__NR_munmap, p, UINT64_MAX), -EINVAL);
    assert_int_equal(call(__NR_munmap, port_info.zone_start, 4096) < 0, 1);
    assert_int_equal(call(__NR_mprotect, port_info.zone_start, 4096, 7) < 0, 1);
    /* What a program names in a call never reaches the LibOS's own memory. */
    assert_int_equal(call(__NR_read, 0, port_info.zone_start, 10), -EBADF);
    assert_int_equal(user_write(port_info.zone_start, "x", 1), -EFAULT);
    assert_int_equal(user_write(port_info.user_end - 1, "xy", 2), -EFAULT);
    assert_int_equal(user_write(UINT64_MAX, "xy", 2), -EFAULT);
    assert_int_equal(user_read((char[2]){0}, (uint64_t)&rng, 2), -EFAULT);
    /* mremap moves contents and leaves nothing behind. */
    assert_int_equal(user_write(p, "hello", 6), 0);
    assert_int_equal(call(__NR_mmap, p + 3 * 4096, 4096, 1, 0x32, -1, 0), p + 3 * 4096);
    long q = call(__NR_mremap, p, 3 * 4096, 6 * 4096, 1);
    assert_true(q > 0 && (uint64_t)q != p);
    char b[6];
    assert_int_equal(user_read(b, (uint64_t)q, 6), 0);
    assert_string_equal(b, "hello");
    assert_int_equal(user_read(b, p, 1), -EFAULT);
    assert_int_equal(call(__NR_mremap, p, 4096, 8192, 1), -EFAULT);
}

static void test_memory_limit(void **state)
{
    str("/tmp-full"); /* its page is there */
    uint64_t before = stats.committed - stats.zone_pages * 4096;
    settings.memory = stats.committed + (1 << 20);
    uint64_t p = unit_memory(8 << 20);
    /* The end of the program, as Linux ends one: no error, no signal that it could handle. */
    pid_t child = fork();
    if (!child) {
        close(2);
        mm_ready(p, 8 << 20, PORT_W);
        _exit(1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 137);
    assert_int_equal(mm_ready(p, 64 << 10, PORT_W), 0);
    assert_true(stats.committed <= settings.memory);
    /* Files leave a reserve to it. */
    long fd = open_at("/tmp-full", O_RDWR | O_CREAT);
    uint64_t files = memory_for_files();
    for (uint64_t i = 0; i < files; i++)
        call(__NR_pwrite64, fd, p, 4096, i * 4096);
    long n = 0;
    for (uint64_t i = files; i < files + 64 && n >= 0; i++)
        n = call(__NR_pwrite64, fd, p, 4096, i * 4096);
    assert_int_equal(n, -ENOSPC);
    assert_int_equal(mm_ready(p + (128 << 10), 16 << 10, PORT_W), 0);
    call(__NR_close, fd);
    call(__NR_unlink, str("/tmp-full"));
    settings.memory = 0;
    /* What was given when it ended is known, page by page, and nothing else was counted. */
    for (uint64_t at = p; at < p + (8 << 20); at += 4096)
        assert_int_equal(frame_rights(at) >= 0, (page_state(at) & PAGE_THERE) != 0);
    call(__NR_munmap, p, 8 << 20);
    assert_int_equal(stats.committed - stats.zone_pages * 4096, before);
}

static void test_file_mapping(void **state)
{
    long fd = open_at("/d/a", O_RDONLY);
    assert_true(fd >= 0);
    long p = call(__NR_mmap, 0, 3 * 4096, 3, 2, fd, 0);
    assert_true(p > 0);
    uint8_t b[8192];
    assert_int_equal(user_read(b, (uint64_t)p, 8192), 0);
    for (int i = 0; i < 8192; i++)
        assert_int_equal(b[i], i < 5000 ? pattern((uint64_t)i) : 0);
    assert_int_equal(user_read(b, (uint64_t)p + 8192, 1), -EFAULT); /* behind the end: SIGBUS */
    struct mm_fault f;
    assert_int_not_equal(mm_fault((uint64_t)p + 8192, PORT_R, &f), 0);
    assert_int_equal(f.signo, 7);
    assert_int_equal(user_write((uint64_t)p, "!", 1), 0); /* private */
    assert_int_equal(call(__NR_pread64, fd, scratch, 1, 0), 1);
    assert_int_equal(*(uint8_t *)scratch, pattern(0));
    assert_int_equal(call(__NR_mmap, 0, 4096, 2, 1, fd, 0), -EACCES); /* shared, not writable */
    call(__NR_munmap, p, 3 * 4096);
    call(__NR_close, fd);
    /* Shared and writable: what is stored reaches the file. */
    fd = open_at("/shared", O_RDWR | O_CREAT);
    assert_int_equal(call(__NR_ftruncate, fd, 6000), 0);
    p = call(__NR_mmap, 0, 8192, 3, 1, fd, 0);
    assert_true(p > 0);
    assert_int_equal(user_write((uint64_t)p + 5000, "xyz", 3), 0);
    assert_int_equal(call(__NR_msync, p, 8192, 4), 0);
    assert_int_equal(call(__NR_pread64, fd, scratch, 3, 5000), 3);
    assert_memory_equal((void *)scratch, "xyz", 3);
    assert_int_equal(user_write((uint64_t)p + 1, "q", 1), 0);
    assert_int_equal(call(__NR_munmap, p, 8192), 0);
    assert_int_equal(call(__NR_pread64, fd, scratch, 1, 1), 1);
    assert_int_equal(*(char *)scratch, 'q');
    call(__NR_close, fd);
}

/* Which of the first pages of a mapping are there: a bit each. */
static unsigned pages_there(long p)
{
    unsigned there = 0;
    for (unsigned i = 0; i < 8; i++)
        there |= (unsigned)(page_state((uint64_t)p + i * 4096) != 0) << i;
    return there;
}

/* What the host says of earlier runs brings pages of the file early, and nothing else. */
static void test_known_uses(void **state)
{
    long fd = open_at("/big", O_RDONLY);
    const long size = 8 * 4096;
    long out = open_at("/uses", O_RDWR | O_CREAT), p = call(__NR_mmap, 0, size, 1, 2, fd, 0);
    assert_true(p > 0);
    unit_host.used_count = 0;
    assert_int_equal(call(__NR_pwrite64, out, p + 4096, 1, 0), 1);
    assert_int_equal(pages_there(p), 2);
    assert_int_equal(unit_host.used_count, 1);
    uint64_t first = unit_host.used[0] - 1; /* page 0, as the list names it */
    assert_int_equal(first & ((1 << SH_USES_SHIFT) - 1), 0);
    call(__NR_munmap, p, size);
    const struct {
        uint64_t known[6];
        unsigned there; /* after page 4 was read */
    } cases[] = {
        {{first, first + 1, first + 4, first + 6, UINT64_MAX, UINT64_MAX}, 0x53},
        {{1, first - 1, first + 8, first + (1 << SH_USES_SHIFT), UINT64_MAX, UINT64_MAX}, 0x10},
        {{first + 4, first + 4, first + 4, first + 5, first + 5, first + 7}, 0xb0},
        {{first + 7, first, first + 7, first, first + 7, first}, 0x91},      /* in no order: */
        {{first, first + 3, first + 2, first + 3, first, UINT64_MAX}, 0x1d}, /* what is found */
        {{0, 0, 0, 0, 0, 0}, 0x10},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        unit_host.known = cases[i].known;
        unit_host.known_count = 6;
        p = call(__NR_mmap, 0, size, 1, 2, fd, 0);
        assert_int_equal(call(__NR_pwrite64, out, p + 4 * 4096, 1, 0), 1);
        assert_int_equal(pages_there(p), cases[i].there);
        assert_int_equal(call(__NR_pwrite64, out, p, size, 0), size);
        for (unsigned at = 0; at < size; at += 97) {
            assert_int_equal(call(__NR_pread64, out, scratch, 1, at), 1);
            assert_int_equal(*(uint8_t *)scratch, pattern(at));
        }
        call(__NR_munmap, p, size);
    }
    unit_host.known_count = 0;
    call(__NR_close, out);
    call(__NR_unlink, str("/uses"));
    call(__NR_close, fd);
}

/* ---- files ---- */

static void test_image_files(void **state)
{
    long fd = open_at("/l", O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(call(__NR_read, fd, scratch, 100000), 5000);
    for (uint64_t i = 0; i < 5000; i++)
        assert_int_equal(((uint8_t *)scratch)[i], pattern(i));
    assert_int_equal(call(__NR_read, fd, scratch, 1), 0);
    assert_int_equal(call(__NR_write, fd, scratch, 1), -EBADF);
    assert_int_equal(call(__NR_lseek, fd, 4990, 0), 4990);
    assert_int_equal(call(__NR_read, fd, scratch, 100), 10);
    assert_int_equal(call(__NR_close, fd), 0);
    assert_int_equal(call(__NR_close, fd), -EBADF);
    assert_int_equal(open_at("/d/nothing", O_RDONLY), -ENOENT);
    assert_int_equal(open_at("/d/a/b", O_RDONLY), -ENOTDIR);
    assert_int_equal(open_at("/d", O_WRONLY), -EISDIR);
    assert_int_equal(open_at("/../../d/../l", O_RDONLY | O_NOFOLLOW), -ELOOP);
    assert_int_equal(call(__NR_readlink, str("/l"), scratch, 100), 3);
    assert_memory_equal((void *)scratch, "d/a", 3);
}

/* One file of the image, changed at random, against a plain array. */
static void test_copy_up(void **state)
{
    enum { MAX = 400 << 10 };
    static uint8_t model[MAX], buf[20000];
    uint64_t size = 300 << 10;
    for (uint64_t i = 0; i < size; i++)
        model[i] = pattern(i);
    long fd = open_at("/big", O_RDWR);
    assert_true(fd >= 0);
    for (int round = 0; round < 600; round++) {
        uint64_t at = next(MAX - sizeof(buf)), n = 1 + next(sizeof(buf));
        switch (next(8)) {
        case 0:
            assert_int_equal(call(__NR_ftruncate, fd, at), 0);
            if (at < size)
                memset(model + at, 0, size - at);
            size = at;
            break;
        case 1:
        case 2:
            for (uint64_t i = 0; i < n; i++)
                buf[i] = (uint8_t)next(256);
            assert_int_equal(user_write(scratch, buf, n), 0);
            assert_int_equal(call(__NR_pwrite64, fd, scratch, n, at), n);
            memcpy(model + at, buf, n);
            size = at + n > size ? at + n : size;
            break;
        case 3:
            assert_int_equal(call(__NR_fallocate, fd, 3, at, n), 0);
            memset(model + at, 0, at < size ? (at + n > size ? size - at : n) : 0);
            break;
        default: {
            long want = at >= size ? 0 : (long)(at + n > size ? size - at : n);
            assert_int_equal(call(__NR_pread64, fd, scratch, n, at), want);
            assert_memory_equal((void *)scratch, model + at, want);
        }
        }
    }
    call(__NR_close, fd);
}

static int count_entries(const char *path, const char *name, bool *found)
{
    long fd = open_at(path, O_RDONLY | O_DIRECTORY), n;
    int count = 0;
    *found = false;
    assert_true(fd >= 0);
    while ((n = call(__NR_getdents64, fd, scratch, 200)) > 0) {
        for (long at = 0; at < n; count++) {
            uint8_t *e = (uint8_t *)scratch + at;
            *found = *found || !strcmp((char *)e + 19, name);
            at += e[16] | e[17] << 8;
        }
    }
    assert_int_equal(n, 0);
    call(__NR_close, fd);
    return count;
}

static void test_names(void **state)
{
    bool found;
    assert_int_equal(count_entries("/d", "b", &found), 4);
    assert_true(found);
    assert_int_equal(call(__NR_unlink, str("/d/b")), 0); /* hides the image's name */
    assert_int_equal(call(__NR_unlink, str("/d/b")), -ENOENT);
    assert_int_equal(open_at("/d/b", O_RDONLY), -ENOENT);
    assert_int_equal(count_entries("/d", "b", &found), 3);
    assert_false(found);
    assert_int_equal(call(__NR_rmdir, str("/d")), -ENOTEMPTY);
    assert_int_equal(call(__NR_mkdir, str("/d/b"), 0755), 0); /* in its place */
    assert_int_equal(count_entries("/d", "b", &found), 4);
    assert_int_equal(call(__NR_rmdir, str("/d/b")), 0);
    /* A directory of the image moves with what is in it, changed or not. */
    assert_int_equal(call(__NR_rename, str("/d"), str("/e/f")), 0);
    assert_int_equal(open_at("/d/a", O_RDONLY), -ENOENT);
    assert_int_equal(open_at("/e/f/b", O_RDONLY), -ENOENT);
    long fd = open_at("/e/f/a", O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(call(__NR_read, fd, scratch, 8000), 5000);
    call(__NR_close, fd);
    assert_int_equal(call(__NR_rename, str("/e"), str("/e/f/g")), -EINVAL);
    assert_int_equal(call(__NR_rename, str("/e/f"), str("/d")), 0);
    /* Links share one inode; an open file outlives its names. */
    assert_int_equal(call(__NR_link, str("/d/a"), str("/h")), 0);
    fd = open_at("/h", O_RDWR);
    assert_int_equal(user_write(scratch, "NEW", 3), 0);
    assert_int_equal(call(__NR_pwrite64, fd, scratch, 3, 0), 3);
    assert_int_equal(call(__NR_unlink, str("/h")), 0);
    long other = open_at("/d/a", O_RDONLY);
    assert_int_equal(call(__NR_read, other, scratch + 16, 3), 3);
    assert_memory_equal((void *)(scratch + 16), "NEW", 3);
    assert_int_equal(call(__NR_unlink, str("/d/a")), 0);
    assert_int_equal(call(__NR_pread64, fd, scratch, 3, 0), 3);
    call(__NR_close, fd);
    call(__NR_close, other);
    assert_int_equal(call(__NR_symlink, str("loop"), str("/loop")), 0);
    assert_int_equal(open_at("/loop", O_RDONLY), -ELOOP);
    assert_int_equal(call(__NR_mkdir, str("/"), 0755), -EEXIST);
    assert_int_equal(call(__NR_rmdir, str("/e/.")), -EINVAL);
}

static void test_proc(void **state)
{
    char b[64];
    long fd = open_at("/proc/self/status", O_RDONLY);
    assert_true(fd >= 0);
    assert_true(call(__NR_read, fd, scratch, 4096) > 50);
    fmt(b, sizeof(b), "/proc/self/fd/%ld", fd);
    long n = call(__NR_readlink, str(b), scratch, 100);
    assert_int_equal(n, 14);
    assert_memory_equal((void *)scratch, "/proc/1/status", 14);
    call(__NR_close, fd);
    assert_int_equal(open_at("/proc/2/status", O_RDONLY), -ENOENT);
    assert_int_equal(open_at("/proc/new", O_RDWR | O_CREAT), -ENOENT);
    assert_int_equal(call(__NR_unlink, str("/proc/1/stat")), -EPERM);
    fd = open_at("/dev/zero", O_RDONLY);
    assert_int_equal(call(__NR_read, fd, scratch, 100), 100);
    call(__NR_close, fd);
}

/* ---- pipes, events, sockets ---- */

static void test_pipe_and_poll(void **state)
{
    int fd[2];
    assert_int_equal(call(__NR_pipe2, scratch, O_NONBLOCK), 0);
    user_read(fd, scratch, sizeof(fd));
    assert_int_equal(call(__NR_read, fd[0], scratch, 10), -EAGAIN);
    long total = 0, n;
    while ((n = call(__NR_write, fd[1], scratch, 5000)) > 0)
        total += n;
    assert_int_equal(n, -EAGAIN);
    assert_int_equal(total, 65536);
    struct {
        int32_t fd;
        int16_t events, revents;
    } p[2] = {{fd[0], 1, 0}, {fd[1], 4, 0}};
    user_write(scratch, p, sizeof(p));
    assert_int_equal(call(__NR_poll, scratch, 2, 0), 1);
    user_read(p, scratch, sizeof(p));
    assert_int_equal(p[0].revents, 1);
    assert_int_equal(p[1].revents, 0);
    call(__NR_close, fd[1]);
    while ((n = call(__NR_read, fd[0], scratch, 9999)) > 0)
        total -= n;
    assert_int_equal(total, 0);
    call(__NR_close, fd[0]);
    /* Nobody reads: EPIPE and the signal. */
    assert_int_equal(call(__NR_pipe2, scratch, 0), 0);
    user_read(fd, scratch, sizeof(fd));
    call(__NR_close, fd[0]);
    struct sig_item item;
    assert_int_equal(call(__NR_write, fd[1], scratch, 1), -EPIPE);
    assert_false(sig_take(self(), SIG_BIT(13), &item)); /* PID 1 without a handler is spared */
    current()->handlers->actions[12].handler = 0x1000;
    assert_int_equal(call(__NR_write, fd[1], scratch, 1), -EPIPE);
    assert_true(sig_take(self(), SIG_BIT(13), &item));
    current()->handlers->actions[12].handler = 0;
    call(__NR_close, fd[1]);
}

static void test_epoll_edges(void **state)
{
    struct __attribute__((packed)) {
        uint32_t events;
        uint64_t data;
    } ev = {1 | 1u << 31, 77};
    long e = call(__NR_epoll_create1, 0), f = call(__NR_eventfd2, 0, O_NONBLOCK);
    uint64_t one = 1;
    user_write(scratch, &ev, sizeof(ev));
    user_write(scratch + 64, &one, 8);
    assert_int_equal(call(__NR_epoll_ctl, e, 1, f, scratch), 0);
    assert_int_equal(call(__NR_epoll_ctl, e, 1, f, scratch), -EEXIST);
    assert_int_equal(call(__NR_epoll_wait, e, scratch, 4, 0), 0);
    assert_int_equal(call(__NR_write, f, scratch + 64, 8), 8);
    assert_int_equal(call(__NR_epoll_wait, e, scratch, 4, 0), 1);
    assert_int_equal(call(__NR_epoll_wait, e, scratch, 4, 0), 0); /* the edge is over */
    assert_int_equal(call(__NR_write, f, scratch + 64, 8), 8);
    assert_int_equal(call(__NR_epoll_wait, e, scratch, 4, 0), 1); /* a new one */
    assert_int_equal(call(__NR_close, f), 0);
    assert_int_equal(call(__NR_epoll_wait, e, scratch, 4, 0), 0); /* gone with its file */
    call(__NR_close, e);
}

static void test_sockets_inside(void **state)
{
    int fd[2];
    assert_int_equal(call(__NR_socketpair, 1, 1, 0, scratch), 0);
    user_read(fd, scratch, sizeof(fd));
    user_write(scratch, "ping", 4);
    assert_int_equal(call(__NR_write, fd[0], scratch, 4), 4);
    assert_int_equal(call(__NR_recvfrom, fd[1], scratch + 64, 2, 2, 0, 0), 2); /* peek */
    assert_int_equal(call(__NR_read, fd[1], scratch + 64, 100), 4);
    assert_memory_equal((void *)(scratch + 64), "ping", 4);
    assert_int_equal(call(__NR_shutdown, fd[0], 1), 0);
    assert_int_equal(call(__NR_read, fd[1], scratch + 64, 100), 0);
    call(__NR_close, fd[0]);
    call(__NR_close, fd[1]);
    /* Loopback: no call out at all. */
    uint64_t calls = unit_host.calls;
    static const uint8_t addr[16] = {2, 0, 0x12, 0x34, 127, 0, 0, 1};
    long l = call(__NR_socket, 2, 1, 0), c = call(__NR_socket, 2, 1, 0);
    user_write(scratch, addr, sizeof(addr));
    assert_int_equal(call(__NR_connect, c, scratch, 16), -ECONNREFUSED);
    assert_int_equal(call(__NR_bind, l, scratch, 16), 0);
    assert_int_equal(call(__NR_listen, l, 1), 0);
    assert_int_equal(call(__NR_connect, c, scratch, 16), 0);
    long s = call(__NR_accept4, l, 0, 0, O_NONBLOCK);
    assert_true(s >= 0);
    assert_int_equal(call(__NR_read, s, scratch, 1), -EAGAIN);
    assert_int_equal(call(__NR_write, c, scratch, 16), 16);
    assert_int_equal(call(__NR_read, s, scratch + 64, 99), 16);
    call(__NR_close, c);
    assert_int_equal(call(__NR_read, s, scratch + 64, 99), 0);
    call(__NR_close, s);
    call(__NR_close, l);
    assert_int_equal(unit_host.calls, calls);
}

/* Without the lock when it returns: an assertion that fails leaves it to nobody. */
static int open_streams(void)
{
    los_lock();
    int r = stdio_init();
    los_unlock();
    return r;
}

static void test_streams(void **state)
{
    assert_true(open_streams() >= 0);
    char text[100];
    unit_host.input = "some input";
    assert_int_equal(call(__NR_read, 0, scratch, 4), 4);
    user_read(text, scratch, 4);
    assert_memory_equal(text, "some", 4);
    struct {
        int32_t fd;
        int16_t events, revents;
    } p = {0, 1, 0};
    user_write(scratch, &p, sizeof(p));
    assert_int_equal(call(__NR_poll, scratch, 1, 0), 1); /* read ahead */
    assert_int_equal(call(__NR_read, 0, scratch, 100), 6);
    assert_int_equal(call(__NR_read, 0, scratch, 100), 0);
    user_write(scratch, "out", 3);
    assert_int_equal(call(__NR_write, 1, scratch, 3), 3);
    assert_memory_equal(unit_host.output, "out", 3);
    /* Wrong counts are errors, never more or less than was there. */
    static const long lies[] = {4, 100000, 65537, 1l << 40, INT64_MAX, INT64_MIN, -4096, -134};
    for (size_t i = 0; i < ARRAY_COUNT(lies); i++) {
        unit_host.lies = true;
        unit_host.lie = lies[i];
        assert_int_equal(call(__NR_write, 1, scratch, 3), -EIO);
        if (lies[i] > 65536 || lies[i] < 0)
            assert_int_equal(call(__NR_read, 0, scratch, 100), -EIO);
        unit_host.lies = false;
    }
    for (int fd = 0; fd < 3; fd++)
        call(__NR_close, fd);
}

/* A stream that the settings do not have is not there, by whichever name; and should the LibOS ask
 * for it all the same, the port does not. */
/* The host's handles are what the settings say, whatever the program has open. */
static void check_handles(void)
{
    char byte = 'x';
    for (int handle = -1; handle < 5; handle++) {
        assert_int_equal(port_read(handle, &byte, 1) < 0, !(handle == 0 && settings.input));
        assert_int_equal(port_write(handle, &byte, 1) < 0,
                         !((handle == 1 || handle == 2) && settings.output));
    }
}

static void test_sealed_streams(void **state)
{
    static const bool cases[][2] = {{false, false}, {true, false}, {false, true}, {true, true}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        settings.input = cases[i][0];
        settings.output = cases[i][1];
        assert_true(open_streams() >= 0);
        unit_host.input = "x";
        unit_host.output_size = 0;
        assert_int_equal(call(__NR_read, 0, scratch, 1), settings.input);
        for (int fd = 1; fd < 3; fd++)
            assert_int_equal(call(__NR_write, fd, scratch, 1), 1);
        assert_int_equal(call(__NR_write, 0, scratch, 1), -EBADF);
        assert_int_equal(unit_host.output_size, settings.output ? 2 : 0);
        assert_int_equal(open_at("/dev/tty", O_RDWR), -ENXIO);
        unit_host.input = "y";
        check_handles();
        for (int fd = 0; fd < 3; fd++)
            call(__NR_close, fd);
    }
    settings.input = settings.output = true;
}

/* ---- threads ---- */

struct waiting {
    uint64_t word;
    int tid;
    long result;
};

static void *wait_on_futex(void *arg)
{
    struct waiting *w = arg;
    unit_thread(w->tid);
    w->result = call(__NR_futex, w->word, 0, 0, 0);
    los_lock();
    list_remove(&self()->node);
    current()->thread_count--;
    los_unlock();
    return NULL;
}

static void test_futex(void **state)
{
    enum { N = 8 };
    struct waiting w[N];
    pthread_t t[N];
    uint64_t word = scratch + 0x1000, other = scratch + 0x2000;
    uint32_t zero = 0;
    struct {
        int64_t s, ns;
    } soon = {0, 1000000};
    user_write(word, &zero, 4);
    user_write(other, &zero, 4);
    user_write(scratch, &soon, sizeof(soon));
    assert_int_equal(call(__NR_futex, word, 0, 1, 0), -EAGAIN);
    assert_int_equal(call(__NR_futex, word + 1, 0, 1, 0), -EINVAL);
    assert_int_equal(call(__NR_futex, port_info.zone_start, 0, 1, 0), -EFAULT);
    assert_int_equal(call(__NR_futex, word, 0, 0, scratch), -ETIMEDOUT);
    unit_host.wakes = 3; /* a host that wakes for no reason ends no wait */
    assert_int_equal(call(__NR_futex, word, 0, 0, scratch), -ETIMEDOUT);
    for (int i = 0; i < N; i++) {
        w[i] = (struct waiting){word, 10 + i, -1};
        pthread_create(&t[i], NULL, wait_on_futex, &w[i]);
    }
    int moved = 0;
    for (int tries = 0; tries < 5000 && moved < N; tries++) {
        long r = call(__NR_futex, word, 3 /* REQUEUE */, 0, 100, other); /* woken: none */
        assert_int_equal(r, 0);
        usleep(1000);
        moved = 0;
        los_lock();
        for (int i = 0; i < N; i++)
            moved += thread_find(&first_process, 10 + i) &&
                     thread_find(&first_process, 10 + i)->sleeping;
        los_unlock();
    }
    assert_int_equal(moved, N);
    call(__NR_futex, word, 3, 0, 100, other);
    assert_int_equal(call(__NR_futex, word, 1, 100), 0);
    assert_int_equal(call(__NR_futex, other, 1, 3), 3);
    assert_int_equal(call(__NR_futex, other, 1, 100), N - 3);
    for (int i = 0; i < N; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(w[i].result, 0);
    }
}

/* ---- signals ---- */

static void test_signal_queue(void **state)
{
    struct thread *t = self();
    struct sig_item item;
    current()->handlers->actions[9].handler = 0x1000;  /* USR1 */
    current()->handlers->actions[33].handler = 0x1000; /* a real-time signal */
    sig_set_mask(t, UINT64_MAX);
    assert_int_equal(t->sig_mask & (SIG_BIT(9) | SIG_BIT(19)), 0); /* KILL and STOP stay */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(call(__NR_kill, 1, 10), 0);
        assert_int_equal(call(__NR_tgkill, 1, 1, 34), 0);
    }
    assert_true(sig_take(t, SIG_BIT(10), &item));
    assert_false(sig_take(t, SIG_BIT(10), &item)); /* ordinary ones do not queue */
    for (int i = 0; i < 3; i++)
        assert_true(sig_take(t, SIG_BIT(34), &item)); /* these do */
    assert_false(sig_take(t, SIG_BIT(34), &item));
    assert_int_equal(call(__NR_kill, 2, 10), -ESRCH);
    assert_int_equal(call(__NR_kill, 1, 65), -EINVAL);
    /* The host may send what the settings say; a forged fault is nothing. */
    static const int refused[] = {1, 3, 4, 7, 8, 9, 10, 11, 19, 31, 34, 64, 65, 0, -1};
    settings.signals = SIG_BIT(2) | SIG_BIT(15);
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++)
        los_host_signal(refused[i]);
    sig_collect();
    assert_int_equal(current()->pending.set, 0);
    los_host_signal(15);
    sig_collect();
    assert_true(sig_take(t, SIG_BIT(15), &item));
    sig_set_mask(t, 0);
    settings.signals = UINT64_MAX;
    current()->handlers->actions[9].handler = current()->handlers->actions[33].handler = 0;
}

/* A place's frames are forgotten: those of the place before, up to the last, are not. */
static void test_border_of_places(void **state)
{
    uint64_t border = port_info.user_start + (5ul << 30), page = border - PAGE_SIZE;
    los_lock();
    assert_int_equal(frame_add(page, 1, PORT_R | PORT_W, 1), 0);
    assert_int_equal(frame_add(border + (1ul << 21), 1, PORT_R | PORT_W, 1), 0);
    frame_remove(border + (1ul << 21), 1);
    frame_forget(border, border + (1ul << 30));
    assert_int_equal(frame_rights(page), PORT_R | PORT_W);
    assert_int_equal(frame_rights(border + (1ul << 21)), -1);
    frame_remove(page, 1);
    los_unlock();
}

static void test_signal_frame(void **state)
{
    struct thread *t = self();
    uint64_t stack = unit_memory(65536);
    struct sig_action a = {.handler = 0x1234, .flags = 0x04000004, .restorer = 0x5678};
    struct sig_item item = {.signo = 11, .code = 1, .value = 0xdead};
    t->regs = (struct regs){.rsp = stack + 60000, .rip = 0x1111, .rbx = 42, .rflags = 0x246};
    struct regs before = t->regs;
    assert_int_equal(frame_push(t, &a, &item, 0x55), 0);
    assert_int_equal(t->regs.rip, 0x1234);
    assert_int_equal(t->regs.rdi, 11);
    assert_int_equal((t->regs.rsp + 8) % 16, 0);
    assert_true(t->regs.rsp < before.rsp - 128);
    uint64_t restorer;
    user_read(&restorer, t->regs.rsp, 8);
    assert_int_equal(restorer, 0x5678);
    t->regs.rsp += 8; /* ret */
    assert_int_equal(frame_pop(t), 0);
    assert_int_equal(t->regs.rip, before.rip);
    assert_int_equal(t->regs.rsp, before.rsp);
    assert_int_equal(t->regs.rbx, 42);
    assert_int_equal(t->sig_mask, 0x55);
    sig_set_mask(t, 0);
    /* A frame that cannot be written, or forged ones. */
    t->regs.rsp = port_info.user_start + 64;
    assert_int_not_equal(frame_push(t, &a, &item, 0), 0);
    for (int i = 0; i < 200; i++) {
        uint8_t junk[440];
        for (size_t n = 0; n < sizeof(junk); n++)
            junk[n] = (uint8_t)next(256);
        memcpy(junk + 0xe0, &(uint64_t){stack + next(60000)}, 8); /* fpstate: in reach */
        user_write(stack + 30000, junk, sizeof(junk));
        t->regs.rsp = stack + 30000;
        frame_pop(t);
        __asm__ volatile("fninit; ldmxcsr %0" : : "m"((uint32_t){0x1f80}));
        assert_int_equal(t->regs.rflags & ~0x50fd7ul, 0); /* no IOPL, NT, VM, AC but what may be */
    }
    t->alt = (struct alt_stack){0};
    sig_set_mask(t, 0);
}

/* ---- hosts that lie ---- */

static void test_clock_goes_forward(void **state)
{
    uint64_t a = clock_now(), r = clock_real();
    unit_host.clock[1] = 5; /* PORT_CLOCK_MONOTONIC */
    unit_host.clock[0] = 7;
    assert_true(clock_now() >= a);
    assert_true(clock_real() >= r);
    unit_host.clock[1] = UINT64_MAX;
    assert_true(clock_now() <= 1ull << 62);
    memset(unit_host.clock, 0, sizeof(unit_host.clock));
}

static uint64_t processor_seconds(void)
{
    uint64_t s = 0;
    assert_int_equal(call(__NR_clock_gettime, 2, scratch), 0); /* CLOCK_PROCESS_CPUTIME_ID */
    user_read(&s, scratch, sizeof(s));
    return s;
}

/* What threads that ended used may be less than what was told of them. */
static void test_processor_time_goes_forward(void **state)
{
    const uint64_t much = 1000 * 1000000000ull;
    current()->usage.all += much;
    assert_true(processor_seconds() >= 1000);
    current()->usage.all -= much;
    assert_true(processor_seconds() >= 1000);
    current()->usage_most = 0;
    assert_true(processor_seconds() < 1000);
}

#define HZ 2000000000ull /* two counts a nanosecond */

static uint64_t tsc_at(uint64_t now)
{
    uint64_t monotonic = 0, realtime;
    assert_true(tsc_read(now, &monotonic, &realtime));
    return monotonic;
}

static void test_tsc(void **state)
{
    uint64_t m, r, t = 1000;
    struct tsc_claim first = {t, 5000000, 7000000};
    tsc_init(0, &first); /* no counter: always asked */
    assert_false(tsc_read(t, &m, &r));
    tsc_init(99, &first);
    assert_false(tsc_read(t, &m, &r));
    tsc_init(HZ, &first);
    assert_true(tsc_read(t + 2000, &m, &r));
    assert_in_range(m, 5000999, 5001000);
    assert_in_range(r, 7000999, 7001000);
    assert_int_equal(tsc_at(t - 500), 5000000); /* another processor's counter lags */
    assert_false(tsc_read(t + HZ, &m, &r));     /* too long ago */
    assert_in_range(tsc_host_time(5001000), 5000990, 5001010);
    /* A counter that is 0.1 % slower than was said: the next interval knows. */
    uint64_t step = HZ / 16;
    struct tsc_claim second = {t + step, 5000000 + step / 2 * 1001 / 1000, 8000000};
    tsc_take(&second, t, t + 2 * step);
    assert_int_equal(tsc_at(t + step), second.monotonic);
    assert_in_range(tsc_at(t + 2 * step), second.monotonic + step / 2000 * 1001 - 5,
                    second.monotonic + step / 2000 * 1001 + 5);
}

/* Whatever the host says, it goes forward, and slower or faster by little unless set forward. */
static void test_tsc_lies(void **state)
{
    uint64_t t = 1000, step = HZ / 16, m, r;
    struct tsc_claim c = {t, 5000000, 7000000};
    tsc_init(HZ, &c);
    c = (struct tsc_claim){t + step, 1, 1}; /* back */
    tsc_take(&c, t, t + step);
    assert_in_range(tsc_at(t + step), 5000000 + step / 2 - 5, 5000000 + step / 2);
    assert_in_range(tsc_at(t + 2 * step), 5000000 + step - step / 1000, 5000000 + step);
    assert_in_range(tsc_host_time(5000000 + step / 2 + 100), 100, 102); /* on its clock */
    c = (struct tsc_claim){UINT64_MAX, UINT64_MAX, UINT64_MAX};
    tsc_take(&c, t + 3 * step, t + 3 * step);
    assert_int_equal(tsc_at(t + 3 * step), 1ull << 62);
    c = (struct tsc_claim){0, 0, 0};
    tsc_take(&c, 2, 1);
    if (tsc_read(t + 4 * step, &m, &r))
        assert_true(m >= 1ull << 62);
    /* Twice as fast: the rate stays. */
    c = (struct tsc_claim){t, 5000000, 7000000};
    tsc_init(HZ, &c);
    c = (struct tsc_claim){t + step, 5000000 + step, 7000000};
    tsc_take(&c, t, t + step);
    assert_int_equal(tsc_at(t + step), 5000000 + step);
    assert_in_range(tsc_at(t + 2 * step), 5000000 + step + step / 2 - 5,
                    5000000 + step + step / 2 + 5);
    /* Said three times in a row, it was the first claim that was wrong. */
    for (uint64_t i = 2; i <= 3; i++) {
        c = (struct tsc_claim){t + i * step, 5000000 + i * step, 7000000};
        tsc_take(&c, t, t + i * step);
    }
    assert_int_equal(tsc_at(t + 3 * step), 5000000 + 3 * step);
    assert_in_range(tsc_at(t + 4 * step), 5000000 + 4 * step - 5, 5000000 + 4 * step + 5);
    /* Three that contradict each other change nothing. */
    tsc_init(HZ, &(struct tsc_claim){t, 5000000, 7000000});
    for (uint64_t i = 1, host = 5000000; i <= 3; i++) {
        host += step / 2 * (i + 1);
        c = (struct tsc_claim){t + i * step, host, 7000000};
        tsc_take(&c, t, t + i * step);
        m = tsc_at(t + i * step);
        assert_in_range(tsc_at(t + i * step + step / 2), m + step / 4 - 5, m + step / 4 + 5);
    }
}

static void test_lies(void **state)
{
    static const long lies[] = {0,        1,         3,     100,   65536,     65537, 1l << 31,
                                1l << 32, INT64_MAX, -1,    -4,    -11,       -103,  -133,
                                -134,     -512,      -4095, -4096, INT64_MIN, -115};
    static const uint32_t sizes[] = {0, 1, 2, 15, 16, 28, 29, 128, 65536, UINT32_MAX};
    static const int calls[][2] = {
        /* call, third argument */
        {__NR_connect, 16},   {__NR_bind, 16},       {__NR_listen, 5},      {__NR_sendto, 100},
        {__NR_recvfrom, 100}, {__NR_read, 100},      {__NR_write, 100},     {__NR_shutdown, 0},
        {__NR_accept4, 0},    {__NR_getsockname, 0}, {__NR_getpeername, 0}, {__NR_getsockopt, 4},
    };
    static const uint8_t out[16] = {2, 0, 0, 80, 192, 0, 2, 1};
    for (size_t i = 0; i < ARRAY_COUNT(lies); i++) {
        for (size_t j = 0; j < ARRAY_COUNT(sizes); j++) {
            for (int type = 1; type <= 2; type++) {
                long fd = call(__NR_socket, 2, type | O_NONBLOCK, 0);
                assert_true(fd >= 0);
                unit_host.lies = true;
                unit_host.lie = lies[i];
                unit_host.lie_size = sizes[j];
                user_write(scratch, out, sizeof(out));
                user_write(scratch + 512, &(uint32_t){128}, 4);
                for (size_t k = 0; k < ARRAY_COUNT(calls); k++) {
                    int nr = calls[k][0];
                    uint64_t third = (uint64_t)calls[k][1];
                    if (nr == __NR_getsockname || nr == __NR_getpeername)
                        third = scratch + 512;
                    long r =
                        nr == __NR_getsockopt ? call(nr, fd, 1, 4, scratch + 256, scratch + 512)
                        : nr == __NR_accept4  ? call(nr, fd, scratch + 256, scratch + 512, 0)
                        : nr == __NR_shutdown || nr == __NR_listen ? call(nr, fd, third)
                                                                   : call(nr, fd, scratch, third);
                    /* Never more than was asked for, never an errno that is none. */
                    assert_true(r >= -133 && r <= (nr == __NR_accept4 ? 255 : 100));
                    if (nr == __NR_accept4 && r >= 0)
                        call(__NR_close, r);
                }
                unit_host.lies = false;
                call(__NR_close, fd);
            }
        }
    }
}

static void test_wrong_blocks(void **state)
{
    /* Any flipped bit of any block, data or tree, is EIO where it is read; nothing else is hurt. */
    static uint8_t copy[1 << 20];
    assert_true(built.image_size <= sizeof(copy));
    uint64_t blocks = built.image_size / 4096, seen = 0;
    for (uint64_t b = 0; b < blocks; b++) {
        memcpy(copy, root, built.image_size);
        copy[b * 4096 + next(4096)] ^= (uint8_t)(1u << next(8));
        int r = unit_start(copy, built.image_size, built.root_size, built.root_hash);
        long fd = r ? r : open_at("/big", O_RDONLY), n = fd;
        uint64_t at = 0;
        while (fd >= 0 && (n = call(__NR_pread64, fd, scratch, 4096, at)) > 0) {
            for (long i = 0; i < n; i++)
                assert_int_equal(((uint8_t *)scratch)[i], pattern(at + (uint64_t)i));
            at += (uint64_t)n;
        }
        assert_true(n == 0 || n == -EIO);
        seen += n == -EIO;
        if (fd >= 0)
            call(__NR_close, fd);
    }
    assert_true(seen > 70); /* the 75 blocks of /big, and the tree */
    /* Two blocks swapped; an image cut short. */
    memcpy(copy, root, built.image_size);
    assert_int_equal(unit_start(copy, 8192, built.root_size, built.root_hash), -EIO);
    assert_int_equal(unit_start(copy, 0, built.root_size, built.root_hash), -EIO);
    assert_int_equal(unit_start(root, built.image_size, built.root_size, built.root_hash), 0);
}

/* ---- programs ---- */

static void put16(uint8_t *p, unsigned v)
{
    memcpy(p, &(uint16_t){(uint16_t)v}, 2);
}
static void put64(uint8_t *p, uint64_t v)
{
    memcpy(p, &v, 8);
}

static void make_elf(uint8_t e[4096])
{
    memset(e, 0, 4096);
    memcpy(e, "\177ELF\2\1\1", 7);
    put16(e + 16, 2);
    put16(e + 18, 62);
    put64(e + 24, 0x400100);
    put64(e + 32, 64);
    put16(e + 54, 56);
    put16(e + 56, 2);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *h = e + 64 + 56 * i;
        put16(h, 1);
        put16(h + 4, i ? 6 : 5);
        put64(h + 8, i * 4096);
        put64(h + 16, 0x400000 + i * 4096);
        put64(h + 32, i ? 100 : 4096);
        put64(h + 40, i ? 9000 : 4096);
    }
}

static void test_elf(void **state)
{
    static const struct {
        unsigned at;
        uint64_t value;
    } bad[] = {
        {0, 0},
        {16, 1},
        {18, 3},
        {32, 4090},
        {32, UINT64_MAX},
        {54, 55},
        {56, 0},
        {56, 1000},
        {64 + 8, 1},                   /* offset and address disagree */
        {64 + 8, UINT64_MAX - 4095},   /* outside the file */
        {64 + 32, 1ull << 40},         /* longer than the file */
        {64 + 40, 10},                 /* memory shorter than file */
        {64 + 16, 0xffffffffff000000}, /* not an address */
        {120 + 16, 0x3ff000},          /* not ascending */
        {120 + 40, UINT64_MAX},
        {64 + 40, 0x10000}, /* overlaps the next */
    };
    uint8_t e[4096];
    struct elf_plan p;
    make_elf(e);
    assert_int_equal(elf_parse(e, sizeof(e), 8192, &p), 0);
    assert_int_equal(p.count, 2);
    assert_int_equal(p.low, 0x400000);
    assert_int_equal(p.high, 0x404000);
    assert_int_equal(p.phdr, 0x400040);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        make_elf(e);
        if (bad[i].at >= 64 || bad[i].at == 32)
            put64(e + bad[i].at, bad[i].value);
        else
            put16(e + bad[i].at, (unsigned)bad[i].value);
        if (elf_parse(e, sizeof(e), 8192, &p) != -ENOEXEC)
            fail_msg("case %zu was accepted", i);
    }
    make_elf(e);
    for (size_t n = 0; n < 176; n++)
        assert_int_equal(elf_parse(e, n, 8192, &p), -ENOEXEC);
}

static void write_file(const char *path, const char *text)
{
    long fd = open_at(path, O_WRONLY | O_CREAT | O_TRUNC);
    assert_true(fd >= 0);
    user_write(scratch, text, strlen(text));
    assert_int_equal(call(__NR_write, fd, scratch, strlen(text)), strlen(text));
    call(__NR_close, fd);
}

static void test_user(void **state)
{
    call(__NR_mkdir, str("/etc"), 0755);
    write_file("/etc/passwd",
               "root:x:0:0::/:/bin/sh\nbad line\nann:x:1000:100::/:\n:::\nend:x:7:8");
    write_file("/etc/group", "root:x:0:\nstaff:x:50:bob,ann\nannex:x:51:annex,xann\nusers:x:100:");
    static const struct {
        const char *text;
        int result;
        uint32_t uid, gid, group_count;
    } cases[] = {
        {"nobody", -ENOENT, 0, 0, 0},
        {"ann:none", -ENOENT, 0, 0, 0},
        {"4294967295", -ENOENT, 0, 0, 0},
        {"", 0, 0, 0, 1},
        {"end", 0, 7, 8, 1},
        {"55", 0, 55, 0, 1},
        {"55:66", 0, 55, 66, 1},
        {"1000", 0, 1000, 100, 2},
        {"ann:staff", 0, 1000, 50, 1},
        {"ann", 0, 1000, 100, 2},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        current()->uid = current()->euid = current()->suid = 0;
        current()->gid = current()->egid = current()->sgid = 0;
        current()->group_count = 0;
        los_lock();
        struct sh_user u;
        int r = user_set(cases[i].text, &u);
        los_unlock();
        assert_int_equal(r, cases[i].result);
        assert_int_equal(current()->euid, cases[i].uid);
        assert_int_equal(current()->egid, cases[i].gid);
        if (!r)
            assert_int_equal(current()->group_count, cases[i].group_count);
    }
    assert_int_equal(current()->groups[0], 50);
    assert_int_equal(current()->groups[1], 100);
    /* Not root any more: what root made is closed to it. */
    caps_start(current());
    assert_int_equal(open_at("/etc/new", O_WRONLY | O_CREAT), -EACCES);
    assert_int_equal(open_at("/etc/passwd", O_WRONLY), -EACCES);
    assert_int_equal(call(__NR_setuid, 0), -EPERM);
    assert_int_equal(call(__NR_chown, str("/etc/passwd"), 1000, 100), -EPERM);
    current()->uid = current()->euid = current()->suid = current()->gid = current()->egid =
        current()->sgid = 0;
    caps_start(current());
    current()->group_count = 0;
}

static void test_unknown_calls(void **state)
{
    uint64_t before = stats.unknown_calls;
    assert_int_equal(call(__NR_io_uring_setup, 0), -ENOSYS);
    assert_int_equal(call(__NR_io_uring_enter, 0), -ENOSYS);
    assert_int_equal(call(100000), -ENOSYS);
    assert_int_equal(call(-1), -ENOSYS);
    /* Refused on purpose is not unknown. */
    assert_int_equal(call(__NR_rseq, 0), -ENOSYS);
    assert_int_equal(call(__NR_mount, 0), -EPERM);
    assert_int_equal(stats.unknown_calls, before + 4);
}

/* The LibOS's own pages: zeroed, nobody else's, of every size; the zone grows by what is needed. */
/* One message: a byte with `count` files. */
static long send_files(int to, const int *files, uint32_t count)
{
    struct control {
        uint64_t size;
        int32_t level, type;
        int32_t files[32];
    } *c = (struct control *)(scratch + 256);
    struct io {
        uint64_t at, size;
    } *v = (struct io *)(scratch + 128);
    uint64_t *m = (uint64_t *)(scratch + 512);
    memset((void *)scratch, 0, 1024);
    *c = (struct control){16 + 4ul * count, SOL_SOCKET, SCM_RIGHTS, {0}};
    memcpy(c->files, files, count * sizeof(*files));
    *v = (struct io){scratch + 1000, 1};
    m[2] = (uint64_t)v;
    m[3] = 1;
    m[4] = (uint64_t)c;
    m[5] = c->size;
    return call(__NR_sendmsg, to, m, 0);
}

/* Files in messages: whole ones, however many are asked for at once; and what they hold goes with
 * them. */
static void test_files_in_messages(void **state)
{
    int files[32], *s = (int *)(scratch + 2048);
    for (int i = 0; i < 32; i++)
        files[i] = (int)open_at("/d/b", O_RDONLY);
    assert_int_equal(call(__NR_socketpair, AF_UNIX, SOCK_STREAM, 0, s), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(send_files(s[0], files, 32), 1);
    for (int i = 0; i < 32; i++)
        call(__NR_close, files[i]);
    for (int left = 3; left > 0; left--) {
        uint64_t *m = (uint64_t *)(scratch + 512), *v = (uint64_t *)(scratch + 128);
        memset((void *)scratch, 0, 1024);
        v[0] = scratch + 256;
        v[1] = 8;
        m[2] = (uint64_t)v;
        m[3] = 1;
        m[4] = scratch + 4096 - 1024;
        m[5] = 1024;
        assert_int_equal(call(__NR_recvmsg, s[1], m, MSG_WAITALL), 1);
        assert_int_equal(m[5], 16 + 32 * 4);
        for (int i = 0; i < 32; i++)
            assert_int_equal(call(__NR_close, ((int *)(m[4] + 16))[i]), 0);
    }
    call(__NR_close, s[0]);
    call(__NR_close, s[1]);
    int before = -1;
    for (int i = 0; i < 20000; i++) { /* each queue holds the end before it */
        assert_int_equal(call(__NR_socketpair, AF_UNIX, SOCK_STREAM, 0, s), 0);
        if (before >= 0)
            assert_int_equal(send_files(s[0], &before, 1), 1);
        call(__NR_close, before);
        call(__NR_close, s[0]);
        before = s[1];
    }
    assert_int_equal(call(__NR_close, before), 0);
}

static sigjmp_buf missed;
static void on_miss(int sig)
{
    siglongjmp(missed, 1);
}

static bool is_missing(volatile uint8_t *p)
{
    if (sigsetjmp(missed, 1))
        return true;
    *p = 1;
    return false;
}

/* Stacks: the page below is not there, and nothing else is in it later. */
static void test_guarded_pages(void **state)
{
    struct sigaction a = {.sa_handler = on_miss, .sa_flags = SA_NODEFER}, old[2];
    sigaction(SIGSEGV, &a, &old[0]);
    sigaction(SIGBUS, &a, &old[1]);
    uint64_t last = port_info.zone_end;
    for (int i = 0; i < 20; i++) {
        volatile uint8_t *p = pages_guarded(8);
        assert_non_null(p);
        assert_true((uint64_t)p + 8 * PAGE_SIZE <= last);
        last = (uint64_t)p - PAGE_SIZE;
        for (int n = 0; n < 8; n++)
            assert_int_equal(p[n * (int)PAGE_SIZE], 0);
        p[0] = p[8 * PAGE_SIZE - 1] = 1;
        assert_true(is_missing(p - 1) && is_missing(p - PAGE_SIZE));
        page_free(page_alloc());
    }
    sigaction(SIGSEGV, &old[0], NULL);
    sigaction(SIGBUS, &old[1], NULL);
}

/* A page that is there and not used costs as much as two calls out. */
static void test_small_zone(void **state)
{
    enum { CHUNK = 512 };
    static void *page[2 * CHUNK];
    unsigned n = 0, steps = 0;
    assert_in_range(stats.zone_pages, 1, CHUNK / 2);
    for (; stats.zone_pages < CHUNK; n++) {
        uint64_t before = stats.zone_pages;
        page[n] = page_alloc();
        assert_non_null(page[n]);
        /* One more for what says what is in it. */
        assert_in_range(stats.zone_pages - before, 0, MAX(16, before / 8) + 1);
        steps += stats.zone_pages > before;
    }
    assert_in_range(steps, 8, 32);
    while (n)
        page_free(page[--n]);
}

static void test_zone(void **state)
{
    enum { SLOTS = 64 };
    static struct {
        uint64_t *p, count;
    } slot[SLOTS];
    uint64_t committed = stats.committed, zone = stats.zone_pages, most = 0, held = 0;
    for (unsigned round = 0; round < 4000; round++) {
        uint64_t i = next(SLOTS), count = 1 + next(1ul << next(10)), word;
        if (slot[i].p) {
            for (uint64_t n = 0; n < slot[i].count; n++) {
                for (unsigned k = 0; k < 2; k++) {
                    word = slot[i].p[n * 512 + k * 511];
                    assert_int_equal(word, i << 32 | n);
                }
            }
            pages_free(slot[i].p, slot[i].count);
            held -= slot[i].count;
            slot[i].p = NULL;
        }
        if (held + count > 8192)
            continue;
        slot[i].p = pages_alloc(count);
        slot[i].count = count;
        assert_non_null(slot[i].p);
        held += count;
        most = MAX(most, held);
        for (uint64_t n = 0; n < count; n++) {
            assert_int_equal(slot[i].p[n * 512] | slot[i].p[n * 512 + 511], 0);
            slot[i].p[n * 512] = slot[i].p[n * 512 + 511] = i << 32 | n;
        }
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        if (slot[i].p)
            pages_free(slot[i].p, slot[i].count);
    }
    assert_int_equal(stats.committed - committed, (stats.zone_pages - zone) << PAGE_SHIFT);
    assert_in_range(stats.zone_pages - zone, 0, 4 * most + 1024);
    /* What a file of 32 MiB had goes back to the host, but for a few chunks; and comes again as
     * zeros. */
    enum { PAGES = 8192 };
    static uint64_t *page[PAGES];
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < PAGES; i++) {
            page[i] = page_alloc();
            assert_non_null(page[i]);
            assert_int_equal(page[i][0] | page[i][511], 0);
            page[i][0] = page[i][511] = i;
        }
        uint64_t full = stats.zone_pages;
        for (unsigned i = 0; i < PAGES; i++) {
            assert_int_equal(page[i][0], i);
            page_free(page[i]);
        }
        assert_in_range(stats.zone_pages, 0, full - PAGES / 2);
        assert_int_equal(stats.committed - committed, (stats.zone_pages - zone) << PAGE_SHIFT);
    }
    /* A limit that is nearly reached: what fits still does. */
    uint64_t limit = settings.memory;
    void *held_pages[64];
    unsigned got = 0;
    settings.memory = stats.committed + 40 * PAGE_SIZE;
    while (got < 64 && (held_pages[got] = pages_alloc(512)))
        got++;
    assert_true(got < 64);
    assert_true(stats.committed <= settings.memory);
    while (got)
        pages_free(held_pages[--got], 512);
    settings.memory = limit;
}

/* As Linux's SYSCALL_DEFINE: what stands above a parameter's width is nothing. */
static void test_narrow_arguments(void **state)
{
    const uint64_t above = 0xabcdef0100000000ull;
    int fd = (int)call(__NR_open, str("/d/b"), above | O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(call(__NR_dup2, above | (uint64_t)fd, fd), fd);
    assert_int_equal(call(__NR_dup3, above | (uint64_t)fd, fd, 0), -EINVAL);
    assert_int_equal(call(__NR_lseek, above | (uint64_t)fd, 0, above | SEEK_END), 10);
    assert_int_equal(call(__NR_close, above | (uint64_t)fd), 0);
    assert_int_equal(call(__NR_eventfd2, 0, above | 0xf0), -EINVAL);
    fd = (int)call(__NR_eventfd2, 0, above);
    assert_true(fd >= 0);
    assert_int_equal(call(__NR_close, fd), 0);
    assert_int_equal(call(__NR_epoll_create1, above | 2), -EINVAL);
    fd = (int)call(__NR_epoll_create1, above);
    assert_true(fd >= 0);
    assert_int_equal(call(__NR_close, fd), 0);
    assert_int_equal(call(__NR_getrandom, scratch, 1, above), 1);
    assert_int_equal(call(__NR_sched_get_priority_max, above | 1), 99);
    assert_int_equal(call(__NR_sched_get_priority_max, UINT64_MAX), -EINVAL);
    assert_int_equal(call(__NR_getitimer, above, scratch), 0);
    assert_int_equal(call(__NR_getitimer, UINT64_MAX, scratch), -EINVAL);
    assert_int_equal(call(__NR_getrlimit, above | 7, scratch), 0);
    assert_int_equal(call(__NR_membarrier, above, 0, 0), 0x21f); /* QUERY */
    assert_int_equal(call(__NR_madvise, scratch, 4096, UINT64_MAX), -EINVAL);
    /* Addresses and sizes are as wide as registers. */
    assert_int_equal(call(__NR_uname, above | scratch), -EFAULT);
    assert_int_equal(call(__NR_mprotect, scratch, above, 1), -ENOMEM);
}

static int count_parameters(const char *parameters)
{
    int n = *parameters != 0;
    for (; *parameters; parameters++)
        n += *parameters == ',';
    return n;
}

/* The highest a[N] and one more. */
static int count_registers(const char *answer)
{
    int n = 0;
    for (const char *at = answer; (at = strstr(at, "a["));) {
        at += 2;
        n = MAX(n, *at - '0' + 1);
    }
    return n;
}

/* A trace shows every argument that the handler gets. */
static void test_formats(void **state)
{
    size_t seen = 0, marked;
#define CALL(name, format, ...)                                                                    \
    marked = format[0] == '!' || format[0] == '~';                                                 \
    assert_int_equal(strspn(&(format)[marked], "dulxops"), strlen(format) - marked);               \
    assert_int_equal(strlen(format) - marked, count_parameters(#__VA_ARGS__));                     \
    seen++;
#define SAME(name, format, answer)                                                                 \
    marked = format[0] == '!' || format[0] == '~';                                                 \
    assert_int_equal(strspn(&(format)[marked], "dulxops"), strlen(format) - marked);               \
    assert_in_range(count_registers(#answer), 0, strlen(format) - marked);                         \
    seen++;
#define REFUSE(name, error)                                                                        \
    assert_in_range(error, 1, 133);                                                                \
    seen++;
#define MISSING(name) seen++;
#include "trusted/libos/entry/calls.def"
#undef CALL
#undef SAME
    size_t known = 0;
    for (int64_t nr = 0; nr < CALL_COUNT; nr++)
        known += call_entry(nr) != NULL;
    assert_int_equal(known, seen);
}

static void test_counters(void **state)
{
    char text[STATS_JSON_MAX];
    uint64_t before = stats.calls[__NR_getppid];
    call(__NR_getppid);
    assert_int_equal(stats.calls[__NR_getppid], before + 1);
    int n = los_stats_json(text, sizeof(text));
    assert_int_equal(n, strlen(text));
    assert_non_null(strstr(text, "\"getppid\": "));
    assert_non_null(strstr(text, "\"peak_bytes\": "));
    assert_true(text[0] == '{' && text[n - 1] == '}');
    for (int size = 0; size <= n; size += 7)
        assert_int_equal(los_stats_json(text, (size_t)size), -ENOSPC);
    for (size_t i = 0; i < CALL_COUNT; i++) /* the longest there is */
        stats.calls[i] += UINT64_MAX / 1000;
    assert_true(los_stats_json(text, sizeof(text)) > 0);
    for (size_t i = 0; i < CALL_COUNT; i++)
        stats.calls[i] -= UINT64_MAX / 1000;
}

/* Every call with arguments of every shape: no crash, no address of ours written. */
static void test_wild_arguments(void **state)
{
    static const long skipped[] = {__NR_exit,
                                   __NR_exit_group,
                                   __NR_pause,
                                   __NR_rt_sigsuspend,
                                   __NR_execve,
                                   __NR_rt_sigreturn,
                                   __NR_kill,
                                   __NR_tkill,
                                   __NR_tgkill,
                                   __NR_rt_sigtimedwait,
                                   __NR_munmap,
                                   __NR_mmap,
                                   __NR_mremap,
                                   __NR_mprotect,
                                   __NR_madvise,
                                   __NR_setrlimit,
                                   __NR_prlimit64,
                                   __NR_nanosleep,
                                   __NR_clock_nanosleep,
                                   __NR_alarm,
                                   __NR_setitimer,
                                   __NR_timer_settime,
                                   __NR_timerfd_settime,
                                   __NR_clone,
                                   __NR_brk,
                                   __NR_rt_sigqueueinfo,
                                   __NR_rt_tgsigqueueinfo,
                                   __NR_setuid,
                                   __NR_setreuid,
                                   __NR_setresuid,
                                   __NR_poll,
                                   __NR_ppoll,
                                   __NR_select,
                                   __NR_pselect6,
                                   __NR_epoll_wait,
                                   __NR_epoll_pwait,
                                   __NR_epoll_pwait2,
                                   __NR_futex,
                                   __NR_rt_sigaction,
                                   __NR_rt_sigprocmask,
                                   __NR_chdir,
                                   __NR_splice,
                                   __NR_tee,
                                   __NR_vmsplice,
                                   __NR_inotify_init, /* their reads wait */
                                   __NR_inotify_init1,
                                   __NR_msgrcv,
                                   __NR_msgsnd,
                                   __NR_mq_timedsend,
                                   __NR_mq_timedreceive,
                                   __NR_futex_waitv,
                                   __NR_capset,
                                   __NR_prctl};
    uint64_t values[] = {0,
                         1,
                         2,
                         3,
                         7,
                         64,
                         4095,
                         4096,
                         UINT64_MAX,
                         UINT64_MAX - 4095,
                         INT64_MAX,
                         1ull << 31,
                         1ull << 32,
                         port_info.zone_start,
                         port_info.user_end - 1,
                         (uint64_t)&rng,
                         scratch,
                         scratch + 4093,
                         str("/e"),
                         str("/x")};
    for (long nr = 0; nr < 462; nr++) {
        bool skip_it = false;
        for (size_t i = 0; i < ARRAY_COUNT(skipped); i++)
            skip_it = skip_it || skipped[i] == nr;
        if (skip_it)
            continue;
        for (int round = 0; round < 60; round++) {
            uint64_t a[6];
            for (int i = 0; i < 6; i++)
                a[i] = values[next(ARRAY_COUNT(values))];
            if (nr == __NR_fallocate || nr == __NR_getrandom)
                a[1] &= 0xffff;
            unit_call(nr, a[0], a[1], a[2], a[3] & 0xffff, a[4], a[5]);
        }
    }
}

static int asked;
static int ask_once(int answer)
{
    asked++;
    return answer;
}

/* What MIN and MAX pick from is looked at once: of memory that others write, a second look may
 * show more than was judged, and a call may have done something. */
static void test_min_max(void **state)
{
    assert_int_equal(MIN(ask_once(3), 5), 3);
    assert_int_equal(asked, 1);
    assert_int_equal(MAX(2, MIN(ask_once(9), ask_once(7))), 7);
    assert_int_equal(asked, 3);
    assert_true(MAX(1u, (uint64_t)1 << 40) == (uint64_t)1 << 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_zone), /* first: the zone is still small */
        cmocka_unit_test(test_fmt),
        cmocka_unit_test(test_min_max),
        cmocka_unit_test(test_radix),
        cmocka_unit_test(test_digest),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_memory_model),
        cmocka_unit_test(test_memory_edges),
        cmocka_unit_test(test_memory_limit),
        cmocka_unit_test(test_file_mapping),
        cmocka_unit_test(test_known_uses),
        cmocka_unit_test(test_image_files),
        cmocka_unit_test(test_copy_up),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_proc),
        cmocka_unit_test(test_pipe_and_poll),
        cmocka_unit_test(test_epoll_edges),
        cmocka_unit_test(test_sockets_inside),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_sealed_streams),
        cmocka_unit_test(test_futex),
        cmocka_unit_test(test_signal_queue),
        cmocka_unit_test(test_border_of_places),
        cmocka_unit_test(test_signal_frame),
        cmocka_unit_test(test_clock_goes_forward),
        cmocka_unit_test(test_processor_time_goes_forward),
        cmocka_unit_test(test_tsc),
        cmocka_unit_test(test_tsc_lies),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_wrong_blocks),
        cmocka_unit_test(test_elf),
        cmocka_unit_test(test_user),
        cmocka_unit_test(test_unknown_calls),
        cmocka_unit_test(test_narrow_arguments),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_counters),
        cmocka_unit_test(test_files_in_messages),
        cmocka_unit_test(test_guarded_pages),
        cmocka_unit_test(test_zone),
        cmocka_unit_test(test_wild_arguments),
    };
    return cmocka_run_group_tests_name("libos", tests, setup, NULL);
}
