// SPDX-License-Identifier: Apache-2.0
// Replays event logs of every form.
#include "verifier/measure/tdx_eventlog.h"

#include <shelter/verify.h>

#include <errno.h>
#include <stdio.h>

static bool is_json(const char *text, size_t size)
{
    while (size && (*text == ' ' || *text == '\n' || *text == '\r' || *text == '\t'))
        text++, size--;
    return size && *text == '[';
}

int shelter_event_log_replay(const void *data, size_t size, uint8_t rtmr[4][48], char *why,
                             size_t why_size)
{
    struct sv_event_log log;
    struct sv_event event;
    int rc, number = 0;

    memset(rtmr, 0, 4 * 48);
    if (size <= SHELTER_EVENT_LOG_SIZE_MAX && is_json(data, size))
        return sv_event_log_json(data, size, rtmr, why, why_size);
    if (size > SHELTER_EVENT_LOG_SIZE_MAX || sv_event_log_open(data, size, &log)) {
        snprintf(why, why_size, "it does not start with a specification event");
        return -EBADMSG;
    }
    while ((rc = sv_event_log_next(&log, &event)) == 1) {
        if (++number > SV_EVENTS_MAX) {
            rc = -EBADMSG;
            break;
        }
        if (event.type == EV_NO_ACTION)
            continue;
        if (event.mr < 1 || event.mr > 4) {
            snprintf(why, why_size, "event %d extends register %u", number, event.mr);
            return -EBADMSG;
        }
        if (sv_event_digest_check(&event) == SV_DIGEST_FALSE) {
            snprintf(why, why_size, "event %d, %s", number, sv_event_type_name(event.type));
            return -EKEYREJECTED;
        }
        sv_event_extend(&event, rtmr);
    }
    if (rc)
        snprintf(why, why_size, "event %d is torn", number + 1);
    return rc;
}
