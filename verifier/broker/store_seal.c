// SPDX-License-Identifier: Apache-2.0
// Resources at rest: encrypted under a key that a passphrase gives, where the store was made so.
//
//   meta "seal"   version u8 = 1 | log2 N u8 | salt 16 | nonce 12 | tag 16
//                 key = scrypt(passphrase, salt, N, r = 8, p = 1) (RFC 7914); the tag is of no
//                 bytes under it, and tells a wrong passphrase
//   a resource    nonce 12 | AES-256-GCM ciphertext | tag 16, over "resource" and its path: one
//   under
//                 another path is an error
//
// Nonces are random; so many writes of one key that they would meet are not made by hand.
#include "verifier/broker/store_db.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#define SEAL_VERSION 1
#define SEAL_SIZE (2u + 16 + 12 + 16)
#define LOG_N 15u // 32 MiB, for the moment of unlocking
#define LOG_N_MAX 20u
#define NONCE 12u
#define TAG 16u

// out: ciphertext, tag. False: no memory, or (opening) it does not hold.
static bool run_gcm(bool seal, const uint8_t key[32], const uint8_t nonce[NONCE], const char *about,
                    const void *in, size_t size, uint8_t *out, uint8_t tag[TAG])
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    static const char kind[] = "resource";
    int n = 0;
    bool ok = c && EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce, seal) == 1 &&
              EVP_CipherUpdate(c, NULL, &n, (const uint8_t *)kind, sizeof(kind)) == 1 &&
              EVP_CipherUpdate(c, NULL, &n, (const uint8_t *)about, (int)strlen(about)) == 1 &&
              (!size || EVP_CipherUpdate(c, out, &n, in, (int)size) == 1) &&
              (seal || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1) &&
              EVP_CipherFinal_ex(c, out + size, &n) == 1 &&
              (!seal || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG, tag) == 1);

    EVP_CIPHER_CTX_free(c);
    return ok;
}

static int derive(const char *passphrase, size_t size, const uint8_t salt[16], unsigned log_n,
                  uint8_t key[32])
{
    if (log_n < LOG_N || log_n > LOG_N_MAX)
        return -EBADMSG;
    return EVP_PBE_scrypt(passphrase, size, salt, 16, 1ull << log_n, 8, 1, 2048ull << 20, key,
                          32) == 1
               ? 0
               : -ENOMEM;
}

static int put_seal(struct sb_store *st, const uint8_t seal[SEAL_SIZE])
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(
        st->db, "INSERT OR REPLACE INTO meta(name, value) VALUES ('seal', ?1)", -1, &stmt, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob(stmt, 1, seal, SEAL_SIZE, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    sqlite3_finalize(stmt);
    return sb_errno(rc);
}

// A seal of this passphrase: its bytes for the store, and its key.
static int make_seal(const char *passphrase, size_t size, uint8_t seal[SEAL_SIZE], uint8_t key[32])
{
    uint8_t none[1];
    int rc;

    memset(seal, 0, SEAL_SIZE);
    seal[0] = SEAL_VERSION;
    seal[1] = LOG_N;
    rc = RAND_bytes(seal + 2, 28) == 1 ? 0 : -EIO;
    rc = rc ? rc : derive(passphrase, size, seal + 2, LOG_N, key);
    if (!rc && !run_gcm(true, key, seal + 18, "", NULL, 0, none, seal + 30))
        rc = -ENOMEM;
    return rc;
}

int sb_store_seal(struct sb_store *st, const char *passphrase, size_t size)
{
    uint8_t seal[SEAL_SIZE];
    int rc = make_seal(passphrase, size, seal, st->seal_key);

    if (!rc) {
        pthread_mutex_lock(&st->lock);
        rc = put_seal(st, seal);
        pthread_mutex_unlock(&st->lock);
    }
    st->sealed = st->unlocked = !rc;
    return rc;
}

// One resource, from the key of before (where there was one) to the new one.
static int reseal_row(struct sb_store *st, const char *path, const uint8_t *value, size_t size,
                      const uint8_t key[32], sqlite3_stmt *put)
{
    uint8_t old_key[32], *plain = malloc(size ? size : 1), *sealed = NULL;
    size_t plain_size = size, sealed_size = 0;
    bool was_sealed = st->sealed, was_unlocked = st->unlocked;
    int rc = plain ? 0 : -ENOMEM;

    if (!rc && size)
        memcpy(plain, value, size);
    if (!rc && st->sealed)
        rc = sb_unseal(st, path, &plain, &plain_size);
    memcpy(old_key, st->seal_key, 32);
    memcpy(st->seal_key, key, 32);
    st->sealed = st->unlocked = true;
    if (!rc)
        rc = sb_seal(st, path, plain, plain_size, &sealed, &sealed_size);
    memcpy(st->seal_key, old_key, 32);
    st->sealed = was_sealed;
    st->unlocked = was_unlocked;
    OPENSSL_cleanse(old_key, sizeof(old_key));
    if (!rc) {
        sqlite3_reset(put);
        int code = sqlite3_bind_text(put, 1, path, -1, SQLITE_STATIC);
        if (code == SQLITE_OK)
            code = sqlite3_bind_blob64(put, 2, sealed, sealed_size, SQLITE_STATIC);
        rc = sb_errno(code == SQLITE_OK ? sqlite3_step(put) : code);
    }
    if (plain)
        OPENSSL_cleanse(plain, plain_size);
    free(plain);
    free(sealed);
    return rc;
}

static int reseal_rows(struct sb_store *st, const uint8_t key[32])
{
    sqlite3_stmt *all = NULL, *put = NULL;
    int code = sqlite3_prepare_v2(
            st->db,
            "SELECT path, sb_checked(mac, 'resource', path, changed, value) FROM resource"
            " ORDER BY path",
            -1, &all, NULL),
        rc = 0;

    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(st->db,
                                  "UPDATE resource SET value = ?2, mac = sb_mac('resource', path,"
                                  " changed, ?2) WHERE path = ?1",
                                  -1, &put, NULL);
    while (code == SQLITE_OK && !rc && (code = sqlite3_step(all)) == SQLITE_ROW) {
        rc = reseal_row(st, (const char *)sqlite3_column_text(all, 0), sqlite3_column_blob(all, 1),
                        (size_t)sqlite3_column_bytes(all, 1), key, put);
        code = SQLITE_OK;
    }
    sqlite3_finalize(all);
    sqlite3_finalize(put);
    return rc ? rc : sb_errno(code);
}

int sb_store_reseal(struct sb_store *st, const char *passphrase, size_t size)
{
    uint8_t seal[SEAL_SIZE], key[32];
    int rc = make_seal(passphrase, size, seal, key);

    if (rc)
        return rc;
    pthread_mutex_lock(&st->lock);
    rc = sb_errno(sqlite3_exec(st->db, "BEGIN IMMEDIATE", NULL, NULL, NULL));
    if (!rc)
        rc = reseal_rows(st, key);
    if (!rc)
        rc = put_seal(st, seal);
    if (!rc)
        rc = sb_errno(sqlite3_exec(st->db, "COMMIT", NULL, NULL, NULL));
    if (rc && !sqlite3_get_autocommit(st->db))
        sqlite3_exec(st->db, "ROLLBACK", NULL, NULL, NULL);
    if (!rc) { // nothing of before stays in the log of writes
        memcpy(st->seal_key, key, sizeof(key));
        st->sealed = st->unlocked = true;
        sqlite3_exec(st->db,
                     "PRAGMA wal_checkpoint(TRUNCATE); VACUUM;"
                     "PRAGMA wal_checkpoint(TRUNCATE)",
                     NULL, NULL, NULL);
    }
    pthread_mutex_unlock(&st->lock);
    OPENSSL_cleanse(key, sizeof(key));
    return rc;
}

int sb_seal_load(struct sb_store *st)
{
    uint8_t *seal = NULL;
    size_t size = 0;
    int rc = sb_fetch(st, "SELECT value FROM meta WHERE name = ?1", "seal", &seal, &size);

    if (rc == -ENOENT)
        return 0;
    if (!rc && (size != SEAL_SIZE || seal[0] != SEAL_VERSION))
        rc = -EBADMSG;
    st->sealed = !rc;
    free(seal);
    return rc;
}

bool sb_store_sealed(const struct sb_store *st)
{
    return st->sealed;
}

bool sb_store_unlocked(const struct sb_store *st)
{
    return st->unlocked;
}

int sb_store_unlock(struct sb_store *st, const char *passphrase, size_t size)
{
    uint8_t *seal = NULL, none[1];
    size_t seal_size = 0;
    int rc = sb_fetch(st, "SELECT value FROM meta WHERE name = ?1", "seal", &seal, &seal_size);

    if (!rc && seal_size != SEAL_SIZE)
        rc = -EBADMSG;
    rc = rc ? rc : derive(passphrase, size, seal + 2, seal[1], st->seal_key);
    if (!rc && !run_gcm(false, st->seal_key, seal + 18, "", NULL, 0, none, seal + 30))
        rc = -EACCES;
    st->unlocked = !rc;
    free(seal);
    return rc;
}

int sb_seal(struct sb_store *st, const char *path, const void *data, size_t size, uint8_t **out,
            size_t *out_size)
{
    *out = NULL;
    if (!st->unlocked)
        return -ENOKEY;
    *out_size = NONCE + size + TAG;
    *out = malloc(*out_size);
    if (!*out || RAND_bytes(*out, NONCE) != 1 ||
        !run_gcm(true, st->seal_key, *out, path, data, size, *out + NONCE, *out + NONCE + size)) {
        free(*out);
        *out = NULL;
        return -ENOMEM;
    }
    return 0;
}

int sb_unseal(struct sb_store *st, const char *path, uint8_t **data, size_t *size)
{
    size_t n = *size >= NONCE + TAG ? *size - NONCE - TAG : 0;
    uint8_t *plain = st->unlocked ? calloc(1, n + 1) : NULL;
    int rc = !st->unlocked         ? -ENOKEY
             : *size < NONCE + TAG ? -EBADMSG
             : !plain              ? -ENOMEM
             : run_gcm(false, st->seal_key, *data, path, *data + NONCE, n, plain, *data + NONCE + n)
                 ? 0
                 : -EBADMSG;

    free(*data);
    *data = NULL;
    if (rc) {
        free(plain);
        return rc;
    }
    *data = plain;
    *size = n;
    return 0;
}
