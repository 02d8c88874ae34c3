// SPDX-License-Identifier: Apache-2.0
// In what a measurement differs from the reference value that is nearest to it.
#include "verifier/judge/policy.h"
#include "verifier/judge/claim.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A log names the event only for a register that it was replayed to.
static bool name_event(const cJSON *entry, const struct shelter_verdict *v, const char *field,
                       struct sv_difference *out)
{
    const cJSON *events = sv_json_get(entry, "events"), *item;
    cJSON *want, *have;
    char claim[40];
    bool named = false;

    snprintf(claim, sizeof(claim), "%s_event_log", field);
    if (!v->event_log || !cJSON_IsArray(events) ||
        strcmp(sv_json_text(v->claims, claim), "replayed"))
        return false;
    want = cJSON_CreateArray();
    have = cJSON_CreateArray();
    sv_step_log(have, v->event_log, v->event_log_size);
    cJSON_ArrayForEach(item, events) if (!strcmp(sv_json_text(item, "field"), field))
        cJSON_AddItemToArray(want, cJSON_Duplicate(item, true));
    named = sv_steps_differ(want, have, out) && !strcmp(out->field, field);
    cJSON_Delete(want);
    cJSON_Delete(have);
    return named;
}

int sv_reference_nearest(const cJSON *references, const struct shelter_verdict *v,
                         struct sv_difference *out)
{
    const cJSON *entry, *best = NULL, *best_want = NULL, *want;
    char first[24] = "", field[24] = "";
    int most = -1;
    cJSON *have;
    char *text;

    cJSON_ArrayForEach(entry, references)
    {
        int holds;

        if (!sv_reference_is_for(entry, v))
            continue;
        holds = sv_reference_holds(sv_json_get(entry, "measurement"), v, first, &want);
        if (!want || holds <= most)
            continue;
        most = holds;
        best = entry;
        best_want = want;
        memcpy(field, first, sizeof(field));
    }
    if (!best)
        return 0;
    if (name_event(best, v, field, out))
        return most + 1;
    have = cJSON_Duplicate(sv_json_get(v->claims, field), true);
    text = cJSON_IsNumber(have) ? cJSON_PrintUnformatted(have) : NULL;
    sv_field_differs(field, cJSON_IsString(best_want) ? best_want->valuestring : "",
                     text                   ? text
                     : cJSON_IsString(have) ? have->valuestring
                                            : "",
                     out);
    free(text);
    cJSON_Delete(have);
    return most + 1;
}
