// SPDX-License-Identifier: Apache-2.0
// Volumes that the broker anchors (docs/broker.md has the messages).
//
// Attacks expected here: those on any request (client.h). What is signed by the pinned key's TLS
// and, for the key and the memory, encrypted to the key of this attestation, is the broker's word;
// an answer of before cannot be played again.
#include <asm/errno.h>
#include <string.h>

#include "lib/base64.h"
#include "lib/hex.h"
#include "lib/number.h"
#include "trusted/agent/state.h"

#define ADVANCE_MS 5000u
#ifndef BEGIN_MS
#define BEGIN_MS 30000u /* nothing goes on before it, and a slow machine has much to do then */
#endif
#ifndef HELD_MS
#define HELD_MS 2000u /* between two questions whether it is still held */
#endif
#define HELD_TRIES 6u /* longer than a lease lives without its holder */

_Static_assert(sizeof(((struct agent_volume *)0)->key) == VOLUME_KEY_SIZE, "one key");

/* "SEQUENCE-LOG-ROOT" */
static void format_state(char out[72], const struct volume_state *s)
{
    char sequence[21], log[21];
    const char *parts[] = {agent_number(sequence, s->sequence), "-",
                           agent_number(log, s->log_count), "-"};
    size_t at = 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        size_t n = strlen(parts[i]);
        memcpy(out + at, parts[i], n);
        at += n;
    }
    sh_hex(out + at, s->root, sizeof(s->root));
}

static bool parse_state(char *text, struct anchor *a)
{
    uint64_t log;
    char *second = strchr(text, '-'), *third = second ? strchr(second + 1, '-') : NULL;
    if (!third)
        return false;
    *second = *third = 0;
    bool good = !sh_parse_number(text, 1, UINT64_MAX, &a->sequence) &&
                !sh_parse_number(second + 1, 0, UINT32_MAX, &log) &&
                !sh_unhex(a->root, sizeof(a->root), third + 1);
    *second = *third = '-';
    a->log_count = good ? (uint32_t)log : 0;
    return good;
}

static bool parse_next(const char *text, uint64_t *next)
{
    uint8_t bytes[8];
    if (sh_unhex(bytes, sizeof(bytes), text))
        return false;
    *next = sh_le64(bytes);
    return true;
}

/* What the broker remembers. Each member is there, and is what it must be. */
static bool take_opened(struct agent_json o, struct agent_volume *v)
{
    static const char *const memories[] = {"never", "open", "released", "reset"};
    uint8_t lease[16];
    char text[80];
    v->anchor = (struct anchor){0};
    long n = agent_json_member(o, "key", text, sizeof(text));
    bool good = n > 0 && sh_unbase64url(v->key, sizeof(v->key), text, (size_t)n) == 32;
    agent_wipe(text, sizeof(text));
    if (!good || agent_json_member(o, "memory", text, sizeof(text)) < 0)
        return false;
    while (v->anchor.memory < ANCHOR_MEMORIES && strcmp(memories[v->anchor.memory], text))
        v->anchor.memory++;
    n = agent_json_member(o, "state", v->state, sizeof(v->state));
    if (v->anchor.memory == ANCHOR_MEMORIES || n < 0 || (n && !parse_state(v->state, &v->anchor)))
        return false;
    if (!n && v->anchor.memory != ANCHOR_NEVER && v->anchor.memory != ANCHOR_RESET)
        return false;
    n = agent_json_member(o, "next", text, sizeof(text));
    if (n < 0 || (n && !parse_next(text, &v->anchor.next)))
        return false;
    n = agent_json_member(o, "lease", v->lease, sizeof(v->lease));
    return v->read_only ? !n : n == 32 && !sh_unhex(lease, sizeof(lease), v->lease);
}

static int read_opened(struct agent *a, const struct agent_response *r, struct agent_volume *v,
                       struct agent_error *e)
{
    struct agent_json o;
    uint8_t *text = NULL;
    size_t size = 0;
    int rc = agent_body(a, r, &o, e);
    if (!rc)
        rc = agent_jwe_open(a->key, o, &text, &size, e);
    if (!rc && (agent_json_check(&o, (const char *)text, size) || !take_opened(o, v)))
        rc = agent_fail(e, -EPROTO, "what the key broker says of the volume is malformed", NULL);
    if (text)
        agent_wipe(text, size);
    agent_os_free(text);
    return rc;
}

/* The word of a refusal: urn:shelter:broker:WORD. */
static bool refusal_is(const struct agent_response *r, const char *word)
{
    static const char urn[] = "urn:shelter:broker:";
    struct agent_json o;
    char type[80];
    return !agent_json_check(&o, r->body.data ? r->body.data : "", r->body.size) &&
           agent_json_member(o, "type", type, sizeof(type)) > 0 &&
           !strncmp(type, urn, sizeof(urn) - 1) && !strcmp(type + sizeof(urn) - 1, word);
}

static int call_volume(struct agent *a, const char *verb, const char *path,
                       const struct agent_text *body, struct agent_response *r,
                       struct agent_error *e)
{
    char full[320] = "/kbs/v0/volume/";
    memcpy(full + strlen(full), verb, strlen(verb) + 1);
    memcpy(full + strlen(full), path, strlen(path) + 1);
    struct agent_call call = {
        .method = "POST", .path = full, .body = body->data, .body_size = body->size};
    return body->failed ? agent_fail(e, -ENOMEM, "no memory to ask the key broker", NULL)
                        : agent_ask(a, &call, r, e);
}

static int open_once(struct agent *a, struct agent_volume *v, struct agent_error *e)
{
    struct agent_text body = {0};
    struct agent_response r;
    agent_text_str(&body, v->read_only ? "{\"read-only\":true}" : "{\"read-only\":false}");
    int rc = call_volume(a, "open/", v->path, &body, &r, e);
    agent_text_free(&body);
    if (rc)
        return rc;
    if (r.status == 200) {
        rc = read_opened(a, &r, v, e);
    } else if ((r.status == 404 || r.status == 405) && !refusal_is(&r, "no-such-resource")) {
        rc = agent_fail(e, -ENOSYS,
                        "this key broker keeps no states of volumes, as Shelter's does, so nobody "
                        "could tell that an earlier one was put back; use 'shelter broker', or "
                        "build the image with freshness=insecure-none",
                        NULL);
    } else {
        bool held = refusal_is(&r, "held");
        rc = agent_refused(a, &r, v->path, e);
        rc = held ? -EBUSY : rc;
    }
    agent_response_free(&r);
    return rc;
}

int agent_volume_open(struct agent *a, const char *path, bool read_only, struct agent_volume *v,
                      struct agent_error *e)
{
    memset(v, 0, sizeof(*v));
    int rc = agent_may_ask(a, path, e);
    if (rc)
        return rc;
    memcpy(v->path, path, strlen(path) + 1);
    v->read_only = read_only;
    while (!v->writer)
        if (agent_os_random(&v->writer, sizeof(v->writer)))
            return agent_fail(e, -EIO, "no random bytes", NULL);
    for (unsigned try = 0;; try++) {
        rc = open_once(a, v, e);
        if (rc == -EBUSY && !try)
            agent_os_log("a volume is still held; waiting whether its holder lives");
        if ((rc != -EBUSY && rc != -EAGAIN) || try + 1 == HELD_TRIES ||
            !agent_client_pause(&a->client, HELD_MS))
            break;
    }
    if (rc)
        agent_wipe(v, sizeof(*v));
    return rc;
}

static void advance_text(struct agent_text *t, const struct agent_volume *v, const char *to,
                         enum anchor_step step)
{
    uint8_t next[8];
    char digits[17];
    sh_put_le64(next, v->writer);
    sh_hex(digits, next, sizeof(next));
    const char *parts[] = {"{\"lease\":\"", v->lease,       "\",\"from\":\"",
                           v->state,        "\",\"to\":\"", to};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        agent_text_str(t, parts[i]);
    if (step == ANCHOR_BEGIN) {
        agent_text_str(t, "\",\"next\":\"");
        agent_text_str(t, digits);
    }
    agent_text_str(t, step == ANCHOR_RELEASE ? "\",\"close\":true}" : "\"}");
}

/* It has another state than it acknowledged to us: an earlier one, so it was put back itself; or
 * somebody else's. */
static int report_lost(struct agent *a, const struct agent_response *r, struct agent_volume *v,
                       struct agent_error *e)
{
    struct anchor theirs = {0}, ours = {0};
    char text[72], name[300];
    struct agent_json o;
    agent_client_name(&a->client, name);
    bool known = !agent_json_check(&o, r->body.data, r->body.size) &&
                 agent_json_member(o, "state", text, sizeof(text)) >= 0;
    /* Released before, and the answer was lost. */
    if (known && v->asked_step == ANCHOR_RELEASE && !strcmp(text, v->asked))
        return 0;
    bool older = known && parse_state(v->state, &ours) &&
                 (!parse_state(text, &theirs) || anchor_compare(theirs.sequence, theirs.log_count,
                                                                ours.sequence, ours.log_count) < 0);
    if (older)
        return agent_fail(e, -ESTALE, "the key broker at ", name,
                          " forgot what it had acknowledged: its own store was put back to an "
                          "earlier state. Put back its newest store, then start again",
                          NULL);
    agent_refused(a, r, v->path, e);
    return -ESTALE;
}

static int advance_to(struct agent *a, struct agent_volume *v, const char *to,
                      enum anchor_step step, struct agent_error *e)
{
    struct agent_text body = {0};
    struct agent_response r;
    advance_text(&body, v, to, step);
    memcpy(v->asked, to, sizeof(v->asked));
    v->asked_step = step;
    int rc = call_volume(a, "advance/", v->path, &body, &r, e);
    agent_text_free(&body);
    if (rc)
        return rc;
    if (r.status == 200) {
        memcpy(v->state, to, sizeof(v->state));
        v->asked[0] = 0;
    } else if (refusal_is(&r, "fenced") || refusal_is(&r, "moved")) {
        rc = report_lost(a, &r, v, e);
    } else {
        rc = agent_refused(a, &r, v->path, e);
    }
    agent_response_free(&r);
    return rc;
}

int agent_volume_advance(struct agent *a, struct agent_volume *v, const struct volume_state *to,
                         enum anchor_step step, struct agent_error *e)
{
    uint64_t limit = a->client.limit;
    char asked[72], state[72];
    int rc = 0;
    format_state(state, to);
    a->client.limit = agent_os_now_ms() + (step == ANCHOR_BEGIN ? BEGIN_MS : ADVANCE_MS);
    /* Where an answer was lost the broker may be there already, and moves on from nowhere else. */
    memcpy(asked, v->asked, sizeof(asked));
    if (*asked && strcmp(asked, state))
        rc = advance_to(a, v, asked, v->asked_step, e);
    if (!rc)
        rc = advance_to(a, v, state, step, e);
    a->client.limit = limit;
    return rc;
}
