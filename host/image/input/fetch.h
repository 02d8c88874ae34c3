// SPDX-License-Identifier: Apache-2.0
// Inputs that others' tools bring as an OCI image layout: skopeo from a registry, buildah from a
// container file. Registries, their keys, signatures and encrypted layers are theirs; we read what
// they wrote, and check its digests again.
#ifndef HOST_IMAGE_INPUT_FETCH_H
#define HOST_IMAGE_INPUT_FETCH_H

#include "host/base/util.h"

#define SH_FETCH_FOLDER "fetched" /* below work_fd; the caller removes it */

/* "docker://NAME@sha256:DIGEST": by skopeo, under the rules of this user's policy.json,
 * registries.conf and auth.json. `key`: a file that opens encrypted layers, or NULL. */
int sh_fetch_registry(const char *reference, const char *key, int work_fd, struct sh_error *err);

/* A container file (NULL: the context's Containerfile or Dockerfile) and its context, by buildah.
 */
int sh_fetch_containerfile(const char *file, const char *context, int work_fd,
                           struct sh_error *err);

#endif
