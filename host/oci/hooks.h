// SPDX-License-Identifier: Apache-2.0
// Hooks of config.json (runtime-spec 1.2, config.md "POSIX-platform Hooks"). All run outside the
// TEE, on the host and with the container's state on stdin: inside there is nothing of the host's
// to run.
#ifndef HOST_OCI_HOOKS_H
#define HOST_OCI_HOOKS_H

#include "host/oci/container.h"

/* Runs the hooks of one moment ("prestart", "createRuntime", "createContainer", "startContainer",
 * "poststart", "poststop") in order. The first that fails ends it, with its stderr in the sentence,
 * except that after the container's start and end (`must` false) the rest runs anyway. */
int oci_hooks_run(const struct oci_container *c, const char *moment, bool must,
                  struct sh_error *err);

#endif
