// SPDX-License-Identifier: Apache-2.0
// Requests in, answers out: routing and limits.
#include "verifier/broker/http.h"
#include "verifier/broker/jose.h"
#include "verifier/broker/rcar.h"
#include "lib/number.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

// A request that has not arrived whole after this long is given up, however it drips.
#define WHOLE_MS 30000

static void serve_jwks(struct sb_request *r)
{
    cJSON *set = cJSON_CreateObject(), *keys = cJSON_AddArrayToObject(set, "keys");

    cJSON_AddItemToArray(keys, sb_jwk_public(sb_store_key(r->server->store)));
    sb_answer_json(r, cJSON_PrintUnformatted(set));
    cJSON_Delete(set);
}

static void route_request(struct sb_request *r, const char *method)
{
    static const char resource[] = "/kbs/v0/resource/";
    bool get = !strcmp(method, "GET"), post = !strcmp(method, "POST");
    bool is_auth = !strcmp(r->url, "/kbs/v0/auth"), is_attest = !strcmp(r->url, "/kbs/v0/attest");
    bool is_resource = !strncmp(r->url, resource, sizeof(resource) - 1);
    bool is_jwks = !strcmp(r->url, "/.well-known/jwks.json");
    bool is_health = !strcmp(r->url, "/healthz");

    if (!is_auth && !is_attest && !is_resource && !is_jwks && !is_health) {
        sb_problem(r, 404, "no-such-endpoint", "there is no such endpoint");
    } else if (is_auth || is_attest ? !post : !get) {
        sb_problem(r, 405, "method", "this endpoint has another method");
        r->allow = is_auth || is_attest ? "POST" : "GET";
    } else if (is_auth) {
        sb_auth(r);
    } else if (is_attest) {
        sb_attest(r);
    } else if (is_resource) {
        sb_resource(r, r->url + sizeof(resource) - 1);
    } else if (is_jwks) {
        serve_jwks(r);
    } else {
        sb_answer_json(r, strdup("{\"status\":\"ok\"}"));
    }
}

static void add_header(struct MHD_Response *m, const char *name, const char *value)
{
    if (value && *value)
        MHD_add_response_header(m, name, value);
}

static enum MHD_Result send_answer(struct sb_request *r)
{
    const char *text = r->text ? r->text : "";
    struct MHD_Response *m = MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
                                                             MHD_RESPMEM_MUST_COPY);
    enum MHD_Result sent;

    if (!m)
        return MHD_NO;
    add_header(m, "Content-Type", r->type);
    add_header(m, "Cache-Control", "no-store");
    add_header(m, "X-Content-Type-Options", "nosniff");
    add_header(m, "Set-Cookie", r->cookie);
    add_header(m, "Allow", r->allow);
    add_header(m, "WWW-Authenticate", r->www_authenticate);
    add_header(m, "Retry-After", r->retry_after ? "1" : NULL);
    sent = MHD_queue_response(r->connection, (unsigned)r->status, m);
    MHD_destroy_response(m);
    return sent;
}

static void name_peer(struct sb_request *r)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *a = info ? info->client_addr : NULL;

    r->peer_id = sb_peer(a);
    if (a && a->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, r->peer, sizeof(r->peer));
    else if (a && a->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)a)->sin6_addr, r->peer, sizeof(r->peer));
}

// Headers are there, the body is not: refuse now what needs no body.
static enum MHD_Result begin_request(struct sb_server *s, struct MHD_Connection *c, const char *url,
                                     void **request)
{
    struct sb_request *r = calloc(1, sizeof(*r));
    const char *length = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");

    if (!r)
        return MHD_NO;
    *request = r;
    r->server = s;
    r->connection = c;
    r->url = url;
    r->started_ms = sb_clock_ms();
    name_peer(r);
    if (!sb_limit_take(&s->limit, r->peer_id, r->started_ms)) {
        sb_problem(r, 429, "rate", "this peer asks too often");
        return send_answer(r);
    }
    if (length && sh_parse_number(length, 0, s->body_max, &(uint64_t){0}) == -ERANGE) {
        sb_problem(r, 413, "too-large", "the request's body is too large");
        return send_answer(r);
    }
    return MHD_YES;
}

// False when the request is hopeless.
static bool take_body(struct sb_request *r, const char *data, size_t size)
{
    if (sb_clock_ms() - r->started_ms > WHOLE_MS)
        return false;
    if (size > r->server->body_max - r->body_size) {
        sb_problem(r, 413, "too-large", "the request's body is too large");
        return true; // the rest is read and dropped
    }
    if (r->body_size + size + 1 > r->body_room) {
        size_t room = 2 * (r->body_size + size) + 1024;
        char *grown = realloc(r->body, room);

        if (!grown)
            return false;
        r->body = grown;
        r->body_room = room;
    }
    memcpy(r->body + r->body_size, data, size);
    r->body_size += size;
    r->body[r->body_size] = 0;
    return true;
}

enum MHD_Result sb_http_handle(void *cls, struct MHD_Connection *c, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_size, void **request)
{
    struct sb_request *r = *request;

    if (!r)
        return begin_request(cls, c, url, request);
    r->url = url;
    if (*upload_size) {
        if (!r->status && !take_body(r, upload, *upload_size))
            return MHD_NO;
        // Chunked and endless: enough is enough.
        if (r->status && sb_clock_ms() - r->started_ms > WHOLE_MS)
            return MHD_NO;
        if (r->status && (r->body_room += *upload_size) > 4 * r->server->body_max)
            return MHD_NO;
        *upload_size = 0;
        return MHD_YES;
    }
    if (!r->status)
        route_request(r, method);
    return send_answer(r);
}

void sb_http_completed(void *cls, struct MHD_Connection *c, void **request,
                       enum MHD_RequestTerminationCode why)
{
    struct sb_request *r = *request;

    if (!r)
        return;
    free(r->body);
    free(r->text);
    free(r);
    *request = NULL;
}
