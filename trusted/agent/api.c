// SPDX-License-Identifier: Apache-2.0
// The local API: what CoCo's api-server-rest serves, and RA-TLS certificates.
#include <asm/errno.h>
#include <string.h>

#include "lib/base64.h"
#include "trusted/agent/query.h"
#include "trusted/agent/state.h"

#define JSON "application/json"
#define RESOURCE "/cdh/resource/"
#define HSM "/cdh/hsm/"

static void take_text(struct agent_reply *reply, int status, const char *type, struct agent_text *t)
{
    *reply = (struct agent_reply){.status = status, .type = type};
    if (t->failed) {
        agent_text_free(t);
        reply->status = 503;
        return;
    }
    reply->body = (uint8_t *)t->data;
    reply->size = t->size;
}

static void send_error(struct agent_reply *reply, int status, const char *text)
{
    struct agent_text t = {0};
    agent_text_str(&t, "{\"error\":");
    agent_text_json(&t, text, strlen(text));
    agent_text_str(&t, "}\n");
    take_text(reply, status, JSON, &t);
}

static int status_of(int rc)
{
    switch (rc) {
    case -EINVAL:
        return 400;
    case -EPERM:
        return 403;
    case -ENOENT:
        return 404;
    case -ENODEV:
    case -EDESTADDRREQ:
        return 501;
    default:
        return 503;
    }
}

/* A parameter of at most 64 bytes: its size, or -1 with reply filled. need: it must be there. */
static int read_parameter(struct sh_view query, const char *name, bool need, uint8_t out[64],
                          struct agent_reply *reply)
{
    struct agent_error e;
    int n = agent_query_get(query, name, out, 64);
    if (n >= 0)
        return n;
    if (n == -ENOENT && !need)
        return 0;
    agent_fail(&e, n, name,
               n == -ENOENT  ? " is missing"
               : n == -E2BIG ? " is longer than 64 bytes"
                             : " is badly escaped",
               NULL);
    send_error(reply, 400, e.text);
    return -1;
}

/* runtime_data as it is, or with encoding=base64 what it is the base64 of (either alphabet, padded
 * or not). False with reply filled. */
static bool read_runtime_data(struct sh_view query, uint8_t out[64], struct agent_reply *reply)
{
    uint8_t how[64], text[96] = {0};
    char c[sizeof(text)];
    int n = read_parameter(query, "encoding", false, how, reply), size;
    if (n < 0)
        return false;
    if (!n)
        return read_parameter(query, "runtime_data", true, out, reply) >= 0;
    size = agent_query_get(query, "runtime_data", text, sizeof(text));
    while (size > 0 && text[size - 1] == '=')
        size--;
    for (int i = 0; i < size; i++)
        c[i] = (char)(text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]);
    if (agent_same((char *)how, (size_t)n, "base64") && size >= 0 &&
        sh_unbase64url(out, 64, c, (size_t)size) >= 0)
        return true;
    send_error(reply, 400, "encoding is base64 or left out, and runtime_data of at most 64 bytes");
    return false;
}

static void serve_evidence(struct agent *a, struct sh_view query, struct agent_reply *reply)
{
    uint8_t report_data[64] = {0};
    struct agent_text t = {0};
    struct agent_error e;
    if (!read_runtime_data(query, report_data, reply))
        return;
    int rc = agent_evidence_text(&t, report_data, &a->events, false, &e);
    if (!rc) {
        agent_text_str(&t, "\n");
        take_text(reply, 200, JSON, &t);
        return;
    }
    agent_text_free(&t);
    send_error(reply, status_of(rc), e.text);
}

/* {"token": JWT, "tee_keypair": PEM}, as CoCo's agent gives it for token_type=kbs. */
static void serve_token(struct agent *a, struct sh_view query, struct agent_reply *reply)
{
    uint8_t type[64];
    struct agent_text t = {0}, pem = {0};
    struct agent_error e;
    int n = read_parameter(query, "token_type", true, type, reply);
    if (n < 0)
        return;
    if (!agent_same((char *)type, (size_t)n, "kbs")) {
        send_error(reply, 400, "token_type is not kbs, the only one there is");
        return;
    }
    int rc = a->token.size ? 0 : agent_attest(a, &e);
    agent_client_close(&a->client);
    if (rc) {
        send_error(reply, status_of(rc), e.text);
        return;
    }
    agent_key_pem(a->key, &pem);
    agent_text_str(&t, "{\"token\":");
    agent_text_json(&t, a->token.data, a->token.size);
    agent_text_str(&t, ",\"tee_keypair\":");
    agent_text_json(&t, pem.data, pem.size);
    agent_text_str(&t, "}\n");
    t.failed = t.failed || pem.failed || !pem.size;
    agent_text_free(&pem);
    take_text(reply, 200, JSON, &t);
}

/* Evidence of further devices by their kind: none has one here. */
static void serve_additional(struct agent *a, struct sh_view query, struct agent_reply *reply)
{
    uint8_t report_data[64] = {0};
    struct agent_text t = {0};
    if (!read_runtime_data(query, report_data, reply))
        return;
    agent_text_str(&t, "{}\n");
    take_text(reply, 200, JSON, &t);
}

static void serve_info(struct agent *a, struct sh_view query, struct agent_reply *reply)
{
    struct agent_text t = {0};
    agent_text_str(&t, "{\"version\":\"shelter\",\"tee\":");
    agent_text_json(&t, agent_os_tee(), strlen(agent_os_tee()));
    agent_text_str(&t, ",\"additional_tees\":[],\"feature\":\"all\"}\n");
    take_text(reply, 200, JSON, &t);
}

/* And is there something behind it? */
static bool starts_with(const char *path, const char *prefix)
{
    size_t n = strlen(prefix);
    return !strncmp(path, prefix, n) && path[n];
}

/* A resource, or what a key of the broker's token makes of the body. */
static void serve_broker(struct agent *a, const char *path, struct sh_view body,
                         struct agent_reply *reply)
{
    struct agent_error e;
    uint8_t *data = NULL;
    size_t size = 0;
    bool hsm = starts_with(path, HSM);
    int rc = hsm ? agent_hsm(a, path + sizeof(HSM) - 1, body, &data, &size, &e)
                 : agent_resource(a, path + sizeof(RESOURCE) - 1, &data, &size, &e);
    agent_client_close(&a->client);
    if (rc)
        send_error(reply, status_of(rc), e.text);
    else
        *reply = (struct agent_reply){
            200, starts_with(path, HSM "sign/") ? JSON : "application/octet-stream", data, size};
}

static void ra_tls(struct agent *a, struct sh_view query, struct agent_reply *reply)
{
    uint8_t nonce[64];
    struct agent_error e;
    char *pem;
    size_t size;
    int n = read_parameter(query, "nonce", false, nonce, reply);
    if (n < 0)
        return;
    int rc = agent_ra_tls(a, nonce, (size_t)n, &pem, &size, &e);
    if (rc)
        send_error(reply, status_of(rc), e.text);
    else
        *reply = (struct agent_reply){200, "application/x-pem-file", (uint8_t *)pem, size};
}

/* {"domain", "operation", "content"}, as CoCo's agent takes it. Ours are of the domain "shelter".
 */
static void take_event(struct agent *a, struct sh_view body, struct agent_reply *reply)
{
    static const char *const names[] = {"domain", "operation", "content"};
    struct agent_text t = {0};
    struct agent_error e;
    struct agent_json o;
    char *text[3];
    size_t room = body.size + 1;
    char *all = agent_os_alloc(3 * room);
    int rc = !all                                                       ? -ENOMEM
             : agent_json_check(&o, (const char *)body.data, body.size) ? -EBADMSG
                                                                        : 0;
    for (size_t i = 0; !rc && i < 3; i++) {
        text[i] = all + i * room;
        if (agent_json_member(o, names[i], text[i], room) < 0)
            rc = -EBADMSG;
    }
    if (rc == -EBADMSG)
        send_error(reply, 400, "the body is not a JSON object with domain, operation and content");
    else if (!rc && !strcmp(text[0], "shelter"))
        send_error(reply, 403, "events of the domain 'shelter' are the agent's own");
    else if (rc || (rc = agent_event(a, text[0], text[1], text[2], &e)))
        send_error(reply, rc == -EINVAL ? 400 : 503, rc == -ENOMEM ? "no memory" : e.text);
    else {
        agent_text_str(&t, "{\"success\":\"true\"}\n");
        take_text(reply, 200, JSON, &t);
    }
    agent_os_free(all);
}

/* CoCo's clients send no header of ours, so what is CoCo's asks for it only in images that say so;
 * what is ours always does. */
static const struct {
    const char *path;
    void (*answer)(struct agent *a, struct sh_view query, struct agent_reply *reply);
    bool ours; /* not CoCo's */
    bool raw;  /* what binds whatever the asker likes */
    const char *takes[3];
} paths[] = {
    {"/aa/evidence", serve_evidence, false, true, {"runtime_data", "encoding", NULL}},
    {"/aa/additional-evidence", serve_additional, false, true, {"runtime_data", "encoding", NULL}},
    {"/aa/token", serve_token, false, true, {"token_type", NULL}},
    {"/aa/ra-tls", ra_tls, true, false, {"nonce", NULL}},
    {"/info", serve_info, false, false, {NULL}}};

/* May whoever sent it have an answer? If not, reply is filled. */
static bool check_sender(const struct agent *a, const char *path, unsigned who,
                         struct agent_reply *reply)
{
    bool header = a->settings->agent_header || starts_with(path, HSM), raw = false;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (!strcmp(path, paths[i].path)) {
            header = header || paths[i].ours;
            raw = paths[i].raw;
        }
    if (!(who & AGENT_FROM_HERE))
        send_error(reply, 403,
                   "only for programs in here: Host must be 127.0.0.1, localhost or [::1], and "
                   "no header may say that a browser or proxy sent it");
    else if (header && !(who & AGENT_HEADER))
        send_error(reply, 403, "this needs the header 'Shelter-Request: 1'");
    else if (raw && a->settings->no_evidence)
        send_error(reply, 403, "the image was built with --no-evidence");
    else
        return true;
    return false;
}

bool agent_asks_broker(const char *path)
{
    return !strcmp(path, "/aa/token") || starts_with(path, RESOURCE) || starts_with(path, HSM);
}

void agent_answer(struct agent *a, const char *method, const char *path, struct sh_view query,
                  struct sh_view body, unsigned who, struct agent_reply *reply)
{
    bool get = !strcmp(method, "GET");
    if (!check_sender(a, path, who, reply))
        return;
    if (!strcmp(path, "/aa/aael")) {
        if (strcmp(method, "POST"))
            send_error(reply, 405, "only POST");
        else if (query.size)
            send_error(reply, 400, "a parameter is unknown, there twice or without a value");
        else
            take_event(a, body, reply);
        return;
    }
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (strcmp(path, paths[i].path))
            continue;
        if (!get)
            send_error(reply, 405, "only GET");
        else if (!agent_query_known(query, paths[i].takes))
            send_error(reply, 400, "a parameter is unknown, there twice or without a value");
        else
            paths[i].answer(a, query, reply);
        return;
    }
    if (starts_with(path, RESOURCE) || starts_with(path, HSM)) {
        bool post = starts_with(path, HSM);
        if (strcmp(method, post ? "POST" : "GET"))
            send_error(reply, 405, post ? "only POST" : "only GET");
        else
            serve_broker(a, path, body, reply);
        return;
    }
    send_error(reply, 404,
               "no such resource; there are /aa/evidence, /aa/token, /aa/ra-tls, /cdh/resource/ "
               "and /cdh/hsm/");
}

void agent_reply_free(struct agent_reply *reply)
{
    if (reply->body)
        agent_wipe(reply->body, reply->size);
    agent_os_free(reply->body);
    *reply = (struct agent_reply){0};
}
