// SPDX-License-Identifier: Apache-2.0
// What is found on the disk, judged by what the anchor remembers.
#include "trusted/volume/anchor.h"

#include <asm/errno.h>
#include <string.h>

int anchor_compare(uint64_t sequence, uint32_t log_count, uint64_t sequence_b, uint32_t log_count_b)
{
    if (sequence != sequence_b)
        return sequence < sequence_b ? -1 : 1;
    return log_count < log_count_b ? -1 : log_count > log_count_b;
}

static const char *judge_empty(const struct anchor *a)
{
    return a->memory == ANCHOR_NEVER ? NULL
           : a->memory == ANCHOR_RESET
               ? "its file is empty, and the broker's operator wanted what is in it to count; "
                 "bring "
                 "the file, or start a new volume by 'shelter broker volume reset --new'"
               : "its file is empty, but the broker knows the volume: bring the file that was used "
                 "last, or start a new volume by 'shelter broker volume reset --new'";
}

const char *anchor_judge(const struct anchor *a, const struct volume_state *f)
{
    static const char older[] =
        "an earlier state of its file was put back; bring the file that was used last, or accept "
        "the loss by 'shelter broker volume reset'";
    static const char forgot[] =
        "the broker forgot what it had acknowledged: its own store was put back; bring the "
        "broker's newest store, or, when this file is known to be the newest, accept it by "
        "'shelter broker volume reset'";
    static const char branch[] =
        "its file was written by somebody who did not hold the volume any more, or without the "
        "broker; bring the file that was used last, or accept this one by 'shelter broker volume "
        "reset'";
    if (!f)
        return judge_empty(a);
    if (a->memory == ANCHOR_RESET)
        return NULL;
    if (a->memory == ANCHOR_NEVER)
        return f->anchored_sequence ? forgot : NULL;
    if (anchor_compare(f->anchored_sequence, f->anchored_log, a->sequence, a->log_count) > 0)
        return forgot;
    int order = anchor_compare(f->sequence, f->log_count, a->sequence, a->log_count);
    bool same_root = f->sequence == a->sequence && !memcmp(f->root, a->root, sizeof(a->root));
    if (order < 0)
        return older;
    if (f->sequence == a->sequence && !same_root)
        return branch;
    if (!order)
        return NULL;
    /* The log behind the acknowledged root record is of whoever wrote that. */
    if (!same_root && (!f->writer || f->writer != a->next))
        return branch;
    return a->memory == ANCHOR_RELEASED ? forgot : NULL;
}

int anchor_may_change(const struct anchor_watch *w, uint64_t now_ms)
{
    if (w->mode == ANCHOR_NONE)
        return 0;
    if (w->lost)
        return -EIO;
    if (now_ms - w->heard <= w->limit)
        return 0;
    return w->away && !w->pauses ? -EIO : -EAGAIN;
}

bool anchor_has(const struct anchor_watch *w, const struct volume_state *state)
{
    return anchor_compare(w->acked.sequence, w->acked.log_count, state->sequence,
                          state->log_count) >= 0;
}

bool anchor_is_due(struct anchor_watch *w, const struct volume_state *state, uint64_t now_ms)
{
    if (w->lost)
        return false;
    if (now_ms < w->due)
        return (w->wanted || w->closing) && !w->away;
    if (w->closing || !anchor_has(w, state) || now_ms - w->heard >= ANCHOR_BEAT_MS)
        return true;
    w->due = now_ms + ANCHOR_PERIOD_MS;
    return false;
}

const char *anchor_words(enum anchor_news news)
{
    static const char *const words[] = {
        [ANCHOR_LOST] = "%s; nothing is written to it any more",
        [ANCHOR_AWAY] = "the broker does not have its newest state: %s; changes go on for %lu s, "
                        "then they %s",
        [ANCHOR_OVER] = "the broker is still away (%s), for more than %lu s: changes %s",
        [ANCHOR_BACK] = "the broker has its newest state again"};
    return words[news];
}

const char *anchor_then(const struct anchor_watch *w)
{
    return w->pauses ? "wait until it answers" : "fail (EIO)";
}

enum anchor_news anchor_heard(struct anchor_watch *w, const struct volume_state *state,
                              uint64_t now_ms)
{
    bool away = w->away;
    w->acked = *state;
    w->heard = now_ms;
    w->due = now_ms + ANCHOR_PERIOD_MS;
    w->away = w->over = false;
    return away ? ANCHOR_BACK : ANCHOR_NO_NEWS;
}

enum anchor_news anchor_waited(struct anchor_watch *w, uint64_t now_ms)
{
    if (!w->away || w->over || w->lost || now_ms - w->heard <= w->limit)
        return ANCHOR_NO_NEWS;
    w->over = true;
    return ANCHOR_OVER;
}

enum anchor_news anchor_failed(struct anchor_watch *w, int error, uint64_t now_ms)
{
    bool first = !w->away;
    w->away = true;
    w->due = now_ms + ANCHOR_PERIOD_MS;
    if (error == -ESTALE) {
        w->lost = true;
        return ANCHOR_LOST;
    }
    enum anchor_news over = anchor_waited(w, now_ms);
    return over || !first ? over : ANCHOR_AWAY;
}
