// SPDX-License-Identifier: Apache-2.0
// AMD SEV-SNP: the first 32 bytes of the launch config's digest stand in HOST_DATA (QEMU 9.1 or
// later).
#include <errno.h>
#include <string.h>

#include "host/vm/parts.h"
#include "host/vm/sev.h"

/* SEV-SNP ABI, guest policy: bit 17 must be 1; bit 16 lets the host have SMT on, as nearly all have
 * (with it off such a host could not launch at all; a verifier sees it in the report and may
 * refuse); debug (19) and migration agent (18) are off. */
#define POLICY "0x30000"

static const char *const firmwares[] = {"/usr/share/ovmf/OVMF.amdsev.fd",
                                        "/usr/share/OVMF/OVMF.amdsev.fd",
                                        "/usr/share/edk2/ovmf/OVMF.amdsev.fd", NULL};

static int machine_args(const struct sh_vm_config *config, struct sh_strings *argv,
                        struct sh_error *err)
{
    cleanup_free char *host_data = sh_vm_base64(config->launch_digest, 32);
    cleanup_free char *cpu = sh_vm_escape(config->cpu_model ? config->cpu_model : SH_VM_SNP_CPU);
    sh_vm_memfd_args(config, argv);
    sh_strings_add(argv, "-object");
    sh_strings_addf(argv,
                    "sev-snp-guest,id=tee0,policy=%s,cbitpos=%u,reduced-phys-bits=%u,"
                    "kernel-hashes=on,host-data=%s",
                    POLICY, config->cbit_position, config->reduced_phys_bits, host_data);
    sh_vm_machine_args(argv, ",memory-backend=ram0,confidential-guest-support=tee0");
    sh_strings_add(argv, "-accel");
    sh_strings_add(argv, "kvm");
    sh_strings_add(argv, "-cpu");
    sh_strings_add(argv, cpu);
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
        r = sh_vm_need_qemu(config->qemu, 9, 1, "sev-snp-guest", err);
    if (!r && !config->cbit_position)
        r = sh_sev_cbit(&config->cbit_position, &config->reduced_phys_bits, err);
    config->boot = SH_VM_BOOT_BZIMAGE;
    config->kvm = true;
    return r;
}

static int probe(struct sh_error *err)
{
    int r = sh_sev_probe("sev_snp", "SEV-SNP", "an AMD EPYC 7003 or later and Linux 6.11 or later",
                         err);
    if (r)
        return r;
    const char *qemu = sh_vm_find_qemu();
    if (!qemu)
        return sh_fail(err, -ENOENT, "qemu-system-x86_64 is not there; install qemu-system-x86");
    r = sh_vm_need_qemu(qemu, 9, 1, "sev-snp-guest", err);
    const char *found = sh_vm_first_file(firmwares);
    if (!r && !found)
        r = sh_fail(err, -ENOENT,
                    "no SEV-SNP firmware is there; install ovmf-amdsev or give "
                    "--firmware FILE");
    return r ? r : sh_vm_firmware_has_hash_table(found, err);
}

const struct sh_tee sh_tee_snp = {
    .name = "snp",
    .machine_args = machine_args,
    .firmware = firmware,
    .prepare = prepare,
    .probe = probe,
};
