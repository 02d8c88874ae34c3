// SPDX-License-Identifier: Apache-2.0
// The table of back ends, what each refuses, and the death of each child in its own words.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "host/base/temp.h"
#include "host/launch/launch.h"

static const struct sh_backend *find(const char *name)
{
    const struct sh_backend *b;
    struct sh_error err = {0};
    assert_int_equal(sh_backend_find(name, -1, &b, &err), 0);
    return b;
}

static void test_table(void **state)
{
    static const char *const names[] = {"tdx", "snp", "csv", "sgx", "tdx-sim", "sgx-sim"};
    const struct sh_backend *b;
    struct sh_error err = {0};
    size_t count = 0;
    for (; (b = sh_backend_at(count)); count++) {
        assert_string_equal(b->name, names[count]);
        assert_ptr_equal(find(b->name), b);
        assert_int_equal(b->simulated, strstr(b->name, "-sim") != NULL);
        assert_true(b->probe && b->check_image && b->check_host && b->prepare && b->command &&
                    b->measure && b->explain && b->release && b->predict && b->kind_count);
        /* Only the simulated TD asks its launcher. */
        assert_int_equal(b->serve != NULL, !strcmp(b->name, "tdx-sim"));
    }
    assert_int_equal(count, 6);
    assert_int_equal(sh_backend_find("sgx9", -1, &b, &err), -ENOENT);
    assert_int_equal(sh_backend_find("auto", -1, &b, &err), 0);
}

/* auto takes none for which the image has nothing; by name that is an error with the remedy. */
static void test_image_decides(void **state)
{
    char path[] = "/tmp/shelter-unit.XXXXXX";
    const struct sh_backend *b;
    struct sh_error err = {0}, none = {0}, kernel = {0};
    assert_non_null(mkdtemp(path));
    cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(mkdirat(fd, "base", 0700), 0);
    assert_int_equal(sh_backend_find("auto", fd, &b, &none), -ENOENT);
    assert_int_equal(sh_write_file(fd, "base/enclave", "x", 1, 0600, &err), 0);
    assert_int_equal(sh_backend_find("auto", fd, &b, &err), 0);
    assert_int_equal(strncmp(b->name, "sgx", 3), 0);
    assert_int_equal(sh_backend_find("tdx-sim", fd, &b, &kernel), -ENOENT);
    assert_non_null(strstr(kernel.text, "make tools"));
    assert_int_equal(sh_remove_tree(AT_FDCWD, path), 0);
}

static void test_refused(void **state)
{
    struct sh_image image = {.path = "/nowhere", .dir_fd = -1};
    struct sh_error stats = {0}, trace = {0};
    struct sh_launch_spec vm = {
        .backend = find("tdx-sim"), .image = &image, .store_path = "/", .stats_file = "s"};
    assert_int_equal(vm.backend->prepare(&vm, &stats), -ENOTSUP);
    assert_non_null(strstr(stats.text, "--stats"));
    vm.stats_file = NULL;
    vm.trace_file = "";
    assert_int_equal(vm.backend->prepare(&vm, &trace), -ENOTSUP);
    assert_non_null(strstr(trace.text, "--trace"));
    vm.backend->release(&vm);
}

/* Each word of `has`, separated by '|', and none of `hasnot`. */
static void say(const char *tee, struct sh_death d, const char *has, const char *hasnot)
{
    char text[1024], *save, lists[2][256];
    if (!d.words)
        d.words = "";
    if (!d.program)
        d.program = "/opt/child";
    memset(text, 'x', sizeof(text));
    find(tee)->explain(&d, text, sizeof(text));
    assert_true(strlen(text) > 10 && !strchr(text, '\n'));
    snprintf(lists[0], sizeof(lists[0]), "%s", has);
    snprintf(lists[1], sizeof(lists[1]), "%s", hasnot);
    for (int i = 0; i < 2; i++)
        for (char *w = strtok_r(lists[i], "|", &save); w; w = strtok_r(NULL, "|", &save))
            if ((strstr(text, w) != NULL) == i)
                fail_msg("%s: '%s' %s '%s'", tee, text, i ? "has" : "lacks", w);
}

static void test_death(void **state)
{
    static const char *const machines[] = {"tdx", "snp", "csv", "tdx-sim"};
    static const char *const enclaves[] = {"sgx", "sgx-sim"};
    const struct sh_death missing = {.kind = SH_DEATH_UNBORN, .number = ENOENT},
                          refused = {.kind = SH_DEATH_UNBORN, .number = EACCES},
                          killed = {.kind = SH_DEATH_KILLED, .number = SIGKILL},
                          crashed = {.kind = SH_DEATH_KILLED, .number = SIGSEGV, .words = "oops"},
                          ended = {.kind = SH_DEATH_KILLED, .number = SIGTERM},
                          failed = {.kind = SH_DEATH_EXITED, .number = 3, .words = "no disk"},
                          silent = {.kind = SH_DEATH_EXITED, .number = 3},
                          zero = {.kind = SH_DEATH_EXITED},
                          spoke = {.kind = SH_DEATH_EXITED, .inside_spoke = true},
                          ran = {.kind = SH_DEATH_EXITED,
                                 .inside_spoke = true,
                                 .workload_ran = true},
                          late = {.kind = SH_DEATH_LATE, .number = 180};
    for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
        const char *t = machines[i], *other = "enclave|loader";
        say(t, missing, "/opt/child is not there|qemu-system-x86", other);
        say(t, refused, "cannot run /opt/child|Permission denied", other);
        say(t, killed, "QEMU was killed by signal 9 (Killed)|out of memory", other);
        say(t, crashed, "QEMU|signal 11", "loader|out of memory");
        say(t, failed, "QEMU failed: no disk", other);
        say(t, silent, "QEMU failed: it does not say why", other);
        say(t, zero, "while it booted|kernel panicked|--debug", other);
        say(t, spoke, "before its workload ran", other);
        say(t, ran, "without an exit status", other);
        say(t, late, "guest did not come up within 180 s|--debug", other);
    }
    for (size_t i = 0; i < sizeof(enclaves) / sizeof(enclaves[0]); i++) {
        const char *t = enclaves[i], *other = "QEMU|qemu|guest|kernel|console|--debug";
        say(t, missing, "enclave loader /opt/child is not there|make|SHELTER_SGX_LOADER", other);
        say(t, refused, "cannot run the enclave loader /opt/child|Permission denied", other);
        say(t, killed, "enclave loader was killed by signal 9 (Killed)|out of memory", other);
        say(t, ended, "enclave loader was killed by signal 15", "QEMU|out of memory");
        say(t, crashed, "enclave loader crashed with signal 11|oops", "QEMU|out of memory");
        say(t, failed, "enclave loader failed with status 3: no disk", other);
        say(t, silent, "enclave loader failed with status 3", other);
        say(t, zero, "before the enclave ran", other);
        say(t, spoke, "before the workload ran", other);
        say(t, ran, "without the workload's exit status", other);
        say(t, late, "enclave did not start within 180 s", other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_image_decides),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_death),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
