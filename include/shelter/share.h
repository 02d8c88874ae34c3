// SPDX-License-Identifier: Apache-2.0
// Folders of the host in an enclave (run -v): the one call out for them, SH_CALL_SHARE.
//
// Slot buffer B holds a struct sh_share_request, A what goes with it; the answer is in A. The host
// names each file that the enclave may speak of by a number, its *node*: LOOKUP gives it, and it is
// the same for the same file until FORGET. Node n + 1 is share n's own folder, always.
//
// The result is how many bytes of A were filled, but where another is said.
//
// Everything that comes back is a claim, and of a stranger: the files are the host's. The enclave
// checks shapes (sizes, types, names); what the files say, the program must judge.
//
// Locks: one question at a time. Units: bytes, times ns since 1970.
// Errors: as the call of Linux that does the same. -EIO: nobody answers; -ESTALE: no such node;
// -EROFS: the share is read-only; -EPERM: of what is neither file nor folder.
#ifndef SHELTER_SHARE_H
#define SHELTER_SHARE_H

#include <stdint.h>

enum sh_share_op {
    SH_SHARE_LOOKUP = 1, /* A: a name in the folder; out: struct sh_share_stat */
    SH_SHARE_STAT,       /* out: struct sh_share_stat */
    SH_SHARE_LIST,       /* of the folder, behind `offset` (0, or the last entry's `next`); out:
                          * struct sh_share_entry, one behind the other, nothing at the end */
    SH_SHARE_READ,       /* out: at most `size` bytes at `offset` */
    SH_SHARE_WRITE,      /* A, at `offset`; result: how many */
    SH_SHARE_RESIZE,     /* to `size` */
    SH_SHARE_CHANGE,     /* `what`: SH_SHARE_SET_* */
    SH_SHARE_MAKE,       /* a file, a folder or a link by `mode` in the folder; A: its name (`size`
                          * bytes), then the link's text */
    SH_SHARE_REMOVE,     /* A: a name in the folder; `mode`: S_IFDIR, or a file's */
    SH_SHARE_RENAME,     /* A: a name (`size` bytes) in the folder, then the new one in folder `to`;
                          * `what`: RENAME_* of renameat2(2) */
    SH_SHARE_TEXT,       /* out: of a link */
    SH_SHARE_SYNC,       /* fsync(2) */
    SH_SHARE_ROOM,       /* out: struct sh_share_room */
    SH_SHARE_FORGET,     /* the node is not used any more */
};

#define SH_SHARE_SET_MODE 1u
#define SH_SHARE_SET_TIMES 2u /* atime and mtime */

struct sh_share_request {
    uint32_t op, node, to;
    uint32_t what, mode;
    uint32_t zero;
    uint64_t offset, size;
    int64_t atime, mtime;
};

struct sh_share_stat {
    uint32_t node; /* of LOOKUP; 0: neither file, folder nor link, so nothing more can be asked */
    uint32_t mode, uid, gid, nlink, zero;
    uint64_t ino, size, blocks;
    int64_t atime, mtime, ctime;
};

struct sh_share_entry {
    uint64_t ino, next;
    uint8_t type;      /* DT_* */
    uint8_t name_size; /* of the name behind it, which has no NUL */
} __attribute__((packed));

struct sh_share_room {
    uint64_t block_size, blocks, free, available, files, files_free;
};

#define SH_SHARE_NODES 65536u /* numbers are below it */
#define SH_SHARE_NAME_MAX 255u

#endif
