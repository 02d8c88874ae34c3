// SPDX-License-Identifier: Apache-2.0
// What was measured at run time, in CoCo's format (AAEL): by RTMR3, or as a log bound into report
// data.
#include "verifier/judge/policy.h"
#include "verifier/base/json.h"
#include "verifier/measure/tdx_eventlog.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/sha.h>

#define TAG_AAEL 0x4141454cu
#define RTMR3 4u
#define EVENTS_MAX 1024 // claims; a log of more is refused

// "DOMAIN OPERATION CONTENT" behind tag and size. NULL where it is no such event.
static cJSON *event_object(const struct sv_event *event)
{
    const char *text = (const char *)event->data.data + 8, *one, *two;
    size_t n = event->data.size;
    cJSON *o;
    char part[3][4096];

    if (event->type != EV_EVENT_TAG || n < 8 || sh_le32(event->data.data) != TAG_AAEL ||
        sh_le32(event->data.data + 4) != n - 8)
        return NULL;
    n -= 8;
    one = memchr(text, ' ', n);
    two = one ? memchr(one + 1, ' ', n - (size_t)(one + 1 - text)) : NULL;
    if (!two || (size_t)(one - text) >= sizeof(part[0]) || (size_t)(two - one) > sizeof(part[1]) ||
        n - (size_t)(two + 1 - text) >= sizeof(part[2]) || memchr(text, 0, n))
        return NULL;
    snprintf(part[0], sizeof(part[0]), "%.*s", (int)(one - text), text);
    snprintf(part[1], sizeof(part[1]), "%.*s", (int)(two - one - 1), one + 1);
    snprintf(part[2], sizeof(part[2]), "%.*s", (int)(n - (size_t)(two + 1 - text)), two + 1);
    o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "domain", part[0]);
    cJSON_AddStringToObject(o, "operation", part[1]);
    cJSON_AddStringToObject(o, "content", part[2]);
    return o;
}

static cJSON *event_list(struct shelter_verdict *v, const char *where)
{
    cJSON_DeleteItemFromObjectCaseSensitive(v->claims, "runtime_events");
    cJSON_DeleteItemFromObjectCaseSensitive(v->claims, "runtime_events_by");
    sv_claim_text(v, "runtime_events_by", where);
    return cJSON_AddArrayToObject(v->claims, "runtime_events");
}

int sv_events_read(const void *data, size_t size, const char *where, struct shelter_verdict *v,
                   uint8_t mr[48])
{
    cJSON *list = event_list(v, where), *o;
    uint8_t rtmr[4][48] = {{0}};
    struct sv_event_log log;
    struct sv_event event;
    int rc = size <= SHELTER_EVENT_LOG_SIZE_MAX ? sv_event_log_open(data, size, &log) : -EBADMSG;
    int number = 0;

    while (!rc && (rc = sv_event_log_next(&log, &event)) == 1) {
        o = event_object(&event);
        // Nothing else is in such a log, and every digest is of what stands there.
        rc = o && event.mr == RTMR3 && ++number <= EVENTS_MAX &&
                     sv_event_digest_check(&event) == SV_DIGEST_HOLDS
                 ? 0
                 : -EBADMSG;
        if (o)
            cJSON_AddItemToArray(list, o);
        if (!rc)
            sv_event_extend(&event, rtmr);
    }
    if (!rc && log.rest.size)
        rc = -EBADMSG;
    memcpy(mr, rtmr[3], 48);
    if (rc)
        sv_refuse(v, SHELTER_R_MEASURED_LOG, "event %d", number + 1);
    else
        sv_claim_hex(v, "measured_log", mr, 48);
    return rc ? -EBADMSG : 0;
}

void sv_events_tdx(struct shelter_verdict *v)
{
    struct sv_event_log log;
    struct sv_event event;
    cJSON *list, *o;

    if (!v->event_log || strcmp(sv_json_text(v->claims, "rtmr3_event_log"), "replayed") ||
        sv_event_log_open(v->event_log, v->event_log_size, &log))
        return;
    list = event_list(v, "RTMR3");
    for (int i = 0; i < SV_EVENTS_MAX && sv_event_log_next(&log, &event) == 1; i++) {
        o = event.mr == RTMR3 ? event_object(&event) : NULL;
        if (!o && event.mr == RTMR3 && event.type != EV_NO_ACTION) {
            // In RTMR3, and of nobody's format: policies must see that something was there.
            o = cJSON_CreateObject();
            cJSON_AddStringToObject(o, "domain", "");
            cJSON_AddStringToObject(o, "operation", sv_event_type_name(event.type));
            cJSON_AddStringToObject(o, "content", "");
        }
        if (o)
            cJSON_AddItemToArray(list, o);
    }
}

int sv_policy_read_events(const cJSON *item)
{
    const cJSON *list, *entry, *part;

    if (!cJSON_IsObject(item))
        return -EBADMSG;
    cJSON_ArrayForEach(list, item)
    {
        if ((strcmp(list->string, "require") && strcmp(list->string, "allow")) ||
            !cJSON_IsArray(list))
            return -EBADMSG;
        cJSON_ArrayForEach(entry, list)
        {
            if (!cJSON_IsObject(entry) || !sv_json_string(entry, "domain") ||
                !sv_json_string(entry, "operation"))
                return -EBADMSG;
            cJSON_ArrayForEach(part, entry) if (!cJSON_IsString(part) ||
                                                (strcmp(part->string, "domain") &&
                                                 strcmp(part->string, "operation") &&
                                                 strcmp(part->string, "content"))) return -EBADMSG;
        }
    }
    return 0;
}

static bool is_event(const cJSON *event, const cJSON *want)
{
    const char *content = sv_json_string(want, "content"), *have = sv_json_text(event, "content");
    size_t n = content ? strlen(content) : 0;

    if (strcmp(sv_json_text(event, "domain"), sv_json_text(want, "domain")) ||
        strcmp(sv_json_text(event, "operation"), sv_json_text(want, "operation")))
        return false;
    if (!content)
        return true;
    return n && content[n - 1] == '*' ? !strncmp(have, content, n - 1) : !strcmp(have, content);
}

static bool is_any_of(const cJSON *event, const cJSON *wants)
{
    const cJSON *want;

    cJSON_ArrayForEach(want, wants) if (is_event(event, want)) return true;
    return false;
}

void sv_policy_events(const struct sv_policy *p, struct shelter_verdict *v)
{
    const cJSON *events = sv_json_get(v->claims, "runtime_events"), *event, *want;
    const cJSON *allow = sv_json_get(p->events, "allow"),
                *require = sv_json_get(p->events, "require");
    const struct sv_field *rtmr3 = sv_field_find(v, "rtmr3");

    if (!p->events)
        return;
    // RTMR3 with something in it that no log shows.
    if (rtmr3 && !sv_all_zero(rtmr3->data, 48) &&
        strcmp(sv_json_text(v->claims, "rtmr3_event_log"), "replayed"))
        sv_refuse(v, SHELTER_R_EVENT, "RTMR3 was extended by what no log shows");
    cJSON_ArrayForEach(event, events)
    {
        if (!allow || is_any_of(event, allow))
            continue;
        sv_refuse(v, SHELTER_R_EVENT, "event %.40s %.40s is not allowed",
                  sv_json_text(event, "domain"), sv_json_text(event, "operation"));
        break;
    }
    cJSON_ArrayForEach(want, require)
    {
        bool found = false;

        cJSON_ArrayForEach(event, events) found |= is_event(event, want);
        if (!found)
            sv_refuse(v, SHELTER_R_EVENT, "there is no event %.40s %.40s",
                      sv_json_text(want, "domain"), sv_json_text(want, "operation"));
    }
}
