// SPDX-License-Identifier: Apache-2.0
// Intel TDX: the launch config's digest stands in MRCONFIGID (QEMU 10.1 or later).
#include <errno.h>
#include <string.h>

#include "host/launch/check.h"
#include "host/launch/qemu/parts.h"
#include "verifier/measure/tdx.h"

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
    cleanup_free char *id =
        sh_qemu_base64(config->spec->launch_digest, sizeof(config->spec->launch_digest));
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

static bool check_host(cJSON *checks)
{
    struct sh_error ignored = {0};
    bool intel = sh_qemu_cpu_is("GenuineIntel");
    sh_check_add(checks, "CPU", intel,
                 "use an Intel Xeon with TDX (Emerald Rapids or later; Sapphire "
                 "Rapids in some models)",
                 intel ? "made by Intel" : "not made by Intel");
    sh_qemu_check_parameter(checks, "kvm_intel", "tdx",
                            "use Linux 6.16 or later with kvm_intel.tdx=1, and enable "
                            "TDX in the BIOS");
    sh_check_device(checks, "/dev/kvm", "join the group kvm");
    sh_qemu_check_version(checks, 10, 1, "tdx-guest");
    sh_qemu_check_firmware(checks, &sh_qemu_tdx);
    bool qgs = !access(QUOTE_SOCKET, W_OK);
    sh_check_add(checks, "quote service", true, NULL, "%s",
                 qgs ? QUOTE_SOCKET
                     : "no socket of Intel's tdx-qgs; vsock port 4050 will be tried");
    return !probe(&ignored);
}

/* The firmware decides RTMR0 together with memory and devices, so it is null ("any"): judge it by
 * its event log. Nothing of ours extends RTMR3, but a workload may. */
static int predict(struct sh_qemu_config *config, bool every_cpu_count, cJSON *result,
                   struct sh_error *err)
{
    struct sh_qemu_files files;
    struct sv_tdx_measurement m;
    char why[160] = "";
    cleanup_free char *command_line = sh_qemu_kernel_command_line(config);
    int r = sh_qemu_load_files(config, &files, err);
    if (!r) {
        struct sv_tdx_params p = {
            .firmware = files.firmware.data,
            .firmware_size = files.firmware.size,
            .have_kernel = true,
            .kernel = files.kernel.data,
            .kernel_size = files.kernel.size,
            .initrd = files.initramfs.data,
            .initrd_size = files.initramfs.size,
            .cmdline = command_line,
            .memory_size = config->spec->memory,
            .steps = config->steps,
        };
        r = sv_tdx_measure(&p, &m, why, sizeof(why));
        if (r)
            sh_fail(err, r, "cannot measure %s: %s", config->firmware, why);
    }
    sh_qemu_free_files(&files);
    if (r)
        return r;
    cJSON *o = cJSON_AddObjectToObject(result, "measurement");
    cJSON_AddItemToObject(o, "mrtd", sh_qemu_digest_json(m.mrtd));
    cJSON *rtmr = cJSON_AddArrayToObject(o, "rtmr");
    cJSON_AddItemToArray(rtmr, cJSON_CreateNull());
    cJSON_AddItemToArray(rtmr, sh_qemu_digest_json(m.rtmr1));
    cJSON_AddItemToArray(rtmr, sh_qemu_digest_json(m.rtmr2));
    cJSON_AddItemToArray(rtmr, cJSON_CreateNull());
    return 0;
}

static const struct sh_reference_kind kinds[] = {{.boot = SH_QEMU_BOOT_BZIMAGE, .by_memory = true}};

const struct sh_qemu_tee sh_qemu_tdx = {
    .backend = {SH_QEMU_FUNCTIONS, .name = "tdx", .probe = probe, .check_host = check_host,
                .kinds = kinds, .kind_count = 1},
    .machine_args = machine_args,
    .firmware = firmware,
    .prepare = prepare,
    .predict = predict,
};
