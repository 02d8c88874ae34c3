// SPDX-License-Identifier: Apache-2.0
// sites.bin: where the programs of a root image have instructions that an enclave cannot execute,
// found when the image is built, so that no disassembler is in the TCB.
//
//   0        8         12           16           20     32
//   +--------+---------+------------+------------+------+--------+-----+--------+-----+-------+
//   | magic  | version | file count | site count | zero | file 0 | ... | site 0 | ... | zeros |
//   +--------+---------+------------+------------+------+--------+-----+--------+-----+-------+
//                                                         to a multiple of 4 KiB, then the file's
//                                                         dm-verity tree as behind root.img
//
//   file:  u64 nid | u32 first site | u32 site count                    all integers little endian
//
//   site:  0            4      5      6      7      8                 24
//          +------------+------+------+------+------+-----------------+
//          | u32 offset | kind | size | at   | zero | original bytes  |  `size` of them, then zeros
//          +------------+------+------+------+------+-----------------+
//
// - Files ascend by nid, their number in root.img (<shelter/erofs.h>); each has at least one site.
//   Their sites follow each other without gaps in the same order.
// - Sites of a file ascend by offset in the file, do not overlap, and lie within one 4 KiB page.
// - Offsets are the file's, not addresses; a site has meaning only where the file is mapped with
//   the right to execute. Sites above 4 GiB of a file are not listed.
//
// A call site is straight-line code around one `syscall`, none of which depends on where it stands;
// so is one of `cpuid` (0f a2) where there is enough of it, else it is these two bytes alone:
//
//          offset                offset + at              offset + at + 2      offset + size
//          +---------------------+------------------------+--------------------+
//          | leading instructions| 0f 05                  | trailing ones      |
//          +---------------------+------------------------+--------------------+
//
// The builder vouches that nothing jumps to an instruction among the first SH_SITE_JUMP bytes but
// the first one; they may be replaced by a jump, and the whole be executed elsewhere. The sequence
// of signal returns (`mov $15, %eax; syscall`) is never listed: debuggers and unwinders know it.
//
// The root hash of the tree stands in the manifest (SH_TAG_SITES_HASH), so sites.bin is part of the
// image's identity.
#ifndef SHELTER_SITES_H
#define SHELTER_SITES_H

#include <stdbool.h>
#include <stdint.h>

#define SH_SITES_MAGIC "SHLTRSIT"
#define SH_SITES_VERSION 1u
#define SH_SITES_HEAD_SIZE 32u
#define SH_SITES_FILE_SIZE 16u
#define SH_SITES_SITE_SIZE 24u
#define SH_SITES_SIZE_MAX (64u << 20)
#define SH_SITES_OF_FILE_MAX 16384u

#define SH_SITE_JUMP 5u       /* bytes of the jump that replaces the start of a call site */
#define SH_SITE_BYTES_MAX 16u /* of a site */
#define SH_SITE_MOVED_MAX                                                                          \
    12u /* bytes of leading and trailing instructions, if any are trailing                         \
         */

enum sh_site_kind {
    SH_SITE_CALL = 1,  /* size 5..16, one `syscall` at `at` */
    SH_SITE_CPUID = 2, /* likewise, one `cpuid`; or size 2, at 0 */
};

struct sh_site {
    uint32_t offset;
    uint8_t kind; /* enum sh_site_kind */
    uint8_t size;
    uint8_t at;
    uint8_t zero;
    uint8_t bytes[SH_SITE_BYTES_MAX];
};
/* Is it executed elsewhere? */
static inline bool sh_site_moves(const struct sh_site *s)
{
    return s->size >= SH_SITE_JUMP;
}
_Static_assert(sizeof(struct sh_site) == SH_SITES_SITE_SIZE, "site");

#endif
