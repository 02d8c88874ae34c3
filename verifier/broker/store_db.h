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
    // The audit log's group commit
    pthread_mutex_t log_lock;
    pthread_cond_t log_done;
    struct sb_pending *pending, **pending_end;
    bool committing;
};

int sb_errno(int sqlite_code);
// Runs one statement with text parameters (NULL-terminated list) and no rows. 0 or -errno; *changed
// (may be NULL) gets the number of rows. Takes the lock.
int sb_run(struct sb_store *st, int *changed, const char *sql, ...) __attribute__((sentinel));
// First column of the first row as a malloc'd blob with a NUL behind it.
int sb_fetch(struct sb_store *st, const char *sql, const char *param, uint8_t **data, size_t *size);

#endif
