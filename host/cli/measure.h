// SPDX-License-Identifier: Apache-2.0
// shelter measure, its other parts: files without an image, and what differs.
#ifndef HOST_CLI_MEASURE_H
#define HOST_CLI_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/launch/launch.h"

/* As given on the command line; NULL or 0 where nothing was. */
struct sh_measure_files {
    const char *tee, *firmware, *kernel, *initrd, *append, *vcpus, *vcpu_type, *features, *vmm,
        *ovmf_hash;
    uint64_t memory; /* bytes */
    bool json, two_pass, unpatched;
};

/* Prints the digests; returns the exit status. */
int sh_measure_files(const struct sh_measure_files *o);

/* The prediction for an image of the store; what no option says is as the image asks. */
int sh_measure_image(const char *reference, const struct sh_predict *what, cJSON **result,
                     struct sh_error *err);

/* Says what differs first between `with` and the image; returns the exit status. */
int sh_measure_diff(const char *image, const struct sh_predict *what, const char *with, bool json);

#endif
