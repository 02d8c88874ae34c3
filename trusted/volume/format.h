// SPDX-License-Identifier: Apache-2.0
// The volume on its disk, format 2. Little-endian; blocks of 4 KiB, numbered from 0; at most 2^32.
//
//   block 0        1        2 ... 7          8        9        10 ...
//   +--------+--------+----------------+--------+--------+------------+---------------------+
//   | root A | root B | map of group 0 | root A | root B | intent log | nodes, data anywhere |
//   +--------+--------+----------------+--------+--------+------------+---------------------+
//
//   root record (A when its sequence number is even, else B), one block, in two places: one that is
//   spoilt does not make the record before it count again:
//   +---------------------------+---------------------------+--------------------------------+
//   | key nonce 12, key tag 16, | root nonce 12, root tag 16| struct super, encrypted under  |
//   | wrapped master key 32     |                           | HKDF(master, "root")           |
//   +---------------------------+---------------------------+--------------------------------+
//     the master key under HKDF(owner's key, "wrap");         additional data: the first 60 bytes
//     additional data: VOLUME_NAME
//
// Everything else hangs on a root record by pointers (struct ptr), which hold what opens the block
// that they point to: place, session, counter, tag. So a root record authenticates all that is
// below it, and no byte of the disk is looked at before its tag is right.
//
//   super --> inode table, a tree of blocks with 16 inodes each
//                 inode --> file, directory or link text: a tree of blocks
//                       --> extended attributes: one block
//         --> pointers kept aside: a file of struct delta_record, the first delta_records of it
//   super --> allocation map: a tree whose blocks lie in fixed places
//
// A tree of n levels: a pointer; blocks of 128 pointers, n times; blocks of content. Place 0 is a
// hole, zeros. A node in use is never overwritten: what changes gets a new place and new pointers
// up to the super, and a new root record makes it all true at a stroke.
//
//   group: 32,768 blocks (128 MiB). Of its first eight, 2 and 3 hold its bitmap, in turns: a commit
//   writes to the one that the last commit did not. 4 and 5 in the first of 128 groups hold the
//   pointers to their bitmaps, 6 and 7 in the first of 128 * 128 the pointers to those. So the map
//   needs no room allocated. Bit set: block in use.
//
//   Block keys: HKDF(master, "block", session), nonce = counter 4 | place 4 | 0 4. A session is a
//   random number of 64 bits, drawn at each open and when the counter has passed 2^32: a volume
//   that was put back to an earlier state never uses a nonce twice under a key.
//
//   intent log: what fsync makes durable between two commits, under HKDF(master, "log", session of
//   the super), nonce = sequence number of the super 8 | block of the log 4. Each block:
//   +--------------------------------------------------------------------+---------+
//   | used 2, flags 2, record 4; operations (log.c), encrypted           | tag 16  |
//   +--------------------------------------------------------------------+---------+
//   A record is one write and one flush. It begins a block (LOG_FIRST) and ends one (LOG_LAST). A
//   commit starts the log anew: nothing of it has to be wiped, as the nonces no longer fit.
#ifndef VOLUME_FORMAT_H
#define VOLUME_FORMAT_H

#include <stdint.h>

#include "trusted/volume/crypt.h"

#define VOLUME_NAME "shelter-volume-1"
#define BLOCK_SIZE 4096u
#define BLOCKS_MAX (1ull << 32)
#define FAN 128u /* pointers in a block */
#define LEVELS_MAX 5u
#define FILE_BLOCKS_MAX (1ull << 35) /* FAN to the power of LEVELS_MAX */
#define GROUP_BLOCKS 32768u
#define GROUP_MAP 2u /* of a group: blocks 2 + 2 * level and the next one */
#define GROUP_RESERVED 8u
#define ROOT_COPY 8u /* root A and B once more */
#define LOG_START 10u
#define SUPERS 8u /* top pointers of the map: 8 * 128 * 128 groups are 2^32 blocks */

struct ptr {
    uint32_t place; /* block; 0: a hole */
    uint32_t counter;
    uint64_t session;
    uint8_t tag[CRYPT_TAG_SIZE];
};
_Static_assert(sizeof(struct ptr) * FAN == BLOCK_SIZE, "a block of pointers");

#define INODES 16u /* in a block */
#define INO_ROOT 1u
#define INO_ORPHANS 2u /* a directory that has no name: files that lost theirs while open */
struct disk_inode {
    uint32_t mode; /* as stat(2) has it; 0: not in use */
    uint32_t uid, gid, nlink, rdev;
    uint32_t generation;
    uint64_t size;
    uint64_t blocks;                    /* in use by it, of 4 KiB */
    int64_t atime, mtime, ctime, btime; /* ns since 1970 */
    uint64_t next;         /* not in use: the next such inode; a directory: its parent */
    uint8_t levels, depth; /* of the tree; of a directory's trie, see dir.c */
    uint8_t zero[6];
    struct ptr data;
    struct ptr xattr;
    uint8_t unused[104];
};
_Static_assert(sizeof(struct disk_inode) * INODES == BLOCK_SIZE, "a block of inodes");

struct super {
    uint32_t version;  /* 2 */
    uint32_t features; /* none is known: any bit is refused */
    uint8_t id[16];
    uint64_t sequence; /* one more with each commit */
    uint64_t session;  /* of whoever wrote this */
    uint64_t blocks;   /* of the volume */
    uint64_t free;     /* of them */
    uint32_t log_blocks;
    uint32_t clean;      /* closed in order: the log is empty */
    uint64_t free_inode; /* the first of the list of those not in use; 0: none */
    uint64_t inodes;     /* that the table has room for */
    uint64_t files;      /* in use */
    uint64_t hash_key[2];
    int64_t created, written; /* ns since 1970 */
    char name[64];
    struct disk_inode table; /* of the inode table, as that of a file */
    struct ptr map[SUPERS];
    uint64_t writer, anchored_sequence; /* struct volume_state (volume.h); 0 without an anchor */
    uint32_t anchored_log;
    uint32_t delta_records; /* in use of the file of delta_ino */
    uint64_t delta_ino;     /* 0: there is none yet */
};

/* A pointer that stands in its tree's block as it was before: this one counts. Later records count
 * instead of earlier ones; place 0: the tree's block has it. */
struct delta_record {
    uint64_t ino, index; /* of the content */
    struct ptr ptr;
};

#define WRAP_SIZE (12u + 16u + 32u)
struct disk_root {
    uint8_t key_nonce[12], key_tag[16], wrapped[32];
    uint8_t nonce[12], tag[16];
    uint8_t super[BLOCK_SIZE - WRAP_SIZE - 28];
};
_Static_assert(sizeof(struct disk_root) == BLOCK_SIZE, "one block");
_Static_assert(sizeof(struct super) <= sizeof(((struct disk_root *)0)->super), "it fits");

#define LOG_FIRST 1u
#define LOG_LAST 2u
#define LOG_DATA (BLOCK_SIZE - 16u - 8u)
struct log_block {
    uint16_t used, flags;
    uint32_t record;
    uint8_t data[LOG_DATA];
    uint8_t tag[CRYPT_TAG_SIZE];
};
_Static_assert(sizeof(struct log_block) == BLOCK_SIZE, "one block");

#endif
