// SPDX-License-Identifier: Apache-2.0
// The image's identity: a key that is made here, and the broker's certificate for it, kept fresh.
#include <mbedtls/ecp.h>
#include <mbedtls/pk.h>
#include <mbedtls/x509_csr.h>

#include <asm/errno.h>
#include <string.h>

#include "lib/sha2.h"
#include "trusted/agent/state.h"

#define REQUEST_ROOM 1024u
#define PEM_MAX 65536u    /* of one file */
#define LIFE_MAX 2592000  /* seconds */
#define LOOK_MS 20000u    /* what is revoked is asked for so often */
#define EXCHANGE_MS 4000u /* at most, once the workload runs: a volume's lease may wait for us */

struct agent_identity {
    mbedtls_pk_context key;
    const char *id; /* in the manifest's bytes, up to its ':' or end */
    size_t id_size;
    uint64_t renew, look;                            /* when, by agent_os_now_ms */
    uint8_t ca[SH_SHA256_SIZE], crl[SH_SHA256_SIZE]; /* as they were given last */
    bool given, troubled;
};

static const char scheme[] = "identity=spiffe://";

bool agent_is_identity(const char *record)
{
    return !strncmp(record, scheme, sizeof(scheme) - 1);
}

static const char *find_record(const struct agent *a)
{
    const struct sh_string_list *list = &a->settings->secrets;
    for (size_t i = 0; i < list->count; i++)
        if (agent_is_identity(list->items[i]))
            return list->items[i];
    return NULL;
}

int agent_identity_signal(const struct agent *a)
{
    static const struct {
        const char *word;
        int number;
    } signals[] = {{":HUP", 1}, {":USR1", 10}, {":USR2", 12}};
    const char *record = find_record(a), *word = NULL;
    for (const char *p = record ? record + sizeof(scheme) - 1 : ""; *p && !word; p++)
        word = *p == ':' ? p : NULL;
    for (size_t i = 0; word && i < sizeof(signals) / sizeof(signals[0]); i++)
        if (!strcmp(word, signals[i].word))
            return signals[i].number;
    return 0;
}

void agent_identity_free(struct agent_identity *i)
{
    if (!i)
        return;
    mbedtls_pk_free(&i->key);
    agent_os_free(i);
}

static struct agent_identity *make_identity(const char *record)
{
    struct agent_identity *i = agent_os_alloc(sizeof(*i));
    if (!i)
        return NULL;
    i->id = record + strlen("identity=");
    i->id_size = strlen("spiffe");
    while (i->id[++i->id_size] && i->id[i->id_size] != ':') /* behind the scheme's own */
        ;
    mbedtls_pk_init(&i->key);
    if (!mbedtls_pk_setup(&i->key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)) &&
        !mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(i->key), agent_rng, NULL))
        return i;
    agent_identity_free(i);
    return NULL;
}

/* PKCS #10, base64url. The names are the broker's to say. */
static int add_request(struct agent_identity *i, struct agent_text *t)
{
    uint8_t der[REQUEST_ROOM];
    mbedtls_x509write_csr request;
    mbedtls_x509write_csr_init(&request);
    mbedtls_x509write_csr_set_md_alg(&request, MBEDTLS_MD_SHA256);
    mbedtls_x509write_csr_set_key(&request, &i->key);
    int n = mbedtls_x509write_csr_set_subject_name(&request, "CN=shelter");
    if (!n)
        n = mbedtls_x509write_csr_der(&request, der, sizeof(der), agent_rng, NULL);
    mbedtls_x509write_csr_free(&request);
    if (n > 0)
        agent_text_base64url(t, der + sizeof(der) - n, (size_t)n); /* it stands at the end */
    return n > 0 ? 0 : -ENOMEM;
}

typedef int (*give_fn)(void *arg, const struct agent_secret *secret);

static int give_file(give_fn give, void *arg, const char *name, const void *data, size_t size)
{
    struct agent_secret s = {.identity = true, .data = data, .size = size};
    memcpy(s.name, name, strlen(name) + 1);
    return give(arg, &s);
}

/* What is the same as before is not given again. 1: it was given; 0; -errno. */
static int give_changed(give_fn give, void *arg, const char *name, const char *pem, size_t size,
                        uint8_t last[SH_SHA256_SIZE])
{
    uint8_t hash[SH_SHA256_SIZE];
    sh_sha256(hash, pem, size);
    if (!memcmp(hash, last, sizeof(hash)))
        return 0;
    int rc = give_file(give, arg, name, pem, size);
    if (!rc)
        memcpy(last, hash, sizeof(hash));
    return rc ? rc : 1;
}

static int give_key(struct agent_identity *i, give_fn give, void *arg)
{
    unsigned char pem[512] = {0};
    int rc = mbedtls_pk_write_key_pem(&i->key, pem, sizeof(pem))
                 ? -ENOMEM
                 : give_file(give, arg, "key.pem", pem, strlen((char *)pem));
    agent_wipe(pem, sizeof(pem));
    return rc;
}

static bool is_pem(const char *text, long size)
{
    static const char begin[] = "-----BEGIN ";
    return size > (long)sizeof(begin) && !strncmp(text, begin, sizeof(begin) - 1);
}

/* One file of the broker's answer, into `pem`. */
static long take_pem(struct agent_json o, const char *member, char *pem)
{
    long n = agent_json_member(o, member, pem, PEM_MAX);
    return is_pem(pem, n) ? n : -EPROTO;
}

static long take_seconds(struct agent_json o)
{
    uint64_t n;
    return !agent_json_number(o, "seconds", &n) && n >= 1 && n <= LIFE_MAX ? (long)n : -EPROTO;
}

static int take_answer(struct agent_identity *i, struct agent_json o, give_fn give, void *arg)
{
    char *pem = agent_os_alloc(PEM_MAX);
    long seconds = take_seconds(o), n = pem ? take_pem(o, "ca", pem) : -ENOMEM;
    int rc = n < 0 ? (int)n : seconds < 0 ? (int)seconds : i->given ? 0 : give_key(i, give, arg);
    if (!rc)
        rc = give_changed(give, arg, "ca.pem", pem, (size_t)n, i->ca);
    if (rc >= 0)
        rc = (n = take_pem(o, "crl", pem)) < 0
                 ? (int)n
                 : give_changed(give, arg, "crl.pem", pem, (size_t)n, i->crl);
    if (rc >= 0) /* last: whoever finds it finds the others */
        rc = (n = take_pem(o, "certificate", pem)) < 0
                 ? (int)n
                 : give_file(give, arg, "certificate.pem", pem, (size_t)n);
    agent_os_free(pem);
    if (rc)
        return rc;
    i->given = true;
    i->renew = agent_os_now_ms() + (uint64_t)seconds * 500u; /* at half of its life */
    return 0;
}

/* A certificate for the key, and what belongs to it. */
static int ask_certificate(struct agent *a, struct agent_identity *i, give_fn give, void *arg,
                           struct agent_error *e)
{
    struct agent_text body = {0};
    struct agent_response r;
    struct agent_json o;
    agent_text_str(&body, "{\"id\":");
    agent_text_json(&body, i->id, i->id_size);
    agent_text_str(&body, ",\"request\":\"");
    int rc = add_request(i, &body);
    agent_text_str(&body, "\"}");
    struct agent_call call = {
        .method = "POST", .path = "/kbs/v0/identity", .body = body.data, .body_size = body.size};
    rc = rc || body.failed ? agent_fail(e, -ENOMEM, "no memory to ask for a certificate", NULL)
                           : agent_ask(a, &call, &r, e);
    agent_text_free(&body);
    if (rc)
        return rc;
    rc = r.status != 200 ? agent_refused(a, &r, "a certificate", e) : agent_body(a, &r, &o, e);
    if (!rc && (rc = take_answer(i, o, give, arg)))
        agent_fail(e, rc, "the key broker's certificate is malformed or cannot be put in place",
                   NULL);
    agent_response_free(&r);
    return rc;
}

/* What is revoked now. 1: it changed. */
static int ask_revoked(struct agent *a, struct agent_identity *i, give_fn give, void *arg,
                       struct agent_error *e)
{
    struct agent_response r;
    struct agent_call call = {.method = "GET", .path = "/kbs/v0/identity/crl"};
    int rc = agent_client_call(&a->client, &call, &r, e);
    if (rc)
        return rc;
    if (r.status != 200)
        rc = agent_refused(a, &r, "the list of what is revoked", e);
    else if (r.body.size >= PEM_MAX || !is_pem(r.body.data, (long)r.body.size))
        rc = agent_fail(e, -EPROTO, "the key broker's list of what is revoked is none", NULL);
    else
        rc = give_changed(give, arg, "crl.pem", r.body.data, r.body.size, i->crl);
    agent_response_free(&r);
    return rc;
}

int agent_identity_begin(struct agent *a, const char *record, give_fn give, void *arg,
                         struct agent_error *e)
{
    agent_identity_free(a->identity);
    a->identity = make_identity(record);
    if (!a->identity)
        return agent_fail(e, -ENOMEM, "no key for a certificate", NULL);
    int rc = ask_certificate(a, a->identity, give, arg, e);
    a->identity->look = agent_os_now_ms() + LOOK_MS;
    return rc;
}

uint64_t agent_identity_due(const struct agent *a)
{
    const struct agent_identity *i = a->identity;
    return !i || !i->given ? UINT64_MAX : i->renew < i->look ? i->renew : i->look;
}

int agent_identity_keep(struct agent *a, give_fn give, void *arg)
{
    struct agent_error e;
    struct agent_identity *i = a->identity;
    uint64_t now = agent_os_now_ms(), limit = a->client.limit;
    if (now < agent_identity_due(a))
        return 0;
    bool renews = now >= i->renew;
    a->client.limit = now + EXCHANGE_MS;
    int rc = renews ? ask_certificate(a, i, give, arg, &e) : ask_revoked(a, i, give, arg, &e);
    agent_client_close(&a->client);
    a->client.limit = limit;
    i->look = agent_os_now_ms() + LOOK_MS;
    if (rc < 0 && renews) /* again soon; meanwhile it holds for the other half */
        i->renew = i->look;
    if (rc < 0 && !i->troubled)
        agent_os_log(e.text);
    i->troubled = rc < 0;
    return rc < 0 ? rc : renews || rc;
}
