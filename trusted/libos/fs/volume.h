// SPDX-License-Identifier: Apache-2.0
// Volumes as file systems of the LibOS: trusted/volume below, names and inodes of the tree above.
//
// A volume keeps names, attributes and contents; the tree of names holds what was looked at. Each
// change goes to the volume first, and what it refuses does not happen. Pages that are mapped are
// the inode's (mm/object.c), as of any file; they reach the volume at fsync, msync and sync, every
// few seconds, and when nobody has the file any more. All with the lock held.
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
/* Its volume's, as it is on the disk now; false: it is not mounted (yet). */
bool volume_durable(const struct volume_keeper *k, struct volume_state *out);
/* The anchor has this state; or (NULL) it did not answer, or the volume is lost: watch says so. */
void volume_heard(struct volume_keeper *k, const struct volume_state *state);
/* A keeper has something to do. */
extern struct wait_queue volume_asks;

/* After -EAWAY, which a change answers while the anchor is awaited: waits. -ERESTARTSYS. */
long volume_wait_change(void);

/* Opens the volume in the host's file `number`; *root is its first directory, counted, for
 * tree_mount. A disk of zeros becomes a new volume unless it is read only. keeper: NULL where
 * nobody remembers its states. 0, or -errno, having said why. */
int volume_mount(uint32_t number, const char *name, const uint8_t key[32], bool read_only,
                 struct volume_keeper *keeper, struct inode **root);
/* Everything to the disks, as at the end of the last program. 0, or the first error. */
int volume_unmount_all(void);

/* Of an inode with ->volume. Contents, as data_* (fs/data.c), which call them. */
long volume_data_read(struct inode *i, struct io *io, uint64_t offset);
/* Takes `size` bytes (<= VOLUME_CHUNK) of io: all, or -errno and none. May wait for the program's
 * pages. */
int volume_data_write(struct inode *i, struct io *io, uint64_t offset, uint64_t size);
/* One page, zeros behind the end. 0 or -EIO. */
int volume_data_page(struct inode *i, uint64_t index, void *buf);
/* In the volume alone: i->size is the caller's to set. -EFBIG, -ENOSPC. */
int volume_data_set_size(struct inode *i, uint64_t size);
/* A hole in the volume; mapped pages are the caller's to drop. */
int volume_data_punch(struct inode *i, uint64_t start, uint64_t end);
/* -ENOSPC: there is no room for so much now. Keeps none. */
int volume_data_allocate(struct inode *i, uint64_t start, uint64_t end);
/* Mapped pages go to the volume first. -ENXIO behind the end. */
int64_t volume_data_seek(struct inode *i, uint64_t offset, bool hole);
/* Of 512 bytes; 0 where the volume refuses. */
uint64_t volume_data_blocks(const struct inode *i);

/* Names, before the tree changes. link: i is new, or has names already. */
int volume_name_link(struct inode *dir, const char *name, size_t size, struct inode *i);
/* Of a file or an empty directory. -ENOTEMPTY, -EIO. i lives on until its last reference. */
int volume_name_unlink(struct inode *dir, const char *name, const struct inode *i);
/* Both directories are of one volume. exchange: the names swap. -ENOTEMPTY, -ENOSPC, -EIO. */
int volume_name_rename(struct inode *dir, const char *name, struct inode *to, const char *new_name,
                       bool exchange);
/* A new file that has no name (O_TMPFILE). */
int volume_make_nameless(struct inode *dir, struct inode *i);

/* Mode, owner and times as they stand in *i now; on an error they are as before again. */
int volume_change(struct inode *i);
/* Times as the volume has them. */
void volume_refresh(struct inode *i);

/* fsync: all of this inode's volume; i NULL: of all. May sleep. */
int volume_fsync(struct inode *i);

/* Of its mount, from 0. */
uint32_t volume_index(const struct inode *i);

struct statfs;
/* Fills *s but for what every file system has. */
void volume_statfs(const struct inode *i, struct statfs *s);

enum volume_attr { VOLUME_ATTR_GET, VOLUME_ATTR_SET, VOLUME_ATTR_REMOVE, VOLUME_ATTR_LIST };
/* value: inside, size bytes; what volume_xattr_* answer. */
long volume_attr(struct inode *i, enum volume_attr what, const char *name, void *value, size_t size,
                 int flags);

#endif
