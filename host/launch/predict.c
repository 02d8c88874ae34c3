// SPDX-License-Identifier: Apache-2.0
// Predicts the launch measurement of an image on a TEE, without starting anything.
#include "host/launch/predict.h"

#include <errno.h>
#include <string.h>

#include <openssl/sha.h>

#include "host/image/write/base.h"
#include "host/image/write/signature.h"
#include "host/launch/qemu/parts.h"
#include "lib/hex.h"
#include "verifier/measure/snp.h"
#include "verifier/measure/tdx.h"

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
static int fill(const struct sh_predict *what, const struct sh_backend *tee,
                struct sh_qemu_config *config, struct sh_error *err)
{
    uint64_t memory = config->memory;
    config->tee = tee;
    config->boot = tee->simulated ? what->boot : SH_QEMU_BOOT_BZIMAGE;
    config->firmware = what->firmware;
    if (memory < SH_LAUNCH_MEMORY_MIN || memory % 8192)
        return sh_fail(err, -EINVAL,
                       "a memory size of %llu bytes is not possible; use a multiple of 1 "
                       "MiB of at least %llu MiB",
                       (unsigned long long)memory, SH_LAUNCH_MEMORY_MIN >> 20);
    if (!config->cpus || config->cpus > SH_LAUNCH_CPUS_MAX)
        return sh_fail(err, -EINVAL, "%u CPUs are not possible; use 1 to %u", config->cpus,
                       SH_LAUNCH_CPUS_MAX);
    return tee->firmware(config, err);
}

/* TDX: the firmware decides RTMR0 together with memory and devices, so it is null ("any"): judge it
 * by its event log. Nothing of ours extends RTMR3, but a workload may. */
static int measure_tdx(const struct sh_qemu_config *config, const struct sh_qemu_files *files,
                       cJSON *result, struct sh_error *err)
{
    struct sv_tdx_measurement m;
    char why[160] = "";
    cleanup_free char *command_line = sh_qemu_kernel_command_line(config);
    struct sv_tdx_params p = {
        .firmware = files->firmware.data,
        .firmware_size = files->firmware.size,
        .have_kernel = true,
        .kernel = files->kernel.data,
        .kernel_size = files->kernel.size,
        .initrd = files->initramfs.data,
        .initrd_size = files->initramfs.size,
        .cmdline = command_line,
        .memory_size = config->memory,
    };
    int r = sv_tdx_measure(&p, &m, why, sizeof(why));
    if (r)
        return sh_fail(err, r, "cannot measure %s: %s", config->firmware, why);
    cJSON *o = cJSON_AddObjectToObject(result, "measurement");
    cJSON_AddItemToObject(o, "mrtd", hex_json(m.mrtd));
    cJSON *rtmr = cJSON_AddArrayToObject(o, "rtmr");
    cJSON_AddItemToArray(rtmr, cJSON_CreateNull());
    cJSON_AddItemToArray(rtmr, hex_json(m.rtmr1));
    cJSON_AddItemToArray(rtmr, hex_json(m.rtmr2));
    cJSON_AddItemToArray(rtmr, cJSON_CreateNull());
    return 0;
}

static int measure_snp(const struct sh_qemu_config *config, const struct sh_qemu_files *files,
                       bool every_count, cJSON *result, struct sh_error *err)
{
    uint8_t digest[SH_LAUNCH_CPUS_MAX][48];
    char why[160] = "";
    const char *model = config->cpu_model ? config->cpu_model : SH_QEMU_SNP_CPU;
    cleanup_free char *command_line = sh_qemu_kernel_command_line(config);
    struct sv_sev_params p = {
        .mode = SV_SEV_SNP,
        .vmm = SV_VMM_QEMU,
        .firmware = files->firmware.data,
        .firmware_size = files->firmware.size,
        .have_kernel = true,
        .vcpu_count = config->cpus,
        .guest_features = 1, /* SNP alone: what QEMU asks of KVM */
    };
    if (!sv_vcpu_sig(model, &p.vcpu_sig))
        return sh_fail(err, -EINVAL,
                       "there is no reference value for the CPU model '%s'; name one of "
                       "QEMU's EPYC models, such as " SH_QEMU_SNP_CPU,
                       model);
    SHA256(files->kernel.data, files->kernel.size, p.kernel_sha256);
    SHA256(files->initramfs.data, files->initramfs.size, p.initrd_sha256);
    sv_sev_hash_cmdline(command_line, p.cmdline_sha256);
    int r = every_count ? sv_snp_measure_counts(&p, digest, why, sizeof(why))
                        : sv_sev_measure(&p, digest[0], why, sizeof(why));
    if (r)
        return sh_fail(err, r, "cannot measure %s: %s", config->firmware, why);
    cJSON_AddStringToObject(result, "cpu_model", model);
    cJSON *o = cJSON_AddObjectToObject(result, "measurement");
    if (!every_count) {
        cJSON_AddItemToObject(o, "launch_digest", hex_json(digest[0]));
        return 0;
    }
    cJSON *list = cJSON_AddArrayToObject(o, "launch_digest");
    for (unsigned i = 0; i < config->cpus; i++)
        cJSON_AddItemToArray(list, hex_json(digest[i]));
    return 0;
}

static int measure(struct sh_qemu_config *config, bool every_cpu_count, cJSON *result,
                   struct sh_error *err)
{
    const char *name = config->tee->name;
    struct sh_td_measurement m;
    struct sh_qemu_files files;
    int r;
    if (config->tee->simulated) {
        r = sh_qemu_measure_simulated(config, &m, err);
        if (!r)
            cJSON_AddItemToObject(result, "measurement", sh_measurement_json(&m));
        return r;
    }
    if (strcmp(name, "tdx") && strcmp(name, "snp"))
        return sh_fail(err, -ENODATA,
                       "there is no reference value for %s: its firmware measures in a "
                       "way that is not published; take the value of a machine you trust",
                       name);
    r = sh_qemu_load_files(config, &files, err);
    if (!r)
        r = !strcmp(name, "tdx") ? measure_tdx(config, &files, result, err)
                                 : measure_snp(config, &files, every_cpu_count, result, err);
    sh_qemu_free_files(&files);
    return r;
}

/* Nothing but the image decides MRENCLAVE: no memory, no processors, no firmware. */
static int predict_enclave(const struct sh_image *image, const struct sh_backend *tee,
                           cJSON **result, struct sh_error *err)
{
    uint8_t identity[48];
    cJSON *m = NULL;
    cleanup_free char *enclave = sh_format("%s/base/enclave", image->path);
    cleanup_free char *signature = sh_format("%s/" SH_SIGNATURE, image->path);
    if (!sh_base_has(image->dir_fd, SH_BASE_ENCLAVE))
        return sh_fail(err, -ENODATA, "image %.12s was built without an enclave; build it again",
                       image->id);
    if (sh_unhex(identity, 48, image->id))
        return sh_fail(err, -EINVAL, "internal error: '%s' is no image id", image->id);
    int r = sh_enclave_measurement(enclave, identity, signature, &m, err);
    if (r)
        return r;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "tee", tee->name);
    cJSON_AddBoolToObject(o, "simulated", tee->simulated);
    cJSON_AddStringToObject(o, "image", image->id);
    cJSON_AddItemToObject(o, "measurement", m);
    *result = o;
    return 0;
}

int sh_predict_image(const struct sh_image *image, const struct sh_predict *what, cJSON **result,
                     struct sh_error *err)
{
    const struct sh_backend *tee;
    int r = sh_backend_find(what->tee, &tee, err);
    if (r)
        return r;
    if (tee->enclave)
        return predict_enclave(image, tee, result, err);
    cleanup_free char *vmlinux = sh_format("%s/base/vmlinux", image->path);
    cleanup_free char *bzimage = sh_format("%s/base/bzImage", image->path);
    cleanup_free char *initramfs = sh_format("%s/base/initramfs", image->path);
    const struct sh_manifest *manifest = &image->manifest;
    struct sh_qemu_config config = {
        .vmlinux = vmlinux,
        .bzimage = bzimage,
        .initramfs = initramfs,
        .memory = what->memory ? what->memory : manifest->memory,
        .cpus = what->cpus ? what->cpus : manifest->cpus,
        .debug = what->debug,
        .cpu_model = what->cpu_model,
    };
    config.memory = config.memory ? config.memory : SH_LAUNCH_MEMORY_DEFAULT;
    config.cpus = config.cpus ? config.cpus : SH_LAUNCH_CPUS_DEFAULT;
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
    cJSON_AddStringToObject(o, "boot", config.boot == SH_QEMU_BOOT_PVH ? "pvh" : "bzimage");
    cJSON_AddStringToObject(o, "firmware", config.firmware);
    r = measure(&config, what->every_cpu_count, o, err);
    if (r) {
        cJSON_Delete(o);
        return r;
    }
    *result = o;
    return 0;
}
