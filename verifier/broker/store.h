// SPDX-License-Identifier: Apache-2.0
// What the broker keeps: its key, resources, references, policies, volumes' last states and the
// audit log. SQLite.
//
// One file, DIR/broker.db (0600, in a folder that is 0700), in WAL mode with synchronous=FULL: a
// write that was acknowledged is on disk. The server and the command line may use it at the same
// time. The layout's number stands in user_version; each step from one to the next is one
// transaction.
//
// A store may be used by many threads. Functions return 0 or -errno: -ENOENT (no such row), -EBUSY
// (another process holds the file for too long), -ENOSPC, -EBADMSG (damaged), -EIO.
#ifndef VERIFIER_BROKER_STORE_H
#define VERIFIER_BROKER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#define SB_RESOURCE_SIZE_MAX (1u << 20)
#define SB_JSON_SIZE_MAX (4u << 20)
#define SB_PATH_MAX 400

struct sb_store;

// Opens DIR/broker.db and checks all of it: pages, and each row's MAC. With `create` makes a new
// one instead, with its key; -EEXIST when there is one, or something left of one: a damaged store
// never becomes a new one. why gets one line on failure. -ENOENT: it is not there; -EBADMSG: it is
// damaged; -EPROTO: a newer version of this program wrote it.
int sb_store_open(const char *dir, bool create, struct sb_store **out, char *why, size_t why_size);
void sb_store_close(struct sb_store *st);

// The broker's key (P-256), made when the store was: clients pin it, and TLS shows it. Owned by the
// store.
EVP_PKEY *sb_store_key(struct sb_store *st);
// The key that signs tokens (P-256), another one.
EVP_PKEY *sb_store_token_key(struct sb_store *st);
// The key that signs workloads' certificates (P-256), a third one.
EVP_PKEY *sb_store_ca_key(struct sb_store *st);
// A named value of the server's own ("certificate"). text is malloc'd.
int sb_store_value_put(struct sb_store *st, const char *name, const char *text);
int sb_store_value_get(struct sb_store *st, const char *name, char **text);

// Resources encrypted at rest (store_seal.c): a new, empty store is sealed under a passphrase, and
// each process that writes or gives resources unlocks it: -EACCES for another passphrase. Without:
// -ENOKEY from sb_resource_put, _get and _take.
int sb_store_seal(struct sb_store *st, const char *passphrase, size_t size);
// Puts all resources under another passphrase, or under one at all, in one step. The store is
// unlocked before, where it is sealed.
int sb_store_reseal(struct sb_store *st, const char *passphrase, size_t size);
bool sb_store_sealed(const struct sb_store *st);
bool sb_store_unlocked(const struct sb_store *st);
int sb_store_unlock(struct sb_store *st, const char *passphrase, size_t size);

// "REPOSITORY/TYPE/TAG", each 1 to 128 of [A-Za-z0-9._-], not starting with a dot.
bool sb_path_ok(const char *path);
// "spiffe://TRUST-DOMAIN/PATH" by SPIFFE's rules, at most SB_IDENTITY_MAX bytes. What is known of
// an identity (ca.h) is kept as a resource of that name, which no client can get; its policy too.
#define SB_IDENTITY_MAX 255
bool sb_identity_ok(const char *id);

// -EEXIST where there is one and `replace` is false: nothing that exists is changed silently.
int sb_resource_put(struct sb_store *st, const char *path, const void *data, size_t size,
                    bool replace);
// How often a resource of this path was written: 1 the first time, one more with each later one,
// also where it was deleted between. -ENOENT: there is no such resource now.
int sb_resource_version(struct sb_store *st, const char *path, int64_t *n);
// data is malloc'd.
int sb_resource_get(struct sb_store *st, const char *path, uint8_t **data, size_t *size);
int sb_resource_delete(struct sb_store *st, const char *path);
// Gets it and deletes it, in one step: of all who ask at the same time one has it, and it is gone
// from the disk before this returns. -ENOENT for the others.
int sb_resource_take(struct sb_store *st, const char *path, uint8_t **data, size_t *size);

// json: a reference.json; launch: the rules of verifier/broker/launch.h. -EEXIST as above.
int sb_reference_put(struct sb_store *st, const char *name, const char *image, const char *json,
                     const char *launch, bool replace);
int sb_reference_delete(struct sb_store *st, const char *name);
struct sb_reference {
    char *name, *image, *json, *launch;
};
struct sb_references {
    struct sb_reference *v;
    size_t count;
};
int sb_reference_all(struct sb_store *st, struct sb_references *out);
void sb_references_free(struct sb_references *r);
// SHA-384 (hex) over image, measurements and rules: what a token was given by.
void sb_reference_digest(const struct sb_reference *r, char out[97]);
// True if the reference of this name is there still, and unchanged.
bool sb_reference_known(struct sb_store *st, const char *name, const char *digest);
// Changes when another process has written; to know when to read again.
int64_t sb_store_version(struct sb_store *st);

// path: a resource's, or "*" for all. text is malloc'd.
int sb_policy_put(struct sb_store *st, const char *path, const char *json);
int sb_policy_get(struct sb_store *st, const char *path, char **text);
int sb_policy_delete(struct sb_store *st, const char *path);

// Lists as JSON arrays (malloc'd): resources (with their versions) and policies without contents;
// references and proposals with rules, and who proposed and approved them.
int sb_store_list(struct sb_store *st, char **json);

// --- Operators over the network (admin.h) ---

#define SB_OPERATOR_NAME_MAX 64
struct sb_operator {
    char name[SB_OPERATOR_NAME_MAX + 1], role[12];
    int64_t ends; // seconds; 0: never
};
// digest: SHA-256 of the credential, hexadecimal; the credential itself is nowhere. -EEXIST: the
// name is taken.
int sb_operator_add(struct sb_store *st, const struct sb_operator *o, const char *digest);
// By name, or by the credential's digest; `digest` (65 bytes, may be NULL) gets that. -ENOENT:
// none, or it has ended.
int sb_operator_find(struct sb_store *st, const char *name_or_digest, int64_t now,
                     struct sb_operator *out, char *digest);
int sb_operator_remove(struct sb_store *st, const char *name);
// As a JSON array (malloc'd).
int sb_operator_list(struct sb_store *st, char **json);

// A reference that somebody else is to approve: no reference before that. Another one of this name
// is replaced.
int sb_proposal_put(struct sb_store *st, const struct sb_reference *r, const char *who);
// who: malloc'd as r's members; sb_proposal_free.
struct sb_proposal {
    struct sb_reference reference;
    char *who;
};
int sb_proposal_get(struct sb_store *st, const char *name, struct sb_proposal *out);
void sb_proposal_free(struct sb_proposal *p);
int sb_proposal_delete(struct sb_store *st, const char *name);
// Makes it a reference, in place of one of its name, in one step, where it is still the one of this
// digest (sb_reference_digest): else -EBUSY.
int sb_proposal_approve(struct sb_store *st, const char *name, const char *digest, const char *who);

// --- Volumes: what was acknowledged of each, and who holds it ---

#define SB_VOLUME_STATE_SIZE 72 // "SEQUENCE-LOG-ROOT": decimal, decimal, 32 hexadecimal digits

// Of the volume whose key is the resource `path`. All of it survives whatever happens to us.
struct sb_volume {
    char memory[12];                  // never, open, released or reset (docs/broker.md)
    char state[SB_VOLUME_STATE_SIZE]; // the last that was acknowledged; "" where there is none
    char next[17];                    // the writer that may go on from it
    char lease[33];                   // whoever shows it holds the volume; "": nobody does
    char second[8];                   // "fence": one that comes second wins; else it is refused
    char image[104], reference[136], peer[64]; // of the holder, now or last
    int64_t opened_ms, heard_ms;               // wall clock, to be shown only
    int64_t beats;                             // one more with every change
};
// Changes a volume's row, all at once: `change` gets it, memory "" where there is none yet. It
// returns 0: write it; 1: nothing changed; -errno: nor did it, and that is the result. 0 or -errno.
int sb_volume_change(struct sb_store *st, const char *path,
                     int (*change)(struct sb_volume *v, void *arg), void *arg);
// -ENOENT: it was never seen.
int sb_volume_get(struct sb_store *st, const char *path, struct sb_volume *out);
// As if it had never been seen.
int sb_volume_delete(struct sb_store *st, const char *path);
// All of them as a JSON array, or the one of that path (malloc'd).
int sb_volume_list(struct sb_store *st, const char *path, char **json);

// --- Certificates of workloads ---

struct sb_certificate {
    char serial[33]; // hexadecimal digits
    const char *id, *image, *reference, *peer;
    int64_t issued, ends, revoked; // seconds; revoked: 0: it is not
};
// Forgets those that ended more than a day before the new one was issued, and keeps this one.
int sb_certificate_add(struct sb_store *st, const struct sb_certificate *c);
// Revokes the one of this serial number, or all of this identity, that are not yet: how many.
int sb_certificate_revoke(struct sb_store *st, const char *name, int64_t now, int *count);
// Calls `each` for those that are revoked and have not ended, with serial number and time.
int sb_certificate_revoked(struct sb_store *st, int64_t now,
                           void (*each)(const char *serial, int64_t revoked, void *arg), void *arg);
// Those that have not ended, as a JSON array (malloc'd).
int sb_certificate_list(struct sb_store *st, int64_t now, char **json);

// --- Sessions of several processes ---
//
// Where several processes serve one address, what attested with one of them is known to all: the
// session is written in the transaction that logs it. One whose challenge was used by another
// process is refused then. Times are the machine's monotonic ones, so rows of another boot are
// none.

struct sb_session_row {
    const char *id;      // the challenge's
    const char *payload; // of the token
    int64_t until_ms;    // monotonic
    unsigned max;        // so many are kept; the oldest give way
};
struct sb_entry;
// As sb_log_add, for both. -EALREADY: the challenge was used; nothing was written.
int sb_log_add_session(struct sb_store *st, const struct sb_entry *e,
                       const struct sb_session_row *row);
// The payload of a live session (malloc'd). -ENOENT.
int sb_session_find(struct sb_store *st, const char *id, int64_t now_ms, char **payload);
// Calls `each` for the live ones, of whichever process.
int sb_session_each(struct sb_store *st, int64_t now_ms,
                    void (*each)(const char *id, const char *payload, int64_t until_ms, void *arg),
                    void *arg);
// A key for this purpose and this boot of the machine, the same in all processes.
int sb_store_boot_key(struct sb_store *st, const char *purpose, uint8_t out[32]);

// --- Audit log ---
//
// What was granted and what an operator changed stands in a chain: each entry carries SHA-256 over
// the one before and itself, and the last one's is kept apart, so that a changed entry, a gap and a
// cut are seen. What was refused goes into two rings, one for strangers and one for those who
// showed a known image: equal refusals within a second are one entry with a count, and the oldest
// entries give way. So a stranger can neither fill the disk nor push a grant out.

#define SB_REFUSALS_MAX 4096 // entries of each ring
#define SB_CHAIN_SIZE 32

// Who got what, when, on which evidence. NULL members are stored as "".
struct sb_entry {
    int64_t id, time_ms; // id: set when read
    const char *event;   // auth, attest, resource, admin
    const char *outcome; // granted, refused, changed
    const char *code, *detail, *peer, *session, *tee, *image, *reference, *measurement;
    const char *evidence; // SHA-384 of the primary evidence
    const char *resource;
    // Of a refusal, when read
    int64_t count, last_ms; // so many equal ones, the last at; 0 in the chain
};
#define SB_ENTRY_TEXTS 12
// Its texts, in the order of the database's columns.
#define SB_ENTRY_MEMBERS(X)                                                                        \
    X(event)                                                                                       \
    X(outcome)                                                                                     \
    X(code)                                                                                        \
    X(detail)                                                                                      \
    X(peer)                                                                                        \
    X(session)                                                                                     \
    X(tee)                                                                                         \
    X(image)                                                                                       \
    X(reference)                                                                                   \
    X(measurement)                                                                                 \
    X(evidence)                                                                                    \
    X(resource)

// Those texts ("" where it has none).
void sb_entry_texts(const struct sb_entry *e, const char *t[SB_ENTRY_TEXTS]);
// As one JSON object (malloc'd), or NULL.
char *sb_entry_json(const struct sb_entry *e);
// From now on each entry is told once it is written: one of the chain at once, refusals of a second
// together. Several threads may tell at the same time. Before any thread writes.
void sb_log_tell(struct sb_store *st, void (*tell)(const struct sb_entry *e));

// Adds to the chain; returns when the entry is on disk. Entries of concurrent callers share one
// transaction. Where the disk is full, the space that sb_log_reserve kept is given up for it.
int sb_log_add(struct sb_store *st, const struct sb_entry *e);
// Notes a refusal in memory. `peer_known`: in the ring of those who showed a known image.
void sb_log_refusal(struct sb_store *st, const struct sb_entry *e, bool peer_known);
// Writes down what was noted; called about once a second, and at the end.
int sb_log_flush(struct sb_store *st);
// Keeps `size` bytes of the disk for entries of the chain. 0 or -errno.
int sb_log_reserve(struct sb_store *st, const char *dir, size_t size);

// Up to where somebody has read.
struct sb_cursor {
    int64_t chain, refusals; // ids
};
// Calls `each` for entries behind the cursor, in order of time, and moves it. 0 or -errno;
// -EBADMSG with a line in why when some have a MAC that does not hold: `each` got the others.
int sb_log_read(struct sb_store *st, struct sb_cursor *at,
                void (*each)(const struct sb_entry *, void *), void *arg, char *why,
                size_t why_size);
// The cursor behind which `count` entries follow.
int sb_log_tail(struct sb_store *st, int64_t count, struct sb_cursor *at);
// The latest time among the last entries, in ms; 0 where there is none.
int64_t sb_log_last_time(struct sb_store *st);
// Checks the chain from its first entry to its last, and every MAC that sb_log_read checks. 0 with
// the last one's id and hash (0 and zeros where there is none); -EBADMSG with a line in why;
// -errno. known_id > 0: the entry of that id must have known_hash (an earlier result, kept
// elsewhere).
int sb_log_check(struct sb_store *st, int64_t known_id, const uint8_t known_hash[SB_CHAIN_SIZE],
                 int64_t *id, uint8_t hash[SB_CHAIN_SIZE], char *why, size_t why_size);

#endif
