// SPDX-License-Identifier: Apache-2.0
// Predicts the launch measurement of an image on a TEE, without starting anything.
#ifndef HOST_LAUNCH_PREDICT_H
#define HOST_LAUNCH_PREDICT_H

#include <cjson/cJSON.h>

#include "host/store/store.h"
#include "host/launch/launch.h"

struct sh_predict {
    const char *tee; /* "auto": what `run` would take */
    enum sh_qemu_boot boot;
    const char *firmware;  /* NULL: the back end's default */
    const char *cpu_model; /* SNP; NULL: the default */
    uint64_t memory;       /* 0: the image's or the default */
    unsigned cpus;         /* 0: likewise */
    bool every_cpu_count; /* SNP: launch_digest is an array, for 1 to `cpus` vCPUs */
    bool debug;
};

/* *result: {"tee", "simulated", "image", "memory", "cpus", "boot", "firmware", "measurement"},
 * owned by the caller. `measurement` holds what the evidence's fields must be: mrtd and rtmr (TDX,
 * tdx-sim), launch_digest (SNP), mrenclave and the like (SGX). -ENODATA with a sentence where there can be no reference value. */
int sh_predict_image(const struct sh_image *image, const struct sh_predict *what, cJSON **result,
                     struct sh_error *err);

/* {"mrtd": hex, "rtmr": [four]}: the same of an image and of an instance. The launch config's field
 * is not in it: it is the host's choice. */
cJSON *sh_measurement_json(const struct sh_td_measurement *m);

#endif
