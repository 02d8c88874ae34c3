// SPDX-License-Identifier: Apache-2.0
// Counters of answers by endpoint, and what is held now.
#include "verifier/broker/server.h"
#include "verifier/broker/clock.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const statuses[SB_METRIC_STATUSES] = {"2xx", "401", "403", "429", "4xx", "5xx"};

void sb_metrics_count(struct sb_server *s, int route, int status)
{
    int at = status < 300    ? 0
             : status == 401 ? 1
             : status == 403 ? 2
             : status == 429 ? 3
             : status < 500  ? 4
                             : 5;

    if (route < 0 || route >= SB_METRIC_ROUTES)
        route = SB_METRIC_ROUTES - 1;
    atomic_fetch_add_explicit(&s->metrics.answers[route][at], 1, memory_order_relaxed);
}

static void put_answers(struct sb_server *s, const char *(*route_path)(int place), FILE *out)
{
    fputs("# HELP shelter_broker_answers_total Answers by endpoint and status.\n"
          "# TYPE shelter_broker_answers_total counter\n",
          out);
    for (int r = 0; r < SB_METRIC_ROUTES; r++) {
        const char *path = route_path(r);

        if (!path && r < SB_METRIC_ROUTES - 1)
            continue;
        for (int i = 0; i < SB_METRIC_STATUSES; i++)
            fprintf(out, "shelter_broker_answers_total{endpoint=\"%s\",status=\"%s\"} %llu\n",
                    path ? path : "none", statuses[i],
                    (unsigned long long)atomic_load(&s->metrics.answers[r][i]));
    }
}

static void put_value(FILE *out, const char *name, const char *type, const char *help,
                      uint64_t value)
{
    fprintf(out,
            "# HELP shelter_broker_%s %s\n# TYPE shelter_broker_%s %s\nshelter_broker_%s %llu\n",
            name, help, name, type, name, (unsigned long long)value);
}

char *sb_metrics_text(struct sb_server *s, const char *(*route_path)(int place))
{
    unsigned connections, sessions;
    size_t bodies, size = 0, references;
    char *text = NULL;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    pthread_mutex_lock(&s->clients.gate.lock);
    connections = s->clients.gate.count;
    bodies = s->clients.gate.body_size;
    pthread_mutex_unlock(&s->clients.gate.lock);
    pthread_mutex_lock(&s->sessions.lock);
    sessions = s->sessions.count;
    pthread_mutex_unlock(&s->sessions.lock);
    pthread_mutex_lock(&s->judge.lock);
    references = s->judge.references.count;
    pthread_mutex_unlock(&s->judge.lock);
    put_answers(s, route_path, out);
    put_value(out, "connections", "gauge", "Connections now.", connections);
    put_value(out, "sessions", "gauge", "Attested sessions now.", sessions);
    put_value(out, "body_bytes", "gauge", "Bytes of request bodies held now.", bodies);
    put_value(out, "references", "gauge", "Reference values, as last read.", references);
    put_value(out, "reloads_total", "counter",
              "Times that policy, roots and collateral were read again.",
              atomic_load(&s->metrics.reloads));
    put_value(out, "failed_reloads_total", "counter",
              "Times that they could not be, and the old ones stay.",
              atomic_load(&s->metrics.failed_reloads));
    put_value(out, "uptime_seconds", "gauge", "Seconds since the start.",
              (uint64_t)(sb_clock_ms() - s->metrics.started_ms) / 1000);
    if (fclose(out)) {
        free(text);
        return NULL;
    }
    return text;
}
