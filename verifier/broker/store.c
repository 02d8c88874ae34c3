// SPDX-License-Identifier: Apache-2.0
// The store's file: opening it, all of its checks, the keys.
#include "verifier/broker/store_db.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/x509.h>

#define HEADER_MIN 512

// Is the whole file as it was written? Pages by SQLite's own check, rows by their MACs. Entries of
// the log are checked when they are read.
static int check_all(struct sb_store *st, char *why, size_t why_size)
{
    static const char *const rows[] = {
        "SELECT 'resource ' || path FROM resource WHERE mac IS NOT " SB_MAC_RESOURCE " LIMIT 1",
        "SELECT 'reference ' || name FROM reference WHERE mac IS NOT " SB_MAC_REFERENCE " LIMIT 1",
        "SELECT 'policy of ' || path FROM policy WHERE mac IS NOT " SB_MAC_POLICY " LIMIT 1",
        "SELECT 'certificate ' || serial FROM certificate WHERE mac IS NOT " SB_MAC_CERTIFICATE
        " LIMIT 1",
        "SELECT 'operator ' || name FROM admin WHERE mac IS NOT " SB_MAC_ADMIN " LIMIT 1",
        "SELECT 'proposal ' || name FROM proposal WHERE mac IS NOT " SB_MAC_PROPOSAL " LIMIT 1",
        "SELECT 'approval of ' || name FROM approval WHERE mac IS NOT " SB_MAC_APPROVAL " LIMIT 1",
        "SELECT 'version of ' || path FROM version WHERE mac IS NOT " SB_MAC_VERSION " LIMIT 1",
        "SELECT 'volume ' || path FROM volume WHERE mac IS NOT " SB_MAC_VOLUME " LIMIT 1",
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

static int load_key(struct sb_store *st, const char *name, EVP_PKEY **key)
{
    uint8_t *der = NULL;
    const uint8_t *at;
    size_t size;
    int rc = sb_fetch(st, "SELECT value FROM meta WHERE name = ?1", name, &der, &size);

    if (!rc) {
        at = der;
        *key = d2i_AutoPrivateKey(NULL, &at, (long)size);
        OPENSSL_cleanse(der, size);
        rc = *key && EVP_PKEY_is_a(*key, "EC") && is_pair(*key) ? 0 : -EBADMSG;
    }
    free(der);
    return rc;
}

// The keys, and what comes from them; a layout of before gets what it lacks.
static int load_keys(struct sb_store *st, bool create, char *why, size_t why_size)
{
    int rc = create ? sb_store_make_key(st, "key") : 0;

    rc = rc ? rc : load_key(st, "key", &st->key);
    if (!rc)
        rc = sb_errno(sb_mac_init(st));
    if (!rc && (rc = sb_layout_upgrade(st))) {
        snprintf(why, why_size, "the broker's database cannot be used: %s", sqlite3_errmsg(st->db));
        return rc;
    }
    rc = rc ? rc : load_key(st, "token-key", &st->token_key);
    rc = rc ? rc : load_key(st, "ca-key", &st->ca_key);
    if (rc)
        snprintf(why, why_size, "the broker's key cannot be read: %s",
                 rc == -ENOENT || rc == -EBADMSG ? "it is damaged" : strerror(-rc));
    return rc == -ENOENT ? -EBADMSG : rc;
}

// The folder of a new store. What is left of an old one (its write-ahead log too) is not written
// over.
static int make_place(const char *dir, const char *path, char *why, size_t why_size)
{
    static const char *const endings[] = {"", "-wal", "-journal"};
    char left[4200];

    if (mkdir(dir, 0700) && errno != EEXIST) {
        int rc = -errno;

        snprintf(why, why_size, "cannot create the folder %s: %s", dir, strerror(-rc));
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
        rc = sb_errno(
            sqlite3_exec(st->db,
                         "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                         "PRAGMA wal_autocheckpoint = 128; PRAGMA journal_size_limit = 1048576;"
                         "PRAGMA trusted_schema = OFF; PRAGMA secure_delete = ON;",
                         NULL, NULL, NULL));
    }
    if (rc)
        snprintf(why, why_size, "cannot open %s: %s", path, sqlite3_errmsg(st->db));
    else
        rc = sb_layout_schema(st, create, why, why_size);
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
    pthread_mutex_init(&st->noted_lock, NULL);
    pthread_cond_init(&st->log_done, NULL);
    st->pending_end = &st->pending;
    rc = open_file(st, dir, create, why, why_size);
    if (!rc)
        rc = load_keys(st, create, why, why_size);
    if (!rc)
        rc = check_all(st, why, why_size);
    if (!rc && (rc = sb_seal_load(st)))
        snprintf(why, why_size, "the broker's seal is damaged");
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
    sb_statements_free(st);
    sqlite3_close(st->db);
    EVP_PKEY_free(st->key);
    EVP_PKEY_free(st->token_key);
    EVP_PKEY_free(st->ca_key);
    OPENSSL_cleanse(st->seal_key, sizeof(st->seal_key));
    free(st->reserve);
    free(st->noted);
    pthread_mutex_destroy(&st->noted_lock);
    pthread_mutex_destroy(&st->lock);
    pthread_mutex_destroy(&st->log_lock);
    pthread_cond_destroy(&st->log_done);
    free(st);
}

EVP_PKEY *sb_store_key(struct sb_store *st)
{
    return st->key;
}

EVP_PKEY *sb_store_token_key(struct sb_store *st)
{
    return st->token_key;
}

EVP_PKEY *sb_store_ca_key(struct sb_store *st)
{
    return st->ca_key;
}

int sb_store_value_put(struct sb_store *st, const char *name, const char *text)
{
    return sb_run(st, NULL,
                  "INSERT OR REPLACE INTO meta(name, value) VALUES (?1, CAST(?2 AS BLOB))", name,
                  text, NULL);
}

int sb_store_value_get(struct sb_store *st, const char *name, char **text)
{
    size_t size;

    return sb_fetch(st, "SELECT value FROM meta WHERE name = ?1", name, (uint8_t **)text, &size);
}
