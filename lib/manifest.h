// SPDX-License-Identifier: Apache-2.0
// Reads an image manifest (the format stands in <shelter/manifest.h>).
#ifndef LIB_MANIFEST_H
#define LIB_MANIFEST_H

#include <shelter/manifest.h>

#include "lib/bytes.h"
#include "lib/exec.h"

/* A manifest that was checked whole. Views point into the caller's bytes, which must outlive it. */
struct sh_manifest {
    struct sh_view bytes;
    uint8_t root_hash[32];
    uint64_t root_size;
    bool has_sites;
    uint8_t sites_hash[32];
    uint64_t sites_size;
    uint64_t policy;
    uint32_t stop_signal; /* 0: not given */
    uint32_t cpus;        /* 0: not given */
    uint64_t memory;      /* 0: not given */
};

/* Checks every byte of a manifest. 0; -EBADMSG for a malformed one, -EPROTO for another version. */
int sh_manifest_parse(struct sh_manifest *m, const void *data, size_t size);

struct sh_record {
    uint16_t tag; /* enum sh_manifest_tag, below SH_TAG_COUNT */
    struct sh_view value;
};

/* The record at *at (0: the first one), which moves on behind it. False at the end. */
bool sh_manifest_next(const struct sh_manifest *m, size_t *at, struct sh_record *record);

/* May a folder of the host be shown there? A plain absolute path (no empty part, no "." or ".."),
 * which is not "/", and neither inside nor above /dev, /proc, /sys and SH_SECRETS_DIR. */
bool sh_host_mount_ok(const void *path, size_t size);

/* A volume's name: 1 to SH_VOLUME_NAME_MAX of A-Z a-z 0-9 _ - */
bool sh_volume_name_ok(const void *name, size_t size);
/* A container of the image (SH_TAG_CONTAINER). */
struct sh_container {
    const char *name;
    struct sh_exec run; /* no terminal; working directory absolute; environment NAME=VALUE */
};
/* Takes a record apart; c points into data. */
bool sh_container_parse(struct sh_container *c, const uint8_t *data, size_t size);
/* What SH_VOLUME_* say of it: "insecure-none", "session" or "strict". */
const char *sh_volume_freshness(uint32_t flags);

/* The `index`th record with this tag, or a view with NULL data when there is none. */
struct sh_view sh_manifest_get(const struct sh_manifest *m, enum sh_manifest_tag tag, size_t index);

size_t sh_manifest_count(const struct sh_manifest *m, enum sh_manifest_tag tag);

#endif
