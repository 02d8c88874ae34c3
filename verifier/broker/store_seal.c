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
    int rc = sqlite3_prepare_v2(st->db, "INSERT INTO meta(name, value) VALUES ('seal', ?1)", -1,
                                &stmt, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob(stmt, 1, seal, SEAL_SIZE, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    sqlite3_finalize(stmt);
    return sb_errno(rc);
}

int sb_store_seal(struct sb_store *st, const char *passphrase, size_t size)
{
    uint8_t seal[SEAL_SIZE] = {SEAL_VERSION, LOG_N}, none[1];
    int rc = RAND_bytes(seal + 2, 28) == 1 ? 0 : -EIO;

    rc = rc ? rc : derive(passphrase, size, seal + 2, LOG_N, st->seal_key);
    if (!rc && !run_gcm(true, st->seal_key, seal + 18, "", NULL, 0, none, seal + 30))
        rc = -ENOMEM;
    if (!rc) {
        pthread_mutex_lock(&st->lock);
        rc = put_seal(st, seal);
        pthread_mutex_unlock(&st->lock);
    }
    st->sealed = st->unlocked = !rc;
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
