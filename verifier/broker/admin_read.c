// SPDX-License-Identifier: Apache-2.0
// Operations that only read. No secret is among what they tell.
#include "verifier/broker/admin_parts.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/hex.h"
#include "lib/number.h"
#include "verifier/broker/ca.h"
#include "verifier/broker/clock.h"
#include "verifier/broker/hsm_keys.h"
#include "verifier/broker/policy.h"
#include "verifier/broker/server.h"

#define LOG_COUNT 200        // entries of an answer, where no number is asked for
#define LOG_COUNT_MAX 10000  // and at most
#define LOG_SEARCH_MAX 20000 // entries that a search looks at: the last ones

cJSON *sb_do_list(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    char *json = NULL;
    int rc = sb_store_list(a->store, &json);
    cJSON *o = rc ? NULL : sv_json_read_text(json, NULL, 0);

    free(json);
    return o ? o : sb_refuse_store(no, rc ? rc : -ENOMEM, "list", "");
}

// --- Who is attested now ---

struct attested {
    cJSON *list;
    int64_t now_ms;
};

static void add_session(const char *id, const char *payload, int64_t until_ms, void *arg)
{
    static const char *const words[] = {"jti",       "tee",        "image",
                                        "reference", "tcb-status", "volumes"};
    struct attested *t = arg;
    cJSON *o = cJSON_CreateObject(), *token = sv_json_read_text(payload, NULL, 0);

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        cJSON *item = cJSON_DetachItemFromObjectCaseSensitive(token, words[i]);

        if (item)
            cJSON_AddItemToObject(o, words[i], item);
    }
    cJSON_AddBoolToObject(o, "simulated", cJSON_IsTrue(sv_json_get(token, "simulated")));
    cJSON_AddNumberToObject(o, "seconds", (double)((until_ms - t->now_ms) / 1000));
    cJSON_AddItemToArray(t->list, o);
    cJSON_Delete(token);
}

cJSON *sb_do_attested(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    cJSON *o = cJSON_CreateObject();
    struct attested t = {cJSON_AddArrayToObject(o, "attested"), sb_clock_ms()};
    int rc = 0;

    // Those of several processes stand in the database; those of one are in its memory only.
    if (!a->server || a->server->shared)
        rc = sb_session_each(a->store, t.now_ms, add_session, &t);
    else
        sb_sessions_each(&a->server->sessions, t.now_ms, add_session, &t);
    if (!rc)
        return o;
    cJSON_Delete(o);
    return sb_refuse_store(no, rc, "sessions", "");
}

cJSON *sb_do_certificates(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    char *json = NULL;
    int rc = sb_certificate_list(a->store, a->now_ms / 1000, &json);

    return rc ? sb_refuse_store(no, rc, "certificates", "")
              : sb_wrap_json("certificates", json, no);
}

cJSON *sb_do_authority(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    char *ca = NULL, *crl = NULL;
    cJSON *o = NULL;
    int rc = sb_ca_certificate(a->store, NULL, &ca);

    if (!rc)
        rc = sb_ca_crl(a->store, a->now_ms / 1000, &crl);
    if (rc == -ENOENT)
        sb_refuse(no, 404, "no-identities",
                  "this broker has no identities; 'shelter broker add-identity' makes one");
    else if (rc)
        sb_refuse_store(no, rc, "authority", "");
    else {
        o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "ca", ca);
        cJSON_AddStringToObject(o, "crl", crl);
    }
    free(ca);
    free(crl);
    return o;
}

cJSON *sb_do_volumes(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    const char *path = sv_json_string(args, "path");
    char *json = NULL;
    int rc = sb_volume_list(a->store, path, &json);

    return rc ? sb_refuse_store(no, rc, "volume", path ? path : "")
              : sb_wrap_json(path ? "volume" : "volumes", json, no);
}

// --- What policies come to ---

static void __attribute__((format(printf, 2, 3))) say(cJSON *lines, const char *format, ...)
{
    char *text = NULL;
    va_list ap;

    va_start(ap, format);
    if (vasprintf(&text, format, ap) >= 0)
        cJSON_AddItemToArray(lines, cJSON_CreateString(text));
    va_end(ap);
    free(text);
}

// Everything but whom it names, one line each; what the policy says for this image: 1, 0 or -EPERM.
static int explain_one(cJSON *lines, const char *text, const char *whose, const char *image)
{
    char why[240] = "";
    int named = sb_policy_names(text, image, why, sizeof(why));
    const cJSON *item;
    cJSON *policy;

    if (!text) {
        say(lines, "policy of %s: there is none", whose);
        return 0;
    }
    say(lines, "policy of %s: %s", whose,
        named < 0 ? why
        : named   ? "gives it to this image"
                  : "names no image");
    policy = named < 0 ? NULL : sv_json_read_text(text, NULL, 0);
    cJSON_ArrayForEach(item, policy)
    {
        char *value = cJSON_PrintUnformatted(item);

        if (strcmp(item->string, "images") && strcmp(item->string, "tokens") &&
            strcmp(item->string, "allow"))
            say(lines, "  demands %s: %s", item->string, value ? value : "");
        free(value);
    }
    cJSON_Delete(policy);
    return named;
}

// Which references let this image attest; the number of them. The first line has their names.
static int explain_references(struct sb_store *st, cJSON *lines, const char *image)
{
    struct sb_references all;
    char *first = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&first, &size);
    int count = 0;

    if (!out || sb_reference_all(st, &all)) {
        if (out)
            fclose(out);
        free(first);
        return 0;
    }
    fprintf(out, "image %s", image);
    for (size_t i = 0; i < all.count; i++)
        if (!strcmp(all.v[i].image, image))
            fprintf(out, "%s%s", count++ ? ", " : " (now ", all.v[i].name);
    fputs(count ? ")" : "", out);
    fclose(out);
    say(lines, "%s", first);
    free(first);
    for (size_t i = 0; i < all.count; i++)
        if (!strcmp(all.v[i].image, image))
            say(lines, "reference '%s' lets it attest, launch %s", all.v[i].name, all.v[i].launch);
    if (!count)
        say(lines, "no reference lets it attest");
    sb_references_free(&all);
    return count;
}

// A key in a token that may be used under this path, as a line.
static bool explain_key(const struct sb_asker *a, cJSON *lines, const char *path)
{
    struct sb_judge *j = a->server ? &a->server->judge : NULL;
    char names[120] = "";
    const struct sb_hsm_key *k;

    if (j)
        pthread_rwlock_rdlock(&j->rules);
    k = sb_hsm_keys_find(j ? j->hsm_keys : a->hsm_keys, path);
    for (size_t i = 0, n = 0; k && k->algorithms[i] && n < sizeof(names); i++)
        n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", i ? ", " : "",
                              k->algorithms[i]->name);
    if (j)
        pthread_rwlock_unlock(&j->rules);
    if (k)
        say(lines, "%s is a key in a token, for %s", path, names);
    return k;
}

static cJSON *explain(const struct sb_asker *a, const char *id, const char *path, const char *wide,
                      const char *own)
{
    cJSON *o = cJSON_CreateObject(), *lines = cJSON_AddArrayToObject(o, "lines");
    uint8_t *secret = NULL;
    size_t size;
    int by_wide, by_own, rc = sb_resource_get(a->store, path, &secret, &size);
    bool attests = explain_references(a->store, lines, id) > 0, given;
    bool key = explain_key(a, lines, path);

    if (!rc)
        OPENSSL_cleanse(secret, size);
    free(secret);
    rc = rc == -ENOKEY ? 0 : rc; // it is there
    by_wide = explain_one(lines, wide, "'*'", id);
    by_own = explain_one(lines, own, path, id);
    given = attests && by_wide >= 0 && by_own >= 0 && (by_wide || by_own) && (!rc || key);
    if (key && ((wide && sb_policy_once(wide)) || (own && sb_policy_once(own)))) {
        say(lines, "a policy says \"once\", which holds for no key");
        given = false;
    }
    if (by_wide == 0 && by_own == 0)
        say(lines, "no policy names an image, so nobody gets it");
    if (rc && !key)
        say(lines,
            a->server ? "there is no resource or key %s"
                      : "there is no resource %s, and no such key in --hsm-keys",
            path);
    say(lines, "%s", given ? "answer: given, where all demands are met" : "answer: refused");
    cJSON_AddBoolToObject(o, "given", given);
    return o;
}

cJSON *sb_do_explain(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    const char *path = sv_json_text(args, "path");
    char id[SB_IMAGE_ID_SIZE], *own = NULL, *wide = NULL;
    cJSON *o = NULL;
    int rc, rc_own;

    if (!sb_path_ok(path) && !sb_identity_ok(path))
        return sb_refuse(no, 400, "malformed",
                         "'%.200s' is not a resource; give REPOSITORY/TYPE/TAG", path);
    if (!sb_find_identity(a->store, sv_json_text(args, "image"), id, no))
        return NULL;
    rc = sb_policy_get(a->store, "*", &wide);
    rc_own = sb_policy_get(a->store, path, &own);
    if ((rc && rc != -ENOENT) || (rc_own && rc_own != -ENOENT))
        sb_refuse_store(no, rc && rc != -ENOENT ? rc : rc_own, "policy", path);
    else
        o = explain(a, id, path, wide, own);
    free(own);
    free(wide);
    return o;
}

// --- The log ---

struct collected {
    cJSON *list;
    const char *search;
    int64_t count, max;
};

static bool entry_has(const struct sb_entry *e, const char *search)
{
    const char *t[SB_ENTRY_TEXTS];

    sb_entry_texts(e, t);
    for (int i = 0; i < SB_ENTRY_TEXTS; i++)
        if (strcasestr(t[i], search))
            return true;
    return false;
}

// The last `max` that fit; the oldest of them gives way.
static void collect_entry(const struct sb_entry *e, void *arg)
{
    struct collected *c = arg;
    char *text = NULL;

    if (*c->search && !entry_has(e, c->search))
        return;
    text = sb_entry_json(e);
    if (text && cJSON_AddItemToArray(c->list, sv_json_read_text(text, NULL, 0)) &&
        ++c->count > c->max) {
        cJSON_DeleteItemFromArray(c->list, 0);
        c->count--;
    }
    free(text);
}

cJSON *sb_do_log(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    uint64_t count = LOG_COUNT, chain = 0, refusals = 0;
    bool on = sv_json_get(args, "chain");
    struct sb_cursor at = {0, 0};
    struct collected c = {.search = sv_json_text(args, "search")};
    char why[300] = "";
    cJSON *o;
    int rc = 0;

    if ((sv_json_get(args, "count") && !sv_json_number(args, "count", LOG_COUNT_MAX, &count)) ||
        (on && (!sv_json_number(args, "chain", INT64_MAX, &chain) ||
                !sv_json_number(args, "refusals", INT64_MAX, &refusals))))
        return sb_refuse(no, 400, "malformed",
                         "\"count\" is up to 10000; \"chain\" and \"refusals\" are where an answer "
                         "of before ended");
    if (on)
        at = (struct sb_cursor){(int64_t)chain, (int64_t)refusals};
    else
        rc = sb_log_tail(a->store, *c.search ? LOG_SEARCH_MAX : (int64_t)count, &at);
    o = cJSON_CreateObject();
    c.list = cJSON_AddArrayToObject(o, "entries");
    c.max = (int64_t)count;
    if (!rc)
        rc = sb_log_read(a->store, &at, collect_entry, &c, why, sizeof(why));
    cJSON_AddNumberToObject(o, "chain", (double)at.chain);
    cJSON_AddNumberToObject(o, "refusals", (double)at.refusals);
    if (*why)
        cJSON_AddStringToObject(o, "damaged", why);
    if (!rc || *why)
        return o;
    cJSON_Delete(o);
    return sb_refuse_store(no, rc, "audit log", "");
}

// "ID:HASH" as an earlier check printed it.
static bool parse_known(const char *text, int64_t *id, uint8_t hash[SB_CHAIN_SIZE])
{
    char number[24];
    size_t n = strcspn(text, ":");
    uint64_t value;

    if (!text[n] || n >= sizeof(number) || strlen(text + n + 1) != 2 * SB_CHAIN_SIZE ||
        sh_unhex(hash, SB_CHAIN_SIZE, text + n + 1))
        return false;
    memcpy(number, text, n);
    number[n] = 0;
    if (sh_parse_number(number, 1, INT64_MAX, &value))
        return false;
    *id = (int64_t)value;
    return true;
}

cJSON *sb_do_log_check(const struct sb_asker *a, const cJSON *args, struct sb_refusal *no)
{
    const char *known = sv_json_text(args, "known");
    uint8_t want[SB_CHAIN_SIZE] = {0}, hash[SB_CHAIN_SIZE];
    char why[200] = "", hex[2 * SB_CHAIN_SIZE + 1], last[120];
    int64_t known_id = 0, id = 0;
    cJSON *o;
    int rc;

    if (*known && !parse_known(known, &known_id, want))
        return sb_refuse(no, 400, "malformed",
                         "--check takes ID:HASH as an earlier check printed it");
    rc = sb_log_check(a->store, known_id, want, &id, hash, why, sizeof(why));
    if (rc)
        return sb_refuse(no, 500, "damaged", "%s", *why ? why : strerror(-rc));
    sh_hex(hex, hash, sizeof(hash));
    snprintf(last, sizeof(last), "%lld:%s", (long long)id, hex);
    o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "last", last);
    return o;
}
