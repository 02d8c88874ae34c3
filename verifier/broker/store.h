// SPDX-License-Identifier: Apache-2.0
// What the broker keeps: its key, resources, references, policies and the audit log. SQLite.
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

// The broker's key (P-256), made when the store was. Owned by the store.
EVP_PKEY *sb_store_key(struct sb_store *st);

// "REPOSITORY/TYPE/TAG", each 1 to 128 of [A-Za-z0-9._-], not starting with a dot.
bool sb_path_ok(const char *path);

// -EEXIST where there is one and `replace` is false: nothing that exists is changed silently.
int sb_resource_put(struct sb_store *st, const char *path, const void *data, size_t size,
                    bool replace);
// data is malloc'd.
int sb_resource_get(struct sb_store *st, const char *path, uint8_t **data, size_t *size);
int sb_resource_delete(struct sb_store *st, const char *path);

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

// Lists as JSON arrays (malloc'd): resources and policies without contents; references with rules.
int sb_store_list(struct sb_store *st, char **json);

// --- Audit log ---

// Who got what, when, on which evidence. NULL members are stored as "".
struct sb_entry {
    int64_t id, time_ms; // id: set when read
    const char *event;   // auth, attest, resource, admin
    const char *outcome; // granted, refused, changed
    const char *code, *detail, *peer, *session, *tee, *image, *reference, *measurement;
    const char *evidence; // SHA-384 of the primary evidence
    const char *resource;
};
#define SB_ENTRY_TEXTS 12

// Returns when the entry is on disk. Entries of concurrent callers share one transaction.
int sb_log_add(struct sb_store *st, const struct sb_entry *e);
// Calls `each` for entries with an id above `after`, oldest first; returns 0 or -errno.
int sb_log_read(struct sb_store *st, int64_t after, void (*each)(const struct sb_entry *, void *),
                void *arg);
// The id after which `count` entries follow.
int64_t sb_log_tail(struct sb_store *st, int64_t count);
// The latest time among the last entries, in ms; 0 where there is none.
int64_t sb_log_last_time(struct sb_store *st);

#endif
