// SPDX-License-Identifier: Apache-2.0
// Build files: the options of `shelter build` with their lists, in TOML.
#ifndef HOST_IMAGE_INPUT_BUILDFILE_H
#define HOST_IMAGE_INPUT_BUILDFILE_H

#include "host/image/build.h"

/* Reads a build file; its relative paths start at its folder. Unknown keys are refused. */
int sh_buildfile_read(const char *file, struct sh_build *b, struct sh_error *err);

/* One that is in memory, for a folder; for tests and fuzzing too. */
int sh_buildfile_parse(const char *data, size_t size, const char *name, const char *folder,
                       struct sh_build *b, struct sh_error *err);

#endif
