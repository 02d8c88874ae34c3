// SPDX-License-Identifier: Apache-2.0
// A file system in memory, as plain as can be, that a volume is compared with; and random
// operations done to both.
#ifndef TESTS_VOLUME_MODEL_H
#define TESTS_VOLUME_MODEL_H

#include <stdio.h>

#include "host/store/volume_owner.h"
#include "tests/unit/volume_sim.h"

#define DIFFER (-10000 - __LINE__) /* what volume and model say; the line */
#define MODEL_INODES 96
#define MODEL_NAMES 512
#define MODEL_SIZE 200000u
#define MODEL_ATTRS 3

struct model_inode {
    uint64_t ino; /* the volume's */
    uint32_t mode, uid, nlink, parent;
    uint64_t size;
    uint8_t *data;
    char attrs[MODEL_ATTRS][20];
    bool open; /* keeps it when it has no name */
};
struct model_name {
    uint32_t dir, inode; /* 0: unused; indices of inodes, the root is 1 */
    char text[256];
};
struct model {
    struct model_inode inodes[MODEL_INODES];
    struct model_name names[MODEL_NAMES];
};

static inline void model_init(struct model *m)
{
    memset(m, 0, sizeof(*m));
    m->inodes[1] =
        (struct model_inode){.ino = VOLUME_ROOT, .mode = 040755, .nlink = 2, .parent = 1};
}

static inline void model_end(struct model *m)
{
    for (unsigned i = 0; i < MODEL_INODES; i++)
        free(m->inodes[i].data);
}

static inline struct model_name *model_find(struct model *m, uint32_t dir, const char *text)
{
    for (unsigned i = 0; i < MODEL_NAMES; i++) {
        struct model_name *n = &m->names[i];
        if (n->inode && n->dir == dir && !strcmp(n->text, text))
            return n;
    }
    return NULL;
}

static inline bool model_empty(const struct model *m, uint32_t dir)
{
    for (unsigned i = 0; i < MODEL_NAMES; i++) {
        if (m->names[i].inode && m->names[i].dir == dir)
            return false;
    }
    return true;
}

static inline uint64_t fold(uint64_t h, const void *data, size_t size)
{
    const uint8_t *p = data;
    for (uint64_t word; size >= 8; p += 8, size -= 8) {
        memcpy(&word, p, 8);
        h = (h ^ word) * 0x9e3779b97f4a7c15ull;
        h ^= h >> 29;
    }
    for (size_t i = 0; i < size; i++)
        h = (h ^ p[i]) * 0x100000001b3ull;
    return h ^ h >> 29;
}

static inline uint64_t fold_u64(uint64_t h, uint64_t x)
{
    return (h ^ x) * 0x9e3779b97f4a7c15ull ^ h >> 31;
}

/* Of one name and what it names; a tree's is the sum over its names, so that order is nothing. */
static inline uint64_t name_hash(uint64_t path, const char *text, size_t size)
{
    return fold(fold_u64(path, 77), text, size);
}

static inline uint64_t inode_hash(uint64_t name, uint32_t mode, uint32_t uid, uint32_t nlink,
                                  uint64_t size, uint64_t content, uint64_t attrs)
{
    uint64_t h = fold_u64(fold_u64(name, mode), uid);
    if ((mode & 0170000) != 040000)
        h = fold_u64(h, size);
    return fold_u64(fold_u64(fold_u64(h, nlink), content), attrs);
}

static inline uint64_t model_hash(const struct model *m, uint32_t dir, uint64_t path)
{
    uint64_t sum = 0;
    for (unsigned k = 0; k < MODEL_NAMES; k++) {
        const struct model_name *n = &m->names[k];
        if (!n->inode || n->dir != dir)
            continue;
        const struct model_inode *i = &m->inodes[n->inode];
        uint64_t h = name_hash(path, n->text, strlen(n->text)), attrs = 0;
        for (unsigned a = 0; a < MODEL_ATTRS; a++) {
            if (i->attrs[a][0])
                attrs += fold(a + 1, i->attrs[a], strlen(i->attrs[a]));
        }
        bool is_dir = (i->mode & 0170000) == 040000;
        sum += inode_hash(h, i->mode, i->uid, i->nlink, i->size,
                          is_dir ? 0 : fold(1, i->data, i->size), attrs);
        if (is_dir)
            sum += model_hash(m, n->inode, h);
    }
    return sum;
}

struct volume_names {
    struct {
        char text[256];
        uint64_t ino;
    } items[MODEL_NAMES];
    unsigned count;
};

static inline int collect(void *arg, struct volume_name name, uint64_t ino, uint32_t mode,
                          uint64_t next)
{
    struct volume_names *all = arg;
    if (all->count == MODEL_NAMES)
        return -E2BIG;
    memcpy(all->items[all->count].text, name.text, name.size);
    all->items[all->count].text[name.size] = 0;
    all->items[all->count++].ino = ino;
    return 0;
}

static inline uint64_t attrs_hash(struct volume *v, uint64_t ino, int *error)
{
    uint64_t sum = 0;
    for (unsigned a = 0; a < MODEL_ATTRS; a++) {
        char name[] = "user.a", value[32];
        name[5] = (char)('a' + a);
        long n = volume_xattr_get(v, ino, (struct volume_name){name, 6}, value, sizeof(value));
        if (n > 0)
            sum += fold(a + 1, value, (size_t)n);
        else if (n != -ENODATA)
            *error = n ? (int)n : -EIO;
    }
    return sum;
}

/* The same of a volume. */
static inline uint64_t volume_hash(struct volume *v, uint64_t dir, uint64_t path, int *error)
{
    static uint8_t data[MODEL_SIZE + 4096];
    struct volume_names *all = calloc(1, sizeof(*all));
    uint64_t sum = 0;
    *error = volume_list(v, dir, 0, collect, all);
    for (unsigned k = 0; k < all->count && !*error; k++) {
        struct volume_stat st;
        uint64_t h = name_hash(path, all->items[k].text, strlen(all->items[k].text)), content = 0;
        *error = volume_stat(v, all->items[k].ino, &st);
        if (*error)
            break;
        bool is_dir = (st.mode & 0170000) == 040000;
        if (!is_dir) {
            long n = (st.mode & 0170000) == 0120000 ? volume_read(v, st.ino, 0, data, sizeof(data))
                     : (st.mode & 0170000) == 0100000
                         ? volume_read(v, st.ino, 0, data, sizeof(data))
                         : 0;
            if (n != (long)st.size)
                *error = n < 0 ? (int)n : -EIO;
            content = fold(1, data, n > 0 ? (size_t)n : 0);
        }
        uint64_t attrs = attrs_hash(v, st.ino, error);
        sum += inode_hash(h, st.mode, st.uid, st.nlink, st.size, content, attrs);
        if (is_dir && !*error)
            sum += volume_hash(v, st.ino, h, error);
    }
    free(all);
    return sum;
}

/* ---- operations on both; what they return is compared by the caller ---- */

static inline uint32_t model_any(struct model *m, uint64_t *random, uint32_t type)
{
    uint32_t start = (uint32_t)(sim_next(random) % MODEL_INODES);
    for (uint32_t k = 0; k < MODEL_INODES; k++) {
        uint32_t i = (start + k) % MODEL_INODES;
        const struct model_inode *x = &m->inodes[i];
        if (x->ino && (x->mode & 0170000) == type && (x->nlink || type != 040000))
            return i;
    }
    return 0;
}

static inline void model_name(char out[256], uint64_t *random)
{
    uint64_t dice = sim_next(random);
    if (dice % 8 == 0) {
        memset(out, 'a' + (int)(dice >> 8 & 3), 255);
        out[255] = 0;
    } else {
        snprintf(out, 256, "n%u", (unsigned)(dice >> 8) % 24);
    }
}

static inline int model_put(struct model *m, uint32_t dir, const char *text, uint32_t inode)
{
    for (unsigned i = 0; i < MODEL_NAMES; i++) {
        if (!m->names[i].inode) {
            m->names[i].dir = dir;
            m->names[i].inode = inode;
            snprintf(m->names[i].text, 256, "%s", text);
            return 0;
        }
    }
    return -ENOSPC;
}

static inline bool model_below(const struct model *m, uint32_t dir, uint32_t top)
{
    for (; dir != top; dir = m->inodes[dir].parent) {
        if (dir == 1)
            return false;
    }
    return true;
}

/* The model's inode has lost a name; if nobody has it open it goes, in the volume too. */
static inline int model_lost(struct model *m, struct volume *v, uint32_t inode)
{
    struct model_inode *i = &m->inodes[inode];
    bool is_dir = (i->mode & 0170000) == 040000;
    i->nlink -= is_dir ? 2 : 1;
    if (is_dir)
        m->inodes[i->parent].nlink--;
    if (i->nlink || i->open)
        return 0;
    int r = volume_forget(v, i->ino);
    free(i->data);
    *i = (struct model_inode){0};
    return r;
}

static inline struct volume_name vname(const char *text)
{
    return (struct volume_name){text, strlen(text)};
}

static inline void model_resize(struct model_inode *i, uint64_t size)
{
    if (!i->data)
        i->data = calloc(1, MODEL_SIZE);
    if (size < i->size)
        memset(i->data + size, 0, i->size - size);
    i->size = size;
}

static inline int both_make(struct model *m, struct volume *v, uint64_t *random)
{
    static const uint32_t modes[] = {0100644, 0100600, 0100755, 040755, 0120777, 0010644};
    char text[256], target[300];
    uint32_t mode = modes[sim_next(random) % 6], slot = 2;
    uint32_t dir =
        sim_next(random) % 16 || (mode & 0170000) != 0100000 ? model_any(m, random, 040000) : 0;
    uint64_t ino;
    struct volume_owner owner = {(uint32_t)(sim_next(random) % 3), 7};
    model_name(text, random);
    snprintf(target, sizeof(target), "to/%s", text);
    while (slot < MODEL_INODES && m->inodes[slot].ino)
        slot++;
    if (slot == MODEL_INODES)
        return 0;
    bool link = (mode & 0170000) == 0120000;
    int r = volume_make(v, dir ? m->inodes[dir].ino : 0, vname(text), mode, owner, 0,
                        link ? vname(target) : (struct volume_name){0}, &ino);
    int want = dir && model_find(m, dir, text) ? -EEXIST : 0;
    if (r != want)
        return r == -ENOSPC ? r : DIFFER;
    if (r)
        return 0;
    struct model_inode *i = &m->inodes[slot];
    *i = (struct model_inode){.ino = ino, .mode = mode, .uid = owner.uid, .nlink = 1, .open = !dir};
    if ((mode & 0170000) == 040000) {
        i->nlink = 2;
        i->parent = dir;
        m->inodes[dir].nlink++;
    } else {
        model_resize(i, 0);
    }
    if (link) {
        i->size = strlen(target);
        memcpy(i->data, target, i->size);
    }
    i->nlink = dir ? i->nlink : 0;
    return dir ? model_put(m, dir, text, slot) : 0;
}

static inline int both_link(struct model *m, struct volume *v, uint64_t *random)
{
    char text[256];
    uint32_t dir = model_any(m, random, 040000), file = model_any(m, random, 0100000);
    if (!file)
        return 0;
    model_name(text, random);
    int want = model_find(m, dir, text) ? -EEXIST : 0;
    int r = volume_link(v, m->inodes[file].ino, m->inodes[dir].ino, vname(text));
    if (r != want)
        return r == -ENOSPC ? r : DIFFER;
    if (!r)
        m->inodes[file].nlink++;
    return r ? 0 : model_put(m, dir, text, file);
}

static inline int both_remove(struct model *m, struct volume *v, uint64_t *random)
{
    uint32_t at = (uint32_t)(sim_next(random) % MODEL_NAMES);
    for (unsigned k = 0; k < MODEL_NAMES && !m->names[at].inode; k++)
        at = (at + 1) % MODEL_NAMES;
    struct model_name *n = &m->names[at];
    if (!n->inode)
        return 0;
    bool is_dir = (m->inodes[n->inode].mode & 0170000) == 040000;
    uint64_t dir = m->inodes[n->dir].ino;
    int want = is_dir && !model_empty(m, n->inode) ? -ENOTEMPTY : 0;
    int r = volume_remove(v, dir, vname(n->text));
    if (r != want)
        return r == -ENOSPC ? r : DIFFER;
    if (r)
        return 0;
    uint32_t inode = n->inode;
    n->inode = 0;
    return model_lost(m, v, inode);
}

/* 1: what no kernel lets through. */
static inline int rename_wanted(struct model *m, const struct model_name *n, uint32_t to,
                                const struct model_name *there, bool exchange)
{
    bool is_dir = (m->inodes[n->inode].mode & 0170000) == 040000;
    bool there_dir = there && (m->inodes[there->inode].mode & 0170000) == 040000;
    if (is_dir && model_below(m, to, n->inode))
        return 1;
    if (exchange && there_dir && model_below(m, n->dir, there->inode))
        return 1;
    if (exchange)
        return there ? 0 : -ENOENT;
    if (!there || there->inode == n->inode)
        return 0;
    if (is_dir != there_dir)
        return 1;
    return is_dir && !model_empty(m, there->inode) ? -ENOTEMPTY : 0;
}

static inline void model_moved(struct model *m, uint32_t inode, uint32_t from, uint32_t to)
{
    if ((m->inodes[inode].mode & 0170000) != 040000)
        return;
    m->inodes[from].nlink--;
    m->inodes[to].nlink++;
    m->inodes[inode].parent = to;
}

static inline int both_rename(struct model *m, struct volume *v, uint64_t *random)
{
    char text[256];
    uint32_t at = (uint32_t)(sim_next(random) % MODEL_NAMES), to = model_any(m, random, 040000);
    bool exchange = sim_next(random) % 4 == 0;
    for (unsigned k = 0; k < MODEL_NAMES && !m->names[at].inode; k++)
        at = (at + 1) % MODEL_NAMES;
    struct model_name *n = &m->names[at];
    if (!n->inode)
        return 0;
    model_name(text, random);
    struct model_name *there = model_find(m, to, text);
    int want = rename_wanted(m, n, to, there, exchange);
    if (want == 1)
        return 0;
    int r = volume_rename(v, m->inodes[n->dir].ino, vname(n->text), m->inodes[to].ino, vname(text),
                          exchange);
    if (r != want)
        return r == -ENOSPC ? r : DIFFER;
    if (r || (there && there->inode == n->inode))
        return 0;
    uint32_t inode = n->inode, from = n->dir;
    if (exchange) {
        n->inode = there->inode;
        there->inode = inode;
        model_moved(m, n->inode, to, from);
        model_moved(m, inode, from, to);
        return 0;
    }
    model_moved(m, inode, from, to);
    if (!there) {
        n->dir = to;
        strcpy(n->text, text);
        return 0;
    }
    uint32_t old = there->inode;
    there->inode = inode;
    n->inode = 0;
    return model_lost(m, v, old);
}

static inline int both_write(struct model *m, struct volume *v, uint64_t *random)
{
    static uint8_t buf[100000];
    uint32_t file = model_any(m, random, 0100000);
    uint64_t dice = sim_next(random), size = dice % 4 ? dice >> 8 & 4095 : dice >> 8 & 65535;
    uint64_t at = sim_next(random) % (MODEL_SIZE - 65536);
    if (!file)
        return 0;
    if (dice >> 40 & 1)
        at &= ~4095ull;
    if (dice >> 41 & 1)
        size = (size + 4095) & ~4095ull;
    struct model_inode *i = &m->inodes[file];
    if (dice >> 42 & 1)
        at = i->size < MODEL_SIZE - 70000 ? i->size : 0;
    for (size_t k = 0; k < size; k++)
        buf[k] = (uint8_t)(dice >> (k % 7) * 8) ^ (uint8_t)(k * 31);
    int r = volume_write(v, i->ino, at, buf, size);
    if (r)
        return r == -ENOSPC ? r : DIFFER;
    model_resize(i, size && at + size > i->size ? at + size : i->size);
    memcpy(i->data + at, buf, size);
    return 0;
}

static inline int both_cut(struct model *m, struct volume *v, uint64_t *random)
{
    uint32_t file = model_any(m, random, 0100000);
    uint64_t dice = sim_next(random), size = sim_next(random) % (MODEL_SIZE - 1);
    if (!file)
        return 0;
    struct model_inode *i = &m->inodes[file];
    if (dice % 3 == 0)
        size = 0;
    if (dice % 2) {
        struct volume_change c = {.what = VOLUME_SET_SIZE, .size = size};
        int r = volume_set(v, i->ino, &c);
        if (r)
            return r == -ENOSPC ? r : DIFFER;
        model_resize(i, size);
        return 0;
    }
    uint64_t length = (dice >> 8) % 70000 + 1;
    int r = volume_punch(v, i->ino, size, length);
    if (r)
        return r == -ENOSPC ? r : DIFFER;
    if (size < i->size)
        memset(i->data + size, 0, length < i->size - size ? length : i->size - size);
    return 0;
}

static inline int both_set(struct model *m, struct volume *v, uint64_t *random)
{
    uint32_t file = model_any(m, random, sim_next(random) % 2 ? 0100000 : 040000);
    uint64_t dice = sim_next(random);
    if (!file)
        return 0;
    struct model_inode *i = &m->inodes[file];
    if (dice % 2) {
        char name[] = "user.a";
        unsigned a = (unsigned)(dice >> 8) % MODEL_ATTRS;
        bool there = i->attrs[a][0], take = dice >> 16 & 1;
        name[5] = (char)('a' + a);
        char value[20];
        snprintf(value, sizeof(value), "%u", (unsigned)(dice >> 24) % 1000000);
        int r = take ? volume_xattr_set(v, i->ino, vname(name), NULL, 0, 0)
                     : volume_xattr_set(v, i->ino, vname(name), value, strlen(value), 0);
        if (r != (take && !there ? -ENODATA : 0))
            return r == -ENOSPC ? r : DIFFER;
        snprintf(i->attrs[a], 20, "%s", take ? "" : value);
        return 0;
    }
    struct volume_change c = {.what = VOLUME_SET_MODE | VOLUME_SET_UID,
                              .mode = (uint32_t)(dice >> 8) & 07777,
                              .uid = (uint32_t)(dice >> 24) & 15};
    int r = volume_set(v, i->ino, &c);
    if (r)
        return r == -ENOSPC ? r : DIFFER;
    i->mode = (i->mode & 0170000) | c.mode;
    i->uid = c.uid;
    return 0;
}

/* Opens a file, so that it stays when its last name goes; or closes it. */
static inline int both_open(struct model *m, struct volume *v, uint64_t *random)
{
    uint32_t file = model_any(m, random, 0100000);
    if (!file)
        return 0;
    struct model_inode *i = &m->inodes[file];
    i->open = !i->open;
    if (i->open || i->nlink)
        return 0;
    int r = volume_forget(v, i->ino);
    free(i->data);
    *i = (struct model_inode){0};
    return r;
}

/* One random operation. 0, -ENOSPC, or DIFFER: they differ; another error is the volume's. */
/* A part of what is there, again. */
static inline int both_rewrite(struct model *m, struct volume *v, uint64_t *random)
{
    static uint8_t buf[20000];
    uint64_t dice = sim_next(random), at = (dice & 63) * 4096;
    size_t size = dice >> 8 & 3 ? 4096 : dice >> 16 & 16383;
    uint32_t file = model_any(m, random, 0100000);
    struct model_inode *i = &m->inodes[file];
    for (unsigned k = 0; k < MODEL_INODES && (!file || i->size < at + size); k++)
        i = &m->inodes[file = (file + k) % MODEL_INODES];
    if (!file || (i->mode & 0170000) != 0100000 || i->size < at + size)
        return 0;
    memset(buf, (int)(dice >> 32), size);
    int r = volume_write(v, i->ino, at, buf, size);
    if (!r)
        memcpy(i->data + at, buf, size);
    return !r || r == -ENOSPC ? r : DIFFER;
}

static inline int both_any(struct model *m, struct volume *v, uint64_t *random)
{
    switch (sim_next(random) % 16) {
    case 0:
    case 1:
    case 2:
        return both_make(m, v, random);
    case 3:
        return both_link(m, v, random);
    case 4:
    case 5:
        return both_remove(m, v, random);
    case 6:
    case 7:
        return both_rename(m, v, random);
    case 8:
    case 9:
        return both_cut(m, v, random);
    case 10:
    case 11:
        return both_set(m, v, random);
    case 12:
        return both_open(m, v, random);
    default:
        return both_write(m, v, random);
    }
}

#endif
