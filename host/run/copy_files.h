// SPDX-License-Identifier: Apache-2.0
// Tar streams to and from folders of the host. What comes out of an instance is not trusted here.
#ifndef HOST_RUN_COPY_FILES_H
#define HOST_RUN_COPY_FILES_H

#include "host/run/copy_stream.h"

/* Unpacks what the guest sends into the current folder; the archive's first component becomes
 * `name` (NULL: is left out). Nothing is written outside, no device or set-id file is made, no
 * owner taken. */
int sh_copy_unpack(struct sh_copy_stream *s, const char *name, struct sh_error *err);

/* Sends the file or tree `source` as an archive whose first component is `name` (NULL: the content
 * of a folder only). */
int sh_copy_pack(struct sh_copy_stream *s, const char *source, const char *name,
                 struct sh_error *err);

/* Is the first entry that the guest sends a folder? 1 or 0, -errno when it sends none. */
int sh_copy_probe(struct sh_copy_stream *s);

#endif
