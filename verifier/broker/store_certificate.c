// SPDX-License-Identifier: Apache-2.0
// Certificates that were issued to workloads: who has one, and which are revoked.
#include "verifier/broker/store_db.h"

#include <errno.h>
#include <string.h>

#define DAY 86400

static int run_numbers(struct sb_store *st, const char *sql, const char *text, int64_t number,
                       int *changed)
{
    sqlite3_stmt *stmt = NULL;
    int rc;

    pthread_mutex_lock(&st->lock);
    rc = sqlite3_prepare_v2(st->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 1, number);
    if (rc == SQLITE_OK && text)
        rc = sqlite3_bind_text(stmt, 2, text, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (changed)
        *changed = sqlite3_changes(st->db);
    sqlite3_finalize(stmt);
    pthread_mutex_unlock(&st->lock);
    return sb_errno(rc);
}

int sb_certificate_add(struct sb_store *st, const struct sb_certificate *c)
{
    static const char sql[] =
        "INSERT INTO certificate(" SB_CERTIFICATE_COLUMNS ", mac) SELECT " SB_CERTIFICATE_COLUMNS
        ", " SB_MAC_CERTIFICATE " FROM (SELECT ?1 AS serial, ?2 AS id, ?3 AS image,"
        " ?4 AS reference, ?5 AS peer, ?6 AS issued, ?7 AS ends, 0 AS revoked)";
    const char *const texts[] = {c->serial, c->id, c->image, c->reference, c->peer};
    sqlite3_stmt *stmt = NULL;
    int rc =
        run_numbers(st, "DELETE FROM certificate WHERE ends < ?1", NULL, c->issued - DAY, NULL);

    if (rc)
        return rc;
    pthread_mutex_lock(&st->lock);
    rc = sqlite3_prepare_v2(st->db, sql, -1, &stmt, NULL);
    for (int i = 0; rc == SQLITE_OK && i < 5; i++)
        rc = sqlite3_bind_text(stmt, i + 1, texts[i], -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 6, c->issued);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 7, c->ends);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    sqlite3_finalize(stmt);
    pthread_mutex_unlock(&st->lock);
    return sb_errno(rc);
}

int sb_certificate_revoke(struct sb_store *st, const char *name, int64_t now, int *count)
{
    return run_numbers(
        st,
        "UPDATE certificate SET revoked = ?1, mac = sb_mac('certificate', serial, id, image,"
        " reference, peer, issued, ends, ?1) WHERE revoked = 0 AND (serial = ?2 OR id = ?2)",
        name, now, count);
}

int sb_certificate_revoked(struct sb_store *st, int64_t now,
                           void (*each)(const char *serial, int64_t revoked, void *arg), void *arg)
{
    static const char sql[] =
        "SELECT serial, sb_checked(mac, 'certificate', " SB_CERTIFICATE_COLUMNS
        ") FROM certificate WHERE revoked > 0 AND ends > ?1 ORDER BY serial";
    sqlite3_stmt *stmt = NULL;
    int rc;

    pthread_mutex_lock(&st->lock);
    rc = sqlite3_prepare_v2(st->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 1, now);
    while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        each((const char *)sqlite3_column_text(stmt, 0), sqlite3_column_int64(stmt, 1), arg);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(stmt);
    pthread_mutex_unlock(&st->lock);
    return sb_errno(rc);
}

int sb_certificate_list(struct sb_store *st, int64_t now, char **json)
{
    char seconds[24];
    size_t size;

    snprintf(seconds, sizeof(seconds), "%lld", (long long)now);
    return sb_fetch(
        st,
        "SELECT json_group_array(json_object('serial', serial, 'id', id, 'image', image,"
        " 'reference', reference, 'peer', peer, 'issued', issued, 'ends', ends,"
        " 'revoked', revoked)) FROM (SELECT * FROM certificate"
        " WHERE ends > CAST(?1 AS INTEGER) ORDER BY id, issued)",
        seconds, (uint8_t **)json, &size);
}
