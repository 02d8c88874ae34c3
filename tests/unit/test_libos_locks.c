// SPDX-License-Identifier: Apache-2.0
// Locks of the LibOS: threads at once on shared and on separate objects, behind port `unit`. Built
// twice: under ASan and UBSan, and under TSan (test_libos_locks_tsan). The order of locks is
// checked by the port itself; that it is, too.
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <asm/unistd_64.h>

#include "tests/unit/libos_start.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/proc.h"

#define THREADS 4
#define FDCWD ((uint64_t)-100)
#define CREATE 0102 /* O_RDWR | O_CREAT */
#define NONBLOCK 04000

static int setup(void **state)
{
    alarm(300); /* threads that wait for each other for ever */
    return start_empty();
}

/* ---- threads of the program ---- */

struct job {
    pthread_t id;
    int tid;
    void (*run)(struct job *j);
    uint64_t scratch; /* a page of its own */
    long result;
    const int *fds;
    uint64_t word, cell; /* program memory that all share */
};

static atomic_int arrived;

/* All begin together: a thread's start is alone, and would wait for who shares the lock. */
static void *start(void *arg)
{
    struct job *j = arg;
    unit_thread(j->tid);
    j->scratch = unit_memory(1 << 20);
    for (arrived++; arrived < THREADS;)
        sched_yield();
    j->run(j);
    los_lock();
    list_remove(&self()->node);
    current()->thread_count--;
    los_unlock();
    return NULL;
}

static void run_all(struct job jobs[THREADS], void (*run)(struct job *j), const int *fds,
                    uint64_t shared)
{
    arrived = 0;
    for (int i = 0; i < THREADS; i++) {
        jobs[i] = (struct job){
            .tid = 100 + i, .run = run, .fds = fds, .word = shared, .cell = shared + 64};
        pthread_create(&jobs[i].id, NULL, start, &jobs[i]);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(jobs[i].id, NULL);
}

static uint32_t get_u32(uint64_t addr)
{
    uint32_t v = 0;
    los_share();
    user_read_u32(&v, addr);
    los_unlock();
    return v;
}

static long set_u32(uint64_t addr, uint32_t *expected, uint32_t v)
{
    los_share();
    long r = user_cas_u32(addr, expected, v);
    los_unlock();
    return r;
}

/* ---- the big lock ---- */

static struct {
    uint64_t a, b; /* equal, whenever somebody shares the lock */
} guarded;

static void share_or_not(struct job *j)
{
    for (int i = 0; i < 20000; i++) {
        if (i % 8 == j->tid % 8) {
            los_lock();
            guarded.a++;
            guarded.b++;
            los_unlock();
        } else {
            los_share();
            j->result += guarded.a != guarded.b;
            los_unlock();
        }
    }
}

static void test_sides(void **state)
{
    struct job jobs[THREADS];
    run_all(jobs, share_or_not, NULL, 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(jobs[i].result, 0);
    assert_int_equal(guarded.a, THREADS * 20000 / 8);
    assert_int_equal(guarded.b, guarded.a);
}

/* Who waits gets it soon, though another takes it again and again. */
static uint32_t taken, ended;

static void take_again(struct job *j)
{
    if (j->tid == 100) {
        while (!__atomic_load_n(&ended, __ATOMIC_SEQ_CST)) {
            los_lock();
            __atomic_fetch_add(&taken, 1, __ATOMIC_SEQ_CST);
            los_unlock();
        }
        return;
    }
    while (!__atomic_load_n(&taken, __ATOMIC_SEQ_CST)) /* the other is at it */
        sched_yield();
    for (int i = 0; i < 300; i++) {
        if (j->tid % 2)
            los_lock();
        else
            los_share();
        los_unlock();
        j->result++;
    }
    if (j->tid == 101)
        __atomic_store_n(&ended, 1, __ATOMIC_SEQ_CST);
}

static void test_fairness(void **state)
{
    struct job jobs[THREADS];
    run_all(jobs, take_again, NULL, 0);
    for (int i = 1; i < THREADS; i++)
        assert_int_equal(jobs[i].result, 300);
    assert_true(taken > 0);
}

/* ---- the order ---- */

static int ends_with(void (*wrong)(void))
{
    int status;
    pid_t child = fork();
    if (!child) {
        wrong();
        _exit(0);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void take_out_of_order(void)
{
    static struct lock one, two;
    los_share();
    lock_take(&one, RANK_QUEUE);
    lock_take(&two, RANK_OBJECT);
}

static void take_two_of_one_rank(void)
{
    static struct lock one, two;
    los_share();
    lock_take(&one, RANK_OBJECT);
    lock_take(&two, RANK_OBJECT);
}

static void take_without_the_big_one(void)
{
    static struct lock one;
    lock_take(&one, RANK_OBJECT);
}

static void sleep_with_a_lock(void)
{
    static struct lock one;
    los_share();
    lock_take(&one, RANK_OBJECT);
    los_unlock();
}

static void keep_order(void)
{
    static struct lock one, two;
    los_share();
    lock_take(&one, RANK_OBJECT);
    lock_take(&two, RANK_QUEUE);
    lock_give(&two);
    lock_give(&one);
    los_unlock();
}

static void test_order(void **state)
{
    assert_int_equal(ends_with(keep_order), 0);
    assert_int_equal(ends_with(take_out_of_order), 125);
    assert_int_equal(ends_with(take_two_of_one_rank), 125);
    assert_int_equal(ends_with(take_without_the_big_one), 125);
    assert_int_equal(ends_with(sleep_with_a_lock), 125);
}

/* ---- objects that all use at once ---- */

/* A mutex of futexes, as a libc has it. */
static void with_futex(struct job *j)
{
    for (int i = 0; i < 500; i++) {
        uint32_t old = 0;
        while (set_u32(j->word, &old, 1)) {
            long r = call(__NR_futex, j->word, 0 /* WAIT */, 1, 0);
            if (r && r != -EAGAIN)
                j->result++;
            old = 0;
        }
        uint32_t v = get_u32(j->cell), held = 1;
        j->result += set_u32(j->cell, &v, v + 1) != 0;
        set_u32(j->word, &held, 0);
        call(__NR_futex, j->word, 1 /* WAKE */, 1);
    }
}

static void test_futexes(void **state)
{
    struct job jobs[THREADS];
    uint64_t shared = unit_memory(4096);
    run_all(jobs, with_futex, NULL, shared);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(jobs[i].result, 0);
    assert_int_equal(get_u32(shared + 64), THREADS * 500);
}

/* Half of them write to a pipe, half read until its end. */
static void with_pipe(struct job *j)
{
    bool writes = j->tid % 2;
    for (int i = 0; i < 2000; i++) {
        long n = writes ? call(__NR_write, j->fds[1], j->scratch, 1 + i % 3000)
                        : call(__NR_read, j->fds[0], j->scratch, 2000);
        if (n <= 0)
            break;
        j->result += n;
    }
    for (long n = 1; !writes && n > 0;) {
        n = call(__NR_read, j->fds[0], j->scratch, 4096);
        j->result += n;
    }
}

static void *close_later(void *arg)
{
    struct job *j = arg;
    unit_thread(200);
    for (int i = 0; i < THREADS; i++) {
        if (j[i].tid % 2)
            pthread_join(j[i].id, NULL);
    }
    call(__NR_close, j->fds[1]);
    los_lock();
    list_remove(&self()->node);
    current()->thread_count--;
    los_unlock();
    return NULL;
}

static void test_pipes(void **state)
{
    struct job jobs[THREADS];
    uint64_t at = unit_memory(4096);
    int fds[2];
    pthread_t closer;
    assert_int_equal(call(__NR_pipe2, at, 0), 0);
    fds[0] = (int)get_u32(at);
    fds[1] = (int)get_u32(at + 4);
    for (int i = 0; i < THREADS; i++) {
        jobs[i] = (struct job){.tid = 100 + i, .run = with_pipe, .fds = fds};
        pthread_create(&jobs[i].id, NULL, start, &jobs[i]);
    }
    pthread_create(&closer, NULL, close_later, jobs);
    pthread_join(closer, NULL);
    long in = 0, out = 0;
    for (int i = 0; i < THREADS; i++) {
        if (jobs[i].tid % 2) {
            in += jobs[i].result;
        } else {
            pthread_join(jobs[i].id, NULL);
            out += jobs[i].result;
        }
    }
    assert_true(in > 0);
    assert_int_equal(in, out);
    call(__NR_close, fds[0]);
}

/* Tokens go round: by an event, a pair of sockets, a poll and an epoll of it. */
static void with_event(struct job *j)
{
    uint64_t one = 1;
    los_share();
    user_write(j->scratch, &one, 8);
    los_unlock();
    for (int i = 0; i < 1000; i++) {
        if (j->tid % 2) {
            j->result += call(__NR_write, j->fds[0], j->scratch, 8) == 8;
            continue;
        }
        if (i % 3 == 1) {
            struct {
                int32_t fd;
                int16_t events, revents;
            } p = {j->fds[0], 1, 0};
            los_share();
            user_write(j->scratch + 64, &p, sizeof(p));
            los_unlock();
            call(__NR_poll, j->scratch + 64, 1, 100000);
        } else if (i % 3 == 2) {
            call(__NR_epoll_wait, j->fds[1], j->scratch + 128, 4, 100000);
        }
        j->result += call(__NR_read, j->fds[0], j->scratch + 8, 8) == 8;
    }
}

static void test_events(void **state)
{
    struct job jobs[THREADS];
    uint64_t at = unit_memory(4096);
    struct __attribute__((packed)) {
        uint32_t events;
        uint64_t data;
    } ev = {1, 7};
    int fds[2] = {(int)call(__NR_eventfd2, 0, 1 /* SEMAPHORE */), (int)call(__NR_epoll_create1, 0)};
    los_share();
    user_write(at, &ev, sizeof(ev));
    los_unlock();
    assert_int_equal(call(__NR_epoll_ctl, fds[1], 1, fds[0], at), 0);
    run_all(jobs, with_event, fds, at);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(jobs[i].result, 1000);
    call(__NR_close, fds[1]);
    call(__NR_close, fds[0]);
}

/* fds: an epoll of all, one for each thread, and a place where a pipe is closed and made anew. */
#define EPOLL_ADD 1
#define EPOLL_DEL 2
#define EPOLL_MOD 3
static void put_event(uint64_t at, uint32_t events, uint64_t data)
{
    struct __attribute__((packed)) {
        uint32_t events;
        uint64_t data;
    } ev = {events, data};
    los_share();
    user_write(at, &ev, sizeof(ev));
    los_unlock();
}

static int two_fds(const struct job *j, int fds[2])
{
    long r = call(__NR_pipe2, j->scratch + 64, NONBLOCK);
    los_share();
    user_read(fds, j->scratch + 64, 2 * sizeof(int));
    los_unlock();
    return (int)r;
}

static void with_watches(struct job *j)
{
    int own = j->fds[1 + j->tid % THREADS], all = j->fds[0];
    uint64_t event = j->scratch, found = j->scratch + 128;
    put_event(event, 1 /* EPOLLIN */, (uint64_t)j->tid);
    for (int i = 0; i < 500; i++) {
        int p[2];
        if (two_fds(j, p))
            j->result++;
        j->result += call(__NR_epoll_ctl, own, EPOLL_ADD, p[0], event) != 0;
        j->result += call(__NR_epoll_ctl, all, EPOLL_ADD, p[0], event) != 0;
        j->result += call(__NR_epoll_ctl, own, EPOLL_ADD, p[0], event) != -EEXIST;
        j->result += call(__NR_epoll_wait, own, found, 4, 0) != 0;
        call(__NR_write, p[1], event, 1);
        j->result += call(__NR_epoll_wait, own, found, 4, 100000) != 1 ||
                     get_u32(found + 4) != (uint32_t)j->tid;
        call(__NR_epoll_wait, all, found, 4, 0);
        j->result += call(__NR_epoll_ctl, own, EPOLL_MOD, p[0], event) != 0;
        /* One that others close: watched or not, it is gone from every epoll when it is closed. */
        long r = call(__NR_epoll_ctl, all, EPOLL_ADD, j->fds[1 + THREADS], event);
        j->result += r != 0 && r != -EEXIST && r != -EBADF;
        if (i % 3 == 0)
            j->result += call(__NR_epoll_ctl, all, EPOLL_DEL, p[0], 0) != 0;
        call(__NR_close, p[0]);
        call(__NR_close, p[1]);
        if (i % 2 == 0 && !two_fds(j, p)) {
            call(__NR_dup2, p[0], j->fds[1 + THREADS]);
            call(__NR_close, p[0]);
            call(__NR_close, p[1]);
        }
    }
}

static void test_watches(void **state)
{
    struct job jobs[THREADS], me = {.scratch = unit_memory(4096)};
    int fds[2 + THREADS], p[2];
    for (int i = 0; i <= THREADS; i++)
        fds[i] = (int)call(__NR_epoll_create1, 0);
    assert_int_equal(two_fds(&me, p), 0);
    fds[1 + THREADS] = p[0];
    run_all(jobs, with_watches, fds, 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(jobs[i].result, 0);
    call(__NR_close, fds[1 + THREADS]);
    call(__NR_close, p[1]);
    los_lock();
    file_reap();
    los_unlock();
    for (int i = 0; i <= THREADS; i++) { /* nothing is left in them */
        assert_int_equal(call(__NR_epoll_wait, fds[i], me.scratch, 4, 0), 0);
        assert_int_equal(call(__NR_close, fds[i]), 0);
    }
}

static void with_sockets(struct job *j)
{
    int end = j->fds[j->tid % 2];
    bool writes = j->tid < 102;
    for (long left = 400000; left > 0;) {
        long n = writes ? call(__NR_sendto, end, j->scratch, left > 70000 ? 70000 : left, 0)
                        : call(__NR_recvfrom, end, j->scratch, 50000, 0);
        if (n <= 0)
            break;
        left -= n;
        j->result += n;
    }
}

static void test_sockets(void **state)
{
    struct job jobs[THREADS];
    uint64_t at = unit_memory(4096);
    int fds[2];
    assert_int_equal(call(__NR_socketpair, 1, 1, 0, at), 0);
    fds[0] = (int)get_u32(at);
    fds[1] = (int)get_u32(at + 4);
    run_all(jobs, with_sockets, fds, at);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(jobs[i].result, 400000);
    call(__NR_close, fds[0]);
    call(__NR_close, fds[1]);
}

static atomic_uint tags[THREADS * 200];

static const struct {
    int family;
    char address[17];
    uint32_t size;
} places[] = {{1, "\1\0\0lock", 8},
              {2, "\2\0\x1f\x40\x7f\0\0\1", 16}}; /* no file; 127.0.0.1:8000 */
static int place;

/* All connect to one listener, and accept from it: each connection once. */
static void with_accepts(struct job *j)
{
    for (int i = 0; i < 200; i++) {
        uint64_t tag = (uint64_t)(j->tid % 4 * 200 + i), got = 0;
        long a = call(__NR_socket, places[place].family, 1, 0);
        los_share();
        user_write(j->scratch, &tag, sizeof(tag));
        los_unlock();
        j->result += a < 0 || call(__NR_connect, a, j->word, places[place].size) != 0;
        j->result += call(__NR_connect, a, j->word, places[place].size) != -EISCONN;
        j->result += call(__NR_setsockopt, a, 1, 9 /* SO_KEEPALIVE */, j->scratch, 4) != 0;
        j->result += call(__NR_write, a, j->scratch, 8) != 8;
        long b = call(__NR_accept4, j->fds[0], 0, 0, 0), c = call(__NR_dup, b);
        j->result += b < 0 || c < 0 || call(__NR_read, c, j->scratch, 8) != 8;
        los_share();
        user_read(&got, j->scratch, sizeof(got));
        los_unlock();
        if (got < THREADS * 200)
            atomic_fetch_add(&tags[got], 1);
        j->result += call(__NR_close, a) || call(__NR_close, b) || call(__NR_close, c);
    }
}

static void test_accepts(void **state)
{
    struct job jobs[THREADS];
    uint64_t at = unit_memory(4096);
    for (place = 0; place < 2; place++) {
        int fd = (int)call(__NR_socket, places[place].family, 1, 0);
        los_share();
        user_write(at, places[place].address, places[place].size);
        los_unlock();
        assert_int_equal(call(__NR_bind, fd, at, places[place].size), 0);
        assert_int_equal(call(__NR_listen, fd, 64), 0);
        run_all(jobs, with_accepts, &fd, at);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(jobs[i].result, 0);
        for (int i = 0; i < THREADS * 200; i++)
            assert_int_equal(atomic_exchange(&tags[i], 0), 1);
        call(__NR_close, fd);
    }
}

/* Two write and hang up, two read to the end: everything comes, and then the end. */
static void with_hangups(struct job *j)
{
    for (int i = 0; i < 300; i++) {
        bool writes = j->tid % 2;
        long fd = writes ? call(__NR_socket, places[place].family, 1, 0)
                         : call(__NR_accept4, j->fds[0], 0, 0, 0);
        j->result += fd < 0;
        if (writes) {
            j->result += call(__NR_connect, fd, j->word, places[place].size) != 0;
            j->result += call(__NR_write, fd, j->scratch, 8) != 8;
        } else {
            long n = 0, all = 0;
            while ((n = call(__NR_read, fd, j->scratch, 3)) > 0)
                all += n;
            j->result += n != 0 || all != 8;
        }
        j->result += call(__NR_close, fd) != 0;
    }
}

static void test_hangups(void **state)
{
    struct job jobs[THREADS];
    uint64_t at = unit_memory(4096);
    for (place = 0; place < 2; place++) {
        int fd = (int)call(__NR_socket, places[place].family, 1, 0);
        los_share();
        user_write(at, places[place].address, places[place].size);
        los_unlock();
        assert_int_equal(call(__NR_bind, fd, at, places[place].size), 0);
        assert_int_equal(call(__NR_listen, fd, 64), 0);
        run_all(jobs, with_hangups, &fd, at);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(jobs[i].result, 0);
        call(__NR_close, fd);
    }
}

static long open_at(struct job *j, const char *path)
{
    los_share();
    user_write(j->scratch + 4096, path, strlen(path) + 1);
    los_unlock();
    return call(__NR_openat, FDCWD, j->scratch + 4096, CREATE, 0600);
}

/* Appending to one file, each piece whole; and what is alone meanwhile: opening, mapping, closing.
 */
#define RECORD 300u
static void with_file(struct job *j)
{
    uint8_t record[RECORD];
    memset(record, 'a' + j->tid % 4, sizeof(record));
    for (int i = 0; i < 300; i++) {
        los_share();
        user_write(j->scratch, record, sizeof(record));
        los_unlock();
        j->result += call(__NR_write, j->fds[0], j->scratch, RECORD) != RECORD;
        j->result += call(__NR_pread64, j->fds[0], j->scratch, RECORD, 0) != RECORD;
        char path[32];
        snprintf(path, sizeof(path), "/tmp/locks-%d", j->tid);
        long fd = open_at(j, path);
        j->result += fd < 0 || call(__NR_pwrite64, fd, j->scratch, 5000, i * 100) != 5000;
        j->result += call(__NR_pread64, fd, j->scratch + 8192, 6000, i * 100) < 5000;
        uint64_t from = 0;
        los_share();
        user_write(j->scratch, &from, 8);
        los_unlock();
        j->result += call(__NR_lseek, fd, 0, 0) != 0;
        j->result += call(__NR_sendfile, fd, j->fds[0], j->scratch, RECORD) != RECORD;
        j->result += call(__NR_sendfile, fd, fd, 0, 8) != 8;
        uint64_t m = unit_memory(65536); /* faults in pieces while it is read into */
        j->result += call(__NR_pread64, fd, m, 5000, 0) != 5000;
        call(__NR_munmap, m, 65536);
        call(__NR_close, fd);
        j->result += call(__NR_getcwd, j->scratch, 100) != 2;
    }
}

static void test_files(void **state)
{
    struct job jobs[THREADS], me = {.scratch = unit_memory(1 << 20)};
    int fd = (int)open_at(&me, "/tmp/locks-all");
    assert_true(fd >= 0);
    assert_int_equal(call(__NR_write, fd, me.scratch, RECORD), RECORD);
    run_all(jobs, with_file, &fd, me.scratch);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(jobs[i].result, 0);
    uint32_t whole = 0, counts[4] = {0};
    for (uint32_t i = 1; i <= THREADS * 300; i++) {
        uint8_t record[RECORD];
        assert_int_equal(call(__NR_pread64, fd, me.scratch, RECORD, i * RECORD), RECORD);
        los_share();
        user_read(record, me.scratch, RECORD);
        los_unlock();
        uint32_t n = 0;
        while (n < RECORD && record[n] == record[0])
            n++;
        whole += n == RECORD;
        counts[(record[0] - 'a') % 4]++;
    }
    assert_int_equal(whole, THREADS * 300);
    for (int i = 0; i < 4; i++)
        assert_int_equal(counts[i], 300);
    call(__NR_close, fd);
}

/* A big piece of one thread does not come between others' bytes: who writes has the turn. */
static void with_big_writes(struct job *j)
{
    const uint32_t size = 600000;
    los_share();
    for (uint32_t at = 0; at < size; at += 4096) {
        uint8_t page[4096];
        memset(page, 'a' + j->tid % 4, sizeof(page));
        user_write(j->scratch + at, page, sizeof(page));
    }
    los_unlock();
    for (int i = 0; i < 10; i++)
        j->result += call(__NR_pwrite64, j->fds[0], j->scratch, size, 0) != size;
}

static void test_turns(void **state)
{
    struct job jobs[THREADS], me = {.scratch = unit_memory(1 << 20)};
    int fd = (int)open_at(&me, "/tmp/locks-big");
    run_all(jobs, with_big_writes, &fd, me.scratch);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(jobs[i].result, 0);
    uint8_t first, last;
    assert_int_equal(call(__NR_pread64, fd, me.scratch, 1, 0), 1);
    assert_int_equal(call(__NR_pread64, fd, me.scratch + 1, 1, 599999), 1);
    los_share();
    user_read(&first, me.scratch, 1);
    user_read(&last, me.scratch + 1, 1);
    los_unlock();
    assert_int_equal(first, last);
    call(__NR_close, fd);
}

/* ---- memory of the LibOS ---- */

static uint8_t *_Atomic handed[64];

/* What one allocates another frees, whole. First each for itself, with nothing that orders them. */
static void with_memory(struct job *j)
{
    for (int i = 0; i < 20000; i++) {
        uint64_t *p[4];
        for (int k = 0; k < 4; k++) {
            p[k] = los_alloc(48);
            *p[k] = (uint64_t)(j->tid * 4 + k);
        }
        for (int k = 0; k < 4; k++) {
            j->result += *p[k] != (uint64_t)(j->tid * 4 + k);
            los_free(p[k]);
        }
    }
    for (int i = 0; i < 20000; i++) {
        size_t size = 8 + (size_t)(i * 37 + j->tid) % 1500;
        uint8_t *p = los_alloc(size);
        for (size_t at = 0; at < size; at++)
            j->result += p[at] != 0;
        memset(p, 'a' + j->tid % 4, size);
        memcpy(p, &size, sizeof(size));
        uint8_t *q = atomic_exchange(&handed[i % 64], p);
        if (!q)
            continue;
        memcpy(&size, q, sizeof(size));
        for (size_t at = 9; at < size; at++)
            j->result += q[at] != q[8];
        los_free(q);
    }
}

static void share_and(struct job *j, void (*run)(struct job *))
{
    los_share();
    run(j);
    los_unlock();
}

/* Two of them have one cache. */
static void use_memory(struct job *j)
{
    uint32_t share = self()->share;
    self()->share = j->tid % 2 ? 0 : share;
    share_and(j, with_memory);
    self()->share = share;
}

static void test_memory(void **state)
{
    struct job jobs[THREADS];
    run_all(jobs, use_memory, NULL, 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(jobs[i].result, 0);
    los_lock();
    for (int i = 0; i < 64; i++)
        los_free(handed[i]);
    los_unlock();
}

/* ---- clocks ---- */

static void with_clock(struct job *j)
{
    uint64_t last = 0;
    for (int i = 0; i < 50000; i++) {
        uint64_t now = clock_now();
        j->result += now < last;
        last = now;
    }
}

/* One whose processor's counter lags by a second is told what others saw, but for a step. */
static void lag(struct job *j)
{
    uint64_t ahead = clock_now();
    j->result = ahead < unit_host.clock[1];
}

static void test_clocks(void **state)
{
    struct job jobs[THREADS];
    run_all(jobs, with_clock, NULL, 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(jobs[i].result, 0);
    uint64_t now = clock_now() + 1000000000;
    unit_host.clock[1] = now;
    assert_int_equal(clock_now(), now);
    unit_host.clock[1] = now - 900000000;
    run_all(jobs, lag, NULL, 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(jobs[i].result, 0);
    assert_int_equal(clock_now(), now);
    struct thread *me = self();
    me->last_clock[1] = 0; /* as a thread that never looked */
    assert_true(clock_now() + 20000 >= now);
    unit_host.clock[1] = 0;
}

/* ---- names and descriptors ---- */

/* Each descriptor is one's own: so is its position. */
static void with_opens(struct job *j)
{
    char name[32];
    snprintf(name, sizeof(name), "/tmp/locks-of-%d", j->tid);
    los_share();
    user_write(j->scratch + 4096, name, sizeof(name));
    user_write(j->scratch + 8192, "/tmp/locks-open", 16);
    los_unlock();
    for (int i = 0; i < 400; i++) {
        int fd = (int)call(__NR_openat, FDCWD, j->scratch + 8192, 0, 0);
        int64_t mine = j->tid * 1000 + i;
        j->result += fd < 0 || call(__NR_lseek, fd, mine, 0) != mine;
        j->result += call(__NR_fstat, fd, j->scratch) != 0;
        j->result += call(__NR_stat, j->scratch + 8192, j->scratch) != 0;
        j->result += call(__NR_access, j->scratch + 8192, 4) != 0;
        if (i % 16 == 0) { /* alone: names come and go beside */
            int made = (int)call(__NR_openat, FDCWD, j->scratch + 4096, CREATE, 0600);
            j->result += made < 0 || call(__NR_unlink, j->scratch + 4096) != 0;
            j->result += call(__NR_close, made) != 0;
        }
        j->result += call(__NR_lseek, fd, 0, 1) != mine;
        j->result += call(__NR_close, fd) != 0;
    }
}

static void test_opens(void **state)
{
    struct job jobs[THREADS], me = {.scratch = unit_memory(1 << 20)};
    int fd = (int)open_at(&me, "/tmp/locks-open");
    run_all(jobs, with_opens, NULL, 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(jobs[i].result, 0);
    assert_int_equal(call(__NR_close, fd), 0);
    int again = (int)open_at(&me, "/tmp/locks-open"); /* all places are free again */
    assert_int_equal(again, fd);
    call(__NR_close, again);
}

/* What one reads from another closes, and opens anew. */
static void with_closes(struct job *j)
{
    los_share();
    user_write(j->scratch + 8192, "/tmp/locks-open", 16);
    los_unlock();
    for (int i = 0; i < 2000; i++) {
        if (j->tid % 2) {
            long n = call(__NR_pread64, j->fds[0], j->scratch, 64, 0);
            j->result += n != 64 && n != -EBADF;
            n = call(__NR_fstat, j->fds[0], j->scratch);
            j->result += n != 0 && n != -EBADF;
        } else {
            call(__NR_close, j->fds[0]);
            long fd = call(__NR_openat, FDCWD, j->scratch + 8192, 0, 0);
            if (fd != j->fds[0]) /* another was faster */
                j->result += fd < 0 || call(__NR_close, fd) != 0;
        }
    }
}

static void test_closes(void **state)
{
    struct job jobs[THREADS], me = {.scratch = unit_memory(1 << 20)};
    int fd = (int)open_at(&me, "/tmp/locks-open");
    assert_int_equal(call(__NR_write, fd, me.scratch, 64), 64);
    run_all(jobs, with_closes, &fd, 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(jobs[i].result, 0);
    call(__NR_close, fd);
    los_lock();
    file_reap();
    los_unlock();
}

/* Times are told whole, however many write. */
static void with_times(struct job *j)
{
    for (int i = 0; i < 1000; i++) {
        if (j->tid % 2) {
            j->result += call(__NR_pwrite64, j->fds[0], j->scratch, 8, 0) != 8;
        } else {
            struct stat s;
            j->result += call(__NR_fstat, j->fds[0], j->scratch) != 0;
            los_share();
            user_read(&s, j->scratch, sizeof(s));
            los_unlock();
            j->result += s.st_mtim.tv_sec != s.st_ctim.tv_sec ||
                         s.st_mtim.tv_nsec != s.st_ctim.tv_nsec || s.st_blocks != 8;
        }
    }
}

static void test_times(void **state)
{
    struct job jobs[THREADS], me = {.scratch = unit_memory(1 << 20)};
    int fd = (int)open_at(&me, "/tmp/locks-times");
    assert_int_equal(call(__NR_write, fd, me.scratch, 8), 8);
    run_all(jobs, with_times, &fd, 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(jobs[i].result, 0);
    call(__NR_close, fd);
}

/* ---- signals ---- */

/* A handler, its flags and its mask are one thing; masks and stacks are each thread's own. */
static void with_handlers(struct job *j)
{
    uint64_t same[4] = {(uint64_t)j->tid, (uint64_t)j->tid, (uint64_t)j->tid, (uint64_t)j->tid};
    uint64_t mask = 1ull << (j->tid % 4 + 20), old[4], seen;
    for (int i = 0; i < 2000; i++) {
        los_share();
        user_write(j->scratch, same, sizeof(same));
        user_write(j->scratch + 64, &mask, sizeof(mask));
        los_unlock();
        j->result += call(__NR_rt_sigaction, 12, j->scratch, j->scratch + 128, 8) != 0;
        j->result += call(__NR_rt_sigprocmask, 2, j->scratch + 64, 0, 8) != 0;
        j->result += call(__NR_rt_sigprocmask, 0, 0, j->scratch + 256, 8) != 0;
        los_share();
        user_read(old, j->scratch + 128, sizeof(old));
        user_read(&seen, j->scratch + 256, sizeof(seen));
        los_unlock();
        j->result += old[0] != old[1] || old[1] != old[2] || old[2] != old[3];
        j->result += seen != mask;
    }
}

static void test_handlers(void **state)
{
    struct job jobs[THREADS];
    run_all(jobs, with_handlers, NULL, 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(jobs[i].result, 0);
}

/* ---- mappings ---- */

#define BIG (4u << 20)

/* A big one goes by pieces: what others map meanwhile is theirs. */
static void with_maps(struct job *j)
{
    for (int i = 0; i < (j->tid % 2 ? 6 : 300); i++) {
        bool big = j->tid % 2;
        uint64_t size = big ? BIG : 16384;
        long m = call(__NR_mmap, 0, size, 3, 0x22 | (big ? 0x8000 : 0), -1, 0);
        uint64_t tag = (uint64_t)m + (uint64_t)j->tid, seen[2] = {1, 1};
        if (m <= 0) {
            j->result++;
            continue;
        }
        los_share();
        user_read(&seen[0], (uint64_t)m, 8);
        user_write((uint64_t)m + size - 8, &tag, 8);
        user_read(&seen[1], (uint64_t)m + size - 8, 8);
        los_unlock();
        j->result += seen[0] != 0 || seen[1] != tag;
        j->result += big && call(__NR_madvise, m, size, 4 /* DONTNEED */) != 0;
        j->result += call(__NR_munmap, m, size) != 0;
    }
}

/* Pages come at once to many places of one mapping: each where the table of pages must grow. */
static atomic_int steps;

static uint64_t fault_place(uint64_t start, uint64_t i, uint64_t k)
{
    return start + (i << 27) + (k << 21);
}

static void with_faults(struct job *j)
{
    for (uint64_t i = 0; i < 256; i++) {
        for (steps++; steps < (int)(i + 1) * THREADS;)
            __builtin_ia32_pause();
        uint64_t at = fault_place(j->word, i, (uint64_t)j->tid % 4), tag = at + 1, seen = 0;
        los_share();
        j->result += user_write(at, &tag, 8) != 0;
        j->result += user_read(&seen, at, 8) != 0;
        los_unlock();
        j->result += seen != tag;
    }
}

static void test_faults(void **state)
{
    struct job jobs[THREADS];
    const uint64_t size = 256ull << 27;
    long m = call(__NR_mmap, 0, size, 3, 0x4022, -1, 0);
    assert_true(m > 0);
    run_all(jobs, with_faults, NULL, (uint64_t)m);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(jobs[i].result, 0);
    for (uint64_t i = 0; i < 256 * 4; i++) { /* no part of the table was made twice */
        uint64_t at = fault_place((uint64_t)m, i / 4, i % 4), seen = 0;
        los_share();
        assert_int_equal(user_read(&seen, at, 8), 0);
        los_unlock();
        assert_int_equal(seen, at + 1);
    }
    assert_int_equal(call(__NR_munmap, m, size), 0);
}

static void test_maps(void **state)
{
    struct job jobs[THREADS];
    los_lock();
    uint64_t before = space()->mapped_size, pages = stats.committed;
    los_unlock();
    run_all(jobs, with_maps, NULL, 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(jobs[i].result, 0);
    los_lock();
    assert_int_equal(space()->mapped_size, before + THREADS * (1 << 20)); /* their scratch */
    assert_true(stats.committed - pages < 8 << 20);
    los_unlock();
}

/* Calls on one's own memory go beside whoever shares the lock, for as long as he has it. */
static atomic_int ready;

static void *run_one(void *arg)
{
    struct job *j = arg;
    unit_thread(j->tid);
    ready = 1;
    j->run(j);
    los_lock();
    list_remove(&self()->node);
    current()->thread_count--;
    los_unlock();
    return NULL;
}

static void run_beside(struct job *j, void (*run)(struct job *), uint64_t word)
{
    *j = (struct job){.tid = 100, .run = run, .word = word, .result = -1};
    ready = 0;
    pthread_create(&j->id, NULL, run_one, j);
    while (!ready)
        sched_yield();
}

static bool has_result(const struct job *j, unsigned ms)
{
    for (; ms && __atomic_load_n(&j->result, __ATOMIC_SEQ_CST) == -1; ms--)
        usleep(1000);
    return j->result != -1;
}

static long touch(uint64_t at, uint64_t tag)
{
    uint64_t seen = 0;
    los_share();
    long r = user_read(&seen, at, 8) || user_write(at, &tag, 8) ? -EFAULT : (long)seen;
    los_unlock();
    return r;
}

/* May it be used so? To ask by using it makes oneself alone where it may not. */
static bool is_usable(uint64_t at, int access)
{
    los_share();
    bool usable = page_state(at) & access;
    los_unlock();
    return usable;
}

static void change_own(struct job *j)
{
    const uint64_t size = 65536;
    long bad = 0;
    for (int i = 0; i < 200; i++) {
        uint64_t m = unit_memory(size), last = m + size - 8;
        bad += touch(m, 7) != 0 || touch(last, 8) != 0;
        bad += call(__NR_mprotect, m, size / 2, 0) != 0 || is_usable(m, PORT_R);
        bad += call(__NR_mprotect, m + 4096, size / 4, 3) != 0 || touch(m + 8192, 5) != 0;
        bad += call(__NR_mprotect, m, size, 1) != 0 || is_usable(last, PORT_W);
        bad += call(__NR_mprotect, m, size, 3) != 0 || touch(last, 9) != 8 || touch(m, 1) != 7;
        bad += call(__NR_madvise, m, 4096, 4 /* DONTNEED */) != 0 || touch(m, 1) != 0;
        bad += call(__NR_munmap, m + 4096, 8192) != 0 || is_usable(m + 8192, PORT_R);
        bad += touch(m, 1) != 1 || call(__NR_munmap, m, size) != 0 || is_usable(m, PORT_R);
    }
    long heap = call(__NR_brk, 0);
    bad += call(__NR_brk, heap + 10000) != heap + 10000 || touch((uint64_t)heap + 9000, 1) != 0;
    bad += call(__NR_brk, heap) != heap || is_usable((uint64_t)heap + 9000, PORT_R);
    __atomic_store_n(&j->result, bad, __ATOMIC_SEQ_CST);
}

static void test_beside(void **state)
{
    struct job j;
    uint64_t heap = unit_memory(1 << 20);
    call(__NR_munmap, heap, 1 << 20);
    los_lock();
    uint64_t before = space()->mapped_size;
    space()->brk_start = space()->brk = heap;
    space()->brk_limit = heap + (1 << 20);
    los_unlock();
    run_beside(&j, change_own, 0);
    los_share();
    bool done = has_result(&j, 60000);
    los_unlock();
    pthread_join(j.id, NULL);
    assert_true(done);
    assert_int_equal(j.result, 0);
    los_lock();
    assert_int_equal(space()->mapped_size, before);
    los_unlock();
}

/* ... but never takes away what another's call relies on: that one ends first. */
static const struct {
    int nr;
    uint64_t third;
} takes[] = {{__NR_munmap, 0}, {__NR_mprotect, 1 /* READ */}, {__NR_madvise, 4 /* DONTNEED */}};
static unsigned take;

static atomic_int go;

static void take_used(struct job *j)
{
    while (!go)
        sched_yield();
    long r = call(takes[take].nr, j->word, 65536, takes[take].third);
    __atomic_store_n(&j->result, r, __ATOMIC_SEQ_CST);
}

static void test_uses(void **state)
{
    for (take = 0; take < 3; take++) {
        struct job j;
        uint64_t m = unit_memory(65536), tag = 5;
        assert_int_equal(touch(m, 1), 0);
        go = 0;
        run_beside(&j, take_used, m);
        los_share();
        assert_int_equal(user_write(m, &tag, 8), 0);
        go = 1;
        assert_false(has_result(&j, 100));
        *(volatile uint64_t *)m = 6; /* as a copy under way would */
        los_unlock();
        pthread_join(j.id, NULL);
        assert_int_equal(j.result, 0);
        assert_int_equal(touch(m, 1), takes[take].nr == __NR_madvise ? 0 : -EFAULT);
        call(__NR_munmap, m, 65536);
    }
}

/* Some use memory all the time of which others take the rights, the pages, the addresses. */
static void with_pulls(struct job *j)
{
    uint64_t m = j->word, tag[64] = {0};
    for (int i = 0; i < 1000; i++) {
        if (j->tid == 100) {
            call(__NR_munmap, m + 16384, 32768);
            j->result += call(__NR_mmap, m + 16384, 32768, 3, 0x22, -1, 0) != (long)m + 16384;
        } else if (j->tid == 101) {
            call(__NR_mprotect, m, 65536, 1 + 2 * (i % 2));
            call(__NR_madvise, m + 8192, 16384, 4 /* DONTNEED */);
        } else {
            los_share();
            uint64_t part = m + (uint64_t)j->tid % 2 * 2048; /* of each page */
            user_write(part + (uint64_t)(i % 16 * 4096), tag, sizeof(tag));
            user_read(tag, part + (uint64_t)(i * 3 % 16 * 4096), sizeof(tag));
            los_unlock();
        }
    }
}

static void test_pulls(void **state)
{
    struct job jobs[THREADS];
    uint64_t m = unit_memory(65536);
    run_all(jobs, with_pulls, NULL, m);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(jobs[i].result, 0);
    assert_int_equal(call(__NR_mprotect, m, 65536, 3), 0);
    for (uint64_t at = m; at < m + 65536; at += 4096)
        assert_true(touch(at, 1) >= 0);
    assert_int_equal(call(__NR_munmap, m, 65536), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sides),    cmocka_unit_test(test_fairness),
        cmocka_unit_test(test_order),    cmocka_unit_test(test_futexes),
        cmocka_unit_test(test_pipes),    cmocka_unit_test(test_events),
        cmocka_unit_test(test_watches),  cmocka_unit_test(test_sockets),
        cmocka_unit_test(test_hangups),  cmocka_unit_test(test_files),
        cmocka_unit_test(test_turns),    cmocka_unit_test(test_memory),
        cmocka_unit_test(test_clocks),   cmocka_unit_test(test_opens),
        cmocka_unit_test(test_closes),   cmocka_unit_test(test_times),
        cmocka_unit_test(test_handlers), cmocka_unit_test(test_maps),
        cmocka_unit_test(test_faults),   cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_beside),   cmocka_unit_test(test_uses),
        cmocka_unit_test(test_pulls),
    };
    return cmocka_run_group_tests_name("locks", tests, setup, NULL);
}
