// SPDX-License-Identifier: Apache-2.0
// shelter doctor: what each TEE needs of CPU, kernel, QEMU and firmware.
#include <cpuid.h>
#include <errno.h>
#include <string.h>
#include <sys/utsname.h>

#include "host/cli/doctor.h"
#include "host/image/write/base.h"
#include "host/launch/qemu/parts.h"
#include "host/launch/qemu/sev.h"

static cJSON *add_tee(cJSON *list, const char *name, bool simulated)
{
    cJSON *t = cJSON_CreateObject();
    cJSON_AddStringToObject(t, "tee", name);
    cJSON_AddBoolToObject(t, "simulated", simulated);
    cJSON_AddItemToArray(list, t);
    return t;
}

static void finish_tee(cJSON *tee, bool usable, cJSON *checks)
{
    cJSON_AddBoolToObject(tee, "usable", usable);
    cJSON_AddItemToObject(tee, "checks", checks);
}

static bool leaf(unsigned number, unsigned sub, unsigned out[4])
{
    return __get_cpuid_count(number, sub, &out[0], &out[1], &out[2], &out[3]);
}

/* SDM vol. 3D: leaf 7 EBX.2 SGX, ECX.30 SGX_LC; leaf 12H.0 EAX.1 SGX2, EBX.0 EXINFO; 12H.1 EAX.7
 * KSS. */
static void check_sgx(cJSON *list)
{
    cJSON *tee = add_tee(list, "sgx", false), *checks = cJSON_CreateArray();
    unsigned seven[4] = {0}, zero[4] = {0}, one[4] = {0};
    struct utsname u;
    int major = 0;
    bool sgx = leaf(7, 0, seven) && (seven[1] & 1u << 2);
    bool ok = sh_doctor_check(checks, "CPU", sgx,
                              "use an Intel Xeon (Ice Lake or later) and enable SGX "
                              "in the BIOS",
                              sgx ? "has SGX" : "has no SGX, or the BIOS turned it off");
    if (sgx) {
        bool has2 = leaf(0x12, 0, zero) && (zero[0] & 2), exinfo = zero[1] & 1;
        bool kss = leaf(0x12, 1, one) && (one[0] & 1u << 7), flc = seven[2] & 1u << 30;
        ok &= sh_doctor_check(checks, "CPU features", has2 && exinfo && kss && flc,
                              "use a CPU of the Xeon line, Ice Lake or later",
                              "SGX2 %s, EXINFO %s, KSS %s, FLC %s", has2 ? "yes" : "no",
                              exinfo ? "yes" : "no", kss ? "yes" : "no", flc ? "yes" : "no");
    }
    uname(&u);
    sscanf(u.release, "%d", &major);
    ok &= sh_doctor_check(checks, "kernel", major >= 6, "use Linux 6.0 or later (EDMM)", "%s",
                          u.release);
    bool device = !access("/dev/sgx_enclave", R_OK | W_OK);
    ok &= sh_doctor_check(
        checks, "device", device, "load the kernel's SGX driver, join the group sgx",
        "/dev/sgx_enclave%s%s", device ? "" : ": ", device ? "" : strerror(errno));
    sh_doctor_check(checks, "Shelter", true, "",
                    "has been tested on the simulated processor only, not yet on hardware");
    struct sh_error err = {0};
    if (ok) {
        ok = !sh_tee_sgx.probe(&err);
        sh_doctor_check(checks, "driver", ok, "", "%s", ok ? "opens" : err.text);
    }
    finish_tee(tee, ok, checks);
}

static void check_simulated_enclave(cJSON *list)
{
    struct sh_error err = {0}, no_base = {0};
    cJSON *tee = add_tee(list, "sgx-sim", true), *checks = cJSON_CreateArray();
    unsigned seven[4] = {0};
    bool ok = leaf(7, 0, seven) && (seven[1] & 1);
    ok = sh_doctor_check(checks, "CPU", ok, "use a CPU with FSGSBASE (Ivy Bridge or later)", "%s",
                         ok ? "has FSGSBASE" : "has no FSGSBASE");
    bool loader = !sh_tee_sgx_sim.probe(&err);
    ok &= sh_doctor_check(checks, "loader", loader, "run 'make' in Shelter's folder", "%s",
                          loader ? "is there" : err.text);
    cleanup_free char *dir = sh_base_find(NULL, &no_base);
    cleanup_free char *enclave = dir ? sh_format("%s/enclave", dir) : NULL;
    bool there = enclave && !access(enclave, R_OK);
    ok &= sh_doctor_check(checks, "enclave", there, "run 'make' in Shelter's folder", "%s",
                          there ? enclave : dir ? "the base files have none" : no_base.text);
    finish_tee(tee, ok, checks);
}

static void check_parameter(cJSON *checks, const char *module, const char *name, const char *remedy)
{
    char value[16] = "";
    cleanup_free char *path = sh_format("/sys/module/%s/parameters/%s", module, name);
    bool there = sh_qemu_read_line(path, value, sizeof(value));
    sh_doctor_check(checks, "KVM", value[0] == 'Y' || value[0] == '1', remedy, "%s.%s=%s", module,
                    name, there ? value : "(not there)");
}

static void check_device(cJSON *checks, const char *path, const char *remedy)
{
    bool ok = !access(path, R_OK | W_OK);
    int code = errno;
    sh_doctor_check(checks, "device", ok, remedy, "%s%s%s", path, ok ? "" : ": ",
                    ok ? "" : strerror(code));
}

static void check_qemu(cJSON *checks, int major, int minor, const char *what)
{
    struct sh_error err = {0};
    char version[32] = "";
    const char *qemu = sh_qemu_find();
    bool ok = qemu && !sh_qemu_need(qemu, major, minor, what, &err) &&
              !sh_qemu_version(qemu, version, &err);
    sh_doctor_check(checks, "QEMU", ok, NULL, "%s%s%s",
                    ok     ? version
                    : qemu ? err.text
                           : "qemu-system-x86_64 is not there; install qemu-system-x86",
                    ok ? " has " : "", ok ? what : "");
}

static void check_firmware(cJSON *checks, const struct sh_backend *tee)
{
    struct sh_error err = {0};
    struct sh_qemu_config config = {.tee = tee};
    bool ok = !tee->firmware(&config, &err);
    sh_doctor_check(checks, "firmware", ok, NULL, "%s", ok ? config.firmware : err.text);
}

static bool cpu_is(const char *vendor)
{
    unsigned a[4];
    char name[13] = {0};
    if (!leaf(0, 0, a))
        return false;
    memcpy(name, &a[1], 4);
    memcpy(name + 4, &a[3], 4);
    memcpy(name + 8, &a[2], 4);
    return !strcmp(name, vendor);
}

static void check_tdx(cJSON *checks)
{
    bool intel = cpu_is("GenuineIntel");
    sh_doctor_check(checks, "CPU", intel,
                    "use an Intel Xeon with TDX (Emerald Rapids or later; Sapphire "
                    "Rapids in some models)",
                    intel ? "made by Intel" : "not made by Intel");
    check_parameter(checks, "kvm_intel", "tdx",
                    "use Linux 6.16 or later with kvm_intel.tdx=1, and enable "
                    "TDX in the BIOS");
    check_device(checks, "/dev/kvm", "join the group kvm");
    check_qemu(checks, 10, 1, "tdx-guest");
    check_firmware(checks, &sh_tee_tdx);
    bool qgs = !access("/var/run/tdx-qgs/qgs.socket", W_OK);
    sh_doctor_check(checks, "quote service", true, NULL, "%s",
                    qgs ? "/var/run/tdx-qgs/qgs.socket"
                        : "no socket of Intel's tdx-qgs; vsock port 4050 will be tried");
}

static void check_snp(cJSON *checks)
{
    unsigned a[4] = {0};
    bool snp = leaf(0x8000001f, 0, a) && (a[0] & 1u << 4); /* Fn8000_001F EAX.4 */
    sh_doctor_check(checks, "CPU", snp && cpu_is("AuthenticAMD"),
                    "use an AMD EPYC 7003 or later and "
                    "enable SEV-SNP in the BIOS",
                    snp ? "has SEV-SNP" : "has no SEV-SNP");
    check_parameter(checks, "kvm_amd", "sev_snp",
                    "use Linux 6.11 or later with kvm_amd.sev_snp=1, and "
                    "enable SNP and its RMP in the BIOS");
    check_device(checks, "/dev/sev", "load the kernel's ccp driver; run as root or join its group");
    check_device(checks, "/dev/kvm", "join the group kvm");
    check_qemu(checks, 9, 1, "sev-snp-guest");
    check_firmware(checks, &sh_tee_snp);
}

static void check_csv(cJSON *checks)
{
    bool hygon = sh_sev_is_hygon();
    sh_doctor_check(checks, "CPU", hygon, "use a Hygon CPU with CSV2", "%s",
                    hygon ? "made by Hygon" : "not made by Hygon");
    check_parameter(checks, "kvm_amd", "sev_es", "load kvm_amd with sev_es=1");
    check_device(checks, "/dev/sev", "load the kernel's ccp driver; run as root or join its group");
    check_device(checks, "/dev/kvm", "join the group kvm");
    check_firmware(checks, &sh_tee_csv);
}

/* Boots a guest under KVM, where base files are there and the answer is not yet remembered. */
static void check_accelerator(cJSON *checks)
{
    struct sh_error err = {0};
    struct sh_qemu_config config = {.tee = &sh_tee_tdx_sim, .memory = 128 << 20, .cpus = 1};
    cleanup_free char *dir = sh_base_find(NULL, &err);
    cleanup_free char *kernel = dir ? sh_format("%s/vmlinux", dir) : NULL;
    cleanup_free char *initramfs = dir ? sh_format("%s/initramfs", dir) : NULL;
    config.vmlinux = kernel;
    config.initramfs = initramfs;
    bool kvm = dir && !sh_qemu_prepare(&config, &err) && config.kvm;
    sh_doctor_check(checks, "accelerator", true, NULL, "%s",
                    kvm ? "KVM (a guest booted under it)"
                    : access("/dev/kvm", R_OK | W_OK)
                        ? "TCG, slow: /dev/kvm cannot be opened"
                        : "TCG, slow: no guest boots under /dev/kvm here");
}

static void check_simulation(cJSON *list)
{
    struct sh_error err = {0};
    cJSON *tee = add_tee(list, "tdx-sim", true), *checks = cJSON_CreateArray();
    bool ok = !sh_tee_tdx_sim.probe(&err);
    sh_doctor_check(checks, "QEMU", ok, NULL, "%s", ok ? sh_qemu_find() : err.text);
    if (ok) {
        struct sh_error no_base = {0};
        cleanup_free char *dir = sh_base_find(NULL, &no_base);
        check_firmware(checks, &sh_tee_tdx_sim);
        ok = sh_doctor_check(checks, "base files", dir, "run 'make tools' in Shelter's folder",
                             "%s", dir ? dir : no_base.text);
        check_accelerator(checks);
    }
    finish_tee(tee, ok, checks);
}

cJSON *sh_doctor_tees(void)
{
    static const struct {
        const struct sh_backend *tee;
        void (*check)(cJSON *checks);
    } hardware[] = {{&sh_tee_tdx, check_tdx}, {&sh_tee_snp, check_snp}, {&sh_tee_csv, check_csv}};
    cJSON *list = cJSON_CreateArray();
    check_sgx(list);
    for (size_t i = 0; i < sizeof(hardware) / sizeof(hardware[0]); i++) {
        struct sh_error ignored = {0};
        cJSON *tee = add_tee(list, hardware[i].tee->name, false), *checks = cJSON_CreateArray();
        hardware[i].check(checks);
        finish_tee(tee, !hardware[i].tee->probe(&ignored), checks);
    }
    check_simulation(list);
    check_simulated_enclave(list);
    return list;
}
