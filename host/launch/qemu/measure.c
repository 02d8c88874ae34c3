// SPDX-License-Identifier: Apache-2.0
// Measures what a simulated TD loads, from the files that QEMU gets.
#include <fcntl.h>
#include <string.h>

#include "host/launch/qemu/parts.h"
#include "lib/hex.h"

#define FILE_SIZE_MAX (1u << 30)

/* A whole file in memory that the caller owns. */
static int load_file(const char *path, struct sh_view *view, struct sh_error *err)
{
    uint8_t *data;
    size_t size;
    int r = sh_read_file(AT_FDCWD, path, FILE_SIZE_MAX, &data, &size, err);
    if (!r)
        *view = (struct sh_view){.data = data, .size = size};
    return r;
}

int sh_qemu_load_files(const struct sh_qemu_config *config, struct sh_qemu_files *files,
                       struct sh_error *err)
{
    memset(files, 0, sizeof(*files));
    int r = load_file(config->firmware, &files->firmware, err);
    if (!r)
        r = load_file(sh_qemu_kernel(config), &files->kernel, err);
    if (!r)
        r = load_file(config->initramfs, &files->initramfs, err);
    return r;
}

void sh_qemu_free_files(struct sh_qemu_files *files)
{
    free((void *)files->firmware.data);
    free((void *)files->kernel.data);
    free((void *)files->initramfs.data);
    memset(files, 0, sizeof(*files));
}

cJSON *sh_qemu_digest_json(const uint8_t digest[48])
{
    char text[97];
    sh_hex(text, digest, 48);
    return cJSON_CreateString(text);
}

cJSON *sh_qemu_measurement_json(const struct sh_td_measurement *m)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddItemToObject(o, "mrtd", sh_qemu_digest_json(m->mrtd));
    cJSON *rtmr = cJSON_AddArrayToObject(o, "rtmr");
    for (int i = 0; i < 4; i++)
        cJSON_AddItemToArray(rtmr, sh_qemu_digest_json(m->rtmr[i]));
    return o;
}

int sh_qemu_measure_simulated(const struct sh_qemu_config *config, struct sh_td_measurement *m,
                              struct sh_error *err)
{
    struct sh_qemu_files files;
    if (!config->tee->backend.simulated || !config->firmware)
        return sh_fail(err, -EINVAL, "internal error: only a prepared simulation can be measured");
    cleanup_free char *command_line = sh_qemu_kernel_command_line(config);
    int r = sh_qemu_load_files(config, &files, err);
    if (!r) {
        struct sh_sim_input in = {
            .firmware = files.firmware,
            .kernel = files.kernel,
            .initramfs = files.initramfs,
            .command_line = command_line,
            .bzimage = config->boot == SH_QEMU_BOOT_BZIMAGE,
            .memory = config->spec->memory,
            .cpus = config->spec->cpus,
            .steps = config->steps,
        };
        r = sh_sim_measure(&in, m);
        if (r)
            sh_fail(err, r,
                    "cannot measure %s with %s: one of them is damaged, or the memory is too "
                    "small",
                    sh_qemu_kernel(config), config->firmware);
        memcpy(m->mrconfigid, config->spec->launch_digest, sizeof(m->mrconfigid));
    }
    sh_qemu_free_files(&files);
    return r;
}
