// SPDX-License-Identifier: Apache-2.0
// Volumes: a file system on blocks that an enemy keeps.
//
// One source for the LibOS, the FUSE server of the VM, the owner's commands, tests and fuzzers. It
// needs what struct volume_disk gives and the memory that it is handed, nothing else.
//
// Locks: none of its own. One thread at a time is inside a volume (the LibOS: the big lock, held
// exclusively; PID 1's server and the commands have one thread); other volumes are independent. No
// call waits but in the functions of struct volume_disk, on the caller's thread.
// Ownership: what a pointer points to is the caller's, and is used only during the call, unless it
// is said to last. A volume lives in the memory that was given to volume_open.
// Units: `size` and `offset` are bytes, `count` and `blocks` are blocks of 4 KiB, times are ns
// since 1970.
//
// What the enemy may do with the disk: anything. A block that is not the one that was written last
// is -EIO, and nothing of it is used. That a whole earlier state was put back only the anchor can
// tell (volume_state). Sizes and times of what is read and written are visible.
//
// Promise: an operation is done wholly or not at all, also when the power goes. After volume_sync
// (0) all operations before it are on the disk; what came later may be there, in order: the disk
// always holds the state after some first n operations. -ENOSPC for want of blocks leaves all as
// it was. After an error of the disk in the middle of a change the volume refuses everything until
// it is opened again, at the last state that was synced: with -EIO, or with -ENOSPC where the host
// had no room for the volume's file; volume_reason says which.
//
// On the disk: trusted/volume/format.h draws it; docs/volumes.md says why. AES-256-GCM: NIST SP
// 800-38D. Calls on names and files mean what POSIX (IEEE Std 1003.1) and Linux's manual say.
#ifndef SHELTER_VOLUME_H
#define SHELTER_VOLUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VOLUME_KEY_SIZE 32u
#define VOLUME_NAME_MAX 255u
#define VOLUME_LINK_MAX 4095u
#define VOLUME_WRITE_MAX 131072u /* bytes of one volume_write */
#define VOLUME_BLOCKS_MIN 4096u  /* 16 MiB */
#define VOLUME_MEMORY_MIN (4u << 20)
#define VOLUME_MEMORY (15u << 20) /* enough for volumes of any size */
#define VOLUME_ROOT 1u            /* inode number of the root directory */

struct volume;
struct volume_state;

/* The disk as the volume sees it: written by the caller, copied by volume_open, its `ctx` must
 * outlive the volume. Functions return 0 or -errno, all `count` blocks or an error, and must not
 * call the volume. What write said may be lost, wholly or in part, until the flush that follows it
 * has returned. */
struct volume_disk {
    int (*read_blocks)(void *ctx, uint64_t block, void *buf, uint32_t count);
    int (*write_blocks)(void *ctx, uint64_t block, const void *buf, uint32_t count);
    int (*flush_blocks)(void *ctx);
    void (*discard_blocks)(void *ctx, uint64_t block, uint64_t count); /* a hint; may be NULL */
    int (*random_bytes)(void *ctx, void *buf, size_t size);
    int64_t (*now_ns)(void *ctx); /* ns since 1970 */
    /* What was found is read and whole (NULL: a disk of zeros, of volume_start), nothing is written
     * yet: 0, or -errno, which is then the result. Who remembers the last state (anchor.h) answers.
     * May be NULL: nobody does. */
    int (*judge_found)(void *ctx, const struct volume_state *found);
    void *ctx;
    uint64_t blocks; /* of the disk: a claim */
    uint64_t writer; /* by which the anchor knows us; 0: there is none */
};

/* What an anchor remembers of a volume: enough to know it again. A root record and a number of
 * blocks of its log say all that is in the volume; a writer's states follow each other. */
struct volume_state {
    uint64_t sequence; /* of the root record */
    uint64_t session;  /* whose keys it has */
    uint64_t writer;   /* who wrote it; 0: somebody without an anchor */
    /* What the anchor had acknowledged to whoever wrote it: never more than it has now, unless it
     * forgot. */
    uint64_t anchored_sequence;
    uint32_t anchored_log;
    uint32_t log_count; /* blocks of the log behind the root record that are acknowledged */
    uint8_t root[16];   /* tag of the root record */
};

enum {
    /* The volume's owner, not an instance: what is written counts as the last writer's, so that an
     * anchor knows it still. */
    VOLUME_KEEP_WRITER = 2,
    VOLUME_READ_ONLY = 1, /* writes nothing at all; -EROFS if the volume was not closed in order */
};

/* --- made, opened, closed ---
 * Owner: `memory` (`size` bytes, VOLUME_MEMORY_MIN at least, aligned to 4 KiB) is the volume's
 * until it is closed or abandoned, and is wiped then. `key` and `name` are copied.
 * Errors: those of the disk become -EIO; -ENOMEM: `size` does not do for so large a disk. */

/* flags: VOLUME_*. 0 and the volume in *out, which lies in `memory`; else NULL there, and the
 * memory is the caller's again, wiped. With a log behind the last commit, replays it first.
 * -EKEYREJECTED: no root record opens with this key; -EUCLEAN: a record of the log that was
 * acknowledged is damaged; -EOVERFLOW: the disk is shorter than the volume; -EPROTO: another
 * version; -EROFS: read only, and it was not closed in order; -EINVAL: no possible memory; -EIO;
 * and what judge_found says. */
int volume_open(const struct volume_disk *disk, const uint8_t key[VOLUME_KEY_SIZE], int flags,
                void *memory, size_t size, struct volume **out);
/* As whoever mounts it opens it: a disk of zeros becomes a new volume, unless read only; one that
 * was made larger is used to its end. `name` is cut at 63 bytes. Errors of volume_open; *out
 * counts only with 0. */
int volume_start(const struct volume_disk *disk, const uint8_t key[VOLUME_KEY_SIZE],
                 const char *name, int flags, void *memory, size_t size, struct volume **out);
/* Why it could not be opened, for whoever mounts it: the end of a sentence about -errno `error`. A
 * constant, which nobody frees. */
const char *volume_why_not(int error);
/* Commits, unless read only, and wipes the memory, whatever it returns: v is gone. 0, or -EIO: what
 * was not synced before may be lost. *last (or NULL) is what is on the disk then, for the anchor.
 */
int volume_close(struct volume *v, struct volume_state *last);
/* Wipes the memory and writes nothing; v is gone. Whoever calls it still gets -EIO. */
void volume_abandon(struct volume *v);

/* Why the volume refuses, for whoever runs it; "" if it does not. A constant, which nobody frees.
 */
const char *volume_reason(const struct volume *v);

/* --- durable ---
 * Errors: -EIO, or -ENOSPC of the host; then the volume refuses everything, with the same.
 * A read-only volume has nothing to write: 0. */

/* All that was done so far is on the disk when this returns 0. */
int volume_sync(struct volume *v);
/* The same in two halves, so that others may use the volume during the flush (but not begin
 * another sync): 0 it is done, 1 flush the disk without the caller's lock, then end it with what
 * that said. -EIO. */
int volume_sync_begin(struct volume *v);
/* `flushed`: what flush_blocks returned. 0, or -EIO: the volume refuses everything from now on. */
int volume_sync_end(struct volume *v, int flushed);
/* As volume_sync, and as a new root record (two flushes). 0 or -EIO. */
int volume_commit(struct volume *v);
/* Bytes of the log that wait for volume_sync; 0: nothing waits. Never fails. */
uint64_t volume_pending(const struct volume *v);
/* What is on the disk now, for the anchor: acknowledged by a flush, so never more than survives. */
void volume_state(const struct volume *v, struct volume_state *out);
/* The anchor has this state: the next root record says so. *state is copied. */
void volume_anchored(struct volume *v, const struct volume_state *state);

struct volume_info {
    uint64_t blocks, free; /* without those that have fixed places */
    uint64_t available;    /* of the free ones, what new data may take */
    uint64_t files;        /* inodes in use, without the root's */
};
/* Never fails; *out is the caller's, wholly filled. */
void volume_info(const struct volume *v, struct volume_info *out);

/* --- files and names ---
 * Errors: -EIO: a block is not the one that was written last, or the volume refuses; of what
 * changes something also -EROFS and -ENOSPC (nothing changed), and -EINVAL for a name that none may
 * be. Permissions are the caller's to judge, and what its kernel looks at anyway: that a file is
 * removed or replaced as one and a directory as one, and that none comes below itself.
 * Owner: numbers of inodes are not counted. The caller knows what it has open, and says by
 * volume_forget when it has not. */

struct volume_stat {
    uint64_t ino, size, blocks;                       /* size: bytes; blocks: of 4 KiB */
    uint32_t mode, uid, gid, nlink, rdev, generation; /* mode: with S_IFMT */
    int64_t atime, mtime, ctime, btime;               /* ns since 1970 */
    uint64_t parent;                                  /* of a directory; else 0 */
};
/* *out is the caller's, filled with 0. -ENOENT: there is no such inode. */
int volume_stat(struct volume *v, uint64_t ino, struct volume_stat *out);

/* A name has 1 to VOLUME_NAME_MAX bytes, without NUL and slash, and is not . or .. (which are not
 * kept). The text is the caller's and need not end with NUL. */
struct volume_name {
    const char *text;
    size_t size;
};
struct volume_owner {
    uint32_t uid, gid;
};
/* 0 and the inode's number in *ino; -ENOENT, also for a name that none may be; -ENOTDIR,
 * -ENAMETOOLONG. */
int volume_lookup(struct volume *v, uint64_t dir, struct volume_name name, uint64_t *ino);
/* A file, directory, device, socket or pipe, as `mode` says with S_IFMT; a link with its text, at
 * most VOLUME_LINK_MAX bytes. dir 0: without a name, which volume_link may give it; no directory. 0
 * and the number in *ino; -EEXIST, -ENOENT (the directory is gone), -ENOTDIR, -ENAMETOOLONG. */
int volume_make(struct volume *v, uint64_t dir, struct volume_name name, uint32_t mode,
                struct volume_owner owner, uint32_t rdev, struct volume_name link, uint64_t *ino);
/* Another name of ino. -EEXIST, -EPERM (it is a directory), -ENOENT, -ENOTDIR. */
int volume_link(struct volume *v, uint64_t ino, uint64_t dir, struct volume_name name);
/* Takes the name of a file, or of an empty directory, away. What has no more names stays until
 * volume_forget. -ENOENT, -ENOTDIR, -ENOTEMPTY. */
int volume_remove(struct volume *v, uint64_t dir, struct volume_name name);
/* What the new name named before is taken away as by volume_remove; exchange: they swap. -ENOENT,
 * -ENOTDIR, -ENOTEMPTY. */
int volume_rename(struct volume *v, uint64_t dir, struct volume_name name, uint64_t to,
                  struct volume_name new_name, bool exchange);
/* Nobody has ino open any more: if it has no names, its room is given back. Else nothing happens,
 * and 0. What a crash kept from it is made up for when the volume is opened. */
int volume_forget(struct volume *v, uint64_t ino);
/* Gets one entry of a directory; mode: S_IFMT alone; next: where a list goes on behind it and those
 * that have the same. `name.text` lasts for the call. It must not call the volume. Nonzero ends the
 * listing. */
typedef int volume_each(void *arg, struct volume_name name, uint64_t ino, uint32_t mode,
                        uint64_t next);
/* Every entry from place `from` on, 0: all. Places are the entries' own, whatever comes and goes
 * beside them. 0 at the end, the nonzero value of each_name, -ENOENT, -ENOTDIR. */
int volume_list(struct volume *v, uint64_t dir, uint64_t from, volume_each *each_name, void *arg);

/* Bytes read of a file or a link's text: fewer than asked for only at the end. -EISDIR. On an error
 * `buf` is undefined. */
long volume_read(struct volume *v, uint64_t ino, uint64_t offset, void *buf, size_t size);
/* All `size` bytes (at most VOLUME_WRITE_MAX; more is -EINVAL), or none. A gap before `offset` is a
 * hole. -EFBIG, -EISDIR, -ENOENT; -EINVAL: no regular file. */
int volume_write(struct volume *v, uint64_t ino, uint64_t offset, const void *buf, size_t size);
/* A hole of `size` bytes; the file's size stays. -EFBIG, -EISDIR, -ENOENT; -EINVAL: no regular
 * file. */
int volume_punch(struct volume *v, uint64_t ino, uint64_t offset, uint64_t size);
/* The offset of the first data or hole at or behind `offset`, as lseek(2); holes are whole blocks.
 * -ENXIO: `offset` is behind the end, or no data follows. */
int64_t volume_seek(struct volume *v, uint64_t ino, uint64_t offset, bool hole);

enum {
    VOLUME_SET_MODE = 1, /* the bits of 07777 */
    VOLUME_SET_UID = 2,
    VOLUME_SET_GID = 4,
    VOLUME_SET_SIZE = 8,
    VOLUME_SET_ATIME = 16,
    VOLUME_SET_MTIME = 32,
    VOLUME_SET_CTIME = 64, /* else it is now */
};
struct volume_change {
    uint32_t what, mode, uid, gid;
    uint64_t size;
    int64_t atime, mtime, ctime;
};
/* All of `what`, or nothing. -ENOENT; of a size: -EFBIG, -EISDIR, -EINVAL (no regular file). */
int volume_set(struct volume *v, uint64_t ino, const struct volume_change *c);

/* Extended attributes: 4 KiB in all for an inode, names and values. Names are whole (with "user.")
 * and have 1 to VOLUME_NAME_MAX bytes; who may set which is the caller's to judge. */
enum { VOLUME_XATTR_CREATE = 1, VOLUME_XATTR_REPLACE = 2 };
/* The value's size in bytes; `size` 0 only asks. -ENODATA; -ERANGE: it is larger than `size`;
 * -ENOENT. */
long volume_xattr_get(struct volume *v, uint64_t ino, struct volume_name name, void *value,
                      size_t size);
/* Copies the value; NULL: away with the attribute, -ENODATA: there is none. flags: VOLUME_XATTR_*,
 * which make it -EEXIST or -ENODATA. -ENOSPC: more than an inode's 4 KiB; -ERANGE: no possible
 * name; -ENOENT. */
int volume_xattr_set(struct volume *v, uint64_t ino, struct volume_name name, const void *value,
                     size_t size, int flags);
/* Bytes of all names with their NULs, as listxattr(2) gives them; `size` 0 only asks. -ERANGE,
 * -ENOENT. */
long volume_xattr_list(struct volume *v, uint64_t ino, char *buf, size_t size);

#endif
