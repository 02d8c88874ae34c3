// SPDX-License-Identifier: Apache-2.0
// AMD SEV-SNP: the first 32 bytes of the launch config's digest stand in HOST_DATA (QEMU 9.1 or
// later).
#include <errno.h>
#include <string.h>

#include <cpuid.h>
#include <openssl/sha.h>

#include "host/launch/check.h"
#include "host/launch/qemu/parts.h"
#include "host/launch/qemu/sev.h"
#include "verifier/measure/snp.h"

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
    cleanup_free char *host_data = sh_qemu_base64(config->spec->launch_digest, 32);
    cleanup_free char *cpu =
        sh_qemu_escape(config->cpu_model ? config->cpu_model : SH_QEMU_SNP_CPU);
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

static bool check_host(cJSON *checks)
{
    struct sh_error ignored = {0};
    unsigned a[4] = {0};
    bool snp = __get_cpuid_count(0x8000001f, 0, &a[0], &a[1], &a[2], &a[3]) &&
               (a[0] & 1u << 4); /* Fn8000_001F EAX.4 */
    sh_check_add(checks, "CPU", snp && sh_qemu_cpu_is("AuthenticAMD"),
                 "use an AMD EPYC 7003 or later and "
                 "enable SEV-SNP in the BIOS",
                 snp ? "has SEV-SNP" : "has no SEV-SNP");
    sh_qemu_check_parameter(checks, "kvm_amd", "sev_snp",
                            "use Linux 6.11 or later with kvm_amd.sev_snp=1, and "
                            "enable SNP and its RMP in the BIOS");
    sh_check_device(checks, "/dev/sev",
                    "load the kernel's ccp driver; run as root or join its group");
    sh_check_device(checks, "/dev/kvm", "join the group kvm");
    sh_qemu_check_version(checks, needs.qemu_major, needs.qemu_minor, needs.object);
    sh_qemu_check_firmware(checks, &sh_qemu_snp);
    return !probe(&ignored);
}

/* Hashes what is loaded; digest[0], or one for each count of vCPUs. */
static int measure_model(const struct sh_qemu_config *config, const char *model, bool every_count,
                         uint8_t digest[][48], struct sh_error *err)
{
    struct sh_qemu_files files;
    char why[160] = "";
    cleanup_free char *command_line = sh_qemu_kernel_command_line(config);
    struct sv_sev_params p = {
        .mode = SV_SEV_SNP,
        .vmm = SV_VMM_QEMU,
        .have_kernel = true,
        .vcpu_count = config->spec->cpus,
        .steps = config->steps,
        .guest_features = 1, /* SNP alone: what QEMU asks of KVM */
    };
    if (!sv_vcpu_sig(model, &p.vcpu_sig))
        return sh_fail(err, -EINVAL,
                       "there is no reference value for the CPU model '%s'; name one of "
                       "QEMU's EPYC models, such as " SH_QEMU_SNP_CPU,
                       model);
    int r = sh_qemu_load_files(config, &files, err);
    if (!r) {
        p.firmware = files.firmware.data;
        p.firmware_size = files.firmware.size;
        SHA256(files.kernel.data, files.kernel.size, p.kernel_sha256);
        SHA256(files.initramfs.data, files.initramfs.size, p.initrd_sha256);
        sv_sev_hash_cmdline(command_line, p.cmdline_sha256);
        r = every_count ? sv_snp_measure_counts(&p, digest, why, sizeof(why))
                        : sv_sev_measure(&p, digest[0], why, sizeof(why));
        if (r)
            sh_fail(err, r, "cannot measure %s: %s", config->firmware, why);
    }
    sh_qemu_free_files(&files);
    return r;
}

static int predict(struct sh_qemu_config *config, bool every_count, cJSON *result,
                   struct sh_error *err)
{
    uint8_t digest[SH_LAUNCH_CPUS_MAX][48];
    const char *model = config->cpu_model ? config->cpu_model : SH_QEMU_SNP_CPU;
    int r = measure_model(config, model, every_count, digest, err);
    if (r)
        return r;
    cJSON_AddStringToObject(result, "cpu_model", model);
    cJSON *o = cJSON_AddObjectToObject(result, "measurement");
    if (!every_count) {
        cJSON_AddItemToObject(o, "launch_digest", sh_qemu_digest_json(digest[0]));
        return 0;
    }
    cJSON *list = cJSON_AddArrayToObject(o, "launch_digest");
    for (unsigned i = 0; i < config->spec->cpus; i++)
        cJSON_AddItemToArray(list, sh_qemu_digest_json(digest[i]));
    return 0;
}

/* Every count of vCPUs of every model that QEMU may be asked for. */
#define KIND(model)                                                                                \
    {                                                                                              \
        .boot = SH_QEMU_BOOT_BZIMAGE, .cpu_model = model, .every_cpu_count = true                  \
    }
static const struct sh_reference_kind kinds[] = {KIND(SH_QEMU_SNP_CPU), KIND("EPYC-Rome"),
                                                 KIND("EPYC-Milan"), KIND("EPYC-Genoa"),
                                                 KIND("EPYC-Turin")};

const struct sh_qemu_tee sh_qemu_snp = {
    .backend = {SH_QEMU_FUNCTIONS, .name = "snp", .probe = probe, .check_host = check_host,
                .kinds = kinds, .kind_count = sizeof(kinds) / sizeof(kinds[0])},
    .machine_args = machine_args,
    .firmware = sh_sev_firmware,
    .prepare = prepare,
    .predict = predict,
};
