// SPDX-License-Identifier: Apache-2.0
// Answers and problems (RFC 9457), and the clocks.
#include "verifier/broker/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int64_t sb_wall_ms(struct sb_server *s)
{
    struct timespec t;
    int64_t now, last = __atomic_load_n(&s->last_now, __ATOMIC_RELAXED);

    clock_gettime(CLOCK_REALTIME, &t);
    now = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
    while (now > last && !__atomic_compare_exchange_n(&s->last_now, &last, now, true,
                                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    return now > last ? now : last;
}

static const char *title(int status)
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 411:
        return "Length Required";
    case 413:
        return "Content Too Large";
    case 415:
        return "Unsupported Media Type";
    case 429:
        return "Too Many Requests";
    case 503:
        return "Service Unavailable";
    default:
        return "Internal Server Error";
    }
}

void sb_problem(struct sb_request *r, int status, const char *code, const char *detail)
{
    cJSON *o = cJSON_CreateObject();
    char type[80];

    snprintf(type, sizeof(type), "urn:shelter:broker:%s", code);
    cJSON_AddStringToObject(o, "type", type);
    cJSON_AddStringToObject(o, "title", title(status));
    cJSON_AddNumberToObject(o, "status", status);
    cJSON_AddStringToObject(o, "detail", detail);
    free(r->text);
    r->text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    r->status = status;
    r->type = "application/problem+json";
    r->retry_after = status == 429 || status == 503;
    r->www_authenticate = status == 401 ? "Bearer realm=\"kbs\"" : NULL;
}

void sb_answer_json(struct sb_request *r, char *text)
{
    if (!text) {
        sb_problem(r, 500, "internal", "out of memory");
        return;
    }
    free(r->text);
    r->text = text;
    r->status = 200;
    r->type = "application/json";
}
