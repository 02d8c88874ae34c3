// SPDX-License-Identifier: Apache-2.0
// Reads CCEL event logs. What a log says of itself is not believed: digests of data
// that stands in the log are recomputed, and the replay is compared with the quote by the caller.
#include "verifier/measure/tdx_eventlog.h"

#include <errno.h>

#include <openssl/sha.h>

#define ALG_SHA384 0x000c
#define TAG_AAEL 0x4141454cu // CoCo's run-time events

static const struct {
    uint32_t type;
    bool of_data; // digest = SHA-384(event data)
    const char *name;
} types[] = {
    {0x00000001, false, "EV_POST_CODE"},
    {0x00000003, false, "EV_NO_ACTION"},
    {0x00000004, true, "EV_SEPARATOR"},
    {0x00000005, true, "EV_ACTION"},
    {0x00000006, false, "EV_EVENT_TAG"},
    {0x00000008, true, "EV_S_CRTM_VERSION"},
    {0x0000000a, false, "EV_PLATFORM_CONFIG_FLAGS"},
    {0x0000000d, false, "EV_IPL"},
    {0x80000001, true, "EV_EFI_VARIABLE_DRIVER_CONFIG"},
    {0x80000002, false, "EV_EFI_VARIABLE_BOOT"},
    {0x80000003, false, "EV_EFI_BOOT_SERVICES_APPLICATION"},
    {0x80000006, true, "EV_EFI_GPT_EVENT"},
    {0x80000007, true, "EV_EFI_ACTION"},
    {0x80000008, false, "EV_EFI_PLATFORM_FIRMWARE_BLOB"},
    {0x80000009, false, "EV_EFI_HANDOFF_TABLES"},
    {0x8000000a, false, "EV_EFI_PLATFORM_FIRMWARE_BLOB2"},
    {0x8000000b, false, "EV_EFI_HANDOFF_TABLES2"},
    {0x8000000c, true, "EV_EFI_VARIABLE_BOOT2"},
    {0x800000e0, true, "EV_EFI_VARIABLE_AUTHORITY"},
};

const char *sv_event_type_name(uint32_t type)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (types[i].type == type)
            return types[i].name;
    return "?";
}

// "Spec ID Event03" (CoCo writes zeros where there is no CCEL): signature 16, class u32, version 3
// bytes, uintn u8, count u32, { alg u16, digest size u16 } * count, vendor size u8, vendor data
static int parse_spec_id(struct sv_bytes in, struct sv_event_log *out)
{
    const uint8_t *head = sv_take(&in, 28);
    uint32_t count;

    if (!head || (memcmp(head, "Spec ID Event03", 16) && !sv_all_zero(head, 16)))
        return -EBADMSG;
    count = sh_le32(head + 24);
    if (count < 1 || count > 8)
        return -EBADMSG;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *alg = sv_take(&in, 4);

        if (!alg)
            return -EBADMSG;
        out->alg[i].id = sh_le16(alg);
        out->alg[i].size = sh_le16(alg + 2);
        if (out->alg[i].size > 64 || (out->alg[i].id == ALG_SHA384) != (out->alg[i].size == 48))
            return -EBADMSG;
    }
    out->alg_count = (uint16_t)count;
    return 0;
}

int sv_event_log_open(const void *log, size_t size, struct sv_event_log *out)
{
    const uint8_t *head, *data;
    uint32_t data_size;

    *out = (struct sv_event_log){.rest = {log, size}};
    head = sv_take(&out->rest, 32);
    if (!head || sh_le32(head + 4) != EV_NO_ACTION)
        return -EBADMSG;
    data_size = sh_le32(head + 28);
    data = sv_take(&out->rest, data_size);
    if (!data)
        return -EBADMSG;
    return parse_spec_id((struct sv_bytes){data, data_size}, out);
}

static int digest_size(const struct sv_event_log *log, uint16_t id)
{
    for (uint16_t i = 0; i < log->alg_count; i++)
        if (log->alg[i].id == id)
            return log->alg[i].size;
    return -1;
}

int sv_event_log_next(struct sv_event_log *log, struct sv_event *out)
{
    static const uint8_t end[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    const uint8_t *head, *p;
    uint32_t count;

    *out = (struct sv_event){0};
    // The table is larger than its events: the rest is FFh or zero.
    if (log->rest.size < 12 || !memcmp(log->rest.data, end, sizeof(end)) ||
        sv_all_zero(log->rest.data, sizeof(end)))
        return 0;
    head = sv_take(&log->rest, 12);
    out->mr = sh_le32(head);
    out->type = sh_le32(head + 4);
    count = sh_le32(head + 8);
    if (count > 8)
        return -EBADMSG;
    for (uint32_t i = 0; i < count; i++) {
        int size;

        p = sv_take(&log->rest, 2);
        size = p ? digest_size(log, sh_le16(p)) : -1;
        if (size < 0)
            return -EBADMSG;
        if (sh_le16(p) == ALG_SHA384 && out->digest)
            return -EBADMSG;
        if (sh_le16(p) == ALG_SHA384)
            out->digest = log->rest.data;
        if (!sv_take(&log->rest, (size_t)size))
            return -EBADMSG;
    }
    p = sv_take(&log->rest, 4);
    if (!p || (!out->digest && out->type != EV_NO_ACTION))
        return -EBADMSG;
    out->data.size = sh_le32(p);
    out->data.data = sv_take(&log->rest, out->data.size);
    return out->data.data ? 1 : -EBADMSG;
}

// Tagged events are of what they name, but CoCo's of themselves.
static bool is_of_data(const struct sv_event *event)
{
    if (event->type == EV_EVENT_TAG)
        return event->data.size >= 8 && sh_le32(event->data.data) == TAG_AAEL;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (types[i].type == event->type)
            return types[i].of_data;
    return false;
}

enum sv_event_digest sv_event_digest_check(const struct sv_event *event)
{
    uint8_t digest[48];

    if (!is_of_data(event))
        return SV_DIGEST_OPAQUE;
    SHA384(event->data.data, event->data.size, digest);
    return memcmp(digest, event->digest, 48) ? SV_DIGEST_FALSE : SV_DIGEST_HOLDS;
}

void sv_event_extend(const struct sv_event *event, uint8_t rtmr[4][48])
{
    uint8_t both[96];

    memcpy(both, rtmr[event->mr - 1], 48);
    memcpy(both + 48, event->digest, 48);
    SHA384(both, sizeof(both), rtmr[event->mr - 1]);
}
