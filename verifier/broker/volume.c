// SPDX-License-Identifier: Apache-2.0
// Volumes: who holds one, and the state that was acknowledged last.
#include "verifier/broker/volume.h"
#include "lib/hex.h"
#include "lib/number.h"
#include "verifier/base/json.h"
#include "verifier/broker/admit.h"
#include "verifier/broker/jose.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#define VALUES_MAX 16 // in a request's body
#define KEY_SIZE 32
#define LOG_MAX 0xffffffffu
#define SEQUENCE_MAX (1ull << 53)

// --- Leases ---

struct sb_lease {
    struct sb_lease *next;
    char path[SB_PATH_MAX], lease[33];
    int64_t beats, since_ms; // as the row was then
};

void sb_leases_init(struct sb_leases *l)
{
    pthread_mutex_init(&l->lock, NULL);
    l->first = NULL;
}

void sb_leases_free(struct sb_leases *l)
{
    for (struct sb_lease *next, *s = l->first; s; s = next) {
        next = s->next;
        free(s);
    }
    l->first = NULL;
    pthread_mutex_destroy(&l->lock);
}

// The entry of a volume; made where there is none. NULL: no memory.
static struct sb_lease *lease_of(struct sb_leases *l, const char *path)
{
    struct sb_lease *s = l->first;

    while (s && strcmp(s->path, path))
        s = s->next;
    if (!s && (s = calloc(1, sizeof(*s)))) {
        snprintf(s->path, sizeof(s->path), "%s", path);
        s->next = l->first;
        l->first = s;
    }
    return s;
}

int64_t sb_lease_left(struct sb_leases *l, const char *path, const struct sb_volume *v,
                      int64_t now_ms)
{
    int64_t left = SB_LEASE_MS;
    struct sb_lease *s;

    if (!*v->lease)
        return 0;
    pthread_mutex_lock(&l->lock);
    s = lease_of(l, path);
    if (s && (s->beats != v->beats || strcmp(s->lease, v->lease))) {
        snprintf(s->lease, sizeof(s->lease), "%s", v->lease);
        s->beats = v->beats;
        s->since_ms = now_ms;
    }
    if (s)
        left = s->since_ms + SB_LEASE_MS - now_ms;
    pthread_mutex_unlock(&l->lock);
    return left > 0 ? left : 0;
}

// --- States ---

bool sb_volume_state_ok(const char *text, uint64_t *sequence, uint64_t *log)
{
    char copy[SB_VOLUME_STATE_SIZE], *second, *third;
    uint8_t root[16];

    if (strlen(text) >= sizeof(copy))
        return false;
    memcpy(copy, text, strlen(text) + 1);
    second = strchr(copy, '-');
    third = second ? strchr(second + 1, '-') : NULL;
    if (!third)
        return false;
    *second++ = *third++ = 0;
    return !sh_parse_number(copy, 1, SEQUENCE_MAX, sequence) &&
           !sh_parse_number(second, 0, LOG_MAX, log) && !sh_unhex(root, sizeof(root), third);
}

static bool is_earlier(const char *a, const char *b)
{
    uint64_t sequence, log, sequence_b, log_b;

    return sb_volume_state_ok(a, &sequence, &log) && sb_volume_state_ok(b, &sequence_b, &log_b) &&
           (sequence < sequence_b || (sequence == sequence_b && log < log_b));
}

static bool is_hex(const char *text, size_t size)
{
    return strlen(text) == size && strspn(text, "0123456789abcdef") == size;
}

// --- What a request does to a row ---

struct deed {
    struct sb_request *r;
    const char *path;
    struct sb_judgement *out;
    bool read; // open: to read only
    // advance
    const char *lease, *from, *to, *next;
    bool close;
    struct sb_volume v; // the row as it is now, with what was done
    bool fenced;        // open: there was a holder
};

static int refuse_deed(struct deed *d, int status, const char *code, const char *detail)
{
    d->out->status = status;
    snprintf(d->out->code, sizeof(d->out->code), "%s", code);
    snprintf(d->out->detail, sizeof(d->out->detail), "%s", detail);
    return -EPERM;
}

static int refuse_second(struct deed *d, const struct sb_volume *v)
{
    char detail[320];

    snprintf(detail, sizeof(detail),
             "another instance holds the volume (image %.12s at %s); stop it, or let the one that "
             "comes second win by 'shelter broker volume set --second fence'",
             v->image, v->peer);
    return refuse_deed(d, 409, "held", detail);
}

static int open_volume(struct sb_volume *v, void *arg)
{
    struct deed *d = arg;
    uint8_t lease[16];
    int64_t left = sb_lease_left(&d->r->server->leases, d->path, v, sb_clock_ms());

    d->v = *v;
    if (d->read)
        return 1;
    d->fenced = left > 0;
    if (left && strcmp(v->second, "fence"))
        return refuse_second(d, v);
    if (RAND_bytes(lease, sizeof(lease)) != 1)
        return refuse_deed(d, 503, "internal", "no random bytes");
    if (!*v->memory)
        snprintf(v->memory, sizeof(v->memory), "never");
    sh_hex(v->lease, lease, sizeof(lease));
    snprintf(v->image, sizeof(v->image), "%s", d->out->image);
    snprintf(v->reference, sizeof(v->reference), "%s", d->out->reference);
    snprintf(v->peer, sizeof(v->peer), "%s", d->r->peer);
    v->opened_ms = v->heard_ms = sb_wall_ms(d->r->server);
    d->v = *v;
    return 0;
}

static int advance_volume(struct sb_volume *v, void *arg)
{
    struct deed *d = arg;
    bool same = !strcmp(v->state, d->to);

    d->v = *v;
    if (!*v->lease || CRYPTO_memcmp(v->lease, d->lease, sizeof(v->lease) - 1))
        return refuse_deed(d, 409, "fenced",
                           "this session does not hold the volume any more: another one took it, "
                           "or its operator reset it");
    // Sent again, or only to be heard, is as good as new.
    if (!same && strcmp(v->state, d->from))
        return refuse_deed(d, 409, "moved", "the volume is not in the state that it moves from");
    if (strcmp(v->memory, "open") && !*d->next)
        return refuse_deed(d, 400, "malformed", "the volume was not begun: next is missing");
    if (is_earlier(d->to, v->state) && strcmp(v->memory, "reset"))
        return refuse_deed(d, 400, "malformed", "a volume does not go back");
    snprintf(v->state, sizeof(v->state), "%s", d->to);
    snprintf(v->memory, sizeof(v->memory), d->close ? "released" : "open");
    if (*d->next)
        snprintf(v->next, sizeof(v->next), "%s", d->next);
    if (d->close)
        v->lease[0] = 0;
    v->heard_ms = sb_wall_ms(d->r->server);
    d->v = *v;
    return 0;
}

static void do_deed(struct deed *d, int (*change)(struct sb_volume *v, void *arg))
{
    int rc = sb_volume_change(d->r->server->store, d->path, change, d);

    if (rc && d->out->status == 200)
        refuse_deed(d, 500, "store", "the broker's database cannot be changed");
}

// --- Answers ---

// A refusal that says, where it helps, what the broker has.
static void send_refusal(const struct deed *d)
{
    cJSON *o;
    char *text;

    sb_problem(d->r, d->out->status, d->out->code, d->out->detail);
    o = d->out->status == 409 && d->r->text ? cJSON_Parse(d->r->text) : NULL;
    if (!o)
        return;
    if (!strcmp(d->out->code, "held"))
        cJSON_AddNumberToObject(o, "lease-ms", SB_LEASE_MS);
    else
        cJSON_AddStringToObject(o, "state", d->v.state);
    text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    if (text) {
        free(d->r->text);
        d->r->text = text;
    }
}

static char *opened_text(const struct deed *d, const uint8_t key[KEY_SIZE])
{
    cJSON *o = cJSON_CreateObject();
    char *encoded = sb_base64url(key, KEY_SIZE), *text;

    cJSON_AddStringToObject(o, "key", encoded ? encoded : "");
    cJSON_AddStringToObject(o, "memory", *d->v.memory ? d->v.memory : "never");
    cJSON_AddStringToObject(o, "state", d->v.state);
    cJSON_AddStringToObject(o, "next", d->v.next);
    cJSON_AddStringToObject(o, "lease", d->read ? "" : d->v.lease);
    text = encoded ? cJSON_PrintUnformatted(o) : NULL;
    if (encoded)
        OPENSSL_cleanse(encoded, strlen(encoded));
    free(encoded);
    cJSON_Delete(o);
    return text;
}

static void send_opened(struct deed *d, const cJSON *payload, const uint8_t key[KEY_SIZE])
{
    char *text = opened_text(d, key), *jwe = NULL;

    if (!text || sb_jwe_encrypt(sv_json_get(payload, "tee-pubkey"), text, strlen(text), &jwe))
        refuse_deed(d, 500, "internal", "the answer cannot be encrypted");
    else
        sb_answer_json(d->r, jwe);
    if (text)
        OPENSSL_cleanse(text, strlen(text));
    free(text);
}

// The key first: without one nobody takes a lease.
static void open_with_key(struct deed *d, const cJSON *payload)
{
    uint8_t *key = NULL;
    size_t size = 0;
    int rc = sb_give_resource(d->r->server->store, d->path, &key, &size);

    if (rc == -ENOENT)
        refuse_deed(d, 404, "no-such-resource", "there is no such resource");
    else if (rc)
        refuse_deed(d, 500, "store", "the volume's key cannot be read");
    else if (size != KEY_SIZE)
        refuse_deed(d, 409, "no-key", "the resource is not the key of a volume: 32 bytes");
    else
        do_deed(d, open_volume);
    if (d->out->status == 200)
        send_opened(d, payload, key);
    if (key)
        OPENSSL_cleanse(key, size);
    free(key);
}

// Who may have the key may have the volume. NULL with a problem set.
static cJSON *admit_session(struct sb_request *r, const char *path, struct sb_judgement *out)
{
    cJSON *payload;

    if (!sb_path_ok(path)) {
        sb_problem(r, 400, "malformed", "a volume is named by its key: REPOSITORY/TYPE/TAG");
        return NULL;
    }
    payload = sb_check_token(r, false, out);
    if (!payload) {
        sb_problem(r, out->status, out->code, out->detail);
        return NULL;
    }
    sb_describe_attested(out, payload);
    sb_is_permitted(r, path, payload, out);
    return payload;
}

void sb_volume_open(struct sb_request *r, const char *path)
{
    struct sb_judgement out = {.status = 0};
    struct deed d = {.r = r, .path = path, .out = &out};
    cJSON *body = sb_body_json(r, VALUES_MAX), *payload;

    if (!body)
        return;
    d.read = cJSON_IsTrue(sv_json_get(body, "read-only"));
    payload = admit_session(r, path, &out);
    if (payload && out.status == 200)
        open_with_key(&d, payload);
    if (payload && out.status != 200)
        send_refusal(&d);
    if (out.status == 200)
        snprintf(out.detail, sizeof(out.detail), "%s%s%s", d.read ? "to read only" : "held",
                 d.fenced ? ", taken from the holder before" : "",
                 strcmp(d.v.memory, "reset") ? "" : ", whatever is found counts");
    if (payload)
        sb_log_attempt(r, "volume", &out, sv_json_text(payload, "jti"), path);
    cJSON_Delete(payload);
    cJSON_Delete(body);
}

static void advance_by(struct deed *d, const cJSON *body)
{
    uint64_t sequence, log;

    d->lease = sv_json_text(body, "lease");
    d->from = sv_json_text(body, "from");
    d->to = sv_json_text(body, "to");
    d->next = sv_json_text(body, "next");
    d->close = cJSON_IsTrue(sv_json_get(body, "close"));
    if (!is_hex(d->lease, 32) || !sb_volume_state_ok(d->to, &sequence, &log) ||
        (*d->from && !sb_volume_state_ok(d->from, &sequence, &log)) ||
        (*d->next && !is_hex(d->next, 16)))
        refuse_deed(d, 400, "malformed",
                    "lease has 32 hexadecimal digits, next 16, from and to are "
                    "SEQUENCE-LOG-ROOT");
    else
        do_deed(d, advance_volume);
}

static void answer_state(const struct deed *d)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "state", d->v.state);
    sb_answer_json(d->r, cJSON_PrintUnformatted(o));
    cJSON_Delete(o);
}

// Once a second from each holder: the log has the first one, the last one and what was refused.
void sb_volume_advance(struct sb_request *r, const char *path)
{
    struct sb_judgement out = {.status = 0};
    struct deed d = {.r = r, .path = path, .out = &out};
    cJSON *body = sb_body_json(r, VALUES_MAX), *payload;

    if (!body)
        return;
    payload = admit_session(r, path, &out);
    if (payload && out.status == 200)
        advance_by(&d, body);
    if (payload && out.status != 200)
        send_refusal(&d);
    if (out.status == 200) {
        answer_state(&d);
        snprintf(out.detail, sizeof(out.detail), "%s at %.40s", d.close ? "released" : "begun",
                 d.v.state);
    }
    if (payload && (out.status != 200 || d.close || *d.next))
        sb_log_attempt(r, "volume", &out, sv_json_text(payload, "jti"), path);
    cJSON_Delete(payload);
    cJSON_Delete(body);
}
