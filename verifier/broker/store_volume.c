// SPDX-License-Identifier: Apache-2.0
// What was acknowledged of volumes. A change is read, judged and written in one transaction, which
// is on the disk when it returns.
#include "verifier/broker/store_db.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TEXTS 8

// The columns of text, in the order of SB_VOLUME_COLUMNS, with the room that each has.
struct field {
    char *text;
    size_t size;
};

static void list_fields(struct sb_volume *v, struct field f[TEXTS])
{
    const struct field all[TEXTS] = {
        {v->memory, sizeof(v->memory)},       {v->state, sizeof(v->state)},
        {v->next, sizeof(v->next)},           {v->lease, sizeof(v->lease)},
        {v->second, sizeof(v->second)},       {v->image, sizeof(v->image)},
        {v->reference, sizeof(v->reference)}, {v->peer, sizeof(v->peer)}};

    memcpy(f, all, sizeof(all));
}

// With the lock held. SQLITE_ROW, SQLITE_DONE (there is none) or an error.
static int read_row(struct sb_store *st, const char *path, struct sb_volume *v)
{
    static const char sql[] =
        "SELECT " SB_VOLUME_COLUMNS ", mac IS " SB_MAC_VOLUME " FROM volume WHERE path = ?1";
    sqlite3_stmt *stmt = NULL;
    struct field f[TEXTS];
    int rc = sb_statement(st, sql, &stmt);

    memset(v, 0, sizeof(*v));
    list_fields(v, f);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(stmt, 1, path, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        for (int i = 0; i < TEXTS; i++)
            snprintf(f[i].text, f[i].size, "%s", (const char *)sqlite3_column_text(stmt, i));
        v->opened_ms = sqlite3_column_int64(stmt, TEXTS);
        v->heard_ms = sqlite3_column_int64(stmt, TEXTS + 1);
        v->beats = sqlite3_column_int64(stmt, TEXTS + 2);
        if (!sqlite3_column_int(stmt, TEXTS + 3))
            rc = SQLITE_CORRUPT;
    }
    sb_statement_end(st, stmt);
    return rc;
}

static int write_row(struct sb_store *st, const char *path, struct sb_volume *v)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO volume(path, " SB_VOLUME_COLUMNS ", mac)"
        " SELECT path, " SB_VOLUME_COLUMNS ", " SB_MAC_VOLUME " FROM (SELECT ?1 AS path,"
        " ?2 AS memory, ?3 AS state, ?4 AS next, ?5 AS lease, ?6 AS second, ?7 AS image,"
        " ?8 AS reference, ?9 AS peer, ?10 AS opened_ms, ?11 AS heard_ms, ?12 AS beats)";
    const int64_t numbers[] = {v->opened_ms, v->heard_ms, v->beats};
    sqlite3_stmt *stmt = NULL;
    struct field f[TEXTS];
    int rc = sb_statement(st, sql, &stmt);

    list_fields(v, f);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(stmt, 1, path, -1, SQLITE_STATIC);
    for (int i = 0; rc == SQLITE_OK && i < TEXTS; i++)
        rc = sqlite3_bind_text(stmt, i + 2, f[i].text, -1, SQLITE_STATIC);
    for (int i = 0; rc == SQLITE_OK && i < 3; i++)
        rc = sqlite3_bind_int64(stmt, i + 2 + TEXTS, numbers[i]);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    sb_statement_end(st, stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int sb_volume_change(struct sb_store *st, const char *path,
                     int (*change)(struct sb_volume *v, void *arg), void *arg)
{
    struct sb_volume v;
    int rc, wanted = 1;

    pthread_mutex_lock(&st->lock);
    rc = sb_begin(st);
    if (rc == SQLITE_OK) {
        rc = read_row(st, path, &v);
        if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
            wanted = change(&v, arg);
            rc = SQLITE_OK;
        }
    }
    if (rc == SQLITE_OK && !wanted) {
        v.beats++;
        rc = write_row(st, path, &v);
    }
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(st->db, wanted ? "ROLLBACK" : "COMMIT", NULL, NULL, NULL);
    if (rc != SQLITE_OK && !sqlite3_get_autocommit(st->db))
        sqlite3_exec(st->db, "ROLLBACK", NULL, NULL, NULL);
    pthread_mutex_unlock(&st->lock);
    return rc != SQLITE_OK ? sb_errno(rc) : wanted < 0 ? wanted : 0;
}

int sb_volume_get(struct sb_store *st, const char *path, struct sb_volume *out)
{
    int rc;

    pthread_mutex_lock(&st->lock);
    rc = read_row(st, path, out);
    pthread_mutex_unlock(&st->lock);
    return rc == SQLITE_DONE ? -ENOENT : sb_errno(rc);
}

int sb_volume_delete(struct sb_store *st, const char *path)
{
    int changed = 0, rc = sb_run(st, &changed, "DELETE FROM volume WHERE path = ?1", path, NULL);

    return rc ? rc : changed ? 0 : -ENOENT;
}

#define SHOWN                                                                                      \
    "json_object('path', path, 'memory', memory, 'state', state, 'held', json(iif(lease = '', "    \
    "'false', 'true')), 'second', iif(second = 'fence', 'fence', 'refuse'), 'image', image,"       \
    " 'reference', reference, 'peer', peer, 'opened_ms', opened_ms, 'heard_ms', heard_ms)"

int sb_volume_list(struct sb_store *st, const char *path, char **json)
{
    size_t size;

    return path ? sb_fetch(st, "SELECT " SHOWN " FROM volume WHERE path = ?1", path,
                           (uint8_t **)json, &size)
                : sb_fetch(st,
                           "SELECT json_group_array(" SHOWN ") FROM (SELECT * FROM volume ORDER BY "
                           "path)",
                           NULL, (uint8_t **)json, &size);
}
