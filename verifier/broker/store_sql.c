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

int sb_begin(struct sb_store *st)
{
    return sqlite3_exec(st->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
}

int sb_end(struct sb_store *st, int rc)
{
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(st->db, "COMMIT", NULL, NULL, NULL);
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
    rc = sqlite3_prepare_v2(st->db, sql, -1, &stmt, NULL);
    va_start(ap, sql);
    for (const char *text; rc == SQLITE_OK && (text = va_arg(ap, const char *)); i++)
        rc = sqlite3_bind_text(stmt, i, text, -1, SQLITE_STATIC);
    va_end(ap);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (changed)
        *changed = sqlite3_changes(st->db);
    sqlite3_finalize(stmt);
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
    rc = sqlite3_prepare_v2(st->db, sql, -1, &stmt, NULL);
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
    sqlite3_finalize(stmt);
    pthread_mutex_unlock(&st->lock);
    return result;
}
