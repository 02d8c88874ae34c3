// SPDX-License-Identifier: Apache-2.0
// What the HTTP library calls, and what the endpoints share.
#ifndef VERIFIER_BROKER_HTTP_H
#define VERIFIER_BROKER_HTTP_H

#include <microhttpd.h>

#include "verifier/broker/server.h"

enum MHD_Result sb_http_handle(void *cls, struct MHD_Connection *c, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_size, void **request);
void sb_http_completed(void *cls, struct MHD_Connection *c, void **request,
                       enum MHD_RequestTerminationCode why);

// One request and what will be answered.
struct sb_request {
    struct sb_server *server;
    struct MHD_Connection *connection;
    const char *url;
    char peer[64]; // as text
    uint64_t peer_id;
    int64_t started_ms;
    char *body;
    size_t body_size, body_room;
    // The answer
    int status;
    char *text; // owned
    const char *type;
    char cookie[160];  // Set-Cookie
    const char *allow; // Allow
    const char *www_authenticate;
    bool retry_after;
};

// Sets a problem as the answer.
void sb_problem(struct sb_request *r, int status, const char *code, const char *detail);
void sb_answer_json(struct sb_request *r, char *text); // takes text; NULL is a 500

// Endpoints.
void sb_auth(struct sb_request *r);
void sb_attest(struct sb_request *r);
void sb_resource(struct sb_request *r, const char *path);

int64_t sb_clock_ms(void);               // monotonic
int64_t sb_wall_ms(struct sb_server *s); // wall clock, never going back while we run

#endif
