// SPDX-License-Identifier: Apache-2.0
// The table of endpoints.
#include "verifier/broker/routes.h"
#include "verifier/broker/hsm.h"
#include "verifier/broker/identity.h"
#include "verifier/broker/rcar.h"
#include "verifier/broker/volume.h"

#include <string.h>

static void serve_jwks(struct sb_request *r, const char *rest)
{
    sb_answer_json(r, strdup(r->server->jwks));
}

static void serve_health(struct sb_request *r, const char *rest)
{
    sb_answer_json(r, strdup("{\"status\":\"ok\"}"));
}

// Does the store answer? /healthz only says that we do.
static void serve_ready(struct sb_request *r, const char *rest)
{
    if (sb_store_version(r->server->store) < 0)
        sb_problem(r, 503, "store", "the broker's database cannot be read");
    else
        serve_health(r, rest);
}

// For a monitor on this machine: strangers learn nothing of who else asks.
static void serve_metrics(struct sb_request *r, const char *rest)
{
    char *text;

    if (strncmp(r->peer, "127.", 4) && strcmp(r->peer, "::1") &&
        strncmp(r->peer, "::ffff:127.", 11)) {
        sb_problem(r, 404, "no-such-endpoint", "there is no such endpoint");
        return;
    }
    text = sb_metrics_text(r->server, sb_route_path);
    sb_answer_json(r, text);
    if (text)
        r->type = "text/plain; version=0.0.4";
}

const struct sb_route sb_client_routes[] = {
    {"POST", "/kbs/v0/auth", 4096, true, false, sb_auth, NULL},
    {"POST", "/kbs/v0/attest", SB_BODY_LARGE, false, true, sb_attest, NULL},
    {"GET", "/kbs/v0/resource/", 0, false, false, sb_resource, NULL},
    {"GET", "/kbs/v0/version/", 0, false, false, sb_version, NULL},
    {"POST", "/kbs/v0/volume/open/", 4096, false, false, sb_volume_open, NULL},
    {"POST", "/kbs/v0/volume/advance/", 4096, false, false, sb_volume_advance, NULL},
    {"POST", "/kbs/v0/identity", SB_IDENTITY_BODY_MAX, false, false, sb_identity_issue, NULL},
    {"GET", "/kbs/v0/identity/ca", 0, false, false, sb_identity_ca, NULL},
    {"GET", "/kbs/v0/identity/crl", 0, false, false, sb_identity_crl, NULL},
    {"POST", "/kbs/v0/hsm/sign/", SB_HSM_BODY_MAX, false, false, sb_hsm_sign, NULL},
    {"POST", "/kbs/v0/hsm/unwrap/", SB_HSM_BODY_MAX, false, false, sb_hsm_unwrap, NULL},
    {"GET", "/.well-known/jwks.json", 0, true, false, serve_jwks, NULL},
    {"GET", "/healthz", 0, true, false, serve_health, NULL},
    {"GET", "/readyz", 0, false, false, serve_ready, NULL},
    {"GET", "/metrics", 0, true, false, serve_metrics, NULL},
    {NULL, NULL, 0, false, false, NULL, NULL},
};

static bool path_matches(const struct sb_route *r, const char *url)
{
    size_t n = strlen(r->path);

    return r->path[n - 1] == '/' ? !strncmp(url, r->path, n) : !strcmp(url, r->path);
}

#define COUNT (sizeof(sb_client_routes) / sizeof(sb_client_routes[0]) - 1)

const struct sb_route *sb_route_find(const struct sb_route *routes, const char *method,
                                     const char *url, const char **rest, const char **allow)
{
    *allow = NULL;
    for (size_t i = 0; routes[i].method; i++) {
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

int sb_route_place(const struct sb_route *r)
{
    return r ? (int)(r - sb_client_routes) : -1;
}

const char *sb_route_path(int place)
{
    return place >= 0 && (size_t)place < COUNT ? sb_client_routes[place].path : NULL;
}
