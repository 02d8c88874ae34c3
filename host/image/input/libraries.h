// SPDX-License-Identifier: Apache-2.0
// Where the dynamic linker would find a library, on the build machine and then in the image.
#ifndef HOST_IMAGE_INPUT_LIBRARIES_H
#define HOST_IMAGE_INPUT_LIBRARIES_H

#include "host/image/elf.h"

/* An object that is being loaded: whose search path counts. */
struct sh_object {
    const char *host_path;  /* absolute */
    const char *image_path; /* absolute */
    const struct sh_elf *elf;
    const struct sh_object *loader; /* who needed it; NULL for the program */
};

struct sh_library {
    char *host_path;
    char *image_path;
    char *link; /* also needed: a symbolic link here, because only ld.so.conf names its folder */
};

/* Finds `needed` as ld.so(8) does: RPATH, RUNPATH, the folders of ld.so.conf, the standard ones
 * (musl: its own list). LD_LIBRARY_PATH does not count: an image depends on files, not on the
 * environment. `interpreter` is the program's. */
int sh_library_find(const struct sh_object *by, const char *needed, const char *interpreter,
                    struct sh_library *found, struct sh_error *err);
void sh_library_free(struct sh_library *l);

#endif
