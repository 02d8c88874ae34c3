// SPDX-License-Identifier: Apache-2.0
// The KVM probe against programs that play QEMU: only a power-off by the guest counts, a guest that
// hangs costs five seconds once, and the answer is remembered.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "host/base/temp.h"
#include "host/launch/qemu/parts.h"

static char dir[] = "/tmp/shelter-unit.XXXXXX";
static char *qemu, *kernel;

static void write_script(const char *body)
{
    struct sh_error err = {0};
    cleanup_free char *text =
        sh_format("#!/bin/bash\n"
                  "[ \"$1\" = --version ] && { echo 'QEMU emulator version 9.9.9'; exit; }\n"
                  "[[ \"$*\" =~ id=qmp,fd=([0-9]+) ]] && eval \"exec 7>&${BASH_REMATCH[1]}\"\n"
                  "%s\n",
                  body);
    assert_int_equal(sh_write_file(AT_FDCWD, qemu, text, strlen(text), 0755, &err), 0);
}

/* How often the program was asked: behind its walls it can write nothing down, but each answer is
 * remembered in a file of its own. */
static size_t run_count;
static ino_t last_answers;

static size_t runs(void)
{
    return run_count;
}

static void look_at_cache(void)
{
    cleanup_free char *name = sh_format("%s/shelter", dir);
    cleanup_closedir DIR *cache = opendir(name);
    ino_t now = 0; /* of all that are remembered */
    for (struct dirent *e; cache && (e = readdir(cache));)
        if (e->d_name[0] != '.')
            now += e->d_ino;
    run_count += now != last_answers;
    last_answers = now;
}

/* Asks with an empty cache; *count is how often the program was started. */
static bool ask(bool keep_cache)
{
    struct sh_qemu_config c = {.tee = &sh_qemu_tdx_sim,
                               .qemu = qemu,
                               .vmlinux = kernel,
                               .initramfs = kernel,
                               .firmware = kernel};
    if (!keep_cache) {
        cleanup_free char *cache = sh_format("%s/shelter", dir);
        sh_remove_tree(AT_FDCWD, cache);
        run_count = last_answers = 0;
    }
    bool works = sh_qemu_kvm_works(&c);
    look_at_cache();
    return works;
}

static int set_up(void **state)
{
    struct sh_error err = {0};
    if (!mkdtemp(dir) || chmod(dir, 0755)) /* for nobody, behind the walls */
        return -1;
    setenv("XDG_CACHE_HOME", dir, 1);
    unsetenv("SHELTER_ACCEL");
    qemu = sh_format("%s/qemu", dir);
    kernel = sh_format("%s/kernel", dir);
    return sh_write_file(AT_FDCWD, kernel, "kernel", 6, 0644, &err);
}

static int tear_down(void **state)
{
    free(qemu);
    free(kernel);
    return sh_remove_tree(AT_FDCWD, dir);
}

#define EVENT(how)                                                                                 \
    "printf '{\"QMP\": {}}\\r\\n{\"return\": {}}\\r\\n' >&7; sleep 0.1\n"                          \
    "printf '{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": "                   \
    "\"%s\"}}\\r\\n' " how " >&7; sleep 0.2"

static void need_kvm(void)
{
    if (access("/dev/kvm", R_OK | W_OK))
        skip(); /* then the answer is no without asking anybody */
}

static void test_power_off(void **state)
{
    need_kvm();
    write_script(EVENT("guest-shutdown"));
    assert_true(ask(false));
    assert_int_equal(runs(), 1);
    /* Remembered: the same QEMU is not started again, not even when it would fail. */
    assert_true(ask(true));
    assert_int_equal(runs(), 1);
}

static void test_not_power_off(void **state)
{
    static const char *const bodies[] = {
        EVENT("guest-reset"),
        EVENT("guest-panic"),
        "exit 0",
        "exit 1",
        "printf 'nonsense SHUTDOWN guest-shutdown\\n' >&7",
        "head -c 100000 /dev/zero >&7",
    };
    need_kvm();
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        write_script(bodies[i]);
        assert_false(ask(false));
        assert_int_equal(runs(), 1);
        assert_false(ask(true));
        assert_int_equal(runs(), 1);
    }
}

static void test_hang(void **state)
{
    need_kvm();
    write_script("exec sleep 60");
    int64_t start = sh_now_ms();
    assert_false(ask(false));
    int64_t took = sh_now_ms() - start;
    assert_in_range(took, 4900, 15000);
    start = sh_now_ms();
    assert_false(ask(true));
    assert_in_range(sh_now_ms() - start, 0, 2000);
}

/* Another guest kernel is another question; a forced accelerator is none. */
static void test_key_and_force(void **state)
{
    struct sh_error err = {0};
    need_kvm();
    write_script(EVENT("guest-shutdown"));
    assert_true(ask(false));
    assert_int_equal(sh_write_file(AT_FDCWD, kernel, "another kernel", 14, 0644, &err), 0);
    write_script("exit 1");
    assert_false(ask(true));
    assert_int_equal(runs(), 2);
    setenv("SHELTER_ACCEL", "kvm", 1);
    assert_true(ask(true));
    setenv("SHELTER_ACCEL", "tcg", 1);
    assert_false(ask(true));
    unsetenv("SHELTER_ACCEL");
    assert_int_equal(runs(), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_off),
        cmocka_unit_test(test_not_power_off),
        cmocka_unit_test(test_hang),
        cmocka_unit_test(test_key_and_force),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
