// SPDX-License-Identifier: Apache-2.0
// What SEV-SNP and CSV have in common on the host: CPUID and what KVM offers.
#include "host/launch/qemu/sev.h"

#include <cpuid.h>
#include <errno.h>
#include <string.h>

#include "host/launch/qemu/parts.h"

static const char *const firmwares[] = {"/usr/share/ovmf/OVMF.amdsev.fd",
                                        "/usr/share/OVMF/OVMF.amdsev.fd",
                                        "/usr/share/edk2/ovmf/OVMF.amdsev.fd", NULL};

int sh_sev_cbit(unsigned *position, unsigned *reduced_phys_bits, struct sh_error *err)
{
    unsigned a, b, c, d;
    /* Fn8000_001F: EAX bit 1 SEV; EBX 5:0 the C-bit, 11:6 the reduction of address bits. */
    if (!__get_cpuid(0x8000001f, &a, &b, &c, &d) || !(a & 2))
        return sh_fail(err, -ENODEV, "this CPU has no SEV; use --tee auto");
    *position = b & 63;
    *reduced_phys_bits = b >> 6 & 63;
    return 0;
}

bool sh_sev_is_hygon(void)
{
    return sh_qemu_cpu_is("HygonGenuine");
}

int sh_sev_firmware(struct sh_qemu_config *config, struct sh_error *err)
{
    int r = sh_qemu_pick_firmware(config, firmwares, "ovmf-amdsev", err);
    return r ? r : sh_qemu_firmware_has_hash_table(config->firmware, err);
}

/* kvm_amd's parameter, /dev/sev and /dev/kvm. */
static int probe_kernel(const struct sh_sev_needs *needs, struct sh_error *err)
{
    char value[16];
    cleanup_free char *path = sh_format("/sys/module/kvm_amd/parameters/%s", needs->parameter);
    if (!sh_qemu_read_line(path, value, sizeof(value)))
        return sh_fail(err, -ENODEV, "the host's KVM does not know %s; it takes %s (kvm_amd)",
                       needs->what, needs->hardware);
    if (value[0] != 'Y' && value[0] != '1')
        return sh_fail(err, -ENODEV,
                       "%s is off in KVM; enable it in the BIOS and load kvm_amd with %s=1",
                       needs->what, needs->parameter);
    if (access("/dev/sev", R_OK | W_OK))
        return sh_fail_errno(err, -errno,
                             "/dev/sev cannot be opened; run as root or join its group");
    if (access("/dev/kvm", R_OK | W_OK))
        return sh_fail_errno(err, -errno, "/dev/kvm cannot be opened; join the group kvm");
    return 0;
}

int sh_sev_prepare(struct sh_qemu_config *config, const struct sh_sev_needs *needs,
                   struct sh_error *err)
{
    int r = probe_kernel(needs, err); /* first: without it nothing else helps */
    if (!r)
        r = sh_sev_firmware(config, err);
    if (!r)
        r = sh_qemu_need(config->qemu, needs->qemu_major, needs->qemu_minor, needs->object, err);
    if (!r && !config->cbit_position)
        r = sh_sev_cbit(&config->cbit_position, &config->reduced_phys_bits, err);
    config->boot = SH_QEMU_BOOT_BZIMAGE;
    config->kvm = true;
    return r;
}

int sh_sev_probe(const struct sh_sev_needs *needs, struct sh_error *err)
{
    int r = probe_kernel(needs, err);
    if (r)
        return r;
    const char *qemu = sh_qemu_find(), *found = sh_qemu_first_file(firmwares);
    if (!qemu)
        return sh_fail(err, -ENOENT, "qemu-system-x86_64 is not there; install qemu-system-x86");
    r = sh_qemu_need(qemu, needs->qemu_major, needs->qemu_minor, needs->object, err);
    if (r)
        return r;
    if (!found)
        return sh_fail(err, -ENOENT,
                       "no %s firmware is there; install ovmf-amdsev or give --firmware FILE",
                       needs->what);
    return sh_qemu_firmware_has_hash_table(found, err);
}
