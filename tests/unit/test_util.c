// SPDX-License-Identifier: Apache-2.0
// The host's ground: nothing stays open where a folder cannot be read, and the store's place.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "host/store/base_files.h"
#include "host/run/instance.h"
#include "host/store/store.h"

static bool no_memory; /* fdopendir fails, as it does when there is none */

DIR *fdopendir(int fd)
{
    DIR *(*real)(int) = (DIR * (*)(int)) dlsym(RTLD_NEXT, "fdopendir");
    if (!no_memory)
        return real(fd);
    errno = ENOMEM;
    return NULL;
}

static size_t open_files(void)
{
    size_t n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void test_no_leak(void **state)
{
    char path[] = "/tmp/shelter-unit.XXXXXX";
    struct sh_store store;
    struct sh_work work;
    struct sh_strings list = {0};
    struct sh_tags tags;
    struct sh_error err = {0};
    assert_non_null(mkdtemp(path));
    setenv("SHELTER_STORE", path, 1);
    assert_int_equal(sh_store_open(&store, &err), 0);
    assert_int_equal(mkdirat(store.dir_fd, "base", 0700), 0);
    assert_int_equal(mkdirat(store.dir_fd, "tmp/x", 0700), 0);
    size_t before = open_files();
    no_memory = true;
    assert_int_equal(sh_store_images(&store, &list, &err), -ENOMEM);
    assert_int_equal(sh_store_all_tags(&store, &tags, &err), -ENOMEM);
    assert_int_equal(sh_instance_list(&store, &list, &err), -ENOMEM);
    assert_int_equal(sh_remove_tree(store.dir_fd, "tmp/x"), -ENOMEM);
    sh_base_clean(store.dir_fd);
    sh_instance_clean_leftovers(&store);
    assert_int_equal(open_files(), before);
    assert_int_equal(sh_work_begin(&store, &work, &err), 0);
    no_memory = false;
    sh_work_end(&work);
    assert_int_equal(open_files(), before);
    sh_store_close(&store);
    assert_int_equal(sh_remove_tree(AT_FDCWD, path), 0);
}

/* A relative store in a folder that is gone: a sentence, not an empty line. */
static void test_relative_store(void **state)
{
    char path[] = "/tmp/shelter-unit.XXXXXX";
    struct sh_store store;
    struct sh_error err = {0}, gone = {0};
    int home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_non_null(mkdtemp(path));
    assert_int_equal(chdir(path), 0);
    setenv("SHELTER_STORE", "a/b", 1);
    assert_int_equal(sh_store_open(&store, &err), 0);
    cleanup_free char *want = sh_format("%s/a/b", path);
    assert_string_equal(store.path, want);
    sh_store_close(&store);
    assert_int_equal(sh_remove_tree(AT_FDCWD, path), 0);
    assert_true(sh_store_open(&store, &gone) < 0);
    assert_non_null(strstr(gone.text, "SHELTER_STORE=a/b is relative"));
    assert_int_equal(fchdir(home), 0);
    close(home);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_leak),
        cmocka_unit_test(test_relative_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
