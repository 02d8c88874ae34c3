// SPDX-License-Identifier: Apache-2.0
// Builds an image from its inputs and puts it into the store.
#ifndef HOST_IMAGE_BUILD_H
#define HOST_IMAGE_BUILD_H

#include "host/image/input/config.h"
#include "host/store/store.h"

/* What to build, from the build file and the command line. */
struct sh_build {
    char *tag;               /* as given, or NULL */
    char *rootfs;            /* root file system: tar, "-" for stdin, folder, or NULL */
    char *image;             /* oci:, oci-archive:, docker-archive: or docker:// ..., or NULL */
    char *context;           /* folder that a container file is built in, or NULL */
    char *containerfile;     /* NULL: the context's own */
    char *decryption_key;    /* file that opens a registry's encrypted layers, or NULL */
    struct sh_strings files; /* SRC[:DST] */
    struct sh_strings containers; /* NAME=INPUT[ PROGRAM ARG...], sh_build_container */
    char *agent;                  /* file of an API server that replaces ours, or NULL */
    char *base;                   /* folder of base files, or NULL */
    char *enclave_key;            /* file of the key that signs the enclave; NULL: the store's */
    struct sh_strings firmware;   /* TEE=FILE: what reference values are computed for */
    uint64_t max_size;            /* bytes of all its files; 0: the default */
    bool quiet;
    struct sh_config config; /* what is set here wins over what the input says */
};

void sh_build_free(struct sh_build *b);

/* One more container of a pod in one machine: "NAME=INPUT[ PROGRAM ARG...]", INPUT as for the image
 * itself. -EINVAL with the sentence. */
int sh_build_container(struct sh_build *b, const char *text, struct sh_error *err);

/* `id` is the image's. Nothing is left in the store when it fails. */
int sh_build_run(const struct sh_build *b, char id[SH_ID_TEXT_SIZE], struct sh_error *err);

#endif
