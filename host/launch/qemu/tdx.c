// SPDX-License-Identifier: Apache-2.0
// Intel TDX: the launch config's digest stands in MRCONFIGID (QEMU 10.1 or later).
#include <errno.h>
#include <string.h>

#include "host/launch/qemu/parts.h"

#define QUOTE_SOCKET "/var/run/tdx-qgs/qgs.socket" /* of Intel's tdx-qgs */

static const char *const firmwares[] = {"/usr/share/ovmf/OVMF.inteltdx.fd",
                                        "/usr/share/OVMF/OVMF.inteltdx.fd",
                                        "/usr/share/edk2/ovmf/OVMF.inteltdx.fd", NULL};

/* The quote service's path becomes part of a JSON text. */
static int check_path(const char *path, struct sh_error *err)
{
    for (const char *p = path; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == '"' || *p == '\\')
            return sh_fail(err, -EINVAL,
                           "the quote service's socket '%s' has a character that "
                           "cannot be passed on",
                           path);
    return 0;
}

static int machine_args(const struct sh_qemu_config *config, struct sh_strings *argv,
                        struct sh_error *err)
{
    if (config->quote_socket && check_path(config->quote_socket, err))
        return -EINVAL;
    cleanup_free char *id = sh_qemu_base64(config->launch_digest, sizeof(config->launch_digest));
    cleanup_free char *socket =
        config->quote_socket
            ? sh_format("{\"type\":\"unix\",\"path\":\"%s\"}", config->quote_socket)
            : sh_strdup("{\"type\":\"vsock\",\"cid\":\"1\",\"port\":\"4050\"}");
    sh_qemu_memfd_args(config, argv);
    sh_strings_add(argv, "-object");
    /* As JSON, since quote-generation-socket is a nested object. SEPT_VE_DISABLE: a page that the
     * host takes away stops the TD instead of raising an exception inside it. */
    sh_strings_addf(argv,
                    "{\"qom-type\":\"tdx-guest\",\"id\":\"tee0\",\"sept-ve-disable\":true,"
                    "\"mrconfigid\":\"%s\",\"quote-generation-socket\":%s}",
                    id, socket);
    sh_qemu_machine_args(argv, ",pic=off,kernel-irqchip=split,memory-backend=ram0,"
                             "confidential-guest-support=tee0");
    sh_strings_add(argv, "-accel");
    sh_strings_add(argv, "kvm");
    sh_strings_add(argv, "-cpu");
    sh_strings_add(argv, "host,pmu=off");
    return 0;
}

static int firmware(struct sh_qemu_config *config, struct sh_error *err)
{
    int r = sh_qemu_pick_firmware(config, firmwares, "ovmf-inteltdx", err);
    return r ? r : sh_qemu_firmware_has_tdx(config->firmware, err);
}

static int probe_kernel(struct sh_error *err)
{
    char value[16];
    if (!sh_qemu_read_line("/sys/module/kvm_intel/parameters/tdx", value, sizeof(value)))
        return sh_fail(
            err, -ENODEV,
            "the host's KVM does not know TDX; it takes an Intel Xeon with TDX and Linux "
            "6.16 or later (kvm_intel)");
    if (value[0] != 'Y' && value[0] != '1')
        return sh_fail(err, -ENODEV,
                       "TDX is off in KVM; enable it in the BIOS and load kvm_intel with tdx=1");
    if (access("/dev/kvm", R_OK | W_OK))
        return sh_fail_errno(err, -errno, "/dev/kvm cannot be opened; join the group kvm");
    return 0;
}

static int prepare(struct sh_qemu_config *config, struct sh_error *err)
{
    int r = probe_kernel(err); /* first: without it nothing else helps */
    if (!r)
        r = firmware(config, err);
    if (!r)
        r = sh_qemu_need(config->qemu, 10, 1, "tdx-guest", err);
    config->boot = SH_QEMU_BOOT_BZIMAGE;
    config->kvm = true;
    if (!config->quote_socket && !access(QUOTE_SOCKET, W_OK))
        config->quote_socket = QUOTE_SOCKET;
    return r;
}

static int probe(struct sh_error *err)
{
    int r = probe_kernel(err);
    if (r)
        return r;
    const char *qemu = sh_qemu_find();
    if (!qemu)
        return sh_fail(err, -ENOENT, "qemu-system-x86_64 is not there; install qemu-system-x86");
    r = sh_qemu_need(qemu, 10, 1, "tdx-guest", err);
    if (!r && !sh_qemu_first_file(firmwares))
        r = sh_fail(err, -ENOENT,
                    "no TDX firmware is there; install ovmf-inteltdx or give --firmware FILE");
    return r;
}

const struct sh_backend sh_tee_tdx = {
    .name = "tdx",
    .machine_args = machine_args,
    .firmware = firmware,
    .prepare = prepare,
    .probe = probe,
};
