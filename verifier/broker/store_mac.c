// SPDX-License-Identifier: Apache-2.0
// MACs of the store's rows, as functions of SQL.
#include "verifier/broker/store_db.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/x509.h>

#include "lib/bytes.h"
#include "lib/sha2.h"

#define MAC_SIZE 32

// Each argument with its length before it, so that none can pass for part of another. NULL when out
// of memory.
static uint8_t *join_values(int count, sqlite3_value **v, size_t *size)
{
    size_t at = 0;
    uint8_t *text;

    *size = 0;
    for (int i = 0; i < count; i++)
        *size += 8 + (size_t)sqlite3_value_bytes(v[i]);
    text = malloc(*size ? *size : 1);
    for (int i = 0; text && i < count; i++) {
        size_t n = (size_t)sqlite3_value_bytes(v[i]);
        const void *data = sqlite3_value_blob(v[i]);

        sh_put_le64(text + at, n);
        if (n)
            memcpy(text + at + 8, data, n);
        at += 8 + n;
    }
    return text;
}

static bool mac_of(const struct sb_store *st, int count, sqlite3_value **v, uint8_t mac[MAC_SIZE])
{
    size_t at;
    uint8_t *text = join_values(count, v, &at);
    bool good;

    if (!text)
        return false;
    good = HMAC(EVP_sha256(), st->mac_key, sizeof(st->mac_key), text, at, mac, NULL) != NULL;
    OPENSSL_cleanse(text, at);
    free(text);
    return good;
}

static void sql_mac(sqlite3_context *c, int count, sqlite3_value **v)
{
    uint8_t mac[MAC_SIZE];

    if (mac_of(sqlite3_user_data(c), count, v, mac))
        sqlite3_result_blob(c, mac, MAC_SIZE, SQLITE_TRANSIENT);
    else
        sqlite3_result_error_nomem(c);
}

static void sql_checked(sqlite3_context *c, int count, sqlite3_value **v)
{
    uint8_t mac[MAC_SIZE];

    if (count < 2 || !mac_of(sqlite3_user_data(c), count - 1, v + 1, mac))
        sqlite3_result_error_nomem(c);
    else if (sqlite3_value_bytes(v[0]) != MAC_SIZE ||
             CRYPTO_memcmp(sqlite3_value_blob(v[0]), mac, MAC_SIZE))
        sqlite3_result_error_code(c, SQLITE_CORRUPT);
    else
        sqlite3_result_value(c, v[count - 1]);
}

// sb_chain(before, ...): SHA-256 over the hash before (32 zeros for the first) and all values.
// Without a key: whoever has the entries can compute it.
static void sql_chain(sqlite3_context *c, int count, sqlite3_value **v)
{
    uint8_t before[SB_CHAIN_SIZE] = {0}, out[SB_CHAIN_SIZE], *text;
    size_t size, have = count ? (size_t)sqlite3_value_bytes(v[0]) : 1;
    struct sh_sha256 h;

    if (have && have != SB_CHAIN_SIZE) {
        sqlite3_result_error_code(c, SQLITE_CORRUPT);
        return;
    }
    if (have)
        memcpy(before, sqlite3_value_blob(v[0]), SB_CHAIN_SIZE);
    text = join_values(count - 1, v + 1, &size);
    if (!text) {
        sqlite3_result_error_nomem(c);
        return;
    }
    sh_sha256_init(&h);
    sh_sha256_update(&h, before, sizeof(before));
    sh_sha256_update(&h, text, size);
    sh_sha256_final(&h, out);
    free(text);
    sqlite3_result_blob(c, out, SB_CHAIN_SIZE, SQLITE_TRANSIENT);
}

int sb_mac_init(struct sb_store *st)
{
    static const char label[] = "shelter-broker-rows-v1";
    const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY;
    uint8_t *der = NULL;
    int size = i2d_PrivateKey(st->key, &der), rc = SQLITE_NOMEM;

    if (size > 0 &&
        HMAC(EVP_sha256(), der, size, (const uint8_t *)label, sizeof(label) - 1, st->mac_key, NULL))
        rc = sqlite3_create_function_v2(st->db, "sb_mac", -1, flags, st, sql_mac, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_create_function_v2(st->db, "sb_checked", -1, flags, st, sql_checked, NULL,
                                        NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_create_function_v2(st->db, "sb_chain", -1, flags, st, sql_chain, NULL, NULL,
                                        NULL);
    if (size > 0)
        OPENSSL_clear_free(der, (size_t)size);
    return rc;
}
