// SPDX-License-Identifier: Apache-2.0
// The store: tags by docker's rules, references, installing at once, leftovers, many at the same
// time.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "host/base/temp.h"
#include "host/image/build.h"
#include "host/image/inspect.h"
#include "host/image/transfer.h"
#include "lib/hex.h"
#include "lib/sha2.h"

static char folder[64];

static int make_folder(void **state)
{
    char path[128];
    snprintf(folder, sizeof(folder), "/tmp/store-test.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/store", folder);
    setenv("SHELTER_STORE", path, 1);
    snprintf(path, sizeof(path), "%s/base", folder);
    setenv("SHELTER_BASE", path, 1);
    mkdir(path, 0755);
    static const char *const names[] = {"vmlinux", "bzImage", "initramfs"};
    struct sh_error err = {0};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/base/%s", folder, names[i]);
        if (sh_write_file(AT_FDCWD, path, names[i], strlen(names[i]), 0644, &err))
            return -1;
    }
    return 0;
}

static int remove_folder(void **state)
{
    return sh_remove_tree(AT_FDCWD, folder);
}

/* Builds an image of one data file; its id. */
static int build(const char *text, const char *tag, char id[SH_ID_TEXT_SIZE], struct sh_error *err)
{
    struct sh_build b = {.quiet = true};
    char path[128];
    snprintf(path, sizeof(path), "%s/data-%d", folder, (int)getpid());
    int r = sh_write_file(AT_FDCWD, path, text, strlen(text), 0644, err);
    cleanup_free char *file = sh_format("%s:/data", path);
    sh_strings_add(&b.files, file);
    sh_strings_add(&b.config.command, "/data");
    sh_config_set(&b.tag, tag);
    r = r ? r : sh_build_run(&b, id, err);
    sh_build_free(&b);
    return r;
}

static size_t count_in(const char *name)
{
    char path[128];
    size_t n = 0;
    snprintf(path, sizeof(path), "%s/store/%s", folder, name);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

static void test_tags(void **state)
{
    static const char *const good[][2] = {{"md5", "md5:latest"},
                                          {"a", "a:latest"},
                                          {"a:1.0_X-y", "a:1.0_X-y"},
                                          {"a.b_c--d__e", "a.b_c--d__e:latest"},
                                          {"lib/redis:7", "lib/redis:7"},
                                          {"reg.example:5000/a/b", "reg.example:5000/a/b:latest"},
                                          {"localhost/x:y", "localhost/x:y"},
                                          {"a.b-c.d/x", "a.b-c.d/x:latest"},
                                          {"Reg.Example/x", "Reg.Example/x:latest"}};
    static const char *const bad[] = {"",       ":",      "a:",    ":a",   "A",      "-a",   "a-",
                                      ".a",     "a..b",   "a___b", "a/",   "/a",     "a//b", "a b",
                                      "a:b:c",  "a:-x",   "a:.x",  "../x", "a..b/x", ".a/x", "a./x",
                                      "-a.b/x", "a/../b", "a%b",   "a\nb", "é"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct sh_error err = {0};
        char *full = sh_tag_full(good[i][0], &err);
        if (!full)
            fail_msg("refused: %s", good[i][0]);
        assert_string_equal(full, good[i][1]);
        free(full);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sh_error err = {0};
        char *full = sh_tag_full(bad[i], &err);
        if (full)
            fail_msg("taken for good: %s", bad[i]);
    }
    struct sh_error err = {0};
    char longest[200];
    memset(longest, 'a', sizeof(longest) - 1);
    longest[199] = 0;
    assert_null(sh_tag_full(longest, &err));
}

static void test_references(void **state)
{
    struct sh_store store;
    struct sh_image image;
    struct sh_error err = {0};
    char one[SH_ID_TEXT_SIZE], two[SH_ID_TEXT_SIZE], part[16];
    assert_int_equal(build("one", "x", one, &err), 0);
    assert_int_equal(build("two", "reg.example/x:2", two, &err), 0);
    assert_string_not_equal(one, two);
    assert_int_equal(sh_store_open(&store, &err), 0);
    static const char *const names[] = {"x", "x:latest"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sh_image_open(&store, names[i], &image, &err), 0);
        assert_string_equal(image.id, one);
        assert_int_equal(sh_manifest_count(&image.manifest, SH_TAG_COMMAND), 1);
        sh_image_close(&image);
    }
    snprintf(part, sizeof(part), "%.6s", two);
    assert_int_equal(sh_image_open(&store, part, &image, &err), 0);
    assert_string_equal(image.id, two);
    sh_image_close(&image);
    snprintf(part, sizeof(part), "%.3s", two);
    assert_int_equal(sh_image_open(&store, part, &image, &err), -ENOENT);
    assert_non_null(strstr(err.text, part));

    struct sh_strings ids = {0}, tags = {0};
    assert_int_equal(sh_store_images(&store, &ids, &err), 0);
    assert_int_equal(ids.count, 2);
    assert_string_equal(ids.v[0], two); /* newest first */
    assert_int_equal(sh_store_tags(&store, two, &tags, &err), 0);
    assert_int_equal(tags.count, 1);
    assert_string_equal(tags.v[0], "reg.example/x:2");
    sh_strings_free(&ids);
    sh_strings_free(&tags);

    /* A changed manifest is not opened. */
    char path[300];
    snprintf(path, sizeof(path), "images/%s/manifest", one);
    int fd = openat(store.dir_fd, path, O_RDWR);
    uint8_t byte;
    sh_pread_all(fd, &byte, 1, 40);
    byte ^= 1;
    sh_pwrite_all(fd, &byte, 1, 40);
    err.text[0] = 0;
    assert_int_equal(sh_image_open(&store, "x", &image, &err), -EBADMSG);
    byte ^= 1;
    sh_pwrite_all(fd, &byte, 1, 40);
    close(fd);
    assert_int_equal(sh_image_open(&store, "x", &image, &err), 0);

    /* In use: not removed, unless forced; then it can still be read. */
    struct sh_strings report = {0};
    err.text[0] = 0;
    assert_int_equal(sh_store_remove(&store, "x", false, &report, &err), -EBUSY);
    assert_int_equal(sh_store_remove(&store, "x", true, &report, &err), 0);
    uint8_t *data;
    size_t size;
    assert_int_equal(sh_read_file(image.dir_fd, "manifest", 65536, &data, &size, &err), 0);
    free(data);
    sh_image_close(&image);
    assert_int_equal(sh_image_open(&store, "x", &image, &err), -ENOENT);
    assert_int_equal(sh_store_remove(&store, two, false, &report, &err), 0);
    sh_strings_free(&report);
    assert_int_equal(count_in("images"), 0);
    assert_int_equal(count_in("tags"), 0);
    /* What a forced removal left waits in tmp/ for its last user; the next build takes it away. */
    assert_int_equal(build("one", NULL, one, &err), 0);
    assert_int_equal(count_in("tmp"), 0);
    sh_store_close(&store);
}

static void base_is(int dir_fd, const char *want)
{
    struct sh_error err = {0};
    uint8_t *data;
    size_t size;
    assert_int_equal(sh_read_file(dir_fd, "base/bzImage", 4096, &data, &size, &err), 0);
    assert_string_equal((char *)data, want);
    free(data);
}

static void test_another_base(void **state)
{
    struct sh_store store;
    struct sh_image before, after;
    struct sh_error err = {0};
    char one[SH_ID_TEXT_SIZE], two[SH_ID_TEXT_SIZE], path[128];
    struct sh_strings tags = {0}, report = {0};
    FILE *saved = tmpfile();
    assert_int_equal(build("one", "b", one, &err), 0);
    assert_int_equal(sh_store_open(&store, &err), 0);
    assert_int_equal(sh_image_save(&store, "b", fileno(saved), NULL, &err), 0);
    assert_int_equal(sh_image_open(&store, "b", &before, &err), 0);

    /* The same workload with a new kernel: one identity, another base. */
    snprintf(path, sizeof(path), "%s/base/bzImage", folder);
    assert_int_equal(sh_write_file(AT_FDCWD, path, "newer", 5, 0644, &err), 0);
    assert_int_equal(build("one", "b", two, &err), 0);
    assert_string_equal(one, two);
    assert_int_equal(sh_image_open(&store, "b", &after, &err), 0);
    base_is(before.dir_fd, "bzImage"); /* whoever uses the old one keeps it */
    base_is(after.dir_fd, "newer");
    assert_int_equal(count_in("images"), 1);
    assert_int_equal(count_in("tmp"), 1);

    /* An archive does not do that. */
    lseek(fileno(saved), 0, SEEK_SET);
    assert_int_equal(
        sh_image_load(&store, fileno(saved), "saved", NULL, NULL, 0, NULL, two, &tags, &err),
        -EEXIST);
    assert_non_null(strstr(err.text, "rmi"));
    sh_image_close(&before);
    sh_image_close(&after);
    sh_strings_free(&tags);
    err.text[0] = 0;
    assert_int_equal(sh_store_remove(&store, "b", false, &report, &err), 0);
    lseek(fileno(saved), 0, SEEK_SET);
    assert_int_equal(
        sh_image_load(&store, fileno(saved), "saved", NULL, NULL, 0, NULL, two, &tags, &err), 0);
    assert_int_equal(sh_image_open(&store, "b", &after, &err), 0);
    base_is(after.dir_fd, "bzImage");
    sh_image_close(&after);
    assert_int_equal(count_in("tmp"), 0);
    assert_int_equal(count_in("base"), 3);
    sh_strings_free(&tags);
    sh_strings_free(&report);
    fclose(saved);
    sh_store_close(&store);
}

static void test_leftovers(void **state)
{
    char path[300], id[SH_ID_TEXT_SIZE];
    struct sh_error err = {0};
    struct sh_store store;
    struct sh_work work;
    snprintf(path, sizeof(path), "%s/store/tmp/dead/base", folder);
    assert_int_equal(sh_make_dirs(path, 0755, &err), 0);
    assert_int_equal(sh_store_open(&store, &err), 0);
    /* One that lives is left alone. */
    assert_int_equal(sh_work_begin(&store, &work, &err), 0);
    assert_int_equal(build("one", NULL, id, &err), 0);
    assert_int_equal(count_in("tmp"), 1);
    assert_int_equal(faccessat(store.dir_fd, work.name, F_OK, 0), 0);
    sh_work_end(&work);
    assert_int_equal(count_in("tmp"), 0);
    sh_store_close(&store);
}

static void test_many_at_once(void **state)
{
    enum { BUILDERS = 8 };
    pid_t pids[BUILDERS];
    struct sh_error err = {0};
    for (int i = 0; i < BUILDERS; i++) {
        pids[i] = fork();
        if (!pids[i]) {
            int bad = 0;
            for (int k = 0; k < 12; k++) {
                char id[SH_ID_TEXT_SIZE], text[16], tag[16];
                struct sh_strings report = {0};
                struct sh_store store;
                struct sh_error e = {0};
                /* Half of them build the same thing. */
                snprintf(text, sizeof(text), "%d", i % 2 ? k : i * 100 + k);
                snprintf(tag, sizeof(tag), "t%d", i);
                int r = build(text, tag, id, &e);
                bad |= r && r != -ENOENT; /* tagged image was removed by a neighbour meanwhile */
                if (k % 3 == 2 && !sh_store_open(&store, &e)) {
                    struct sh_error ignored = {0};
                    sh_store_remove(&store, id, true, &report, &ignored);
                    sh_store_close(&store);
                }
                sh_strings_free(&report);
            }
            _exit(bad);
        }
    }
    for (int i = 0; i < BUILDERS; i++) {
        int status;
        waitpid(pids[i], &status, 0);
        assert_int_equal(status, 0);
    }
    /* All that is there is whole. */
    struct sh_store store;
    struct sh_strings ids = {0};
    assert_int_equal(sh_store_open(&store, &err), 0);
    assert_int_equal(sh_store_images(&store, &ids, &err), 0);
    assert_true(ids.count > 0);
    for (size_t i = 0; i < ids.count; i++) {
        struct sh_image image;
        uint64_t size;
        int64_t created;
        assert_int_equal(sh_image_open(&store, ids.v[i], &image, &err), 0);
        assert_int_equal(sh_image_stat(&image, &size, &created, &err), 0);
        sh_image_close(&image);
    }
    sh_strings_free(&ids);
    sh_store_close(&store);
    assert_int_equal(count_in("tmp"), 0);
}

static void test_killed(void **state)
{
    struct sh_error err = {0};
    char id[SH_ID_TEXT_SIZE];
    size_t before = count_in("images");
    assert_int_equal(build("before", NULL, id, &err), 0);
    for (int i = 0; i < 30; i++) {
        size_t left = count_in("tmp");
        pid_t pid = fork();
        if (!pid) {
            struct sh_error e = {0};
            build("killed", "killed", id, &e);
            _exit(0);
        }
        usleep((useconds_t)i * 400);
        kill(pid, i % 3 ? SIGKILL : SIGTERM);
        waitpid(pid, NULL, 0);
        if (i % 3 == 0) /* SIGTERM cleans up itself, or comes before anything is done */
            assert_true(count_in("tmp") <= left);
        size_t now = count_in("images");
        assert_true(now == before + 1 || now == before + 2);
    }
    assert_int_equal(build("after", NULL, id, &err), 0);
    assert_int_equal(count_in("tmp"), 0);
}

static void test_save_load(void **state)
{
    struct sh_store store;
    struct sh_error err = {0};
    char id[SH_ID_TEXT_SIZE], got[SH_ID_TEXT_SIZE];
    struct sh_strings tags = {0}, report = {0};
    assert_int_equal(build("carry me", "carried:1", id, &err), 0);
    assert_int_equal(sh_store_open(&store, &err), 0);
    FILE *f = tmpfile();
    assert_int_equal(sh_image_save(&store, "carried:1", fileno(f), NULL, &err), 0);
    assert_int_equal(sh_store_remove(&store, "carried:1", true, &report, &err), 0);
    size_t size = (size_t)lseek(fileno(f), 0, SEEK_END), images = count_in("images");
    uint8_t *data = sh_alloc(size);
    assert_int_equal(sh_pread_all(fileno(f), data, size, 0), 0);

    /* Any changed byte of a member's content, and any cut: refused, nothing left. */
    for (size_t n = 0, at = 0; n < 400; n++) {
        FILE *bad = tmpfile();
        struct sh_error e = {0};
        bool cut = n % 4 == 0;
        at = (at + size / 397 * 131 + n) % size;
        /* Padding and header fields that we do not use may change; content may not. */
        assert_int_equal(sh_pwrite_all(fileno(bad), data, cut ? at : size, 0), 0);
        if (!cut) {
            uint8_t byte = data[at] ^ 0x20;
            sh_pwrite_all(fileno(bad), &byte, 1, (off_t)at);
        }
        lseek(fileno(bad), 0, SEEK_SET);
        int r = sh_image_load(&store, fileno(bad), "bad", NULL, NULL, 0, NULL, got, &tags, &e);
        if (r) {
            assert_true(e.text[0]);
            assert_int_equal(count_in("images"), images);
        } else {
            /* It was not content: then the image is the same. */
            assert_string_equal(got, id);
            assert_int_equal(sh_store_remove(&store, id, true, &report, &e), 0);
        }
        sh_strings_free(&tags);
        assert_int_equal(count_in("tmp"), 0);
        fclose(bad);
    }
    lseek(fileno(f), 0, SEEK_SET);
    assert_int_equal(
        sh_image_load(&store, fileno(f), "good", NULL, NULL, 0, NULL, got, &tags, &err), 0);
    assert_string_equal(got, id);
    assert_int_equal(tags.count, 1);
    struct sh_image image;
    assert_int_equal(sh_image_open(&store, "carried:1", &image, &err), 0);
    sh_image_close(&image);
    sh_strings_free(&tags);
    sh_strings_free(&report);
    free(data);
    fclose(f);
    sh_store_close(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tags),
        cmocka_unit_test_setup_teardown(test_references, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_another_base, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_leftovers, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_many_at_once, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_killed, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_save_load, make_folder, remove_folder),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
