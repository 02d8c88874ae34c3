// SPDX-License-Identifier: Apache-2.0
// The workload's terminal on the host's streams: one thing at descriptors 0 to 2, fed by a thread
// of the LibOS, and nothing of the host's but bytes.
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <asm/unistd_64.h>

#include "lib/settings.h"
#include "tests/unit/libos_start.h"
#include "trusted/libos/fs/tty.h"

int stdio_init(void); /* fs/file.h, which has the kernel's fcntl.h */

static int setup(void **state)
{
    alarm(60); /* a thread that is never woken, a loop that never ends */
    return start_empty();
}

static void test_terminal(void **state)
{
    static const char shown[] = "ab\r\nab\r\nab\r\nab\r\n"; /* the echo, and what was written */
    uint64_t scratch = unit_memory(4096);
    char text[3] = {0}, byte = 0;
    settings.terminal = true;
    unit_host.services = true;
    unit_host.input = "ab\n";
    los_lock();
    int r = stdio_init();
    los_unlock();
    assert_int_equal(r, 0);
    assert_int_equal(call(__NR_read, 0, scratch, 100), 3);
    user_read(text, scratch, sizeof(text));
    assert_memory_equal(text, "ab\n", 3);
    for (int fd = 0; fd < 3; fd++)
        assert_int_equal(call(__NR_write, fd, scratch, 3), 3);
    assert_int_equal(call(__NR_read, 0, scratch, 100), 0); /* the host's end of input */
    assert_int_equal(unit_host.output_size, sizeof(shown) - 1);
    assert_memory_equal(unit_host.output, shown, sizeof(shown) - 1);
    /* The host's handles are what the settings say, whatever the program has open. */
    for (int handle = -1; handle < 5; handle++) {
        assert_int_equal(port_read(handle, &byte, 1) < 0, handle != 0);
        assert_int_equal(port_write(handle, &byte, 1) < 0, handle != 1 && handle != 2);
    }
}

/* A pseudo terminal; nothing of it waits. */
static void open_pair(long *master, long *slave)
{
    static const char name[] = "/dev/ptmx";
    uint64_t at = unit_memory(4096); /* the zero that follows unlocks */
    user_write(at, name, sizeof(name));
    *master = call(__NR_open, at, O_RDWR | O_NOCTTY | O_NONBLOCK);
    assert_true(*master >= 0);
    assert_int_equal(call(__NR_ioctl, *master, TIOCSPTLCK, at + 64), 0);
    *slave = call(__NR_ioctl, *master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK);
    assert_true(*slave >= 0);
}

static void set_modes(long slave, uint32_t iflag, uint32_t lflag, uint8_t eol)
{
    uint64_t at = unit_memory(4096);
    struct tty_modes m = tty_first_modes;
    m.iflag = iflag;
    m.lflag = lflag;
    m.cc[VEOL] = eol;
    user_write(at, &m, sizeof(m));
    assert_int_equal(call(__NR_ioctl, slave, TCSETS, at), 0);
}

static long type(long master, const void *keys, uint64_t size)
{
    uint64_t at = unit_memory(8192);
    user_write(at, keys, size);
    return call(__NR_write, master, at, size);
}

/* The key that ends a line comes when the line is full: it ends all the same. */
static void test_full_line(void **state)
{
    static uint8_t text[4096], got[96];
    uint64_t scratch = unit_memory(8192);
    long master, slave;
    open_pair(&master, &slave);
    set_modes(slave, PARMRK, ICANON, 255);
    memset(text, 'a', sizeof(text));
    assert_int_equal(type(master, text, sizeof(text)), sizeof(text));
    assert_int_equal(type(master, "\xff", 1), 1);
    assert_int_equal(call(__NR_read, slave, scratch, 4000), 4000);
    assert_int_equal(type(master, "x", 1), 1); /* of the next line */
    assert_int_equal(call(__NR_read, slave, scratch, 200), sizeof(got));
    user_read(got, scratch, sizeof(got));
    assert_int_equal(got[94], 'a');
    assert_int_equal(got[95], 255);
    assert_int_equal(call(__NR_read, slave, scratch, 200), -EAGAIN);
    call(__NR_close, slave);
    call(__NR_close, master);
}

#define EPOLLIN 1u
#define EPOLLOUT 4u
#define EPOLLET (1u << 31)

/* How many edges of these events the master had. */
static long edges(long epoll, long master, int op, uint32_t events)
{
    struct __attribute__((packed)) {
        uint32_t events;
        uint64_t data;
    } ev = {events | EPOLLET, 0};
    uint64_t at = unit_memory(4096);
    user_write(at, &ev, sizeof(ev));
    if (op)
        assert_int_equal(call(__NR_epoll_ctl, epoll, op, master, at), 0);
    return call(__NR_epoll_wait, epoll, at, 4, 0);
}

/* New modes of the slave are news for the master: echo that was stopped, room. */
static void test_modes_wake(void **state)
{
    static const char keys[2000] = {0};
    long master, slave, e = call(__NR_epoll_create1, 0);
    open_pair(&master, &slave);
    assert_int_equal(type(master,
                          "\x13"
                          "ab",
                          3),
                     3);
    assert_int_equal(edges(e, master, 1, EPOLLIN), 0);
    set_modes(slave, IXON, ICANON | ECHO, 0);
    assert_int_equal(edges(e, master, 0, 0), 0);
    set_modes(slave, 0, ICANON | ECHO, 0);
    assert_int_equal(edges(e, master, 0, 0), 1);
    set_modes(slave, PARMRK, 0, 0);
    assert_in_range(type(master, keys, sizeof(keys)), 1, sizeof(keys) - 1);
    assert_int_equal(edges(e, master, 3, EPOLLOUT), 0);
    set_modes(slave, 0, 0, 0);
    assert_int_equal(edges(e, master, 0, 0), 1);
    call(__NR_close, e);
    call(__NR_close, slave);
    call(__NR_close, master);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terminal),
        cmocka_unit_test(test_modes_wake),
        cmocka_unit_test(test_full_line),
    };
    return cmocka_run_group_tests_name("libos_console", tests, setup, NULL);
}
