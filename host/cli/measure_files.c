// SPDX-License-Identifier: Apache-2.0
// shelter measure --tee TEE --firmware FILE: predicts launch measurements of files, without image.
#include "host/cli/cli.h"
#include "host/cli/measure.h"
#include "verifier/measure/snp.h"
#include "verifier/measure/tdx.h"
#include "verifier/base/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/sha.h>

struct files {
    uint8_t *firmware, *kernel, *initrd;
    size_t firmware_size, kernel_size, initrd_size;
};

static int check_options(const struct sh_measure_files *o)
{
    if (!o->tee || !o->firmware)
        return sh_cli_usage("measure", "--tee and --firmware are needed");
    if (!o->kernel && (o->initrd || o->append))
        return sh_cli_usage("measure", "--initrd and --append belong to a --kernel");
    return 0;
}

static int report_failure(const char *what, const char *why)
{
    struct sh_error err = {0};

    sh_fail(&err, -EINVAL, "cannot measure %s: %s", what, why);
    return sh_error_report(&err);
}

static bool parse_hex(const char *text, uint64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoull(text, &end, 16);
    return !errno && end != text && !*end && *text != '-';
}

static void print_field(const struct sh_measure_files *o, const char *name, const uint8_t *digest,
                        size_t size, bool alone, bool last)
{
    char hex[97];

    sh_hex(hex, digest, size);
    if (o->json)
        printf("\"%s\":\"%s\"%s", name, hex, last ? "" : ",");
    else if (alone)
        puts(hex);
    else
        printf("%-6s %s\n", name, hex);
}

static int sev_params(const struct sh_measure_files *o, const struct files *f,
                      struct sv_sev_params *p, uint8_t ovmf_hash[48])
{
    uint64_t value = 1;

    p->mode = !strcmp(o->tee, "snp") ? SV_SEV_SNP : !strcmp(o->tee, "sev") ? SV_SEV : SV_SEV_ES;
    p->vmm = SV_VMM_QEMU;
    if (o->vmm && !strcmp(o->vmm, "ec2"))
        p->vmm = SV_VMM_EC2;
    else if (o->vmm && !strcmp(o->vmm, "gce"))
        p->vmm = SV_VMM_GCE;
    else if (o->vmm && strcmp(o->vmm, "qemu"))
        return sh_cli_usage("measure", "--vmm is qemu, ec2 or gce");
    if (o->vcpus && sh_parse_number(o->vcpus, 0, 4096, &value))
        return sh_cli_usage("measure", "--vcpus is a number up to 4096");
    if (!o->vcpus && p->mode != SV_SEV)
        return sh_cli_usage("measure", "--vcpus is needed: every vCPU is measured");
    p->vcpu_count = (uint32_t)value;
    if (o->vcpu_type && !sv_vcpu_sig(o->vcpu_type, &p->vcpu_sig))
        return sh_cli_usage("measure", "--vcpu-type '%s' is not one of QEMU's EPYC models",
                            o->vcpu_type);
    if (!o->vcpu_type && p->mode != SV_SEV && p->vmm == SV_VMM_QEMU)
        return sh_cli_usage("measure", "--vcpu-type is needed: QEMU measures the CPU's signature");
    value = 1;
    if (o->features && !parse_hex(o->features, &value))
        return sh_cli_usage("measure", "--guest-features is a hexadecimal number");
    p->guest_features = value;
    if (o->ovmf_hash && (strlen(o->ovmf_hash) != 96 || sh_unhex(ovmf_hash, 48, o->ovmf_hash)))
        return sh_cli_usage("measure", "--ovmf-hash is 96 hex digits");
    p->ovmf_hash = o->ovmf_hash ? ovmf_hash : NULL;
    p->firmware = f->firmware;
    p->firmware_size = f->firmware_size;
    if (o->kernel) {
        p->have_kernel = true;
        SHA256(f->kernel, f->kernel_size, p->kernel_sha256);
        SHA256(f->initrd ? f->initrd : (const uint8_t *)"", f->initrd_size, p->initrd_sha256);
        sv_sev_hash_cmdline(o->append ? o->append : "", p->cmdline_sha256);
    }
    return 0;
}

static int measure_sev(const struct sh_measure_files *o, const struct files *f)
{
    struct sv_sev_params p = {0};
    uint8_t ovmf_hash[48], out[48];
    char why[160] = "";
    int rc = sev_params(o, f, &p, ovmf_hash);

    if (rc)
        return rc;
    if (sv_sev_measure(&p, out, why, sizeof(why)))
        return report_failure(o->firmware, why);
    if (o->json)
        printf("{\"tee\":\"%s\",\"measurement\":{", o->tee);
    print_field(o, "launch_digest", out, p.mode == SV_SEV_SNP ? 48 : 32, true, true);
    if (o->json)
        puts("}}");
    return 0;
}

static int measure_tdx(const struct sh_measure_files *o, const struct files *f)
{
    struct sv_tdx_params p = {
        .firmware = f->firmware,
        .firmware_size = f->firmware_size,
        .two_pass = o->two_pass,
        .kernel_unpatched = o->unpatched,
        .have_kernel = o->kernel != NULL,
        .kernel = f->kernel,
        .kernel_size = f->kernel_size,
        .initrd = f->initrd,
        .initrd_size = f->initrd_size,
        .cmdline = o->append,
        .memory_size = o->memory,
    };
    struct sv_tdx_measurement m;
    char why[160] = "", hex1[97], hex2[97];

    if (o->kernel && !o->memory && !o->unpatched)
        return sh_cli_usage("measure", "-m SIZE is needed: QEMU places the initrd by it");
    if (sv_tdx_measure(&p, &m, why, sizeof(why)))
        return report_failure(o->firmware, why);
    if (!o->json) {
        print_field(o, "mrtd", m.mrtd, 48, false, true);
        if (m.have_rtmr) {
            print_field(o, "rtmr1", m.rtmr1, 48, false, true);
            print_field(o, "rtmr2", m.rtmr2, 48, false, true);
        }
        return 0;
    }
    printf("{\"tee\":\"tdx\",\"measurement\":{");
    print_field(o, "mrtd", m.mrtd, 48, false, !m.have_rtmr);
    sh_hex(hex1, m.rtmr1, 48);
    sh_hex(hex2, m.rtmr2, 48);
    if (m.have_rtmr)
        printf("\"rtmr\":[null,\"%s\",\"%s\",null]", hex1, hex2);
    puts("}}");
    return 0;
}

static int load_files(const struct sh_measure_files *o, struct files *f)
{
    const struct {
        const char *path;
        uint8_t **data;
        size_t *size;
    } list[] = {{o->firmware, &f->firmware, &f->firmware_size},
                {o->kernel, &f->kernel, &f->kernel_size},
                {o->initrd, &f->initrd, &f->initrd_size}};
    struct sh_error err = {0};

    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        if (list[i].path &&
            sh_read_file(AT_FDCWD, list[i].path, 1u << 30, list[i].data, list[i].size, &err))
            return sh_error_report(&err);
    return 0;
}

int sh_measure_files(const struct sh_measure_files *o)
{
    struct files f = {0};
    int rc = check_options(o);

    if (rc)
        return rc;
    rc = load_files(o, &f);
    if (!rc && !strcmp(o->tee, "tdx"))
        rc = measure_tdx(o, &f);
    else if (!rc && (!strcmp(o->tee, "snp") || !strcmp(o->tee, "sev") || !strcmp(o->tee, "seves")))
        rc = measure_sev(o, &f);
    else if (!rc)
        rc = sh_cli_usage("measure", "--tee is snp, sev, seves or tdx");
    free(f.firmware);
    free(f.kernel);
    free(f.initrd);
    return rc;
}
