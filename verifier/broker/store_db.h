// SPDX-License-Identifier: Apache-2.0
// What the store's own files share.
#ifndef VERIFIER_BROKER_STORE_DB_H
#define VERIFIER_BROKER_STORE_DB_H

#include <pthread.h>
#include <stdatomic.h>

#include <sqlite3.h>

#include "verifier/broker/store.h"

struct sb_pending; // an audit entry that waits for the next transaction
struct sb_noted;   // refusals that wait to be written

// A statement that was prepared, and stays so.
struct sb_statement {
    sqlite3_stmt *stmt;
    bool used; // by who holds the lock
};

#define SB_STATEMENTS 32 // more than serving needs; those that find no place live for one use

struct sb_store {
    sqlite3 *db;
    pthread_mutex_t lock; // of db and statement
    struct sb_statement statement[SB_STATEMENTS];
    EVP_PKEY *key, *token_key, *ca_key;
    uint8_t mac_key[32];    // of the rows' MACs, from the key
    _Atomic int64_t writes; // of ours that change what is given (sb_store_version)
    bool sealed, unlocked;  // resources are encrypted; their key is known
    uint8_t seal_key[32];
    // The audit log's group commit
    pthread_mutex_t log_lock;
    pthread_cond_t log_done;
    struct sb_pending *pending, **pending_end;
    bool committing;
    char *reserve;                          // file that keeps space for the chain; NULL: none
    void (*tell)(const struct sb_entry *e); // of what was written; NULL: nobody
    bool full;                              // it was given up: refusals are not written any more
    pthread_mutex_t noted_lock;
    struct sb_noted *noted;
};

// Every row has a MAC over its table's name and its columns, HMAC-SHA256 by a key that comes from
// the broker's: a flipped bit on the disk, or a row under another name, is an error and never an
// answer. It does not keep out who owns the disk: the key lies beside the rows. sb_mac(...) and
// sb_checked(mac, ...) are functions of the SQL below; the latter gives its last argument, or fails
// as SQLITE_CORRUPT.
#define SB_MAC_RESOURCE "sb_mac('resource', path, changed, value)"
#define SB_MAC_REFERENCE "sb_mac('reference', name, image, launch, changed, json)"
#define SB_MAC_POLICY "sb_mac('policy', path, changed, json)"
#define SB_MAC_SESSION "sb_mac('session', id, boot, until_ms, payload)"
#define SB_MAC_ADMIN "sb_mac('admin', name, role, digest, ends, changed)"
#define SB_MAC_PROPOSAL "sb_mac('proposal', name, image, json, launch, who, changed)"
#define SB_MAC_APPROVAL "sb_mac('approval', name, image, proposer, who, changed)"
#define SB_MAC_VERSION "sb_mac('version', path, n)"
#define SB_CERTIFICATE_COLUMNS "serial, id, image, reference, peer, issued, ends, revoked"
#define SB_MAC_CERTIFICATE "sb_mac('certificate', " SB_CERTIFICATE_COLUMNS ")"
#define SB_VOLUME_COLUMNS                                                                          \
    "memory, state, next, lease, second, image, reference, peer, opened_ms, heard_ms, beats"
#define SB_MAC_VOLUME "sb_mac('volume', path, " SB_VOLUME_COLUMNS ")"
#define SB_LOG_COLUMNS                                                                             \
    "event, outcome, code, detail, peer, session, tee, image, reference, measurement, evidence,"   \
    " resource"
#define SB_MAC_LOG "sb_mac('log', time_ms, " SB_LOG_COLUMNS ")"

#define SB_MAC_REFUSAL "sb_mac('refusal', known, time_ms, last_ms, count, " SB_LOG_COLUMNS ")"
// Of one entry: over the one before and this one's id, time and texts.
#define SB_CHAIN(before) "sb_chain(" before ", id, time_ms, " SB_LOG_COLUMNS ")"

// The chain's last entry, kept apart; nothing where there is none.
#define SB_PUT_HEAD                                                                                \
    "INSERT OR REPLACE INTO head(one, id, chain, mac)"                                             \
    " SELECT 1, id, chain, sb_mac('head', id, chain) FROM log ORDER BY id DESC LIMIT 1"

// fresh: an empty file is a new store. Otherwise it is what is left of one, and must not become
// one. 0 or -errno with a line in why.
int sb_layout_schema(struct sb_store *st, bool fresh, char *why, size_t why_size);
// What needs the keys: MACs and the chain. 0 or -errno.
int sb_layout_upgrade(struct sb_store *st);
// Makes a key of this name where there is none.
int sb_store_make_key(struct sb_store *st, const char *name);

// Derives the MAC key and makes the functions known. 0 or a code of SQLite.
int sb_mac_init(struct sb_store *st);

// Within the transaction that logs it (store_session.c): keeps the session, unless its challenge
// was used. A code of SQLite; *used: it was.
int sb_session_insert(struct sb_store *st, const struct sb_session_row *row, bool *used);

// The texts of sb_entry_texts, back into an entry.
void sb_entry_set_texts(struct sb_entry *e, const char *const t[SB_ENTRY_TEXTS]);
// Gives them to a statement's parameters from `first` on. A code of SQLite.
int sb_entry_bind(sqlite3_stmt *stmt, int first, const char *const t[SB_ENTRY_TEXTS]);
// `before` (may be NULL), one statement for each of the rows that `bind` gives it, then `after`:
// all of it is a transaction, or nothing. Takes the lock. 0 or -errno.
int sb_insert_all(struct sb_store *st, const char *sql,
                  int (*before)(struct sb_store *st, void *arg),
                  int (*bind)(sqlite3_stmt *stmt, void *arg), void *arg,
                  int (*after)(struct sb_store *st));

// store_seal.c. Is the store sealed? 0 or -errno.
int sb_seal_load(struct sb_store *st);
// *out is malloc'd. -ENOKEY.
int sb_seal(struct sb_store *st, const char *path, const void *data, size_t size, uint8_t **out,
            size_t *out_size);
// In place of *data; frees it. -ENOKEY; -EBADMSG.
int sb_unseal(struct sb_store *st, const char *path, uint8_t **data, size_t *size);

int sb_errno(int sqlite_code);
// With the lock held: a statement of this text, kept from its first use on (preparing costs more
// than running). A code of SQLite; *out stays as it is where it fails.
int sb_statement(struct sb_store *st, const char *sql, sqlite3_stmt **out);
// It is over (NULL: there was none): nothing stays bound, and no reader stays in the file.
void sb_statement_end(struct sb_store *st, sqlite3_stmt *stmt);
void sb_statements_free(struct sb_store *st);
// With the lock held: a statement without parameters and rows. A code of SQLite.
int sb_do(struct sb_store *st, const char *sql);
// With the lock held: a transaction, and its end: COMMIT where rc is SQLITE_OK, else ROLLBACK. A
// code of SQLite.
int sb_begin(struct sb_store *st);
int sb_end(struct sb_store *st, int rc);
// Runs one statement with text parameters (NULL-terminated list) and no rows. 0 or -errno; *changed
// (may be NULL) gets the number of rows. Takes the lock.
int sb_run(struct sb_store *st, int *changed, const char *sql, ...) __attribute__((sentinel));
// First column of the first row as a malloc'd blob with a NUL behind it.
int sb_fetch(struct sb_store *st, const char *sql, const char *param, uint8_t **data, size_t *size);

#endif
