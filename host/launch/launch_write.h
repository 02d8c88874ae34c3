// SPDX-License-Identifier: Apache-2.0
// Writes the launch config in its canonical form (<shelter/launch.h>).
#ifndef HOST_LAUNCH_LAUNCH_WRITE_H
#define HOST_LAUNCH_LAUNCH_WRITE_H

#include "host/base/util.h"

/* What stands in a launch config. NULL, 0, false and empty lists: no line, as the manifest says. */
struct sh_launch {
    struct sh_strings args; /* the whole argv */
    struct sh_strings env;  /* NAME=VALUE */
    const char *workdir;
    const char *user;
    const char *hostname;
    bool tty;
    bool has_stdin;
    struct sh_strings mounts; /* "share0 ro /path" */
    struct sh_strings files;  /* "0644 /path HEX" */
    bool read_only;           /* the root */
    struct sh_strings limits; /* SH_LAUNCH_LIMIT_FORMAT */
    const char *network;
    struct sh_strings ports; /* "tcp 80" */
    const char *broker;
    uint64_t memory;
    unsigned cpus;
    bool debug;
};

/* The text (out must be empty; owned by the caller) and its SHA-384. -E2BIG when it gets larger
 * than SH_LAUNCH_SIZE_MAX. */
int sh_launch_write(const struct sh_launch *launch, struct sh_buffer *out, uint8_t digest[48],
                    struct sh_error *err);

/* Frees the lists. */
void sh_launch_free(struct sh_launch *launch);

#endif
