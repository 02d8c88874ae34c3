// SPDX-License-Identifier: Apache-2.0
// The store's file: opening, migrations, the key; and statements for its parts.
#include "verifier/broker/store_db.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
    // Layout 2 is a step on the way to 3: seal_rows fills the columns.
    "ALTER TABLE resource ADD COLUMN mac BLOB; ALTER TABLE reference ADD COLUMN mac BLOB;"
    "ALTER TABLE policy ADD COLUMN mac BLOB; ALTER TABLE log ADD COLUMN mac BLOB;",
};
#define LAYOUT 3
#define HEADER_MIN 512
#define STEP_COUNT ((int)(sizeof(steps) / sizeof(steps[0])))

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

static int user_version(sqlite3 *db, int *version)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &stmt, NULL);

    if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        *version = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    return sb_errno(rc);
}

// fresh: an empty file is a new store. Otherwise it is what is left of one, and must not become
// one.
static int migrate_schema(struct sb_store *st, bool fresh, char *why, size_t why_size)
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

// Layout 2 to 3: every row gets its MAC, once.
static int seal_rows(struct sb_store *st)
{
    int version = 0, rc = sb_errno(sqlite3_exec(st->db, "BEGIN IMMEDIATE", NULL, NULL, NULL));

    if (!rc)
        rc = user_version(st->db, &version);
    if (!rc && version == STEP_COUNT)
        rc = sb_errno(sqlite3_exec(st->db,
                                   "UPDATE resource SET mac = " SB_MAC_RESOURCE ";"
                                   "UPDATE reference SET mac = " SB_MAC_REFERENCE ";"
                                   "UPDATE policy SET mac = " SB_MAC_POLICY ";"
                                   "UPDATE log SET mac = " SB_MAC_LOG ";"
                                   "PRAGMA user_version = 3",
                                   NULL, NULL, NULL));
    return rc ? rc : sb_errno(sqlite3_exec(st->db, "COMMIT", NULL, NULL, NULL));
}

// Is the whole file as it was written? Pages by SQLite's own check, rows by their MACs. Entries of
// the log are checked when they are read.
static int check_all(struct sb_store *st, char *why, size_t why_size)
{
    static const char *const rows[] = {
        "SELECT 'resource ' || path FROM resource WHERE mac IS NOT " SB_MAC_RESOURCE " LIMIT 1",
        "SELECT 'reference ' || name FROM reference WHERE mac IS NOT " SB_MAC_REFERENCE " LIMIT 1",
        "SELECT 'policy of ' || path FROM policy WHERE mac IS NOT " SB_MAC_POLICY " LIMIT 1",
    };
    char *text = NULL;
    size_t size;
    int rc = sb_fetch(st, "PRAGMA integrity_check(1)", NULL, (uint8_t **)&text, &size);

    if (!rc && strcmp(text, "ok"))
        rc = -EBADMSG;
    if (rc)
        snprintf(why, why_size, "the broker's database is damaged%s%.150s", text ? ": " : "",
                 text ? text : "");
    free(text);
    for (size_t i = 0; !rc && i < sizeof(rows) / sizeof(rows[0]); i++) {
        int found = sb_fetch(st, rows[i], NULL, (uint8_t **)&text, &size);

        if (!found)
            snprintf(why, why_size, "the broker's database is damaged: the %.150s was changed",
                     text);
        free(text);
        rc = !found ? -EBADMSG : found == -ENOENT ? 0 : found;
    }
    return rc;
}

// A flipped bit of the private half would make another key than clients pinned.
static bool is_pair(EVP_PKEY *key)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    bool good = ctx && EVP_PKEY_pairwise_check(ctx) == 1;

    EVP_PKEY_CTX_free(ctx);
    return good;
}

static int load_key(struct sb_store *st)
{
    uint8_t *der = NULL;
    const uint8_t *at;
    size_t size;
    int rc = sb_fetch(st, "SELECT value FROM meta WHERE name = 'key'", NULL, &der, &size);

    if (!rc) {
        at = der;
        st->key = d2i_AutoPrivateKey(NULL, &at, (long)size);
        OPENSSL_cleanse(der, size);
        rc = st->key && EVP_PKEY_is_a(st->key, "EC") && is_pair(st->key) ? 0 : -EBADMSG;
        if (!rc)
            rc = sb_errno(sb_mac_init(st));
    }
    free(der);
    return rc;
}

static int make_key(struct sb_store *st)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    uint8_t *der = NULL;
    int size = key ? i2d_PrivateKey(key, &der) : 0;
    sqlite3_stmt *stmt = NULL;
    int rc = size > 0
                 ? sqlite3_prepare_v2(st->db, "INSERT INTO meta(name, value) VALUES ('key', ?1)",
                                      -1, &stmt, NULL)
                 : SQLITE_NOMEM;

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob(stmt, 1, der, size, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    sqlite3_finalize(stmt);
    if (size > 0)
        OPENSSL_clear_free(der, (size_t)size);
    EVP_PKEY_free(key);
    return sb_errno(rc);
}

// The folder of a new store. What is left of an old one (its write-ahead log too) is not written
// over.
static int make_place(const char *dir, const char *path, char *why, size_t why_size)
{
    static const char *const endings[] = {"", "-wal", "-journal"};
    char left[4200];

    if (mkdir(dir, 0700) && errno != EEXIST) {
        int rc = -errno;

        snprintf(why, why_size, "cannot make the folder %s: %s", dir, strerror(-rc));
        return rc;
    }
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        snprintf(left, sizeof(left), "%s%s", path, endings[i]);
        if (!access(left, F_OK)) {
            snprintf(why, why_size,
                     "%s is there already: a broker's database, or what is left of one", left);
            return -EEXIST;
        }
    }
    return 0;
}

static int open_file(struct sb_store *st, const char *dir, bool create, char *why, size_t why_size)
{
    char path[4096];
    struct stat st_file;
    mode_t mask;
    int rc;

    if (snprintf(path, sizeof(path), "%s/broker.db", dir) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    if (!create && stat(path, &st_file)) {
        snprintf(why, why_size, "there is no broker in %s", dir);
        return -ENOENT;
    }
    // SQLite would take less than a header for nothing at all, and write one.
    if (!create && st_file.st_size < HEADER_MIN) {
        snprintf(why, why_size, "the broker's database is damaged: %s has %lld bytes", path,
                 (long long)st_file.st_size);
        return -EBADMSG;
    }
    rc = create ? make_place(dir, path, why, why_size) : 0;
    if (rc)
        return rc;
    mask = umask(077);
    rc = sb_errno(sqlite3_open_v2(path, &st->db,
                                  SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0) |
                                      SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_EXRESCODE,
                                  NULL));
    if (!rc) {
        sqlite3_busy_timeout(st->db, 10000);
        rc = sb_errno(sqlite3_exec(st->db,
                                   "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                                   "PRAGMA trusted_schema = OFF; PRAGMA secure_delete = ON;",
                                   NULL, NULL, NULL));
    }
    if (rc)
        snprintf(why, why_size, "cannot open %s: %s", path, sqlite3_errmsg(st->db));
    else
        rc = migrate_schema(st, create, why, why_size);
    umask(mask);
    return rc;
}

int sb_store_open(const char *dir, bool create, struct sb_store **out, char *why, size_t why_size)
{
    struct sb_store *st = calloc(1, sizeof(*st));
    int rc;

    *out = NULL;
    if (!st)
        return -ENOMEM;
    pthread_mutex_init(&st->lock, NULL);
    pthread_mutex_init(&st->log_lock, NULL);
    pthread_cond_init(&st->log_done, NULL);
    st->pending_end = &st->pending;
    rc = open_file(st, dir, create, why, why_size);
    if (!rc) {
        rc = create ? make_key(st) : 0;
        rc = rc ? rc : load_key(st);
        if (rc)
            snprintf(why, why_size, "the broker's key cannot be read: %s",
                     rc == -ENOENT || rc == -EBADMSG ? "it is damaged" : strerror(-rc));
        rc = rc == -ENOENT ? -EBADMSG : rc;
    }
    if (!rc && (rc = seal_rows(st)))
        snprintf(why, why_size, "the broker's database cannot be used: %s", sqlite3_errmsg(st->db));
    if (!rc)
        rc = check_all(st, why, why_size);
    if (rc) {
        sb_store_close(st);
        return rc;
    }
    *out = st;
    return 0;
}

void sb_store_close(struct sb_store *st)
{
    if (!st)
        return;
    sqlite3_close(st->db);
    EVP_PKEY_free(st->key);
    pthread_mutex_destroy(&st->lock);
    pthread_mutex_destroy(&st->log_lock);
    pthread_cond_destroy(&st->log_done);
    free(st);
}

EVP_PKEY *sb_store_key(struct sb_store *st)
{
    return st->key;
}
