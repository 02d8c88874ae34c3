// SPDX-License-Identifier: Apache-2.0
// A bzImage as a UEFI firmware sees and measures it: QEMU's changes to the header, Authenticode.
#include <errno.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "verifier/measure/sim.h"

/* Offsets of the Linux/x86 boot protocol (Documentation/arch/x86/boot.rst). */
#define HDR_MAGIC 0x202u
#define HDR_VERSION 0x206u
#define HDR_TYPE_OF_LOADER 0x210u
#define HDR_LOADFLAGS 0x211u
#define HDR_RAMDISK_IMAGE 0x218u
#define HDR_RAMDISK_SIZE 0x21cu
#define HDR_HEAP_END_PTR 0x224u
#define HDR_CMD_LINE_PTR 0x228u
#define HDR_INITRD_ADDR_MAX 0x22cu
#define HDR_XLOADFLAGS 0x236u
#define HDR_END 0x268u

/* QEMU: real mode code at 0x10000, command line at 0x20000, ACPI data below the end of low memory.
 */
#define REAL_ADDRESS 0x10000u
#define COMMAND_LINE_ADDRESS 0x20000u
#define ACPI_DATA_SIZE 0x28000u

int sh_sim_patch_bzimage(uint8_t *data, size_t size, uint64_t memory, size_t initramfs_size)
{
    if (size < HDR_END || memcmp(data + HDR_MAGIC, "HdrS", 4) || initramfs_size > UINT32_MAX)
        return -EBADMSG;
    unsigned version = sh_le16(data + HDR_VERSION);
    if (version < 0x203 || !(data[HDR_LOADFLAGS] & 1))
        return -EBADMSG;

    uint64_t low = memory >= 0xb0000000u ? 0x80000000u : memory; /* q35 */
    uint64_t max = sh_le32(data + HDR_INITRD_ADDR_MAX);
    if (version >= 0x20c && sh_le16(data + HDR_XLOADFLAGS) & 2)
        max = UINT32_MAX;
    if (low < ACPI_DATA_SIZE + initramfs_size + 4096)
        return -EBADMSG;
    if (max >= low - ACPI_DATA_SIZE)
        max = low - ACPI_DATA_SIZE - 1;
    if (max < initramfs_size)
        return -EBADMSG;

    data[HDR_TYPE_OF_LOADER] = 0xb0;
    data[HDR_LOADFLAGS] |= 0x80; /* CAN_USE_HEAP */
    sh_put_le16(data + HDR_HEAP_END_PTR, COMMAND_LINE_ADDRESS - REAL_ADDRESS - 0x200);
    sh_put_le32(data + HDR_CMD_LINE_PTR, COMMAND_LINE_ADDRESS);
    if (initramfs_size) {
        sh_put_le32(data + HDR_RAMDISK_IMAGE, (uint32_t)((max - initramfs_size) & ~4095ull));
        sh_put_le32(data + HDR_RAMDISK_SIZE, (uint32_t)initramfs_size);
    }
    return 0;
}

struct section {
    uint32_t offset, size;
};

static int by_offset(const void *a, const void *b)
{
    const struct section *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* What a PE file's headers say of it; all inside the file. */
struct pe {
    size_t checksum;      /* offset of the 4-byte CheckSum, not digested */
    size_t certificate;   /* offset of the 8-byte directory entry, not digested; 0: has none */
    size_t headers_size;  /* SizeOfHeaders */
    size_t table_size;    /* bytes of attribute certificates at the end, not digested */
    size_t section_count; /* with raw data */
    struct section sections[96];
};

static int parse_pe(struct pe *pe, const uint8_t *p, size_t size)
{
    memset(pe, 0, sizeof(*pe));
    if (size < 0x40 || memcmp(p, "MZ", 2))
        return -EBADMSG;
    size_t coff = sh_le32(p + 0x3c);
    if (coff > size || size - coff < 24 || memcmp(p + coff, "PE\0\0", 4))
        return -EBADMSG;
    size_t count = sh_le16(p + coff + 6), optional_size = sh_le16(p + coff + 20);
    size_t optional = coff + 24, table = optional + optional_size;
    if (table > size || count > 96 || (size - table) / 40 < count || optional_size < 96)
        return -EBADMSG;
    bool plus = sh_le16(p + optional) == 0x20b;
    if (!plus && sh_le16(p + optional) != 0x10b)
        return -EBADMSG;
    size_t directories = plus ? 112 : 96; /* offset in the optional header */
    if (optional_size < directories)
        return -EBADMSG;
    pe->checksum = optional + 64;
    pe->headers_size = sh_le32(p + optional + 60);
    if (sh_le32(p + optional + directories - 4) > 4) { /* NumberOfRvaAndSizes */
        if (optional_size < directories + 40)
            return -EBADMSG;
        pe->certificate = optional + directories + 32;
        pe->table_size = sh_le32(p + pe->certificate + 4);
    }
    if (pe->headers_size < table + 40 * count || pe->headers_size > size)
        return -EBADMSG;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *s = p + table + 40 * i;
        struct section section = {.offset = sh_le32(s + 20), .size = sh_le32(s + 16)};
        if (!section.size)
            continue;
        if (section.offset > size || section.size > size - section.offset)
            return -EBADMSG;
        pe->sections[pe->section_count++] = section;
    }
    qsort(pe->sections, pe->section_count, sizeof(pe->sections[0]), by_offset);
    return 0;
}

int sh_sim_authenticode(uint8_t digest[48], const void *data, size_t size)
{
    const uint8_t *p = data;
    struct pe pe;
    int r = parse_pe(&pe, p, size);
    if (r)
        return r;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx || !EVP_DigestInit_ex(ctx, EVP_sha384(), NULL))
        abort();
    /* The headers without checksum and certificate entry. */
    size_t at = pe.checksum + 4;
    EVP_DigestUpdate(ctx, p, pe.checksum);
    if (pe.certificate) {
        EVP_DigestUpdate(ctx, p + at, pe.certificate - at);
        at = pe.certificate + 8;
    }
    EVP_DigestUpdate(ctx, p + at, pe.headers_size - at);
    /* The sections in file order, then what stands behind them. */
    size_t sum = pe.headers_size;
    for (size_t i = 0; i < pe.section_count; i++) {
        EVP_DigestUpdate(ctx, p + pe.sections[i].offset, pe.sections[i].size);
        sum += pe.sections[i].size;
    }
    if (sum < size) {
        if (size - sum < pe.table_size)
            r = -EBADMSG;
        else
            EVP_DigestUpdate(ctx, p + sum, size - sum - pe.table_size);
    }
    if (!EVP_DigestFinal_ex(ctx, digest, NULL))
        abort();
    EVP_MD_CTX_free(ctx);
    return r;
}
