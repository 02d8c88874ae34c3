// SPDX-License-Identifier: Apache-2.0
// Requests of the host: counts, traces, evidence. The policy is judged here; whoever asks is
// nobody.
//
// A thread of the LibOS serves them, started at the first one. It has one request and one answer at
// a time, of fixed sizes: what a host repeats costs time only. It is no thread of the program: not
// listed, not counted, and ended with it.
#include "lib/settings.h"
#include "trusted/libos/agent/agent.h"
#include "trusted/libos/entry/entry.h"
#include "trusted/libos/fs/volume.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/entry/session.h"

static bool serving;
static uint32_t requested; /* set at any moment, without the lock */
static char *answer;       /* SH_CONTROL_ANSWER_MAX bytes, once it is served */
static struct sh_control_request *request;

bool control_allows(uint64_t bit)
{
    return (settings.requests & bit) ||
           (port_info.debug && (bit & (SH_POLICY_TRACE | SH_POLICY_STATS)));
}

void control_init(const struct port_start *start)
{
    tracing = start->trace && control_allows(SH_POLICY_TRACE);
}

static long refuse_request(char *out, size_t size, int error, const char *why)
{
    fmt(out, size, "%s", why);
    return error;
}

/* Behind the other counts, in the place of the closing brace. */
static int add_volumes(char *out, size_t size, size_t at)
{
    static const char *const words[VOLUME_COUNTS] = VOLUME_COUNT_WORDS;
    uint64_t counts[VOLUME_COUNTS];
    const char *name;
    if (size - at < VOLUMES_MAX * 512)
        return -ENOSPC;
    at += (size_t)fmt(out + at, size - at, ", \"volumes\": {");
    for (uint32_t i = 0; (name = volume_counts(i, counts)); i++) {
        at += (size_t)fmt(out + at, size - at, "%s\"%s\": {", i ? ", " : "", name);
        for (size_t k = 0; k < VOLUME_COUNTS; k++)
            at += (size_t)fmt(out + at, size - at, "%s\"%s\": %lu", k ? ", " : "", words[k],
                              counts[k]);
        at += (size_t)fmt(out + at, size - at, "}");
    }
    return (int)at + fmt(out + at, size - at, "}}");
}

static long judge_stats(const struct sh_control_request *r, char *out, size_t size)
{
    if (!control_allows(SH_POLICY_STATS))
        return refuse_request(out, size, -EPERM,
                              "the image does not allow stats; build it with --allow stats");
    if (r->size)
        return refuse_request(out, size, -EINVAL, "a request for counts has no data");
    int n = los_stats_json(out, size);
    if (n > 0)
        n = add_volumes(out, size, (size_t)n - 1);
    return n < 0 ? refuse_request(out, size, n, "the counts do not fit") : n;
}

static long judge_trace(const struct sh_control_request *r, char *out, size_t size)
{
    uint32_t on;
    if (!control_allows(SH_POLICY_TRACE))
        return refuse_request(out, size, -EPERM,
                              "the image does not allow traces; build it with --allow trace");
    memcpy(&on, r->data, sizeof(on));
    if (r->size != sizeof(on) || on > 1)
        return refuse_request(out, size, -EINVAL, "a request for a trace says 0 or 1");
    tracing = on;
    return 0;
}

static long judge_maps(const struct sh_control_request *r, char *out, size_t size)
{
    if (!port_info.debug)
        return refuse_request(out, size, -EPERM,
                              "this is not a debug enclave; run the image with --debug");
    return proc_maps(out, size);
}

/* With the lock held, which a long answer may give up. */
static long (*const judges[])(const struct sh_control_request *r, char *out, size_t size) = {
    [SH_CONTROL_STATS] = judge_stats,
    [SH_CONTROL_TRACE] = judge_trace,
    [SH_CONTROL_MAPS] = judge_maps,
    [SH_CONTROL_ATTEST] = agent_judge_attest,
    [SH_CONTROL_EXEC] = session_judge_exec,
    [SH_CONTROL_WINDOW] = session_judge_window,
    [SH_CONTROL_SIGNAL] = session_judge_signal,
};

long control_judge(const struct sh_control_request *r, char *out, size_t size)
{
    if (r->kind >= ARRAY_COUNT(judges) || !judges[r->kind] || r->size > sizeof(r->data))
        return refuse_request(out, size, -ENOSYS,
                              "this image's enclave does not know this request");
    return judges[r->kind](r, out, size);
}

static void serve_control(struct thread *t)
{
    for (;;) {
        los_unlock();
        int error = port_control(request);
        los_lock();
        stats_count(calls_out);
        if (error) /* a host that has nothing to ask after all; it decides how often we look */
            continue;
        long n = control_judge(request, answer, SH_CONTROL_ANSWER_MAX);
        uint32_t size = n < 0 ? (uint32_t)strlen(answer) : (uint32_t)n;
        stats_count(calls_out);
        los_unlock();
        port_answer(request->id, n < 0 ? (int)-n : 0, answer, size);
        los_lock();
    }
}

void los_host_control(void)
{
    __atomic_store_n(&requested, 1, __ATOMIC_SEQ_CST);
}

bool control_is_due(void)
{
    return __atomic_load_n(&requested, __ATOMIC_RELAXED);
}

void control_collect(void)
{
    if (!control_is_due())
        return;
    __atomic_store_n(&requested, 0, __ATOMIC_SEQ_CST);
    if (serving)
        return;
    /* Without memory for it nothing happens; the host asks again. */
    if (!answer)
        answer = pages_alloc((SH_CONTROL_ANSWER_MAX + PAGE_SIZE - 1) >> PAGE_SHIFT);
    if (!request)
        request = pages_alloc((sizeof(*request) + PAGE_SIZE - 1) >> PAGE_SHIFT);
    serving = answer && request && thread_service(serve_control) != NULL;
}
