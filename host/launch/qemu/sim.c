// SPDX-License-Identifier: Apache-2.0
// tdx-sim: an ordinary VM, measured by the launcher by a TD's rules. It protects nothing.
#include <errno.h>
#include <string.h>

#include "host/launch/qemu/parts.h"

static const char *const qboot[] = {"/usr/share/qemu/qboot.rom", "/usr/share/seabios/qboot.rom",
                                    "/usr/local/share/qemu/qboot.rom",
                                    "/usr/lib/ipxe/qemu/qboot.rom", NULL};
static const char *const ovmf[] = {"/usr/share/ovmf/OVMF.fd", "/usr/share/qemu/OVMF.fd",
                                   "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/edk2/x64/OVMF.fd",
                                   NULL};

static int machine_args(const struct sh_qemu_config *config, struct sh_strings *argv,
                        struct sh_error *err)
{
    sh_qemu_machine_args(argv, "");
    sh_strings_add(argv, "-accel");
    sh_strings_add(argv, config->kvm ? "kvm" : "tcg,thread=multi,tb-size=256");
    sh_strings_add(argv, "-cpu");
    /* The guest kernel would hash root.img with AVX2, which TCG emulates at half the speed of AVX. */
    sh_strings_add(argv, config->kvm ? "host" : "max,avx2=off");
    return 0;
}

static int firmware(struct sh_qemu_config *config, struct sh_error *err)
{
    return config->boot == SH_QEMU_BOOT_PVH
               ? sh_qemu_pick_firmware(config, qboot, "qemu-system-data", err)
               : sh_qemu_pick_firmware(config, ovmf, "ovmf", err);
}

static int prepare(struct sh_qemu_config *config, struct sh_error *err)
{
    int r = firmware(config, err);
    if (r)
        return r;
    config->kvm = sh_qemu_kvm_works(config);
    return 0;
}

static int probe(struct sh_error *err)
{
    if (!sh_qemu_find())
        return sh_fail(err, -ENOENT, "qemu-system-x86_64 is not there; install qemu-system-x86");
    if (!sh_qemu_first_file(qboot))
        return sh_fail(err, -ENOENT, "qboot.rom is not there; install qemu-system-data");
    return 0;
}

const struct sh_backend sh_tee_tdx_sim = {
    .name = "tdx-sim",
    .simulated = true,
    .machine_args = machine_args,
    .firmware = firmware,
    .prepare = prepare,
    .probe = probe,
};
