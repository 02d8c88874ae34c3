// SPDX-License-Identifier: Apache-2.0
// Base files: the guest kernel, the initramfs and the enclave that every image keeps a copy of.
#ifndef HOST_STORE_BASE_FILES_H
#define HOST_STORE_BASE_FILES_H

#include "host/base/util.h"

#define SH_BASE_COUNT 4
#define SH_BASE_MACHINE 3 /* the first three are for machines and come together or not at all */
#define SH_BASE_ENCLAVE 3 /* the last */
extern const char *const sh_base_names[SH_BASE_COUNT]; /* vmlinux, bzImage, initramfs, enclave */

/* Has the image dir_fd this base file? An image has those for machines, the enclave, or both. */
bool sh_base_has(int dir_fd, size_t i);

/* Where they are: `given` (--base), else $SHELTER_BASE, else build/base beside the executable, else
 * ../lib/shelter/base from it. Owned by the caller; NULL with a sentence. */
char *sh_base_find(const char *given, struct sh_error *err);

/* Puts them into dir_fd/base. The store keeps one copy of each content in base/<SHA-384>; images
 * have hard links to it. Never to the source: a later build of the kernel must not change images.
 */
int sh_base_copy(const char *from, int store_fd, int dir_fd, struct sh_error *err);

/* Gives base files that came with an archive to the store's base/, or takes the store's copies. */
int sh_base_share(int store_fd, int dir_fd, struct sh_error *err);

/* The same for one file, whatever it is. */
int sh_base_share_file(int store_fd, int dir_fd, const char *name, struct sh_error *err);

/* Removes contents that no image has any more. The store is locked. */
void sh_base_clean(int store_fd);

/* The bill of materials (SPDX JSON) of the image's base files, if it has one that names each of
 * them by its SHA-384: *text is owned by the caller. -ENODATA with a sentence. `name` is for that.
 */
#define SH_BASE_SBOM "base/sbom.spdx.json"
int sh_base_sbom(int dir_fd, const char *name, char **text, struct sh_error *err);

/* SHA-384 of a file. */
int sh_digest_file(int dir_fd, const char *path, uint8_t digest[48], struct sh_error *err);

#endif
