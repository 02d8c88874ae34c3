// SPDX-License-Identifier: Apache-2.0
// The table as an array, and one call through it.
#include <asm/unistd_64.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/entry/entry.h"

#define CALL_COUNT 462

static const struct call_entry table[CALL_COUNT] = {
#define CALL(name, format) [__NR_##name] = {#name, sys_##name, format},
#define SAME(name, handler, format) [__NR_##name] = {#name, sys_##handler, format},
#include "trusted/libos/entry/calls.def"
};

const struct call_entry *call_entry(int64_t nr)
{
    return nr >= 0 && nr < CALL_COUNT && table[nr].handler ? &table[nr] : NULL;
}

long los_call(int64_t nr, const uint64_t a[6])
{
    const struct call_entry *e = call_entry(nr);
    if (!e) {
        __atomic_fetch_add(&stats.unknown_calls, 1, __ATOMIC_RELAXED);
        return -ENOSYS;
    }
    if (e->format[0] == '!')
        return e->handler(a);
    los_lock();
    stats.syscalls++;
    long r = e->handler(a);
    los_unlock();
    return r;
}
