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
#include "trusted/libos/base/digest.h"
#include "trusted/libos/port_unit/unit.h"

int stdio_init(void); /* fs/file.h, which has the kernel's fcntl.h */

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

/* An erofs of one block: an empty root directory. */
static int setup(void **state)
{
    static _Alignas(4096) uint8_t root[4096];
    uint8_t hash[32];
    const uint32_t magic = 0xe0f5e1e2u;
    const uint16_t nid = 64, mode = 040755, links = 2;
    memcpy(root + 1024, &magic, 4);
    root[1024 + 12] = 12;
    memcpy(root + 1024 + 14, &nid, 2);
    memcpy(root + nid * 32 + 4, &mode, 2);
    memcpy(root + nid * 32 + 6, &links, 2);
    digest_sha256(hash, root, sizeof(root));
    alarm(60); /* a thread that is never woken */
    return unit_start(root, sizeof(root), sizeof(root), hash);
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
