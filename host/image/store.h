// SPDX-License-Identifier: Apache-2.0
// The store: images by identity, tags, and the folder of instances.
//
//   $SHELTER_STORE, else $XDG_DATA_HOME/shelter (~/.local/share/shelter), as root /var/lib/shelter
//     images/<id>/          id: 96 hex digits, SHA-384 of the manifest; complete or not there
//       root.img manifest reference.json  base/{vmlinux,bzImage,initramfs}  [sites.bin]
//     tags/<name>           a file with the id and a newline; name as docker's NAME[:TAG]
//     instances/<id>/       see host/run/instance.h
//     tmp/                  work in progress; each entry is locked (flock) while somebody works on it
//     lock                  taken (flock) for every change of images/ and tags/, shortly
#ifndef HOST_IMAGE_STORE_H
#define HOST_IMAGE_STORE_H

#include "host/base/util.h"
#include "lib/manifest.h"

#define SH_ID_TEXT_SIZE (2 * SH_ID_SIZE + 1)
#define SH_ID_SHORT 12 /* digits shown to people */

struct sh_store {
    char *path; /* absolute */
    int dir_fd;
};

/* Opens the store, making it if need be (mode 0700, images 0755 files). */
int sh_store_open(struct sh_store *store, struct sh_error *err);
void sh_store_close(struct sh_store *store);

/* An image in the store, opened for use: it stays usable while open, also when it is removed. */
struct sh_image {
    char id[SH_ID_TEXT_SIZE];
    char *path; /* absolute path of its folder */
    int dir_fd; /* shared flock: rmi refuses (unless forced) while somebody holds it */
    uint8_t *manifest_bytes;
    size_t manifest_size;
    struct sh_manifest manifest;
};

/* Finds an image by tag ("md5" means "md5:latest") or by a unique prefix of its id (4 digits or more) and checks that its manifest's
 * digest is its id. -ENOENT with a sentence that names the reference when there is none. */
int sh_image_open(struct sh_store *store, const char *reference, struct sh_image *image,
                  struct sh_error *err);
void sh_image_close(struct sh_image *image);

/* All ids (`ids`), newest first; all tags of one id, sorted. */
int sh_store_images(struct sh_store *store, struct sh_strings *ids, struct sh_error *err);
int sh_store_tags(struct sh_store *store, const char *id, struct sh_strings *tags,
                  struct sh_error *err);

#endif
