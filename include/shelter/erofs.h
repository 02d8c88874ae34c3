// SPDX-License-Identifier: Apache-2.0
// The root file system on disk: the small part of erofs that `shelter build` writes.
//
// Linux mounts it as any erofs; the LibOS reads just this subset and refuses the rest. Integers are
// little endian, blocks are 4 KiB, nothing is compressed, no block is shared by two inodes.
//
//   block 0          block 1 ...               block D ...                  block N ...
//   +----+----+------+------+------+-------+---+------------+-----------+---+---------------+
//   | 0  | sb | 0    | root | inode| inode |...| blocks of  | blocks of |...| dm-verity     |
//   |1024|128 |      | inode| +tail| +tail |   | folders    | files     |   | tree          |
//   +----+----+------+------+------+-------+---+------------+-----------+---+---------------+
//   \________________________ root size (manifest), N blocks _____________/
//
// Inode number n ("nid") stands at byte 32 * n; an inode is always the extended form:
//
//   0        64                      64 + xattr size
//   +--------+-----------------------+----------------+
//   | inode  | xattr header, entries | tail           |     tail only with SH_EROFS_INLINE
//   +--------+-----------------------+----------------+
//
// - The 64 bytes never cross a block. Attributes may, when they alone do not fit into one.
// - SH_EROFS_PLAIN: byte i of the content is at block * 4096 + i.
// - SH_EROFS_INLINE: so are the whole blocks (size / 4096 of them); the last size % 4096 bytes are
//   the tail behind the attributes, in one block with their end.
// - Holes of sparse files are stored as zeros. Symbolic links and folders have content like files.
// - A folder's content is blocks of their own: entries (12 bytes each), then their names. The first
//   entry's name_offset / 12 is the count; a name ends where the next one begins, the last at a NUL
//   or at the block's (the content's) end. Names ascend as unsigned bytes through the whole
//   folder, "." and ".." among them.
// - All names of a hard-linked file carry one nid.
#ifndef SHELTER_EROFS_H
#define SHELTER_EROFS_H

#include <stdint.h>

#define SH_EROFS_BLOCK 4096u
#define SH_EROFS_SUPER_OFFSET 1024u
#define SH_EROFS_MAGIC 0xe0f5e1e2u
#define SH_EROFS_SLOT 32u      /* unit of inode numbers */
#define SH_EROFS_ROOT_NID 128u /* root inode: first of block 1 */
#define SH_EROFS_NAME_MAX 255u

#define SH_EROFS_COMPAT_CHECKSUM 1u
#define SH_EROFS_COMPAT_MTIME 2u

struct sh_erofs_super {
    uint32_t magic;
    uint32_t checksum; /* CRC-32C, start ~0, not inverted, of bytes 1024..4095 with this 0 */
    uint32_t feature_compat;
    uint8_t block_bits; /* 12 */
    uint8_t extension_slots;
    uint16_t root_nid;
    uint64_t inode_count;
    uint64_t build_time;
    uint32_t build_time_nsec;
    uint32_t block_count;
    uint32_t meta_block; /* 0: nids count from the image's start */
    uint32_t xattr_block;
    uint8_t uuid[16];
    uint8_t volume_name[16];
    uint32_t feature_incompat; /* 0 */
    uint8_t reserved[44];
};

#define SH_EROFS_EXTENDED 1u     /* bit 0 of format */
#define SH_EROFS_PLAIN (0u << 1) /* bits 1..3 of format */
#define SH_EROFS_INLINE (2u << 1)

struct sh_erofs_inode {
    uint16_t format;
    uint16_t xattr_count; /* 0, or 1 + (size of entries) / 4; the header takes 12 bytes */
    uint16_t mode;        /* st_mode, type and permissions */
    uint16_t reserved;
    uint64_t size;
    /* First block; of a device: minor & 0xff | major << 8 | (minor & ~0xff) << 12. */
    uint32_t block_or_device;
    uint32_t ino; /* for 32-bit stat: running number from 1 */
    uint32_t uid;
    uint32_t gid;
    uint64_t mtime; /* seconds, signed */
    uint32_t mtime_nsec;
    uint32_t link_count;
    uint8_t reserved2[16];
};

struct sh_erofs_xattr_head {
    uint32_t name_filter; /* 0 */
    uint8_t shared_count; /* 0 */
    uint8_t reserved[7];
};

/* Followed by name (without its prefix) and value, then zeros up to a multiple of 4. */
struct sh_erofs_xattr {
    uint8_t name_size;
    uint8_t name_index; /* enum sh_erofs_xattr_index */
    uint16_t value_size;
};

enum sh_erofs_xattr_index {
    SH_EROFS_XATTR_USER = 1,        /* "user." */
    SH_EROFS_XATTR_ACL_ACCESS = 2,  /* "system.posix_acl_access", empty name */
    SH_EROFS_XATTR_ACL_DEFAULT = 3, /* "system.posix_acl_default", empty name */
    SH_EROFS_XATTR_TRUSTED = 4,     /* "trusted." */
    SH_EROFS_XATTR_SECURITY = 6,    /* "security." */
};

struct sh_erofs_dirent {
    uint32_t nid_low, nid_high;
    uint16_t name_offset; /* from the block's start */
    uint8_t type;         /* enum sh_erofs_type */
    uint8_t reserved;
};

enum sh_erofs_type {
    SH_EROFS_FILE = 1,
    SH_EROFS_FOLDER = 2,
    SH_EROFS_CHARACTER = 3,
    SH_EROFS_BLOCK_DEVICE = 4,
    SH_EROFS_FIFO = 5,
    SH_EROFS_SOCKET = 6,
    SH_EROFS_SYMLINK = 7,
};

_Static_assert(sizeof(struct sh_erofs_super) == 128, "superblock");
_Static_assert(sizeof(struct sh_erofs_inode) == 64, "inode");
_Static_assert(sizeof(struct sh_erofs_dirent) == 12, "directory entry");

#endif
