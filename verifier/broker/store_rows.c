// SPDX-License-Identifier: Apache-2.0
// Resources, references and policies.
#include "verifier/broker/store_db.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hex.h"
#include "lib/sha2.h"

#define CHECKED_JSON "sb_checked(mac, 'reference', name, image, launch, changed, json)"

bool sb_path_ok(const char *path)
{
    int parts = 1;
    size_t length = 0;

    for (const char *p = path;; p++) {
        if (*p == '/' || !*p) {
            if (!length || length > 128)
                return false;
            if (!*p)
                return parts == 3;
            parts++;
            length = 0;
            continue;
        }
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
              *p == '_' || (length && (*p == '.' || *p == '-'))))
            return false;
        length++;
    }
}

// SPIFFE-ID, section 2: a trust domain of [a-z0-9._-], a path of segments of [a-zA-Z0-9._-] that
// are neither empty nor dots.
bool sb_identity_ok(const char *id)
{
    static const char scheme[] = "spiffe://", digits[] = "0123456789._-";
    const char *p = id + sizeof(scheme) - 1;
    size_t n;

    if (strncmp(id, scheme, sizeof(scheme) - 1) || strlen(id) > SB_IDENTITY_MAX)
        return false;
    for (n = 0; p[n] && p[n] != '/'; n++)
        if (!((p[n] >= 'a' && p[n] <= 'z') || strchr(digits, p[n])))
            return false;
    if (!n || p[n] != '/')
        return false;
    for (p += n; *p; p += n) {
        p++; // the slash
        n = strcspn(p, "/");
        if (!n || (n == 1 && p[0] == '.') || (n == 2 && !memcmp(p, "..", 2)))
            return false;
        for (size_t i = 0; i < n; i++)
            if (!((p[i] >= 'a' && p[i] <= 'z') || (p[i] >= 'A' && p[i] <= 'Z') ||
                  strchr(digits, p[i])))
                return false;
    }
    return true;
}

#define PUT_RESOURCE                                                                               \
    " INTO resource(path, value, changed, mac)"                                                    \
    " SELECT path, value, changed, " SB_MAC_RESOURCE                                               \
    " FROM (SELECT ?1 AS path, ?2 AS value, unixepoch() AS changed)"
#define PUT_REFERENCE                                                                              \
    " INTO reference(name, image, json, launch, changed, mac)"                                     \
    " SELECT name, image, json, launch, changed, " SB_MAC_REFERENCE                                \
    " FROM (SELECT ?1 AS name, ?2 AS image, ?3 AS json, ?4 AS launch, unixepoch() AS changed)"

// With the lock held, within a transaction. The number goes on where a resource was deleted: no
// version that a client has seen comes again.
static int put_row(struct sb_store *st, const char *path, const void *data, size_t size,
                   bool replace)
{
    static const char count[] =
        "INSERT OR REPLACE INTO version(path, n, mac) SELECT path, n, " SB_MAC_VERSION
        " FROM (SELECT ?1 AS path, 1 + coalesce((SELECT sb_checked(mac, 'version', path, n) FROM"
        " version WHERE path = ?1), 0) AS n)";
    sqlite3_stmt *stmt = NULL;
    int rc =
        sb_statement(st, replace ? "INSERT OR REPLACE" PUT_RESOURCE : "INSERT" PUT_RESOURCE, &stmt);

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(stmt, 1, path, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = size ? sqlite3_bind_blob64(stmt, 2, data, size, SQLITE_STATIC)
                  : sqlite3_bind_zeroblob(stmt, 2, 0);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    sb_statement_end(st, stmt);
    if (rc != SQLITE_DONE)
        return rc;
    rc = sb_statement(st, count, &stmt);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(stmt, 1, path, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    sb_statement_end(st, stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int sb_resource_put(struct sb_store *st, const char *path, const void *data, size_t size,
                    bool replace)
{
    uint8_t *sealed = NULL;
    int rc = st->sealed ? sb_seal(st, path, data, size, &sealed, &size) : 0;

    if (rc)
        return rc;
    pthread_mutex_lock(&st->lock);
    rc = sb_begin(st);
    if (rc == SQLITE_OK)
        rc = sb_end(st, put_row(st, path, sealed ? sealed : data, size, replace));
    pthread_mutex_unlock(&st->lock);
    free(sealed);
    st->writes++;
    return sb_errno(rc);
}

int sb_resource_version(struct sb_store *st, const char *path, int64_t *n)
{
    uint8_t *text = NULL;
    size_t size;
    int rc =
        sb_fetch(st,
                 "SELECT sb_checked(v.mac, 'version', v.path, v.n) FROM version v JOIN resource"
                 " r ON r.path = v.path WHERE v.path = ?1",
                 path, &text, &size);

    *n = rc ? 0 : strtoll((const char *)text, NULL, 10);
    free(text);
    return rc;
}

int sb_resource_get(struct sb_store *st, const char *path, uint8_t **data, size_t *size)
{
    int rc = sb_fetch(
        st,
        "SELECT sb_checked(mac, 'resource', path, changed, value) FROM resource WHERE path = ?1",
        path, data, size);

    return rc || !st->sealed ? rc : sb_unseal(st, path, data, size);
}

static int delete_row(struct sb_store *st, const char *sql, const char *key)
{
    int changed = 0, rc = sb_run(st, &changed, sql, key, NULL);

    st->writes++;
    return rc ? rc : changed ? 0 : -ENOENT;
}

// With the lock held: a secret that is gone stands in the log of writes until that is emptied too.
static void empty_log(struct sb_store *st)
{
    sqlite3_exec(st->db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
}

int sb_resource_delete(struct sb_store *st, const char *path)
{
    int rc = delete_row(st, "DELETE FROM resource WHERE path = ?1", path);

    if (!rc) {
        pthread_mutex_lock(&st->lock);
        empty_log(st);
        pthread_mutex_unlock(&st->lock);
    }
    return rc;
}

// With the lock held, within a transaction.
static int take_row(struct sb_store *st, const char *path, uint8_t **data, size_t *size)
{
    static const char *const sql[] = {
        "SELECT sb_checked(mac, 'resource', path, changed, value) FROM resource WHERE path = ?1",
        "DELETE FROM resource WHERE path = ?1"};
    int rc = SQLITE_OK;

    for (int i = 0; rc == SQLITE_OK && i < 2; i++) {
        sqlite3_stmt *stmt = NULL;

        rc = sb_statement(st, sql[i], &stmt);
        if (rc == SQLITE_OK)
            rc = sqlite3_bind_text(stmt, 1, path, -1, SQLITE_STATIC);
        if (rc == SQLITE_OK)
            rc = sqlite3_step(stmt);
        if (!i && rc == SQLITE_ROW) {
            *size = (size_t)sqlite3_column_bytes(stmt, 0);
            *data = calloc(1, *size + 1);
            if (*data && *size)
                memcpy(*data, sqlite3_column_blob(stmt, 0), *size);
            rc = *data ? SQLITE_OK : SQLITE_NOMEM;
        } else if (!i && rc == SQLITE_DONE) {
            rc = SQLITE_NOTFOUND;
        } else if (i && rc == SQLITE_DONE) {
            rc = SQLITE_OK;
        }
        sb_statement_end(st, stmt);
    }
    return rc;
}

int sb_resource_take(struct sb_store *st, const char *path, uint8_t **data, size_t *size)
{
    int rc;

    *data = NULL;
    if (st->sealed && !st->unlocked) // else it would be gone, and nobody has it
        return -ENOKEY;
    pthread_mutex_lock(&st->lock);
    rc = sb_begin(st);
    if (rc == SQLITE_OK)
        rc = sb_end(st, take_row(st, path, data, size));
    if (rc == SQLITE_OK)
        empty_log(st);
    pthread_mutex_unlock(&st->lock);
    if (rc != SQLITE_OK && *data) {
        OPENSSL_cleanse(*data, *size);
        free(*data);
        *data = NULL;
    }
    if (rc != SQLITE_OK)
        return rc == SQLITE_NOTFOUND ? -ENOENT : sb_errno(rc);
    return st->sealed ? sb_unseal(st, path, data, size) : 0;
}

int sb_reference_put(struct sb_store *st, const char *name, const char *image, const char *json,
                     const char *launch, bool replace)
{
    // Who approved the one before approved nothing of this one.
    int rc = replace ? sb_run(st, NULL, "DELETE FROM approval WHERE name = ?1", name, NULL) : 0;

    if (!rc)
        rc = sb_run(st, NULL, replace ? "INSERT OR REPLACE" PUT_REFERENCE : "INSERT" PUT_REFERENCE,
                    name, image, json, launch, NULL);
    st->writes++;
    return rc;
}

int sb_reference_delete(struct sb_store *st, const char *name)
{
    int rc = sb_run(st, NULL, "DELETE FROM approval WHERE name = ?1", name, NULL);

    return rc ? rc : delete_row(st, "DELETE FROM reference WHERE name = ?1", name);
}

static char *column_text(sqlite3_stmt *stmt, int i)
{
    const unsigned char *text = sqlite3_column_text(stmt, i);

    return strdup(text ? (const char *)text : "");
}

int sb_reference_all(struct sb_store *st, struct sb_references *out)
{
    sqlite3_stmt *stmt = NULL;
    int rc, error = 0;

    *out = (struct sb_references){0};
    pthread_mutex_lock(&st->lock);
    rc = sb_statement(
        st, "SELECT name, image, " CHECKED_JSON ", launch FROM reference ORDER BY name", &stmt);
    while (rc == SQLITE_OK && !error && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct sb_reference *grown = realloc(out->v, (out->count + 1) * sizeof(*out->v)), *r;

        rc = SQLITE_OK;
        if (!grown) {
            error = -ENOMEM;
            break;
        }
        out->v = grown;
        r = &out->v[out->count++];
        *r = (struct sb_reference){column_text(stmt, 0), column_text(stmt, 1), column_text(stmt, 2),
                                   column_text(stmt, 3)};
        if (!r->name || !r->image || !r->json || !r->launch)
            error = -ENOMEM;
    }
    sb_statement_end(st, stmt);
    pthread_mutex_unlock(&st->lock);
    if (!error)
        error = sb_errno(rc);
    if (error)
        sb_references_free(out);
    return error;
}

void sb_references_free(struct sb_references *r)
{
    for (size_t i = 0; i < r->count; i++) {
        free(r->v[i].name);
        free(r->v[i].image);
        free(r->v[i].json);
        free(r->v[i].launch);
    }
    free(r->v);
    *r = (struct sb_references){0};
}

static void digest_of(const char *text, size_t size, char out[97])
{
    uint8_t digest[48];

    sh_sha384(digest, text, size);
    sh_hex(out, digest, sizeof(digest));
}

void sb_reference_digest(const struct sb_reference *r, char out[97])
{
    size_t size = strlen(r->image) + strlen(r->launch) + strlen(r->json) + 3;
    char *text = malloc(size);

    // None of these begins in the one before: image and launch hold no newline.
    if (text)
        digest_of(text, (size_t)snprintf(text, size, "%s\n%s\n%s", r->image, r->launch, r->json),
                  out);
    else
        out[0] = 0;
    free(text);
}

bool sb_reference_known(struct sb_store *st, const char *name, const char *digest)
{
    static const char sql[] =
        "SELECT image || char(10) || launch || char(10) || " CHECKED_JSON " FROM reference"
        " WHERE name = ?1";
    uint8_t *have = NULL;
    size_t size;
    char now[97];
    bool known = false;

    if (!sb_fetch(st, sql, name, &have, &size)) {
        digest_of((const char *)have, size, now);
        known = *digest && !strcmp(now, digest);
    }
    free(have);
    return known;
}

int64_t sb_store_version(struct sb_store *st)
{
    sqlite3_stmt *stmt = NULL;
    int64_t version = -1;

    pthread_mutex_lock(&st->lock);
    // Of what other connections wrote.
    if (sb_statement(st, "PRAGMA data_version", &stmt) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW)
        version = sqlite3_column_int64(stmt, 0);
    sb_statement_end(st, stmt);
    pthread_mutex_unlock(&st->lock);
    return version < 0 ? version : version + (st->writes << 32);
}

int sb_policy_put(struct sb_store *st, const char *path, const char *json)
{
    return sb_run(st, NULL,
                  "INSERT OR REPLACE INTO policy(path, json, changed, mac)"
                  " SELECT path, json, changed, " SB_MAC_POLICY
                  " FROM (SELECT ?1 AS path, ?2 AS json, unixepoch() AS changed)",
                  path, json, NULL);
}

int sb_policy_get(struct sb_store *st, const char *path, char **text)
{
    size_t size;

    return sb_fetch(
        st, "SELECT sb_checked(mac, 'policy', path, changed, json) FROM policy WHERE path = ?1",
        path, (uint8_t **)text, &size);
}

int sb_policy_delete(struct sb_store *st, const char *path)
{
    return delete_row(st, "DELETE FROM policy WHERE path = ?1", path);
}

int sb_store_list(struct sb_store *st, char **json)
{
    size_t size;

    return sb_fetch(
        st,
        "SELECT json_object('resources', (SELECT json_group_array(json_object('path', path,"
        " 'size', length(value), 'changed', changed, 'version', (SELECT n FROM version WHERE"
        " version.path = q.path))) FROM (SELECT * FROM resource ORDER BY path) q),"
        " 'references', (SELECT json_group_array(json_object('name', name, 'image', image,"
        " 'launch', json(launch), 'changed', changed,"
        " 'proposer', coalesce((SELECT proposer FROM approval a WHERE a.name = q.name AND"
        " a.image = q.image), ''), 'approver', coalesce((SELECT who FROM approval a WHERE"
        " a.name = q.name AND a.image = q.image), ''))) FROM (SELECT * FROM reference ORDER BY"
        " name) q), 'proposals', (SELECT json_group_array(json_object('name', name, 'image', image,"
        " 'launch', json(launch), 'changed', changed, 'proposer', who)) FROM (SELECT * FROM"
        " proposal ORDER BY name)),"
        " 'policies', (SELECT json_group_array(json_object('path', path, 'policy', json(json),"
        " 'changed', changed)) FROM (SELECT * FROM policy ORDER BY path)))",
        NULL, (uint8_t **)json, &size);
}
