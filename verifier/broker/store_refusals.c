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
        char event[16], code[48], detail[320], peer[64], session[40], tee[8], image[104];
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
    snprintf(n->event, sizeof(n->event), "%s", e->event);
    snprintf(n->code, sizeof(n->code), "%s", e->code);
    snprintf(n->detail, sizeof(n->detail), "%s", e->detail);
    snprintf(n->peer, sizeof(n->peer), "%s", e->peer);
    snprintf(n->session, sizeof(n->session), "%s", e->session);
    snprintf(n->tee, sizeof(n->tee), "%s", e->tee);
    snprintf(n->image, sizeof(n->image), "%s", e->image);
    snprintf(n->reference, sizeof(n->reference), "%s", e->reference);
    snprintf(n->measurement, sizeof(n->measurement), "%s", e->measurement);
    snprintf(n->evidence, sizeof(n->evidence), "%s", e->evidence);
    snprintf(n->resource, sizeof(n->resource), "%s", e->resource);
}

void sb_log_refusal(struct sb_store *st, const struct sb_entry *e, bool known)
{
    static const struct sb_entry many = {.event = "attest",
                                         .code = "many",
                                         .detail = "further refusals of this second, of any kind",
                                         .peer = "many",
                                         .session = "",
                                         .tee = "",
                                         .image = "",
                                         .reference = "",
                                         .measurement = "",
                                         .evidence = "",
                                         .resource = ""};
    const char *t[SB_ENTRY_TEXTS];
    struct sb_entry all;
    struct note *n = NULL;

    sb_entry_texts(e, t);
    all = (struct sb_entry){.time_ms = e->time_ms,
                            .event = t[0],
                            .code = t[2],
                            .detail = t[3],
                            .peer = t[4],
                            .session = t[5],
                            .tee = t[6],
                            .image = t[7],
                            .reference = t[8],
                            .measurement = t[9],
                            .evidence = t[10],
                            .resource = t[11]};
    pthread_mutex_lock(&st->noted_lock);
    if (!st->noted)
        st->noted = calloc(1, sizeof(*st->noted));
    for (unsigned i = 0; st->noted && !n && i < st->noted->count; i++)
        if (is_same(&st->noted->note[i], &all, known))
            n = &st->noted->note[i];
    if (!n && st->noted && st->noted->count < NOTED_MAX) {
        n = &st->noted->note[st->noted->count++];
        if (st->noted->count == NOTED_MAX) {
            all = many;
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

static int insert_note(sqlite3_stmt *stmt, const struct note *n)
{
    const char *t[] = {n->event, "refused", n->code,      n->detail,      n->peer,     n->session,
                       n->tee,   n->image,  n->reference, n->measurement, n->evidence, n->resource};
    int rc = sqlite3_reset(stmt);

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 1, n->known);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 2, n->time_ms);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 3, n->last_ms);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 4, n->count);
    for (int i = 0; rc == SQLITE_OK && i < SB_ENTRY_TEXTS; i++)
        rc = sqlite3_bind_text(stmt, i + 5, t[i], -1, SQLITE_STATIC);
    return rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_DONE ? SQLITE_OK : rc;
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

static int write_notes(struct sb_store *st, const struct sb_noted *noted)
{
    static const char sql[] =
        "INSERT INTO refusal(known, time_ms, last_ms, count, " SB_LOG_COLUMNS ", mac)"
        " VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,"
        " sb_mac('refusal',?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16))";
    sqlite3_stmt *stmt = NULL;
    int rc;

    pthread_mutex_lock(&st->lock);
    rc = sqlite3_exec(st->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(st->db, sql, -1, &stmt, NULL);
    for (unsigned i = 0; rc == SQLITE_OK && i < noted->count; i++)
        rc = insert_note(stmt, &noted->note[i]);
    sqlite3_finalize(stmt);
    for (int known = 0; rc == SQLITE_OK && known < 2; known++)
        rc = trim_ring(st, known);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(st->db, "COMMIT", NULL, NULL, NULL);
    if (rc != SQLITE_OK && !sqlite3_get_autocommit(st->db))
        sqlite3_exec(st->db, "ROLLBACK", NULL, NULL, NULL);
    pthread_mutex_unlock(&st->lock);
    return sb_errno(rc);
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
    free(noted);
    return rc;
}
