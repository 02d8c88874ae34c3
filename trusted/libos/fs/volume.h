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

#include "trusted/libos/fs/mounted.h"
#include "trusted/volume/anchor.h"

#define VOLUMES_MAX 8u

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

/* Everything to the disks, as make_durable of a file of each. 0, or the first -errno. */
int volume_sync_all(void);

/* What a monitor may know of the `index`th that is mounted, and its name; NULL: there is none. */
const char *volume_counts(uint32_t index, uint64_t counts[VOLUME_COUNTS]);

#endif
