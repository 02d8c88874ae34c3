// SPDX-License-Identifier: Apache-2.0
// The erofs writer against a reader written from <shelter/erofs.h> alone, and against fsck.erofs.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <shelter/erofs.h>

#include "host/image/write/erofs.h"
#include "lib/bytes.h"

/* --- a reader of the documented subset --- */

struct view {
    const uint8_t *data;
    size_t size;
};

struct node {
    struct sh_erofs_inode head;
    const uint8_t *xattrs, *tail;
    size_t xattr_size;
    uint64_t offset;
};

static struct node node_at(const struct view *v, uint64_t nid)
{
    struct node n = {.offset = nid * SH_EROFS_SLOT};
    assert_true(n.offset >= SH_EROFS_BLOCK && n.offset + 64 <= v->size);
    assert_true(n.offset % SH_EROFS_BLOCK + 64 <= SH_EROFS_BLOCK);
    memcpy(&n.head, v->data + n.offset, sizeof(n.head));
    uint16_t layout = n.head.format & ~1u;
    assert_true(n.head.format & SH_EROFS_EXTENDED);
    assert_true(layout == SH_EROFS_PLAIN || layout == SH_EROFS_INLINE);
    n.xattr_size = n.head.xattr_count ? 12 + 4u * (n.head.xattr_count - 1) : 0;
    n.xattrs = v->data + n.offset + 64;
    assert_true(n.offset + 64 + n.xattr_size <= v->size);
    if (layout == SH_EROFS_INLINE) {
        uint64_t at = n.offset + 64 + n.xattr_size, tail = n.head.size % SH_EROFS_BLOCK;
        assert_true(tail && at / SH_EROFS_BLOCK == (at + tail - 1) / SH_EROFS_BLOCK);
        n.tail = v->data + at;
    }
    return n;
}

static uint8_t *content_of(const struct view *v, const struct node *n)
{
    uint64_t size = n->head.size, whole = n->tail ? size / 4096 * 4096 : size;
    uint8_t *out = sh_alloc(size + 1);
    if (whole) {
        uint64_t at = (uint64_t)n->head.block_or_device * 4096;
        assert_true(at + whole <= v->size);
        memcpy(out, v->data + at, whole);
    }
    if (n->tail)
        memcpy(out + whole, n->tail, size - whole);
    return out;
}

static uint64_t lookup(const uint8_t *content, uint64_t size, const char *name, uint8_t *type)
{
    uint64_t found = 0;
    char last[256] = "";
    for (uint64_t b = 0; b < size; b += 4096) {
        const uint8_t *block = content + b;
        size_t used = size - b < 4096 ? (size_t)(size - b) : 4096;
        size_t count = sh_le16(block + 8) / 12;
        assert_true(count && count * 12 == sh_le16(block + 8) && count * 12 <= used);
        for (size_t k = 0; k < count; k++) {
            const uint8_t *d = block + 12 * k;
            size_t start = sh_le16(d + 8), end = k + 1 < count ? sh_le16(d + 20) : used;
            assert_true(start < end && end <= used);
            char text[256] = "";
            size_t n = strnlen((const char *)block + start, end - start);
            assert_true(n && n < 256);
            memcpy(text, block + start, n);
            assert_true(strcmp(last, text) < 0); /* ascending, through all blocks */
            memcpy(last, text, sizeof(last));
            if (!strcmp(text, name)) {
                found = sh_le64(d);
                *type = d[10];
            }
        }
    }
    return found;
}

/* Compares a written folder with the tree it was written from. */
static void compare(const struct view *v, const struct sh_tree *t, const struct sh_inode *i,
                    uint64_t nid, size_t *seen)
{
    struct node n = node_at(v, nid);
    assert_int_equal(n.head.mode, i->mode);
    assert_int_equal(n.head.uid, i->uid);
    assert_int_equal(n.head.gid, i->gid);
    assert_true((int64_t)n.head.mtime == i->mtime);
    assert_int_equal(n.head.mtime_nsec, i->mtime_nsec);
    assert_int_equal(n.head.link_count, i->link_count);
    (*seen)++;
    const uint8_t *x = n.xattrs + 12;
    for (size_t k = 0; k < i->xattr_count; k++) {
        const struct sh_xattr *want = &i->xattrs[k];
        assert_int_equal(x[0], want->name_size);
        assert_int_equal(x[1], want->index);
        assert_int_equal(sh_le16(x + 2), want->value_size);
        assert_memory_equal(x + 4, want->data, (size_t)want->name_size + want->value_size);
        x += (4u + want->name_size + want->value_size + 3u) & ~3u;
    }
    assert_true(i->xattr_count ? x == n.xattrs + n.xattr_size : !n.xattr_size);
    if (S_ISCHR(i->mode) || S_ISBLK(i->mode)) {
        assert_int_equal(n.head.block_or_device, i->device);
        return;
    }
    uint8_t *content = content_of(v, &n);
    if (S_ISLNK(i->mode)) {
        assert_string_equal((char *)content, i->target);
    } else if (S_ISREG(i->mode)) {
        uint8_t *want = sh_alloc(i->size + 1);
        assert_int_equal(n.head.size, i->size);
        assert_int_equal(sh_pread_all(t->spool_fd, want, i->size, (off_t)i->spool), 0);
        assert_memory_equal(content, want, i->size);
        free(want);
    } else if (S_ISDIR(i->mode)) {
        uint8_t type;
        assert_int_equal(lookup(content, n.head.size, ".", &type), nid);
        assert_int_equal(lookup(content, n.head.size, "..", &type), i->parent->nid);
        assert_int_equal(lookup(content, n.head.size, "not there", &type), 0);
        for (size_t k = 0; k < i->entry_count; k++) {
            uint64_t child = lookup(content, n.head.size, i->entries[k].name, &type);
            assert_true(child);
            assert_int_equal(type == SH_EROFS_FOLDER, S_ISDIR(i->entries[k].inode->mode));
            compare(v, t, i->entries[k].inode, child, seen);
        }
    }
    free(content);
}

/* --- making trees --- */

static struct sh_tree new_tree(void)
{
    struct sh_tree t;
    struct sh_error err = {0};
    int dir = open("/tmp", O_RDONLY | O_DIRECTORY);
    assert_int_equal(sh_tree_init(&t, dir, &err), 0);
    close(dir);
    return t;
}

static struct sh_inode *add(struct sh_tree *t, const char *path, uint32_t mode, uint64_t size)
{
    struct sh_error err = {0};
    struct sh_inode *folder, *i;
    char *name;
    assert_int_equal(sh_tree_parent(t, path, true, &folder, &name, &err), 0);
    if (S_ISDIR(mode)) {
        assert_int_equal(sh_tree_add_folder(t, folder, name, &i, &err), 0);
        i->mode = mode;
    } else {
        i = sh_tree_inode(t, mode);
        i->size = size;
        assert_int_equal(sh_tree_reserve(t, size, &i->spool, &err), 0);
        for (uint64_t at = 0; at < size; at += 1000) {
            char text[1000];
            size_t n = size - at < 1000 ? (size_t)(size - at) : 1000;
            memset(text, (int)(at + size), n);
            sh_pwrite_all(t->spool_fd, text, n, (off_t)(i->spool + at));
        }
        assert_int_equal(sh_tree_link(t, folder, name, i, &err), 0);
    }
    free(name);
    return i;
}

/* Writes, checks with the reader above and with fsck.erofs; returns the root digest's first bytes.
 */
static uint64_t check_tree(struct sh_tree *t)
{
    struct sh_error err = {0};
    struct sh_erofs_result r;
    char path[] = "/tmp/erofs-test.XXXXXX", command[128];
    int fd = mkstemp(path);
    if (sh_erofs_write(t, fd, NULL, &r, &err))
        fail_msg("%s", err.text);
    struct view v = {.size = r.root_size};
    uint8_t *data = sh_alloc(r.root_size);
    assert_int_equal(lseek(fd, 0, SEEK_END), r.image_size);
    assert_int_equal(sh_pread_all(fd, data, r.root_size, 0), 0);
    v.data = data;
    struct sh_erofs_super sb;
    memcpy(&sb, data + SH_EROFS_SUPER_OFFSET, sizeof(sb));
    assert_int_equal(sb.magic, SH_EROFS_MAGIC);
    assert_int_equal(sb.root_nid, SH_EROFS_ROOT_NID);
    assert_int_equal(sb.block_count * 4096ull, r.root_size);
    assert_int_equal(sb.feature_incompat, 0);
    size_t seen = 0;
    compare(&v, t, t->root, sb.root_nid, &seen);
    assert_true(seen >= r.inode_count);
    assert_int_equal(sb.inode_count, r.inode_count);
    if (!system("command -v fsck.erofs >/dev/null")) {
        snprintf(command, sizeof(command), "fsck.erofs %s >/dev/null 2>&1", path);
        assert_int_equal(system(command), 0);
    }
    free(data);
    close(fd);
    unlink(path);
    return sh_le64(r.root_hash);
}

static void test_empty(void **state)
{
    struct sh_tree t = new_tree();
    check_tree(&t);
    sh_tree_free(&t);
}

static void test_sizes(void **state)
{
    struct sh_tree t = new_tree();
    char path[64];
    /* Around every edge: slots, blocks, the place that is left behind an inode. */
    for (uint64_t size = 0; size < 4300; size += size % 64 < 2 || size % 64 > 61 ? 1 : 29) {
        snprintf(path, sizeof(path), "s%03d/file-%llu", (int)(size % 3), (unsigned long long)size);
        add(&t, path, S_IFREG | 0644, size);
    }
    for (uint64_t size = 8000; size < 70000; size += 4099)
        add(&t, (snprintf(path, sizeof(path), "big-%llu", (unsigned long long)size), path),
            S_IFREG | 0600, size);
    check_tree(&t);
    sh_tree_free(&t);
}

static void test_kinds(void **state)
{
    struct sh_tree t = new_tree();
    struct sh_error err = {0};
    struct sh_inode *i = add(&t, "dev/null", S_IFCHR | 0666, 0);
    i->device = 3 | 1 << 8;
    i = add(&t, "dev/disk", S_IFBLK | 0600, 0);
    i->device = (70000 & 0xff) | 259 << 8 | (70000 & ~0xffu) << 12;
    add(&t, "fifo", S_IFIFO | 0640, 0);
    add(&t, "socket", S_IFSOCK | 0755, 0);
    i = add(&t, "link", S_IFLNK | 0777, 0);
    i->target = sh_strdup("../etc/passwd");
    i = add(&t, "long-link", S_IFLNK | 0777, 0);
    i->target = sh_alloc(4096);
    memset(i->target, 'x', 4095);
    i = add(&t, "setuid", S_IFREG | 06755, 10);
    i->uid = 4000000000u;
    i->gid = 65534;
    i->mtime = -1;
    i->mtime_nsec = 999999999;
    /* One inode, three names. */
    i = add(&t, "hard/a", S_IFREG | 0644, 5000);
    assert_int_equal(sh_tree_link(&t, t.root, "hard-b", i, &err), 0);
    assert_int_equal(sh_tree_link(&t, t.root, "!first", i, &err), 0);
    i = add(&t, "attributes", S_IFREG | 0644, 100);
    assert_int_equal(sh_tree_xattr(i, "user.b", "value", 5, &err), 0);
    assert_int_equal(sh_tree_xattr(i, "user.a", "", 0, &err), 0);
    assert_int_equal(sh_tree_xattr(i, "user.b", "other", 5, &err), 0);
    assert_int_equal(sh_tree_xattr(i, "security.capability", "\1\0\0\2xxxxxxxxxxxxxxxx", 20, &err),
                     0);
    assert_int_equal(sh_tree_xattr(i, "system.posix_acl_access", "\2\0\0\0", 4, &err), 0);
    assert_int_equal(sh_tree_xattr(i, "trusted.overlay.opaque", "y", 1, &err), 0);
    assert_int_equal(sh_tree_xattr(i, "com.apple.x", "y", 1, &err), 0);
    assert_int_equal(sh_tree_xattr(i, "user.", "y", 1, &err), 0);
    assert_int_equal(i->xattr_count, 4);
    /* Attributes that fill a block, and more than one. */
    for (int n = 3800; n < 4100; n += 7) {
        char path[32];
        uint8_t *value = sh_alloc((size_t)n);
        i = add(&t, (snprintf(path, sizeof(path), "x/%d", n), path), S_IFREG | 0644, 50);
        assert_int_equal(sh_tree_xattr(i, "user.big", value, (size_t)n, &err), 0);
        free(value);
    }
    uint8_t *huge = sh_alloc(65536);
    i = add(&t, "x/huge", S_IFREG | 0644, 50);
    assert_int_equal(sh_tree_xattr(i, "user.huge", huge, 65535, &err), 0);
    assert_int_equal(sh_tree_xattr(i, "user.too", huge, 65536, &err), -E2BIG);
    free(huge);
    check_tree(&t);
    sh_tree_free(&t);
}

static void test_names(void **state)
{
    struct sh_tree t = new_tree();
    struct sh_error err = {0};
    char name[300];
    static const char *const odd[] = {"new\nline", "-",    "!", "..a", "...",
                                      "\xff\xfe",  "\x01", "z", "~"};
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        add(&t, odd[i], S_IFREG | 0644, 1);
    memset(name, 'n', 255);
    name[255] = 0;
    add(&t, name, S_IFREG | 0644, 1);
    name[255] = 'n';
    name[256] = 0;
    struct sh_inode *i = sh_tree_inode(&t, S_IFREG | 0644);
    assert_int_equal(sh_tree_link(&t, t.root, name, i, &err), -ENAMETOOLONG);
    sh_tree_inode_drop(i);
    /* Folders whose names just fill blocks. */
    for (int count = 0; count < 60; count++) {
        for (int k = 0; k < count; k++) {
            char path[400];
            snprintf(path, sizeof(path), "f%02d/%0*d", count, 128 - 12, k);
            add(&t, path, S_IFREG | 0644, 0);
        }
    }
    check_tree(&t);
    sh_tree_free(&t);
}

static void test_order(void **state)
{
    /* The image does not depend on the order in which things came. */
    uint64_t hash[2];
    for (int turn = 0; turn < 2; turn++) {
        struct sh_tree t = new_tree();
        for (int k = 0; k < 500; k++) {
            int n = turn ? 499 - k : k;
            char path[64];
            snprintf(path, sizeof(path), "d%d/e%d/f%d", n % 7, n % 11, n);
            add(&t, path, S_IFREG | 0644, (uint64_t)n * 37);
        }
        hash[turn] = check_tree(&t);
        sh_tree_free(&t);
    }
    assert_true(hash[0] == hash[1]);
}

static void test_sparse(void **state)
{
    struct sh_tree t = new_tree();
    struct sh_error err = {0};
    struct sh_inode *i = sh_tree_inode(&t, S_IFREG | 0644);
    i->size = 40 << 20;
    assert_int_equal(sh_tree_reserve(&t, i->size, &i->spool, &err), 0);
    sh_pwrite_all(t.spool_fd, "middle", 6, (off_t)i->spool + 12345678);
    sh_pwrite_all(t.spool_fd, "end", 3, (off_t)(i->spool + i->size - 3));
    assert_int_equal(sh_tree_link(&t, t.root, "sparse", i, &err), 0);
    uint64_t sparse = check_tree(&t);
    /* The same content without holes gives the same image. */
    uint8_t *data = sh_alloc(i->size);
    sh_pread_all(t.spool_fd, data, i->size, (off_t)i->spool);
    sh_pwrite_all(t.spool_fd, data, i->size, (off_t)i->spool);
    free(data);
    i->number = 0;
    assert_true(check_tree(&t) == sparse);
    sh_tree_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty), cmocka_unit_test(test_sizes), cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_names), cmocka_unit_test(test_order), cmocka_unit_test(test_sparse),
    };
    return cmocka_run_group_tests_name("erofs", tests, NULL, NULL);
}
