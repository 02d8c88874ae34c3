// SPDX-License-Identifier: Apache-2.0
// Writes the config disk: manifest and launch config (<shelter/boot.h>).
#include <errno.h>
#include <string.h>

#include <shelter/boot.h>
#include <shelter/launch.h>
#include <shelter/manifest.h>

#include "host/base/temp.h"
#include "host/launch/qemu/parts.h"
#include "lib/bytes.h"

#define HEAD_SIZE 16u
#define BLOCK 4096u

int sh_qemu_write_config_disk(int dir_fd, const char *name, const void *manifest,
                              size_t manifest_size, const void *launch, size_t launch_size,
                              struct sh_error *err)
{
    if (manifest_size > SH_MANIFEST_SIZE_MAX || launch_size > SH_LAUNCH_SIZE_MAX)
        return sh_fail(err, -E2BIG, "internal error: manifest or launch config is too large");
    size_t size = (HEAD_SIZE + manifest_size + launch_size + BLOCK - 1) / BLOCK * BLOCK;
    cleanup_free uint8_t *disk = sh_alloc(size);
    memcpy(disk, SH_BOOT_CONFIG_MAGIC, 8);
    sh_put_le32(disk + 8, (uint32_t)manifest_size);
    sh_put_le32(disk + 12, (uint32_t)launch_size);
    memcpy(disk + HEAD_SIZE, manifest, manifest_size);
    memcpy(disk + HEAD_SIZE + manifest_size, launch, launch_size);
    /* QEMU reads it as somebody else; the folders above are closed to all others. */
    return sh_write_passing(dir_fd, name, disk, size, 0644, err);
}
