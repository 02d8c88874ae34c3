// SPDX-License-Identifier: Apache-2.0
// Statements for the store's parts.
#include "verifier/broker/store_db.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int sb_errno(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return 0;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_CONSTRAINT:
        return -EEXIST;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EBADMSG;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_TOOBIG:
        return -EFBIG;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    default:
        return -EIO;
    }
}

int sb_statement(struct sb_store *st, const char *sql, sqlite3_stmt **out)
{
    struct sb_statement *place = NULL;

    for (size_t i = 0; i < SB_STATEMENTS; i++) {
        struct sb_statement *s = &st->statement[i];

        if (s->stmt && !s->used && !strcmp(sqlite3_sql(s->stmt), sql)) {
            s->used = true;
            *out = s->stmt;
            return SQLITE_OK;
        }
        if (!s->stmt && !place)
            place = s;
    }
    int rc = sqlite3_prepare_v3(st->db, sql, -1, place ? SQLITE_PREPARE_PERSISTENT : 0, out, NULL);

    if (rc == SQLITE_OK && place)
        *place = (struct sb_statement){*out, true};
    return rc;
}

void sb_statement_end(struct sb_store *st, sqlite3_stmt *stmt)
{
    for (size_t i = 0; stmt && i < SB_STATEMENTS; i++)
        if (st->statement[i].stmt == stmt) {
            sqlite3_reset(stmt);
            sqlite3_clear_bindings(stmt);
            st->statement[i].used = false;
            return;
        }
    sqlite3_finalize(stmt);
}

void sb_statements_free(struct sb_store *st)
{
    for (size_t i = 0; i < SB_STATEMENTS; i++) {
        sqlite3_finalize(st->statement[i].stmt);
        st->statement[i] = (struct sb_statement){NULL, false};
    }
}

int sb_do(struct sb_store *st, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sb_statement(st, sql, &stmt);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    sb_statement_end(st, stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int sb_begin(struct sb_store *st)
{
    return sb_do(st, "BEGIN IMMEDIATE");
}

int sb_end(struct sb_store *st, int rc)
{
    if (rc == SQLITE_OK)
        rc = sb_do(st, "COMMIT");
    if (rc != SQLITE_OK && !sqlite3_get_autocommit(st->db))
        sqlite3_exec(st->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

int sb_run(struct sb_store *st, int *changed, const char *sql, ...)
{
    sqlite3_stmt *stmt = NULL;
    va_list ap;
    int rc, i = 1;

    pthread_mutex_lock(&st->lock);
    rc = sb_statement(st, sql, &stmt);
    va_start(ap, sql);
    for (const char *text; rc == SQLITE_OK && (text = va_arg(ap, const char *)); i++)
        rc = sqlite3_bind_text(stmt, i, text, -1, SQLITE_STATIC);
    va_end(ap);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (changed)
        *changed = sqlite3_changes(st->db);
    sb_statement_end(st, stmt);
    pthread_mutex_unlock(&st->lock);
    return sb_errno(rc);
}

int sb_fetch(struct sb_store *st, const char *sql, const char *param, uint8_t **data, size_t *size)
{
    sqlite3_stmt *stmt = NULL;
    int rc, result = -ENOENT;

    *data = NULL;
    *size = 0;
    pthread_mutex_lock(&st->lock);
    rc = sb_statement(st, sql, &stmt);
    if (rc == SQLITE_OK && param)
        rc = sqlite3_bind_text(stmt, 1, param, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        const void *blob = sqlite3_column_blob(stmt, 0);
        size_t n = (size_t)sqlite3_column_bytes(stmt, 0);

        *data = malloc(n + 1);
        result = *data ? 0 : -ENOMEM;
        if (*data) {
            if (n)
                memcpy(*data, blob, n);
            (*data)[n] = 0;
            *size = n;
        }
    } else if (rc != SQLITE_DONE) {
        result = sb_errno(rc);
    }
    sb_statement_end(st, stmt);
    pthread_mutex_unlock(&st->lock);
    return result;
}
