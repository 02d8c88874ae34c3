// SPDX-License-Identifier: Apache-2.0
// One request and its answer: what the HTTP side fills in and the endpoints answer with.
#ifndef VERIFIER_BROKER_ANSWER_H
#define VERIFIER_BROKER_ANSWER_H

#include <microhttpd.h>

#include "verifier/broker/server.h"

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

int64_t sb_clock_ms(void);               // monotonic
int64_t sb_wall_ms(struct sb_server *s); // wall clock, never going back while we run

#endif
