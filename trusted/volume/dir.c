// SPDX-License-Identifier: Apache-2.0
// Directories: extendible hashing (Fagin et al., 1979) over the blocks of a file.
//
// Blocks 0..buckets-1 hold entries, each of one bucket. Of the hash of a name (SipHash-2-4 under a
// key of the volume's own) the first `depth` bits say which: entry of the table, u32 each, in
// blocks TABLE on. A directory of one bucket needs no table. A full bucket is split by its next
// bit, and the table doubled when there is none left. Buckets do not merge: a directory keeps its
// blocks until it is removed. A list goes by hash.
#include "trusted/volume/internal.h"

#include "lib/bytes.h"

#define TABLE (1u << 20) /* the table's first block */
#define DEPTH_MAX 17u
#define IN_TABLE_BLOCK (BLOCK_SIZE / 4)

struct bucket {
    uint16_t used; /* bytes of data */
    uint8_t depth, zero[5];
    uint8_t data[BLOCK_SIZE - 8];
};

/* An entry's head; the name follows. */
struct entry {
    uint64_t ino;
    uint32_t hash;
    uint8_t type, size, zero[2]; /* type: the mode's top four bits */
};
_Static_assert(sizeof(struct entry) == 16, "packed");

static uint64_t rotate_left(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static void sip_round(uint64_t s[4])
{
    s[0] += s[1];
    s[1] = rotate_left(s[1], 13) ^ s[0];
    s[0] = rotate_left(s[0], 32);
    s[2] += s[3];
    s[3] = rotate_left(s[3], 16) ^ s[2];
    s[0] += s[3];
    s[3] = rotate_left(s[3], 21) ^ s[0];
    s[2] += s[1];
    s[1] = rotate_left(s[1], 17) ^ s[2];
    s[2] = rotate_left(s[2], 32);
}

/* SipHash-2-4 (Aumasson, Bernstein, 2012), its upper half. */
static uint32_t hash_of(const struct volume *v, struct volume_name name)
{
    uint64_t k0 = v->super.hash_key[0], k1 = v->super.hash_key[1];
    uint64_t s[4] = {k0 ^ 0x736f6d6570736575ull, k1 ^ 0x646f72616e646f6dull,
                     k0 ^ 0x6c7967656e657261ull, k1 ^ 0x7465646279746573ull};
    for (size_t at = 0; at <= name.size; at += 8) {
        uint8_t word[8] = {0};
        size_t n = name.size - at < 8 ? name.size - at : 8;
        memcpy(word, name.text + at, n);
        if (n < 8)
            word[7] = (uint8_t)name.size;
        uint64_t m = sh_le64(word);
        s[3] ^= m;
        sip_round(s);
        sip_round(s);
        s[0] ^= m;
    }
    s[2] ^= 0xff;
    for (unsigned i = 0; i < 4; i++)
        sip_round(s);
    return (uint32_t)((s[0] ^ s[1] ^ s[2] ^ s[3]) >> 32);
}

/* The entry at *at, which moves behind it; NULL at the end. What is not whole is no entry. */
static uint8_t *next_entry(struct bucket *b, size_t *at, struct entry *e)
{
    uint8_t *p = b->data + *at;
    if (*at + sizeof(*e) > b->used)
        return NULL;
    memcpy(e, p, sizeof(*e));
    if (*at + sizeof(*e) + e->size > b->used)
        return NULL;
    *at += sizeof(*e) + e->size;
    return p;
}

static int get_directory(struct volume *v, uint64_t dir, struct disk_inode **out)
{
    int r = ino_get(v, dir, out, NULL);
    if (!r && ((*out)->mode & TYPE_MASK) != TYPE_DIR)
        r = -ENOTDIR;
    if (!r && ((*out)->depth > DEPTH_MAX || (*out)->buckets > TABLE))
        r = -EIO;
    return r;
}

static int table_node(struct volume *v, uint64_t dir, uint32_t at, int flags, uint32_t **out,
                      struct node **node)
{
    int r = tree_node(v, dir, 0, TABLE + at / IN_TABLE_BLOCK, flags, node);
    if (!r)
        *out = (uint32_t *)(*node)->data + at % IN_TABLE_BLOCK;
    return r == -ENOENT ? -EIO : r;
}

/* The bucket of a hash: its number and node. -ENOENT: the directory has none yet. */
static int find_bucket(struct volume *v, uint64_t dir, uint32_t hash, uint32_t *number,
                       struct node **out)
{
    struct disk_inode *i;
    struct node *n;
    uint32_t *slot;
    int r = get_directory(v, dir, &i);
    if (r)
        return r;
    *number = 0;
    if (!i->buckets)
        return -ENOENT;
    if (i->depth) {
        r = table_node(v, dir, hash >> (32 - i->depth), 0, &slot, &n);
        if (r)
            return r;
        *number = *slot;
    }
    if (*number >= i->buckets)
        return -EIO;
    r = tree_node(v, dir, 0, *number, 0, out);
    if (r)
        return r == -ENOENT ? -EIO : r;
    const struct bucket *b = (const struct bucket *)(*out)->data;
    return b->used > sizeof(b->data) || b->depth > i->depth ? -EIO : 0;
}

static uint8_t *find_entry(struct bucket *b, uint32_t hash, struct volume_name name,
                           struct entry *e)
{
    uint8_t *p;
    for (size_t at = 0; (p = next_entry(b, &at, e));) {
        if (e->hash == hash && e->size == name.size && !memcmp(p + sizeof(*e), name.text, e->size))
            return p;
    }
    return NULL;
}

static int find_name(struct volume *v, uint64_t dir, struct volume_name name, struct node **node,
                     uint8_t **place, struct entry *e)
{
    uint32_t number, hash = hash_of(v, name);
    int r = find_bucket(v, dir, hash, &number, node);
    if (r)
        return r;
    *place = find_entry((struct bucket *)(*node)->data, hash, name, e);
    return *place ? 0 : -ENOENT;
}

int dir_find(struct volume *v, uint64_t dir, struct volume_name name, uint64_t *ino, uint32_t *type)
{
    struct node *n;
    struct entry e;
    uint8_t *p;
    int r = find_name(v, dir, name, &n, &p, &e);
    if (r)
        return r;
    *ino = e.ino;
    *type = (uint32_t)e.type << 12;
    return 0;
}

static int double_table(struct volume *v, uint64_t dir, struct disk_inode *i)
{
    uint32_t *from, *to, old = 1u << i->depth;
    struct node *n, *m;
    if (i->depth == DEPTH_MAX)
        return -ENOSPC;
    for (uint32_t at = old; at--;) {
        uint32_t number = 0;
        int r = i->depth ? table_node(v, dir, at, 0, &from, &n) : 0;
        if (r)
            return r;
        if (i->depth)
            number = *from;
        r = table_node(v, dir, 2 * at, TREE_MAKE, &to, &m);
        if (!r)
            r = tree_dirty(v, m);
        if (r)
            return r;
        to[0] = to[1] = number;
    }
    i->depth++;
    return 0;
}

/* A bucket that the volume does not hold yet, empty. */
static int new_bucket(struct volume *v, uint64_t dir, struct disk_inode *i, struct node **out)
{
    int r = tree_node(v, dir, 0, i->buckets, TREE_MAKE | TREE_WHOLE, out);
    if (!r)
        r = tree_dirty(v, *out);
    if (r)
        return r;
    memset((*out)->data, 0, BLOCK_SIZE);
    i->buckets++;
    i->size = (uint64_t)i->buckets * BLOCK_SIZE;
    return 0;
}

/* Moves the entries whose bit behind the bucket's depth is set. */
static void share_entries(struct bucket *from, struct bucket *to)
{
    struct entry e;
    uint8_t *p;
    size_t at = 0, kept = 0;
    uint32_t bit = 0x80000000u >> from->depth;
    while ((p = next_entry(from, &at, &e))) {
        size_t size = sizeof(e) + e.size;
        if (e.hash & bit) {
            memcpy(to->data + to->used, p, size);
            to->used = (uint16_t)(to->used + size);
        } else {
            memmove(from->data + kept, p, size);
            kept += size;
        }
    }
    memset(from->data + kept, 0, sizeof(from->data) - kept);
    from->used = (uint16_t)kept;
    to->depth = ++from->depth;
}

static int split_bucket(struct volume *v, uint64_t dir, struct disk_inode *i, uint32_t hash,
                        struct node *full)
{
    struct bucket *from = (struct bucket *)full->data;
    struct node *fresh, *n;
    uint32_t number = i->buckets;
    int r = tree_dirty(v, full);
    if (!r && from->depth == i->depth)
        r = double_table(v, dir, i);
    if (!r)
        r = new_bucket(v, dir, i, &fresh);
    if (r)
        return r;
    unsigned rest = i->depth - from->depth; /* of bits that the table tells and the bucket not */
    uint32_t first = hash >> (32 - i->depth) >> rest << rest;
    for (uint32_t at = first + (1u << rest) / 2; at < first + (1u << rest); at++) {
        uint32_t *slot;
        r = table_node(v, dir, at, 0, &slot, &n);
        if (!r)
            r = tree_dirty(v, n);
        if (r)
            return r;
        *slot = number;
    }
    share_entries(from, (struct bucket *)fresh->data);
    return 0;
}

static int touch_directory(struct volume *v, uint64_t dir)
{
    struct disk_inode *i;
    int r = ino_change(v, dir, &i);
    if (!r)
        i->mtime = i->ctime = v->now_ns;
    return r;
}

int dir_add(struct volume *v, uint64_t dir, struct volume_name name, uint64_t ino, uint32_t mode)
{
    uint32_t number, hash = hash_of(v, name);
    struct disk_inode *i;
    struct node *n;
    struct entry e = {ino, hash, (uint8_t)(mode >> 12), (uint8_t)name.size, {0}};
    int r = touch_directory(v, dir);
    if (!r)
        r = get_directory(v, dir, &i);
    for (unsigned tries = 0; !r; tries++) {
        r = find_bucket(v, dir, hash, &number, &n);
        if (r == -ENOENT)
            r = new_bucket(v, dir, i, &n);
        if (r)
            return r;
        struct bucket *b = (struct bucket *)n->data;
        if (b->used + sizeof(e) + name.size <= sizeof(b->data)) {
            r = tree_dirty(v, n);
            if (r)
                return r;
            memcpy(b->data + b->used, &e, sizeof(e));
            memcpy(b->data + b->used + sizeof(e), name.text, name.size);
            b->used = (uint16_t)(b->used + sizeof(e) + name.size);
            return 0;
        }
        r = tries > DEPTH_MAX ? -ENOSPC : split_bucket(v, dir, i, hash, n);
    }
    return r;
}

int dir_replace(struct volume *v, uint64_t dir, struct volume_name name, uint64_t ino,
                uint32_t mode)
{
    struct node *n;
    struct entry e;
    uint8_t *p;
    int r = find_name(v, dir, name, &n, &p, &e);
    if (!r)
        r = tree_dirty(v, n);
    if (r)
        return r;
    struct bucket *b = (struct bucket *)n->data;
    size_t size = sizeof(e) + e.size, behind = (size_t)(b->data + b->used - p) - size;
    e.ino = ino;
    e.type = (uint8_t)(mode >> 12);
    memcpy(p, &e, sizeof(e));
    if (!ino) {
        memmove(p, p + size, behind);
        memset(p + behind, 0, size);
        b->used = (uint16_t)(b->used - size);
    }
    return touch_directory(v, dir);
}

/* By hash, in memory: for lists, whose places so stay what they are when the bucket is split. */
static void sort_bucket(struct bucket *b)
{
    struct entry e, f;
    uint8_t *p, moved[sizeof(e) + UINT8_MAX];
    uint32_t highest = 0;
    for (size_t at = 0, start = 0; (p = next_entry(b, &at, &e)); start = at) {
        size_t size = at - start, to = 0;
        if (e.hash >= highest) {
            highest = e.hash;
            continue;
        }
        for (size_t next = 0; next_entry(b, &next, &f) && f.hash <= e.hash;)
            to = next;
        memcpy(moved, p, size);
        memmove(b->data + to + size, b->data + to, start - to);
        memcpy(b->data + to, moved, size);
    }
}

static int take_first(void *arg, struct volume_name name, uint64_t ino, uint32_t mode,
                      uint64_t next)
{
    *(uint64_t *)arg = ino;
    return 1;
}

int dir_list(struct volume *v, uint64_t dir, uint64_t from, volume_each *each_name, void *arg)
{
    while (from <= UINT32_MAX) {
        struct node *n;
        struct entry e;
        uint8_t *p;
        uint32_t number;
        v->step++;
        int r = find_bucket(v, dir, (uint32_t)from, &number, &n);
        if (r)
            return r == -ENOENT ? 0 : r;
        struct bucket *b = (struct bucket *)n->data;
        sort_bucket(b);
        for (size_t at = 0; (p = next_entry(b, &at, &e));) {
            struct volume_name name = {(char *)p + sizeof(e), e.size};
            r = e.hash < from ? 0
                              : each_name(arg, name, e.ino, (uint32_t)e.type << 12, e.hash + 1ull);
            if (r)
                return r;
        }
        from = (from | UINT32_MAX >> b->depth) + 1;
    }
    return 0;
}

int dir_find_any(struct volume *v, uint64_t dir, uint64_t *ino)
{
    *ino = 0;
    return dir_list(v, dir, 0, take_first, ino);
}
