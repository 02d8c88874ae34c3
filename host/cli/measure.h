// SPDX-License-Identifier: Apache-2.0
// shelter measure, its second half: files without an image.
#ifndef HOST_CLI_MEASURE_H
#define HOST_CLI_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

/* As given on the command line; NULL or 0 where nothing was. */
struct sh_measure_files {
    const char *tee, *firmware, *kernel, *initrd, *append, *vcpus, *vcpu_type, *features, *vmm,
        *ovmf_hash;
    uint64_t memory; /* bytes */
    bool json, two_pass, unpatched;
};

/* Prints the digests; returns the exit status. */
int sh_measure_files(const struct sh_measure_files *o);

#endif
