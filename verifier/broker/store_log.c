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
    const struct sb_session_row *session; // to be kept with it; NULL: none
    bool used;                            // its challenge was: neither is written
    struct sb_pending *next;
    bool done;
    int rc;
};

void sb_entry_texts(const struct sb_entry *e, const char *t[SB_ENTRY_TEXTS])
{
#define TEXT(member) *t++ = e->member ? e->member : "";
    SB_ENTRY_MEMBERS(TEXT)
#undef TEXT
}

void sb_entry_set_texts(struct sb_entry *e, const char *const t[SB_ENTRY_TEXTS])
{
#define TEXT(member) e->member = *t++;
    SB_ENTRY_MEMBERS(TEXT)
#undef TEXT
}

int sb_entry_bind(sqlite3_stmt *stmt, int first, const char *const t[SB_ENTRY_TEXTS])
{
    int rc = SQLITE_OK;

    for (int i = 0; rc == SQLITE_OK && i < SB_ENTRY_TEXTS; i++)
        rc = sqlite3_bind_text(stmt, first + i, t[i], -1, SQLITE_STATIC);
    return rc;
}

int sb_insert_all(struct sb_store *st, const char *sql,
                  int (*before)(struct sb_store *st, void *arg),
                  int (*bind)(sqlite3_stmt *stmt, void *arg), void *arg,
                  int (*after)(struct sb_store *st))
{
    sqlite3_stmt *stmt = NULL;
    int rc;

    pthread_mutex_lock(&st->lock);
    rc = sb_begin(st);
    if (rc == SQLITE_OK && before)
        rc = before(st, arg);
    if (rc == SQLITE_OK)
        rc = sb_statement(st, sql, &stmt);
    while (rc == SQLITE_OK && (rc = bind(stmt, arg)) == SQLITE_ROW) {
        rc = sqlite3_step(stmt);
        rc = rc == SQLITE_DONE ? sqlite3_reset(stmt) : rc;
    }
    rc = rc == SQLITE_DONE ? SQLITE_OK : rc; // there are no more
    sb_statement_end(st, stmt);
    if (rc == SQLITE_OK)
        rc = after(st);
    rc = sb_end(st, rc);
    pthread_mutex_unlock(&st->lock);
    return sb_errno(rc);
}

// The next entry of a list. SQLITE_ROW, or SQLITE_DONE behind the last.
static int bind_entry(sqlite3_stmt *stmt, void *arg)
{
    struct sb_pending **next = arg;
    const char *t[SB_ENTRY_TEXTS];
    int rc;

    while (*next && (*next)->used)
        *next = (*next)->next;
    if (!*next)
        return SQLITE_DONE;
    sb_entry_texts((*next)->entry, t);
    rc = sqlite3_bind_int64(stmt, 1, (*next)->entry->time_ms);
    if (rc == SQLITE_OK)
        rc = sb_entry_bind(stmt, 2, t);
    *next = (*next)->next;
    return rc == SQLITE_OK ? SQLITE_ROW : rc;
}

static int put_head(struct sb_store *st)
{
    return sb_do(st, SB_PUT_HEAD);
}

#define LAST_CHAIN SB_CHAIN("(SELECT l.chain FROM log l ORDER BY l.id DESC LIMIT 1)")

static int keep_sessions(struct sb_store *st, void *arg)
{
    int rc = SQLITE_OK;

    for (struct sb_pending *p = *(struct sb_pending **)arg; p && rc == SQLITE_OK; p = p->next) {
        p->used = false;
        if (p->session)
            rc = sb_session_insert(st, p->session, &p->used);
    }
    return rc;
}

static int commit_once(struct sb_store *st, struct sb_pending *list)
{
    static const char sql[] =
        "INSERT INTO log(id, time_ms, " SB_LOG_COLUMNS ", mac, chain)"
        " SELECT id, time_ms, " SB_LOG_COLUMNS ", " SB_MAC_LOG ", " LAST_CHAIN
        " FROM (SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'log'), 0) + 1 AS id,"
        " ?1 AS time_ms, ?2 AS event, ?3 AS outcome, ?4 AS code, ?5 AS detail, ?6 AS peer,"
        " ?7 AS session, ?8 AS tee, ?9 AS image, ?10 AS reference, ?11 AS measurement,"
        " ?12 AS evidence, ?13 AS resource)";

    return sb_insert_all(st, sql, keep_sessions, bind_entry, &list, put_head);
}

// A full disk: what was kept for grants is given up for them. Whoever filled it is not us: refusals
// have their bound.
static int commit_entries(struct sb_store *st, struct sb_pending *list)
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

int sb_log_add_session(struct sb_store *st, const struct sb_entry *e,
                       const struct sb_session_row *row)
{
    struct sb_pending own = {.entry = e, .session = row};

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
            list->rc = !rc && list->used ? -EALREADY : rc;
            list->done = true;
        }
        pthread_cond_broadcast(&st->log_done);
    }
    pthread_mutex_unlock(&st->log_lock);
    if (!own.rc && st->tell)
        st->tell(e);
    return own.rc;
}

void sb_log_tell(struct sb_store *st, void (*tell)(const struct sb_entry *e))
{
    st->tell = tell;
}

int sb_log_add(struct sb_store *st, const struct sb_entry *e)
{
    return sb_log_add_session(st, e, NULL);
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
    struct sb_entry e;

    for (int i = 0; i < SB_ENTRY_TEXTS; i++)
        t[i] = (const char *)sqlite3_column_text(stmt, i + 5);
    if (id > *seen)
        *seen = id;
    e = (struct sb_entry){.id = ring ? 0 : id,
                          .time_ms = sqlite3_column_int64(stmt, 2),
                          .count = sqlite3_column_int64(stmt, 3),
                          .last_ms = sqlite3_column_int64(stmt, 4)};
    sb_entry_set_texts(&e, t);
    each(&e, arg);
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
    rc = sb_statement(st, sql, &stmt);
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
    sb_statement_end(st, stmt);
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
    rc = sb_statement(st, sql, &stmt);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 1, count);
    if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        at->chain = sqlite3_column_int64(stmt, 0);
        at->refusals = sqlite3_column_int64(stmt, 1);
    }
    sb_statement_end(st, stmt);
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
    if (sb_statement(st, sql, &stmt) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
        time_ms = sqlite3_column_int64(stmt, 0);
    sb_statement_end(st, stmt);
    pthread_mutex_unlock(&st->lock);
    return time_ms;
}
