// SPDX-License-Identifier: Apache-2.0
// Sessions that all processes of a broker know.
#include "verifier/broker/store_db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/hmac.h>

#include "lib/hex.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define BOOT_SIZE 36

static int read_boot_id(char out[BOOT_SIZE + 1])
{
    int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, BOOT_SIZE);

    if (fd >= 0)
        close(fd);
    out[BOOT_SIZE] = 0;
    return n == BOOT_SIZE ? 0 : -EIO;
}

int sb_store_boot_key(struct sb_store *st, const char *purpose, uint8_t out[32])
{
    char text[100], boot[BOOT_SIZE + 1];
    int n;

    if (read_boot_id(boot))
        return -EIO;
    n = snprintf(text, sizeof(text), "shelter-broker-%s-v1 %s", purpose, boot);
    if (n >= (int)sizeof(text))
        return -EINVAL;
    return HMAC(EVP_sha256(), st->mac_key, sizeof(st->mac_key), (const uint8_t *)text, (size_t)n,
                out, NULL)
               ? 0
               : -EIO;
}

// Those of another boot, and the oldest where there are too many. Ids count up; what is expired
// goes in the order in which it came.
static int make_room(struct sb_store *st, const struct sb_session_row *row, const char *boot)
{
    static const char sql[] = "DELETE FROM session WHERE n <= (SELECT max(n) FROM session) - ?1"
                              " OR n IN (SELECT n FROM session ORDER BY n LIMIT 8) AND boot <> ?2";
    sqlite3_stmt *stmt = NULL;
    int rc = sb_statement(st, sql, &stmt);

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 1, row->max);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(stmt, 2, boot, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    sb_statement_end(st, stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int sb_session_insert(struct sb_store *st, const struct sb_session_row *row, bool *used)
{
    static const char sql[] = "INSERT OR IGNORE INTO session(id, boot, until_ms, payload, mac)"
                              " SELECT id, boot, until_ms, payload, " SB_MAC_SESSION
                              " FROM (SELECT ?1 AS id, ?2 AS boot, ?3 AS until_ms, ?4 AS payload)";
    sqlite3_stmt *stmt = NULL;
    char boot[BOOT_SIZE + 1];
    int rc = read_boot_id(boot) ? SQLITE_IOERR : sb_statement(st, sql, &stmt);

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(stmt, 1, row->id, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(stmt, 2, boot, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 3, row->until_ms);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(stmt, 4, row->payload, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    *used = rc == SQLITE_DONE && !sqlite3_changes(st->db);
    sb_statement_end(st, stmt);
    return rc == SQLITE_DONE ? make_room(st, row, boot) : rc;
}

int sb_session_find(struct sb_store *st, const char *id, int64_t now_ms, char **payload)
{
    static const char sql[] = "SELECT sb_checked(mac, 'session', id, boot, until_ms, payload), "
                              "boot, until_ms FROM session"
                              " WHERE id = ?1";
    sqlite3_stmt *stmt = NULL;
    char boot[BOOT_SIZE + 1];
    int rc, result = -ENOENT;

    *payload = NULL;
    if (read_boot_id(boot))
        return -EIO;
    pthread_mutex_lock(&st->lock);
    rc = sb_statement(st, sql, &stmt);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(stmt, 1, id, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW && !strcmp((const char *)sqlite3_column_text(stmt, 1), boot) &&
        sqlite3_column_int64(stmt, 2) > now_ms) {
        *payload = strdup((const char *)sqlite3_column_text(stmt, 0));
        result = *payload ? 0 : -ENOMEM;
    } else if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        result = sb_errno(rc);
    }
    sb_statement_end(st, stmt);
    pthread_mutex_unlock(&st->lock);
    return result;
}

int sb_session_each(struct sb_store *st, int64_t now_ms,
                    void (*each)(const char *id, const char *payload, int64_t until_ms, void *arg),
                    void *arg)
{
    static const char sql[] = "SELECT id, sb_checked(mac, 'session', id, boot, until_ms, payload),"
                              " until_ms FROM session WHERE boot = ?1 AND until_ms > ?2 ORDER BY n";
    sqlite3_stmt *stmt = NULL;
    char boot[BOOT_SIZE + 1];
    int rc;

    if (read_boot_id(boot))
        return -EIO;
    pthread_mutex_lock(&st->lock);
    rc = sb_statement(st, sql, &stmt);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(stmt, 1, boot, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 2, now_ms);
    while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        each((const char *)sqlite3_column_text(stmt, 0), (const char *)sqlite3_column_text(stmt, 1),
             sqlite3_column_int64(stmt, 2), arg);
        rc = SQLITE_OK;
    }
    sb_statement_end(st, stmt);
    pthread_mutex_unlock(&st->lock);
    return sb_errno(rc);
}
