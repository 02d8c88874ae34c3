// SPDX-License-Identifier: Apache-2.0
// reference.json: the values that a verifier should expect of an image.
//
//   {"version": 1, "image": id,
//    "base": {"vmlinux": sha384, "bzImage": sha384, "initramfs": sha384},
//    "references": [{"tee", "boot", "firmware": {"name", "sha384"}, ["memory": bytes,]
//                    "measurement": {"mrtd", "rtmr": [null, hex, hex, null]}},
//                   {"tee": "snp", "firmware", "cpu_model", "cpus": [1, 64],
//                    "measurement": {"launch_digest": [hex of 1 vCPU, of 2, ...]}}, ...],
//    "missing": [{"tee", ["boot",] "reason"}, ...]}
//
// Only what is the same on every machine stands here. RTMR0 tells memory and processors, which are
// the host's to choose, and RTMR3 belongs to the workload: both null. Under a UEFI firmware RTMR1
// depends on the memory size, through where the initramfs lies: then there is one entry a size, the
// last for that and all larger ones; `shelter measure -m` gives what lies between. SNP measures
// every vCPU and its signature: one entry for each of QEMU's models, with a digest for each count.
#ifndef HOST_IMAGE_WRITE_REFERENCE_H
#define HOST_IMAGE_WRITE_REFERENCE_H

#include <cjson/cJSON.h>

#include "host/base/util.h"

/* Writes dir_fd/reference.json for the image with this id, from dir_fd/base and dir_fd/manifest.
 * `firmware`: "TEE=FILE", for TEEs whose firmware is not the distribution's. */
int sh_reference_write(int dir_fd, const char *id, const struct sh_strings *firmware,
                       struct sh_error *err);

/* What an image's files really give, whatever its reference.json says: computed again, for a folder
 * that somebody else may have written. `claimed` is what it says (NULL: nothing). -EBADMSG with a
 * sentence when one of its values is another than the files give. Values for a firmware that is not
 * here (and not in `firmware`) cannot be computed: they are left out, and *left_out counts them.
 * *reference is the caller's. */
int sh_reference_compute(int dir_fd, const char *id, const struct sh_strings *firmware,
                         const cJSON *claimed, cJSON **reference, size_t *left_out,
                         struct sh_error *err);

/* "TEE=FILE" of --firmware into the list. */
int sh_reference_firmware(struct sh_strings *firmware, const char *text, struct sh_error *err);

#endif
