// SPDX-License-Identifier: Apache-2.0
// What only a volume's owner does. Of names and inodes the check compares sums, so that it needs no
// memory for each.
#include "host/store/volume_owner.h"

#include "trusted/volume/internal.h"

struct checking {
    struct volume *v;
    void (*say)(void *arg, const char *text);
    void *arg;
    long faults;
    uint64_t used;                /* blocks that something points to */
    uint64_t files, links, names; /* inodes; what they say of names; names there are */
    uint64_t dir, folders;        /* the directory that is listed, and those in it */
};

static void report_fault(struct checking *c, const char *text)
{
    c->faults++;
    c->say(c->arg, text);
}

static void in_map(struct checking *c, const struct node *n)
{
    struct node *map;
    uint64_t place = node_slot(c->v, n)->place;
    c->used++;
    if (place >= c->v->super.blocks || map_reserved(c->v, place))
        report_fault(c, "a block lies where none may be");
    else if (map_load(c->v, place / GROUP_BLOCKS, &map))
        report_fault(c, "a block of the allocation map is not as it was written");
    else if (!(((uint64_t *)map->data)[place % GROUP_BLOCKS / 64] >> place % 64 & 1))
        report_fault(c, "a block in use is marked as free");
}

/* A content block and, where it is the first below them, the nodes above; how many. */
static uint64_t visit_block(struct checking *c, uint64_t ino, unsigned levels, uint64_t index,
                            uint64_t before)
{
    uint64_t count = 0;
    for (unsigned l = levels + 1; l--;) {
        struct node *n;
        if (before != UINT64_MAX && l && index >> 7 * l == before >> 7 * l)
            continue;
        c->v->step++;
        if (tree_node(c->v, ino, l, index >> 7 * l, 0, &n)) {
            report_fault(c, ino == INO_TABLE ? "a block of the inode table is not as it was written"
                                             : "a block of a file is not as it was written");
            continue;
        }
        in_map(c, n);
        count++;
    }
    return count;
}

static int check_entry(void *arg, struct volume_name name, uint64_t ino, uint32_t mode,
                       uint64_t next)
{
    struct checking *c = arg;
    struct disk_inode *i;
    if (ino_get(c->v, ino, &i, NULL) || !i->mode) {
        report_fault(c, "a name leads to no file");
        return 0;
    }
    if ((i->mode & TYPE_MASK) != mode)
        report_fault(c, "a name says another type than its file");
    if ((c->dir == INO_ORPHANS) != !i->nlink)
        report_fault(c, "a file and its names do not agree");
    if (mode == TYPE_DIR) {
        c->folders++;
        if (c->dir != INO_ORPHANS && i->next != c->dir)
            report_fault(c, "a directory and its parent do not agree");
    } else if (c->dir != INO_ORPHANS) {
        c->names++;
    }
    return 0;
}

static void check_directory(struct checking *c, uint64_t ino, uint32_t nlink)
{
    c->dir = ino;
    c->folders = 0;
    if (dir_list(c->v, ino, 0, check_entry, c))
        report_fault(c, "a directory cannot be read");
    else if (ino != INO_ORPHANS && nlink && nlink != 2 + c->folders)
        report_fault(c, "a directory's count of links is wrong");
}

static void check_inode(struct checking *c, uint64_t ino)
{
    struct volume *v = c->v;
    struct disk_inode *i;
    uint64_t index = 0, before = UINT64_MAX, count = 0;
    struct node *n;
    v->step++;
    if (ino_get(v, ino, &i, NULL) || !i->mode)
        return; /* the table's own blocks were visited */
    struct disk_inode copy = *i;
    c->files++;
    int r;
    while (!(r = tree_next(v, ino, index, false, &index))) {
        count += visit_block(c, ino, copy.levels, index, before);
        before = index++;
    }
    if (r != -ENXIO)
        report_fault(c, "a block of a file is not as it was written");
    v->step++;
    if (copy.xattr.place && tree_xattr(v, ino, 0, &n)) {
        report_fault(c, "extended attributes are not as they were written");
    } else if (copy.xattr.place) {
        in_map(c, n);
        count++;
    }
    if (count != copy.blocks)
        report_fault(c, "a file's count of blocks is wrong");
    if ((copy.mode & TYPE_MASK) == TYPE_DIR)
        check_directory(c, ino, copy.nlink);
    else
        c->links += copy.nlink;
}

/* Blocks that the map says are in use, without those that have fixed places. */
static uint64_t in_use(struct checking *c)
{
    struct volume *v = c->v;
    uint64_t count = 0;
    for (uint64_t g = 0; g < v->groups; g++) {
        struct node *n;
        v->step++;
        if (map_load(v, g, &n)) {
            report_fault(c, "a block of the allocation map is not as it was written");
            continue;
        }
        for (unsigned i = 0; i < BLOCK_SIZE / 8; i++)
            count += count_bits(((uint64_t *)n->data)[i]);
    }
    return count - map_fixed(&v->super);
}

/* Of nodes there are only clean ones, and no bitmap of a commit before. */
static void forget_nodes(struct volume *v)
{
    while (v->content.next != &v->content)
        node_drop(v, (struct node *)v->content.next);
    while (v->other.next != &v->other)
        node_drop(v, (struct node *)v->other.next);
}

long volume_check(struct volume *v, void (*say)(void *arg, const char *text), void *arg)
{
    struct checking c = {.v = v, .say = say, .arg = arg};
    uint64_t before = UINT64_MAX;
    if (v->failed)
        return v->failed;
    /* What is on the disk, not what is in memory. */
    int r = v->read_only ? 0 : volume_commit(v);
    if (r)
        return r;
    forget_nodes(v);
    for (uint64_t at = 0; at * INODES < v->super.inodes; before = at++)
        visit_block(&c, INO_TABLE, v->super.table.levels, at, before);
    for (uint64_t ino = INO_ROOT; ino < v->super.inodes; ino++)
        check_inode(&c, ino);
    if (c.files != v->super.files + 2 + !!v->super.delta_ino)
        report_fault(&c, "the count of files is wrong");
    if (c.links != c.names)
        report_fault(&c, "files and names do not agree");
    uint64_t used = in_use(&c);
    if (used != c.used)
        report_fault(&c, "blocks are in use that nothing points to");
    if (used + v->super.free + map_fixed(&v->super) != v->super.blocks)
        report_fault(&c, "the count of free blocks is wrong");
    return c.faults;
}

int volume_rekey(struct volume *v, const uint8_t key[VOLUME_KEY_SIZE])
{
    int r = v->read_only ? -EROFS : root_wrap(v, key);
    /* Both records, so that none is left that the old key opens. */
    for (int i = 0; i < 2 && !r; i++)
        r = volume_commit(v);
    return r;
}

void volume_facts(const struct volume *v, struct volume_facts *out)
{
    *out = (struct volume_facts){
        .sequence = v->super.sequence, .blocks = v->super.blocks, .clean = v->super.clean};
    memcpy(out->name, v->super.name, sizeof(out->name) - 1);
}
