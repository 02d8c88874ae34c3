// SPDX-License-Identifier: Apache-2.0
// Checks the audit log: its chain, and the MACs of its entries.
#include "verifier/broker/store_db.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct walk {
    int64_t id; // of the entry before; 0: none
    uint8_t hash[SB_CHAIN_SIZE];
    bool met; // the entry that the caller knows
};

static int refuse_chain(char *why, size_t why_size, const char *what, int64_t id)
{
    snprintf(why, why_size, "the audit log was changed: %s %lld", what, (long long)id);
    return -EBADMSG;
}

// Columns: id, chain as kept, chain as computed, whether the MAC holds.
static int walk_row(sqlite3_stmt *row, struct walk *w, char *why, size_t why_size)
{
    int64_t id = sqlite3_column_int64(row, 0);

    if (id != w->id + 1)
        return refuse_chain(why, why_size, "an entry is missing before", id);
    if (sqlite3_column_bytes(row, 1) != SB_CHAIN_SIZE ||
        sqlite3_column_bytes(row, 2) != SB_CHAIN_SIZE ||
        memcmp(sqlite3_column_blob(row, 1), sqlite3_column_blob(row, 2), SB_CHAIN_SIZE))
        return refuse_chain(why, why_size, "the hash does not hold at entry", id);
    if (!sqlite3_column_int(row, 3))
        return refuse_chain(why, why_size, "the MAC does not hold at entry", id);
    memcpy(w->hash, sqlite3_column_blob(row, 1), SB_CHAIN_SIZE);
    w->id = id;
    return 0;
}

// The last entry is the one that was noted beside the chain.
static int check_head(struct sb_store *st, const struct walk *w, char *why, size_t why_size)
{
    static const char sql[] = "SELECT id, sb_checked(mac, 'head', id, chain) FROM head";
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(st->db, sql, -1, &stmt, NULL), result = 0;

    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        if (sqlite3_column_int64(stmt, 0) != w->id ||
            sqlite3_column_bytes(stmt, 1) != SB_CHAIN_SIZE ||
            memcmp(sqlite3_column_blob(stmt, 1), w->hash, SB_CHAIN_SIZE))
            result = refuse_chain(why, why_size, "it is cut behind entry", w->id);
    } else if (rc == SQLITE_DONE) {
        if (w->id)
            result =
                refuse_chain(why, why_size, "the note of the last entry is missing after", w->id);
    } else {
        result = sb_errno(rc);
        snprintf(why, why_size, "the note of the log's last entry is damaged");
    }
    sqlite3_finalize(stmt);
    return result;
}

// The refusals are in no chain; those that are there are as they were written.
static int check_refusals(struct sb_store *st, char *why, size_t why_size)
{
    static const char sql[] =
        "SELECT id FROM refusal WHERE mac IS NOT " SB_MAC_REFUSAL " ORDER BY id LIMIT 1";
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(st->db, sql, -1, &stmt, NULL), result = 0;

    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        result = refuse_chain(why, why_size, "the MAC does not hold at refusal",
                              sqlite3_column_int64(stmt, 0));
    else if (rc != SQLITE_DONE)
        result = sb_errno(rc);
    sqlite3_finalize(stmt);
    return result;
}

int sb_log_check(struct sb_store *st, int64_t known_id, const uint8_t known_hash[SB_CHAIN_SIZE],
                 int64_t *id, uint8_t hash[SB_CHAIN_SIZE], char *why, size_t why_size)
{
    // Each entry over the one that stands before it by id.
    static const char sql[] =
        "SELECT id, chain, " SB_CHAIN("lag(chain) OVER (ORDER BY id)") ", mac IS " SB_MAC_LOG
                                                                       " FROM log ORDER BY id";
    struct walk w = {.id = 0};
    sqlite3_stmt *stmt = NULL;
    int rc, result = 0;

    pthread_mutex_lock(&st->lock);
    rc = sqlite3_exec(st->db, "BEGIN", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(st->db, sql, -1, &stmt, NULL);
    while (rc == SQLITE_OK && !result && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        result = walk_row(stmt, &w, why, why_size);
        if (!result && known_id == w.id && known_id) {
            w.met = !memcmp(w.hash, known_hash, SB_CHAIN_SIZE);
            if (!w.met)
                result = refuse_chain(why, why_size, "it has another hash than you know, entry",
                                      known_id);
        }
        rc = SQLITE_OK;
    }
    if (!result)
        result = sb_errno(rc);
    sqlite3_finalize(stmt);
    if (!result)
        result = check_head(st, &w, why, why_size);
    if (!result)
        result = check_refusals(st, why, why_size);
    if (!result && known_id && !w.met)
        result = refuse_chain(why, why_size, "it is cut before the entry that you know,", known_id);
    sqlite3_exec(st->db, "COMMIT", NULL, NULL, NULL);
    pthread_mutex_unlock(&st->lock);
    *id = w.id;
    memcpy(hash, w.hash, SB_CHAIN_SIZE);
    return result;
}
