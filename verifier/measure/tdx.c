// SPDX-License-Identifier: Apache-2.0
// MRTD from a TDVF image's sections; RTMR1 and RTMR2 of QEMU's direct boot.
#include "verifier/measure/tdx.h"
#include "verifier/measure/ovmf.h"
#include "verifier/measure/sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#define PAGE 4096u
#define CHUNK 256u
#define SECTIONS_MAX 64
#define SECTION_SIZE_MAX (64u << 20)
#define ATTRIBUTE_EXTEND 1u

enum { SECTION_BFV, SECTION_CFV, SECTION_TD_HOB, SECTION_TEMP_MEM };

// TDVF descriptor: "TDVF", u32 size, u32 version, u32 count, { u32 offset, u32 raw size,
// u64 address, u64 size, u32 type, u32 attributes } * count
struct section {
    const uint8_t *data; // raw_size bytes of the image
    uint32_t raw_size, type, attributes;
    uint64_t gpa, size;
};

static int set_reason(char *why, size_t why_size, const char *what)
{
    snprintf(why, why_size, "%s", what);
    return -EBADMSG;
}

static int parse_sections(const struct sv_ovmf *o, struct section *out, size_t *count, char *why,
                          size_t why_size)
{
    const uint8_t *d = o->data + o->size - o->tdvf_offset;

    if (o->tdvf_offset < 16 || o->tdvf_offset > o->size)
        return set_reason(why, why_size, "the firmware is not a TDVF: it has no TDX metadata");
    *count = sh_le32(d + 12);
    if (memcmp(d, "TDVF", 4) || sh_le32(d + 8) != 1 || *count < 1 || *count > SECTIONS_MAX ||
        16 + 32 * *count > o->tdvf_offset)
        return set_reason(why, why_size, "the firmware's TDX metadata is malformed");
    for (size_t i = 0; i < *count; i++) {
        const uint8_t *p = d + 16 + 32 * i;
        uint32_t offset = sh_le32(p);
        struct section *s = &out[i];

        *s = (struct section){.raw_size = sh_le32(p + 4),
                              .gpa = sh_le64(p + 8),
                              .size = sh_le64(p + 16),
                              .type = sh_le32(p + 24),
                              .attributes = sh_le32(p + 28)};
        if (s->type > SECTION_TEMP_MEM)
            return set_reason(why, why_size,
                              "a TDX metadata section is of a type that QEMU refuses");
        if (s->gpa % PAGE || s->size % PAGE || !s->size || s->size > SECTION_SIZE_MAX ||
            s->gpa + s->size > 1ull << 52 || s->raw_size > s->size || offset > o->size ||
            s->raw_size > o->size - offset)
            return set_reason(why, why_size, "a TDX metadata section lies outside the firmware");
        if (s->type <= SECTION_CFV ? s->raw_size != s->size : s->raw_size != 0)
            return set_reason(why, why_size, "a TDX metadata section has the wrong size");
        s->data = o->data + offset;
    }
    return 0;
}

static void add_page(EVP_MD_CTX *ctx, uint64_t gpa)
{
    uint8_t record[128] = "MEM.PAGE.ADD";

    sh_put_le64(record + 16, gpa);
    EVP_DigestUpdate(ctx, record, sizeof(record));
}

static void extend_page(EVP_MD_CTX *ctx, uint64_t gpa, const uint8_t *data)
{
    static const uint8_t zeros[PAGE];

    for (uint32_t at = 0; at < PAGE; at += CHUNK) {
        uint8_t record[128] = "MR.EXTEND";

        sh_put_le64(record + 16, gpa + at);
        EVP_DigestUpdate(ctx, record, sizeof(record));
        EVP_DigestUpdate(ctx, (data ? data : zeros) + at, CHUNK);
    }
}

static void measure_section(EVP_MD_CTX *ctx, const struct section *s, bool two_pass, cJSON *steps)
{
    bool extend = s->attributes & ATTRIBUTE_EXTEND;

    for (uint64_t at = 0; at < s->size; at += PAGE) {
        add_page(ctx, s->gpa + at);
        sv_step_page(steps, "mrtd", extend ? "firmware" : "memory", s->gpa + at, two_pass,
                     extend && s->raw_size ? s->data + at : NULL);
        if (extend && !two_pass)
            extend_page(ctx, s->gpa + at, s->raw_size ? s->data + at : NULL);
    }
    for (uint64_t at = 0; extend && two_pass && at < s->size; at += PAGE)
        extend_page(ctx, s->gpa + at, s->raw_size ? s->data + at : NULL);
}

static int measure_mrtd(const struct sv_tdx_params *p, uint8_t mrtd[48], char *why, size_t why_size)
{
    struct section section[SECTIONS_MAX];
    struct sv_ovmf o;
    EVP_MD_CTX *ctx;
    size_t count;
    int rc = sv_ovmf_parse(p->firmware, p->firmware_size, &o, why, why_size);

    rc = rc ? rc : parse_sections(&o, section, &count, why, why_size);
    if (rc)
        return rc;
    ctx = EVP_MD_CTX_new();
    if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha384(), NULL) != 1) {
        EVP_MD_CTX_free(ctx);
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++)
        measure_section(ctx, &section[i], p->two_pass, p->steps);
    EVP_DigestFinal_ex(ctx, mrtd, NULL);
    EVP_MD_CTX_free(ctx);
    return 0;
}

static void extend_digest(const struct sv_tdx_params *p, uint8_t rtmr[48], const char *field,
                          const char *what, const uint8_t digest[48])
{
    sh_sim_extend(rtmr, digest);
    sv_step_add(p->steps, field, what, digest, 48);
}

static void extend_data(const struct sv_tdx_params *p, uint8_t rtmr[48], const char *field,
                        const char *what, const void *data, size_t size)
{
    uint8_t digest[48];

    SHA384(data, size, digest);
    extend_digest(p, rtmr, field, what, digest);
}

// The kernel as QEMU hands it on, then what the firmware says while it starts and leaves.
static int measure_rtmr1(const struct sv_tdx_params *p, uint8_t rtmr[48], char *why,
                         size_t why_size)
{
    uint8_t digest[48], *kernel = malloc(p->kernel_size + 1);
    int rc;

    if (!kernel)
        return -ENOMEM;
    memcpy(kernel, p->kernel, p->kernel_size);
    rc = p->kernel_unpatched
             ? 0
             : sh_sim_patch_bzimage(kernel, p->kernel_size, p->memory_size, p->initrd_size);
    if (rc)
        set_reason(why, why_size,
                   "the kernel is not a bzImage, or memory is too small for the initrd");
    else if ((rc = sh_sim_authenticode(digest, kernel, p->kernel_size)))
        set_reason(why, why_size, "the kernel is not an EFI application");
    free(kernel);
    if (rc)
        return rc;
    extend_digest(p, rtmr, "rtmr1", "kernel", digest);
    extend_data(p, rtmr, "rtmr1", "boot: calling application",
                "Calling EFI Application from Boot Option", 40);
    extend_data(p, rtmr, "rtmr1", "boot: separator", "\0\0\0", 4);
    extend_data(p, rtmr, "rtmr1", "boot: exit", "Exit Boot Services Invocation", 29);
    extend_data(p, rtmr, "rtmr1", "boot: exited", "Exit Boot Services Returned with Success", 40);
    return 0;
}

// The kernel's EFI stub: its load options in UTF-16LE with their NUL, then the initrd.
static int measure_rtmr2(const struct sv_tdx_params *p, uint8_t rtmr[48])
{
    // The firmware appends this so that the stub finds the initrd, also to an empty line.
    const char *tail = p->initrd_size ? " initrd=initrd" : "";
    const char *line = p->cmdline ? p->cmdline : "";
    size_t length = strlen(line) + strlen(tail);
    uint8_t *wide = calloc(length + 1, 2);

    if (!wide)
        return -ENOMEM;
    for (size_t i = 0; i < length; i++)
        wide[2 * i] = (uint8_t)(i < strlen(line) ? line[i] : tail[i - strlen(line)]);
    extend_data(p, rtmr, "rtmr2", "command line", wide, 2 * (length + 1));
    free(wide);
    if (p->initrd_size)
        extend_data(p, rtmr, "rtmr2", "initramfs", p->initrd, p->initrd_size);
    return 0;
}

int sv_tdx_measure(const struct sv_tdx_params *p, struct sv_tdx_measurement *out, char *why,
                   size_t why_size)
{
    int rc;

    memset(out, 0, sizeof(*out));
    rc = measure_mrtd(p, out->mrtd, why, why_size);
    if (rc || !p->have_kernel)
        return rc;
    for (const char *c = p->cmdline; c && *c; c++)
        if ((unsigned char)*c >= 0x80)
            return set_reason(why, why_size, "the command line must be ASCII");
    rc = measure_rtmr1(p, out->rtmr1, why, why_size);
    rc = rc ? rc : measure_rtmr2(p, out->rtmr2);
    out->have_rtmr = rc == 0;
    return rc;
}
