// SPDX-License-Identifier: Apache-2.0
// Hygon CSV: no field for the launch config, so its digest stands on the measured command line.
#include <errno.h>
#include <string.h>

#include "host/vm/parts.h"
#include "host/vm/sev.h"

/* SEV API, guest policy: no debug (0x1), no key sharing (0x2), encrypted registers (0x4), may not
 * be sent to another platform (0x8). */
#define POLICY "0xf"

static const char *const firmwares[] = {"/usr/share/ovmf/OVMF.amdsev.fd",
                                        "/usr/share/OVMF/OVMF.amdsev.fd",
                                        "/usr/share/edk2/ovmf/OVMF.amdsev.fd", NULL};

static int machine_args(const struct sh_vm_config *config, struct sh_strings *argv,
                        struct sh_error *err)
{
    sh_strings_add(argv, "-object");
    sh_strings_addf(argv,
                    "sev-guest,id=tee0,policy=%s,cbitpos=%u,reduced-phys-bits=%u,kernel-hashes=on",
                    POLICY, config->cbit_position, config->reduced_phys_bits);
    sh_vm_machine_args(argv, ",confidential-guest-support=tee0");
    sh_strings_add(argv, "-accel");
    sh_strings_add(argv, "kvm");
    sh_strings_add(argv, "-cpu");
    sh_strings_add(argv, "host");
    return 0;
}

static int firmware(struct sh_vm_config *config, struct sh_error *err)
{
    int r = sh_vm_pick_firmware(config, firmwares, "ovmf-amdsev", err);
    return r ? r : sh_vm_firmware_has_hash_table(config->firmware, err);
}

static int prepare(struct sh_vm_config *config, struct sh_error *err)
{
    int r = firmware(config, err);
    if (!r)
        r = sh_vm_need_qemu(config->qemu, 6, 2, "kernel-hashes", err);
    if (!r && !config->cbit_position)
        r = sh_sev_cbit(&config->cbit_position, &config->reduced_phys_bits, err);
    config->boot = SH_VM_BOOT_BZIMAGE;
    config->kvm = true;
    return r;
}

static int probe(struct sh_error *err)
{
    if (!sh_sev_is_hygon())
        return sh_fail(err, -ENODEV, "the CPU is not made by Hygon");
    int r = sh_sev_probe("sev_es", "CSV", "a Hygon CPU with CSV2 and its kernel", err);
    if (r)
        return r;
    if (!sh_vm_find_qemu())
        return sh_fail(err, -ENOENT, "qemu-system-x86_64 is not there; install qemu-system-x86");
    const char *found = sh_vm_first_file(firmwares);
    if (!found)
        return sh_fail(err, -ENOENT,
                       "no CSV firmware is there; install ovmf-amdsev or give "
                       "--firmware FILE");
    return sh_vm_firmware_has_hash_table(found, err);
}

const struct sh_tee sh_tee_csv = {
    .name = "csv",
    .machine_args = machine_args,
    .firmware = firmware,
    .prepare = prepare,
    .probe = probe,
};
