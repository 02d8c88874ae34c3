// SPDX-License-Identifier: Apache-2.0
// Patched call sites: programs of the image enter the LibOS by a jump instead of an exception.
//
//   program text, as mapped            trampoline, within reach, one slot a site
//   offset: leading instructions       leading instructions
//           syscall               ->   lea  next, %rcx             (cpuid: %rdx)
//   next:   trailing instructions      jmp  *%gs:fast              los_fast (entry/fast.S)
//                                      next: trailing instructions, jmp back   (if there are any)
//
// The first five bytes become a jump to the slot; all others stay. So every address in a slot
// stands for one in the program ("virtual"), and each virtual address among the replaced bytes has
// one in the slot ("real"). What a program is shown of itself, in signal frames, is virtual. A
// program that steps itself by the trap flag loses the flag in a call.
#ifndef LIBOS_SITES_H
#define LIBOS_SITES_H

#include "trusted/libos/mm/mm.h"

/* Makes sites.bin known: its size before the tree, and root hash. Once, at start. 0, or -errno: it
 * is not what was built. */
int sites_open(uint64_t size, const uint8_t root_hash[32]);

/* Patches `page`, the content for `addr` in `a`, before it becomes executable: only if the area is
 * a private, executable, not writable mapping of an unchanged file of the image, and only where the
 * bytes are those that were seen at build. */
void sites_patch(struct area *a, uint64_t addr, uint8_t *page);

/* Undoes that in a copy of the page, which goes elsewhere. */
void sites_restore(const struct area *a, uint64_t addr, uint8_t *page);

/* Do slots stand there, which each process with the file has alike? */
bool sites_are_in(const struct area *a);

uint64_t sites_virtual(uint64_t rip);
uint64_t sites_real(uint64_t rip);

/* Is there a listed cpuid at rip that was replaced by UD2? So are those with too little around them
 * to be moved, and those that something may jump to. */
bool sites_is_cpuid(uint64_t rip);

/* A fork has the same; a space that is gone has none. 0 or -ENOMEM. */
int sites_copy(struct space *to, const struct space *from);
void sites_free(struct space *s);

#endif
