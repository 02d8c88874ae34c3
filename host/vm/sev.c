// SPDX-License-Identifier: Apache-2.0
// What SEV-SNP and CSV have in common on the host: CPUID and what KVM offers.
#include "host/vm/sev.h"

#include <cpuid.h>
#include <errno.h>
#include <string.h>

#include "host/vm/parts.h"

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
    unsigned a, b, c, d;
    char name[13] = {0};
    if (!__get_cpuid(0, &a, &b, &c, &d))
        return false;
    memcpy(name, &b, 4);
    memcpy(name + 4, &d, 4);
    memcpy(name + 8, &c, 4);
    return !strcmp(name, "HygonGenuine");
}

int sh_sev_probe(const char *parameter, const char *what, const char *needs, struct sh_error *err)
{
    char value[16];
    cleanup_free char *path = sh_format("/sys/module/kvm_amd/parameters/%s", parameter);
    if (!sh_vm_read_line(path, value, sizeof(value)))
        return sh_fail(err, -ENODEV, "the host's KVM does not know %s; it takes %s (kvm_amd)", what,
                       needs);
    if (value[0] != 'Y' && value[0] != '1')
        return sh_fail(err, -ENODEV,
                       "%s is off in KVM; enable it in the BIOS and load kvm_amd with "
                       "%s=1",
                       what, parameter);
    if (access("/dev/sev", R_OK | W_OK))
        return sh_fail_errno(err, -errno,
                             "/dev/sev cannot be opened; run as root or join its group");
    if (access("/dev/kvm", R_OK | W_OK))
        return sh_fail_errno(err, -errno, "/dev/kvm cannot be opened; join the group kvm");
    return 0;
}
