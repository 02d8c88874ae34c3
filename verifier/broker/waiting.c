// SPDX-License-Identifier: Apache-2.0
// Versions of resources, and who waits for the next.
#include "verifier/broker/waiting.h"
#include "verifier/base/json.h"
#include "verifier/broker/admit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <microhttpd.h>

#include "lib/number.h"

void sb_waiting_init(struct sb_waiting *w)
{
    memset(w, 0, sizeof(*w));
    pthread_mutex_init(&w->lock, NULL);
}

bool sb_waiting_add(struct sb_waiting *w, struct sb_request *r)
{
    struct sb_request **place = NULL;
    unsigned own = 0;

    pthread_mutex_lock(&w->lock);
    for (int i = 0; i < SB_WAITING_MAX; i++) {
        if (!w->of[i])
            place = &w->of[i];
        else if (w->of[i]->peer_id == r->peer_id)
            own++;
    }
    if (w->stop || own >= SB_WAITING_PEER_MAX)
        place = NULL;
    if (place)
        *place = r;
    pthread_mutex_unlock(&w->lock);
    return place;
}

// Takes out those that are to be worked on. Their number.
static int take_due(struct sb_waiting *w, int64_t version, int64_t now_ms,
                    struct sb_request *due[SB_WAITING_MAX])
{
    int count = 0;

    pthread_mutex_lock(&w->lock);
    for (int i = 0; i < SB_WAITING_MAX; i++)
        if (w->of[i] && (w->stop || version != w->version || w->of[i]->wait_until_ms <= now_ms)) {
            due[count++] = w->of[i];
            w->of[i] = NULL;
        }
    w->version = version;
    pthread_mutex_unlock(&w->lock);
    return count;
}

static void answer_again(struct sb_server *s, struct sb_request *r)
{
    if (sb_work_put(&s->work, &r->item))
        return;
    sb_problem(r, 503, "stopping", "the broker stops");
    MHD_resume_connection(r->connection);
}

void sb_waiting_look(struct sb_server *s, int64_t now_ms)
{
    struct sb_request *due[SB_WAITING_MAX];
    int count = take_due(&s->waiting, sb_store_version(s->store), now_ms, due);

    for (int i = 0; i < count; i++)
        answer_again(s, due[i]);
}

void sb_waiting_stop(struct sb_server *s)
{
    pthread_mutex_lock(&s->waiting.lock);
    s->waiting.stop = true;
    pthread_mutex_unlock(&s->waiting.lock);
    sb_waiting_look(s, sb_clock_ms());
}

// --- The endpoint ---

static void answer_version(struct sb_request *r, int64_t n)
{
    char text[48];

    snprintf(text, sizeof(text), "{\"version\":%lld}", (long long)n);
    r->wait = false;
    sb_answer_json(r, strdup(text));
}

void sb_version(struct sb_request *r, const char *path)
{
    const char *after = MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, "after");
    struct sb_judgement out = {.status = 0};
    uint64_t seen = 0;
    int64_t n = 0, now = sb_clock_ms();
    cJSON *payload;
    int rc = 0;

    if (!sb_path_ok(path) || (after && sh_parse_number(after, 0, INT64_MAX, &seen))) {
        sb_problem(r, 400, "malformed", "ask for REPOSITORY/TYPE/TAG, and perhaps ?after=NUMBER");
        return;
    }
    payload = sb_check_token(r, true, &out);
    if (payload) {
        sb_describe_attested(&out, payload);
        if (sb_is_permitted(r, path, payload, &out))
            rc = sb_resource_version(r->server->store, path, &n);
    }
    if (!r->wait_until_ms)
        r->wait_until_ms = now + SB_WAITING_MS;
    r->wait = false;
    if (out.status != 200) {
        sb_problem(r, out.status, out.code, out.detail);
    } else if (rc) {
        sb_problem(r, rc == -ENOENT ? 404 : 500, rc == -ENOENT ? "no-such-resource" : "store",
                   rc == -ENOENT ? "there is no such resource" : "the resource cannot be read");
    } else {
        answer_version(r, n);
        r->wait = after && (int64_t)seen == n && now < r->wait_until_ms;
    }
    // Who asks again and again is written down where something was refused only.
    if (payload && out.status != 200)
        sb_log_attempt(r, "version", &out, sv_json_text(payload, "jti"), path);
    cJSON_Delete(payload);
}
