// SPDX-License-Identifier: Apache-2.0
// The erofs reader.
#include "trusted/libos/fs/erofs.h"

#include "lib/bytes.h"
#include "trusted/libos/base/mode.h"
#include "trusted/libos/fs/image.h"

#define SUPER_AT 1024u
#define SUPER_SIZE 128u
#define MAGIC 0xe0f5e1e2u
#define NODE_COMPACT 32u
#define NODE_EXTENDED 64u
#define DIRENT_SIZE 12u

enum layout { FLAT_PLAIN = 0, FLAT_INLINE = 2 };

#define NID_SHIFT 48u /* above it the image's number */
#define NID_MASK ((1ull << NID_SHIFT) - 1)

static struct super {
    uint64_t meta_at; /* bytes, in the image's window */
    uint64_t build_time;
    uint32_t build_time_ns;
} supers[IMAGES];

int erofs_open(uint32_t number, uint64_t *root_nid)
{
    uint8_t s[SUPER_SIZE];
    uint64_t window = (uint64_t)number << IMAGE_WINDOW;
    struct super *super = &supers[number];
    int r = image_read(window + SUPER_AT, s, sizeof(s));
    if (r)
        return r;
    /* Feature bits that change the layout: chunks, compression and the like are not ours. */
    if (sh_le32(s) != MAGIC || s[12] != PAGE_SHIFT || sh_le32(s + 80) != 0)
        return -EIO;
    *root_nid = sh_le16(s + 14) | (uint64_t)number << NID_SHIFT;
    super->build_time = sh_le64(s + 24);
    super->build_time_ns = sh_le32(s + 32);
    super->meta_at = window + ((uint64_t)sh_le32(s + 40) << PAGE_SHIFT);
    return 0;
}

uint32_t erofs_number(uint64_t nid)
{
    return (uint32_t)(nid >> NID_SHIFT);
}

static uint32_t decode_rdev(uint32_t v)
{
    return v; /* new_encode_dev: minor low 8, major 12, minor high 12; stat's form is made later */
}

int erofs_node(uint64_t nid, struct erofs_node *n)
{
    uint8_t b[NODE_EXTENDED];
    uint64_t number = nid >> NID_SHIFT, size = image_size((uint32_t)number);
    if ((nid & NID_MASK) >= size / 32)
        return -EIO;
    const struct super *super = &supers[number];
    const uint64_t window = number << IMAGE_WINDOW;
    uint64_t at = super->meta_at + (nid & NID_MASK) * 32;
    int r = image_read(at, b, NODE_COMPACT);
    if (r)
        return r;
    unsigned format = sh_le16(b), layout = format >> 1 & 7;
    bool extended = format & 1;
    if ((format >> 4) || (layout != FLAT_PLAIN && layout != FLAT_INLINE))
        return -EIO;
    if (extended && (r = image_read(at, b, NODE_EXTENDED)))
        return r;
    *n = (struct erofs_node){.nid = nid, .mode = sh_le16(b + 4)};
    uint32_t xattrs = sh_le16(b + 2);
    if (extended) {
        n->size = sh_le64(b + 8);
        n->uid = sh_le32(b + 24);
        n->gid = sh_le32(b + 28);
        n->mtime = sh_le64(b + 32);
        n->mtime_ns = sh_le32(b + 40);
        n->nlink = sh_le32(b + 44);
    } else {
        n->nlink = sh_le16(b + 6);
        n->size = sh_le32(b + 8);
        n->uid = sh_le16(b + 24);
        n->gid = sh_le16(b + 26);
        n->mtime = super->build_time;
        n->mtime_ns = super->build_time_ns;
    }
    uint32_t u = sh_le32(b + 16);
    uint32_t type = n->mode & S_IFMT;
    if (type == S_IFCHR || type == S_IFBLK)
        n->rdev = decode_rdev(u);
    if (type != S_IFREG && type != S_IFDIR && type != S_IFLNK)
        return n->size = 0, 0;
    n->block = (window >> PAGE_SHIFT) + u;
    uint64_t tail = layout == FLAT_INLINE ? n->size % PAGE_SIZE : 0;
    uint64_t blocks = (n->size - tail + PAGE_SIZE - 1) >> PAGE_SHIFT;
    if (n->size > size || (blocks && u + blocks > size >> PAGE_SHIFT))
        return -EIO;
    if (tail) {
        n->inline_at = at + (extended ? NODE_EXTENDED : NODE_COMPACT) +
                       (xattrs ? 12 + 4 * (uint64_t)(xattrs - 1) : 0);
        if (n->inline_at % PAGE_SIZE + tail > PAGE_SIZE || n->inline_at + tail > window + size)
            return -EIO;
    }
    return 0;
}

int64_t erofs_block(const struct erofs_node *n, uint64_t index)
{
    if (n->inline_at && index >= n->size >> PAGE_SHIFT)
        return -ENOENT;
    return (int64_t)(n->block + index);
}

int erofs_read(const struct erofs_node *n, uint64_t offset, void *buf, uint64_t size)
{
    if (offset > n->size || size > n->size - offset)
        return -EIO;
    for (uint8_t *to = buf; size;) {
        uint64_t index = offset >> PAGE_SHIFT, at = offset % PAGE_SIZE;
        uint64_t part = MIN(size, PAGE_SIZE - at);
        int64_t block = erofs_block(n, index);
        uint64_t from = block >= 0 ? ((uint64_t)block << PAGE_SHIFT) + at : n->inline_at + at;
        int r = image_read(from, to, part);
        if (r)
            return r;
        to += part;
        offset += part;
        size -= part;
    }
    return 0;
}

/* One block of a directory, in memory: names stand behind the entries, without NUL. */
struct dir_block {
    uint8_t data[PAGE_SIZE];
    uint32_t size, count;
};

static int read_dir_block(const struct erofs_node *dir, uint64_t index, struct dir_block *b)
{
    uint64_t at = index << PAGE_SHIFT;
    b->size = (uint32_t)MIN(PAGE_SIZE, dir->size - at);
    int r = erofs_read(dir, at, b->data, b->size);
    if (r)
        return r;
    if (b->size < DIRENT_SIZE)
        return -EIO;
    uint32_t names = sh_le16(b->data + 8);
    if (!names || names % DIRENT_SIZE || names > b->size)
        return -EIO;
    b->count = names / DIRENT_SIZE;
    return 0;
}

static int dir_entry(const struct dir_block *b, uint32_t i, const char **name, uint32_t *size)
{
    const uint8_t *e = b->data + i * DIRENT_SIZE;
    uint32_t from = sh_le16(e + 8);
    uint32_t to = i + 1 < b->count ? sh_le16(e + DIRENT_SIZE + 8) : b->size;
    if (from < b->count * DIRENT_SIZE || from >= to || to > b->size)
        return -EIO;
    *name = (const char *)b->data + from;
    *size = (uint32_t)strnlen(*name, to - from);
    if (!*size || *size > EROFS_NAME_MAX || memchr(*name, '/', *size))
        return -EIO;
    return 0;
}

/* What an entry names is in the directory's image. */
static uint64_t nid_in(const struct erofs_node *dir, const uint8_t *entry)
{
    return (dir->nid & ~NID_MASK) | (sh_le64(entry) & NID_MASK);
}

static int compare_names(const char *a, uint32_t a_size, const char *b, uint32_t b_size)
{
    int c = memcmp(a, b, MIN(a_size, b_size));
    return c ? c : (int)a_size - (int)b_size;
}

static int find_in_block(const struct erofs_node *dir, struct dir_block *b, const char *name,
                         uint32_t size, uint64_t *nid)
{
    const char *n;
    uint32_t n_size;
    int r;
    /* The last block whose first name is not greater. */
    uint64_t low = 0, high = (dir->size + PAGE_SIZE - 1) >> PAGE_SHIFT;
    while (low + 1 < high) {
        uint64_t mid = (low + high) / 2;
        if ((r = read_dir_block(dir, mid, b)) || (r = dir_entry(b, 0, &n, &n_size)))
            return r;
        if (compare_names(n, n_size, name, size) <= 0)
            low = mid;
        else
            high = mid;
    }
    if (!high)
        return -ENOENT;
    if ((r = read_dir_block(dir, low, b)))
        return r;
    for (uint32_t i = 0; i < b->count; i++) {
        if ((r = dir_entry(b, i, &n, &n_size)))
            return r;
        if (compare_names(n, n_size, name, size) == 0) {
            *nid = nid_in(dir, b->data + i * DIRENT_SIZE);
            return 0;
        }
    }
    return -ENOENT;
}

int erofs_lookup(const struct erofs_node *dir, const char *name, uint32_t size, uint64_t *nid)
{
    struct dir_block *b = los_alloc(sizeof(*b));
    if (!b)
        return -ENOMEM;
    int r = find_in_block(dir, b, name, size, nid);
    los_free(b);
    return r;
}

int erofs_list(const struct erofs_node *dir, erofs_each *each, void *arg)
{
    struct dir_block *b = los_alloc(sizeof(*b));
    int r = b ? 0 : -ENOMEM;
    for (uint64_t at = 0; !r && at < (dir->size + PAGE_SIZE - 1) >> PAGE_SHIFT; at++) {
        r = read_dir_block(dir, at, b);
        for (uint32_t i = 0; !r && i < b->count; i++) {
            const uint8_t *e = b->data + i * DIRENT_SIZE;
            const char *name;
            uint32_t size;
            if ((r = dir_entry(b, i, &name, &size)))
                break;
            if ((size == 1 && name[0] == '.') || (size == 2 && name[0] == '.' && name[1] == '.'))
                continue;
            r = each(arg, name, size, nid_in(dir, e), e[10]);
        }
    }
    los_free(b);
    return r;
}
