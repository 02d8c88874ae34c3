// SPDX-License-Identifier: Apache-2.0
// The container's control groups. Its whole host side is in them (supervisor, enclave loader or
// QEMU), so that what an engine reads of memory and CPU is true. Version 1 has a folder a
// controller, version 2 one; hybrid hosts have both. A host without writable groups, as in a
// rootless container, goes without.
#ifndef HOST_OCI_CGROUP_H
#define HOST_OCI_CGROUP_H

#include <cjson/cJSON.h>

#include "host/base/util.h"

/* What the host side itself takes beside the workload's memory, in bytes. */
#define OCI_CGROUP_OVERHEAD (96ull << 20)

/* Where the folders of `path` (cgroupsPath; NULL: "/shelter/ID") would be: absolute paths, owned by
 * the caller; one a hierarchy that is mounted. -EINVAL where it leads out of them. */
int oci_cgroup_find(const char *path, const char *id, bool systemd, cJSON **groups,
                    struct sh_error *err);

/* Makes them; those that cannot be made leave the list. An error only if none could and `must`. */
int oci_cgroup_make(cJSON *groups, bool must, struct sh_error *err);

/* Puts a process into all of them. */
int oci_cgroup_join(const cJSON *groups, pid_t pid, struct sh_error *err);

/* Limits as config.json's linux.resources has them; what this kernel lacks is left out. */
int oci_cgroup_limit(const cJSON *groups, const cJSON *resources, struct sh_error *err);

/* Stops all in it, or lets it go on; -ENOTSUP without a freezer. */
int oci_cgroup_freeze(const cJSON *groups, bool freeze, struct sh_error *err);
bool oci_cgroup_frozen(const cJSON *groups);

/* The pids in them, ascending; a list of numbers, owned by the caller. */
cJSON *oci_cgroup_pids(const cJSON *groups);

bool oci_cgroup_busy(const cJSON *groups);

/* KILL for all that is in them. */
void oci_cgroup_kill(const cJSON *groups);

/* Removes them; what is still busy after ten seconds stays. */
void oci_cgroup_remove(const cJSON *groups);

/* A file of the group that has it, as a number; -1: there is none. */
int64_t oci_cgroup_number(const cJSON *groups, const char *file);
/* The number behind `key` in such a file. */
int64_t oci_cgroup_keyed(const cJSON *groups, const char *file, const char *key);

#endif
