// SPDX-License-Identifier: Apache-2.0
// What the store's own files share.
#ifndef VERIFIER_BROKER_STORE_DB_H
#define VERIFIER_BROKER_STORE_DB_H

#include <pthread.h>

#include <sqlite3.h>

#include "verifier/broker/store.h"

struct sb_pending; // an audit entry that waits for the next transaction

struct sb_store {
    sqlite3 *db;
    pthread_mutex_t lock; // of db
    EVP_PKEY *key;
    uint8_t mac_key[32]; // of the rows' MACs, from the key
    // The audit log's group commit
    pthread_mutex_t log_lock;
    pthread_cond_t log_done;
    struct sb_pending *pending, **pending_end;
    bool committing;
};

// Every row has a MAC over its table's name and its columns, HMAC-SHA256 by a key that comes from
// the broker's: a flipped bit on the disk, or a row under another name, is an error and never an
// answer. It does not keep out who owns the disk: the key lies beside the rows. sb_mac(...) and
// sb_checked(mac, ...) are functions of the SQL below; the latter gives its last argument, or fails
// as SQLITE_CORRUPT.
#define SB_MAC_RESOURCE "sb_mac('resource', path, changed, value)"
#define SB_MAC_REFERENCE "sb_mac('reference', name, image, launch, changed, json)"
#define SB_MAC_POLICY "sb_mac('policy', path, changed, json)"
#define SB_LOG_COLUMNS                                                                             \
    "event, outcome, code, detail, peer, session, tee, image, reference, measurement, evidence,"   \
    " resource"
#define SB_MAC_LOG "sb_mac('log', time_ms, " SB_LOG_COLUMNS ")"

// Derives the MAC key and makes the functions known. 0 or a code of SQLite.
int sb_mac_init(struct sb_store *st);

int sb_errno(int sqlite_code);
// Runs one statement with text parameters (NULL-terminated list) and no rows. 0 or -errno; *changed
// (may be NULL) gets the number of rows. Takes the lock.
int sb_run(struct sb_store *st, int *changed, const char *sql, ...) __attribute__((sentinel));
// First column of the first row as a malloc'd blob with a NUL behind it.
int sb_fetch(struct sb_store *st, const char *sql, const char *param, uint8_t **data, size_t *size);

#endif
