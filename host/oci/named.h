// SPDX-License-Identifier: Apache-2.0
// An image that an annotation names: what its owner fixed, beside what the engine asks for.
#ifndef HOST_OCI_NAMED_H
#define HOST_OCI_NAMED_H

#include "host/oci/bundle.h"
#include "host/run/run_options.h"
#include "host/store/store.h"

/* Files and devices of the image's volumes into o->volumes: what the bundle mounts at a volume's
 * place is the volume's. A folder there, as a persistent volume claim gives it, holds the file
 * NAME.volume; a file or a block device is it. Marks those binds, so that they are no mounts.
 *
 * Of a locked image command, environment, user, working directory, limits and host name stay as
 * built.
 * Engines set all of them for each container, so what they set by themselves, or says the same, is
 * left out here; what somebody asked for stays in the options, and is refused with the reason. */
int oci_named_fit(struct sh_store *store, const char *image, struct oci_bundle *b,
                  struct sh_run_options *o, struct sh_error *err);

/* Of variables that engines give to each container (NAME=VALUE). */
bool oci_named_engine_variable(const char *pair);
/* "UID:GID,..." of that user, whatever groups the engine found for it. */
bool oci_named_user(const char *text, const char *user);

#endif
