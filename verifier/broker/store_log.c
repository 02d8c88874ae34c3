// SPDX-License-Identifier: Apache-2.0
// The audit log. Callers that come while a transaction is under way share the next one: the disk is
// waited for once for all of them, and each returns only when its own entry is there.
#include "verifier/broker/store_db.h"

#include <stdlib.h>
#include <string.h>

struct sb_pending {
    const struct sb_entry *entry;
    struct sb_pending *next;
    bool done;
    int rc;
};

static void texts_of(const struct sb_entry *e, const char *t[SB_ENTRY_TEXTS])
{
    const char *list[SB_ENTRY_TEXTS] = {e->event,     e->outcome,     e->code,     e->detail,
                                        e->peer,      e->session,     e->tee,      e->image,
                                        e->reference, e->measurement, e->evidence, e->resource};

    for (int i = 0; i < SB_ENTRY_TEXTS; i++)
        t[i] = list[i] ? list[i] : "";
}

static int insert_entry(sqlite3_stmt *stmt, const struct sb_entry *e)
{
    const char *t[SB_ENTRY_TEXTS];
    int rc = sqlite3_reset(stmt);

    texts_of(e, t);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 1, e->time_ms);
    for (int i = 0; rc == SQLITE_OK && i < SB_ENTRY_TEXTS; i++)
        rc = sqlite3_bind_text(stmt, i + 2, t[i], -1, SQLITE_STATIC);
    return rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_DONE ? SQLITE_OK : rc;
}

static int commit_entries(struct sb_store *st, const struct sb_pending *list)
{
    static const char sql[] =
        "INSERT INTO log(time_ms, " SB_LOG_COLUMNS ", mac) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,"
        "?11,?12,?13, sb_mac('log',?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13))";
    sqlite3_stmt *stmt = NULL;
    int rc;

    pthread_mutex_lock(&st->lock);
    rc = sqlite3_exec(st->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(st->db, sql, -1, &stmt, NULL);
    for (; rc == SQLITE_OK && list; list = list->next)
        rc = insert_entry(stmt, list->entry);
    sqlite3_finalize(stmt);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(st->db, "COMMIT", NULL, NULL, NULL);
    if (rc != SQLITE_OK && !sqlite3_get_autocommit(st->db))
        sqlite3_exec(st->db, "ROLLBACK", NULL, NULL, NULL);
    pthread_mutex_unlock(&st->lock);
    return sb_errno(rc);
}

int sb_log_add(struct sb_store *st, const struct sb_entry *e)
{
    struct sb_pending own = {.entry = e};

    pthread_mutex_lock(&st->log_lock);
    *st->pending_end = &own;
    st->pending_end = &own.next;
    while (!own.done) {
        struct sb_pending *list = st->pending, *next;
        int rc;

        if (st->committing) {
            pthread_cond_wait(&st->log_done, &st->log_lock);
            continue;
        }
        st->committing = true;
        st->pending = NULL;
        st->pending_end = &st->pending;
        pthread_mutex_unlock(&st->log_lock);
        rc = commit_entries(st, list);
        pthread_mutex_lock(&st->log_lock);
        st->committing = false;
        for (; list; list = next) {
            next = list->next; // once done, its owner may be gone
            list->rc = rc;
            list->done = true;
        }
        pthread_cond_broadcast(&st->log_done);
    }
    pthread_mutex_unlock(&st->log_lock);
    return own.rc;
}

int sb_log_read(struct sb_store *st, int64_t after, void (*each)(const struct sb_entry *, void *),
                void *arg)
{
    static const char sql[] = "SELECT id, time_ms, " SB_LOG_COLUMNS
                              ", sb_checked(mac, 'log', time_ms, " SB_LOG_COLUMNS ")"
                              " FROM log WHERE id > ?1 ORDER BY id";
    sqlite3_stmt *stmt = NULL;
    int rc;

    pthread_mutex_lock(&st->lock);
    rc = sqlite3_prepare_v2(st->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 1, after);
    while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *t[SB_ENTRY_TEXTS];

        for (int i = 0; i < SB_ENTRY_TEXTS; i++)
            t[i] = (const char *)sqlite3_column_text(stmt, i + 2);
        each(&(struct sb_entry){.id = sqlite3_column_int64(stmt, 0),
                                .time_ms = sqlite3_column_int64(stmt, 1),
                                .event = t[0],
                                .outcome = t[1],
                                .code = t[2],
                                .detail = t[3],
                                .peer = t[4],
                                .session = t[5],
                                .tee = t[6],
                                .image = t[7],
                                .reference = t[8],
                                .measurement = t[9],
                                .evidence = t[10],
                                .resource = t[11]},
             arg);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(stmt);
    pthread_mutex_unlock(&st->lock);
    return sb_errno(rc);
}

int64_t sb_log_tail(struct sb_store *st, int64_t count)
{
    sqlite3_stmt *stmt = NULL;
    int64_t id = 0;

    pthread_mutex_lock(&st->lock);
    if (sqlite3_prepare_v2(st->db, "SELECT id FROM log ORDER BY id DESC LIMIT 1 OFFSET ?1", -1,
                           &stmt, NULL) == SQLITE_OK &&
        sqlite3_bind_int64(stmt, 1, count) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
        id = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    pthread_mutex_unlock(&st->lock);
    return id;
}

int64_t sb_log_last_time(struct sb_store *st)
{
    sqlite3_stmt *stmt = NULL;
    int64_t time_ms = 0;

    pthread_mutex_lock(&st->lock);
    if (sqlite3_prepare_v2(
            st->db, "SELECT max(time_ms) FROM log WHERE id > (SELECT max(id) FROM log) - 4096", -1,
            &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW)
        time_ms = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    pthread_mutex_unlock(&st->lock);
    return time_ms;
}
