// SPDX-License-Identifier: Apache-2.0
// Event logs. CCEL: the confidential computing event log (UEFI 2.10, 38.4; events as in the TCG PC
// Client Platform Firmware Profile, SHA-384), alone or with CoCo's run-time events (AAEL) behind
// it. Or dstack's JSON array.
#ifndef VERIFIER_MEASURE_TDX_EVENTLOG_H
#define VERIFIER_MEASURE_TDX_EVENTLOG_H

#include "verifier/base/bytes.h"

#define SV_EVENTS_MAX 4096
#define EV_NO_ACTION 3u
#define EV_EVENT_TAG 6u

struct sv_event {
    uint32_t mr;           // 1..4: RTMR0..3
    uint32_t type;         // TCG event type
    const uint8_t *digest; // 48 bytes, SHA-384; NULL where EV_NO_ACTION has none
    struct sv_bytes data;
};

struct sv_event_log {
    struct sv_bytes rest;
    uint16_t alg_count;
    struct {
        uint16_t id, size;
    } alg[8];
};

// Reads the header event. 0 or -EBADMSG.
int sv_event_log_open(const void *log, size_t size, struct sv_event_log *out);
// 1 with an event, 0 at the end, -EBADMSG.
int sv_event_log_next(struct sv_event_log *log, struct sv_event *out);
// Whether this type's digest is by definition that of its data, and whether it is here.
enum sv_event_digest { SV_DIGEST_OPAQUE, SV_DIGEST_HOLDS, SV_DIGEST_FALSE };
enum sv_event_digest sv_event_digest_check(const struct sv_event *event);
// RTMR = SHA-384(RTMR || digest)
void sv_event_extend(const struct sv_event *event, uint8_t rtmr[4][48]);
// Replays dstack's JSON; rtmr starts as zeros. As shelter_event_log_replay.
int sv_event_log_json(const char *text, size_t size, uint8_t rtmr[4][48], char *why,
                      size_t why_size);
const char *sv_event_type_name(uint32_t type);

#endif
