// SPDX-License-Identifier: Apache-2.0
// The audit log. Callers that come while a transaction is under way share the next one: the disk is
// waited for once for all of them, and each returns only when its own entry is there.
#include "verifier/broker/store_db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sb_pending {
    const struct sb_entry *entry;
    struct sb_pending *next;
    bool done;
    int rc;
};

void sb_entry_texts(const struct sb_entry *e, const char *t[SB_ENTRY_TEXTS])
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

    sb_entry_texts(e, t);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 1, e->time_ms);
    for (int i = 0; rc == SQLITE_OK && i < SB_ENTRY_TEXTS; i++)
        rc = sqlite3_bind_text(stmt, i + 2, t[i], -1, SQLITE_STATIC);
    return rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_DONE ? SQLITE_OK : rc;
}

#define LAST_CHAIN SB_CHAIN("(SELECT l.chain FROM log l ORDER BY l.id DESC LIMIT 1)")

static int commit_once(struct sb_store *st, const struct sb_pending *list)
{
    static const char sql[] =
        "INSERT INTO log(id, time_ms, " SB_LOG_COLUMNS ", mac, chain)"
        " SELECT id, time_ms, " SB_LOG_COLUMNS ", " SB_MAC_LOG ", " LAST_CHAIN
        " FROM (SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'log'), 0) + 1 AS id,"
        " ?1 AS time_ms, ?2 AS event, ?3 AS outcome, ?4 AS code, ?5 AS detail, ?6 AS peer,"
        " ?7 AS session, ?8 AS tee, ?9 AS image, ?10 AS reference, ?11 AS measurement,"
        " ?12 AS evidence, ?13 AS resource)";
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
        rc = sqlite3_exec(st->db, SB_PUT_HEAD, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(st->db, "COMMIT", NULL, NULL, NULL);
    if (rc != SQLITE_OK && !sqlite3_get_autocommit(st->db))
        sqlite3_exec(st->db, "ROLLBACK", NULL, NULL, NULL);
    pthread_mutex_unlock(&st->lock);
    return sb_errno(rc);
}

// A full disk: what was kept for grants is given up for them. Whoever filled it is not us: refusals
// have their bound.
static int commit_entries(struct sb_store *st, const struct sb_pending *list)
{
    int rc = commit_once(st, list);

    if ((rc != -ENOSPC && rc != -EIO) || !st->reserve || unlink(st->reserve))
        return rc;
    __atomic_store_n(&st->full, true, __ATOMIC_RELAXED);
    fprintf(stderr,
            "shelter: warning: the broker's disk is full; %s was given up for the audit "
            "log. Make room and start again\n",
            st->reserve);
    return commit_once(st, list);
}

int sb_log_reserve(struct sb_store *st, const char *dir, size_t size)
{
    char path[4200];
    int fd, rc;

    snprintf(path, sizeof(path), "%s/reserve", dir);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    rc = -posix_fallocate(fd, 0, (off_t)size);
    close(fd);
    if (rc) {
        unlink(path);
        return rc;
    }
    free(st->reserve);
    st->reserve = strdup(path);
    return st->reserve ? 0 : -ENOMEM;
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

#define UNION_OF_LOGS                                                                              \
    "SELECT 0 AS ring, id, time_ms, 0 AS count, 0 AS last_ms, " SB_LOG_COLUMNS                     \
    ", mac IS " SB_MAC_LOG " FROM log WHERE id > ?1"                                               \
    " UNION ALL SELECT 1, id, time_ms, count, last_ms, " SB_LOG_COLUMNS ", mac IS " SB_MAC_REFUSAL \
    " FROM refusal WHERE id > ?2"

// Entries whose MAC does not hold.
struct changed {
    int64_t id; // of the first one
    bool refusal;
    int64_t count;
};

static void count_changed(sqlite3_stmt *stmt, struct changed *c)
{
    if (!c->count++) {
        c->refusal = sqlite3_column_int(stmt, 0);
        c->id = sqlite3_column_int64(stmt, 1);
    }
}

static void read_row(sqlite3_stmt *stmt, struct sb_cursor *at,
                     void (*each)(const struct sb_entry *, void *), void *arg)
{
    int64_t id = sqlite3_column_int64(stmt, 1);
    bool ring = sqlite3_column_int(stmt, 0);
    int64_t *seen = ring ? &at->refusals : &at->chain;
    const char *t[SB_ENTRY_TEXTS];

    for (int i = 0; i < SB_ENTRY_TEXTS; i++)
        t[i] = (const char *)sqlite3_column_text(stmt, i + 5);
    if (id > *seen)
        *seen = id;
    each(&(struct sb_entry){.id = ring ? 0 : id,
                            .time_ms = sqlite3_column_int64(stmt, 2),
                            .count = sqlite3_column_int64(stmt, 3),
                            .last_ms = sqlite3_column_int64(stmt, 4),
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
}

int sb_log_read(struct sb_store *st, struct sb_cursor *at,
                void (*each)(const struct sb_entry *, void *), void *arg, char *why,
                size_t why_size)
{
    static const char sql[] = UNION_OF_LOGS " ORDER BY time_ms, ring, id";
    struct changed changed = {.count = 0};
    sqlite3_stmt *stmt = NULL;
    int rc;

    pthread_mutex_lock(&st->lock);
    rc = sqlite3_prepare_v2(st->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 1, at->chain);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 2, at->refusals);
    while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (sqlite3_column_int(stmt, 5 + SB_ENTRY_TEXTS))
            read_row(stmt, at, each, arg);
        else
            count_changed(stmt, &changed);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(stmt);
    pthread_mutex_unlock(&st->lock);
    rc = sb_errno(rc);
    if (rc || !changed.count)
        return rc;
    snprintf(
        why, why_size,
        "%s %lld of the audit log was changed; %lld such are left out here. Put back a copy of "
        "the broker's folder for which 'shelter broker log --check' prints an ID:HASH",
        changed.refusal ? "refusal" : "entry", (long long)changed.id, (long long)changed.count);
    return -EBADMSG;
}

int sb_log_tail(struct sb_store *st, int64_t count, struct sb_cursor *at)
{
    static const char sql[] =
        "WITH newest AS (SELECT ring, id FROM (SELECT 0 AS ring, id, time_ms FROM log UNION ALL"
        " SELECT 1, id, time_ms FROM refusal) ORDER BY time_ms DESC, ring DESC, id DESC LIMIT ?1)"
        " SELECT coalesce((SELECT min(id) - 1 FROM newest WHERE ring = 0),"
        " (SELECT max(id) FROM log), 0), coalesce((SELECT min(id) - 1 FROM newest WHERE ring = 1),"
        " (SELECT max(id) FROM refusal), 0)";
    sqlite3_stmt *stmt = NULL;
    int rc;

    *at = (struct sb_cursor){0, 0};
    pthread_mutex_lock(&st->lock);
    rc = sqlite3_prepare_v2(st->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 1, count);
    if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        at->chain = sqlite3_column_int64(stmt, 0);
        at->refusals = sqlite3_column_int64(stmt, 1);
    }
    sqlite3_finalize(stmt);
    pthread_mutex_unlock(&st->lock);
    return sb_errno(rc);
}

int64_t sb_log_last_time(struct sb_store *st)
{
    static const char sql[] =
        "SELECT max(coalesce((SELECT max(time_ms) FROM log WHERE id > (SELECT max(id) FROM log) - "
        "4096), 0), coalesce((SELECT max(last_ms) FROM refusal), 0))";
    sqlite3_stmt *stmt = NULL;
    int64_t time_ms = 0;

    pthread_mutex_lock(&st->lock);
    if (sqlite3_prepare_v2(st->db, sql, -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW)
        time_ms = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    pthread_mutex_unlock(&st->lock);
    return time_ms;
}
