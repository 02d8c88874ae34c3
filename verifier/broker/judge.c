// SPDX-License-Identifier: Apache-2.0
// Judges an attestation. Whatever is missing, unknown or doubtful refuses.
#include "verifier/broker/judge.h"
#include "verifier/broker/jose.h"
#include "verifier/broker/launch.h"
#include "verifier/broker/shown_volumes.h"
#include "verifier/judge/claim.h"
#include "verifier/judge/policy.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "lib/hex.h"
#include "lib/sha2.h"

static bool refuse_attestation(struct sb_judgement *out, int status, const char *code,
                               const char *format, ...) __attribute__((format(printf, 4, 5)));
static bool refuse_attestation(struct sb_judgement *out, int status, const char *code,
                               const char *format, ...)
{
    va_list ap;

    out->status = status;
    snprintf(out->code, sizeof(out->code), "%s", code);
    va_start(ap, format);
    vsnprintf(out->detail, sizeof(out->detail), format, ap);
    va_end(ap);
    return false;
}

const char *sb_tee_name(enum shelter_evidence_type tee)
{
    static const char *const names[] = {"", "sgx", "tdx", "snp", "csv"};

    return names[tee];
}

static size_t hash_text(enum sb_hash hash, const char *text, uint8_t out[64])
{
    switch (hash) {
    case SB_SHA256:
        sh_sha256(out, text, strlen(text));
        return SH_SHA256_SIZE;
    case SB_SHA512:
        sh_sha512(out, text, strlen(text));
        return SH_SHA512_SIZE;
    default:
        sh_sha384(out, text, strlen(text));
        return SH_SHA384_SIZE;
    }
}

size_t sb_binding(enum sb_hash hash, const char *nonce, const cJSON *jwk, const char *additional,
                  uint8_t out[64])
{
    cJSON *bound = cJSON_CreateObject();
    size_t size;
    char *text;

    if (additional)
        cJSON_AddStringToObject(bound, "additional-evidence", additional);
    cJSON_AddStringToObject(bound, "nonce", nonce);
    cJSON_AddItemReferenceToObject(bound, "tee-pubkey", (cJSON *)(uintptr_t)jwk);
    text = sb_jcs(bound);
    size = text ? hash_text(hash, text, out) : 0;
    free(text);
    cJSON_Delete(bound);
    return size;
}

// A public key has at most seven members that count, and some name their use.
#define JWK_MEMBERS_MAX 16

// --- Parts of the body ---

struct parts {
    const cJSON *jwk;
    const char *nonce;       // NULL in 0.2.0, where only the binding carries it
    const char *additional;  // 0.4.0
    char *evidence;          // JSON text, owned
    uint8_t device_data[64]; // what devices were to sign
    const char *init_data;   // NULL: none
    uint8_t *log;            // of run-time events, from the additional evidence; owned, or NULL
    size_t log_size;
};

static char *evidence_text(const cJSON *item)
{
    return cJSON_IsObject(item) ? cJSON_PrintUnformatted(item) : NULL;
}

// {"shelter-aael": base64}: our agent's log. (GPUs' evidence is for the verifier to read.)
static bool take_log(struct parts *p)
{
    cJSON *o = *p->additional ? sv_json_read_text(p->additional, NULL, 0) : NULL;
    const cJSON *log = sv_json_get(o, "shelter-aael");

    if (cJSON_IsString(log))
        p->log = sv_unbase64_new(log->valuestring, &p->log_size);
    bool ok = !log || p->log;
    cJSON_Delete(o);
    return ok;
}

static bool take_parts(enum sb_protocol protocol, const cJSON *body, struct parts *p)
{
    const cJSON *runtime = sv_json_get(body, "runtime-data"),
                *evidence = sv_json_get(body, "tee-evidence");
    const cJSON *init = sv_json_get(body, "init-data"), *additional;

    *p = (struct parts){.additional = ""};
    if (protocol == SB_0_4_0) {
        p->nonce = cJSON_GetStringValue(sv_json_get(runtime, "nonce"));
        p->jwk = sv_json_get(runtime, "tee-pubkey");
        additional = sv_json_get(evidence, "additional_evidence");
        if (additional && !cJSON_IsNull(additional))
            p->additional = cJSON_GetStringValue(additional);
        p->evidence = evidence_text(sv_json_get(evidence, "primary_evidence"));
        if (!p->nonce || !p->additional || !take_log(p))
            return false;
    } else {
        p->jwk = sv_json_get(body, "tee-pubkey");
        p->evidence = evidence_text(evidence);
    }
    if (init && !cJSON_IsNull(init)) {
        p->init_data = cJSON_GetStringValue(sv_json_get(init, "body"));
        if (!p->init_data)
            return false;
    }
    return cJSON_IsObject(p->jwk) && p->evidence;
}

// --- References ---

// Keeps the references in memory until another process changes them. Call with the lock held.
static int refresh_references(struct sb_judge *j)
{
    int64_t version = sb_store_version(j->store);
    struct sb_references fresh;
    int rc;

    if (j->have_references && version == j->version)
        return 0;
    rc = sb_reference_all(j->store, &fresh);
    if (rc)
        return rc;
    sb_references_free(&j->references);
    j->references = fresh;
    j->version = version;
    j->have_references = true;
    return 0;
}

static bool reference_matches(const struct sb_reference *r, const struct shelter_verdict *v)
{
    return sv_reference_matches(r->json, v);
}

// Says which reference is nearest and what differs. Call with the lock held.
static bool refuse_measurement(const struct sb_judge *j, const struct shelter_verdict *v,
                               struct sb_judgement *out)
{
    struct sv_difference d, nearest = {0};
    const char *name = NULL;
    char text[160] = "";
    int most = 0;

    for (size_t i = 0; j->have_references && i < j->references.count; i++) {
        cJSON *root = sv_json_read_text(j->references.v[i].json, NULL, 0);
        int near = sv_reference_nearest(sv_json_get(root, "references"), v, &d);

        if (near > most) {
            most = near;
            nearest = d;
            name = j->references.v[i].name;
        }
        cJSON_Delete(root);
    }
    if (name)
        sv_difference_text(&nearest, text, sizeof(text));
    return refuse_attestation(
        out, 401, "reference-mismatch", "the measurement is none of the reference values%s%s%s%s",
        name ? "; it differs from " : "", name ? name : "", name ? " in " : "", text);
}

// --- Launch config ---

// The digest of init-data must stand in the TEE's own field; without init-data the field is zero.
static bool is_init_data_bound(const struct shelter_verdict *v, const char *init_data)
{
    static const struct {
        const char *claim;
        size_t size;
    } fields[] = {{NULL, 0}, {"configid", 64}, {"mrconfigid", 48}, {"host_data", 32}, {NULL, 0}};
    uint8_t want[64] = {0};

    if (!fields[v->type].claim) // CSV has no field: there it is part of the measurement
        return !init_data;
    if (init_data)
        sh_sha384(want, init_data, strlen(init_data));
    return sv_field_is(v, fields[v->type].claim, want, fields[v->type].size);
}

// A TEE with a field for it shows its launch config, or nobody knows what the host chose; only a
// reference that says insecure_any does without. CSV has none: the measurement covers it.
static bool judge_launch(const struct sb_reference *r, const struct shelter_verdict *v,
                         const char *init_data, struct sb_judgement *out, bool *checked)
{
    cJSON *rules = sv_json_read_text(r->launch, NULL, 0);
    struct sh_manifest m;
    uint8_t *bytes = NULL;
    char why[200] = "";
    const char *code = "launch-config";
    int rc = sb_launch_rules_check(rules, why, sizeof(why)) ? -EPERM : 0;

    *checked = !sb_launch_any(rules);
    if (!rc && !init_data && *checked && v->type != SHELTER_EVIDENCE_CSV) {
        snprintf(why, sizeof(why), "init-data is missing: nobody knows what the host chose");
        code = "init-data";
        rc = -EPERM;
    }
    if (!rc && init_data) {
        rc = sb_launch_manifest(r->json, &m, &bytes);
        if (rc == -ENOENT && sb_launch_any(rules) && !sb_launch_is_ours(init_data))
            rc = 0; // a guest that is not ours, with init-data of its own kind: bound, not judged
        else if (!rc || rc == -ENOENT)
            rc = sb_launch_judge(rules, rc ? NULL : &m, init_data, strlen(init_data), why,
                                 sizeof(why));
        else
            snprintf(why, sizeof(why), "the manifest in the reference is not its image's");
    }
    free(bytes);
    cJSON_Delete(rules);
    return rc ? refuse_attestation(out, 401, code, "%s", why) : true;
}

static bool find_reference(struct sb_judge *j, const struct shelter_verdict *v,
                           const char *init_data, struct sb_judgement *out, bool *checked)
{
    bool ok = false, measured = false;

    pthread_mutex_lock(&j->lock);
    if (refresh_references(j)) {
        pthread_mutex_unlock(&j->lock);
        return refuse_attestation(out, 500, "store", "the reference values cannot be read");
    }
    // Two references may differ in their rules only.
    for (size_t i = 0; !ok && i < j->references.count; i++) {
        const struct sb_reference *r = &j->references.v[i];

        if (!reference_matches(r, v))
            continue;
        measured = true;
        snprintf(out->image, sizeof(out->image), "%s", r->image);
        snprintf(out->reference, sizeof(out->reference), "%s", r->name);
        sb_reference_digest(r, out->reference_digest);
        ok = judge_launch(r, v, init_data, out, checked);
        if (ok)
            out->volumes = sb_shown_volumes(r);
    }
    if (!measured)
        refuse_measurement(j, v, out);
    pthread_mutex_unlock(&j->lock);
    return measured && ok;
}

// --- The whole ---

// Whether nothing but collateral (of SNP and CSV: the signer, which is fetched too) is missing.
// What else is refused is refused before anybody is asked over the network.
static bool lacks_collateral_only(const struct shelter_verdict *v)
{
    for (size_t i = 0; i < shelter_verdict_refusal_count(v); i++) {
        enum shelter_reason reason = shelter_verdict_refusal(v, i, NULL);

        if (reason != SHELTER_R_NO_COLLATERAL && reason != SHELTER_R_NO_SIGNER &&
            reason != SHELTER_R_NO_INTERMEDIATE)
            return false;
    }
    return shelter_verdict_refusal_count(v);
}

static bool is_known_measurement(struct sb_judge *j, const struct shelter_verdict *v,
                                 struct sb_judgement *out)
{
    bool known = false;

    pthread_mutex_lock(&j->lock);
    if (!refresh_references(j))
        for (size_t i = 0; !known && i < j->references.count; i++)
            known = reference_matches(&j->references.v[i], v);
    if (!known)
        refuse_measurement(j, v, out);
    pthread_mutex_unlock(&j->lock);
    return known;
}

// Fetches for evidence that was judged as far as it could be: whatever else is wrong, or of an
// image that nobody knows, makes no request. (GPUs are judged with the collateral only, and so
// once.) *v stays the verdict where it is final.
static int fetch_and_verify(struct sb_judge *j, struct shelter_verify_request *rq,
                            struct shelter_verdict **v, struct sb_judgement *out)
{
    struct shelter_collateral *fetched = NULL;
    char why[200] = "";
    int rc;

    if (!lacks_collateral_only(*v))
        return 0;
    if (!is_known_measurement(j, *v, out))
        return -EKEYREJECTED;
    if (j->fetches && !sb_fetches_begin(j->fetches)) {
        refuse_attestation(out, 503, "no-collateral", "collateral is being fetched for others");
        return -EBUSY;
    }
    rc = shelter_collateral_fetch(rq->evidence, rq->evidence_size, rq->type, &j->fetch, rq->ca,
                                  rq->ca_size, &fetched, why, sizeof(why));
    if (j->fetches)
        sb_fetches_end(j->fetches);
    if (rc) {
        refuse_attestation(out, 503, "no-collateral", "collateral cannot be fetched: %s", why);
        return rc;
    }
    shelter_verdict_free(*v);
    *v = NULL;
    rq->collateral = fetched;
    rc = shelter_verify(rq, v);
    shelter_collateral_free(fetched);
    rq->collateral = NULL;
    return rc;
}

// Whether the collateral is about another platform than the evidence: then that of the next may do.
static bool is_of_another(const struct shelter_verdict *v)
{
    switch (shelter_verdict_reason(v)) {
    case SHELTER_R_TCB_INFO_MISMATCH:
    case SHELTER_R_CRL_ISSUER:
    case SHELTER_R_NO_COLLATERAL:
    case SHELTER_R_NO_SIGNER:
    case SHELTER_R_NO_INTERMEDIATE:
        return true;
    default:
        return false;
    }
}

// Collateral of the vendors says nothing of a simulated TEE, which is judged without.
static int verify_evidence(struct sb_judge *j, struct shelter_verify_request *rq,
                           struct shelter_verdict **v, struct sb_judgement *out)
{
    int rc;

    if (j->allow_simulated || j->online) {
        rc = shelter_verify(rq, v);
        if (rc || (j->allow_simulated && (*v)->tee_simulated))
            return rc;
        if (j->online)
            return fetch_and_verify(j, rq, v, out);
        shelter_verdict_free(*v);
        *v = NULL;
    }
    for (size_t i = 0; i < SB_COLLATERAL_MAX; i++) {
        rq->collateral = j->collateral[rq->type][i];
        rc = shelter_verify(rq, v);
        if (rc || i + 1 == SB_COLLATERAL_MAX || !j->collateral[rq->type][i + 1] ||
            !is_of_another(*v))
            return rc;
        shelter_verdict_free(*v);
        *v = NULL;
    }
    return -EINVAL; // not reached
}

static bool judge_evidence(struct sb_judge *j, const struct sb_challenge *s, const struct parts *p,
                           const uint8_t report_data[64], size_t bound, int64_t now,
                           struct shelter_verdict **v, struct sb_judgement *out)
{
    struct shelter_verify_request rq = {.size = sizeof(rq),
                                        .evidence = p->evidence,
                                        .evidence_size = strlen(p->evidence),
                                        .type = s->tee,
                                        .ca = j->ca_size ? j->ca : NULL,
                                        .ca_size = j->ca_size,
                                        .policy_json = j->policy_json,
                                        .measured_log = p->log,
                                        .measured_log_size = p->log_size,
                                        .report_data = report_data,
                                        .report_data_size = bound,
                                        .additional = p->additional,
                                        .additional_size = strlen(p->additional),
                                        .device_data = p->device_data,
                                        .device_data_size = sizeof(p->device_data),
                                        .device_collateral = j->collateral[SB_DEVICES][0],
                                        .time = now,
                                        .allow_simulated = j->allow_simulated};
    const char *sentence = "";
    int rc = verify_evidence(j, &rq, v, out);

    if (rc)
        return out->status != 200
                   ? false
                   : refuse_attestation(out, 500, "internal", "the evidence cannot be judged: %s",
                                        strerror(-rc));
    snprintf(out->measurement, sizeof(out->measurement), "%s", sv_measurement_of((*v)->claims));
    if (shelter_verdict_accepted(*v))
        return true;
    if (shelter_verdict_refusal_count(*v))
        shelter_verdict_refusal(*v, 0, &sentence);
    return refuse_attestation(out, 401, shelter_reason_code(shelter_verdict_reason(*v)), "%s",
                              sentence);
}

static cJSON *payload_of(const struct sb_judge *j, const struct parts *p,
                         const struct shelter_verdict *v, const struct sb_judgement *out,
                         bool launch_checked, int64_t now)
{
    // What makes the token an EAR (draft-ietf-rats-ear): readers of those look here.
    static const char *const ear[] = {"eat_profile", "ear.verifier-id", "submods"};
    cJSON *token = cJSON_CreateObject(), *verdict;
    uint8_t random[16] = {0};
    char jti[33], *text = shelter_verdict_json(v);

    RAND_bytes(random, sizeof(random));
    sh_hex(jti, random, sizeof(random));
    verdict = text ? sv_json_read_text(text, NULL, 0) : NULL;
    free(text);
    cJSON_AddStringToObject(token, "iss", j->issuer);
    cJSON_AddNumberToObject(token, "iat", (double)now);
    cJSON_AddNumberToObject(token, "nbf", (double)now);
    cJSON_AddNumberToObject(token, "exp", (double)(now + j->token_seconds));
    cJSON_AddStringToObject(token, "jti", jti);
    cJSON_AddItemToObject(token, "tee-pubkey", sb_jwk_members(p->jwk));
    cJSON_AddStringToObject(token, "tee", out->tee);
    cJSON_AddStringToObject(token, "image", out->image);
    cJSON_AddStringToObject(token, "reference", out->reference);
    cJSON_AddStringToObject(token, "reference-sha384", out->reference_digest);
    cJSON_AddStringToObject(token, "evidence-sha384", out->evidence);
    cJSON_AddStringToObject(token, "tcb-status", shelter_verdict_tcb_status(v));
    cJSON_AddBoolToObject(token, "simulated", shelter_verdict_simulated(v));
    cJSON_AddBoolToObject(token, "launch_checked", launch_checked);
    if (out->volumes)
        cJSON_AddItemToObject(token, "volumes", cJSON_Duplicate(out->volumes, true));
    cJSON_AddItemToObject(token, "claims", cJSON_Duplicate(v->claims, true));
    for (size_t i = 0; i < sizeof(ear) / sizeof(ear[0]); i++)
        cJSON_AddItemToObject(
            token, ear[i], cJSON_Duplicate(sv_json_get(sv_json_get(verdict, "ear"), ear[i]), true));
    cJSON_AddItemToObject(token, "evaluation-report",
                          cJSON_DetachItemFromObjectCaseSensitive(verdict, "ear"));
    cJSON_Delete(verdict);
    return token;
}

static bool judge_parts(struct sb_judge *j, const struct sb_challenge *s, struct parts *p,
                        int64_t now, struct shelter_verdict **v, struct sb_judgement *out)
{
    uint8_t report_data[64], digest[48];
    size_t bound;
    bool checked = false;
    EVP_PKEY *key;

    sh_sha384(digest, p->evidence, strlen(p->evidence));
    sh_hex(out->evidence, digest, sizeof(digest));
    if (p->nonce && strcmp(p->nonce, s->nonce))
        return refuse_attestation(out, 401, "nonce", "the nonce is not the one of this session");
    key = cJSON_GetArraySize(p->jwk) <= JWK_MEMBERS_MAX ? sb_jwk_parse(p->jwk) : NULL;
    if (!key)
        return refuse_attestation(
            out, 400, "tee-pubkey",
            "tee-pubkey is not a usable key: give EC with ECDH-ES+A256KW or RSA "
            "(2048 bits or more) with RSA-OAEP-256");
    EVP_PKEY_free(key);
    bound = sb_binding(s->hash, s->nonce, p->jwk, s->protocol == SB_0_4_0 ? p->additional : NULL,
                       report_data);
    // Devices sign first; the TEE then binds their evidence too.
    if (!bound || (*p->additional && !sb_binding(s->hash, s->nonce, p->jwk, NULL, p->device_data)))
        return refuse_attestation(out, 400, "malformed", "runtime-data has no canonical form");
    if (!judge_evidence(j, s, p, report_data, bound, now, v, out))
        return false;
    // No policy file can let debug in here.
    if (shelter_verdict_debug(*v))
        return refuse_attestation(out, 401, "debug", "the TEE runs in debug mode");
    if (!is_init_data_bound(*v, p->init_data))
        return refuse_attestation(
            out, 401, "init-data",
            p->init_data ? "the digest of init-data is not the one in the evidence"
                         : "the evidence binds a launch config, and init-data is missing");
    if (!find_reference(j, *v, p->init_data, out, &checked))
        return false;
    out->payload = payload_of(j, p, *v, out, checked, now);
    return out->payload ? true : refuse_attestation(out, 500, "internal", "out of memory");
}

bool sb_judge_attestation(struct sb_judge *j, const struct sb_challenge *challenge,
                          const cJSON *body, int64_t now, struct sb_judgement *out)
{
    struct shelter_verdict *v = NULL;
    struct parts p;
    bool ok;

    *out = (struct sb_judgement){.status = 200, .code = "ok"};
    snprintf(out->tee, sizeof(out->tee), "%s", sb_tee_name(challenge->tee));
    if (take_parts(challenge->protocol, body, &p)) {
        pthread_rwlock_rdlock(&j->rules);
        ok = judge_parts(j, challenge, &p, now, &v, out);
        pthread_rwlock_unlock(&j->rules);
    } else
        ok = refuse_attestation(out, 400, "malformed",
                                "the attestation lacks runtime-data, tee-pubkey or tee-evidence");
    if (ok) { // what an earlier, narrower reference refused is no longer of interest
        out->status = 200;
        snprintf(out->code, sizeof(out->code), "ok");
        out->detail[0] = 0;
    }
    free(p.evidence);
    free(p.log);
    shelter_verdict_free(v);
    return ok;
}
