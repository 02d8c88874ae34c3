// SPDX-License-Identifier: Apache-2.0
// A root file system in memory while it is put together; the bytes of its files wait in a spool.
//
// Nothing of an image is ever unpacked into the host's file system: names exist only here, so no
// name, link or device of an archive can reach outside.
#ifndef HOST_IMAGE_TREE_H
#define HOST_IMAGE_TREE_H

#include <sys/stat.h>

#include "host/base/util.h"
#include "host/image/budget.h"

#define SH_TREE_INODES_MAX (1u << 22)

struct sh_xattr {
    uint8_t index; /* enum sh_erofs_xattr_index */
    uint8_t name_size;
    uint16_t value_size;
    uint8_t *data; /* name, then value; owned */
};

struct sh_entry {
    char *name;
    struct sh_inode *inode;
    uint32_t layer; /* the input that put it here: whiteouts remove only what is older */
};

struct sh_inode {
    uint32_t mode; /* st_mode */
    uint32_t uid, gid;
    uint32_t device; /* as erofs has it */
    int64_t mtime;
    uint32_t mtime_nsec;
    uint32_t link_count; /* names; of a folder: 2 and its subfolders, set when it is laid out */
    uint64_t size;
    uint64_t spool;           /* of a file: where its bytes stand */
    char *target;             /* of a symbolic link; size is its length */
    struct sh_entry *entries; /* of a folder; in no order until sh_tree_sort */
    size_t entry_count;
    uint32_t *index; /* of a large folder: hash table of entry numbers + 1 */
    size_t index_size, index_used;
    struct sh_inode *parent; /* of a folder */
    uint32_t swept;          /* the layer in which all older things were last taken out of it */
    struct sh_xattr *xattrs; /* sorted by index and name */
    size_t xattr_count;
    /* the writer's */
    uint64_t nid;
    uint32_t number; /* 0: not seen yet */
    uint32_t block;
    uint32_t xattr_size;
    bool tail_inline;
};

struct sh_tree {
    struct sh_inode *root;
    size_t inode_count; /* ever made */
    uint32_t layer;
    int spool_fd;
    uint64_t spool_size;
    struct sh_budget *budget; /* whoever fills it asks; NULL: there is none */
    bool strict_links; /* a parent that is an absolute symbolic link is refused, not followed */
};

/* Starts with an empty root folder. The spool is a nameless file in the folder dir_fd. */
int sh_tree_init(struct sh_tree *t, int dir_fd, struct sh_error *err);
void sh_tree_free(struct sh_tree *t);

/* Finds the folder that holds `path` and the last name in it. Parents that are missing are made
 * (0755, root) when `make` is set; symbolic links among them are followed inside the root. Refused
 * with a sentence: "..", absolute names, a link that leads out, a parent that is no folder. The
 * root itself gives an empty name. *name is owned by the caller. */
int sh_tree_parent(struct sh_tree *t, const char *path, bool make, struct sh_inode **folder,
                   char **name, struct sh_error *err);

/* Finds what `path` names, in any number of symbolic links inside the root; NULL: nothing. */
struct sh_inode *sh_tree_find(struct sh_tree *t, const char *path);

struct sh_entry *sh_tree_entry(struct sh_inode *folder, const char *name);

/* Puts a folder's entries in ascending order of their names' bytes. */
void sh_tree_sort(struct sh_inode *folder);

/* A new inode that no name refers to yet. Folders are made by sh_tree_add_folder. */
struct sh_inode *sh_tree_inode(struct sh_tree *t, uint32_t mode);
void sh_tree_inode_drop(struct sh_inode *inode); /* one that got no name */

/* Gives `inode` a name, in place of what had it. */
int sh_tree_link(struct sh_tree *t, struct sh_inode *folder, const char *name,
                 struct sh_inode *inode, struct sh_error *err);

/* The folder of this name: the one that is there, else a new one in place of what had the name. */
int sh_tree_add_folder(struct sh_tree *t, struct sh_inode *folder, const char *name,
                       struct sh_inode **made, struct sh_error *err);

void sh_tree_remove(struct sh_inode *folder, const char *name);

/* Whiteouts: removes what older layers put under a name, or into a folder. */
void sh_tree_whiteout(struct sh_tree *t, struct sh_inode *folder, const char *name);
void sh_tree_opaque(struct sh_tree *t, struct sh_inode *folder);

/* Adds or replaces an extended attribute by its full name; kinds that erofs or a container cannot
 * have are left out. -E2BIG with a sentence when it is too large. */
int sh_tree_xattr(struct sh_inode *inode, const char *name, const void *value, size_t size,
                  struct sh_error *err);

/* Appends room for `size` bytes to the spool (a hole until written). */
int sh_tree_reserve(struct sh_tree *t, uint64_t size, uint64_t *offset, struct sh_error *err);

#endif
