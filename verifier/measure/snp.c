// SPDX-License-Identifier: Apache-2.0
// Launch digests: firmware pages, metadata sections, the page of kernel hashes, one VMSA a vCPU.
#include "verifier/measure/snp.h"
#include "verifier/measure/ovmf.h"
#include "verifier/measure/snp_vmsa.h"

#include <errno.h>
#include <stdio.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#define PAGE 4096u
#define BSP_EIP 0xfffffff0u
#define VMSA_GPA 0xfffffffff000ull
#define HASH_TABLE_SIZE 176 // 168 bytes, padded to 16
#define VCPUS_MAX 4096

enum page_type {
    PAGE_NORMAL = 1,
    PAGE_VMSA = 2,
    PAGE_ZERO = 3,
    PAGE_UNMEASURED = 4,
    PAGE_SECRETS = 5,
    PAGE_CPUID = 6,
};

static const char *page_name(enum page_type type)
{
    switch (type) {
    case PAGE_NORMAL:
        return "firmware";
    case PAGE_VMSA:
        return "CPU";
    case PAGE_SECRETS:
        return "firmware: secrets";
    case PAGE_CPUID:
        return "firmware: CPUID";
    default:
        return "firmware: memory";
    }
}

// PAGE_INFO (56860, 8.17.2): digest so far, digest of the contents, size, type, flags, address.
static void extend_digest(const struct sv_sev_params *p, uint8_t ld[48], enum page_type type,
                          uint64_t gpa, const void *contents)
{
    uint8_t info[0x70] = {0};

    memcpy(info, ld, 48);
    if (contents)
        SHA384(contents, PAGE, info + 48);
    sh_put_le16(info + 96, sizeof(info));
    info[98] = (uint8_t)type;
    sh_put_le64(info + 104, gpa);
    SHA384(info, sizeof(info), ld);
    if (p)
        sv_step_page(p->steps, "launch_digest", page_name(type), gpa, type, contents);
}

static void put_hash_entry(uint8_t **at, const char *guid_and_size, const uint8_t digest[32])
{
    memcpy(*at, guid_and_size, 18);
    memcpy(*at + 18, digest, 32);
    *at += 50;
}

// GUIDs are followed by the entry's size, 50, and the table's, 168.
static void hash_table(const struct sv_sev_params *p, uint8_t table[HASH_TABLE_SIZE])
{
    uint8_t *at = table + 18;

    memset(table, 0, HASH_TABLE_SIZE);
    memcpy(table, "\x06\xd6\x38\x94\x22\x4f\xc9\x4c\xb4\x79\xa7\x93\xd4\x11\xfd\x21\xa8\x00", 18);
    put_hash_entry(&at, "\xd8\x2d\xd0\x97\x20\xbd\x94\x4c\xaa\x78\xe7\x71\x4d\x36\xab\x2a\x32\x00",
                   p->cmdline_sha256);
    put_hash_entry(&at, "\x31\xf7\xba\x44\x2f\x3a\xd7\x4b\x9a\xf1\x41\xe2\x91\x69\x78\x1d\x32\x00",
                   p->initrd_sha256);
    put_hash_entry(&at, "\x37\x94\xe7\x4d\xd2\xab\x7f\x42\xb8\x35\xd5\xb1\x72\xd2\x04\x5b\x32\x00",
                   p->kernel_sha256);
}

static int extend_hashes(const struct sv_sev_params *p, const struct sv_ovmf *o,
                         const struct sv_ovmf_section *s, uint8_t ld[48], char *why,
                         size_t why_size)
{
    uint8_t page[PAGE] = {0};
    uint32_t offset = o->hash_table_gpa % PAGE;

    if (!p->have_kernel) {
        for (uint32_t at = 0; at < s->size; at += PAGE)
            extend_digest(p, ld, PAGE_ZERO, s->gpa + at, NULL);
        return 0;
    }
    if (!o->hash_table_gpa || offset + HASH_TABLE_SIZE > PAGE || s->size != PAGE ||
        o->hash_table_gpa - offset != s->gpa) {
        snprintf(why, why_size, "the firmware's kernel hash table is not in its section");
        return -EBADMSG;
    }
    hash_table(p, page + offset);
    sv_step_add(p->steps, "launch_digest", "hash of the kernel", p->kernel_sha256, 32);
    sv_step_add(p->steps, "launch_digest", "hash of the initramfs", p->initrd_sha256, 32);
    sv_step_add(p->steps, "launch_digest", "hash of the command line", p->cmdline_sha256, 32);
    extend_digest(p, ld, PAGE_NORMAL, s->gpa, page);
    return 0;
}

static int extend_section(const struct sv_sev_params *p, const struct sv_ovmf *o,
                          const struct sv_ovmf_section *s, uint8_t ld[48], char *why,
                          size_t why_size)
{
    switch (s->type) {
    case SV_SNP_SECTION_MEMORY:
        for (uint32_t at = 0; at < s->size; at += PAGE)
            extend_digest(p, ld, p->vmm == SV_VMM_GCE ? PAGE_UNMEASURED : PAGE_ZERO, s->gpa + at,
                          NULL);
        return 0;
    case SV_SNP_SECTION_SVSM_CAA:
        for (uint32_t at = 0; at < s->size; at += PAGE)
            extend_digest(p, ld, PAGE_ZERO, s->gpa + at, NULL);
        return 0;
    case SV_SNP_SECTION_SECRETS:
        extend_digest(p, ld, PAGE_SECRETS, s->gpa, NULL);
        return 0;
    case SV_SNP_SECTION_CPUID:
        if (p->vmm != SV_VMM_EC2) // it comes last there
            extend_digest(p, ld, PAGE_CPUID, s->gpa, NULL);
        return 0;
    case SV_SNP_SECTION_KERNEL_HASHES:
        return extend_hashes(p, o, s, ld, why, why_size);
    default:
        snprintf(why, why_size, "the firmware has a metadata section of unknown type %u", s->type);
        return -ENOTSUP;
    }
}

// counts, if not NULL, gets the digest after each vCPU.
static int measure_snp(const struct sv_sev_params *p, const struct sv_ovmf *o, uint8_t ld[48],
                       uint8_t (*counts)[48], char *why, size_t why_size)
{
    bool hashes = false;
    uint8_t page[PAGE];

    memset(ld, 0, 48);
    if (p->ovmf_hash)
        memcpy(ld, p->ovmf_hash, 48);
    for (size_t at = 0; !p->ovmf_hash && at < o->size; at += PAGE)
        extend_digest(p, ld, PAGE_NORMAL, o->gpa + at, o->data + at);
    for (size_t i = 0; i < o->section_count; i++) {
        int rc = extend_section(p, o, &o->section[i], ld, why, why_size);

        if (rc)
            return rc;
        hashes |= o->section[i].type == SV_SNP_SECTION_KERNEL_HASHES;
    }
    for (size_t i = 0; p->vmm == SV_VMM_EC2 && i < o->section_count; i++)
        if (o->section[i].type == SV_SNP_SECTION_CPUID)
            extend_digest(p, ld, PAGE_CPUID, o->section[i].gpa, NULL);
    if (p->have_kernel && !hashes) {
        snprintf(why, why_size,
                 "this firmware measures no kernel: it has no section for kernel "
                 "hashes; use one that has (ovmf-amdsev)");
        return -ENOTSUP;
    }
    for (uint32_t i = 0; i < p->vcpu_count; i++) {
        if (i < 2)
            sv_vmsa(page, i ? o->reset_eip : BSP_EIP, p->guest_features, p->vcpu_sig, p->vmm);
        extend_digest(p, ld, PAGE_VMSA, VMSA_GPA, page);
        if (counts)
            memcpy(counts[i], ld, 48);
    }
    return 0;
}

static int measure_sev(const struct sv_sev_params *p, const struct sv_ovmf *o, uint8_t out[32],
                       char *why, size_t why_size)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t table[HASH_TABLE_SIZE], page[PAGE];
    int ok;

    if (p->have_kernel && !o->hash_table_gpa) {
        EVP_MD_CTX_free(ctx);
        snprintf(why, why_size,
                 "this firmware measures no kernel: it has no table for kernel "
                 "hashes; use one that has (ovmf-amdsev)");
        return -ENOTSUP;
    }
    ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
         EVP_DigestUpdate(ctx, o->data, o->size) == 1;
    if (ok && p->have_kernel) {
        hash_table(p, table);
        ok = EVP_DigestUpdate(ctx, table, sizeof(table)) == 1;
    }
    for (uint32_t i = 0; ok && p->mode == SV_SEV_ES && i < p->vcpu_count; i++) {
        if (i < 2)
            sv_vmsa(page, i ? o->reset_eip : BSP_EIP, 0, p->vcpu_sig, p->vmm);
        ok = EVP_DigestUpdate(ctx, page, sizeof(page)) == 1;
    }
    ok = ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    return ok ? 0 : -ENOMEM;
}

static int prepare_firmware(const struct sv_sev_params *p, struct sv_ovmf *o, char *why,
                            size_t why_size)
{
    int rc = sv_ovmf_parse(p->firmware, p->firmware_size, o, why, why_size);

    if (rc)
        return rc;
    if (!p->vcpu_count || p->vcpu_count > VCPUS_MAX) {
        snprintf(why, why_size, "between 1 and %d vCPUs", VCPUS_MAX);
        return -EINVAL;
    }
    if (p->vcpu_count > 1 && !o->reset_eip && p->mode != SV_SEV) {
        snprintf(why, why_size, "the firmware names no reset vector for more than one vCPU");
        return -EBADMSG;
    }
    return 0;
}

int sv_sev_measure(const struct sv_sev_params *p, uint8_t out[48], char *why, size_t why_size)
{
    struct sv_ovmf o;
    int rc = prepare_firmware(p, &o, why, why_size);

    if (rc)
        return rc;
    if (p->mode == SV_SEV_SNP)
        return measure_snp(p, &o, out, NULL, why, why_size);
    return measure_sev(p, &o, out, why, why_size);
}

int sv_snp_measure_counts(const struct sv_sev_params *p, uint8_t (*out)[48], char *why,
                          size_t why_size)
{
    struct sv_ovmf o;
    uint8_t last[48];
    int rc = prepare_firmware(p, &o, why, why_size);

    return rc ? rc : measure_snp(p, &o, last, out, why, why_size);
}

int sv_snp_firmware_hash(const void *firmware, size_t size, uint8_t out[48], char *why,
                         size_t why_size)
{
    const uint8_t *data = firmware;
    struct sv_ovmf o;
    int rc = sv_ovmf_parse(firmware, size, &o, why, why_size);

    memset(out, 0, 48);
    for (size_t at = 0; !rc && at < size; at += PAGE)
        extend_digest(NULL, out, PAGE_NORMAL, o.gpa + at, data + at);
    return rc;
}

void sv_sev_hash_cmdline(const char *cmdline, uint8_t out[32])
{
    SHA256((const uint8_t *)cmdline, strlen(cmdline) + 1, out);
}
