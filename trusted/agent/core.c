// SPDX-License-Identifier: Apache-2.0
// The agent's life: what the image and the launch say, and what is fetched before the workload.
#include <asm/errno.h>
#include <string.h>

#include "trusted/agent/state.h"

/* Attestation and all secrets: whoever starts us waits longer than this. */
#ifndef START_MS
#define START_MS 120000u
#endif

struct agent *agent_new(const struct sh_settings *settings, struct sh_view launch)
{
    struct agent *a = agent_os_alloc(sizeof(*a));
    if (!a)
        return NULL;
    a->settings = settings;
    a->launch = launch;
    a->client.stream = -1;
    a->client.pin = settings->broker_key;
    a->has_broker = settings->broker[0];
    a->bad_url = !a->has_broker ||
                 agent_url_parse(&a->client.url, settings->broker, strlen(settings->broker));
    return a;
}

void agent_free(struct agent *a)
{
    if (!a)
        return;
    agent_client_close(&a->client);
    agent_key_free(a->key);
    agent_text_free(&a->token);
    agent_events_free(&a->events);
    agent_identity_free(a->identity);
    agent_wipe(a, sizeof(*a));
    agent_os_free(a);
}

void agent_set_image(struct agent *a, const uint8_t identity[48])
{
    memcpy(a->image, identity, sizeof(a->image));
}

static bool has_nul(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!data[i])
            return true;
    return false;
}

/* What stands under the path; with more than that where the image wants its broker to remember. */
static int fetch_bytes(struct agent *a, struct agent_secret *s, const char *path,
                       struct agent_volume *volume, uint8_t **data, struct agent_error *e)
{
    const struct sh_settings *set = a->settings;
    for (size_t i = 0; s->volume && i < set->volume_count; i++) {
        const struct sh_volume *v = &set->volumes[i];
        if (!v->away || strcmp(v->name, s->name))
            continue;
        s->anchored = volume;
        s->data = volume->key;
        s->size = sizeof(volume->key);
        return agent_volume_open(a, path, v->read_only, volume, e);
    }
    int rc = agent_resource(a, path, data, &s->size, e);
    s->data = *data;
    return rc;
}

static int fetch_one(struct agent *a, const char *record,
                     int (*give)(void *arg, const struct agent_secret *secret), void *arg,
                     struct agent_error *e)
{
    struct agent_secret s = {.env = false};
    struct agent_error why;
    struct agent_volume volume;
    char path[257];
    uint8_t *data = NULL;
    if (agent_is_identity(record)) {
        int failed = agent_identity_begin(a, record, give, arg, &why);
        return failed ? agent_fail(e, failed, "identity: ", why.text, NULL) : 0;
    }
    if (agent_secret_parse(record, &s, path))
        return agent_fail(e, -EINVAL,
                          "a secret of the image is not NAME=kbs:///REPOSITORY/TYPE/TAG", NULL);
    int rc = fetch_bytes(a, &s, path, &volume, &data, &why);
    if (rc)
        return agent_fail(e, rc, "secret '", s.name, "': ", why.text, NULL);
    if (s.env && has_nul(data, s.size))
        rc = agent_fail(e, -EINVAL, "secret '", s.name,
                        "' has a zero byte, which an environment variable cannot hold", NULL);
    else if ((rc = give(arg, &s)))
        agent_fail(e, rc, "secret '", s.name, "' cannot be put in place", NULL);
    else if (s.renewed && (rc = agent_renewals_add(a, record, s.size, &why)))
        agent_fail(e, rc, "secret '", s.name, "': ", why.text, NULL);
    if (data)
        agent_wipe(data, s.size);
    agent_os_free(data);
    agent_wipe(&volume, sizeof(volume));
    return rc;
}

/* Before the first attestation, which then shows them all. */
static int measure_volumes(struct agent *a, struct agent_error *e)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < a->settings->secrets.count; i++) {
        struct agent_secret s = {.env = false};
        char path[257];
        if (!agent_secret_parse(a->settings->secrets.items[i], &s, path) && s.volume)
            rc = agent_event(a, "shelter", "volume", s.name, e);
    }
    return rc;
}

int agent_start(struct agent *a, int (*give)(void *arg, const struct agent_secret *secret),
                void *arg, struct agent_error *e)
{
    size_t count = a->settings->secrets.count;
    if (!a->has_broker && !count)
        return 0;
    if (!a->has_broker)
        return agent_fail(e, -EDESTADDRREQ,
                          "the image wants secrets, and no key broker was named; run it with -i"
                          " HOST[:PORT]",
                          NULL);
    if (count > AGENT_SECRETS)
        return agent_fail(e, -E2BIG, "the image names more than 64 secrets", NULL);
    if (count && !a->client.pin.size)
        return agent_fail(e, -EPERM, "the image names secrets but not its broker's key", NULL);
    a->client.limit = agent_os_now_ms() + START_MS;
    a->renewals.count = 0;
    int rc = measure_volumes(a, e);
    if (!rc)
        rc = agent_attest(a, e);
    for (size_t i = 0; !rc && i < count; i++)
        rc = fetch_one(a, a->settings->secrets.items[i], give, arg, e);
    agent_client_close(&a->client);
    a->client.limit = 0;
    return rc;
}
