// SPDX-License-Identifier: Apache-2.0
// The reference values of an image, for whoever is going to trust them.
#ifndef HOST_IMAGE_WRITE_REFERENCE_READ_H
#define HOST_IMAGE_WRITE_REFERENCE_READ_H

#include "host/base/util.h"

/* Of an image of the store, or of an image folder: computed from its files, never read (see
 * sh_reference_compute; `firmware` may be NULL). *json is the caller's. Says on stderr what cannot
 * be computed here. -ENOENT with a sentence when there is no such image, -EBADMSG when it was
 * changed. */
// A path begins with '/' or '.'; everything else is a name in the store, so that a file or folder
// of a name's spelling in the current folder is never taken for it.
bool sh_is_path(const char *text);
int sh_image_reference(const char *image, const struct sh_strings *firmware, char **json,
                       struct sh_error *err);

/* "shelter: note: ..." where reference values were left out. */
void sh_reference_note(size_t left_out);

#endif
