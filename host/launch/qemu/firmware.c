// SPDX-License-Identifier: Apache-2.0
// Firmware files: which one, and whether its table says that it can do what the TEE needs.
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "host/launch/check.h"
#include "host/launch/qemu/parts.h"
#include "verifier/measure/ovmf.h"

/* Firmware that has no use for the hash table has its entry all the same, with address zero. */
static bool holds_hashes(const struct sv_ovmf *o)
{
    return o->hash_table_gpa;
}

static bool is_tdvf(const struct sv_ovmf *o)
{
    return o->tdvf_offset && o->tdvf_offset <= o->size;
}

static int need_entry(const char *path, bool (*has)(const struct sv_ovmf *), const char *what,
                      const char *package, struct sh_error *err)
{
    struct sv_ovmf o;
    uint8_t *data;
    size_t size;
    char why[160];
    int r = sh_read_file(AT_FDCWD, path, SV_OVMF_SIZE_MAX, &data, &size, err);
    if (r)
        return r;
    bool usable = !sv_ovmf_parse(data, size, &o, why, sizeof(why)) && has(&o);
    free(data);
    if (usable)
        return 0;
    return sh_fail(err, -EBADMSG, "the firmware %s %s; use the one of %s", path, what, package);
}

int sh_qemu_firmware_has_hash_table(const char *path, struct sh_error *err)
{
    return need_entry(path, holds_hashes,
                      "has no place for kernel hashes, so kernel and command line would not be "
                      "measured",
                      "ovmf-amdsev", err);
}

int sh_qemu_firmware_has_tdx(const char *path, struct sh_error *err)
{
    return need_entry(path, is_tdvf, "is not made for TDX", "ovmf-inteltdx", err);
}

int sh_qemu_pick_firmware(struct sh_qemu_config *config, const char *const *paths,
                          const char *package, struct sh_error *err)
{
    if (!config->firmware)
        config->firmware = sh_qemu_first_file(paths);
    if (!config->firmware)
        return sh_fail(err, -ENOENT,
                       "no firmware for %s is there; install %s or give --firmware FILE",
                       config->tee->backend.name, package);
    if (access(config->firmware, R_OK))
        return sh_fail_errno(err, -errno, "cannot read the firmware %s", config->firmware);
    return 0;
}

void sh_qemu_check_firmware(cJSON *checks, const struct sh_qemu_tee *tee)
{
    struct sh_error err = {0};
    struct sh_qemu_config config = {.tee = tee};
    bool ok = !tee->firmware(&config, &err);
    sh_check_add(checks, "firmware", ok, NULL, "%s", ok ? config.firmware : err.text);
}
