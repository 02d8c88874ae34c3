// SPDX-License-Identifier: Apache-2.0
// The endpoints, one a line (routes.c).
#ifndef VERIFIER_BROKER_ROUTES_H
#define VERIFIER_BROKER_ROUTES_H

#include "verifier/broker/answer.h"

#define SB_BODY_LARGE SIZE_MAX // as much as the server takes

struct sb_route {
    const char *method, *path; // a path that ends in '/' has everything below it
    size_t body_max;           // bytes; 0: a body is refused
    bool at_once;              // needs little: answered by the thread that waits for connections
    bool large;                // takes much memory: few at once (work.h)
    void (*act)(struct sb_request *r, const char *rest); // leaves an answer or a problem in r
    // Before the body is read: false with an answer or a problem in r. NULL: anyone may send one.
    bool (*enter)(struct sb_request *r);
};

// Of the address for clients; each table ends with a route without a method.
extern const struct sb_route sb_client_routes[];

// The route, with *rest behind its path. NULL where there is none; *allow is then the method that
// the path has, or NULL if it is no path of ours.
const struct sb_route *sb_route_find(const struct sb_route *routes, const char *method,
                                     const char *url, const char **rest, const char **allow);

// For counting: the place of a client's route in its table, and the path at a place, or NULL.
int sb_route_place(const struct sb_route *r);
const char *sb_route_path(int place);

#endif
