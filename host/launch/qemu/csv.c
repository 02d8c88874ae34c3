// SPDX-License-Identifier: Apache-2.0
// Hygon CSV: no field for the launch config, so its digest stands on the measured command line.
#include <errno.h>
#include <string.h>

#include "host/launch/check.h"
#include "host/launch/qemu/parts.h"
#include "host/launch/qemu/sev.h"

/* SEV API, guest policy: no debug (0x1), no key sharing (0x2), encrypted registers (0x4), may not
 * be sent to another platform (0x8). */
#define POLICY "0xf"

static const struct sh_sev_needs needs = {
    .parameter = "sev_es",
    .what = "CSV",
    .hardware = "a Hygon CPU with CSV2 and its kernel",
    .object = "kernel-hashes",
    .qemu_major = 6,
    .qemu_minor = 2,
};

static int machine_args(const struct sh_qemu_config *config, struct sh_strings *argv,
                        struct sh_error *err)
{
    sh_strings_add(argv, "-object");
    sh_strings_addf(argv,
                    "sev-guest,id=tee0,policy=%s,cbitpos=%u,reduced-phys-bits=%u,kernel-hashes=on",
                    POLICY, config->cbit_position, config->reduced_phys_bits);
    sh_qemu_machine_args(argv, ",confidential-guest-support=tee0");
    sh_strings_add(argv, "-accel");
    sh_strings_add(argv, "kvm");
    sh_strings_add(argv, "-cpu");
    sh_strings_add(argv, "host");
    return 0;
}

static int prepare(struct sh_qemu_config *config, struct sh_error *err)
{
    return sh_sev_prepare(config, &needs, err);
}

static int probe(struct sh_error *err)
{
    if (!sh_sev_is_hygon())
        return sh_fail(err, -ENODEV, "the CPU is not made by Hygon");
    return sh_sev_probe(&needs, err);
}

static bool check_host(cJSON *checks)
{
    struct sh_error ignored = {0};
    bool hygon = sh_sev_is_hygon();
    sh_check_add(checks, "CPU", hygon, "use a Hygon CPU with CSV2", "%s",
                 hygon ? "made by Hygon" : "not made by Hygon");
    sh_qemu_check_parameter(checks, "kvm_amd", "sev_es", "load kvm_amd with sev_es=1");
    sh_check_device(checks, "/dev/sev",
                    "load the kernel's ccp driver; run as root or join its group");
    sh_check_device(checks, "/dev/kvm", "join the group kvm");
    sh_qemu_check_firmware(checks, &sh_qemu_csv);
    return !probe(&ignored);
}

static const struct sh_reference_kind kinds[] = {{.boot = SH_QEMU_BOOT_BZIMAGE}};

/* No `predict`: Hygon's firmware measures in a way that is not published. */
const struct sh_qemu_tee sh_qemu_csv = {
    .backend = {SH_QEMU_FUNCTIONS, .name = "csv", .probe = probe, .check_host = check_host,
                .kinds = kinds, .kind_count = 1},
    .launch_on_command_line = true,
    .machine_args = machine_args,
    .firmware = sh_sev_firmware,
    .prepare = prepare,
};
