// SPDX-License-Identifier: Apache-2.0
// Reads an OVMF image's table of GUIDed entries.
#include "verifier/measure/ovmf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define ENTRY_HEAD 18 // u16 size (of all), GUID

static const uint8_t guid_footer[16] = {0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45,
                                        0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d};
static const uint8_t guid_hash_table[16] = {0x1f, 0x37, 0x55, 0x72, 0x3b, 0x3a, 0x04, 0x4b,
                                            0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4, 0x54};
static const uint8_t guid_reset[16] = {0xde, 0x71, 0xf7, 0x00, 0x7e, 0x1a, 0xcb, 0x4f,
                                       0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e};
static const uint8_t guid_sev_metadata[16] = {0x66, 0x65, 0x88, 0xdc, 0x4a, 0x98, 0x98, 0x47,
                                              0xa7, 0x5e, 0x55, 0x85, 0xa7, 0xbf, 0x67, 0xcc};
static const uint8_t guid_tdx_metadata[16] = {0x35, 0x65, 0x7a, 0xe4, 0x4a, 0x98, 0x98, 0x47,
                                              0x86, 0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e, 0xc2};

static int set_reason(char *why, size_t why_size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int set_reason(char *why, size_t why_size, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, why_size, fmt, ap);
    va_end(ap);
    return -EBADMSG;
}

// "ASEV", u32 size, u32 version, u32 count, { gpa, size, type } * count
static int parse_sev_metadata(struct sv_ovmf *o, uint32_t from_end, char *why, size_t why_size)
{
    const uint8_t *head;
    uint32_t size, count;

    if (from_end < 16 || from_end > o->size)
        return set_reason(why, why_size, "SEV metadata lies outside the firmware");
    head = o->data + o->size - from_end;
    size = sh_le32(head + 4);
    count = sh_le32(head + 12);
    if (memcmp(head, "ASEV", 4) || size > from_end || count > SV_OVMF_SECTIONS_MAX ||
        size < 16 + 12 * count)
        return set_reason(why, why_size, "SEV metadata is malformed");
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *d = head + 16 + 12 * i;
        struct sv_ovmf_section *s = &o->section[i];

        *s = (struct sv_ovmf_section){sh_le32(d), sh_le32(d + 4), sh_le32(d + 8)};
        if (s->gpa % 4096 || s->size % 4096 || s->size > SV_OVMF_SIZE_MAX ||
            (uint64_t)s->gpa + s->size > 1ull << 32)
            return set_reason(why, why_size, "SEV metadata section %u is malformed", i);
    }
    o->section_count = count;
    return 0;
}

int sv_ovmf_parse(const void *data, size_t size, struct sv_ovmf *o, char *why, size_t why_size)
{
    const uint8_t *end;
    size_t left;

    *o = (struct sv_ovmf){.data = data, .size = size, .gpa = (1ull << 32) - size};
    if (size < 4096 || size % 4096 || size > SV_OVMF_SIZE_MAX)
        return set_reason(why, why_size, "a firmware image is a multiple of 4 KiB, at most 64 MiB");
    end = o->data + size - 32 - ENTRY_HEAD;
    if (memcmp(end + 2, guid_footer, 16))
        return set_reason(why, why_size, "the firmware has no OVMF table at its end");
    left = sh_le16(end);
    if (left < ENTRY_HEAD || left > size - 32)
        return set_reason(why, why_size, "the OVMF table's size is wrong");
    left -= ENTRY_HEAD;
    while (left) {
        const uint8_t *head = end - ENTRY_HEAD, *body;
        size_t entry;

        if (left < ENTRY_HEAD)
            return set_reason(why, why_size, "the OVMF table is torn");
        entry = sh_le16(head);
        if (entry < ENTRY_HEAD || entry > left)
            return set_reason(why, why_size, "an entry of the OVMF table is torn");
        body = end - entry;
        if (entry - ENTRY_HEAD >= 4) {
            const uint8_t *guid = head + 2;
            int rc = 0;

            if (!memcmp(guid, guid_hash_table, 16))
                o->hash_table_gpa = sh_le32(body);
            else if (!memcmp(guid, guid_reset, 16))
                o->reset_eip = sh_le32(body);
            else if (!memcmp(guid, guid_tdx_metadata, 16))
                o->tdvf_offset = sh_le32(body);
            else if (!memcmp(guid, guid_sev_metadata, 16))
                rc = parse_sev_metadata(o, sh_le32(body), why, why_size);
            if (rc)
                return rc;
        }
        end -= entry;
        left -= entry;
    }
    return 0;
}
