// SPDX-License-Identifier: Apache-2.0
// The counters as JSON.
#include <stddef.h>

#include "trusted/libos/entry/entry.h"

static const struct {
    const char *name;
    size_t offset; /* in struct stats */
} members[] = {
#define MEMBER(name, field)                                                                        \
    {                                                                                              \
        name, offsetof(struct stats, field)                                                        \
    }
    MEMBER("unknown_calls", unknown_calls),
    MEMBER("calls_out", calls_out),
    MEMBER("faults", faults),
    MEMBER("page_faults", page_faults),
    MEMBER("kicks", kicks),
    MEMBER("signals", signals),
    MEMBER("eaccept", eaccept),
    MEMBER("eacceptcopy", eacceptcopy),
    MEMBER("emodpe", emodpe),
    MEMBER("notifications", notifications),
    MEMBER("root_blocks", root_blocks),
    MEMBER("residence_switches", switches),
    MEMBER("residence_ns", switch_ns),
    MEMBER("residence_pages", moved_pages),
    MEMBER("cache_hits", cache_hits),
    MEMBER("committed_bytes", committed),
    MEMBER("peak_bytes", committed_peak),
#undef MEMBER
};

struct text {
    char *out;
    size_t size, at;
};

static void put_line(struct text *t, const char *format, const char *name, uint64_t value)
{
    if (t->at < t->size)
        t->at += (size_t)fmt(t->out + t->at, t->size - t->at, format, name, value);
}

int los_stats_json(char *out, size_t size)
{
    struct text t = {out, size, 0};
    uint64_t total = 0;
    for (size_t i = 0; i < CALL_COUNT; i++)
        total += stats_sum(&stats.calls[i]);
    put_line(&t, "{\"%s\": %lu", "syscalls", total);
    for (size_t i = 0; i < ARRAY_COUNT(members); i++)
        put_line(&t, ", \"%s\": %lu", members[i].name,
                 stats_sum((const uint64_t *)((const uint8_t *)&stats + members[i].offset)));
    put_line(&t, ", \"%s\": %lu, \"by_call\": {", "zone_bytes", stats.zone_pages << PAGE_SHIFT);
    const char *format = "\"%s\": %lu";
    for (size_t i = 0; i < CALL_COUNT; i++) {
        const struct call_entry *e = call_entry((int64_t)i);
        char number[24];
        uint64_t calls = stats_sum(&stats.calls[i]);
        if (!calls)
            continue;
        fmt(number, sizeof(number), "syscall_%lu", i);
        put_line(&t, format, e ? e->name : number, calls);
        format = ", \"%s\": %lu";
    }
    put_line(&t, "}}", "", 0);
    return t.at < size ? (int)t.at : -ENOSPC;
}
