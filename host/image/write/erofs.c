// SPDX-License-Identifier: Apache-2.0
// erofs writer: first every place is computed, then the image is written front to back.
#include "host/image/write/erofs.h"

#include <errno.h>
#include <string.h>

#include <shelter/erofs.h>

#include "host/base/progress.h"
#include "lib/bytes.h"

#define BLOCK SH_EROFS_BLOCK
#define XATTR_HEAD 12u
#define INODE 64u

struct layout {
    struct sh_inode **list; /* in the order of their numbers */
    size_t count;
    uint64_t cursor; /* byte where the next inode may start */
    uint64_t blocks;
};

static bool has_content(const struct sh_inode *i)
{
    return S_ISREG(i->mode) || S_ISDIR(i->mode) || S_ISLNK(i->mode);
}

/* --- folders --- */

static uint8_t type_of(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return SH_EROFS_FILE;
    case S_IFDIR:
        return SH_EROFS_FOLDER;
    case S_IFCHR:
        return SH_EROFS_CHARACTER;
    case S_IFBLK:
        return SH_EROFS_BLOCK_DEVICE;
    case S_IFIFO:
        return SH_EROFS_FIFO;
    case S_IFSOCK:
        return SH_EROFS_SOCKET;
    default:
        return SH_EROFS_SYMLINK;
    }
}

struct name {
    const char *text;
    size_t size;
    const struct sh_inode *inode;
};

/* The folder's names with "." and "..", ascending. */
static struct name *folder_names(const struct sh_inode *folder, size_t *count)
{
    size_t n = 0, k = 0;
    struct name *names = sh_realloc_array(NULL, folder->entry_count + 2, sizeof(*names));
    const struct name dots[2] = {{".", 1, folder}, {"..", 2, folder->parent}};
    for (size_t d = 0; d < 2; d++) {
        for (; k < folder->entry_count && strcmp(folder->entries[k].name, dots[d].text) < 0; k++) {
            const struct sh_entry *e = &folder->entries[k];
            names[n++] = (struct name){e->name, strlen(e->name), e->inode};
        }
        names[n++] = dots[d];
    }
    for (; k < folder->entry_count; k++) {
        const struct sh_entry *e = &folder->entries[k];
        names[n++] = (struct name){e->name, strlen(e->name), e->inode};
    }
    *count = n;
    return names;
}

/* How many names from `first` on go into one block, and the bytes they take. */
static size_t fill_block(const struct name *names, size_t count, size_t first, size_t *used)
{
    size_t n = 0, size = 0;
    while (first + n < count && size + 12 + names[first + n].size <= BLOCK) {
        size += 12 + names[first + n].size;
        n++;
    }
    *used = size;
    return n;
}

static uint64_t folder_size(const struct sh_inode *folder)
{
    size_t count, used;
    uint64_t size = 0;
    struct name *names = folder_names(folder, &count);
    for (size_t first = 0; first < count;) {
        size_t n = fill_block(names, count, first, &used);
        first += n;
        size += first == count ? used : BLOCK;
    }
    free(names);
    return size;
}

static void folder_content(const struct sh_inode *folder, struct sh_buffer *out)
{
    size_t count, used;
    struct name *names = folder_names(folder, &count);
    for (size_t first = 0; first < count;) {
        uint8_t block[BLOCK] = {0};
        size_t n = fill_block(names, count, first, &used), at = 12 * n;
        for (size_t k = 0; k < n; k++) {
            const struct name *name = &names[first + k];
            uint8_t *d = block + 12 * k;
            sh_put_le64(d, name->inode->nid);
            sh_put_le16(d + 8, (uint16_t)at);
            d[10] = type_of(name->inode->mode);
            memcpy(block + at, name->text, name->size);
            at += name->size;
        }
        first += n;
        sh_buffer_add(out, block, first == count ? used : BLOCK);
    }
    free(names);
}

/* --- places --- */

static uint32_t xattr_size(const struct sh_inode *i)
{
    uint32_t size = 0;
    for (size_t k = 0; k < i->xattr_count; k++)
        size += (4u + i->xattrs[k].name_size + i->xattrs[k].value_size + 3u) & ~3u;
    return size ? XATTR_HEAD + size : 0;
}

static int place_inode(struct layout *l, struct sh_inode *i, struct sh_error *err)
{
    l->list = (l->count & (l->count - 1))
                  ? l->list
                  : sh_realloc_array(l->list, l->count ? 2 * l->count : 1, sizeof(*l->list));
    l->list[l->count++] = i;
    i->number = (uint32_t)l->count;
    if (S_ISDIR(i->mode)) {
        sh_tree_sort(i);
        i->size = folder_size(i);
    } else if (S_ISLNK(i->mode))
        i->size = strlen(i->target);
    i->xattr_size = xattr_size(i);
    if (i->xattr_size > XATTR_HEAD + 4 * 65534u)
        return sh_fail(err, -E2BIG, "a file's extended attributes take more than 256 kB");

    uint64_t head = INODE + i->xattr_size;
    uint64_t tail = has_content(i) ? i->size % BLOCK : 0;
    uint64_t left = BLOCK - l->cursor % BLOCK;
    i->tail_inline = tail && head + tail <= BLOCK;
    /* A tail that does not fit here goes into the next block, or, where that would waste more, into
     * a block of its own. */
    if (i->tail_inline && head + tail > left && head <= left && BLOCK - tail < left)
        i->tail_inline = false;
    uint64_t need = i->tail_inline ? head + tail : head;
    if (need > left && left != BLOCK)
        l->cursor += left;
    i->nid = l->cursor / SH_EROFS_SLOT;
    l->cursor = (l->cursor + need + SH_EROFS_SLOT - 1) / SH_EROFS_SLOT * SH_EROFS_SLOT;
    return 0;
}

/* Depth first, names ascending: the order does not depend on the input's. */
static int place_inodes(struct layout *l, struct sh_inode *folder, struct sh_error *err)
{
    int r = place_inode(l, folder, err);
    folder->link_count = 2;
    for (size_t k = 0; !r && k < folder->entry_count; k++) {
        struct sh_inode *i = folder->entries[k].inode;
        if (S_ISDIR(i->mode)) {
            folder->link_count++;
            r = place_inodes(l, i, err);
        } else if (!i->number) {
            r = place_inode(l, i, err);
        }
    }
    return r;
}

static uint64_t own_blocks(const struct sh_inode *i)
{
    if (!has_content(i))
        return 0;
    return i->tail_inline ? i->size / BLOCK : (i->size + BLOCK - 1) / BLOCK;
}

static int place_blocks(struct layout *l, struct sh_error *err)
{
    l->blocks = (l->cursor + BLOCK - 1) / BLOCK;
    for (int folders = 1; folders >= 0; folders--) {
        for (size_t k = 0; k < l->count; k++) {
            struct sh_inode *i = l->list[k];
            if (S_ISDIR(i->mode) != folders || !own_blocks(i))
                continue;
            i->block = (uint32_t)l->blocks;
            l->blocks += own_blocks(i);
            if (l->blocks > UINT32_MAX)
                return sh_fail(err, -EFBIG, "the root file system is larger than 16 TiB");
        }
    }
    return 0;
}

/* --- writing --- */

static uint32_t compute_crc32c(uint32_t crc, const uint8_t *p, size_t size)
{
    while (size--) {
        crc ^= *p++;
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return crc;
}

static int write_super(const struct layout *l, struct sh_sink *sink, struct sh_error *err)
{
    uint8_t block[BLOCK] = {0};
    uint8_t *sb = block + SH_EROFS_SUPER_OFFSET;
    sh_put_le32(sb, SH_EROFS_MAGIC);
    sh_put_le32(sb + 8, SH_EROFS_COMPAT_CHECKSUM | SH_EROFS_COMPAT_MTIME);
    sb[12] = 12;
    sh_put_le16(sb + 14, SH_EROFS_ROOT_NID);
    sh_put_le64(sb + 16, l->count);
    sh_put_le32(sb + 36, (uint32_t)l->blocks);
    memcpy(sb + 48, "shelter root img", 16);
    memcpy(sb + 64, "shelter", 7);
    sh_put_le32(sb + 4, compute_crc32c(~0u, sb, BLOCK - SH_EROFS_SUPER_OFFSET));
    return sh_sink_add(sink, block, BLOCK, err);
}

static int write_xattrs(const struct sh_inode *i, struct sh_sink *sink, struct sh_error *err)
{
    if (!i->xattr_size)
        return 0;
    struct sh_buffer b = {0};
    static const uint8_t zeros[XATTR_HEAD];
    sh_buffer_add(&b, zeros, XATTR_HEAD);
    for (size_t k = 0; k < i->xattr_count; k++) {
        const struct sh_xattr *x = &i->xattrs[k];
        uint8_t head[4] = {x->name_size, x->index};
        sh_put_le16(head + 2, x->value_size);
        sh_buffer_add(&b, head, 4);
        sh_buffer_add(&b, x->data, (size_t)x->name_size + x->value_size);
        sh_buffer_add(&b, zeros, -b.size % 4);
    }
    int r = sh_sink_add(sink, b.data, b.size, err);
    sh_buffer_free(&b);
    return r;
}

/* Bytes [from, from + size) of an inode's content. */
static int write_content(const struct sh_tree *tree, const struct sh_inode *i, uint64_t from,
                         uint64_t size, struct sh_sink *sink, struct sh_error *err)
{
    if (S_ISREG(i->mode))
        return sh_sink_copy(sink, tree->spool_fd, i->spool + from, size, err);
    if (S_ISLNK(i->mode))
        return sh_sink_add(sink, i->target + from, (size_t)size, err);
    struct sh_buffer b = {0};
    folder_content(i, &b);
    int r = sh_sink_add(sink, b.data + from, (size_t)size, err);
    sh_buffer_free(&b);
    return r;
}

static int write_inode(const struct sh_tree *tree, const struct sh_inode *i, struct sh_sink *sink,
                       struct sh_error *err)
{
    uint8_t d[INODE] = {0};
    bool device = S_ISCHR(i->mode) || S_ISBLK(i->mode);
    int r = sh_sink_zero(sink, i->nid * SH_EROFS_SLOT - sh_sink_at(sink), err);
    if (r)
        return r;
    sh_put_le16(d, SH_EROFS_EXTENDED | (i->tail_inline ? SH_EROFS_INLINE : SH_EROFS_PLAIN));
    sh_put_le16(d + 2, i->xattr_size ? (uint16_t)(1 + (i->xattr_size - XATTR_HEAD) / 4) : 0);
    sh_put_le16(d + 4, (uint16_t)i->mode);
    sh_put_le64(d + 8, has_content(i) ? i->size : 0);
    sh_put_le32(d + 16, device ? i->device : i->block);
    sh_put_le32(d + 20, i->number);
    sh_put_le32(d + 24, i->uid);
    sh_put_le32(d + 28, i->gid);
    sh_put_le64(d + 32, (uint64_t)i->mtime);
    sh_put_le32(d + 40, i->mtime_nsec);
    sh_put_le32(d + 44, i->link_count);
    r = sh_sink_add(sink, d, INODE, err);
    if (!r)
        r = write_xattrs(i, sink, err);
    if (!r && i->tail_inline)
        r = write_content(tree, i, i->size - i->size % BLOCK, i->size % BLOCK, sink, err);
    return r;
}

static int to_block_end(struct sh_sink *sink, struct sh_error *err)
{
    return sh_sink_zero(sink, -sh_sink_at(sink) % BLOCK, err);
}

static int write_blocks(const struct sh_tree *tree, const struct layout *l, struct sh_sink *sink,
                        struct sh_error *err)
{
    int r = to_block_end(sink, err);
    for (int folders = 1; folders >= 0; folders--) {
        for (size_t k = 0; !r && k < l->count; k++) {
            const struct sh_inode *i = l->list[k];
            if (S_ISDIR(i->mode) != folders || !own_blocks(i))
                continue;
            uint64_t size = i->tail_inline ? i->size / BLOCK * BLOCK : i->size;
            r = write_content(tree, i, 0, size, sink, err);
            if (!r)
                r = to_block_end(sink, err);
        }
    }
    return r;
}

static void show_progress(void *context, uint64_t done, uint64_t total)
{
    sh_progress_show(context, "writing the root image", done, total);
}

int sh_erofs_write(struct sh_tree *tree, int fd, struct sh_progress *progress,
                   struct sh_erofs_result *result, struct sh_error *err)
{
    struct layout l = {.cursor = BLOCK};
    struct sh_sink sink = {.fd = -1};
    int r = place_inodes(&l, tree->root, err);
    if (!r)
        r = place_blocks(&l, err);
    if (!r)
        r = sh_sink_open(&sink, fd, l.blocks, err);
    if (!r) {
        sink.progress = show_progress;
        sink.context = progress;
        r = write_super(&l, &sink, err);
    }
    for (size_t k = 0; !r && k < l.count; k++)
        r = write_inode(tree, l.list[k], &sink, err);
    if (!r)
        r = write_blocks(tree, &l, &sink, err);
    if (!r)
        r = sh_sink_finish(&sink, err);
    if (!r) {
        result->root_size = l.blocks * BLOCK;
        result->image_size = sink.verity.total_blocks * BLOCK;
        result->inode_count = l.count;
        memcpy(result->root_hash, sink.root, sizeof(result->root_hash));
    }
    sh_sink_close(&sink);
    free(l.list);
    return r;
}
