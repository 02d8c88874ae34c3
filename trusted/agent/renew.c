// SPDX-License-Identifier: Apache-2.0
// What is kept fresh while the workload runs: the identity's files (identity.c), and secrets that
// the image wants renewed: the broker numbers the versions of a resource.
#include <asm/errno.h>
#include <string.h>

#include "trusted/agent/state.h"

#define LOOK_MS 10000u
#define EXCHANGE_MS 4000u /* of one look, at most: a volume's lease may wait for us */

int agent_renewals_add(struct agent *a, const char *record, size_t size, struct agent_error *e)
{
    struct agent_renewals *all = &a->renewals;
    if (size > AGENT_RENEWED_MAX)
        return agent_fail(e, -E2BIG, "one that is renewed has at most 65000 bytes", NULL);
    all->of[all->count++] = (struct agent_renewed){record, a->version};
    all->look = agent_os_now_ms() + LOOK_MS;
    return 0;
}

static int ask_version(struct agent *a, const char *path, uint64_t *version, struct agent_error *e)
{
    char full[320] = "/kbs/v0/version/";
    struct agent_response r;
    struct agent_json o;
    memcpy(full + strlen(full), path, strlen(path) + 1);
    int rc = agent_ask(a, &(struct agent_call){.method = "GET", .path = full}, &r, e);
    if (rc)
        return rc;
    rc = r.status != 200 ? agent_refused(a, &r, path, e) : agent_body(a, &r, &o, e);
    if (!rc && agent_json_number(o, "version", version))
        rc = agent_fail(e, -EPROTO, "the key broker numbers no versions", NULL);
    agent_response_free(&r);
    return rc;
}

/* 1: it was given anew. */
static int look_at(struct agent *a, struct agent_renewed *n, struct agent_secret *s,
                   const char *path, int (*give)(void *arg, const struct agent_secret *secret),
                   void *arg, struct agent_error *e)
{
    uint64_t version;
    uint8_t *data;
    int rc = ask_version(a, path, &version, e);
    if (rc || version == n->version)
        return rc;
    rc = agent_resource(a, path, &data, &s->size, e);
    if (rc)
        return rc;
    s->data = data;
    rc = s->size <= AGENT_RENEWED_MAX ? give(arg, s) : -E2BIG;
    if (rc)
        agent_fail(e, rc, "it is too large or cannot be put in place", NULL);
    else
        n->version = a->version;
    agent_wipe(data, s->size);
    agent_os_free(data);
    return rc ? rc : 1;
}

static unsigned look_at_all(struct agent *a,
                            int (*give)(void *arg, const struct agent_secret *secret), void *arg)
{
    struct agent_renewals *all = &a->renewals;
    uint64_t limit = a->client.limit;
    struct agent_error e, line;
    unsigned signals = 0;
    int rc = 0;
    a->client.limit = agent_os_now_ms() + EXCHANGE_MS;
    for (size_t i = 0; rc >= 0 && i < all->count; i++) {
        struct agent_secret s = {.env = false};
        char path[257];
        rc = agent_secret_parse(all->of[i].record, &s, path);
        rc = rc ? rc : look_at(a, &all->of[i], &s, path, give, arg, &e);
        if (rc > 0)
            signals |= 1u << s.signal;
        if (rc < 0 && !all->troubled) {
            agent_fail(&line, rc, "secret '", s.name, "' is not renewed: ", e.text, NULL);
            agent_os_log(line.text);
        }
    }
    agent_client_close(&a->client);
    a->client.limit = limit;
    all->troubled = rc < 0;
    all->look = agent_os_now_ms() + LOOK_MS;
    return signals & ~1u; /* of those that want none */
}

uint64_t agent_renew_due(const struct agent *a)
{
    uint64_t due = agent_identity_due(a);
    return a->renewals.count && a->renewals.look < due ? a->renewals.look : due;
}

unsigned agent_renew(struct agent *a, int (*give)(void *arg, const struct agent_secret *secret),
                     void *arg)
{
    unsigned signals = 0;
    if (agent_identity_keep(a, give, arg) > 0)
        signals = 1u << agent_identity_signal(a) & ~1u;
    if (a->renewals.count && agent_os_now_ms() >= a->renewals.look)
        signals |= look_at_all(a, give, arg);
    return signals;
}
