// SPDX-License-Identifier: Apache-2.0
// The workload's terminal on the host's streams: one thing at descriptors 0 to 2, fed by a thread
// of the LibOS, and nothing of the host's but bytes.
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <asm/unistd_64.h>

#include "lib/settings.h"
#include "tests/unit/libos_start.h"

int stdio_init(void); /* fs/file.h, which has the kernel's fcntl.h */

static int setup(void **state)
{
    alarm(60); /* a thread that is never woken */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terminal),
    };
    return cmocka_run_group_tests_name("libos_console", tests, setup, NULL);
}
