// SPDX-License-Identifier: Apache-2.0
// Predicts the launch measurement of an image on a TEE of machines.
#include <errno.h>
#include <string.h>

#include "host/launch/qemu/parts.h"
#include "lib/hex.h"

/* Firmware and QEMU only as far as the measurement depends on them: no accelerator, no probe. */
static int fill_config(struct sh_qemu_config *config, struct sh_error *err)
{
    uint64_t memory = config->spec->memory;
    unsigned cpus = config->spec->cpus;
    if (memory < SH_LAUNCH_MEMORY_MIN || memory % 8192)
        return sh_fail(err, -EINVAL,
                       "a memory size of %llu bytes is not possible; use a multiple of 1 "
                       "MiB of at least %llu MiB",
                       (unsigned long long)memory, SH_LAUNCH_MEMORY_MIN >> 20);
    if (!cpus || cpus > SH_LAUNCH_CPUS_MAX)
        return sh_fail(err, -EINVAL, "%u CPUs are not possible; use 1 to %u", cpus,
                       SH_LAUNCH_CPUS_MAX);
    return config->tee->firmware(config, err);
}

static int measure_config(struct sh_qemu_config *config, bool every_cpu_count, cJSON *result,
                          struct sh_error *err)
{
    if (!config->tee->predict)
        return sh_fail(err, -ENODATA,
                       "there is no reference value for %s: its firmware measures in a "
                       "way that is not published; take the value of a machine you trust",
                       config->tee->backend.name);
    return config->tee->predict(config, every_cpu_count, result, err);
}

static cJSON *describe_config(const struct sh_qemu_config *config)
{
    const struct sh_launch_spec *spec = config->spec;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "tee", spec->backend->name);
    cJSON_AddBoolToObject(o, "simulated", spec->backend->simulated);
    cJSON_AddStringToObject(o, "image", spec->image->id);
    cJSON_AddNumberToObject(o, "memory", (double)spec->memory);
    cJSON_AddNumberToObject(o, "cpus", spec->cpus);
    cJSON_AddStringToObject(o, "boot", config->boot == SH_QEMU_BOOT_PVH ? "pvh" : "bzimage");
    cJSON_AddStringToObject(o, "firmware", config->firmware);
    return o;
}

int sh_qemu_predict(const struct sh_backend *backend, const struct sh_image *image,
                    const struct sh_predict *what, cJSON **result, struct sh_error *err)
{
    struct sh_qemu_config config;
    struct sh_launch_spec spec = {
        .backend = backend,
        .image = image,
        .store_path = "",
        .memory = what->memory ? what->memory : SH_LAUNCH_MEMORY_DEFAULT,
        .cpus = what->cpus ? what->cpus : SH_LAUNCH_CPUS_DEFAULT,
        .debug = what->debug,
        .boot = what->boot,
        .firmware = what->firmware,
    };
    if (sh_unhex(spec.manifest_digest, 48, image->id))
        return sh_fail(err, -EINVAL, "internal error: '%s' is not an image id", image->id);
    sh_qemu_config_init(&config, &spec);
    config.cpu_model = what->cpu_model;
    config.steps = what->steps;
    int r = fill_config(&config, err);
    cJSON *o = r ? NULL : describe_config(&config);
    if (!r)
        r = measure_config(&config, what->every_cpu_count, o, err);
    if (r)
        cJSON_Delete(o);
    else
        *result = o;
    sh_qemu_config_free(&config);
    return r;
}
