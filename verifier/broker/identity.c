// SPDX-License-Identifier: Apache-2.0
// The endpoints of identities.
#include "verifier/broker/identity.h"
#include "verifier/base/json.h"
#include "verifier/broker/admit.h"
#include "verifier/broker/ca.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base64.h"

#define VALUES_MAX 8

static void answer_store(struct sb_judgement *out, int status, const char *code, const char *detail)
{
    out->status = status;
    snprintf(out->code, sizeof(out->code), "%s", code);
    snprintf(out->detail, sizeof(out->detail), "%s", detail);
}

// The key of the request, or NULL with the reason in out.
static EVP_PKEY *read_request(const cJSON *body, struct sb_judgement *out)
{
    const char *text = sv_json_text(body, "request");
    uint8_t der[SB_CSR_MAX];
    long size = sh_unbase64url(der, sizeof(der), text, strlen(text));
    EVP_PKEY *key = size > 0 ? sb_csr_key(der, (size_t)size) : NULL;

    if (!key)
        answer_store(
            out, 400, "request",
            "\"request\" is not a PKCS #10 request (DER, base64url) signed by a key on P-256 or "
            "P-384");
    return key;
}

static int read_identity(struct sb_request *r, const char *id, struct sb_identity *out)
{
    uint8_t *json = NULL;
    size_t size;
    char why[120];
    int rc = sb_resource_get(r->server->store, id, &json, &size);

    if (!rc && sb_identity_parse((const char *)json, out, why, sizeof(why)))
        rc = -EBADMSG;
    free(json);
    return rc;
}

static char *answer_text(struct sb_server *s, const char *certificate, int64_t seconds, int64_t now)
{
    cJSON *o = cJSON_CreateObject();
    char *ca = NULL, *crl = NULL, *text = NULL;

    if (!sb_ca_certificate(s->store, NULL, &ca) && !sb_ca_crl(s->store, now, &crl)) {
        cJSON_AddStringToObject(o, "certificate", certificate);
        cJSON_AddStringToObject(o, "ca", ca);
        cJSON_AddStringToObject(o, "crl", crl);
        cJSON_AddNumberToObject(o, "seconds", (double)seconds);
        text = cJSON_PrintUnformatted(o);
    }
    cJSON_Delete(o);
    free(ca);
    free(crl);
    return text;
}

static void issue_certificate(struct sb_request *r, const char *id, EVP_PKEY *key,
                              struct sb_judgement *out)
{
    int64_t now = sb_wall_ms(r->server) / 1000;
    struct sb_certificate c = {
        .id = id, .image = out->image, .reference = out->reference, .peer = r->peer};
    struct sb_identity identity;
    char *pem = NULL;
    int rc = read_identity(r, id, &identity);

    if (rc == -ENOENT) {
        answer_store(out, 404, "no-such-identity", "there is no such identity");
        return;
    }
    if (!rc)
        rc = sb_ca_issue(r->server->store, key, &identity, now, &c, &pem);
    if (!rc)
        rc = sb_certificate_add(r->server->store, &c);
    if (rc)
        answer_store(out, 500, "store", "the certificate cannot be made or kept");
    else
        sb_answer_json(r, answer_text(r->server, pem, identity.seconds, now));
    if (!rc)
        snprintf(out->detail, sizeof(out->detail), "serial %s", c.serial);
    free(pem);
}

void sb_identity_issue(struct sb_request *r, const char *rest)
{
    struct sb_judgement out = {.status = 0};
    cJSON *body = sb_body_json(r, VALUES_MAX), *payload;
    const char *id = sv_json_text(body, "id");
    EVP_PKEY *key = NULL;

    if (!body)
        return;
    if (!sb_identity_ok(id)) {
        sb_problem(r, 400, "malformed", "\"id\" is not of the form spiffe://TRUST-DOMAIN/PATH");
        cJSON_Delete(body);
        return;
    }
    payload = sb_check_token(r, false, &out);
    if (payload) {
        sb_describe_attested(&out, payload);
        if (sb_is_permitted(r, id, payload, &out) && (key = read_request(body, &out)))
            issue_certificate(r, id, key, &out);
    }
    if (out.status != 200)
        sb_problem(r, out.status, out.code, out.detail);
    if (payload)
        sb_log_attempt(r, "identity", &out, sv_json_text(payload, "jti"), id);
    EVP_PKEY_free(key);
    cJSON_Delete(payload);
    cJSON_Delete(body);
}

static void answer_pem(struct sb_request *r, int rc, char *pem, const char *type)
{
    if (rc == -ENOENT)
        sb_problem(r, 404, "no-identities", "this broker gives no identities");
    else if (rc)
        sb_problem(r, 500, "store", "the broker's database cannot be read");
    else
        sb_answer_json(r, pem);
    if (!rc && pem)
        r->type = type;
}

void sb_identity_ca(struct sb_request *r, const char *rest)
{
    char *pem = NULL;
    int rc = sb_ca_certificate(r->server->store, NULL, &pem);

    answer_pem(r, rc, pem, "application/x-pem-file");
}

// Signed once a second at most, however many strangers ask.
static int kept_crl(struct sb_server *s, char **pem)
{
    struct sb_kept_crl *k = &s->crl;
    int64_t now = sb_clock_ms();
    int rc = 0;

    *pem = NULL;
    pthread_mutex_lock(&k->lock);
    if (!k->pem || now - k->made_ms >= SB_CRL_MS) {
        free(k->pem);
        k->pem = NULL;
        rc = sb_ca_crl(s->store, sb_wall_ms(s) / 1000, &k->pem);
        k->made_ms = now;
    }
    if (!rc && (!k->pem || !(*pem = strdup(k->pem))))
        rc = -ENOMEM;
    pthread_mutex_unlock(&k->lock);
    return rc;
}

void sb_identity_crl(struct sb_request *r, const char *rest)
{
    char *pem = NULL;
    int rc = kept_crl(r->server, &pem);

    answer_pem(r, rc, pem, "application/x-pem-file");
}
