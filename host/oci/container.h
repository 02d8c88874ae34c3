// SPDX-License-Identifier: Apache-2.0
// A container as the runtime knows it:
//
//   $ROOT/ID/
//     state.json    written whole by `create`, read by the others
//     start         FIFO on which the container's process waits for `start`; gone once it was
//     lock          taken (flock) by whoever changes something
//
// What state it is in is found by looking at its process, never read from a file, so that it is
// true after a crash of anything.
#ifndef HOST_OCI_CONTAINER_H
#define HOST_OCI_CONTAINER_H

#include <cjson/cJSON.h>

#include "host/oci/runtime.h"

enum oci_status { OCI_CREATING, OCI_CREATED, OCI_RUNNING, OCI_PAUSED, OCI_STOPPED };
extern const char *const oci_status_words[];

struct oci_container {
    char *id;
    char *path; /* absolute */
    int dir_fd;
    int lock_fd; /* held; -1: not */
    cJSON *state;
};

/* A new one; -EEXIST when there is one of this id. Its lock is held. */
int oci_container_create(const struct oci_runtime *rt, const char *id, struct oci_container *c,
                         struct sh_error *err);

/* -ENOENT when there is none. `lock`: waits for its lock. A folder without a state.json has an
 * empty `state`: a `create` was killed in it. */
int oci_container_open(const struct oci_runtime *rt, const char *id, bool lock,
                       struct oci_container *c, struct sh_error *err);
void oci_container_close(struct oci_container *c);

/* Writes c->state. */
int oci_container_save(struct oci_container *c, struct sh_error *err);

/* Removes the folder. */
int oci_container_remove(const struct oci_runtime *rt, struct oci_container *c,
                         struct sh_error *err);

/* The container's process if it lives, else 0. */
pid_t oci_container_pid(const struct oci_container *c);

enum oci_status oci_container_status(const struct oci_container *c);

/* The start time of a process, which with its number names it for ever; 0: there is none, or it
 * ended and waits for its parent. */
uint64_t oci_process_start(pid_t pid);

/* What `state` prints, and hooks get: owned by the caller. */
cJSON *oci_container_json(const struct oci_container *c);

/* All ids, sorted. */
int oci_container_list(const struct oci_runtime *rt, struct sh_strings *ids, struct sh_error *err);

/* The one argument that a verb without options takes; NULL with the sentence. */
const char *oci_only_id(int argc, char **argv, struct sh_error *err);

#endif
