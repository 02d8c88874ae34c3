// SPDX-License-Identifier: Apache-2.0
// When memory is all used: one process ends for it, the one that has most, or is to be counted as
// if it had (/proc/PID/oom_score_adj).
#include <asm/signal.h>

#include "lib/settings.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/signal/signal.h"

/* What others may take until the one that was chosen is gone: a call that is half done cannot wait
 * for it, it waits before it goes back to its program. */
#define AHEAD_STEP 1024u /* pages */
#define AHEAD_MAX (16u * AHEAD_STEP)
#define WAIT_STEP 1000000ul /* ns */
#define WAIT_STEPS 5000u

static int32_t chosen; /* the process that is to end, or 0 */
static uint64_t kills; /* so far */

/* Pages that would be free without it; those that it has in common with its family count. */
static uint64_t pages_of(const struct space *s)
{
    uint64_t count = 0, index;
    const struct leaf *leaf;
    for (uint64_t i = 0; (leaf = radix_next(&s->leaves, i, &index)); i = index + 1) {
        for (unsigned n = 0; n < ARRAY_COUNT(leaf->page); n++)
            count += (leaf->page[n] & (PAGE_THERE | PAGE_OBJECT)) == PAGE_THERE;
    }
    return count;
}

/* In pages; oom_score_adj counts in thousandths of all memory, as on Linux. */
static int64_t points_of(const struct process *p)
{
    int64_t total = (int64_t)(settings.memory >> PAGE_SHIFT);
    return (int64_t)pages_of(p->space) + p->oom_score_adj * total / 1000;
}

uint64_t oom_score(const struct process *p)
{
    int64_t total = (int64_t)(settings.memory >> PAGE_SHIFT);
    if (!p->space || !total || p->oom_score_adj == OOM_NEVER)
        return 0;
    int64_t points = 1000 + points_of(p) * 1000 / total;
    return points > 0 ? (uint64_t)points * 2 / 3 : 0;
}

uint64_t oom_kills(void)
{
    return kills;
}

static struct process *choose_process(void)
{
    struct process *victim = current();
    int64_t most = INT64_MIN;
    list_each(struct process, p, &processes, node) {
        if (!p->space || p->exiting || p->oom_score_adj == OOM_NEVER)
            continue;
        int64_t points = points_of(p);
        if (points > most) {
            most = points;
            victim = p;
        }
    }
    return victim;
}

static bool is_dying(void)
{
    const struct process *p = chosen ? process_find(chosen) : NULL;
    return p && !p->zombie;
}

bool oom_spare(void)
{
    los_upgrade();
    if (spare_drop(NULL))
        return true;
    if (current()->exiting) /* it frees more than it takes */
        return memory_ahead(AHEAD_STEP) <= AHEAD_MAX;
    if (!is_dying()) {
        struct process *p = choose_process();
        if (p == current()) {
            kills++;
            return false;
        }
        log_line("shelter: the programs need more memory than the %lu MiB that they have (-m); "
                 "process %d (%s), which has most of it or is to go first, is ended",
                 settings.memory >> 20, p->pid, p->name);
        chosen = p->pid;
        kills++;
        memory_ahead(0);
        list_each(struct process, q, &processes, node) {
            if (q->space == p->space)
                sig_send_item(q, NULL, &(struct sig_item){.signo = SIGKILL});
        }
    }
    return chosen != current()->pid && memory_ahead(AHEAD_STEP) <= AHEAD_MAX;
}

void oom_wait(void)
{
    const struct thread *t = self();
    for (unsigned n = 0; chosen && n < WAIT_STEPS && !t->process->exiting; n++) {
        if (!is_dying() || t->kicked || process_find(chosen)->space == t->process->space)
            break; /* the last: it would wait for itself */
        wait_nap(clock_now() + WAIT_STEP);
    }
}

void oom_ended(const struct process *p)
{
    if (p->pid == chosen)
        chosen = 0;
    if (!chosen)
        memory_ahead(0);
}
