// SPDX-License-Identifier: Apache-2.0
// Volumes whose states the broker remembers: opened with what it says, and a thread of the LibOS
// that tells it of new ones, each second or when somebody waits for it.
#include "trusted/libos/agent/volume.h"

#include "trusted/libos/agent/agent.h"
#include "trusted/libos/fs/volume.h"
#include "trusted/libos/proc/proc.h"

#define MS 1000000ull

struct kept {
    struct volume_keeper keeper;
    struct agent_volume session;
    const char *name;
    /* The question under way */
    enum anchor_step step;
    struct volume_state state;
    struct agent_error error;
};

static struct kept *kept[VOLUMES_MAX];
static uint32_t kept_count;
static struct thread *clerk;

/* ---- opening, inside agent_call: on the agent's stack, with the lock ---- */

static int ask_broker(struct kept *k, const struct volume_state *state, enum anchor_step step)
{
    los_unlock();
    int r = agent_volume_advance(agent_state(), &k->session, state, step, &k->error);
    los_lock();
    return r;
}

static void tell_refusal(const struct kept *k, const char *why, const struct volume_state *found)
{
    const struct anchor *a = &k->session.anchor;
    log_line("shelter: volume %s: %s (its key: %s; the broker has state %lu.%u, the file %lu.%u)",
             k->name, why, k->session.path, a->sequence, a->log_count, found ? found->sequence : 0,
             found ? found->log_count : 0);
}

static int answer_found(struct volume_keeper *keeper, const struct volume_state *found)
{
    struct kept *k = container_of(keeper, struct kept, keeper);
    const char *why = anchor_judge(&k->session.anchor, found);
    if (why) {
        tell_refusal(k, why, found);
        return -ESTALE;
    }
    if (!found || k->session.read_only)
        return 0;
    if (ask_broker(k, found, ANCHOR_BEGIN)) {
        log_line("shelter: volume %s: %s", k->name, k->error.text);
        return -ESTALE;
    }
    anchor_heard(&k->keeper.watch, found, clock_now() / MS);
    return 0;
}

static struct kept *keep_session(const struct sh_volume *v, const struct agent_volume *session)
{
    struct kept *k = los_alloc(sizeof(*k));
    if (!k)
        return NULL;
    memset(k, 0, sizeof(*k));
    k->session = *session;
    agent_wipe(k->session.key, sizeof(k->session.key));
    k->name = v->name;
    k->keeper.judge = answer_found;
    k->keeper.writer = session->writer;
    k->keeper.watch.mode = v->read_only ? ANCHOR_NONE : v->strict ? ANCHOR_STRICT : ANCHOR_SESSION;
    k->keeper.watch.pauses = v->pauses;
    k->keeper.watch.limit = v->away * 1000ull;
    return k;
}

int agent_mount_volume(uint32_t number, const struct sh_volume *v, const struct agent_secret *s)
{
    struct kept *k = s->anchored ? keep_session(v, s->anchored) : NULL;
    if (s->anchored && !k)
        return -ENOMEM;
    struct inode *root;
    int r = volume_mount(number, v->name, s->data, v->read_only, k ? &k->keeper : NULL, &root);
    if (k && (r || v->read_only)) /* who only reads has nothing to tell */
        agent_wipe(&k->session, sizeof(k->session));
    else if (k)
        kept[kept_count++] = k;
    if (r)
        los_free(k);
    return r ? r : tree_mount(v->path, root);
}

/* ---- keeping ---- */

static long ask_now(void *arg)
{
    struct kept *k = arg;
    return agent_volume_advance(agent_state(), &k->session, &k->state, k->step, &k->error);
}

static void tell_news(const struct kept *k, enum anchor_news news)
{
    const struct anchor_watch *w = &k->keeper.watch;
    char line[400];
    if (!anchor_words(news))
        return;
    fmt(line, sizeof(line), anchor_words(news), k->error.text, w->limit / 1000, anchor_then(w));
    log_line("shelter: warning: volume %s: %s", k->name, line);
}

static void tell_broker(struct kept *k)
{
    struct anchor_watch *w = &k->keeper.watch;
    w->wanted = false;
    k->step = w->closing ? ANCHOR_RELEASE : ANCHOR_ADVANCE;
    int r = (int)agent_call(AGENT_ASKS_BROKER, ask_now, k);
    uint64_t now = clock_now() / MS;
    tell_news(k, r ? anchor_failed(w, r, now) : anchor_heard(w, &k->state, now));
    if (!r && k->step == ANCHOR_RELEASE)
        w->closing = false;
    volume_heard(&k->keeper, r ? NULL : &k->state);
}

static bool is_due(struct kept *k)
{
    return volume_durable(&k->keeper, &k->state) &&
           anchor_is_due(&k->keeper.watch, &k->state, clock_now() / MS);
}

static void keep_volumes(struct thread *t)
{
    for (;;) {
        uint64_t next = NO_DEADLINE;
        for (uint32_t i = 0; i < kept_count; i++) {
            if (is_due(kept[i]))
                tell_broker(kept[i]);
            if (!kept[i]->keeper.watch.lost)
                next = MIN(next, kept[i]->keeper.watch.due * MS);
        }
        bool asked = false;
        for (uint32_t i = 0; i < kept_count; i++)
            asked = asked || is_due(kept[i]);
        if (!asked)
            wait_on(&volume_asks, next);
    }
}

int agent_keep_volumes(void)
{
    if (kept_count && !clerk)
        clerk = thread_service(keep_volumes);
    return !kept_count || clerk ? 0 : -ENOMEM;
}
