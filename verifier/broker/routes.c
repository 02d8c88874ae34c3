// SPDX-License-Identifier: Apache-2.0
// The table of endpoints.
#include "verifier/broker/routes.h"
#include "verifier/broker/rcar.h"

#include <string.h>

static void serve_jwks(struct sb_request *r, const char *rest)
{
    sb_answer_json(r, strdup(r->server->jwks));
}

static void serve_health(struct sb_request *r, const char *rest)
{
    sb_answer_json(r, strdup("{\"status\":\"ok\"}"));
}

static const struct sb_route routes[] = {
    {"POST", "/kbs/v0/auth", 4096, false, false, sb_auth},
    {"POST", "/kbs/v0/attest", SB_BODY_LARGE, false, true, sb_attest},
    {"GET", "/kbs/v0/resource/", 0, false, false, sb_resource},
    {"GET", "/.well-known/jwks.json", 0, true, false, serve_jwks},
    {"GET", "/healthz", 0, true, false, serve_health},
};

static bool path_matches(const struct sb_route *r, const char *url)
{
    size_t n = strlen(r->path);

    return r->path[n - 1] == '/' ? !strncmp(url, r->path, n) : !strcmp(url, r->path);
}

const struct sb_route *sb_route_find(const char *method, const char *url, const char **rest,
                                     const char **allow)
{
    *allow = NULL;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (!path_matches(&routes[i], url))
            continue;
        if (!strcmp(method, routes[i].method)) {
            *rest = url + strlen(routes[i].path);
            return &routes[i];
        }
        *allow = routes[i].method;
    }
    return NULL;
}
