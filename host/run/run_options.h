// SPDX-License-Identifier: Apache-2.0
// What `run` and `start` were asked, as host/cli/run_options.c reads it.
#ifndef HOST_RUN_RUN_OPTIONS_H
#define HOST_RUN_RUN_OPTIONS_H

#include <shelter/manifest.h>

#include "host/run/instance.h"

enum sh_tty_choice { SH_TTY_AUTO, SH_TTY_YES, SH_TTY_NO };

struct sh_run_options {
    const char *image;         /* -t, or the first plain argument */
    bool image_by_tag_option;  /* -t was given */
    struct sh_strings command; /* plain arguments behind the image */
    bool has_command_text;     /* -c was given; its words stand in `command`, first */
    const char *entrypoint;
    const char *name;
    const char *tee; /* NULL: auto */
    const char *workdir, *user, *hostname, *network;
    char *broker;          /* as given to -i */
    struct sh_strings env; /* NAME=VALUE; a name stands once, its last value counts */
    struct sh_port *ports;
    size_t port_count;
    bool publish_all;     /* each port that the workload listens on, under its own number */
    const char *resolver; /* numeric address of the name server; NULL: this host's own */
    struct sh_mount *mounts;
    size_t mount_count;
    struct sh_strings limits;  /* SH_LAUNCH_LIMIT_FORMAT */
    struct sh_strings files;   /* SH_LAUNCH_FILE_FORMAT (host/run/copy_in.h) */
    struct sh_strings volumes; /* NAME=FILE, absolute */
    uint64_t memory;           /* 0: not given */
    uint32_t cpus;             /* 0: not given */
    uint32_t count;            /* of pool alone: -n; 0: not given */
    enum sh_qemu_boot boot;
    const char *firmware; /* NULL: the TEE's default */
    const char *stats;    /* --stats FILE */
    bool trace;
    const char *trace_file; /* NULL: the workload's stderr */
    enum sh_tty_choice tty;
    bool detach, remove, debug, attach, require_confinement;
    bool from_pool;    /* one that waits in a pool may be taken (host/run/pool.h) */
    bool read_only;    /* nobody writes to the image's root */
    bool pod_loopback; /* the network namespace is the workload's pod's, and so is its loopback */
};

void sh_run_options_free(struct sh_run_options *o);

/* Sets NAME=VALUE in a list in which each name stands once. */
void sh_env_set(struct sh_strings *env, const char *pair);
/* -e K=V, or -e K, which takes this process's value, if it has one. */
int sh_env_option(struct sh_strings *env, const char *text, struct sh_error *err);
/* --env-file: lines K=V or K; empty ones and those that begin with # say nothing. */
int sh_env_file(struct sh_strings *env, const char *path, struct sh_error *err);

/* RLIMIT_* `resource`; -EINVAL where no kernel would take it. `name` is for the sentence. */
int sh_limit_add(struct sh_strings *limits, const char *name, const struct sh_limit_record *l,
                 struct sh_error *err);
/* --ulimit NAME=SOFT[:HARD] */
int sh_limit_option(struct sh_strings *limits, const char *text, struct sh_error *err);

/* Does the workload get a terminal? */
bool sh_run_tty(const struct sh_run_options *o);

#endif
