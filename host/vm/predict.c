// SPDX-License-Identifier: Apache-2.0
// Predicts the launch measurement of an image on a TEE, without starting anything.
#include "host/vm/predict.h"

#include <errno.h>
#include <string.h>

#include "host/vm/parts.h"
#include "lib/hex.h"

static cJSON *hex_json(const uint8_t digest[48])
{
    char text[97];
    sh_hex(text, digest, 48);
    return cJSON_CreateString(text);
}

cJSON *sh_measurement_json(const struct sh_td_measurement *m)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddItemToObject(o, "mrtd", hex_json(m->mrtd));
    cJSON *rtmr = cJSON_AddArrayToObject(o, "rtmr");
    for (int i = 0; i < 4; i++)
        cJSON_AddItemToArray(rtmr, hex_json(m->rtmr[i]));
    return o;
}

/* Firmware and QEMU only as far as the measurement depends on them: no accelerator, no probe. */
static int fill(const struct sh_predict *what, const struct sh_tee *tee, struct sh_vm_config *config,
                struct sh_error *err)
{
    uint64_t memory = config->memory;
    config->tee = tee;
    config->boot = tee->simulated ? what->boot : SH_VM_BOOT_BZIMAGE;
    config->firmware = what->firmware;
    if (memory < SH_VM_MEMORY_MIN || memory % 8192)
        return sh_fail(err, -EINVAL, "a memory size of %llu bytes is not possible; use a multiple of 1 "
                       "MiB of at least %llu MiB", (unsigned long long)memory, SH_VM_MEMORY_MIN >> 20);
    if (!config->cpus || config->cpus > SH_VM_CPUS_MAX)
        return sh_fail(err, -EINVAL, "%u CPUs are not possible; use 1 to %u", config->cpus,
                       SH_VM_CPUS_MAX);
    return tee->firmware(config, err);
}

static int measure(struct sh_vm_config *config, cJSON *result, struct sh_error *err)
{
    struct sh_td_measurement m;
    if (!config->tee->simulated)
        return sh_fail(err, -ENODATA, "there is no reference value for %s yet: predicting it from "
                       "%s is not supported", config->tee->name, config->firmware);
    int r = sh_vm_measure_simulated(config, &m, err);
    if (!r)
        cJSON_AddItemToObject(result, "measurement", sh_measurement_json(&m));
    return r;
}

int sh_predict_image(const struct sh_image *image, const struct sh_predict *what, cJSON **result,
                     struct sh_error *err)
{
    const struct sh_tee *tee;
    int r = sh_tee_find(what->tee, &tee, err);
    if (r)
        return r;
    cleanup_free char *vmlinux = sh_format("%s/base/vmlinux", image->path);
    cleanup_free char *bzimage = sh_format("%s/base/bzImage", image->path);
    cleanup_free char *initramfs = sh_format("%s/base/initramfs", image->path);
    const struct sh_manifest *manifest = &image->manifest;
    struct sh_vm_config config = {
        .vmlinux = vmlinux,
        .bzimage = bzimage,
        .initramfs = initramfs,
        .memory = what->memory ? what->memory : manifest->memory,
        .cpus = what->cpus ? what->cpus : manifest->cpus,
        .debug = what->debug,
        .cpu_model = what->cpu_model,
    };
    config.memory = config.memory ? config.memory : SH_VM_MEMORY_DEFAULT;
    config.cpus = config.cpus ? config.cpus : SH_VM_CPUS_DEFAULT;
    if (sh_unhex(config.manifest_digest, 48, image->id))
        return sh_fail(err, -EINVAL, "internal error: '%s' is no image id", image->id);
    r = fill(what, tee, &config, err);
    if (r)
        return r;

    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "tee", tee->name);
    cJSON_AddBoolToObject(o, "simulated", tee->simulated);
    cJSON_AddStringToObject(o, "image", image->id);
    cJSON_AddNumberToObject(o, "memory", (double)config.memory);
    cJSON_AddNumberToObject(o, "cpus", config.cpus);
    cJSON_AddStringToObject(o, "boot", config.boot == SH_VM_BOOT_PVH ? "pvh" : "bzimage");
    cJSON_AddStringToObject(o, "firmware", config.firmware);
    r = measure(&config, o, err);
    if (r) {
        cJSON_Delete(o);
        return r;
    }
    *result = o;
    return 0;
}
