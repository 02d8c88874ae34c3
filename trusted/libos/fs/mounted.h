// SPDX-License-Identifier: Apache-2.0
// Files that are kept elsewhere than in the image and in memory: in a volume (fs/volume.c), in a
// folder of the host (fs/share.c). What each does is a table; what is above it is the same.
//
// Names and changes go to the keeper first, and what it refuses does not happen. Pages that are
// mapped are the inode's (mm/object.c), as of any file.
//
// Locks: all with the big lock held exclusively; what is said to sleep gives it up meanwhile, and
// has it exclusively again.
// Ownership: inodes are counted by the caller; a name, and what `buf` and `value` point to, is the
// caller's for the call. What is written is copied.
// Errors: -EIO where the keeper cannot be believed or refuses. What changes something: -EROFS,
// -ENOSPC, of a volume -EAWAY while its anchor does not answer (volume_wait_change, then again).
// Units: bytes, but for what is said to be blocks or pages.
#ifndef LIBOS_MOUNTED_H
#define LIBOS_MOUNTED_H

#include "trusted/libos/fs/file.h"

#define MOUNT_CHUNK 65536ul /* bytes of one fetch or save, at most */

enum attr_use { ATTR_GET, ATTR_SET, ATTR_REMOVE, ATTR_LIST };

struct statfs;

/* A member that is NULL is -EOPNOTSUPP, but for make_durable (0). */
struct mount_ops {
    /* Contents, to and from memory of the LibOS. fetch: how many, 0 behind the end. save: all (0)
     * or -errno; the size is the caller's to set. */
    long (*fetch)(struct inode *i, void *buf, uint64_t offset, uint64_t size);
    int (*save)(struct inode *i, const void *buf, uint64_t offset, uint64_t size);
    /* With the keeper alone: i->size is the caller's to set. -EFBIG. */
    int (*set_size)(struct inode *i, uint64_t size);
    /* A hole from byte `start` to before `end`; mapped pages are the caller's to drop. -EFBIG. */
    int (*punch)(struct inode *i, uint64_t start, uint64_t end);
    /* Is there room for these bytes now? Keeps none. 0 or -ENOSPC. */
    int (*allocate)(struct inode *i, uint64_t start, uint64_t end);
    /* The first data or hole at or behind `offset`, which is before the end. */
    int64_t (*find)(struct inode *i, uint64_t offset, bool hole);
    uint64_t (*count_blocks)(const struct inode *i); /* st_blocks: of 512 bytes */

    /* Before the tree changes; with an error it stays as it is. A new name of i: of a new inode,
     * which becomes the keeper's (with its type, owner, rdev and link's text), or of one that is
     * there. -EEXIST, -ENOENT, -ENOTDIR, -EMLINK, -EPERM; -EXDEV: i is kept elsewhere; -ENOMEM: the
     * name is there all the same. */
    int (*add_name)(struct inode *dir, const char *name, size_t size, struct inode *i);
    /* Of a file or an empty directory. -ENOTEMPTY, -ENOENT. i lives on until its last reference. */
    int (*drop_name)(struct inode *dir, const char *name, const struct inode *i);
    /* Both directories are of one mount. exchange: the names swap. -ENOENT, -ENOTEMPTY, -EISDIR,
     * -ENOTDIR; -EINVAL: a directory would come below itself. */
    int (*move_name)(struct inode *dir, const char *name, struct inode *to, const char *new_name,
                     bool exchange);
    /* The new file i, which has no name (O_TMPFILE), becomes the keeper's. -ENOMEM. */
    int (*add_nameless)(struct inode *dir, struct inode *i);

    /* Mode, owner and times go to the keeper as they stand in *i now; on an error they are as
     * before again, if it still says how that was. */
    int (*change)(struct inode *i);
    /* fsync. Sleeps until it is done. -EINTR: the process is killed. */
    int (*make_durable)(struct inode *i);
    /* value: LibOS memory of `size` bytes; name: whole, NULL for a list; flags: VOLUME_XATTR_*.
     * Bytes, 0, -ENODATA, -ERANGE, -EEXIST. */
    long (*use_attr)(struct inode *i, enum attr_use what, const char *name, void *value,
                     size_t size, int flags);
    /* Fills *s but for what every file system has. */
    void (*tell_room)(const struct inode *i, struct statfs *s);
};

struct mount {
    const struct mount_ops *ops;
    uint32_t number; /* of its device, from 0 */
    uint8_t *bounce; /* MOUNT_CHUNK bytes */
    bool live;       /* the host changes it too: nothing that was looked at stays true */
    bool read_only, no_execute;
};

/* ns since 1970, and what is nearest to a time in them. */
struct time mount_time(int64_t ns);
int64_t mount_ns(struct time t);

/* Contents, as data_* (fs/data.c), which call them. Bytes read, at most io->left; those before an
 * error count. -EFAULT. May wait for the program's pages. */
long mount_read(struct inode *i, struct io *io, uint64_t offset);
/* Takes `size` bytes (<= MOUNT_CHUNK) of io: all (0), or -errno and none. -EFAULT, -EFBIG. May wait
 * for the program's pages; whoever calls it has i->writing. */
int mount_write(struct inode *i, struct io *io, uint64_t offset, uint64_t size);
/* One page, by its index, into PAGE_SIZE bytes; zeros behind the end. 0 or -EIO. */
int mount_page(struct inode *i, uint64_t index, void *buf);
/* Of any inode: make_durable, where it is kept elsewhere. Sleeps. 0, -EIO, -EINTR. */
int mount_sync(struct inode *i);
/* Of any inode: size and times as they are there, where somebody else may have changed them. */
void mount_refresh(struct inode *i);

#endif
