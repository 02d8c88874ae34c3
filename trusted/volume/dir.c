// SPDX-License-Identifier: Apache-2.0
// Directories: a binary trie of blocks, by the hash of each name (SHA-256 under a key of the
// volume's own, its first 32 bits).
//
// Block 0 holds all entries of a small directory. When block n is full, its entries move to 2n + 1
// and 2n + 2, by the next bit of the hash, and it becomes a hole. So only blocks without such a
// successor are there, and the hash alone says which they may be. Blocks do not merge: a directory
// keeps them until it is removed. Entries stand, and a list goes, by hash.
#include "trusted/volume/internal.h"

#include "lib/sha2.h"

#define DEPTH_MAX 24u

struct leaf {
    uint16_t used; /* bytes of data */
    uint8_t zero[6];
    uint8_t data[BLOCK_SIZE - 8];
};

/* An entry's head; the name follows. */
struct entry {
    uint64_t ino;
    uint32_t hash;
    uint8_t type, size, zero[2]; /* type: the mode's top four bits */
};
_Static_assert(sizeof(struct entry) == 16, "packed");

static uint32_t hash_of(const struct volume *v, struct volume_name name)
{
    uint32_t out[SH_SHA256_SIZE / 4];
    struct sh_sha256 h;
    sh_sha256_init(&h);
    sh_sha256_update(&h, v->super.hash_key, sizeof(v->super.hash_key));
    sh_sha256_update(&h, name.text, name.size);
    sh_sha256_final(&h, (uint8_t *)out);
    return out[0];
}

/* The entry at *at, which moves behind it; NULL at the end. What is not whole is no entry. */
static uint8_t *next_entry(struct leaf *b, size_t *at, struct entry *e)
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
    if (!r && (*out)->depth > DEPTH_MAX)
        r = -EIO;
    return r;
}

static uint32_t number_of(uint32_t hash, unsigned depth)
{
    return (1u << depth) - 1 + (uint32_t)((uint64_t)hash >> (32 - depth));
}

/* The block of a hash and how many of its bits led there. -ENOENT: the directory has none yet. */
static int find_leaf(struct volume *v, uint64_t dir, uint32_t hash, unsigned *depth,
                     struct node **out)
{
    struct disk_inode *i;
    int r = get_directory(v, dir, &i);
    if (r)
        return r;
    *depth = i->depth;
    while ((r = tree_node(v, dir, 0, number_of(hash, *depth), 0, out)) == -ENOENT && *depth)
        --*depth;
    return r || ((struct leaf *)(*out)->data)->used <= sizeof(((struct leaf *)0)->data) ? r : -EIO;
}

static uint8_t *find_entry(struct leaf *b, uint32_t hash, struct volume_name name, struct entry *e)
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
    unsigned depth;
    uint32_t hash = hash_of(v, name);
    int r = find_leaf(v, dir, hash, &depth, node);
    if (r)
        return r;
    *place = find_entry((struct leaf *)(*node)->data, hash, name, e);
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

static int new_leaf(struct volume *v, uint64_t dir, uint32_t number, struct node **out)
{
    int r = tree_node(v, dir, 0, number, TREE_MAKE | TREE_WHOLE, out);
    if (!r)
        r = tree_dirty(v, *out);
    if (!r)
        memset((*out)->data, 0, BLOCK_SIZE);
    return r;
}

/* A full block becomes two. */
static int split_leaf(struct volume *v, uint64_t dir, unsigned depth, struct node *full)
{
    struct leaf *from = (struct leaf *)full->data;
    struct node *two[2];
    struct entry e;
    struct disk_inode *i;
    uint8_t *p;
    int r = depth < DEPTH_MAX ? ino_change(v, dir, &i) : -ENOSPC;
    for (uint32_t k = 0; k < 2 && !r; k++)
        r = new_leaf(v, dir, 2 * (uint32_t)full->index + 1 + k, &two[k]);
    if (r)
        return r;
    for (size_t at = 0; (p = next_entry(from, &at, &e));) {
        struct leaf *to = (struct leaf *)two[e.hash >> (31 - depth) & 1]->data;
        memcpy(to->data + to->used, p, sizeof(e) + e.size);
        to->used = (uint16_t)(to->used + sizeof(e) + e.size);
    }
    i->depth = (uint8_t)(i->depth > depth ? i->depth : depth + 1);
    i->size += BLOCK_SIZE;
    return tree_drop(v, full);
}

static int touch_directory(struct volume *v, uint64_t dir)
{
    struct disk_inode *i;
    int r = ino_change(v, dir, &i);
    if (!r)
        i->mtime = i->ctime = v->now_ns;
    return r;
}

static void insert_entry(struct leaf *b, const struct entry *e, const char *name)
{
    struct entry f;
    size_t size = sizeof(*e) + e->size, to = 0;
    for (size_t at = 0; next_entry(b, &at, &f) && f.hash <= e->hash;)
        to = at;
    memmove(b->data + to + size, b->data + to, b->used - to);
    memcpy(b->data + to, e, sizeof(*e));
    memcpy(b->data + to + sizeof(*e), name, e->size);
    b->used = (uint16_t)(b->used + size);
}

int dir_add(struct volume *v, uint64_t dir, struct volume_name name, uint64_t ino, uint32_t mode)
{
    struct entry e = {ino, hash_of(v, name), (uint8_t)(mode >> 12), (uint8_t)name.size, {0}};
    int r = touch_directory(v, dir);
    while (!r) {
        struct node *n;
        unsigned depth;
        r = find_leaf(v, dir, e.hash, &depth, &n);
        if (r == -ENOENT)
            r = new_leaf(v, dir, 0, &n);
        if (r)
            return r;
        struct leaf *b = (struct leaf *)n->data;
        if (b->used + sizeof(e) + name.size <= sizeof(b->data)) {
            r = tree_dirty(v, n);
            if (!r)
                insert_entry(b, &e, name.text);
            return r;
        }
        r = split_leaf(v, dir, depth, n);
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
    struct leaf *b = (struct leaf *)n->data;
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
        unsigned depth;
        v->step++;
        int r = find_leaf(v, dir, (uint32_t)from, &depth, &n);
        if (r)
            return r == -ENOENT ? 0 : r;
        struct leaf *b = (struct leaf *)n->data;
        for (size_t at = 0; (p = next_entry(b, &at, &e));) {
            struct volume_name name = {(char *)p + sizeof(e), e.size};
            r = e.hash < from ? 0
                              : each_name(arg, name, e.ino, (uint32_t)e.type << 12, e.hash + 1ull);
            if (r)
                return r;
        }
        from = (from | UINT32_MAX >> depth) + 1;
    }
    return 0;
}

int dir_find_any(struct volume *v, uint64_t dir, uint64_t *ino)
{
    *ino = 0;
    return dir_list(v, dir, 0, take_first, ino);
}
