// SPDX-License-Identifier: Apache-2.0
// The OCI runtime face: `shelter-runtime`, the same program under another name. podman (conmon),
// containerd and CRI-O call it as they call runc: create, start, kill, delete.
//
//   runtime     global options, the verbs, errors as engines read them
//   bundle      config.json (runtime-spec 1.2), read tolerantly
//   container   $ROOT/ID/: state.json, the start FIFO; what state it is in
//   image       the bundle's rootfs as a measured image, converted when it is new
//   cgroup      the container's control groups, version 1, 2 and both
//   hooks       programs of config.json at their moments
//   process     the container's process on the host: it becomes the supervisor
//
// Errors: 0 or -errno with the sentence in err, as everywhere on the host side.
#ifndef HOST_OCI_RUNTIME_H
#define HOST_OCI_RUNTIME_H

#include "host/base/util.h"

#define OCI_VERSION "1.2.0"
#define OCI_NAME "shelter-runtime" /* also with "-TEE" behind it */

/* The global options. */
struct oci_runtime {
    const char *root; /* absolute; containers' folders lie there */
    const char *log;  /* file for errors; NULL: stderr alone */
    bool log_json;
    const char *tee; /* where the annotation io.shelter.tee names none; NULL: auto */
    bool debug;
    bool systemd_cgroup; /* cgroupsPath is "slice:prefix:name" */
};

/* The program called as shelter-runtime. Returns the exit status. */
int oci_main(int argc, char **argv);

/* A verb: argv[0] is its name. 0, or -errno. */
typedef int oci_verb(const struct oci_runtime *rt, int argc, char **argv, struct sh_error *err);
oci_verb oci_create, oci_run, oci_start, oci_state, oci_kill, oci_delete, oci_list, oci_ps,
    oci_exec, oci_pause, oci_resume, oci_update, oci_events, oci_features, oci_spec;

#endif
