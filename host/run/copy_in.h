// SPDX-License-Identifier: Apache-2.0
// Files of the host that are copied into a shelter at its start: untrusted, in the launch config,
// and only where the image allows it.
#ifndef HOST_RUN_COPY_IN_H
#define HOST_RUN_COPY_IN_H

#include "host/base/util.h"

#define SH_COPY_IN_MAX (512u << 10) /* bytes of all files together */

/* A file, or a folder with all below it (links are followed, names that begin with ".." are left
 * out: so Kubernetes makes its folders), as lines for the launch config. -E2BIG where files or
 * bytes get too many. */
int sh_copy_in(const char *source, const char *target, struct sh_strings *files,
               struct sh_error *err);

#endif
