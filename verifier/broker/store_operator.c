// SPDX-License-Identifier: Apache-2.0
// Operators who come over the network, and references that wait for an approval.
#include "verifier/broker/store_db.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int sb_operator_add(struct sb_store *st, const struct sb_operator *o, const char *digest)
{
    char ends[24];

    snprintf(ends, sizeof(ends), "%lld", (long long)o->ends);
    return sb_run(st, NULL,
                  "INSERT INTO admin(name, role, digest, ends, changed, mac)"
                  " SELECT name, role, digest, ends, changed, " SB_MAC_ADMIN
                  " FROM (SELECT ?1 AS name, ?2 AS role, ?3 AS digest, CAST(?4 AS INTEGER) AS ends,"
                  " unixepoch() AS changed)",
                  o->name, o->role, digest, ends, NULL);
}

int sb_operator_find(struct sb_store *st, const char *name_or_digest, int64_t now,
                     struct sb_operator *out, char *digest)
{
    // No name has 64 digits' length and no digest is a name (admin.c): one column or the other.
    static const char sql[] =
        "SELECT name, role, sb_checked(mac, 'admin', name, role, digest, ends,"
        " changed), ends, digest FROM admin WHERE name = ?1 OR digest = ?1";
    sqlite3_stmt *stmt = NULL;
    int rc;

    *out = (struct sb_operator){.ends = 0};
    pthread_mutex_lock(&st->lock);
    rc = sqlite3_prepare_v2(st->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(stmt, 1, name_or_digest, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        snprintf(out->name, sizeof(out->name), "%s", (const char *)sqlite3_column_text(stmt, 0));
        snprintf(out->role, sizeof(out->role), "%s", (const char *)sqlite3_column_text(stmt, 1));
        out->ends = sqlite3_column_int64(stmt, 3);
        if (digest)
            snprintf(digest, 65, "%s", (const char *)sqlite3_column_text(stmt, 4));
    }
    sqlite3_finalize(stmt);
    pthread_mutex_unlock(&st->lock);
    if (rc != SQLITE_ROW)
        return rc == SQLITE_DONE ? -ENOENT : sb_errno(rc);
    return out->ends && out->ends <= now ? -ENOENT : 0;
}

int sb_operator_remove(struct sb_store *st, const char *name)
{
    int changed = 0, rc = sb_run(st, &changed, "DELETE FROM admin WHERE name = ?1", name, NULL);

    return rc ? rc : changed ? 0 : -ENOENT;
}

int sb_operator_list(struct sb_store *st, char **json)
{
    size_t size;

    return sb_fetch(st,
                    "SELECT json_group_array(json_object('name', name, 'role', role, 'ends', ends,"
                    " 'changed', changed)) FROM (SELECT * FROM admin ORDER BY name)",
                    NULL, (uint8_t **)json, &size);
}

// --- Proposals ---

int sb_proposal_put(struct sb_store *st, const struct sb_reference *r, const char *who)
{
    return sb_run(st, NULL,
                  "INSERT OR REPLACE INTO proposal(name, image, json, launch, who, changed, mac)"
                  " SELECT name, image, json, launch, who, changed, " SB_MAC_PROPOSAL
                  " FROM (SELECT ?1 AS name, ?2 AS image, ?3 AS json, ?4 AS launch, ?5 AS who,"
                  " unixepoch() AS changed)",
                  r->name, r->image, r->json, r->launch, who, NULL);
}

void sb_proposal_free(struct sb_proposal *p)
{
    free(p->reference.name);
    free(p->reference.image);
    free(p->reference.json);
    free(p->reference.launch);
    free(p->who);
    *p = (struct sb_proposal){.who = NULL};
}

// With the lock held. SQLITE_ROW, SQLITE_DONE (there is none) or an error.
static int read_proposal(struct sb_store *st, const char *name, struct sb_proposal *out)
{
    static const char sql[] = "SELECT name, image, json, launch, who, sb_checked(mac, 'proposal',"
                              " name, image, json, launch, who, changed) FROM proposal"
                              " WHERE name = ?1";
    char **const member[] = {&out->reference.name, &out->reference.image, &out->reference.json,
                             &out->reference.launch, &out->who};
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(st->db, sql, -1, &stmt, NULL);

    *out = (struct sb_proposal){.who = NULL};
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    for (int i = 0; rc == SQLITE_ROW && i < 5; i++) {
        *member[i] = strdup((const char *)sqlite3_column_text(stmt, i));
        if (!*member[i])
            rc = SQLITE_NOMEM;
    }
    sqlite3_finalize(stmt);
    if (rc != SQLITE_ROW)
        sb_proposal_free(out);
    return rc;
}

int sb_proposal_get(struct sb_store *st, const char *name, struct sb_proposal *out)
{
    int rc;

    pthread_mutex_lock(&st->lock);
    rc = read_proposal(st, name, out);
    pthread_mutex_unlock(&st->lock);
    return rc == SQLITE_DONE ? -ENOENT : sb_errno(rc);
}

int sb_proposal_delete(struct sb_store *st, const char *name)
{
    int changed = 0, rc = sb_run(st, &changed, "DELETE FROM proposal WHERE name = ?1", name, NULL);

    return rc ? rc : changed ? 0 : -ENOENT;
}

// One statement with text parameters, with the lock held.
static int run_texts(struct sb_store *st, const char *sql, const char *const text[], int count)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(st->db, sql, -1, &stmt, NULL);

    for (int i = 0; rc == SQLITE_OK && i < count; i++)
        rc = sqlite3_bind_text(stmt, i + 1, text[i], -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    sqlite3_finalize(stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int move_proposal(struct sb_store *st, const struct sb_proposal *p, const char *who)
{
    const struct sb_reference *r = &p->reference;
    const char *const reference[] = {r->name, r->image, r->json, r->launch};
    const char *const approval[] = {r->name, r->image, p->who, who};
    int rc = run_texts(
        st,
        "INSERT OR REPLACE INTO reference(name, image, json, launch, changed, mac)"
        " SELECT name, image, json, launch, changed, " SB_MAC_REFERENCE
        " FROM (SELECT ?1 AS name, ?2 AS image, ?3 AS json, ?4 AS launch, unixepoch() AS changed)",
        reference, 4);

    if (rc == SQLITE_OK)
        rc = run_texts(st,
                       "INSERT OR REPLACE INTO approval(name, image, proposer, who, changed, mac)"
                       " SELECT name, image, proposer, who, changed, " SB_MAC_APPROVAL
                       " FROM (SELECT ?1 AS name, ?2 AS image, ?3 AS proposer, ?4 AS who,"
                       " unixepoch() AS changed)",
                       approval, 4);
    return rc == SQLITE_OK ? run_texts(st, "DELETE FROM proposal WHERE name = ?1", reference, 1)
                           : rc;
}

int sb_proposal_approve(struct sb_store *st, const char *name, const char *digest, const char *who)
{
    struct sb_proposal p = {.who = NULL};
    char now[97];
    bool other = false;
    int rc;

    pthread_mutex_lock(&st->lock);
    rc = sb_begin(st);
    if (rc == SQLITE_OK) {
        rc = read_proposal(st, name, &p);
        if (rc == SQLITE_ROW) {
            sb_reference_digest(&p.reference, now);
            other = !*now || strcmp(now, digest);
            rc = other ? SQLITE_ABORT : move_proposal(st, &p, who);
        } else if (rc == SQLITE_DONE) {
            rc = SQLITE_NOTFOUND;
        }
        rc = sb_end(st, rc);
        st->writes++;
    }
    pthread_mutex_unlock(&st->lock);
    sb_proposal_free(&p);
    return other ? -EBUSY : rc == SQLITE_NOTFOUND ? -ENOENT : sb_errno(rc);
}
