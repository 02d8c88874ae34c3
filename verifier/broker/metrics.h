// SPDX-License-Identifier: Apache-2.0
// What a monitor wants to know, in the text format of Prometheus.
#ifndef VERIFIER_BROKER_METRICS_H
#define VERIFIER_BROKER_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

struct sb_server;

#define SB_METRIC_ROUTES 16 // the last one is for what has no endpoint
#define SB_METRIC_STATUSES 6

struct sb_metrics {
    int64_t started_ms; // monotonic
    _Atomic uint64_t answers[SB_METRIC_ROUTES][SB_METRIC_STATUSES];
    _Atomic uint64_t reloads, failed_reloads;
};

// An answer of this status; route: its place in the table, or a negative number.
void sb_metrics_count(struct sb_server *s, int route, int status);
// All of it (malloc'd), or NULL.
char *sb_metrics_text(struct sb_server *s, const char *(*route_path)(int place));

#endif
