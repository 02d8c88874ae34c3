// SPDX-License-Identifier: Apache-2.0
// An entry of the audit log as JSON: for `broker log --json` and the log of a server.
#include "verifier/broker/store_db.h"

#include <stdio.h>
#include <time.h>

#include <cjson/cJSON.h>

static void add_time(cJSON *o, const char *name, int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    char date[24], text[40];

    gmtime_r(&seconds, &tm);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text, sizeof(text), "%s.%03dZ", date, (int)(ms % 1000));
    cJSON_AddStringToObject(o, name, text);
}

char *sb_entry_json(const struct sb_entry *e)
{
#define NAME(member) #member,
    static const char *const names[] = {SB_ENTRY_MEMBERS(NAME)};
#undef NAME
    const char *texts[SB_ENTRY_TEXTS];
    cJSON *o = cJSON_CreateObject();
    char *text;

    sb_entry_texts(e, texts);
    if (e->id)
        cJSON_AddNumberToObject(o, "id", (double)e->id);
    add_time(o, "time", e->time_ms);
    if (e->count) {
        cJSON_AddNumberToObject(o, "count", (double)e->count);
        add_time(o, "last", e->last_ms);
    }
    for (int i = 0; i < SB_ENTRY_TEXTS; i++)
        cJSON_AddStringToObject(o, names[i], texts[i]);
    text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    return text;
}
