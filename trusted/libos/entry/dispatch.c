// SPDX-License-Identifier: Apache-2.0
// The table as an array, and one call through it.
#include <asm/unistd_64.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/entry/entry.h"

static const struct call_entry table[CALL_COUNT] = {
#define CALL(name, format) [__NR_##name] = {#name, sys_##name, format},
#define SAME(name, handler, format) [__NR_##name] = {#name, sys_##handler, format},
#include "trusted/libos/entry/calls.def"
};

const struct call_entry *call_entry(int64_t nr)
{
    return nr >= 0 && (uint64_t)nr < CALL_COUNT && table[nr].handler ? &table[nr] : NULL;
}

void call_count(int64_t nr, const struct call_entry *e)
{
    if (nr >= 0 && (uint64_t)nr < CALL_COUNT)
        stats_count(&stats.calls[nr]);
    if (!e)
        stats_count(&stats.unknown_calls);
}

long los_call(int64_t nr, const uint64_t a[6])
{
    const struct call_entry *e = call_entry(nr);
    call_count(nr, e);
    if (!e)
        return -ENOSYS;
    if (e->format[0] == '!')
        return e->handler(a);
    los_lock();
    long r = e->handler(a);
    los_unlock();
    return r;
}
