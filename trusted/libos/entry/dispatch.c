// SPDX-License-Identifier: Apache-2.0
// From a number to its handler: all of it comes from the table, calls.def.
#include <asm/signal.h>
#include <linux/fcntl.h>
#include <linux/sched.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/entry/entry.h"
#include "trusted/libos/entry/numbers.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/proc/proc.h"

/* As many of the registers in `a` as there are parameters. */
#define ARGUMENTS(...) NTH(0 __VA_OPT__(, ) __VA_ARGS__, SIX, FIVE, FOUR, THREE, TWO, ONE, NONE)
#define NTH(_0, _1, _2, _3, _4, _5, _6, n, ...) n
#define NONE
#define ONE a[0]
#define TWO ONE, a[1]
#define THREE TWO, a[2]
#define FOUR THREE, a[3]
#define FIVE FOUR, a[4]
#define SIX FIVE, a[5]

/* Passing them makes each as narrow as its parameter. */
long call_handle(int64_t nr, const uint64_t a[6])
{
    switch (nr) {
#define CALL(name, format, ...)                                                                    \
    case __NR_##name:                                                                              \
        return sys_##name(ARGUMENTS(__VA_ARGS__));
#define SAME(name, format, answer)                                                                 \
    case __NR_##name:                                                                              \
        return answer;
#define REFUSE(name, error)                                                                        \
    case __NR_##name:                                                                              \
        return -(error);
#define MISSING(name)
#include "trusted/libos/entry/calls.def"
#undef CALL
#undef SAME
    default:
        return -ENOSYS;
    }
}

static const struct call_entry table[CALL_COUNT] = {
#define ENTRY(name, format)                                                                        \
    [__NR_##name] = {#name, &(format)[(format)[0] == '~'], .shared = (format)[0] == '~'},
#define CALL(name, format, ...) ENTRY(name, format)
#define SAME(name, format, answer) ENTRY(name, format)
#define REFUSE(name, error) [__NR_##name] = {#name, "xxxxxx"},
#define MISSING(name) [__NR_##name] = {#name, "xxxxxx", true},
#include "trusted/libos/entry/calls.def"
};

const struct call_entry *call_entry(int64_t nr)
{
    return nr >= 0 && (uint64_t)nr < CALL_COUNT && table[nr].name ? &table[nr] : NULL;
}

void call_count(int64_t nr, const struct call_entry *e)
{
    if (nr >= 0 && (uint64_t)nr < CALL_COUNT)
        stats_count(calls[nr]);
    if (!e || e->missing)
        stats_count(unknown_calls);
}

#define TELL_MAX 8u

/* For whoever wonders why a program failed. */
void call_tell_missing(void)
{
    char names[256] = "";
    size_t at = 0, shown = 0, more = 0;
    for (size_t nr = 0; nr < CALL_COUNT; nr++) {
        const struct call_entry *e = call_entry((int64_t)nr);
        if (!stats_sum(&stats.calls[nr]) || (e && !e->missing))
            continue;
        if (shown == TELL_MAX) {
            more++;
            continue;
        }
        const char *comma = shown++ ? ", " : "";
        at += (size_t)(e ? fmt(names + at, sizeof(names) - at, "%s%s", comma, e->name)
                         : fmt(names + at, sizeof(names) - at, "%ssyscall_%lu", comma, nr));
    }
    if (shown)
        log_line("shelter: the program asked for system calls that an enclave does not have: %s%s; "
                 "if that is why it "
                 "failed, run it in a VM (--tee tdx, snp or tdx-sim)",
                 names, more ? ", ..." : "");
}
