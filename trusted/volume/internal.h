// SPDX-License-Identifier: Apache-2.0
// The parts of a volume, lowest first: crypt, block, node, map, aside, tree, inode, delta, dir,
// op, log, root, run, volume.
#ifndef VOLUME_INTERNAL_H
#define VOLUME_INTERNAL_H

#include <asm/errno.h>
#include <string.h>

#include "trusted/volume/format.h"
#include "trusted/volume/volume.h"

#define TYPE_MASK 0170000u
#define TYPE_DIR 0040000u
#define TYPE_FILE 0100000u
#define TYPE_LINK 0120000u

#define IO_BLOCKS 64u /* of one write or read */
#define OLD_KEYS 16u  /* of other sessions, expanded */
#define OP_BLOCKS 32u /* of content that one step of an operation changes */
#define OP_NODES 256u /* that one step may touch: so many are kept free for it */
#define PENDING_MAX (60u * LOG_DATA)
#define GROUP_UNKNOWN UINT16_MAX

/* Inode numbers of trees that are no file's. */
#define INO_TABLE 0u
#define INO_MAP UINT64_MAX
#define INO_BEFORE (UINT64_MAX - 1) /* bitmaps as the last commit had them; never on the disk */
#define LEVEL_XATTR 15u
#define MAP_TOP 2u /* level of the map that the super points to */

struct list_node {
    struct list_node *prev, *next;
};

/* A block of a tree in memory. What points to it is in memory too while this is dirty. */
struct node {
    struct list_node list; /* by age, or dirty ones of a class */
    struct node *chain;    /* of the hash */
    uint64_t ino, index;
    uint8_t level;
    bool dirty, aside; /* aside: its pointer is (aside.c), and not dirty above it */
    bool sticky;       /* a bitmap as it was, stays until the commit */
    uint64_t used;     /* the step that touched it last */
    uint8_t *data;
};

struct session_key {
    uint64_t session, used;
    struct crypt_key key;
};

/* A pointer kept aside, of a bucket's list. */
struct delta {
    struct delta_record record;
    uint32_t next; /* number of the next one */
    bool fresh;    /* changed since the last commit */
};

/* Classes of dirty nodes, in the order in which they are written: content, what hangs above it, the
 * inode table, the map. */
#define CLASS_ABOVE 1u
#define CLASS_TABLE 6u
#define CLASS_MAP 12u
#define CLASSES 15u

struct volume {
    struct volume_disk disk;
    struct super super;
    /* How the key is wrapped; room for the next record, which disks write as it lies here. */
    struct disk_root root __attribute__((aligned(BLOCK_SIZE)));
    struct volume_state found, now;
    size_t memory_size;
    uint8_t master[CRYPT_KEY_SIZE];
    bool read_only, keeps_writer, replaying, mutated;
    int failed;         /* -errno: everything is refused */
    const char *reason; /* for it */

    /* block.c */
    struct session_key keys[OLD_KEYS]; /* [0]: this session's */
    uint32_t counter;
    uint64_t key_clock;
    uint8_t *io; /* IO_BLOCKS blocks */
    uint64_t io_place;
    uint32_t io_count;

    /* node.c */
    struct node *nodes, **hash;
    uint32_t node_count, hash_mask;
    struct list_node unused, content, other; /* clean nodes: oldest first */
    struct list_node dirty[CLASSES];
    uint32_t content_count, content_max, dirty_content, dirty_other, sticky_count;
    struct list_node sticky;
    uint64_t step; /* of an operation: what it touches stays in memory */

    /* map.c */
    uint16_t *group_free; /* blocks that can be allocated; GROUP_UNKNOWN */
    uint32_t groups;
    uint64_t cursor, content_cursor; /* where the search for a free block goes on */
    uint64_t waiting;                /* blocks that are free after the next commit */

    /* aside.c */
    struct delta *deltas;
    uint32_t *heads; /* of the buckets' lists */
    uint32_t heads_mask, delta_room, delta_used, delta_free;
    uint32_t delta_max;               /* so many are kept; 0: none more */
    uint32_t delta_count, delta_live; /* in the table; of them with a place */
    uint32_t delta_new;               /* since the last commit */
    uint32_t delta_cursor;            /* the bucket to be merged next */

    /* log.c */
    uint8_t *pending;
    uint32_t pending_size;
    uint32_t log_at, log_record;
    struct volume_state flushing; /* what the flush under way makes durable */
    bool need_commit;             /* the pending operations are not all in `pending` */
    struct crypt_key log_key;
    int64_t now_ns; /* of the operation */
};

/* block.c: blocks sealed and opened. */
int block_new_session(struct volume *v);
/* Seals data for place p->place and fills the rest of *p; block_write_out writes it at last. */
int block_put(struct volume *v, struct ptr *p, const void *data);
int block_write_out(struct volume *v);
/* -EIO: not what the pointer says. `count` blocks with places in a row. */
int block_get(struct volume *v, const struct ptr *p, void *data);
int block_get_run(struct volume *v, const struct ptr *p, uint32_t count, void *data);
int volume_fail(struct volume *v, int error, const char *reason); /* error */
int volume_write_failed(struct volume *v, int error);

/* node.c: a bounded cache. Pointers to nodes are good until the step ends (node_step). */
int node_init(struct volume *v, uint8_t *memory, size_t size);
/* Of a file, a directory or a link, not above it. */
bool node_is_content(const struct node *n);
struct node *node_find(struct volume *v, uint64_t ino, unsigned level, uint64_t index);
/* Of zeros, not dirty; NULL: none can be taken. It must not be there. */
struct node *node_add(struct volume *v, uint64_t ino, unsigned level, uint64_t index);
void node_drop(struct volume *v, struct node *n);
void node_set_dirty(struct volume *v, struct node *n);
void node_set_clean(struct volume *v, struct node *n);
void node_touch(struct volume *v, struct node *n);
/* Of a node that is in memory, as all above it then is: its inode (INO_TABLE: the super has it),
 * what points to it (NULL: the super), where there. */
struct disk_inode *node_inode(struct volume *v, uint64_t ino);
struct node *node_above(struct volume *v, const struct node *n);
struct ptr *node_slot(struct volume *v, const struct node *n);
enum {
    TREE_MAKE = 1,  /* a hole becomes a node of zeros; call tree_dirty before the step ends */
    TREE_WHOLE = 2, /* the caller fills all of it: what is on the disk is not read */
};
/* In memory, read, or new, where all above it is in memory. -ENOENT: a hole. */
int node_load(struct volume *v, uint64_t ino, unsigned level, uint64_t index, int flags,
              struct node **out);

static inline unsigned count_bits(uint64_t x)
{
    x -= x >> 1 & 0x5555555555555555ull;
    x = (x & 0x3333333333333333ull) + (x >> 2 & 0x3333333333333333ull);
    return (unsigned)(((x + (x >> 4)) & 0x0f0f0f0f0f0f0f0full) * 0x0101010101010101ull >> 56);
}

/* map.c */
void map_init(struct volume *v);
int map_load(struct volume *v, uint64_t group, struct node **out);
int map_alloc(struct volume *v, bool content, uint32_t *place); /* -ENOSPC */
int map_free(struct volume *v, uint32_t place);
/* Allocated since the last commit: may be overwritten. 0, 1, -errno. */
int map_is_new(struct volume *v, uint32_t place);
void map_committed(struct volume *v);
/* The next blocks are taken from the first group of which so many eighths are free. */
void map_start_where(struct volume *v, unsigned eighths);
/* Blocks that have a place of their own. */
uint64_t map_fixed(const struct super *s);
uint64_t map_available(const struct volume *v);
bool map_reserved(const struct volume *v, uint64_t place);

/* aside.c: pointers to content kept aside. */
size_t aside_init(struct volume *v, uint8_t *memory, size_t size); /* bytes that it took */
struct delta *aside_find(struct volume *v, uint64_t ino, uint64_t index);
/* Found, or new; NULL: no room. The caller gives it a place. */
struct delta *aside_add(struct volume *v, uint64_t ino, uint64_t index);
/* For a content node that becomes dirty; NULL: its pointer's block is to become dirty, too. */
struct delta *aside_take(struct volume *v, const struct node *n);
/* n, a block of pointers to content, was read: it gets what is kept aside of it. */
void aside_apply(struct volume *v, struct node *n);
/* n becomes dirty, or is given back: nothing of it is kept aside any more. */
void aside_drop(struct volume *v, struct node *n);
/* The table is on the disk as it is. */
void aside_saved(struct volume *v);
/* Blocks that have to be free as long as something is kept aside. */
uint64_t aside_owed(const struct volume *v);

/* tree.c */
int tree_node(struct volume *v, uint64_t ino, unsigned level, uint64_t index, int flags,
              struct node **out); /* -ENOENT: a hole */
/* The one block of an inode's extended attributes. */
int tree_xattr(struct volume *v, uint64_t ino, int flags, struct node **out);
/* The node and those above it will be written, at new places. */
int tree_dirty(struct volume *v, struct node *n);
/* n is given back, and what above it has become empty. */
int tree_drop(struct volume *v, struct node *n);
/* Content blocks from..end - 1. 0, 1: enough for one commit, call again; -errno. Ends the step. */
int tree_free(struct volume *v, uint64_t ino, uint64_t from, uint64_t end);
int tree_free_xattr(struct volume *v, uint64_t ino);
/* The first block at or behind `from` that is a hole, or is none; -ENXIO. Ends the step. */
int tree_next(struct volume *v, uint64_t ino, uint64_t from, bool hole, uint64_t *index);
/* Blocks of content that are on the disk alone, side by side: at most count; how many, or -errno.
 */
long tree_read(struct volume *v, uint64_t ino, uint64_t index, uint64_t count, uint8_t *buf);
/* Dirty nodes of some classes to the disk, not yet flushed. */
int tree_write(struct volume *v, unsigned first, unsigned end);
int ino_get(struct volume *v, uint64_t ino, struct disk_inode **out, struct node **node);

/* inode.c */
int ino_new(struct volume *v, uint32_t mode, struct volume_owner owner, uint64_t *ino);
/* -ENOENT, -EISDIR; -EINVAL: no regular file. */
int ino_get_file(struct volume *v, uint64_t ino, struct disk_inode **out);
int ino_change(struct volume *v, uint64_t ino, struct disk_inode **out); /* dirty */
int ino_delete(struct volume *v, uint64_t ino); /* 1: more to do, 0, -errno */
int ino_write(struct volume *v, uint64_t ino, uint64_t offset, const void *buf, size_t size);
long ino_read(struct volume *v, uint64_t ino, uint64_t offset, void *buf, size_t size);
int ino_punch(struct volume *v, uint64_t ino, uint64_t offset, uint64_t size); /* likewise */

/* dir.c */
int dir_find(struct volume *v, uint64_t dir, struct volume_name name, uint64_t *ino,
             uint32_t *type);
int dir_add(struct volume *v, uint64_t dir, struct volume_name name, uint64_t ino, uint32_t mode);
/* A name that is there leads elsewhere; ino 0: it goes. */
int dir_replace(struct volume *v, uint64_t dir, struct volume_name name, uint64_t ino,
                uint32_t mode);
/* The first entry in a list: 1, 0: it is empty, -errno. */
int dir_find_any(struct volume *v, uint64_t dir, uint64_t *ino);
int dir_list(struct volume *v, uint64_t dir, uint64_t from, volume_each *each_name, void *arg);

/* delta.c */
int delta_load(struct volume *v);
/* In a commit, when all else is written; last: one that closes the volume. */
int delta_save(struct volume *v, bool last);
/* What is kept aside in the next bucket goes where it belongs. 0, -errno. */
int delta_merge(struct volume *v);

/* xattr.c */
int xattr_put(struct volume *v, uint64_t ino, struct volume_name name, const void *value,
              size_t size, int flags); /* value NULL: away with it */

/* op.c: changes as records, done in the same way by calls and by the log's replay. */
enum op_type {
    OP_MAKE = 1,
    OP_LINK,
    OP_REMOVE,
    OP_RENAME,
    OP_FORGET,
    OP_WRITE,
    OP_PUNCH,
    OP_SET,
    OP_XATTR
};
struct op {
    struct { /* as it stands in the log; then follow name, new_name, data */
        uint8_t type, name_size, new_name_size, zero;
        uint32_t size; /* of data */
        int64_t now;
        uint64_t a[7], zeros; /* op.c says which */
    };
    struct volume_name name, new_name;
    const void *data;
    uint64_t result; /* OP_MAKE: the inode's number */
};
#define OP_HEAD 80u
_Static_assert(offsetof(struct op, name) == OP_HEAD, "packed");
size_t op_size(const struct op *op);
void op_encode(struct op *op, uint8_t *out);
/* Its size, or 0: not a whole one. op points into data. */
size_t op_decode(struct op *op, const uint8_t *data, size_t size);
/* 0, 1: half done, commit and call again, -errno. */
int op_apply(struct volume *v, struct op *op);
/* What it may need of blocks; does it set some free? */
uint64_t op_need(struct volume *v, const struct op *op, bool *frees);

/* root.c */
int root_read(struct volume *v, const uint8_t key[VOLUME_KEY_SIZE]);
int root_wrap(struct volume *v, const uint8_t key[VOLUME_KEY_SIZE]);
int root_commit(struct volume *v, bool clean);

/* log.c */
void log_start(struct volume *v); /* anew, behind a commit */
void log_append(struct volume *v, struct op *op);
/* The pending operations as a record, not yet flushed; and when they are. */
int log_write(struct volume *v);
int log_written(struct volume *v, int flushed);
/* The next record from block `at` on, in v->pending: 0 with *end behind it; -ENOENT: there is none
 * that is whole; -EIO. */
int log_read(struct volume *v, uint32_t at, uint32_t *end);
/* Is there a later record? -EUCLEAN: so the one at `at` was acknowledged, and is damaged. */
int log_look_behind(struct volume *v, uint32_t at);
void log_remember(struct volume *v);

/* run.c: room and memory for one operation more, the operation, its record. */
int run_op(struct volume *v, struct op *op);
/* Blocks that only what gives room back may use. */
uint64_t run_reserve(const struct volume *v);

/* What the log holds behind the last commit, done again. */
int log_replay(struct volume *v, bool clean); /* clean: there is nothing to replay */

#endif
