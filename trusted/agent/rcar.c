// SPDX-License-Identifier: Apache-2.0
// RCAR, the key broker protocol of the Confidential Containers project: 0.4.0, and 0.2.0 where the
// broker knows no better. docs/broker.md has the messages.
#include <asm/errno.h>
#include <string.h>

#include "lib/sha2.h"
#include "trusted/agent/state.h"

#define NONCE_TEXT_MAX 256u
#define TOKEN_MAX 131072u
#define TRIES 4u
#ifndef BACK_OFF_MS
#define BACK_OFF_MS 400u
#endif

/* What the broker says of its refusal, if it is a problem document: at most 160 bytes of it. */
static void detail_of(const struct agent_response *r, char out[161])
{
    static const char *const names[] = {"detail", "title", "error"};
    struct agent_json o;
    char text[1024];
    out[0] = 0;
    if (agent_json_check(&o, r->body.data ? r->body.data : "", r->body.size))
        return;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !out[0]; i++) {
        long n = agent_json_member(o, names[i], text, sizeof(text));
        if (n <= 0)
            continue;
        n = n > 160 ? 160 : n;
        memcpy(out, text, (size_t)n);
        out[n] = 0;
    }
}

int agent_refused(struct agent *a, const struct agent_response *r, const char *what,
                  struct agent_error *e)
{
    char name[300], status[21], detail[161];
    bool later = r->status == 429 || r->status == 503;
    int code = later                                  ? -EAGAIN
               : r->status == 401 || r->status == 403 ? -EPERM
               : r->status == 404                     ? -ENOENT
                                                      : -EPROTO;
    agent_client_name(&a->client, name);
    detail_of(r, detail);
    if (r->status >= 300 && r->status < 400)
        return agent_fail(
            e, -EPROTO, "the key broker at ", name, " wants to send us elsewhere (status ",
            agent_number(status, (uint64_t)r->status), "); redirects are not followed", NULL);
    return agent_fail(e, code, "the key broker at ", name, later ? " is busy: " : " refuses ", what,
                      " (status ", agent_number(status, (uint64_t)r->status), *detail ? "): " : ")",
                      detail, NULL);
}

static bool text_mentions(const struct agent_text *t, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= t->size; i++)
        if (!memcmp(t->data + i, word, n))
            return true;
    return false;
}

int agent_body(struct agent *a, const struct agent_response *r, struct agent_json *o,
               struct agent_error *e)
{
    char name[300];
    agent_client_name(&a->client, name);
    return agent_json_check(o, r->body.data ? r->body.data : "", r->body.size)
               ? agent_fail(e, -EPROTO, "the key broker at ", name, " answered no JSON", NULL)
               : 0;
}

static bool nonce_ok(const char *nonce, long size)
{
    if (size < 8)
        return false;
    for (long i = 0; i < size; i++) {
        char c = nonce[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
              c == '+' || c == '/' || c == '-' || c == '_' || c == '='))
            return false;
    }
    return true;
}

/* Our hash is SHA-384; a broker that chose another one would refuse the evidence. */
static bool hash_ok(struct agent_json o)
{
    struct agent_json extra;
    char word[16];
    if (!agent_json_get(o, "extra-params", &extra))
        return true;
    long n = agent_json_member(extra, "selected-hash-algorithm", word, sizeof(word));
    return n == -ENOENT || (n > 0 && (!strcmp(word, "sha384") || !strcmp(word, "sha-384")));
}

/* Shelter's broker takes the measured log as additional evidence; others know only devices there.
 */
static bool log_taken(struct agent_json o)
{
    struct agent_json extra;
    char word[16];
    return agent_json_get(o, "extra-params", &extra) &&
           agent_json_member(extra, "measured-log", word, sizeof(word)) > 0 &&
           !strcmp(word, "shelter-aael");
}

/* {"shelter-aael": base64}, or nothing. */
static void additional_evidence(const struct agent *a, struct agent_text *t)
{
    if (a->old || !a->takes_log || !agent_events_bound(&a->events))
        return;
    agent_text_str(t, "{\"shelter-aael\":\"");
    agent_text_base64(t, a->events.log.data, a->events.log.size);
    agent_text_str(t, "\"}");
}

static int take_challenge(struct agent *a, const struct agent_response *r,
                          char nonce[NONCE_TEXT_MAX], struct agent_error *e)
{
    struct agent_json o;
    int rc = agent_body(a, r, &o, e);
    if (rc)
        return rc;
    if (!nonce_ok(nonce, agent_json_member(o, "nonce", nonce, NONCE_TEXT_MAX)))
        return agent_fail(e, -EPROTO, "the key broker's challenge has no usable nonce", NULL);
    if (!r->cookie[0])
        return agent_fail(e, -EPROTO, "the key broker opened no session (cookie kbs-session-id)",
                          NULL);
    if (!hash_ok(o))
        return agent_fail(e, -EPROTO, "the key broker wants another hash than SHA-384", NULL);
    a->takes_log = log_taken(o);
    memcpy(a->cookie, r->cookie, sizeof(a->cookie));
    return 0;
}

/* POST /auth. -EPROTONOSUPPORT: this broker does not know the version. */
static int ask_challenge(struct agent *a, char nonce[NONCE_TEXT_MAX], struct agent_error *e)
{
    struct agent_text t = {0};
    struct agent_response r;
    char tee[8];
    agent_tee_word(tee);
    agent_text_str(&t, "{\"extra-params\":{\"supported-hash-algorithms\":[\"sha384\"]},\"tee\":\"");
    agent_text_str(&t, tee);
    agent_text_str(&t, a->old ? "\",\"version\":\"0.2.0\"}" : "\",\"version\":\"0.4.0\"}");
    struct agent_call call = {
        .method = "POST", .path = "/kbs/v0/auth", .body = t.data, .body_size = t.size};
    int rc = t.failed ? agent_fail(e, -ENOMEM, "no memory to attest", NULL)
                      : agent_client_call(&a->client, &call, &r, e);
    agent_text_free(&t);
    if (rc)
        return rc;
    if (r.status == 200)
        rc = take_challenge(a, &r, nonce, e);
    else if (!a->old && r.status >= 400 && r.status < 500 &&
             (text_mentions(&r.body, "ersion") || text_mentions(&r.body, "extra-params")))
        rc = -EPROTONOSUPPORT;
    else
        rc = agent_refused(a, &r, "to open a session", e);
    agent_response_free(&r);
    return rc;
}

/* report_data: SHA-384 of what is bound, in canonical form, and zeros. */
static void bind_key(struct agent *a, const char *nonce, const struct agent_text *jwk,
                     const struct agent_text *more, uint8_t report_data[64], struct agent_text *t)
{
    agent_text_str(t, "{");
    if (!a->old) {
        agent_text_str(t, "\"additional-evidence\":");
        agent_text_json(t, more->data, more->size);
        agent_text_str(t, ",");
    }
    agent_text_str(t, "\"nonce\":\"");
    agent_text_str(t, nonce);
    agent_text_str(t, "\",\"tee-pubkey\":");
    agent_text_add(t, jwk->data, jwk->size);
    agent_text_str(t, "}");
    memset(report_data, 0, 64);
    if (!t->failed)
        sh_sha384(report_data, t->data, t->size);
}

static void attestation_text(struct agent *a, const char *nonce, const struct agent_text *jwk,
                             const struct agent_text *more, const struct agent_text *evidence,
                             struct agent_text *t)
{
    char tee[8];
    agent_tee_word(tee);
    agent_text_str(t, "{");
    /* On CSV the launch config is part of the measurement, and cannot be shown by a digest. */
    if (strcmp(tee, "csv")) {
        agent_text_str(t, "\"init-data\":{\"body\":");
        agent_text_json(t, a->launch.data, a->launch.size);
        agent_text_str(t, ",\"format\":\"toml\"},");
    }
    if (a->old) {
        agent_text_str(t, "\"tee-evidence\":");
        agent_text_add(t, evidence->data, evidence->size);
        agent_text_str(t, ",\"tee-pubkey\":");
        agent_text_add(t, jwk->data, jwk->size);
    } else {
        agent_text_str(t, "\"runtime-data\":{\"nonce\":\"");
        agent_text_str(t, nonce);
        agent_text_str(t, "\",\"tee-pubkey\":");
        agent_text_add(t, jwk->data, jwk->size);
        agent_text_str(t, "},\"tee-evidence\":{\"additional_evidence\":");
        agent_text_json(t, more->data, more->size);
        agent_text_str(t, ",\"primary_evidence\":");
        agent_text_add(t, evidence->data, evidence->size);
        agent_text_str(t, "}");
    }
    agent_text_str(t, "}");
}

/* A JWS in compact form: three parts of base64url; anything else would end up in a header. */
static bool token_ok(const char *token, long size)
{
    int dots = 0;
    for (long i = 0; i < size; i++) {
        char c = token[i];
        dots += c == '.';
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
              c == '-' || c == '_' || c == '.'))
            return false;
    }
    return size > 0 && dots == 2;
}

static int take_token(struct agent *a, const struct agent_response *r, struct agent_error *e)
{
    struct agent_json o;
    int rc = agent_body(a, r, &o, e);
    size_t room = r->body.size < TOKEN_MAX ? r->body.size : TOKEN_MAX; /* with its quotes */
    char *token = rc ? NULL : agent_os_alloc(room);
    if (!rc && !token)
        rc = agent_fail(e, -ENOMEM, "no memory for the broker's token", NULL);
    if (!rc && !token_ok(token, agent_json_member(o, "token", token, room)))
        rc = agent_fail(e, -EPROTO, "the key broker accepted the evidence but gave no token", NULL);
    if (!rc) {
        agent_text_str(&a->token, token);
        if (r->cookie[0])
            memcpy(a->cookie, r->cookie, sizeof(a->cookie));
        if (a->token.failed)
            rc = agent_fail(e, -ENOMEM, "no memory for the broker's token", NULL);
    }
    if (token)
        agent_wipe(token, room);
    agent_os_free(token);
    return rc;
}

static int send_attestation(struct agent *a, const struct agent_text *body, struct agent_error *e)
{
    struct agent_response r;
    struct agent_call call = {.method = "POST",
                              .path = "/kbs/v0/attest",
                              .cookie = a->cookie,
                              .body = body->data,
                              .body_size = body->size};
    int rc = agent_client_call(&a->client, &call, &r, e);
    if (rc)
        return rc;
    if (r.status == 200) {
        rc = take_token(a, &r, e);
    } else {
        rc = agent_refused(a, &r, "the attestation", e);
        if (r.status == 409) /* our own request that was sent again, or an expired session */
            rc = -EAGAIN;
        /* Brokers of old take RSA keys only, and say so. */
        if (rc != -EAGAIN && !a->rsa && text_mentions(&r.body, "RSA")) {
            a->rsa = true;
            rc = -EAGAIN;
        }
    }
    agent_response_free(&r);
    return rc;
}

/* Evidence over nonce and key, and its delivery. */
static int prove_identity(struct agent *a, const char *nonce, struct agent_error *e)
{
    struct agent_text jwk = {0}, more = {0}, bound = {0}, evidence = {0}, body = {0};
    uint8_t report_data[64];
    agent_key_jwk(a->key, &jwk);
    additional_evidence(a, &more);
    bind_key(a, nonce, &jwk, &more, report_data, &bound);
    int rc = bound.failed || more.failed
                 ? agent_fail(e, -ENOMEM, "no memory to attest", NULL)
                 : agent_evidence_text(&evidence, report_data, &a->events, false, e);
    if (!rc) {
        attestation_text(a, nonce, &jwk, &more, &evidence, &body);
        rc = body.failed ? agent_fail(e, -ENOMEM, "no memory to attest", NULL)
                         : send_attestation(a, &body, e);
    }
    agent_text_free(&jwk);
    agent_text_free(&more);
    agent_text_free(&bound);
    agent_text_free(&evidence);
    agent_text_free(&body);
    return rc;
}

static int shake_hands(struct agent *a, struct agent_error *e)
{
    char nonce[NONCE_TEXT_MAX];
    agent_text_free(&a->token);
    agent_key_free(a->key);
    a->cookie[0] = 0;
    a->key = agent_key_new(a->rsa);
    if (!a->key)
        return agent_fail(e, -ENOMEM, "no key for the broker: no memory or no random bytes", NULL);
    int rc = ask_challenge(a, nonce, e);
    if (rc == -EPROTONOSUPPORT) {
        a->old = true;
        rc = ask_challenge(a, nonce, e);
    }
    return rc ? rc : prove_identity(a, nonce, e);
}

static void log_success(struct agent *a)
{
    char name[300], line[400];
    const char *parts[] = {"attested to ", name, ", protocol ", a->old ? "0.2.0" : "0.4.0"};
    size_t at = 0;
    agent_client_name(&a->client, name);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        size_t n = strlen(parts[i]);
        memcpy(line + at, parts[i], n);
        at += n;
    }
    line[at] = 0;
    agent_os_log(line);
}

static int check_broker(struct agent *a, struct agent_error *e)
{
    if (!a->has_broker)
        return agent_fail(e, -EDESTADDRREQ, "there is no key broker to attest to; name one with -i",
                          NULL);
    if (a->bad_url)
        return agent_fail(e, -EINVAL,
                          "the key broker's address is not http(s)://HOST[:PORT][/PATH]", NULL);
    if (!a->client.url.tls && a->client.pin.size)
        return agent_fail(e, -EPERM,
                          "the image pins its broker's key (--broker-key), and http://"
                          " cannot show one; give -i an https address",
                          NULL);
    return 0;
}

int agent_attest(struct agent *a, struct agent_error *e)
{
    int rc = check_broker(a, e);
    for (unsigned try = 0; !rc; try++) {
        rc = shake_hands(a, e);
        if (!rc) {
            log_success(a);
            return 0;
        }
        agent_client_close(&a->client);
        if (rc != -EAGAIN || try + 1 == TRIES ||
            !agent_client_pause(&a->client, BACK_OFF_MS << try))
            break;
        rc = 0;
    }
    agent_text_free(&a->token);
    agent_client_close(&a->client);
    return rc;
}

/* --- Resources --- */

static bool path_ok(const char *path)
{
    unsigned slashes = 0, since = 0;
    size_t size = strlen(path);
    for (size_t i = 0; i < size; i++) {
        char c = path[i];
        if (c == '/') {
            if (!since || (since == 1 && path[i - 1] == '.'))
                return false;
            slashes++;
            since = 0;
            continue;
        }
        since++;
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
              c == '-' || c == '_' || c == '.') ||
            (c == '.' && since > 1 && path[i - 1] == '.'))
            return false;
    }
    return slashes == 2 && since && size <= 256;
}

int agent_may_ask(struct agent *a, const char *path, struct agent_error *e)
{
    int rc = check_broker(a, e);
    if (!rc && !path_ok(path))
        rc = agent_fail(e, -EINVAL, "a resource is REPOSITORY/TYPE/TAG", NULL);
    if (!rc && !a->client.pin.size)
        rc = agent_fail(e, -EPERM,
                        "without the broker's key in the image (--broker-key) whatever is"
                        " fetched could be the host's",
                        NULL);
    return rc;
}

int agent_ask(struct agent *a, const struct agent_call *call, struct agent_response *r,
              struct agent_error *e)
{
    struct agent_call c = *call;
    for (bool again = false;; again = true) {
        int rc = a->token.size ? 0 : agent_attest(a, e);
        if (rc)
            return rc;
        c.cookie = a->cookie;
        c.token = a->token.data;
        rc = agent_client_call(&a->client, &c, r, e);
        if (rc || r->status != 401 || again)
            return rc;
        agent_text_free(&a->token); /* the session has expired meanwhile */
        agent_response_free(r);
    }
}

static int get_resource(struct agent *a, const char *path, uint8_t **out, size_t *size,
                        struct agent_error *e)
{
    char full[320] = "/kbs/v0/resource/";
    struct agent_response r;
    struct agent_json o;
    memcpy(full + strlen(full), path, strlen(path) + 1);
    struct agent_call call = {.method = "GET", .path = full};
    int rc = agent_ask(a, &call, &r, e);
    if (rc)
        return rc;
    rc = r.status != 200 ? agent_refused(a, &r, path, e) : agent_body(a, &r, &o, e);
    if (!rc)
        rc = agent_jwe_open(a->key, o, out, size, e);
    a->version = r.version;
    agent_response_free(&r);
    return rc;
}

int agent_resource(struct agent *a, const char *path, uint8_t **out, size_t *size,
                   struct agent_error *e)
{
    int rc = agent_may_ask(a, path, e);
    for (unsigned try = 0; !rc && try < TRIES; try++) {
        rc = get_resource(a, path, out, size, e);
        if (!rc)
            return 0;
        if (rc == -EAGAIN && try + 1 < TRIES && agent_client_pause(&a->client, BACK_OFF_MS << try))
            rc = 0;
    }
    return rc;
}
