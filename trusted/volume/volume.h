// SPDX-License-Identifier: Apache-2.0
// Volumes: a file system on blocks that an enemy keeps.
//
// One source for the LibOS, the FUSE server of the VM, the owner's commands, tests and fuzzers. It
// needs what struct volume_disk gives and the memory that it is handed, nothing else. One thread at
// a time: the caller has the lock. All functions return 0, a count, or -errno (Linux numbers).
//
// What the enemy may do with the disk: anything. A block that is not the one that was written last
// is -EIO, and nothing of it is used. That a whole earlier state was put back only the anchor can
// tell (volume_state). Sizes and times of what is read and written are visible.
//
// Promise: an operation is done wholly or not at all, also when the power goes. After volume_sync
// (0) all operations before it are on the disk; what came later may be there, in order: the disk
// always holds the state after some first n operations. -ENOSPC leaves all as it was. After an
// error of the disk in the middle of a change the volume refuses everything (-EIO) until it is
// opened again, at the last state that was synced.
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

/* Blocks of 4 KiB. Calls return 0 or -errno; all `count` blocks or an error. What write said may
 * be lost, wholly or in part, until the flush that follows it has returned. */
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

/* Makes an empty volume, whose disk then holds nothing else. Sizes: VOLUME_BLOCKS_MIN blocks and
 * more. */
int volume_create(const struct volume_disk *disk, const uint8_t key[VOLUME_KEY_SIZE],
                  const char *name, void *memory, size_t size);

/* memory: `size` bytes (>= VOLUME_MEMORY_MIN, aligned to 4 KiB) that are the volume's until it is
 * closed; *out lies in it. With a log behind the last commit, replays it first.
 * -EKEYREJECTED: no root record opens with this key; -EUCLEAN: a record of the log that was
 * acknowledged is damaged; -EOVERFLOW: the disk is shorter than the volume; -EPROTO: another
 * version. */
int volume_open(const struct volume_disk *disk, const uint8_t key[VOLUME_KEY_SIZE], int flags,
                void *memory, size_t size, struct volume **out);
/* As whoever mounts it opens it: a disk of zeros becomes a new volume, unless read only; one that
 * was made larger is used to its end. */
int volume_start(const struct volume_disk *disk, const uint8_t key[VOLUME_KEY_SIZE],
                 const char *name, int flags, void *memory, size_t size, struct volume **out);
/* Why it could not be opened, for whoever mounts it. */
const char *volume_why_not(int error);
/* Commits, unless read only, and wipes the memory, whatever it returns. */
int volume_close(struct volume *v);
/* The same; *last: what is on the disk then, for the anchor. */
int volume_close_at(struct volume *v, struct volume_state *last);
/* Wipes the memory and writes nothing. */
void volume_abandon(struct volume *v);

/* Why the volume refuses, for whoever runs it; "" if it does not. */
const char *volume_reason(const struct volume *v);

/* All that was done so far is on the disk when this returns 0. */
int volume_sync(struct volume *v);
/* The same in two halves, so that others may use the volume during the flush (but not begin
 * another sync): 0 it is done, 1 flush the disk, then end it with what that said. */
int volume_sync_begin(struct volume *v);
/* 0, or -EIO: the volume refuses everything from now on. */
int volume_sync_end(struct volume *v, int flushed);
/* Likewise, and as a new root record. */
int volume_commit(struct volume *v);
/* How much waits for volume_sync: 0 nothing. */
uint64_t volume_pending(const struct volume *v);
/* Of what is on the disk now, for the anchor. */
void volume_state(const struct volume *v, struct volume_state *out);
/* As the volume was found by volume_open. */
void volume_found(const struct volume *v, struct volume_state *out);
/* The anchor has this state: the next root record says so. */
void volume_anchored(struct volume *v, const struct volume_state *state);

struct volume_info {
    uint64_t blocks, free, available, files, sequence;
    uint32_t version, log_blocks;
    bool clean;
    int64_t created, written;
    uint8_t id[16];
    char name[64];
};
/* Never fails; *out is the caller's, wholly filled. */
void volume_info(const struct volume *v, struct volume_info *out);
/* Blocks of the disk that are the volume's. */
uint64_t volume_blocks(const struct volume *v);
/* More blocks: the disk has them already. */
int volume_grow(struct volume *v, uint64_t blocks);
/* From now on another key opens it. Nothing but the root records is written. */
int volume_rekey(struct volume *v, const uint8_t key[VOLUME_KEY_SIZE]);

struct volume_stat {
    uint64_t ino, size, blocks; /* of 4 KiB */
    uint32_t mode, uid, gid, nlink, rdev, generation;
    int64_t atime, mtime, ctime, btime;
    uint64_t parent; /* of a directory */
};
/* -ENOENT: there is no such inode. */
int volume_stat(struct volume *v, uint64_t ino, struct volume_stat *out);

/* Names. Permissions are the caller's to judge. A name has 1 to 255 bytes, without NUL and slash,
 * and is not . or .. (which are not kept). */
struct volume_name {
    const char *text;
    size_t size;
};
struct volume_owner {
    uint32_t uid, gid;
};
/* *ino counts for nothing: the caller keeps it from volume_forget. -ENOENT, -ENOTDIR. */
int volume_lookup(struct volume *v, uint64_t dir, struct volume_name name, uint64_t *ino);
/* A file, directory, device, socket or pipe; a link with its text. dir 0: a file without a name,
 * which volume_link may give one. */
int volume_make(struct volume *v, uint64_t dir, struct volume_name name, uint32_t mode,
                struct volume_owner owner, uint32_t rdev, struct volume_name link, uint64_t *ino);
/* Another name of ino, which is no directory. -EEXIST, -EMLINK, -EPERM, -ENOSPC. */
int volume_link(struct volume *v, uint64_t ino, uint64_t dir, struct volume_name name);
/* Takes the name away. A file that has no more names stays until volume_forget. */
int volume_unlink(struct volume *v, uint64_t dir, struct volume_name name);
/* Of an empty directory. -ENOTEMPTY, -ENOTDIR, -ENOENT. */
int volume_rmdir(struct volume *v, uint64_t dir, struct volume_name name);
/* What the new name named before is taken away as by unlink or rmdir; exchange: they swap. */
int volume_rename(struct volume *v, uint64_t dir, struct volume_name name, uint64_t to,
                  struct volume_name new_name, bool exchange);
/* A file without names is no longer open: its room is given back. Else nothing happens. */
int volume_forget(struct volume *v, uint64_t ino);
/* Calls `each_name` with every entry until it returns nonzero, and returns that. `each_name` may
 * not call the volume. */
typedef int volume_each(void *arg, struct volume_name name, uint64_t ino, uint32_t mode);
/* 0, what each_name returned, or -errno. */
int volume_list(struct volume *v, uint64_t dir, volume_each *each_name, void *arg);

/* Bytes of its text, cut at `size`, without NUL. -EINVAL: no link. */
long volume_readlink(struct volume *v, uint64_t ino, char *buf, size_t size);
/* Bytes read: fewer than asked for only at the end of the file. */
long volume_read(struct volume *v, uint64_t ino, uint64_t offset, void *buf, size_t size);
/* All `size` bytes (<= VOLUME_WRITE_MAX). */
int volume_write(struct volume *v, uint64_t ino, uint64_t offset, const void *buf, size_t size);
/* A hole; the size stays. */
int volume_punch(struct volume *v, uint64_t ino, uint64_t offset, uint64_t size);
/* The first data or hole at or behind offset; -ENXIO behind the end. */
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
/* All of `what`, or nothing. -EFBIG, -ENOSPC, -EISDIR for a size. */
int volume_set(struct volume *v, uint64_t ino, const struct volume_change *c);

/* Extended attributes: 4 KiB in all for an inode. */
enum { VOLUME_XATTR_CREATE = 1, VOLUME_XATTR_REPLACE = 2 };
/* Its size; `size` 0 only asks. -ENODATA, -ERANGE. */
long volume_xattr_get(struct volume *v, uint64_t ino, struct volume_name name, void *value,
                      size_t size);
/* Copies the value. -EEXIST, -ENODATA (flags), -ENOSPC, -E2BIG. */
int volume_xattr_set(struct volume *v, uint64_t ino, struct volume_name name, const void *value,
                     size_t size, int flags);
/* -ENODATA. */
int volume_xattr_remove(struct volume *v, uint64_t ino, struct volume_name name);
/* Names with their NULs, as listxattr(2) gives them. */
long volume_xattr_list(struct volume *v, uint64_t ino, char *buf, size_t size);

/* Reads all that is in use and looks whether it fits together: tags, counts, names, map. Calls
 * `say` with a sentence for each fault; how many there are, or -errno. */
long volume_check(struct volume *v, void (*say)(void *arg, const char *text), void *arg);

#endif
