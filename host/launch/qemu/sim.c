// SPDX-License-Identifier: Apache-2.0
// tdx-sim: an ordinary VM, measured by the launcher by a TD's rules. It protects nothing.
#include <errno.h>
#include <string.h>

#include "host/store/base_files.h"
#include "host/launch/check.h"
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
    /* The guest kernel would hash root.img with AVX2, which TCG emulates at half the speed of AVX.
     * What comes with AVX2 goes too: libgcrypt, for one, takes BMI2 to mean that AVX2 is there. */
    sh_strings_add(argv, config->kvm ? "host" : "max,avx2=off,bmi1=off,bmi2=off,fma=off,vaes=off");
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

/* Simulation needs no hardware, only QEMU. One that the user names and that is not there is an
 * error for him to see. */
static bool is_automatic(void)
{
    const char *named = getenv("SHELTER_QEMU");
    return (named && *named) || sh_qemu_find();
}

/* Boots a guest under KVM, where base files are there and the answer is not yet remembered. */
static void check_accelerator(cJSON *checks, const char *dir)
{
    struct sh_error err = {0};
    struct sh_launch_spec spec = {
        .backend = &sh_qemu_tdx_sim.backend, .memory = 128 << 20, .cpus = 1};
    struct sh_qemu_config config = {.spec = &spec, .tee = &sh_qemu_tdx_sim, .qemu = sh_qemu_find()};
    config.vmlinux = dir ? sh_format("%s/vmlinux", dir) : NULL;
    config.initramfs = dir ? sh_format("%s/initramfs", dir) : NULL;
    bool kvm = dir && config.qemu && !prepare(&config, &err) && config.kvm;
    sh_check_add(checks, "accelerator", true, NULL, "%s",
                 kvm ? "KVM (a guest booted under it)"
                 : access("/dev/kvm", R_OK | W_OK)
                     ? "TCG, slow: /dev/kvm cannot be opened"
                     : "TCG, slow: no guest boots under /dev/kvm here");
    sh_qemu_config_free(&config);
}

static bool check_host(cJSON *checks)
{
    struct sh_error err = {0}, no_base = {0};
    bool ok = !probe(&err);
    sh_check_add(checks, "QEMU", ok, NULL, "%s", ok ? sh_qemu_find() : err.text);
    if (!ok)
        return false;
    cleanup_free char *dir = sh_base_find(NULL, &no_base);
    sh_qemu_check_firmware(checks, &sh_qemu_tdx_sim);
    ok = sh_check_add(checks, "base files", dir, "run 'make tools' in Shelter's folder", "%s",
                      dir ? dir : no_base.text);
    check_accelerator(checks, dir);
    return ok;
}

static int predict(struct sh_qemu_config *config, bool every_cpu_count, cJSON *result,
                   struct sh_error *err)
{
    struct sh_td_measurement m;
    int r = sh_qemu_measure_simulated(config, &m, err);
    if (!r)
        cJSON_AddItemToObject(result, "measurement", sh_qemu_measurement_json(&m));
    return r;
}

static const struct sh_reference_kind kinds[] = {
    {.name = "pvh", .boot = SH_QEMU_BOOT_PVH, .own_firmware = true}, /* qboot's place */
    {.name = "bzimage", .boot = SH_QEMU_BOOT_BZIMAGE, .by_memory = true},
};

const struct sh_qemu_tee sh_qemu_tdx_sim = {
    .backend = {SH_QEMU_FUNCTIONS, .name = "tdx-sim", .simulated = true, .probe = probe,
                .is_automatic = is_automatic, .check_host = check_host, .serve = sh_simtd_serve,
                .kinds = kinds, .kind_count = 2},
    .machine_args = machine_args,
    .firmware = firmware,
    .prepare = prepare,
    .predict = predict,
};
