// SPDX-License-Identifier: Apache-2.0
// Archives into trees: hostile names, links, duplicates, whiteouts; archives cut at every byte.
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <shelter/erofs.h>

#include "host/image/input/tar.h"

/* --- archives in memory --- */

struct member {
    const char *name;
    char kind; /* f file, d folder, l symbolic link, h hard link, c device, p fifo */
    const char *text;
};

struct memory {
    struct sh_source source;
    const uint8_t *data;
    size_t size, at;
};

static int read_memory(struct sh_source *s, void *buffer, size_t size, struct sh_error *err)
{
    struct memory *m = (struct memory *)s;
    size_t n = m->size - m->at < size ? m->size - m->at : size;
    memcpy(buffer, m->data + m->at, n);
    m->at += n;
    return (int)n;
}

static la_ssize_t grow(struct archive *a, void *context, const void *data, size_t size)
{
    sh_buffer_add(context, data, size);
    return (la_ssize_t)size;
}

static struct sh_buffer make(const struct member *m, int compression)
{
    struct sh_buffer b = {0};
    struct archive *a = archive_write_new();
    archive_write_set_format_pax(a);
    if (compression)
        archive_write_add_filter(a, compression);
    archive_write_set_bytes_in_last_block(a, 1);
    archive_write_open(a, &b, NULL, grow, NULL);
    for (; m->name; m++) {
        struct archive_entry *e = archive_entry_new();
        archive_entry_set_pathname(e, m->name);
        archive_entry_set_perm(e, 0751);
        archive_entry_set_uid(e, 1000);
        archive_entry_set_mtime(e, 1234567890, 5);
        archive_entry_set_filetype(e, m->kind == 'd'   ? AE_IFDIR
                                      : m->kind == 'l' ? AE_IFLNK
                                      : m->kind == 'c' ? AE_IFCHR
                                      : m->kind == 'p' ? AE_IFIFO
                                                       : AE_IFREG);
        if (m->kind == 'l')
            archive_entry_set_symlink(e, m->text);
        else if (m->kind == 'h')
            archive_entry_set_hardlink(e, m->text);
        else if (m->kind == 'f')
            archive_entry_set_size(e, (la_int64_t)strlen(m->text));
        assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
        if (m->kind == 'f')
            archive_write_data(a, m->text, strlen(m->text));
        archive_entry_free(e);
    }
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
    return b;
}

static struct sh_tree new_tree(void)
{
    struct sh_tree t;
    struct sh_error err = {0};
    int dir = open("/tmp", O_RDONLY | O_DIRECTORY);
    assert_int_equal(sh_tree_init(&t, dir, &err), 0);
    close(dir);
    return t;
}

static int read_bytes(struct sh_tree *t, const uint8_t *data, size_t size, bool layer,
                      struct sh_error *err)
{
    struct memory m = {{.read = read_memory, .name = "the archive"}, data, size, 0};
    return sh_tar_read(t, &m.source, layer, NULL, err);
}

static int read_members(struct sh_tree *t, const struct member *m, bool layer, struct sh_error *err)
{
    struct sh_buffer b = make(m, 0);
    int r = read_bytes(t, b.data, b.size, layer, err);
    sh_buffer_free(&b);
    return r;
}

static void content_is(struct sh_tree *t, const char *path, const char *want)
{
    char got[256] = "";
    struct sh_inode *i = sh_tree_find(t, path);
    if (!want) {
        assert_null(i);
        return;
    }
    if (!i)
        fail_msg("%s is missing", path);
    assert_true(i->size < sizeof(got));
    assert_int_equal(sh_pread_all(t->spool_fd, got, i->size, (off_t)i->spool), 0);
    assert_string_equal(got, want);
}

/* --- tests --- */

static void test_plain(void **state)
{
    static const int filters[] = {0, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_ZSTD, ARCHIVE_FILTER_XZ,
                                  ARCHIVE_FILTER_BZIP2};
    static const struct member m[] = {{"./", 'd', ""},
                                      {"./a/", 'd', ""},
                                      {"a/file", 'f', "one"},
                                      {"./a/link", 'l', "file"},
                                      {"a/hard", 'h', "./a/file"},
                                      {"a/rooted", 'h', "/a/file"},
                                      {"b/c/d", 'f', "implicit parents"},
                                      {"a//./x", 'f', "tidied"},
                                      {"dup", 'f', "first"},
                                      {"./dup", 'f', "second"},
                                      {NULL, 0, NULL}};
    for (size_t k = 0; k < sizeof(filters) / sizeof(filters[0]); k++) {
        struct sh_tree t = new_tree();
        struct sh_error err = {0};
        struct sh_buffer b = make(m, filters[k]);
        if (read_bytes(&t, b.data, b.size, false, &err))
            fail_msg("%s", err.text);
        sh_buffer_free(&b);
        content_is(&t, "a/file", "one");
        content_is(&t, "/a/link", "one");
        content_is(&t, "a/x", "tidied");
        content_is(&t, "b/c/d", "implicit parents");
        content_is(&t, "dup", "second");
        struct sh_inode *i = sh_tree_find(&t, "a/hard");
        assert_ptr_equal(i, sh_tree_find(&t, "a/file"));
        assert_ptr_equal(i, sh_tree_find(&t, "a/rooted"));
        assert_int_equal(i->link_count, 3);
        assert_int_equal(i->uid, 1000);
        assert_int_equal(i->mode, S_IFREG | 0751);
        assert_true(i->mtime == 1234567890 && i->mtime_nsec == 5);
        assert_int_equal(t.root->mode, S_IFDIR | 0751);
        assert_int_equal(sh_tree_find(&t, "b")->mode, S_IFDIR | 0755);
        sh_tree_free(&t);
    }
}

static void refused(const struct member *m, bool layer, const char *why)
{
    struct sh_tree t = new_tree();
    struct sh_error err = {0};
    int r = read_members(&t, m, layer, &err);
    if (!r)
        fail_msg("taken for good: %s", m[0].name);
    if (!strstr(err.text, why))
        fail_msg("'%s' does not say '%s'", err.text, why);
    sh_tree_free(&t);
}

#define LIST(...) ((const struct member[]){__VA_ARGS__, {NULL, 0, NULL}})

static void test_escapes(void **state)
{
    for (int layer = 0; layer < 2; layer++) {
        refused(LIST({"../x", 'f', ""}), layer, "'..'");
        refused(LIST({"a/../../x", 'f', ""}), layer, "'..'");
        refused(LIST({"a/..", 'd', ""}), layer, "'..'");
        refused(LIST({"/etc/x", 'f', ""}), layer, "absolute");
        refused(LIST({"x", 'h', "/etc/passwd"}), layer, "not there");
        refused(LIST({"x", 'h', "/../etc/passwd"}), layer, "'..'");
        refused(LIST({"x", 'h', "../../etc/passwd"}), layer, "'..'");
        refused(LIST({"x", 'h', "nothing"}), layer, "not there");
        refused(LIST({"d", 'd', ""}, {"x", 'h', "d"}), layer, "a folder");
        refused(LIST({"a", 'l', "../../out"}, {"a/x", 'f', ""}), layer, "leads out");
        refused(LIST({"d/a", 'l', "../../out"}, {"d/a/x", 'f', ""}), layer, "leads out");
        refused(LIST({"a", 'l', "/nowhere"}, {"a/x", 'f', ""}), layer,
                layer ? "not there" : "out of");
        refused(LIST({"a", 'l', "b"}, {"b", 'l', "a"}, {"a/x", 'f', ""}), layer, "loop");
        refused(LIST({"a", 'f', ""}, {"a/x", 'f', ""}), layer, "not a folder");
        refused(LIST({".", 'f', "x"}), layer, "root");
    }
    refused(LIST({"etc", 'd', ""}, {"a", 'l', "/etc"}, {"a/x", 'f', ""}), false, "out of");
    /* Inside is fine: relative links always, absolute ones in layers. */
    struct sh_tree t = new_tree();
    struct sh_error err = {0};
    assert_int_equal(
        read_members(&t,
                     LIST({"usr/bin", 'd', ""}, {"bin", 'l', "usr/bin"}, {"bin/x", 'f', "merged"},
                          {"d/up", 'l', "../usr"}, {"d/up/y", 'f', "up"}),
                     false, &err),
        0);
    content_is(&t, "usr/bin/x", "merged");
    content_is(&t, "usr/y", "up");
    assert_int_equal(
        read_members(&t, LIST({"abs", 'l', "/usr"}, {"abs/z", 'f', "abs"}), true, &err), 0);
    content_is(&t, "usr/z", "abs");
    sh_tree_free(&t);
}

static void test_replacing(void **state)
{
    struct sh_tree t = new_tree();
    struct sh_error err = {0};
    assert_int_equal(
        read_members(&t,
                     LIST({"f", 'f', "old"}, {"keeps", 'h', "f"},
                          {"f", 'f', "new"},                                    /* the link stays */
                          {"d/x", 'f', "x"}, {"d", 'f', "file"},                /* folder -> file */
                          {"e", 'l', "d"}, {"e", 'd', ""}, {"e/in", 'f', "in"}, /* link -> folder */
                          {"g/x", 'f', "x"}, {"g", 'd', ""},                    /* folder again */
                          {"self", 'f', "self"}, {"./self", 'h', "self"}),
                     false, &err),
        0);
    content_is(&t, "keeps", "old");
    content_is(&t, "f", "new");
    assert_int_equal(sh_tree_find(&t, "keeps")->link_count, 1);
    content_is(&t, "d", "file");
    content_is(&t, "e/in", "in");
    content_is(&t, "g/x", "x");
    content_is(&t, "self", "self");
    assert_int_equal(sh_tree_find(&t, "self")->link_count, 1);
    sh_tree_free(&t);
}

static void test_whiteouts(void **state)
{
    struct sh_tree t = new_tree();
    struct sh_error err = {0};
    assert_int_equal(read_members(&t,
                                  LIST({"a/x", 'f', "1"}, {"a/y", 'f', "1"}, {"b/x", 'f', "1"},
                                       {"b/s/x", 'f', "1"}, {"c/x", 'f', "1"}, {"d", 'f', "1"},
                                       {"e/x", 'f', "1"}),
                                  true, &err),
                     0);
    assert_int_equal(
        read_members(&t,
                     LIST({"a/.wh.x", 'f', ""}, {"b/new", 'f', "2"}, {"b/s/new", 'f', "2"},
                          {"b/.wh..wh..opq", 'f', ""}, {".wh.c", 'f', ""}, {"c/new", 'f', "2"},
                          {"d", 'f', "2"}, {".wh.d", 'f', ""}, {".wh..wh.aufs", 'f', ""},
                          {"e/y", 'f', "2"}, {".wh.e", 'f', ""}, {".wh.none", 'f', ""}),
                     true, &err),
        0);
    content_is(&t, "a/x", NULL);
    content_is(&t, "a/y", "1");
    content_is(&t, "b/x", NULL);
    content_is(&t, "b/s/x", NULL);
    content_is(&t, "b/new", "2");
    content_is(&t, "b/s/new", "2");
    content_is(&t, "c/x", NULL);
    content_is(&t, "c/new", "2");
    content_is(&t, "d", "2");
    content_is(&t, "e/x", NULL);
    content_is(&t, "e/y", "2");
    assert_null(sh_tree_find(&t, ".wh..wh.aufs"));
    /* In a plain root file system these are files like others. */
    assert_int_equal(read_members(&t, LIST({".wh.a", 'f', "plain"}), false, &err), 0);
    content_is(&t, ".wh.a", "plain");
    content_is(&t, "a/y", "1");
    sh_tree_free(&t);
}

static void test_acl(void **state)
{
    /* getfattr's bytes of: user::rw-, user:1000:r--, group::r--, group:5:rwx, mask::rwx, other::---
     */
    static const uint8_t want[] = {
        2,  0, 0, 0, 1,    0,    6,    0,    0xff, 0xff, 0xff, 0xff, 2,    0,    4,    0,   0xe8, 3,
        0,  0, 4, 0, 4,    0,    0xff, 0xff, 0xff, 0xff, 8,    0,    7,    0,    5,    0,   0,    0,
        16, 0, 7, 0, 0xff, 0xff, 0xff, 0xff, 32,   0,    0,    0,    0xff, 0xff, 0xff, 0xff};
    struct sh_buffer b = {0};
    struct sh_tree t = new_tree();
    struct sh_error err = {0};
    struct archive *a = archive_write_new();
    struct archive_entry *e = archive_entry_new();
    int kind = ARCHIVE_ENTRY_ACL_TYPE_ACCESS;
    archive_write_set_format_pax(a);
    archive_write_open(a, &b, NULL, grow, NULL);
    archive_entry_set_pathname(e, "f");
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0670);
    archive_entry_acl_add_entry(e, kind, 7, ARCHIVE_ENTRY_ACL_GROUP, 5, "five");
    archive_entry_acl_add_entry(e, kind, 6, ARCHIVE_ENTRY_ACL_USER_OBJ, -1, "");
    archive_entry_acl_add_entry(e, kind, 4, ARCHIVE_ENTRY_ACL_USER, 1000, "somebody");
    archive_entry_acl_add_entry(e, kind, 4, ARCHIVE_ENTRY_ACL_GROUP_OBJ, -1, "");
    archive_entry_acl_add_entry(e, kind, 7, ARCHIVE_ENTRY_ACL_MASK, -1, "");
    archive_entry_acl_add_entry(e, kind, 0, ARCHIVE_ENTRY_ACL_OTHER, -1, "");
    archive_entry_xattr_add_entry(e, "user.binary", "\0\xff=\n", 4);
    assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
    archive_entry_free(e);
    archive_write_close(a);
    archive_write_free(a);
    assert_int_equal(read_bytes(&t, b.data, b.size, false, &err), 0);
    sh_buffer_free(&b);
    struct sh_inode *i = sh_tree_find(&t, "f");
    assert_int_equal(i->xattr_count, 2);
    assert_int_equal(i->xattrs[0].index, SH_EROFS_XATTR_USER);
    assert_int_equal(i->xattrs[0].value_size, 4);
    assert_memory_equal(i->xattrs[0].data, "binary\0\xff=\n", 10);
    assert_int_equal(i->xattrs[1].index, SH_EROFS_XATTR_ACL_ACCESS);
    assert_int_equal(i->xattrs[1].value_size, sizeof(want));
    assert_memory_equal(i->xattrs[1].data, want, sizeof(want));
    sh_tree_free(&t);
}

static void test_folders(void **state)
{
    /* Names come and go at random; a plain list says what must be there. */
    enum { NAMES = 400 };
    static const int limits[] = {5, 40, NAMES};
    unsigned seed = 3;
    for (size_t l = 0; l < sizeof(limits) / sizeof(limits[0]); l++) {
        struct sh_tree t = new_tree();
        struct sh_error err = {0};
        bool there[NAMES] = {false};
        size_t count = 0;
        for (int i = 0; i < 20000; i++) {
            int n = rand_r(&seed) % limits[l];
            char name[16];
            snprintf(name, sizeof(name), "n%d", n);
            assert_int_equal(sh_tree_entry(t.root, name) != NULL, there[n]);
            if (rand_r(&seed) % 3 == 0) {
                sh_tree_remove(t.root, name);
                count -= there[n];
                there[n] = false;
            } else {
                struct sh_inode *inode = sh_tree_inode(&t, S_IFREG);
                t.inode_count = 0;
                assert_int_equal(sh_tree_link(&t, t.root, name, inode, &err), 0);
                count += !there[n];
                there[n] = true;
            }
            assert_int_equal(t.root->entry_count, count);
            if (i % 5000 == 4999) {
                sh_tree_sort(t.root);
                for (size_t k = 1; k < count; k++)
                    assert_true(strcmp(t.root->entries[k - 1].name, t.root->entries[k].name) < 0);
            }
        }
        sh_tree_free(&t);
    }
}

static void test_cut(void **state)
{
    static const struct member m[] = {{"a", 'f', "some text"}, {"b/", 'd', ""},  {"b/c", 'l', "a"},
                                      {"h", 'h', "a"},         {"dev", 'c', ""}, {NULL, 0, NULL}};
    for (int filter = 0; filter < 2; filter++) {
        struct sh_buffer b = make(m, filter ? ARCHIVE_FILTER_GZIP : 0);
        /* A tar's second end block and its padding may be missing, as GNU tar allows. */
        size_t end = filter ? b.size : b.size - 512;
        for (size_t n = 0; n<end; n += b.size> 4000 && n % 512 > 2 && n % 512 < 509 ? 37 : 1) {
            struct sh_tree t = new_tree();
            struct sh_error err = {0};
            uint8_t *copy = malloc(n ? n : 1);
            memcpy(copy, b.data, n);
            if (!read_bytes(&t, copy, n, false, &err))
                fail_msg("%zu of %zu bytes were taken for good", n, b.size);
            assert_true(err.text[0]);
            free(copy);
            sh_tree_free(&t);
        }
        sh_buffer_free(&b);
    }
}

static int read_content(const uint8_t *data, size_t size, char content[64], struct sh_error *err)
{
    struct sh_tree t = new_tree();
    int r = read_bytes(&t, data, size, false, err);
    const struct sh_inode *i = r ? NULL : sh_tree_find(&t, "a");
    memset(content, 0, 64);
    if (i)
        assert_int_equal(sh_pread_all(t.spool_fd, content, i->size, (off_t)i->spool), 0);
    sh_tree_free(&t);
    return r;
}

/* gzip's checksum and length count, members may follow one another, behind the last stand zeros. */
static void test_gzip(void **state)
{
    static const struct member m[] = {{"a", 'f', "some text"}, {NULL, 0, NULL}};
    struct sh_buffer b = make(m, ARCHIVE_FILTER_GZIP), plain = make(m, 0);
    struct sh_error err = {0};
    char content[64];
    for (size_t i = 0; i < b.size; i++) {
        struct sh_error why = {0};
        b.data[i] ^= 0x10;
        /* The header's time says nothing about the content, and there are two ways to compress. */
        if (!read_content(b.data, b.size, content, &why))
            if (i >= b.size - 8 || strcmp(content, "some text"))
                fail_msg("byte %zu of %zu: %s", i, b.size, content);
        b.data[i] ^= 0x10;
    }
    struct sh_buffer two = {0};
    sh_buffer_add(&two, b.data, b.size);
    size_t one = two.size;
    sh_buffer_add(&two, b.data, b.size);
    assert_int_equal(read_content(two.data, two.size, content, &err), 0);
    assert_string_equal(content, "some text");
    two.data[two.size - 5] ^= 1; /* the second one's checksum */
    assert_int_equal(read_content(two.data, two.size, content, &err), -EBADMSG);
    memset(two.data + one, 0, two.size - one);
    assert_int_equal(read_content(two.data, two.size, content, &err), 0);
    two.data[two.size - 1] = 'x';
    memset(&err, 0, sizeof(err));
    assert_int_equal(read_content(two.data, two.size, content, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "something stands behind"));
    /* Not gzip, though it begins with one of its bytes, or is shorter than its magic. */
    assert_true(read_content((const uint8_t *)"\x1f", 1, content, &err) < 0);
    assert_int_equal(read_content(plain.data, plain.size, content, &err), 0);
    sh_buffer_free(&two);
    sh_buffer_free(&plain);
    sh_buffer_free(&b);
}

/* Some tools write layers without the last file's padding and the end mark: all data is there. A
 * root file system has no digest that vouches for it, and a file cut in its data is refused in
 * both. */
static void test_layer_without_padding(void **state)
{
    struct sh_buffer b = make(LIST({"a", 'f', "some text"}, {"b", 'f', "more text"}), 0);
    const uint8_t *text = memmem(b.data, b.size, "more text", 9);
    size_t data_end = (size_t)(text - b.data) + 9;
    static const struct {
        int cut; /* from the end of the data */
        bool layer, good;
    } cases[] = {{0, true, true}, {100, true, true}, {0, false, false}, {-1, true, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sh_tree t = new_tree();
        struct sh_error err = {0};
        size_t size = (size_t)((long)data_end + cases[i].cut);
        uint8_t *copy = malloc(size);
        memcpy(copy, b.data, size);
        assert_int_equal(!read_bytes(&t, copy, size, cases[i].layer, &err), cases[i].good);
        if (cases[i].good)
            assert_int_equal(t.root->entry_count, 2);
        free(copy);
        sh_tree_free(&t);
    }
    sh_buffer_free(&b);
}

static void test_noise(void **state)
{
    struct sh_buffer b = make(LIST({"a", 'f', "text"}, {"b/c", 'l', "a"}, {"h", 'h', "a"}), 0);
    unsigned seed = 7;
    for (int i = 0; i < 3000; i++) {
        struct sh_tree t = new_tree();
        struct sh_error err = {0};
        size_t at = (size_t)rand_r(&seed) % b.size;
        uint8_t old = b.data[at];
        b.data[at] = (uint8_t)rand_r(&seed);
        if (read_bytes(&t, b.data, b.size, i & 1, &err))
            assert_true(err.text[0]);
        b.data[at] = old;
        sh_tree_free(&t);
    }
    sh_buffer_free(&b);
}

/* Marks that hide what older layers have, again and again: each costs the same, however much there
 * is. A million times twenty thousand entries would take minutes. */
static void test_many_opaques(void **state)
{
    struct sh_tree t = new_tree();
    struct sh_error err = {0};
    struct sh_inode *folder, *deep = NULL;
    char name[32];
    alarm(30);
    assert_int_equal(sh_tree_add_folder(&t, t.root, "d", &folder, &err), 0);
    for (unsigned layer = 0; layer < 2; layer++) {
        t.layer++;
        for (unsigned i = 0; i < 20000; i++) {
            snprintf(name, sizeof(name), "%u-%u", layer, i);
            assert_int_equal(
                sh_tree_link(&t, folder, name, sh_tree_inode(&t, S_IFREG | 0644), &err), 0);
        }
        for (unsigned i = 0; i < 1000000; i++)
            sh_tree_opaque(&t, folder);
        assert_int_equal(folder->entry_count, 20000);
        assert_int_equal(sh_tree_add_folder(&t, folder, "sub", &deep, &err), 0);
        for (unsigned i = 0; i < 1000000; i++)
            sh_tree_whiteout(&t, t.root, "d");
        assert_int_equal(folder->entry_count, 20001);
    }
    /* The next layer's hides what came after this one's. */
    t.layer++;
    sh_tree_opaque(&t, t.root);
    assert_int_equal(t.root->entry_count, 0);
    alarm(0);
    sh_tree_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_opaques),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_replacing),
        cmocka_unit_test(test_whiteouts),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_gzip),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_acl),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_layer_without_padding),
    };
    return cmocka_run_group_tests_name("tar", tests, NULL, NULL);
}
