// SPDX-License-Identifier: Apache-2.0
// One request and its answer: what the HTTP side fills in and the endpoints answer with.
#ifndef VERIFIER_BROKER_ANSWER_H
#define VERIFIER_BROKER_ANSWER_H

#include "verifier/broker/clock.h"
#include "verifier/broker/server.h"

#define SB_URL_MAX 512
#define SB_BEARER_MAX 16384

struct MHD_Connection;
struct sb_route;

struct sb_request {
    struct sb_item item; // first: in the queue of work
    struct sb_server *server;
    struct sb_face *face;
    struct MHD_Connection *connection;
    struct sb_place *place;
    const struct sb_route *route;
    const char *rest; // of the URL, behind the route's path
    char url[SB_URL_MAX];
    char peer[64]; // as text
    uint64_t peer_id;
    char session[SB_SESSION_ID_SIZE]; // of the cookie; "" where there is none
    char *bearer;                     // the token of Authorization; NULL where there is none
    char *body;
    size_t body_size, body_room, dropped;
    // The answer
    int status;
    char *text; // owned
    const char *type;
    char cookie[320];  // Set-Cookie
    const char *allow; // Allow
    const char *www_authenticate;
    bool retry_after;
    bool close;            // the connection, after the answer
    bool wait;             // not yet: until wait_until_ms (waiting.h)
    int64_t wait_until_ms; // monotonic
    bool page;             // HTML: with headers that keep a browser narrow
    bool secret;           // the answer is wiped when it was sent
    const char *location;  // Location
    char version[24];      // of a resource
    char argument[200];    // "q" of a page
    // Who asks, at the address for operators (admin_http.h)
    struct sb_operator operator;
    unsigned may;
};

// Sets a problem as the answer.
void sb_problem(struct sb_request *r, int status, const char *code, const char *detail);
void sb_answer_json(struct sb_request *r, char *text); // takes text; NULL is a 500

int64_t sb_wall_ms(struct sb_server *s); // wall clock, never going back while we run

#endif
