// SPDX-License-Identifier: Apache-2.0
// AMD SEV-SNP: the first 32 bytes of the launch config's digest stand in HOST_DATA (QEMU 9.1 or
// later).
#include <errno.h>
#include <string.h>

#include "host/launch/qemu/parts.h"
#include "host/launch/qemu/sev.h"

/* SEV-SNP ABI, guest policy: bit 17 must be 1; bit 16 lets the host have SMT on, as nearly all have
 * (with it off such a host could not launch at all; a verifier sees it in the report and may
 * refuse); debug (19) and migration agent (18) are off. */
#define POLICY "0x30000"

static const struct sh_sev_needs needs = {
    .parameter = "sev_snp",
    .what = "SEV-SNP",
    .hardware = "an AMD EPYC 7003 or later and Linux 6.11 or later",
    .object = "sev-snp-guest",
    .qemu_major = 9,
    .qemu_minor = 1,
};

static int machine_args(const struct sh_qemu_config *config, struct sh_strings *argv,
                        struct sh_error *err)
{
    cleanup_free char *host_data = sh_qemu_base64(config->launch_digest, 32);
    cleanup_free char *cpu = sh_qemu_escape(config->cpu_model ? config->cpu_model : SH_QEMU_SNP_CPU);
    sh_qemu_memfd_args(config, argv);
    sh_strings_add(argv, "-object");
    sh_strings_addf(argv,
                    "sev-snp-guest,id=tee0,policy=%s,cbitpos=%u,reduced-phys-bits=%u,"
                    "kernel-hashes=on,host-data=%s",
                    POLICY, config->cbit_position, config->reduced_phys_bits, host_data);
    sh_qemu_machine_args(argv, ",memory-backend=ram0,confidential-guest-support=tee0");
    sh_strings_add(argv, "-accel");
    sh_strings_add(argv, "kvm");
    sh_strings_add(argv, "-cpu");
    sh_strings_add(argv, cpu);
    return 0;
}

static int prepare(struct sh_qemu_config *config, struct sh_error *err)
{
    return sh_sev_prepare(config, &needs, err);
}

static int probe(struct sh_error *err)
{
    return sh_sev_probe(&needs, err);
}

const struct sh_backend sh_tee_snp = {
    .name = "snp",
    .machine_args = machine_args,
    .firmware = sh_sev_firmware,
    .prepare = prepare,
    .probe = probe,
};
