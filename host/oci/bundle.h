// SPDX-License-Identifier: Apache-2.0
// A bundle's config.json, as far as it concerns a TEE. Fields that we do not know are ignored, as
// the runtime specification asks; fields of a wrong type are errors.
#ifndef HOST_OCI_BUNDLE_H
#define HOST_OCI_BUNDLE_H

#include <cjson/cJSON.h>

#include "host/base/util.h"

#define OCI_CONFIG_MAX (16u << 20)

/* What is to run: "process" of config.json, or the file of `exec --process`. */
struct oci_process {
    struct sh_strings args, env;
    char *workdir;            /* absolute */
    char *user;               /* "UID:GID[:GID,...]" */
    struct sh_strings limits; /* SH_LAUNCH_LIMIT_FORMAT */
    bool terminal;
    uint16_t rows, columns; /* 0: not given */
};

/* A folder or file of the host inside the container. */
enum oci_bind_kind {
    OCI_BIND_SHARE,   /* a folder that changes, or is large: a VM shows it */
    OCI_BIND_COPY,    /* a file, or a small read-only folder: copied in at the start */
    OCI_BIND_PROGRAM, /* a file that can be executed: goes into the image that is made here */
    OCI_BIND_VOLUME,  /* a volume's file (host/oci/named.h) */
};
struct oci_bind {
    char *source, *target;
    enum oci_bind_kind kind;
    bool read_only;
    bool folder;
};

struct oci_bundle {
    char *path;  /* absolute */
    cJSON *json; /* the whole of config.json */
    char *rootfs;
    bool read_only; /* nobody writes to it */
    struct oci_process process;
    char *hostname;     /* NULL: none given */
    bool sandbox;       /* of a pod: it only keeps namespaces, and nothing runs in it */
    bool own_network;   /* a network namespace is asked for */
    char *network_path; /* to join; NULL: a new one */
    char *uts_path;     /* whose host name it has; NULL: its own */
    char *cgroup;       /* cgroupsPath; NULL: none given */
    char *hosts;        /* the engine's /etc/hosts; NULL */
    char *resolver;     /* first name server of the bundle's resolv.conf; NULL */
    char *names;        /* that file, if it says more than that; NULL */
    uint64_t memory;    /* limit in bytes; 0: none */
    uint32_t cpus;      /* quota rounded up; 0: none */
    struct oci_bind
        *binds; /* what is neither a file system of ours nor one of the engine's files */
    size_t bind_count;
    struct sh_strings tmpfs; /* memory file systems, as build --tmpfs takes them */
};

/* `path`: the folder with config.json in it. */
int oci_bundle_read(const char *path, struct oci_bundle *b, struct sh_error *err);
void oci_bundle_free(struct oci_bundle *b);

/* The object in a file, by the strict reader; the caller deletes it. */
int oci_json_read(const char *path, cJSON **json, struct sh_error *err);

/* A process object; `name` is for sentences. */
int oci_process_read(const cJSON *json, const char *name, struct oci_process *p,
                     struct sh_error *err);
int oci_process_file(const char *path, struct oci_process *p, struct sh_error *err);
void oci_process_free(struct oci_process *p);

/* An annotation's value, or NULL. */
const char *oci_annotation(const struct oci_bundle *b, const char *name);

/* A member of an object if it has that type, else NULL. */
const cJSON *oci_object(const cJSON *o, const char *name);
const cJSON *oci_array(const cJSON *o, const char *name);
const char *oci_text(const cJSON *o, const char *name);

#endif
