// SPDX-License-Identifier: Apache-2.0
// The ELF reader: this very program, and every way to cut or bend it.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/image/elf.h"
#include "host/image/input/files.h"
#include "host/image/input/libraries.h"

static uint8_t *self;
static size_t self_size;

static int load_self(void **state)
{
    struct sh_error err = {0};
    return sh_read_file(AT_FDCWD, "/proc/self/exe", 1u << 28, &self, &self_size, &err);
}

static int free_self(void **state)
{
    free(self);
    return 0;
}

static void test_self(void **state)
{
    struct sh_elf elf;
    struct sh_error err = {0};
    assert_int_equal(sh_elf_parse(self, self_size, "self", &elf, &err), 0);
    assert_true(elf.program);
    assert_string_equal(elf.interpreter, "/lib64/ld-linux-x86-64.so.2");
    bool libc = false;
    for (size_t i = 0; i < elf.needed.count; i++)
        libc |= !strcmp(elf.needed.v[i], "libc.so.6");
    assert_true(libc);
    sh_elf_free(&elf);
}

static void test_others(void **state)
{
    struct sh_elf elf;
    struct sh_error err = {0};
    assert_int_equal(sh_elf_parse((const uint8_t *)"#!/bin/sh\n", 10, "x", &elf, &err), -ENOEXEC);
    assert_int_equal(sh_elf_parse((const uint8_t *)"", 0, "x", &elf, &err), -ENOEXEC);
    uint8_t head[64];
    memcpy(head, self, sizeof(head));
    head[18] = 183; /* e_machine: AArch64 */
    err.text[0] = 0;
    assert_int_equal(sh_elf_parse(head, sizeof(head), "x", &elf, &err), -EINVAL);
    assert_non_null(strstr(err.text, "another machine"));
}

static void test_cut(void **state)
{
    /* Every length through the headers, then coarser. ASan watches the copy's end. */
    for (size_t n = 0; n < self_size; n += n < 1200 ? 1 : 20011) {
        struct sh_elf elf;
        struct sh_error err = {0};
        uint8_t *copy = malloc(n ? n : 1);
        memcpy(copy, self, n);
        assert_int_not_equal(sh_elf_parse(copy, n, "cut", &elf, &err), 0);
        assert_true(err.text[0]);
        free(copy);
    }
}

static void test_bent(void **state)
{
    struct sh_elf elf;
    unsigned seed = 1;
    /* ELF header and program headers: any byte to anything never reads outside. */
    for (int i = 0; i < 20000; i++) {
        struct sh_error err = {0};
        size_t at = (size_t)rand_r(&seed) % 900;
        uint8_t old = self[at];
        self[at] = (uint8_t)rand_r(&seed);
        if (!sh_elf_parse(self, self_size, "bent", &elf, &err))
            sh_elf_free(&elf);
        self[at] = old;
    }
}

static void test_library(void **state)
{
    struct sh_elf elf = {0};
    struct sh_library l;
    struct sh_error err = {0};
    struct sh_object o = {"/proc/self/exe", "/bin/x", &elf, NULL};
    assert_int_equal(sh_library_find(&o, "libc.so.6", "/lib64/ld-linux-x86-64.so.2", &l, &err), 0);
    assert_string_equal(l.host_path, l.image_path);
    assert_null(l.link);
    sh_library_free(&l);
    assert_int_equal(sh_library_find(&o, "libnothing.so.9", NULL, &l, &err), -ENOENT);
    assert_non_null(strstr(err.text, "libnothing.so.9"));

    /* $ORIGIN is the host's folder when searching, the image's when placing. */
    char folder[] = "/tmp/elf-test.XXXXXX", path[64], program[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/libmine.so", folder);
    snprintf(program, sizeof(program), "%s/program", folder);
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    assert_int_equal(sh_write_all(fd, self, self_size), 0);
    close(fd);
    elf.runpath = sh_strdup("/nowhere:$ORIGIN/../ignored:${ORIGIN}/.");
    o = (struct sh_object){program, "/bin/x", &elf, NULL};
    err.text[0] = 0;
    assert_int_equal(sh_library_find(&o, "libmine.so", NULL, &l, &err), 0);
    assert_string_equal(l.image_path, "/bin/libmine.so");
    sh_library_free(&l);
    sh_elf_free(&elf);
    unlink(path);
    rmdir(folder);
}

static void test_rootfs_keeps_its_libraries(void **state)
{
    struct sh_tree t;
    struct sh_error err = {0};
    struct sh_inode *folder, *mine;
    char *name, *path, text[8] = "";
    int dir = open("/tmp", O_RDONLY | O_DIRECTORY);
    assert_int_equal(sh_tree_init(&t, dir, &err), 0);
    close(dir);
    mine = sh_tree_inode(&t, S_IFREG | 0600);
    mine->size = 4;
    assert_int_equal(sh_tree_reserve(&t, 4, &mine->spool, &err), 0);
    assert_int_equal(sh_pwrite_all(t.spool_fd, "mine", 4, (off_t)mine->spool), 0);
    assert_int_equal(sh_tree_parent(&t, "lib64/ld-linux-x86-64.so.2", true, &folder, &name, &err),
                     0);
    assert_int_equal(sh_tree_link(&t, folder, name, mine, &err), 0);
    free(name);
    if (sh_files_add(&t, "/proc/self/exe:/opt/it", &path, &err))
        fail_msg("%s", err.text);
    assert_string_equal(path, "/opt/it");
    free(path);
    struct sh_inode *it = sh_tree_find(&t, "/opt/it");
    assert_true(it && it->size == self_size && it->mode == (S_IFREG | 0755) && !it->mtime);
    assert_ptr_equal(sh_tree_find(&t, "/lib64/ld-linux-x86-64.so.2"), mine);
    assert_int_equal(sh_pread_all(t.spool_fd, text, 4, (off_t)mine->spool), 0);
    assert_string_equal(text, "mine");
    assert_non_null(sh_tree_find(&t, "/lib/x86_64-linux-gnu/libc.so.6"));
    sh_tree_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_self),    cmocka_unit_test(test_others),
        cmocka_unit_test(test_cut),     cmocka_unit_test(test_bent),
        cmocka_unit_test(test_library), cmocka_unit_test(test_rootfs_keeps_its_libraries),
    };
    return cmocka_run_group_tests_name("elf", tests, load_self, free_self);
}
