// SPDX-License-Identifier: Apache-2.0
// The store: images by identity, tags, and the folder of instances.
//
//   $SHELTER_STORE, else $XDG_DATA_HOME/shelter (~/.local/share/shelter), as root /var/lib/shelter
//     images/<id>/          id: 96 hex digits, SHA-384 of the manifest; complete or not there
//       root.img manifest reference.json  base/{vmlinux,bzImage,initramfs}  [sites.bin]
//       [data-NAME.img ...]
//     tags/<name>           a file with the id and a newline; name is docker's NAME:TAG with every
//                           '/' written as '%'
//     instances/<id>/       see host/run/instance.h
//     base/<SHA-384>        kernels, initramfs and data; images have hard links to them
//     tmp/                  work in progress; each entry is locked (flock) while in work
//     lock                  taken (flock) for every change of images/ and tags/, shortly
#ifndef HOST_STORE_STORE_H
#define HOST_STORE_STORE_H

#include <shelter/manifest.h>

#include "host/base/util.h"
#include "lib/manifest.h"

#define SH_ID_TEXT_SIZE (2 * SH_ID_SIZE + 1)
#define SH_ID_SHORT 12 /* digits shown to people */

/* In the store's folder, made when first needed, 0600: what signs enclaves here, and the fuses of
 * the simulated SGX processor. */
#define SH_STORE_SIGN_KEY "enclave-key.pem"
#define SH_STORE_FUSE_KEY "sgx-sim.fuses"

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

/* Finds an image by tag ("md5" means "md5:latest") or by a unique prefix of its id (4 digits or
 * more) and checks that its manifest's digest is its id. -ENOENT with a sentence that names the
 * reference when there is none. */
int sh_image_open(struct sh_store *store, const char *reference, struct sh_image *image,
                  struct sh_error *err);
void sh_image_close(struct sh_image *image);

/* A file in its folder that has data (SH_TAG_DATA). */
struct sh_data_file {
    char name[SH_VOLUME_NAME_MAX + 16]; /* "data-NAME.img" */
    char own[SH_VOLUME_NAME_MAX + 1];   /* NAME */
    uint64_t size;                      /* bytes before its hash tree */
    const uint8_t *root;                /* in the manifest */
};
/* The data number `i`; false behind the last. */
bool sh_image_data(const struct sh_manifest *m, size_t i, struct sh_data_file *out);

/* All ids (`ids`), newest first; all tags of one id, sorted. */
int sh_store_images(struct sh_store *store, struct sh_strings *ids, struct sh_error *err);
int sh_store_tags(struct sh_store *store, const char *id, struct sh_strings *tags,
                  struct sh_error *err);

/* --- changing the store --- */

/* A tag in its full form: "md5" -> "md5:latest", checked by docker's rules for NAME[:TAG].
 * Owned by the caller; NULL with a sentence when it breaks them. */
char *sh_tag_full(const char *text, struct sh_error *err);

/* Points a tag at an image that is in the store. */
int sh_store_tag(struct sh_store *store, const char *full_tag, const char *id,
                 struct sh_error *err);

/* All tags at once, sorted by name: "name id" pairs, for lists. */
struct sh_tags {
    struct sh_tag {
        char *name;
        char id[SH_ID_TEXT_SIZE];
    } * v;
    size_t count;
};
int sh_store_all_tags(struct sh_store *store, struct sh_tags *tags, struct sh_error *err);
void sh_tags_free(struct sh_tags *tags);

/* A folder in tmp/ for one build or load. It is locked; whoever comes later removes what killed
 * builds left behind (folders without a lock). */
struct sh_work {
    struct sh_store *store;
    char name[32];
    int dir_fd;              /* -1: none */
    struct sh_strings names; /* what a signal removes */
};
int sh_work_begin(struct sh_store *store, struct sh_work *work, struct sh_error *err);

/* Turns the folder into images/<id>, all at once. When the image is there already, it stays, except
 * that with `replace` another base/ takes the place of the old one; without it, that is refused. */
int sh_work_install(struct sh_work *work, const char *id, bool replace, struct sh_error *err);

/* Removes the folder if it was not installed. */
void sh_work_end(struct sh_work *work);

/* Takes an image away: by tag (then the image goes with its last tag), or by id with all its tags.
 * -EBUSY with a sentence while an instance uses it, unless forced. `report` gets a line for what
 * was done. */
int sh_store_remove(struct sh_store *store, const char *reference, bool force,
                    struct sh_strings *report, struct sh_error *err);

#endif
