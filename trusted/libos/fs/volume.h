// SPDX-License-Identifier: Apache-2.0
// Volumes as file systems of the LibOS: trusted/volume below, names and inodes of the tree above.
//
// A volume keeps names, attributes and contents; the tree of names holds what was looked at. Each
// change goes to the volume first, and what it refuses does not happen. Pages that are mapped are
// the inode's (mm/object.c), as of any file; they reach the volume at fsync, msync and sync, every
// few seconds, and when nobody has the file any more.
//
// Locks: all with the big lock held exclusively; what is said to sleep gives it up meanwhile, and
// has it exclusively again.
// Ownership: inodes are counted by the caller; a name, and what `buf` and `value` point to, is the
// caller's for the call. What is written is copied.
// Errors: of all that asks the volume -EIO (a block is not the one that was written last, or the
// volume refuses), and -ENOSPC for good where the host has no room for its file. What changes
// something: -EAWAY while the anchor does not answer (volume_wait_change, then again), -EROFS.
// Units: bytes, but for what is said to be blocks or pages.
#ifndef LIBOS_VOLUME_H
#define LIBOS_VOLUME_H

#include "trusted/libos/fs/file.h"
#include "trusted/volume/anchor.h"

#define VOLUMES_MAX 8u
#define VOLUME_CHUNK 65536ul /* bytes of one volume_data_write, at most */

/* Who remembers a volume's states, where somebody does (agent/volume.c), and when it was heard. */
struct volume_keeper {
    struct anchor_watch watch;
    uint64_t writer;
    struct volume_state last; /* while watch.closing, which ends when the anchor has it */
    /* What was found (NULL: an empty file): 0, or -errno, having said why. */
    int (*judge)(struct volume_keeper *k, const struct volume_state *found);
};
/* The state of k's volume as it is on the disk now, into *out; false: it is not mounted (yet). */
bool volume_durable(const struct volume_keeper *k, struct volume_state *out);
/* The anchor has this state, which is copied; or (NULL) it did not answer, or the volume is lost:
 * watch says so. Wakes who waits for it. */
void volume_heard(struct volume_keeper *k, const struct volume_state *state);
/* Woken when a keeper has something to do. */
extern struct wait_queue volume_asks;

/* After -EAWAY, which a change answers while the anchor is awaited: sleeps until it answered, or a
 * signal. Always -ERESTARTSYS: the call begins anew. */
long volume_wait_change(void);

/* Opens the volume in the host's file `number`; *root is its first directory, one reference, for
 * tree_mount. A disk of zeros becomes a new volume unless it is read only. `name` and `keeper` must
 * last until it is unmounted, `key` is copied; keeper: NULL where nobody remembers its states. 0,
 * or -errno of volume_start, having said why. Once for a number, before the program. */
int volume_mount(uint32_t number, const char *name, const uint8_t key[32], bool read_only,
                 struct volume_keeper *keeper, struct inode **root);
/* Everything to the disks, as at the end of the last program; then nothing is mounted any more.
 * Sleeps until flushes are done and the anchors know, 10 s at most. 0, or the first -errno,
 * having said which volume. */
int volume_unmount_all(void);

/* ---- of an inode with ->volume ----
 * Errors: as at the top. */

/* Contents, as data_* (fs/data.c), which call them. Bytes read, at most io->left; those before an
 * error count. -EFAULT. May wait for the program's pages. */
long volume_data_read(struct inode *i, struct io *io, uint64_t offset);
/* Takes `size` bytes (<= VOLUME_CHUNK) of io: all (0), or -errno and none. -EFAULT, -EFBIG. May
 * wait for the program's pages; whoever calls it has i->writing. */
int volume_data_write(struct inode *i, struct io *io, uint64_t offset, uint64_t size);
/* One page, by its index, into PAGE_SIZE bytes; zeros behind the end. 0 or -EIO. */
int volume_data_page(struct inode *i, uint64_t index, void *buf);
/* In the volume alone: i->size is the caller's to set. 0, -EFBIG, -ENOSPC. */
int volume_data_set_size(struct inode *i, uint64_t size);
/* A hole from byte `start` to before `end` in the volume; mapped pages are the caller's to drop. 0
 * or -EFBIG. */
int volume_data_punch(struct inode *i, uint64_t start, uint64_t end);
/* Is there room for bytes `start` to before `end` now? Keeps none. 0 or -ENOSPC. */
int volume_data_allocate(struct inode *i, uint64_t start, uint64_t end);
/* The first data or hole at or behind `offset`; mapped pages go to the volume first. -ENXIO behind
 * the end. */
int64_t volume_data_seek(struct inode *i, uint64_t offset, bool hole);
/* st_blocks: of 512 bytes; 0 where the volume refuses. */
uint64_t volume_data_blocks(const struct inode *i);

/* Names: in the volume, before the tree changes; with an error the tree stays as it is. A new name
 * of i: of a new inode, which becomes the volume's (with its type, owner, rdev and link's text), or
 * of one that is there. 0, -EEXIST, -ENOENT, -ENOTDIR, -EMLINK, -EPERM; -EXDEV: i is another
 * volume's; -ENOMEM: the name is there all the same. */
int volume_name_link(struct inode *dir, const char *name, size_t size, struct inode *i);
/* Takes away the name of a file or an empty directory. 0, -ENOTEMPTY, -ENOENT. i lives on until its
 * last reference. */
int volume_name_unlink(struct inode *dir, const char *name, const struct inode *i);
/* Both directories are of one volume. exchange: the names swap. 0, -ENOENT, -ENOTEMPTY, -EISDIR,
 * -ENOTDIR; -EINVAL: a directory would come below itself. */
int volume_name_rename(struct inode *dir, const char *name, struct inode *to, const char *new_name,
                       bool exchange);
/* The new file i, which has no name (O_TMPFILE), becomes the volume's. 0 or -ENOMEM. */
int volume_make_nameless(struct inode *dir, struct inode *i);

/* Mode, owner and times go to the volume as they stand in *i now; on an error (-errno) they are as
 * before again, if the volume still says how that was. */
int volume_change(struct inode *i);
/* mtime and ctime as the volume has them; as they are, where it refuses. */
void volume_refresh(struct inode *i);

/* fsync: all of this inode's volume; i NULL: of all volumes. Sleeps until the host has flushed, and
 * with strict freshness until the anchor has it. 0, or the first error; -EINTR: the process is
 * killed. */
int volume_fsync(struct inode *i);

/* The number of its mount, from 0, in the order in which they were mounted. */
uint32_t volume_index(const struct inode *i);

struct statfs;
/* Fills *s but for what every file system has. */
void volume_statfs(const struct inode *i, struct statfs *s);

/* What a monitor may know of the `index`th that is mounted, and its name; NULL: there is none. */
const char *volume_counts(uint32_t index, uint64_t counts[VOLUME_COUNTS]);

enum volume_attr { VOLUME_ATTR_GET, VOLUME_ATTR_SET, VOLUME_ATTR_REMOVE, VOLUME_ATTR_LIST };
/* value: LibOS memory of `size` bytes; name: whole, NULL for a list; flags: VOLUME_XATTR_*. What
 * volume_xattr_* answer (trusted/volume/volume.h): bytes, 0, -ENODATA, -ERANGE, -EEXIST. */
long volume_attr(struct inode *i, enum volume_attr what, const char *name, void *value, size_t size,
                 int flags);

#endif
