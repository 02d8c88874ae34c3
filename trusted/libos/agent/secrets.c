// SPDX-License-Identifier: Apache-2.0
// What the agent's core does for the workload: secrets before its first instruction, evidence for
// whoever asks through the host.
#include "lib/settings.h"
#include "trusted/agent/core.h"
#include "trusted/libos/agent/agent.h"
#include "trusted/libos/agent/volume.h"

#include <shelter/channel.h>

/* ---- secrets ---- */

struct job {
    int (*set_env)(void *env, const char *text);
    void *env;
    struct agent_error error;
    bool said; /* why it failed */
};

static int put_env(const struct job *j, const struct agent_secret *s)
{
    size_t name = strlen(s->name);
    char *text = los_alloc(name + s->size + 2);
    if (!text)
        return -ENOMEM;
    memcpy(text, s->name, name);
    text[name] = '=';
    memcpy(text + name + 1, s->data, s->size);
    int r = j->set_env(j->env, text);
    agent_wipe(text, name + s->size);
    los_free(text);
    return r;
}

/* A secret that is the key of a volume: the volume is mounted with it. */
static int mount_volume(const struct agent_secret *s)
{
    for (uint32_t i = 0; i < settings.volume_count; i++) {
        const struct sh_volume *v = &settings.volumes[i];
        if (strcmp(v->name, s->name))
            continue;
        if (s->size == SH_VOLUME_KEY_SIZE)
            return agent_mount_volume(i, v, s);
        log_line("shelter: the key of volume %s has %lu bytes, not 32", v->name, s->size);
        return -EINVAL;
    }
    log_line("shelter: the image has no volume %s, but a key for it", s->name);
    return -ENOENT;
}

static int place_secret(void *arg, const struct agent_secret *s)
{
    los_lock();
    int r = s->env ? put_env(arg, s) : s->volume ? mount_volume(s) : agent_put_file(s);
    ((struct job *)arg)->said = r && s->volume;
    los_unlock();
    return r;
}

static long fetch_secrets(void *arg)
{
    struct job *j = arg;
    struct agent *a = agent_state();
    if (a)
        return agent_start(a, place_secret, j, &j->error);
    memcpy(j->error.text, "no memory for the agent", 24);
    return -ENOMEM;
}

int agent_before_program(int (*set_env)(void *env, const char *text), void *env)
{
    struct job j = {.set_env = set_env, .env = env};
    if (!settings.secrets.count && !settings.broker[0])
        return 0;
    long r = agent_call(AGENT_ASKS_BROKER, fetch_secrets, &j);
    if (!r && (agent_keep_volumes() || agent_keep_files()))
        log_line("shelter: no thread can be started for the volumes or what is renewed");
    else if (!r)
        return 0;
    uint64_t stop_set = agent_stop_signals();
    if (stop_set) /* asked to stop meanwhile */
        return 128 + __builtin_ctzl(stop_set) + 1;
    if (j.error.text[0] && !j.said)
        log_line("shelter: %s", j.error.text);
    return SH_EXIT_ATTESTATION;
}

/* ---- evidence for who asks through the host ---- */

struct question {
    const struct sh_control_request *request;
    char *out;
    size_t size;
};

static long refuse_question(const struct question *q, int error, const char *why)
{
    fmt(q->out, q->size, "%s", why);
    return error;
}

static long answer_question(void *arg)
{
    const struct question *q = arg;
    struct agent_error e;
    char *json = NULL;
    size_t size = 0;
    struct agent *a = agent_state();
    int r =
        a ? agent_attest_json(a, q->request->data, q->request->size, &json, &size, &e) : -ENOMEM;
    if (r)
        return refuse_question(q, r, e.text);
    if (size < q->size)
        memcpy(q->out, json, size);
    agent_os_free(json);
    return size < q->size ? (long)size : refuse_question(q, -EMSGSIZE, "the evidence is too large");
}

long agent_judge_attest(const struct sh_control_request *r, char *out, size_t size)
{
    struct question q = {r, out, size};
    if (!r->size || r->size > AGENT_NONCE_MAX)
        return refuse_question(&q, -EINVAL, "a nonce has 1 to 64 bytes");
    out[0] = 0;
    long n = agent_call(AGENT_ASKS_NOBODY, answer_question, &q);
    return n < 0 && !out[0] ? refuse_question(&q, (int)n, "the agent cannot run") : n;
}
