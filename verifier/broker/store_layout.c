// SPDX-License-Identifier: Apache-2.0
// The store's layouts: the steps from each to the next.
#include "verifier/broker/store_db.h"

#include <errno.h>
#include <stdio.h>

#include <openssl/x509.h>

// Step i leads from version i to i + 1. Never edit a step that was released: add one.
static const char *const steps[] = {
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;"
    "CREATE TABLE resource(path TEXT PRIMARY KEY, value BLOB NOT NULL, changed INTEGER NOT NULL)"
    " STRICT;"
    "CREATE TABLE reference(name TEXT PRIMARY KEY, image TEXT NOT NULL, json TEXT NOT NULL,"
    " launch TEXT NOT NULL, changed INTEGER NOT NULL) STRICT;"
    "CREATE TABLE policy(path TEXT PRIMARY KEY, json TEXT NOT NULL, changed INTEGER NOT NULL)"
    " STRICT;"
    "CREATE TABLE log(id INTEGER PRIMARY KEY AUTOINCREMENT, time_ms INTEGER NOT NULL,"
    " event TEXT NOT NULL, outcome TEXT NOT NULL, code TEXT NOT NULL, detail TEXT NOT NULL,"
    " peer TEXT NOT NULL, session TEXT NOT NULL, tee TEXT NOT NULL, image TEXT NOT NULL,"
    " reference TEXT NOT NULL, measurement TEXT NOT NULL, evidence TEXT NOT NULL,"
    " resource TEXT NOT NULL) STRICT;",
    // Layout 2 is a step on the way to 3: sb_layout_upgrade fills the columns.
    "ALTER TABLE resource ADD COLUMN mac BLOB; ALTER TABLE reference ADD COLUMN mac BLOB;"
    "ALTER TABLE policy ADD COLUMN mac BLOB; ALTER TABLE log ADD COLUMN mac BLOB;",
};
#define LAYOUT 7
#define STEP_COUNT ((int)(sizeof(steps) / sizeof(steps[0])))

static int user_version(sqlite3 *db, int *version)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &stmt, NULL);

    if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        *version = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    return sb_errno(rc);
}

int sb_layout_schema(struct sb_store *st, bool fresh, char *why, size_t why_size)
{
    char sql[64];
    int version = 0, rc = user_version(st->db, &version);

    if (!rc && !version && !fresh) {
        snprintf(why, why_size, "the broker's database is damaged: it has no content");
        return -EBADMSG;
    }
    while (!rc && version < STEP_COUNT) {
        // Two processes may start at once: look again with the lock held.
        rc = sb_errno(sqlite3_exec(st->db, "BEGIN IMMEDIATE", NULL, NULL, NULL));
        if (!rc)
            rc = user_version(st->db, &version);
        if (!rc && version < STEP_COUNT) {
            snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", version + 1);
            rc = sb_errno(sqlite3_exec(st->db, steps[version], NULL, NULL, NULL));
            if (!rc)
                rc = sb_errno(sqlite3_exec(st->db, sql, NULL, NULL, NULL));
        }
        if (!rc)
            rc = sb_errno(sqlite3_exec(st->db, "COMMIT", NULL, NULL, NULL));
        if (!rc)
            rc = user_version(st->db, &version);
    }
    if (rc) {
        snprintf(why, why_size, "the broker's database cannot be used: %s", sqlite3_errmsg(st->db));
    } else if (version > LAYOUT) {
        snprintf(why, why_size,
                 "the broker's database has layout %d, this program knows %d: use a newer one",
                 version, LAYOUT);
        rc = -EPROTO;
    }
    return rc;
}

// Layout 2 to 3: every row gets its MAC.
static const char seal_rows[] = "UPDATE resource SET mac = " SB_MAC_RESOURCE ";"
                                "UPDATE reference SET mac = " SB_MAC_REFERENCE ";"
                                "UPDATE policy SET mac = " SB_MAC_POLICY ";"
                                "UPDATE log SET mac = " SB_MAC_LOG ";"
                                "PRAGMA user_version = 3";

// Layout 3 to 4: the log becomes a chain, and refusals leave it.
static const char make_chain[] =
    "ALTER TABLE log ADD COLUMN chain BLOB;"
    "CREATE TABLE head(one INTEGER PRIMARY KEY CHECK(one = 1), id INTEGER NOT NULL,"
    " chain BLOB NOT NULL, mac BLOB) STRICT;"
    "CREATE TABLE refusal(id INTEGER PRIMARY KEY AUTOINCREMENT, known INTEGER NOT NULL,"
    " time_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, count INTEGER NOT NULL,"
    " event TEXT NOT NULL, outcome TEXT NOT NULL, code TEXT NOT NULL, detail TEXT NOT NULL,"
    " peer TEXT NOT NULL, session TEXT NOT NULL, tee TEXT NOT NULL, image TEXT NOT NULL,"
    " reference TEXT NOT NULL, measurement TEXT NOT NULL, evidence TEXT NOT NULL,"
    " resource TEXT NOT NULL, mac BLOB) STRICT;"
    "CREATE INDEX refusal_known ON refusal(known, id);";

// Layout 4 to 5.
static const char make_volumes[] =
    "CREATE TABLE volume(path TEXT PRIMARY KEY, memory TEXT NOT NULL, state TEXT NOT NULL,"
    " next TEXT NOT NULL, lease TEXT NOT NULL, second TEXT NOT NULL, image TEXT NOT NULL,"
    " reference TEXT NOT NULL, peer TEXT NOT NULL, opened_ms INTEGER NOT NULL,"
    " heard_ms INTEGER NOT NULL, beats INTEGER NOT NULL, mac BLOB) STRICT;"
    "PRAGMA user_version = 5";

// Layout 5 to 6.
static const char make_identities[] =
    "CREATE TABLE session(n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
    " boot TEXT NOT NULL, until_ms INTEGER NOT NULL, payload TEXT NOT NULL, mac BLOB) STRICT;"
    "CREATE TABLE certificate(serial TEXT PRIMARY KEY, id TEXT NOT NULL, image TEXT NOT NULL,"
    " reference TEXT NOT NULL, peer TEXT NOT NULL, issued INTEGER NOT NULL, ends INTEGER NOT NULL,"
    " revoked INTEGER NOT NULL, mac BLOB) STRICT;"
    "PRAGMA user_version = 6";

// Layout 6 to 7: operators over the network, proposals and approvals of references, numbers of
// resources' versions.
static const char make_operators[] =
    "CREATE TABLE admin(name TEXT PRIMARY KEY, role TEXT NOT NULL, digest TEXT NOT NULL UNIQUE,"
    " ends INTEGER NOT NULL, changed INTEGER NOT NULL, mac BLOB) STRICT;"
    "CREATE TABLE proposal(name TEXT PRIMARY KEY, image TEXT NOT NULL, json TEXT NOT NULL,"
    " launch TEXT NOT NULL, who TEXT NOT NULL, changed INTEGER NOT NULL, mac BLOB) STRICT;"
    "CREATE TABLE approval(name TEXT PRIMARY KEY, image TEXT NOT NULL, proposer TEXT NOT NULL,"
    " who TEXT NOT NULL, changed INTEGER NOT NULL, mac BLOB) STRICT;"
    "CREATE TABLE version(path TEXT PRIMARY KEY, n INTEGER NOT NULL, mac BLOB) STRICT;"
    "INSERT INTO version(path, n, mac) SELECT path, 1, sb_mac('version', path, 1) FROM resource;"
    "PRAGMA user_version = 7";

int sb_store_make_key(struct sb_store *st, const char *name)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    uint8_t *der = NULL;
    int size = key ? i2d_PrivateKey(key, &der) : 0;
    sqlite3_stmt *stmt = NULL;
    int rc =
        size > 0
            ? sqlite3_prepare_v2(st->db, "INSERT OR IGNORE INTO meta(name, value) VALUES (?1, ?2)",
                                 -1, &stmt, NULL)
            : SQLITE_NOMEM;

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob(stmt, 2, der, size, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    sqlite3_finalize(stmt);
    if (size > 0)
        OPENSSL_clear_free(der, (size_t)size);
    EVP_PKEY_free(key);
    return sb_errno(rc);
}

// One entry after the other, since each needs the one before.
static int chain_entries(struct sb_store *st)
{
    static const char sql[] =
        "UPDATE log SET chain = " SB_CHAIN("(SELECT b.chain FROM log b WHERE b.id < log.id ORDER "
                                           "BY b.id DESC LIMIT 1)") " WHERE id = ?1";
    sqlite3_stmt *ids = NULL, *one = NULL;
    int rc = sqlite3_prepare_v2(st->db, "SELECT id FROM log ORDER BY id", -1, &ids, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(st->db, sql, -1, &one, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(ids)) == SQLITE_ROW) {
        sqlite3_reset(one);
        rc = sqlite3_bind_int64(one, 1, sqlite3_column_int64(ids, 0));
        if (rc == SQLITE_OK && (rc = sqlite3_step(one)) == SQLITE_DONE)
            rc = SQLITE_OK;
    }
    sqlite3_finalize(ids);
    sqlite3_finalize(one);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int make_log_chain(struct sb_store *st)
{
    int rc = sb_errno(sqlite3_exec(st->db, make_chain, NULL, NULL, NULL));

    if (!rc)
        rc = sb_errno(chain_entries(st));
    if (!rc)
        rc = sb_errno(sqlite3_exec(st->db, SB_PUT_HEAD, NULL, NULL, NULL));
    return rc ? rc : sb_store_make_key(st, "token-key");
}

static int upgrade_from(struct sb_store *st, int version)
{
    int rc = 0;

    if (version == STEP_COUNT)
        rc = sb_errno(sqlite3_exec(st->db, seal_rows, NULL, NULL, NULL));
    if (!rc && version < 4)
        rc = make_log_chain(st);
    if (!rc && version < 5)
        rc = sb_errno(sqlite3_exec(st->db, make_volumes, NULL, NULL, NULL));
    if (!rc && version < 6)
        rc = sb_errno(sqlite3_exec(st->db, make_identities, NULL, NULL, NULL));
    if (!rc && version < 6)
        rc = sb_store_make_key(st, "ca-key");
    if (!rc && version < 7)
        rc = sb_errno(sqlite3_exec(st->db, make_operators, NULL, NULL, NULL));
    return rc;
}

int sb_layout_upgrade(struct sb_store *st)
{
    int version = 0, rc;

    if (user_version(st->db, &version) || version >= LAYOUT)
        return 0;
    // Two processes may start at once: look again with the lock held.
    rc = sb_errno(sqlite3_exec(st->db, "BEGIN IMMEDIATE", NULL, NULL, NULL));
    if (!rc)
        rc = user_version(st->db, &version);
    if (!rc)
        rc = upgrade_from(st, version);
    return rc ? rc : sb_errno(sqlite3_exec(st->db, "COMMIT", NULL, NULL, NULL));
}
