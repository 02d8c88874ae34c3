// SPDX-License-Identifier: Apache-2.0
// Refusals: noted in memory, equal ones together; written once a second into rings.
#include "verifier/broker/store_db.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTED_MAX 64 // kinds of refusals a second; what is more is one entry

struct sb_noted {
    unsigned count;
    struct note {
        int64_t time_ms, last_ms, count;
        bool known;
        char event[16], outcome[16], code[48], detail[320], peer[64], session[40], tee[8],
            image[104];
        char reference[136], measurement[136], evidence[100], resource[404];
    } note[NOTED_MAX];
};

static bool is_same(const struct note *n, const struct sb_entry *e, bool known)
{
    return n->known == known && !strcmp(n->event, e->event) && !strcmp(n->code, e->code) &&
           !strcmp(n->peer, e->peer) && !strcmp(n->tee, e->tee) &&
           !strcmp(n->resource, e->resource) && !strcmp(n->image, e->image);
}

static void fill_note(struct note *n, const struct sb_entry *e, bool known)
{
    *n = (struct note){.time_ms = e->time_ms, .known = known};
#define TEXT(member) snprintf(n->member, sizeof(n->member), "%s", e->member);
    SB_ENTRY_MEMBERS(TEXT)
#undef TEXT
}

// A refusal, with all of its texts.
static struct sb_entry refusal_of(const struct sb_entry *e)
{
    struct sb_entry all = {.time_ms = e->time_ms};
    const char *t[SB_ENTRY_TEXTS];

    sb_entry_texts(e, t);
    sb_entry_set_texts(&all, t);
    all.outcome = "refused";
    return all;
}

void sb_log_refusal(struct sb_store *st, const struct sb_entry *e, bool known)
{
    static const struct sb_entry many = {.event = "attest",
                                         .code = "many",
                                         .detail = "further refusals of this second, of any kind",
                                         .peer = "many"};
    struct sb_entry all = refusal_of(e);
    struct note *n = NULL;

    pthread_mutex_lock(&st->noted_lock);
    if (!st->noted)
        st->noted = calloc(1, sizeof(*st->noted));
    for (unsigned i = 0; st->noted && !n && i < st->noted->count; i++)
        if (is_same(&st->noted->note[i], &all, known))
            n = &st->noted->note[i];
    if (!n && st->noted && st->noted->count < NOTED_MAX) {
        n = &st->noted->note[st->noted->count++];
        if (st->noted->count == NOTED_MAX) {
            all = refusal_of(&many);
            all.time_ms = e->time_ms;
            known = false;
        }
        fill_note(n, &all, known);
    }
    if (!n && st->noted)
        n = &st->noted->note[NOTED_MAX - 1];
    if (n) {
        n->count++;
        n->last_ms = e->time_ms;
    }
    pthread_mutex_unlock(&st->noted_lock);
}

struct unwritten {
    const struct sb_noted *noted;
    unsigned next;
};

// The next note. SQLITE_ROW, or SQLITE_DONE behind the last.
static int bind_note(sqlite3_stmt *stmt, void *arg)
{
    struct unwritten *u = arg;
    const struct note *n;
    int rc = SQLITE_OK;

    if (u->next == u->noted->count)
        return SQLITE_DONE;
    n = &u->noted->note[u->next++];
#define TEXT(member) n->member,
    const char *t[] = {SB_ENTRY_MEMBERS(TEXT)};
#undef TEXT
    const int64_t numbers[] = {n->known, n->time_ms, n->last_ms, n->count};
    for (int i = 0; rc == SQLITE_OK && i < 4; i++)
        rc = sqlite3_bind_int64(stmt, i + 1, numbers[i]);
    if (rc == SQLITE_OK)
        rc = sb_entry_bind(stmt, 5, t);
    return rc == SQLITE_OK ? SQLITE_ROW : rc;
}

static int trim_ring(struct sb_store *st, int known)
{
    char sql[160];

    snprintf(sql, sizeof(sql),
             "DELETE FROM refusal WHERE known = %d AND id <= (SELECT id FROM refusal WHERE known = "
             "%d ORDER BY id DESC LIMIT 1 OFFSET %d)",
             known, known, SB_REFUSALS_MAX);
    return sqlite3_exec(st->db, sql, NULL, NULL, NULL);
}

static int trim_rings(struct sb_store *st)
{
    int rc = trim_ring(st, 0);

    return rc == SQLITE_OK ? trim_ring(st, 1) : rc;
}

static int write_notes(struct sb_store *st, const struct sb_noted *noted)
{
    static const char sql[] =
        "INSERT INTO refusal(known, time_ms, last_ms, count, " SB_LOG_COLUMNS ", mac)"
        " VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,"
        " sb_mac('refusal',?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16))";
    struct unwritten all = {noted, 0};

    return sb_insert_all(st, sql, NULL, bind_note, &all, trim_rings);
}

static void tell_notes(const struct sb_store *st, const struct sb_noted *noted)
{
    for (unsigned i = 0; i < noted->count; i++) {
        const struct note *n = &noted->note[i];
#define TEXT(member) n->member,
        const char *t[] = {SB_ENTRY_MEMBERS(TEXT)};
#undef TEXT
        struct sb_entry e = {.time_ms = n->time_ms, .count = n->count, .last_ms = n->last_ms};

        sb_entry_set_texts(&e, t);
        st->tell(&e);
    }
}

int sb_log_flush(struct sb_store *st)
{
    struct sb_noted *noted;
    int rc;

    pthread_mutex_lock(&st->noted_lock);
    noted = st->noted;
    st->noted = NULL;
    pthread_mutex_unlock(&st->noted_lock);
    if (!noted)
        return 0;
    rc = __atomic_load_n(&st->full, __ATOMIC_RELAXED) ? -ENOSPC : write_notes(st, noted);
    if (st->tell)
        tell_notes(st, noted);
    free(noted);
    return rc;
}
